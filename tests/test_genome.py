"""Genomes, BED files and contig names, against pysam, hand-written files and plain Python."""

import gzip
import os
import random
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import py2bit
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioq import dna
from bioq.errors import BioqError
from bioq.genome import ContigNames, Genome, locate, open_genome, read_bed
from bioq.genome.bed import Bed, _parse_exactly, _parse_quickly, _read
from bioq.genome.bed_forms import Form
from bioq.genome.runs import Runs

CONTIGS = {"chr1": "ACGTNNacgtRYACGTA", "chrM": "GGGCCC", "scaffold_3": "N" * 23 + "T" * 40}


def as_fasta(contigs: dict[str, str], *, width: int = 7, newline: str = "\n") -> bytes:
    lines = []
    for name, bases in contigs.items():
        lines.append(f">{name} a description")
        lines += [bases[start : start + width] for start in range(0, len(bases), width)]
    return (newline.join(lines) + newline).encode()


def as_twobit(contigs: dict[str, str], *, order: str = "<") -> bytes:
    """UCSC's 2bit format, written from its description: T C A G, first base in the high bits."""
    words = struct.Struct(order + "I")
    records = []
    for bases in contigs.values():
        upper = bases.upper()
        runs = [(run.start(), len(run[0])) for run in re.finditer("[^ACGT]+", upper)]
        masks = [(run.start(), len(run[0])) for run in re.finditer("[a-z]+", bases)]
        known = "".join(base if base in "ACGT" else "T" for base in upper) + "T" * (-len(bases) % 4)
        packed = bytes(
            sum(
                "TCAG".index(base) << (6 - 2 * number)
                for number, base in enumerate(known[at : at + 4])
            )
            for at in range(0, len(known), 4)
        )
        numbers = [len(bases)]
        for blocks in (runs, masks):
            numbers += [len(blocks), *(s for s, _ in blocks), *(n for _, n in blocks)]
        numbers.append(0)
        records.append(b"".join(map(words.pack, numbers)) + packed)
    head = b"".join(map(words.pack, [0x1A412743, 0, len(contigs), 0]))
    offset = 16 + sum(5 + len(name) for name in contigs)
    index = b""
    for name, record in zip(contigs, records, strict=True):
        index += bytes([len(name)]) + name.encode() + words.pack(offset)
        offset += len(record)
    return head + index + b"".join(records)


def write_genome(path: Path, kind: str, contigs: dict[str, str]) -> Path:
    if kind == "2bit":
        path.write_bytes(as_twobit(contigs))
    elif kind == "gzip":
        path.write_bytes(gzip.compress(as_fasta(contigs)))
    elif kind == "bgzip":
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(as_fasta(contigs))
    elif kind == "ragged":  # htslib cannot index lines of different lengths
        path.write_bytes(as_fasta(contigs).replace(b"ACGTNNa\ncg", b"ACGTN\nNa\ncg"))
    elif kind == "crlf":
        path.write_bytes(as_fasta(contigs, newline="\r\n"))
    elif kind == "no last newline":
        path.write_bytes(as_fasta(contigs).rstrip())
    elif kind == "byte order mark":
        path.write_bytes(b"\xef\xbb\xbf" + as_fasta(contigs))
    else:
        path.write_bytes(as_fasta(contigs))
    return path


KINDS = ["fasta", "bgzip", "gzip", "2bit", "ragged", "crlf", "no last newline", "byte order mark"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_genome_gives_the_same_bases_whatever_its_name(
    tmp_path: Path, kind: str
) -> None:
    path = write_genome(tmp_path / "genome.txt", kind, CONTIGS)
    with open_genome(path) as genome:
        assert list(genome.lengths.items()) == [(n, len(s)) for n, s in CONTIGS.items()]
        for name, bases in CONTIGS.items():
            for start in range(len(bases) + 1):
                for end in range(start, len(bases) + 1):
                    expected = dna.encode(bases[start:end])
                    np.testing.assert_array_equal(genome.read(name, start, end), expected)
                    codes, is_lower = genome.read_masked(name, start, end)
                    np.testing.assert_array_equal(codes, expected)
                    assert is_lower.tolist() == [base.islower() for base in bases[start:end]]
    assert [file.name for file in tmp_path.iterdir()] == ["genome.txt"], "nothing written beside it"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contigs=st.lists(st.text("ACGTNacgtnRY", max_size=90), min_size=1, max_size=4),
    width=st.integers(1, 40),
    block=st.integers(1, 70),
)
def test_a_fasta_in_memory_equals_the_text_wherever_its_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contigs: list[str], width: int, block: int
) -> None:
    monkeypatch.setattr("bioq.genome.fasta_text._BLOCK_BYTES", block)
    named = {f"contig{number}": bases for number, bases in enumerate(contigs)}
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(gzip.compress(as_fasta(named, width=width)))
    if not any(contigs):
        with pytest.raises(BioqError, match="holds no bases"):
            open_genome(path)
        return
    with open_genome(path) as genome:
        for name, bases in named.items():
            for start in (0, 1, 5, len(bases) // 2):
                if start <= len(bases):
                    result = genome.read(name, start, len(bases))
                    np.testing.assert_array_equal(result, dna.encode(bases[start:]))
                    is_lower = genome.read_masked(name, start, len(bases))[1]
                    assert is_lower.tolist() == [base.islower() for base in bases[start:]]


def test_a_plain_gzip_genome_says_that_it_is_held_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_genome(write_genome(tmp_path / "g.fa.gz", "gzip", CONTIGS)).close()
    assert "held in memory" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["fasta", "bgzip"])
def test_a_fresh_index_beside_the_genome_is_used(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_genome(tmp_path / "g.fa", kind, CONTIGS)
    pysam.faidx(str(path))

    def refuse(*_: str) -> None:
        raise AssertionError("the index beside the genome is fresh")

    monkeypatch.setattr(pysam, "faidx", refuse)
    with open_genome(path) as genome:
        np.testing.assert_array_equal(genome.read("chrM", 1, 6), dna.encode("GGCCC"))


@pytest.mark.parametrize("kind", ["fasta", "bgzip"])
@pytest.mark.parametrize("looks_newer", [True, False])
@pytest.mark.parametrize(
    "changed",
    [
        {"chr1": "ACGTNNacgtRYACGTACC", "chrM": "GGGCCC", "scaffold_3": "N" * 23 + "T" * 40},
        {"chr2": "ACGTNNacgtRYACGTA", "chrM": "GGGCCC", "scaffold_3": "N" * 23 + "T" * 40},
        {"chrM": "GGGCCC", "chr1": "ACGTNNacgtRYACGTA", "scaffold_3": "N" * 23 + "T" * 40},
        {"chr1": "ACGTNNacgtRYACGTA", "chrM": "GGGCCC", "scaffold_3": "T" * 80, "more": "ACGT"},
    ],
)
def test_a_stale_index_never_gives_wrong_bases(
    tmp_path: Path, kind: str, looks_newer: bool, changed: dict[str, str]
) -> None:
    path = write_genome(tmp_path / "g.fa", kind, CONTIGS)
    pysam.faidx(str(path))
    write_genome(path, kind, changed)
    age_s = -100 if looks_newer else 100
    written = path.stat().st_mtime
    for index in (tmp_path / "g.fa.fai", tmp_path / "g.fa.gzi"):
        if index.exists():
            os.utime(index, (written - age_s, written - age_s))
    with open_genome(path) as genome:
        assert list(genome.lengths) == list(changed)
        for name, bases in changed.items():
            np.testing.assert_array_equal(
                genome.read(name, 0, len(bases)), dna.encode(bases), err_msg=name
            )


def test_a_large_bgzip_genome_with_many_blocks_uses_its_index(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    contigs = {f"c{n}": dna.decode(random.integers(0, 4, 150_000).astype(np.uint8)) for n in "abc"}
    path = tmp_path / "g.fa.gz"
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(as_fasta(contigs, width=60))
    pysam.faidx(str(path))
    from bioq.genome.fasta_index import read_fresh_index

    beside = tmp_path / "g.fa.gz.fai", tmp_path / "g.fa.gz.gzi"
    index = read_fresh_index(path, *beside, compressed=True)
    assert index is not None
    assert index.lengths == dict.fromkeys(contigs, 150_000)
    assert index.irregular(contigs) is None
    raw = bytearray(beside[1].read_bytes())
    raw[8] ^= 1  # the first block's place
    beside[1].write_bytes(raw)
    assert read_fresh_index(path, *beside, compressed=True) is None
    with open_genome(path) as genome:
        expected = dna.encode(contigs["cb"][70_000:140_000])
        np.testing.assert_array_equal(genome.read("cb", 70_000, 140_000), expected)


def test_a_genome_in_a_folder_without_write_permission_opens(tmp_path: Path) -> None:
    path = write_genome(tmp_path / "g.fa", "fasta", CONTIGS)
    tmp_path.chmod(0o500)
    try:
        with open_genome(path) as genome:
            assert genome.lengths["chrM"] == 6
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("kind", ["fasta", "gzip", "2bit"])
def test_bases_outside_a_contig_are_refused(tmp_path: Path, kind: str) -> None:
    with open_genome(write_genome(tmp_path / "g", kind, CONTIGS)) as genome:
        for start, end in ((-1, 3), (0, 7), (4, 3)):
            with pytest.raises(BioqError, match="of chrM do not exist; it has bases 0 to 6"):
                genome.read("chrM", start, end)
        with pytest.raises(BioqError, match="has no contig 'chr9'; it has chr1, chrM"):
            genome.read("chr9", 0, 1)


WRONG_GENOMES = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n", "holds nothing"),
    "gzip of nothing": (gzip.compress(b""), "holds nothing"),
    "a BED file": (b"chr1\t1\t2\n", r":1: is not FASTA: it begins with 'chr1"),
    "no name": (b">a\nACGT\n>\nAC\n", r":3: '>' stands alone"),
    "a contig twice": (
        b">a x\nACGT\nAC\n>b\nGG\n>a y\nTT\n",
        r":6: the contig 'a' is on line 1 too",
    ),
    "a contig twice in gzip": (
        gzip.compress(b">a\nACGT\n>a\nTT\n"),
        r":3: the contig 'a' is on line 1 too",
    ),
    "headers only": (b">a\n>b\n", "holds no bases"),
    "truncated gzip": (gzip.compress(as_fasta(CONTIGS))[:-20], "cut short or damaged"),
    "half a gzip header": (b"\x1f\x8b\x08", "cut short or damaged"),
    "damaged gzip": (
        gzip.compress(as_fasta(CONTIGS))[:-8] + b"\0" * 8,
        "cut short or damaged",
    ),
    "2bit cut in its header": (as_twobit(CONTIGS)[:10], "2bit file is cut short or damaged"),
    "2bit cut in its index": (as_twobit(CONTIGS)[:30], "2bit file is cut short or damaged"),
    "2bit cut in its bases": (as_twobit(CONTIGS)[:-1], "2bit file is cut short or damaged"),
    "2bit without bases": (as_twobit({"a": ""}), "holds no bases"),
    "2bit of another version": (
        as_twobit(CONTIGS)[:4] + struct.pack("<I", 2) + as_twobit(CONTIGS)[8:],
        "2bit version 2; expected 0, or 1",
    ),
    "2bit with a contig twice": (
        as_twobit(CONTIGS).replace(b"chrM", b"chr1"),
        "holds the contig 'chr1' twice",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_GENOMES)
def test_a_file_that_is_no_genome_is_refused_by_name(tmp_path: Path, wrong: str) -> None:
    content, message = WRONG_GENOMES[wrong]
    path = tmp_path / "genome.fa"
    path.write_bytes(content)
    with pytest.raises(BioqError, match=message) as caught:
        open_genome(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", "<>")
def test_a_twobit_genome_equals_py2bit(tmp_path: Path, order: str) -> None:
    random = np.random.default_rng(2)
    bases = np.frombuffer(b"ACGTNacgt", dtype=np.uint8)
    contigs = {
        f"c{n}": bases[np.sort(random.integers(0, 9, n)) if n % 2 else random.integers(0, 9, n)]
        for n in (1, 50, 401, 1002)
    }
    texts = {name: letters.tobytes().decode() for name, letters in contigs.items()}
    little, path = tmp_path / "little.2bit", tmp_path / "g.2bit"
    little.write_bytes(as_twobit(texts))
    path.write_bytes(as_twobit(texts, order=order))
    reference = py2bit.open(str(little), True)  # with masks: repeats in lower case
    with open_genome(path) as genome:
        assert genome.lengths == reference.chroms()
        for name, length in genome.lengths.items():
            for start in range(0, length, 7):
                end = int(random.integers(start + 1, length + 1))
                letters = reference.sequence(name, start, end)
                expected = dna.encode(letters)
                np.testing.assert_array_equal(genome.read(name, start, end), expected)
                codes, is_lower = genome.read_masked(name, start, end)
                np.testing.assert_array_equal(codes, expected)
                assert is_lower.tolist() == [base.islower() for base in letters]


@pytest.mark.parametrize("indexed", [True, False])
def test_a_bgzip_without_its_last_block_is_read_with_a_warning_and_a_cut_one_refused(
    tmp_path: Path, indexed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_genome(tmp_path / "g.fa.gz", "bgzip", CONTIGS)
    complete = path.read_bytes()
    path.write_bytes(complete[:-28])
    if indexed:
        pysam.faidx(str(path))
    with open_genome(path) as genome:
        np.testing.assert_array_equal(genome.read("chrM", 0, 6), dna.encode("GGGCCC"))
    err = capsys.readouterr().err
    assert err.count("g.fa.gz: the empty block that ends a bgzip file is not there") == 1
    path.write_bytes(complete[:-40])
    for index in tmp_path.glob("*i"):  # newer than the file that was cut
        os.utime(index, (path.stat().st_mtime + 100,) * 2)
    with pytest.raises(BioqError, match="cut short or damaged"):
        open_genome(path)


def test_a_genome_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BioqError, match="no such file; expected a genome"):
        open_genome(tmp_path / "none.fa")
    with pytest.raises(BioqError, match="could not be read: Is a directory"):
        open_genome(tmp_path)


# Letters and lines of a FASTA.


def packed_as(path: Path, kind: str, content: bytes, *, indexed: bool = False) -> Path:
    """Write a FASTA as it is, plain, gzip or bgzip, with or without its index."""
    if kind == "bgzip":
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(content)
    else:
        path.write_bytes(gzip.compress(content) if kind == "gzip" else content)
    if indexed:
        pysam.faidx(str(path))
    return path


@pytest.mark.parametrize("kind", ["fasta", "bgzip", "gzip"])
@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize(
    ("letter", "shown"),
    [("5", "'5'"), ("*", "'\\*'"), ("U", "'U'"), (">", "'>'"), ("\x00", "'.x00'"), ("é", "0xC3")],
)
def test_a_letter_that_is_not_dna_is_named_in_every_kind_of_fasta(
    tmp_path: Path, kind: str, indexed: bool, letter: str, shown: str
) -> None:
    text = ">chr1 x\nACGTACGT\nACGTACGT\n>chr2\nACGTACGT\nACG" + letter + "ACGT\nACGTACGT\n"
    path = tmp_path / "g.fa"
    try:
        packed_as(path, kind, text.encode(), indexed=indexed and kind != "gzip")
    except pysam.utils.SamtoolsError:
        return  # samtools makes no index of it
    message = rf"g\.fa:6: contig 'chr2' holds (the byte )?{shown} in column 4; expected DNA"
    with pytest.raises(BioqError, match=message) as caught:
        with open_genome(path) as genome:
            np.testing.assert_array_equal(genome.read("chr1", 3, 6), dna.encode("TAC"))
            genome.read("chr2", 0, 2)  # before the letter: every later base would move
    assert ("write T for U" in str(caught.value)) == (letter == "U")
    assert "\n" not in str(caught.value)


def test_lower_case_and_every_iupac_letter_are_dna(tmp_path: Path) -> None:
    letters = dna.IUPAC + dna.IUPAC.lower()
    for kind in ("fasta", "bgzip", "gzip"):
        path = packed_as(tmp_path / kind, kind, f">a\n{letters}\n".encode())
        with open_genome(path) as genome:
            assert genome.letters("a", 0, len(letters)) == letters.upper()
            np.testing.assert_array_equal(genome.read("a", 0, len(letters)), dna.encode(letters))


@pytest.mark.parametrize("kind", KINDS)
def test_the_letters_of_the_file_are_kept_in_every_kind_of_genome(
    tmp_path: Path, kind: str
) -> None:
    with open_genome(write_genome(tmp_path / "g", kind, CONTIGS)) as genome:
        for name, bases in CONTIGS.items():
            expected = bases.upper() if kind != "2bit" else dna.decode(dna.encode(bases))
            for start in range(len(bases) + 1):
                for end in (start, min(start + 3, len(bases)), len(bases)):
                    assert genome.letters(name, start, end) == expected[start:end]
        with pytest.raises(BioqError, match="of chrM do not exist"):
            genome.letters("chrM", 0, 7)


@pytest.mark.parametrize("kind", ["fasta", "bgzip"])
@pytest.mark.parametrize("indexed", [True, False])
def test_line_ends_of_two_kinds_hide_no_contig(tmp_path: Path, kind: str, indexed: bool) -> None:
    text = b">a\nACGT\n>b\rAACC\r>c\nGGTT\n"
    path = packed_as(tmp_path / "g.fa", kind, text, indexed=indexed)
    with open_genome(path) as genome:
        assert genome.lengths == {"a": 4, "b": 4, "c": 4}
        assert [genome.letters(name, 0, 4) for name in "abc"] == ["ACGT", "AACC", "GGTT"]


@pytest.mark.parametrize("kind", ["fasta", "bgzip"])
@pytest.mark.parametrize("inside", [" ", "\t", "\r"])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_blank_or_a_single_return_in_a_line_never_moves_a_base(
    tmp_path: Path, kind: str, inside: str, indexed: bool
) -> None:
    text = f">a\nAC{inside}GTAA\nCC{inside}GGTT\nAC\n>b\nACGT\n"
    path = packed_as(tmp_path / "g.fa", kind, text.encode(), indexed=indexed)
    with open_genome(path) as genome:
        assert genome.lengths == {"a": 14, "b": 4}
        assert genome.letters("b", 0, 4) == "ACGT"
        if not indexed:
            assert genome.letters("a", 0, 14) == "ACGTAACCGGTTAC"
            return
        for _ in range(2):
            message = "lines of contig 'a' are not as its index .*g.fa.fai describes .*; remove"
            with pytest.raises(BioqError, match=message):
                genome.read("a", 0, 1)


@st.composite
def layouts(draw: st.DrawFn) -> str:
    """Draw a FASTA with lines of any length, any line ends, and here and there another letter."""
    end = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])
    letters = st.text("ACGTacgtNRy", min_size=1, max_size=8)
    odd = st.sampled_from(["", "", "", "", "", " ", "\t", "\r", "7", "U"])
    text = ""
    for number in range(draw(st.integers(1, 3))):
        text += f">c{number} x{draw(end)}"
        for _ in range(draw(st.integers(0, 4))):
            text += draw(letters) + draw(odd) + draw(letters) + draw(end)
    return text


def contigs_of(fasta: str) -> dict[str, str]:
    """Read a FASTA line by line: the reference."""
    contigs: dict[str, str] = {}
    for line in re.split("\r\n|\r|\n", fasta):
        if line.startswith(">"):
            contigs[line[1:3]] = ""
        elif line:
            contigs[list(contigs)[-1]] += re.sub("[ \t]", "", line).upper()
    return contigs


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=layouts(), kind=st.sampled_from(["fasta", "bgzip", "gzip"]), indexed=st.booleans())
def test_every_layout_of_a_fasta_gives_the_bases_or_an_error(
    tmp_path: Path, text: str, kind: str, indexed: bool
) -> None:
    expected = contigs_of(text)
    path = tmp_path / "g.fa"
    for index in tmp_path.glob("*i"):
        index.unlink()
    try:
        packed_as(path, kind, text.encode(), indexed=indexed and kind != "gzip")
    except pysam.utils.SamtoolsError:
        packed_as(path, kind, text.encode())
    found, message = {}, ""
    try:
        with open_genome(path) as genome:
            found = {name: genome.letters(name, 0, bp) for name, bp in genome.lengths.items()}
    except BioqError as error:
        message = str(error)
    if any(set(bases) & set("7U") for bases in expected.values()):
        assert "; expected DNA" in message
    elif not any(expected.values()):
        assert "holds no bases" in message
    elif message:
        assert indexed
        assert "are not as its index" in message
    else:
        assert found == expected


def bed_rows(path: Path) -> list[tuple[str, int, int, int]]:
    bed = read_bed(path, summits=True, blocks=True)
    names = [bed.contigs[number] for number in bed.contig]
    return list(zip(names, bed.start, bed.end, bed.summit, strict=True))


def test_a_bed_file_is_read_past_headers_comments_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    path.write_bytes(
        b"\xef\xbb\xbfbrowser position chr1:1-9\r\ntrack name=x\r\n#comment\r\n\r\n"
        b"chr2\t5\t9\tname\t0\t+\r\n# more\r\nchr1\t0\t1\r\n\ntrack name=y\nchr1 7  8 x\n  \n"
    )
    assert bed_rows(path) == [("chr2", 5, 9, -1), ("chr1", 0, 1, -1), ("chr1", 7, 8, -1)]
    assert [read_bed(path).line(row) for row in range(3)] == [5, 7, 10]


def narrow_peak(start: int, end: int, summit: object, contig: str = "chr1") -> str:
    return f"{contig}\t{start}\t{end}\t.\t0\t.\t1.5\t-1\t1e-3\t{summit}\n"


def test_a_narrow_peak_gives_summits_if_they_are_requested(tmp_path: Path) -> None:
    narrow = tmp_path / "a.narrowPeak.gz"
    narrow.write_bytes(gzip.compress((narrow_peak(10, 30, 7) + narrow_peak(40, 60, -1)).encode()))
    assert bed_rows(narrow) == [("chr1", 10, 30, 7), ("chr1", 40, 60, -1)]
    assert read_bed(narrow).summit.tolist() == [-1, -1]


TEN_COLUMNS = {
    "narrowPeak by content": ("a.bed", narrow_peak(10, 30, 7), [7]),
    "narrowPeak and a tab at the end": ("a.bed", narrow_peak(10, 30, 7)[:-1] + "\t\n", [7]),
    "narrowPeak with blanks": ("a.bed", narrow_peak(10, 30, 7).replace("\t", "  "), [7]),
    "cCRE": ("a.bed", "chr1\t10\t30\tE1\t0\t.\t10\t30\t255,205,0\tdELS\n", [-1]),
    "BED9 and a number": ("a.bed", "chr1\t10\t30\tx\t0\t+\t10\t30\t0\t7\n", [-1]),
    "the same, named": ("a.narrowPeak", "chr1\t10\t30\tx\t0\t+\t10\t30\t0\t7\n", [7]),
    "a score in column 10": ("a.bed", "chr1\t10\t30\tx\t0\t.\t1.5\t2\t3\t0.7\n", [-1]),
    "text in column 7": ("a.bed", "chr1\t10\t30\tx\t0\t.\tgene\t2\t3\t7\n", [-1]),
    "text although named": ("a.narrowPeak", "chr1\t10\t30\tx\t0\t.\t1\t2\t3\tdELS\n", [-1]),
    "IDR": ("a.bed", narrow_peak(10, 30, 7)[:-1] + "\t1.5" * 10 + "\n", [7]),
    "IDR of three replicates": ("a.bed", narrow_peak(10, 30, 7)[:-1] + "\t-1" * 14 + "\n", [7]),
    "as IDR, with a text": ("a.bed", narrow_peak(10, 30, 7)[:-1] + "\t1.5" * 9 + "\tx\n", [-1]),
    "narrowPeak and a number": ("a.bed", narrow_peak(10, 30, 7)[:-1] + "\t1.5\n", [-1]),
    "broadPeak": ("a.broadPeak", "chr1\t10\t30\tx\t0\t.\t1\t2\t3\n", [-1]),
    "SEACR": ("a.bed", "chr1\t10\t30\t1.5\t3\tchr1:12-15\n", [-1]),
    "bedGraph": ("a.bdg", "chr1\t10\t30\t1.5\n", [-1]),
}


@pytest.mark.parametrize("kind", TEN_COLUMNS)
def test_the_tenth_column_is_a_summit_only_where_the_file_is_narrow_peak(
    tmp_path: Path, kind: str
) -> None:
    name, text, summits = TEN_COLUMNS[kind]
    (tmp_path / name).write_text(text)
    assert [row[3] for row in bed_rows(tmp_path / name)] == summits
    assert len(read_bed(tmp_path / name)) == 1


def test_summits_as_positions_on_the_contig_are_converted(tmp_path: Path) -> None:
    path = tmp_path / "a.narrowPeak"
    path.write_text(narrow_peak(10, 30, 12) + narrow_peak(40, 60, -1) + narrow_peak(50, 70, 69))
    bed = read_bed(path, summits=True)
    assert bed.has_absolute_summits
    assert bed.summit.tolist() == [2, -1, 19]
    path.write_text(narrow_peak(10, 30, 12) + narrow_peak(10, 31, 15))
    bed = read_bed(path, summits=True)  # each reading is possible: that of the format counts
    assert not bed.has_absolute_summits
    assert bed.summit.tolist() == [12, 15]
    path.write_text(narrow_peak(10, 30, 12) + narrow_peak(40, 60, 61))
    assert read_bed(path, summits=True).summit.tolist() == [12, 61]


BED12 = "chr1\t10\t40\tx\t0\t+\t10\t40\t0\t2\t3,4,\t0,26,\n"
GAPPED = "chr1\t10\t40\tx\t9\t.\t0\t0\t0\t2\t3,4\t0,26\t5.1\t3.2\t2.2\n"


def test_bed12_and_gapped_peak_are_read_by_their_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    for line, form in ((BED12, "BED12"), (GAPPED, "gappedPeak")):
        for text in (line, line.replace("\t", " "), "#x\n" + line, line[:-1]):
            path.write_text(text)
            bed = read_bed(path, blocks=True)
            assert (bed.form, bed.start.tolist(), bed.end.tolist()) == (form, [10, 36], [13, 40])
            assert bed.item is not None
            assert bed.item.tolist() == [0, 0]
            assert bed.line(1) == (2 if text.startswith("#") else 1)
    bed = read_bed(path)
    assert (bed.form, bed.start.tolist(), bed.item) == ("BED", [10], None)


@pytest.mark.parametrize(
    ("sizes", "starts", "expected"),
    [
        ("1,5,6,1", "0,3,20,29", [(13, 18), (30, 36)]),
        ("5,1,1,", "0,8,29,", [(10, 15), (18, 19)]),
        ("1,1", "0,29", [(10, 11), (39, 40)]),  # nothing else is left
    ],
)
def test_the_bases_with_which_macs_fills_the_ends_of_a_gapped_peak_are_no_peaks(
    tmp_path: Path, sizes: str, starts: str, expected: list[tuple[int, int]]
) -> None:
    path = tmp_path / "a.gappedPeak"
    count = starts.strip(",").count(",") + 1
    line = f"chr1\t10\t40\tx\t9\t.\t0\t0\t0\t{count}\t{sizes}\t{starts}"
    path.write_text(line + "\t5.1\t3.2\t2.2\n")
    bed = read_bed(path, blocks=True)
    assert list(zip(bed.start.tolist(), bed.end.tolist(), strict=True)) == expected
    (tmp_path / "b.bed").write_text(line + "\n")  # BED12: every block counts
    assert len(read_bed(tmp_path / "b.bed", blocks=True)) == count


@pytest.mark.parametrize(
    "columns",
    [
        "10 40 0 2 3,4 0",  # as many starts as blocks
        "10 40 0 2 3,4 0,27",  # the last block reaches past the item
        "10 40 red 2 3,4 0,26",
        "10 40 0 1.5 3 0",
        "10 40 0 1 5 0",  # a single block is the item
        "0.1 0.2 0.3 400 x y",
    ],
)
def test_twelve_columns_that_are_no_blocks_are_an_interval(tmp_path: Path, columns: str) -> None:
    path = tmp_path / "a.bed"
    path.write_text("\t".join(["chr1", "10", "40", "x", "0", "+", *columns.split()]) + "\n")
    assert bed_rows(path) == [("chr1", 10, 40, -1)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("10\t40\tx\t0\t+\t10\t40\t0\t2\t3,4\t0", "is 2, but there are 2 blockSizes .* 1 blockS"),
        ("10\t40\tx\t0\t+\t10\t40\t0\t2\t3,4\t0,27", "the block of 4 bases at 27 is not inside"),
        ("10\t40\tx\t0\t+\t10\t40\t0\t2\t3,0\t0,9", "the block of 0 bases at 9 is not inside"),
        ("10\t40\tx\t0\t+\t10\t40\t0\t2\t3,x\t0,9", r"\(column 11\): 'x' is not a whole number"),
        ("10\t40\tx\t0\t+\t10\t40\t0\t2\t3,4\t0,-9", r"\(column 12\): -9 is negative"),
        ("10\t40\tx\t0\t+\t10\t40\t0\t0\t\t", "has 10 columns; the file is BED12 or g"),
        ("10\t40\tx\t0\t+", "has 6 columns; the file is BED12"),
    ],
)
def test_a_damaged_line_of_bed12_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.bed"
    path.write_text(f"track x\n{BED12}chr1\t{line}\n")
    with pytest.raises(BioqError, match=f"a.bed:3: .*{message}"):
        read_bed(path, blocks=True)
    assert len(read_bed(path)) == 2  # the blocks of bins and regions are not read
    path.write_text(f"chr1\t{line}\n{BED12}")
    with pytest.raises(BioqError, match=f"a.bed:1: .*{message}"):
        read_bed(path, blocks=True)
    path = tmp_path / "a.gappedPeak.gz"
    path.write_bytes(gzip.compress(f"chr1\t{line}\n".encode()))
    with pytest.raises(BioqError, match=f"a.gappedPeak.gz:1: .*{message}"):
        read_bed(path, blocks=True)


def test_a_first_line_of_column_names_is_left_out_and_only_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    for names in ("chrom\tstart\tend", "Chr Start Stop name", "#c\nchrom\tchromStart\tchromEnd"):
        path.write_text(names + "\nchr1\t5\t9\nchr2\t6\t9\n")
        bed = read_bed(path)
        assert bed_rows(path) == [("chr1", 5, 9, -1), ("chr2", 6, 9, -1)]
        assert bed.header == names.split("\n")[-1].replace("\t", " ")
        assert bed.line(1) == 3 + names.count("\n")
    path.write_text("chr1\t5\t9\nchrom\tstart\tend\n")
    with pytest.raises(BioqError, match=r"a.bed:2: start 'start' is not a whole number"):
        read_bed(path)


def test_columns_may_be_separated_by_blanks_or_by_both(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    lines = [
        "chr1   5  9",
        "chr1 5\t9\tx",
        "chr1\t5 9",
        " chr1\t5\t9",
        "chr1\t 5\t9 ",
        "chr1\t5\t9\t\t",
    ]
    path.write_text("".join(f"{line}\n" for line in lines) + "chr 1\t5\t9\n")
    assert bed_rows(path) == [("chr1", 5, 9, -1)] * 6 + [("chr 1", 5, 9, -1)]


OTHER_FORMATS = {
    "MACS .xls": (
        "# This file is generated by MACS version 2.2.6\n# effective genome size\n\n"
        "chr\tstart\tend\tlength\tabs_summit\tpileup\nchr1\t101\t200\t100\t150\t9\n",
        r":4: the file seems to be a table of MACS \(.xls\), .* give the .narrowPeak or .broadPeak",
    ),
    "GRanges": ("seqnames start end width strand\nchr1 101 200 100 *\n", ":1: .* R's GRanges"),
    "GFF": (
        "##gff-version 3\nchr1\tx\tgene\t5\t9\t.\t+\t.\tID=1\n",
        ":1: .* to be GFF or GTF, whose",
    ),
    "GTF": ('#!x\nchr1\tx\tgene\t5\t9\t.\t+\t.\tgene_id "1"\n', ":2: start 'x' .* be GFF or GTF"),
    "VCF": (
        "##fileformat=VCFv4.2\n#CHROM\tPOS\n1\t5\t7\tA\tC\n",
        ":1: .* to be VCF: 'bioq variants'",
    ),
    "VCF without header": ("1\t5\trs7\tA\tC,<DEL>\t.\t.\n", ":1: end 'rs7' .* seems to be VCF"),
    "SAM": ("@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:9\n", ":1: .* SAM or a Picard interval_list"),
    "SAM without header": (
        "r1\t99\tchr1\t5\t60\t4M\t=\t9\t50\tACGT\t!!!!\n",
        ":1: end 'chr1' .* to be SAM or a Pic",
    ),
    "interval_list": ("@SQ\tSN:chr1\tLN:9\nchr1\t1\t5\t+\tx\n", ":1: .* a Picard interval_list"),
    "HOMER": (
        "# HOMER Peaks\n#PeakID\tchr\tstart\nchr1-1\tchr1\t5\t9\t+\n",
        ":3: start 'chr1' .* the contig in its second column",
    ),
    "UCSC table with a bin": ("585\tchr1\t5\t9\tx\n", ":1: start 'chr1' .* in its second column"),
    "SAF": ("GeneID\tChr\tStart\tEnd\tStrand\ng1\tchr1\t5\t9\t+\n", ":1: .* in its second column"),
    "contig lengths": ("chr1\t900\n", ":1: the file seems to be a table of contig lengths, with 2"),
    "BEDPE": ("chr1\t5\t9\tchr1\t50\t90\tx\n", ":1: .* to be BEDPE, with two intervals per line"),
    "wiggle": ("track type=wiggle_0\nfixedStep chrom=chr1 start=1 step=1\n1\n", ":2: .* wiggle"),
    "regions": ("chr1:5-9\n", r":1: has 1 column; .* a list of regions CONTIG:START-END"),
    "commas": ("chr1,5,9\n", ":1: has 1 column; .* with commas"),
    "FASTA": (">a\nACGT\n", ":1: begins with '>', as FASTA does"),
    "bigBed": (b"\xeb\xf2\x89\x87", "is bigBed; expected a BED file: 'bigBedToBed IN OUT.bed'"),
    "bigWig": (b"\x26\xfc\x8f\x88", "is bigWig; expected a BED file"),
}


@pytest.mark.parametrize("kind", OTHER_FORMATS)
def test_a_file_of_another_format_is_named(tmp_path: Path, kind: str) -> None:
    content, message = OTHER_FORMATS[kind]
    path = tmp_path / "peaks.bed"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BioqError, match=message) as caught:
        read_bed(path)
    assert "\n" not in str(caught.value)


def test_a_file_without_peaks_has_no_rows(tmp_path: Path) -> None:
    for content in (b"", b"track x\n", gzip.compress(b"")):
        path = tmp_path / "a.bed"
        path.write_bytes(content)
        assert len(read_bed(path)) == 0


fields = st.tuples(
    st.sampled_from(["chr1", "1", "NA", "chrUn_x", "chrUn_y", "chrUn_xx", "atrack", '"q"']),
    st.integers(0, 10**9),
    st.integers(1, 10**6),
    st.sampled_from(
        [
            (),
            ("x",),
            ("x", "0", "."),
            (*"x0.", "1", "-1", "-1", "0"),
            (*"x0.", "1", "-1", "-1", "-1"),
        ]
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(fields, min_size=1, max_size=20),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    header=st.sampled_from(["", "#a comment\n", "track name=x\n\n", "browser hide all\n"]),
    last=st.booleans(),
)
def test_the_quick_and_the_exact_pass_over_a_bed_file_agree(
    rows: list[tuple[str, int, int, tuple[str, ...]]],
    newline: str,
    header: str,
    last: bool,
    tmp_path: Path,
) -> None:
    width = len(rows[0][3])
    lines = ["\t".join([c, str(s), str(s + n), *x]) for c, s, n, x in rows if len(x) == width]
    file = tmp_path / "x.bed"
    text = header + "\n".join(lines) + "\n" * last
    file.write_bytes(text.replace("\n", newline).encode())
    form: Form = "narrowPeak" if width == 7 else "BED"
    quick, exact = _parse_quickly(file, _read(file), form), _parse_exactly(file, _read(file), form)
    if quick is None:  # a single line may be two: see JoinedLines
        assert len(lines) == 1
    else:
        assert_equal_beds(quick, exact)


def assert_equal_beds(quick: Bed, exact: Bed) -> None:
    assert (quick.contigs, quick.header) == (exact.contigs, exact.header)
    assert quick.has_absolute_summits == exact.has_absolute_summits
    for column in ("contig", "start", "end", "summit"):
        np.testing.assert_array_equal(getattr(quick, column), getattr(exact, column))


CELLS = ["chr1", "", "#c", "track", '"', "5", "9", "0x1F", "007", "-0", "-1", "-01", "+5", " 5"]
CELLS += ["5 ", "1_0", "1e3", "0" * 30 + "7", "9" * 19, "9" * 18, "é", "\x00", "\x0b"]
CELLS += ["chr 1", " chr1", "-5", "-9", "1,000", "5.0", "start", "end", "2,3,", "255,0,0", "+", "-"]


@settings(max_examples=500)
@given(
    st.lists(
        st.lists(
            st.sampled_from(CELLS),
            min_size=1,
            max_size=11,
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["\t", " "]),
    st.sampled_from(["BED", "narrowPeak"]),
)
def test_what_pyarrow_reads_in_another_way_is_left_to_the_exact_parser(
    rows: list[list[str]], separator: str, form: Form
) -> None:
    text = "\n".join(separator.join(row) for row in rows).encode()
    quick = outcome(lambda: _parse_quickly(Path("x"), text, form))
    exact = outcome(lambda: _parse_exactly(Path("x"), text, form))
    if isinstance(quick, Bed):
        assert isinstance(exact, Bed)
        assert_equal_beds(quick, exact)
    elif quick is not None:
        assert quick == exact


def outcome(parse: Callable[[], Bed | None]) -> Bed | str | None:
    """Return what is read, or the error."""
    try:
        return parse()
    except BioqError as error:
        return str(error)


def test_both_parsers_agree_on_files_as_tools_write_them(tmp_path: Path) -> None:
    """400 files of a seeded generator: each form, and few or many lines that are odd."""
    make = random.Random(18)
    quick_reads = 0
    for number in range(400):
        text = "".join(_odd_lines(make, columns=make.choice([3, 4, 6, 9, 10, 10, 11, 12, 15])))
        path = tmp_path / f"{number}.bed"
        path.write_bytes(text.replace("\n", make.choice(["\n", "\n", "\r\n"])).encode())
        for form in ("BED", "narrowPeak"):
            quick = outcome(lambda: _parse_quickly(path, _read(path), form))  # noqa: B023
            if isinstance(quick, Bed):
                quick_reads += 1
                assert_equal_beds(quick, _parse_exactly(path, _read(path), form))
    assert quick_reads > 100


def _odd_lines(make: random.Random, columns: int) -> Iterator[str]:
    if make.random() < 0.2:
        yield make.choice(["track name=x\n", "#c\n\n", "chrom\tstart\tend\n", "browser x\n"])
    odd_rate = make.choice([0, 0, 0.02, 0.3])
    for _ in range(make.randint(1, 40)):
        start = make.randint(0, 5000)
        end = start + make.randint(1, 900)
        row = [make.choice(["chr1", "chrM", "HLA-A*01:01", "chrUn_1"]), str(start), str(end)]
        row += ["x", "0", ".", "1.5", "2", "3e-4", str(make.randint(-1, end - start))]
        row += [str(end - start), "0", "1", "2", "3"]
        line = "\t".join(row[:columns]) + "\n"
        if make.random() < odd_rate:
            at = make.randrange(columns)
            row[at] = make.choice(
                ["", " ", "-3", f"{start} ", "0", "007", "1e6", "1,000", "é", "."]
            )
            line = make.choice(
                [
                    "\t".join(row[:columns]) + "\n",
                    line.replace("\t", " "),
                    line.replace("\t", " ", 1),
                    line.replace("\n", "\t\n"),
                    f"track x\n{line}",
                    f"\n{line}",
                    line * 2,
                ]
            )
        yield line


@pytest.mark.parametrize("number", ["0x1F", "-0", " 5", "5 ", "0" * 30 + "7", "9" * 19])
@pytest.mark.parametrize("column", [1, 2, 9])
def test_a_number_that_only_pyarrow_reads_is_not_taken(number: str, column: int) -> None:
    row = ["chr1", "3", "40", "x", "0", ".", "1", "-1", "-1", "4"]
    row[column] = number
    for text in ("\t".join(row), "\t".join(row) + "\n"):
        assert _parse_quickly(Path("x"), text.encode(), "narrowPeak") is None


WRONG_BEDS = {
    "two columns": (b"chr1\t1\t2\nchr1\t5\n", ":2: has 2 columns; BED needs at least three"),
    "one column": (b"chr1\n", ":1: has 1 column; BED needs"),
    "end before start": (
        b"#x\nchr1\t1000\t900\n",
        ":2: end 900 is before start 1000; BED intervals need start < end",
    ),
    "no bases": (
        b"chr1\t5\t5\n",
        r":1: end 5 is equal to start 5; .* give the base on its right, 5 6; .*, 4 5$",
    ),
    "before the contig": (b"chr1\t1\t2\nchr1\t-5\t-1\n", ":2: end -1 is before the first base of"),
    "no name": (b"\t1\t2\n", ":1: the contig's name, the first column, is empty"),
    "two tabs": (b"chr1\t\t1\t2\n", ":1: start '' is not a whole number"),
    "a float": (
        b"chr1\t1\t2\nchr1\t1.0\t5\n",
        ":2: start '1.0' is not a whole number; expected digits only: 1$",
    ),
    "a fraction": (b"chr1\t1.5\t5\n", ":1: start '1.5' is .*expected digits only$"),
    "scientific": (b"chr1\t1\t1e3\n", ":1: end '1e3' is not a .* digits only: 1000$"),
    "thousands": (b"chr1\t1,000\t2,000\n", ":1: start '1,000' is not .* digits only: 1000$"),
    "too large": (b"chr1\t1\t99999999999999999999\n", ":1: end '9+' is not a whole number"),
    "empty cell": (b"chr1\t\t5\n", ":1: start '' is not a whole number"),
    "bad summit": (
        2 * b"chr1\t1\t9\t.\t0\t.\t1\t-1\t-1\t1\n" + b"chr1\t1\t9\t.\t0\t.\t1\t-1\t-1\t1.5\n",
        r":3: summit \(column 10\) '1.5' is not a whole number",
    ),
    "negative summit": (
        2 * b"chr1\t1\t9\t.\t0\t.\t1\t-1\t-1\t1\n" + b"chr1\t1\t9\t.\t0\t.\t1\t-1\t-1\t-2\n",
        r":3: summit \(column 10\) -2 is negative",
    ),
    "truncated gzip": (gzip.compress(b"chr1\t1\t2\n")[:-9], "cut short or damaged"),
}


@pytest.mark.parametrize("wrong", WRONG_BEDS)
def test_a_wrong_bed_line_is_named(tmp_path: Path, wrong: str) -> None:
    content, message = WRONG_BEDS[wrong]
    path = tmp_path / "peaks.bed"
    path.write_bytes(content)
    with pytest.raises(BioqError, match=message) as caught:
        read_bed(path, summits=True)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_bed_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BioqError, match="no such file; expected a BED file"):
        read_bed(tmp_path / "none.bed")
    with pytest.raises(BioqError, match="could not be read: Is a directory"):
        read_bed(tmp_path)


def names_of(
    tmp_path: Path, contigs: list[str], alias: dict[str, str] | None = None
) -> ContigNames:
    path = write_genome(tmp_path / "g.fa", "fasta", dict.fromkeys(contigs, "ACGTACGTAC"))
    with open_genome(path) as genome:
        return ContigNames(genome, alias or {})


def with_lengths(tmp_path: Path, lengths: dict[str, int]) -> ContigNames:
    """Return the names of a genome whose bases are not read."""
    return ContigNames(Genome(tmp_path / "g.fa", lengths, lambda *_: dna.encode(""), lambda: None))


def test_an_accession_is_found_where_the_genome_has_its_sequence(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, int], str, int | None]] = [
        ({"chr21": 46_709_983}, "NC_000021.9", 0),
        ({"21": 46_709_983}, "CM000683.2", 0),
        ({"chr21": 46_709_983}, "NC_000021.8", None),  # GRCh37's
        ({"chr21": 46_709_983}, "NC_000021", None),
        ({"chr21": 1000}, "NC_000021.9", None),
        ({"NC_000021.9": 46_709_983}, "chr21", 0),
        ({"NC_000021.9": 46_709_983}, "21", 0),
        ({"NC_000021.9": 46_709_983}, "CM000683.2", 0),
        ({"CM000683.2": 46_709_983}, "CM000683.1", None),
        ({"chrM": 16_571}, "NC_012920.1", None),
        ({"chrM": 16_569}, "NC_012920.1", 0),
        ({"chr21": 46_709_983, "chrM": 16_569}, "NC_012920.1", 1),
    ]
    for lengths, name, expected in cases:
        assert with_lengths(tmp_path, lengths).find(name) == expected, (lengths, name)
    ending = "it has chr21; NC_000021.8 is 21 of hg19 and GRCh37$"
    with pytest.raises(BioqError, match=rf"g.fa \(GRCh38\) has no contig .*; {ending}"):
        with_lengths(tmp_path, {"chr21": 46_709_983}).require("NC_000021.8", "here")


@pytest.mark.parametrize(
    ("genome", "name", "expected"),
    [
        ("chr1", "1", 0),
        ("1", "chr1", 0),
        ("1", "Chr1", 0),
        ("chrM", "MT", 0),
        ("MT", "chrM", 0),
        ("chrMT", "M", 0),
        ("chr1", "chr11", None),
        ("chr1", "I", None),
        ("chr", "chr", 0),
    ],
)
def test_contig_names_match_with_and_without_chr(
    tmp_path: Path, genome: str, name: str, expected: int | None
) -> None:
    assert names_of(tmp_path, [genome]).find(name) == expected


def test_names_that_only_differ_in_chr_match_exactly_or_not_at_all(tmp_path: Path) -> None:
    names = names_of(tmp_path, ["chr1", "1", "chr2"])
    assert (names.find("chr1"), names.find("1"), names.find("Chr1")) == (0, 1, None)


def test_an_alias_goes_before_the_name_itself(tmp_path: Path) -> None:
    names = names_of(tmp_path, ["chrI", "chrX"], {"chr10": "chrX", "chrX": "chrI"})
    assert (names.find("chr10"), names.find("chrX"), names.find("chrI")) == (1, 0, 0)


def test_intervals_are_located_and_absent_contigs_counted(tmp_path: Path) -> None:
    names = names_of(tmp_path, ["1", "2"])
    path = tmp_path / "a.bed"
    path.write_text("chr2\t0\t10\nchr3\t0\t99\nchr1\t2\t3\nchr3\t5\t6\n")
    located = locate(read_bed(path), names)
    assert located.rows.tolist() == [0, 2]
    assert located.contig.tolist() == [1, 0]
    assert located.absent == {"chr3": 2}


def test_intervals_that_reach_past_an_end_of_their_contig_are_clipped(tmp_path: Path) -> None:
    names = names_of(tmp_path, ["1"])
    path = tmp_path / "a.bed"
    path.write_text("chr1\t-3\t4\nchr1\t2\t10\nchr1\t9\t1020\nchr1\t-9\t30\n")
    located = locate(read_bed(path), names)
    assert located.start.tolist() == [0, 2, 9, 0]
    assert located.end.tolist() == [4, 10, 10, 10]
    assert located.is_clipped.tolist() == [True, False, True, True]


def test_the_blocks_of_an_overhang_may_be_completely_outside(tmp_path: Path) -> None:
    names = names_of(tmp_path, ["1", "2"])
    path = tmp_path / "a.bed"
    path.write_text(
        "chr2\t-9\t20\tx\t0\t+\t0\t0\t0\t5\t2,9,2,1,2\t0,7,13,18,27\n"
        "chr1\t3\t9\tx\t0\t+\t0\t0\t0\t2\t1,1\t0,5\nchr3\t3\t9\tx\t0\t+\t0\t0\t0\t1\t6\t0\n"
    )
    located = locate(read_bed(path, blocks=True), names)
    assert located.rows.tolist() == [1, 2, 3, 5, 6]
    assert located.start.tolist() == [0, 4, 9, 3, 8]
    assert located.end.tolist() == [7, 6, 10, 4, 9]
    assert located.is_clipped.tolist() == [True, False, False, False, False]
    assert (located.blocks_outside, located.absent) == (2, {"chr3": 1})
    # MACS fills the ends of a gappedPeak: its only other block is past the end of a contig of 10.
    path = tmp_path / "a.gappedPeak"
    path.write_text("chr1\t8\t19\tx\t0\t.\t8\t19\t0\t3\t1,3,1\t0,4,10\t1\t2\t3\n")
    located = locate(read_bed(path, blocks=True), names)
    assert (len(located.rows), located.blocks_outside) == (0, 1)
    path = tmp_path / "a.bed"
    path.write_text("chr1\t12\t19\tx\t0\t+\t0\t0\t0\t2\t1,1\t0,6\n")
    with pytest.raises(BioqError, match=r"a.bed:1: start 12 is past the end of 1, which has 10"):
        locate(read_bed(path, blocks=True), names)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "10\t11",
            "start 10 is past the end of 1, which has 10 bases in .*g.fa; is the file of an",
        ),
        ("9\t1021", "end 1021 is far past the end of 1, which has 10 bases"),
        ("-1011\t5", "start -1011 is far before the first base of 1, which has 10 bases"),
    ],
)
def test_an_interval_that_is_no_overhang_names_its_line(
    tmp_path: Path, line: str, message: str
) -> None:
    names = names_of(tmp_path, ["1"])
    path = tmp_path / "a.bed"
    path.write_text(f"track x\nchr1\t0\t10\nchr1\t{line}\n")
    with pytest.raises(BioqError, match=f"a.bed:3: {message}"):
        locate(read_bed(path), names)


def test_a_genome_cut_after_it_was_opened_names_the_bases_from_1(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(b">one\n" + b"ACGT" * 40_000 + b"\n")
    with open_genome(path) as genome:
        os.truncate(path, 5)
        with pytest.raises(BioqError, match=r"x\.fa: one:100001-100010 could not be read"):
            genome.read("one", 100_000, 100_010)


def test_one_line_that_looks_like_a_block_does_not_make_a_file_bed12(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    rest = "chr1\t500\t900\tx\t0\t+\t7\t2\t5\t8\t123\t0.5\n"  # counts, a length and a share
    path.write_text("chr1\t100\t300\tx\t0\t+\t7\t2\t5\t1\t200\t0\n" + rest + rest)
    bed = read_bed(path, summits=True, blocks=True)
    assert bed.form == "BED"
    assert bed.end.tolist() == [300, 900, 900]
    path.write_text("chr1\t100\t300\tx\t0\t+\t100\t300\t0\t1\t200\t0\n")
    assert read_bed(path, blocks=True).form == "BED12"


def test_a_summit_past_its_peak_at_a_small_position_is_not_a_position(tmp_path: Path) -> None:
    path = tmp_path / "a.narrowPeak"
    rows = [(277, 590, 313), (117, 478, 130), (181, 516, 200), (300, 400, 350)]
    for chosen in (rows[:1], rows[:2], rows):
        lines = [
            f"chrM\t{start}\t{end}\tp\t0\t.\t1\t-1\t-1\t{summit}" for start, end, summit in chosen
        ]
        path.write_text("\n".join(lines))
        bed = read_bed(path, summits=True)
        assert not bed.has_absolute_summits
        assert bed.summit.tolist() == [summit for _, _, summit in chosen]


@given(
    starts=st.lists(st.integers(0, 2**32), max_size=5),
    lengths=st.lists(st.integers(0, 2**32), min_size=5, max_size=5),
    end=st.integers(0, 50),
)
def test_runs_of_a_damaged_file_in_any_order_give_one_flag_per_base(
    starts: list[int], lengths: list[int], end: int
) -> None:
    first = np.array(starts, dtype=np.int64)
    runs = Runs(first, first + np.array(lengths[: len(starts)], dtype=np.int64))
    assert runs.flags(end // 3, end).shape == (end - end // 3,)

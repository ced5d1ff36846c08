"""Windows of FASTA sequences and BED regions: which, of what bases, in what order."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioq import dna
from bioq.errors import BioqError
from bioq.genome import open_genome
from bioq.inputs import RegionWindows, SequenceWindows, Windows
from bioq.inputs import regions as regions_module
from bioq.inputs import sequences as sequences_module

BASES = "ACGTN"


def frame(windows: Windows, size: int = 7) -> pd.DataFrame:
    """Return every window as a row, its bases as text."""
    count = windows.count()
    frames = []
    for batch in windows.batches(size):
        assert list(batch.columns) == list(windows.columns)
        assert len(batch) <= size
        bases = [dna.decode(codes) for codes in batch.codes]
        frames.append(pd.DataFrame(dict(batch.columns)).assign(bases=bases))
    result = pd.concat(frames, ignore_index=True)
    assert len(result) == count
    return result


def fasta(path: Path, records: list[tuple[str, str]], width: int = 60) -> Path:
    with open(path, "w") as file:
        for name, bases in records:
            lines = [bases[start : start + width] for start in range(0, len(bases), width)]
            file.write(f">{name} some words\n" + "".join(f"{line}\n" for line in lines))
    return path


def random_bases(length: int, seed: int = 0) -> str:
    return "".join(np.random.default_rng(seed).choice(list(BASES), length))


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 90), min_size=1, max_size=6),
    window_bp=st.integers(1, 30),
    stride_bp=st.integers(1, 40),
    block=st.integers(1, 50),
)
def test_windows_are_those_of_a_plain_loop_over_strings(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    window_bp: int,
    stride_bp: int,
    block: int,
) -> None:
    records = [(f"s{n % 3}", random_bases(length, n)) for n, length in enumerate(lengths)]
    path = fasta(tmp_path_factory.mktemp("f") / "x.fa", records, width=17)
    expected = []
    for name, bases in records:
        if len(bases) < window_bp:
            before = (window_bp - len(bases)) // 2
            padded = ("N" * before + bases).ljust(window_bp, "N")
            expected.append((name, 0, len(bases), padded))
            continue
        starts = list(range(0, len(bases) - window_bp + 1, stride_bp))
        if starts[-1] != len(bases) - window_bp:
            starts.append(len(bases) - window_bp)
        expected += [(name, s, s + window_bp, bases[s : s + window_bp]) for s in starts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioq.genome.fasta_text._BLOCK_BYTES", block)
        windows = SequenceWindows(path, window_bp=window_bp, stride_bp=stride_bp, pad=True)
        result = frame(windows)
    assert list(zip(*(result[c] for c in ("sequence", "start", "end", "bases")), strict=True)) == [
        *expected
    ]
    shares = [row[3].count("N") / window_bp for row in expected]
    np.testing.assert_allclose(result["n_share"], shares)


def test_plain_gzip_and_bgzip_give_the_same_windows(tmp_path: Path) -> None:
    plain = fasta(tmp_path / "x.fa", [("a", random_bases(500)), ("b", random_bases(300, 1))])
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(plain.read_bytes())
    pysam.tabix_compress(str(plain), str(tmp_path / "x.bgz"))
    options = {"window_bp": 100, "stride_bp": 33}
    first = frame(SequenceWindows(plain, **options))
    for other in ("x.gz", "x.bgz"):
        pd.testing.assert_frame_equal(frame(SequenceWindows(tmp_path / other, **options)), first)


def test_a_long_sequence_is_never_held_whole(tmp_path: Path) -> None:
    path = fasta(tmp_path / "x.fa", [("a", random_bases(20_000))], width=50)
    held = []
    add = sequences_module._Cutter.add

    def spy(cutter: object, codes: np.ndarray) -> object:
        held.append(len(cutter._held) + len(codes))  # type: ignore[attr-defined]
        return add(cutter, codes)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioq.genome.fasta_text._BLOCK_BYTES", 512)
        patch.setattr(sequences_module._Cutter, "add", spy)
        assert len(frame(SequenceWindows(path, window_bp=100, stride_bp=10))) == 1991
    assert len(held) > 30
    assert max(held) <= 512 + 100 + 10


WRONG_FASTA = {
    "empty": (b"", "holds no sequences; expected FASTA"),
    "blank": (b"\n\n", "holds no sequences; expected FASTA"),
    "no header": (b"chr1\t0\t100\n", r"x.fa:1: is not FASTA: it begins with 'chr1"),
    "variants": (
        b"##fileformat=VCFv4.2\n",
        "the file seems to be VCF, which 'bioq variants' reads",
    ),
    "nameless": (b">a\nACGTACGTAC\n> \nACGT\n", r"x.fa:3: '>' stands alone"),
    "short": (
        b">a\nACGTACGTAC\n>b\nACGTA\n",
        r"x.fa:3: sequence 'b' has 5 bases, the model reads 10; .* --pad",
    ),
    "protein": (
        b">a\nACGT\nACQTACGT\n",
        r"x.fa:3: sequence 'a' holds 'Q' in column 3; expected DNA",
    ),
    "a byte order mark between joined files": (
        b"\xef\xbb\xbf>a\nACGTACGTAC\n\xef\xbb\xbf>b\nACGTACGTAC\n",
        "x.fa:3: .*0xEF in column 1; .* it is an invisible byte order mark: files were joined",
    ),
    "two files joined": (
        b">a\nACGTACGTAC>b\nACGTACGTAC\n",
        "x.fa:2: .*'>' in column 11; .*the header of a sequence is on a line of its own",
    ),
    "RNA": (b">a\nACGUACGUAC\n", r"x.fa:2: sequence 'a' holds 'U'.*write T for U"),
    "cut gzip": (gzip.compress(b">a\nACGTACGTAC\n")[:-9], "gzip compression is cut short"),
}


@pytest.mark.parametrize(("content", "message"), WRONG_FASTA.values(), ids=WRONG_FASTA)
def test_wrong_fasta_is_named_before_any_work(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(content)
    with pytest.raises(BioqError, match=message):
        SequenceWindows(path, window_bp=10, stride_bp=5).count()


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(BioqError, match=r"x.fa: no such file; expected FASTA"):
        SequenceWindows(tmp_path / "x.fa", window_bp=10, stride_bp=5).count()
    with pytest.raises(BioqError, match="could not be read: Is a directory"):
        SequenceWindows(tmp_path, window_bp=10, stride_bp=5).count()


CONTIGS = {"chr1": random_bases(900, 5), "chr2": random_bases(400, 6), "chrM": random_bases(50, 7)}


def regions(folder: Path, text: str, *, stride_bp: int = 20, ordered: bool = False) -> Windows:
    path = folder / "r.bed"
    path.write_text(text)
    genome = open_genome(fasta(folder / "g.fa", list(CONTIGS.items())))
    return RegionWindows(
        path, genome, window_bp=100, bin_bp=20, stride_bp=stride_bp, ordered=ordered
    )


def window_around(contig: str, start: int) -> str:
    padded = "N" * 100 + CONTIGS[contig] + "N" * 2000
    return padded[100 + start - 40 : 100 + start + 60]


def test_regions_are_tiled_by_bins_and_names_are_kept(tmp_path: Path) -> None:
    text = (
        "track name=x\n2\t300\t320\tpeak 1\n\n# note\nchr1\t100\t150\t.\nchr1\t100\t121\tb\r\n"
        "MT\t0\t7\tshort\nchr1\t201\t206\todd\nchr1\t890\t915\tpast\n"
    )
    windows = regions(tmp_path, text)
    result = frame(windows)
    expected = [
        ("2", 300, "peak 1"),
        *(("chr1", start, "") for start in (100, 120, 140)),
        *(("chr1", start, "b") for start in (100, 120)),
        ("MT", 0, "short"),
        ("chr1", 193, "odd"),
        ("chr1", 890, "past"),
        ("chr1", 910, "past"),
    ]
    assert list(zip(result["chrom"], result["start"], result["name"], strict=True)) == expected
    assert (result["end"] == result["start"] + 20).all()
    genome_name = {"2": "chr2", "chr1": "chr1", "MT": "chrM"}
    bases = [window_around(genome_name[contig], start) for contig, start, _ in expected]
    assert result["bases"].tolist() == bases
    np.testing.assert_allclose(result["n_share"], [text.count("N") / 100 for text in bases])
    assert windows.past_end == 2  # type: ignore[attr-defined]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(CONTIGS)), st.integers(0, 300), st.integers(1, 90)),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 45),
)
def test_ordered_bins_are_the_sorted_set_of_all_bins(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, int]], stride_bp: int
) -> None:
    folder = tmp_path_factory.mktemp("r")
    intervals = [(contig, start % len(CONTIGS[contig]), length) for contig, start, length in rows]
    text = "".join(f"{contig}\t{start}\t{start + length}\n" for contig, start, length in intervals)
    plain = frame(regions(folder, text, stride_bp=stride_bp))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions_module, "_SORTED_AT_ONCE", 3)
        patch.setattr(regions_module, "_STRETCH", 2)
        ordered = frame(regions(folder, text, stride_bp=stride_bp, ordered=True))
    expected = sorted(set(zip(plain["chrom"], plain["start"], plain["bases"], strict=True)))
    columns = (ordered["chrom"], ordered["start"], ordered["bases"])
    assert list(zip(*columns, strict=True)) == expected


WRONG_BED = {
    "contig": ("chr1\t0\t9\nchr7\t0\t9\n", r"r.bed:2: .*g.fa has no contig 'chr7'; it has chr1"),
    "columns": ("chr1\t0\t9\nchr1\t0\n", "r.bed:2: has 2 columns; BED needs at least three"),
    "number": ("chr1\t0\tx\n", "r.bed:1: end 'x' is not a whole number"),
    "order": ("\nchr1\t5\t5\n", "r.bed:2: end 5 is equal to start 5"),
    "FASTA": (">a\nACGT\n", "r.bed:1: begins with '>', as FASTA does; .*leave out the genome"),
    "far": ("chr2\t390\t1801\n", "r.bed:1: end 1801 is far past the end of chr2, which has 400"),
    "before": ("chr2\t-1401\t9\n", "r.bed:1: start -1401 is far before the first base of chr2"),
    "VCF": ("##fileformat=VCFv4.2\n", "r.bed:1: the file seems to be VCF"),
    "outside": ("chr2\t400\t420\n", "r.bed:1: start 400 is past the end of chr2, which has 400"),
    "empty": ("# nothing\n", "r.bed: holds no regions; expected BED"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_BED.values(), ids=WRONG_BED)
def test_wrong_bed_is_named_before_any_work(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BioqError, match=message):
        regions(tmp_path, text).count()


def test_gzip_bed_reads_and_damage_is_named(tmp_path: Path) -> None:
    windows = regions(tmp_path, "chr1\t0\t9\n")
    path = tmp_path / "r.bed"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfchr1\t200\t220\n"))
    assert frame(windows)["start"].tolist() == [200]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BioqError, match="gzip compression is cut short"):
        windows.count()
    path.unlink()
    with pytest.raises(BioqError, match="no such file; expected a BED file"):
        windows.count()
    path.mkdir()
    with pytest.raises(BioqError, match="could not be read: Is a directory"):
        windows.count()

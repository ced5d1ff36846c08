"""What visitors write and upload: every spelling, every fault in words, and never a path opened."""

import gzip
import struct
import sys
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioq import dna
from bioq.errors import BioqError
from bioq.genome import open_genome
from bioq.web import visitor_input, visitor_variants
from bioq.web.limits import Limits

WINDOW_BP, BIN_BP = 20, 4
LIMITS = Limits()
BASES = "ACGTTGCAACCGGTTAACGT"
HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
RECORDS = "chr1\t5\trs1\tA\tC,G\t.\t.\t.\nchr1\t9\t.\tCA\tC\t.\t.\t.\n"
VCF = (HEADER + RECORDS).encode()


def sequences(text: str, *, pad: bool = False, limits: Limits = LIMITS):
    return visitor_input.read_sequences(
        text, window_bp=WINDOW_BP, stride_bp=BIN_BP, pad=pad, limits=limits
    )


def regions(text: str, genome, limits: Limits = LIMITS):
    return visitor_input.read_regions(
        text, genome, window_bp=WINDOW_BP, bin_bp=BIN_BP, limits=limits
    )


def spelt(text: str) -> list[tuple[str, int, str, str, str]]:
    result = visitor_variants.read_variant_lines(text, LIMITS)
    return [(one.chrom, one.pos, one.id, one.ref, one.alt) for one in result]


@pytest.fixture(scope="module")
def opened(genome):
    with open_genome(genome) as opened:
        yield opened


# Sequences.


@pytest.mark.parametrize(
    "text",
    [
        BASES,
        BASES.lower(),
        f"\n  {BASES[:7]}\r\n{BASES[7:]}\r\n",
        f"        1 {BASES[:10].lower()} {BASES[10:].lower()}",  # as GenBank writes it
        f">name with words\n{BASES}\n",
        f">name\r\n{BASES[:3]}\r\n{BASES[3:]}",
        f"\n\n>name\n{BASES}",
        f"\ufeff>name\n{BASES}",
        f"\ufeff{BASES}",
    ],
)
def test_a_sequence_is_read_in_every_spelling(text):
    result = sequences(text)
    assert [dna.decode(codes) for codes in result.codes] == [BASES]
    assert list(result.columns["sequence"]) == ["name" if ">" in text else "sequence"]


WRAPPED = {
    "narrow lines": "\n".join([BASES[:4]] * 12 + ["AC"]),
    "lines of 60": "\n".join([BASES * 3] * 4 + [BASES]),
    "lines of 60, all full": "\n".join([BASES * 3] * 4),
    "GenBank": "\n".join(f"{60 * n + 1:9} " + " ".join([BASES[:10].lower()] * 6) for n in range(3)),
    "wrapped, cut in the middle": "\n".join([BASES[:8]] * 2 + ["ACG"] + [BASES[:8]] * 2),
    "other widths": f"{BASES}ACG\n{BASES[:9]}\n{BASES[:15]}",
    "blank lines around": f"\n\n{BASES}\n{BASES}\n\n \n",
    "one long line and the rest": f"{BASES * 10}\n{BASES[:3]}",
}


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED)
def test_a_wrapped_sequence_without_a_header_is_one_sequence(text):
    letters = "".join(letter for letter in text.upper() if letter.isalpha())
    result = sequences(text)
    assert dna.decode(result.codes[0]) == letters[:WINDOW_BP]
    assert int(result.columns["end"][-1]) == len(letters)


SEVERAL = {
    "a blank line": (f"{BASES}\n\n{BASES}", "line 2: a blank line separates the letters"),
    "a blank line between wrapped": (f"{BASES}\nACG\n \n{BASES}\nACG", "line 3: a blank line"),
    "wrapped, each as long as a window": (
        "\n".join([BASES[:8]] * 3 + ["ACG"] + [BASES[:8]] * 3 + ["ACG"]),
        "line 5: a shorter line ends the wrapped lines before it",
    ),
    "a line each": ("\n".join([BASES * 7] * 2), "line 2: two lines are as long as a window"),
    "the third": (f"{BASES * 7}\nACGT\n{BASES * 7}", "line 3: two lines are as long as a window"),
    "narrow, of two lengths": (f"{BASES}\n{BASES}ACG", "line 2: two lines are as long as a window"),
}


@pytest.mark.parametrize("text", SEVERAL)
def test_several_sequences_without_headers_are_refused(text):
    content, says = SEVERAL[text]
    for ends in ("\n", "\r\n"):
        with pytest.raises(BioqError, match=says) as error:
            sequences(content.replace("\n", ends), pad=True)
        assert "write FASTA: a line '>name' before each sequence" in str(error.value)


def test_long_lines_of_several_lengths_are_refused_below_the_window_too():
    text = "\n".join([BASES * 7, BASES * 8, BASES * 7])
    with pytest.raises(BioqError, match="line 2: long lines differ in length, so these seem"):
        visitor_input.read_sequences(text, window_bp=200, stride_bp=4, pad=False, limits=LIMITS)
    wide = "\n".join([BASES * 7, BASES * 7, BASES])
    result = visitor_input.read_sequences(
        wide, window_bp=200, stride_bp=4, pad=False, limits=LIMITS
    )
    assert int(result.columns["end"][-1]) == 300


def test_letters_of_several_bases_are_unknown():
    result = sequences("NRYSWKMBDHVnrysw" + "ACGT")
    assert dna.decode(result.codes[0]) == "N" * 16 + "ACGT"
    assert result.columns["n_share"][0] == 0.8


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\r"])
def test_pasted_lines_have_any_line_end(opened, end):
    result = sequences(f">one{end}{BASES}{end}>two{end}{BASES[:9]}{end}{BASES[9:]}")
    assert list(result.columns["sequence"]) == ["one", "two"]
    assert len(regions(f"chr1:1001-1004{end}chr1:1101-1104", opened)) == 2
    assert [pos for _, pos, *_ in spelt(f"#x{end}chr1:5:A>C{end}{end}chr1:6:A>C")] == [5, 6]


def test_only_line_ends_end_a_pasted_line():
    with pytest.raises(BioqError, match=r"line 2: .* is not a variant"):
        spelt("chr1:5:A>C\nchr1:5:A>C\x0bchr1:6:A>C")


def test_the_shared_genome_gives_the_letters_of_the_file(tmp_path):
    (tmp_path / "g.fa").write_text(">chr1\nACRm\n")
    with open_genome(tmp_path / "g.fa") as genome:
        assert opened_by_name(genome).letters("chr1", 0, 4) == "ACRM"


def test_every_sequence_of_a_fasta_has_its_windows():
    result = sequences(f">one\n{BASES}\n>two\n{BASES}ACGTA\n")
    assert list(result.columns["sequence"]) == ["one", "two", "two", "two"]
    assert list(result.columns["start"]) == [0, 0, 4, 5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no sequence"),
        (" \n\t\n", "there is no sequence"),
        ("\ufeff", "there is no sequence"),
        ("12 34", "'sequence' has 0 bases"),
        ("ACGT", "has 4 bases, the model reads 20; .* choose “pad” to fill them"),
        ("ACGU" * 5, "line 1: 'ACGUACGU.*' is not DNA"),
        (BASES + "\nhello", "line 2: 'hello' is not DNA"),
        (f">one\n{BASES}\n>two\nACGJ", "sequences:4: sequence 'two' holds 'J'"),
        (f"\r\n\r>one\r{BASES}J", "sequences:4: sequence 'one' holds 'J' in column 21"),
        (">\nACGT", "sequences:1: '>' stands alone"),
        ("A" * 2_000, "496 windows are more than the 200"),
        ("A" * (LIMITS.text_bytes + 1), "the text has 2,097,153 letters; the page takes"),
    ],
)
def test_what_is_no_sequence_is_refused_in_words(text, words):
    with pytest.raises(BioqError, match=words):
        sequences(text)


def test_a_short_sequence_is_padded_on_request():
    result = sequences("ACGT", pad=True)
    assert dna.decode(result.codes[0]) == "N" * 8 + "ACGT" + "N" * 8


# Regions.


@pytest.mark.parametrize(
    "text",
    [
        "chr1:1001-1004",
        "1:1,001-1,004",
        "  chr1:1001 - 1004  ",
        "chr1:1001–1004",
        "\ufeffchr1:1001-1004\r\n",
        "\n\nchr1:01001-1004\n",
    ],
)
def test_a_region_is_read_in_every_spelling(text, opened):
    result = regions(text, opened)
    expected = opened.read("chr1", 1000 - 8, 1004 + 8)  # the bin in the window's middle
    np.testing.assert_array_equal(result.codes, [expected])
    assert result.columns["start"][0] == 1000


def test_bases_outside_the_contig_are_unknown(opened):
    first, last = regions("chr2:1-4\nchr2:4997-5000", opened).codes
    np.testing.assert_array_equal(first, [dna.UNKNOWN] * 8 + list(opened.read("chr2", 0, 12)))
    np.testing.assert_array_equal(last, [*opened.read("chr2", 4988, 5000), *[dna.UNKNOWN] * 8])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no region"),
        ("\n \n", "there is no region"),
        ("chr1:10", "line 1: 'chr1:10' is not a region"),
        ("chr1:1-4\nchr1 1 4", "line 2: 'chr1 1 4' is not a region; write 'chr1:2-4' if"),
        ("chr1\t0\t4", "is not a region; write 'chr1:1-4' if START is counted from 0, as in BED"),
        ("chr1:0-4", "expected 1 <= START <= END"),
        ("chr1:9-4", "expected 1 <= START <= END"),
        ("chr1:,-,", "expected 1 <= START <= END"),
        ("chr9:1-4", "line 1: small.fa has no contig 'chr9'; it has chr1, chr2"),
        (
            "\nchr1:5001-5004",
            "line 2: chr1 has the bases 1 to 5,000 in small.fa; expected",
        ),
        ("chr1:1-999999999999999999", "chr1 has the bases 1 to 5,000 in small.fa"),
        (
            "chr1:1-4\nchr1:1-9999999999999999999",
            "line 2: 'chr1:1-9999999999999999999': a position",
        ),
        ("chr1:1-801", "201 windows are more than the 200"),
    ],
)
def test_what_is_no_region_is_refused_in_words(text, words, opened):
    with pytest.raises(BioqError, match=words) as error:
        regions(text, opened_by_name(opened))
    assert "/" not in str(error.value)  # the folder of the genome is nobody's business


def opened_by_name(genome):
    from bioq.web.service import _shared

    return _shared(genome)


def test_a_region_without_a_genome_says_what_is_missing():
    with pytest.raises(BioqError, match="start the server with --genome"):
        regions("chr1:1-4", None)


# Variants.


@pytest.mark.parametrize(
    "text",
    [
        "chr1:1005:A>C",
        "chr1:1,005:A>C",
        "chr1:1005:A:C",
        "chr1:1005:A/C",
        "chr1-1005-A-C",
        "chr1 1005 . A C",
        "chr1\t1005\t.\tA\tC\t50\tPASS\tAC=1\tGT\t0/1",
        "chr1 1005 A C",
        "chr1:1005A>C",
        "chr1:g.1005A>C",
        "chr1_1005_A_C",
        "\ufeff#CHROM\tPOS\tID\tREF\tALT\n\nchr1:1005:A>C\r\n",
    ],
)
def test_a_variant_is_read_in_every_spelling(text):
    assert spelt(text) == [("chr1", 1005, ".", "A", "C")]


@pytest.mark.parametrize("text", ["{}:700:A>C", "{}-700-A-C", "{}:700:A/C", "{} 700 rs1 A C"])
def test_a_contig_of_a_variant_may_have_colons_and_asterisks(text):
    hla = "HLA-A*01:01:01:01"
    ((chrom, pos, _, ref, alt),) = spelt(text.format(hla))
    assert (chrom, pos, ref, alt) == (hla, 700, "A", "C")


def test_a_contig_of_a_region_may_have_colons_and_asterisks(tmp_path):
    (tmp_path / "hla.fa").write_text(">HLA-A*01:01:01:01\n" + BASES * 2 + "\n")
    with open_genome(tmp_path / "hla.fa") as genome:
        (codes,) = regions("HLA-A*01:01:01:01:13-16", genome).codes
        np.testing.assert_array_equal(codes, genome.read("HLA-A*01:01:01:01", 4, 24))


def test_alleles_come_in_order_with_ids_and_case_as_written():
    assert spelt("chr1:5:a>gT\nchrUn_1 7 rs9 CA C,*,<DEL>") == [
        ("chr1", 5, ".", "a", "gT"),
        ("chrUn_1", 7, "rs9", "CA", "C"),
        ("chrUn_1", 7, "rs9", "CA", "*"),
        ("chrUn_1", 7, "rs9", "CA", "<DEL>"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no variant"),
        ("# a comment", "there is no variant"),
        ("rs12345", "line 1: 'rs12345' is not a variant; it is a name in dbSNP"),
        ("chr1:5:A>C\nNC_000001.11:5:A:C", "line 2: .*write 'NC_000001.11:6:A>C' if it is SPDI"),
        ("chr1_5_A_C_b37", "write 'chr1:5:A>C'"),
        ("CHROM\tPOS\tID\tREF\tALT\n1\t5\t.\tA\tC", "line 1: names the columns"),
        ("chr pos ref alt\n1 5 A C", "line 1: names the columns"),
        ("chr1\t4\t5\tA\tC\trs5\nchr1 7 8 A C", "line 1: looks like BED"),
        ("#CHROM POS ID REF ALTchr1 5 . A C\nchr1 7 . A C", "line 1: a variant follows a line of"),
        ("chr1 5 A C .", "line 1: the third column"),
        ("1\t5\t.\tA\tC\t.\t.\tAC=11\t7\t.\tA\tC", "line 1: a second variant follows"),
        ("chr1:5:A>C\nchr1:5", "line 2: 'chr1:5' is not a variant"),
        ("chr1:5:X>C", "line 1: REF is 'X'"),
        ("chr1:5:A>X", "line 1: ALT has the allele 'X'"),
        ("chr1:9999999999:A>C", "POS is '9999999999'"),
        ("chr1:,:A>C", "POS is ''"),
        ("chr1:5:A>C\n" * 10_001, "10,001 alleles are more than the 10,000"),
        ("chr1:5:A>C\n" * 200_000, "the text has 2,200,000 letters"),
    ],
)
def test_what_is_no_variant_is_refused_in_words(text, words):
    with pytest.raises(BioqError, match=words):
        spelt(text)


def test_a_comment_may_have_any_letter():
    assert spelt("#\udc80\nchr1:5:A>C") == [("chr1", 5, ".", "A", "C")]


def test_letters_of_all_alleles_are_bounded():
    limits = replace(LIMITS, allele_letters=100)
    assert len(visitor_variants.read_variant_lines(f"chr1:5:{'A' * 49}>C", limits)) == 1
    with pytest.raises(BioqError, match="line 2: the alleles up to here have 160 letters"):
        visitor_variants.read_variant_lines(f"chr1:5:A>{'C' * 49}\nchr1:5:A>{'G' * 99}", limits)


# Whatever is written.

WORDS = [
    "ACGT",
    "acgtn",
    "A>C",
    "A",
    ">",
    ">x",
    ":",
    "-",
    "–",
    ",",
    "#",
    "1",
    "5000",
    "99999999999999999999",
    "chr1",
    "chr2",
    "track",
    "<DEL>",
    "*",
    ".",
    "²",
    "١",
]
STRANGE = [
    "\n",
    "\r\n",
    "\t",
    " ",
    "\x00",
    "\x1c",
    "\x85",
    "\u2028",
    "\ufeff",
    "\x1f\x8b",
    "\udc80",
]
PIECES = st.one_of(st.sampled_from([*WORDS, *STRANGE, "ACGT" * 30]), st.text(max_size=5))
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def answer_or_refusal(ask: Callable[[], Any]) -> tuple[Any, str]:
    """Return what is found, or the words of a refusal."""
    try:
        return ask(), ""
    except BioqError as error:
        return None, str(error)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(), TEXTS), pad=st.booleans())
def test_no_text_whatever_does_anything_but_be_read_or_refused(opened, text, pad):
    for ask in (
        lambda: sequences(text, pad=pad),
        lambda: regions(text, opened),
        lambda: visitor_variants.read_variant_lines(text, LIMITS),
    ):
        result, words = answer_or_refusal(ask)
        assert len(result) > 0 if result is not None else words
        assert "\n" not in words
        assert len(words) < 1000


@pytest.fixture
def watched(monkeypatch, tmp_path):
    """The paths that are opened, by whatever layer of Python, outside a temporary folder."""
    seen: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching[0] and event in ("open", "socket.connect", "socket.getaddrinfo"):
            seen.append(str(arguments[0]))

    sys.addaudithook(watch)  # there is no way to take one away again
    yield seen
    watching[0] = False


def test_a_text_that_is_a_path_or_an_address_is_only_text(genome, opened, tmp_path, watched):
    secret = tmp_path / "secret.fa"
    secret.write_text(f">hidden\n{BASES}\n")
    texts = [str(secret), str(genome), "/etc/passwd", "-", "http://127.0.0.1:9/x.fa", "../x.vcf"]
    texts += [f">{text}\n{BASES}" for text in texts]
    texts += [f"{secret}:1-4", f"{secret}:5:A>C", f"@{secret}", f"file://{secret}"]
    watched.clear()
    for text in texts:
        for ask in (sequences, lambda text: regions(text, opened), spelt):
            result, words = answer_or_refusal(lambda ask=ask, text=text: ask(text))
            assert "hidden" not in str(result) + words
    names = {Path(path).name for path in watched}
    assert {name for name in names if not name.startswith("bioq-")} <= {
        "sequences.fa",
        "regions.bed",
    }


# Uploads.


def bgzip(content: bytes, block: int) -> bytes:
    """Return a bgzip of many blocks, written from the SAM specification, section 4.1."""
    blocks = []
    for start in [*range(0, len(content), block), len(content)]:
        part = content[start : start + block]
        deflate = zlib.compressobj(wbits=-15)
        body = deflate.compress(part) + deflate.flush()
        header = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
        blocks.append(header + body + struct.pack("<II", zlib.crc32(part), len(part)))
    return b"".join(blocks)


@pytest.mark.parametrize(
    "upload",
    [
        VCF,
        VCF.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + VCF,
        RECORDS.encode(),
        VCF.rstrip(),
        gzip.compress(VCF, mtime=0),
        gzip.compress(VCF[:60], mtime=0) + gzip.compress(VCF[60:], mtime=0),
        bgzip(VCF, 20),
        VCF.replace(b"\n", b"\r"),
    ],
    ids=["plain", "crlf", "bom", "no header", "no end", "gzip", "two gzips", "bgzip", "cr"],
)
def test_a_vcf_is_taken_however_it_is_packed(upload):
    alleles, _ = visitor_variants.read_vcf(upload, LIMITS)
    plain, _ = visitor_variants.read_vcf(VCF, LIMITS)
    assert [(each.chrom, each.pos, each.ref, each.alt) for each in alleles] == [
        (each.chrom, each.pos, each.ref, each.alt) for each in plain
    ]
    assert len(alleles) == 3


def test_our_bgzip_is_what_htslib_reads(tmp_path):
    (tmp_path / "v.vcf.gz").write_bytes(bgzip(VCF, 20))
    with pysam.BGZFile(str(tmp_path / "v.vcf.gz")) as file:
        assert file.read() == VCF


def bcf(folder: Path) -> bytes:
    plain, packed = folder / "in.vcf", folder / "in.bcf"
    plain.write_bytes(VCF.replace(b"v4.3\n", b"v4.3\n##contig=<ID=chr1>\n"))
    with pysam.VariantFile(str(plain)) as source:
        with pysam.VariantFile(str(packed), "wb", header=source.header) as out:
            for record in source:
                out.write(record)
    return packed.read_bytes()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: b"", "the file is empty"),
        (lambda folder: gzip.compress(b""), "the file is empty"),
        (lambda folder: gzip.compress(VCF)[:-9], "is cut short"),
        (lambda folder: bgzip(VCF, 20)[:-40], "is cut short"),
        (lambda folder: bgzip(VCF, 20)[:90], "is cut short"),
        (lambda folder: gzip.compress(VCF) + b"rubbish", "cut short or damaged"),
        (lambda folder: gzip.compress(VCF)[:-8] + bytes(8), "cut short or damaged"),
        (bcf, "VCF: is BCF; expected VCF: 'bcftools view"),
        (lambda folder: gzip.decompress(bcf(folder)), "VCF: is BCF"),
        (lambda folder: gzip.compress(gzip.compress(VCF)), "VCF: is compressed twice with gzip"),
        (lambda folder: b"CRAM\x03\x00" + bytes(50), "VCF: is CRAM"),
        (lambda folder: b'{"htsget": {"urls": [{"url": "file:///etc/passwd"}]}}', "VCF:1"),
        (lambda folder: b"\xff\xfe" + VCF.decode().encode("utf-16-le"), "VCF: is UTF-16"),
        (lambda folder: b"chr1\t5\t.\tA\t\xff\n", "VCF:1: is not UTF-8"),
        (lambda folder: b"PK\x03\x04" + bytes(100), "VCF: is compressed with zip; BioQ reads"),
        (lambda folder: HEADER.encode(), "VCF: holds no variants"),
        (lambda folder: (HEADER + "chr1\t5\t.\tA\n").encode(), "VCF:3: has 4"),
    ],
)
def test_what_is_no_vcf_is_refused_in_words_and_htslib_never_sees_it(
    make, words, tmp_path, monkeypatch
):
    upload = make(tmp_path)
    monkeypatch.setattr(pysam, "VariantFile", lambda *_: pytest.fail("htslib saw it"))
    with pytest.raises(BioqError, match=words):
        visitor_variants.read_vcf(upload, LIMITS)


def test_a_bomb_is_refused_in_small_memory_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    deflate = zlib.compressobj(9, wbits=31)
    start = deflate.compress(b"#") + deflate.flush(zlib.Z_FULL_FLUSH)
    zeros = deflate.compress(bytes(1 << 24)) + deflate.flush(zlib.Z_FULL_FLUSH)
    bomb = start + zeros * 64  # 1 GiB in 1 MiB
    assert len(bomb) < 2 << 20
    started = time.process_time()
    tracemalloc.start()
    with pytest.raises(BioqError, match="has a line of more than 8 MiB"):
        visitor_variants.read_vcf(bomb, LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - started < 10
    assert peak < 16 << 20
    assert not list(tmp_path.iterdir())


def test_many_small_members_take_time_in_proportion():
    """Each member's rest was once copied whole: 190,000 of them would have been 360 GB."""
    member = gzip.compress(b"#\n", mtime=0)
    started = time.process_time()
    upload = member * 200_000 + gzip.compress(RECORDS.encode())
    limits = replace(LIMITS, vcf_lines=300_000, vcf_seconds=100)
    assert len(visitor_variants.read_vcf(upload, limits)[0]) == 3
    assert time.process_time() - started < 20


def test_the_lines_their_lengths_and_the_seconds_of_a_check_are_bounded():
    for text in (b"#\n", b"\n", b"\r", b"\r\n"):
        upload = gzip.compress(text * 200_001)
        with pytest.raises(BioqError, match="more than 200,000 lines"):
            visitor_variants.read_vcf(upload, LIMITS)
    long = gzip.compress(b"#" * (10 << 20))
    with pytest.raises(BioqError, match="has a line of more than 8 MiB"):
        visitor_variants.read_vcf(long, LIMITS)
    large = gzip.compress((b"#" * 999 + b"\n") * 3000)
    with pytest.raises(BioqError, match="larger than 2 MiB decompressed"):
        visitor_variants.read_vcf(large, replace(LIMITS, vcf_bytes=2 << 20))
    slow = gzip.compress(b"##contig=<ID=1,length=5>\n" * 100_000)
    with pytest.raises(BioqError, match=r"was checked for 0\.001 s without coming to its end"):
        visitor_variants.read_vcf(slow, replace(LIMITS, vcf_seconds=0.001))


def test_a_line_of_a_million_alleles_is_refused_at_the_first_too_many():
    upload = gzip.compress(b"chr1\t5\t.\tA\t" + b"C," * 1_000_000 + b"C\n")
    with pytest.raises(BioqError, match="more than the 10,000"):
        visitor_variants.read_vcf(upload, LIMITS)


def test_the_names_of_windows_are_bounded_as_each_row_repeats_them():
    text = f">{'n' * 2_000}\n{'ACGT' * 500}\n"
    given = {"window_bp": 1_000, "stride_bp": 100, "pad": False}
    assert len(visitor_input.read_sequences(text, limits=LIMITS, **given)) == 11
    with pytest.raises(BioqError, match="the names of the 11 windows have 22,000 letters"):
        visitor_input.read_sequences(text, limits=replace(LIMITS, name_letters=20_000), **given)


def test_the_letters_of_a_job_include_those_of_names():
    """One ID of a megabyte in thousands of alleles would be a table of gigabytes."""
    alts = ",".join(["C", "G"] * 50)
    for line in (f"chr1\t5\t{'i' * 1_000}\tA\t{alts}\n", f"{'c' * 1_000}\t5\t.\tA\t{alts}\n"):
        with pytest.raises(BioqError, match="the alleles up to here have"):
            visitor_variants.read_vcf(line.encode(), replace(LIMITS, allele_letters=50_000))
        assert len(visitor_variants.read_vcf(line.encode(), LIMITS)[0]) == 100


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(upload=st.one_of(st.binary(), st.binary().map(gzip.compress), st.text().map(str.encode)))
def test_no_upload_whatever_does_anything_but_be_taken_or_refused(tmp_path, upload):
    result, words = answer_or_refusal(lambda: visitor_variants.read_vcf(upload, LIMITS))
    assert result or words
    assert "\n" not in words
    assert str(tmp_path) not in words

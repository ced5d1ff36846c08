"""Reading VCF and BCF: every allele, and one line for whatever is wrong."""

import contextlib
import gzip
import io
import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioq.errors import BioqError
from bioq.genome.vcf import Variant, read_variants, survey_variants

HUMAN = Path(__file__).parents[1].parent / "shared" / "data" / "human"
REAL = [HUMAN / "exac.chr22.vcf.gz", HUMAN / "1000g.chr22.vcf.gz"]
HEADER = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n"
    '##INFO=<ID=END,Number=1,Type=Integer,Description="End">\n'  # pysam writes it with a <DEL>
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
LINES = (
    "1\t10\trs1;rs2\tA\tC,G\t.\t.\tX=\xe9\n"
    "1\t10\t.\ta\t*,<DEL>,AT\t.\t.\t.\n"
    "1\t12\t.\tGT\t.\t.\t.\t.\n"
    "1\t15\t.\tG\tG]1:9],.A,C.\t.\t.\t.\n"
)
ALLELES = [
    (10, "rs1;rs2", "A", "C"), (10, "rs1;rs2", "A", "G"),
    (10, ".", "a", "*"), (10, ".", "a", "<DEL>"), (10, ".", "a", "AT"),
    (12, ".", "GT", "."),
    (15, ".", "G", "G]1:9]"), (15, ".", "G", ".A"), (15, ".", "G", "C."),
]  # fmt: skip


def written(tmp_path: Path, text: str | bytes, name: str = "in.vcf") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1") if isinstance(text, str) else text)
    return path


def parts(variants: list[Variant]) -> list[tuple[int, str, str, str]]:
    return [(variant.pos, variant.id, variant.ref, variant.alt) for variant in variants]


def bgzip(path: Path) -> Path:
    pysam.tabix_compress(str(path), f"{path}.bgz", force=True)
    return Path(f"{path}.bgz")


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip", "crlf", "no header", "mark"])
def test_every_allele_of_text_is_read_in_order(tmp_path: Path, kind: str) -> None:
    text = HEADER + LINES
    path = written(tmp_path, text)
    if kind == "gzip":
        path = written(tmp_path, gzip.compress(text.encode("latin-1")), "in.gz")
    elif kind == "bgzip":
        path = bgzip(path)
    elif kind == "crlf":
        path = written(tmp_path, text.replace("\n", "\r\n"))
    elif kind == "no header":
        path = written(tmp_path, LINES.rstrip("\n"))
    elif kind == "mark":
        path = written(tmp_path, b"\xef\xbb\xbf" + text.encode("latin-1"))
    result = list(read_variants(path))
    assert parts(result) == ALLELES
    assert survey_variants(path).alleles == len(ALLELES)
    assert {variant.chrom for variant in result} == set(survey_variants(path).contigs) == {"1"}


def test_the_length_of_a_contig_is_that_of_the_header(tmp_path: Path) -> None:
    header = (
        "##fileformat=VCFv4.3\n##contig=<ID=1,assembly=b37,length=5>\n##contig=<ID=2>\n"
        "##contig=<ID=chrM,assembly=hg19>\n##contig=<ID=NC_000004.11>\n"
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    )
    names = ["1", "2", "chrM", "NC_000004.11"]
    path = written(tmp_path, header + "".join(f"{name}\t1\t.\tA\tC\t.\t.\t.\n" for name in names))
    expected = [5, None, 16_571, 191_154_276]
    assert [variant.contig_bp for variant in read_variants(path)] == expected
    with pysam.VariantFile(str(path)) as text:
        with pysam.VariantFile(str(tmp_path / "in.bcf"), "wb", header=text.header) as packed:
            for record in text:
                packed.write(record)
    assert [variant.contig_bp for variant in read_variants(tmp_path / "in.bcf")] == expected
    content = survey_variants(path)
    assert (content.contigs, content.header.lengths) == (tuple(names), {"1": 5})


def test_a_contig_of_an_assembly_file_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "<ctg1>\t5\t.\tA\tC\n")
    assert [variant.chrom for variant in read_variants(path)] == ["<ctg1>"]
    for name in ("<>", "<a", "a>", "<a b>"):
        with pytest.raises(BioqError, match=r"CHROM is .*; expected a contig's name"):
            list(read_variants(written(tmp_path, f"{name}\t5\t.\tA\tC\n")))


def test_five_columns_are_enough(tmp_path: Path) -> None:
    assert parts(list(read_variants(written(tmp_path, "1\t7\tx\tA\tC\r\n\n")))) == [
        (7, "x", "A", "C")
    ]


@pytest.mark.parametrize("compressed", [False, True])
def test_standard_input_is_read_and_left_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    content = (HEADER + LINES).encode("latin-1")
    stream = io.BytesIO(gzip.compress(content) if compressed else content)
    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": stream}))
    assert parts(list(read_variants("-"))) == ALLELES
    assert not stream.closed


def make_bcf(tmp_path: Path) -> Path:
    path = tmp_path / "in.bcf"
    text = "1\t10\trs1\tA\tC,G\t.\t.\t.\n1\t12\t.\tG\t<DEL>\t.\t.\t.\n1\t13\t.\tG\t.\t.\t.\t.\n"
    with pysam.VariantFile(str(written(tmp_path, HEADER + text))) as lines:
        with pysam.VariantFile(str(path), "wb", header=lines.header) as file:
            for record in lines:
                file.write(record)
    return path


@pytest.mark.parametrize("stdin", [False, True])
def test_bcf_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stdin: bool) -> None:
    path = make_bcf(tmp_path)
    if stdin:
        stream = io.BytesIO(path.read_bytes())
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": stream}))
    assert parts(list(read_variants("-" if stdin else path))) == [
        (10, "rs1", "A", "C"), (10, "rs1", "A", "G"), (12, ".", "G", "<DEL>"), (13, ".", "G", "."),
    ]  # fmt: skip


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files_hold_what_htslib_reads(path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with pysam.VariantFile(str(path)) as file:
        expected = [
            (record.pos, record.id or ".", record.ref, alt)
            for record in file
            for alt in record.alts or (".",)
        ]
    assert parts(list(read_variants(path))) == expected


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**31 - 1),
            st.text("rs0123456789;.é", min_size=1),
            st.text("ACGTNacgt", min_size=1),
            st.lists(
                st.text("ACGTN", min_size=1) | st.sampled_from(["*", "<DEL>", "A[2:3["]),
                min_size=1,
                max_size=3,
            ),
        ),
        min_size=1,
    )
)
def test_whatever_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[int, str, str, list[str]]],
) -> None:
    path = tmp_path_factory.mktemp("vcf") / "in.vcf"
    lines = [f"1\t{pos}\t{ids}\t{ref}\t{','.join(alts)}\t.\n" for pos, ids, ref, alts in records]
    path.write_text("#CHROM\tPOS\tID\tREF\tALT\tQUAL\n" + "".join(lines), encoding="utf-8")
    expected = [(pos, ids, ref, alt) for pos, ids, ref, alts in records for alt in alts]
    assert parts(list(read_variants(path))) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("vcf") / "in.vcf"
    path.write_bytes(content)
    message = str(path)
    try:
        survey_variants(path)
    except BioqError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message


GOOD = "1\t10\t.\tA\tC\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "in.vcf: is empty; expected VCF or BCF"),
        ("1\t10\t.\tA\n", "in.vcf:1: has 4 tab-separated columns; a VCF line has at least five"),
        (">chr1\nACGT\n", "FASTA, which 'bioq predict' reads"),
        ("chr1\t10\t20\tp1\n", "five: .*; the line seems to be of BED, which 'bioq predict' reads"),
        (GOOD + "1 10 . A C\n", "in.vcf:2: has 1 tab-separated columns"),
        (GOOD + "\t10\t.\tA\tC\n", "in.vcf:2: CHROM is ''; expected a contig's name"),
        ("1 2\t10\t.\tA\tC\n", "in.vcf:1: CHROM is '1 2'"),
        (",2\t10\t.\tA\tC\n", "CHROM is ',2'; expected a contig's name: letters, digits"),
        ("HLA-A*01:01\t10\t.\tA\tC\n=1\t10\t.\tA\tC\n", "in.vcf:2: CHROM is '=1'"),
        (
            "1\tten\t.\tA\tC\n",
            "in.vcf:1: POS is 'ten'; expected a whole number from 0 to 2147483647",
        ),
        ("1\t-3\t.\tA\tC\n", "POS is '-3'"),
        ("1\t1.5\t.\tA\tC\n", "POS is '1.5'"),
        ("1\t2147483648\t.\tA\tC\n", "POS is '2147483648'; expected a whole number from 0 to"),
        ("1\t" + "9" * 5000 + "\t.\tA\tC\n", "POS is '9{40}'; expected a whole number"),
        ("1\t10\tx\0y\tA\tC\n", r"ID is 'x\\x00y'; expected no control characters"),
        ("1\0\t10\t.\tA\tC\n", r"CHROM is '1\\x00'; expected a contig's name"),
        ("1\t10\t.\tA\t<D\x01>\n", r"ALT is '<D\\x01>'; expected no control characters"),
        ("1\t\u00b2\t.\tA\tC\n", "in.vcf:1: is not UTF-8 text"),
        ("1\t10\t.\t\tC\n", "in.vcf:1: REF is ''; expected bases"),
        ("1\t10\t.\t.\tC\n", "REF is '.'"),
        ("1\t10\t.\tA-\tC\n", "REF is 'A-'"),
        ("1\t10\t.\tA\t\n", "ALT has the allele ''; expected bases, \\*, <ID>"),
        ("1\t10\t.\tA\tC,,G\n", "ALT has the allele ''"),
        ("1\t10\t.\tA\t-\n", "ALT has the allele '-'"),
        ("1\t10\t.\tA\tC;G\n", "ALT has the allele 'C;G'"),
        ("#CHROM\tPOS\tREF\tALT\n", "in.vcf:1: the columns are 'CHROM POS REF ALT'; expected CHR"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BioqError, match=message) as raised:
        survey_variants(written(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_compression_that_is_cut_short_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = gzip.compress((HEADER + GOOD * 5000).encode())
    with pytest.raises(BioqError, match="gzip compression is cut short or damaged"):
        survey_variants(written(tmp_path, whole[:-20]))
    with pytest.raises(BioqError, match="gzip compression is cut short or damaged"):
        survey_variants(written(tmp_path, whole + b"rest"))
    blocks = bgzip(written(tmp_path, HEADER + GOOD * 5000)).read_bytes()
    with pytest.raises(BioqError, match="gzip compression is cut short or damaged"):
        survey_variants(written(tmp_path, blocks[:-40]))
    assert survey_variants(written(tmp_path, blocks)).alleles == 5000
    assert survey_variants(written(tmp_path, blocks + bytes(99))).alleles == 5000
    assert capsys.readouterr().err == ""
    assert survey_variants(written(tmp_path, blocks[:-28])).alleles == 5000
    assert "in.vcf: the empty block that ends a bgzip file is not there" in capsys.readouterr().err


@pytest.mark.parametrize("text", [HEADER, "", "\n", "#CHROM\tPOS\tID\tREF\tALT\r\r"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_without_a_record_says_so(
    tmp_path: Path, text: str, pack: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(BioqError, match=r"in\.vcf: (holds no variants|is empty)"):
        list(read_variants(written(tmp_path, pack(text.encode()))))


def test_a_bcf_without_a_record_or_its_last_block_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_bcf(tmp_path)
    expected = parts(list(read_variants(path)))
    path.write_bytes(path.read_bytes()[:-28])
    assert parts(list(read_variants(path))) == expected
    assert "the empty block that ends a bgzip file is not there" in capsys.readouterr().err
    with pysam.VariantFile(str(written(tmp_path, HEADER + LINES))) as source:
        with pysam.VariantFile(str(tmp_path / "no.bcf"), "wb", header=source.header):
            pass
    with pytest.raises(BioqError, match=r"no\.bcf: holds no variants"):
        list(read_variants(tmp_path / "no.bcf"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "mixed"])
def test_every_line_end_gives_the_same_alleles(tmp_path: Path, end: str) -> None:
    text = HEADER + LINES
    if end == "mixed":
        ends = itertools.cycle(["\r", "\n", "\r\n"])
        text = "".join(line + next(ends) for line in text.split("\n") if line)
    else:
        text = text.replace("\n", end)
    assert parts(list(read_variants(written(tmp_path, text.rstrip("\r\n"))))) == ALLELES


def test_a_damaged_bcf_is_named(tmp_path: Path) -> None:
    path = make_bcf(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BioqError, match=r"in\.bcf: .*(damaged|cut short)"):
        survey_variants(path)


def test_a_bcf_with_a_wrong_byte_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    path = make_bcf(tmp_path)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        with contextlib.suppress(BioqError):
            list(read_variants(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BioqError, match=r"none\.vcf: no such file; expected VCF or BCF"):
        survey_variants(tmp_path / "none.vcf")
    with pytest.raises(BioqError, match="could not be read: Is a directory"):
        survey_variants(tmp_path)


JOINED = "are lines joined, by 'cat' of a file whose last line has no line end"
ROWS = [f"chr1\t{pos}\t.\tG\tA\t.\t.\tAC=1" for pos in (700, 900, 1100)]


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ([HEADER.strip(), ROWS[0], ROWS[1] + ROWS[2]], 6),
        ([HEADER.strip(), ROWS[0] + ROWS[1].replace("chr1", "chr2")], 5),
        (["#CHROM\tPOS\tID\tREF\tALT", "1\t5\t.\tG\tA1\t7\t.\tA\tC"], 2),
        ([ROWS[0], ROWS[1] + ROWS[2]], 2),
        ([HEADER.strip(), "1\t5\t.\tG\tA", "1\t5\t.\tG\tA\t.\t.\tAC=12\t7\t.\tA\tC\t.\t.\t."], 6),
        ([HEADER.strip(), ROWS[0] + "\tGT\t0", "1\t5\t.\tG\tA\t.\t.\t.\tGT\t02\t7\t.\tA\tC"], 6),
        ([ROWS[0], "chr1\t5\t.\tG\tA\t.\t.\tAC=12\t7\t.\tA\tC"], 2),
        (["".join(ROWS)], 1),
        ([ROWS[0] + "NC_000002.12\t7\trs1\tAC\tA,<DEL>\t.\t.\t."], 1),
        (["1\t5\t.\tG\tA1\t7\t.\tA\tC"], 1),
        ([HEADER.strip() + "\tFORMAT" + "\tS" * 90, ROWS[0] + ROWS[1]], 5),
        (["\t".join([ROWS[0], *"x" * 90]), ROWS[0] + ROWS[1]], 2),
        ([HEADER.strip() + ROWS[0], ROWS[1]], 4),
        ([HEADER.split("#CHROM")[0].strip() + ROWS[0], ROWS[1]], 3),
        ([(HEADER + ROWS[0]).replace("\n", "")], 1),
    ],
)
def test_lines_that_were_joined_are_refused(tmp_path: Path, lines: list[str], line: int) -> None:
    path = written(tmp_path, "\n".join(lines) + "\n")
    with pytest.raises(BioqError, match=rf"in\.vcf:{line}: .*{JOINED}"):
        survey_variants(path)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "1\t5\t.\tG\tA\n1\t6\t.\tG\tA\t.\t.\n",
        HEADER + "1\t5\t.\tG\tA\t.\t.\t.\t\t\n",
        HEADER + "1\t5\t.\tG\tA\t.\t.\t.\tGT\t0/1\t1\n",  # samples that are not named
        "1\t5\t.\tG\tA\t.\t.\t.\tGT\t0\n1\t6\t.\tG\tA\t.\t.\t.\tGT\t0\t0\t1\t.\tA\t.\n",
        HEADER + "1\t5\t.\tG\tA\t.\t.\t.\t1\t5\t.\tC\tT\n",  # bedtools intersect -wb
        HEADER.rstrip() + "\tFORMAT\t1\t2\tT\tN\tA\n1\t5\t.\tG\tA\t.\t.\t.\tGT\n",
        HEADER.rstrip() + "\tFORMAT" + "\tS" * 10_001 + "\n1\t5\t.\tG\tA" + "\t1" * 10_006 + "\n",
        "#chr1\t5\t.\tC\tA\t.\t.\tAC=1\n##chr1\t5\t.\tC\tA\n1\t5\t.\tG\tA\n",
        HEADER.rstrip() + "\tFORMAT\tS1\n1\t5\t.\tG\tA\t.\t.\t.\tGT\t0/1\n",
        HEADER + "1\t5\t.\tG\tA\n" + HEADER.rstrip() + "\tFORMAT\n1\t5\t.\tG\tA\t.\t.\t.\tGT\n",
        "1\t5\t.\tG\tA\n1\t6\t.\tG\tA\t50\tPASS\tAC=1\n",
        "1\t5\trs5\tG\tA\tbeta\t7\tx\tA\tG\n",
        "1\t5\trs5\tG\tA\tchr1\t7\tx\tA\tG\n",
    ],
)
def test_lines_with_fewer_or_other_columns_are_read(tmp_path: Path, text: str) -> None:
    assert survey_variants(written(tmp_path, text)).alleles == text.count("\tG\tA")


BED = "chr1\t699\t700\tG\tA\trs700\nchr1\t899\t902\tACG\tA\trs900\n"


@pytest.mark.parametrize("text", [BED, BED.splitlines()[0], "#chrom\tstart\tend\tref\talt\n" + BED])
def test_bed_of_variants_is_not_read_as_vcf(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BioqError, match=r"looks like BED.*positions counted from 0") as error:
        next(read_variants(path))  # before the first allele
    program = str(error.value).split("FILE")[0].split("awk ")[1]
    converted = subprocess.run(
        f"awk {program} {path}", shell=True, capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split("\t") for line in converted.splitlines()[-1 - text.count("rs900") :]]
    assert next(row[:5] for row in rows) == ["chr1", "700", ".", "G", "A"]


def test_a_long_bed_of_variants_is_refused_after_its_first_lines(tmp_path: Path) -> None:
    lines = [f"1\t{pos}\t{pos + 1}\tG\tA\n" for pos in range(5000)]
    with pytest.raises(BioqError, match=r"in\.vcf:1: looks like BED"):
        next(read_variants(written(tmp_path, "".join(lines))))
    lines[998] = "1\t5\t.\tG\tA\n"
    assert survey_variants(written(tmp_path, "".join(lines))).alleles == 5000


@pytest.mark.parametrize(
    "text",
    [
        "1\t700\t700\tG\tA\n1\t900\t901\tAC\tG\n",  # ANNOVAR: END is included
        "1\t700\t1234\tG\tA\n",
        "1\t700\t701\tG\tA\n1\t900\t.\tG\tA\n",
        HEADER + "1\t700\t701\tG\tA\n",
        "#chrom\tpos\tid\tref\talt\n1\t700\t701\tG\tA\n",
        "1\t9\t" + "7" * 5000 + "\tG\tA\n",
    ],
)
def test_numbers_as_ids_are_read(tmp_path: Path, text: str) -> None:
    assert survey_variants(written(tmp_path, text)).alleles == text.count("\n1\t") + (
        text[0] == "1"
    )


@pytest.mark.parametrize("missing", ["NA", "NaN", "nan", "N"])
def test_a_missing_id_of_r_or_pandas_is_an_id(tmp_path: Path, missing: str) -> None:
    text = f"1\t5\t{missing}\tG\tA\n1\t7\t{missing}\tG\tA\n"
    assert survey_variants(written(tmp_path, text)).alleles == 2


@pytest.mark.parametrize("text", ["1\t7\tG\tA\t.\n1\t9\tA\tG\t.\n", "1\t7\tG\tA\tG\n"])
def test_columns_without_an_id_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BioqError, match=r"in\.vcf:1: the third column.*has bases in every line"):
        survey_variants(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CHROM\tPOS\tID\tREF\tALT\n" + GOOD, r"in.vcf:1: names the columns .* '1s/\^/#/' FILE"),
        ("##x\nCHROM\tPOS\tID\tREF\tALT\n" + GOOD, r"in.vcf:2: names .* sed '2s/\^/#/' FILE"),
        (
            "variant_id\tCHROM\tPOS\tREF\tALT\nx\t1\t5\tA\tC\n",
            r"'NR > 1 \{print \$2, \$3, \$1, \$4, \$5\}' FILE",
        ),
        ("chr\tpos\tref\talt\n1\t5\tA\tC\n", r"\{print \$1, \$2, \"\.\", \$3, \$4\}' FILE"),
        ("chrom\tstart\tend\tref\talt\n", "names the columns .*; expected a VCF, with the columns"),
        ("CHR\tPOS\tSNP\tA1\tA2\n", "names the columns .*; expected a VCF, with the columns"),
        ("chr1\tPOS\t.\tA\tC\n", "POS is 'POS'; expected a whole number"),
        ("1\t5\tA\tC\trs5\n", "ALT has the allele 'rs5'.*CHROM POS REF ALT, write an ID"),
        ("1\t4\t5\trs5\tA\tC\n", "REF is 'rs5'.*if the file is BED, .* counted from 0"),
        ("1\t4\t.\tA\t-\n", "ALT has the allele '-'.*a VCF writes a deletion as CA and C"),
        ("1\t4\t.\t-\tA\n", "REF is '-'.*an insertion as C and CA"),
        ("1 5 . A C\n", "1 tab-separated columns.*this line has 5 separated by blanks: write tabs"),
        ("1,5,.,A,C\n", "1 tab-separated columns.*this line has 5 separated by commas: write tabs"),
        ("1\trs5\t5\tA\tC\n", "POS is 'rs5'.*, as the columns are CHROM POS ID REF ALT"),
        ("rs7412\n", "1 tab-separated columns.*a name in dbSNP, which BioQ does not have"),
        ("NC_000001.11:5:A:C\n", "1 tab-separated columns.*SPDI counts positions from 0"),
        ("chr1\t5\t4\n", "at least five: CHROM POS ID REF ALT$"),
        ("chr1:5:A>C\n", "write the columns of 'chr1:5:A>C', separated by tabs"),
    ],
)
def test_another_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BioqError, match=message) as raised:
        survey_variants(written(tmp_path, text))
    assert "\n" not in str(raised.value)

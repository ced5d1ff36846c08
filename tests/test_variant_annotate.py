"""--annotate: the VCF or BCF that came in, each record unchanged but for new INFO fields."""

import contextlib
import errno
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pysam.bcftools
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from variant_cases import make_chromosome, make_run, random_rows, read_tsv

from bioq.cli import main
from bioq.genome.bcf_records import BcfWriter, read_records, with_info
from bioq.genome.fasta import quiet_htslib
from bioq.genome.vcf_lines import VcfLines
from bioq.reports.top_alleles import TopAlleles
from bioq.tables import Layout
from bioq.tables.text import BgzipFile
from bioq.variants.columns import with_groups
from bioq.variants.outputs import annotate as annotate_module
from bioq.variants.outputs.annotate import Lengths
from bioq.variants.outputs.annotation_fields import as_text, as_values, info_fields
from bioq.variants.outputs.formats import Rows
from bioq.variants.outputs.indexed import with_index

HUMAN = Path(__file__).parents[1].parent / "shared" / "data" / "human"
needs_bcftools = pytest.mark.skipif(
    shutil.which("bcftools") is None, reason="bcftools is not installed"
)
FIELDS = re.compile(rb";?BIOQ_[^\t;]+")
"""The new fields in a record."""
HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=q10,Description="Quality below 10">
##contig=<ID=chr1,length=1000>
##contig=<ID=2>
##INFO=<ID=AC,Number=A,Type=Integer,Description="Count, with a comma and \\"quotes\\"">
##INFO=<ID=DB,Number=0,Type=Flag,Description="Flag">
##INFO=<ID=LONG,Number=.,Type=String,Description="Long">
##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depth">
##ALT=<ID=DEL,Description="Deletion">
##somebody=<ID=x,Text="μ">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNA 1\tNA2
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text(f">chr1\n{make_chromosome()}\n>2\n{make_chromosome()[:400]}\n")
    return path


def nasty(*, is_sorted: bool = True) -> str:
    """Return a VCF with records of every kind, some of which have no score."""
    chromosome = make_chromosome()
    rows = [list(map(str, row)) for row in random_rows(chromosome, 30)]
    base = chromosome[599]
    others = [letter for letter in "ACGT" if letter != base]
    rows += [
        ["chr1", "600", "rs1;rs2", base, ",".join([others[0], "*", "<DEL>", others[1]])],
        ["chr1", "601", ".", chromosome[600], "."],
        ["chr1", "602", "x", chromosome[601], "<DEL>"],
        ["chr1", "602", "y", chromosome[601], f"{chromosome[601]}[chr1:9["],
        ["chr1", "602", "z", chromosome[601], chromosome[601].lower()],
        ["chr1", "1000", ".", "ACGT", "C"],
    ]
    if is_sorted:
        rows.sort(key=lambda row: int(row[1]))
    rows.append(["2", "200", ".", chromosome[199], "N"])
    ends = [
        "33.2512345\tPASS\tAC=1;DB\tGT:AD\t0/1:3,4\t1|1:.",
        ".\tq10\t.\tGT\t./.\t0",
        "1e-05\t.\tDB\t.\t.\t.",
        f"7\tPASS\tLONG={'a,b' * 5000};AF=0.125\tGT\t0|1\t0/0",
    ]
    lines = ["\t".join(row) + "\t" + ends[number % 4] + "\n" for number, row in enumerate(rows)]
    return HEADER + "".join(lines)


def annotate(run: Path, source: Path | str, genome: Path, out: Path, *more: str) -> int:
    words = ["variants", run, source, "--genome", genome, "--annotate", "--out", out, *more]
    return main([str(word) for word in words])


def table_of(run: Path, source: Path, genome: Path, folder: Path, *more: str) -> pd.DataFrame:
    """Return the table of the same alleles, one row per allele."""
    out = folder / "table.tsv"
    assert (
        main(["variants", *map(str, (run, source, "--genome", genome, "--out", out, *more))]) == 0
    )
    return read_tsv(out)


def without_fields(content: bytes) -> bytes:
    """Return a VCF text without the fields of BioQ: what their own definition says."""
    lines = [line for line in content.split(b"\n") if not line.startswith(b"##INFO=<ID=BIOQ_")]
    for number, line in enumerate(lines):
        cells = line.split(b"\t")
        if not line.startswith(b"#") and len(cells) > 7:
            cells[7] = FIELDS.sub(b"", cells[7]) or b"."
            lines[number] = b"\t".join(cells)
    return b"\n".join(lines)


def bcftools(*words: str | Path) -> str:
    done = subprocess.run(
        ["bcftools", *map(str, words)], capture_output=True, text=True, check=True
    )
    return done.stdout


def removed(out: Path) -> str:
    """Return the header and the records that bcftools leaves of an output without our fields."""
    with pysam.VariantFile(str(out)) as file:
        keys = [f"INFO/{key}" for key in file.header.info if key.startswith("BIOQ_")]
    return bcftools("annotate", "--no-version", "-x", ",".join(keys), out)


def test_records_of_every_kind_keep_every_byte(run: Path, genome: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.vcf"
    source.write_text(nasty(is_sorted=False))
    for ending, opened in ((".vcf", open), (".vcf.gz", gzip.open)):
        out = tmp_path / f"out{ending}"
        assert annotate(run, source, genome, out) == 0
        with opened(out, "rb") as file:
            content = file.read()
        assert content.count(b"BIOQ_STATUS=") > 30
        assert without_fields(content) == source.read_bytes()


def test_each_alt_has_the_values_of_its_row(run: Path, genome: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.vcf"
    source.write_text(nasty())
    table = table_of(run, source, genome, tmp_path)
    options = ("--scores", "diff", "--scores", "ref")
    for ending in (".vcf.gz", ".bcf"):
        assert annotate(run, source, genome, tmp_path / f"out{ending}", *options) == 0
        rows = []
        with pysam.VariantFile(str(tmp_path / f"out{ending}")) as file:
            for record in file:
                for number, alt in enumerate(record.alts or ()):
                    row = {"pos": record.pos, "alt": alt}
                    for key in (
                        "STATUS",
                        "TOP_TARGET",
                        "TOP_DIFF",
                        "MAX_ABS_DIFF",
                        "DIFF_first",
                        "REF_second",
                    ):
                        values = record.info.get(f"BIOQ_{key}", (None,) * len(record.alts))
                        assert len(values) == len(record.alts)
                        row[key] = None if values[number] == "." else values[number]
                    rows.append(row)
        found, expected = pd.DataFrame(rows), table[table["alt"] != "."].reset_index(drop=True)
        assert len(found) == len(expected) > 40
        for key, column in (("pos", "pos"), ("alt", "alt"), ("STATUS", "status")):
            assert found[key].tolist() == expected[column].tolist()
        assert found["TOP_TARGET"].fillna("").tolist() == expected["top_target"].tolist()
        for key, column in (
            ("TOP_DIFF", "top_diff"),
            ("MAX_ABS_DIFF", "max_abs_diff"),
            ("DIFF_first", "diff:first"),
            ("REF_second", "ref:second"),
        ):
            np.testing.assert_allclose(
                found[key].astype(float), expected[column].astype(float), rtol=1e-6
            )


@needs_bcftools
@pytest.mark.parametrize("ending", [".vcf", ".vcf.gz", ".bcf"])
@pytest.mark.parametrize("made", [".vcf", ".bcf"])
def test_bcftools_finds_the_input_without_the_fields(
    run: Path, genome: Path, tmp_path: Path, ending: str, made: str
) -> None:
    text = tmp_path / "text.vcf"
    text.write_text(nasty())
    source = tmp_path / f"in{made}"
    bcftools("view", "--no-version", "-O", "b" if made == ".bcf" else "v", "-o", source, text)
    out = tmp_path / f"out{ending}"
    assert annotate(run, source, genome, out) == 0
    assert removed(out) == bcftools("view", "--no-version", source)
    if ending != ".vcf":
        inside = bcftools("query", "-r", "chr1:600-601", "-f", "%POS\n", out).split()
        assert inside == ["600", "601"]
    if (made, ending) == (".bcf", ".bcf"):  # a float is not rounded to the digits of text
        with pysam.VariantFile(str(source)) as before, pysam.VariantFile(str(out)) as after:
            quals = [[record.qual for record in file] for file in (before, after)]
        assert quals[0] == quals[1]
        assert float(np.float32(33.2512345)) in quals[1]


@needs_bcftools
@pytest.mark.parametrize("name", ["1000g", "exac"])
def test_real_vcfs_come_back(run: Path, tmp_path: Path, name: str) -> None:
    source = HUMAN / f"{name}.chr22.vcf.gz"
    if not source.exists():
        pytest.skip(f"{source} is not here")
    packed, bcf = tmp_path / "out.vcf.gz", tmp_path / "out.bcf"
    assert annotate(run, source, HUMAN / "grch37_part.fa.gz", packed) == 0
    with gzip.open(source, "rb") as before, gzip.open(packed, "rb") as after:
        assert without_fields(after.read()) == before.read()
    expected = bcftools("view", "--no-version", source)
    assert without_fields(bcftools("view", "--no-version", packed).encode()) == expected.encode()
    # ExAC has records with fields that its header does not define: bcftools refuses BCF too, and
    # to remove a field.
    is_defined = name == "1000g"
    assert annotate(run, source, HUMAN / "grch37_part.fa.gz", bcf) == int(not is_defined)
    assert bcf.exists() == is_defined
    if is_defined:
        assert removed(packed) == removed(bcf) == expected


def test_a_thousand_samples_keep_their_genotypes(run: Path, genome: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    names = "\t".join(f"S{number}" for number in range(1000))
    chromosome = make_chromosome()
    lines = []
    for pos in range(300, 340):
        genotypes = [f"{a}|{b}:{a * 7}" for a, b in random.integers(0, 2, (1000, 2)).tolist()]
        base = chromosome[pos - 1]
        fixed = ("chr1", str(pos), ".", base, "ACGT"[("ACGT".index(base) + 1) % 4], "5", "PASS")
        lines.append("\t".join([*fixed, "DB", "GT:GQ", *genotypes]) + "\n")
    header = HEADER.splitlines(keepends=True)[:-1]
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
    (tmp_path / "in.vcf").write_text("".join([*header, columns, names, "\n", *lines]))
    assert annotate(run, tmp_path / "in.vcf", genome, tmp_path / "out.vcf") == 0
    content = (tmp_path / "out.vcf").read_bytes()
    assert content.count(b"BIOQ_STATUS=scored;") == 40
    assert without_fields(content) == (tmp_path / "in.vcf").read_bytes()


@pytest.mark.parametrize("kind", ["stdin", "pipe", "gzip", "CRLF", "byte order mark", "no end"])
def test_other_forms_of_text_give_the_same_file(
    run: Path,
    genome: Path,
    tmp_path: Path,
    given: Callable[[bytes], Path],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    content = nasty().encode()
    (tmp_path / "plain.vcf").write_bytes(content)
    assert annotate(run, tmp_path / "plain.vcf", genome, tmp_path / "expected.vcf") == 0
    source: Path | str = tmp_path / "in.vcf.gz"
    if kind in ("stdin", "pipe"):
        source = given(content)
    elif kind == "gzip":
        Path(source).write_bytes(gzip.compress(content))
    elif kind == "CRLF":
        Path(source).write_bytes(content.replace(b"\n", b"\r\n"))
    elif kind == "byte order mark":
        Path(source).write_bytes(b"\xef\xbb\xbf" + content)
    else:
        Path(source).write_bytes(content.removesuffix(b"\n"))
    if kind == "stdin":
        with open(source, "rb") as stream:
            monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": stream, **_FILE}))
            assert annotate(run, "-", genome, tmp_path / "out.vcf") == 0
    else:
        assert annotate(run, source, genome, tmp_path / "out.vcf") == 0
    expected = (tmp_path / "expected.vcf").read_bytes()
    assert (tmp_path / "out.vcf").read_bytes() == expected


_FILE = {"fileno": staticmethod(lambda: 0)}
FIVE = "chr1\t300\t.\t{}\t{}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "#CHROM\tPOS\tID\tREF\tALT\n",
        "##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\n",
    ],
)
@pytest.mark.parametrize("ending", [".vcf.gz", ".bcf"])
def test_columns_and_lines_that_are_missing_are_added(
    run: Path, genome: Path, tmp_path: Path, header: str, ending: str
) -> None:
    base = make_chromosome()[299]
    other = "ACGT"[("ACGT".index(base) + 1) % 4]
    line = FIVE.format(base, other)
    (tmp_path / "in.vcf").write_text(f"{header}{line}\n\n{line}\t5\n{line}\t.\tPASS\t\n")
    out = tmp_path / f"out{ending}"
    assert annotate(run, tmp_path / "in.vcf", genome, out) == 0
    with pysam.VariantFile(str(out)) as file:
        records = list(file)
        assert file.header.version.startswith("VCF")
        length = file.header.contigs["chr1"].length
        assert length == (1000 if ending == ".bcf" and "contig" not in header else None)
    assert [record.qual for record in records] == [None, 5, None]
    assert [record.info["BIOQ_STATUS"] for record in records] == [("scored",)] * 3


@needs_bcftools
def test_an_uncompressed_bcf_is_read_from_a_pipe(
    run: Path, genome: Path, tmp_path: Path, given: Callable[[bytes], Path]
) -> None:
    (tmp_path / "in.vcf").write_text(nasty())
    words = ["bcftools", "view", "--no-version", "-Ou", str(tmp_path / "in.vcf")]
    content = subprocess.run(words, capture_output=True, check=True).stdout
    assert annotate(run, given(content), genome, tmp_path / "out.bcf") == 0
    assert removed(tmp_path / "out.bcf") == bcftools("view", "--no-version", tmp_path / "in.vcf")


def test_a_table_that_replaces_an_indexed_file_has_no_index(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.vcf"
    source.write_text(nasty())
    for name in ("out.vcf.gz", "out.tsv.gz"):
        out, index = tmp_path / name, tmp_path / f"{name}.tbi"
        words = ["variants", str(run), str(source), "--genome", str(genome), "--out", str(out)]
        snvs = [*words[:2], "--all-snvs", "chr1:200-300", *words[3:]]
        for more in ((), ("--long",))[: 1 + name.endswith(".tsv.gz")]:
            assert main([*snvs, "--force"]) == 0
            assert index.exists()
            out.unlink()
            assert main([*words, *more]) == 1
            assert f"{index}: exists already" in capsys.readouterr().err
            assert main([*words, *more, "--force"]) == 0
            assert out.exists()
            assert not index.exists()


def test_a_vcf_becomes_bcf_on_the_disk_of_the_output(
    run: Path, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder for temporary files is often too small for a VCF of a genome."""
    (tmp_path / "in.vcf").write_text(nasty())
    convert, folders = annotate_module._convert, []

    def spy(lines: VcfLines, converted: Path, contigs: Lengths) -> None:
        folders.append(converted.parent.parent)
        convert(lines, converted, contigs)

    monkeypatch.setattr(annotate_module, "_convert", spy)
    assert annotate(run, tmp_path / "in.vcf", genome, tmp_path / "out.bcf") == 0
    assert folders == [tmp_path]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf", "out.bcf", "out.bcf.csi"]


@needs_bcftools
def test_a_bcf_whose_numbers_have_gaps_is_copied(run: Path, genome: Path, tmp_path: Path) -> None:
    """Numbers (IDX) of contigs and fields that are not 0, 1, 2, as after a merge or by hand."""
    header = nasty().replace("length=1000>", "length=1000,IDX=5>").replace("ID=2>", "ID=2,IDX=77>")
    header = header.replace('"Flag">', '"Flag",IDX=40000>')
    (tmp_path / "in.vcf").write_text(header)
    source = tmp_path / "in.bcf"
    bcftools("view", "--no-version", "-Ob", "-o", source, tmp_path / "in.vcf")
    assert b"ID=2,IDX=77>" in gzip.decompress(source.read_bytes())
    assert annotate(run, source, genome, tmp_path / "out.bcf") == 0
    assert removed(tmp_path / "out.bcf") == bcftools("view", "--no-version", source)


def test_ids_in_quoted_texts_are_no_fields_and_no_contigs(
    run: Path, genome: Path, tmp_path: Path
) -> None:
    quoted = ',Description="was x,ID=BIOQ_OLD">'
    text = nasty().replace("length=1000>", f"length=1000{quoted}")
    text = text.replace("##ALT=", f"##INFO=<ID=Q,Number=1,Type=String{quoted}\n##ALT=")
    (tmp_path / "in.vcf").write_text(text)
    assert annotate(run, tmp_path / "in.vcf", genome, tmp_path / "out.vcf") == 0
    assert without_fields((tmp_path / "out.vcf").read_bytes()) == text.encode()
    assert annotate(run, tmp_path / "in.vcf", genome, tmp_path / "out.bcf") == 0
    with pysam.VariantFile(str(tmp_path / "out.bcf")) as file:
        assert list(file.header.contigs) == ["chr1", "2"]


@settings(max_examples=20)
@given(
    st.lists(
        st.one_of(
            st.lists(st.none() | st.floats(width=32, allow_nan=False), min_size=20, max_size=20),
            st.lists(st.none() | st.text("acg%", min_size=1), min_size=20, max_size=20),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 300),
)
def test_htslib_reads_the_values_that_are_added_to_a_bcf(
    fields: list[list[str | float | None]], others: int
) -> None:
    """Fields have numbers of one and two bytes, values lengths of four bits and more."""
    # A field without a value is left out; in the output there is at least one.
    fields = [values for values in fields if any(value is not None for value in values)]
    assume(fields)
    kinds = ["String" if any(isinstance(v, str) for v in values) else "Float" for values in fields]
    header = [
        f'##INFO=<ID=X{number},Number=1,Type=Integer,Description="x">' for number in range(others)
    ]
    alts = ",".join("ACGT"[number % 4] * (number + 2) for number in range(20))
    info = "X1=5" if others > 1 else "."
    record = f"c\t7\tx\tA\t{alts}\t.\t.\t{info}\t.\t.\t."
    lines = ["##fileformat=VCFv4.3", "##contig=<ID=c>", *header, HEADER.splitlines()[-1], record]
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "in.bcf"), Path(folder, "out.bcf")
        Path(folder, "in.vcf").write_text("\n".join(lines) + "\n")
        pysam.bcftools.view("-Ob", "-o", str(source), f"{folder}/in.vcf", catch_stdout=False)  # type: ignore[attr-defined]
        added = [
            f'##INFO=<ID=F{number},Number=A,Type={kind},Description="x">'.encode()
            for number, kind in enumerate(kinds)
        ]
        writer = BcfWriter(source, added)
        keys = writer.keys([f"F{number}" for number in range(len(fields))])
        with (
            quiet_htslib(),
            pysam.BGZFile(str(source)) as packed,
            contextlib.closing(BgzipFile(out)) as file,
        ):
            file.write(writer.header(Path(folder, "scratch")))
            (raw,) = read_records(packed, writer)  # type: ignore[arg-type]
            assert (raw.chrom, raw.pos, raw.ref) == ("c", 7, "A")
            assert ",".join(raw.alts) == alts
            file.write(with_info(raw, dict(zip(keys, fields, strict=True)), "here"))
        with quiet_htslib(), pysam.VariantFile(str(out)) as read:
            (found,) = read
            assert others < 2 or found.info["X1"] == 5
            for number, values in enumerate(fields):
                expected = tuple(
                    "." if v is None and kinds[number] == "String" else v for v in values
                )
                assert found.info[f"F{number}"] == expected


REFUSED = {
    "names": (
        "#CHROM\tPOS\tID\tREF\tALT\tAF\tGENE\nchr1\t300\t.\tA\tC\t0.1\tX\n",
        "in.vcf: the columns after ALT are 'AF GENE'; expected QUAL FILTER INFO, because new "
        "fields are written into INFO: bring the columns into the order of a VCF",
    ),
    "no names": (
        "chr1\t300\t.\tA\tC\t.\t.\t.\tGT\t0/1\n",
        "in.vcf: has no line #CHROM, and its lines have 10 columns, which only that line names; "
        "put the line before the records",
    ),
    "header": (
        HEADER.replace("##ALT", '##INFO=<ID=BIOQ_DIFF,Number=A,Type=Float,Description="x">\n##ALT'),
        "in.vcf: has fields of BioQ already (BIOQ_DIFF); remove them first: 'bcftools annotate -x "
        "INFO/BIOQ_DIFF IN', or give them other names with 'bcftools annotate --rename-annots'",
    ),
    "record": (
        HEADER + "chr1\t300\t.\tA\tC\t.\t.\tDB;BIOQ_X=3\n",
        "in.vcf:14: has fields of BioQ already (BIOQ_X); remove them first: 'bcftools annotate "
        "-x INFO/BIOQ_X IN', or give them other names with 'bcftools annotate --rename-annots'",
    ),
    "bcf": (
        HEADER + "chr1\t300\t.\tA\tC\t.\t.\tDB;XX=3\n",
        "in.vcf: cannot be BCF, which needs a line of the header for each FILTER, INFO "
        "and FORMAT, and values of their types; give an output that ends in .vcf.gz",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_input_that_cannot_take_the_fields_is_refused(
    run: Path,
    genome: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    content, message = REFUSED[kind]
    Path("in.vcf").write_text(content)
    out = Path("out.bcf" if kind == "bcf" else "out.vcf.gz")
    assert annotate(run, "in.vcf", genome, out) == 1
    error = capfd.readouterr().err
    assert error.splitlines()[-1] == f"bioq: {message}"
    assert "[W::" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf"]


@pytest.mark.parametrize(
    ("source", "out", "more", "message"),
    [
        (
            "chr1:300:A>C",
            "o.vcf",
            (),
            "--annotate copies the records of a VCF, and the variants are typed; without "
            "--annotate, an output that ends in .vcf has one line per allele",
        ),
        (
            "in.vcf",
            "o.tsv",
            (),
            "o.tsv: --annotate writes a VCF or BCF; expected a name that ends in .vcf, .vcf.gz, "
            ".bcf",
        ),
        (
            "in.vcf",
            "o.vcf",
            ("--format", "deepsea"),
            "--annotate with --format deepsea: --annotate writes a VCF; run without one of the two",
        ),
        (
            "in.vcf",
            "o",
            ("--ray", "local"),
            "--annotate cannot be combined with --ray, which writes tables only; run without --ray",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    run: Path,
    genome: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    out: str,
    more: Sequence[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.vcf").write_text(nasty())
    assert annotate(run, source, genome, Path(out), *more) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"bioq: {message}"


def test_an_output_annotated_again_is_refused(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.vcf").write_text(nasty())
    for first, second in (("a.vcf", "b.vcf"), ("a.bcf", "b.bcf")):
        assert annotate(run, tmp_path / "in.vcf", genome, tmp_path / first) == 0
        assert annotate(run, tmp_path / first, genome, tmp_path / second) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert "has fields of BioQ already (BIOQ_STATUS" in error
        assert "bcftools annotate -x INFO/BIOQ_STATUS,INFO/BIOQ_" in error


def test_records_that_are_not_sorted_have_no_index(
    run: Path, genome: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.vcf", tmp_path / "out.vcf.gz"
    source.write_text(nasty())
    index = tmp_path / "out.vcf.gz.tbi"
    assert annotate(run, source, genome, out) == 0
    assert index.exists()
    capfd.readouterr()
    out.unlink()
    assert annotate(run, source, genome, out) == 1  # the index is not replaced without --force
    assert "out.vcf.gz.tbi: exists already" in capfd.readouterr().err
    source.write_text(nasty(is_sorted=False))
    assert annotate(run, source, genome, out, "--force") == 0
    assert not index.exists()
    assert (
        f"note: {out} has no index: its records are not sorted; 'bcftools sort -o SORTED.vcf.gz "
        f"{out}' sorts them\n"
    ) in capfd.readouterr().err


def test_a_contig_that_tbi_cannot_index_has_a_csi(run: Path, genome: Path, tmp_path: Path) -> None:
    text = nasty().replace("##contig=<ID=2>", "##contig=<ID=2,length=600000000>")
    (tmp_path / "in.vcf").write_text(text + "2\t600000000\t.\tA\tC\t.\t.\tDB\n")
    assert annotate(run, tmp_path / "in.vcf", genome, tmp_path / "out.vcf.gz") == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert "out.vcf.gz.csi" in names
    assert "out.vcf.gz.tbi" not in names
    with pysam.VariantFile(
        str(tmp_path / "out.vcf.gz"), index_filename=str(tmp_path / "out.vcf.gz.csi")
    ) as file:
        (record,) = file.fetch("2", 599_999_990, 600_000_010)
    assert record.info["BIOQ_STATUS"] == ("outside_contig",)


def test_an_input_without_records_gives_one_without_records(
    run: Path, genome: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.vcf").write_text(HEADER)
    for ending in (".vcf", ".vcf.gz", ".bcf"):
        out = tmp_path / f"out{ending}"
        assert annotate(run, tmp_path / "in.vcf", genome, out) == 0
        with pysam.VariantFile(str(out)) as file:
            assert list(file) == []
            assert "BIOQ_STATUS" in file.header.info


def test_header_lines_between_records_are_counted(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.vcf").write_text(nasty() + nasty())
    assert annotate(run, tmp_path / "in.vcf", genome, tmp_path / "out.vcf") == 0
    lines = HEADER.count("\n")
    assert f"{lines} lines of a header come after the first record" in capsys.readouterr().err
    content = (tmp_path / "out.vcf").read_text()
    assert content.count("#CHROM") == 1
    assert content.count("\nchr1\t") == 2 * nasty().count("\nchr1\t")


@pytest.fixture(scope="module")
def ranked(run: Path, genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run whose targets have cells, a background, in.vcf and scores.tsv."""
    folder = tmp_path_factory.mktemp("ranked")
    shutil.copytree(run, folder / "run")
    (folder / "run/targets.tsv").write_text("name\tcell\nfirst\tK 562\nsecond\tK-562\n")
    # Without the values whose number is wrong, which 'bcftools norm' refuses.
    lines = [line.split("\t") for line in nasty().splitlines()]
    short = [
        cells if len(cells) < 8 else [*cells[:7], "INFO" if "#" in cells[0] else "DB"]
        for cells in lines
    ]
    (folder / "in.vcf").write_text("".join("\t".join(cells) + "\n" for cells in short))
    words = ["background", "run", "in.vcf", "--genome", genome, "--out", "b.npz"]
    with contextlib.chdir(folder):
        assert main([str(word) for word in words]) == 0
        words = ["variants", "run", "in.vcf", "--genome", genome, "--out", "scores.tsv"]
        assert main([*map(str, words), *RANKED]) == 0
    return folder


RANKED = ("--background", "b.npz", "--group-by", "cell")


def test_ranks_and_groups_are_those_of_the_table(ranked: Path, genome: Path) -> None:
    with contextlib.chdir(ranked):
        assert annotate(Path("run"), "in.vcf", genome, Path("ranked.bcf"), *RANKED) == 0
    table = read_tsv(ranked / "scores.tsv")
    table = table[table["alt"] != "."].reset_index(drop=True)
    columns = {
        "BIOQ_SCORE_PHRED": "score_phred",
        "BIOQ_TOP_DIFF": "top_diff",
        "BIOQ_SCORE_PHRED_K_562": "score_phred:K 562",
        "BIOQ_SCORE_PHRED_K_562_2": "score_phred:K-562",
    }
    targets = {"BIOQ_TOP_TARGET_K_562": "first", "BIOQ_TOP_TARGET_K_562_2": "second"}
    found: dict[str, list[object]] = {key: [] for key in (*columns, *targets)}
    with pysam.VariantFile(str(ranked / "ranked.bcf")) as file:
        assert re.search(
            r"at most \d+\.\d+ of substitutions.*; of indels too high, because the background",
            str(file.header.info["BIOQ_SCORE_PHRED"].record),
        )
        for record in file:
            missing = (None,) * len(record.alts or ())
            for key, values in found.items():
                values.extend(record.info.get(key, missing) if record.alts else ())
    assert table["score_phred"].notna().sum() > 30
    for key, column in columns.items():
        values = np.array(found[key], dtype=float)
        np.testing.assert_allclose(values, table[column].astype(float), rtol=1e-6)
    for key, target in targets.items():
        scored = [value for value in found[key] if value not in (None, ".")]
        assert set(scored) == {target}
        assert len(scored) == table["score_phred"].notna().sum()


def recipes(section: str) -> list[str]:
    """Return the commands of a section of the page."""
    page = (Path(__file__).parents[1] / "docs/how-to/annotate.md").read_text("utf-8")
    text = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@needs_bcftools
def test_the_recipes_for_bcftools_give_the_best_alleles(ranked: Path, genome: Path) -> None:
    with contextlib.chdir(ranked):
        assert annotate(Path("run"), "in.vcf", genome, Path("out.vcf.gz"), *RANKED, "--force") == 0
        best, _, filtered = recipes("bcftools")
        filtered = filtered.replace(">= 20", ">= 5")  # the background is small
        shown, unscored = (
            subprocess.run(
                ["bash", "-ec", text], capture_output=True, text=True, check=True
            ).stdout.splitlines()
            for text in (best, filtered)
        )
    table = read_tsv(ranked / "scores.tsv")
    ordered = table.sort_values(["score_phred", "max_abs_diff"], ascending=False)[:10]
    assert ordered["score_phred"].duplicated().any()
    numbers = [[float(value) for value in line.split("\t")[:2]] for line in shown]
    np.testing.assert_allclose(numbers, ordered[["score_phred", "max_abs_diff"]], rtol=1e-5)
    assert [line.split("\t")[3] for line in shown] == [str(pos) for pos in ordered["pos"]]
    statuses = {status for line in unscored for status in line.split("\t")[-1].split(",")}
    assert statuses == set(table["status"]) - {"no_alt"} | {"."}
    with pysam.VariantFile(str(ranked / "extreme.vcf.gz")) as file:
        extreme = [max(value or 0 for value in record.info["BIOQ_SCORE_PHRED"]) for record in file]
    assert extreme
    assert min(extreme) >= 5


@needs_bcftools
def test_the_recipe_for_missing_lines_of_a_header_lets_bcftools_read(tmp_path: Path) -> None:
    text = (
        "##fileformat=VCFv4.2\n##contig=<ID=22>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "22\t9\t.\tA\tC,G\t.\tAC_Adj0_Filter\tHOM_CONSANGUINEOUS=1,2\n"
    )
    (tmp_path / "in.vcf.gz").write_bytes(gzip.compress(text.encode()))
    norm = ["bcftools", "norm", "-m-", "in.vcf.gz"]
    assert subprocess.run(norm, cwd=tmp_path, capture_output=True).returncode
    _, missing, _ = recipes("bcftools")
    subprocess.run(["bash", "-ec", missing], cwd=tmp_path, capture_output=True, check=True)
    norm[-1] = "complete.vcf.gz"
    found = subprocess.run(norm, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert found.count("\n22\t9\t") == 2


KEY = re.compile(r"[A-Za-z_][0-9A-Za-z_.]*")


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True))
def test_keys_are_those_of_a_vcf_and_differ(targets: list[str]) -> None:
    layout = Layout(with_groups(targets), pd.DataFrame({"name": targets}), ("diff", "ref"))
    fields = info_fields(layout)
    keys = [field.key for field in fields]
    assert len(set(keys)) == len(keys) == 5 + 4 * len(targets)
    assert all(KEY.fullmatch(key) for key in keys)
    header = pysam.VariantHeader()
    for field in fields:
        header.add_line(field.header_line().decode())
    assert list(header.info) == keys
    texts = np.array(targets, dtype=object)
    assert not re.search(r"[,;= \t\r\n]", "".join(as_text(texts)))
    assert [value or "." for value in as_values(texts)] == as_text(texts)


def test_an_output_that_cannot_be_completed_keeps_the_index_of_the_earlier_one(
    tmp_path: Path,
) -> None:
    @contextlib.contextmanager
    def full_disk() -> Iterator[Rows]:
        yield TopAlleles(1)
        raise OSError(errno.ENOSPC, "no space left")

    index = tmp_path / "o.tsv.gz.tbi"
    index.write_bytes(b"index")
    for is_wanted in (True, False):
        opened = with_index(tmp_path / "o.tsv.gz", full_disk(), {}, is_wanted=is_wanted)
        with pytest.raises(OSError, match="no space"), opened:
            pass
        assert index.read_bytes() == b"index"
        assert not list(tmp_path.glob(".*.part"))

"""Tables of contig names, in the layouts that people have: the names of the genome decide."""

import gzip
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_files import ALIAS, VARIANTS, run
from variant_cases import make_chromosome, make_run, other_base, read_tsv, write_vcf

from bioq import dna
from bioq.cli import main
from bioq.errors import BioqError
from bioq.genome import ContigNames, Genome, read_chrom_alias

BIG_ZIPS = """\
# sequenceName\talias names\tUCSC database: hg19
chr1\t1\tNC_000001.10\tCM000663.1
chrX\tX\tNC_000023.10\tCM000685.1
chrM\tNC_001807.4
chrMT\tMT\tJ01415.2\tNC_012920.1
chr1_gl000191_random\tHSCHR1_RANDOM_CTG5\t\tGL000191.1\tNT_113878.1
chrUn_gl000211
"""
DATABASE = """\
1\tchr1\tassembly,ensembl
CM000663.2\tchr1\tgenbank
NC_000001.11\tchr1\trefseq
X\tchrX\tassembly,ensembl
CM000685.2\tchrX\tgenbank
NC_000023.11\tchrX\trefseq
HSCHR1_CTG1_UNLOCALIZED\tchr1_KI270706v1_random\tassembly
KI270706.1\tchr1_KI270706v1_random\tensembl,genbank
"""
GENARK = """\
# ucsc\tassembly\tgenbank\tncbi\trefseq
NW_011332701v1_alt\tHG2139_PATCH\tKN538374.1\t\tNW_011332701.1
chr1\t1\tCM000663.2\t1\tNC_000001.11
chrX\tX\tCM000685.2\tX\tNC_000023.11
chrM\tMT\tJ01415.2\tMT\tNC_012920.1
"""
REPORT_ROWS = """\
# Sequence-Name|Sequence-Role|Assigned-Molecule|Assigned-Molecule-Location/Type|GenBank-Accn|\
Relationship|RefSeq-Accn|Assembly-Unit|Sequence-Length|UCSC-style-name
1|assembled-molecule|1|Chromosome|CM000663.2|=|NC_000001.11|Primary Assembly|248956422|chr1
X|assembled-molecule|X|Chromosome|CM000685.2|=|NC_000023.11|Primary Assembly|156040895|chrX
HSCHR1_CTG1_UNLOCALIZED|unlocalized-scaffold|1|Chromosome|KI270706.1|=|NT_187361.1|\
Primary Assembly|175055|na
"""
REPORT = "# Assembly name:  GRCh38.p14\n## Unit\tName\n" + REPORT_ROWS.replace("|", "\t")


def genome_of(*contigs: str) -> Genome:
    codes = dna.encode("ACGTACGTAC")
    lengths = dict.fromkeys(contigs, len(codes))
    return Genome(Path("g.fa"), lengths, lambda _, start, end: codes[start:end], bool)


def alias_of(folder: Path, table: str, *contigs: str) -> dict[str, str]:
    file = folder / "alias.txt"
    file.write_text(table)
    return read_chrom_alias(file).of(genome_of(*contigs))


def found(folder: Path, table: str, contigs: list[str], *names: str) -> list[str | None]:
    """Return the contig of each name, by the table and by the name itself."""
    known = ContigNames(genome_of(*contigs), alias_of(folder, table, *contigs))
    numbers = [known.find(name) for name in names]
    return [None if number is None else contigs[number] for number in numbers]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("table", "names"),
    [
        (BIG_ZIPS, ["chr1", "1", "NC_000001.10", "CM000663.1"]),
        (DATABASE, ["chr1", "1", "NC_000001.11", "CM000663.2"]),
        (f"#alias\tchrom\tsource\n{DATABASE}", ["chr1", "1", "NC_000001.11", "CM000663.2"]),
        (f"alias\tchrom\tsource\n{DATABASE}", ["chr1", "1", "NC_000001.11", "CM000663.2"]),
        (GENARK, ["chr1", "1", "NC_000001.11", "CM000663.2"]),
        (REPORT, ["chr1", "1", "NC_000001.11", "CM000663.2"]),
        ("NC_000001.11\tchr1\nNC_000023.11\tchrX\n", ["NC_000001.11", "chr1", "1"]),
        ("chr1\tNC_000001.11\nchrX\tNC_000023.11\n", ["NC_000001.11", "chr1", "1"]),
        ("chr1\t1\n1\tNC_000001.11\nchrX\tX\n", ["chr1", "1", "NC_000001.11"]),
    ],
)
def test_every_layout_gives_every_name_of_a_contig_whichever_the_genome_has(
    tmp_path: Path, table: str, names: list[str], end: str
) -> None:
    own = {"chr1", "NC_000001.11", "NC_000001.10", "CM000663.1", "CM000663.2", "1"}
    for name in names:
        contigs = ["other", name]
        assert found(tmp_path, table.replace("\n", end), contigs, *names) == [name] * len(names)
        unknown = own.difference(names, ("chr1", "1"))
        assert found(tmp_path, table, contigs, *unknown) == [None] * len(unknown)


def test_cells_that_are_no_names_stand_for_no_contig(tmp_path: Path) -> None:
    contigs = ["chr1", "chrX", "chr1_KI270706v1_random"]
    for table in (DATABASE, f"# alias\tchrom\tsource\n{DATABASE}"):
        alias = alias_of(tmp_path, table, *contigs)
        assert sorted(alias) == [
            "1", "CM000663.2", "CM000685.2", "HSCHR1_CTG1_UNLOCALIZED", "KI270706.1",
            "NC_000001.11", "NC_000023.11", "X",
        ]  # fmt: skip
    alias = alias_of(tmp_path, REPORT, "KI270706.1", "NC_000001.11", "NC_000023.11")
    assert alias == {
        "1": "NC_000001.11", "CM000663.2": "NC_000001.11", "chr1": "NC_000001.11",
        "X": "NC_000023.11", "CM000685.2": "NC_000023.11", "chrX": "NC_000023.11",
        "HSCHR1_CTG1_UNLOCALIZED": "KI270706.1", "NT_187361.1": "KI270706.1",
    }  # fmt: skip
    alias = alias_of(tmp_path, GENARK, "CM000663.2", "KN538374.1")
    assert "" not in alias
    assert alias["NW_011332701.1"] == "KN538374.1"
    assert alias_of(tmp_path, BIG_ZIPS, "chrUn_gl000211", "chr1") == {
        "1": "chr1", "NC_000001.10": "chr1", "CM000663.1": "chr1"
    }  # fmt: skip


def test_a_line_whose_contig_has_another_line_is_not_found_by_a_similar_name(
    tmp_path: Path,
) -> None:
    """hg19's chrM is NC_001807.4; the line of chrMT, the revised sequence, is of another contig."""
    names = ["NC_001807.4", "NC_012920.1", "J01415.2"]
    assert found(tmp_path, BIG_ZIPS, ["chr1", "chrM"], *names) == ["chrM", None, None]
    both = ["chrM", "chrMT"]
    assert found(tmp_path, BIG_ZIPS, both, *names) == ["chrM", "chrMT", "chrMT"]
    assert found(tmp_path, GENARK, ["MT"], "NC_012920.1", "chrM") == ["MT", "MT"]


def test_a_line_whose_name_the_genome_has_without_chr_is_found(tmp_path: Path) -> None:
    table = "NC_000001.11\tchr1\nNC_000023.11\tchrX\n"
    assert found(tmp_path, table, ["1", "X"], "NC_000023.11", "NC_000001.11") == ["X", "1"]


def test_if_the_genome_has_both_names_the_second_column_is_its_name(tmp_path: Path) -> None:
    table = "chr10\tchrX\nchrX\tchrI\n"
    assert alias_of(tmp_path, table, "chrI", "chrX") == {"chr10": "chrX", "chrX": "chrI"}
    table = "chr10\tchrX\tXII\nchrX\tchrI\tI\n"
    assert alias_of(tmp_path, table, "chrI", "chrX") == {
        "chr10": "chrX",
        "XII": "chrX",
        "I": "chrI",
    }
    three = "other\tchr1\tassembly\nchrX\tchr1\tensembl\n"
    assert found(tmp_path, three, ["chr1", "chrX"], "other", "chrX") == ["chr1", "chrX"]


def test_a_comment_a_byte_order_mark_and_compression_are_read(tmp_path: Path) -> None:
    file = tmp_path / "alias.tsv.gz"
    content = b"\xef\xbb\xbf# peaks\tgenome\r\nchr1\tchrI\r\n\nchr2\tchrII\nchr1\tchrI\n"
    file.write_bytes(gzip.compress(content))
    expected = {"chr1": "chrI", "chr2": "chrII"}
    assert read_chrom_alias(file).of(genome_of("chrII", "chrI")) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"chr1\tchrI\nchr2 chrII\n", ":2: expected two names separated by a tab"),
        (b"chr1\tchrI\nchr1\tchrII\n", ":2: 'chr1' is 'chrII' here and 'chrI' above"),
        (b"chrI\tchr1\nchrII\tchr1\n", ":2: 'chr1' is 'chrII' here and 'chrI' above"),
        (b"chrI\tchr1\tI\nchrI\tx\tchrII\n", ":2: has 2 contigs of the genome, chrI, chrII"),
        (b"chr1\t" + b"1\t" * 1000, ":1: has more than 1,000 columns"),
        (b"chr1\t\xff\n", ":1: has the byte 0xFF, which is not UTF-8 text"),
        (
            b"chr1\t1\nchr2\t2\n",
            "no line has a contig of g.fa: the table has chr1, 1, chr2, 2; the genome has chrI, ",
        ),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "alias.tsv"
    path.write_bytes(content)
    with pytest.raises(BioqError, match=message) as error:
        read_chrom_alias(path).of(genome_of("chrI", "chrII"))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    with pytest.raises(BioqError, match="no such file; expected a table of contig names"):
        read_chrom_alias(tmp_path / "none.tsv")


CELLS = st.sampled_from(["chr1", "1", "chr2", "2", "NC_1", "NC_2", "CM_1", "", "refseq", "x"])


@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=6),
    st.lists(st.sampled_from(["chr1", "1", "chr2", "NC_1"]), min_size=1, unique=True),
)
def test_any_table_gives_names_that_its_lines_have_or_one_line_of_error(
    table: list[list[str]], contigs: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            alias = alias_of(Path(folder), "\n".join(map("\t".join, table)), *contigs)
        except BioqError as error:
            assert "\n" not in str(error)  # noqa: PT017
            return
    genome = ContigNames(genome_of(*contigs))
    lines = [set(line) - {""} for line in table]
    for name, contig in alias.items():
        assert contig in contigs
        assert name not in ("", contig)
        same = {contig} | {
            other for other in set().union(*lines) if genome.find(other) == contigs.index(contig)
        }
        linked = [line for line in lines if name in line]
        hubs = [line | {name} for line in linked] + [
            line for line in lines if any(line & other for other in linked)
        ]
        assert any(line & same for line in hubs)
    widths = [len("\t".join(line).rstrip().split("\t")) for line in table]
    if max(widths) > 2:  # without empty cells at the ends of lines
        assert not set(alias) & set(contigs)


@pytest.mark.parametrize(
    "table",
    [
        "# sequenceName\talias names\tUCSC database: hg19\nchr1\t1\tNC_000001.10\tCM000663.1\n",
        "NC_000001.10\tchr1\trefseq\nCM000663.1\tchr1\tgenbank\n",
        "# ucsc\tassembly\tgenbank\tncbi\trefseq\nchr1\t1\tCM000663.1\t\tNC_000001.10\n",
        "chr1\tNC_000001.10\n",
        "NC_000001.10\tchr1\n",
    ],
)
def test_the_command_scores_variants_by_every_layout(tmp_path: Path, table: str) -> None:
    bases = make_chromosome()
    genome, alias, out = tmp_path / "g.fa", tmp_path / "alias.txt", tmp_path / "out.tsv"
    genome.write_text(f">chr1\n{bases}\n>chr2\n{bases}\n")
    alias.write_text(table)
    ref = bases[399]
    vcf = write_vcf(
        tmp_path / "in.vcf",
        [(name, 400, ".", ref, other_base(ref)) for name in ("NC_000001.10", "chr1", "2", "chrZ")],
    )
    words = ["variants", str(make_run(tmp_path / "run")), str(vcf), "--genome", str(genome)]
    assert main([*words, "--chrom-alias", str(alias), "--out", str(out)]) == 0
    table_out = read_tsv(out)
    assert table_out["status"].tolist() == ["scored", "scored", "scored", "no_contig"]
    assert table_out["diff:first"][:3].nunique() == 1


def test_pairs_that_blanks_separate_are_read(tmp_path: Path) -> None:
    table = "# for bcftools annotate --rename-chrs\n1 chr1\n23   chrX\nNC_000001.11 chr1\n\n"
    expected = {"1": "chr1", "23": "chrX", "NC_000001.11": "chr1"}
    assert alias_of(tmp_path, table, "chr1", "chrX") == expected


@pytest.mark.parametrize("table", ["1 chr1\n2\tchr2\n", "1 chr1 x\n2 chr2\n"])
def test_blanks_beside_tabs_and_three_words_are_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(BioqError, match=":1: expected two names separated by a tab"):
        alias_of(tmp_path, table, "chr1", "chr2")


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("chr1\t6000\nchr2\t400\n", "contig lengths"),
        ("chr1 6000\nchr2 400\n", "contig lengths"),
        ("1\t6000\n2\t400\n", "contig lengths"),
        ("chr1\t6000\t18\t60\t61\n", "a FASTA index (.fai)"),
        ("chr1\t6000\t18\t60\t61\nchr2\t400\t6200\t60\t61\n", "a FASTA index (.fai)"),
    ],
)
def test_a_table_of_lengths_is_named(tmp_path: Path, table: str, what: str) -> None:
    for contigs in (("chr1", "chr2"), ("1", "2")):
        with pytest.raises(
            BioqError,
            match=rf"alias.txt:1: .* the file seems to be {re.escape(what)}.*, not a table",
        ):
            alias_of(tmp_path, table, *contigs)


def test_numbers_that_are_names_are_read(tmp_path: Path) -> None:
    assert alias_of(tmp_path, "chrX\t23\nchr1\t1\n", "chr1", "chrX") == {"23": "chrX", "1": "chr1"}
    scaffolds = [f"scaffold_{number}" for number in range(1, 300)]
    table = "".join(f"{name}\t{name[9:]}\n" for name in scaffolds)
    assert alias_of(tmp_path, table, *scaffolds)["299"] == "scaffold_299"
    assert alias_of(tmp_path, "Chr_120\t120\n", "Chr_120") == {"120": "Chr_120"}
    assert alias_of(tmp_path, "A\t100123\n", "100123") == {"A": "100123"}
    assert alias_of(tmp_path, "100123\tA\n", "A") == {"100123": "A"}


def test_the_command_reads_pairs_with_blanks_and_refuses_lengths(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    expected = run([*VARIANTS, *ALIAS], files / "expected")
    (files / "alias.tsv").write_text("1 chr1\n")
    assert run([*VARIANTS, *ALIAS], files / "blanks") == expected
    (files / "alias.tsv").write_text("chr1\t2000\nchr2\t2000\n")
    capsys.readouterr()
    assert main([token.replace("OUT", "out") for token in [*VARIANTS, *ALIAS]]) == 1
    assert "alias.tsv:1: the columns after the first are numbers" in capsys.readouterr().err
    assert not (files / "out.tsv").exists()

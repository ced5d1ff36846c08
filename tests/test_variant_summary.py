"""Tests of the end of a scoring: a VCF and a genome that do not fit, each told in one line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from genome_cases import write_2bit
from variant_cases import make_chromosome, make_run, other_base, read_tsv

from bioq.cli import main

COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
HUMAN = Path(__file__).parents[2] / "shared/data/human"
CHROMOSOME = make_chromosome(3000)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def fasta(path: Path, lengths: Mapping[str, int]) -> Path:
    """Write contigs that begin with the bases of `CHROMOSOME`."""
    bases = (CHROMOSOME * 100)[: max(lengths.values())]
    path.write_text("".join(f">{name}\n{bases[:bp]}\n" for name, bp in lengths.items()))
    return path


def vcf(path: Path, header: Sequence[str], alleles: Sequence[tuple[str, int]]) -> Path:
    """Write one SNV for each (contig, position), with the base of `CHROMOSOME` as REF."""
    rows = [
        f"{name}\t{pos}\t.\t{CHROMOSOME[pos - 1]}\t{other_base(CHROMOSOME[pos - 1])}\t.\t.\t."
        for name, pos in alleles
    ]
    path.write_text("\n".join(["##fileformat=VCFv4.3", *header, COLUMNS, *rows]) + "\n")
    return path


def scored(
    run: Path,
    genome: Path,
    header: Sequence[str],
    alleles: Sequence[tuple[str, int]],
    capsys: pytest.CaptureFixture[str],
    *more: str,
) -> tuple[list[str], list[str]]:
    """Return the statuses of `bioq variants`, and its lines on stderr after those of statuses."""
    source, out = vcf(run.parent / "in.vcf", header, alleles), run.parent / "out.tsv"
    tokens = ["variants", str(run), str(source), "--genome", str(genome), "--out", str(out)]
    tokens += ["--background", "none"]
    assert main([*tokens, "--force", "--allow-none-scored", *more]) == 0
    lines = capsys.readouterr().err.splitlines()
    return read_tsv(out)["status"].tolist(), [line for line in lines if not line[:1].isspace()]


def test_a_contig_of_another_length_is_not_scored_and_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": 2500, "chrM": 3000})
    header = ["##contig=<ID=chr1,length=2500>", "##contig=<ID=MT,length=2998>"]
    alleles = [("MT", 400), ("chr1", 600), ("MT", 410)]
    statuses, lines = scored(run, genome, header, alleles, capsys)
    assert statuses == ["contig_differs", "scored", "contig_differs"]
    assert lines == [
        "warning: 2 alleles are not scored (contig_differs): MT has 2,998 bases in the VCF and "
        "chrM 3,000 in g.fa. Give the genome of the VCF; if the VCF's header is wrong, correct it "
        "with 'bcftools reheader --fai GENOME.fai'"
    ]


def test_the_mitochondrion_of_hg19_is_not_that_of_grch37(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hg19 = fasta(tmp_path / "hg19.fa", {"chrM": 16_571})
    header = ["##contig=<ID=MT,length=16569,assembly=b37>"]
    statuses, lines = scored(run, hg19, header, [("MT", 400)], capsys)
    assert statuses == ["contig_differs"]
    assert "; the VCF says GRCh37: MT has 16,569 bases in the VCF and chrM 16,571 in" in lines[0]
    assert lines[-1].startswith("warning: its allele was not scored (contig_differs): the contig ")
    assert lines[-1].endswith("Give the genome of the VCF")
    # Without a length, the assembly has it; the genome that has the sequence is scored.
    header = ["##contig=<ID=MT,assembly=b37>"]
    statuses, lines = scored(run, hg19, header, [("MT", 400)], capsys)
    assert statuses == ["contig_differs"]
    lengths = "MT has 16,569 bases by its accession or assembly= and chrM 16,571 in hg19.fa"
    assert lengths in lines[0]
    rcrs = fasta(tmp_path / "rcrs.fa", {"chrM": 16_569})
    assert scored(run, rcrs, header, [("MT", 400)], capsys) == (["scored"], [])


def test_the_builds_of_vcf_and_genome_are_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = write_2bit(tmp_path / "hg.2bit", "chr21", 46_709_983)
    header = ["##contig=<ID=21,length=48129895>"]
    statuses, lines = scored(run, genome, header, [("21", 400)], capsys)
    assert statuses == ["contig_differs"]
    assert "; the VCF says GRCh37, hg.2bit is GRCh38: 21 has 48,129,895 bases" in lines[0]


def test_a_header_that_is_right_gives_no_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "r64.fa", {"chrI": 230_218, "chrM": 3_000})
    header = ["##reference=R64-1-1", "##contig=<ID=I,length=230218,assembly=sacCer3>"]
    alleles = [("I", 400), ("chrM", 400)]
    assert scored(run, genome, header, alleles, capsys) == (["scored", "scored"], [])


def test_a_build_that_only_its_name_contradicts_is_scored_with_a_warning(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "r64.fa", {"chrI": 230_218})
    lengths = ["##contig=<ID=chrI,length=230218,assembly=GRCh38>"]
    for header, reason in (
        (["##reference=GRCh38"], "the header has no lengths to compare"),
        (lengths, "their contigs have the same lengths"),
    ):
        statuses, lines = scored(run, genome, header, [("chrI", 400)], capsys)
        assert statuses == ["scored"]
        assert lines == [
            f"warning: the VCF's header says GRCh38, r64.fa is sacCer3, and {reason}. "
            "The alleles are scored: check that their positions are those of the genome"
        ]


def test_the_first_bases_of_a_contig_are_scored_with_a_warning(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "part.fa", {"22": 3_000})
    header = ["##contig=<ID=22,length=51304566>"]
    statuses, lines = scored(run, genome, header, [("22", 400)], capsys)
    assert statuses == ["scored"]
    assert lines == [
        "warning: 22 has 51,304,566 bases in the VCF and 3,000 in part.fa; the VCF says GRCh37. "
        "Scored as if the shorter were the beginning of the longer; if it is not, give the genome "
        "of the VCF"
    ]


def test_an_accession_is_the_chromosome_of_its_build_only(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "r64.fa", {"chrI": 230_218})
    alleles = [("NC_001133.9", 400), ("BK006935.2", 400), ("NC_001133", 400), ("I", 400)]
    assert scored(run, genome, [], alleles, capsys) == (["scored"] * 4, [])
    named = fasta(tmp_path / "ncbi.fa", {"NC_001133.9": 230_218})
    assert scored(run, named, [], alleles, capsys) == (["scored"] * 4, [])
    other = fasta(tmp_path / "other.fa", {"chrI": 230_217})
    statuses, lines = scored(run, other, [], alleles[:1] + alleles[3:], capsys)
    assert statuses == ["no_contig", "scored"]
    assert lines[0] == (
        "warning: 1 allele is not scored (no_contig): NC_001133.9 is I of sacCer3, and other.fa "
        "is of no known build"
    )


def test_a_build_is_not_named_for_alleles_whose_contig_the_genome_lacks(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "r64.fa", {"chrI": 230_218})
    header = ["##reference=GRCh38.p14"]
    statuses, lines = scored(run, genome, header, [("NC_000001.11", 400)], capsys)
    assert statuses == ["no_contig"]
    assert not any("scored; check" in line for line in lines)


def test_a_contig_of_an_assembly_file_is_no_contig(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": 2500})
    header = ["##assembly=file:///assembly.fa", "##contig=<ID=ctg1,length=40>"]
    alleles = [("<ctg1>", 30), ("chr1", 600)]
    assert scored(run, genome, header, alleles, capsys)[0] == ["no_contig", "scored"]
    out = tmp_path / "out.vcf"
    source = str(tmp_path / "in.vcf")
    assert main(["variants", str(run), source, "--genome", str(genome), "--out", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert "##contig=<ID=ctg1>" in lines
    assert lines[-2].startswith("<ctg1>\t30\t")


def test_the_last_line_reports_that_no_allele_was_scored(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": 2500})
    statuses, lines = scored(run, genome, [], [("7", 400), ("chr1", 2900)], capsys)
    assert statuses == ["no_contig", "outside_contig"]
    assert lines[-1] == (
        "warning: none of its 2 alleles was scored; the most frequent status is no_contig (1): the "
        "genome has no contig of this name. Give the genome of these contigs, or other names of "
        "them with --chrom-alias"
    )


def test_a_swapped_allele_that_is_scored_counts(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = CHROMOSOME[:399] + other_base(CHROMOSOME[399]) + CHROMOSOME[400:2500]
    genome = tmp_path / "g.fa"
    genome.write_text(f">chr1\n{letters}\n")
    one = [("chr1", 400)]
    assert "Give --score-swapped, or the genome of" in scored(run, genome, [], one, capsys)[1][-1]
    lines = scored(run, genome, [], one, capsys, "--score-swapped")[1]
    assert not any("was scored" in line for line in lines)


@pytest.mark.skipif(not HUMAN.is_dir(), reason="needs the real data in ../shared/data")
def test_real_variants_are_scored_on_the_first_bases_of_their_chromosome(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome, source = HUMAN / "grch37_part.fa.gz", HUMAN / "exac.chr22.vcf.gz"
    out = tmp_path / "out.tsv"
    tokens = ["variants", str(run), str(source), "--genome", str(genome), "--out", str(out)]
    assert main(tokens) == 0
    assert set(read_tsv(out)["status"]) == {"scored"}
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: 22 has 51,304,566 bases in the VCF and 22,000,000 in")


def test_a_background_of_which_nothing_could_be_scored_gives_the_reasons(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chrM": 3000})
    source = vcf(tmp_path / "in.vcf", ["##contig=<ID=MT,length=2998>"], [("MT", 400)])
    out = tmp_path / "background.npz"
    tokens = ["background", str(run), str(source), "--genome", str(genome), "--out", str(out)]
    assert main(tokens) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "MT has 2,998 bases in the VCF and chrM 3,000 in g.fa" in lines[2]
    assert "no variant could be scored; see the table of statuses" in lines[3]
    assert not out.exists()


def write(path: Path, rows: Sequence[tuple[str, int, str, str]], header: str = "") -> Path:
    lines = [f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n" for chrom, pos, ref, alt in rows]
    path.write_text((header or f"##fileformat=VCFv4.3\n{COLUMNS}\n") + "".join(lines))
    return path


def notes_of(
    command: str, run: Path, source: Path, genome: Path, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """Return the lines of a command after the table of statuses."""
    out = run.parent / ("out.npz" if command == "background" else "out.tsv")
    tokens = [command, str(run), str(source), "--genome", str(genome), "--out", str(out)]
    none = ["--allow-none-scored", "--background", "none"]
    tokens += none if command == "variants" else []
    assert main([*tokens, "--force"]) == 0
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if not line[:1].isspace()]


@pytest.mark.parametrize("command", ["variants", "background"])
@pytest.mark.parametrize(("shift", "words"), [(-1, "counted from 0"), (1, "counted from 2")])
def test_positions_that_are_counted_from_0_are_named(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    shift: int,
    words: str,
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": 3000})
    bases = [(pos, CHROMOSOME[pos - 1]) for pos in range(300, 700, 7)]
    rows = [("chr1", pos + shift, base, other_base(base)) for pos, base in bases]
    lines = notes_of(command, run, write(tmp_path / "in.vcf", rows), genome, capsys)
    (line,) = [line for line in lines if "warning" in line or "?" in line]
    assert line.startswith(f"warning: the positions seem to be {words}; a VCF counts from 1. Of ")
    assert "another genome build" not in line


def test_another_build_is_not_taken_for_positions_from_0(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": 3000})
    bases = [(pos, CHROMOSOME[pos + 50]) for pos in range(300, 700, 7)]
    rows = [("chr1", pos, base, other_base(base)) for pos, base in bases]
    (line,) = notes_of("variants", run, write(tmp_path / "in.vcf", rows), genome, capsys)
    assert line.endswith("of g.fa as REF: is the VCF of another genome build?")


def test_a_hard_masked_genome_is_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = tmp_path / "masked.fa"
    genome.write_text(f">chr1\n{CHROMOSOME[:500]}{'N' * 100}{CHROMOSOME[600:]}\n")
    places = [300, 400, 520, 530, 540]
    rows = [("chr1", pos, CHROMOSOME[pos - 1], other_base(CHROMOSOME[pos - 1])) for pos in places]
    (line,) = notes_of("variants", run, write(tmp_path / "in.vcf", rows), genome, capsys)
    assert line.startswith("warning: 3 alleles are not scored (ref_mismatch): masked.fa has N at")


def test_codes_of_plink_are_named_where_the_genome_has_their_chromosome(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": 3000, "chrX": 3000, "chrM": 3000})
    base = CHROMOSOME[399]
    names = ["1", "23", "chr23", "24", "25", "26", "XY"]
    rows = [(name, 400, base, other_base(base)) for name in names]
    source = write(tmp_path / "in.vcf", rows)
    (line,) = notes_of("variants", run, source, genome, capsys)
    assert line.startswith("warning: 5 alleles are not scored (no_contig); as codes of plink")
    for meaning in ("23 is chrX", "chr23 is chrX", "25 is chrX", "26 is chrM", "XY is chrX"):
        assert meaning in line
    assert "24 is" not in line
    fish = fasta(tmp_path / "fish.fa", {"chr1": 3000, "chr23": 3000})
    assert not any("plink" in line for line in notes_of("variants", run, source, fish, capsys))


@pytest.mark.parametrize("command", ["variants", "background"])
def test_bed_of_variants_is_refused_by_the_commands(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": 3000})
    source, out = tmp_path / "in.bed", tmp_path / "out.npz"
    out = out if command == "background" else tmp_path / "out.tsv"
    source.write_text(
        "".join(f"chr1\t{pos - 1}\t{pos}\t{CHROMOSOME[pos - 1]}\tN\n" for pos in range(300, 400))
    )
    tokens = [command, str(run), str(source), "--genome", str(genome), "--out", str(out)]
    assert main(tokens) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "in.bed:1: looks like BED" in line
    assert not out.exists()


def test_alleles_that_do_not_fit_are_asked_about_unless_they_are_few(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": 2500})
    fit = [("chr1", 600 + 10 * at) for at in range(5)]
    assert scored(run, genome, [], [*fit, ("chr7", 600), ("chr8", 600)], capsys)[1] == []
    absent = [("chr7", 600), ("chr8", 600), ("chr9", 600)]
    assert scored(run, genome, [], [*fit, *absent], capsys)[1] == [
        "warning: 3 of 8 alleles are on contigs that g.fa does not have (chr7, chr8, chr9; it has "
        "chr1): is it the right genome? If it is, --chrom-alias on the command line gives other "
        "names of contigs"
    ]


def test_contigs_that_a_warning_explains_are_not_asked_about_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chrX": 2500})
    lines = scored(run, genome, [], [("23", 600), ("XY", 600)], capsys)[1]
    assert len(lines) == 2
    assert "codes of plink" in lines[0]
    assert "the most frequent status is no_contig (2): the genome has no contig" in lines[1]

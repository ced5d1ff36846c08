"""The same texts are inputs of every command; outputs that exist are replaced with --force only."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from variant_cases import make_chromosome, make_run, other_base, read_tsv, write_vcf

import bioq
from bioq import UsageError, dna
from bioq.cli import main
from bioq.forward import predict_codes
from bioq.genome import ContigNames, open_genome
from bioq.inputs import find_place

CHROMOSOME = make_chromosome()
POS = 500
REF, ALT = CHROMOSOME[POS - 1], other_base(CHROMOSOME[POS - 1])
VARIANT = f"chr1:{POS}:{REF}>{ALT}"
WINDOWS = ["predict", "mutagenesis", "attribution"]
COMMANDS = [*WINDOWS, "variants"]
MORE = {"mutagenesis": ["--span-bp", "4"], "attribution": ["--span-bp", "4", "--steps", "2"]}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{CHROMOSOME}\n")
    return path


def failed(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line of stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("bioq: ")
    return lines[-1]


def probability(run: Path, windows: list[str]) -> np.ndarray:
    return bioq.predict(run, windows)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("chr1:400-", "is not a file, "),
        ("chr1:500:", "is not a file, "),
        ("chr1:500:A>", "is not a file, "),
        ("rs7412", "it is a name in dbSNP"),
        ("peaks.bed", "no such file; expected a "),
        ("folder/chr1:1.bed", "no such file; expected a "),
        ("chr9:500:A>C", "no contig"),
    ],
)
def test_a_misspelt_place_is_answered_in_the_same_words(
    command: str,
    text: str,
    words: str,
    run: Path,
    genome: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.tsv"
    tokens = [command, str(run), text, "--genome", str(genome), "--out", str(out)]
    assert main(tokens) in (1, 2)
    line = failed(capsys)
    if command == "variants" and text.startswith("chr9"):
        assert "(no_contig)" in line
    else:
        assert words in line
        assert "CONTIG:POS:REF>ALT" in line or "contig" in line
    assert not list(tmp_path.glob("out.tsv.partial"))


@pytest.mark.parametrize("command", WINDOWS)
def test_a_misspelt_place_shows_a_region_of_the_genome(
    command: str, run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out.tsv")]
    assert main([command, str(run), "chr1:400-", "--genome", str(genome), *out]) == 2
    assert "a region is CONTIG:START-END, as chr1:1-200, a variant is " in failed(capsys)
    assert main([command, str(run), "chr1:401-600", *out]) == 2
    assert "chr1:401-600: is a position on a genome; give --genome" in failed(capsys)
    assert main([command, str(run), "x.fa", *out]) == 1
    assert "x.fa: no such file; expected FASTA or, with --genome, BED, a region" in failed(capsys)


def test_a_contig_that_is_almost_one_of_many_is_suggested(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = tmp_path / "g.fa"
    genome.write_text("".join(f">scaffold_{number}\n{CHROMOSOME}\n" for number in range(40)))
    tokens = [str(run), "scafold_7:1-9", "--genome", str(genome), "--out", str(tmp_path / "o.tsv")]
    assert main(["predict", *tokens]) == 1
    line = failed(capsys)
    assert "has no contig 'scafold_7'; did you mean scaffold_7" in line


def test_a_file_comes_before_a_place(genome: Path, tmp_path: Path) -> None:
    with open_genome(genome) as opened, pytest.MonkeyPatch.context() as patch:
        names = ContigNames(opened)
        patch.chdir(tmp_path)
        assert find_place("chr1:1-5", names, files="BED file") is not None
        (tmp_path / "chr1:1-5").write_text("chr1\t1\t5\n")
        assert find_place("chr1:1-5", names, files="BED file") is None
        assert find_place("-", names, files="BED file") is None


def test_a_region_is_predicted_as_the_bed_of_it_is(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bed = tmp_path / "in.bed"
    bed.write_text("chr1\t400\t530\n")
    outs = [tmp_path / "bed.tsv", tmp_path / "region.tsv"]
    for source, out in zip([str(bed), "chr1:4,01-5,30"], outs, strict=True):
        assert main(["predict", str(run), source, "--genome", str(genome), "--out", str(out)]) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert len(read_tsv(outs[0])) == 4
    tracks = ["--genome", str(genome), "--out", str(tmp_path / "t.bw")]
    assert main(["predict", str(run), "chr1:401-530", *tracks]) == 0
    assert main(["predict", str(run), VARIANT, *tracks]) == 2
    assert "bigWig has one value per base, and a variant has two windows" in failed(capsys)


@pytest.mark.parametrize(
    ("ref", "alt"), [(REF, ALT), (REF, f"{REF}GATTACA"), (CHROMOSOME[POS - 1 : POS + 4], REF)]
)
def test_a_variant_is_predicted_with_ref_and_with_alt(
    ref: str, alt: str, run: Path, genome: Path, tmp_path: Path
) -> None:
    """The windows are those of `bioq variants`: the first base of REF at index 99 of 200."""
    common = ["--genome", str(genome), "--out"]
    place, out, scores = f"chr1:{POS}:{ref}>{alt}", tmp_path / "p.tsv", tmp_path / "v.tsv"
    assert main(["predict", str(run), place, *common, str(out)]) == 0
    table = pd.read_csv(out, sep="\t")
    assert table["name"].tolist() == [f"ref {ref}", f"alt {alt}"]
    first = POS - 1 - 99
    edited = CHROMOSOME[: POS - 1] + alt + CHROMOSOME[POS - 1 + len(ref) :]
    windows = [text[first : first + 200] for text in (CHROMOSOME, edited)]
    probabilities = table[["probability:first", "probability:second"]].to_numpy()
    np.testing.assert_allclose(probabilities, probability(run, windows), atol=1e-6)
    bins = [(first + 80, first + 120), (first + 80, first + 120 + len(ref) - len(alt))]
    assert list(zip(table["start"], table["end"], strict=True)) == bins
    assert main(["variants", str(run), place, *common, str(scores)]) == 0
    scored = read_tsv(scores)
    for row, score in enumerate(("ref", "alt")):
        values = scored[[f"{score}:first", f"{score}:second"]].to_numpy()[0]
        np.testing.assert_allclose(probabilities[row], values, atol=1e-6)


def test_a_variant_at_the_end_of_its_contig_has_bins_on_the_contig(
    run: Path, genome: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.tsv"
    place = f"chr1:2:{CHROMOSOME[1]}>{other_base(CHROMOSOME[1])}"
    assert main(["predict", str(run), place, "--genome", str(genome), "--out", str(out)]) == 0
    assert pd.read_csv(out, sep="\t")[["start", "end"]].to_numpy().tolist() == [[0, 22]] * 2


def test_typed_variants_are_scored_as_those_of_a_vcf(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("chr1", pos, ".", CHROMOSOME[pos - 1], "A,CTT") for pos in (300, 500)]
    vcf, outs = write_vcf(tmp_path / "in.vcf", rows), [tmp_path / "a.tsv", tmp_path / "b.tsv"]
    typed = [f"chr1:{pos}:{ref}>{alts}" for _, pos, _, ref, alts in rows]
    for source, out in zip([[str(vcf)], typed], outs, strict=True):
        tokens = ["variants", str(run), *source, "--genome", str(genome), "--out", str(out)]
        assert main(tokens) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    (table,) = bioq.score_variants(bioq.load(run), typed, genome)
    assert table["alt"].tolist() == ["A", "CTT"] * 2
    capsys.readouterr()
    common = ["--genome", str(genome), "--out", str(tmp_path / "c.tsv")]
    for sources, message in (
        ([str(vcf), typed[0]], "is one of 2 inputs; give one VCF, or one or more variants"),
        (["chr1:1-50"], "is a region, and variants are scored; write CONTIG:POS:REF>ALT, or give"),
        (["chr1:50"], "is not a file, and not a variant; a variant is CONTIG:POS:REF>ALT"),
        ([f"chr1 {POS} {POS + 1} {REF} {ALT}"], "looks like BED, with positions counted from 0"),
        (["chr1:x:A>C"], "is not a file, and not a variant"),
    ):
        assert main(["variants", str(run), *sources, *common]) == 2, sources
        assert message in failed(capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_option_is_not_an_input(
    command: str, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = [command, "run", VARIANT, "--genome", str(genome), "--out", str(tmp_path / "o.tsv")]
    assert main([*tokens, "--chromalias", "x"]) == 2
    assert "Unknown option: --chromalias. Did you mean --chrom-alias?" in failed(capsys)


@pytest.mark.parametrize("command", WINDOWS)
@pytest.mark.parametrize("is_file", [True, False])
def test_other_names_of_contigs_are_read_by_every_command(
    command: str,
    is_file: bool,
    run: Path,
    genome: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alias, bed, out = tmp_path / "alias.tsv", tmp_path / "in.bed", tmp_path / "o.tsv"
    alias.write_text("eins\tchr1\n")
    bed.write_text("eins\t499\t503\n")
    source = str(bed) if is_file else "eins:500-503"
    tokens = [command, str(run), source, "--genome", str(genome), *MORE.get(command, [])]
    assert main([*tokens, "--out", str(out)]) == 1
    assert "no contig 'eins'; it has chr1" in failed(capsys)
    assert main([*tokens, "--out", str(out), "--chrom-alias", str(alias)]) == 0
    assert set(pd.read_csv(out, sep="\t")["chrom"]) == {"eins"}
    fasta = [command, str(run), str(genome), "--out", str(out), "--chrom-alias", str(alias)]
    assert main([*fasta, "--force"]) == 2
    assert "--chrom-alias has names of the genome's contigs; give --genome too" in failed(capsys)


Paths = list[Path]


def outputs_of(command: str, folder: Path) -> tuple[list[str], Paths]:
    """Return the output options of a command, and the files that it writes."""
    if command == "deepsea":
        files = [folder / f"o.out.{ending}" for ending in ("ref", "alt", "diff", "logfoldchange")]
        return ["--format", "deepsea", "--out", str(folder / "o")], files
    if command == "tracks":
        files = [folder / f"o.{name}.bw" for name in ("first", "second")]
        return ["--out", str(folder / "o.bw")], files
    if command == "figure":
        files = [folder / "o.npz", folder / "o.png"]
        return ["--out", str(files[0]), "--figure", str(files[1])], files
    ending = "npz" if command == "background" else "tsv"
    return ["--out", str(folder / f"o.{ending}")], [folder / f"o.{ending}"]


NAME_OF = {"deepsea": "variants", "tracks": "predict", "figure": "mutagenesis"}


@pytest.mark.parametrize("kind", [*COMMANDS, *NAME_OF, "background"])
def test_no_file_is_replaced_without_force_and_nothing_is_computed_before(
    kind: str,
    run: Path,
    genome: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = NAME_OF.get(kind, kind)
    source = "chr1:401-440" if kind == "tracks" else VARIANT
    options, files = outputs_of(kind, tmp_path)
    tokens = [command, str(run), source, "--genome", str(genome), *options, *MORE.get(command, [])]
    files[-1].write_text("mine")

    def none(*_: object, **__: object) -> None:
        raise AssertionError("computed")

    with monkeypatch.context() as patch:
        for module in ("prediction.predictor.predict_codes", "interpretation.jobs.mutate_window",
                       "interpretation.attribution.expected_gradients",
                       "variants.scoring.predict_edits"):  # fmt: skip
            patch.setattr(f"bioq.{module}", none)
        assert main(tokens) == 1
    assert failed(capsys) == (
        f"bioq: {files[-1]}: exists already; give another name, or --force to replace it"
    )
    assert files[-1].read_text() == "mine"
    assert [file for file in files if file.exists()] == files[-1:]
    assert main([*tokens, "--force"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(file) for file in files]
    assert files[-1].read_bytes() != b"mine"
    with monkeypatch.context() as patch:  # the old output stays until the new one is complete
        old = files[-1].read_bytes()
        for module in ("prediction.predictor.predict_codes", "interpretation.jobs.mutate_window",
                       "interpretation.attribution.expected_gradients",
                       "variants.scoring.predict_edits"):  # fmt: skip
            patch.setattr(f"bioq.{module}", interrupt)
        assert main([*tokens, "--force"]) == 130
        assert files[-1].read_bytes() == old


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_replacement_is_resumed_or_begun_again(
    run: Path,
    genome: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "o.tsv"
    out.write_text("mine")
    tokens = ["predict", str(run), VARIANT, "--genome", str(genome), "--out", str(out)]
    tokens += ["--batch-size", "1"]
    batches = iter([predict_codes])  # the first batch is predicted and kept
    with monkeypatch.context() as patch:
        patch.setattr(
            "bioq.prediction.predictor.predict_codes",
            lambda *given, **named: next(batches, interrupt)(*given, **named),
        )
        assert main([*tokens, "--force"]) == 130
    capsys.readouterr()
    assert main(tokens) == 2
    assert "add --resume to continue it, or --force to begin again" in failed(capsys)
    assert main([*tokens, "--resume", "--force"]) == 2
    assert "give one of the two" in failed(capsys)
    assert out.read_text() == "mine"
    assert main([*tokens, "--resume"]) == 0
    assert len(read_tsv(out)) == 2
    assert not list(tmp_path.glob("*.partial"))
    assert main([*tokens, "--resume"]) == 2
    assert "is already complete; run without --resume" in failed(capsys)


@pytest.mark.parametrize("command", WINDOWS)
def test_neither_an_input_nor_a_folder_is_replaced(
    command: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, folder = tmp_path / "in.tsv", tmp_path / "out.tsv"
    source.write_text(f">s\n{CHROMOSOME[:200]}\n")
    folder.mkdir()
    for out, message in ((source, "is the input"), (folder, "is a folder; give the name of a")):
        tokens = [command, str(run), str(source), "--out", str(out), "--force"]
        assert main(tokens) in (1, 2)
        assert message in failed(capsys)
    assert source.read_text().startswith(">s")


@pytest.mark.parametrize("command", WINDOWS)
def test_no_file_that_a_command_reads_is_replaced(
    command: str, run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reads = {"--genome": tmp_path / "genome.tsv", "--chrom-alias": tmp_path / "alias.tsv"}
    shutil.copy(genome, reads["--genome"])
    contig = genome.read_text()[1:].split()[0]
    reads["--chrom-alias"].write_text(f"# a\tb\n{contig}\tother\n")
    given = [text for item in reads.items() for text in map(str, item)]
    for out in (*reads.values(), run / "targets.tsv"):
        before = out.read_bytes()
        tokens = [command, str(run), f"{contig}:101-140", *given, "--out", str(out), "--force"]
        assert main(tokens) == 2
        assert f"{out}: is the input; give another name" in failed(capsys)
        assert out.read_bytes() == before


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_a_pipe_or_a_device_is_never_replaced(
    make: Callable[[Path], None],
    run: Path,
    genome: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "o.tsv"
    make(out)
    tokens = ["predict", str(run), VARIANT, "--genome", str(genome), "--out", str(out), "--force"]
    assert main(tokens) == 1
    assert "is a pipe or a device, and the output is a file that appears when" in failed(capsys)
    assert not out.is_file()


def test_a_vcf_of_which_no_allele_is_scored_ends_with_1_unless_that_is_allowed(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vcf, out = write_vcf(tmp_path / "in.vcf", [("7", 5, ".", "A", "C")] * 2), tmp_path / "o.tsv"
    tokens = ["variants", str(run), str(vcf), "--genome", str(genome), "--out", str(out)]
    assert main(tokens) == 1
    assert failed(capsys) == (
        f"bioq: {out}: is complete, but none of its 2 alleles was scored; the most frequent status "
        "is no_contig (2): the genome has no contig of this name. Give the genome of these "
        "contigs, or other names of them with --chrom-alias; with --allow-none-scored this is not "
        "an error"
    )
    assert read_tsv(out)["status"].tolist() == ["no_contig"] * 2
    assert main([*tokens, "--force", "--allow-none-scored"]) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("warning: none of its 2 alleles was scored; the most frequent status")
    with pytest.raises(UsageError, match="is a region"):
        next(iter(bioq.score_variants(bioq.load(run), "chr1:1-5", genome)))


def test_a_sequence_is_the_window_that_a_fasta_gives(run: Path, tmp_path: Path) -> None:
    bases, fasta, out = CHROMOSOME[:200].lower(), tmp_path / "x.fa", tmp_path / "o.tsv"
    fasta.write_text(f">s\n{bases}\n")
    assert main(["predict", str(run), str(fasta), "--out", str(out)]) == 0
    table = pd.read_csv(out, sep="\t")[["probability:first", "probability:second"]].to_numpy()
    np.testing.assert_allclose(table, bioq.predict(run, bases), atol=1e-6)
    hot = dna.one_hot(dna.encode(bases)[None])
    np.testing.assert_allclose(table, bioq.predict(bioq.load(run), hot), atol=1e-6)

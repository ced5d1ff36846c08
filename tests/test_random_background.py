"""Random SNVs of a genome, and the background that a run has by default."""

import hashlib
import io
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from download_site import Site
from hypothesis import given, settings
from hypothesis import strategies as st
from variant_cases import make_chromosome, make_run, random_rows, read_tsv, write_vcf

import bioq
from bioq import BioqError, dna
from bioq.cli import main
from bioq.errors import UsageError
from bioq.genome import open_genome
from bioq.inputs import RandomSnvs, random_snvs
from bioq.inputs.random_snvs import CPG_SHARE, draw_snvs
from bioq.runs.fetched import is_run_file
from bioq.runs.named import resolve_run
from bioq.variants import (
    VariantTableOptions,
    own_background,
    read_background,
    run_background,
    score_variants,
)

Allele = tuple[str, int, str, str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_genome(tmp_path / "genome.fa", {"1": make_chromosome()})


def write_genome(path: Path, contigs: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{letters}\n" for name, letters in contigs.items()))
    return path


def drawn(path: Path, snvs: RandomSnvs) -> list[Allele]:
    with open_genome(path) as genome:
        alleles = draw_snvs(genome, snvs)
    return [(each.chrom, each.pos, each.ref, each.alt) for each in alleles.variants()]


def all_alleles(contigs: dict[str, str]) -> tuple[set[Allele], set[Allele]]:
    """Return every possible SNV: C>T and G>A in a CpG, and the others."""
    in_cpg, others = set(), set()
    for name, letters in contigs.items():
        text = letters.upper()
        for index, ref in enumerate(text):
            for alt in set("ACGT") - {ref} if ref in "ACGT" else ():
                is_c = ref + alt == "CT" and text[index + 1 : index + 2] == "G"
                is_g = ref + alt == "GA" and index > 0 and text[index - 1] == "C"
                (in_cpg if is_c or is_g else others).add((name, index + 1, ref, alt))
    return in_cpg, others


CONTIGS = st.dictionaries(
    st.sampled_from(["a", "b", "chr1"]), st.text("ACGTNacgM", min_size=1, max_size=40), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(contigs=CONTIGS, data=st.data(), piece_bp=st.integers(1, 50))
def test_every_possible_snv_can_be_drawn_once(
    tmp_path_factory: pytest.TempPathFactory,
    contigs: dict[str, str],
    data: st.DataObject,
    piece_bp: int,
) -> None:
    path = write_genome(tmp_path_factory.mktemp("g") / "g.fa", contigs)
    in_cpg, others = all_alleles(contigs)
    everything = in_cpg | others
    if not everything:
        with pytest.raises(BioqError, match="has no known base"):
            drawn(path, RandomSnvs(random=1, cpg=0.0))
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_snvs, "_PIECE_BP", piece_bp)  # contigs of several pieces
        share = len(in_cpg) / len(everything)
        assert set(drawn(path, RandomSnvs(random=len(everything), cpg=share))) == everything
        number = data.draw(st.integers(1, len(everything)))
        some = drawn(path, RandomSnvs(random=number, cpg=share, seed=number))
    assert len(set(some)) == len(some) == number
    assert len(in_cpg.intersection(some)) == round(share * number)
    assert set(some) <= everything
    order = [(list(contigs).index(chrom), pos, alt) for chrom, pos, _, alt in some]
    assert order == sorted(order)
    assert some == drawn(path, RandomSnvs(random=number, cpg=share, seed=number))


def test_the_snvs_are_the_same_on_every_machine(genome: Path) -> None:
    with open_genome(genome) as opened:
        digest = draw_snvs(opened, RandomSnvs(random=100, seed=5, cpg=0.05)).sha256()
    assert digest == "1e6c89fefab1a8f09f8c2bbb70118c567257aaa6eb0f7dc3e707a4c4033e8c02"


def test_alleles_of_a_kind_are_equally_likely(tmp_path: Path) -> None:
    contigs = {"1": "ACGTTNCGATTGCA", "2": "C", "3": "GACG"}
    path = write_genome(tmp_path / "g.fa", contigs)
    kinds = all_alleles(contigs)
    counts = Counter(
        allele
        for seed in range(300)
        for allele in drawn(path, RandomSnvs(random=10, cpg=0.3, seed=seed))
    )
    for alleles, number in zip(kinds, (3, 7), strict=True):
        expected = 300 * number / len(alleles)
        found = np.array([counts[allele] for allele in alleles])
        assert found.sum() == 300 * number
        assert (np.abs(found - expected) < 5 * np.sqrt(expected)).all()


def test_the_share_of_cpg_depends_on_the_genome(tmp_path: Path) -> None:
    uniform = dna.decode(np.random.default_rng(0).integers(0, 4, 20_000).astype(np.uint8))
    depleted = re.sub("CG", lambda found: "CA" if found.start() % 4 else "CG", uniform)
    for letters, is_depleted in ((uniform, False), (depleted, True)):
        contigs = {"1": letters}
        path = write_genome(tmp_path / "g.fa", contigs)
        in_cpg, others = all_alleles(contigs)
        natural = len(in_cpg) / len(in_cpg | others)
        for share, expected in (
            (None, CPG_SHARE if is_depleted else natural),
            (0.0, 0),
            (0.4, 0.4),
        ):
            alleles = drawn(path, RandomSnvs(random=1000, cpg=share))
            assert len(in_cpg.intersection(alleles)) == round(expected * 1000)


@pytest.mark.parametrize(
    ("letters", "snvs", "problem"),
    [
        ("NNNN", RandomSnvs(random=5), "has no known base"),
        ("ACGT", RandomSnvs(random=50, cpg=0.0), "has 10 possible other SNVs, and 50"),
        ("ACGT", RandomSnvs(random=5, cpg=0.6), "has 2 possible C>T or G>A in a CpG, and 3"),
    ],
)
def test_more_snvs_than_the_genome_has_are_refused(
    letters: str, snvs: RandomSnvs, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(BioqError) as error:
        drawn(write_genome(tmp_path / "g.fa", {"1": letters}), snvs)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_background_of_random_snvs_is_that_of_the_same_vcf(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = [str(run), "--genome", str(genome)]
    assert main(["background", *tokens, "--random", "90", "--seed", "3", "--cpg", "0.1"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{run / 'background.npz'}\n"
    assert "90 random SNVs of" in shown.err
    assert "seed 3; 9 of them are C>T or G>A in a CpG" in shown.err
    alleles = drawn(genome, RandomSnvs(random=90, seed=3, cpg=0.1))
    vcf = write_vcf(tmp_path / "same.vcf", [(c, p, ".", ref, alt) for c, p, ref, alt in alleles])
    given = tmp_path / "given.npz"
    assert main(["background", str(run), str(vcf), *tokens[1:], "--out", str(given)]) == 0
    random, same = read_background(run / "background.npz"), read_background(given)
    assert random.variants == same.variants == 90
    with np.load(random.path) as one, np.load(same.path) as other:
        assert one.files == other.files
        for name in set(one.files) - {"about"}:
            np.testing.assert_array_equal(one[name], other[name])
    about = random.provenance
    assert about["random_snvs"] == {"random": 90, "seed": 3, "cpg": 0.1, "in_cpg": 9}
    assert about["vcf"] == "90 random SNVs, seed 3"
    assert "random_snvs" not in same.provenance


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ([], "no variants are given; expected a VCF of common variants, or --random 100000"),
        (["in.vcf", "--random", "9"], "in.vcf with --random"),
        (["in.vcf", "--seed", "9"], "--seed belongs to --random"),
        (["--cpg", "0.1"], "--cpg belongs to --random"),
        (["--random", "0"], "--random 0, expected 1 or more"),
        (["--random", "9", "--cpg", "1"], "--cpg 1.0, expected 0 or more, below 1"),
        (["--random", "9", "--seed", "-1"], "--seed -1, expected 0 or more"),
    ],
)
def test_wrong_options_of_a_background_are_one_line(
    tokens: Sequence[str], problem: str, run: Path, genome: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["background", str(run), *tokens, "--genome", str(genome)]) == 2
    shown = capsys.readouterr().err
    assert problem in shown
    assert len(shown.splitlines()) == 1
    assert not (run / "background.npz").exists()


def test_variants_use_the_background_of_the_run(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vcf = write_vcf(tmp_path / "in.vcf", random_rows(make_chromosome(), 12))
    tokens = ["variants", str(run), str(vcf), "--genome", str(genome), "--force", "--out"]
    out = tmp_path / "out.tsv"
    assert main([*tokens, str(out)]) == 0
    note = f"note: {run} has no background, so score_phred is empty"
    assert note in capsys.readouterr().err
    assert main([*tokens, str(out), "--background", "none"]) == 0
    assert note not in capsys.readouterr().err
    without = out.read_bytes()
    assert main(["background", str(run), "--random", "90", "--genome", str(genome)]) == 0
    own = run / "background.npz"
    capsys.readouterr()
    assert main([*tokens, str(out)]) == 0
    shown = capsys.readouterr().err
    assert f"{own}: the background of the run" in shown
    assert note not in shown
    by_default = out.read_bytes()
    assert "evalue:first" in read_tsv(out)
    elsewhere = tmp_path / "elsewhere.npz"
    shutil.copyfile(own, elsewhere)
    assert main([*tokens, str(out), "--background", str(elsewhere)]) == 0
    assert out.read_bytes() == by_default
    assert main([*tokens, str(out), "--background", "none"]) == 0
    assert out.read_bytes() == without
    assert main([*tokens, str(out), "--scores", "evalue"]) == 0
    assert main([*tokens, str(tmp_path / "sea"), "--format", "deepsea"]) == 0
    assert f"{tmp_path / 'sea.out.evalue'}\n" in capsys.readouterr().out
    frame = next(score_variants(bioq.load(run), vcf, genome))
    np.testing.assert_allclose(
        frame["evalue:first"].to_numpy(dtype=float),
        next(score_variants(bioq.load(run), vcf, genome, background=own))["evalue:first"],
    )
    for model in (bioq.load(run), bioq.load(run, calibrated=False)):
        background = "none" if model.folder else None
        assert "evalue:first" not in next(score_variants(model, vcf, genome, background=background))


def test_a_background_of_other_weights_is_refused(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_run(tmp_path / "other", seed=2)
    tokens = ["--genome", str(genome)]
    assert main(["background", str(other), "--random", "50", *tokens]) == 0
    shutil.copyfile(other / "background.npz", run / "background.npz")
    vcf = write_vcf(tmp_path / "in.vcf", random_rows(make_chromosome(), 3))
    tokens = ["variants", str(run), str(vcf), *tokens, "--out", str(tmp_path / "out.tsv")]
    capsys.readouterr()
    assert main(tokens) == 1
    assert "or score without one: --background none" in capsys.readouterr().err
    assert not (tmp_path / "out.tsv").exists()
    assert main([*tokens, "--background", "none"]) == 0


def test_the_time_of_a_background_is_told_after_the_first_block(
    run: Path, genome: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = ["background", str(run), "--genome", str(genome), "--force", "--random"]
    for number, is_told in (("90", False), ("1100", True)):
        assert main([*tokens, number]) == 0
        assert ("1,100 alleles take about " in capsys.readouterr().err) == is_told


def test_held_out_predictions_have_no_background(run: Path, genome: Path) -> None:
    assert main(["background", str(run), "--random", "50", "--genome", str(genome)]) == 0
    assert VariantTableOptions().of_run(run).background_file == run / "background.npz"
    assert VariantTableOptions(held_out=True).of_run(run).background_file is None
    none = VariantTableOptions(background=Path("none"))
    assert none.of_run(run) == none.of_run(run).of_run(run)
    assert none.of_run(run).background_file is None


def test_the_background_belongs_to_the_run(run: Path, genome: Path, tmp_path: Path) -> None:
    assert run_background(run) is None
    tokens = ["background", str(run), "--random", "50", "--genome", str(genome)]
    assert main(tokens) == 0
    assert main(tokens) == 1  # it exists
    assert main([*tokens, "--force"]) == 0
    assert run_background(run) == own_background(run) == run / "background.npz"
    assert is_run_file("background.npz")
    with pytest.raises(UsageError, match=r"name a file with --out FILE\.npz, or copy the run"):
        own_background(resolve_run("yeast"))
    (run / "background.npz").unlink()
    (run / "background.npz").symlink_to(genome)
    with pytest.raises(BioqError, match="leads out of the folder"):
        run_background(run)


def test_a_run_at_an_address_brings_its_background(
    run: Path, genome: Path, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))
    assert main(["background", str(run), "--random", "50", "--genome", str(genome)]) == 0
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in run.iterdir():
            archive.write(file, file.name)
    site.files["/run.zip"] = content.getvalue()
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    address = f"{site.server}/run.zip#sha256={digest}"
    fetched = run_background(address)
    assert fetched is not None
    assert fetched.read_bytes() == (run / "background.npz").read_bytes()
    tokens = ["variants", address, "1:300:" + make_chromosome()[299] + ">T", "--genome"]
    assert (
        main([*tokens, str(genome), "--out", str(tmp_path / "o.tsv"), "--allow-none-scored"]) == 0
    )
    assert "evalue:first" in read_tsv(tmp_path / "o.tsv")
    refused = ["background", address, "--random", "50", "--genome", str(genome)]
    assert main(refused) == 2


def test_the_card_and_the_list_of_runs_name_the_background(
    run: Path, genome: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = bioq.write_card(run)
    assert "## Background" not in card.read_text("utf-8")
    tokens = ["background", str(run), "--random", "50", "--genome", str(genome)]
    assert main(tokens) == 0
    assert f"card: {card}\n" in capsys.readouterr().out
    text = " ".join(card.read_text("utf-8").split())
    assert "`background.npz` has the effects of 50 variants on every target" in text
    assert "50 random SNVs, seed 0, of the genome genome.fa." in text
    assert main(["models"]) == 0
    heading, _, *rows = capsys.readouterr().out.splitlines()
    column = heading.index("background")
    found = {row.split()[0]: row[column:].split()[0] for row in rows}
    assert (found["yeast"], found["deepsea"]) == ("yes", "no")

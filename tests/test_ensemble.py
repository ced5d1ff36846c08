"""An ensemble: the run folder of several runs, which every command takes as any run."""

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pysam
import pytest
import sklearn.metrics
import torch
from calibrated_run import floor, give_calibration
from test_calibration import data_for
from test_prediction import fasta
from variant_cases import make_chromosome, make_run, random_rows, read_tsv, write_vcf

import bioq
from bioq import BioqError, ModelSizes, UsageError, dna
from bioq.cli import main
from bioq.dataset import Dataset
from bioq.evaluation.files import read_evaluation
from bioq.forward import predict_edits
from bioq.interpretation import integrated_gradients, mutate_window
from bioq.prediction import predict_file
from bioq.runs.calibration import CalibrationMap, read_calibration
from bioq.runs.folder import MOST_MEMBERS, read_config
from bioq.runs.trained_model import fingerprint_of, load, members_of
from bioq.runs.weights import predictions_identity, save_weights
from bioq.variants import (
    COLUMNS,
    VariantJob,
    VariantOptions,
    VariantTableOptions,
    make_background,
    write_variants,
)

PLATT = CalibrationMap(scale=0.7, shift=-0.4, lowest=0.01)
WORDS = {"member": floor(0.125), "ensemble": PLATT}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three runs of one data set with different fast paths; do not change them."""
    folder = tmp_path_factory.mktemp("runs")
    small = ModelSizes(filters=8, dense_units=8)
    return [
        make_run(folder / "danq", seed=1),
        make_run(folder / "deepsea", seed=2, model_name="deepsea", sizes=small),
        make_run(folder / "marq", seed=3, model_name="marq", sizes=ModelSizes(filters=8)),
    ]


@pytest.fixture(params=["plain", "member", "ensemble", "both"])
def ensemble(runs: list[Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An ensemble of the runs: plain, with a calibrated member, calibrated itself, or both."""
    return make_ensemble(runs, tmp_path, request.param)


def make_ensemble(runs: list[Path], tmp_path: Path, kind: str = "plain") -> Path:
    copies = [Path(shutil.copytree(run, tmp_path / "runs" / run.name)) for run in runs]
    if kind in ("member", "both"):
        give_calibration(copies[1], WORDS["member"])
    bioq.make_ensemble(copies, tmp_path / "E")
    if kind in ("ensemble", "both"):
        give_calibration(tmp_path / "E", WORDS["ensemble"])
    return tmp_path / "E"


def member_runs(ensemble: Path) -> list[Path]:
    """Return the folders of the members, each a run of its own."""
    return [ensemble / "members" / name for name in ("danq", "deepsea", "marq")]


def mean(ensemble: Path, probabilities: list[np.ndarray]) -> np.ndarray:
    """Return the expected probabilities of an ensemble from those that its members report."""
    expected = np.mean([each.astype(np.float64) for each in probabilities], axis=0)
    calibration = read_calibration(ensemble)
    return expected if calibration is None else calibration.map.of(expected)


def codes_of(count: int = 5, length: int = 200) -> np.ndarray:
    codes = np.random.default_rng(8).integers(0, 4, (count, length)).astype(np.uint8)
    codes[0, :20] = dna.UNKNOWN
    return codes


# What it predicts.


@pytest.mark.parametrize("strands", ["both", "forward"])
@pytest.mark.parametrize("count", [5, 40])
def test_probabilities_are_the_mean_of_the_members(
    ensemble: Path, strands: Any, count: int
) -> None:
    windows = dna.one_hot(codes_of(count))
    found = bioq.predict(ensemble, windows, strands=strands)
    parts = [bioq.predict(run, windows, strands=strands) for run in member_runs(ensemble)]
    np.testing.assert_allclose(found, mean(ensemble, parts), atol=1e-6)
    assert np.abs(parts[0] - found).max() > 0.01


def test_edits_are_the_mean_of_the_members(ensemble: Path) -> None:
    codes = codes_of(3)
    edited, of = codes[[0, 0, 2]].copy(), np.array([0, 0, 2])
    edited[:, 100] = (edited[:, 100] + 1) % 4
    found = predict_edits(load(ensemble), codes, edited, of)
    parts = [predict_edits(load(run), codes, edited, of) for run in member_runs(ensemble)]
    for after, expected in zip(found, zip(*parts, strict=True), strict=True):
        np.testing.assert_allclose(after, mean(ensemble, list(expected)), atol=1e-6)


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_mutagenesis_is_that_of_the_mean(ensemble: Path, strands: Any) -> None:
    codes = codes_of(1)[0]
    where: Any = {"start": 90, "end": 110, "strands": strands}
    reference, effects = mutate_window(load(ensemble), codes, **where)
    parts = [mutate_window(load(run), codes, **where) for run in member_runs(ensemble)]
    expected = mean(ensemble, [part[0] for part in parts])
    np.testing.assert_allclose(reference, expected, atol=1e-6)
    mutants = mean(ensemble, [part[0] + part[1] for part in parts])
    unchanged = codes[90:110] == np.arange(4)[:, None]
    np.testing.assert_array_equal(effects[unchanged], 0)
    np.testing.assert_allclose(effects[~unchanged], (mutants - expected)[~unchanged], atol=1e-6)


def test_attribution_is_the_mean_of_the_members_and_complete(
    runs: list[Path], tmp_path: Path
) -> None:
    model = load(make_ensemble(runs, tmp_path, "both"))
    windows = dna.one_hot(codes_of(2)).astype(np.float32)
    found = integrated_gradients(model, windows, target=1, steps=200)
    parts = [integrated_gradients(load(run), windows, target=1, steps=200) for run in runs]
    np.testing.assert_allclose(
        found.values, np.mean([one.values for one in parts], axis=0), atol=1e-5
    )
    np.testing.assert_allclose(
        found.logit, np.mean([one.logit for one in parts], axis=0), atol=1e-5
    )
    assert (
        np.abs(found.completeness_gap).max()
        < 0.05 * np.abs(found.logit - found.baseline_logit).max()
    )


def test_a_call_returns_the_mean_of_the_members_logits(runs: list[Path], tmp_path: Path) -> None:
    model, windows = (
        load(make_ensemble(runs, tmp_path)),
        torch.from_numpy(dna.one_hot(codes_of(2))).float(),
    )
    with torch.no_grad():
        expected = torch.stack([load(run)(windows) for run in runs]).mean(dim=0)
        torch.testing.assert_close(model(windows), expected)


# The commands.


def scores_of(run: Path, vcf: Path, genome: Path, out: Path, **options: Any) -> pd.DataFrame:
    table = VariantTableOptions(**options)
    write_variants(VariantJob(run, vcf, genome), out, table, force=True)
    return read_tsv(out)


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return fasta(tmp_path / "g.fa", {"chr1": make_chromosome()})


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    rows = [*random_rows(make_chromosome(), 12), ("chrNone", 5, "no", "A", "C")]
    return write_vcf(tmp_path / "v.vcf", rows)


def test_the_table_of_predict_is_the_mean_of_the_tables(
    ensemble: Path, genome: Path, tmp_path: Path
) -> None:
    tables = []
    for number, run in enumerate([ensemble, *member_runs(ensemble)]):
        out = tmp_path / f"{number}.tsv"
        arguments = [str(run), "chr1:201-800", "--genome", str(genome), "--out", str(out)]
        assert main(["predict", *arguments]) == 0
        table = pd.read_csv(out, sep="\t", comment="#")
        tables.append(table[["probability:first", "probability:second"]].to_numpy())
    np.testing.assert_allclose(tables[0], mean(ensemble, tables[1:]), atol=1e-6)


def test_scores_of_variants_are_those_of_the_mean_with_the_spread_of_the_members(
    runs: list[Path], vcf: Path, genome: Path, tmp_path: Path
) -> None:
    ensemble = make_ensemble(runs, tmp_path, "member")
    found = scores_of(ensemble, vcf, genome, tmp_path / "E.tsv")
    parts = [scores_of(run, vcf, genome, tmp_path / "1.tsv") for run in member_runs(ensemble)]
    assert list(found.columns[len(COLUMNS) :]) == [
        f"{score}:{target}"
        for score in ("diff", "log2_odds_ratio", "ref", "alt", "diff_sd", "sign_agreement")
        for target in ("first", "second")
    ]
    scored = found["status"] == "scored"
    assert 5 < scored.sum() < len(found)
    for target in ("first", "second"):
        diffs = np.array([part[f"diff:{target}"] for part in parts])
        for score in ("ref", "alt", "diff"):
            expected = np.mean([part[f"{score}:{target}"] for part in parts], axis=0)
            np.testing.assert_allclose(found[f"{score}:{target}"], expected, atol=1e-6)
        np.testing.assert_allclose(
            found[f"diff_sd:{target}"], pd.DataFrame(diffs).std(ddof=1), atol=1e-6
        )
        signs = (np.sign(diffs) == np.sign(diffs.mean(axis=0))).mean(axis=0)
        np.testing.assert_allclose(
            found[f"sign_agreement:{target}"][scored], signs[scored], atol=1e-6
        )
        for score in ("diff_sd", "sign_agreement"):
            assert found[f"{score}:{target}"].isna().equals(~scored)
        assert found[f"sign_agreement:{target}"][scored].min() < 1


def test_log2_odds_are_computed_from_the_mean_probabilities(
    ensemble: Path, vcf: Path, genome: Path, tmp_path: Path
) -> None:
    options = VariantOptions(strands="forward")  # with both strands it is a mean over strands
    write_variants(VariantJob(ensemble, vcf, genome, options=options), tmp_path / "E.tsv")
    table = read_tsv(tmp_path / "E.tsv").dropna()
    ref, alt = table["ref:first"], table["alt:first"]
    expected = np.log2(alt / (1 - alt)) - np.log2(ref / (1 - ref))
    np.testing.assert_allclose(table["log2_odds_ratio:first"], expected, atol=2e-3)


@pytest.mark.parametrize("ending", ["parquet", "h5", "vcf.gz", "h5ad"])
def test_every_format_has_the_scores_of_the_members(
    runs: list[Path], vcf: Path, genome: Path, tmp_path: Path, ending: str
) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    expected = scores_of(ensemble, vcf, genome, tmp_path / "E.tsv")["diff_sd:second"].to_numpy()
    out = tmp_path / f"E.{ending}"
    write_variants(VariantJob(ensemble, vcf, genome), out)
    if ending == "parquet":
        found = pq.read_table(out)["diff_sd:second"].to_numpy()
    elif ending == "h5":
        with h5py.File(out) as file:
            found = file["scores/diff_sd"][:, 1]
    elif ending == "h5ad":
        anndata = pytest.importorskip("anndata")
        found = anndata.read_h5ad(out).layers["diff_sd"][:, 1]
    else:
        with pysam.VariantFile(str(out)) as file:
            assert "members" in file.header.info["BIOQ_DIFF_SD"].description
            rows = [row.info.get("BIOQ_DIFF_SD", (np.nan, np.nan))[1] for row in file]
        found = np.array(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_deepseas_files_and_a_choice_of_scores(
    runs: list[Path], vcf: Path, genome: Path, tmp_path: Path
) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    write_variants(
        VariantJob(ensemble, vcf, genome), tmp_path / "d", VariantTableOptions(format="deepsea")
    )
    assert len(list(tmp_path.glob("d.out.*"))) == 4
    one = scores_of(ensemble, vcf, genome, tmp_path / "1.tsv", scores=("sign_agreement",))
    both = scores_of(ensemble, vcf, genome, tmp_path / "2.tsv")
    np.testing.assert_array_equal(one["sign_agreement:first"], both["sign_agreement:first"])
    with pytest.raises(UsageError, match="diff_sd needs an ensemble"):
        scores_of(runs[0], vcf, genome, tmp_path / "2.tsv", scores=("diff_sd",))


def test_a_background_belongs_to_the_ensemble_that_made_it(
    runs: list[Path], vcf: Path, genome: Path, tmp_path: Path
) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    out = tmp_path / "b.npz"
    make_background(VariantJob(ensemble, vcf, genome), out)
    table = scores_of(ensemble, vcf, genome, tmp_path / "E.tsv", background=out)
    smallest = table[["evalue:first", "evalue:second"]].min(axis=1)
    assert smallest.notna().any()
    phred = table["score_phred"].to_numpy()
    for one, other in itertools.permutations(np.flatnonzero(smallest > 1 / smallest.count()), 2):
        assert (smallest[one] < smallest[other]) <= (phred[one] > phred[other])
    for run in (runs[0], give_calibration(ensemble, PLATT)):
        with pytest.raises(BioqError, match="was made with other weights"):
            scores_of(run, vcf, genome, tmp_path / "1.tsv", background=out)


def test_explanations_are_written_by_the_commands(
    runs: list[Path], genome: Path, tmp_path: Path
) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    where = ["chr1:491-510", "--genome", str(genome), "--targets", "first", "--out"]
    for command in ("mutagenesis", "attribution"):
        out = tmp_path / f"{command}.tsv"
        assert main([command, str(ensemble), *where, str(out)]) == 0
        assert len(pd.read_csv(out, sep="\t", comment="#")) > 10


def test_evaluate_scores_the_mean(
    run: Path, masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_run(run, tmp_path / "other")
    give_calibration(other, floor(0.125))
    out = tmp_path / "both"
    assert main(["ensemble", str(run), str(other), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: the mean of 2 runs\n"
    assert main(["evaluate", str(out), str(masked_data.path)]) == 0
    assert capsys.readouterr().out.endswith(f"report: {out / 'evaluation' / 'report.html'}\n")
    result = read_evaluation(out)
    test = masked_data["test"].read(slice(None))
    mean = (bioq.predict(load(run), test.windows) + bioq.predict(load(other), test.windows)) / 2
    for target in range(2):
        assert result.per_target["roc_auc"][target] == pytest.approx(
            sklearn.metrics.roc_auc_score(test.labels[:, target], mean[:, target])
        )
    assert result.summary["micro"]["brier"] == pytest.approx(((mean - test.labels) ** 2).mean())
    assert result.summary["members"] == ["run", "other"]
    assert result.summary["calibrated"] is False
    assert "1 of the 2 members are calibrated, the rest not" in result.summary["notes"]
    page = (out / "evaluation" / "report.html").read_text()
    assert "The mean probability of 2 runs, <b>run</b>, <b>other</b>" in page
    assert "<h2>Training</h2>" not in page


def test_a_single_run_may_be_evaluated_elsewhere(
    run: Path, masked_data: Dataset, tmp_path: Path
) -> None:
    away = bioq.evaluate(run, masked_data, out=tmp_path / "away")
    here = bioq.evaluate(run, masked_data)
    np.testing.assert_array_equal(away.per_target["brier"], here.per_target["brier"])
    with pytest.raises(BioqError, match="could not be made: No such file"):
        bioq.evaluate(run, masked_data, out=tmp_path / "no" / "both")


def test_evaluate_of_several_runs_names_the_ensemble(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "run-0", "run-1", "data", "--out", "both"]) == 2
    error = capsys.readouterr().err
    assert "takes one run and one data set, found 3 folders" in error
    assert "'bioq ensemble'" in error


def test_a_calibration_is_fitted_to_the_mean_and_to_these_members(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other, ensemble = other_run(run, tmp_path / "other"), tmp_path / "E"
    for member in (run, other):  # probabilities between 0.001 and 0.1
        network: Any = load(member).network
        with torch.no_grad():
            network.output.bias -= 4
            network.output.weight *= 2
        save_weights(network, member / "model.safetensors")
    give_calibration(other, floor(0.02))
    bioq.make_ensemble([run, other], ensemble)
    data = data_for(ensemble, tmp_path / "blocks", CalibrationMap(scale=0.4, shift=-0.5))
    windows = data["valid"].read(slice(None)).windows
    before = mean(ensemble, [bioq.predict(run, windows), bioq.predict(other, windows)])
    result = bioq.calibrate(ensemble, data)
    assert result.calibration is not None
    assert result.calibration.name.startswith("Platt")
    labels = data["valid"].labels()
    assert result.selection.before["brier"] == pytest.approx(((before - labels) ** 2).mean())
    expected = result.calibration.map.of(before)
    np.testing.assert_allclose(bioq.predict(ensemble, windows), expected, atol=1e-6)
    result_of = bioq.evaluate(ensemble, data)
    assert result_of.summary["calibrated"] is True
    capfd.readouterr()
    give_calibration(ensemble / "members" / "other", floor(0.25))
    assert load(ensemble).calibration is None
    assert "was fitted for other weights" in capfd.readouterr().err


def test_summary_targets_and_what_an_ensemble_cannot_do(
    runs: list[Path], masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensemble = make_ensemble(runs, tmp_path, "member")
    assert main(["summary", str(ensemble)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [
        ["danq", "danq"],
        ["deepsea", "deepsea"],
        ["marq", "marq"],
    ]
    assert lines[3].endswith("by hand")
    assert main(["targets", str(ensemble)]) == 0
    assert capsys.readouterr().out.split() == ["name", "first", "second"]
    data, out = str(masked_data.path), str(tmp_path / "new")
    for words, expected in (
        (["motifs", str(ensemble), data, "--out", out], "filters belong to one network"),
        (["train", data, "--from", str(ensemble), "--out", out], "starts from one network"),
        (["train", data, "--out", str(ensemble), "--resume"], "was not trained"),
        (["summary", str(ensemble), "--out", f"{out}.png"], "no network of its own"),
    ):
        assert main(words) == 2, words
        error = capsys.readouterr().err
        assert "E: is an ensemble; " in error
        assert expected in error
        assert error.endswith(f": {ensemble}/members/danq and 2 more\n")
    member = str(ensemble / "members" / "danq")
    assert main(["motifs", member, data, "--out", out, "--effect-windows", "8"]) == 0
    assert main(["summary", member, "--out", f"{out}.png"]) == 0
    assert main(["train", data, "--out", str(ensemble)]) == 1
    assert "E: exists already" in capsys.readouterr().err
    with pytest.raises(UsageError, match="best weights of its members"):
        load(ensemble, weights="last")


def test_the_server_shows_an_ensemble(runs: list[Path], genome: Path, tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    from bioq.web import create_app, open_service

    chromosome = make_chromosome()
    ensemble = make_ensemble(runs, tmp_path)
    variant = f"chr1:500:{chromosome[499]}>{'A' if chromosome[499] != 'A' else 'C'}"
    expected = scores_of(
        ensemble,
        write_vcf(tmp_path / "1.vcf", [("chr1", 500, ".", variant[9], variant[-1])]),
        genome,
        tmp_path / "1.tsv",
    )
    with (
        open_service(ensemble, genome) as service,
        TestClient(create_app(service), base_url="http://127.0.0.1") as client,
    ):
        page = client.get("/model").text
        assert "An <b>ensemble</b> of <b>3</b> networks" in page
        assert "Layers" not in page
        assert client.get("/api/model").json()["members"] == ["danq", "deepsea", "marq"]
        allele = client.post("/api/variants", json={"variants": [variant]}).json()["alleles"][0]
        found = {**allele["scores"], **allele["spread"]}
        for score in ("diff", "diff_sd", "sign_agreement"):
            columns = [f"{score}:first", f"{score}:second"]
            np.testing.assert_allclose(found[score], expected[columns].iloc[0], atol=1e-5)
        page = client.post("/variant", data={"text": variant}).text
        assert ">spread</th>" in page
        assert ">same sign</th>" in page


def test_an_interrupted_output_belongs_to_the_ensemble_as_it_was(
    runs: list[Path], tmp_path: Path
) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    seen = {predictions_identity(ensemble)}
    give_calibration(ensemble / "members" / "marq", PLATT)
    seen.add(predictions_identity(ensemble))
    give_calibration(ensemble, PLATT)
    seen.add(predictions_identity(ensemble))
    assert len(seen) == 3
    moved = shutil.copytree(ensemble, tmp_path / "moved")
    assert predictions_identity(Path(moved)) in seen
    assert fingerprint_of(load(moved)) == fingerprint_of(load(ensemble))


def test_an_output_never_replaces_a_member(runs: list[Path], genome: Path, tmp_path: Path) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    target = ensemble / "members" / "danq" / "targets.tsv"
    with pytest.raises(UsageError, match="is the input"):
        predict_file(ensemble, "chr1:1-900", target, genome=genome, force=True)


# The folder.


def other_run(run: Path, folder: Path, by: float = 1.0) -> Path:
    """Copy a run and give it other weights."""
    shutil.copytree(run, folder)
    torch.manual_seed(5)
    model = load(folder, calibrated=False)
    with torch.no_grad():
        for part in model.parameters():
            part.add_(torch.randn_like(part) * part.std() * by)
    save_weights(model.network, folder / "model.safetensors")
    return folder


def test_the_folder_can_be_moved_and_has_what_the_members_need(
    runs: list[Path], tmp_path: Path
) -> None:
    ensemble = make_ensemble(runs, tmp_path, "both")
    expected = bioq.predict(ensemble, dna.one_hot(codes_of()))
    shutil.rmtree(tmp_path / "runs")
    ensemble.rename(tmp_path / "moved")
    found = bioq.predict(tmp_path / "moved", dna.one_hot(codes_of()))
    np.testing.assert_array_equal(found, expected)
    files = {path.name for path in (tmp_path / "moved" / "members" / "deepsea").iterdir()}
    assert files == {"config.json", "targets.tsv", "model.safetensors", "calibration.json"}
    config = read_config(tmp_path / "moved")
    assert [entry["name"] for entry in config.members] == ["danq", "deepsea", "marq"]
    assert config.members[0]["origin"] == str(tmp_path / "runs" / "danq")
    assert config.model == {"name": "ensemble", "targets": 2, "window_bp": 200, "sizes": {}}


def test_members_of_equal_names_get_numbers(runs: list[Path], tmp_path: Path) -> None:
    copies = [
        Path(shutil.copytree(run, tmp_path / str(number) / name))
        for number, (run, name) in enumerate(zip(runs, ("Run", "run", "run-2"), strict=True))
    ]
    odd = other_run(runs[0], tmp_path / "a\nb")
    model = bioq.make_ensemble([*copies, odd], tmp_path / "E")
    names = [path.name for path in (tmp_path / "E" / "members").iterdir()]
    assert sorted(names) == ["Run", "member-4", "run-2", "run-2-2"]
    assert len(members_of(model)) == 4


def test_runs_that_do_not_go_together_are_refused(
    runs: list[Path], run: Path, tmp_path: Path
) -> None:
    one, out = runs[0], tmp_path / "new"
    ensemble = make_ensemble(runs, tmp_path)
    copy = Path(shutil.copytree(one, tmp_path / "copy"))
    swapped = other_run(one, tmp_path / "swapped")
    (swapped / "targets.tsv").write_text("name\nsecond\nfirst\n")
    renamed = other_run(one, tmp_path / "renamed")
    (renamed / "targets.tsv").write_text("name\nfirst\nthird\n")
    longer = make_run(tmp_path / "longer", window_bp=300)
    bins = other_run(one, tmp_path / "bins")
    change_config(bins, lambda config: config["data"].update(bin_bp=20))
    broken = other_run(one, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"x" * 100)
    link = tmp_path / "link"
    link.symlink_to(one)
    for others, error, text in (
        ([], UsageError, "an ensemble is of 2 to 64 runs, found 1"),
        ([runs[1]] * MOST_MEMBERS, UsageError, "found 65"),
        ([one], UsageError, "is the same run as"),
        ([copy], UsageError, "copy: is the same run as"),
        ([link], UsageError, "link: is the same run as"),
        (
            [ensemble],
            UsageError,
            "E: is an ensemble; name the runs in it instead: .*E/members/danq",
        ),
        ([swapped], BioqError, "in another order: target 1 is 'second', expected 'first'"),
        ([renamed], BioqError, "'second' is in one of them only"),
        ([longer], BioqError, "longer: has windows of 300 bp, .*danq 200 bp"),
        ([bins], BioqError, "bins: has bins of 20 bp, .*danq 40 bp"),
        ([broken], BioqError, "broken/model.safetensors: is not a readable"),
        ([tmp_path / "runs"], BioqError, "holds no config"),
    ):
        with pytest.raises(error, match=text):
            bioq.make_ensemble([one, *others], out)
        assert not out.exists()
    with pytest.raises(BioqError, match="E: exists already"):
        bioq.make_ensemble([one, runs[1]], ensemble)
    for place in (copy, copy / "inside"):
        with pytest.raises(UsageError, match=r"is the input|is in .*copy, a member"):
            bioq.make_ensemble([copy, runs[1]], place, force=True)
    assert (copy / "model.safetensors").exists()
    assert len(members_of(bioq.make_ensemble([one, runs[1]], ensemble, force=True))) == 2


def change_config(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = run / "config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))


def rename(new: str) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["members"][0].update(name=new)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (rename(".."), "expected a file in this folder"),
        (rename("a/b"), "has the member 'a/b', expected a name"),
        (rename(""), "expected a file in this folder"),
        (rename("deepsea"), "has the member 'deepsea' twice"),
        (rename("absent"), "members/absent: no such folder"),
        (
            lambda config: config["members"][0].update(weights="x"),
            "danq/model.safetensors: has other",
        ),
        (lambda config: config["members"][0].pop("weights"), r"has no members\[0\].weights"),
        (lambda config: config.update(members=3), "members is 3, expected a list"),
        (lambda config: config.update(members=[]), "model 'ensemble' is unknown"),
        (
            lambda config: config.update(
                members=[{**config["members"][0], "name": str(n)} for n in range(10_000)]
            ),
            "has 10,000 members, expected at most 64",
        ),
        (lambda config: config["model"].update(window_bp=300), "window_bp is 200, in .* it is 300"),
        (lambda config: config["data"].update(bin_bp=300), "bin_bp is 40, in .* it is 300"),
    ],
)
def test_the_folder_of_a_stranger_gives_one_line(
    runs: list[Path], tmp_path: Path, change: Callable[[dict[str, Any]], object], text: str
) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    change_config(ensemble, change)
    with pytest.raises(BioqError, match=text) as error:
        load(ensemble)
    assert "\n" not in str(error.value)


def test_members_that_lead_out_or_back_are_refused(runs: list[Path], tmp_path: Path) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    member = ensemble / "members" / "danq"
    shutil.rmtree(member)
    member.symlink_to(runs[0])
    with pytest.raises(BioqError, match="leads out of the folder"):
        load(ensemble)
    member.unlink()
    member.symlink_to("..", target_is_directory=True)
    with pytest.raises(BioqError, match="danq: is an ensemble itself"):
        load(ensemble)


def test_a_damaged_member_is_named(runs: list[Path], tmp_path: Path) -> None:
    ensemble = make_ensemble(runs, tmp_path)
    file = ensemble / "members" / "marq" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(BioqError, match=r"members/marq/model.safetensors: its checksum"):
        load(ensemble)
    shutil.copy(runs[2] / "model.safetensors", file)
    (ensemble / "members" / "deepsea" / "targets.tsv").write_text("name\nsecond\nfirst\n")
    with pytest.raises(BioqError, match="members/deepsea: has other targets"):
        load(ensemble)
    os.remove(ensemble / "members" / "danq" / "targets.tsv")
    with pytest.raises(BioqError, match=r"members/danq/targets.tsv: no such file"):
        load(ensemble)

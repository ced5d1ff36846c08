"""The trained runs that come with BioQ: small, complete, described, and used by their names."""

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors import safe_open

import bioq
from bioq import dna
from bioq.cli import main
from bioq.dataset import Description, new_dataset, pack_labels
from bioq.reports.card import write_card
from bioq.runs.folder import read_config
from bioq.runs.named import RUNS, NamedRun
from bioq.variants import read_background

MOST_BYTES = 7_000_000
WINDOWS = ["".join(np.random.default_rng(seed).choice(list("ACGT"), 1000)) for seed in range(3)]


@pytest.fixture(params=RUNS, ids=lambda run: run.name)
def shipped(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run of the package, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return request.param


def test_yeast_is_there() -> None:
    assert "yeast" in {run.name for run in RUNS}


def test_a_run_is_small_and_the_list_shows_it(
    shipped: NamedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [file for file in shipped.folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < MOST_BYTES
    assert main(["models"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if shipped.name in line)
    config, (member, *others) = read_config(shipped.folder), _members(shipped)
    model = f"{len(others) + 1} x {member['name']}"
    assert row.startswith(f"{shipped.name} ")
    for value in (model, str(config.model["targets"]), config.genome_build, shipped.licence):
        assert f"  {value}  " in row


def test_no_file_of_a_run_has_a_path_of_the_computer_that_made_it(shipped: NamedRun) -> None:
    for file in shipped.folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        if file.suffix == ".npz":
            content = json.dumps(dict(read_background(file).provenance)).encode()
        if file.suffix != ".safetensors":  # whose bytes may look like anything
            assert not re.search(rb'"(/|[A-Z]:\\)[^"]*"', content), file
        assert not re.search(rb"/(work|home|root|Users|tmp)/", content), file


def test_the_card_has_the_licence_the_checksums_and_the_scores(shipped: NamedRun) -> None:
    card = (shipped.folder / "README.md").read_text("utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == shipped.licence.lower()
    model = _members(shipped)[0]["name"]
    assert {model, read_config(shipped.folder).genome_build} <= set(front["tags"])
    for file in shipped.folder.glob("members/*/model.safetensors"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    summary = json.loads((shipped.folder / "evaluation" / "metrics.json").read_text("utf-8"))
    for scores in (summary["macro"], summary["micro"], summary["constant"]["macro"]):
        for score in ("roc_auc", "average_precision"):
            assert f"{scores[score]:.4f}" in card
    assert re.search(r"- [\d.]+ % of the labels are positive in", card)


def test_the_evaluation_is_of_the_targets_of_the_run(shipped: NamedRun) -> None:
    names = pd.read_csv(shipped.folder / "targets.tsv", sep="\t")["name"].tolist()
    scored = pd.read_csv(shipped.folder / "evaluation" / "per_target.tsv", sep="\t")
    assert scored["name"].tolist() == names
    summary = json.loads((shipped.folder / "evaluation" / "metrics.json").read_text("utf-8"))
    assert scored["roc_auc"].mean() == pytest.approx(summary["macro"]["roc_auc"], abs=1e-6)
    mean = scored["average_precision"].mean()
    assert mean == pytest.approx(summary["macro"]["average_precision"], abs=1e-6)
    assert mean > 4 * summary["constant"]["macro"]["average_precision"]


def test_the_weights_are_in_half_precision_and_computed_with_in_single(shipped: NamedRun) -> None:
    for file in shipped.folder.glob("members/*/model.safetensors"):
        with safe_open(file, framework="np") as opened:
            types = {opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
        assert types == {"F16"}
    model = bioq.load(shipped.name)
    assert {weight.dtype for weight in model.state_dict().values()} == {torch.float32}


def test_predict_takes_the_name(shipped: NamedRun) -> None:
    lines = "".join(f">window {number}\n{window}\n" for number, window in enumerate(WINDOWS))
    Path("windows.fa").write_text(lines)
    assert main(["predict", shipped.name, "windows.fa", "--out", "p.tsv"]) == 0
    with open("p.tsv", newline="") as file:
        heading, *rows = csv.reader(file, delimiter="\t")
    names = pd.read_csv(shipped.folder / "targets.tsv", sep="\t")["name"].tolist()
    assert heading[-len(names) :] == [f"probability:{name}" for name in names]
    found = np.array([row[-len(names) :] for row in rows], dtype=float)
    members = [bioq.load(folder) for folder in (shipped.folder / "members").iterdir()]
    codes = np.stack([dna.encode(window) for window in WINDOWS])
    of_each = [bioq.predict(member, dna.one_hot(codes)) for member in members]
    np.testing.assert_allclose(found, np.mean(of_each, axis=0), rtol=1e-5, atol=1e-8)
    assert found.std(axis=0).max() > 1e-3


def test_variants_takes_the_name(shipped: NamedRun) -> None:
    Path("genome.fa").write_text(f">chrI\n{''.join(WINDOWS)}\n")
    ref = WINDOWS[1][499]
    alt = "A" if ref != "A" else "C"
    words = ["variants", shipped.name, f"chrI:1500:{ref}>{alt}", "--genome", "genome.fa"]
    assert main([*words, "--out", "v.tsv"]) == 0
    row = pd.read_csv("v.tsv", sep="\t").iloc[0]
    background = read_background(shipped.folder / "background.npz")
    assert row["background_n"] == background.variants == 100_000
    assert row["score_phred"] >= 0
    assert any(row.index.str.startswith("evalue:"))
    assert f"{background.variants:,} variants" in (shipped.folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("site", "target"),
    [
        ("CCGGGTAA", "CX_Reb1"),  # Badis et al. 2008, as the sites of Cbf1, Ume6 and Gcn4
        ("GTCACGTGAC", "CX_Cbf1"),
        ("TAGCCGCCGA", "CX_Ume6"),
        ("ATGACTCAT", "CX_Gcn4"),
        ("ACACCCATACATT", "CX_Rap1"),  # Lieb et al. 2001
    ],
)
def test_yeast_knows_the_sites_of_its_factors(site: str, target: str) -> None:
    model = bioq.load("yeast")
    random = np.random.default_rng(0)
    shares = [0.31, 0.19, 0.19, 0.31]  # of the yeast genome
    without = ["".join(random.choice(list("ACGT"), 1000, p=shares)) for _ in range(20)]
    with_site = [text[:495] + site + text[495 + len(site) :] for text in without]
    before, after = (bioq.predict(model, texts) for texts in (without, with_site))
    gain = (np.log(after / (1 - after)) - np.log(before / (1 - before))).mean(axis=0)
    rank = (-gain).argsort().tolist().index(list(model.targets["name"]).index(target))
    assert rank < 4
    assert gain.max() > 0.1


def test_commands_that_write_into_a_run_refuse_it_and_say_what_to_do(
    shipped: NamedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.stat().st_mtime_ns for file in shipped.folder.rglob("*")}
    data = _data(shipped, Path("data"))
    for words, advice in (
        (["card", shipped.name], "copy the run first: 'cp -r "),
        (["evaluate", shipped.name, str(data)], "give --out, the folder of the evaluation"),
    ):
        assert main(words) != 0
        assert advice in capsys.readouterr().err
    assert main(["evaluate", shipped.name, str(data), "--out", "here"]) == 0
    assert Path("here/evaluation/report.html").is_file()
    assert {file: file.stat().st_mtime_ns for file in shipped.folder.rglob("*")} == before
    with pytest.raises(bioq.UsageError, match="copy the run first"):
        write_card(shipped.folder)


def _members(run: NamedRun) -> list[Mapping[str, Any]]:
    """Return the architecture of each member."""
    return [read_config(folder).model for folder in (run.folder / "members").iterdir()]


def _data(run: NamedRun, folder: Path) -> Path:
    """Write a data set of random windows with the targets of a run."""
    random = np.random.default_rng(0)
    config = read_config(run.folder)
    table = pd.read_csv(run.folder / "targets.tsv", sep="\t", dtype=str)
    about = Description(
        made_by="peaks",
        window_bp=config.model["window_bp"],
        bin_bp=config.data["bin_bp"],
        label_rule="midpoint",
    )
    with new_dataset(folder, about, table) as writer, writer.split("test") as split:
        codes = random.integers(0, 4, (20, about.window_bp)).astype(np.uint8)
        split.append(codes, pack_labels(random.random((20, len(table))) < 0.3))
    return folder

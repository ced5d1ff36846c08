"""How `benchmarks/models.py` compares models: its statistics, its splits, what it trains again."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from bioq.models import ModelSizes, build_model

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import model_data
import models
from model_scores import SCORES, MacroDifference, compare, scores_of_draws

SKLEARN = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}


def random_case(seed: int, windows: int = 60, targets: int = 4) -> tuple[Any, ...]:
    """Labels with both kinds in every target, blocks, and probabilities with many ties."""
    random = np.random.default_rng(seed)
    labels = (random.random((windows, targets)) < 0.3).astype(np.uint8)
    labels[:2] = [[0], [1]]
    block = np.sort(random.integers(0, 6, windows))
    block[-1] = 5
    noise = random.random((2, windows, targets)) + 0.3 * labels
    return labels, block, list(noise.round(1).astype(np.float32))


@settings(max_examples=30)
@given(st.integers(0, 1000), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_scores_of_a_draw_are_scikit_learns_with_the_counts_as_weights(
    seed: int, drawn: list[int]
) -> None:
    labels, block, (probability, _) = random_case(seed)
    counts = np.array([[1] * 6, drawn], dtype=np.float32)
    result = scores_of_draws(labels[:, 0] == 1, probability[:, 0], block, counts)
    for draw, count in enumerate(counts):
        weight = count[block]
        both_kinds = {weight[labels[:, 0] == kind].sum() > 0 for kind in (0, 1)} == {True}
        for index, score in enumerate(SCORES):
            if both_kinds:
                expected = SKLEARN[score](labels[:, 0], probability[:, 0], sample_weight=weight)
                assert result[index, draw] == pytest.approx(expected, abs=1e-6)
    if not counts[1][block][labels[:, 0] == 1].sum():
        assert np.isnan(result[:, 1]).all()


def macro(result: Any, score: str) -> MacroDifference:
    difference = result[f"macro_{score}"]
    assert isinstance(difference, MacroDifference)
    return difference


def test_a_macro_difference_is_the_mean_over_targets_of_means_over_seeds() -> None:
    labels, block, ours = random_case(0)
    theirs = random_case(1)[2]
    result = compare(labels, block, {"ours": ours, "theirs": theirs}, "theirs")["ours"]
    for score in SCORES:
        each = [
            np.mean([SKLEARN[score](labels[:, target], run[:, target]) for run in ours])
            - np.mean([SKLEARN[score](labels[:, target], run[:, target]) for run in theirs])
            for target in range(4)
        ]
        difference = macro(result, score)
        assert difference.mean == pytest.approx(np.mean(each), abs=1e-6)
        assert difference.better == np.mean(np.array(each) > 0)
        for low, high in (difference.by_targets, difference.by_blocks):
            assert low < high


def test_a_micro_difference_is_that_of_all_targets_as_one() -> None:
    labels, block, ours = random_case(0)
    theirs = random_case(1)[2]
    result = compare(labels, block, {"ours": ours, "theirs": theirs}, "theirs")["ours"]
    for score in SCORES:
        our, their = (
            np.mean([SKLEARN[score](labels.ravel(), run.ravel()) for run in runs])
            for runs in (ours, theirs)
        )
        difference = result[f"micro_{score}"]
        assert difference.mean == pytest.approx(our - their, abs=1e-6)
        assert difference.by_blocks[0] < difference.mean < difference.by_blocks[1]


def test_targets_without_a_positive_are_left_out_of_both_models() -> None:
    labels, block, ours = random_case(0)
    labels[:, 2] = 0
    result = compare(labels, block, {"ours": ours, "theirs": random_case(1)[2]}, "theirs")["ours"]
    difference = macro(result, "roc_auc")
    assert difference.targets == 3
    assert np.isfinite([difference.mean, *difference.by_blocks]).all()


def test_a_model_does_not_differ_from_itself() -> None:
    labels, block, runs = random_case(3)
    result = compare(labels, block, {"one": runs, "same": runs[::-1]}, "one")["same"]
    assert len(result) == 2 * len(SCORES)
    for difference in result.values():
        values = [difference.mean, *difference.by_blocks]
        if isinstance(difference, MacroDifference):
            values += difference.by_targets
            assert difference.better == 0.5
        assert np.abs(values).max() < 1e-12


def test_windows_told_twice_make_no_interval_narrower() -> None:
    labels, block, ours = random_case(4)
    theirs, again = random_case(5)[2], np.repeat(np.arange(len(labels)), 2)
    once = compare(labels, block, {"ours": ours, "theirs": theirs}, "theirs")["ours"]
    doubled = {"ours": [run[again] for run in ours], "theirs": [run[again] for run in theirs]}
    twice = compare(labels[again], block[again], doubled, "theirs")["ours"]
    for score, difference in once.items():
        assert twice[score].by_blocks == pytest.approx(difference.by_blocks, abs=1e-6)


def test_human_windows_of_two_splits_lie_20_kb_apart_and_nothing_else_is_left_out() -> None:
    start = np.arange(16_000_000, 22_000_000, 200)
    split = model_data.human_split(np.full(len(start), "22"), start)
    held_out = np.isin(split, ["valid", "test"])
    assert {name: int((split == name).sum()) for name in ("valid", "test")} == {
        "valid": 2 * 2500,
        "test": 2500,
    }
    above = np.searchsorted(start[held_out], start).clip(1, held_out.sum() - 1)
    nearest = np.stack([start[held_out][above - 1], start[held_out][above]])
    distance = np.abs(start - nearest).min(axis=0)
    assert distance[split == "train"].min() >= model_data.APART_BP
    assert distance[split == model_data.LEFT_OUT].max() <= model_data.APART_BP + 200
    other = model_data.human_split(np.full(3, "1"), np.array([0, 17_000_000, 999_800]))
    assert other.tolist() == ["test"] * 3


def test_blocks_are_stretches_of_one_contig() -> None:
    bins = pd.DataFrame({"chrom": ["a", "a", "a", "b"], "start": [0, 900, 1000, 1200]})
    assert model_data.genome_blocks(bins, 1000).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("name", models.PRESETS)
def test_presets_are_models_of_a_size_that_one_core_trains(name: str) -> None:
    _, model, *flags = models.PRESETS[name]
    names = [flag.removeprefix("--").replace("-", "_") for flag in flags[::2]]
    sizes = ModelSizes(**dict(zip(names, map(int, flags[1::2]), strict=True)))
    weights = build_model(model, targets=399, sizes=sizes).parameters()
    assert sum(weight.numel() for weight in weights) < 1_000_000


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_run_is_trained_once_and_an_interrupted_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    run = models.Run(tmp_path / "danq-0", "danq", 0, ["--model", "danq"])
    if interrupted:
        run.folder.mkdir()
    called = []

    def pretend(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        called.append(command)
        assert options["env"]["OMP_NUM_THREADS"] == "1"
        run.folder.mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", pretend)
    models.train(tmp_path / "data", [run])
    models.train(tmp_path / "data", [run])
    assert len(called) == 1
    assert ("--resume" in called[0]) == interrupted
    assert json.loads(run.done.read_text()) == ["--model", "danq"]


def test_a_run_with_other_flags_and_a_failed_one_are_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = models.Run(tmp_path / "danq-0", "danq", 0, ["--epochs", "2"])
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1)
    )
    with pytest.raises(SystemExit, match=r"danq-0: training ended with status 1; see .*log"):
        models.train(tmp_path / "data", [run])
    assert not run.done.exists()
    run.folder.mkdir()
    run.done.write_text('["--epochs", "20"]')
    with pytest.raises(SystemExit, match=r"trained with --epochs 20, now asked for --epochs 2;"):
        models.train(tmp_path / "data", [run])


def test_the_tables_show_scores_and_differences_and_say_when_budgets_differ() -> None:
    scores = {key: [0.5, 0.7] for key in models.POOLED}
    pooled = {"mean": -0.02, "by_blocks": (-0.03, 0.01)}
    each_target = {
        "mean": 0.1,
        "by_blocks": (0.05, 0.15),
        "by_targets": (-0.05, 0.25),
        "better": 0.75,
        "targets": 4,
    }
    cost = {"parameters": 12345.0, "mflop": 1.5, "training": 99.0}
    result = models.Found(
        data="yeast",
        split="valid",
        windows=1000,
        reference="danq",
        budgets={"danq": "10 windows, 20 times each", "new": "10 windows, 20 times each"},
        scores={"danq": scores, "new": scores},
        per_target={},
        costs={"danq": cost, "new": cost},
        differences={
            "new": {
                "macro_roc_auc": each_target,
                "macro_average_precision": each_target,
                "micro_roc_auc": pooled,
                "micro_average_precision": pooled,
            }
        },
    )
    text = models.as_markdown(result)
    assert (
        "| new | +0.1000 | +0.0500 to +0.1500 | -0.0500 to +0.2500 | 75% of 4 "
        "| -0.0200 | -0.0300 to +0.0100 |" in text
    )
    assert "Every model was shown 10 windows, 20 times each." in text
    assert "| new | 0.6000 ± 0.1414 |" in text
    assert "| 12,345 | 1.5 | 99 |" in text
    other = dataclasses.replace(
        result, budgets=result.budgets | {"new": "10 windows, 40 times each"}
    )
    assert "**The budgets differ**" in models.as_markdown(other)

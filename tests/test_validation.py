"""The lines of validation during training: a network of zeros, and no split to validate."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import bioq
from bioq import ModelSizes, TrainConfig
from bioq.dataset import Dataset, new_dataset, pack_labels
from bioq.runs.same_everywhere import what_to_try
from bioq.training.plan import Plan
from bioq.training.start import start_network

SMALL = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
QUICK = TrainConfig(epochs=3, batch_size=8, patience=0, lr=5e-3, warmup_epochs=0.0)


def test_a_network_that_predicts_the_same_for_every_window_is_named_once(
    masked_data: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The learning rate is so small that a network of zeros remains one."""

    def zeros(plan: Plan, data: Dataset, run: Path, *, resume: bool) -> tuple[nn.Module, str]:
        network, note = start_network(plan, data, run, resume=resume)
        with torch.no_grad():
            for weights in network.parameters():
                weights.zero_()
        return network, note

    monkeypatch.setattr("bioq.training.train.start_network", zeros)
    config = dataclasses.replace(QUICK, lr=1e-12)
    bioq.train(masked_data, tmp_path / "run", model="bioq", sizes=SMALL, config=config)
    lines = capsys.readouterr().err.splitlines()
    notes = [number for number, line in enumerate(lines) if "the same for every" in line]
    assert [lines[number - 1].split(":")[0] for number in notes] == ["epoch 1/3"]
    assert lines[notes[0]] == (
        "note: the network predicts the same for every validation window: train longer (more "
        "--epochs than 1), or with --lr below 1e-12"
    )


def test_without_a_split_to_validate_the_line_of_an_epoch_has_no_validation(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with new_dataset(tmp_path / "other", masked_data.description, masked_data.targets) as writer:
        with writer.split("train") as split:
            codes = np.random.default_rng(0).integers(0, 4, (64, masked_data.description.window_bp))
            labels = np.arange(64)[:, None] % 2 == np.zeros(len(masked_data.targets))
            split.append(codes.astype(np.uint8), pack_labels(labels))
    bioq.train(tmp_path / "other", tmp_path / "run", sizes=SMALL, config=QUICK)
    shown = capsys.readouterr().err
    assert re.search(r"^epoch 3/3: loss \d\.\d{4}, [\d,]+ windows/s$", shown, re.MULTILINE)
    assert "nan" not in shown
    assert "best epoch 3 of 3, the last: nothing was validated" in shown


@pytest.mark.parametrize(
    ("same", "positives", "epochs", "expected"),
    [
        (
            [True, False, False], [0, 5, 5], 9,
            "it has no positive window in training: build the data set with more windows, or "
            "without such targets",
        ),
        (
            [True, True, False], [0, 10, 5], 9,
            "1 of them has no positive window in training: build the data set with more windows, "
            "or without such targets; 1 of them has no negative window in training: build the "
            "data set with more windows, or without such targets",
        ),
        (
            [True, True, True], [0, 5, 5], 9,
            "units that are 0 for every window no longer learn: train again with --lr below 0.01, "
            "another --seed, or more --epochs than 9",
        ),
        (
            [True, True, False], None, 1,
            "train longer (more --epochs than 1), or with --lr below 0.01",
        ),
    ],
)  # fmt: skip
def test_the_advice_is_that_of_the_cause(
    same: list[bool], positives: list[int] | None, epochs: int, expected: str
) -> None:
    advice = what_to_try(
        np.array(same),
        None if positives is None else np.array(positives),
        10,
        learning_rate=0.01,
        epochs=epochs,
    )
    assert advice == expected

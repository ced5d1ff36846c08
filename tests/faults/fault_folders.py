"""Folders as a stranger may send them: each file and each field of them, with bad values in it."""

import copy
import json
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.torch import save_file

from bioq import dna
from bioq.cli import main
from bioq.cluster.parts import JOB, JOURNAL, MANIFEST, Part, Parts, part_name
from bioq.dataset import Description, new_dataset, open_dataset, pack_labels, verify
from bioq.dataset.layout import as_text, fingerprint
from bioq.dataset.leaks import count_leaks, leak_of
from bioq.evaluation.calibration_notes import calibration_notes
from bioq.evaluation.files import read_evaluation
from bioq.evaluation.table import evaluation_remarks, evaluation_table, same_remarks
from bioq.models.summary import summarise
from bioq.plots.run import settings
from bioq.prediction import spool
from bioq.reports.evaluation import _commands, _published, _target_rows
from bioq.runs.best_epoch import best_epoch_text
from bioq.runs.calibration import Calibration, CalibrationMap, write_calibration
from bioq.runs.folder import has_history, read_config, read_history
from bioq.runs.trained_model import load
from bioq.runs.training_data import training_data
from bioq.runs.weights import (
    predictions_identity,
    save_weights,
    tensors_checksum,
    weights_checksum,
)
from bioq.tables import Layout
from bioq.training.interrupted import progress_of
from bioq.training.state import load_state, start_state
from bioq.variants.background.effect_counts import counting
from bioq.variants.background.file import read_background, write_background
from bioq.variants.second_stage.logistic import Fit, Scaling
from bioq.variants.second_stage.rank_file import RANK_FILE, Rank, read_rank, write_rank

MISSING = object()
DEEP: Any = []
for _ in range(400):
    DEEP = [DEEP]
BAD: tuple[Any, ...] = (
    *(True, False, None, 0, -1, 2, 1.5, -0.0, 10**6, 10**12, 2**63, -(2**64), 10**4000),
    *(1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
    *("", "1", "text", "a\nb", "\x1b[31mred", "\0", "../x", "/etc/passwd", "\ud800", "x" * 10_000),
    *([], [1], ["a", None], {}, {"a": 1}, {"\x1b\n": "b"}, DEEP, MISSING),
)
"""What is put in the place of each field."""
CELLS = ("", "NA", "nan", "inf", "-1e999", "text", "1.5", "-1", "9" * 400, "\x1b[31m", "0x10", '"')
WINDOW_BP, TARGETS = 40, 2
_SIZES = "--filters 2 --filter-width 3 --pool-width 10 --lstm-units 1 --dense-units 2"
_ENSEMBLE = (
    *("config.json", "targets.tsv"),
    *(f"members/second/{name}" for name in ("config.json", "targets.tsv", "model.safetensors")),
    "members/run/calibration.json",
)
_IDENTITY = {"input": "a", "batch_size": 4}


@dataclass(frozen=True)
class Kept:
    """A file in a folder, and all that reads it."""

    folder: str
    name: str
    read: Callable[[], object]

    @property
    def id(self) -> str:
        return f"{self.folder}/{self.name}"


class Folders:
    """A data set, a run with an evaluation and a calibration, and two interrupted outputs."""

    def __init__(self, home: Path):
        self.home = home
        self.data, self.run = home / "data", home / "run"
        _write_data(self.data)
        self.folded = home / "folded"
        _write_folds(self.folded)
        train = f"train {self.data} --out {self.run} --model danq --epochs 2 --average 0.9 {_SIZES}"
        assert main(f"{train} --recipe small --batch-size 4".split()) == 0
        scores = {"log_loss": 0.5, "brier": 0.2, "calibration_error": 0.1}
        about = {"name": "data", "fingerprint": "f", "split": "valid", "windows": 6}
        gain = {"mean": 0.1, "low": 0.0, "high": 0.2, "blocks": 6}
        weights = weights_checksum(load(self.run).network)
        fitted = Calibration("floor", CalibrationMap(0.9), weights, about, scores, scores, gain)
        write_calibration(fitted, self.run)
        assert main(f"evaluate {self.run} {self.data}".split()) == 0
        self.ensemble = home / "ensemble"
        other = Path(shutil.copytree(self.run, home / "second"))
        network = load(self.run).network
        for tensor in network.parameters():
            tensor.data *= 2
        save_weights(network, other / "model.safetensors")
        assert main(f"ensemble {self.run} {other} --out {self.ensemble}".split()) == 0
        self.background = home / "other" / "b.npz"
        self.background.parent.mkdir()
        table = pd.DataFrame({"name": ["a", "b"], "cell": ["x", "x"]})
        with counting(self.background, TARGETS, len(_EFFECTS["diff"])) as effects:
            effects.add(_EFFECTS, _KINDS)
            write_background(self.background, effects, table, {"model": "m", "contigs": {"1": 5}})
        self.rank = home / "rank"
        _write_rank(self.rank)
        self._write_outputs()

    def files(self) -> list[Kept]:
        """Return every file that a command reads from one of the folders."""
        arrays = [f"{split}/{name}.npy" for split in ("train", "valid", "test") for name in _ARRAYS]
        data = ("dataset.json", "targets.tsv", *arrays)
        weights = ("config.json", "targets.tsv", "model.safetensors", "calibration.json")
        evaluation = ("metrics.json", "per_target.tsv", "curves.csv", "calibration.csv")
        return [
            *(Kept("data", name, self.read_data) for name in data),
            *(Kept("folded", name, self.read_folds) for name in ("dataset.json", *_FOLD)),
            *(Kept("run", name, self.read_run) for name in weights),
            Kept("run", "last.safetensors", lambda: load(self.run, weights="last")),
            Kept("run", "history.csv", self.read_training),
            Kept("run", "resume/state.safetensors", self.read_training),
            *(Kept("ensemble", name, self.read_ensemble) for name in _ENSEMBLE),
            *(Kept("run", f"evaluation/{name}", self.read_evaluation) for name in evaluation),
            Kept("rank", RANK_FILE, self.read_rank),
            Kept("whole", MANIFEST, lambda: self.go_on("whole")),
            Kept("whole", part_name(0), lambda: self.go_on("whole")),
            Kept("parts", JOB, lambda: self.go_on("parts")),
            Kept("parts", JOURNAL, lambda: self.go_on("parts")),
            Kept("o.partial", spool.MANIFEST, self.read_spool),
            Kept("o.partial", self.part, self.read_spool),
        ]

    def read_folds(self) -> None:
        data = open_dataset(self.folded)
        verify(self.folded)
        list(count_leaks(data))
        for number in range(1, data.folds + 1):
            for split in data.fold(number).values():
                split.read(slice(None))
                split.bins()

    def read_data(self) -> None:
        data = open_dataset(self.data)
        verify(self.data)
        for split in data.values():
            split.read(slice(None))
            for read in (split.blocks, split.positives, split.bins, split.masks):
                read()
        list(leak_of(data["test"], data["train"]).lines())

    def read_run(self) -> None:
        model = load(self.run)
        summarise(model.network)
        config = read_config(self.run)
        settings(self.run, config)
        assert min(model.bin_bp, model.window_bp) > 0
        training_data(self.run)
        progress_of(self.run).place()
        calibration_notes(open_dataset(self.data), "valid", model)

    def read_ensemble(self) -> None:
        model = load(self.ensemble)
        settings(self.ensemble, model.config)
        predictions_identity(self.ensemble)
        calibration_notes(open_dataset(self.data), "valid", model)

    def read_rank(self) -> None:
        rank = read_rank(self.rank)
        rank.score(np.ones((2, len(rank.names())), dtype=np.float32))

    def read_training(self) -> None:
        plan = progress_of(self.run)
        plan.place()
        if has_history(self.run):
            best_epoch_text(read_history(self.run).to_dict("records"), "valid_loss")
        network = load(self.run).network
        load_state(self.run, start_state(plan.plan, network))

    def read_evaluation(self) -> None:
        evaluation = read_evaluation(self.run)
        evaluation_table(evaluation.summary)
        evaluation_remarks(evaluation.summary)
        list(same_remarks(evaluation.summary))
        _published(evaluation)
        _target_rows(evaluation)
        _commands(self.run, evaluation.summary, read_config(self.run))

    def go_on(self, name: str) -> None:
        parts = Parts(self.home / name, _IDENTITY, resume=True)
        parts.holds(0, "1" * 64)

    def read_spool(self) -> None:
        with spool.Spool(self.home / "o", self.layout, _IDENTITY, resume=True) as result:
            for _ in result.read():
                pass

    def read_background(self) -> None:
        background = read_background(self.background)
        background.compare(_EFFECTS, _KINDS)
        background.phreds(np.arange(len(background.targets)))
        dict(background.contig_lengths)

    def _write_outputs(self) -> None:
        parts = Parts(self.home / "parts", _IDENTITY, resume=False)
        parts.begin()
        parts.write(Part(part_name(0), 3, "0" * 64, "1" * 64, {"device": "cpu"}), b"PAR1")
        shutil.copytree(self.home / "parts", self.home / "whole")
        whole = Parts(self.home / "whole", _IDENTITY, resume=True)
        whole.begin()
        whole.finish(1)
        targets = pd.DataFrame({"name": ["a", "b"]})
        self.layout = Layout({"contig": "text", "start": "integer"}, targets, ("probability",))
        with spool.Spool(self.home / "o", self.layout, _IDENTITY, resume=False) as made:
            columns = {"contig": ["chr1"] * 3, "start": np.arange(3)}
            scores = {"probability": np.full((3, 2), 0.5, dtype=np.float32)}
            made.write(columns, scores, units=3, digest="abc")
            made.flush()
            self.part = made._parts[0].name


_ones = np.ones((3, TARGETS), dtype=np.float32)
_EFFECTS = {"diff": _ones, "log2_odds_ratio": _ones}
_KINDS = np.arange(len(_ones)) % 2 == 1
_ARRAYS = ("sequence", "labels", "mask_rows", "mask", "bins")
_FOLD = tuple(f"fold-2/{name}.npy" for name in _ARRAYS)


def _write_folds(folder: Path) -> None:
    chance = np.random.default_rng(1)
    folds = {f"chr{number}": number for number in (1, 2, 3)}
    about = Description("peaks", WINDOW_BP, 8, "half", contigs=tuple(folds), folds=folds)
    with new_dataset(folder, about, pd.DataFrame({"name": ["a", "b"]})) as writer:
        for number in range(3):
            codes = chance.integers(0, 5, (4, WINDOW_BP)).astype(np.uint8)
            bins = np.stack([np.full(4, number), np.arange(4) * 1000], axis=1)
            with writer.split(f"fold-{number + 1}") as split:
                split.append(codes, pack_labels(chance.integers(0, 2, (4, 2))), bins)


def _write_rank(folder: Path) -> None:
    folder.mkdir()
    count = 2 * TARGETS + 2
    numbers = np.arange(1.0, count + 1)
    options = {"strands": "both", "indel": "left"}
    fit = Fit(0.1, numbers, 0.5)
    rank = Rank("m", ("a", "b"), (("cons", "0" * 64),), options, Scaling(numbers, numbers), fit)
    write_rank(folder, rank, {})


def _write_data(folder: Path) -> None:
    chance = np.random.default_rng(0)
    about = Description(
        made_by="peaks",
        window_bp=WINDOW_BP,
        bin_bp=8,
        label_rule="half",
        contigs=("chr1", "chr2"),
        contig_bp=(5_000_000, 100_000),
    )
    targets = pd.DataFrame({"name": ["a", "b"], "group": ["TF", "DNase"]})
    with new_dataset(folder, about, targets) as writer:
        for number, name in enumerate(("train", "valid", "test")):
            codes = chance.integers(0, 5, (12, WINDOW_BP)).astype(np.uint8)
            codes[::2] = codes[::2] % dna.UNKNOWN
            bins = np.stack([np.zeros(12), np.arange(12) * 100_000 + number * 20_000], axis=1)
            labels = np.arange(24).reshape(12, 2) % (2 + np.arange(2)) == 0
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels), bins.astype(np.int32))


def paths_in(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every field of a JSON value: containers and leaves."""
    if at:
        yield at
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_in(item, (*at, key))


def substituted(content: Any, at: tuple[Any, ...], bad: Any) -> Any:
    """Return a copy of a JSON value with another value, or none, in a field."""
    changed = copy.deepcopy(content)
    place = changed
    for key in at[:-1]:
        place = place[key]
    if bad is MISSING:
        del place[at[-1]]
    else:
        place[at[-1]] = bad
    return changed


def write_json_of(file: Path, content: Any) -> None:
    """Write a JSON file as a stranger could: a data set gets the fingerprint of its content."""
    if file.name == "dataset.json":
        if isinstance(content.get("fingerprint"), str) and len(content["fingerprint"]) == 64:
            content["fingerprint"] = fingerprint(content)
        file.write_text(as_text(content), encoding="utf-8")
    else:
        file.write_text(json.dumps(content), encoding="utf-8")


def changed_tensors(file: Path, change: Callable[[dict[str, Any], dict[str, str]], None]) -> None:
    """Change the tensors and the text of a safetensors file; its checksum is right."""
    with safe_open(file, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        text = opened.metadata() or {}
    change(tensors, text)
    text.pop("crc32", None)
    with_sum = text | {"crc32": tensors_checksum(tensors, text)}
    save_file(tensors, file, with_sum)


def put_kind(file: Path, kind: str, elsewhere: Path) -> Callable[[], None]:
    """Put something of another kind in the place of a file; return what cleans up after it."""
    own = file.read_bytes()
    file.unlink()
    elsewhere.write_bytes(own)
    outside = file.parents[2] / "outside"
    outside.write_bytes(own)
    opened = socket.socket(socket.AF_UNIX)
    put: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(file),
        "socket": lambda: _bind(opened, file),
        "folder": file.mkdir,
        "device": lambda: file.symlink_to("/dev/zero"),
        "link out": lambda: file.symlink_to(elsewhere),
        "relative link out": lambda: file.symlink_to("../../outside"),
        "no target": lambda: file.symlink_to("nothing"),
        "loop": lambda: file.symlink_to(file.name),
        "sparse": lambda: _write_sparse(file, own),
        "empty": lambda: file.write_bytes(b""),
    }
    put[kind]()

    def restore() -> None:
        opened.close()
        outside.unlink()
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink(missing_ok=True)
        file.write_bytes(own)

    return restore


def _bind(opened: socket.socket, file: Path) -> None:
    here = Path.cwd()
    os.chdir(file.parent)  # the address of a socket is short
    opened.bind(file.name)
    os.chdir(here)


def _write_sparse(file: Path, start: bytes) -> None:
    with open(file, "wb") as written:
        written.write(start[:4096])
        written.truncate(10**13)


KINDS = (
    *("pipe", "socket", "folder", "device", "link out", "relative link out", "no target", "loop"),
    *("sparse", "empty"),
)


def chosen(values: tuple[Any, ...], trials: int, chance: random.Random) -> list[Any]:
    """Return the bad values to try: all of them from 5 trials on, a few in `make test`."""
    return list(values) if trials >= 5 else chance.sample(values, min(2, len(values)))

"""`make_ensemble`: writes the run folder of several runs whose probabilities are averaged.

The files of the runs are copied, so that the folder can be moved and shared, and a run that changes
later does not change the ensemble.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bioq.dataset import TARGETS
from bioq.dataset.targets import NAME, write_target_table
from bioq.errors import BioqError, UsageError
from bioq.files import new_folder, real, refuse_input, require_absent, require_utf8
from bioq.files.inside import kept_file
from bioq.options import of_type, path_to
from bioq.runs.calibration import CALIBRATION_FILE
from bioq.runs.folder import (
    BEST,
    CONFIG,
    ENSEMBLE,
    FOLDER_KIND,
    HEADER,
    HISTORY,
    MEMBERS,
    MOST_MEMBERS,
    NETWORK,
    read_config,
    read_targets,
    refuse_ensemble,
    software,
)
from bioq.runs.named import resolve_run
from bioq.runs.origin import origin_of
from bioq.runs.trained_model import TrainedModel, load
from bioq.runs.weights import weights_sha256

_COPIED = (CONFIG, TARGETS, BEST, CALIBRATION_FILE, HISTORY, NETWORK)
"""The files of a member; a run may lack the last three."""
_SEVERAL = "several data sets"
"""The name and the fingerprint of the data set of an ensemble whose members have different ones."""


def make_ensemble(
    runs: Sequence[str | Path], out: str | Path, *, force: bool = False
) -> TrainedModel:
    """Write the run folder of an ensemble of runs, and return its model, in eval mode.

    Its probabilities are the mean of the calibrated probabilities of its members (Lakshminarayanan
    et al. 2017). Every command and function that takes a run takes it.

    Args:
        runs: Two to 64 runs with the same targets, in the same order, windows and bins. The files
            that predictions need are copied into `OUT/members/`.
        out: Folder to write.
        force: Replace an earlier run.

    Returns:
        The model, in eval mode, on the CPU.

    Raises:
        UsageError: For fewer than two runs, more than 64, one run twice, and an ensemble among
            them.
        BioqError: For a run that is damaged or that differs from the first in its targets, windows
            or bins, and if `out` exists, without `force`.
    """
    given = [runs] if isinstance(runs, str | Path) else of_type("runs", runs, Sequence, "paths")
    folders = [resolve_run(run, name="runs") for run in given]
    out = path_to("out", out)
    of_type("force", force, bool, "True or False")
    if not 2 <= len(folders) <= MOST_MEMBERS:
        raise UsageError(
            f"an ensemble is of 2 to {MOST_MEMBERS} runs, found {len(folders)}; name all of them, "
            "such as run-0 run-1, or models/fold-*"
        )
    refuse_input(out, *folders)
    for folder in folders:
        if real(out).is_relative_to(real(folder)):
            raise UsageError(f"{out}: is in {folder}, a member; give a folder outside of the runs")
    require_absent(out, replaces=FOLDER_KIND if force else None)
    weights = _load_members(folders)
    names = _names_of(folders)
    with new_folder(out, replaces=FOLDER_KIND if force else None) as partial:
        (partial / MEMBERS).mkdir()
        for folder, name in zip(folders, names, strict=True):
            _copy(folder, partial / MEMBERS / name)
        entries = [
            {
                "name": name,
                "origin": str(origin_of(folder) or real(folder)),
                "weights": weights[folder],
            }
            for folder, name in zip(folders, names, strict=True)
        ]
        _write_config(partial, entries)
        load(partial)  # raises if a file has changed while it was copied
    return load(out)


def _load_members(folders: Sequence[Path]) -> dict[Path, str]:
    """Return {run: SHA-256 of its weights}; check each run, one of them in memory at a time."""
    weights: dict[Path, str] = {}
    first: TrainedModel | None = None
    for folder in folders:
        require_utf8(real(folder))  # config.json records it
        refuse_ensemble(folder, read_config(folder), "name the runs in it instead")
        model = load(folder)
        checksum = weights_sha256(folder)
        for other, known in weights.items():
            if known == checksum:
                raise UsageError(
                    f"{folder}: is the same run as {other}: their weights are equal; an ensemble "
                    "is of different runs"
                )
        weights[folder] = checksum
        if first is None:
            first = model
        else:
            _require_same_outputs(folder, model, folders[0], first)
    return weights


def _require_same_outputs(
    run: Path, model: TrainedModel, first_run: Path, first: TrainedModel
) -> None:
    """Raise BioqError unless two runs predict the same targets of the same windows."""
    advice = "an ensemble is of runs that were trained on the same targets and windows"
    for what, one, other in (
        ("windows", model.window_bp, first.window_bp),
        ("bins", model.bin_bp, first.bin_bp),
    ):
        if one != other:
            raise BioqError(f"{run}: has {what} of {one:,} bp, {first_run} {other:,} bp; {advice}")
    names, expected = list(model.targets[NAME]), list(first.targets[NAME])
    if sorted(names) != sorted(expected):
        differ = sorted(set(expected) ^ set(names))
        raise BioqError(
            f"{run}: has {len(names):,} targets, {first_run} {len(expected):,}; {differ[0]!r} is "
            f"in one of them only; {advice}"
        )
    for number, (name, known) in enumerate(zip(names, expected, strict=True), start=1):
        if name != known:
            raise BioqError(
                f"{run}: has the targets of {first_run} in another order: target {number} is "
                f"{name!r}, expected {known!r}; train it on a data set with the same target sheet"
            )


def _names_of(folders: Sequence[Path]) -> list[str]:
    """Return the names of the members' folders: those of the runs, with a number if two are equal
    (also to a file system that ignores case) or a name cannot be one in a BioQ folder."""
    names: list[str] = []
    for number, folder in enumerate(folders, start=1):
        name = real(folder).name
        if not name.isprintable() or "\\" in name or name.startswith("."):
            name = f"member-{number}"
        taken = {other.casefold() for other in names}
        candidates = [name, *(f"{name}-{count}" for count in range(2, len(folders) + 2))]
        names.append(next(each for each in candidates if each.casefold() not in taken))
    return names


def _copy(run: Path, member: Path) -> None:
    """Copy the files of a run that predictions and summaries need."""
    member.mkdir()
    for name in _COPIED:
        file = kept_file(run, name)
        if file is not None:
            shutil.copyfile(file, member / name)


def _write_config(folder: Path, entries: Sequence[Mapping[str, str]]) -> None:
    """Write the config.json and targets.tsv of an ensemble whose members are in place."""
    members = [folder / MEMBERS / entry["name"] for entry in entries]
    first = read_config(members[0])
    architecture = {
        "name": ENSEMBLE,
        "targets": first.model["targets"],
        "window_bp": first.model["window_bp"],
        "sizes": {},
    }
    config = {
        **HEADER,
        "model": architecture,
        "training": {},
        "data": _shared([read_config(member).data for member in members]),
        "versions": software(),
        "members": list(entries),
    }
    write_target_table(read_targets(members[0], first), folder / TARGETS)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _shared(data: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entry `data` of an ensemble: what the data sets of all members have in common."""
    first, *others = data
    same = {
        key: value
        for key, value in first.items()
        if all(other.get(key) == value for other in others)
    }
    return {"name": _SEVERAL, "fingerprint": _SEVERAL, "windows": {}, **same}

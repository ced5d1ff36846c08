"""The files of an evaluation.

They are in `RUN/evaluation/` for the split test, in `RUN/evaluation-SPLIT/` for another split.
"""

import contextlib
import json
from pathlib import Path
from typing import cast

from bioq.dataset.targets import NAME
from bioq.errors import BioqError
from bioq.evaluation.summary import ALWAYS_NO, Evaluation, Summary
from bioq.files import locked, new_file, read_json, sync
from bioq.files.inside import kept_file, require_inside
from bioq.files.numbers import read_numbers

FORMAT = "bioq-evaluation"
FORMAT_VERSION = 1
FOLDER = "evaluation"
SUMMARY = "metrics.json"
PER_TARGET = "per_target.tsv"
CURVES = "curves.csv"
RELIABILITY = "calibration.csv"
REPORT = "report.html"
"""Written last, by `reports.evaluation`."""
TEST = "test"
"""The split whose evaluation is in `RUN/evaluation/`."""

_REMEDY = "evaluate the run again"
_FIRST_SCORE = "positives"
"""The first column of `per_target.tsv` that is a score and not the sheet's annotation."""


def evaluation_folder(run: str | Path, split: str = TEST) -> Path:
    """Return the folder of the evaluation of a split: another split has another folder."""
    return Path(run) / (FOLDER if split == TEST else f"{FOLDER}-{split}")


def latest_evaluation(run: str | Path) -> Path | None:
    """Return the folder of the evaluation to show of a run: of test, else of valid or train.

    None if the run has not been evaluated.
    """
    for split in (TEST, "valid", "train"):
        folder = evaluation_folder(run, split)
        if kept_file(Path(run), f"{folder.name}/{SUMMARY}") is not None:
            return folder
    return None


def read_evaluation(run: str | Path, split: str = TEST) -> Evaluation:
    """Read the files that `evaluate` wrote for a split.

    Evaluations written before 2026-11-29 are in `RUN/evaluation/` for every split. Raises BioqError
    if the run has not been evaluated, or a file is damaged.
    """
    folder = evaluation_folder(run, split)
    if kept_file(Path(run), f"{folder.name}/{SUMMARY}") is None:
        wanted = "" if split == TEST else f" --split {split}"
        raise BioqError(
            f"{folder / SUMMARY}: no such file; run 'bioq evaluate {run} DATASET{wanted}' first"
        )
    return read_folder(folder)


def read_folder(folder: Path) -> Evaluation:
    """Read the evaluation in a folder. Raises BioqError if a file is damaged."""
    summary = _read_summary(folder)
    per_target = read_numbers(
        folder,
        PER_TARGET,
        needed=(NAME, "windows", "roc_auc"),
        numbers_from=_FIRST_SCORE,
        separator="\t",
        remedy=_REMEDY,
    )
    if "positive_rate" not in per_target:  # written before 2026-11-30
        per_target["positive_rate"] = per_target["positives"] / per_target["windows"]
    curves = read_numbers(
        folder,
        CURVES,
        needed=("curve", "group", "y", "threshold"),
        numbers_from="x",
        remedy=_REMEDY,
    )
    bins = ("end", "count", "mean_probability", "positive_rate")
    reliability = read_numbers(
        folder, RELIABILITY, needed=bins, numbers_from="start", remedy=_REMEDY
    )
    return Evaluation(per_target, summary, curves, reliability)


def _read_summary(folder: Path) -> Summary:
    summary = read_json(
        folder / SUMMARY,
        what="an evaluation",
        kind=FORMAT,
        version=FORMAT_VERSION,
        remedy=_REMEDY,
        shape=Summary,
    )
    for scores in summary["thresholds"]:
        is_defined = scores["threshold"] is not None and {"f1", "precision", "recall"} <= set(
            scores
        )
        if scores["chosen"] != ALWAYS_NO and not is_defined:
            raise BioqError(
                f"{folder / SUMMARY}: has a threshold without a number, f1, precision or recall; "
                f"{_REMEDY}"
            )
    return cast(Summary, summary)


def require_not_evaluated(run: Path, split: str, *, force: bool) -> None:
    """Raise BioqError if an evaluation of a split would be replaced without `force`.

    An evaluation that was interrupted, which has no `metrics.json`, is not one.
    """
    folder = evaluation_folder(run, split)
    if force or not (folder / SUMMARY).exists():
        return
    try:
        summary = _read_summary(folder)
        what = f"the split {summary['split']!r} of {summary['data']['name']}"
    except BioqError:
        what = "a split, damaged"
    raise BioqError(
        f"{folder}: has an evaluation of {what}; give --force to replace it, or --out for another "
        "folder"
    )


def make_folder(run: Path, split: str) -> Path:
    """Make the folder of an evaluation, and RUN if it does not exist, and return it.

    Raises BioqError if it cannot be made, for instance because the folder of RUN does not exist.
    """
    folder = evaluation_folder(run, split)
    require_inside(run, folder.name)
    try:
        run.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BioqError(f"{folder}: could not be made: {error.strerror}") from error
    return folder


def write_evaluation(evaluation: Evaluation, run: Path) -> None:
    """Write the four files into the folder of the split.

    All of them are first written under temporary names, so that a full disk leaves the earlier
    evaluation. Then they replace it; `metrics.json`, without which no file is read, is removed
    first and put back last. The report of an earlier evaluation is removed.
    """
    folder = make_folder(run, evaluation.summary["split"])
    summary = {"format": FORMAT, "format_version": FORMAT_VERSION, **evaluation.summary}
    with locked(folder), contextlib.ExitStack() as stack:  # renames in the opposite order
        partial = {
            name: stack.enter_context(new_file(folder / name))
            for name in (SUMMARY, RELIABILITY, CURVES, PER_TARGET)
        }
        partial[SUMMARY].write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        for name, table in ((CURVES, evaluation.curves), (RELIABILITY, evaluation.calibration)):
            table.to_csv(partial[name], index=False, lineterminator="\n", float_format="%.6g")
        evaluation.per_target.to_csv(
            partial[PER_TARGET],
            sep="\t",
            index=False,
            lineterminator="\n",
            float_format="%.9g",
            na_rep="NA",
        )
        for file in partial.values():
            sync(file)
        (folder / SUMMARY).unlink(missing_ok=True)
        (folder / REPORT).unlink(missing_ok=True)

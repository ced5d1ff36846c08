"""What an evaluation found: its files in `RUN/evaluation/` and its table of text."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bioq.errors import BioqError
from bioq.files import locked, new_file, read_json, sync

FORMAT = "bioq-evaluation"
FORMAT_VERSION = 1
FOLDER = "evaluation"
SUMMARY = "metrics.json"
PER_TARGET = "per_target.tsv"
CURVES = "curves.csv"
RELIABILITY = "calibration.csv"
VALID = "valid"
ALL = "all"
"""The name under which `curves.csv` holds all targets pooled."""

FIRST_SCORE = "positives"
"""The first column of `per_target.tsv` that is a score and not the sheet's annotation."""

_PUBLISHED = {"_roc_auc": "roc_auc", "_pr_auc": "average_precision"}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found, and what `read_evaluation` reads back."""

    per_target: pd.DataFrame
    """One row a target: name, the sheet's annotation, then the scores; NaN where undefined."""
    summary: dict[str, Any]
    """What `metrics.json` says; None where undefined."""
    curves: pd.DataFrame
    """Columns curve ("roc": x false, y true positive rate; "precision_recall": x recall,
    y precision), group ("all" or a group's name), x, y, threshold (NaN for roc)."""
    calibration: pd.DataFrame
    """Bins of equal width: start, end, count, mean_probability, positive_rate."""


def read_evaluation(run: str | Path) -> Evaluation:
    """Read what `evaluate` wrote. Raises BioqError if the run has not been evaluated."""
    folder = Path(run) / FOLDER
    file = folder / SUMMARY
    if not file.is_file():
        raise BioqError(f"{file}: no such file; run 'bioq evaluate {run} DATASET' first")
    summary = read_json(
        file,
        what="an evaluation",
        kind=FORMAT,
        version=FORMAT_VERSION,
        remedy="evaluate the run again",
    )
    try:
        per_target = _read_per_target(folder / PER_TARGET)
        curves = pd.read_csv(folder / CURVES, keep_default_na=False, na_values={"threshold": ""})
        return Evaluation(per_target, summary, curves, pd.read_csv(folder / RELIABILITY))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise BioqError(f"{folder}: cannot be read ({reason}); evaluate the run again") from error


def evaluation_table(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the summary as rows of text, the first the heading: score, macro, micro."""
    macro, micro = summary["macro"], summary["micro"]
    targets = summary["targets"]
    rows = [("score", "macro (mean of targets)", "micro (all pooled)")]
    for key, name in (("roc_auc", "ROC AUC"), ("average_precision", "average precision")):
        defined = targets - macro[f"undefined_{key}"]
        of = f" ({defined} of {targets} targets)" if defined < targets else ""
        rows.append((name, number(macro[key]) + of, number(micro[key])))
    for group, scores in summary["groups"].items():
        noun = "target" if scores["targets"] == 1 else "targets"
        label = f"{group} ({scores['targets']} {noun})"
        for key, name in (("roc_auc", "ROC AUC"), ("average_precision", "average precision")):
            rows.append(
                (f"{name}, {label}", number(scores[f"macro_{key}"]), number(scores[f"micro_{key}"]))
            )
    for choice in summary["thresholds"]:
        at = threshold_name(choice)
        rows.append((f"accuracy {at}", "", number(choice["accuracy"])))
        if choice["chosen"] != "always no":
            rows.append((f"F1 {at}", "", number(choice["f1"])))
    rows.append(("Brier score", number(macro["brier"]), number(micro["brier"])))
    rows.append(("calibration error", "", number(micro["calibration_error"])))
    return rows


def threshold_name(choice: Mapping[str, Any]) -> str:
    """Return how a table names one of `summary["thresholds"]`."""
    if choice["chosen"] == "always no":
        return 'of always answering "no"'
    at = f"at {choice['threshold']:.3g}"
    return at if choice["chosen"] == "fixed" else f"{at} ({choice['chosen']})"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as text, a dash where it is undefined."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def published_columns(targets: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield (column, model, score) of columns such as `danq_roc_auc` and `deepsea_pr_auc`."""
    for column in map(str, targets.columns):
        for ending, key in _PUBLISHED.items():
            if column.endswith(ending) and column != ending[1:]:
                yield column, column.removesuffix(ending), key


def without_nan(value: Any) -> Any:
    """Put None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def make_folder(run: Path) -> Path:
    """Make `RUN/evaluation/` where it is not there yet, and return it; RUN too, but no more."""
    folder = run / FOLDER
    try:
        run.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BioqError(f"{folder}: could not be made: {error.strerror}") from error
    return folder


def write_evaluation(found: Evaluation, run: Path) -> None:
    """Write the four files into `RUN/evaluation/`.

    All of them are written first, under temporary names: a full disk leaves what was there.
    `metrics.json`, without which none of them is read, is then removed first and put there last.
    """
    folder = make_folder(run)
    summary = {"format": FORMAT, "format_version": FORMAT_VERSION, **found.summary}
    with locked(folder), contextlib.ExitStack() as stack:  # renames in the opposite order
        partial = {
            name: stack.enter_context(new_file(folder / name))
            for name in (SUMMARY, RELIABILITY, CURVES, PER_TARGET)
        }
        partial[SUMMARY].write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        for name, table in ((CURVES, found.curves), (RELIABILITY, found.calibration)):
            table.to_csv(partial[name], index=False, lineterminator="\n", float_format="%.6g")
        found.per_target.to_csv(
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


def _read_per_target(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    first = list(table.columns).index(FIRST_SCORE)
    for column in table.columns[first:]:
        table[column] = pd.to_numeric(table[column].mask(table[column] == "NA"))
    return table

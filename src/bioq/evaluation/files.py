"""The files of an evaluation in `RUN/evaluation/`."""

import contextlib
import json
from pathlib import Path
from typing import cast

import pandas as pd

from bioq.errors import BioqError
from bioq.evaluation.summary import Evaluation, Summary
from bioq.files import locked, new_file, read_json, sync

FORMAT = "bioq-evaluation"
FORMAT_VERSION = 1
FOLDER = "evaluation"
SUMMARY = "metrics.json"
PER_TARGET = "per_target.tsv"
CURVES = "curves.csv"
RELIABILITY = "calibration.csv"

_FIRST_SCORE = "positives"
"""The first column of `per_target.tsv` that is a score and not the sheet's annotation."""


def read_evaluation(run: str | Path) -> Evaluation:
    """Read the files that `evaluate` wrote.

    Raises BioqError if the run has not been evaluated, or a file is damaged.
    """
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
        reliability = pd.read_csv(folder / RELIABILITY)
        return Evaluation(per_target, cast(Summary, summary), curves, reliability)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise BioqError(f"{folder}: cannot be read ({reason}); evaluate the run again") from error


def make_folder(run: Path) -> Path:
    """Make `RUN/evaluation/`, and RUN if it does not exist, and return it.

    Raises BioqError if it cannot be made, for instance because the folder of RUN does not exist.
    """
    folder = run / FOLDER
    try:
        run.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BioqError(f"{folder}: could not be made: {error.strerror}") from error
    return folder


def write_evaluation(evaluation: Evaluation, run: Path) -> None:
    """Write the four files into `RUN/evaluation/`.

    All of them are first written under temporary names, so that a full disk leaves the earlier
    evaluation. Then they replace it; `metrics.json`, without which no file is read, is removed
    first and put back last.
    """
    folder = make_folder(run)
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


def _read_per_target(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    first = list(table.columns).index(_FIRST_SCORE)
    for column in table.columns[first:]:
        table[column] = pd.to_numeric(table[column].mask(table[column] == "NA"))
    return table

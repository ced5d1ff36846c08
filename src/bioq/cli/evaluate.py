"""`bioq evaluate`."""

from pathlib import Path
from typing import Annotated

import pandas as pd
from cyclopts import Parameter

from bioq.cli.options import FLAGS, Force, Run
from bioq.cli.tables import print_line, print_table
from bioq.dataset import open_dataset
from bioq.errors import UsageError
from bioq.evaluation.cross_validation import folds_table
from bioq.evaluation.files import REPORT, evaluation_folder
from bioq.evaluation.published_scores import published_table
from bioq.evaluation.scoring import EvaluateOptions, evaluate_run
from bioq.evaluation.table import evaluation_remarks, evaluation_table, same_remarks
from bioq.reports.card import CARD, refresh_card
from bioq.reports.evaluation import ExtraTable, write_report
from bioq.runs.named import resolve_run


def evaluate(
    run: Run,
    dataset: Path,
    /,
    *more: Annotated[Path, Parameter(show=False)],
    out: Path | None = None,
    force: Force = False,
    options: Annotated[EvaluateOptions, FLAGS] = EvaluateOptions(),  # noqa: B008 frozen
) -> None:
    """Score a run on a data set, with figures and a report.

    Writes RUN/evaluation: metrics.json, per_target.tsv, the figures and report.html. The
    evaluation of another split than test is written into RUN/evaluation-SPLIT. The thresholds are
    chosen on the validation split, never on the split that is scored.

    Of a data set with folds, the fold that the run leaves for testing is scored. An ensemble of all
    folds is cross-validated: each window is predicted by the members that leave its fold for
    testing, and the scores of each fold are printed too.

    For example:

        bioq evaluate run yeast
        bioq evaluate run yeast --split valid
        bioq evaluate models/ensemble folded

    Parameters
    ----------
    dataset
        Data set folder with the run's targets.
    out
        Folder in which the folder evaluation is written; by default RUN.
    """
    if more:
        raise UsageError(
            f"bioq evaluate takes one run and one data set, found {2 + len(more)} folders; for the "
            "mean of several runs, make an ensemble of them with 'bioq ensemble' and evaluate it"
        )
    folder, split = resolve_run(run), options.split
    home = out or folder
    interrupted = not (evaluation_folder(home, split) / REPORT).exists()  # the report is the last
    evaluation = evaluate_run(
        folder, open_dataset(dataset), out, options, force=force or interrupted
    )
    folds = evaluation.summary.get("folds")
    if folds is not None:
        print_table(folds_table(folds))
        print_line("in brackets: the score of a constant")
        print_line()
    print_table(evaluation_table(evaluation.summary))
    print_line()
    if published := published_table(evaluation.summary):
        print_table(published)
        print_line()
    for remark in (*evaluation_remarks(evaluation.summary), *same_remarks(evaluation.summary)):
        print_line(remark)
    extra = []
    if folds is not None:
        heading, *rows = folds_table(folds)
        table = pd.DataFrame(rows, columns=heading)
        extra = [ExtraTable("Each fold", table, "In brackets: the score of a constant.")]
    print_line(f"report: {write_report(home, split, extra_tables=extra)}")
    if out is None and refresh_card(folder):
        print_line(f"card: {folder / CARD}")

"""`bioq evaluate`."""

from pathlib import Path
from typing import Annotated

from bioq.cli.options import FLAGS, Force
from bioq.cli.tables import print_line, print_table
from bioq.dataset import open_dataset
from bioq.evaluation.files import REPORT, evaluation_folder
from bioq.evaluation.scoring import EvaluateOptions, evaluate_runs
from bioq.evaluation.table import evaluation_remarks, evaluation_table, same_remarks
from bioq.reports.evaluation import write_report


def evaluate(
    run: Path,
    dataset: Path,
    /,
    *more: Path,
    out: Path | None = None,
    force: Force = False,
    options: Annotated[EvaluateOptions, FLAGS] = EvaluateOptions(),  # noqa: B008 frozen
) -> None:
    """Score a run on a data set, or the mean of several runs, with figures and a report.

    Writes RUN/evaluation: metrics.json, per_target.tsv, the figures and report.html. The
    evaluation of another split than test is written into RUN/evaluation-SPLIT. The thresholds are
    chosen on the validation split, never on the split that is scored.

    For example:

        bioq evaluate run yeast
        bioq evaluate run yeast --split valid
        bioq evaluate run-0 run-1 run-2 yeast --out ensemble

    Parameters
    ----------
    run
        Run folder, written by 'bioq train'.
    dataset
        Data set folder with the run's targets. With several runs it is the last folder.
    more
        More runs: bioq evaluate RUN RUN ... DATASET --out FOLDER scores the mean of their
        probabilities.
    out
        Folder in which the folder evaluation is written; by default RUN. Several runs need it.
    """
    folders = [run, dataset, *more]
    home, split = out or run, options.split
    interrupted = not (evaluation_folder(home, split) / REPORT).exists()  # the report is the last
    evaluation = evaluate_runs(
        folders[:-1], open_dataset(folders[-1]), out, options, force=force or interrupted
    )
    print_table(evaluation_table(evaluation.summary))
    print_line()
    for remark in (*evaluation_remarks(evaluation.summary), *same_remarks(evaluation.summary)):
        print_line(remark)
    print_line(f"report: {write_report(home, split)}")

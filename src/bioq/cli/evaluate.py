"""`bioq evaluate`."""

from pathlib import Path

from bioq.cli.options import Device
from bioq.cli.tables import print_table
from bioq.dataset import open_dataset
from bioq.evaluation.scoring import evaluate as evaluate_run
from bioq.evaluation.table import evaluation_table
from bioq.forward import BATCH_SIZE, Precision, Strands
from bioq.reports.evaluation import write_report


def evaluate(
    run: Path,
    dataset: Path,
    /,
    *more: Path,
    out: Path | None = None,
    split: str = "test",
    strands: Strands = "both",
    device: Device = None,
    batch_size: int = BATCH_SIZE,
    precision: Precision = "32",
) -> None:
    """Score a run on a data set, or the mean of several runs, with figures and a report.

    Writes RUN/evaluation: metrics.json, per_target.tsv, the figures and report.html. The
    thresholds are chosen on the validation split, never on the split that is scored.

    For example:

        bioq evaluate run yeast
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
    split
        Split to score: train, valid or test.
    strands
        both: average the probabilities of a window and its reverse complement. forward: use the
        window only.
    batch_size
        Windows per forward pass.
    precision
        Number format of the forward pass: 32 (exact float32), tf32 or bf16.
    """
    folders = [run, dataset, *more]
    evaluation = evaluate_run(
        folders[:-1],
        open_dataset(folders[-1]),
        out=out,
        split=split,
        strands=strands,
        device=device,
        batch_size=batch_size,
        precision=precision,
    )
    print_table(evaluation_table(evaluation.summary))
    print(f"report: {write_report(out or run)}")

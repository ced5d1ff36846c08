"""`bioq evaluate`."""

from pathlib import Path

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
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    precision: Precision = "32",
) -> None:
    """Evaluate a run, or the mean of several; draw figures and a report.

    Writes RUN/evaluation: metrics.json, per_target.tsv, the figures and report.html. Thresholds
    are chosen on the validation split, never on the one that is scored.

    For example:

        bioq evaluate run yeast
        bioq evaluate run-0 run-1 run-2 yeast --out ensemble

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    dataset
        Data set folder with the same targets; after several runs, the last of the folders.
    more
        With several runs: bioq evaluate RUN RUN ... DATASET --out FOLDER scores the mean of their
        probabilities.
    out
        Folder for the evaluation of several runs: FOLDER/evaluation.
    split
        train, valid or test.
    strands
        both: average the probabilities of a window and its reverse complement.
    device
        cpu, cuda, mps; by default the first CUDA card, else the CPU.
    batch_size
        Windows a forward pass.
    precision
        32, tf32 or bf16.
    """
    folders = [run, dataset, *more]
    found = evaluate_run(
        folders[:-1],
        open_dataset(folders[-1]),
        out=out,
        split=split,
        strands=strands,
        device=device,
        batch_size=batch_size,
        precision=precision,
    )
    print_table(evaluation_table(found.summary))
    print(f"report: {write_report(out or run)}")

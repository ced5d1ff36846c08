"""`bioq evaluate`."""

from pathlib import Path

from bioq.cli.tables import print_table
from bioq.dataset import open_dataset
from bioq.evaluation import evaluate as evaluate_run
from bioq.inference import BATCH_SIZE, Precision, Strands
from bioq.report import write_report
from bioq.results import evaluation_table


def evaluate(
    run: Path,
    dataset: Path,
    /,
    *,
    split: str = "test",
    strands: Strands = "both",
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    precision: Precision = "32",
) -> None:
    """Evaluate a run; draw figures and a report.

    Writes RUN/evaluation: metrics.json, per_target.tsv, the figures and report.html. Thresholds
    are chosen on the validation split, never on the one that is scored.

    For example:

        bioq evaluate run yeast

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    dataset
        Data set folder with the same targets.
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
    found = evaluate_run(
        run,
        open_dataset(dataset),
        split=split,
        strands=strands,
        device=device,
        batch_size=batch_size,
        precision=precision,
    )
    print_table(evaluation_table(found.summary))
    print(f"report: {write_report(run)}")

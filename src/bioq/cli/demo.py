"""`bioq demo`: simulate, train, evaluate, and compare the model with the known truth."""

import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from bioq.builders.simulation.build import SimulationOptions, simulate
from bioq.builders.simulation.truth import compare_with_truth
from bioq.cli.demo_next import OUTPUTS, next_commands
from bioq.cli.first_steps import DEMO, program
from bioq.cli.options import Force
from bioq.cli.tables import print_line, print_table
from bioq.dataset import open_dataset
from bioq.evaluation.scoring import evaluate
from bioq.fast.threads import same_threads
from bioq.files import FolderKind, require_absent
from bioq.models import ModelSizes
from bioq.progress import followed_by, say
from bioq.reports.evaluation import ExtraTable, write_report
from bioq.training.recipes import TrainConfig
from bioq.training.train import train

# DanQ with a tenth of its filters and LSTM units.
MODEL = "danq"
SIZES = ModelSizes(
    filters=32,
    filter_width=20,
    pool_width=13,
    lstm_units=32,
    lstm_layers=1,
    dense_units=64,
    dropout_conv=0.0,
    dropout_head=0.2,
)
# The learning rate is high to keep the demo short. If the outputs started at the targets' positive
# rates, the first gradients would be mostly noise, and at this rate every unit of the dense layer
# would die. So the outputs start at one half, and the rate rises slowly.
TRAINING = TrainConfig(
    lr=4e-3, batch_size=64, epochs=10, warmup_epochs=4, patience=0, output_bias=False
)
SIMULATION = SimulationOptions()

_DEMO = FolderKind("data/dataset.json", ("run", *OUTPUTS))
_AFTER_TRAINING = 0.15
"""Time of the evaluation and the report, as a share of the training's."""
_TITLE = "The model compared with the truth"
_EXPLANATION = """AUC: ROC AUC; 0.5 for a constant. AP: average precision; the rate for a constant.
rate: the share of positive windows. Labels: the noisy labels of the test contig.
truth: the score of the noise-free labels, the best possible score.
motifs: the score of the motifs alone, without their distance, order or orientation."""
_COLUMNS = {
    "name": "target",
    "rule": "positive where",
    "roc_auc": "AUC",
    "truth_roc_auc": "truth AUC",
    "positive_rate": "rate",
    "average_precision": "AP",
    "truth_average_precision": "truth AP",
    "motifs_average_precision": "motifs AP",
}
"""Column of the comparison -> its heading."""


def demo(*, out: Path = DEMO, seed: int = 0, force: Force = False) -> None:
    """Try everything on simulated data: simulate, train, evaluate, report.

    Makes a random genome with motifs planted by known rules, trains a small model on it and prints
    a table that compares the model with the truth. It takes minutes on two cores. OUT/data is the
    data set, OUT/run the run.

    For example:

        bioq demo --out bioq-demo

    Parameters
    ----------
    out
        New folder for the data set and the run.
    seed
        Seed of the random genome and of the initial weights.
    """
    run_demo(out, replace(SIMULATION, seed=seed), SIZES, replace(TRAINING, seed=seed), force=force)


def run_demo(
    out: Path,
    simulation: SimulationOptions,
    sizes: ModelSizes,
    training: TrainConfig,
    *,
    force: bool = False,
) -> None:
    """Run the demo at any size. Raises BioqError if `out` exists; with `force` a demo that is there
    is removed."""
    started = time.monotonic()
    require_absent(out, replaces=_DEMO if force else None)
    if out.exists():
        shutil.rmtree(out)
    data_folder, run = out / "data", out / "run"
    say(f"1/4 simulate: a random genome with planted motifs -> {data_folder}")
    simulate(data_folder, simulation)
    data = open_dataset(data_folder)
    say(f"2/4 train: a small {MODEL} model on {len(data['train']):,} windows -> {run}")
    try:
        with followed_by(_AFTER_TRAINING), _one_thread():
            train(data, run, model=MODEL, sizes=sizes, config=training)
    except KeyboardInterrupt as error:
        evaluation_words = shlex.join(["evaluate", str(run), str(data_folder)])
        error.add_note(f"then '{program()} {evaluation_words}' writes the report")
        raise
    say(f"3/4 evaluate: {len(data['test']):,} windows of a contig that was not used in training")
    evaluation = evaluate(run, data, split="test")
    table = compare_with_truth(data, "test", evaluation.per_target)
    say("4/4 report: figures and one page")
    report = write_report(run, extra_tables=[ExtraTable(_TITLE, shown(table), _EXPLANATION)])
    print_table([list(_COLUMNS.values()), *shown(table).to_numpy().tolist()])
    for line in ("", *_EXPLANATION.splitlines(), ""):
        print_line(line)
    print_line(f"The demo took {_minutes(time.monotonic() - started)}. The report: {report}")
    print_line(f"Open it in a browser: {report.resolve().as_uri()}")
    print_line()
    print_line("Next:")
    for purpose, words in next_commands(out, data):
        print_line()
        print_line(purpose)
        print_line(f"    {program()} {shlex.join(words)}")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: so small a model gains little by a second one, and on a busy computer
    threads that wait for one another make the demo 20 times slower (docs/faq.md)."""
    with same_threads():
        torch.set_num_threads(1)
        yield


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison as a table of text with the printed headings."""
    text = table[list(_COLUMNS)].rename(columns=_COLUMNS)
    for heading in list(_COLUMNS.values())[2:]:
        text[heading] = [f"{score:.3f}" if score == score else "-" for score in text[heading]]
    return text


def _minutes(seconds: float) -> str:
    rounded = round(seconds)
    return f"{rounded // 60} min {rounded % 60} s"

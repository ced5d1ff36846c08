"""Models compared like with like: the same data, split, budget of windows and seeds.

    python benchmarks/models.py                                 all three data sets, validation
    python benchmarks/models.py --data grammar --models danq marq --parallel 2
    python benchmarks/models.py --models danq wide --variant wide "--model marq --filters 256"
    python benchmarks/models.py --split test --out test.json    the test split, to be read once
    python benchmarks/models.py --data yeast --seeds 0 -- --epochs 2
    python benchmarks/models.py --tiny --work FOLDER            the grammar, two models

Three data sets (`model_data.py`): yeast as in `yeast.py`, human, and a simulated grammar whose best
possible scores are known. Every run is made by `bioq train` with its default recipe, in small
sizes; what follows `--` goes to all of them. A finished run in --work is not trained again, an
interrupted one goes on.

For every data set two tables in Markdown go to stdout, and with --out everything to a JSON file:
scores (means over the seeds, macro with the standard deviation) and costs (`model_speed.py`), then
every model less the reference, with 95 % intervals (`model_scores.py`). Tune on `valid` alone.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from measuring import flags_after_dashes, parse, parser, say
from model_data import DATA_SETS, build, genome_blocks
from model_scores import SCORES, compare
from model_speed import Costed, costs

import bioq
from bioq import dna, metrics
from bioq.builders.simulation.truth import compare_with_truth
from bioq.dataset import Dataset
from bioq.forward import predict_split

# Sizes that one core trains in minutes; the published ones are for a graphics card. A name that is
# not here is a model in its published size.
SMALL = ("--filters", "64", "--lstm-units", "32")
ATTENTION = ("--attention-units", "64", "--attention-heads", "4", "--dense-units", "32")
WIDE_ATTENTION = ("--attention-units", "128", "--attention-heads", "4", "--dense-units", "64")
PRESETS: Mapping[str, Sequence[str]] = {
    "bioq": ("--model", "bioq", *SMALL, "--dense-units", "128"),
    "danq": ("--model", "danq", *SMALL, "--dense-units", "128"),
    "deepsea": ("--model", "deepsea", "--filters", "32", "--dense-units", "128"),
    "deepatt": ("--model", "deepatt", *SMALL, *ATTENTION),
    "deepatt-wide": (
        *("--model", "deepatt", "--filters", "128", "--lstm-units", "64"),
        *WIDE_ATTENTION,
    ),
    "marq": ("--model", "marq"),
}
BLOCK_BP = 20_000
"""Genome that is drawn together: a hundred bins, as long as a broad histone domain."""
SPEED_WINDOWS = 256
"""Windows of a call whose speed is measured, as many as `bioq predict` takes at once."""
POOLED = ("macro_roc_auc", "micro_roc_auc", "macro_average_precision", "micro_average_precision")

Probability = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """One training."""

    folder: Path
    model: str
    seed: int
    flags: Sequence[str]
    """Of `bioq train`."""

    @property
    def done(self) -> Path:
        """The file that says that it is finished, and with which flags."""
        return self.folder.with_name(self.folder.name + ".done.json")


@dataclass
class Found:
    """What one data set says of all models."""

    data: str
    split: str
    windows: int
    reference: str
    budgets: dict[str, str]
    """Model -> what it was shown."""
    scores: dict[str, dict[str, list[float]]]
    """Model -> score -> one value a seed."""
    per_target: dict[str, dict[str, list[float | None]]]
    """Model -> score -> mean over the seeds of each target."""
    costs: dict[str, dict[str, float]]
    differences: dict[str, dict[str, dict[str, Any]]]
    best_possible: dict[str, float] = field(default_factory=dict)
    """On grammar: macro scores of the truth, and of the motifs alone, without the control."""


def main() -> None:
    """Build, train, score, compare and print."""
    options = _options()
    torch.set_num_threads(1)
    result = []
    for name in options.data:
        folder = options.work / name
        folder.mkdir(parents=True, exist_ok=True)
        dataset = build(name, folder, tiny=options.tiny)
        if dataset is None:
            continue
        runs = [
            Run(folder / f"{model}-{seed}", model, seed, options.flags_of[model])
            for model in options.models
            for seed in options.seeds
        ]
        train(dataset, runs, parallel=options.parallel)
        result.append(score(name, dataset, runs, split=options.split, reference=options.reference))
        print(as_markdown(result[-1]), flush=True)
    if options.out:
        text = json.dumps([asdict(one) for one in result], indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")


def train(dataset: Path, runs: Sequence[Run], *, parallel: int = 1) -> None:
    """Train what is not finished yet, `parallel` runs at a time, one thread each."""
    wanted = [run for run in runs if not _is_done(run)]
    with ThreadPoolExecutor(parallel) as pool:
        jobs = [pool.submit(_train, dataset, run) for run in wanted]
        try:
            for number, job in enumerate(jobs):
                job.result()
                say(f"trained {number + 1} of {len(jobs)}: {wanted[number].folder}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def score(name: str, dataset: Path, runs: Sequence[Run], *, split: str, reference: str) -> Found:
    """Predict the split with every run, both strands averaged, and compare."""
    data = bioq.open_dataset(dataset)
    labels = data[split].labels()
    costed, budgets = {}, {}
    predicted: dict[str, list[Probability]] = {}
    tables: dict[str, list[pd.DataFrame]] = {}
    scores: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        model = bioq.load(run.folder)
        config = json.loads((run.folder / "config.json").read_text(encoding="utf-8"))
        if config["data"]["fingerprint"] != data.fingerprint:
            raise SystemExit(f"{run.folder}: was trained on another data set than {dataset}; "
                             "remove the run, or give another --work")  # fmt: skip
        recipe = config["training"]["resolved"]
        costed[run.model] = Costed(run.folder, model.network, recipe)
        times = recipe["epochs"] * (2 if recipe["strands"] == "both" else 1)
        budgets[run.model] = f"{len(data['train']):,} windows, {times} times each"
        probability = predict_split(model, data[split])
        predicted.setdefault(run.model, []).append(probability)
        table = metrics.per_target(labels, probability)
        table.insert(0, "name", data.targets["name"])
        tables.setdefault(run.model, []).append(table)
        of_model = scores.setdefault(run.model, {})
        pooled = metrics.quick_scores(labels, probability)
        if name == "grammar":
            pooled |= _gaps(data, split, table)
        for key, value in pooled.items():
            of_model.setdefault(key, []).append(value)
    block = genome_blocks(data[split].bins(), BLOCK_BP)
    differences = compare(labels, block, predicted, reference)
    packed = data["train"].read_packed(slice(0, SPEED_WINDOWS))
    codes = torch.from_numpy(dna.unpack(packed.sequence, data.description.window_bp, packed.mask))
    return Found(
        data=name,
        split=split,
        windows=len(labels),
        reference=reference,
        budgets=budgets,
        scores=scores,
        per_target={model: _mean_per_target(of_model) for model, of_model in tables.items()},
        costs=costs(costed, data, codes),
        differences={
            model: {key: asdict(value) for key, value in of_model.items()}
            for model, of_model in differences.items()
        },
        best_possible=_best_possible(data, split, tables) if name == "grammar" else {},
    )


def as_markdown(result: Found) -> str:
    """Return the tables of one data set."""
    seeds = len(next(iter(result.scores.values()))["macro_roc_auc"])
    lines = [f"\n## {result.data}, {result.split}: {result.windows:,} windows, seeds: {seeds}\n"]
    budgets = set(result.budgets.values())
    if len(budgets) == 1:
        lines.append(f"Every model was shown {budgets.pop()}.\n")
    else:
        each = "; ".join(f"{model} {shown}" for model, shown in result.budgets.items())
        lines.append(f"**The budgets differ**, so the scores are no comparison: {each}.\n")
    if result.best_possible:
        best = ", ".join(f"{what} {value:.4f}" for what, value in result.best_possible.items())
        lines.append(f"Without the control: {best}.\n")
    gaps = [key for key in next(iter(result.scores.values())) if key.startswith("gap")]
    speeds = [
        key for key in next(iter(result.costs.values())) if key not in ("parameters", "mflop")
    ]
    heads = ["model", *(_words(key) for key in (*POOLED, *gaps)), "weights", "MFLOP a window"]
    lines += _rows(
        [*heads, *(f"windows/s, {speed}" for speed in speeds)],
        [
            [
                model,
                *(_mean_and_spread(of_model[key]) for key in (*POOLED, *gaps)),
                f"{result.costs[model]['parameters']:,.0f}",
                f"{result.costs[model]['mflop']:.1f}",
                *(f"{result.costs[model][speed]:,.0f}" for speed in speeds),
            ]
            for model, of_model in result.scores.items()
        ],
    )
    heads = ["less " + result.reference]
    for key in POOLED:
        of_targets = ("targets drawn", "targets better") if key.startswith("macro") else ()
        heads += [_words(key), "blocks drawn", *of_targets]
    rows = [
        [model, *(cell for key in POOLED for cell in _difference(of_model[key]))]
        for model, of_model in result.differences.items()
    ]
    return "\n".join([*lines, "", *(_rows(heads, rows) if rows else [])])


def _train(dataset: Path, run: Run) -> None:
    resume = ("--resume",) if run.folder.is_dir() else ()
    command = [
        *(sys.executable, "-m", "bioq", "train", dataset, "--out", run.folder),
        *("--seed", run.seed, "--device", "cpu", *run.flags, *resume),
    ]
    log = run.folder.with_name(run.folder.name + ".log")
    with open(log, "a", encoding="utf-8") as output:
        ended = subprocess.run(
            [str(word) for word in command],
            stdout=output,
            stderr=output,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    if ended.returncode:
        raise SystemExit(f"{run.folder}: training ended with status {ended.returncode}; see {log}")
    run.done.write_text(json.dumps(list(run.flags)) + "\n", encoding="utf-8")


def _is_done(run: Run) -> bool:
    if not (run.done.is_file() and run.folder.is_dir()):
        return False
    flags = json.loads(run.done.read_text(encoding="utf-8"))
    if flags != list(run.flags):
        raise SystemExit(
            f"{run.folder}: was trained with {shlex.join(flags)}, now asked for "
            f"{shlex.join(run.flags)}; remove the run, or give another --work or name"
        )
    return True


def _gaps(data: Dataset, split: str, table: pd.DataFrame) -> dict[str, float]:
    """Return how far a model stays below the truth, macro without the control."""
    compared = _with_a_rule(data, compare_with_truth(data, split, table))
    return {
        f"gap_{key}": float((compared[f"truth_{key}"] - compared[key]).mean()) for key in SCORES
    }


def _best_possible(
    data: Dataset, split: str, tables: Mapping[str, Sequence[pd.DataFrame]]
) -> dict[str, float]:
    compared = _with_a_rule(data, compare_with_truth(data, split, next(iter(tables.values()))[0]))
    return {
        f"{of} {_words(f'macro_{key}')}": float(compared[f"{column}_{key}"].mean())
        for of, column in (("truth", "truth"), ("motifs without grammar", "motifs"))
        for key in SCORES
    }


def _with_a_rule(data: Dataset, table: pd.DataFrame) -> pd.DataFrame:
    return table[(data.targets["group"] != "control").to_numpy()]


def _mean_per_target(tables: Sequence[pd.DataFrame]) -> dict[str, list[float | None]]:
    means = {key: np.mean([table[key] for table in tables], axis=0) for key in SCORES}
    return {
        key: [None if np.isnan(value) else round(float(value), 6) for value in values]
        for key, values in means.items()
    }


def _words(key: str) -> str:
    return key.replace("_roc_auc", " AUROC").replace("_average_precision", " AP").replace("_", " ")


def _mean_and_spread(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def _difference(result: Mapping[str, Any]) -> list[str]:
    """Return the cells of a MacroDifference or of a Difference as a dictionary."""
    cells = [f"{result['mean']:+.4f}", _interval(result["by_blocks"])]
    if "targets" in result:
        better = f"{result['better']:.0%} of {result['targets']}"
        cells += [_interval(result["by_targets"]), better]
    return cells


def _interval(ends: Sequence[float]) -> str:
    return f"{ends[0]:+.4f} to {ends[1]:+.4f}"


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _options() -> argparse.Namespace:
    command, flags = flags_after_dashes()
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--data", nargs="+", choices=DATA_SETS, default=DATA_SETS)
    add("--models", nargs="+", default=("danq", "bioq", "deepsea", "deepatt", "marq"),
        help=f"small sizes of {', '.join(PRESETS)}; published ones of other names")  # fmt: skip
    add("--variant", nargs=2, action="append", default=[], metavar=("NAME", "FLAGS"),
        help="a name for --models, and the flags of 'bioq train' that make it")  # fmt: skip
    add("--reference", help="model that the others are compared with; the first one")
    add("--seeds", nargs="+", type=int, default=(0, 1, 2))
    add("--split", choices=("valid", "test"), default="valid")
    add("--parallel", type=int, default=1, help="trainings at a time, one thread each")
    add("--work", type=Path, default=Path("build/models"), help="folder of data sets and runs")
    add("--out", type=Path, help="JSON file with everything")
    tiny = {"data": ["grammar"], "models": ["deepsea", "danq"], "seeds": [0]}
    options = parse(arguments, tiny=tiny, words=command)
    flags = [*(("--epochs", "1") if options.tiny else ()), *flags]
    options.reference = options.reference or options.models[0]
    if options.reference not in options.models:
        arguments.error(f"--reference {options.reference}: is none of {', '.join(options.models)}")
    options.flags_of = flags_of(options.models, options.variant, flags)
    return options


def flags_of(
    models: Iterable[str], variants: Iterable[tuple[str, str]], more: Iterable[str]
) -> dict[str, list[str]]:
    """Return model -> its flags of `bioq train`: those of --variant, of a preset, or its name."""
    given = {name: shlex.split(text) for name, text in variants}
    return {
        name: [*given.get(name, PRESETS.get(name, ("--model", name))), *more] for name in models
    }


if __name__ == "__main__":
    main()

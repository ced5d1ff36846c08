"""`bioq train`."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bioq.cli.options import FLAGS, Force
from bioq.cli.tables import print_line, print_path, print_table
from bioq.dataset.folds import ALL
from bioq.errors import BioqError, UsageError, did_you_mean, nearest, short, some
from bioq.files.text import read_text
from bioq.models import ModelSizes
from bioq.models.families import PUBLISHED
from bioq.models.source import FORM
from bioq.options import flag_of
from bioq.progress import say
from bioq.runs.named import resolve_run
from bioq.training.all_folds import train_all_folds
from bioq.training.plan import (
    AUTO,
    DEFAULT_MODEL,
    TrainingRequest,
    named_options,
    request_from_options,
    wrong_options,
)
from bioq.training.preview import Preview, preview
from bioq.training.recipes import TrainConfig
from bioq.training.train import run_training

_MODEL_HELP = (
    f"{', '.join(PUBLISHED)} (docs/reference/models.md), in the published sizes; or auto, which is "
    f"{DEFAULT_MODEL}: of these networks it had the best average precision on each data set on "
    "which they were compared, from one peak file to 399 targets "
    f"(docs/reference/training-defaults.md); or {FORM}, a network of yours: a function (targets, "
    "window_bp) that returns a torch.nn.Module (docs/how-to/own-network.md)."
)


def train(
    dataset: Path,
    /,
    *,
    out: Path | None = None,
    model: Annotated[str, Parameter(help=_MODEL_HELP)] = AUTO,
    motifs: str | None = None,
    from_run: Annotated[str | None, Parameter(name="--from")] = None,
    freeze: bool = False,
    fold: str | None = None,
    resume: bool = False,
    force: Force = False,
    plan: bool = False,
    config: Path | None = None,
    training: Annotated[TrainConfig, FLAGS] = TrainConfig(),  # noqa: B008 frozen
    sizes: Annotated[ModelSizes, FLAGS] = ModelSizes(),  # noqa: B008 frozen
) -> None:
    """Train a model on a data set.

    Writes a run folder: the weights of the best epoch by validation, the weights of the last
    epoch, the history and the configuration. Ctrl-C and SIGTERM save the step; --resume continues
    from there.

    Options that you do not give have the values of the model (the sizes) and of the recipe (the
    learning rate, the epochs and the others), which follows from the model and the number of
    windows. --plan prints all of them, and docs/reference/training-defaults.md has the table.

    For example:

        bioq train yeast --plan
        bioq train yeast --out run
        bioq train yeast --out small --model deepsea --filters 64 --dense-units 128
        bioq train deepsea --out paper --model bioq --recipe bioq
        bioq train yeast --out mine --model my_net.py:build
        bioq train yeast --out run --resume
        bioq train deepsea --out run --devices 8
        bioq train mine --from run --out tuned
        bioq train folded --fold all --out models

    Parameters
    ----------
    dataset
        Data set folder, written by 'bioq data ...'.
    out
        New folder for the run; with --resume: folder of the run to continue. Required without
        --plan.
    motifs
        Start the first filters from motifs: a JASPAR release (JASPAR2024) or a MEME file.
    from_run
        Start from the network and the best weights of this run: a folder, a name that 'bioq models'
        lists, or an address. Targets that the run has, by name, keep their output weights; the
        output weights of new targets are random.
    freeze
        With --from: train only the weights that belong to single targets (the output layer and
        the targets' queries); the weights that all targets share do not change.
    fold
        Of a data set with folds, the fold to test: 2/5 tests on fold 2 of 5, validates on fold 3
        and trains on the others. all: train a model for each fold in turn, OUT/fold-1, OUT/fold-2,
        ..., and make their ensemble, OUT/ensemble.
    resume
        Continue an interrupted run, or the folds of --fold all that are not finished.
    plan
        Print every value that would be used and where it comes from, with the memory and the time
        expected; train nothing and write nothing.
    config
        TOML file with any of these options (lr = 1e-3, filters = 64, ...). A flag that differs
        from its default overrides the file.
    """
    options = named_options(model, sizes, motifs, from_run, freeze, training, fold)
    default = TrainingRequest().options()
    origins = {name: flag_of(name) for name, value in options.items() if value != default[name]}
    if config is not None:
        in_file = _with_file(options, config)
        origins |= {name: str(config) for name in in_file if in_file[name] != options[name]}
        options = in_file
    request = request_from_options(options)
    if request.from_run is not None:
        request = replace(request, from_run=resolve_run(request.from_run))
    if out is None and (resume or not plan):
        raise UsageError("--out is missing; name the folder of the run, such as --out run")
    if plan:
        _print_plan(preview(dataset, request, out, resume=resume, force=force, origins=origins))
        return
    assert out is not None
    if request.fold == ALL:
        *runs, ensemble = train_all_folds(dataset, out, request, resume=resume, force=force)
        for run in (*runs, ensemble):
            print_path(run)
        evaluate = f"bioq evaluate {shlex.quote(str(ensemble))} {shlex.quote(str(dataset))}"
        say(f"'{evaluate}' scores each window by the model that has not seen its fold")
        return
    run_training(dataset, out, request, resume=resume, force=force)
    print_path(out)


def _print_plan(planned: Preview) -> None:
    for heading, text in planned.facts:
        print_line(f"{heading}: {text}")
    print_line()
    print_table([["option", "value", "from"], *planned.options])


def _with_file(options: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return options with the values of a TOML file instead of defaults."""
    in_file, default = _read_config(path), TrainingRequest().options()
    unknown = [name for name in in_file if name not in default]
    if unknown:
        hint = did_you_mean(nearest(unknown[0], default, most=1))
        raise UsageError(
            f"{path}: unknown option {some(map(short, unknown))}; {hint}expected some of "
            f"{', '.join(default)}"
        )
    wrong = wrong_options(in_file)
    if wrong:
        listed = "; ".join(f"{name} = {text}" for name, text in wrong.items())
        raise UsageError(f"{path}: {listed}")
    return {
        name: in_file.get(name, value) if value == default[name] else value
        for name, value in options.items()
    }


_MOST_LETTERS, _MOST_DOTS = 1 << 20, 200
"""Bounds of a file of options, which has about 40 lines: a path has some dots, and a name of 20,000
parts takes 1.8 GB to parse."""


def _read_config(path: Path) -> dict[str, Any]:
    import tomllib

    text = read_text(path, "options in TOML")
    dots = max(
        (line.count(".") for line in text.split("\n") if line.lstrip()[:1] != "#"), default=0
    )
    if len(text) > _MOST_LETTERS or dots > _MOST_DOTS:  # a key of n parts takes n * n bytes
        raise BioqError(
            f"{path}: has {len(text):,} letters and up to {dots:,} dots in a line; options in TOML "
            f"are at most {_MOST_LETTERS:,} letters with {_MOST_DOTS:,} dots in a line"
        )
    try:
        options = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BioqError(f"{path}: is not a readable TOML file ({error})") from error
    if not options:
        say(f"warning: {path}: holds no options")
    named = {name.replace("-", "_"): value for name, value in options.items()}
    if len(named) < len(options):
        twice = [name for name in options if "-" in name and name.replace("-", "_") in options]
        raise UsageError(f"{path}: {some(map(short, twice))} is also spelled with _; keep one line")
    return named

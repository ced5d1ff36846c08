"""`bioq train`."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bioq.cli.interrupts import resumable
from bioq.cli.options import FLAGS
from bioq.errors import BioqError, UsageError
from bioq.files.text import read_text
from bioq.models import ModelSizes
from bioq.models.families import PUBLISHED
from bioq.progress import say
from bioq.training.plan import TrainingRequest, named_options, request_from_options
from bioq.training.recipes import TrainConfig
from bioq.training.train import run_training

_MODEL_HELP = f"{', '.join(PUBLISHED)} (docs/models.md); bioq by default."


@resumable()
def train(
    dataset: Path,
    /,
    *,
    out: Path,
    model: Annotated[str | None, Parameter(help=_MODEL_HELP)] = None,
    motifs: str | None = None,
    from_run: Annotated[Path | None, Parameter(name="--from")] = None,
    freeze: bool = False,
    resume: bool = False,
    config: Path | None = None,
    training: Annotated[TrainConfig, FLAGS] = TrainConfig(),  # noqa: B008 frozen
    sizes: Annotated[ModelSizes, FLAGS] = ModelSizes(),  # noqa: B008 frozen
) -> None:
    """Train a model on a data set.

    Writes a run folder: the weights of the best epoch by validation, the weights of the last
    epoch, the history and the configuration. --resume continues an interrupted run.

    For example:

        bioq train yeast --out run
        bioq train yeast --out small --model deepsea --filters 64 --dense-units 128
        bioq train deepsea --out paper --model bioq --recipe bioq
        bioq train yeast --out run --resume
        bioq train deepsea --out run --devices 8
        bioq train mine --from run --out tuned

    Parameters
    ----------
    dataset
        Data set folder, written by 'bioq data ...'.
    out
        New folder for the run; with --resume: folder of the run to continue.
    motifs
        Start the first filters from motifs: a JASPAR release (JASPAR2024) or a MEME file.
    from_run
        Start from the network and the best weights of this run. Targets that the run has, by name,
        keep their output weights; the output weights of new targets are random.
    freeze
        With --from: train only the weights that belong to single targets (the output layer and
        the targets' queries); the weights that all targets share do not change.
    resume
        Continue an interrupted run.
    config
        TOML file with any of these options (lr = 1e-3, filters = 64, ...). A flag that differs
        from its default overrides the file.
    """
    options = named_options(model, sizes, motifs, from_run, freeze, training)
    if config is not None:
        options = _with_file(options, config)
    run_training(dataset, out, request_from_options(options), resume=resume)
    print(out)


def _with_file(options: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return options with the values of a TOML file instead of defaults."""
    in_file, default = _read_config(path), TrainingRequest().options()
    unknown = [name for name in in_file if name not in default]
    if unknown:
        near = get_close_matches(unknown[0], default, n=1)
        raise UsageError(
            f"{path}: unknown option {', '.join(unknown)}; expected some of {', '.join(default)}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    return {
        name: in_file.get(name, value) if value == default[name] else value
        for name, value in options.items()
    }


def _read_config(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        options = tomllib.loads(read_text(path, "options in TOML"))
    except (OSError, ValueError, RecursionError) as error:
        raise BioqError(f"{path}: is not a readable TOML file ({error})") from error
    if not options:
        say(f"warning: {path}: holds no options")
    return {name.replace("-", "_"): value for name, value in options.items()}

"""`bioq train`."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bioq.errors import BioqError, UsageError
from bioq.files import read_small_text
from bioq.models import ModelSizes
from bioq.training.loop import train as train_model
from bioq.training.recipes import TrainConfig

_Flags = Parameter(name="*")


def train(
    dataset: Path,
    /,
    *,
    out: Path,
    model: str | None = None,
    motifs: str | None = None,
    from_run: Annotated[Path | None, Parameter(name="--from")] = None,
    freeze: bool = False,
    resume: bool = False,
    config: Path | None = None,
    training: Annotated[TrainConfig, _Flags] = TrainConfig(),  # noqa: B008 frozen
    sizes: Annotated[ModelSizes, _Flags] = ModelSizes(),  # noqa: B008 frozen
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
    model
        bioq (the default), danq, danq-jaspar, deepsea, deepatt or marq; see docs/models.md.
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
        TOML file with any of these options (lr = 1e-3, filters = 64, ...). A flag overrides the
        file.
    """
    if config is not None:
        chosen = _read_config(config)
        training = _filled(training, chosen)
        sizes = _filled(sizes, chosen)
        in_file = {name: chosen.pop(name, None) for name in ("model", "motifs", "from", "freeze")}
        model, motifs = model or in_file["model"], motifs or in_file["motifs"]
        from_run, freeze = from_run or in_file["from"], freeze or bool(in_file["freeze"])
        if chosen:
            known = [field.name for kind in (TrainConfig, ModelSizes) for field in fields(kind)]
            raise UsageError(
                f"{config}: unknown option {', '.join(chosen)}; "
                f"expected some of model, motifs, from, freeze, {', '.join(known)}"
            )
    train_model(
        dataset,
        out,
        model=model,
        sizes=sizes,
        motifs=motifs,
        from_run=from_run,
        freeze=freeze,
        config=training,
        resume=resume,
    )
    print(out)


def _read_config(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        options = tomllib.loads(read_small_text(path, what="options in TOML"))
    except (OSError, ValueError, RecursionError) as error:
        raise BioqError(f"{path}: is not a readable TOML file ({error})") from error
    return {name.replace("-", "_"): value for name, value in options.items()}


def _filled(options: Any, chosen: dict[str, Any]) -> Any:
    """Return `options` with the file's choices where the command line left the standard ones.

    What belongs here is taken out of `chosen`."""
    standard = type(options)()
    mine = {field.name for field in fields(options)} & chosen.keys()
    values = {name: chosen.pop(name) for name in mine}
    return replace(
        options,
        **{
            name: value
            for name, value in values.items()
            if getattr(options, name) == getattr(standard, name)
        },
    )

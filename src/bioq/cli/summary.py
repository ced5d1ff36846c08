"""`bioq summary`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bioq.cli.options import FLAGS, RUN_FORMS, Force
from bioq.cli.tables import print_line, print_table
from bioq.errors import BioqError, UsageError, did_you_mean, nearest
from bioq.files import new_file, require_absent
from bioq.files.near import near_path
from bioq.models import ModelSizes, build_model
from bioq.models.families import PUBLISHED
from bioq.models.source import FORM, build_from_source, names_source
from bioq.models.summary import summarise, with_memory
from bioq.progress import say
from bioq.runs.best_epoch import best_epoch_text
from bioq.runs.calibration import read_calibration
from bioq.runs.folder import (
    CONFIG,
    RunConfig,
    has_history,
    read_config,
    read_history,
    read_members,
)
from bioq.runs.named import names_run, resolve_run
from bioq.runs.network import named_source, network_outline

_FIGURES = (".png", ".svg", ".pdf")
_MODEL_HELP = f"Name of a model ({', '.join(PUBLISHED)}), {FORM}, or a run: {RUN_FORMS}."


def summary(
    model: Annotated[str, Parameter(help=_MODEL_HELP)],
    /,
    *,
    targets: int = 919,
    window_bp: int | None = None,
    out: Path | None = None,
    sizes: Annotated[ModelSizes, FLAGS] = ModelSizes(),  # noqa: B008 frozen
    force: Force = False,
) -> None:
    """Print the layers of a model, their shapes and their parameters.

    Of an ensemble one line per member is printed.

    For example:

        bioq summary bioq
        bioq summary danq --targets 399 --filters 64
        bioq summary my_net.py:build --targets 12
        bioq summary run --out layers.png

    Parameters
    ----------
    targets
        Number of targets.
    window_bp
        Length of the window in bases; by default that of the published model.
    out
        Also draw the layers into this .png, .svg or .pdf file.
    """
    import torch

    if out is not None:
        if out.suffix not in _FIGURES:
            raise UsageError(f"--out {out}: expected a name ending in .png, .svg or .pdf")
        require_absent(out, force=force)
    is_run = _is_run(model)
    folder = resolve_run(model) if is_run else Path(model)
    run = read_config(folder) if is_run else None
    if run is not None and run.members and out is None:
        print_table(_members(folder, run))
        return
    if run is not None:
        network = network_outline(folder, run)
    elif names_source(model):
        source = named_source(model)
        network = build_from_source(source, targets=targets, window_bp=window_bp or 1000)
    else:
        if (folder / CONFIG).exists():
            say(
                f"note: this is the model; the run in the folder {model} is "
                f"'bioq summary ./{model}'"
            )
        with torch.device("meta"):
            network = build_model(model, targets=targets, window_bp=window_bp, sizes=sizes)
    layers = summarise(with_memory(network))
    table = layers.table()
    print_table([list(table.columns), *(list(map(str, row)) for row in table.to_numpy())])
    print_line(f"{layers.parameters:,} parameters, {layers.flops / 1e6:,.0f} MFLOP per window")
    if run is not None:
        for line in _origin(folder, run):
            print_line(line)
    if out is not None:
        from bioq.plots.model import plot_architecture

        with new_file(out) as partial:
            plot_architecture(layers).savefig(partial, format=out.suffix[1:], dpi=150)


def _is_run(model: str) -> bool:
    """Return whether a word is a run, and not a model. Raises BioqError if it is neither."""
    if model in PUBLISHED or names_source(model):
        return False
    if not names_run(model):
        hint = did_you_mean(nearest(model, PUBLISHED, most=1)) or near_path(Path(model))
        raise BioqError(
            f"{model}: is not a model and no folder; {hint}expected {', '.join(PUBLISHED)}, or "
            + RUN_FORMS
        )
    return True


def _origin(folder: Path, run: RunConfig) -> Iterator[str]:
    """Yield lines about where the network and the weights of a run come from."""
    if run.published:
        began = "weights of" if run.imported else "training started from"
        licence = run.published["licence"]
        ending = f", licence: {licence}" if licence else ""
        yield f"{began} {run.published['title']}{ending}"
    if "source_sha256" in run.model:
        yield f"network {run.model['name']}, SHA-256 {run.model['source_sha256']}"
    if run.genome_build:
        yield f"trained on the genome {run.genome_build}"
    if has_history(folder):
        history: Any = read_history(folder).to_dict("records")
        yield f"best epoch {best_epoch_text(history, run.select_by)}"


def _members(run: Path, config: RunConfig) -> list[list[str]]:
    """Return the table of the members of an ensemble."""
    rows = [["member", "model", "parameters", "best epoch", "calibrated"]]
    for folder, member in read_members(run, config):
        weights = sum(weight.numel() for weight in network_outline(folder, member).parameters())
        epoch = ""
        if has_history(folder):
            history: Any = read_history(folder).to_dict("records")
            epoch = best_epoch_text(history, member.select_by)
        calibration = read_calibration(folder)
        name = "no" if calibration is None else calibration.name
        rows.append([folder.name, member.model_name, f"{weights:,}", epoch, name])
    return rows

"""`bioq summary`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.tables import print_table
from bioq.errors import UsageError
from bioq.files import new_file
from bioq.models import ModelSizes, build_from_architecture, build_model
from bioq.models.sizes import PUBLISHED
from bioq.models.summary import summarise
from bioq.runs.folder import read_config


def summary(
    model: str,
    /,
    *,
    targets: int = 919,
    window_bp: int = 1000,
    out: Path | None = None,
    sizes: Annotated[ModelSizes, Parameter(name="*")] = ModelSizes(),  # noqa: B008 frozen
) -> None:
    """Print the layers of a model, their shapes and their parameters.

    For example:

        bioq summary bioq
        bioq summary danq --targets 399 --filters 64
        bioq summary run --out layers.png

    Parameters
    ----------
    model
        bioq, danq, danq-jaspar, deepsea, deepatt or marq; or a run folder, for its model.
    targets
        Number of targets.
    window_bp
        Length of the window in bases.
    out
        Also draw the layers into this .png, .svg or .pdf file.
    """
    import torch

    with torch.device("meta"):
        network = (
            build_model(model, targets=targets, window_bp=window_bp, sizes=sizes)
            if model in PUBLISHED
            else build_from_architecture(read_config(model).model)
        )
    found = summarise(network)
    table = found.table()
    print_table([list(table.columns), *(list(map(str, row)) for row in table.to_numpy())])
    print(f"{found.parameters:,} parameters, {found.flops / 1e6:,.0f} MFLOP a window")
    if out is not None:
        from bioq.plots.model import plot_architecture

        if out.suffix not in (".png", ".svg", ".pdf"):
            raise UsageError(f"--out {out}: expected a name ending in .png, .svg or .pdf")
        with new_file(out) as partial:
            plot_architecture(found).savefig(partial, format=out.suffix[1:], dpi=150)

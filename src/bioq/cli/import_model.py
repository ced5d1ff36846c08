"""`bioq import`."""

from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter

from bioq.cli.options import Force
from bioq.cli.tables import print_path
from bioq.models.sizes import SecondLstm
from bioq.progress import say
from bioq.published.data import GENOME
from bioq.published.import_model import import_model as import_published
from bioq.published.named import NAMED
from bioq.published.publications import PUBLICATIONS

_TITLES = ", ".join(publication.title for publication in PUBLICATIONS.values())
_WHAT_HELP = (
    f"File of {_TITLES}, which is recognised by its content; or a name ({', '.join(NAMED)}), whose "
    "file BioQ downloads once."
)


def import_model(
    what: Annotated[Path, Parameter(help=_WHAT_HELP)],
    /,
    *,
    out: Path,
    targets: Path | None = None,
    window_bp: int | None = None,
    second_lstm: SecondLstm = "backward",
    from_url: str | None = None,
    force: Force = False,
) -> None:
    """Make a run of a published model, which every command takes.

    The run predicts what the published network predicts. No program in the file is run.

    For example:

        bioq import deepsea --out deepsea
        bioq background deepsea --random 100000 --genome hg19
        bioq predict deepsea --genome hg19 regions.bed --out predictions.parquet
        bioq import DanQ_bestmodel.hdf5 --out danq

    Parameters
    ----------
    out
        New run folder.
    targets
        Target table that names the outputs in their order, if they are not the published targets.
    window_bp
        Length of the windows that the network reads; by default the published length.
    second_lstm
        Direction in which the second LSTM of a Keras file reads; docs/how-to/published-models.md
        has how to tell which is right.
    from_url
        Address of a mirror of the file of a name.
    """
    import_published(
        what,
        out,
        targets=targets,
        window_bp=window_bp,
        second_lstm=second_lstm,
        from_url=from_url,
        force=force,
    )
    print_path(out)
    say(
        f"it has no background yet, for E-values and ranks of variants; 'bioq background "
        f"{quote(str(out))} --random 100000 --genome {GENOME}' makes one"
    )

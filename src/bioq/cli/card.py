"""`bioq card`."""

from bioq.cli.options import Force, Run
from bioq.cli.tables import print_path
from bioq.reports.card import write_card


def card(run: Run, /, *, licence: str | None = None, force: Force = False) -> None:
    """Write RUN/README.md, which describes a run to others.

    It has the front matter of Hugging Face, the data, the settings of the training, the scores of
    the evaluation beside those of a constant, the calibration, limits, and the checksums of the
    weights. 'bioq evaluate' keeps it current. Text that you add outside of BioQ's part is kept.
    Paths of this computer are removed from RUN/config.json, so that the folder can be uploaded.

    For example:

        bioq card run --licence "CC BY 4.0"
        hf upload anna/promoters run --exclude "resume/*" --exclude last.safetensors

    Parameters
    ----------
    licence
        Licence of the weights, such as "CC BY 4.0", or any text.
    """
    print_path(write_card(run, licence=licence, force=force))

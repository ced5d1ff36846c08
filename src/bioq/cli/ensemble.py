"""`bioq ensemble`."""

from pathlib import Path

from bioq.cli.options import Force, Run
from bioq.cli.tables import print_line
from bioq.runs.ensemble import make_ensemble
from bioq.runs.trained_model import members_of


def ensemble(run: Run, /, *more: str, out: Path, force: Force = False) -> None:
    """Make one run of several runs: an ensemble, which predicts the mean of their probabilities.

    The runs need the same targets in the same order, and windows of one length; their models and
    sizes may differ. The files that predictions need are copied into OUT/members. Every command
    that takes a run takes the ensemble; with three members it takes three times as long.

    For example:

        bioq ensemble run-0 run-1 run-2 --out ensemble
        bioq variants ensemble variants.vcf.gz --genome hg38.fa --out scores.tsv

    Parameters
    ----------
    more
        More runs, from 1 to 63.
    out
        New run folder.
    """
    model = make_ensemble([run, *more], out, force=force)
    print_line(f"{out}: the mean of {len(members_of(model))} runs")

"""`bioq motifs`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from bioq.cli.options import FLAGS, Force, Run
from bioq.cli.tables import print_line, print_path
from bioq.interpretation.filter_motifs import FilterMotifs
from bioq.interpretation.filters import MotifOptions
from bioq.interpretation.motif_matches import SIGNIFICANT_Q
from bioq.reports.motifs import PAGE, write_motif_folder
from bioq.runs.named import resolve_run

DEFAULTS = MotifOptions()


def motifs(
    run: Run,
    dataset: Path | None = None,
    /,
    *,
    out: Path,
    options: Annotated[MotifOptions, FLAGS] = DEFAULTS,
    force: Force = False,
) -> None:
    """Write the motifs that a run's filters detect, and the known motifs that they match.

    Writes OUT/motifs.html (logos, each with its best match), OUT/motifs.tsv (sites, information,
    best TOMTOM match), OUT/motifs.meme and OUT/effects.tsv (how much each filter raises each
    target's logit). Matching needs bioq[motifs].

    For example:

        bioq motifs run --out motifs --against JASPAR2024:fungi

    Parameters
    ----------
    dataset
        Data set folder whose windows are read; by default the data set that the run was trained
        on.
    out
        New folder for the files.
    """
    result = write_motif_folder(
        resolve_run(run), out, dataset=dataset, options=options, force=force
    )
    for line in _summary(result):
        print_line(line)
    print_path(out / PAGE)


def _summary(result: FilterMotifs) -> Iterator[str]:
    options = result.inputs.options
    yield (
        f"{result.matched} of {len(result.table)} filters match {options.against} with "
        f"q < {SIGNIFICANT_Q}"
    )
    if result.few_sites:
        yield f"{result.few_sites} with fewer than {options.min_sites} sites: not matched"
    if result.silent:
        yield f"{result.silent} that no window activates"

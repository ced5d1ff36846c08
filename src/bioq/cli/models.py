"""`bioq models`."""

from collections.abc import Iterator
from pathlib import Path

from bioq.cli.tables import print_path, print_table
from bioq.errors import BioqError, short
from bioq.genome.named import GENOMES
from bioq.published.data import GENOME
from bioq.published.named import NAMED
from bioq.published.publications import PUBLICATIONS
from bioq.runs.fetched import cached_runs
from bioq.runs.folder import BACKGROUND, read_config, read_members
from bioq.runs.named import RUNS, resolve_run

_HEADING = [
    *("name", "model", "targets", "organism", "genome", "background", "size", "licence", "where")
]
_LONGEST_NAME = 40
"""A web address with its checksum is longer, and would move the other columns off the screen."""


def models(run: str | None = None, /) -> None:
    """List the runs that have a name, and where each is on this machine.

    Every command takes a name of the first column as its run, unless a file or folder here has this
    name. The list has the runs that come with BioQ, and the addresses that were downloaded before,
    which need no network any more. It also has the published networks: their last column has the
    command that makes a run of them first. A run with a background gives E-values and ranks of
    variants without an option.

    For example:

        bioq models
        bioq models hf:OWNER/NAME
        cp -r "$(bioq models hf:OWNER/NAME)" mine

    Parameters
    ----------
    run
        Print the folder of this run only: a name of the list or an address, which is downloaded
        first if it is not here.
    """
    if run is not None:
        print_path(resolve_run(run))
        return
    rows = [_row(run.name, run.folder, run.licence, "install BioQ again") for run in RUNS]
    for folder, origin in cached_runs():
        remedy = f"remove {folder.parent}"
        rows.append(_row(str(origin.address), folder, origin.licence or "", remedy))
    rows += _of_publications()
    shown = ([*facts, short(licence, 24), where] for *facts, licence, where in rows)
    print_table([_HEADING, *shown], longest_name=_LONGEST_NAME)


def _row(name: str, folder: Path, licence: str, remedy: str) -> list[str]:
    """Return the row of a run on this machine."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    in_mb = f"{size / 1e6:,.1f} MB"
    try:
        config = read_config(folder)
        members = read_members(folder, config)
    except BioqError:
        return [name, "", "", "", "", "", in_mb, "", f"damaged; {remedy}"]
    model = ", ".join(dict.fromkeys(each.model_name for _, each in members))
    model = f"{len(members)} x {model}" if members else config.model_name
    organism = GENOMES.get(config.genome_build, "").partition(",")[0]
    has_background = "yes" if (folder / BACKGROUND).exists() else "no"
    facts = [model, f"{config.model['targets']:,}", organism, config.genome_build, has_background]
    return [name, *facts, in_mb, licence, str(folder)]


def _of_publications() -> Iterator[list[str]]:
    """Yield the rows of the published networks that 'bioq import' downloads."""
    for name in NAMED:
        publication = PUBLICATIONS[name]
        facts = [name, f"{publication.targets:,}", "human", GENOME, "no"]
        where = f"'bioq import {name} --out {name}' makes a run"
        yield [name, *facts, "", publication.licence, where]

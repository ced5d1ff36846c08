"""`bioq models`."""

from collections.abc import Iterator

from bioq.cli.tables import print_path, print_table
from bioq.errors import BioqError, short
from bioq.genome.named import GENOMES
from bioq.published.import_model import GENOME
from bioq.published.layouts import LAYOUTS
from bioq.published.named import NAMED
from bioq.runs.fetched import cached_runs
from bioq.runs.folder import read_config
from bioq.runs.named import RUNS, NamedRun, folder_here, resolve_run

_HEADING = ["name", "model", "targets", "organism", "genome", "size", "licence", "where"]


def models(run: str | None = None, /) -> None:
    """List the runs that have a name, and where each is on this machine.

    Every command takes a name of the first column as its run, unless a file or folder here has this
    name. The list has the runs that come with BioQ, and the addresses that were downloaded before,
    which need no network any more. It also has the published networks: their last column has the
    command that makes a run of them first.

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
    rows = [*map(_of_name, RUNS), *_of_cache(), *_of_publications()]
    print_table(
        [_HEADING, *([*facts, short(licence, 40), where] for *facts, licence, where in rows)]
    )


def _of_name(run: NamedRun) -> list[str]:
    folder = folder_here(run)
    where = f"downloaded when it is first used: {run.address}" if folder is None else str(folder)
    facts = [run.model, f"{run.targets:,}", run.organism, run.build]
    return [run.name, *facts, _in_mb(run.size_bytes), run.licence, where]


def _of_cache() -> Iterator[list[str]]:
    """Yield the rows of the addresses that were downloaded before."""
    known = {run.address for run in RUNS}
    for folder, origin in cached_runs():
        address = str(origin.address)
        if address in known:
            continue
        size = _in_mb(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
        try:
            config = read_config(folder)
        except BioqError:
            yield [address, "", "", "", "", size, "", f"damaged; remove {folder.parent}"]
            continue
        model = config.model["name"]
        if config.members:
            model = f"{model} of {len(config.members)}"
        organism = GENOMES.get(config.genome_build, "").partition(",")[0]
        facts = [model, f"{config.model['targets']:,}", organism, config.genome_build]
        yield [address, *facts, size, origin.licence or "", str(folder)]


def _of_publications() -> Iterator[list[str]]:
    """Yield the rows of the published networks that 'bioq import' downloads."""
    publications = {layout.name: layout.publication for layout in LAYOUTS}
    for name in NAMED:
        publication = publications[name]
        facts = [publication.title, f"{publication.targets:,}", "human", GENOME]
        where = f"'bioq import {name} --out {name}' makes a run"
        yield [name, *facts, "", publication.licence, where]


def _in_mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"

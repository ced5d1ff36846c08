"""`fetched_run`: the run of an address, downloaded once into the cache.

A run has a folder of the cache: the run folder in it, and beside that RECORD, which has the address
and the version. What is incomplete has another name, so an interrupted download continues.
"""

import fnmatch
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bioq.dataset import TARGETS
from bioq.errors import BioqError, NotWrittenError, counted, some
from bioq.files import new_folder
from bioq.files.archives import unpack
from bioq.files.cache import being_filled, cache_folder
from bioq.files.download import fetch
from bioq.files.inside import require_inside, require_kept
from bioq.progress import say
from bioq.runs.addresses import MAIN, Address, HubAddress
from bioq.runs.calibration import CALIBRATION_FILE
from bioq.runs.folder import (
    BACKGROUND,
    BEST,
    CONFIG,
    HISTORY,
    MEMBERS,
    NETWORK,
    read_config,
    read_members,
    read_targets,
)
from bioq.runs.origin import RECORD, Origin, origin_of, write_origin
from bioq.runs.sites import Listing, RemoteFile, listing_of

_FILES = (
    *(CONFIG, TARGETS, BEST, CALIBRATION_FILE, BACKGROUND, HISTORY, NETWORK),
    *("README.md", "LICENSE*"),
)
"""What is downloaded of a run, and of a member of an ensemble: what commands read, and what people
read. The state of a training is not."""
_OF_EVALUATION = ("metrics.json", "per_target.tsv", "curves.csv", "calibration.csv")
_IN_MEMBER = re.compile(rf"(.*/)?{MEMBERS}/[^/]+/")


def fetched_run(address: Address) -> Path:
    """Return the folder of the run at an address, which is in the cache or is downloaded into it.

    Raises BioqError if the download fails, or what is there is no run.
    """
    run = cached_run(address)
    if run is None:
        home = _home_of(address)
        with being_filled(home, f"run {address}"):
            run = cached_run(address)  # another process may have downloaded it meanwhile
            if run is None:
                run = home / address.name
                _download(address, home, run)
    return run


def cached_run(address: Address) -> Path | None:
    """Return the folder of the run at an address; None if it is not in the cache."""
    run = _home_of(address) / address.name
    return run if (run / CONFIG).is_file() else None  # it has its name only when it is complete


def cached_runs() -> Iterator[tuple[Path, Origin]]:
    """Yield the folder and the origin of each run in the cache, in order."""
    for file in sorted(_runs().rglob(RECORD)):
        origin = origin_of(file)  # the record is beside itself
        run = None if origin is None else cached_run(origin.address)
        if run is not None and origin is not None:
            yield run, origin


def _runs() -> Path:
    """Return the folder of the runs in the cache. It may not exist."""
    return cache_folder() / "runs"


def _home_of(address: Address) -> Path:
    return _runs() / address.folder


def is_run_file(name: str) -> bool:
    """Return whether a path in a run folder is one of the files that are downloaded."""
    *folders, last = name.split("/")
    if not folders or (len(folders) == 2 and folders[0] == MEMBERS):
        return any(fnmatch.fnmatchcase(last, pattern) for pattern in _FILES)
    is_evaluation = re.fullmatch("evaluation(-[^/]*)?", "/".join(folders)) is not None
    return is_evaluation and last in _OF_EVALUATION


def _download(address: Address, home: Path, run: Path) -> None:
    say(f"run {address}: downloading it to {run}, once")
    listing = listing_of(address, is_run_file)
    write_origin(home, Origin(address, listing.version, listing.licence))
    if listing.archive is not None:
        _unpacked(address, listing, listing.archive, run)
    else:
        _downloaded(address, listing, home / f"{listing.version}.partial", run)
    if isinstance(address, HubAddress) and address.revision == MAIN:
        say(f"run {address}: this is {origin_of(run)}, an address of which the run never changes")
    if listing.licence:
        say(f"run {address}: licence {listing.licence}")


def _downloaded(address: Address, listing: Listing, partial: Path, run: Path) -> None:
    """Download the files of a run, its configuration first."""
    first = (CONFIG, TARGETS)
    for file in sorted(listing.files, key=lambda file: (file.name not in first, file.name)):
        out = require_inside(partial, file.name)
        if not out.exists():
            _fetch(listing, file, out)
        if file.name == CONFIG:
            _require_run(address, partial, read_config)
    _require_run(address, partial, _read_all)
    os.rename(partial, run)
    for left in run.parent.glob("*.partial"):  # of an older revision
        shutil.rmtree(left, ignore_errors=True)


def _unpacked(address: Address, listing: Listing, archive: RemoteFile, run: Path) -> None:
    """Download the archive of a run, and unpack the files of a run folder in it."""
    file = run.with_name(f"{listing.version}.archive")
    if not file.exists():
        _fetch(listing, archive, file, room_factor=2.0)
    try:
        with new_folder(run) as partial:
            left_out = unpack(
                file, partial, lambda names: _files_of_run(address, names), label=str(address)
            )
            _require_run(address, partial, _read_all)
    except NotWrittenError:  # the archive is not the reason: it stays for the next call
        raise
    except BioqError:
        file.unlink()
        raise
    file.unlink()
    if left_out:
        count = counted(len(left_out), "file")
        say(f"{count} in the archive that no command reads, not unpacked: {some(left_out, 3)}")


def _fetch(listing: Listing, file: RemoteFile, out: Path, *, room_factor: float = 1.0) -> None:
    fetch(
        file.url,
        out,
        checksum=file.checksum,
        headers=listing.headers,
        most_bytes=file.most_bytes,
        room_factor=room_factor,
        if_refused=listing.if_refused,
    )


def _files_of_run(address: Address, names: Sequence[str]) -> Mapping[str, str]:
    """Return {name in an archive: path in the run folder} of the only run in it."""
    folders = [name.removesuffix(CONFIG) for name in names if name.split("/")[-1] == CONFIG]
    roots = [folder for folder in folders if not _IN_MEMBER.fullmatch(folder)]
    if len(roots) != 1:
        found = some(f"{root}{CONFIG}" for root in roots) or f"no {CONFIG}"
        raise BioqError(f"{address}: expected an archive of one run folder, found {found}")
    inside = {name: name.removeprefix(roots[0]) for name in names if name.startswith(roots[0])}
    return {name: path for name, path in inside.items() if is_run_file(path)}


def _read_all(run: Path) -> None:
    """Read what says which run this is, its targets and the checksum of a network of its author's,
    which is not executed; weights are read when they are used."""
    from bioq.runs.network import kept_source  # PyTorch, which a run that is here does not need

    config = read_config(run)
    read_targets(run, config)
    members = read_members(run, config)
    for folder, of_folder in members or [(run, config)]:
        require_kept(folder, BEST, "expected the weights of a run")
        kept_source(folder, of_folder)


def _require_run(address: Address, partial: Path, read: Callable[[Path], Any]) -> None:
    """Read the downloaded folder of a run; raise BioqError, and remove it, if it is no run."""
    try:
        read(partial)
    except BioqError as error:
        shutil.rmtree(partial, ignore_errors=True)
        problem = str(error).replace(f"{partial}{os.sep}", "").replace(str(partial), "the folder")
        raise BioqError(f"{address}: is no run that this BioQ reads: {problem}") from error

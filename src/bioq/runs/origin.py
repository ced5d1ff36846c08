"""Where a run of the cache was downloaded from: the file RECORD beside its folder."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from bioq.errors import BioqError
from bioq.files import real, write_json
from bioq.files.inside import read_kept
from bioq.files.typed import Line, parse_json, require_types
from bioq.runs.addresses import Address, HubAddress, parse_address

RECORD = "bioq-address.json"


@dataclass(frozen=True)
class Origin:
    """Where a run was downloaded from; the content of RECORD."""

    address: Address
    version: str
    licence: str | None

    def __str__(self) -> str:
        """Return the address, of Hugging Face with the commit."""
        if isinstance(self.address, HubAddress):
            return str(replace(self.address, revision=self.version))
        return str(self.address)


class _Record(TypedDict):
    address: Line
    version: Line
    licence: Line | None


def origin_of(run: Path) -> Origin | None:
    """Return where a run was downloaded from; None for any other run."""
    folder = real(run).parent
    try:
        record: Any = parse_json(read_kept(folder, RECORD, ""))
        require_types(record, _Record, folder / RECORD, "")
        address = parse_address(record["address"])
    except (BioqError, ValueError):
        return None  # no such file, or one of another program
    return None if address is None else Origin(address, record["version"], record["licence"])


def write_origin(home: Path, origin: Origin) -> None:
    """Write RECORD into the folder that gets the run."""
    record = {
        "address": str(origin.address),
        "version": origin.version,
        "licence": origin.licence,
    }
    write_json(home / RECORD, record)

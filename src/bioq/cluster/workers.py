"""What runs on the cluster: a worker holds one model and turns shards into Parquet parts."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow
import torch

from bioq import __version__
from bioq.errors import BioqError
from bioq.tables import Columns, Layout, Scores, open_table


class Job(Protocol):
    """What a worker is told once; it travels by pickle."""

    @property
    def layout(self) -> Layout:
        """Of the parts."""
        ...

    def open(self, device: str) -> "OpenJob":
        """Put the model on its device. Raises UsageError for options that it cannot do."""
        ...


class OpenJob(Protocol):
    """A job on a worker."""

    def rows(self, payload: Any) -> Iterator[tuple[Columns, Scores]]:
        """Yield the rows of a shard, in order."""
        ...

    def notes(self) -> Mapping[str, Any]:
        """Return what is to be said of the shard that was last computed, JSON values."""
        ...


@dataclass(frozen=True)
class Computed:
    """A shard's part, not yet in its place."""

    content: bytes
    """The Parquet file."""
    sha256: str
    rows: int
    notes: Mapping[str, Any]


class Worker:
    """One model, in a process of its own, with one thread: what it computes is then always the
    same, and a machine holds as many workers as it has cores."""

    def open(self, job: Job, device: str, versions: Mapping[str, str]) -> None:
        """Get ready. Raises BioqError if this machine has other versions than the driver's."""
        own = software()
        for name, version in versions.items():
            if own[name] != version:
                raise BioqError(
                    f"a worker has {name} {own[name]}, this machine has {version}; install the "
                    "same on every machine of the cluster"
                )
        torch.set_num_threads(1)
        self._layout = job.layout
        self._device = device
        self._job = job.open(device)

    def compute(self, payload: Any) -> Computed:
        """Return the part of a shard."""
        with tempfile.TemporaryDirectory(prefix="bioq-") as folder:
            file = Path(folder, "part.parquet")
            with open_table(file, self._layout) as table:
                for columns, scores in self._job.rows(payload):
                    table.write(columns, scores)
            content = file.read_bytes()
        notes = {"device": self._device, **self._job.notes()}
        return Computed(content, hashlib.sha256(content).hexdigest(), table.rows, notes)


def software() -> dict[str, str]:
    """Return the versions that the bytes of a part depend on."""
    return {
        "bioq": __version__,
        "torch": torch.__version__,
        "pyarrow": pyarrow.__version__,
    }

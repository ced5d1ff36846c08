"""The processes on the cluster: a worker has one model and computes Parquet parts of shards."""

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


class Task(Protocol):
    """The computation of a worker; sent to it once, by pickle."""

    @property
    def layout(self) -> Layout:
        """The layout of the parts."""
        ...

    def open(self, device: str) -> "OpenTask":
        """Move the model to a device.

        Raises UsageError for options that the device does not support.
        """
        ...


class OpenTask(Protocol):
    """A task on a worker."""

    def rows(self, payload: Any) -> Iterator[tuple[Columns, Scores]]:
        """Yield the rows of a shard, in order."""
        ...

    def notes(self) -> Mapping[str, Any]:
        """Return JSON values about the last shard, for the manifest."""
        ...


@dataclass(frozen=True)
class Computed:
    """The part of a shard, in memory."""

    content: bytes
    """The Parquet file."""
    sha256: str
    rows: int
    notes: Mapping[str, Any]


class Worker:
    """One model, in a separate process with one thread.

    With one thread its results are always the same, and a machine can run one worker per core.
    """

    def open(self, task: Task, device: str, versions: Mapping[str, str]) -> None:
        """Prepare the task. Raises BioqError if versions differ from those of the driver."""
        installed = software()
        for name, version in versions.items():
            if installed[name] != version:
                raise BioqError(
                    f"a worker has {name} {installed[name]}, this machine has {version}; install "
                    "the same version on every machine of the cluster"
                )
        torch.set_num_threads(1)
        self._layout = task.layout
        self._device = device
        self._task = task.open(device)

    def compute(self, payload: Any) -> Computed:
        """Return the part of a shard."""
        with tempfile.TemporaryDirectory(prefix="bioq-") as folder:
            file = Path(folder, "part.parquet")
            with open_table(file, self._layout) as table:
                for columns, scores in self._task.rows(payload):
                    table.write(columns, scores)
            content = file.read_bytes()
        notes = {"device": self._device, **self._task.notes()}
        return Computed(content, hashlib.sha256(content).hexdigest(), table.rows, notes)


def software() -> dict[str, str]:
    """Return the versions that the bytes of a part depend on."""
    return {
        "bioq": __version__,
        "torch": torch.__version__,
        "pyarrow": pyarrow.__version__,
    }

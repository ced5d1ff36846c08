"""Batches of windows from a split, decoded to one-hot on the device that uses them.

The packed rows are on disk, in memory or on the device. A window of 1,000 bp with 919 labels is
copied as 365 bytes instead of 19,676 (float32 one-hot and labels).
"""

from typing import Literal

import torch
from torch import Tensor

from bioq.dataset import Split
from bioq.dna.tensors import decode_codes, one_hot, unpack_bits

DataIn = Literal["auto", "disk", "memory", "device"]

# Largest shares of the free memory for packed rows, if `data_in` is chosen automatically.
_SHARE_OF_DEVICE = 0.5
_SHARE_OF_MEMORY = 0.25
_LOAD_ROWS = 1 << 16


def decode_labels(labels: Tensor, targets: int) -> Tensor:
    """Return uint8 0/1 labels `(n, targets)` of packed rows (see `dataset.pack_labels`)."""
    return unpack_bits(labels, 1, targets)


class Batches:
    """Reads rows of a split and decodes them on `device`.

    With data_in "memory" each of the `processes` on this machine that read the split has a copy.
    """

    def __init__(
        self, split: Split, device: torch.device, *, data_in: DataIn = "auto", processes: int = 1
    ):
        self.device = device
        self.data_in = _choose_data_in(split, device, processes) if data_in == "auto" else data_in
        self._split = split
        if self.data_in != "disk":
            storage = device if self.data_in == "device" else torch.device("cpu")
            self._sequence, self._labels = _load(split, storage)
            self._mask_number = torch.full((len(split),), -1, dtype=torch.int64, device=storage)
            rows, mask = split.masks()
            self._mask_number[torch.from_numpy(rows).to(storage)] = torch.arange(
                len(rows), device=storage
            )
            self._mask = torch.from_numpy(mask).to(storage)

    def read(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return (windows, labels) of `rows` (int64, on the CPU or on the data's device): float32
        one-hot `(n, 4, window_bp)`, forward strand, and float32 0/1 `(n, targets)`, on the
        device."""
        codes, labels = self.read_codes(rows)
        return one_hot(codes).float(), labels

    def read_codes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return (codes uint8 `(n, window_bp)`, labels as in `read`) of `rows`."""
        sequence, mask, labels = (
            self._from_disk(rows) if self.data_in == "disk" else self._from_tensors(rows)
        )
        if mask is not None:
            mask = mask.to(self.device)
        codes = decode_codes(sequence.to(self.device), mask, self._split.window_bp)
        return codes, decode_labels(labels.to(self.device), self._split.targets).float()

    def _from_disk(self, rows: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        packed = self._split.read_packed(rows.numpy())
        mask = None if packed.mask is None else torch.from_numpy(packed.mask)
        return torch.from_numpy(packed.sequence), mask, torch.from_numpy(packed.labels)

    def _from_tensors(self, rows: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        rows = rows.to(self._sequence.device)
        mask = None
        if len(self._mask):
            number = self._mask_number[rows]
            mask = self._mask[number.clamp(min=0)] * (number >= 0).unsqueeze(1)
        return self._sequence[rows], mask, self._labels[rows]


def _load(split: Split, storage: torch.device) -> tuple[Tensor, Tensor]:
    """Return all packed sequences and labels of a split on the device `storage`."""
    first = split.read_packed(slice(0, 1))
    sequence, labels = (
        torch.empty((len(split), array.shape[1]), dtype=torch.uint8, device=storage)
        for array in (first.sequence, first.labels)
    )
    for start in range(0, len(split), _LOAD_ROWS):
        piece = split.read_packed(slice(start, start + _LOAD_ROWS))
        sequence[start : start + _LOAD_ROWS] = torch.from_numpy(piece.sequence)
        labels[start : start + _LOAD_ROWS] = torch.from_numpy(piece.labels)
    return sequence, labels


def _choose_data_in(split: Split, device: torch.device, processes: int) -> DataIn:
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
        if split.stored_bytes < _SHARE_OF_DEVICE * free_bytes:
            return "device"
    if processes * split.stored_bytes < _SHARE_OF_MEMORY * _available_memory_bytes():
        return "memory"
    return "disk"


def _available_memory_bytes() -> int:
    """Return the available memory as estimated by Linux; 4 GiB if there is no estimate."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 << 30

"""Batches decode to the windows and labels that the data set reads, from every storage."""

import numpy as np
import pytest
import torch

from bioq import dna
from bioq.dataset import Dataset
from bioq.dataset.batches import Batches, DataIn
from bioq.dna.tensors import (
    decode_codes,
    one_hot,
    reverse_complement,
    reverse_complement_codes,
)


@pytest.mark.parametrize("data_in", ["disk", "memory", "device", "auto"])
def test_batches_equal_the_data_sets_own_reading(masked_data: Dataset, data_in: DataIn) -> None:
    split = masked_data["train"]
    rows = torch.tensor([5, 0, 3, 5, len(split) - 1])
    windows, labels = Batches(split, torch.device("cpu"), data_in=data_in).read(rows)
    expected = split.read(rows.numpy())
    assert windows.dtype == labels.dtype == torch.float32
    np.testing.assert_array_equal(windows.numpy(), expected.windows)
    np.testing.assert_array_equal(labels.numpy(), expected.labels)
    assert not expected.windows.any(axis=1).all(), "the data set was to hold unknown bases"


def test_reverse_complement_of_windows_equals_that_of_codes() -> None:
    codes = np.random.default_rng(0).integers(0, 5, (3, 37)).astype(np.uint8)
    flipped = reverse_complement(torch.from_numpy(dna.one_hot(codes)))
    np.testing.assert_array_equal(flipped.numpy(), dna.one_hot(dna.reverse_complement(codes)))


@pytest.mark.parametrize("length", [1, 3, 4, 8, 9, 1000])
def test_decoding_packed_rows_equals_one_hot_of_codes(length: int) -> None:
    codes = np.random.default_rng(length).integers(0, 5, (6, length)).astype(np.uint8)
    packed, mask = dna.pack(codes)
    decoded = one_hot(decode_codes(torch.from_numpy(packed), torch.from_numpy(mask), length))
    np.testing.assert_array_equal(decoded.numpy(), dna.one_hot(codes))


def test_reverse_complement_of_tensors_of_codes_equals_that_of_arrays() -> None:
    codes = np.random.default_rng(1).integers(0, 5, (3, 37)).astype(np.uint8)
    flipped = reverse_complement_codes(torch.from_numpy(codes))
    np.testing.assert_array_equal(flipped.numpy(), dna.reverse_complement(codes))


@pytest.mark.parametrize(("processes", "expected"), [(1, "memory"), (3, "memory"), (4, "disk")])
def test_automatic_storage_counts_a_copy_in_memory_per_process(
    masked_data: Dataset, processes: int, expected: DataIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the memory that is free here holds three copies and a half."""
    split = masked_data["train"]
    free_bytes = 4 * 7 * split.stored_bytes // 2
    monkeypatch.setattr("bioq.dataset.batches._available_memory_bytes", lambda: free_bytes)
    batches = Batches(split, torch.device("cpu"), data_in="auto", processes=processes)
    assert batches.data_in == expected

"""Streams the windows and labels of DeepSEA's .mat files, checked and in compact form, by rows.

One-hot windows are (length, 4, windows) in C order with the channels A, G, C, T; labels are
(targets, windows). See `matlab`.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.builders.deepsea.matlab import AnyArray, Hdf5Array, V5Array
from bioq.errors import BioqError
from bioq.progress import Advance
from bioq.published.data import CHANNELS

NumericArray = Hdf5Array | V5Array
BLOCK_ROWS = 4096
_CACHED_BYTES = 1 << 16
_RAM_ROWS = 16384

Compact = Callable[[NumericArray, AnyArray, int, int], dna.Bytes]
"""(array, piece, number of its first plane, of its first row) -> uint8 `(m, rows)`."""


def codes_of_one_hot(
    array: NumericArray, planes: AnyArray, first_plane: int = 0, first_row: int = 0
) -> dna.Bytes:
    """Return the codes (`dna`), uint8 `(k, n)`, of one-hot planes `(k, 4, n)` in order A, G, C, T.

    A position without a 1 is unknown. Raises BioqError, with row and position, for a value other
    than 0 and 1 and for a position with two ones.
    """
    ones = _as_zero_one(array, planes, first_plane, first_row)
    count, _, rows = ones.shape
    codes = np.empty((count, rows), dtype=np.uint8)
    step = max(_CACHED_BYTES // max(rows, 1), 1)
    for start in range(0, count, step):
        a, g, c, t = np.moveaxis(ones[start : start + step], 1, 0)
        total = a + g
        total += c
        total += t
        if total.max(initial=0) > 1:
            _refuse_two_ones(array, ones, first_plane, first_row)
        code = codes[start : start + step]  # 4 - (4 a + 2 g + 3 c + t): A 0, C 1, G 2, T 3, none 4
        np.multiply(a, 4, out=code)
        code += g
        code += g
        code += 3 * c
        code += t
        np.subtract(4, code, out=code)
    return codes


def bits_of_labels(
    array: NumericArray, planes: AnyArray, first_plane: int = 0, first_row: int = 0
) -> dna.Bytes:
    """Return labels `(k, n)` as bits, uint8 `(ceil(k / 8), n)`, target t in bit t mod 8.

    Raises BioqError, with row and target, for a value other than 0 and 1.
    """
    ones = _as_zero_one(array, planes, first_plane, first_row)
    return np.packbits(ones, axis=0, bitorder="little")


class RowStream:
    """The rows of an array in compact form, in any range and order of ranges.

    HDF5 is read block by block. MATLAB v5 stores the first position of every window, then the
    second position of every window, and so on. So a v5 array is read once into memory in compact
    form: at most a quarter of the 2 GB that a v5 variable can have.
    """

    def __init__(self, array: NumericArray, compact: Compact, *, planes_per_row: int):
        self._array = array
        self._compact = compact
        self._planes_per_row = planes_per_row
        """Planes per row of the compact form."""
        self._loaded: dna.Bytes | None = None

    def load(self, advance: Advance | None = None) -> None:
        """Read a v5 array into memory; `advance` receives the planes read. HDF5 is not loaded."""
        if isinstance(self._array, V5Array):
            self._in_memory(self._array, advance)

    def _in_memory(self, array: V5Array, advance: Advance | None = None) -> dna.Bytes:
        if self._loaded is None:
            self._loaded = self._read(array, advance)
        return self._loaded

    def _read(self, array: V5Array, advance: Advance | None) -> dna.Bytes:
        step = self._planes_per_row
        loaded = np.empty((-(-array.shape[0] // step), array.shape[-1]), np.uint8)
        for first, planes in array.planes(step):
            end = first // step + -(-len(planes) // step)
            loaded[first // step : end] = self._compact(array, planes, first, 0)
            if advance is not None:
                advance(len(planes))
        return loaded

    def release(self) -> None:
        """Free the memory of `load`."""
        self._loaded = None

    def blocks(self, start: int, stop: int) -> Iterator[dna.Bytes]:
        """Yield rows start .. stop as uint8 `(n, m)`, `BLOCK_ROWS` rows in each block but the
        last."""
        return _evenly(self._blocks(start, stop))

    def _blocks(self, start: int, stop: int) -> Iterator[dna.Bytes]:
        if isinstance(self._array, Hdf5Array):
            for first, end in self._array.spans(start, stop):
                planes = self._array.read(first, end)
                compact = self._compact(self._array, planes, 0, first)
                del planes  # a block can be large: free it before the caller uses the result
                yield _transposed(compact)
        else:
            loaded = self._in_memory(self._array)
            for first in range(start, stop, _RAM_ROWS):
                yield _transposed(loaded[:, first : min(first + _RAM_ROWS, stop)])


def _evenly(blocks: Iterator[dna.Bytes]) -> Iterator[dna.Bytes]:
    remainder: dna.Bytes | None = None
    for read in blocks:
        block = read if remainder is None else np.concatenate([remainder, read])
        rows = len(block) - len(block) % BLOCK_ROWS
        for start in range(0, rows, BLOCK_ROWS):
            yield block[start : start + BLOCK_ROWS]
        remainder = block[rows:].copy() if rows < len(block) else None
        del block, read
    if remainder is not None:
        yield remainder


def _transposed(compact: dna.Bytes) -> dna.Bytes:
    """Return the transpose of `(m, n)`, contiguous; copied in strips of 8, which is three times as
    fast as one copy."""
    height, width = compact.shape
    rows = np.empty((width, height), dtype=np.uint8)
    for start in range(0, height, 8):
        rows[:, start : start + 8] = compact[start : start + 8].T
    return rows


def _as_zero_one(
    array: NumericArray, planes: AnyArray, first_plane: int, first_row: int
) -> npt.NDArray[np.uint8]:
    if planes.dtype == np.bool_:
        return planes.view(np.uint8)
    if planes.dtype == np.uint8:
        good = planes.max(initial=0) <= 1
    else:
        good = bool(((planes == 0) | (planes == 1)).all())
    if not good:
        _refuse_value(array, planes, first_plane, first_row)
    return planes.astype(np.uint8, copy=False)


def _refuse_value(array: NumericArray, planes: AnyArray, first_plane: int, first_row: int) -> None:
    bad = (planes != 0) & (planes != 1)
    row = int(np.flatnonzero(bad.any(axis=tuple(range(bad.ndim - 1))))[0])
    plane, *channel = (int(number) for number in np.argwhere(bad[..., row])[0])
    value = planes[(plane, *channel, row)].item()
    if channel:
        where = f"position {plane + first_plane}, channel {CHANNELS[channel[0]]}"
    else:
        where = f"target {plane + first_plane}"
    raise BioqError(
        f"{array.path}: {array.name} holds {value} at row {row + first_row}, {where} "
        "(counted from 0); expected only 0 and 1, so this is not a file in DeepSEA's layout"
    )


def _refuse_two_ones(
    array: NumericArray, ones: dna.Bytes, first_plane: int, first_row: int
) -> None:
    bad = ones.sum(axis=1) > 1
    row = int(np.flatnonzero(bad.any(axis=0))[0])
    plane = int(np.flatnonzero(bad[:, row])[0])
    bases = " and ".join(CHANNELS[channel] for channel in np.flatnonzero(ones[plane, :, row]))
    raise BioqError(
        f"{array.path}: {array.name} marks {bases} at row {row + first_row}, position "
        f"{plane + first_plane} (counted from 0); expected one base, or no base if it is unknown"
    )

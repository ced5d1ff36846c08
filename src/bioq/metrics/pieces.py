"""Read labels and scores larger than memory, piece by piece or target by target, and check them."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError
from bioq.options import found

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer[Any]]

_CHUNK_VALUES = 1 << 24  # 64 MiB of float32 for each thread
_CHUNK_ROWS = 1024  # this many rows of a few columns fit into a core's cache
_MOST_THREADS = 8

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def labels_and_scores(
    labels: object, scores: object, *, axes: int | None = None
) -> tuple[Array, Array]:
    """Return two arguments as arrays of the same shape, `(windows,)` or `(windows, targets)`.

    `axes` is the number of axes expected; None for both. Raises BioqError for other shapes, and for
    arrays that are not of numbers. The values are checked where they are read, in pieces.
    """
    label, scored = numbers_of("labels", labels, "biuf"), numbers_of("scores", scores, "biuf")
    if label.shape != scored.shape or label.ndim not in ((1, 2) if axes is None else (axes,)):
        shapes = ["(windows,)", "(windows, targets)"][(axes or 1) - 1 : axes]
        raise BioqError(
            f"labels {label.shape} and scores {scored.shape}: "
            f"expected the same shape, {' or '.join(shapes)}"
        )
    return label, scored


def numbers_of(name: str, values: object, kinds: str, *, axes: int | None = None) -> Array:
    """Return an argument as an array of numbers, whose types are one of NumPy's `kinds`.

    Raises BioqError for other values, and for another number of axes.
    """
    array = values if isinstance(values, np.ndarray) else dna.as_array(values)
    is_empty = not array.size and array.dtype.kind == "f"  # the type of an empty list
    if (array.dtype.kind not in kinds and not is_empty) or array.ndim != (axes or array.ndim):
        what = "whole numbers" if kinds == "iu" else "numbers"
        shape = {1: " (n,)", 2: " (windows, targets)"}.get(axes or 0, "")
        raise BioqError(f"{name} {found(values)}; expected an array{shape} of {what}")
    return array


def pieces_of(labels: Array, columns: Indices | None = None) -> list[slice]:
    """Cut the rows into slices of at most `_CHUNK_VALUES` values; at least one slice."""
    width = 1 if labels.ndim == 1 else labels.shape[1] if columns is None else len(columns)
    rows = max(_CHUNK_VALUES // max(width, 1), 1)
    return [slice(start, start + rows) for start in range(0, max(len(labels), 1), rows)]


def flat(
    labels: Array, scores: Array, columns: Indices | None, piece: slice
) -> tuple[Bools, Array]:
    """Return (labels as bool, finite scores) of the rows `piece`, flattened."""
    label, scored = labels[piece], np.asarray(scores[piece])
    if columns is not None:
        label, scored = label[:, columns], scored[:, columns]
    _check_finite(scored, piece.start)
    return as_bools(label).ravel(), scored.ravel()


def chunks(labels: Array, scores: Array) -> Iterator[tuple[Bools, Array]]:
    """Yield (labels as bool, finite scores), flattened, of all rows, in pieces."""
    for piece in pieces_of(labels):
        yield flat(labels, scores, None, piece)


def as_bools(labels: Array) -> Bools:
    """Return labels as bool. Raises BioqError for a label that is not 0 or 1."""
    if labels.dtype == np.uint8:
        wrong = labels.max(initial=0) > 1
    else:
        wrong = labels.dtype != bool and not ((labels == 0) | (labels == 1)).all()
    if wrong:
        value = labels[(labels != 0) & (labels != 1)].flat[0]
        raise BioqError(f"labels hold {value:g}; expected 0 or 1")
    return labels.astype(bool, copy=False)


def require_shares(scored: Array) -> None:
    """Raise BioqError for a score that is not a probability."""
    if scored.size and not 0 <= scored.min() <= scored.max() <= 1:
        value = scored[(scored < 0) | (scored > 1)].flat[0]
        raise BioqError(
            f"probability holds {value:g}; expected 0 to 1: give probabilities, not logits"
        )


def _check_finite(scored: Array, first_row: int, first_target: int = 0) -> None:
    finite = np.isfinite(scored)
    if finite.all():
        return
    where = np.argwhere(~finite)[0]
    target = f", target {where[1] + first_target}" if len(where) > 1 else ""
    raise BioqError(
        f"window {where[0] + first_row}{target} (counted from 0): the score is "
        f"{scored[tuple(where)]}, expected a finite number; the model has diverged, train it "
        "again with a lower learning rate"
    )


def each_target(
    score: Callable[[int, Bools, Array], _Result], labels: Array, scores: Array
) -> list[_Result]:
    """Call `score(target, labels, scores)` with each target's column, contiguous, in threads."""
    windows, targets = labels.shape
    # Many columns per pass over the rows: the arrays may be larger than memory.
    width = max(min(_CHUNK_VALUES // max(windows, 1), -(-targets // _threads())), 1)

    def score_block(start: int) -> list[_Result]:
        block = slice(start, start + width)
        scored = _columns(scores, block, scores.dtype)
        _check_finite(scored.T, 0, start)
        label = _columns(labels, block, np.bool_)
        return [score(start + row, label[row], scored[row]) for row in range(len(label))]

    blocks = in_threads(score_block, range(0, targets, width))
    return [result for block in blocks for result in block]


def _columns(array: Array, block: slice, dtype: npt.DTypeLike) -> Array:
    """Return columns of `(windows, targets)` as contiguous rows, `(columns, windows)`."""
    columns = np.empty((len(range(array.shape[1])[block]), len(array)), dtype)
    for start in range(0, len(array), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        part = array[rows, block]
        columns[:, rows] = (as_bools(part) if dtype is np.bool_ else part).T
    return columns


def in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Call `function` with each item, in threads if there are several (NumPy releases the GIL)."""
    threads = min(_threads(), len(items))
    if threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))


def _threads() -> int:
    return min(os.cpu_count() or 1, _MOST_THREADS)


def ratio(part: float, total: float) -> float:
    """Return part / total; NaN if `total` is 0."""
    return part / total if total else float("nan")

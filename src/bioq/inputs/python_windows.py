"""What a Python caller gives, checked: windows as text, arrays or tensors, and numbers."""

import os
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bioq import dna
from bioq.errors import BioqError, UsageError, short
from bioq.genome.fasta_letters import LETTERS
from bioq.options import found

Windows = npt.NDArray[np.generic] | Tensor
"""One-hot `(n, 4, length)` in the order A, C, G, T, or shares of the four bases."""
_FEW_OPERATIONS = (torch.uint16, torch.uint32, torch.uint64)
"""Types for which PyTorch has no minimum and maximum."""
_CHECKED_AT_ONCE = 1024
"""Windows whose values are checked together, in memory that stays small."""
_EXPECTED = (
    "expected (n, 4, length), one-hot in the order A, C, G, T, or sequences as a list of text"
)


def as_windows(
    windows: Windows | str | Sequence[str], window_bp: int | None, name: str = "windows"
) -> Tensor:
    """Return windows as a tensor `(n, 4, length)`, of bool for sequences. It may share the memory
    of an array that must not be written to: copy it before a model computes with it.

    `window_bp` is the length that the model reads; None if any length is. `name` is that of the
    argument. Raises BioqError for windows of another type, shape or length, for letters that are
    not DNA, and for values that are not from 0 to 1.
    """
    if isinstance(windows, str):
        return _of_sequences([windows], window_bp)
    if isinstance(windows, Sequence | np.ndarray) and _are_texts(windows):
        return _of_sequences([str(text) for text in windows], window_bp)
    tensor = windows.detach() if isinstance(windows, Tensor) else _tensor(windows, name)
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        kind = "without values" if tensor.is_meta else "that is sparse or quantized"
        raise BioqError(f"{name} are a tensor {kind}; {_EXPECTED}")
    if tensor.dtype in _FEW_OPERATIONS:
        tensor = tensor.float()
    _check_shape(tensor, window_bp, name)
    _check_values(tensor, name)
    return tensor


def _are_texts(windows: Sequence[str] | npt.NDArray[np.generic]) -> bool:
    """Return whether all items of a sequence or an array of one axis are text."""
    if isinstance(windows, np.ndarray) and (windows.dtype.kind not in "UO" or windows.ndim != 1):
        return False
    return len(windows) > 0 and all(isinstance(text, str) for text in windows)


def _of_sequences(sequences: Sequence[str], window_bp: int | None) -> Tensor:
    expected = len(sequences[0]) if window_bp is None else window_bp
    for number, sequence in enumerate(sequences):
        which = f"sequence {number}" if len(sequences) > 1 else "the sequence"
        _check_sequence(which, sequence)
        if len(sequence) != expected:
            raise BioqError(
                f"{which} has {len(sequence):,} bases; this model reads windows of {expected:,}; "
                "'bioq predict' cuts longer sequences of a FASTA into windows and, with --pad, "
                "fills shorter ones with N"
            )
    return torch.from_numpy(dna.one_hot(np.stack([dna.encode(one) for one in sequences])))


def _check_sequence(which: str, sequence: str) -> None:
    """Raise BioqError for a text that is not DNA; for the name of a file with advice."""
    letters = sequence.encode("utf-8", "replace")
    wrong = letters.translate(None, LETTERS).decode("utf-8", "replace")
    if not wrong and letters:
        return
    if sequence and (os.path.exists(sequence) or "." in sequence or "/" in sequence):
        raise BioqError(
            f"{short(sequence)!r} is not DNA but the name of a file; 'bioq predict RUN FILE --out "
            "OUT' predicts a file, from Python bioq.prediction.predict_file(run, file, out); "
            "bioq.predict takes the sequences themselves"
        )
    advice = "; RNA? write T for U" if wrong[:1] in ("U", "u") else ""
    found = (
        f"holds {wrong[0]!r} at base {sequence.index(wrong[0]) + 1}" if wrong else "has no bases"
    )
    raise BioqError(
        f"{which} {found}; expected DNA: A, C, G, T, N and the other IUPAC letters{advice}"
    )


def _tensor(windows: object, name: str) -> Tensor:
    try:
        array = np.asarray(windows)
    except ValueError as error:  # items of unequal shapes
        raise BioqError(f"{name} have items of unequal shapes; {_EXPECTED}") from error
    except (TypeError, RuntimeError) as error:  # a list of tensors with gradients, or on a card
        raise BioqError(f"{name} {found(windows)} of tensors; give torch.stack of them") from error
    if array.dtype.kind not in "biuf":
        raise BioqError(f"{name} are of type {array.dtype}; {_EXPECTED}")
    if array.dtype.itemsize > 8:  # the long floats that PyTorch does not have
        array = array.astype(np.float64)
    if min(array.strides, default=0) < 0 or not array.dtype.isnative:  # which PyTorch refuses
        array = array.astype(array.dtype.newbyteorder("="))
    with warnings.catch_warnings():  # for arrays that must not be written to
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def _check_shape(tensor: Tensor, window_bp: int | None, name: str) -> None:
    shape = tuple(tensor.shape)
    if tensor.ndim != 3 or shape[1] != 4:
        advice = ""
        if tensor.ndim == 2 and shape[0] == 4:
            advice = "; for one window give windows[None]"
        elif tensor.ndim == 2:
            advice = "; for codes give bioq.dna.one_hot(codes)"
        elif tensor.ndim == 3 and shape[2] == 4:
            advice = "; give windows.transpose(0, 2, 1), of a tensor windows.transpose(1, 2)"
        raise BioqError(f"{name} have shape {shape}; {_EXPECTED}{advice}")
    if window_bp is not None and shape[2] != window_bp:
        raise BioqError(
            f"{name} are {shape[2]} bp long; this model reads windows of {window_bp} bp"
        )


def _check_values(tensor: Tensor, name: str) -> None:
    """Raise BioqError for numbers that are not shares of bases, as NaN, and for complex numbers."""
    if tensor.is_complex():
        raise BioqError(f"{name} are of type {tensor.dtype}; {_EXPECTED}")
    if tensor.dtype == torch.bool:
        return
    for start in range(0, len(tensor), _CHECKED_AT_ONCE):
        part = tensor[start : start + _CHECKED_AT_ONCE]
        if not part.numel():
            return
        low, high = (float(value) for value in torch.aminmax(part))
        if low >= 0 and high <= 1:  # False if one of them is NaN
            continue
        wrong = ~((part >= 0) & (part <= 1))
        window, base, position = (int(index) for index in wrong.nonzero()[0])
        raise BioqError(
            f"{name} hold {float(part[window, base, position]):g} in window {start + window:,}, "
            f"row {base} ({dna.BASES[base]}), position {position:,}; expected 0 or 1, or shares "
            "of the four bases from 0 to 1; an unknown base is 0 in all four rows"
        )


def numbers_below(name: str, numbers: object, count: int) -> npt.NDArray[np.int64]:
    """Return an argument that is a list or an array `(n,)` of whole numbers from 0 to `count - 1`.

    Raises UsageError for anything else, negative numbers included.
    """
    array = dna.as_array(numbers)
    if not array.size and array.ndim == 1:
        return np.empty(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UsageError(f"{name} {found(numbers)}; expected a list of whole numbers")
    wrong = (array < 0) | (array >= count)
    if wrong.any():
        raise UsageError(f"{name} {array[wrong][0]}; expected 0 to {count - 1}")
    return array.astype(np.int64)

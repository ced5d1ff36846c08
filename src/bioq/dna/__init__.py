"""DNA as numbers: codes, one-hot, 2-bit packing and the reverse complement.

A code is a uint8: 0 A, 1 C, 2 G, 3 T, 4 anything else (N, other IUPAC letters). Case is ignored.
One-hot is `(..., 4, length)` in the order A, C, G, T; a base of code 4 is all zeros.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError
from bioq.options import found, of_type, whole_number

Bytes = npt.NDArray[np.uint8]

BASES = "ACGT"
IUPAC = "ACGTNRYSWKMBDHV"
"""The letters of DNA: the bases, N and the codes of ambiguous bases."""
ALLOWED = {
    "A": "A", "C": "C", "G": "G", "T": "T",
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
}  # fmt: skip
"""Letter -> the bases that it stands for: NC-IUB 1984, table 1. N, of which nothing is known, is
left out."""
UNKNOWN = 4
"""The code of every letter that is not A, C, G or T."""

_CODE_OF_BYTE = np.full(256, UNKNOWN, dtype=np.uint8)
for _code, _base in enumerate(BASES):
    _CODE_OF_BYTE[ord(_base)] = _CODE_OF_BYTE[ord(_base.lower())] = _code
_BYTE_OF_CODE = np.frombuffer(b"ACGTN", dtype=np.uint8)
_CODES = np.arange(4, dtype=np.uint8)

# The four codes of each possible packed byte, as one 32-bit word: one table access for four bases.
_WORD_OF_PACKED = (
    ((np.arange(256, dtype=np.uint8)[:, None] >> (2 * _CODES)) & 3).view(np.uint32).reshape(256)
)
# Times the little-endian word of four codes c0 .. c3, this puts c0 | c1 << 2 | c2 << 4 | c3 << 6
# into the top byte; no other product reaches it.
_GATHER = np.uint32(1 << 24 | 1 << 18 | 1 << 12 | 1 << 6)


def encode(sequence: str | bytes) -> Bytes:
    """Return the codes of a sequence.

    Args:
        sequence: Letters in either case; what is not A, C, G or T is an unknown base.

    Returns:
        uint8 `(length,)`, 0 to 3 for A, C, G, T, 4 for an unknown base.

    Raises:
        UsageError: For another type.
    """
    of_type("sequence", sequence, (str, bytes), "text or bytes")
    letters = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    return _CODE_OF_BYTE[np.frombuffer(letters, dtype=np.uint8)]


def decode(codes: Bytes) -> str:
    """Return the letters of codes, N for every unknown base.

    Args:
        codes: `(length,)`, 0 to 4.

    Returns:
        Text of the same length, in upper case.

    Raises:
        BioqError: For another shape or type, or a value above 4.
    """
    return _BYTE_OF_CODE[checked_codes(codes, axes=1)].tobytes().decode("ascii")


def checked_codes(codes: object, *, axes: int | None = None, name: str = "codes") -> Bytes:
    """Check the codes of a caller.

    Args:
        codes: Whole numbers of any type, from 0 to 4, see `encode`.
        axes: Number of axes expected; by default any number above 0.
        name: Name of the argument, for an error.

    Returns:
        The codes as uint8, of the same shape.

    Raises:
        BioqError: For another number of axes, other types, and values that are not 0 to 4.
    """
    array = as_array(codes)
    if array.dtype.kind not in "iu" or array.ndim != (axes or max(array.ndim, 1)):
        shape = {1: " (length,)", 2: " (n, length)"}.get(axes or 0, "")
        raise BioqError(
            f"{name} {found(codes)}; expected codes uint8{shape}: "
            "0 A, 1 C, 2 G, 3 T, 4 unknown (see bioq.dna.encode)"
        )
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if high > UNKNOWN or low < 0:
        wrong = high if high > UNKNOWN else low
        raise BioqError(f"{name} hold {wrong}; expected 0 A, 1 C, 2 G, 3 T, 4 unknown")
    return array.astype(np.uint8, copy=False)


def as_array(values: object) -> npt.NDArray[Any]:
    """Convert an argument of a caller, without an error.

    Args:
        values: An array, a tensor or lists of numbers, or anything else.

    Returns:
        The array; one without axes for what cannot be an array.
    """
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # lists of unequal lengths, a tensor on a card
        return np.empty((), object)


def allows(letters: str, bases: str) -> bool:
    """Compare letters, which may be IUPAC codes, with bases.

    Args:
        letters: Letters of a sequence, in upper case.
        bases: The bases A, C, G and T to compare them with.

    Returns:
        Whether the two have one length and each letter is, or may be, the base at its position. The
        letter N allows no base.
    """
    of_type("letters", letters, str, "text")
    of_type("bases", bases, str, "text")
    return len(letters) == len(bases) and all(
        base in ALLOWED.get(letter, "") for letter, base in zip(letters, bases, strict=True)
    )


def reverse_complement(codes: Bytes) -> Bytes:
    """Return the codes of the opposite strand, read 5' to 3'.

    Args:
        codes: `(..., length)`, 0 to 4.

    Returns:
        uint8 of the same shape.

    Raises:
        BioqError: For another type, or a value above 4.
    """
    codes = checked_codes(codes)
    # 3 - code for a base, and UNKNOWN ^ 3 = 7, brought back to UNKNOWN.
    opposite: Bytes = np.minimum(codes[..., ::-1] ^ np.uint8(3), np.uint8(UNKNOWN))
    return opposite


def one_hot(codes: Bytes) -> Bytes:
    """Return the one-hot form of codes; an unknown base has four zeros.

    Args:
        codes: `(..., length)`, 0 to 4.

    Returns:
        uint8 `(..., 4, length)`, in the order A, C, G, T.

    Raises:
        BioqError: For another type, or a value above 4.
    """
    codes = checked_codes(codes)
    hot: Bytes = (codes[..., None, :] == _CODES[:, None]).view(np.uint8)
    return hot


def packed_bytes(length: int) -> int:
    """Return the size of packed bases: two bits per base.

    Args:
        length: Number of bases.

    Returns:
        Number of bytes; the last one may be filled in part.
    """
    length = whole_number("length", length, least=0)
    return -(-length // 4)


def pack(codes: Bytes) -> tuple[Bytes, Bytes]:
    """Pack codes to two bits per base, with a mask of the unknown bases.

    Args:
        codes: `(n, length)`, 0 to 4.

    Returns:
        The packed bases, uint8 `(n, ceil(length / 4))`, with base i in bits 2(i mod 4) and 2(i mod
        4) + 1 of byte i // 4, unknown bases and padding 0; and the mask, uint8
        `(n, ceil(length / 8))`, with bit i mod 8 of byte i // 8 set where base i is unknown.

    Raises:
        BioqError: For another shape or type, or a value above 4.
    """
    codes = checked_codes(codes, axes=2)
    rows, length = codes.shape
    unknown = codes == UNKNOWN
    padded = np.zeros((rows, packed_bytes(length) * 4), dtype=np.uint8)
    np.bitwise_and(codes, 3, out=padded[:, :length])  # UNKNOWN & 3 = 0
    packed = ((padded.view("<u4") * _GATHER) >> np.uint32(24)).astype(np.uint8)
    return packed, np.packbits(unknown, axis=1, bitorder="little")


def unpack(packed: Bytes, length: int, mask: Bytes | None = None) -> Bytes:
    """Return the codes of a result of `pack`.

    Args:
        packed: uint8 `(n, ceil(length / 4))`.
        length: Bases per row.
        mask: uint8 `(n, ceil(length / 8))`; without a mask all bases are known.

    Returns:
        uint8 `(n, length)`, 0 to 4.

    Raises:
        BioqError: For arrays that are not a result of `pack` for this length.
    """
    length = whole_number("length", length, least=0)
    rows = require_packed("packed", packed, packed_bytes(length))
    if mask is not None:
        require_packed("mask", mask, -(-length // 8), rows)
    words = _WORD_OF_PACKED[packed].reshape(packed.shape)
    codes: Bytes = words.view(np.uint8)[:, :length]
    if mask is not None:
        unknown = np.unpackbits(mask, axis=1, count=length, bitorder="little")
        codes |= unknown << 2  # an unknown base is packed as 0, and UNKNOWN = 1 << 2
    return codes


def require_packed(name: str, array: object, width: int, rows: int | None = None) -> int:
    """Check packed windows or labels.

    Args:
        name: What they are, for the message.
        array: What was given.
        width: Bytes of a row, see `packed_bytes`.
        rows: Rows expected; by default any number.

    Returns:
        The number of rows.

    Raises:
        BioqError: For another array than uint8 `(rows, width)`.
    """
    is_bytes = isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.ndim == 2
    if not is_bytes or array.shape != (len(array) if rows is None else rows, width):  # type: ignore[attr-defined,arg-type]
        count = "n" if rows is None else f"{rows}"
        raise BioqError(f"{name} {found(array)}; expected uint8 ({count}, {width})")
    return len(array)  # type: ignore[arg-type]

"""DNA as numbers: codes, one-hot, 2-bit packing and the reverse complement.

A code is a uint8: 0 A, 1 C, 2 G, 3 T, 4 anything else (N, other IUPAC letters). Case is ignored.
One-hot is `(..., 4, length)` in the order A, C, G, T; a base of code 4 is all zeros.
"""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

BASES = "ACGT"
UNKNOWN = 4
"""The code of every letter that is not A, C, G or T."""

_CODE_OF_BYTE = np.full(256, UNKNOWN, dtype=np.uint8)
for _code, _base in enumerate(BASES):
    _CODE_OF_BYTE[ord(_base)] = _CODE_OF_BYTE[ord(_base.lower())] = _code
_BYTE_OF_CODE = np.frombuffer(b"ACGTN", dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)

_SHIFTS = np.array([0, 2, 4, 6], dtype=np.uint8)
# The four codes in each possible packed byte: 1 KiB, read instead of shifting.
_CODES_OF_PACKED = (np.arange(256, dtype=np.uint8)[:, None] >> _SHIFTS) & 3

_ONE_HOT_OF_CODE = np.zeros((UNKNOWN + 1, 4), dtype=np.uint8)
_ONE_HOT_OF_CODE[:4] = np.eye(4, dtype=np.uint8)


def encode(sequence: str | bytes) -> Bytes:
    """Return the codes of a sequence: uint8 `(length,)`."""
    letters = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    return _CODE_OF_BYTE[np.frombuffer(letters, dtype=np.uint8)]


def decode(codes: Bytes) -> str:
    """Return the letters of codes `(length,)`, N for every unknown base."""
    return _BYTE_OF_CODE[codes].tobytes().decode("ascii")


def reverse_complement(codes: Bytes) -> Bytes:
    """Return the codes of the opposite strand, read 5' to 3'; works on `(..., length)`."""
    return _COMPLEMENT[codes[..., ::-1]]


def one_hot(codes: Bytes) -> Bytes:
    """Return uint8 one-hot `(..., 4, length)` of codes `(..., length)`."""
    return np.ascontiguousarray(np.moveaxis(_ONE_HOT_OF_CODE[codes], -1, -2))


def packed_bytes(length: int) -> int:
    """Return how many bytes `length` bases take at two bits a base."""
    return -(-length // 4)


def pack(codes: Bytes) -> tuple[Bytes, Bytes]:
    """Pack codes `(n, length)` to two bits a base, with a mask of the unknown bases.

    Returns (packed, mask): packed is uint8 `(n, ceil(length / 4))`, base i in bits 2(i mod 4) and
    2(i mod 4) + 1 of byte i // 4, unknown bases and padding 0; mask is uint8
    `(n, ceil(length / 8))`, bit i mod 8 of byte i // 8 set where base i is unknown.
    """
    rows, length = codes.shape
    unknown = codes == UNKNOWN
    padded = np.zeros((rows, packed_bytes(length) * 4), dtype=np.uint8)
    padded[:, :length] = np.where(unknown, 0, codes)
    quads = padded.reshape(rows, -1, 4) << _SHIFTS
    packed = quads[..., 0] | quads[..., 1] | quads[..., 2] | quads[..., 3]
    return packed, np.packbits(unknown, axis=1, bitorder="little")


def unpack(packed: Bytes, length: int, mask: Bytes | None = None) -> Bytes:
    """Return the codes `(n, length)` of what `pack` returned; without a mask every base is known."""
    codes = _CODES_OF_PACKED[packed].reshape(len(packed), -1)[:, :length]
    if mask is None:
        return codes
    unknown = np.unpackbits(mask, axis=1, count=length, bitorder="little").astype(bool)
    return np.where(unknown, np.uint8(UNKNOWN), codes)

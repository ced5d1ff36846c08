"""DNA as numbers: codes, one-hot, 2-bit packing and the reverse complement.

A code is a uint8: 0 A, 1 C, 2 G, 3 T, 4 anything else (N, other IUPAC letters). Case is ignored.
One-hot is `(..., 4, length)` in the order A, C, G, T; a base of code 4 is all zeros.
"""

import numpy as np
import numpy.typing as npt

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
    """Return the codes of a sequence: uint8 `(length,)`."""
    letters = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    return _CODE_OF_BYTE[np.frombuffer(letters, dtype=np.uint8)]


def decode(codes: Bytes) -> str:
    """Return the letters of codes `(length,)`, N for every unknown base."""
    return _BYTE_OF_CODE[codes].tobytes().decode("ascii")


def allows(letters: str, bases: str) -> bool:
    """Return whether each of the letters, in upper case, is or may be the base at its position.

    The letter N allows no base.
    """
    return len(letters) == len(bases) and all(
        base in ALLOWED.get(letter, "") for letter, base in zip(letters, bases, strict=True)
    )


def reverse_complement(codes: Bytes) -> Bytes:
    """Return the codes of the opposite strand, read 5' to 3'; works on `(..., length)`."""
    # 3 - code for a base, and UNKNOWN ^ 3 = 7, brought back to UNKNOWN.
    opposite: Bytes = np.minimum(codes[..., ::-1] ^ np.uint8(3), np.uint8(UNKNOWN))
    return opposite


def one_hot(codes: Bytes) -> Bytes:
    """Return uint8 one-hot `(..., 4, length)` of codes `(..., length)`."""
    hot: Bytes = (codes[..., None, :] == _CODES[:, None]).view(np.uint8)
    return hot


def packed_bytes(length: int) -> int:
    """Return the number of bytes of `length` bases at two bits per base."""
    return -(-length // 4)


def pack(codes: Bytes) -> tuple[Bytes, Bytes]:
    """Pack codes `(n, length)` to two bits per base, with a mask of the unknown bases.

    Returns (packed, mask): packed is uint8 `(n, ceil(length / 4))`, base i in bits 2(i mod 4) and
    2(i mod 4) + 1 of byte i // 4, unknown bases and padding 0; mask is uint8
    `(n, ceil(length / 8))`, bit i mod 8 of byte i // 8 set where base i is unknown.
    """
    rows, length = codes.shape
    unknown = codes == UNKNOWN
    padded = np.zeros((rows, packed_bytes(length) * 4), dtype=np.uint8)
    np.bitwise_and(codes, 3, out=padded[:, :length])  # UNKNOWN & 3 = 0
    packed = ((padded.view("<u4") * _GATHER) >> np.uint32(24)).astype(np.uint8)
    return packed, np.packbits(unknown, axis=1, bitorder="little")


def unpack(packed: Bytes, length: int, mask: Bytes | None = None) -> Bytes:
    """Return the codes `(n, length)` of a result of `pack`; without a mask all bases are known."""
    words = _WORD_OF_PACKED[packed].reshape(packed.shape)
    codes: Bytes = words.view(np.uint8)[:, :length]
    if mask is not None:
        unknown = np.unpackbits(mask, axis=1, count=length, bitorder="little")
        codes |= unknown << 2  # an unknown base is packed as 0, and UNKNOWN = 1 << 2
    return codes

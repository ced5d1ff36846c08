"""A FASTA held in memory with two bits per base, for files without random access."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError
from bioq.genome.fasta_letters import check_letters, is_lower
from bioq.genome.fasta_text import FASTA_BLANKS, fasta_pieces
from bioq.genome.runs import Flags, Positions, Runs, edges_of, joined_runs

_PLAIN = b"ACGTNacgtn"
_IS_OTHER = np.ones(256, dtype=np.bool_)
_IS_OTHER[list(_PLAIN)] = False


@dataclass
class _Contig:
    """A contig while it is read: packed pieces, and up to three bases that wait for a fourth."""

    length: int = 0
    packed: list[dna.Bytes] = field(default_factory=list)
    unknown: list[Positions] = field(default_factory=list)
    lower: list[Positions] = field(default_factory=list)
    waiting: dna.Bytes = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    other: list[npt.NDArray[np.int64]] = field(default_factory=list)
    """Positions of the letters other than A, C, G, T and N."""
    other_letters: list[bytes] = field(default_factory=list)

    def add(self, letters: bytes) -> None:
        """Add sequence, without blanks and line ends."""
        codes = dna.encode(letters)
        text = np.frombuffer(letters, dtype=np.uint8)
        self.lower.append(edges_of(is_lower(text), self.length))
        if letters.translate(None, _PLAIN):
            other = np.flatnonzero(_IS_OTHER[text])
            self.other.append(other + self.length)
            self.other_letters.append(text[other].tobytes().upper())
        first = self.length - len(self.waiting)
        self.length += len(codes)
        codes = np.concatenate([self.waiting, codes])
        packed = len(codes) // 4 * 4
        self.waiting = codes[packed:]
        self._pack(codes[:packed], first)

    def finish(self) -> "_PackedContig":
        self._pack(self.waiting, self.length - len(self.waiting))
        packed = np.concatenate([np.empty(0, dtype=np.uint8), *self.packed])
        other = np.concatenate([np.empty(0, dtype=np.int64), *self.other])
        letters = np.frombuffer(b"".join(self.other_letters), dtype=np.uint8)
        unknown, lower = joined_runs(self.unknown), joined_runs(self.lower)
        return _PackedContig(self.length, packed, unknown, lower, other, letters)

    def _pack(self, codes: dna.Bytes, first: int) -> None:
        if not len(codes):
            return
        self.packed.append(dna.pack(codes[None, :])[0][0])
        self.unknown.append(edges_of(codes == dna.UNKNOWN, first))


@dataclass(frozen=True)
class _PackedContig:
    length: int
    packed: dna.Bytes
    """uint8 `(ceil(length / 4),)`; see `dna.pack`."""
    unknown: Runs
    lower: Runs
    other: npt.NDArray[np.int64]
    """Ascending positions of the letters other than A, C, G, T and N."""
    other_letters: dna.Bytes
    """These letters in upper case, ASCII."""

    @property
    def nbytes(self) -> int:
        arrays = (self.packed, self.unknown, self.lower, self.other, self.other_letters)
        return sum(array.nbytes for array in arrays)

    def letters(self, start: int, end: int) -> str:
        letters = np.array(list(dna.decode(self.read(start, end)).encode()), dtype=np.uint8)
        low, high = np.searchsorted(self.other, [start, end])
        letters[self.other[low:high] - start] = self.other_letters[low:high]
        return letters.tobytes().decode("ascii")

    def read(self, start: int, end: int) -> dna.Bytes:
        first = start // 4
        packed = self.packed[first : dna.packed_bytes(end)]
        unpacked = dna.unpack(packed[None, :], len(packed) * 4)[0]
        codes: dna.Bytes = unpacked[start - first * 4 : end - first * 4]
        self.unknown.mark_unknown(codes, start)
        return codes


class PackedFasta:
    """Every contig of a FASTA in memory."""

    def __init__(self, contigs: dict[str, _PackedContig]):
        self._contigs = contigs
        self.lengths = {name: contig.length for name, contig in contigs.items()}
        self.bytes = sum(contig.nbytes for contig in contigs.values())

    def read(self, contig: str, start: int, end: int) -> dna.Bytes:
        """Return the codes of bases inside the contig, unchecked: uint8 `(end - start,)`."""
        return self._contigs[contig].read(start, end)

    def read_masked(self, contig: str, start: int, end: int) -> tuple[dna.Bytes, Flags]:
        """Return what `read` does, and whether each base is in lower case: `(end - start,)`."""
        return self.read(contig, start, end), self._contigs[contig].lower.flags(start, end)

    def letters(self, contig: str, start: int, end: int) -> str:
        """Return the letters of bases inside the contig, unchecked, in upper case."""
        return self._contigs[contig].letters(start, end)


def read_packed_fasta(path: Path) -> PackedFasta:
    """Read a FASTA into memory with two bits per base.

    Raises BioqError for a file that is cut short, has no bases, has a letter that is not DNA, or
    has a contig without a name or with the name of another contig.
    """
    contigs: dict[str, _PackedContig] = {}
    lines: dict[str, int] = {}
    contig: _Contig | None = None
    name = ""
    for piece in fasta_pieces(path, "a genome (FASTA or 2bit)"):
        line, text = piece.line, piece.text
        if not piece.is_header:
            if contig is not None:
                check_letters(piece, str(path), f"contig {name!r}")
                contig.add(text.translate(None, FASTA_BLANKS))
            continue
        if contig is not None:
            contigs[name] = contig.finish()
        words = text[1:].decode("utf-8", "replace").split(maxsplit=1)
        if not words:
            raise BioqError(f"{path}:{line}: '>' stands alone; every contig needs a name")
        name = words[0]
        if name in lines:
            raise BioqError(
                f"{path}:{line}: the contig {name!r} is on line {lines[name]} too; "
                "every contig needs a different name"
            )
        lines[name] = line
        contig = _Contig()
    if contig is not None:
        contigs[name] = contig.finish()
    if not any(contig.length for contig in contigs.values()):
        raise BioqError(f"{path}: holds no bases; expected a genome")
    return PackedFasta(contigs)

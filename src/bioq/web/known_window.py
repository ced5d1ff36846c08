"""A window of the server's genome for examples, so that every example shown is real."""

from collections.abc import Iterator
from dataclasses import dataclass

from bioq import dna
from bioq.genome import Genome
from bioq.genome.notation import Interval, VariantText
from bioq.genome.windows import middle_start, read_padded

EXAMPLE_BP = 60
"""Known bases in the middle of the window, at which example variants are."""
_CONTIGS = 20
"""The longest contigs, as many as this, are searched."""
_POSITIONS = 32
"""Windows of each contig that are tried, from its middle outwards."""
_TRANSITION = {"A": "G", "C": "T", "G": "A", "T": "C"}
"""Base -> the base of its transition, the most common substitution."""


@dataclass(frozen=True)
class KnownWindow:
    """A window of the genome whose middle bases are known."""

    contig: str
    start: int
    """0-based first base of the window; negative if the contig is shorter than the window."""
    codes: dna.Bytes
    """uint8 `(window_bp,)`."""
    contig_bp: int
    bin_bp: int

    @property
    def is_known(self) -> bool:
        """Whether every base of the window is known, and none is outside the contig."""
        return bool((self.codes < dna.UNKNOWN).all())

    @property
    def middle(self) -> tuple[int, str]:
        """The 0-based first of the known bases in the middle, and these bases."""
        first = middle_start(0, len(self.codes), EXAMPLE_BP)
        return self.start + first, dna.decode(self.codes[first : first + EXAMPLE_BP])

    def region(self, bins: int = 1) -> Interval:
        """Return the window's bin and the bins after it, up to the contig's end."""
        first = max(middle_start(self.start, self.start + len(self.codes), self.bin_bp), 0)
        return Interval(self.contig, first, min(first + bins * self.bin_bp, self.contig_bp))

    @property
    def variant(self) -> VariantText:
        """A substitution in the middle, with the genome's base as REF."""
        start, bases = self.middle
        return substitution(self.contig, start, bases, EXAMPLE_BP // 2)


def substitution(contig: str, start: int, bases: str, index: int) -> VariantText:
    """Return the transition of a base, the `index`-th of `bases`, which begin at `start`."""
    ref = bases[index]
    return VariantText(contig, str(start + index + 1), ".", ref, _TRANSITION[ref])


def find_known_window(genome: Genome, window_bp: int, bin_bp: int) -> KnownWindow | None:
    """Return the first window without unknown bases, or else the window with the fewest; None if
    no window that was tried has known bases in its middle."""
    if window_bp < EXAMPLE_BP:
        return None
    best, fewest = None, window_bp + 1
    middle = middle_start(0, window_bp, EXAMPLE_BP)
    for contig, contig_bp, start in _windows(genome, window_bp):
        codes = read_padded(genome, contig, start, start + window_bp)
        unknown = int((codes >= dna.UNKNOWN).sum())
        if unknown < fewest and (codes[middle : middle + EXAMPLE_BP] < dna.UNKNOWN).all():
            best, fewest = KnownWindow(contig, start, codes, contig_bp, bin_bp), unknown
        if not fewest:
            break
    return best


def _windows(genome: Genome, window_bp: int) -> Iterator[tuple[str, int, int]]:
    """Yield (contig, its length, start of a window), the longest contigs first."""
    longest = sorted(genome.lengths, key=lambda name: -genome.lengths[name])
    for contig in longest[:_CONTIGS]:
        contig_bp = genome.lengths[contig]
        centre = (contig_bp - window_bp) // 2
        for step in range(_POSITIONS if centre > 0 else 1):
            side = 1 if step % 2 else -1
            yield contig, contig_bp, centre + side * ((step + 1) // 2) * centre * 2 // _POSITIONS

"""Random substitutions of single bases of a genome: a background without a VCF of variants.

An allele is a known base with one of the three other bases. The alleles of a kind are equally
likely, so their bases and the bases around them are those of the genome. The two kinds are C>T and
G>A in a CpG, and all others. The share of the first kind is chosen, because a methylated CpG
mutates about ten times as often as another base.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError
from bioq.genome import Genome
from bioq.genome.vcf import Variant
from bioq.options import AtLeastOne, AtLeastZero, Share, check_types
from bioq.progress import progress

CPG_SHARE = 0.17
"""Share of C>T and G>A in a CpG among the SNVs of two VCFs of human chr22: 0.187 of 2,115 of 1000
Genomes and 0.135 of 867 of ExAC, together 0.172."""
CPG_DEPLETED = 0.6
"""CpG of a genome over those expected of its C and G, below which CPG_SHARE is the default: the
limit of a CpG island (Gardiner-Garden & Frommer 1987). Human chr22 has 0.30, yeast 0.81."""
_PIECE_BP = 1 << 19
_C, _G = (dna.BASES.index(base) for base in "CG")

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RandomSnvs:
    """Random SNVs of a genome, in place of a VCF."""

    random: AtLeastOne
    """Draw this number of random SNVs from the genome, in place of a VCF."""
    seed: AtLeastZero = 0
    """Seed of the random SNVs: the same seed and genome give the same SNVs."""
    cpg: Share | None = None
    """Share of the random SNVs that are C>T or G>A in a CpG; by default 0.17, as in human VCFs, if
    the genome has few CpG, as those of vertebrates have, otherwise the share in all possible
    SNVs."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class DrawnSnvs:
    """SNVs in the order of the genome; no allele occurs twice."""

    contigs: Sequence[str]
    """All contigs of the genome."""
    alleles: Numbers
    """`(snvs, 4)`: number of the contig, position (0-based), codes of REF and of ALT."""
    in_cpg: int
    """The number of SNVs that are C>T or G>A in a CpG."""

    def contigs_drawn(self) -> tuple[str, ...]:
        """Return the contigs that have SNVs, in order."""
        return tuple(self.contigs[number] for number in np.unique(self.alleles[:, 0]))

    def variants(self) -> Iterator[Variant]:
        """Yield the SNVs as alleles of a VCF."""
        for number, (contig, position, ref, alt) in enumerate(self.alleles, 1):
            yield Variant(
                where=f"random SNV {number}",
                chrom=self.contigs[contig],
                pos=int(position) + 1,
                id=".",
                ref=dna.BASES[ref],
                alt=dna.BASES[alt],
            )

    def sha256(self) -> str:
        """Return the SHA-256 of lines with CHROM, POS, REF and ALT of each allele."""
        digest = hashlib.sha256()
        for each in self.variants():
            digest.update(f"{each.chrom}\t{each.pos}\t{each.ref}\t{each.alt}\n".encode())
        return digest.hexdigest()


def draw_snvs(genome: Genome, snvs: RandomSnvs) -> DrawnSnvs:
    """Draw SNVs in two passes over a genome; memory grows with the SNVs only.

    Raises BioqError if the genome has fewer alleles of a kind than are asked for.
    """
    pieces = list(_pieces(genome.lengths))
    counts = np.empty((len(pieces), 4), dtype=np.int64)
    with progress("count bases", sum(genome.lengths.values()), "bases") as advance:
        for row, piece in enumerate(pieces):
            counts[row] = _read(genome, piece).counts()
            advance(piece.end - piece.start)
    known, in_cpg = counts[:, 0], counts[:, 1]
    alleles = (in_cpg, 3 * known - in_cpg)
    numbers = _numbers(snvs, counts.sum(axis=0), genome.title)
    random = np.random.Generator(np.random.PCG64(snvs.seed))
    chosen = [
        _Chosen.draw(each, number, random) for each, number in zip(alleles, numbers, strict=True)
    ]
    found = []
    with progress("draw SNVs", snvs.random, "SNVs") as advance:
        for row, piece in enumerate(pieces):
            ranks = [each.of_piece(row) for each in chosen]
            if any(map(len, ranks)):
                found.append(_read(genome, piece).alleles(*ranks))
                advance(len(found[-1]))
    return DrawnSnvs(list(genome.lengths), np.concatenate(found), numbers[0])


def _numbers(snvs: RandomSnvs, counts: Numbers, genome: str) -> tuple[int, int]:
    """Return the number of SNVs of each kind. Raises BioqError if there are not as many."""
    known, in_cpg, c, g = map(int, counts)
    if not known:
        raise BioqError(f"{genome}: has no known base (A, C, G, T) to draw SNVs from")
    share = snvs.cpg
    if share is None:
        is_depleted = in_cpg / 2 * known < CPG_DEPLETED * c * g
        share = CPG_SHARE if is_depleted else in_cpg / (3 * known)
    wanted = round(share * snvs.random)
    numbers = wanted, snvs.random - wanted
    most = in_cpg, 3 * known - in_cpg
    kinds = "C>T or G>A in a CpG", "other SNVs"
    for number, available, kind in zip(numbers, most, kinds, strict=True):
        if number > available:
            raise BioqError(
                f"{genome}: has {available:,} possible {kind}, and {number:,} of them would be "
                "drawn; give a smaller --random, or another share with --cpg"
            )
    return numbers


@dataclass(frozen=True)
class _Piece:
    """Bases of a contig."""

    contig: int
    name: str
    start: int
    end: int


def _pieces(lengths: Mapping[str, int]) -> Iterator[_Piece]:
    for contig, (name, length) in enumerate(lengths.items()):
        for start in range(0, length, _PIECE_BP):
            yield _Piece(contig, name, start, min(start + _PIECE_BP, length))


@dataclass(frozen=True)
class _Bases:
    """The bases of a piece."""

    piece: _Piece
    codes: dna.Bytes
    is_in_cpg: npt.NDArray[np.bool_]

    def counts(self) -> tuple[int, int, int, int]:
        """Return the number of known bases, of bases in a CpG, of C and of G."""
        of_code = np.bincount(self.codes, minlength=dna.UNKNOWN + 1)
        known = of_code[: dna.UNKNOWN].sum()
        return int(known), int(self.is_in_cpg.sum()), int(of_code[_C]), int(of_code[_G])

    def alleles(self, in_cpg: Numbers, others: Numbers) -> Numbers:
        """Return the alleles of these ranks in each of the two kinds, `(n, 4)`, in order."""
        at = np.flatnonzero(self.is_in_cpg)[in_cpg]
        ref = self.codes[at].astype(np.int64)
        # A and G, and C and T, differ in the second bit of their codes.
        transitions = self._rows(at, ref, ref ^ 2)
        counts = 3 * (self.codes != dna.UNKNOWN).astype(np.int64) - self.is_in_cpg
        until = np.cumsum(counts)
        at = np.searchsorted(until, others, side="right")
        rank = others - (until[at] - counts[at])
        ref = self.codes[at].astype(np.int64)
        alt = np.where(self.is_in_cpg[at], 2 * rank + (ref + 1) % 2, rank + (rank >= ref))
        rows = np.concatenate([transitions, self._rows(at, ref, alt)])
        ordered: Numbers = rows[np.lexsort((rows[:, 3], rows[:, 1]))]
        return ordered

    def _rows(self, at: Numbers, ref: Numbers, alt: Numbers) -> Numbers:
        contig = np.full(len(at), self.piece.contig)
        rows: Numbers = np.stack([contig, self.piece.start + at, ref, alt], axis=1)
        return rows


def _read(genome: Genome, piece: _Piece) -> _Bases:
    """Return the bases of a piece; the bases beside it decide about a CpG at its ends."""
    first = max(piece.start - 1, 0)
    last = min(piece.end + 1, genome.lengths[piece.name])
    codes = genome.read(piece.name, first, last)
    is_cpg = (codes[:-1] == _C) & (codes[1:] == _G)
    is_in_cpg = np.append(is_cpg, False)
    is_in_cpg[1:] |= is_cpg
    inner = slice(piece.start - first, piece.end - first)
    return _Bases(piece, codes[inner], is_in_cpg[inner])


@dataclass(frozen=True)
class _Chosen:
    """Alleles that are chosen among those of a kind, which are counted through all pieces."""

    ranks: Numbers
    """`(n,)`, ascending, below the last of `until`."""
    until: Numbers
    """`(pieces,)`: alleles up to the end of each piece."""

    @classmethod
    def draw(cls, alleles: Numbers, number: int, random: np.random.Generator) -> "_Chosen":
        """Choose a number of alleles, all sets of this size equally likely."""
        until = np.cumsum(alleles)
        return cls(_distinct(int(until[-1]), number, random), until)

    def of_piece(self, row: int) -> Numbers:
        """Return the ranks among the alleles of a piece of those that are chosen in it."""
        before = int(self.until[row - 1]) if row else 0
        first, last = np.searchsorted(self.ranks, [before, self.until[row]])
        return self.ranks[first:last] - before


def _distinct(total: int, number: int, random: np.random.Generator) -> Numbers:
    """Return distinct whole numbers below `total`, ascending, in memory that `number` bounds."""
    if 2 * number > total:
        return np.sort(random.permutation(total)[:number])
    ranks = np.empty(0, dtype=np.int64)
    while len(ranks) < number:  # a number that was drawn before is drawn again
        ranks = np.union1d(ranks, random.integers(0, total, number - len(ranks)))
    return ranks

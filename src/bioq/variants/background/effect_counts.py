"""The effects of many variants, counted for a background in two passes.

The first pass counts the effects on each target, and writes each variant's steps to a temporary
file. The second pass reads them and counts ranks, for which all effects must be known.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq.errors import NotWrittenError
from bioq.progress import progress
from bioq.variants.background.ranks import Above, Counts, RankCounts, variants_above
from bioq.variants.columns import TargetNumbers
from bioq.variants.scores import ScoreArray, effect

KINDS = ("substitution", "indel")
"""The kinds of variants that are compared with their own kind, if a background has enough: REF and
ALT of one length, or of two."""
EVERY = "all"
"""All variants of a background: what a kind is compared with that has too few of its own."""
OWN_KIND = 3000
"""Variants of a kind from which on alleles of this kind are compared with these alone. With fewer
the ranks of the most extreme alleles are better among all variants: see docs/how-to/variants.md."""

# A float32 without its last 15 bits: a sign, 8 bits of exponent, 8 of mantissa.
_DROPPED_BITS = 15
_FIRST_KEY = (127 - 64) << 8
EFFECT_STEPS = (64 + 8) << 8
_BLOCK = 1024
_WIDTH = np.dtype(np.uint16).itemsize


def are_indels(refs: Iterable[str], alts: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return whether REF and ALT of each allele differ in length: the index in `KINDS`."""
    pairs = zip(refs, alts, strict=True)
    return np.fromiter((len(ref) != len(alt) for ref, alt in pairs), dtype=bool)


def size_keys(sizes: ScoreArray) -> npt.NDArray[np.int64]:
    """Return the histogram step of each size; a larger size has a larger or equal step."""
    keys = (np.ascontiguousarray(sizes).view(np.uint32) >> _DROPPED_BITS).astype(np.int64)
    clipped: npt.NDArray[np.int64] = np.clip(keys - _FIRST_KEY, 0, EFFECT_STEPS - 1)
    return clipped


def variants_above_of(above: Above, sizes: ScoreArray) -> Above:
    """Return the variants with a larger effect than each of some sizes, `(alleles, targets)`."""
    found: Above = above[np.arange(sizes.shape[1])[None, :], size_keys(sizes)]
    return found


class EffectCounts:
    """Histograms of effects for each of `KINDS` and each target, filled block by block."""

    def __init__(self, targets: int, spool: Any):
        self._targets = targets
        self._spool = spool
        self.of_kind: npt.NDArray[np.int64] = np.zeros(len(KINDS), dtype=np.int64)
        """The number of variants of each kind."""
        self.counts: list[Counts] = [
            np.zeros((targets, EFFECT_STEPS), dtype=np.uint32) for _ in KINDS
        ]
        self.square_sum = [np.zeros(targets, dtype=np.float64) for _ in KINDS]
        """Of each kind, `(targets,)` of diff."""

    @property
    def variants(self) -> int:
        """The number of variants."""
        return int(self.of_kind.sum())

    def add(self, scores: Mapping[str, ScoreArray], indels: npt.NDArray[np.bool_]) -> None:
        """Count the effects of alleles; each score is `(alleles, targets)`, `indels` is
        `(alleles,)`."""
        keys = size_keys(effect(scores))
        rows = np.empty((len(keys), self._targets + 1), dtype=np.uint16)
        rows[:, :-1], rows[:, -1] = keys, indels
        self._spool.write(rows.tobytes())
        for kind in range(len(KINDS)):
            chosen = indels == bool(kind)
            self.of_kind[kind] += chosen.sum()
            np.add.at(self.counts[kind], (np.arange(self._targets)[None, :], keys[chosen]), 1)
            squares = scores["diff"][chosen].astype(np.float64) ** 2
            self.square_sum[kind] += squares.sum(axis=0)

    def rank_counts(self, sets: Sequence[TargetNumbers]) -> dict[str, Counts]:
        """Count ranks for sets of targets: among each of `KINDS` that has enough variants, and
        among `EVERY` variant if a kind has not. Reads the temporary file."""
        counts = {
            kind: counted
            for kind, counted, own in zip(KINDS, self.counts, self.of_kind.tolist(), strict=True)
            if OWN_KIND <= own < self.variants
        }
        if len(counts) < len(KINDS):
            counts[EVERY] = self.counts[0] + self.counts[1]
        above = {name: variants_above(counted) for name, counted in counts.items()}
        ranks = {name: RankCounts(sets, int(of[0].sum())) for name, of in counts.items()}
        with progress("ranks", self.variants, "variants") as advance:
            for keys, indels in self._read():
                for name, counted in ranks.items():
                    rows = keys if name == EVERY else keys[indels == KINDS.index(name)]
                    counted.add(above[name][np.arange(self._targets)[None, :], rows])
                advance(len(keys))
        return {name: counted.counts for name, counted in ranks.items()}

    def _read(self) -> Iterator[tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]]:
        """Yield the steps of variants, `(variants, targets)`, and whether they are indels."""
        self._spool.flush()
        self._spool.seek(0)
        row_bytes = (self._targets + 1) * _WIDTH
        left = self.variants
        while left:
            size = min(_BLOCK, left)
            content = self._spool.read(size * row_bytes)
            rows = np.frombuffer(content, np.uint16).reshape(size, self._targets + 1)
            yield rows[:, :-1], rows[:, -1]
            left -= size


@contextlib.contextmanager
def counting(out: Path, targets: int, alleles: int) -> Iterator[EffectCounts]:
    """Yield counts for a background that is to be written to `out`, with their temporary file.

    It is beside `out`, without a name, and has 2 bytes per allele and target. Raises
    NotWrittenError if the disk has not enough space for it.
    """
    size = alleles * (targets + 1) * _WIDTH
    with contextlib.ExitStack() as stack:
        try:
            file = tempfile.TemporaryFile(dir=out.parent, prefix=".background.")  # noqa: SIM115
            spool = stack.enter_context(file)
            # Reserves the space: a full disk would otherwise end the command after hours.
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(spool.fileno(), 0, size)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            needed = f"{size / 1e6:,.0f} MB for a temporary file beside it"
            raise NotWrittenError(out, f"{reason} (needed: {needed})") from error
        yield EffectCounts(targets, spool)

"""The effect of two motifs beyond the sum of their effects: by distance, order and orientation.

The two sites are written into the same background windows, together and alone, each at the place
that it has in the pair. Beyond the sum is, in logits, E(A and B) - E(A) - E(B) + E(none): zero if
the model adds the motifs up.

Four arrangements are all that exist where both strands are averaged: an arrangement and its reverse
complement are the same DNA, read from the other strand.

    A> B>    B is downstream of A, on A's strand        (also <B <A)
    B> A>    B is upstream of A, on A's strand          (also <A <B)
    A> <B    the two point at each other                (also B> <A)
    <A B>    the two point away from each other         (also <B A>)

So half of the eight combinations of order and strands are not computed, and A is always written
left of B: `B> A>` as its reverse complement `<A <B`, which leaves fewer places of A and B alone.
With strands="forward" the model reads one strand, and all eight are different.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from bioq import dna
from bioq.errors import UsageError
from bioq.forward import Strands
from bioq.interpretation.motif_experiments.arguments import checked_windows, choose_targets
from bioq.interpretation.motif_experiments.insertion import most_probable, with_bases
from bioq.interpretation.motif_experiments.logits import Numbers, edit_logits, window_logits
from bioq.interpretation.motif_experiments.table import Floats, mean_of
from bioq.motifs import Motif
from bioq.options import found, of_type, one_of, whole_number
from bioq.progress import progress


@dataclass(frozen=True)
class Arrangement:
    """How the sites of two motifs, A and B, are placed on the forward strand of a window."""

    strand_a: str
    strand_b: str
    a_is_left: bool = True

    @property
    def text(self) -> str:
        """`A> <B`: the motifs from left to right, with an arrow at the 3' end of each."""
        arrows = {"+": "{}>", "-": "<{}"}
        sites = [arrows[self.strand_a].format("A"), arrows[self.strand_b].format("B")]
        return " ".join(sites if self.a_is_left else sites[::-1])

    def from_other_strand(self) -> "Arrangement":
        """Return the same DNA as it reads on the other strand."""
        opposite = {"+": "-", "-": "+"}
        return Arrangement(opposite[self.strand_a], opposite[self.strand_b], not self.a_is_left)


A_THEN_B, B_THEN_A = Arrangement("+", "+"), Arrangement("+", "+", a_is_left=False)
FACING, BACK_TO_BACK = Arrangement("+", "-"), Arrangement("-", "+")
ARRANGEMENTS = (A_THEN_B, B_THEN_A, FACING, BACK_TO_BACK)
"""All arrangements, if an arrangement and its reverse complement are the same."""


def arrangements_of(a: Motif, b: Motif, strands: Strands) -> tuple[Arrangement, ...]:
    """Return the arrangements that differ: 4 if both strands are averaged, otherwise 8; of a motif
    with itself 3, since A and B are not told apart, or 4."""
    found: tuple[Arrangement, ...] = ARRANGEMENTS
    if strands == "forward":
        found = (*found, *(each.from_other_strand() for each in found))
    if np.array_equal(a.probabilities, b.probabilities):
        found = tuple(each for each in found if each.a_is_left)
    return found


def pair_effects(
    model: nn.Module,
    backgrounds: npt.NDArray[np.uint8],
    a: Motif,
    b: Motif,
    *,
    distances: Sequence[int] | Numbers,
    targets: Sequence[int] | None = None,
    strands: Strands = "both",
    seed: int = 0,
) -> pd.DataFrame:
    """Put the best sites of two motifs into background windows, together and each alone.

    The pair is in the middle of the window.

    Args:
        model: A model of `bioq.load`, or any module from windows to logits. It computes on its
            device.
        backgrounds: Codes uint8 `(n, window_bp)`, such as `dna.shuffle.dinucleotide_shuffles` of a
            window.
        a: The first motif.
        b: The second motif.
        distances: Numbers of bases between the two sites.
        targets: Numbers of the model's targets, from 0; by default all.
        strands: `"both"` computes the mean logit of both strands.
        seed: Seed of the scrambled sites.

    Returns:
        One row per arrangement, distance and target, in this order. Effects are changes of the
        logit, means over the backgrounds.

        - a, a_id, b, b_id: names and matrix IDs of the motifs
        - arrangement: `A> B>`, `B> A>`, `A> <B` or `<A B>`; with strands="forward" also `<B <A`,
          `<A <B`, `B> <A` and `<B A>`, which are read differently then
        - distance: bases between the two sites
        - target
        - effect_a, effect_b: of each motif alone, at its place in the pair; effect: of both
          together
        - beyond, low, high: effect - effect_a - effect_b, and its 95 % interval (Student's t)
        - control, control_low, control_high: `beyond` of A and a scrambled B: a site with B's bases
          in random order, in another order in each background
        - n: number of backgrounds

    Raises:
        BioqError: For codes of another shape.
        UsageError: For a distance at which the pair is longer than the windows, and for other
            motifs.
    """
    backgrounds = checked_windows(model, backgrounds, "backgrounds")
    for name, motif in {"a": a, "b": b}.items():
        of_type(name, motif, Motif, "a motif, such as one of bioq.motifs.motifs_from")
    distances = checked_distances(distances, a, b, backgrounds.shape[1])
    chosen = choose_targets(model, targets)
    one_of("strands", strands, get_args(Strands))
    arrangements = arrangements_of(a, b, strands)
    sites = _sites(
        a, b, len(backgrounds), np.random.default_rng(whole_number("seed", seed, least=0))
    )
    before = chosen.of(window_logits(model, backgrounds, strands=strands))
    names = chosen.labels(before.shape[1])
    parts: dict[int, list[pd.DataFrame]] = {number: [] for number in range(len(arrangements))}
    known: dict[_Edit, Floats] = {}
    with progress(f"{a.name} and {b.name}", len(distances), "distances") as advance:
        for distance in distances.tolist():
            places = [
                _place(each, a, b, distance, backgrounds.shape[1], strands) for each in arrangements
            ]
            new = [edit for edit in _edits(places) if edit not in known]
            edited = np.concatenate([_edited(backgrounds, edit, sites) for edit in new])
            of = np.tile(np.arange(len(backgrounds)), len(new))
            after = chosen.of(edit_logits(model, backgrounds, edited, of, strands=strands))
            known.update(zip(new, after.reshape(len(new), *before.shape) - before, strict=True))
            for number, place in enumerate(places):
                about = {"arrangement": arrangements[number].text, "distance": distance}
                parts[number].append(_described(place, known, about, names))
            # The next distance has at most single sites in common with this one.
            known = {edit: known[edit] for edit in _edits(places) if len(edit) == 1}
            advance(1)
    table = pd.concat([part for each in parts.values() for part in each], ignore_index=True)
    motifs = {"a": a.name, "a_id": a.matrix_id, "b": b.name, "b_id": b.matrix_id}
    for column, (name, value) in enumerate(motifs.items()):
        table.insert(column, name, value)
    return table.assign(n=len(backgrounds))


def highest_and_lowest(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return, of each pair and target of `pair_effects`, the rows with the highest and with the
    lowest difference between `beyond` and `control`: two tables with the same order of pairs and
    targets, those with the largest difference first."""
    above = table["beyond"] - table["control"]
    of_target = above.groupby([table["a_id"], table["b_id"], table["target"]], sort=False)
    high, low = of_target.idxmax().to_numpy(), of_target.idxmin().to_numpy()
    size = np.maximum(above[high].to_numpy(), -above[low].to_numpy())
    order = np.argsort(-size, kind="stable")
    return table.loc[high[order]], table.loc[low[order]]


_A, _B, _SCRAMBLED = "a", "b", "scrambled"


class _Site(NamedTuple):
    """A site in a window."""

    name: str
    strand: str
    start: int


_Edit = tuple[_Site, ...]
"""The sites that are written into a window."""


class _Place(NamedTuple):
    """The sites of an arrangement at a distance."""

    a: _Site
    b: _Site
    scrambled: _Site

    @property
    def edits(self) -> tuple[_Edit, ...]:
        a, b, scrambled = self
        return (a,), (b,), (scrambled,), (a, b), (a, scrambled)


def _place(
    each: Arrangement, a: Motif, b: Motif, distance: int, window_bp: int, strands: Strands
) -> _Place:
    """Return the sites of the pair in the middle of the window, A left of B if the model reads both
    strands."""
    if strands == "both" and not each.a_is_left:
        each = each.from_other_strand()
    left = window_bp // 2 - (len(a) + distance + len(b)) // 2
    start_a, start_b = left, left + len(a) + distance
    if not each.a_is_left:
        start_a, start_b = left + len(b) + distance, left
    return _Place(
        _Site(_A, each.strand_a, start_a),
        _Site(_B, each.strand_b, start_b),
        _Site(_SCRAMBLED, each.strand_b, start_b),
    )


def _edits(places: Sequence[_Place]) -> list[_Edit]:
    """Return every edit of the arrangements once."""
    return list(dict.fromkeys(edit for place in places for edit in place.edits))


def _sites(
    a: Motif, b: Motif, windows: int, random: np.random.Generator
) -> dict[tuple[str, str], dna.Bytes]:
    """Return the bases of a site by name and strand: `(length,)`, or `(windows, length)`."""
    site = most_probable(b)
    scrambled = random.permuted(np.tile(site, (windows, 1)), axis=1)
    forward = {_A: most_probable(a), _B: site, _SCRAMBLED: scrambled}
    both = {"+": lambda codes: codes, "-": dna.reverse_complement}
    return {
        (name, strand): read(codes)
        for name, codes in forward.items()
        for strand, read in both.items()
    }


def _edited(
    windows: dna.Bytes, edit: _Edit, sites: Mapping[tuple[str, str], dna.Bytes]
) -> dna.Bytes:
    """Return a copy of the windows with the sites of an edit."""
    for site in edit:
        windows = with_bases(windows, sites[site.name, site.strand], site.start)
    return windows


def _described(
    place: _Place,
    change: Mapping[_Edit, Floats],
    about: Mapping[str, str | int],
    targets: Sequence[str],
) -> pd.DataFrame:
    """Return the rows of an arrangement at a distance, one per target, given the change of the
    logits by each edit, `(backgrounds, targets)`."""
    a, b, scrambled, both, with_scrambled = (change[edit] for edit in place.edits)
    beyond, control = mean_of(both - a - b), mean_of(with_scrambled - a - scrambled)
    return pd.DataFrame(
        {
            **about,
            "target": targets,
            "effect_a": a.mean(axis=0),
            "effect_b": b.mean(axis=0),
            "effect": both.mean(axis=0),
            "beyond": beyond.mean,
            "low": beyond.low,
            "high": beyond.high,
            "control": control.mean,
            "control_low": control.low,
            "control_high": control.high,
        }
    )


def checked_distances(
    distances: Sequence[int] | Numbers, a: Motif, b: Motif, window_bp: int
) -> Numbers:
    """Return distances as an array. Raises UsageError unless the pair fits in the window."""
    most = window_bp - len(a) - len(b)
    if most < 0:
        raise UsageError(
            f"{a.name} ({len(a)} bp) and {b.name} ({len(b)} bp) are longer than the model's "
            f"windows, {window_bp:,} bp"
        )
    array = dna.as_array(distances)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
        raise UsageError(f"distances {found(distances)}; expected a list of whole numbers")
    wrong = (array < 0) | (array > most)
    if wrong.any():
        raise UsageError(
            f"distance {array[wrong][0]}: with {a.name} ({len(a)} bp) and {b.name} ({len(b)} bp) "
            f"the pair must fit in windows of {window_bp:,} bp; expected 0 to {most:,}"
        )
    return array.astype(np.int64)

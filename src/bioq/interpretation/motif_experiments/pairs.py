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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import nn

from bioq import dna
from bioq.errors import UsageError
from bioq.forward import BATCH_SIZE, Precision, Strands, require_precision
from bioq.interpretation.motif_experiments.insertion import most_probable
from bioq.interpretation.motif_experiments.logits import Floats, Numbers, edit_logits
from bioq.metrics.intervals import t_quantile
from bioq.models.device import on_device
from bioq.motifs import Motif
from bioq.options import found, of_type, one_of, whole_number
from bioq.runs.trained_model import require_length, require_module

STEP_BP = 5
"""Default step of the distances."""


@dataclass(frozen=True)
class Arrangement:
    """How the sites of two motifs, A and B, lie on the forward strand of a window."""

    strand_a: str
    strand_b: str
    a_is_left: bool = True

    def text(self, a: str, b: str) -> str:
        """Return it with the names of the motifs: `CTCF> <SRF`, an arrow at the 3' end of each."""
        arrows = {"+": "{}>", "-": "<{}"}
        sites = [arrows[self.strand_a].format(a), arrows[self.strand_b].format(b)]
        return " ".join(sites if self.a_is_left else sites[::-1])

    def from_other_strand(self) -> "Arrangement":
        """Return the same DNA as it reads on the other strand."""
        opposite = {"+": "-", "-": "+"}
        return Arrangement(opposite[self.strand_a], opposite[self.strand_b], not self.a_is_left)


A_THEN_B, B_THEN_A = Arrangement("+", "+"), Arrangement("+", "+", a_is_left=False)
FACING, BACK_TO_BACK = Arrangement("+", "-"), Arrangement("-", "+")
ARRANGEMENTS = (A_THEN_B, B_THEN_A, FACING, BACK_TO_BACK)
"""All arrangements, if an arrangement and its reverse complement are the same."""


def arrangements_of(strands: Strands) -> tuple[Arrangement, ...]:
    """Return the arrangements that differ: 4 if both strands are averaged, otherwise 8."""
    if strands == "both":
        return ARRANGEMENTS
    return (*ARRANGEMENTS, *(each.from_other_strand() for each in ARRANGEMENTS))


@dataclass(frozen=True)
class PairEffects:
    """The effects of two motifs A and B on the logits of all targets.

    Arrays are float64 `(arrangements, distances, targets)`: means over the background windows.
    """

    motifs: tuple[Motif, Motif]
    """A and B."""
    arrangements: tuple[Arrangement, ...]
    distances: Numbers
    """Bases between the two sites `(distances,)`."""
    backgrounds: int
    """Number of background windows."""
    together: Floats
    """Logit with A and B minus that without."""
    a: Floats
    """Logit with A alone, at its place in the pair, minus that without."""
    b: Floats
    beyond: Floats
    """together - a - b."""
    low: Floats
    """Lower end of the 95 % interval of `beyond` over background windows (Student's t)."""
    high: Floats
    control: Floats
    """`beyond` with the bases of B's site in random order, another order in each window."""
    control_low: Floats
    control_high: Floats


def pair_effects(
    model: nn.Module,
    windows: dna.Bytes,
    a: Motif,
    b: Motif,
    *,
    distances: Sequence[int] | Numbers,
    strands: Strands = "both",
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device | None = None,
    precision: Precision = "32",
    advance: Callable[[int], None] = lambda done: None,
) -> PairEffects:
    """Write the best sites of two motifs into windows, and compare with each of them alone.

    `windows` are codes uint8 `(n, length)`, two or more background windows. The pair, with each of
    the `distances` in bp between the sites, is in the middle of the window; every site has the most
    probable base at each position. `seed` is of the control, B with its bases in random order.
    Logits are means over both strands unless strands="forward", which computes the eight
    arrangements of the forward strand. `advance` is called with 1 after every distance. The model
    is not changed.
    Raises BioqError for other windows, UsageError for a distance at which the pair is longer than
    the window, and for other motifs.
    """
    windows = dna.checked_codes(windows, axes=2, name="windows")
    require_length(require_module(model), windows.shape[1], "windows")
    if len(windows) < 2:
        raise UsageError(f"{len(windows)} windows; expected at least 2, for an interval")
    for name, motif in {"a": a, "b": b}.items():
        of_type(name, motif, Motif, "a motif, such as one of bioq.motifs.motifs_from")
    distances = _checked_distances(distances, a, b, windows.shape[1])
    one_of("strands", strands, get_args(Strands))
    batch_size = whole_number("batch_size", batch_size, least=1)
    seed = whole_number("seed", seed, least=0)
    if not callable(advance):
        raise UsageError(f"advance {found(advance)}; expected a function")
    arrangements = arrangements_of(strands)
    if is_same_motif(a, b):
        arrangements = tuple(each for each in arrangements if each.a_is_left)
    written = arrangements
    if strands == "both":
        written = tuple(
            each if each.a_is_left else each.from_other_strand() for each in arrangements
        )
    sites = _sites(a, b, len(windows), np.random.default_rng(seed))
    rows: list[dict[str, Floats]] = []
    known: dict[_Edit, Floats] = {}
    with on_device(model, device) as there:
        require_precision(there, precision)
        for distance in distances.tolist():
            places = [_place(each, a, b, distance, windows.shape[1]) for each in written]
            new = [edit for edit in _edits(places) if edit not in known]
            edited = np.concatenate([_edited(windows, edit, sites) for edit in new])
            of = np.tile(np.arange(len(windows)), len(new))
            before, after = edit_logits(
                model,
                windows,
                edited,
                of,
                strands=strands,
                batch_size=batch_size,
                precision=precision,
            )
            changes = (after - before[of]).reshape(len(new), len(windows), -1)
            known.update(zip(new, changes, strict=True))
            rows.append(_measured(places, known))
            # The next distance has at most single sites in common with this one.
            known = {edit: known[edit] for edit in _edits(places) if len(edit) == 1}
            advance(1)
    columns = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    return PairEffects((a, b), arrangements, distances, len(windows), **columns)


def is_same_motif(a: Motif, b: Motif) -> bool:
    """Return whether two motifs are equal."""
    return np.array_equal(a.probabilities, b.probabilities)


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


def _place(each: Arrangement, a: Motif, b: Motif, distance: int, window_bp: int) -> _Place:
    """Return the sites of the pair in the middle of the window."""
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
    edited = windows.copy()
    for site in edit:
        bases = sites[site.name, site.strand]
        edited[:, site.start : site.start + bases.shape[-1]] = bases
    return edited


def _measured(places: Sequence[_Place], change: Mapping[_Edit, Floats]) -> dict[str, Floats]:
    """Return the fields of `PairEffects` of a distance, each `(arrangements, targets)`, given the
    change of the logits by each edit, `(windows, targets)`."""
    columns: dict[str, list[Floats]] = {}
    for place in places:
        a, b, scrambled, both, control = (change[edit] for edit in place.edits)
        beyond, low, high = _mean_and_interval(both - a - b)
        found = {
            "together": both.mean(axis=0),
            "a": a.mean(axis=0),
            "b": b.mean(axis=0),
            "beyond": beyond,
            "low": low,
            "high": high,
        }
        names = "control", "control_low", "control_high"
        found |= zip(names, _mean_and_interval(control - a - scrambled), strict=True)
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
    return {name: np.stack(values) for name, values in columns.items()}


def _mean_and_interval(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean of values `(windows, targets)` over windows, and its 95 % interval."""
    count = len(values)
    mean: Floats = values.mean(axis=0)
    reach = t_quantile(count - 1) * values.std(axis=0, ddof=1) / np.sqrt(count)
    return mean, mean - reach, mean + reach


def _checked_distances(
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

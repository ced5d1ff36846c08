"""Motifs put into background windows, beside scrambled motifs: the change of each logit."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from bioq import dna
from bioq.errors import UsageError
from bioq.forward import Strands
from bioq.genome.windows import middle_start
from bioq.interpretation.motif_experiments.arguments import (
    Chosen,
    checked_motifs,
    checked_windows,
    choose_targets,
)
from bioq.interpretation.motif_experiments.logits import Logits, edit_logits, window_logits
from bioq.interpretation.motif_experiments.table import described, effect_table, mean_of
from bioq.motifs import Motif
from bioq.options import of_type, one_of, whole_number
from bioq.progress import progress

SCRAMBLES = 20
"""Scrambled motifs per motif: each is put into every twentieth background. A motif beyond 95 % of
them is 2.1 of their standard deviations from their mean; with more of them it would be 2.0."""
EDITS_AT_ONCE = 4096
"""Edited windows in memory at a time."""
_KINDS = 4
"""A motif and a scrambled motif, in both orientations."""


def most_probable(motif: Motif) -> dna.Bytes:
    """Return the best site of a motif, codes uint8 `(length,)`: the most probable base of each
    position, the first in the order A, C, G, T of bases that are equally probable."""
    of_type("motif", motif, Motif, "a motif, such as one of bioq.motifs.motifs_from")
    site: dna.Bytes = motif.probabilities.argmax(axis=1).astype(np.uint8)
    return site


def with_site(windows: dna.Bytes, site: dna.Bytes, start: int) -> dna.Bytes:
    """Return a copy of windows uint8 `(n, window_bp)` with a site `(length,)` from `start` on.

    Raises BioqError for codes of another type or shape, and UsageError for a site that does not fit
    into the windows at `start`.
    """
    windows = dna.checked_codes(windows, axes=2, name="windows")
    site = dna.checked_codes(site, axes=1, name="site")
    start = whole_number("start", start, least=0)
    if start + len(site) > windows.shape[1]:
        raise UsageError(
            f"start {start}: a site of {len(site)} bp does not fit from there into windows of "
            f"{windows.shape[1]:,} bp"
        )
    return with_bases(windows, site, start)


def with_bases(windows: dna.Bytes, bases: dna.Bytes, start: int) -> dna.Bytes:
    """Return a copy of windows `(n, window_bp)` with bases from `start` on, unchecked: the same in
    every window `(length,)`, or those of each `(n, length)`."""
    edited = windows.copy()
    edited[:, start : start + bases.shape[-1]] = bases
    return edited


def insertion_effects(
    model: nn.Module,
    backgrounds: npt.NDArray[np.uint8],
    motifs: Sequence[Motif],
    *,
    targets: Sequence[int] | None = None,
    strands: Strands = "both",
    seed: int = 0,
) -> pd.DataFrame:
    """Put the best site of each motif into the middle of background windows.

    Args:
        model: A model of `bioq.load`, or any module from windows to logits. It computes on its
            device.
        backgrounds: Codes uint8 `(n, window_bp)`, such as `dna.shuffle.dinucleotide_shuffles` of a
            window.
        motifs: The motifs, each put in alone.
        targets: Numbers of the model's targets, from 0; by default all.
        strands: `"both"` computes the mean logit of both strands.
        seed: Seed of the scrambled sites.

    Returns:
        One row per motif and target, in this order. Effects are changes of the logit.

        - motif, matrix_id, site (the bases put in), target
        - effect, low, high: mean over the backgrounds and both orientations of the site, and the 95
          % interval of the mean over backgrounds (Student's t)
        - forward, reverse: mean effect of the site and of its reverse complement
        - control: mean effect of `SCRAMBLES` sites with the same bases in random order
        - difference, difference_low, difference_high, p: effect minus control, on the same
          backgrounds. The interval and the p-value compare the motif with the distribution of
          single scrambled sites: a scrambled site in place of the motif has 0 in its interval in 95
          % of cases
        - q: Benjamini and Hochberg's over all rows
        - n: number of backgrounds

    Raises:
        BioqError: For codes of another shape.
        UsageError: For a motif that is longer than the windows.
    """
    backgrounds = checked_windows(model, backgrounds, "backgrounds")
    motifs = checked_motifs(motifs)
    require_fitting(motifs, backgrounds.shape[1])
    one_of("strands", strands, get_args(Strands))
    chosen = choose_targets(model, targets)
    random = np.random.default_rng(whole_number("seed", seed, least=0))
    before = chosen.of(window_logits(model, backgrounds, strands=strands))
    at_once = max(1, EDITS_AT_ONCE // (_KINDS * len(backgrounds)))
    parts = []
    total = _KINDS * len(backgrounds) * len(motifs)
    with progress("insertion", total, "windows") as advance:
        for first in range(0, len(motifs), at_once):
            group = motifs[first : first + at_once]
            edited = np.concatenate([_edits(backgrounds, motif, random) for motif in group])
            of = np.tile(np.arange(len(backgrounds)), _KINDS * len(group))
            after = chosen.of(edit_logits(model, backgrounds, edited, of, strands=strands))
            changes = after.reshape(len(group), _KINDS, *before.shape) - before
            parts += [
                _summary(motif, change, chosen)
                for motif, change in zip(group, changes, strict=True)
            ]
            advance(len(edited))
    return effect_table(parts)


def require_fitting(motifs: Sequence[Motif], window_bp: int) -> None:
    """Raise UsageError for a motif that is longer than the windows."""
    for motif in motifs:
        if len(motif) > window_bp:
            raise UsageError(
                f"motif {motif.name} ({motif.matrix_id}) has {len(motif)} bp, more than the "
                f"windows of {window_bp:,} bp"
            )


def _edits(backgrounds: dna.Bytes, motif: Motif, random: np.random.Generator) -> dna.Bytes:
    """Return the backgrounds with a motif, with its reverse complement, with its scrambled sites
    and with their reverse complements: `(4 n, window_bp)`."""
    site = most_probable(motif)
    start = middle_start(0, backgrounds.shape[1], len(site))
    scrambles = np.stack([random.permutation(site) for _ in _groups(len(backgrounds))])
    scrambled = scrambles[np.arange(len(backgrounds)) % SCRAMBLES]
    kinds = (site, dna.reverse_complement(site), scrambled, dna.reverse_complement(scrambled))
    return np.concatenate([with_bases(backgrounds, each, start) for each in kinds])


def _groups(backgrounds: int) -> range:
    """Return the numbers of the scrambled sites, each in every twentieth background."""
    return range(min(SCRAMBLES, backgrounds))


def _summary(motif: Motif, change: Logits, chosen: Chosen) -> pd.DataFrame:
    """Return the rows of a motif from the changes `(4, backgrounds, targets)` of `_edits`."""
    forward, reverse, scrambled, reversed_scrambled = change
    effects, controls = (forward + reverse) / 2, (scrambled + reversed_scrambled) / 2
    differences = effects - controls
    per_scramble = np.stack(
        [differences[each::SCRAMBLES].mean(axis=0) for each in _groups(len(differences))]
    )
    return described(
        motif,
        chosen,
        mean_of(effects),
        controls.mean(axis=0),
        mean_of(per_scramble, of_another=True),
        n=len(effects),
        before={"site": dna.decode(most_probable(motif))},
        between={"forward": forward.mean(axis=0), "reverse": reverse.mean(axis=0)},
    )

"""Motifs taken out of the windows in which they are: the change of each target's logit, beside
other places of the same windows."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from bioq import dna
from bioq.forward import Strands
from bioq.interpretation.motif_experiments.arguments import (
    Chosen,
    checked_motifs,
    checked_windows,
    choose_targets,
)
from bioq.interpretation.motif_experiments.logits import Logits, edit_logits, window_logits
from bioq.interpretation.motif_experiments.occurrences import Occurrences, find_occurrences
from bioq.interpretation.motif_experiments.table import described, effect_table, mean_of
from bioq.motifs import Motif
from bioq.options import one_of, whole_number
from bioq.progress import progress, say

DRAWS = 2
"""Random orders of the bases of each site. On yeast, of four motifs, the intervals are 13 to 19 %
shorter than with 1, and with 4 they would be at most 11 % shorter again."""
MOST_SITES = 100
MIN_SITES = 10
"""With fewer sites an effect is that of the few windows: it is not reported."""

Numbers = npt.NDArray[np.int64]


def ablation_effects(
    model: nn.Module,
    windows: npt.NDArray[np.uint8],
    motifs: Sequence[Motif],
    *,
    targets: Sequence[int] | None = None,
    span_bp: int | None = None,
    strands: Strands = "both",
    most_sites: int = MOST_SITES,
    min_sites: int = MIN_SITES,
    seed: int = 0,
) -> pd.DataFrame:
    """Put the bases of the best sites of each motif in windows into random order.

    Sites are those of `occurrences.find_occurrences`. The bases of each site are put into random
    order `DRAWS` times. The control is the same for a place of the same length in the same window:
    as far from the window's middle on the other side, or beside the site if that overlaps it. A
    motif longer than a third of the window has sites without such a place, so it has no effect.

    Args:
        model: A model of `bioq.load`, or any module from windows to logits.
        windows: Codes uint8 `(n, window_bp)`.
        motifs: The motifs whose sites are shuffled.
        targets: Numbers of the model's targets, from 0; by default all.
        span_bp: Length of the middle part of a window in which sites are; by default all of it.
        strands: `"both"` computes the mean logit of both strands.
        most_sites: Sites per motif: those with the highest scores, at most one per window.
        min_sites: A motif with fewer sites has no effect.
        seed: Seed of the random orders.

    Returns:
        One row per motif and target. An effect is the logit without the site minus the logit with
        it.

        - motif, matrix_id, target
        - effect, low, high: mean over the sites, and its 95 % interval (Student's t)
        - control: mean effect of shuffling the other places
        - difference, difference_low, difference_high, p: effect minus control, paired by window
        - q: Benjamini and Hochberg's over all rows with a p-value
        - n: number of sites; found: number of windows with a site
        - note: why a motif has no effect, if it has fewer than `min_sites` sites or is longer than
          a third of the window; otherwise empty

    Raises:
        BioqError: For codes of another shape.
        UsageError: If memelite is not installed.
    """
    windows = checked_windows(model, windows, "windows")
    motifs = checked_motifs(motifs)
    one_of("strands", strands, get_args(Strands))
    chosen = choose_targets(model, targets)
    most_sites = whole_number("most_sites", most_sites, least=1)
    min_sites = whole_number("min_sites", min_sites, least=0)
    random = np.random.default_rng(whole_number("seed", seed, least=0))
    sites = find_occurrences(windows, motifs, most=most_sites, span_bp=span_bp)
    least = max(min_sites, 1)
    notes = [
        _why_not(motif, len(each), least, windows.shape[1])
        for motif, each in zip(motifs, sites, strict=True)
    ]
    taken = [each.first(0) if note else each for each, note in zip(sites, notes, strict=True)]
    read = np.unique(np.concatenate([[0], *(each.window for each in taken)])).astype(np.int64)
    row_of = np.zeros(len(windows), np.int64)
    row_of[read] = np.arange(len(read))
    parts = []
    with progress("ablation", len(read) + 2 * DRAWS * sum(map(len, taken)), "windows") as advance:
        before = chosen.of(window_logits(model, windows[read], strands=strands))
        advance(len(read))
        for motif, found, each, note in zip(motifs, sites, taken, notes, strict=True):
            change = np.zeros((2, 0, before.shape[1]), np.float32)
            if len(each):
                edited = _edits(windows, each, len(motif), random)
                of = np.tile(np.repeat(np.arange(len(each)), DRAWS), 2)
                after = edit_logits(model, windows[each.window], edited, of, strands=strands)
                of_draw = chosen.of(after).reshape(2, len(each), DRAWS, -1)
                change = of_draw.mean(axis=2) - before[row_of[each.window]]
                advance(len(edited))
            parts.append(
                _summary(motif, change, chosen).assign(n=len(found), found=found.found, note=note)
            )
    return effect_table(parts)


def _why_not(motif: Motif, sites: int, least: int, window_bp: int) -> str:
    """Return why a motif has no effect, empty if it has one; prints what is not seen otherwise."""
    if sites < least:
        return f"{sites} sites, fewer than {least}"
    if has_other_places(len(motif), window_bp):
        return ""
    say(
        f"note: {motif.name} ({motif.matrix_id}), {len(motif)} bp, is not taken out: a control "
        f"would overlap its site, as it is longer than a third of the window, {window_bp:,} bp"
    )
    return f"{len(motif)} bp, longer than a third of the window"


def _edits(
    windows: dna.Bytes, sites: Occurrences, length: int, random: np.random.Generator
) -> dna.Bytes:
    """Return the windows of sites with the sites shuffled, then with the other places shuffled:
    `(2 DRAWS n, window_bp)`."""
    codes = windows[sites.window]
    places = (sites.start, other_places(sites.start, length, windows.shape[1]))
    return np.concatenate([shuffled_places(codes, place, length, random) for place in places])


def has_other_places(length: int, window_bp: int) -> bool:
    """Return whether every site of a length has a place in its window that does not overlap it."""
    # A site in the middle leaves (window_bp - length) / 2 bases on its longer side, rounded up.
    return (window_bp - length + 1) // 2 >= length


def other_places(start: Numbers, length: int, window_bp: int) -> Numbers:
    """Return the first base of the control of each site `(n,)`: the place on the other side of the
    window's middle, or if it overlaps the site the place beside the site that is further from the
    nearer end of the window. No place overlaps its site if `has_other_places`."""
    other = window_bp - length - start
    overlaps = np.abs(other - start) < length
    beside = np.where(start + 2 * length <= window_bp, start + length, start - length)
    return np.where(overlaps, np.maximum(beside, 0), other)


def shuffled_places(
    codes: dna.Bytes, start: Numbers, length: int, random: np.random.Generator
) -> dna.Bytes:
    """Return `DRAWS` copies of each window uint8 `(n, window_bp)`, one after another, with the
    `length` bases from its `start` on in random order: uint8 `(DRAWS n, window_bp)`."""
    edited = np.repeat(codes, DRAWS, axis=0)
    columns = np.repeat(start, DRAWS)[:, None] + np.arange(length)
    bases = np.take_along_axis(edited, columns, axis=1)
    np.put_along_axis(edited, columns, random.permuted(bases, axis=1), axis=1)
    return edited


def _summary(motif: Motif, change: Logits, chosen: Chosen) -> pd.DataFrame:
    """Return the rows of a motif from the changes `(2, sites, targets)`: of sites and controls."""
    effects, controls = change
    difference = mean_of(effects - controls)
    control = mean_of(controls).mean
    return described(motif, chosen, mean_of(effects), control, difference, n=len(effects))

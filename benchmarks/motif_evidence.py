"""What a run has learned about motifs, in three ways, each beside scrambled motifs.

A scrambled motif has the columns of a motif in random order: the same length, information and
bases. Each function scores motifs and their scrambles alike, `(motifs, 1 + scrambles, ...)`, where
number 0 is the motif itself.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata

from bioq import dna
from bioq.dataset import Dataset, Split
from bioq.dna.shuffle import dinucleotide_shuffles
from bioq.interpretation import expected_gradients
from bioq.interpretation.filters import MotifOptions, filter_effects, find_filter_motifs
from bioq.interpretation.motif_experiments.insertion import insertion_effects
from bioq.interpretation.motif_matches import match_motifs
from bioq.interpretation.sites import find_sites
from bioq.motifs import Motif

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

TOP = 0.1
"""A motif acts on a target if the target is in this share of all targets, by the effect."""
COPIES, STEPS = 4, 8
"""Shuffled copies of each window that it is compared with, and points on each line: as `bioq
attribution`, at a quarter of the cost."""
AT_ONCE = 1 << 24
"""Scores of motifs at positions in memory."""
PSEUDOCOUNT = 0.01
NETWORK = 1000


@dataclass(frozen=True)
class Sizes:
    """How much of everything is read."""

    scrambles: int
    """Per motif."""
    more_scrambles: int
    """Of a motif whose contributions have a p-value of at most 0.05: q needs smaller ones."""
    filter_windows: int
    """Per network, for the sites of its filters."""
    effect_windows: int
    """Per network, for the effects of its filters."""
    backgrounds: int
    """Shuffled windows into which motifs are put."""
    positives: int
    """Windows of each target that are explained, at most."""
    others: int
    """Windows of other targets with which the motif's sites are compared."""
    seed: int = 0


@dataclass(frozen=True)
class Explained:
    """Windows of a target, each explained by the network that has not seen it."""

    codes: dna.Bytes
    """`(n, window_bp)`."""
    contributions: Floats
    """`(n, window_bp)`, to the target's logit."""


def scrambled(motif: Motif, number: int, rng: np.random.Generator) -> list[Motif]:
    """Return the motif, and `number` motifs with its columns in random order."""
    orders = (rng.permutation(len(motif)) for _ in range(number))
    return [motif, *(Motif("scrambled", "", motif.probabilities[order]) for order in orders)]


def by_filters(
    members: Sequence[torch.nn.Module],
    data: Dataset,
    motifs: Sequence[Sequence[Motif]],
    targets: Sequence[int],
    of: Sizes,
) -> tuple[Floats, Numbers]:
    """Score motifs by the filter that matches them best, and targets by its effect.

    The score, `(motifs, 1 + scrambles, targets)`, is -log10 of TOMTOM's p in the network where it
    is best; of the networks only those count in which the target is among the `TOP` targets that
    the filter raises most; 0 without such a network. Then the number of the filter, plus `NETWORK`
    times that of its network.
    """
    flat = [motif for group in motifs for motif in group]
    each = []
    for number, member in enumerate(members, start=1):
        score, matched, acts = _best_filters(member, data.fold(number)["test"], flat, of)
        of_targets = np.where(acts[matched][:, targets], score[:, None], 0)
        each.append((of_targets, NETWORK * number + matched))
    scores = np.stack([score for score, _ in each])  # (networks, motifs and scrambles, targets)
    best = scores.argmax(axis=0)
    filters = np.stack([matched for _, matched in each])[best, np.arange(len(flat))[:, None]]
    shape = (len(motifs), -1, len(targets))
    return scores.max(axis=0).reshape(shape), filters.reshape(shape)


def _best_filters(
    model: torch.nn.Module, split: Split, motifs: Sequence[Motif], of: Sizes
) -> tuple[Floats, Numbers, npt.NDArray[np.bool_]]:
    """Return, of each motif, -log10 of TOMTOM's p of the filter that matches it best, 0 without a
    match, and the filter's number, `(motifs,)`; and whether a filter acts on a target,
    `(filters, targets)`."""
    options = MotifOptions(windows=of.filter_windows, effect_windows=of.effect_windows)
    found = find_filter_motifs(model, split, options)
    filters = [each.filter for each in found if each.sites >= options.min_sites]
    effects = filter_effects(model, split, filters, options)
    acts = np.zeros((max(filters) + 1, effects.shape[1]), dtype=bool)
    acts[filters] = np.isfinite(acting(effects))
    against = [each.motif for each in found if each.filter in filters]
    number_of = {motif.name: number for motif, number in zip(against, filters, strict=True)}
    matches = match_motifs(motifs, against)
    matched = np.array([number_of.get(name, filters[0]) for name in matches["match"]])
    return -np.log10(matches["p"].fillna(1).clip(lower=1e-15)).to_numpy(), matched, acts


def by_experiments(
    model: torch.nn.Module, data: Dataset, motifs: Sequence[Motif], of: Sizes
) -> Mapping[str, Floats]:
    """Return effect, control and p of the best site in the middle of shuffled windows, each
    `(motifs, all targets)`, as `bioq motif-effects` computes them.

    p is that of an effect above the control: it compares the motif with single scrambled sites. It
    is 1 where the target is not among the `TOP` targets that the motif raises most.
    """
    windows = data.every_fold()["test"]
    rows = np.linspace(0, len(windows) - 1, of.backgrounds).round().astype(np.int64)
    rng = np.random.default_rng(of.seed)
    codes = codes_of(windows.read(rows).windows)
    backgrounds = np.concatenate([dinucleotide_shuffles(each, 1, rng) for each in codes])
    table = insertion_effects(model, backgrounds, motifs)
    wide = {
        name: table[name].to_numpy(np.float64).reshape(len(motifs), -1)
        for name in ("effect", "control", "difference", "p")
    }
    above = np.where(wide["difference"] > 0, wide["p"] / 2, 1 - wide["p"] / 2)
    p = np.where(np.isfinite(acting(wide["effect"])), above, 1)
    return {"effect": wide["effect"], "control": wide["control"], "p": p}


def explain(
    members: Sequence[torch.nn.Module], data: Dataset, target: int, of: Sizes
) -> Explained | None:
    """Explain positive windows of a target, evenly spaced, each by the network that has not seen
    its fold; None without such a window."""
    where = [
        (number, row)
        for number in range(1, len(members) + 1)
        for row in np.flatnonzero(data.fold(number)["test"].labels()[:, target]).tolist()
    ]
    if not where:
        return None
    chosen = np.linspace(0, len(where) - 1, min(of.positives, len(where))).round().astype(int)
    codes, contributions = [], []
    for number, member in enumerate(members, start=1):
        rows = [row for fold, row in (where[at] for at in chosen) if fold == number]
        if rows:
            windows = data.fold(number)["test"].read(rows).windows
            result = expected_gradients(
                member, windows, target=target, shuffles=COPIES, steps=STEPS
            )
            codes.append(codes_of(windows))
            contributions.append(result.values.sum(axis=1, dtype=np.float64))
    return Explained(np.concatenate(codes), np.concatenate(contributions))


def by_contributions(
    explained: Explained, motifs: Sequence[Sequence[Motif]], bin_bp: int
) -> Floats:
    """Return, for motifs and scrambles `(motifs, 1 + scrambles)`, the sum of the contributions at
    the best site of each window's bin, mean over the windows."""
    total = np.cumsum(explained.contributions, axis=1)
    total = np.concatenate([np.zeros((len(total), 1)), total], axis=1)
    rows = np.arange(len(total))
    flat = [motif for group in motifs for motif in group]
    sums = np.zeros(len(flat))
    for numbers, score, first in scan(explained.codes, flat, bin_bp):
        start = first + score.argmax(axis=2)  # (n, motif)
        end = start + len(flat[numbers[0]])
        sums[numbers] = (total[rows[:, None], end] - total[rows[:, None], start]).mean(axis=0)
    return sums.reshape(len(motifs), -1)


def in_peaks(
    data: Dataset, target: int, motifs: Sequence[Motif], others: Numbers, bin_bp: int
) -> Floats:
    """Return the ROC AUC of the best site's score in the bin, positive windows of a target against
    other windows: `(1 + scrambles,)`; NaN without positive windows."""
    windows = data.every_fold()["test"]
    labels = windows.labels()[:, target]
    positive = np.flatnonzero(labels)
    negative = others[labels[others] == 0]
    if not len(positive):
        return np.full(len(motifs), np.nan)
    codes = codes_of(windows.read(np.concatenate([positive, negative])).windows)
    area = np.zeros(len(motifs))
    for numbers, score, _ in scan(codes, motifs, bin_bp):
        ranks = rankdata(score.max(axis=2), axis=0)[: len(positive)].sum(axis=0)
        least = len(positive) * (len(positive) + 1) / 2
        area[numbers] = (ranks - least) / (len(positive) * len(negative))
    return area


def scan(
    codes: dna.Bytes, motifs: Sequence[Motif], bin_bp: int
) -> Iterator[tuple[list[int], npt.NDArray[np.float32], int]]:
    """Yield numbers of motifs of one length, the log odds of a site `(n, motif, position)`, the
    better strand, and the first position. A site overlaps the bin in the middle by its middle."""
    of_length: dict[int, list[int]] = {}
    for number, motif in enumerate(motifs):
        of_length.setdefault(len(motif), []).append(number)
    for length, numbers in of_length.items():
        first = (codes.shape[1] - bin_bp - length) // 2
        part = torch.from_numpy(dna.one_hot(codes[:, first : first + bin_bp + length])).float()
        at_once = max(AT_ONCE // (len(codes) * (bin_bp + 1)), 1)
        for start in range(0, len(numbers), at_once):
            some = numbers[start : start + at_once]
            weights = torch.stack([log_odds(motifs[number]) for number in some])
            forward = torch.nn.functional.conv1d(part, weights)
            score = torch.maximum(forward, torch.nn.functional.conv1d(part, weights.flip(1, 2)))
            yield some, score.numpy(), first


def log_odds(motif: Motif) -> torch.Tensor:
    """Return log2 of a motif's probabilities over a quarter, float32 `(4, length)`."""
    shares = (motif.probabilities + PSEUDOCOUNT) / (1 + 4 * PSEUDOCOUNT)
    return torch.from_numpy(np.log2(shares / 0.25).T.astype(np.float32))


def codes_of(windows: dna.Bytes) -> dna.Bytes:
    """Return the codes `(n, length)` of one-hot windows."""
    return np.where(windows.any(axis=1), windows.argmax(axis=1), dna.UNKNOWN).astype(np.uint8)


def named_sites(explained: Explained, motifs: Sequence[Motif]) -> Mapping[str, int]:
    """Count the sites that raise the target's logit, by the matrix that names them; "" is no name.

    The windows are searched together, as `bioq attribution --sites` does."""
    gap = np.full((len(explained.codes), 1), np.nan)
    contributions = np.concatenate([explained.contributions, gap], axis=1).ravel()
    codes = np.concatenate([explained.codes, np.full(gap.shape, dna.UNKNOWN)], axis=1)
    sites = find_sites(codes.ravel().astype(np.uint8), contributions, motifs)
    return Counter(site.matrix_id for site in sites if site.contribution > 0)


def p_values(scores: Floats) -> Floats:
    """Return, of scores `(motifs, 1 + scrambles, ...)`, the share of the motif and its scrambles
    that score as high as the motif: `(motifs, ...)`. Source: Phipson & Smyth 2010."""
    scrambles = scores[:, 1:]
    above: Floats = (1 + (scrambles >= scores[:, :1]).sum(axis=1)) / (1 + scrambles.shape[1])
    return above


def acting(effects: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return effects `(n, targets)`; minus infinity where the target is not among the `TOP` targets
    of its row, and where the effect is not positive."""
    bound = np.quantile(effects, 1 - TOP, axis=1, keepdims=True)
    return np.where((effects >= bound) & (effects > 0), effects, -np.inf)

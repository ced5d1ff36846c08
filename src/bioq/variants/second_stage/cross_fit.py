"""A fit whose quality is measured on parts of the genome that it has not seen.

The genome is divided into folds. The alleles of a fold are scored by a fit to the other folds, and
the penalty of that fit is chosen by cross-validation among these other folds. A fit without the
folds i and j serves the choice for i, measured on j, and the choice for j, measured on i: five
folds need 16 paths of fits and not 31.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from bioq.dataset.blocks import BLOCK_BP, block_numbers
from bioq.dataset.folds import assign_folds
from bioq.errors import BioqError, counted
from bioq.progress import progress
from bioq.variants.second_stage.logistic import (
    PENALTIES,
    Fit,
    Floats,
    Scaling,
    fit_path,
    probability_of,
)

MOST_FOLDS, FEWEST_FOLDS = 5, 3
Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Folds:
    """The division of alleles into folds."""

    of_allele: Numbers
    """`(alleles,)`, from 0."""
    blocks: Numbers
    """`(alleles,)` the block of the genome (`dataset.blocks`), from 0."""
    by: str
    """What a fold is made of, in words."""

    @property
    def count(self) -> int:
        """The number of folds."""
        return int(self.of_allele.max()) + 1


def divide(contig: Numbers, position: Numbers, labels: Labels) -> Folds:
    """Return folds of whole contigs, or of stretches of the genome if fewer than three contigs have
    positives and negatives.

    Contigs are balanced by their alleles and their positives. A stretch has neighbouring blocks of
    `BLOCK_BP`; the five stretches have about the same number of positives, counted with the
    negatives scaled to as many. Raises BioqError for fewer than three blocks.
    """
    bins = np.stack([contig, position], axis=1)
    blocks = block_numbers(bins, windows=len(bins), bin_bp=1)
    number, count = np.unique(contig, return_inverse=True)
    alleles = np.bincount(count)
    positives = np.bincount(count, labels).astype(np.int64)
    complete = int(((positives > 0) & (positives < alleles)).sum())
    if complete >= FEWEST_FOLDS:
        folds = min(complete, MOST_FOLDS)
        assigned = assign_folds(alleles, positives, alleles, folds)
        return Folds(assigned[count] - 1, blocks, f"{folds} folds of contigs")
    order = np.argsort(blocks, kind="stable")
    weight = np.where(labels, 1 / labels.sum(), 1 / (~labels).sum())[order]
    of_block = np.bincount(blocks[order], weight)
    middle = (of_block.cumsum() - of_block / 2) / of_block.sum()
    fifth = np.minimum(middle * MOST_FOLDS, MOST_FOLDS - 1).astype(np.int64)
    stretch = np.unique(fifth, return_inverse=True)[1]
    folds = int(stretch.max()) + 1
    if folds < FEWEST_FOLDS:
        raise BioqError(
            f"the alleles are on {len(of_block)} stretch{'es' if len(of_block) > 1 else ''} of "
            f"{BLOCK_BP:,} bases of {counted(len(number), 'contig')}; parts "
            "of the genome are left out in turn, so give alleles of more of it"
        )
    return Folds(stretch[blocks], blocks, f"{folds} stretches of the genome")


@dataclass(frozen=True)
class CrossFit:
    """The fit to all alleles, and scores of each allele by a fit that has not seen its fold."""

    scaling: Scaling
    fit: Fit
    held_out: Floats
    """`(alleles,)` probabilities, all with the intercept of the fit to all alleles. With its own, a
    fit without a fold of many positives would give this fold low scores: labels without any signal
    then had a ROC AUC of 0.46 instead of 0.50 (600 alleles, 30 features, 60 repeats)."""


def cross_fit(features: Features, labels: Labels, folds: Folds) -> CrossFit:
    """Fit a logistic regression to all alleles, and to all but each fold.

    Memory: 8 bytes per feature and allele, twice, besides `features`.
    Raises BioqError if the alleles outside of two folds have one label only.
    """
    _require_both_labels(labels, folds)
    count = folds.count
    fold = folds.of_allele
    loss = np.zeros((count, len(PENALTIES)))
    """Of the fits without a fold, on the other folds."""
    held_out, all_loss = np.zeros(len(labels)), np.zeros(len(PENALTIES))
    with progress("fit", count * (count + 1) // 2 + 1, "fits") as advance:
        for one, other in combinations(range(count), 2):
            scaling, fits = _fits(features, labels, (fold != one) & (fold != other))
            for measured, chooses in ((one, other), (other, one)):
                odds = _log_odds(features[fold == measured], scaling, fits)
                loss[chooses] += _loss(odds, labels[fold == measured])
            advance(1)
        for left_out in range(count):
            scaling, fits = _fits(features, labels, fold != left_out)
            odds = _log_odds(features[fold == left_out], scaling, fits)
            all_loss += _loss(odds, labels[fold == left_out])
            best = int(loss[left_out].argmin())
            held_out[fold == left_out] = odds[:, best] - fits[best].intercept
            advance(1)
        scaling, fits = _fits(features, labels, fold >= 0)
        advance(1)
    final = fits[int(all_loss.argmin())]
    return CrossFit(scaling, final, probability_of(held_out + final.intercept))


def _fits(features: Features, labels: Labels, rows: Labels) -> tuple[Scaling, list[Fit]]:
    scaling = Scaling.of(features[rows])
    return scaling, fit_path(scaling.standardised(features[rows]), labels[rows])


def _log_odds(features: Features, scaling: Scaling, fits: list[Fit]) -> Floats:
    """Return the log odds of alleles by each fit: `(alleles, penalties)`."""
    standardised = scaling.standardised(features)
    return np.stack([fit.log_odds(standardised) for fit in fits], axis=1)


def _loss(odds: Floats, labels: Labels) -> Floats:
    """Return the sum of the log losses of alleles, for each penalty."""
    total: Floats = (np.logaddexp(0, odds) - labels[:, None] * odds).sum(axis=0)
    return total


def _require_both_labels(labels: Labels, folds: Folds) -> None:
    for pair in combinations(range(folds.count), 2):
        rest = labels[~np.isin(folds.of_allele, pair)]
        if rest.all() or not rest.any():
            missing = "negative" if rest.all() else "positive"
            raise BioqError(
                f"without two of the {folds.by}, no {missing} is left: the sets are on too few "
                "parts of the genome; give alleles of more of it"
            )

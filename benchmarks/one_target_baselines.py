"""The baselines of `one_target.py`: GC alone, ridge on k-mers, and an SVM on gapped k-mers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.svm import SVC
from yeast import BIN, PENALTIES, WINDOW, count_kmers, fit_penalties

Codes = npt.NDArray[np.integer]
Labels = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Predict = Callable[[Codes], Floats]

WORD, KNOWN = 10, 6
"""A gapped k-mer: 6 known bases in a word of 10, the defaults of gkm-SVM (Ghandi et al. 2014)."""
MIDDLE = slice(350, 650)
"""The bases whose gapped k-mers count: the bin with 50 bases on each side."""
MOST_WINDOWS = 2000
"""Windows of an SVM: its kernel has this many rows and columns."""
_AT_ONCE = 2048


@dataclass(frozen=True)
class Examples:
    """Windows to learn from or to choose by."""

    codes: Codes
    labels: Labels


def fit_gc(train: Examples, _valid: Examples) -> Predict:
    """Logistic regression on the share of G and C in window and bin, and their squares."""

    def features(codes: Codes) -> Floats:
        parts = [_gc(codes[:, part]) for part in (WINDOW, BIN)]
        return np.stack([*parts, *(part**2 for part in parts)], axis=1)

    model = LogisticRegression(C=1e4, max_iter=2000).fit(features(train.codes), train.labels)
    return lambda codes: model.predict_proba(features(codes))[:, 1]


def fit_ridge(train: Examples, valid: Examples) -> Predict:
    """Ridge regression on the 6-mers of window and bin; the penalty with the best average precision
    on valid."""

    def features(codes: Codes) -> Floats:
        return np.concatenate([count_kmers(codes[:, part], 6) for part in (WINDOW, BIN)], axis=1)

    predict = fit_penalties(features(train.codes), train.labels[:, None].astype(float))
    of_valid = features(valid.codes)

    def valid_score(penalty: float) -> float:
        return float(average_precision_score(valid.labels, predict(of_valid, penalty)[:, 0]))

    best = max(PENALTIES, key=valid_score)
    return lambda codes: expit(predict(features(codes), best)[:, 0])


def fit_gapped(train: Examples, _valid: Examples) -> Predict:
    """A support vector machine with the kernel of gkm-SVM (Ghandi et al. 2014), exact, both
    strands, C = 1, classes weighted to equal sums."""
    chosen = _at_most(train.labels, MOST_WINDOWS)
    codes, labels = train.codes[chosen], train.labels[chosen]
    kernel = np.zeros((len(codes), len(codes)), dtype=np.float32)
    for pattern, weight in _patterns():
        counts = _counts(codes, pattern)
        kernel += weight * (counts @ counts.T)
    norm = np.sqrt(np.maximum(kernel.diagonal(), 1))
    machine = SVC(kernel="precomputed", C=1, class_weight="balanced")
    machine.fit(kernel / norm / norm[:, None], labels)
    dual = np.zeros(len(codes), dtype=np.float32)
    dual[machine.support_] = machine.dual_coef_[0]
    dual /= norm

    def predict(others: Codes) -> Floats:
        found = np.zeros(len(others))
        square = np.zeros(len(others))
        for pattern, weight in _patterns():
            of_word = _counts(codes, pattern).T @ dual
            for start in range(0, len(others), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                counts = _counts(others[part], pattern)
                found[part] += weight * (counts @ of_word)
                square[part] += weight * np.einsum("nk,nk->n", counts, counts)
        return expit(found / np.sqrt(np.maximum(square, 1)) + machine.intercept_[0])

    return predict


BASELINES = {
    "GC alone": fit_gc,
    "ridge, 6-mers": fit_ridge,
    "gapped k-mer SVM": fit_gapped,
}


def _gc(codes: Codes) -> Floats:
    known = np.maximum((codes < 4).sum(axis=1), 1)
    share: Floats = ((codes == 1) | (codes == 2)).sum(axis=1) / known
    return share


def _at_most(labels: Labels, most: int) -> npt.NDArray[np.int64]:
    """Return rows: all, or a draw of `most` with up to half of them positive."""
    if len(labels) <= most:
        return np.arange(len(labels))
    random = np.random.default_rng(0)
    positive = random.permutation(np.flatnonzero(labels))[: most // 2]
    negative = random.permutation(np.flatnonzero(~labels))[: most - len(positive)]
    return np.sort(np.concatenate([positive, negative]))


def _patterns() -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield the places of the known bases in a word, and a weight.

    On both strands the counts of a pattern and of its mirror image are the same numbers in another
    order, so one of the two counts twice.
    """
    for pattern in combinations(range(WORD), KNOWN):
        mirrored = tuple(WORD - 1 - place for place in reversed(pattern))
        if pattern <= mirrored:
            yield pattern, 1 if pattern == mirrored else 2


def _counts(codes: Codes, pattern: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Count the words of a pattern on both strands: `(n, 4 ** KNOWN)`."""
    middle = codes[:, MIDDLE].astype(np.int32)
    opposite = np.where(middle < 4, 3 - middle, 4)[:, ::-1]
    kinds, length = 4**KNOWN, middle.shape[1] - WORD + 1
    total = np.zeros(len(codes) * kinds, dtype=np.int64)
    row = np.arange(len(codes))[:, None] * kinds
    for strand in (middle, opposite):
        word = np.zeros((len(codes), length), dtype=np.int64)
        known = np.ones((len(codes), length), dtype=bool)
        for place in pattern:
            base = strand[:, place : place + length]
            word = 4 * word + base % 4
            known &= base < 4
        total += np.bincount((word + row)[known], minlength=len(total))
    return total.reshape(len(codes), kinds).astype(np.float32)

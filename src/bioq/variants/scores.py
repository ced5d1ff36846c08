"""The scores of an allele, by the formulas that DeepSEA published.

Predictions are probabilities, float32 `(views, alleles, targets)`. A view is a strand or, for an
indel with indel="both", a strand and the flank that is kept. Scores are computed for each view and
averaged, as DeepSEA averages the two strands.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

ScoreArray = npt.NDArray[np.float32]
"""Probabilities or scores, `(..., alleles, targets)`."""

SCORES: Mapping[str, str] = {
    "diff": "alt - ref",
    "log2_odds_ratio": "log2 of the odds of alt over those of ref (DeepSEA's logfoldchange)",
    "ref": "probability with the reference allele",
    "alt": "probability with the alternative allele",
}
MEMBER_SCORES: Mapping[str, str] = {
    "diff_sd": "standard deviation of the members' diffs (n - 1); empty for one member",
    "sign_agreement": "share of the members whose diff has the sign of diff; empty for one member",
}
"""The scores of an ensemble only."""
BACKGROUND_SCORES: Mapping[str, str] = {
    "evalue": "share of background variants with a larger effect, |diff x log2_odds_ratio|",
    "zscore": "diff over the root mean square of the background's diffs",
}
"""The scores that need a background."""
MEANING: Mapping[str, str] = {**SCORES, **MEMBER_SCORES, **BACKGROUND_SCORES}
"""Every score and what it means."""


def score_names(*, is_ensemble: bool, has_background: bool) -> tuple[str, ...]:
    """Return the names of the scores that a model computes."""
    of_members = MEMBER_SCORES if is_ensemble else ()
    return (*SCORES, *of_members, *(BACKGROUND_SCORES if has_background else ()))


# DeepSEA 0.94, 3_h5ToOutput.py: log2(p / (1 - p + 1e-12)).
EPSILON = 1e-12
# In place of 0, whose log2 is infinite: the smallest float32 above 0.
_SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


def log2_odds(probability: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return log2(p / (1 - p + 1e-12)), finite for every probability."""
    p = probability.astype(np.float64)
    odds: npt.NDArray[np.float64] = np.log2(np.maximum(p, _SMALLEST) / (1 - p + EPSILON))
    return odds


def compare(ref: ScoreArray, alt: ScoreArray) -> dict[str, ScoreArray]:
    """Return `SCORES`, each float32 `(alleles, targets)`, of predictions with REF and with ALT."""
    return {
        "ref": ref.mean(axis=0),
        "alt": alt.mean(axis=0),
        "diff": (alt - ref).mean(axis=0),
        "log2_odds_ratio": (log2_odds(alt) - log2_odds(ref)).mean(axis=0).astype(np.float32),
    }


def spread(diffs: ScoreArray, diff: ScoreArray) -> dict[str, ScoreArray]:
    """Return `MEMBER_SCORES`, each float32 `(alleles, targets)`, of the members' diffs
    `(members, alleles, targets)` and the ensemble's `diff`. Of one member both are NaN.
    """
    if len(diffs) < 2:
        return {name: np.full_like(diff, np.nan) for name in MEMBER_SCORES}
    deviation = diffs.std(axis=0, ddof=1, dtype=np.float64).astype(np.float32)
    agreement = (np.sign(diffs) == np.sign(diff)).mean(axis=0, dtype=np.float32)
    return {"diff_sd": deviation, "sign_agreement": agreement}


def effect(scores: Mapping[str, ScoreArray]) -> ScoreArray:
    """Return |diff x log2_odds_ratio|, by which DeepSEA's E-values rank variants."""
    size: ScoreArray = np.abs(scores["diff"] * scores["log2_odds_ratio"])
    return size

"""Which epoch of a training is the best: the epoch whose weights a run keeps."""

import math
from collections.abc import Mapping, Sequence

LOSS = "valid_loss"


def best_epoch(history: Sequence[Mapping[str, float]], select_by: str) -> int | None:
    """Return the number of the epoch with the best validation score; the first of equal ones.

    `history` has the rows of `history.csv`; see `deciding_score` for the score. Returns None if
    nothing was validated.
    """
    name = deciding_score(history, select_by)
    if name is None:
        return None
    sign = 1 if name == LOSS else -1
    return int(min(_defined(history, name), key=lambda row: sign * row[name])["epoch"])


def deciding_score(history: Sequence[Mapping[str, float]], select_by: str) -> str | None:
    """Return the name of the score that decides which epoch is the best.

    It is `select_by`, or the validation loss where `select_by` is NaN in every epoch: no target
    has positives and negatives in the validation split. (The labels decide this, which are the
    same in every epoch; an epoch in which only it is NaN is never the best.) None if the loss is
    NaN too: nothing was validated.
    """
    return next((name for name in (select_by, LOSS) if _defined(history, name)), None)


def score_name(score: str) -> str:
    """Return the name of a column of `history.csv` in words: "micro average precision"."""
    if score == LOSS:
        return "validation loss"
    return score.removeprefix("valid_").replace("_", " ").replace("roc auc", "ROC AUC")


def chosen_by(history: Sequence[Mapping[str, float]], select_by: str) -> str:
    """Return by what the best epoch was chosen: "by validation loss, because macro ROC AUC is
    undefined"; empty if nothing was validated."""
    score = deciding_score(history, select_by)
    if score is None:
        return ""
    why = "" if score == select_by else f", because {score_name(select_by)} is undefined"
    return f"by {score_name(score)}{why}"


def best_epoch_text(history: Sequence[Mapping[str, float]], select_by: str) -> str:
    """Return which epoch is the best, of how many and by what; the last if none was validated."""
    best = best_epoch(history, select_by)
    if best is None:
        return f"{len(history)} of {len(history)}, the last: nothing was validated"
    return f"{best} of {len(history)} {chosen_by(history, select_by)}"


def _defined(history: Sequence[Mapping[str, float]], name: str) -> list[Mapping[str, float]]:
    """Return the epochs whose score `name` is not NaN."""
    return [row for row in history if not math.isnan(row.get(name, math.nan))]

"""Which epoch of a training is the best: the epoch whose weights a run keeps."""

import math
from collections.abc import Mapping, Sequence

LOSS = "valid_loss"


def best_epoch(history: Sequence[Mapping[str, float]], select_by: str) -> int | None:
    """Return the number of the epoch with the best validation score; the first of equal ones.

    `history` has the rows of `history.csv`. Where `select_by` is NaN in every row (no target has
    positives and negatives in the validation split) the validation loss decides. Returns None if
    that is NaN too: nothing was validated.
    """
    for name in (select_by, LOSS):
        scored = [row for row in history if not math.isnan(row.get(name, math.nan))]
        if scored:
            sign = 1 if name == LOSS else -1
            return int(min(scored, key=lambda row: sign * row[name])["epoch"])
    return None

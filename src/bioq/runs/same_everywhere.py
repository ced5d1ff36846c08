"""What to try if a network predicts the same for every window, by what the cause is."""

import numpy as np
import numpy.typing as npt


def what_to_try(
    same: npt.NDArray[np.bool_],
    positives: npt.NDArray[np.int64] | None,
    windows: int,
    *,
    learning_rate: float | None,
    epochs: int,
) -> str:
    """Return the cause and the advice, as the end of a sentence.

    `same` `(targets,)` are the targets that get the same prediction for every window, `positives`
    `(targets,)` their positive windows of the `windows` in training (None if not known); `epochs`
    were trained with at most `learning_rate` (None if not known).
    """
    parts, rest = [], int(same.sum())
    if positives is not None:
        for label, count in (("no positive", 0), ("no negative", windows)):
            found = int((same & (positives == count)).sum())
            rest -= found
            if found:
                of = "they have" if found > 1 else "it has"
                verb = "have" if found > 1 else "has"
                has = of if found == same.sum() else f"{found:,} of them {verb}"
                parts.append(
                    f"{has} {label} window in training: build the data set with more windows, or "
                    "without such targets"
                )
    if rest and same.all():
        parts = []  # the network itself is the cause
    if rest:
        lower = "a lower --lr" if learning_rate is None else f"--lr below {learning_rate:g}"
        more = f"more --epochs than {epochs}"
        if epochs < 3:
            parts.append(f"train longer ({more}), or with {lower}")
        else:
            parts.append(
                f"units that are 0 for every window no longer learn: train again with {lower}, "
                f"another --seed, or {more}"
            )
    return "; ".join(parts)

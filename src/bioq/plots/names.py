"""Names of targets and alleles as labels: cut in the middle, so that they stay distinct."""

from collections import Counter
from collections.abc import Sequence

_MORE = 8
"""Letters by which labels grow that would be the same."""


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Return the names cut to `most` letters, or to more where two names would be the same.

    Two thirds of the letters are the name's end, which often tells two names apart, as in
    `wgEncodeAwgTfbsBroadGm12878CtcfUniPk` and `wgEncodeAwgTfbsHaibGm12878CtcfPcr1xUniPk`.
    """
    room = dict.fromkeys(names, most)
    while True:
        labels = {name: short_name(name, room[name]) for name in room}
        count = Counter(labels.values())
        same = [name for name, label in labels.items() if count[label] > 1]
        if not same:
            return [labels[name] for name in names]
        for name in same:
            room[name] += _MORE


def short_name(name: str, most: int) -> str:
    """Return a name cut in the middle to `most` letters."""
    if len(name) <= most:
        return name
    end = max(2 * most // 3, 1)
    return f"{name[: most - 1 - end]}…{name[-end:]}"

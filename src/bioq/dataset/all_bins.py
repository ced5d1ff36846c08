"""The share of positives among all bins of a split's contigs, of which a data set stores a part."""

import numpy as np
import numpy.typing as npt

from bioq.dataset.reading import Dataset
from bioq.dataset.targets import matching_targets

KEEP_ANY = "any"
"""The option `keep` of a data set with every bin that is positive for a target."""
KEEP_ALL = "all"
"""The option `keep` of a data set with every bin."""
KEEP_GIVEN = "the bins given"
"""The value of `keep` in a data set whose bins were a list."""


def has_every_positive(keep: object) -> bool:
    """Return whether a data set with this option `keep` has each bin that is positive for a
    target."""
    return keep in (KEEP_ANY, KEEP_ALL)


def all_bins_rates(data: Dataset, split: str) -> npt.NDArray[np.float64]:
    """Return the share of all bins of a split's contigs that is positive for each target:
    `(targets,)`.

    Bins count if they may be windows, stored or not: see `Description.contig_bins`. The share is
    NaN where it is not known: the data set does not record its bins, or was made with a pattern
    of targets whose positive bins are kept (`--keep`) that the target does not fit, unless the
    split has every bin. Raises BioqError if there is no such split.
    """
    chosen = data[split]
    rates = np.full(len(data.targets), np.nan)
    if not chosen.all_bins or chosen.all_bins < len(chosen):
        return rates
    keep = data.description.options.get("keep", "")
    if has_every_positive(keep) or len(chosen) == chosen.all_bins:
        is_known = np.ones(len(rates), dtype=bool)
    else:
        is_known = matching_targets(data.targets, str(keep))
    rates[is_known] = chosen.positives()[is_known] / chosen.all_bins
    return rates

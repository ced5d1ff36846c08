"""The share of the genome that is positive for a target, of data sets that store a part of it."""

import numpy as np
import numpy.typing as npt

from bioq.dataset.reading import Dataset
from bioq.dataset.targets import matching_targets

KEEP_ANY = "any"
"""`keep` of a data set with every bin that is positive for a target."""
KEEP_ALL = "all"
"""`keep` of a data set with every bin."""


def genome_rates(data: Dataset, split: str) -> npt.NDArray[np.float64]:
    """Return the share of all bins of a split's contigs that is positive for each target:
    `(targets,)`.

    Bins count if they may be windows, stored or not: see `Description.contig_bins`. The share is
    NaN where it is not known: the data set does not record its bins, or was made with a pattern
    of targets whose positive bins are kept (`--keep`) that the target does not fit, unless the
    split has every bin. Raises BioqError if there is no such split.
    """
    chosen = data[split]
    rates = np.full(len(data.targets), np.nan)
    if not chosen.genome_bins or chosen.genome_bins < len(chosen):
        return rates
    keep = str(data.description.options.get("keep", ""))
    if keep in (KEEP_ANY, KEEP_ALL) or len(chosen) == chosen.genome_bins:
        is_known = np.ones(len(rates), dtype=bool)
    else:
        is_known = matching_targets(data.targets, keep)
    rates[is_known] = chosen.positives()[is_known] / chosen.genome_bins
    return rates

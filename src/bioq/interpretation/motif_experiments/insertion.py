"""Motifs put into windows."""

import numpy as np

from bioq import dna
from bioq.errors import UsageError
from bioq.motifs import Motif
from bioq.options import of_type, whole_number


def most_probable(motif: Motif) -> dna.Bytes:
    """Return the best site of a motif, codes uint8 `(length,)`: the most probable base of each
    position, the first in the order A, C, G, T of bases that are equally probable."""
    of_type("motif", motif, Motif, "a motif, such as one of bioq.motifs.motifs_from")
    return motif.probabilities.argmax(axis=1).astype(np.uint8)


def with_site(windows: dna.Bytes, site: dna.Bytes, start: int) -> dna.Bytes:
    """Return a copy of windows uint8 `(n, window_bp)` with a site `(length,)` from `start` on.

    Raises BioqError for codes of another type or shape, and UsageError for a site that does not fit
    into the windows at `start`.
    """
    windows = dna.checked_codes(windows, axes=2, name="windows")
    site = dna.checked_codes(site, axes=1, name="site")
    start = whole_number("start", start, least=0)
    if start + len(site) > windows.shape[1]:
        raise UsageError(
            f"start {start}: a site of {len(site)} bp does not fit from there into windows of "
            f"{windows.shape[1]:,} bp"
        )
    inserted = windows.copy()
    inserted[:, start : start + len(site)] = site
    return inserted

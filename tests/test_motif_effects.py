"""Motif experiments give tangermeme's numbers, and find what was planted."""

import numpy as np
import pytest

from bioq import dna
from bioq.errors import BioqError, UsageError
from bioq.interpretation.motif_experiments.insertion import most_probable, with_site
from bioq.motifs import Motif


def test_the_best_site_has_the_most_probable_bases() -> None:
    motif = Motif("m", "m", np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.25] * 4]))
    assert dna.decode(most_probable(motif)) == "TAA"


def test_a_site_is_put_into_a_copy_of_every_window() -> None:
    windows = np.stack([dna.encode("AAAAAA"), dna.encode("CCNCCC")])
    assert [dna.decode(row) for row in with_site(windows, dna.encode("GT"), 2)] == [
        "AAGTAA",
        "CCGTCC",
    ]
    assert [dna.decode(row) for row in windows] == ["AAAAAA", "CCNCCC"]


def test_a_site_outside_the_windows_is_refused() -> None:
    windows = np.zeros((2, 6), np.uint8)
    with pytest.raises(UsageError, match=r"start 5: a site of 2 bp does not fit .* of 6 bp"):
        with_site(windows, dna.encode("GT"), 5)
    with pytest.raises(BioqError, match="site"):
        with_site(windows, windows, 0)

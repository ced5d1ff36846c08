"""Dinucleotide shuffles keep what they must, and are uniform: against plain counts and all
permutations."""

from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chisquare

from bioq import dna
from bioq.dna.shuffle import dinucleotide_shuffles
from bioq.errors import BioqError, UsageError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pairs(codes: npt.NDArray[np.uint8]) -> Counter[tuple[int, int]]:
    return Counter(pairwise(codes.tolist()))


def stretches(codes: npt.NDArray[np.uint8]) -> list[str]:
    return dna.decode(codes).split("N")


@given(hnp.arrays(np.uint8, st.integers(0, 80), elements=st.integers(0, 4)), st.integers(0, 99))
@example(dna.encode("A" * 50 + "C"), 1)
def test_shuffles_keep_the_pairs_the_ends_and_the_unknown_bases_of_every_stretch(
    codes: npt.NDArray[np.uint8], seed: int
) -> None:
    before = codes.copy()
    shuffled = dinucleotide_shuffles(codes, 3, rng(seed))
    assert shuffled.shape == (3, len(codes))
    assert shuffled.dtype == np.uint8
    np.testing.assert_array_equal(codes, before)
    for row in shuffled:
        for old, new in zip(stretches(codes), stretches(row), strict=True):
            assert pairs(dna.encode(old)) == pairs(dna.encode(new))
            assert (old[:1], old[-1:], len(old)) == (new[:1], new[-1:], len(new))


@pytest.mark.parametrize("sequence", ["ACAGATACGTA", "AACAAGAATAA", "ACGTTGCAAC", "CCGCNCGCC"])
def test_all_sequences_with_the_same_pairs_are_equally_likely(sequence: str) -> None:
    """All permutations of the inner bases are listed, and those with the same pairs counted."""
    stretch = sequence.split("N")[0]
    first, *inner, last = dna.encode(stretch).tolist()
    expected = pairs(dna.encode(stretch))
    possible = {
        text
        for middle in permutations(inner)
        if pairs(codes := np.array([first, *middle, last], np.uint8)) == expected
        for text in [dna.decode(codes)]
    }
    assert len(possible) > 1
    draws = 300 * len(possible)
    shuffled = dinucleotide_shuffles(dna.encode(sequence), draws, rng(1))
    found = Counter(stretches(row)[0] for row in shuffled)
    assert set(found) == possible
    assert chisquare(list(found.values())).pvalue > 1e-3


def test_the_same_seed_gives_the_same_shuffles() -> None:
    codes = rng().integers(0, 4, 200).astype(np.uint8)
    first, second = (dinucleotide_shuffles(codes, 2, rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first[0] != first[1]).any()
    assert (first[0] != codes).mean() > 0.5


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(BioqError, match=r"codes .*expected codes uint8 \(length,\)"):
        dinucleotide_shuffles(np.zeros((2, 4), np.uint8), 1, rng())
    with pytest.raises(UsageError, match="number"):
        dinucleotide_shuffles(np.zeros(4, np.uint8), -1, rng())
    with pytest.raises(UsageError, match=r"rng .*numpy\.random\.default_rng"):
        dinucleotide_shuffles(np.zeros(4, np.uint8), 1, 0)  # type: ignore[arg-type]

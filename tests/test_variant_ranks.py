"""Ranks, E-values, groups and kinds against a recount of the effects of every variant."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bioq.variants import effect_counts, read_background
from bioq.variants.background import Background
from bioq.variants.background_file import write_background
from bioq.variants.effect_counts import counting
from bioq.variants.ranking import Ranking
from bioq.variants.ranks import count_steps, steps_of
from bioq.variants.scores import compare

TABLE = pd.DataFrame(
    {
        "name": [f"target {number}" for number in range(8)],
        "cell": ["liver", "brain", "liver", "brain", "", "heart", "liver", ""],
    }
)
GROUPS = {"liver": [0, 2, 6], "brain": [1, 3], "heart": [5]}
ALL = list(range(8))
CONSTANT = 3
"""The target on which no variant has an effect."""
BITS = 15
"""The bits of a float32 effect that a background drops."""


def effects_of(rows: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    ref, alt = random.random((2, 1, rows, 8), dtype=np.float32)
    alt += (ref - alt) * np.float32(0.9)
    alt[:, :, CONSTANT] = ref[:, :, CONSTANT]
    return compare(ref, alt)


def sizes_of(scores: dict[str, np.ndarray]) -> np.ndarray:
    """Return |diff x log2_odds_ratio| without the bits that a background drops."""
    size = np.abs(scores["diff"] * scores["log2_odds_ratio"])
    return (size.view(np.uint32) >> BITS << BITS).view(np.float32)


def make(path: Path, scores: dict[str, np.ndarray], kinds: np.ndarray) -> Background:
    with counting(path, 8, len(kinds)) as counted:
        for start in range(0, len(kinds), 300):
            rows = slice(start, start + 300)
            counted.add({name: each[rows] for name, each in scores.items()}, kinds[rows])
        write_background(path, counted, TABLE, {"model": "m"})
    return read_background(path)


def recount(
    sizes: np.ndarray, among: np.ndarray, targets: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the E-values, the rank and the smallest E-value of alleles, by comparing each effect
    with that of every variant."""
    targets = [target for target in targets if target != CONSTANT]
    if not targets:
        nothing = np.full(len(sizes), np.nan)
        return np.empty((len(sizes), 0)), nothing, nothing
    larger = (among[None, :, :] > sizes[:, None, :]).mean(axis=1)[:, targets]
    of_variants = (among[None, :, :] > among[:, None, :]).mean(axis=1)[:, targets].min(axis=1)
    smallest = larger.min(axis=1)
    share = (of_variants[None, :] <= smallest[:, None] + 1e-12).mean(axis=1)
    return larger, -10 * np.log10(share), smallest


@pytest.mark.parametrize(("variants", "own"), [(60, 1000), (450, 100), (450, 0)])
def test_evalues_ranks_groups_and_kinds_are_those_of_a_recount(
    variants: int, own: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effect_counts, "OWN_KIND", own)
    kinds = np.random.default_rng(1).random(variants) < 0.2
    scores, mine = effects_of(variants, 2), effects_of(90, 3)
    for name, each in mine.items():  # variants of the background, and one beyond them
        each[:20] = scores[name][:20]
        each[20] = scores[name].max(axis=0) * 2
    changes = np.random.default_rng(4).random(90) < 0.5
    background = make(tmp_path / "b.npz", scores, kinds)
    ranking = Ranking(TABLE, np.arange(8), group_by="cell", background=background)
    comparison = background.compare(mine, changes)
    columns = ranking.columns(mine["diff"], comparison, changes)
    assert list(ranking.groups) == list(GROUPS)
    among, sizes = sizes_of(scores), sizes_of(mine)
    for kind in (False, True):
        rows = changes == kind
        chosen = kinds == kind if (kinds == kind).sum() >= own else np.ones(variants, dtype=bool)
        total = int(chosen.sum())
        assert set(columns["background_n"][rows]) == {total}
        larger, phred, smallest = recount(sizes[rows], among[chosen], ALL)
        evalue = comparison.scores["evalue"][rows]
        known = [target for target in ALL if target != CONSTANT]
        np.testing.assert_allclose(evalue[:, known], np.maximum(larger, 1 / total), rtol=1e-6)
        assert np.isnan(evalue[:, CONSTANT]).all()
        np.testing.assert_allclose(columns["score_phred"][rows], phred, atol=1e-9)
        for group, targets in GROUPS.items():
            _, phred, _ = recount(sizes[rows], among[chosen], targets)
            np.testing.assert_allclose(columns[f"score_phred:{group}"][rows], phred, atol=1e-9)
        names = TABLE["name"].tolist()
        of_known, _, _ = recount(sizes[rows], among[chosen], ALL)
        for row, top, diff in zip(
            range(int(rows.sum())),
            columns["top_target"][rows],
            columns["top_diff"][rows],
            strict=True,
        ):
            best = [known[at] for at in np.flatnonzero(of_known[row] == smallest[row])]
            size = np.abs(mine["diff"][rows][row])
            assert names.index(top) == max(best, key=lambda target: size[target])
            assert diff == mine["diff"][rows][row][names.index(top)]


@given(st.lists(st.integers(0, 2**31 - 2), min_size=1, max_size=30))
def test_numbers_keep_their_order_and_small_ones_their_step(numbers: list[int]) -> None:
    ordered = np.array(sorted(numbers))
    steps = count_steps(ordered)
    assert (np.diff(steps) >= 0).all()
    assert (steps[ordered < 512] == ordered[ordered < 512]).all()
    assert steps_of(int(ordered[-1])) == steps[-1] + 1
    apart = ordered[1:] > ordered[:-1] * (1 + 2.0**-8) + 1
    assert (np.diff(steps)[apart] > 0).all()


@settings(max_examples=20, deadline=None)
@given(
    arrays.arrays(np.float32, (12, 8), elements=st.sampled_from([0, 0.1, 0.2, 0.5])),
    arrays.arrays(np.bool_, 12),
)
def test_the_rank_of_a_variant_is_the_share_of_those_at_least_as_extreme(
    tmp_path_factory: pytest.TempPathFactory, diff: np.ndarray, kinds: np.ndarray
) -> None:
    scores = {"diff": diff, "log2_odds_ratio": diff}
    background = make(tmp_path_factory.mktemp("b") / "b.npz", scores, kinds)
    comparison = background.compare(scores, kinds)
    ranking = Ranking(TABLE, np.arange(8), background=background)
    found = ranking.columns(diff, comparison, kinds)["score_phred"]
    sizes = sizes_of(scores)
    with_effect = np.flatnonzero(sizes.max(axis=0) > 0)
    if not len(with_effect):
        assert np.isnan(found).all()
        return
    larger = (sizes[None, :, :] > sizes[:, None, :]).sum(axis=1)[:, with_effect].min(axis=1)
    order = np.argsort(larger, kind="stable")
    at_least = np.searchsorted(larger[order], larger, side="right") / 12
    np.testing.assert_allclose(10 ** (-found / 10), at_least)

"""What an epoch shows: every window, on strands and with shifts that are what the recipe says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bioq import dna
from bioq.training.augmentation import draw_epoch_order, shifted_codes
from bioq.training.recipes import RECIPES

RECIPE = replace(RECIPES["small"], shift=3)


def random_codes(windows: int, length: int) -> torch.Tensor:
    codes = np.random.default_rng(0).integers(0, 5, (windows, length))
    return torch.from_numpy(codes.astype(np.uint8))


def test_shifted_windows_are_cut_at_one_end_and_unknown_at_the_other() -> None:
    codes, shift = random_codes(7, 11), [0, 1, -1, 5, -10, 11, -20]
    result = shifted_codes(codes, torch.tensor(shift))
    for window, by, moved in zip(codes.numpy(), shift, result.numpy(), strict=True):
        unknown = np.full(min(abs(by), 11), dna.UNKNOWN)
        kept = window[: 11 - len(unknown)] if by > 0 else window[len(unknown) :]
        expected = np.concatenate([unknown, kept] if by > 0 else [kept, unknown])
        np.testing.assert_array_equal(moved, expected)
    assert result.dtype == torch.uint8


@pytest.mark.parametrize(("strands", "times"), [("random", 1), ("both", 2), ("forward", 1)])
def test_every_window_is_shown_on_the_strands_of_the_recipe(strands: str, times: int) -> None:
    recipe = replace(RECIPE, strands=strands)  # type: ignore[arg-type]
    order = draw_epoch_order(400, recipe, seed=0, epoch=0)
    assert len(order) == times * 400
    np.testing.assert_array_equal(np.bincount(order.rows), np.full(400, times))
    assert order.rows.tolist() != sorted(order.rows.tolist())
    opposite = order.opposite.float().mean().item()
    if strands == "both":
        assert order.rows[order.opposite].sort()[0].tolist() == list(range(400))
    else:
        assert (0.4 < opposite < 0.6) if strands == "random" else opposite == 0
    assert order.shift is not None
    counts = np.bincount(order.shift + 3, minlength=7)
    assert len(counts) == 7
    assert counts.min() > len(order) / 7 / 2


def test_an_epoch_follows_from_the_seed_and_shifts_change_nothing_else() -> None:
    first, again = (draw_epoch_order(50, RECIPE, seed=1, epoch=2) for _ in range(2))
    still = draw_epoch_order(50, replace(RECIPE, shift=0), seed=1, epoch=2)
    for name in ("rows", "opposite"):
        torch.testing.assert_close(getattr(again, name), getattr(first, name))
        torch.testing.assert_close(getattr(still, name), getattr(first, name))
    torch.testing.assert_close(again.shift, first.shift)
    assert still.shift is None
    for other in (
        draw_epoch_order(50, RECIPE, seed=1, epoch=3),
        draw_epoch_order(50, RECIPE, seed=2, epoch=2),
    ):
        assert not torch.equal(other.rows, first.rows)
        assert not torch.equal(other.shift, first.shift)  # type: ignore[arg-type]


def test_a_window_is_turned_first_and_moved_then() -> None:
    codes = random_codes(50, 20)
    order = draw_epoch_order(50, RECIPE, seed=0, epoch=0)
    assert order.shift is not None
    part = order[10:30]
    shown = part.augment(codes[part.rows]).numpy()
    for number, row in enumerate(order.rows[10:30]):
        window = codes[row].numpy()
        if order.opposite[10 + number]:
            window = dna.reverse_complement(window)
        by = int(order.shift[10 + number])
        expected = np.roll(window, by)
        expected[:by] = dna.UNKNOWN if by > 0 else expected[:by]
        if by < 0:
            expected[by:] = dna.UNKNOWN
        np.testing.assert_array_equal(shown[number], expected)

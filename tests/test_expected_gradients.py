"""Expected gradients: exact on linear models, as tangermeme computes them; complete, repeatable."""

import numpy as np
import pytest
import torch
from torch import nn

from bioq import BioqError, ModelSizes, dna
from bioq.interpretation import expected_gradients, integrated_gradients
from bioq.interpretation.gradients import shuffled_copies
from bioq.models import build_model


def linear(length: int = 60) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(4 * length, 2))


def network() -> nn.Module:
    torch.manual_seed(0)
    sizes = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
    model = build_model("danq", targets=2, window_bp=200, sizes=sizes).eval()
    with torch.no_grad():  # fresh weights hardly tell windows apart
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def random_codes(rows: int, length: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 4, (rows, length)).astype(np.uint8)


def copies_of(codes: np.ndarray, shuffles: int) -> np.ndarray:
    return np.stack([shuffled_copies(row, shuffles) for row in codes])


def test_a_linear_model_is_explained_exactly() -> None:
    """By its weights: base minus mean baseline, for each of the four bases."""
    model, codes = linear(), random_codes(3, 60)
    result = expected_gradients(
        model, dna.one_hot(codes), target=1, shuffles=5, steps=1, strands="forward"
    )
    weights = model[1].weight[1].detach().numpy().reshape(4, 60)
    copies = copies_of(codes, 5).astype(np.float32)
    np.testing.assert_allclose(result.gradient, np.stack([weights] * 3), atol=1e-6)
    np.testing.assert_allclose(
        result.values, weights * (dna.one_hot(codes) - copies.mean(axis=1)), atol=1e-6
    )
    expected = weights - (weights * copies.mean(axis=1)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.hypothetical, expected, atol=1e-6)
    np.testing.assert_allclose(result.completeness_gap, 0, atol=1e-5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_a_linear_model_is_explained_as_by_deep_lift_shap_of_tangermeme() -> None:
    deep_lift_shap = pytest.importorskip("tangermeme.deep_lift_shap").deep_lift_shap
    model, codes = linear(), random_codes(3, 60)
    windows = torch.from_numpy(dna.one_hot(codes)).float()
    references = torch.from_numpy(copies_of(codes, 6)).float()
    result = expected_gradients(model, windows, target=1, shuffles=6, steps=2, strands="forward")
    for hypothetical in (False, True):
        theirs = deep_lift_shap(
            model,
            windows,
            target=1,
            references=references,
            hypothetical=hypothetical,
            device="cpu",
        )
        ours = result.hypothetical
        if not hypothetical:  # theirs has only the bases of the window
            ours = ours * windows.numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert np.abs(ours).max() > 0.05


def test_it_is_the_mean_of_integrated_gradients_from_each_copy() -> None:
    model, codes = network(), random_codes(2, 200)
    result = expected_gradients(model, dna.one_hot(codes), target=0, shuffles=3, steps=4)
    copies = copies_of(codes, 3)
    each = [
        integrated_gradients(
            model, dna.one_hot(codes), target=0, baseline=copies[:, number], steps=4
        )
        for number in range(3)
    ]
    for name in ("gradient", "values", "hypothetical", "logit", "baseline_logit"):
        mean = np.mean([getattr(one, name) for one in each], axis=0)
        np.testing.assert_allclose(getattr(result, name), mean, atol=1e-5, err_msg=name)
    assert np.abs(result.values).max() > 1e-3


def test_the_hypothetical_contribution_of_the_windows_base_is_its_contribution() -> None:
    model, codes = network(), random_codes(2, 200)
    codes[1, 50:60] = dna.UNKNOWN
    result = expected_gradients(model, dna.one_hot(codes), target=1, shuffles=3, steps=4)
    of_base = (result.hypothetical * dna.one_hot(codes)).sum(axis=1)
    np.testing.assert_allclose(of_base, result.values.sum(axis=1), atol=1e-6)
    assert not result.values[1, :, 50:60].any()  # N in the window is N in every copy


def test_contributions_sum_to_the_difference_from_the_mean_of_the_copies() -> None:
    model, codes = network(), random_codes(2, 200)
    result = expected_gradients(model, dna.one_hot(codes), target=1, shuffles=4, steps=200)
    difference = result.logit - result.baseline_logit
    np.testing.assert_allclose(result.values.sum(axis=(1, 2)), difference, atol=1e-3)
    few = expected_gradients(model, dna.one_hot(codes), target=1, shuffles=4, steps=1)
    assert np.abs(few.completeness_gap).max() > 10 * np.abs(result.completeness_gap).max()


def test_a_window_has_the_same_copies_wherever_it_is() -> None:
    model, codes = network(), random_codes(3, 200)
    together = expected_gradients(model, dna.one_hot(codes), target=0, shuffles=3, steps=4)
    for number in (2, 0):
        alone = expected_gradients(
            model, dna.one_hot(codes[[number]]), target=0, shuffles=3, steps=4, batch_size=5
        )
        np.testing.assert_allclose(alone.values[0], together.values[number], atol=1e-6)
    assert (shuffled_copies(codes[0], 2) != shuffled_copies(codes[1], 2)).any()


def test_copies_keep_the_dinucleotides_of_the_window() -> None:
    codes = random_codes(1, 200)[0]

    def pairs(row: np.ndarray) -> list[int]:
        return np.bincount(row[:-1].astype(int) * 4 + row[1:], minlength=16).tolist()

    copies = shuffled_copies(codes, 4).argmax(axis=1)
    assert [pairs(copy) for copy in copies] == [pairs(codes)] * 4


def test_shares_of_bases_are_refused() -> None:
    windows = np.full((1, 4, 60), 0.25)
    with pytest.raises(BioqError, match="windows hold shares of bases; expected one-hot"):
        expected_gradients(linear(), windows, target=0)


def test_two_alleles_from_the_copies_of_one_window_differ_by_the_allele_only() -> None:
    """For a linear model exactly: at every other base the contributions are equal."""
    model, ref = linear(), random_codes(1, 60)
    alt = ref.copy()
    alt[0, 30] = (ref[0, 30] + 1) % 4
    first, second = (
        expected_gradients(
            model, dna.one_hot(codes), target=0, shuffles=3, steps=2, copies_of=dna.one_hot(ref)
        )
        for codes in (ref, alt)
    )
    assert first.baseline_logit == pytest.approx(second.baseline_logit, abs=1e-6)
    differs = np.abs(first.values - second.values).sum(axis=1)[0] > 1e-6
    # Both strands are averaged: the base and, of the reverse complement, the same base.
    assert np.flatnonzero(differs).tolist() == [30]


def test_copies_of_other_windows_than_as_many_of_the_same_length_are_refused() -> None:
    windows = dna.one_hot(random_codes(2, 60))
    for other in (windows[:1], windows[:, :, :50]):
        with pytest.raises(BioqError, match="copies_of has shape"):
            expected_gradients(linear(), windows, target=0, copies_of=other)

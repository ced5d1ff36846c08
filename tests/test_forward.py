"""The forward loop: both strands, any batch size, any order, any precision."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from variant_cases import make_run

import bioq
from bioq import ModelSizes, UsageError
from bioq.dataset import Dataset
from bioq.dna import encode, one_hot
from bioq.forward import Strands, numerics, predict_codes, predict_split
from bioq.models import build_model
from bioq.models.device import choose_device

SMALL = ModelSizes(filters=8, lstm_units=4, dense_units=8)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return build_model("bioq", targets=3, window_bp=200, sizes=SMALL)


@pytest.fixture
def windows() -> np.ndarray:
    codes = np.random.default_rng(0).integers(0, 4, (11, 200))
    return np.eye(4, dtype=np.uint8)[codes].transpose(0, 2, 1)


def test_probability_is_the_mean_of_both_strands(model: nn.Module, windows: np.ndarray) -> None:
    model.eval()
    with torch.no_grad():
        forward = torch.sigmoid(model(torch.from_numpy(windows).float()))
        # A<->T and C<->G swap places in the order A, C, G, T when it is read backwards.
        backward = torch.sigmoid(model(torch.from_numpy(windows[:, ::-1, ::-1].copy()).float()))
    both = bioq.predict(model, windows)
    assert both.dtype == np.float32
    np.testing.assert_allclose(both, (forward + backward) / 2, atol=1e-6)
    np.testing.assert_allclose(bioq.predict(model, windows, strands="forward"), forward, atol=1e-6)
    assert abs(forward - backward).max() > 1e-4, "the strands were to differ"


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_codes_get_the_probabilities_of_their_one_hot_windows(
    model: nn.Module, strands: Strands
) -> None:
    codes = np.random.default_rng(2).integers(0, 5, (6, 200)).astype(np.uint8)
    model.train()
    result = predict_codes(model, codes, strands=strands)
    np.testing.assert_array_equal(result, bioq.predict(model, one_hot(codes), strands=strands))
    assert model.training, "the mode is as before"


def test_a_window_and_its_reverse_complement_get_the_same_probability(
    model: nn.Module, windows: np.ndarray
) -> None:
    flipped = np.ascontiguousarray(windows[:, ::-1, ::-1])
    np.testing.assert_allclose(
        bioq.predict(model, windows), bioq.predict(model, flipped), atol=1e-6
    )


@pytest.mark.parametrize("batch_size", [1, 2, 4, 11, 100])
def test_batch_size_changes_nothing(model: nn.Module, windows: np.ndarray, batch_size: int) -> None:
    reference = bioq.predict(model, windows)
    np.testing.assert_allclose(
        bioq.predict(model, windows, batch_size=batch_size), reference, atol=1e-6
    )


def test_order_of_windows_is_the_order_of_predictions(
    model: nn.Module, windows: np.ndarray
) -> None:
    order = np.random.default_rng(1).permutation(len(windows))
    np.testing.assert_allclose(
        bioq.predict(model, windows[order]), bioq.predict(model, windows)[order], atol=1e-6
    )


def test_bf16_stays_within_a_hundredth(model: nn.Module, windows: np.ndarray) -> None:
    exact = bioq.predict(model, windows)
    rounded = bioq.predict(model, windows, precision="bf16")
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, exact, atol=1e-2)


def test_dropout_is_off_and_the_mode_is_restored(model: nn.Module, windows: np.ndarray) -> None:
    model.train()
    first = bioq.predict(model, windows)
    np.testing.assert_array_equal(first, bioq.predict(model, windows))
    assert model.training


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_dropout_is_off_in_a_model_without_a_fast_path(
    windows: np.ndarray, strands: Strands
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(800, 3), nn.Dropout(0.5)).train()
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(windows).float())
    model.train()
    codes = windows.argmax(axis=1).astype(np.uint8)
    for probability in (
        bioq.predict(model, windows, strands=strands),
        predict_codes(model, codes, strands=strands),
    ):
        if strands == "forward":
            np.testing.assert_allclose(probability, torch.sigmoid(logits), atol=1e-6)
        np.testing.assert_array_equal(probability, bioq.predict(model, windows, strands=strands))
    assert model.training


def test_no_windows_give_an_empty_table(model: nn.Module) -> None:
    assert bioq.predict(model, np.empty((0, 4, 200), dtype=np.uint8)).shape == (0, 3)


def test_a_tensor_is_taken_as_well_as_an_array(model: nn.Module, windows: np.ndarray) -> None:
    np.testing.assert_array_equal(
        bioq.predict(model, torch.from_numpy(windows)), bioq.predict(model, windows)
    )


def test_windows_of_a_wrong_shape_are_refused(model: nn.Module) -> None:
    with pytest.raises(bioq.BioqError, match=r"shape \(2, 200, 4\); expected \(n, 4, length\)"):
        bioq.predict(model, np.zeros((2, 200, 4)))


def test_windows_of_a_wrong_length_are_refused(model: nn.Module) -> None:
    with pytest.raises(bioq.BioqError, match="199 bp long; this model reads windows of 200 bp"):
        bioq.predict(model, np.zeros((2, 4, 199)))


SEQUENCES = ["ACGTN" * 40, "acgtRyTTTT" * 20]


@pytest.mark.parametrize("given", [list, tuple, np.array])
def test_sequences_are_predicted_as_their_windows_are(
    model: nn.Module, given: Callable[[list[str]], Sequence[str]]
) -> None:
    hot = one_hot(np.stack([encode(text) for text in SEQUENCES]))
    expected = bioq.predict(model, hot)
    np.testing.assert_array_equal(bioq.predict(model, given(SEQUENCES)), expected)
    np.testing.assert_allclose(bioq.predict(model, SEQUENCES[1]), expected[1:], atol=1e-6)


def test_the_path_of_a_run_is_a_model(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    expected = bioq.predict(bioq.load(run), SEQUENCES)
    np.testing.assert_array_equal(bioq.predict(run, SEQUENCES), expected)
    np.testing.assert_array_equal(bioq.predict(str(run), SEQUENCES), expected)
    with pytest.raises(bioq.BioqError, match="none: no such folder; expected a run folder"):
        bioq.predict(tmp_path / "none", SEQUENCES)


@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.uint16, np.uint64, np.int64, np.float16, np.float64, ">f4"]
)
def test_windows_of_any_number_type_and_stride_are_equal(
    model: nn.Module, windows: np.ndarray, dtype: Any
) -> None:
    expected = bioq.predict(model, windows)
    np.testing.assert_array_equal(bioq.predict(model, windows.astype(dtype)), expected)
    backwards = np.ascontiguousarray(windows[:, :, ::-1]).astype(dtype)[:, :, ::-1]
    np.testing.assert_array_equal(bioq.predict(model, backwards), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.01, 1.01, 255])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_a_value_that_is_no_share_of_a_base_is_refused_with_its_place(
    model: nn.Module, value: float, as_tensor: bool
) -> None:
    windows = np.zeros((1100, 4, 200), dtype=np.float32)
    windows[1050, 2, 7] = value
    with pytest.raises(bioq.BioqError, match=r"in window 1,050, row 2 \(G\), position 7; expected"):
        bioq.predict(model, torch.from_numpy(windows) if as_tensor else windows)
    windows[1050, 2, 7] = 0.5
    assert np.isfinite(bioq.predict(model, windows)).all()


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ("ACGT", r"the sequence has 4 bases; this model reads windows of 200; 'bioq predict' cuts"),
        (["ACGT" * 50, "AC"], "sequence 1 has 2 bases"),
        ("windows.fa", "'windows.fa' is not DNA but the name of a file; 'bioq predict RUN FILE"),
        ("ACGU" * 50, "the sequence holds 'U' at base 4; .*RNA"),
        ("AC GT", "the sequence holds ' ' at base 3; expected DNA"),
        ("", "the sequence has no bases"),
        ([], r"shape \(0,\); expected \(n, 4, length\)"),
        ([[1, 2], [3]], "items of unequal shapes"),
        (["ACGT" * 50, 5], "are of type <U200; expected"),
        (None, "are of type object; expected"),
        (b"ACGT", "are of type .S4; expected"),
        (np.zeros((4, 200)), r"for one window give windows\[None\]"),
        (np.zeros((2, 200), dtype=np.uint8), r"for codes give bioq\.dna\.one_hot\(codes\)"),
        (np.zeros((2, 200, 4)), r"give windows\.transpose\(0, 2, 1\)"),
        (np.zeros((1, 4, 200), dtype=complex), "are of type complex128"),
        (torch.zeros((1, 4, 200), dtype=torch.complex64), "are of type torch.complex64"),
        (nn.Identity(), r"write bioq\.predict\(model, windows\)"),
    ],
)
def test_windows_that_are_none_are_refused_with_advice(
    model: nn.Module, windows: Any, message: str
) -> None:
    with pytest.raises(bioq.BioqError, match=message) as error:
        bioq.predict(model, windows)
    assert "\n" not in str(error.value)


def test_a_model_that_is_none_is_refused() -> None:
    with pytest.raises(bioq.BioqError, match="model is of type dict; expected the path of a run"):
        bioq.predict({}, SEQUENCES)  # type: ignore[arg-type]


def test_a_split_is_predicted_as_its_windows_are(masked_data: Dataset) -> None:
    split = masked_data["train"]
    torch.manual_seed(0)
    model = build_model("danq", targets=2, window_bp=split.window_bp, sizes=SMALL)
    expected = bioq.predict(model, split.read(slice(None)).windows)
    np.testing.assert_allclose(predict_split(model, split, batch_size=3), expected, atol=1e-6)
    out = np.empty_like(expected)
    assert predict_split(model, split, out=out) is out
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_unknown_strands_precision_and_device_are_usage_errors(
    model: nn.Module, windows: np.ndarray
) -> None:
    with pytest.raises(UsageError, match="strands 'reverse'; expected both or forward"):
        bioq.predict(model, windows, strands="reverse")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="precision 'int8'; expected 32, tf32 or bf16"):
        bioq.predict(model, windows, precision="int8")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="batch_size 0; expected at least 1"):
        bioq.predict(model, windows, batch_size=0)
    with pytest.raises(UsageError, match="device 'gpu' is not available on this machine"):
        choose_device("gpu")
    missing = next(
        kind for kind in ("cuda", "mps") if not getattr(torch, kind).is_available()
    )  # no machine has both
    with pytest.raises(
        UsageError, match=rf"device '{missing}' is not .*; use cpu( or \w+)?$"
    ) as no:
        choose_device(missing)
    assert not str(no.value).endswith(missing)
    with (
        pytest.raises(UsageError, match="tf32 needs a CUDA device"),
        numerics(torch.device("cpu"), "tf32"),
    ):
        pass


def tf32_flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def set_tf32_flags(flags: tuple[bool, bool]) -> None:
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = flags


@pytest.fixture(params=[(True, True), (True, False), (False, True)])
def flags(request: pytest.FixtureRequest) -> Iterator[tuple[bool, bool]]:
    """The TF32 flags that the caller of a prediction has set."""
    before = tf32_flags()
    set_tf32_flags(request.param)
    yield request.param
    set_tf32_flags(before)


def test_the_flags_of_tf32_are_set_for_the_block_and_then_restored(
    flags: tuple[bool, bool],
) -> None:
    with numerics(torch.device("cpu"), "32"):
        assert tf32_flags() == (False, False), "float32 is exact"
    assert tf32_flags() == flags
    with pytest.raises(ZeroDivisionError), numerics(torch.device("cpu"), "bf16"):
        _ = 1 / 0
    assert tf32_flags() == flags, "an error restores them too"


def test_every_layer_gets_its_own_mode_back(model: nn.Module, windows: np.ndarray) -> None:
    model.train()
    frozen = next(layer for layer in model.modules() if isinstance(layer, nn.LSTM)).eval()
    bioq.predict(model, windows)
    assert model.training
    assert not frozen.training


def test_probabilities_of_rows_of_a_split_are_those_of_the_whole(masked_data: Dataset) -> None:
    split = masked_data["train"]
    torch.manual_seed(0)
    model = build_model("danq", targets=2, window_bp=split.window_bp, sizes=SMALL)
    whole = predict_split(model, split)
    part = predict_split(model, split, rows=slice(5, 12), batch_size=4)
    np.testing.assert_allclose(part, whole[5:12], atol=1e-6)


class _Identity(nn.Module):
    def forward(self, windows: Tensor) -> Tensor:
        return windows


class _BaseCounts(nn.Module):
    """A network without weights: the logits are the number of each base."""

    def forward(self, windows: Tensor) -> Tensor:
        return windows.sum(dim=2)


def test_a_network_without_weights_predicts_on_the_cpu() -> None:
    probability = bioq.predict(_BaseCounts(), "A" * 3 + "C" * 2, strands="forward")
    expected = 1 / (1 + np.exp(-np.array([[3.0, 2.0, 0.0, 0.0]])))
    np.testing.assert_allclose(probability, expected, rtol=1e-6)


def test_a_network_that_returns_no_logits_per_target_is_refused() -> None:
    with pytest.raises(
        bioq.BioqError, match=r"returns shape \(2, 4, 8\) for 2 windows; expected lo"
    ):
        bioq.predict(_Identity(), "ACGTACGT")

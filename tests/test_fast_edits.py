"""Windows and edits that share what they have in common are predicted as by the plain models."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fast_mutants import random_codes, strong
from torch import Tensor, nn

from bioq import forward as inference
from bioq.dna.tensors import one_hot
from bioq.fast import edits, prepare_edits
from bioq.fast.edits_convolutions import EditedConvolutions
from bioq.fast.edits_danq import EditedDanQ
from bioq.fast.edits_marq import EditedMarq
from bioq.fast.paths import EditedNetwork, cpu_dtype
from bioq.fast.reach import Codes, Numbers, Reach
from bioq.forward import predict_edits
from bioq.models import ModelSizes, build_model
from bioq.models.beluga import Beluga
from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA
from bioq.models.marq import Marq

BOUND = 1e-5
NAMES = ["danq", "danq hard", "deepsea", "deepsea floor", "beluga", "marq"]
Network = DanQ | DeepSEA | Beluga | Marq


def small(name: str, window_bp: int = 200, pool_width: int | None = None) -> Network:
    """A model by its name and a part of it that the papers' code has: `danq hard`."""
    name, _, part = name.partition(" ")
    sizes = ModelSizes(
        filters=6,
        filter_width=4 if name != "beluga" else 3,
        pool_width=pool_width,
        lstm_units=5 if name in ("danq", "bioq", "marq") else None,
        dense_units=7,
        gates="hard" if part == "hard" else None,
        floor=0.05 if part == "floor" else None,
    )
    model = build_model(name, targets=3, window_bp=window_bp, sizes=sizes)
    assert isinstance(model, Network)
    if isinstance(model, Marq) and model.composition is not None:
        torch.nn.init.normal_(model.composition.weight, std=0.1)
    return strong(model, 2)


def edit(codes: Codes, of: Numbers, position: Numbers, seed: int) -> Codes:
    """Put a base or N that may be the same at a place of each window."""
    edited = codes[of]
    edited[np.arange(len(of)), position] = random_codes(len(of), seed)
    return edited


def plain(model: nn.Module, codes: Codes) -> np.ndarray:
    with torch.inference_mode():
        result: Tensor = model(one_hot(torch.from_numpy(codes)).float())
    probabilities: np.ndarray = torch.sigmoid(result).numpy()
    return probabilities


def hold_to_plain(
    model: nn.Module, codes: Codes, edited: Codes, of: Numbers, precision: str = "32"
) -> float:
    """Compare both; returns the largest effect."""
    engine = edits.prepare_edits(model, precision)
    assert engine is not None
    before, after = (torch.sigmoid(result).numpy() for result in engine(codes, edited, of))
    bound = BOUND if precision == "32" else 0.02
    np.testing.assert_allclose(before, plain(model, codes)[of], atol=bound)
    np.testing.assert_allclose(after, plain(model, edited), atol=bound)
    return float(np.abs(after - before).max())


@given(
    pool_width=st.integers(1, 9),
    more=st.integers(60, 140),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    name=st.sampled_from(NAMES),
    padded_bp=st.integers(-80, 80),
)
@settings(max_examples=40, deadline=None)
def test_edits_anywhere_are_as_plain(
    pool_width: int, more: int, places: list[float], name: str, padded_bp: int
) -> None:
    torch.manual_seed(more)
    pool_width = pool_width if name in ("danq", "danq hard", "marq") else 2 + pool_width % 2
    model = small(name, 40 + more, pool_width)
    window_bp = model.architecture["window_bp"]
    codes = random_codes(3 * window_bp, more).reshape(3, window_bp)
    codes[:, :padded_bp] = 4 if padded_bp > 0 else codes[:, :padded_bp]
    codes[:, window_bp + min(padded_bp, 0) :] = 4
    of = random_codes(len(places), more, 3).astype(np.int64)
    position = np.array([int(share * (window_bp - 1)) for share in places])
    edited = edit(codes, of, position, more + 1)
    dtype = torch.float32
    if isinstance(model, DanQ):
        family: EditedNetwork = EditedDanQ(model, dtype)
    else:
        is_marq = isinstance(model, Marq)
        family = EditedMarq(model, dtype) if is_marq else EditedConvolutions(model, dtype)
    with torch.inference_mode():
        result = edits._Edits(family)(codes, edited, of)
    before, after = (torch.sigmoid(logits).numpy() for logits in result)
    np.testing.assert_allclose(before, plain(model, codes)[of], atol=BOUND)
    np.testing.assert_allclose(after, plain(model, edited), atol=BOUND)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("threads", [1, 2])
def test_many_edits_in_no_order_are_as_plain(name: str, precision: str, threads: int) -> None:
    torch.manual_seed(1)
    model = small(name)
    if cpu_dtype(model, precision) is None:
        pytest.skip("this processor has no bf16")
    codes = random_codes(50 * 200, 1).reshape(50, 200)
    of = np.random.default_rng(2).permutation(np.repeat(np.arange(50), 4))
    edited = edit(codes, of, np.full(200, 99), 3)
    edited[::7] = np.roll(edited[::7], 3, axis=1)  # as an insertion does, and at both ends
    edited[3::7] = codes[of[3::7]]  # nothing changes
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert hold_to_plain(model, codes, edited, of, precision) > 100 * BOUND
    finally:
        torch.set_num_threads(before)


def test_a_window_with_several_edits_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    compute = EditedDanQ.__call__

    def count(
        self: EditedDanQ, codes: Tensor, edited: Tensor, of: Tensor, low: int, high: int
    ) -> Tensor:
        read.append((len(codes), high - low))
        return compute(self, codes, edited, of, low, high)

    monkeypatch.setattr(EditedDanQ, "__call__", count)
    model = small("danq")
    codes = random_codes(4 * 200, 1, 4).reshape(4, 200)
    of = np.tile(np.arange(4), 3)
    edited = codes[of]
    edited[:, 99] = (edited[:, 99] + 1 + np.arange(12) // 4) % 4
    hold_to_plain(model, codes, edited, of)
    changed = Reach(4, model.architecture["sizes"]["pool_width"], 15).changed
    assert [windows for windows, _ in read] == [4]
    assert read[0][1] <= changed


@pytest.mark.parametrize("way", ["plain", "tf32", "two layers", "hook", "short windows"])
def test_without_a_way_to_share_the_model_computes(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small("bioq" if way == "two layers" else "danq", 30 if way == "short windows" else 200)
    precision = "tf32" if way == "tf32" else "32"
    if way == "plain":
        monkeypatch.setenv("BIOQ_PLAIN", "1")
    if way == "hook":
        model.conv.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    assert prepare_edits(model, precision) is None
    if way == "tf32":
        return
    window_bp = model.architecture["window_bp"]
    codes = random_codes(5 * window_bp, 1).reshape(5, window_bp)
    of = np.array([4, 0, 1, 2, 3, 3])
    edited = edit(codes, of, np.full(6, window_bp // 2), 3)
    before, after = predict_edits(model, codes, edited, of, batch_size=4)
    np.testing.assert_allclose(before, plain(model, codes)[of], atol=BOUND)
    np.testing.assert_allclose(after, plain(model, edited), atol=BOUND)


def test_weights_that_change_are_noticed() -> None:
    model = small("danq")
    codes = random_codes(400, 1).reshape(2, 200)
    of = np.array([0, 1])
    edited = edit(codes, of, np.full(2, 99), 3)
    hold_to_plain(model, codes, edited, of)
    strong(model, 1.1)
    hold_to_plain(model, codes, edited, of)


def test_the_shared_way_is_the_one_that_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small("danq")
    codes = random_codes(400, 1).reshape(2, 200)
    monkeypatch.setattr(inference, "predict_codes", None)
    before, after = predict_edits(model, codes, codes[[1, 0]], np.array([1, 0]))
    np.testing.assert_allclose(before, after, atol=BOUND)

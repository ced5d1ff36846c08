"""Mutants that share what they have in common are predicted as the plain models predict them."""

import threading
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bioq import dna
from bioq.dna.tensors import one_hot
from bioq.fast import Mutants, mutants_convolutions, mutants_danq, open_mutants
from bioq.fast.mutants_convolutions import SharedConvolutions
from bioq.fast.mutants_danq import SharedDanQ
from bioq.fast.mutants_marq import SharedMarq
from bioq.fast.paths import SharedNetwork
from bioq.fast.reach import Codes, Numbers, Reach
from bioq.interpretation import mutate_window
from bioq.models import ModelSizes, build_model
from bioq.models.beluga import Beluga
from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA
from bioq.models.marq import Marq

BOUND = 1e-5
Network = TypeVar("Network", bound=nn.Module)


def all_mutants(codes: Codes, start: int = 0, end: int | None = None) -> tuple[Numbers, Numbers]:
    position, base = np.nonzero(codes[start:end, None] != np.arange(4))
    return start + position, base


def plain(model: nn.Module, windows: Codes, *, both_strands: bool) -> np.ndarray:
    strands = [windows, dna.reverse_complement(windows)] if both_strands else [windows]
    with torch.inference_mode():
        result = [model(one_hot(torch.from_numpy(codes.copy())).float()) for codes in strands]
    return np.mean([torch.sigmoid(logits).numpy() for logits in result], axis=0)


def mutated(codes: Codes, position: Numbers, base: Numbers) -> Codes:
    windows = np.repeat(codes[None], len(position), axis=0)
    windows[np.arange(len(position)), position] = base
    return windows


def strong(model: Network, by: float) -> Network:
    """Make weights larger, so that mutants differ by far more than rounding does."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(by)
    return model.eval()


def random_codes(length: int, seed: int, letters: int = 5) -> Codes:
    return np.random.default_rng(seed).integers(0, letters, length).astype(np.uint8)


def part_of(window_bp: int, span: tuple[float, int]) -> slice:
    """Return the positions that begin at a share of the window and are at most so many."""
    start = int(span[0] * (window_bp - 1))
    return slice(start, min(start + span[1], window_bp))


def hold_to_plain(
    model: Network,
    shared: SharedNetwork,
    codes: Codes,
    span: slice,
    *,
    both_strands: bool,
) -> float:
    """Compare a span's mutants; returns the largest effect."""
    mutants = Mutants(shared, codes, both_strands=both_strands)
    position, base = all_mutants(codes, span.start, span.stop)
    reference = plain(model, codes[None], both_strands=both_strands)[0]
    expected = plain(model, mutated(codes, position, base), both_strands=both_strands)
    np.testing.assert_allclose(mutants.reference, reference, atol=BOUND)
    np.testing.assert_allclose(mutants.probabilities(position, base), expected, atol=BOUND)
    return float(np.abs(expected - reference).max())


@given(
    width=st.integers(1, 9),
    pool_width=st.integers(1, 12),
    layers=st.integers(1, 3),
    more=st.integers(0, 60),
    span=st.tuples(st.floats(0, 1), st.integers(1, 40)),
    both_strands=st.booleans(),
    all_unknown=st.booleans(),
    gates=st.sampled_from(["sigmoid", "hard"]),
)
@settings(max_examples=60, deadline=None)
def test_any_danq_and_span_is_as_plain(
    width: int,
    pool_width: int,
    layers: int,
    more: int,
    span: tuple[float, int],
    both_strands: bool,
    all_unknown: bool,
    gates: Literal["sigmoid", "hard"],
) -> None:
    window_bp = width + pool_width - 1 + more
    torch.manual_seed(more)
    sizes = ModelSizes(
        filters=6,
        filter_width=width,
        pool_width=pool_width,
        lstm_units=5,
        lstm_layers=layers,
        dense_units=7,
        gates=gates,
    )
    model = strong(build_model("bioq", targets=3, window_bp=window_bp, sizes=sizes), 2)
    assert isinstance(model, DanQ)
    codes = np.full(window_bp, 4, np.uint8) if all_unknown else random_codes(window_bp, more)
    hold_to_plain(
        model, SharedDanQ(model), codes, part_of(window_bp, span), both_strands=both_strands
    )


@given(
    name=st.sampled_from(["deepsea", "beluga"]),
    floor=st.sampled_from([0.0, 0.05]),
    width=st.integers(1, 6),
    pool_width=st.integers(1, 4),
    more=st.integers(0, 60),
    span=st.tuples(st.floats(0, 1), st.integers(1, 40)),
    both_strands=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_any_deepsea_or_beluga_and_span_is_as_plain(
    name: str,
    floor: float,
    width: int,
    pool_width: int,
    more: int,
    span: tuple[float, int],
    both_strands: bool,
) -> None:
    shortest = 1
    pools = (1, pool_width, pool_width)  # of the last convolution first
    for pool in pools if name == "deepsea" else (1, 1, pool_width, 1, pool_width, 1):
        shortest = shortest * pool + width - 1
    sizes = ModelSizes(
        filters=6,
        filter_width=width,
        pool_width=pool_width,
        dense_units=7,
        floor=floor if name == "deepsea" else None,
    )
    window_bp = shortest + more
    torch.manual_seed(more)
    model = strong(build_model(name, targets=3, window_bp=window_bp, sizes=sizes), 2)
    assert isinstance(model, DeepSEA | Beluga)
    codes = random_codes(window_bp, more)
    hold_to_plain(
        model, SharedConvolutions(model), codes, part_of(window_bp, span), both_strands=both_strands
    )


@given(
    width=st.integers(1, 9),
    pool_width=st.integers(1, 12),
    more=st.integers(25, 80),
    span=st.tuples(st.floats(0, 1), st.integers(1, 40)),
    both_strands=st.booleans(),
    share=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=40, deadline=None)
def test_any_marq_and_span_is_as_plain(
    width: int,
    pool_width: int,
    more: int,
    span: tuple[float, int],
    both_strands: bool,
    share: float,
) -> None:
    window_bp = width + pool_width + more
    model = marq(window_bp, more, width, pool_width, share)
    codes = random_codes(window_bp, more)
    hold_to_plain(
        model, SharedMarq(model), codes, part_of(window_bp, span), both_strands=both_strands
    )


def marq(window_bp: int, seed: int, width: int, pool_width: int, share: float) -> Marq:
    torch.manual_seed(seed)
    sizes = ModelSizes(
        filters=6,
        filter_width=width,
        pool_width=pool_width,
        lstm_units=5,
        dense_units=7,
        composition_share=share,
    )
    model = strong(build_model("marq", targets=3, window_bp=window_bp, sizes=sizes), 2)
    assert isinstance(model, Marq)
    nn.init.normal_(model.window.output.weight)
    if model.composition is not None:
        nn.init.normal_(model.composition.weight, std=0.1)
    return model


def test_bases_that_only_the_composition_reads_have_effects() -> None:
    """Of 99 bases, filters of width 8 with pools of 20 read 87."""
    codes, last = random_codes(99, 2, letters=4), slice(87, 99)
    with_it, without = (marq(99, 1, 8, 20, share) for share in (0.3, 0.0))
    assert SharedMarq(without).used == 87
    assert hold_to_plain(with_it, SharedMarq(with_it), codes, last, both_strands=False) > 1e-3
    assert hold_to_plain(without, SharedMarq(without), codes, last, both_strands=False) < 1e-6


@pytest.mark.parametrize("name", ["bioq", "danq", "deepsea"])
def test_published_sizes_are_as_plain(name: str) -> None:
    torch.manual_seed(0)
    model = strong(build_model(name, targets=919), 2)
    assert isinstance(model, DanQ | DeepSEA)
    shared = SharedDanQ(model) if isinstance(model, DanQ) else SharedConvolutions(model)
    codes = random_codes(1000, 1, letters=4)
    effects = [
        hold_to_plain(model, shared, codes, span, both_strands=strands)
        for span, strands in (
            (slice(0, 2), False),
            (slice(500, 503), True),
            (slice(998, 1000), False),
        )
    ]
    assert effects[1] > 1e-3


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 20), st.integers(1, 5))
def test_the_reach_holds_every_position_that_changes(
    width: int, pool_width: int, positions: int, before: int
) -> None:
    reach = Reach(width, pool_width, positions, before)
    inputs = np.zeros(reach.used)
    for start in range(reach.used - before + 1):
        inputs[:] = 0
        inputs[start : start + before] = 1
        sums = np.convolve(inputs, np.ones(width), "valid")
        changed = np.flatnonzero(sums.reshape(positions, pool_width).max(axis=1))
        first = int(reach.first(np.array([start]))[0])
        assert set(changed) <= set(range(first, first + reach.changed))
        assert first >= 0
        assert first + reach.changed <= positions


def model_of(name: str = "danq", **changes: Any) -> nn.Module:
    """A model whose 600 mutants of a 200-bp window share enough, were it not so small."""
    torch.manual_seed(0)
    sizes = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
    if name in ("deepsea", "beluga"):
        sizes = ModelSizes(filters=8, filter_width=3, pool_width=2, dense_units=8)
    sizes = replace(sizes, **changes)
    return strong(build_model(name, targets=4, window_bp=200, sizes=sizes), 3)


@pytest.fixture
def cheap_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants_danq, "_STEP_FLOPS", 0)
    monkeypatch.setattr(mutants_convolutions, "_POSITION_FLOPS", 0)


def is_shared(
    model: nn.Module, codes: Codes, mutants: int = 600, precision: Literal["32", "tf32"] = "32"
) -> bool:
    return open_mutants(model, codes, mutants, strands="both", precision=precision) is not None


@pytest.mark.parametrize("strands", ["both", "forward"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [("danq", {}), ("danq", {"gates": "hard"}), ("beluga", {}), ("marq", {})],
)
def test_mutagenesis_is_the_same_with_the_switch_on_and_off(
    cheap_steps: None,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    changes: dict[str, Any],
    strands: Literal["both", "forward"],
) -> None:
    model, codes = model_of(name, **changes), random_codes(200, 5)
    assert is_shared(model, codes)
    targets = np.array([3, 1])
    done: list[int] = []
    fast = mutate_window(
        model, codes, start=20, end=150, targets=targets, strands=strands, advance=done.append
    )
    monkeypatch.setenv("BIOQ_PLAIN", "1")
    assert not is_shared(model, codes)
    expected = mutate_window(model, codes, start=20, end=150, targets=targets, strands=strands)
    for result, wanted in zip(fast, expected, strict=True):
        np.testing.assert_allclose(result, wanted, atol=BOUND)
    assert fast[1].shape == (4, 130, 2)
    assert np.abs(fast[1]).max() > 1e-2
    assert sum(done) == len(all_mutants(codes, 20, 150)[0])


def test_any_number_of_threads_gives_the_same(cheap_steps: None) -> None:
    model, codes = model_of(), random_codes(200, 6)
    before = torch.get_num_threads()
    result = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            result.append(mutate_window(model, codes)[1])
            seen: list[int] = []
            other = threading.Thread(target=lambda seen=seen: seen.append(torch.get_num_threads()))
            other.start()
            other.join()
            assert torch.get_num_threads() == threads
            assert seen == [threads]
    finally:
        torch.set_num_threads(before)
    for effects in result[1:]:
        np.testing.assert_allclose(effects, result[0], atol=1e-6)


def test_changed_weights_are_noticed(cheap_steps: None) -> None:
    model, codes = model_of(), random_codes(200, 7)
    mutate_window(model, codes)
    strong(model, 1.5)
    position, base = all_mutants(codes, 90, 100)
    _, effects = mutate_window(model, codes)
    expected = plain(model, np.stack([codes, *mutated(codes, position, base)]), both_strands=True)
    np.testing.assert_allclose(effects[base, position], expected[1:] - expected[0], atol=BOUND)


def test_mutants_that_share_too_little_go_through_the_model(cheap_steps: None) -> None:
    codes = random_codes(200, 8)
    assert is_shared(model_of(), codes)
    assert not is_shared(model_of(), codes, mutants=15)
    assert not is_shared(model_of(), codes, precision="tf32")
    assert not is_shared(model_of().double(), codes)
    assert not is_shared(model_of(), codes[1:])
    hooked = model_of()
    hooked.conv.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    assert not is_shared(hooked, codes)
    few_positions = ModelSizes(filters=8, filter_width=60, pool_width=40, lstm_units=4)
    assert not is_shared(build_model("danq", targets=2, window_bp=200, sizes=few_positions), codes)


def test_small_models_share_only_among_many_mutants() -> None:
    codes = random_codes(200, 9)
    assert not is_shared(model_of(), codes)
    assert is_shared(model_of(), codes, mutants=1_000_000)
    assert not is_shared(model_of("deepsea"), codes)
    assert is_shared(model_of("deepsea"), codes, mutants=1_000_000)

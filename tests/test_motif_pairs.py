"""Two motifs beyond the sum of their effects: against tangermeme, and properties that must hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bioq import ModelSizes, UsageError, dna
from bioq.forward import Strands
from bioq.interpretation.motif_experiments.insertion import most_probable
from bioq.interpretation.motif_experiments.pairs import (
    A_THEN_B,
    ARRANGEMENTS,
    B_THEN_A,
    BACK_TO_BACK,
    FACING,
    pair_effects,
)
from bioq.models import build_model
from bioq.motifs import Motif

WINDOW_BP, WINDOWS = 200, 6
SIZES = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)


def motif(name: str, site: str) -> Motif:
    """Return a motif whose best site is `site`."""
    return Motif(name, name, 0.1 + 0.6 * dna.one_hot(dna.encode(site)).T.astype(np.float64))


A, B = motif("A", "GATTACAGG"), motif("B", "CCTTTGC")


def make_model(name: str) -> nn.Module:
    torch.manual_seed(0)
    sizes = replace(ModelSizes(filters=8, dense_units=8)) if name == "deepsea" else SIZES
    model = build_model(name, targets=3, window_bp=WINDOW_BP, sizes=sizes).eval()
    with torch.no_grad():  # fresh weights hardly tell windows apart
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


@pytest.fixture(params=["danq", "deepsea", "marq"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    return make_model(request.param)


@pytest.fixture
def windows() -> dna.Bytes:
    return np.random.default_rng(1).integers(0, 4, (WINDOWS, WINDOW_BP)).astype(np.uint8)


class BothStrands(nn.Module):
    """A model whose logits are the mean over the two strands."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, hot: Tensor) -> Tensor:
        return (self.model(hot) + self.model(hot.flip((1, 2)))) / 2  # type: ignore[no-any-return]


@pytest.mark.parametrize("strands", ["both", "forward"])
@pytest.mark.parametrize("distance", [0, 7, 40])
def test_effects_are_those_of_tangermeme(
    model: nn.Module, windows: dna.Bytes, strands: Strands, distance: int
) -> None:
    pytest.importorskip("tangermeme", reason="tangermeme is not installed")
    from tangermeme.marginalize import marginalize
    from tangermeme.space import space

    result = pair_effects(model, windows, A, B, distances=[distance], strands=strands)
    assert len(result.arrangements) == (4 if strands == "both" else 8)
    hot = torch.from_numpy(dna.one_hot(windows)).float()
    theirs = model if strands == "forward" else BothStrands(model)
    for row, arrangement in enumerate(result.arrangements):
        if strands == "both" and not arrangement.a_is_left:
            arrangement = arrangement.from_other_strand()
        site = {
            "A": on_strand(A, arrangement.strand_a),
            "B": on_strand(B, arrangement.strand_b),
        }
        order = "AB" if arrangement.a_is_left else "BA"
        start = WINDOW_BP // 2 - (len(A) + distance + len(B)) // 2
        starts = {order[0]: start, order[1]: start + len(site[order[0]]) + distance}
        motifs = [site[name] for name in order]
        none, pairs = space(theirs, hot, motifs, [[distance]], device="cpu")
        change = {"together": (pairs[:, 0] - none).double().numpy()}
        for name, letters in site.items():
            before, after = marginalize(theirs, hot, letters, start=starts[name], device="cpu")
            change[name] = (after - before).double().numpy()
        beyond = change["together"] - change["A"] - change["B"]
        for ours, expected in (
            (result.together, change["together"]),
            (result.a, change["A"]),
            (result.b, change["B"]),
            (result.beyond, beyond),
        ):
            np.testing.assert_allclose(ours[row, 0], expected.mean(axis=0), atol=1e-5)
        stats = pytest.importorskip("scipy.stats")
        error = beyond.std(axis=0, ddof=1) / np.sqrt(WINDOWS)
        reach = stats.t.ppf(0.975, WINDOWS - 1) * error
        np.testing.assert_allclose(result.high[row, 0] - result.beyond[row, 0], reach, rtol=1e-3)
        np.testing.assert_allclose(result.beyond[row, 0] - result.low[row, 0], reach, rtol=1e-3)
    assert np.abs(result.beyond).max() > 1e-3


def on_strand(one: Motif, strand: str) -> str:
    site = most_probable(one)
    return dna.decode(site if strand == "+" else dna.reverse_complement(site))


def test_a_model_that_adds_motifs_up_has_nothing_beyond_the_sum(windows: dna.Bytes) -> None:
    class Additive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.Parameter(torch.randn(4, WINDOW_BP, 3))

        def forward(self, hot: Tensor) -> Tensor:
            return torch.einsum("nbl,blt->nt", hot.float(), self.weights)

    torch.manual_seed(0)
    result = pair_effects(Additive(), windows, A, B, distances=range(0, 50, 10))
    assert np.abs(result.together).max() > 1
    for array in (result.beyond, result.low, result.high, result.control):
        np.testing.assert_allclose(array, 0, atol=1e-5)


def test_a_pair_and_its_reverse_complement_are_equal_in_the_opposite_windows(
    windows: dna.Bytes,
) -> None:
    """So four arrangements are enough if both strands are averaged. Here the lengths of windows,
    pairs and sites are even, so that the middle is the middle of both strands."""
    a, b = motif("A", "GATTACAG"), motif("B", "CCTTTG")
    model = make_model("danq")
    options = {"distances": [4, 30], "strands": "forward"}
    one = pair_effects(model, windows, a, b, **options)  # type: ignore[arg-type]

    class Opposite(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, hot: Tensor) -> Tensor:
            return self.model(hot.flip((1, 2)))  # type: ignore[no-any-return]

    opposite = dna.reverse_complement(windows)
    other = pair_effects(Opposite(), opposite, a, b, **options)  # type: ignore[arg-type]
    for row, arrangement in enumerate(one.arrangements):
        same = other.arrangements.index(arrangement.from_other_strand())
        np.testing.assert_allclose(one.beyond[row], other.beyond[same], atol=1e-5)
    assert len({each.text("A", "B") for each in one.arrangements}) == 8


def test_the_texts_of_the_arrangements() -> None:
    shown = {each: each.text("CTCF", "SRF") for each in ARRANGEMENTS}
    assert shown == {
        A_THEN_B: "CTCF> SRF>",
        B_THEN_A: "SRF> CTCF>",
        FACING: "CTCF> <SRF",
        BACK_TO_BACK: "<CTCF SRF>",
    }
    assert B_THEN_A.from_other_strand().text("CTCF", "SRF") == "<CTCF <SRF"


def test_a_motif_with_itself_has_three_arrangements(windows: dna.Bytes) -> None:
    result = pair_effects(make_model("danq"), windows, A, A, distances=[5])
    assert result.arrangements == (A_THEN_B, FACING, BACK_TO_BACK)


def test_neighbouring_distances_share_single_sites_and_change_nothing(windows: dna.Bytes) -> None:
    model = make_model("danq")
    together = pair_effects(model, windows, A, B, distances=range(5))
    for column in range(5):
        alone = pair_effects(model, windows, A, B, distances=[column])
        for name in ("together", "a", "b", "beyond", "low", "high", "control", "control_high"):
            ours = getattr(together, name)[:, column]
            np.testing.assert_allclose(ours, getattr(alone, name)[:, 0], atol=1e-6)


def test_the_seed_is_of_the_control_alone(windows: dna.Bytes) -> None:
    model = make_model("danq")
    results = [pair_effects(model, windows, A, B, distances=[5], seed=seed) for seed in (0, 0, 1)]
    for name in ("together", "beyond", "low"):
        np.testing.assert_array_equal(getattr(results[0], name), getattr(results[2], name))
    np.testing.assert_array_equal(results[0].control, results[1].control)
    assert (results[0].control != results[2].control).any()


def test_an_ensemble_has_the_mean_logits_of_its_members(windows: dna.Bytes) -> None:
    # docs: attribution explains the mean of the members' logits
    from bioq.runs.trained_model import Ensemble

    class Member(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.model, self.factor = make_model("danq"), factor

        def forward(self, hot: Tensor) -> Tensor:
            return self.model(hot.float()) * self.factor  # type: ignore[no-any-return]

    members = [Member(1.0), Member(3.0)]
    both = pair_effects(Ensemble(members, architecture={}), windows, A, B, distances=[5])  # type: ignore[arg-type]
    mean = pair_effects(Member(2.0), windows, A, B, distances=[5])
    np.testing.assert_allclose(both.beyond, mean.beyond, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distances": [185]}, "distance 185: with A (9 bp) and B (7 bp) the pair must fit in "
         "windows of 200 bp; expected 0 to 184"),
        ({"distances": [-1]}, "distance -1: with A (9 bp)"),
        ({"distances": []}, "distances of type list; expected a list of whole numbers"),
        ({"distances": [1.5]}, "distances of type list; expected a list of whole numbers"),
        ({"windows": np.zeros((1, 200), np.uint8)}, "1 windows; expected at least 2"),
        ({"b": "CTCF"}, "b 'CTCF'; expected a motif"),
    ],
)  # fmt: skip
def test_errors(windows: dna.Bytes, changes: dict[str, object], message: str) -> None:
    arguments = {"windows": windows, "a": A, "b": B, "distances": [5], **changes}
    with pytest.raises(UsageError) as error:
        pair_effects(make_model("danq"), **arguments)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_a_pair_longer_than_the_window_is_refused(windows: dna.Bytes) -> None:
    long = motif("long", "ACGT" * 49)
    with pytest.raises(UsageError, match=r"long \(196 bp\) and B \(7 bp\) are longer than"):
        pair_effects(make_model("danq"), windows, long, B, distances=[0])

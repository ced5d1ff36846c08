"""Two motifs beyond the sum of their effects: against tangermeme, and properties that must hold."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from both_strands import BothStrands
from torch import Tensor, nn

from bioq import BioqError, ModelSizes, UsageError, dna
from bioq.builders.simulation.build import planted_motifs as simulated_motifs
from bioq.builders.simulation.grammar import (
    ALONE,
    CTCF,
    EGR3,
    HNF4A,
    NEAR,
    ORDER,
    REST,
    SRF,
    ZNF143,
    Site,
    plant,
)
from bioq.builders.simulation.grammar import (
    FACING as FACING_TARGET,
)
from bioq.builders.simulation.pair_truth import pair_truth
from bioq.forward import Strands
from bioq.interpretation.motif_experiments.insertion import most_probable
from bioq.interpretation.motif_experiments.options import PairOptions, choose_pairs, parse_distances
from bioq.interpretation.motif_experiments.pairs import (
    A_THEN_B,
    ARRANGEMENTS,
    B_THEN_A,
    BACK_TO_BACK,
    FACING,
    Arrangement,
    arrangements_of,
    highest_and_lowest,
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
    sizes = ModelSizes(filters=8, dense_units=8) if name == "deepsea" else SIZES
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


@pytest.mark.parametrize("strands", ["both", "forward"])
@pytest.mark.parametrize("distance", [0, 7, 40])
def test_effects_are_those_of_tangermeme(
    model: nn.Module, windows: dna.Bytes, strands: Strands, distance: int
) -> None:
    pytest.importorskip("tangermeme", reason="tangermeme is not installed")
    from tangermeme.marginalize import marginalize
    from tangermeme.space import space

    result = pair_effects(model, windows, A, B, distances=[distance], strands=strands)
    arrangements = arrangements_of(A, B, strands)
    assert len(arrangements) == (4 if strands == "both" else 8)
    assert list(result["arrangement"].unique()) == [each.text for each in arrangements]
    hot = torch.from_numpy(dna.one_hot(windows)).float()
    theirs = model if strands == "forward" else BothStrands(model)
    for arrangement in arrangements:
        rows = result[result["arrangement"] == arrangement.text]
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
        names = {"effect": "together", "effect_a": "A", "effect_b": "B"}
        for ours, name in names.items():
            np.testing.assert_allclose(rows[ours], change[name].mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(rows["beyond"], beyond.mean(axis=0), atol=1e-5)
        interval = scipy.stats.ttest_1samp(beyond, 0).confidence_interval(0.95)
        np.testing.assert_allclose(rows["low"], interval.low, atol=1e-5)
        np.testing.assert_allclose(rows["high"], interval.high, atol=1e-5)
    assert result["beyond"].abs().max() > 1e-3


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
    assert result["effect"].abs().max() > 1
    for name in ("beyond", "low", "high", "control", "control_low", "control_high"):
        np.testing.assert_allclose(result[name], 0, atol=1e-4)


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
    for arrangement in arrangements_of(a, b, "forward"):
        same = arrangement.from_other_strand()
        ours, theirs = (
            table.loc[table["arrangement"] == each.text, "beyond"].to_numpy()
            for table, each in ((one, arrangement), (other, same))
        )
        assert len(ours) == 2 * 3
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_texts_of_the_arrangements() -> None:
    shown = {each: each.text for each in ARRANGEMENTS}
    assert shown == {
        A_THEN_B: "A> B>",
        B_THEN_A: "B> A>",
        FACING: "A> <B",
        BACK_TO_BACK: "<A B>",
    }
    assert B_THEN_A.from_other_strand().text == "<A <B"


def test_a_motif_with_itself_has_three_arrangements(windows: dna.Bytes) -> None:
    result = pair_effects(make_model("danq"), windows, A, A, distances=[5])
    assert list(result["arrangement"]) == ["A> B>"] * 3 + ["A> <B"] * 3 + ["<A B>"] * 3


def test_neighbouring_distances_share_single_sites_and_change_nothing(windows: dna.Bytes) -> None:
    model = make_model("danq")
    together = pair_effects(model, windows, A, B, distances=range(5))
    for distance in range(5):
        alone = pair_effects(model, windows, A, B, distances=[distance])
        ours = together[together["distance"] == distance].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, alone, check_exact=False, atol=1e-5)


def test_the_seed_is_of_the_control_alone(windows: dna.Bytes) -> None:
    model = make_model("danq")
    results = [pair_effects(model, windows, A, B, distances=[5], seed=seed) for seed in (0, 0, 1)]
    pd.testing.assert_frame_equal(results[0], results[1])
    columns = [name for name in results[0] if not name.startswith("control")]
    pd.testing.assert_frame_equal(results[0][columns], results[2][columns])
    assert (results[0]["control"] != results[2]["control"]).any()


def test_targets_are_chosen_by_number(windows: dna.Bytes) -> None:
    model = make_model("danq")
    chosen = pair_effects(model, windows, A, B, distances=[5, 9], targets=[2, 0])
    every = pair_effects(model, windows, A, B, distances=[5, 9])
    assert list(chosen["target"][:2]) == ["2", "0"]
    for target in ("0", "2"):
        ours, expected = (table.loc[table["target"] == target] for table in (chosen, every))
        pd.testing.assert_frame_equal(ours.reset_index(drop=True), expected.reset_index(drop=True))


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
    pd.testing.assert_frame_equal(both, mean, check_exact=False, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distances": [185]}, "distance 185: with A (9 bp) and B (7 bp) the pair must fit in "
         "windows of 200 bp; expected 0 to 184"),
        ({"distances": [-1]}, "distance -1: with A (9 bp)"),
        ({"distances": []}, "distances of type list; expected a list of whole numbers"),
        ({"distances": [1.5]}, "distances of type list; expected a list of whole numbers"),
        ({"b": "CTCF"}, "b 'CTCF'; expected a motif"),
    ],
)  # fmt: skip
def test_errors(windows: dna.Bytes, changes: dict[str, object], message: str) -> None:
    arguments = {"backgrounds": windows, "a": A, "b": B, "distances": [5], **changes}
    with pytest.raises(UsageError) as error:
        pair_effects(make_model("danq"), **arguments)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_no_background_is_refused() -> None:
    with pytest.raises(BioqError, match="backgrounds have no window"):
        pair_effects(make_model("danq"), np.zeros((0, 200), np.uint8), A, B, distances=[5])


def test_a_pair_longer_than_the_window_is_refused(windows: dna.Bytes) -> None:
    long = motif("long", "ACGT" * 49)
    with pytest.raises(UsageError, match=r"long \(196 bp\) and B \(7 bp\) are longer than"):
        pair_effects(make_model("danq"), windows, long, B, distances=[0])


def test_one_background_has_no_interval(windows: dna.Bytes) -> None:
    table = pair_effects(make_model("danq"), windows[:1], A, B, distances=[5])
    assert table["beyond"].notna().all()
    assert table[["low", "high", "control_low", "control_high"]].isna().all(axis=None)


def test_the_highest_and_the_lowest_effect_of_a_pair_and_target() -> None:
    beyond = {"x": [1.0, -2.0, 0.0], "y": [0.5, 4.0, -3.0]}
    table = pd.DataFrame(
        [
            {"a_id": "A", "b_id": "B", "target": target, "distance": distance, "beyond": value,
             "control": 0.0}
            for target, values in beyond.items()
            for distance, value in enumerate(values)
        ]
    )  # fmt: skip
    highest, lowest = highest_and_lowest(table)
    assert list(highest["target"]) == list(lowest["target"]) == ["y", "x"]
    assert list(highest["distance"]) == [1, 0]
    assert list(lowest["distance"]) == [2, 1]


@pytest.mark.parametrize(
    ("text", "distances"),
    [("0:200", range(0, 201, 5)), ("3:10:1", range(3, 11)), ("7:7", [7]), ("0:9:4", [0, 4, 8])],
)
def test_distances_include_both_ends(text: str, distances: Sequence[int]) -> None:
    assert list(parse_distances(text)) == list(distances)


@pytest.mark.parametrize("text", ["", "5", "9:3", "0:10:0", "-1:5", "0:a", "0-200", "0:1000000:1"])
def test_other_distances_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=rf"--distances {re.escape(text)}: ") as error:
        PairOptions(distances=text)
    assert "\n" not in str(error.value)


def test_motifs_of_a_pair_are_found_by_id_then_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    motifs = [Motif(name, at, np.eye(4)) for name, at in
              (("CTCF", "MA1"), ("SRF", "MA2"), ("CTCF", "MA3"))]  # fmt: skip
    chosen = choose_pairs(
        motifs, PairOptions((("ctcf", "srf"), ("ma3", "MA1"), ("ctcf", "srf"))), "x.meme"
    )
    ids = [[motif.matrix_id for motif in pair] for pair in chosen]
    assert ids == [["MA1", "MA2"], ["MA3", "MA1"]]
    assert "--pair ctcf: MA1 is used; its name is also that of MA3" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"--pair GATA1: no motif of x\.meme has this name"):
        choose_pairs(motifs, PairOptions((("GATA1", "SRF"),)), "x.meme")
    with pytest.raises(UsageError, match=r"--pair CTFC: .* has this name; did you mean CTCF\?"):
        choose_pairs(motifs, PairOptions((("CTFC", "SRF"),)), "x.meme")
    with pytest.raises(UsageError, match="expected two motifs"):
        PairOptions((("CTCF",),))  # type: ignore[arg-type]


def test_distances_without_a_pair_are_refused() -> None:
    assert PairOptions().distances == "0:200"
    with pytest.raises(UsageError, match="--distances 0:100: expected --pair too"):
        PairOptions(distances="0:100")


def arrangement_of(sites: Sequence[Site], a: str) -> str:
    """Return the arrangement of two planted sites with A's name, as `pair_effects` writes it."""
    first, second = sites
    is_left = first.motif == a
    site_a, site_b = (first, second) if is_left else (second, first)
    found = Arrangement(site_a.strand, site_b.strand, is_left)
    if found not in ARRANGEMENTS:
        found = found.from_other_strand()
    assert found in ARRANGEMENTS
    return found.text


def test_the_truth_of_simulated_pairs_is_what_is_planted() -> None:
    """Every planted pair is compared with the truth of every target that has a rule about it."""
    motifs = simulated_motifs()
    codes = np.zeros(2_000_000, np.uint8)
    planted = plant(codes, motifs, np.random.default_rng(0), element_rate=1.0)
    rules = {CTCF: SRF, REST: HNF4A, ZNF143: EGR3}
    raised = (NEAR, ORDER, FACING_TARGET)
    seen = {(target, follows): 0 for target in raised for follows in (True, False)}
    for element in planted:
        if len(element.sites) < 2:
            continue
        names = {site.motif for site in element.sites}
        a, b = next(pair for pair in rules.items() if set(pair) == names)
        arrangement = arrangement_of(element.sites, a)
        gap = element.sites[1].start - element.sites[0].end
        bound = {target for target, _ in element.centres()}
        for target in (*raised, ALONE):
            truth = pair_truth(target.name, a, b)
            if truth is None:
                continue
            follows = any(low <= gap <= high for low, high in truth.planted.get(arrangement, ()))
            breaks = any(low <= gap <= high for low, high in truth.decoys.get(arrangement, ()))
            assert follows != breaks
            assert follows == (gap <= truth.near_bp and arrangement in truth.planted)
            assert (target in bound) == (follows == truth.is_raised)
            if target is not ALONE:
                seen[target, follows] += 1
    assert min(seen.values()) > 100
    assert pair_truth("open", CTCF, SRF) is None
    assert pair_truth("peaks of mine", CTCF, SRF) is None
    assert pair_truth(NEAR.name, REST, HNF4A) is None

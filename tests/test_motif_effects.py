"""Motif experiments give tangermeme's numbers, and find what was planted."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from both_strands import BothStrands
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ttest_1samp
from scipy.stats import t as student_t
from torch import Tensor, nn
from trained_run import TrainedRun

import bioq
from bioq import ModelSizes, dna
from bioq.cli import main
from bioq.errors import BioqError, UsageError
from bioq.interpretation import ablation_effects, insertion_effects
from bioq.interpretation.motif_experiments import ablation, insertion, job
from bioq.interpretation.motif_experiments.ablation import (
    has_other_places,
    other_places,
    shuffled_places,
)
from bioq.interpretation.motif_experiments.backgrounds import WindowSource
from bioq.interpretation.motif_experiments.insertion import most_probable, with_site
from bioq.interpretation.motif_experiments.job import open_effect_inputs
from bioq.interpretation.motif_experiments.logits import edit_logits, window_logits
from bioq.interpretation.motif_experiments.occurrences import find_occurrences
from bioq.interpretation.motif_experiments.options import (
    MotifEffectOptions,
    PairOptions,
    choose_motifs,
)
from bioq.interpretation.motif_experiments.table import mean_of
from bioq.models import build_model
from bioq.models.device import device_of
from bioq.motifs import Motif, write_meme
from bioq.runs.trained_model import Ensemble

pytest.importorskip("tangermeme", reason="tangermeme is not installed")

from tangermeme.ablate import ablate
from tangermeme.marginalize import marginalize

CODES = npt.NDArray[np.uint8]
TINY = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
SITES = ("TGACTCAT", "CACGTGGCCAAT", "GGGCGGG")


def exact(sites: tuple[str, ...] = SITES) -> list[Motif]:
    """Motifs that allow one sequence each."""
    return [Motif(f"m{at}", site, np.eye(4)[dna.encode(site)]) for at, site in enumerate(sites)]


@pytest.fixture(params=["danq", "two layers", "marq", "deepsea", "loaded"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    if request.param == "loaded":
        return bioq.load(request.getfixturevalue("run"))
    torch.manual_seed(0)
    name, sizes = {
        "danq": ("danq", TINY),
        "two layers": ("bioq", TINY),
        "marq": ("marq", TINY),
        "deepsea": ("deepsea", ModelSizes(filters=8, dense_units=8)),
    }[request.param]
    built = build_model(name, targets=2, window_bp=200, sizes=sizes).eval()
    with torch.no_grad():  # fresh weights hardly tell windows apart
        for parameter in built.parameters():
            parameter.mul_(3)
        if name == "marq":
            built.window.output.weight.normal_()
            built.composition.weight.normal_(std=0.05)
    return built


@pytest.fixture
def backgrounds() -> CODES:
    return np.random.default_rng(1).integers(0, 4, (7, 200)).astype(np.uint8)


def one_hot(codes: CODES) -> Tensor:
    return torch.from_numpy(dna.one_hot(codes)).float()


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_insertion_gives_the_numbers_of_tangermeme_s_marginalize(
    model: nn.Module, backgrounds: CODES, strands: Any
) -> None:
    table = insertion_effects(model, backgrounds, exact(), strands=strands)
    theirs = BothStrands(model) if strands == "both" else model
    rows = table.set_index(["motif", "target"])
    largest = 0.0
    for motif in exact():
        means = []
        for site, column in (
            (motif.matrix_id, "forward"),
            (dna.decode(dna.reverse_complement(dna.encode(motif.matrix_id))), "reverse"),
        ):
            start = (200 - len(site)) // 2
            before, after = marginalize(
                theirs, one_hot(backgrounds), site, start=start, device="cpu"
            )
            means.append((after - before).numpy())
            mine = rows.loc[motif.name, column].to_numpy()
            np.testing.assert_allclose(mine, means[-1].mean(axis=0), atol=1e-5)
        effects = np.mean(means, axis=0)
        expected = ttest_1samp(effects.astype(np.float64), 0).confidence_interval(0.95)
        for column, value in (("effect", effects.mean(0)), ("low", expected.low)):
            np.testing.assert_allclose(rows.loc[motif.name, column], value, atol=1e-5)
        np.testing.assert_allclose(rows.loc[motif.name, "high"], expected.high, atol=1e-5)
        largest = max(largest, float(abs(effects).max()))
    assert largest > 1e-3


def test_the_control_is_that_of_the_scrambled_sites(
    model: nn.Module, backgrounds: CODES, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insertion, "SCRAMBLES", 3)
    motif = exact()[1]
    table = insertion_effects(model, backgrounds, [motif], strands="forward", seed=4)
    random = np.random.default_rng(4)
    site = dna.encode(motif.matrix_id)
    scrambles = [random.permutation(site) for _ in range(3)]
    start = 94
    controls, differences = [], []
    for row, window in enumerate(backgrounds):
        changes = []
        for each in (site, scrambles[row % 3]):
            pair = []
            for strand in (each, dna.reverse_complement(each)):
                before, after = marginalize(
                    model, one_hot(window[None]), dna.decode(strand), start=start, device="cpu"
                )
                pair.append((after - before).numpy()[0])
            changes.append(np.mean(pair, axis=0))
        controls.append(changes[1])
        differences.append(changes[0] - changes[1])
    np.testing.assert_allclose(table["control"], np.mean(controls, axis=0), atol=1e-5)
    groups = np.stack([np.mean(differences[each::3], axis=0) for each in range(3)])
    np.testing.assert_allclose(table["difference"], groups.mean(axis=0), atol=1e-5)
    error = groups.std(axis=0, ddof=1) * np.sqrt(1 + 1 / 3)
    half = student_t.ppf(0.975, 2) * error
    np.testing.assert_allclose(table["difference_high"], groups.mean(axis=0) + half, atol=1e-4)
    p = 2 * student_t.sf(abs(groups.mean(axis=0)) / error, 2)
    np.testing.assert_allclose(table["p"], p, atol=1e-3)
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"]))


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_ablation_gives_the_numbers_of_tangermeme_s_ablate(
    model: nn.Module, backgrounds: CODES, strands: Any
) -> None:
    """Both shuffle the same bases in the same way."""
    motif = exact()[1]
    site, windows = dna.encode(motif.matrix_id), backgrounds.copy()
    starts = np.array([12, 30, 94, 150, 188])
    for row, start in enumerate(starts):
        windows[row, start : start + 12] = site if row % 2 else dna.reverse_complement(site)
    table = ablation_effects(model, windows, [motif], strands=strands, min_sites=1, seed=3)
    found = find_occurrences(windows, [motif], most=100)[0]
    assert dict(zip(found.window.tolist(), found.start.tolist(), strict=True)) == dict(
        enumerate(starts.tolist())
    )
    theirs = BothStrands(model) if strands == "both" else model
    random = np.random.default_rng(3)
    changes = []
    for places in (found.start, other_places(found.start, 12, 200)):
        edits = shuffled_places(windows[found.window], places, 12, random)
        edits = edits.reshape(5, ablation.DRAWS, 200)
        change = []
        for row, start in enumerate(places.tolist()):
            before, after = ablate(
                theirs,
                one_hot(windows[found.window[row]][None]),
                start,
                start + 12,
                n=ablation.DRAWS,
                shuffle_fn=lambda _windows, row=row, edits=edits, **_: one_hot(edits[row])[None],
                device="cpu",
            )
            change.append((after - before[:, None]).mean(dim=(0, 1)).numpy())
        changes.append(np.stack(change))
    effects, controls = changes
    np.testing.assert_allclose(table["effect"], effects.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(table["control"], controls.mean(axis=0), atol=1e-5)
    expected = ttest_1samp((effects - controls).astype(np.float64), 0)
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose(table["difference_low"], interval.low, atol=1e-5)
    np.testing.assert_allclose(table["difference_high"], interval.high, atol=1e-5)
    np.testing.assert_allclose(table["p"], expected.pvalue, atol=1e-3)
    assert (table["n"] == 5).all()
    assert abs(table["effect"]).max() > 1e-3


def test_logits_of_an_ensemble_are_the_mean_of_its_members(backgrounds: CODES, run: Path) -> None:
    members = [bioq.load(run), bioq.load(run)]
    with torch.no_grad():
        members[1].network.output.bias.add_(1.0)
    ensemble = Ensemble(members, architecture=members[0].config.model)
    with torch.inference_mode():
        expected = BothStrands(ensemble)(one_hot(backgrounds)).numpy()
    np.testing.assert_allclose(window_logits(ensemble, backgrounds), expected, atol=1e-5)
    of = np.array([3, 3, 0])
    edits = edit_logits(ensemble, backgrounds, backgrounds[[1, 2, 4]], of)
    np.testing.assert_allclose(edits, expected[[1, 2, 4]], atol=1e-5)
    assert device_of(ensemble).type == "cpu"


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


def test_a_motif_longer_than_the_windows_is_refused(run: Path, backgrounds: CODES) -> None:
    with pytest.raises(UsageError, match=r"motif m0 .* has 201 bp, more than the windows of 200"):
        insertion_effects(bioq.load(run), backgrounds, exact(("A" * 201,)))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (PairOptions(), r"motif m1 .* has 201 bp, more than the windows of 200"),
        (PairOptions((("m0", "m0"),), "0:180:90"), r"distance 180: .* windows of 200 bp"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pairs: PairOptions,
    message: str,
) -> None:
    monkeypatch.setattr(job, "read_windows", lambda *_: pytest.fail("windows were read"))
    motifs = tmp_path / "m.meme"
    write_meme(motifs, exact(("A" * 15, "C" * 201)), [20, 20])
    with pytest.raises(UsageError, match=message):
        open_effect_inputs(run, str(motifs), WindowSource(), MotifEffectOptions(), pairs)


@given(st.integers(2, 300), st.data())
def test_the_other_place_is_inside_and_does_not_overlap(
    window_bp: int, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, (window_bp + 1) // 3))
    start = data.draw(st.integers(0, window_bp - length))
    (other,) = other_places(np.array([start]), length, window_bp)
    assert 0 <= other <= window_bp - length
    assert abs(other - start) >= length
    mirrored = window_bp - length - start
    assert other == mirrored or abs(mirrored - start) < length


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_length_has_other_places_if_every_site_leaves_room_beside_it(
    length: int, window_bp: int
) -> None:
    starts = range(window_bp - length + 1)
    room = all(max(start, window_bp - length - start) >= length for start in starts)
    assert length > window_bp or has_other_places(length, window_bp) == room


def test_a_motif_without_room_for_a_control_is_not_taken_out(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    windows = np.random.default_rng(1).integers(0, 4, (12, 200)).astype(np.uint8)
    sites = [dna.decode(windows[0, 60 : 60 + length]) for length in (67, 68)]
    for length in (67, 68):
        windows[:, 60 : 60 + length] = windows[0, 60 : 60 + length]
    table = ablation_effects(bioq.load(run), windows, exact(tuple(sites)))
    fits, long = (table[table["matrix_id"] == site] for site in sites)
    assert fits["effect"].notna().all()
    assert fits["note"].unique().tolist() == [""]
    assert long["effect"].isna().all()
    assert long["n"].unique().tolist() == [12]
    assert long["note"].unique().tolist() == ["68 bp, longer than a third of the window"]
    assert f"note: m1 ({sites[1]}), 68 bp, is not taken out: a control would overlap its site" in (
        capsys.readouterr().err
    )


def test_shuffled_places_keep_their_bases_and_the_rest_of_the_window(backgrounds: CODES) -> None:
    starts = np.array([0, 10, 20, 50, 100, 150, 190])
    edited = shuffled_places(backgrounds, starts, 10, np.random.default_rng(0))
    assert edited.shape == (7 * ablation.DRAWS, 200)
    for row, each in enumerate(edited):
        window, start = backgrounds[row // ablation.DRAWS], starts[row // ablation.DRAWS]
        inside = np.arange(start, start + 10)
        np.testing.assert_array_equal(np.delete(each, inside), np.delete(window, inside))
        np.testing.assert_array_equal(np.sort(each[inside]), np.sort(window[inside]))
    assert (edited != np.repeat(backgrounds, ablation.DRAWS, axis=0)).any()


def test_sites_are_the_best_of_each_window_on_either_strand() -> None:
    """Compared with log-odds of every position, summed one by one."""
    random = np.random.default_rng(2)
    motif = Motif("m", "m", random.dirichlet([0.1] * 4, size=9))
    windows = random.integers(0, 4, (300, 120)).astype(np.uint8)
    for row in range(20):
        windows[row, 5 * row : 5 * row + 9] = most_probable(motif)
    windows[1] = dna.reverse_complement(windows[0])
    found = find_occurrences(windows, [motif], most=15)[0]
    odds = np.log2(motif.probabilities + 1e-4) - np.log2(0.25)
    forward, reverse = odds, odds[::-1, ::-1]
    best = np.full(300, -np.inf)
    at = np.zeros(300, int)
    for row, window in enumerate(windows):
        for start in range(112):
            bases = window[start : start + 9]
            score = max(strand[np.arange(9), bases].sum() for strand in (forward, reverse))
            if score > best[row] + 1e-9:
                best[row], at[row] = score, start
    assert len(found) == 15
    assert found.found >= 20
    assert set(found.window.tolist()) <= set(np.flatnonzero(best >= np.sort(best)[-20]).tolist())
    np.testing.assert_array_equal(found.start, at[found.window])
    middle = find_occurrences(windows, [motif], most=300, span_bp=40)[0]
    every = find_occurrences(windows, [motif], most=300)[0]
    assert 0 < len(middle) < len(every)
    assert ((middle.start + 4 >= 40) & (middle.start + 4 < 80)).all()
    inside = (every.start + 4 >= 40) & (every.start + 4 < 80)
    expected = dict(zip(every.window[inside], every.start[inside], strict=True))
    found_inside = dict(zip(middle.window, middle.start, strict=True))
    assert found_inside.items() >= expected.items()


def test_short_motifs_have_sites_too() -> None:
    windows = np.random.default_rng(2).integers(0, 4, (300, 120)).astype(np.uint8)
    for length in (5, 6, 7):
        site = "CACGTGA"[:length]
        found = find_occurrences(windows, exact((site,)), most=300)[0]
        opposite = dna.decode(dna.reverse_complement(dna.encode(site)))
        texts = [dna.decode(window) for window in windows]
        expected = {row for row, text in enumerate(texts) if site in text or opposite in text}
        assert set(found.window.tolist()) == expected


def test_too_few_sites_or_backgrounds_have_no_numbers(run: Path, backgrounds: CODES) -> None:
    model = bioq.load(run)
    table = ablation_effects(model, backgrounds, exact(("ACGTACGTACGTACG",)))
    assert table["note"].unique().tolist() == ["0 sites, fewer than 10"]
    assert table[["effect", "control", "difference", "p", "q"]].isna().all(axis=None)
    one = insertion_effects(model, backgrounds[:1], exact())
    assert one["effect"].notna().all()
    assert one[["low", "high", "p", "q"]].isna().all(axis=None)


def test_a_mean_without_spread_has_p_0_or_1() -> None:
    same = mean_of(np.array([[0.0, 2.0]] * 3))
    assert same.p.tolist() == [1, 0]
    assert same.low.tolist() == [0, 2]


def test_motifs_are_chosen_by_name_or_id() -> None:
    motifs = [Motif(name, at, np.eye(4)) for name, at in (("REB1", "MA1"), ("ABF1", "MA2"))]
    assert choose_motifs(motifs, (), "x") == motifs
    assert [each.name for each in choose_motifs(motifs, ("Reb1",), "x")] == ["REB1"]
    assert [each.name for each in choose_motifs(motifs, ("*1", "ma2"), "x")] == ["REB1", "ABF1"]
    with pytest.raises(UsageError, match=r"--motif SFP1: no motif of x .*; it has REB1, ABF1"):
        choose_motifs(motifs, ("SFP1",), "x")


def test_the_numbers_of_targets_are_columns_of_all_targets(run: Path, backgrounds: CODES) -> None:
    model = bioq.load(run)
    every = insertion_effects(model, backgrounds, exact()).drop(columns="q")
    second = insertion_effects(model, backgrounds, exact(), targets=[1]).drop(columns="q")
    expected = every[every["target"] == "second"].reset_index(drop=True)
    pd.testing.assert_frame_equal(second, expected)


@pytest.fixture(scope="session")
def planted(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MEME file of the motifs that `trained` has learned, and of one that it has not seen."""
    path = tmp_path_factory.mktemp("meme") / "planted.meme"
    sites = {**trained.motifs, "unseen": "GTTTAAACTTA"}
    motifs = [Motif(name, name, np.eye(4)[dna.encode(site)]) for name, site in sites.items()]
    write_meme(path, motifs, [20] * 3)
    return path


def test_the_command_finds_what_was_planted(
    trained: TrainedRun, planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "effects"
    words = ["motif-effects", str(trained.run), "--motifs", str(planted), "--out", str(out)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "put in: 2 of 3 motifs change a target's logit" in printed
    put_in = pd.read_csv(out / "insertion.tsv", sep="\t", keep_default_na=False)
    taken_out = pd.read_csv(out / "ablation.tsv", sep="\t")
    for target in trained.motifs:
        rows = put_in[put_in["target"] == target].set_index("motif")
        assert rows["effect"].idxmax() == target
        assert rows.loc[target, "difference_low"] > 1
        assert rows.loc[target, "q"] < 1e-3
        assert abs(rows.loc["unseen", "effect"]) < 0.2 * rows.loc[target, "effect"]
        gone = taken_out[taken_out["target"] == target].set_index("motif")
        assert gone["effect"].idxmin() == target
        assert gone.loc[target, "difference_high"] < -1
        assert gone.loc[target, "n"] == 100
    assert main(words) == 1
    assert "exists" in capsys.readouterr().err
    assert main([*words, "--force", "--motif", "FIRST", "--targets", "second"]) == 0
    again = pd.read_csv(out / "insertion.tsv", sep="\t")
    assert again[["motif", "target"]].values.tolist() == [["first", "second"]]

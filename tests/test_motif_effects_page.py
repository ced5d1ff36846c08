"""The page and the figures of motif experiments show the numbers of the tables."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from trained_run import TrainedRun

from bioq import dna
from bioq.builders.simulation.grammar import ALONE, CTCF, HNF4A, NEAR, ORDER, REST, SRF
from bioq.builders.simulation.pair_truth import pair_truth
from bioq.cli import main
from bioq.interpretation.motif_experiments.pairs import ARRANGEMENTS
from bioq.motifs import Motif, write_meme
from bioq.plots.motif_effects import MOST_MOTIFS, MOST_TARGETS, plot_insertions
from bioq.plots.motif_pairs import plot_pair
from bioq.plots.numbers import logit_text
from bioq.reports.motif_effects import joined
from bioq.reports.motif_logos import motif_logos
from bioq.reports.motif_pairs import draw_pairs, known_truth


def example(arrangements: Sequence[str], distances: Sequence[int]) -> pd.DataFrame:
    """Return a table of one pair and target, each value another number."""
    rows = []
    for place, arrangement in enumerate(arrangements):
        for distance in distances:
            beyond = place + distance / 100
            rows.append(
                {"a": "CTCF", "a_id": "MA1", "b": "SRF", "b_id": "MA2", "arrangement": arrangement,
                 "distance": distance, "target": NEAR.name, "beyond": beyond, "low": beyond - 0.2,
                 "high": beyond + 0.1, "control": -0.5, "control_low": -0.6, "control_high": -0.4}
            )  # fmt: skip
    return pd.DataFrame(rows)


FOUR = [each.text for each in ARRANGEMENTS]


@pytest.mark.parametrize("count", [3, 4, 8])
def test_the_figure_has_the_numbers_of_the_table(count: int) -> None:
    opposite = [each.from_other_strand().text for each in ARRANGEMENTS]
    table = example([*FOUR, *opposite][:count], [0, 5, 10])
    figure = plot_pair(table)
    panels = figure.axes[:count]
    for axes, (_, rows) in zip(panels, table.groupby("arrangement", sort=False), strict=True):
        *_others, control, both = [line for line in axes.lines if len(line.get_xdata()) == 3]
        np.testing.assert_allclose(both.get_ydata(), rows["beyond"])
        np.testing.assert_allclose(control.get_ydata(), rows["control"])
        names = [text.get_text() for text in axes.texts]
        arrangement = rows["arrangement"].iloc[0]
        wanted = {"A": "CTCF", "B": "SRF"}
        assert names == [wanted[site.strip("<>")] for site in arrangement.split()]
        tips = [patch.get_xy() for patch in axes.patches if isinstance(patch, Polygon)]
        for site, corners in zip(arrangement.split(), tips, strict=True):
            points_right = corners[2][0] > corners[0][0]
            assert points_right == site.endswith(">")
    assert len({axes.get_ylim() for axes in panels}) == 1
    assert "the rule" not in legend_of(figure)


def test_the_truth_is_shaded_where_the_rule_holds() -> None:
    truth = pair_truth(ORDER.name, REST, HNF4A)
    assert truth is not None
    figure = plot_pair(example(FOUR, [0, 50]), truth)
    spans = [
        sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches
               if isinstance(patch, Rectangle))
        for axes in figure.axes
    ]  # fmt: skip
    assert spans == [[(0, 40), (10, 40)], [(10, 40)], [], []]
    assert "rule: together positive" in legend_of(figure)
    alone = pair_truth(ALONE.name, CTCF, SRF)
    assert "rule: together negative" in legend_of(plot_pair(example(FOUR, [0, 50]), alone))


def legend_of(figure: Figure) -> str:
    return "; ".join(text.get_text() for text in figure.legends[0].get_texts())


def test_the_truth_is_known_for_the_targets_of_a_simulation_only() -> None:
    simulated = pd.DataFrame({"name": [NEAR.name], "rule": [NEAR.rule]})
    assert known_truth(NEAR.name, CTCF, SRF, simulated) == pair_truth(NEAR.name, CTCF, SRF)
    assert known_truth(NEAR.name, CTCF, SRF, simulated.assign(rule="mine")) is None
    assert known_truth(NEAR.name, CTCF, SRF, simulated[["name"]]) is None


def test_names_of_motifs_and_targets_are_escaped_on_the_page() -> None:
    bad = "<script>alert(1)</script>"
    table = example(FOUR, [0, 5]).assign(a=bad, target=bad)
    ((title, (drawn,)),) = draw_pairs(table, pd.DataFrame({"name": [bad]}))
    assert "<script" not in drawn.svg
    assert title == f"{bad} and SRF"  # the template escapes it
    assert "<script" not in motif_logos(Motif(bad, bad, np.eye(4)))
    assert drawn.text.startswith("Highest: +3.05 (+2.85 to +3.15) at 5 bp, <<script>")


def insertions(motifs: int, targets: int) -> pd.DataFrame:
    """Return a table in which motif i changes target i most, and a later motif more."""
    random = np.random.default_rng(0)
    effect = random.normal(0, 0.1, (motifs, targets))
    for number in range(min(motifs, targets)):
        effect[number, number] = number + 1
    rows = [
        {"motif": f"M{row}", "matrix_id": f"MA{row}", "target": f"T{column}",
         "effect": effect[row, column], "control": 0.01 * column,
         "difference": effect[row, column] - 0.01 * column}
        for row in range(motifs)
        for column in range(targets)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("motifs", "targets"), [(3, 5), (50, 40), (1, 1), (1, 3), (1, 4), (3, 1), (4, 1)]
)
def test_the_heat_map_has_the_strongest_motifs_and_targets(motifs: int, targets: int) -> None:
    table = insertions(motifs, targets)
    axes = plot_insertions(table).axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    assert len(rows) == min(motifs, MOST_MOTIFS)
    assert len(columns) == min(targets, MOST_TARGETS)
    most = min(motifs, targets)
    assert rows[0] == f"M{most - 1}"
    assert columns[0] == f"T{most - 1}"
    drawn = axes.images[0].get_array()
    controls = axes.collections[0].get_array()
    assert controls is not None
    by_name = table.set_index(["motif", "target"])
    expected = [[by_name.loc[(row, column)] for column in columns] for row in rows]
    np.testing.assert_allclose(drawn, [[cell["effect"] for cell in row] for row in expected])
    shown = np.reshape(controls, np.shape(drawn))
    np.testing.assert_allclose(shown, [[cell["control"] for cell in row] for row in expected])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.234, "+1.23"), (-1.235, "−1.24"), (-0.001, "+0.00"), (float("nan"), "–")],
)
def test_a_change_has_a_sign(value: float, text: str) -> None:
    assert logit_text(value) == text


def test_the_command_writes_pairs_and_a_page(
    trained: TrainedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meme, out = tmp_path / "planted.meme", tmp_path / "effects"
    motifs = [
        Motif(name, name, np.eye(4)[dna.encode(site)])
        for name, site in (*trained.motifs.items(), ("<b>unseen", "GTTTAAACTTA"))
    ]
    write_meme(meme, motifs, [20] * len(motifs))
    a, b = trained.motifs
    words = ["motif-effects", str(trained.run), "--motifs", str(meme), "--out", str(out)]
    pairs = ["--pair", a, b, "--pair", b, "<b>unseen", "--distances", "0:20:10", "--windows", "20"]
    assert main([*words, *pairs]) == 0
    printed = capsys.readouterr().out
    assert f"{a} and {b}, logit beyond the sum:\n  highest: " in printed
    table = pd.read_csv(out / "pairs.tsv", sep="\t")
    assert sorted(table["distance"].unique()) == [0, 10, 20]
    assert table.groupby(["a", "b"], sort=False).ngroups == 2
    alone = pd.read_csv(out / "insertion.tsv", sep="\t").set_index(["motif", "target"])
    for name, column in ((a, "effect_a"), (b, "effect_b")):
        rows = table[(table["a"] == a) & (table["target"] == name)]
        # the same model and windows, a few bases beside the middle
        np.testing.assert_allclose(rows[column], alone.loc[(name, name), "effect"], rtol=0.5)
    page = (out / "motif_effects.html").read_text(encoding="utf-8")
    assert page.count("<article") == 3
    assert f"<h3>{a} and {b}</h3>" in page
    assert "<b>unseen" not in page
    assert "&lt;b&gt;unseen" in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    largest = alone.loc[(a, a)]
    assert logit_text(largest["effect"]) in page
    assert main([*words, "--pair", a, "nothing", "--force"]) == 2
    assert "--pair nothing: no motif of" in capsys.readouterr().err
    assert main([*words, "--motif", b, "--windows", "10", "--force"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "ablation.tsv", "insertion.tsv", "motif_effects.html",
    ]  # fmt: skip


def test_motifs_with_one_id_have_a_card_each() -> None:
    """Numbers of a motif file are not always different."""
    effects = {"p": 0.0, "q": 0.0, "n": 5}
    rows = [
        {"motif": "1", "matrix_id": "1", "target": target, "effect": value, "control": 0.0,
         "difference": value, **effects}
        for value, target in ((1.0, "x"), (-3.0, "y"), (2.0, "x"), (0.5, "y"))
    ]  # fmt: skip
    insertion = pd.DataFrame(rows)
    ablation = insertion.assign(effect=-insertion["effect"], difference=-insertion["effect"])
    table = joined(insertion, ablation)
    assert table["number"].tolist() == [0, 1, 0, 1]
    assert table["difference"].tolist() == [-3.0, 2.0, 1.0, 0.5]
    assert table["out"].tolist() == [3.0, -2.0, -1.0, -0.5]

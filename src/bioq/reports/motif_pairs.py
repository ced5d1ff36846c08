"""The pairs of motifs on the page of motif experiments: a figure for each pair and target."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from bioq.builders.simulation.pair_truth import PairTruth, pair_truth
from bioq.dataset.targets import NAME
from bioq.interpretation.motif_experiments.pairs import highest_and_lowest
from bioq.plots.motif_pairs import plot_pair
from bioq.plots.numbers import logit_text
from bioq.plots.style import inline_svg, to_svg

MOST_TARGETS = 6
"""Targets of each pair that are drawn."""
_RULE = "rule"
"""The column of the target table of a simulated data set with the rules."""


@dataclass(frozen=True)
class DrawnPair:
    """A pair and a target."""

    target: str
    text: str
    """Where the effect beyond the sum is highest and lowest."""
    rule: str
    """The rule of a simulated target; empty for others."""
    svg: Markup


def draw_pairs(
    table: pd.DataFrame, targets: pd.DataFrame
) -> Iterator[tuple[str, Sequence[DrawnPair]]]:
    """Yield the title and the figures of each pair of a table of `pair_effects`.

    `targets` is the run's target table. The targets of a simulated data set whose rule is about the
    pair come first, then those with the largest difference from the control.
    """
    for number, (_, of_pair) in enumerate(table.groupby(["a_id", "b_id"], sort=False)):
        a, b = (str(of_pair[name].iloc[0]) for name in ("a", "b"))
        highest, lowest = (rows.set_index("target") for rows in highest_and_lowest(of_pair))
        truths = {name: known_truth(name, a, b, targets) for name in highest.index}
        order = sorted(highest.index, key=lambda name: truths[name] is None)
        drawn = []
        for place, target in enumerate(order[:MOST_TARGETS]):
            truth = truths[target]
            text = (
                f"Highest: {beyond_text(highest.loc[target])}. "
                f"Lowest: {beyond_text(lowest.loc[target])}."
            )
            figure = plot_pair(of_pair[of_pair["target"] == target], truth)
            title = f"{a} and {b}, {target}: logit beyond the sum by distance"
            svg = inline_svg(to_svg(figure), name=f"pair{number}-{place}", title=title)
            drawn.append(DrawnPair(target, text, truth.rule if truth else "", Markup(svg)))
        yield f"{a} and {b}", drawn


def known_truth(target: str, a: str, b: str, targets: pd.DataFrame) -> PairTruth | None:
    """Return the rule of a target about two motifs if the run's targets are those of a simulated
    data set; None for others."""
    if _RULE not in targets:
        return None
    rules = dict(zip(targets[NAME], targets[_RULE], strict=True))
    truth = pair_truth(target, a, b)
    return truth if truth is not None and truth.rule == rules.get(target) else None


def beyond_text(row: pd.Series) -> str:
    """Return the effect of a row in words: `+4.9 (+4.8 to +5.0) at 15 bp, CTCF> SRF>`."""
    names = {"A": str(row["a"]), "B": str(row["b"])}
    sites = [
        site.replace(site.strip("<>"), names[site.strip("<>")])
        for site in str(row["arrangement"]).split()
    ]
    beyond, low, high, control = (
        logit_text(row[name]) for name in ("beyond", "low", "high", "control")
    )
    place = f"at {row['distance']} bp, {' '.join(sites)}"
    return f"{beyond} ({low} to {high}) {place}; control {control}"

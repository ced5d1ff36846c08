"""The page of motif experiments: the strongest motifs of each target, logos, pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from bioq.interpretation.motif_experiments.job import MotifEffects
from bioq.interpretation.motif_experiments.table import SIGNIFICANT_Q
from bioq.plots.motif_effects import plot_insertions
from bioq.plots.style import inline_svg, to_svg
from bioq.reports.motif_logos import motif_logos
from bioq.reports.motif_pairs import draw_pairs, signed
from bioq.reports.page import page_template

MOST_CARDS = 300
"""Motifs on the page, the strongest first; all are in the tables."""
MOST_ROWS = 1000
"""Targets in the table of targets."""
TARGETS_PER_MOTIF = 5

_Row = dict[str, Any]


def effects_page(result: MotifEffects) -> str:
    """Return a self-contained HTML page: pairs, a heat map, the strongest motif of each target, and
    a card per motif with its logo, the largest difference from the control first."""
    inputs = result.inputs
    rows = joined(result.insertion, result.ablation)
    figure = inline_svg(
        to_svg(plot_insertions(result.insertion)),
        name="insertions",
        title="Change of the logit by the strongest motifs, for the strongest targets",
    )
    pairs = [] if result.pairs is None else list(draw_pairs(result.pairs, inputs.model.targets))
    of_targets = rows.drop_duplicates("target")
    about = {
        "run": inputs.run,
        "source": inputs.source,
        "background": inputs.background,
        "windows": inputs.windows.what,
        "motifs": len(inputs.motifs),
        "targets": len(of_targets),
    }
    return page_template("motif_effects.html.j2", {"signed": signed}).render(
        about=about,
        figure=Markup(figure),
        pairs=pairs,
        targets=of_targets.head(MOST_ROWS).to_dict("records"),
        cards=_cards(rows, result),
        significant_q=SIGNIFICANT_Q,
    )


def joined(insertion: pd.DataFrame, ablation: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `insertion_effects`, the largest difference from the control first.

    Added are the columns `out`, `out_control`, `out_difference` and `out_q` of the same row of
    `ablation_effects` (NaN without sites) and `number`, that of the motif.
    """
    taken_out = ablation[["effect", "control", "difference", "q"]].to_numpy()
    columns = ["out", "out_control", "out_difference", "out_q"]
    table = insertion.reset_index(drop=True)
    table[columns] = taken_out
    table["number"] = np.arange(len(table)) // max(table["target"].nunique(), 1)
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _cards(rows: pd.DataFrame, result: MotifEffects) -> Sequence[_Row]:
    """Return the motifs with their strongest targets, in the order of the rows."""
    cards = []
    for number in rows["number"].unique()[:MOST_CARDS].tolist():
        of_motif = rows[rows["number"] == number]
        motif = result.inputs.motifs[number]
        out = of_motif["out_difference"].abs().max()
        cards.append(
            {
                "name": motif.name,
                "matrix_id": motif.matrix_id,
                "site": of_motif["site"].iloc[0],
                "logo": Markup(motif_logos(motif)),
                "put_in": of_motif["difference"].abs().max(),
                "taken_out": 0.0 if out != out else out,
                "rows": of_motif.head(TARGETS_PER_MOTIF).to_dict("records"),
            }
        )
    return cards

"""The folder of `bioq motif-effects`: its tables and its page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from bioq.files import FolderKind, new_folder, refuse_input, require_absent
from bioq.interpretation.motif_experiments.backgrounds import WindowSource
from bioq.interpretation.motif_experiments.job import (
    ABLATION,
    INSERTION,
    PAIRS,
    MotifEffects,
    motif_effects,
    open_effect_inputs,
)
from bioq.interpretation.motif_experiments.options import MotifEffectOptions, PairOptions
from bioq.interpretation.motif_matches import SIGNIFICANT_Q
from bioq.plots.motif_effects import plot_insertions
from bioq.plots.numbers import logit_text
from bioq.plots.style import inline_svg, to_svg
from bioq.reports.motif_logos import motif_logos
from bioq.reports.motif_pairs import draw_pairs
from bioq.reports.page import page_template

PAGE = "motif_effects.html"
_KIND = FolderKind(INSERTION, (ABLATION, PAIRS, PAGE))
MOST_CARDS = 300
"""Motifs on the page, the strongest first; all are in the tables."""
MOST_ROWS = 1000
"""Targets in the table of targets."""
TARGETS_PER_MOTIF = 5

_Row = dict[str, Any]


def write_effects_folder(
    run: Path,
    out: Path,
    *,
    motifs: str,
    windows: WindowSource = WindowSource(),  # noqa: B008 frozen
    options: MotifEffectOptions = MotifEffectOptions(),  # noqa: B008 frozen
    pairs: PairOptions = PairOptions(),  # noqa: B008 frozen
    force: bool = False,
) -> MotifEffects:
    """Put motifs into DNA, take them out, and write the folder `out`; return the effects.

    The folder has insertion.tsv, ablation.tsv, pairs.tsv if there are pairs, and
    motif_effects.html. `motifs` is a JASPAR release or a MEME file.
    Raises BioqError if `out` exists (`force` replaces such a folder).
    """
    replaces = _KIND if force else None
    require_absent(out, replaces=replaces)
    refuse_input(out, run, windows.given, windows.genome, windows.chrom_alias, motifs)
    inputs = open_effect_inputs(run, motifs, windows, options, pairs)
    with new_folder(out, replaces=replaces) as folder:
        result = motif_effects(inputs)
        result.write(folder)
        (folder / PAGE).write_text(effects_page(result), encoding="utf-8")
    return result


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
    return page_template("motif_effects.html.j2", {"logit": logit_text}).render(
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

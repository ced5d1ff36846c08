"""The page of a run's filter motifs: a logo of every filter above the logo of its best match."""

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from bioq.files import FolderKind, new_folder, refuse_input, require_absent
from bioq.interpretation.filter_motifs import (
    FilterMotifs,
    explain_filters,
    open_motif_inputs,
)
from bioq.interpretation.filters import MotifOptions
from bioq.interpretation.motif_matches import SIGNIFICANT_Q
from bioq.reports.motif_logos import motif_logos
from bioq.reports.page import page_template

PAGE = "motifs.html"
_KIND = FolderKind(PAGE, ("motifs.tsv", "motifs.meme", "effects.tsv"))


def write_motif_folder(
    run: Path,
    out: Path,
    *,
    dataset: Path | None = None,
    options: MotifOptions = MotifOptions(),  # noqa: B008 frozen
    force: bool = False,
) -> FilterMotifs:
    """Find the motifs of a run's filters and write the folder `out`; return them.

    The folder has motifs.html, motifs.tsv, motifs.meme and effects.tsv. The windows are those of
    `dataset`, by default of the data set that the run was trained on. Raises BioqError if `out`
    exists (`force` replaces such a folder of motifs), the data set does not fit the run, or no
    filter has a site.
    """
    replaces = _KIND if force else None
    require_absent(out, replaces=replaces)
    refuse_input(out, run, dataset, options.against)
    inputs = open_motif_inputs(run, dataset, options)
    with new_folder(out, replaces=replaces) as folder:
        result = explain_filters(inputs)
        result.write(folder)
        (folder / PAGE).write_text(motifs_page(result), encoding="utf-8")
    return result


def motifs_page(result: FilterMotifs) -> str:
    """Return a self-contained HTML page: one card per filter, by q-value, then information."""
    inputs = result.inputs
    by_id = {motif.matrix_id: motif for motif in inputs.against}
    motif_of = {each.filter: each.motif for each in result.motifs}
    ordered = result.table.sort_values(["q", "information_bits"], ascending=[True, False])
    cards = []
    for row in ordered.to_dict("records"):
        match = by_id.get(row["matrix_id"])
        if match is not None and row["strand"] == "-":
            match = match.reverse_complement()
        motif = motif_of.get(row["filter"])
        cards.append(
            row
            | {
                "logo": Markup("" if motif is None else motif_logos(motif, match, row["offset"])),
                "significant": row["q"] < SIGNIFICANT_Q,
                "targets": result.strongest.get(row["filter"], ()),
            }
        )
    about = {
        "run": inputs.run,
        "data": inputs.data,
        "split": inputs.split.name,
        "windows": result.windows,
        "against": inputs.options.against,
        "matched": result.matched,
        "few": result.few_sites,
        "min_sites": inputs.options.min_sites,
        "silent": result.silent,
    }
    filters = {"short": _short, "integer": _integer}
    return page_template("motifs.html.j2", filters).render(
        about=about, cards=cards, significant_q=SIGNIFICANT_Q
    )


def _short(value: float) -> str:
    """Return a p- or q-value with two digits, or a dash for NaN."""
    return "–" if pd.isna(value) else f"{value:.1e}" if value < 1e-3 else f"{value:.2g}"


def _integer(value: float) -> str:
    return f"{int(value):,}"

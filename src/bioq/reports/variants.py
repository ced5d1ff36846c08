"""The report of a scoring: a page of the alleles of the highest ranks, with their logos."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bioq.dataset.targets import NAME
from bioq.errors import MOST_SHOWN, UsageError, short
from bioq.files import new_file, refuse_input, require_absent, require_folder_for
from bioq.genome.alleles import SCORED, STATUSES
from bioq.genome.notation import VariantText
from bioq.genome.vcf import VcfContent
from bioq.inputs import alleles_name
from bioq.plots.names import short_name
from bioq.plots.numbers import phred_text, probability_text, share_text, signed_text
from bioq.plots.style import inline_svg, to_svg
from bioq.plots.variants import name_points, plot_ranking
from bioq.progress import progress
from bioq.reports.allele_logos import MOST_ALLELE_BP, AllelePair, allele_pair
from bioq.reports.page import page_template
from bioq.reports.top_alleles import RankedAllele, TopAlleles
from bioq.runs.trained_model import TrainedModel
from bioq.variants import Summary, VariantJob, VariantTableOptions
from bioq.variants.background.effect_counts import KINDS, are_indels
from bioq.variants.columns import group_columns, groups_in
from bioq.variants.jobs import AlsoWrite
from bioq.variants.order import by_effect
from bioq.variants.outputs.formats import Rows
from bioq.variants.scoring import Scorer
from bioq.variants.summary import summary_of

LOGOS = 10
"""Alleles whose logos are drawn: the first ten."""
FURTHER = 3
"""Targets, or groups of targets, that are listed beside the top target."""
_MOST_NAME = 120
_TARGET_LETTERS = 80
_ALLELE_LETTERS = 12
_LABEL_LETTERS = 26


def variant_report(
    job: VariantJob,
    table: VariantTableOptions,
    report: Path,
    most: int,
    *,
    force: bool = False,
) -> AlsoWrite:
    """Return what `write_variants` also writes: a page of at most `most` alleles.

    Raises UsageError for a name that does not end in .html, and the errors of an output that exists
    or is an input.
    """
    if report.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {report}: expected a name that ends in .html")
    require_folder_for(report)
    refuse_input(report, *job.inputs(), table.of_run(job.run).background_file)
    require_absent(report, force=force)
    return functools.partial(_open_report, job, report, most)


@contextlib.contextmanager
def _open_report(
    job: VariantJob, report: Path, most: int, scorer: Scorer, content: VcfContent
) -> Iterator[Rows]:
    """Yield rows that become a report: the model explains the first alleles at the end."""
    top = TopAlleles(most)
    yield top
    page = variants_page(top, scorer, summary_of(scorer, content), job)
    with new_file(report) as partial:
        partial.write_text(page, encoding="utf-8")


def variants_page(top: TopAlleles, scorer: Scorer, summary: Summary, job: VariantJob) -> str:
    """Return a self-contained HTML page of the alleles that a scorer has scored."""
    background = scorer.background
    ceilings = [np.nan] * len(KINDS) if background is None else background.most_phreds()
    rows = [_row(place, allele, scorer, ceilings) for place, allele in enumerate(top.top, start=1)]
    logos = _logos(top.top[:LOGOS], scorer)
    for row, pair in zip(rows, logos, strict=False):
        row["pair"] = pair
    return page_template("variants.html.j2", _FILTERS).render(
        about=_about(scorer, job),
        alleles=top.alleles,
        scored=top.scored,
        highest=scorer.ranked["highest"],
        rows=rows,
        groups=groups_in(scorer.columns),
        figure=_figure(top, rows) if rows else None,
        ceilings=_named(ceilings),
        statuses=[
            (status, summary.statuses[status], meaning)
            for status, meaning in STATUSES.items()
            if summary.statuses.get(status)
        ],
        warnings=summary.warnings(),
        reason=summary.none_scored(),
        sampled=len(top.points["number"]),
        most_logos=LOGOS,
        most_allele_bp=MOST_ALLELE_BP,
    )


def _about(scorer: Scorer, job: VariantJob) -> dict[str, Any]:
    """Return what the page tells about the input, the run and the background."""
    genome, background = scorer.names.genome, scorer.background
    return {
        "source": short(alleles_name(job.source), _MOST_NAME),
        "run": job.run.resolve().name,
        "genome": genome.path.name + (f" ({genome.build.name})" if genome.build else ""),
        "targets": len(scorer.targets),
        "options": scorer.options,
        "background": None if background is None else background.path.name,
        "background_variants": 0 if background is None else background.variants,
        "compared": [] if background is None else background.lines(),
        "has_ranks": background is not None and background.has_ranks,
    }


def _named(ceilings: Sequence[float]) -> list[tuple[str, float]]:
    """Return (kind, ceiling) for the page; one without a name if both kinds have the same."""
    if len(set(ceilings)) == 1 or np.isnan(ceilings).all():
        return [("", ceilings[0])] if np.isfinite(ceilings[0]) else []
    named = zip(KINDS, ceilings, strict=True)
    return [(f"{kind}s", most) for kind, most in named if np.isfinite(most)]


def _row(
    place: int, allele: RankedAllele, scorer: Scorer, ceilings: Sequence[float]
) -> dict[str, Any]:
    """Return the cells of an allele's row."""
    columns = allele.columns
    names = [str(name) for name in scorer.targets[NAME]]
    number_of = {name: number for number, name in enumerate(names)}
    best = number_of.get(str(columns["top_target"]))
    text = VariantText(*(str(columns[name]) for name in ("chrom", "pos", "id", "ref", "alt")))
    return {
        "place": place,
        "number": allele.number,
        "title": _title(text),
        "full": str(text),
        "id": "" if text.id == "." else text.id,
        "status": "" if columns["status"] == SCORED else columns["status"],
        "phred": columns["score_phred"],
        "at_ceiling": columns["score_phred"]
        >= ceilings[int(are_indels([text.ref], [text.alt])[0])],
        "target": columns["top_target"],
        "diff": columns["top_diff"],
        "of_top": {} if best is None else _scores_of(allele, best),
        "further": _groups(allele) or _further(allele, names, best),
        "pair": None,
    }


def _scores_of(allele: RankedAllele, target: int) -> dict[str, float]:
    """Return the scores of an allele for a target: name -> value."""
    return {name: float(values[target]) for name, values in allele.scores.items()}


def _groups(allele: RankedAllele) -> list[dict[str, Any]]:
    """Return the groups of targets in which an allele ranks highest, with their top targets."""
    found = []
    for group in groups_in(allele.columns):
        phred, target = (allele.columns[name] for name in group_columns(group))
        if target:
            found.append({"group": group, "target": target, "phred": float(phred)})
    found.sort(key=lambda each: -np.nan_to_num(each["phred"], nan=-1.0))
    return found[:FURTHER]


def _further(allele: RankedAllele, names: Sequence[str], best: int | None) -> list[dict[str, Any]]:
    """Return the best targets after the top target: by E-value, then by |diff|."""
    order = [n for n in by_effect(allele.scores)[: FURTHER + 1].tolist() if n != best]
    return [{"group": "", "target": names[n], **_scores_of(allele, n)} for n in order[:FURTHER]]


def _logos(alleles: Sequence[RankedAllele], scorer: Scorer) -> list[AllelePair | None]:
    """Return the logos of alleles on their top targets."""
    table = scorer.model.targets if isinstance(scorer.model, TrainedModel) else scorer.targets
    number_of = {str(name): number for number, name in enumerate(table[NAME])}
    pairs = []
    with progress("logos", len(alleles), "alleles") as advance:
        for allele in alleles:
            target = number_of[str(allele.columns["top_target"])]
            pairs.append(allele_pair(scorer, allele, target))
            advance(1)
    return pairs


def _figure(top: TopAlleles, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the figure of all alleles, or of a sample; its red points are links to rows."""
    points = top.points
    first = {each.number for each in top.top}
    others = [n for n, number in enumerate(points["number"].tolist()) if number not in first]
    has_phred = bool(np.isfinite(points["score_phred"]).any())
    diff = np.array([row["diff"] for row in rows] + points["top_diff"][others].tolist())
    if has_phred:
        rank = np.array([row["phred"] for row in rows] + points["score_phred"][others].tolist())
    else:
        # The places of sampled alleles: those of the sample, spread over all of the ranking.
        order = np.argsort(np.argsort(-np.abs(points["top_diff"][others]), kind="stable"))
        spread = (top.scored - len(rows)) / max(len(others), 1)
        rank = np.concatenate([np.arange(1.0, len(rows) + 1), len(rows) + (order + 1) * spread])
    known = np.isfinite(rank)  # a version 1 of a background, or a group of constants, has no rank
    shown = [row for row, is_known in zip(rows, known, strict=False) if is_known]
    titles = [short(row["title"], _LABEL_LETTERS) for row in shown]
    figure = plot_ranking(rank[known], diff[known], titles, has_phred=has_phred)
    svg = inline_svg(to_svg(figure), name="ranking", title="Difference by rank")
    return Markup(
        name_points(
            svg,
            lambda n: f"#allele-{shown[n]['place']}",
            lambda n: f"{shown[n]['place']}: {shown[n]['title']}, {shown[n]['target']}",
        )
    )


def _title(text: VariantText) -> str:
    """Return an allele as CONTIG:POS:REF>ALT; names and alleles of many letters are cut."""
    ref, alt = short(text.ref, _ALLELE_LETTERS), short(text.alt, _ALLELE_LETTERS)
    return str(VariantText(short(text.chrom, MOST_SHOWN), text.pos, text.id, ref, alt))


_FILTERS = {
    "signed": signed_text,
    "probability": probability_text,
    "short_name": lambda name: short_name(name, _TARGET_LETTERS),
    "phred": phred_text,
    "share": share_text,
    "integer": lambda value: f"{int(value):,}",
}

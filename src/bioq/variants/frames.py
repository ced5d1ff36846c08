"""The scored alleles of a VCF as pandas tables, for Python."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from torch import nn

from bioq.genome import ContigNames, Genome, open_genome
from bioq.inputs import AlleleInput, alleles_of
from bioq.options import of_type, path_to, text, text_list
from bioq.runs.folder import report_other_genome
from bioq.runs.trained_model import TrainedModel, require_module
from bioq.tables.layout import NUMPY_TYPE
from bioq.variants.background.of_run import open_background
from bioq.variants.scoring import Scorer, VariantOptions


def score_variants(
    model: nn.Module,
    vcf: AlleleInput,
    genome: str | Path | Genome,
    *,
    targets: Sequence[str] = (),
    options: VariantOptions = VariantOptions(),  # noqa: B008 frozen
    background: str | Path | None = None,
    group_by: str | None = None,
    chrom_alias: Mapping[str, str] | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield tables of the alleles of a VCF with their scores: one row per allele, in input order.

    Args:
        model: A model of `bioq.load`, whose targets have names. It is not changed.
        vcf: VCF or BCF, compressed or not, `"-"` for standard input, or one or more variants as
            text (`"chr22:19711000:A>G"`).
        genome: FASTA or 2bit, a name such as hg38 (see `open_genome`), or an open genome.
        targets: Globs (see `select_targets`); by default all.
        options: How to score, and where to compute.
        background: File of 'bioq background'; by default that of the run from which `model` was
            loaded, if it has one; `"none"` scores without one.
        group_by: A column of the target table.
        chrom_alias: Names of contigs, and what they are named in the genome.

    Yields:
        At most `BLOCK` rows at a time; memory does not grow. The columns are `COLUMNS`, then, with
        `group_by`, score_phred:GROUP and top_target:GROUP for each of its values, then SCORE:TARGET
        for each score of `SCORES` (of an ensemble also of `MEMBER_SCORES`, and, with a background,
        of `BACKGROUND_SCORES`). Scores are NaN for an allele that cannot be scored; the reason is
        its `status`.

    Raises:
        BioqError: When the first table is read; for a malformed VCF, with the line.
    """
    require_module(model)
    if group_by is not None:
        text("group_by", group_by)
    text_list("targets", targets)
    of_type("options", options, VariantOptions, "bioq.VariantOptions")
    of_type(
        "chrom_alias", {} if chrom_alias is None else chrom_alias, Mapping, "a mapping of names"
    )
    if not isinstance(genome, Genome):
        with open_genome(path_to("genome", genome)) as opened:
            yield from score_variants(
                model,
                vcf,
                opened,
                targets=targets,
                options=options,
                background=background,
                group_by=group_by,
                chrom_alias=chrom_alias,
            )
        return
    given = None if background is None else path_to("background", background)
    known = open_background(given, model.folder if isinstance(model, TrainedModel) else None)
    if isinstance(model, TrainedModel):
        report_other_genome("the model", model.config, genome)
    names = ContigNames(genome, chrom_alias or {})
    scorer = Scorer(model, names, options, targets=targets, background=known, group_by=group_by)
    layout = scorer.layout(scorer.score_names(), {})
    types = {name: NUMPY_TYPE[kind] for name, kind in layout.columns.items() if kind != "text"}
    for block in scorer.score(alleles_of(vcf, names)):
        frames = [pd.DataFrame(dict(block.columns)).astype(types)]
        for name, values in block.scores.items():
            frames.append(pd.DataFrame(values, columns=layout.score_columns(name)))
        yield pd.concat(frames, axis=1)

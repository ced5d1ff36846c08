"""What a table of scored alleles contains, and its output in the format that was asked for."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bioq.errors import UsageError
from bioq.options import check_types
from bioq.tables import ENDINGS, Layout, open_table, table_ending
from bioq.variants.annotate import open_annotated, require_annotatable
from bioq.variants.formats import (
    DEEPSEA_SCORES,
    Rows,
    deepsea_files,
    is_vcf,
    open_deepsea,
    open_vcf,
)
from bioq.variants.scores import BACKGROUND_SCORES, MEMBER_SCORES, score_names

Format = Literal["table", "deepsea"]


@dataclass(frozen=True)
class VariantTableOptions:
    """What a table of scored alleles contains."""

    targets: tuple[str, ...] = ()
    """Only the targets of this name, or COLUMN=VALUE of the target table; * and ? are wildcards.
    Can be given again for more."""
    scores: tuple[str, ...] = ()
    """Scores to write: some of diff, log2_odds_ratio, ref, alt, of an ensemble also diff_sd and
    sign_agreement, with --background also evalue and zscore; by default all."""
    background: Path | None = None
    """File written by 'bioq background' with this model; adds E-values and z-scores,
    and ranks alleles: score_phred."""
    group_by: str | None = None
    """Column of the target table, such as cell: adds score_phred and top_target of each group of
    targets that have the same value in it."""
    held_out: bool = False
    """Of an ensemble: score each allele only with the members whose training has not seen its
    contig."""
    format: Format = "table"
    """table: one file. deepsea: the files of DeepSEA, OUT.out.ref, .alt, .diff, .logfoldchange and
    .evalue."""
    annotate: bool = False
    """Copy the VCF or BCF, and add INFO fields with a value per ALT: status, rank, target and
    difference; with --targets or --scores also each score. The output ends in .vcf, .vcf.gz or
    .bcf; the last two get an index."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.held_out and self.background is not None:
            raise UsageError(
                "--held-out with --background: the background has the effects of all members; "
                "run without one of the two"
            )
        if self.format == "deepsea" and self.group_by is not None:
            raise UsageError(
                "--group-by with --format deepsea: DeepSEA's files have no columns for groups; "
                "write a table"
            )
        if self.annotate and self.format != "table":
            raise UsageError(
                f"--annotate with --format {self.format}: --annotate writes a VCF; run without one "
                "of the two"
            )

    def score_names(self, *, is_ensemble: bool = False) -> tuple[str, ...]:
        """Return the scores of the table. Raises UsageError for a score that is not available."""
        available = score_names(is_ensemble=is_ensemble, has_background=self.background is not None)
        if self.format == "deepsea":
            available = tuple(name for name in available if name in DEEPSEA_SCORES)
        for name in self.scores:
            if name not in available:
                hint = ""
                if name in BACKGROUND_SCORES and self.background is None:
                    hint = f"; {name} needs --background"
                elif name in MEMBER_SCORES and not is_ensemble:
                    hint = f"; {name} needs an ensemble ('bioq ensemble')"
                raise UsageError(f"score {name!r}; expected some of {', '.join(available)}{hint}")
        if self.annotate and not (self.scores or self.targets):
            return ()
        return tuple(dict.fromkeys(self.scores)) or available


def variant_files(out: Path, table: VariantTableOptions) -> list[Path]:
    """Return the files that `write_variants` writes."""
    if table.format == "deepsea":
        return list(deepsea_files(out, table.score_names()).values())
    return [out]


def require_ending(out: Path, table: VariantTableOptions) -> None:
    """Raise UsageError if the name of an output has no ending of a format."""
    if table.annotate:
        require_annotatable(out)
    elif table.format == "table" and not is_vcf(out):
        try:
            table_ending(out)
        except UsageError as error:
            endings = ", ".join((*ENDINGS, ".vcf", ".vcf.gz"))
            raise UsageError(f"{out}: expected a name that ends in {endings}") from error


def open_rows(
    out: Path,
    layout: Layout,
    table: VariantTableOptions,
    contigs: Mapping[str, int | None],
    source: tuple[Path, str] | None,
) -> contextlib.AbstractContextManager[Rows]:
    """Open the output of a table; `contigs` are those of a VCF's header (see `open_vcf`), `source`
    is the file that is annotated (see `open_annotated`)."""
    if table.annotate:
        return open_annotated(out, layout, source, contigs)
    if table.format == "deepsea":
        return open_deepsea(out, layout)
    if is_vcf(out):
        return open_vcf(out, layout, contigs)
    return open_table(out, layout)

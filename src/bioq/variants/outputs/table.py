"""What a table of scored alleles contains, and its output in the format that was asked for."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bioq.errors import UsageError, did_you_mean, nearest
from bioq.options import AtLeastOne, Share, check_types
from bioq.tables import FLAT_ENDINGS, Layout, open_table, table_ending
from bioq.variants.background.of_run import NO_BACKGROUND, chosen_background
from bioq.variants.outputs.annotate import open_annotated, require_annotatable
from bioq.variants.outputs.formats import (
    DEEPSEA_SCORES,
    Rows,
    deepsea_files,
    is_vcf,
    open_deepsea,
    open_vcf,
)
from bioq.variants.outputs.indexed import with_index
from bioq.variants.outputs.long_table import LongChoice, open_long
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
    """File written by 'bioq background' with this model; adds E-values and z-scores, and ranks
    alleles: score_phred. By default RUN/background.npz, if the run has one; none: no background."""
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
    long: bool = False
    """Write one row per allele and target, the targets with the smallest E-value first (without a
    background: the largest |diff|). An allele without such a target has one row."""
    top: AtLeastOne | None = None
    """With --long: only the first K targets of each allele."""
    max_evalue: Share | None = None
    """With --long: only targets with an E-value of at most this."""
    min_diff: Share | None = None
    """With --long: only targets whose probability changes by at least this, up or down."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.held_out and self.background_file is not None:
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
        self._check_long()

    def _check_long(self) -> None:
        for name in ("top", "max_evalue", "min_diff"):
            if getattr(self, name) is not None and not self.long:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} chooses rows of a long table; add --long")
        if self.long and (self.annotate or self.format != "table"):
            other = "--annotate" if self.annotate else f"--format {self.format}"
            raise UsageError(
                f"--long with {other}: --long writes a table; run without one of the two"
            )

    @property
    def background_file(self) -> Path | None:
        """The file of the background; None without one."""
        return None if self.background == NO_BACKGROUND else self.background

    def of_run(self, run: Path) -> "VariantTableOptions":
        """Return the options with the background of a run, if none is given."""
        if self.held_out:  # the background has the effects of all members
            return replace(self, background=NO_BACKGROUND)
        return replace(self, background=chosen_background(self.background, run))

    def score_names(
        self, *, is_ensemble: bool = False, may_be_none: bool = False
    ) -> tuple[str, ...]:
        """Return the scores of the table; with `may_be_none`, none unless a score or a target is
        named. Raises UsageError for a score that is not available."""
        available = score_names(
            is_ensemble=is_ensemble, has_background=self.background_file is not None
        )
        if self.format == "deepsea":
            available = tuple(name for name in available if name in DEEPSEA_SCORES)
        for name in self.scores:
            if name not in available:
                hint = ""
                if name in BACKGROUND_SCORES and self.background_file is None:
                    hint = f"; {name} needs --background"
                elif name in MEMBER_SCORES and not is_ensemble:
                    hint = f"; {name} needs an ensemble ('bioq ensemble')"
                near = did_you_mean(nearest(name, available, most=1))
                raise UsageError(
                    f"score {name!r}; {near}expected some of {', '.join(available)}{hint}"
                )
        may_be_none &= self.format == "table" and not self.long
        if (self.annotate or may_be_none) and not (self.scores or self.targets):
            return ()
        return tuple(dict.fromkeys(self.scores)) or available


def variant_files(out: Path, table: VariantTableOptions) -> list[Path]:
    """Name the outputs of `write_variants` before they are written.

    Args:
        out: The output, as `write_variants` takes it.
        table: Options of the table.

    Returns:
        `out`, or with the format `deepsea` one file per score, such as OUT.out.diff.
    """
    if table.format == "deepsea":
        return list(deepsea_files(out, table.score_names()).values())
    return [out]


def require_ending(out: Path, table: VariantTableOptions) -> None:
    """Raise UsageError if the name of an output has no ending of a format of the table."""
    if table.long:
        _require_long(out, table)
    elif table.annotate:
        require_annotatable(out)
    elif table.format == "table" and not is_vcf(out):
        table_ending(out, more=(".vcf", ".vcf.gz"))


def _require_long(out: Path, table: VariantTableOptions) -> None:
    """Raise UsageError if an output cannot have the rows of a long table."""
    if not out.name.lower().endswith(FLAT_ENDINGS):
        raise UsageError(
            f"{out}: a long table has one row per allele and target; expected a name that ends in "
            f"{', '.join(FLAT_ENDINGS)}"
        )
    if table.max_evalue is not None and table.background_file is None:
        raise UsageError(
            "--max-evalue needs --background, or a run with a background ('bioq background')"
        )


def open_rows(
    out: Path,
    layout: Layout,
    table: VariantTableOptions,
    contigs: Mapping[str, int | None],
    source: tuple[Path, str] | None,
    *,
    is_indexed: bool = False,
) -> contextlib.AbstractContextManager[Rows]:
    """Open the output of a table; `contigs` are those of a VCF's header (see `open_vcf`), `source`
    is the file that is annotated (see `open_annotated`). A copy gets an index, another output with
    `is_indexed`."""
    if table.format == "deepsea":
        return open_deepsea(out, layout)
    opened: contextlib.AbstractContextManager[Rows]
    if table.long:
        opened = open_long(out, layout, LongChoice(table.top, table.max_evalue, table.min_diff))
    elif table.annotate:
        opened = open_annotated(out, layout, source, contigs)
    elif is_vcf(out):
        opened = open_vcf(out, layout, contigs)
    else:
        opened = open_table(out, layout)
    return with_index(out, opened, contigs, is_wanted=is_indexed or table.annotate)

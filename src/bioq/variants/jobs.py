"""The two jobs for a run and a VCF: a table of scores, and a background."""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bioq import __version__
from bioq.errors import UsageError
from bioq.files import refuse_input, require_absent
from bioq.files.streams import kept_streams
from bioq.genome import ContigNames, Genome, open_names
from bioq.genome.alleles import STATUSES
from bioq.genome.builds import different_genomes
from bioq.genome.named import file_given
from bioq.genome.vcf import VcfContent
from bioq.inputs import Alleles, AlleleSource, AllSnvs, RandomSnvs, alleles_name, open_alleles
from bioq.models.device import choose_device
from bioq.progress import duration, progress, say
from bioq.runs.folder import BACKGROUND, files_of_run, read_config, report_other_genome
from bioq.runs.held_out import held_out
from bioq.runs.trained_model import load
from bioq.variants.background.effect_counts import KINDS, are_indels, counting
from bioq.variants.background.file import read_background, write_background
from bioq.variants.background.reference import Background
from bioq.variants.columns import COLUMN_MEANING, is_scored
from bioq.variants.outputs.formats import Rows
from bioq.variants.outputs.indexed import possible_indexes
from bioq.variants.outputs.table import (
    VariantTableOptions,
    open_rows,
    require_ending,
    variant_files,
)
from bioq.variants.scores import MEANING
from bioq.variants.scoring import ScoredBlock, Scorer, VariantOptions
from bioq.variants.summary import Summary, summary_of

AlsoWrite = Callable[[Scorer, VcfContent], contextlib.AbstractContextManager[Rows]]
"""Opens one more output of the alleles that a scorer scores: it gets the rows of the table, with
every score of the scorer, and is complete when its context ends."""


@dataclass(frozen=True)
class VariantJob:
    """The alleles that are scored, the model and the genome that score them, and how."""

    run: Path
    source: AlleleSource
    """A VCF, typed variants, random SNVs or all SNVs of regions: see `inputs.open_alleles`."""
    genome: Path
    """FASTA or 2bit, or a name such as hg38 (see `genome.open_genome`)."""
    chrom_alias: Path | None = None
    """Table of contig names; see `genome.read_chrom_alias`."""
    options: VariantOptions = VariantOptions()  # noqa: RUF009 frozen

    def is_ensemble(self) -> bool:
        """Return whether the run is an ensemble. Raises BioqError if it is not a run."""
        return bool(read_config(self.run).members)

    def inputs(self) -> list[str | Path | None]:
        """Return the files that the job reads; an output must not be one of them."""
        source = () if isinstance(self.source, RandomSnvs) else self.source
        source = source.regions if isinstance(source, AllSnvs) else source
        alleles = [source] if isinstance(source, str | Path) else source
        return [*alleles, file_given(self.genome), self.chrom_alias, *files_of_run(self.run)]


def write_variants(
    job: VariantJob,
    out: Path,
    table: VariantTableOptions = VariantTableOptions(),  # noqa: B008 frozen
    *,
    also: AlsoWrite | None = None,
    force: bool = False,
) -> Summary:
    """Score the alleles of a VCF with a run's model and write a table: one row per allele.

    The whole input is checked before anything is computed. A run that has a background is scored
    with it, if the table does not name another one. All SNVs of regions have no scores if the table
    names no score or target, and the output has an index beside it if it is bgzip.

    Args:
        job: The run, the variants, and how to score them.
        out: File that ends in .tsv, .tsv.gz, .parquet, .h5, .h5ad, .vcf or .vcf.gz; with the format
            deepsea the beginning of the names of DeepSEA's files; to annotate it ends in .vcf,
            .vcf.gz or .bcf, and has the records of the input.
        table: Columns and form of the table.
        also: One more output, such as a report; it is complete after the table.
        force: Replace an output that exists.

    Returns:
        Counts of the alleles, and warnings.

    Raises:
        BioqError: For malformed input; then no output is left; and, before any work, for an output
            that exists, without `force`.
    """
    table = table.of_run(job.run)
    is_all_snvs = isinstance(job.source, AllSnvs)
    names = table.score_names(is_ensemble=job.is_ensemble(), may_be_none=is_all_snvs)
    check_output(job, out, table, force=force)
    with (
        open_scorer(job, table) as scorer,
        open_alleles(job.source, scorer.names, may_be_empty=True) as alleles,
    ):
        require_unseen(scorer, alleles.content)
        layout = scorer.layout(names, table_metadata(scorer, job.source, names))
        contigs = contigs_of(scorer.names, alleles.content)
        with contextlib.ExitStack() as outputs:
            more = outputs.enter_context(also(scorer, alleles.content)) if also else None
            opened = open_rows(out, layout, table, contigs, alleles.file, is_indexed=is_all_snvs)
            rows = outputs.enter_context(opened)
            for block in scored_blocks(scorer, alleles):
                chosen = {name: block.scores[name] for name in names}
                rows.write(block.columns, block.scores if table.long else chosen)
                if more is not None:
                    more.write(block.columns, block.scores)
        return summary_of(scorer, alleles.content)


def make_background(job: VariantJob, out: Path, *, force: bool = False) -> Summary:
    """Score common variants or random SNVs and write the distribution of their effects.

    Args:
        job: The run, the variants, and how to score them.
        out: File to write: `.npz`.
        force: Replace a file that exists.

    Returns:
        Counts of the alleles, and warnings.

    Raises:
        BioqError: For malformed input, if no allele can be scored, and if `out` exists, without
            `force`.
    """
    if out.suffix.lower() != ".npz":
        raise UsageError(f"{out}: expected a name that ends in .npz")
    refuse_input(out, *job.inputs())
    require_absent(out, force=force)
    with (
        open_scorer(job) as scorer,
        open_alleles(job.source, scorer.names) as alleles,
        counting(out, len(scorer.targets), alleles.content.alleles) as effects,
    ):
        for block in scored_blocks(scorer, alleles):
            scored = is_scored(block.columns)
            indels = are_indels(block.columns["ref"][scored], block.columns["alt"][scored])
            effects.add({name: each[scored] for name, each in block.scores.items()}, indels)
        about = {
            **_provenance(scorer, job.source),
            **alleles.about,
            "contigs": dict(scorer.names.genome.lengths),
            "vcf_sha256": alleles.sha256(),
            "statuses": dict(scorer.statuses),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        summary = summary_of(scorer, alleles.content)
        if not effects.variants:
            for line in summary.lines():  # the reasons of the error that follows
                say(line)
        write_background(out, effects, scorer.targets, about)
        return summary


@contextlib.contextmanager
def open_scorer(
    job: VariantJob,
    table: VariantTableOptions = VariantTableOptions(),  # noqa: B008 frozen
) -> Iterator[Scorer]:
    """Yield a run's model on an open genome, ready to score the targets of a table."""
    background = None if table.background_file is None else read_background(table.background_file)
    model = load(job.run).to(choose_device(job.options.device))
    with kept_streams(), open_names(job.genome, job.chrom_alias) as names:
        scorer = Scorer(
            model,
            names,
            job.options,
            targets=table.targets,
            background=background,
            group_by=table.group_by,
            held_out=held_out(job.run, model.config, names) if table.held_out else None,
        )
        report_other_genome(job.run, model.config, names.genome)
        if background is not None:
            report_background(background, job.run, names.genome, job.options)
        yield scorer


def report_background(
    background: Background, run: Path, genome: Genome, options: VariantOptions
) -> None:
    """Say that the background is that of the run, and how it differs from what is scored."""
    if background.path == run / BACKGROUND:
        say(f"{background.path}: the background of the run; --background none: without it")
    _compare_options(background, options)
    _compare_genomes(background, genome)


def require_unseen(scorer: Scorer, content: VcfContent) -> None:
    """Raise BioqError if alleles are on contigs that all members of an ensemble have seen, and each
    allele is to be scored by members that have not."""
    if scorer.held_out is not None:
        numbers = (scorer.names.find(name) for name in content.contigs)
        known = (number for number in numbers if number is not None)
        scorer.held_out.report(scorer.held_out.choose(known))


def _compare_options(background: Background, options: VariantOptions) -> None:
    made_with = background.provenance.get("options", {})
    for name in ("strands", "indel"):
        value = getattr(options, name)
        if made_with.get(name, value) != value:
            say(f"note: {background.path} was made with --{name} {made_with[name]}, not {value}")


def _compare_genomes(background: Background, genome: Genome) -> None:
    differ = different_genomes(background.contig_lengths, genome.lengths)
    if differ is not None:
        say(
            f"note: {background.path} was made on {differ[0]}; {genome.path} is {differ[1]}: its "
            "variants are not those of the genome"
        )


def scored_blocks(scorer: Scorer, alleles: Alleles) -> Iterator[ScoredBlock]:
    """Yield the scored alleles, with progress. If BioQ has made them, say how many they are and,
    after the first block, how long all take."""
    total = alleles.content.alleles
    if alleles.line:
        say(alleles.line)
    started = time.monotonic()
    with progress("variants", total, "alleles") as advance:
        for number, block in enumerate(scorer.score(alleles.read())):
            yield block
            size = len(block.columns["chrom"])
            advance(size)
            if alleles.line and number == 0 and size < total:
                seconds = (time.monotonic() - started) * total / size
                say(f"{total:,} alleles take about {duration(seconds)}")


def contigs_of(names: ContigNames, content: VcfContent) -> dict[str, int | None]:
    """Return {contig of the input: its length}, None for a contig that the genome lacks."""
    lengths = names.genome.lengths
    numbers = {name: names.find(name) for name in content.contigs}
    return {
        name: None if number is None else lengths[names.contigs[number]]
        for name, number in numbers.items()
    }


def table_metadata(scorer: Scorer, source: AlleleSource, scores: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a table, JSON values."""
    return _provenance(scorer, source) | {
        "columns": dict(COLUMN_MEANING),
        "scores": {name: MEANING[name] for name in scores},
        "statuses": dict(STATUSES),
        "background": None if scorer.background is None else _about(scorer.background),
    }


def _about(background: Background) -> dict[str, Any]:
    """Return what a table's metadata record about a background."""
    known = dict(background.provenance)
    known.pop("contigs", None)  # thousands of them, and HDF5's attributes are small
    compared = (reference.variants for reference in background.references)
    phreds = (most if most == most else None for most in background.most_phreds())
    return known | {
        "of_kind": dict(zip(KINDS, background.of_kind, strict=False)),
        "compared_with": dict(zip(KINDS, compared, strict=True)),
        "most_score_phred": dict(zip(KINDS, phreds, strict=True)),
    }


def _provenance(scorer: Scorer, source: AlleleSource) -> dict[str, Any]:
    return {
        "bioq": __version__,
        "model": scorer.fingerprint(),
        "vcf": alleles_name(source),
        "genome": scorer.names.genome.path.name,
        "options": asdict(scorer.options),
        **({"held_out": True} if scorer.held_out is not None else {}),
    }


def check_output(job: VariantJob, out: Path, table: VariantTableOptions, *, force: bool) -> None:
    """Raise UsageError if a job cannot write an output, or a file of it exists or is an input."""
    require_ending(out, table)
    if table.annotate and isinstance(job.source, AllSnvs):
        raise UsageError(
            "--annotate copies the records of a VCF, and --all-snvs has none; run without "
            "--annotate: an output that ends in .vcf.gz has one line per SNV"
        )
    indexes = possible_indexes(out) if table.format == "table" else []
    for file in [*variant_files(out, table), *indexes]:
        refuse_input(file, *job.inputs(), table.background_file)
        require_absent(file, force=force)

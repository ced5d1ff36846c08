"""The job of an explanation: its windows, files and figure; and `mutagenesis_file`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.dataset.targets import NAME, select_targets
from bioq.errors import UsageError
from bioq.files import refuse_input, require_absent, require_folder_for
from bioq.files.streams import kept_streams
from bioq.forward import BATCH_SIZE, Precision, Strands
from bioq.genome import open_names
from bioq.genome.named import file_given
from bioq.genome.windows import middle_start
from bioq.inputs import Loci, Locus, open_loci, require_genome
from bioq.interpretation.explanation import REFERENCE, Explanation
from bioq.interpretation.mutagenesis import mutate_window
from bioq.interpretation.outputs.arrays_and_tables import Content, MutagenesisValues
from bioq.interpretation.outputs.by_ending import (
    ExplainedInput,
    Output,
    check_outputs,
    files_of_output,
    open_outputs,
)
from bioq.models.device import choose_device
from bioq.options import AtLeastOne, check_types
from bioq.progress import progress, say
from bioq.runs.folder import files_of_run, report_other_genome
from bioq.runs.trained_model import TrainedModel, load

_Values = npt.NDArray[np.floating[Any]]
Draw = Callable[[Path, Sequence[Explanation], Sequence[str]], None]
"""Writes a figure of windows and the names of their targets."""
MOST_PANELS = 6
"""A figure of more windows and targets is not readable."""


@dataclass(frozen=True)
class ExplainOptions:
    """The targets and bases to explain, and how to predict."""

    targets: tuple[str, ...] = ()
    """Only the targets of this name, or COLUMN=VALUE of the target table; * and ? are wildcards.
    Give it again for more targets."""
    span_bp: AtLeastOne | None = None
    """Bases in the middle of each window that are explained; by default the whole window of a
    sequence, and the bin's length of a region or around a variant."""
    pad: bool = False
    """Put a sequence that is shorter than the window in the middle of unknown bases."""
    strands: Strands = "both"
    """both: average the predictions of a window and its reverse complement. forward: use the window
    only; for a BED region whose sixth column is -, the reverse complement only."""
    batch_size: AtLeastOne = BATCH_SIZE
    """Windows per forward pass."""
    device: str | None = None
    """cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no card."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class ExplainJob:
    """Windows to explain, and the files to write."""

    run: Path
    source: str
    """Sequences, regions or a variant: see `inputs.open_loci`."""
    outs: Sequence[Path]
    """See `outputs.by_ending`."""
    genome: Path | None
    chrom_alias: Path | None
    """Table of contig names; see `genome.read_chrom_alias`."""
    options: ExplainOptions
    figure: Path | None
    draw: Draw
    """Writes the figure, if there is one, at the end."""
    force: bool
    """Replace files that exist."""

    @property
    def inputs(self) -> list[str | Path | None]:
        """The files that the job reads; None and texts that name no file are among them."""
        genome = file_given(self.genome)
        return [self.source, genome, self.chrom_alias, *files_of_run(self.run)]


@dataclass(frozen=True)
class OpenJob:
    model: TrainedModel
    loci: Loci
    span_bp: int
    chosen: npt.NDArray[np.int64]
    """Numbers of the targets."""
    names: list[str]
    """Names of these targets."""
    files: list[Path]
    """The files and folders that appear, without the figure."""
    write: Callable[[Explanation], None]


def mutagenesis_file(job: ExplainJob, *, precision: Precision = "32") -> None:
    """Predict every substitution in the windows of a job, and write its files and its figure.

    The effects of one window are in memory at a time; with a figure, those of all.

    Args:
        job: What is explained, and the files to write.
        precision: Number format of the forward pass.

    Raises:
        UsageError: Before anything is computed, for options that do not go together, or more than 6
            windows and targets in a figure.
    """
    options = job.options
    with open_job(job, MutagenesisValues()) as opened:
        expected = 3 * opened.span_bp
        with progress("mutagenesis", opened.loci.count * expected, "mutants") as advance:
            for locus in opened.loci.read():
                codes, span = as_predicted(locus)
                reference, effects = mutate_window(
                    opened.model,
                    codes,
                    start=span.start,
                    end=span.stop,
                    targets=opened.chosen,
                    strands=options.strands,
                    batch_size=options.batch_size,
                    precision=precision,
                    advance=advance,
                )
                # A shorter span has fewer mutants than expected, unknown bases have more.
                advance(expected - int((locus.bases[:, None] != np.arange(4)).sum()))
                opened.write(Explanation(locus, on_forward(locus, effects), {REFERENCE: reference}))


def as_predicted(locus: Locus) -> tuple[dna.Bytes, slice]:
    """Return the codes of the strand that is predicted `(length,)`, and where the span is in it."""
    if not locus.is_reverse:
        return locus.codes, slice(locus.start, locus.end)
    length = len(locus.codes)
    return dna.reverse_complement(locus.codes), slice(length - locus.end, length - locus.start)


def on_forward(locus: Locus, values: _Values) -> _Values:
    """Return values `(4, bases, targets)` of the predicted strand at the bases and letters of the
    forward strand: A, C, G, T in the opposite order are their complements."""
    return values[::-1, ::-1] if locus.is_reverse else values


@contextlib.contextmanager
def open_job(
    job: ExplainJob,
    content: Content,
    about: Mapping[str, str | int] | None = None,
    outputs: Sequence[Output] = (),
) -> Iterator[OpenJob]:
    """Check a job, then yield its windows; its files and figure are complete when the block ends.

    `about` is added to the metadata of the files; `outputs` are those that the job may have
    besides tables and arrays.
    """
    options = job.options
    _check_files(job, outputs)
    with kept_streams(), contextlib.ExitStack() as stack:
        model = load(job.run).to(choose_device(options.device))
        chosen = select_targets(model.targets, options.targets)
        targets = model.targets.iloc[chosen].reset_index(drop=True)
        names = [str(name) for name in targets[NAME]]
        contigs = (
            stack.enter_context(open_names(job.genome, job.chrom_alias)) if job.genome else None
        )
        if contigs is not None:
            report_other_genome(job.run, model.config, contigs.genome)
        span_bp = _span(options, model, is_sequence=contigs is None)
        loci = stack.enter_context(
            open_loci(
                job.source,
                contigs,
                window_bp=model.window_bp,
                span_bp=span_bp,
                pad=options.pad,
                stranded=options.strands == "forward",
            )
        )
        _require_drawable(job, loci, len(chosen))
        if contigs is None and span_bp < model.window_bp:
            _report_skipped_ends(loci.label, model.window_bp, span_bp)
        metadata = {
            "run": job.run.resolve().name,
            "strands": options.strands,
            "source": job.source,
            **(about or {}),
        }
        explained = ExplainedInput(loci, targets, span_bp, contigs, metadata, job.force)
        writers = stack.enter_context(open_outputs(job.outs, content, outputs, explained))
        files = [file for out in job.outs for file in files_of_output(out, outputs, names)]
        drawn: list[Explanation] = []

        def write(explanation: Explanation) -> None:
            for writer in writers:
                writer.write(explanation)
            if job.figure:
                drawn.append(explanation)

        yield OpenJob(model, loci, span_bp, chosen, names, files, write)
        if job.figure:
            job.draw(job.figure, drawn, names)


def _check_files(job: ExplainJob, outputs: Sequence[Output]) -> None:
    """Raise the errors that concern the outputs, or the table of contig names, of a job."""
    for out in [*job.outs, *([job.figure] if job.figure else [])]:
        require_folder_for(out)
        refuse_input(out, *job.inputs)
    check_outputs(job.outs, outputs, force=job.force)
    if job.figure:
        require_absent(job.figure, force=job.force)
    require_genome(job.chrom_alias, job.genome)


def _span(options: ExplainOptions, model: TrainedModel, *, is_sequence: bool) -> int:
    """Return the number of bases to explain in the middle of each window."""
    default = model.window_bp if is_sequence else model.bin_bp
    span_bp = default if options.span_bp is None else options.span_bp
    if not 1 <= span_bp <= model.window_bp:
        raise UsageError(
            f"--span-bp {span_bp}: expected 1 to {model.window_bp:,}, the window's length"
        )
    return span_bp


def _require_drawable(job: ExplainJob, loci: Loci, targets: int) -> None:
    """Raise UsageError for a figure of too many windows and targets."""
    if job.figure and loci.count * targets > MOST_PANELS:
        raise UsageError(
            f"{job.source}: a figure shows at most {MOST_PANELS} windows and targets, this is "
            f"{loci.count:,} windows of {targets:,} targets; choose with --targets"
        )


def _report_skipped_ends(label: str, window_bp: int, span_bp: int) -> None:
    before = middle_start(0, window_bp, span_bp)
    say(
        f"{label}: --span-bp {span_bp} explains the middle of windows only: not the "
        f"first {before:,} and the last {window_bp - span_bp - before:,} bases of a "
        "sequence (less where it is padded)"
    )

"""`mutagenesis_file` and `attribution_file`: explain an input, write files and a figure."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

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
from bioq.interpretation.gradients import (
    STEPS,
    Attribution,
    Method,
    input_x_gradient,
    integrated_gradients,
)
from bioq.interpretation.mutagenesis import mutate_window
from bioq.interpretation.writing import (
    BASELINE_LOGIT,
    GAP,
    LOGIT,
    REFERENCE,
    AttributionValues,
    Content,
    Explanation,
    MutagenesisValues,
    check_ending,
    open_writer,
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
GAP_LIMIT = 0.05
"""A completeness gap is reported as large above this share of the logit's difference from the
baseline, or of 1 if the difference is smaller. 0.05 in a logit is at most 0.0125 in a
probability."""


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
class AttributionOptions:
    """How contributions are computed from gradients."""

    method: Method = "integrated-gradients"
    """integrated-gradients: contributions that sum to the logit minus that of unknown bases;
    input-x-gradient: the gradient at the window itself, a fast estimate that does not sum to it."""
    steps: AtLeastOne = STEPS
    """Points of the integral: with more of them it is more exact."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class ExplainJob:
    """Windows to explain, and the files to write."""

    run: Path
    source: str
    """Sequences, regions or a variant: see `inputs.open_loci`."""
    outs: Sequence[Path]
    """Tables and arrays: see `writing`."""
    genome: Path | None
    chrom_alias: Path | None
    """Table of contig names; see `genome.read_chrom_alias`."""
    options: ExplainOptions
    figure: Path | None
    draw: Draw
    """Writes the figure, if there is one, at the end."""
    force: bool
    """Replace files that exist."""


@dataclass(frozen=True)
class _OpenJob:
    model: TrainedModel
    loci: Loci
    span_bp: int
    chosen: npt.NDArray[np.int64]
    """Numbers of the targets."""
    names: list[str]
    """Names of these targets."""
    write: Callable[[Explanation], None]


def mutagenesis_file(job: ExplainJob, *, precision: Precision = "32") -> None:
    """Predict every substitution in the windows of a job, and write its files and its figure.

    The effects of one window are in memory at a time; with a figure, those of all. Raises
    UsageError, before anything is computed, for options that do not go together, or more than
    6 windows and targets in a figure.
    """
    options = job.options
    with _open_job(job, MutagenesisValues()) as opened:
        expected = 3 * opened.span_bp
        with progress("mutagenesis", opened.loci.count * expected, "mutants") as advance:
            for locus in opened.loci.read():
                codes, span = _as_predicted(locus)
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
                opened.write(
                    Explanation(locus, _on_forward(locus, effects), {REFERENCE: reference})
                )


def attribution_file(
    job: ExplainJob, *, attribution: AttributionOptions = AttributionOptions()
) -> None:
    """Attribute the logits of the windows of a job to their bases, as `mutagenesis_file` does.

    Contributions are computed for whole windows, also if only a span of them is written. Prints at
    the end how far integrated gradients are from complete.
    """
    is_integral = attribution.method == "integrated-gradients"
    steps = attribution.steps if is_integral else 1
    gaps = _CompletenessGaps(steps)
    about = {"method": attribution.method, "steps": steps}
    with _open_job(job, AttributionValues(), about) as opened:
        total = opened.loci.count * len(opened.chosen) * steps
        with progress("attribution", total, "gradients") as advance:
            for locus in opened.loci.read():
                codes, _ = _as_predicted(locus)
                window = torch.from_numpy(dna.one_hot(codes[None]))
                attributions = []
                for target in opened.chosen.tolist():
                    attributions.append(
                        _attribute(opened.model, window, target, job.options, attribution)
                    )
                    advance(steps)
                explanation = _explanation(locus, attributions)
                gaps.add(explanation, opened.names)
                opened.write(explanation)
    if is_integral:
        gaps.report()


def _as_predicted(locus: Locus) -> tuple[dna.Bytes, slice]:
    """Return the codes of the strand that is predicted `(length,)`, and where the span is in it."""
    if not locus.is_reverse:
        return locus.codes, slice(locus.start, locus.end)
    length = len(locus.codes)
    return dna.reverse_complement(locus.codes), slice(length - locus.end, length - locus.start)


def _on_forward(locus: Locus, values: _Values) -> _Values:
    """Return values `(4, bases, targets)` of the predicted strand at the bases and letters of the
    forward strand: A, C, G, T in the opposite order are their complements."""
    return values[::-1, ::-1] if locus.is_reverse else values


def _attribute(
    model: nn.Module,
    window: torch.Tensor,
    target: int,
    options: ExplainOptions,
    attribution: AttributionOptions,
) -> Attribution:
    if attribution.method == "input-x-gradient":
        return input_x_gradient(model, window, target=target, strands=options.strands)
    return integrated_gradients(
        model,
        window,
        target=target,
        steps=attribution.steps,
        strands=options.strands,
        batch_size=options.batch_size,
    )


def _explanation(locus: Locus, attributions: Sequence[Attribution]) -> Explanation:
    """Return the attributions of a window to each target as one explanation of its span."""
    _, span = _as_predicted(locus)
    hypothetical = np.stack([each.gradient[0, :, span] for each in attributions], axis=2)
    hypothetical = _on_forward(locus, hypothetical)
    scores = {
        LOGIT: np.concatenate([each.logit for each in attributions]),
        BASELINE_LOGIT: np.concatenate([each.baseline_logit for each in attributions]),
        GAP: np.concatenate([each.completeness_gap for each in attributions]),
    }
    return Explanation(
        locus,
        hypothetical.astype(np.float32),
        {name: values.astype(np.float32) for name, values in scores.items()},
    )


class _CompletenessGaps:
    """The largest completeness gap, relative to the logit's difference from the baseline."""

    def __init__(self, steps: int):
        self._steps = steps
        self._share = -1.0
        self._gap = self._difference = 0.0
        self._target = ""
        self._large = self._count = 0

    def add(self, explanation: Explanation, names: Sequence[str]) -> None:
        scores = explanation.scores
        gap = np.abs(scores[GAP])
        difference = np.abs(scores[LOGIT] - scores[BASELINE_LOGIT])
        share = gap / np.maximum(difference, 1)
        self._large += int((share > GAP_LIMIT).sum())
        self._count += len(share)
        largest = int(share.argmax())
        if share[largest] > self._share:
            self._share = float(share[largest])
            self._gap, self._difference = float(gap[largest]), float(difference[largest])
            self._target = names[largest]

    def report(self) -> None:
        """Print the largest gap and, if it is too large, how many steps to use."""
        percent = f", {self._gap / self._difference:.1%}" if self._difference else ""
        say(
            f"attribution: completeness gap at most {self._gap:.2g} of a logit's difference of "
            f"{self._difference:.3g} from the baseline{percent} (target {self._target})"
        )
        if self._large:
            steps = 2 * self._steps
            while steps * GAP_LIMIT < self._steps * self._share:
                steps *= 2
            say(
                f"attribution: the gap is above {GAP_LIMIT:.0%} in {self._large:,} of "
                f"{self._count:,} windows and targets; try --steps {steps}"
            )


@contextlib.contextmanager
def _open_job(
    job: ExplainJob, content: Content, about: Mapping[str, str | int] | None = None
) -> Iterator[_OpenJob]:
    """Check a job, then yield its windows; its files and figure are complete when the block ends.

    `about` is added to the metadata of the files.
    """
    options = job.options
    _check_files(job)
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
        writers = [
            stack.enter_context(
                open_writer(out, content, loci, targets, span_bp=span_bp, metadata=metadata)
            )
            for out in job.outs
        ]
        drawn: list[Explanation] = []

        def write(explanation: Explanation) -> None:
            for writer in writers:
                writer.write(explanation)
            if job.figure:
                drawn.append(explanation)

        yield _OpenJob(model, loci, span_bp, chosen, names, write)
        if job.figure:
            job.draw(job.figure, drawn, names)


def _check_files(job: ExplainJob) -> None:
    """Raise the errors that concern the outputs, or the table of contig names, of a job."""
    for out in job.outs:
        check_ending(out)
    for out in [*job.outs, *([job.figure] if job.figure else [])]:
        require_folder_for(out)
        refuse_input(
            out, job.source, file_given(job.genome), job.chrom_alias, *files_of_run(job.run)
        )
        require_absent(out, force=job.force)
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

"""`mutagenesis_file` and `attribution_file`: from a run and an input to files and a figure."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from bioq import dna
from bioq.dataset.targets import NAME, select_targets
from bioq.errors import UsageError
from bioq.files import require_folder_for
from bioq.forward import BATCH_SIZE, Precision, Strands, choose_device
from bioq.genome import Genome, open_genome
from bioq.inputs import Loci, Locus, open_loci
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
    Content,
    Contributions,
    Effects,
    Explanation,
    check_ending,
    open_writer,
)
from bioq.progress import progress, say
from bioq.runs.folder import RunConfig, load

Draw = Callable[[Sequence[Explanation], Sequence[str]], None]
"""Draws windows and the names of their targets."""
MOST_PANELS = 6
"""A figure of more windows and targets would not be read."""
GAP_LIMIT = 0.05
"""The completeness gap that is called large: this share of the logit's difference from the
baseline, and of 1 where the difference is smaller. 0.05 in a logit is 0.0125 in a probability, or
less."""


@dataclass(frozen=True)
class ExplainOptions:
    """What is explained, and how it is predicted."""

    targets: tuple[str, ...] = ()
    """Only the targets of this name, or COLUMN=VALUE of the target table; * and ? are wildcards.
    Can be given again for more."""
    span_bp: int | None = None
    """Bases in the middle of each window that are explained; by default the whole window of a
    sequence, and the bin's length of a region or around a variant."""
    pad: bool = False
    """Put sequences that are shorter than the window in the middle of unknown bases."""
    strands: Strands = "both"
    """both: average the predictions of a window and its reverse complement."""
    batch_size: int = BATCH_SIZE
    """Windows a forward pass."""
    device: str | None = None
    """cpu, cuda, mps; by default the first CUDA card, else the CPU."""


@dataclass(frozen=True)
class AttributionOptions:
    """How gradients are made into contributions."""

    method: Method = "integrated-gradients"
    """integrated-gradients: contributions that sum to the logit minus that of unknown bases;
    input-x-gradient: the gradient at the window itself, a quick estimate that does not."""
    steps: int = STEPS
    """Points of the integral: more are more exact."""


@dataclass(frozen=True)
class _Job:
    model: nn.Module
    places: Loci
    span_bp: int
    chosen: npt.NDArray[np.int64]
    """Numbers of the targets."""
    names: list[str]
    write: Callable[[Explanation], None]


def mutagenesis_file(
    run: Path,
    source: str,
    outs: Sequence[Path],
    *,
    genome: Path | None = None,
    options: ExplainOptions = ExplainOptions(),
    precision: Precision = "32",
    draw: Draw | None = None,
) -> None:
    """Mutate what `source` names (see `inputs.open_loci`) and write every file of `outs`.

    One window's effects are in memory at a time, except those that `draw` is given at the end.
    Raises UsageError, before anything is computed, for options that do not go together, and for
    more than 6 windows and targets to draw.
    """
    with _open_job(run, source, outs, Effects(), genome, options, draw) as job:
        usual = 3 * job.span_bp
        with progress("mutagenesis", job.places.count * usual, "mutants") as advance:
            for place in job.places.read():
                reference, effects = mutate_window(
                    job.model,
                    place.codes,
                    start=place.start,
                    end=place.end,
                    targets=job.chosen,
                    strands=options.strands,
                    batch_size=options.batch_size,
                    precision=precision,
                    advance=advance,
                )
                # Windows with fewer bases to mutate, or with unknown ones, have not `usual` many.
                advance(usual - int((place.bases[:, None] != np.arange(4)).sum()))
                job.write(Explanation(place, effects, {REFERENCE: reference}))


def attribution_file(
    run: Path,
    source: str,
    outs: Sequence[Path],
    *,
    genome: Path | None = None,
    options: ExplainOptions = ExplainOptions(),
    attribution: AttributionOptions = AttributionOptions(),
    draw: Draw | None = None,
) -> None:
    """Attribute the logits of what `source` names to its bases, as `mutagenesis_file` does.

    Contributions are computed for whole windows, also where only a span of them is written. Says
    at the end how far integrated gradients are from complete.
    """
    if attribution.steps < 1:
        raise UsageError(f"--steps {attribution.steps}: expected at least 1")
    is_path = attribution.method == "integrated-gradients"
    steps = attribution.steps if is_path else 1
    worst = _WorstGap(steps)
    about = {"method": attribution.method, "steps": steps}
    with _open_job(run, source, outs, Contributions(), genome, options, draw, about) as job:
        total = job.places.count * len(job.chosen) * steps
        with progress("attribution", total, "gradients") as advance:
            for place in job.places.read():
                window = torch.from_numpy(dna.one_hot(place.codes[None]))
                found = []
                for target in job.chosen.tolist():
                    found.append(_attribute(job.model, window, target, options, attribution))
                    advance(steps)
                result = _explanation(place, found)
                worst.add(result, job.names)
                job.write(result)
    if is_path:
        worst.say()


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


def _explanation(place: Locus, found: Sequence[Attribution]) -> Explanation:
    part = slice(place.start, place.end)
    hypothetical = np.stack([one.gradient[0, :, part] for one in found], axis=2)
    scores = {
        LOGIT: np.concatenate([one.logit for one in found]),
        BASELINE_LOGIT: np.concatenate([one.baseline_logit for one in found]),
        GAP: np.concatenate([one.completeness_gap for one in found]),
    }
    return Explanation(
        place,
        hypothetical.astype(np.float32),
        {name: values.astype(np.float32) for name, values in scores.items()},
    )


class _WorstGap:
    """The completeness gap that is largest for its logit's difference from the baseline."""

    def __init__(self, steps: int):
        self._steps = steps
        self._share = -1.0
        self._gap = self._difference = 0.0
        self._target = ""
        self._large = self._all = 0

    def add(self, found: Explanation, names: Sequence[str]) -> None:
        gap = np.abs(found.scores[GAP])
        difference = np.abs(found.scores[LOGIT] - found.scores[BASELINE_LOGIT])
        share = gap / np.maximum(difference, 1)
        self._large += int((share > GAP_LIMIT).sum())
        self._all += len(share)
        most = int(share.argmax())
        if share[most] > self._share:
            self._share = float(share[most])
            self._gap, self._difference = float(gap[most]), float(difference[most])
            self._target = names[most]

    def say(self) -> None:
        of = f", {self._gap / self._difference:.1%}" if self._difference else ""
        say(
            f"attribution: completeness gap at most {self._gap:.2g} of a logit's difference of "
            f"{self._difference:.3g} from the baseline{of} (target {self._target})"
        )
        if self._large:
            steps = 2 * self._steps
            while steps * GAP_LIMIT < self._steps * self._share:
                steps *= 2
            say(
                f"attribution: the gap is above {GAP_LIMIT:.0%} in {self._large:,} of "
                f"{self._all:,} windows and targets; try --steps {steps}"
            )


@contextlib.contextmanager
def _open_job(
    run: Path,
    source: str,
    outs: Sequence[Path],
    content: Content,
    genome: Path | None,
    options: ExplainOptions,
    draw: Draw | None,
    about: Mapping[str, str | int] | None = None,
) -> Iterator[_Job]:
    """Check everything, then yield what to explain; files and figure are whole when it ends."""
    for out in outs:
        check_ending(out)
        require_folder_for(out)
    if options.batch_size < 1:
        raise UsageError(f"--batch-size {options.batch_size}: expected at least 1")
    with contextlib.ExitStack() as stack:
        device = choose_device(options.device)
        model = load(run).to(device)
        config: RunConfig = model.config  # type: ignore[assignment]
        window_bp: int = config.model["window_bp"]
        table: pd.DataFrame = model.targets  # type: ignore[assignment]
        chosen = select_targets(table, options.targets)
        targets = table.iloc[chosen].reset_index(drop=True)
        opened = stack.enter_context(open_genome(genome)) if genome else None
        span_bp = _span(options, config, opened)
        places = stack.enter_context(
            open_loci(source, opened, window_bp=window_bp, span_bp=span_bp, pad=options.pad)
        )
        if draw and places.count * len(chosen) > MOST_PANELS:
            raise UsageError(
                f"{source}: a figure shows at most {MOST_PANELS} windows and targets, this is "
                f"{places.count:,} windows of {len(chosen):,} targets; choose with --targets"
            )
        if opened is None and span_bp < window_bp:
            before = (window_bp - span_bp) // 2
            say(
                f"{places.label}: --span-bp {span_bp} explains the middle of windows only: not the "
                f"first {before:,} and the last {window_bp - span_bp - before:,} bases of a "
                "sequence (less where it is padded)"
            )
        metadata = {
            "run": run.resolve().name,
            "strands": options.strands,
            "source": source,
            **(about or {}),
        }
        writers = [
            stack.enter_context(
                open_writer(out, content, places, targets, span_bp=span_bp, metadata=metadata)
            )
            for out in outs
        ]
        drawn: list[Explanation] = []

        def write(found: Explanation) -> None:
            for writer in writers:
                writer.write(found)
            if draw:
                drawn.append(found)

        names = [str(name) for name in targets[NAME]]
        yield _Job(model, places, span_bp, chosen, names, write)
        if draw:
            draw(drawn, names)


def _span(options: ExplainOptions, config: RunConfig, genome: Genome | None) -> int:
    window_bp: int = config.model["window_bp"]
    usual: int = window_bp if genome is None else config.data["bin_bp"]
    span_bp = usual if options.span_bp is None else options.span_bp
    if not 1 <= span_bp <= window_bp:
        raise UsageError(f"--span-bp {span_bp}: expected 1 to {window_bp:,}, the window's length")
    return span_bp

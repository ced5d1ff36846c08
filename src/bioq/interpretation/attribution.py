"""`attribution_file`: divide the logits of windows among their bases, and write the files."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bioq import dna
from bioq.errors import UsageError
from bioq.files import refuse_input
from bioq.inputs import Locus
from bioq.interpretation.explanation import BASELINE_LOGIT, GAP, LOGIT, Explanation
from bioq.interpretation.gradients import (
    SHUFFLES,
    STEPS,
    STEPS_PER_SHUFFLE,
    Attribution,
    Method,
    expected_gradients,
    input_x_gradient,
    integrated_gradients,
)
from bioq.interpretation.jobs import ExplainJob, ExplainOptions, as_predicted, on_forward, open_job
from bioq.interpretation.outputs import modisco, tracks
from bioq.interpretation.outputs.arrays_and_tables import AttributionValues
from bioq.interpretation.outputs.by_ending import Output
from bioq.motifs import Motif, collection_for, motifs_from
from bioq.options import AtLeastOne, check_types
from bioq.progress import progress, say
from bioq.runs.folder import read_config
from bioq.tracks.bigwig import ENDING as BIGWIG
from bioq.tracks.bigwig import bigwig_paths
from bioq.tracks.hub import require_bigwig

GAP_LIMIT = 0.05
"""A completeness gap is reported as large above this share of the logit's difference from the
baseline, or of 1 if the difference is smaller. 0.05 in a logit is at most 0.0125 in a
probability."""
ZEROS, SHUFFLED = "zeros", "shuffled"


@dataclass(frozen=True)
class AttributionOptions:
    """How contributions are computed from gradients."""

    method: Method = "integrated-gradients"
    """integrated-gradients: contributions that sum to the logit minus that of the baseline;
    input-x-gradient: the gradient at the window itself, a fast estimate that does not sum to it,
    whose baseline is zeros."""
    baseline: str = f"{SHUFFLED}:{SHUFFLES}"
    """What a window is compared with. shuffled:K: K copies of the window with its dinucleotides
    shuffled, and their mean (expected gradients). zeros: unknown bases (N)."""
    steps: AtLeastOne | None = None
    """Points of each integral: with more of them it is more exact. By default 16 from each
    shuffled copy and 64 from zeros."""
    motifs: str | None = None
    """Known motifs with which the sites of a .bed file are compared: a MEME file or a JASPAR
    release, perhaps with a taxonomic group, such as JASPAR2024:fungi; by default JASPAR2024 of the
    group of the genome build of the training data, vertebrates if it is not known."""

    def __post_init__(self) -> None:
        check_types(self)
        kind, _, number = self.baseline.partition(":")
        if self.baseline != ZEROS and (kind != SHUFFLED or not _is_count(number)):
            raise UsageError(
                f"--baseline {self.baseline!r}: expected {SHUFFLED}:K, K copies, such as "
                f"{SHUFFLED}:{SHUFFLES}, or {ZEROS}"
            )

    @property
    def shuffles(self) -> int:
        """Shuffled copies of each window; 0 for a baseline of zeros, as input x gradient has."""
        if self.method == "input-x-gradient" or self.baseline == ZEROS:
            return 0
        return int(self.baseline.partition(":")[2])

    @property
    def points(self) -> int:
        """Steps on each line, from the default or the option."""
        if self.method == "input-x-gradient":
            return 1
        return self.steps or (STEPS_PER_SHUFFLE if self.shuffles else STEPS)

    @property
    def gradients(self) -> int:
        """Gradients per window and target."""
        return self.points * max(self.shuffles, 1)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and text.lstrip("0") != "" and len(text) <= 6


def attribution_file(
    job: ExplainJob, *, attribution: AttributionOptions = AttributionOptions(), hub: bool = False
) -> list[Path]:
    """Attribute the logits of the windows of a job to their bases, as `mutagenesis_file` does.

    Contributions are computed for whole windows, also if only a span of them is written. Prints at
    the end how far integrated gradients are from complete.

    Args:
        job: What is explained, and the files to write.
        attribution: The method and its options.
        hub: Also write the files with which genome browsers show bigWigs (see `tracks.hub`).

    Returns:
        The files and folders written, without the figure.
    """
    points = attribution.points
    gaps = _CompletenessGaps(points)
    about: dict[str, str | int] = {
        "method": attribution.method,
        "baseline": attribution.baseline if attribution.shuffles else ZEROS,
        "steps": points,
    }
    if hub:
        require_bigwig(job.outs)
    hub_files: list[Path] = []
    outputs = _outputs(job, attribution.motifs, hub_files if hub else None)
    with open_job(job, AttributionValues(), about, outputs) as opened:
        total = opened.loci.count * len(opened.chosen) * attribution.gradients
        with progress("attribution", total, "gradients") as advance:
            explain = explainer(opened.model, job.options, attribution, advance)
            for locus in opened.loci.read():
                explanation = explain(locus, opened.chosen.tolist())
                gaps.add(explanation, opened.names)
                opened.write(explanation)
    if attribution.method == "integrated-gradients":
        gaps.report()
    return [*opened.files, *hub_files]


def _outputs(job: ExplainJob, motifs: str | None, hub_files: list[Path] | None) -> list[Output]:
    """Return the outputs that contributions have besides tables and arrays."""
    for out in [*job.outs, *([job.figure] if job.figure else [])]:
        refuse_input(out, motifs)
    inputs = [*job.inputs, motifs]
    bigwigs = functools.partial(tracks.open_bigwigs, inputs=inputs, hub_files=hub_files)
    outputs = [
        Output(BIGWIG, bigwigs, files=bigwig_paths),
        Output(modisco.ENDING, modisco.open_modisco, folder=modisco.FOLDER),
    ]
    sites = [out for out in job.outs if out.name.lower().endswith(tracks.BED)]
    known: list[Motif] = []
    if sites:
        known = motifs_from(motifs or collection_for(read_config(job.run).genome_build))
    opens = functools.partial(tracks.open_sites, motifs=known)
    return [*outputs, Output(tracks.BED, opens)]


def explainer(
    model: nn.Module,
    options: ExplainOptions,
    attribution: AttributionOptions,
    advance: Callable[[int], None],
) -> Callable[[Locus, Sequence[int]], Explanation]:
    """Return the function that explains a locus for targets, given by their numbers.

    `advance` is called with the number of gradients after each batch of them.
    """
    chosen: dict[str, Any] = {
        "steps": attribution.points,
        "strands": options.strands,
        "batch_size": options.batch_size,
        "advance": advance,
    }

    def attribute(locus: Locus, target: int) -> Attribution:
        window = dna.one_hot(as_predicted(locus)[0][None])
        if attribution.method == "input-x-gradient":
            result = input_x_gradient(model, window, target=target, strands=options.strands)
            advance(1)
            return result
        if not attribution.shuffles:
            return integrated_gradients(model, window, target=target, **chosen)
        return expected_gradients(
            model,
            window,
            target=target,
            shuffles=attribution.shuffles,
            copies_of=None if locus.unedited is None else dna.one_hot(locus.unedited[None]),
            **chosen,
        )

    return lambda locus, targets: _explanation(
        locus, [attribute(locus, target) for target in targets]
    )


def _explanation(locus: Locus, attributions: Sequence[Attribution]) -> Explanation:
    """Return the attributions of a window to each target as one explanation of its span."""
    _, span = as_predicted(locus)
    hypothetical = np.stack([each.hypothetical[0, :, span] for each in attributions], axis=2)
    hypothetical = on_forward(locus, hypothetical)
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
        share = f"{self._gap / self._difference:.1%} of " if self._difference else ""
        say(
            f"attribution: completeness gap at most {self._gap:.2g} (target {self._target}: "
            f"{share}{self._difference:.3g}, by which its logit differs from the baseline's)"
        )
        if self._large:
            steps = 2 * self._steps
            while steps * GAP_LIMIT < self._steps * self._share:
                steps *= 2
            say(
                f"attribution: the gap is above {GAP_LIMIT:.0%} in {self._large:,} of "
                f"{self._count:,} windows and targets; try --steps {steps}"
            )

"""The job of `bioq motif-effects`: its inputs, its experiments and its tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.dataset.targets import select_targets
from bioq.errors import UsageError, some
from bioq.forward import Strands
from bioq.interpretation.motif_experiments.ablation import MIN_SITES, ablation_effects
from bioq.interpretation.motif_experiments.backgrounds import (
    Background,
    ReadWindows,
    WindowSource,
    make_backgrounds,
    read_windows,
)
from bioq.interpretation.motif_experiments.comparison import require_scipy
from bioq.interpretation.motif_experiments.insertion import insertion_effects, require_fitting
from bioq.interpretation.motif_experiments.pair_options import (
    PairOptions,
    choose_pairs,
    parse_distances,
)
from bioq.interpretation.motif_experiments.pairs import checked_distances, pair_effects
from bioq.models.device import choose_device
from bioq.motifs import Motif, motifs_from
from bioq.options import AtLeastOne, AtLeastZero, check_types
from bioq.progress import say
from bioq.runs.trained_model import TrainedModel, load

INSERTION, ABLATION, PAIRS = "insertion.tsv", "ablation.tsv", "pairs.tsv"


@dataclass(frozen=True)
class MotifEffectOptions:
    """The motifs and targets, and the windows of the experiments."""

    motif: tuple[str, ...] = ()
    """Only the motifs of this name or matrix ID; * and ? are wildcards, case is ignored. Give it
    again for more motifs."""
    targets: tuple[str, ...] = ()
    """Only the targets of this name, or COLUMN=VALUE of the target table; * and ? are wildcards.
    Give it again for more targets."""
    background: Background = "shuffled"
    """Windows that motifs are put into. shuffled: dinucleotide shuffles of the windows; gc: windows
    without a positive label, or random windows of the genome, as rich in G and C as the windows
    with one, or as the regions; unchanged: the windows."""
    windows: AtLeastOne = 100
    """Number of background windows, and most sites of a motif that are taken out."""
    min_sites: AtLeastZero = MIN_SITES
    """A motif with fewer sites is not taken out."""
    split: str = "test"
    """Of a data set: train, valid or test."""
    strands: Strands = "both"
    """both: the mean logit of a window and its reverse complement. forward: of the window only."""
    seed: AtLeastZero = 0
    """Seed of shuffles and random windows."""
    device: str | None = None
    """cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no card."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class EffectInputs:
    """What the experiments of a run need."""

    run: str
    """The run's name."""
    model: TrainedModel
    """On the device that computes."""
    motifs: Sequence[Motif]
    source: str
    """Where the motifs are from."""
    targets: npt.NDArray[np.int64]
    """Numbers of the chosen targets."""
    windows: ReadWindows
    """Windows in which motifs are found and taken out."""
    backgrounds: dna.Bytes
    """Windows that motifs are put into, codes uint8 `(n, window_bp)`."""
    background: str
    """What they are, for people."""
    options: MotifEffectOptions
    pairs: Sequence[tuple[Motif, Motif]] = ()
    """Motifs to put in together."""
    distances: range = range(0)
    """Bases between the sites of a pair."""


@dataclass(frozen=True)
class MotifEffects:
    """The effects of motifs on the targets of a run."""

    inputs: EffectInputs
    insertion: pd.DataFrame
    """See `insertion_effects`."""
    ablation: pd.DataFrame
    """See `ablation_effects`."""
    pairs: pd.DataFrame | None = None
    """See `pair_effects`: the rows of all pairs; None without pairs."""

    def write(self, folder: Path) -> None:
        """Write insertion.tsv, ablation.tsv and, if there are pairs, pairs.tsv."""
        tables = {INSERTION: self.insertion, ABLATION: self.ablation, PAIRS: self.pairs}
        for name, table in tables.items():
            if table is not None:
                table.to_csv(folder / name, sep="\t", index=False, float_format="%.6g")


def open_effect_inputs(
    run: Path,
    motifs: str,
    windows: WindowSource,
    options: MotifEffectOptions,
    pairs: PairOptions = PairOptions(),  # noqa: B008 frozen
) -> EffectInputs:
    """Open a run, read the motifs and the windows, and make the backgrounds.

    Raises UsageError for names of motifs or targets that do not exist, for a motif or a pair that
    is longer than the run's windows, and the errors of `read_windows` and `make_backgrounds`.
    """
    require_scipy()
    known = motifs_from(motifs)
    together = choose_pairs(known, pairs, motifs)
    chosen = choose_motifs(known, options.motif, motifs)
    if together and not options.motif:
        of_pairs = {motif.matrix_id for pair in together for motif in pair}
        chosen = [motif for motif in known if motif.matrix_id in of_pairs]
    model = load(run).to(choose_device(options.device))
    targets = select_targets(model.targets, options.targets)
    distances = parse_distances(pairs.distances)
    require_fitting(chosen, model.window_bp)  # before minutes of work
    for a, b in together:
        checked_distances(distances, a, b, model.window_bp)
    random = np.random.default_rng(options.seed)
    read = read_windows(run, model, windows, targets, random)
    backgrounds, what = make_backgrounds(read, options.background, options.windows, random)
    say(f"backgrounds: {what}")
    return EffectInputs(
        run.resolve().name,
        model,
        chosen,
        motifs,
        targets,
        read,
        backgrounds,
        what,
        options,
        together,
        distances,
    )


def motif_effects(inputs: EffectInputs) -> MotifEffects:
    """Put each motif into the backgrounds, take it out of the windows, and put in the pairs."""
    options = inputs.options
    targets = inputs.targets.tolist()
    insertion = insertion_effects(
        inputs.model,
        inputs.backgrounds,
        inputs.motifs,
        targets=targets,
        strands=options.strands,
        seed=options.seed,
    )
    ablation = ablation_effects(
        inputs.model,
        inputs.windows.codes,
        inputs.motifs,
        targets=targets,
        span_bp=inputs.model.bin_bp,
        strands=options.strands,
        most_sites=options.windows,
        min_sites=options.min_sites,
        seed=options.seed,
    )
    pairs = [
        pair_effects(
            inputs.model,
            inputs.backgrounds,
            a,
            b,
            distances=inputs.distances,
            targets=targets,
            strands=options.strands,
            seed=options.seed,
        )
        for a, b in inputs.pairs
    ]
    together = pd.concat(pairs, ignore_index=True) if pairs else None
    return MotifEffects(inputs, insertion, ablation, together)


def choose_motifs(motifs: Sequence[Motif], patterns: Sequence[str], source: str) -> list[Motif]:
    """Return the motifs whose name or matrix ID matches a pattern, in order; all without patterns.

    Raises UsageError for a pattern that matches none.
    """
    if not patterns:
        return list(motifs)
    chosen: set[int] = set()
    for pattern in patterns:
        matches = {
            number
            for number, motif in enumerate(motifs)
            if any(
                fnmatchcase(text.upper(), pattern.upper()) for text in (motif.name, motif.matrix_id)
            )
        }
        if not matches:
            names = some((motif.name for motif in motifs), 5)
            raise UsageError(
                f"--motif {pattern}: no motif of {source} has this name; it has {names}"
            )
        chosen |= matches
    return [motifs[number] for number in sorted(chosen)]

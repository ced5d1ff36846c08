"""The job of `bioq motif-effects`: its inputs, its experiments and its tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.dataset.targets import select_targets
from bioq.interpretation.motif_experiments.ablation import ablation_effects
from bioq.interpretation.motif_experiments.backgrounds import (
    ReadWindows,
    WindowSource,
    make_backgrounds,
    read_windows,
)
from bioq.interpretation.motif_experiments.insertion import insertion_effects, require_fitting
from bioq.interpretation.motif_experiments.occurrences import load_fimo
from bioq.interpretation.motif_experiments.options import (
    MotifEffectOptions,
    PairOptions,
    choose_motifs,
    choose_pairs,
    parse_distances,
)
from bioq.interpretation.motif_experiments.pairs import checked_distances, pair_effects
from bioq.interpretation.motif_experiments.table import require_scipy
from bioq.models.device import choose_device
from bioq.motifs import Motif, motifs_from
from bioq.progress import say
from bioq.runs.trained_model import TrainedModel, load

INSERTION, ABLATION, PAIRS = "insertion.tsv", "ablation.tsv", "pairs.tsv"


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
    load_fimo()  # before minutes of work
    known = motifs_from(motifs)
    together = choose_pairs(known, pairs, motifs)
    chosen = choose_motifs(known, options.motif, motifs)
    if together and not options.motif:
        of_pairs = {motif.matrix_id for pair in together for motif in pair}
        chosen = [motif for motif in known if motif.matrix_id in of_pairs]
    model = load(run).to(choose_device(options.device))
    targets = select_targets(model.targets, options.targets)
    distances = parse_distances(pairs.distances)
    require_fitting(chosen, model.window_bp)
    for a, b in together:
        checked_distances(distances, a, b, model.window_bp)
    random = np.random.default_rng(options.seed)
    is_matched = options.background == "gc"
    read = read_windows(run, model, windows, targets, random, with_others=is_matched)
    backgrounds, what = make_backgrounds(read, options.background, options.windows, random)
    say(f"backgrounds: {what}")
    return EffectInputs(
        run=run.resolve().name,
        model=model,
        motifs=chosen,
        source=motifs,
        targets=targets,
        windows=read,
        backgrounds=backgrounds,
        background=what,
        options=options,
        pairs=together,
        distances=distances,
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

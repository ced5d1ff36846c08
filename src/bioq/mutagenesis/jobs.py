"""`mutagenesis_file`: from a run and what is to be mutated to arrays, a table and a figure."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from bioq.errors import BioqError, UsageError
from bioq.genome import Genome, open_genome
from bioq.inference import BATCH_SIZE, Precision, Strands, choose_device
from bioq.inputs import Windows
from bioq.mutagenesis.effects import WindowEffects, mutate_window
from bioq.mutagenesis.places import open_places
from bioq.mutagenesis.writing import check_ending, open_effects
from bioq.progress import progress
from bioq.runs import RunConfig, load
from bioq.targets import NAME, select_targets

Draw = Callable[[Sequence[WindowEffects], Sequence[str]], None]
"""Draws windows and the names of their targets."""
MOST_PANELS = 6
"""A figure of more windows and targets would not be read."""


@dataclass(frozen=True)
class MutagenesisOptions:
    """What is mutated, and how it is predicted."""

    targets: tuple[str, ...] = ()
    """Only the targets of this name, or COLUMN=VALUE of the target table; * and ? are wildcards.
    Can be given again for more."""
    span_bp: int | None = None
    """Bases in the middle of each window that are mutated; by default the whole window of a
    sequence, and the bin's length of a region or around a variant."""
    pad: bool = False
    """Put sequences that are shorter than the window in the middle of unknown bases."""
    strands: Strands = "both"
    """both: average the probabilities of a window and its reverse complement."""
    batch_size: int = BATCH_SIZE
    """Mutants a forward pass."""
    device: str | None = None
    """cpu, cuda, mps; by default the first CUDA card, else the CPU."""
    precision: Precision = "32"
    """32, tf32 or bf16."""


def mutagenesis_file(
    run: Path,
    source: str,
    outs: Sequence[Path],
    *,
    genome: Path | None = None,
    options: MutagenesisOptions = MutagenesisOptions(),
    draw: Draw | None = None,
) -> None:
    """Mutate what `source` names (see `places.open_places`) and write every file of `outs`.

    One window's effects are in memory at a time, except those that `draw` is given at the end.
    Raises UsageError, before anything is computed, for options that do not go together, and for
    more than 6 windows and targets to draw.
    """
    for out in outs:
        check_ending(out)
        if not out.parent.is_dir():
            raise BioqError(f"{out}: there is no folder {out.parent}; make it first")
    with contextlib.ExitStack() as stack:
        device = choose_device(options.device)
        model = load(run).to(device)
        config: RunConfig = model.config  # type: ignore[assignment]
        table: pd.DataFrame = model.targets  # type: ignore[assignment]
        chosen = select_targets(table, options.targets)
        targets = table.iloc[chosen].reset_index(drop=True)
        opened = stack.enter_context(open_genome(genome)) if genome else None
        span_bp = _span(options, config, opened)
        window_bp: int = config.model["window_bp"]
        windows = stack.enter_context(
            open_places(source, opened, window_bp=window_bp, span_bp=span_bp, pad=options.pad)
        )
        count = windows.count()
        if draw and count * len(chosen) > MOST_PANELS:
            raise UsageError(
                f"{source}: a figure shows at most {MOST_PANELS} windows and targets, this is "
                f"{count:,} windows of {len(chosen):,} targets; choose with --targets"
            )
        metadata = {"run": run.resolve().name, "strands": options.strands, "source": source}
        files = [
            stack.enter_context(open_effects(out, windows.columns, targets, count, metadata))
            for out in outs
        ]
        drawn = []
        for found in _effects(model, windows, count, span_bp, chosen, options):
            for file in files:
                file.write(found)
            if draw:
                drawn.append(found)
        if draw:
            draw(drawn, list(targets[NAME]))


def _span(options: MutagenesisOptions, config: RunConfig, genome: Genome | None) -> int:
    window_bp: int = config.model["window_bp"]
    usual: int = window_bp if genome is None else config.data["bin_bp"]
    span_bp = usual if options.span_bp is None else options.span_bp
    if not 1 <= span_bp <= window_bp:
        raise UsageError(f"--span-bp {span_bp}: expected 1 to {window_bp:,}, the window's length")
    return span_bp


def _effects(
    model: nn.Module,
    windows: Windows,
    count: int,
    span_bp: int,
    chosen: np.ndarray[Any, np.dtype[np.int64]],
    options: MutagenesisOptions,
) -> Iterator[WindowEffects]:
    with progress("mutagenesis", count * span_bp * 3, "mutants") as advance:
        for batch in windows.batches(1):
            columns: Mapping[str, Any] = {name: v[0] for name, v in batch.columns.items()}
            codes = batch.codes[0]
            start = (len(codes) - span_bp) // 2
            first = _first_position(columns, len(codes), start)
            reference, effects = mutate_window(
                model,
                codes,
                start=start,
                end=start + span_bp,
                targets=chosen,
                strands=options.strands,
                batch_size=options.batch_size,
                precision=options.precision,
                advance=advance,
            )
            yield WindowEffects(columns, first, codes[start : start + span_bp], reference, effects)


def _first_position(columns: Mapping[str, Any], window_bp: int, start: int) -> int:
    """Return where base `start` of the window is: in its contig, or in its sequence."""
    if "chrom" in columns:  # a region's row says where the bin is, which is what is mutated
        return int(columns["start"])
    length = int(columns["end"] - columns["start"])  # shorter than the window where it was padded
    return int(columns["start"]) + start - (window_bp - length) // 2

"""Predicts the windows of a FASTA or BED file and writes them as a table or bigWigs.

One batch of windows and one part of the output are in memory at a time.
"""

import contextlib
import itertools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.dataset.targets import NAME, select_targets
from bioq.errors import UsageError
from bioq.files import require_folder_for
from bioq.forward import BATCH_SIZE, Precision, Strands, choose_device, numerics, predict_codes
from bioq.genome import Genome, open_genome
from bioq.inputs import RegionWindows, SequenceWindows, WindowBatch, Windows, input_file
from bioq.options import AtLeastOne, check_types
from bioq.prediction.bigwig import ENDING as BIGWIG
from bioq.prediction.bigwig import Bins, bigwig_paths, write_bigwigs
from bioq.prediction.spool import Spool, is_interrupted
from bioq.progress import progress, say
from bioq.runs.trained_model import TrainedModel, load
from bioq.runs.weights import predictions_identity
from bioq.tables import Columns, Dtype, Kind, Layout, Scores, open_table, table_ending

PROBABILITY = "probability"
WINDOW, RANK, TARGET = "window", "rank", "target"
"""Columns of a long table; windows are counted from 0, ranks from 1."""


@dataclass(frozen=True)
class PredictOptions:
    """How windows are made, predicted and written."""

    targets: tuple[str, ...] = ()
    """Only the targets of this name, or COLUMN=VALUE of the target table; * and ? are wildcards.
    Can be given again for more."""
    top: AtLeastOne | None = None
    """A long table: only this many targets a window, the most probable first."""
    strands: Strands = "both"
    """both: average the probabilities of a window and its reverse complement."""
    stride_bp: AtLeastOne | None = None
    """Bases from window to window in a long sequence or region; by default the bin's length."""
    pad: bool = False
    """Put sequences that are shorter than the window in the middle of unknown bases."""
    dtype: Dtype = "float32"
    """Type of the probabilities in the file: float32, or float16 for half the size."""
    batch_size: AtLeastOne = BATCH_SIZE
    """Windows a forward pass."""
    device: str | None = None
    """cpu, cuda, mps; by default the first CUDA card, else the CPU."""
    precision: Precision = "32"
    """32, tf32 or bf16."""

    def __post_init__(self) -> None:
        check_types(self)


def predict_file(
    run: Path,
    source: Path,
    out: Path,
    *,
    genome: Path | None = None,
    options: PredictOptions = PredictOptions(),
    resume: bool = False,
) -> list[Path]:
    """Predict every window of a FASTA, or, with a genome, of a BED file; return what was written.

    The rows are in input order. `source` may be `-`, for stdin. Until the output is whole its rows
    are in the folder `OUT.partial`, from which `resume` goes on. Raises UsageError for options that
    do not go together and BioqError, before anything is written, for an input with a fault.
    """
    _check(out, genome, options, resume)
    with contextlib.ExitStack() as stack:
        device = choose_device(options.device)
        stack.enter_context(numerics(device, options.precision))  # refused before any work
        model = load(run)
        targets = model.targets
        chosen = select_targets(targets, options.targets)
        path, label = stack.enter_context(input_file(source))
        opened = stack.enter_context(open_genome(genome)) if genome else None
        windows = open_windows(path, label, model, opened, options, is_bigwig=_is_bigwig(out))
        layout = layout_of(windows, targets.iloc[chosen].reset_index(drop=True), options, run)
        paths = bigwig_paths(out, list(layout.targets[NAME])) if _is_bigwig(out) else [out]
        count = windows.count()
        asked = identity(run, options, targets, chosen, genome)
        spool = stack.enter_context(Spool(out, layout, asked, resume=resume))
        _predict(model.to(device), windows, count, chosen, spool, options)
        # Written inside the folder, so that a process that is killed leaves nothing beside it.
        whole = [spool.folder / path.name for path in paths]
        with spool.keeping():
            if opened is not None and _is_bigwig(out):
                write_bigwigs(whole, opened.lengths, lambda: _bins(spool))
            else:
                with open_table(whole[0], layout) as table:
                    for rows in spool.read():
                        table.write(*rows)
        for path, final in zip(whole, paths, strict=True):
            path.replace(final)
        spool.remove()
    report_past_end(windows, count)
    return paths


def _check(out: Path, genome: Path | None, options: PredictOptions, resume: bool) -> None:
    if not _is_bigwig(out):
        if table_ending(out) == ".h5ad" and options.top is not None:
            raise UsageError(f"{out}: .h5ad holds a matrix, --top makes a long table; leave --top")
    elif genome is None:
        raise UsageError(f"{out}: bigWig needs places on a genome; give regions and --genome")
    elif options.top is not None or options.dtype != "float32":
        raise UsageError(f"{out}: bigWig holds one float32 a base; leave --top and --dtype away")
    check_options(options, genome)
    require_folder_for(out)
    if resume and out.exists() and not is_interrupted(out):
        raise UsageError(f"{out}: is whole, there is nothing to resume; leave --resume away")


def check_options(options: PredictOptions, genome: Path | None) -> None:
    """Raise UsageError for options that no output can have."""
    if options.top is not None and options.dtype != "float32":
        raise UsageError("--dtype is for a matrix, --top makes a long table; leave one away")
    if genome is not None and options.pad:
        raise UsageError("--pad is for sequences; regions get the genome's own bases around them")


def _is_bigwig(out: Path) -> bool:
    return out.name.lower().endswith(BIGWIG)


def open_windows(
    path: Path,
    label: str,
    model: TrainedModel,
    genome: Genome | None,
    options: PredictOptions,
    *,
    is_bigwig: bool = False,
) -> Windows:
    """Return the windows of a FASTA, or, with a genome, of a BED; `label` is what messages say."""
    window_bp, bin_bp = model.window_bp, model.bin_bp
    stride_bp = options.stride_bp or bin_bp
    if genome is None:
        return SequenceWindows(
            path, window_bp=window_bp, stride_bp=stride_bp, pad=options.pad, label=label
        )
    return RegionWindows(
        path,
        genome,
        window_bp=window_bp,
        bin_bp=bin_bp,
        stride_bp=stride_bp,
        ordered=is_bigwig,
        label=label,
    )


def layout_of(
    windows: Windows, targets: pd.DataFrame, options: PredictOptions, run: Path
) -> Layout:
    """Return the layout of a table of windows, or, with `top`, of their best targets."""
    metadata = {"run": run.resolve().name, "strands": options.strands}
    if options.top is None:
        return Layout(windows.columns, targets, (PROBABILITY,), metadata, options.dtype)
    columns: Mapping[str, Kind] = {
        WINDOW: "integer",
        **windows.columns,
        RANK: "integer",
        TARGET: "text",
        PROBABILITY: "number",
    }
    return Layout(columns, targets, (), metadata)


def identity(
    run: Path,
    options: PredictOptions,
    targets: pd.DataFrame,
    chosen: npt.NDArray[np.int64],
    genome: Path | None,
) -> dict[str, Any]:
    """Return what must be the same when an output is continued."""
    names = "\n".join(targets[NAME].iloc[chosen])
    return {
        "weights": predictions_identity(run),
        "targets": f"{len(chosen)}, checksum {zlib.crc32(names.encode())}",
        "genome": genome is not None,
        "top": options.top,
        "strands": options.strands,
        "stride_bp": options.stride_bp,
        "pad": options.pad,
        "dtype": options.dtype,
        "precision": options.precision,
    }


def _predict(
    model: TrainedModel,
    windows: Windows,
    count: int,
    chosen: npt.NDArray[np.int64],
    spool: Spool,
    options: PredictOptions,
) -> None:
    """Predict the windows that are not in the spool yet, and put them there."""
    names = model.targets[NAME].to_numpy(dtype=object)[chosen]
    done = spool.units
    if count < done:
        raise UsageError(
            f"{spool.folder}: was begun with another input, of more than {count:,} windows; "
            "go on with the same input, or remove this folder"
        )
    if done:
        say(f"{spool.folder}: going on after {done:,} of {count:,} windows")
    digest = _Digest()
    batches = windows.batches(options.batch_size)
    left = _skip(batches, done, spool, digest)
    with progress("predict", count - done, "windows") as advance, _kept(spool):
        for batch in itertools.chain(left, batches):
            digest.add(batch)
            rows = predict_rows(model, batch, chosen, names, options, first=spool.units)
            spool.write(*rows, units=len(batch), digest=digest.text())
            advance(len(batch))


def predict_rows(
    model: TrainedModel,
    batch: WindowBatch,
    chosen: npt.NDArray[np.int64],
    names: npt.NDArray[Any],
    options: PredictOptions,
    *,
    first: int,
) -> tuple[Columns, Scores]:
    """Return the rows of one batch: the columns and scores of `layout_of`.

    `chosen` are the targets' numbers, `names` their names, `first` the number of the batch's first
    window in the input.
    """
    probability = predict_codes(
        model, batch.codes, strands=options.strands, precision=options.precision
    )[:, chosen]
    if options.top is None:
        return batch.columns, {PROBABILITY: probability}
    return _top_rows(batch, probability, names, first, options.top), {}


def _skip(
    batches: Iterator[WindowBatch], done: int, spool: Spool, digest: "_Digest"
) -> list[WindowBatch]:
    """Pass over the windows that are done and check that they are the same; return what is left
    of the last batch that was read for that."""
    with progress("compare with what is done", done, "windows") as advance:
        read = 0
        while read < done:
            batch = next(batches)
            old = min(done - read, len(batch))
            digest.add(batch.rows(0, old))
            read += old
            advance(old)
    if done and digest.text() != spool.digest:
        raise UsageError(
            f"{spool.folder}: was begun with another input: its first {done:,} windows "
            "are not the same; go on with the same input, or remove this folder"
        )
    return [batch.rows(old, len(batch))] if done and old < len(batch) else []


@contextlib.contextmanager
def _kept(spool: Spool) -> Iterator[None]:
    """Put what is predicted into a part when the block ends, by an interrupt too."""
    try:
        yield
    except KeyboardInterrupt:
        spool.flush()
        raise
    spool.flush()


class _Digest:
    """A checksum of the windows so far, which does not depend on how they come in batches."""

    def __init__(self) -> None:
        self._codes = 0
        self._columns = 0

    def add(self, batch: WindowBatch) -> None:
        self._codes = zlib.crc32(batch.codes.tobytes(), self._codes)
        for row in zip(*(values.tolist() for values in batch.columns.values()), strict=True):
            self._columns = zlib.crc32(repr(row).encode(), self._columns)

    def text(self) -> str:
        return f"{self._codes:08x}{self._columns:08x}"


def _top_rows(
    batch: WindowBatch,
    probability: npt.NDArray[np.float32],
    names: npt.NDArray[Any],
    first: int,
    most: int,
) -> dict[str, npt.NDArray[Any]]:
    """Return a row for each of the most probable targets of each window, ties in target order."""
    order = np.argsort(-probability, axis=1, kind="stable")[:, :most]  # (windows, most)
    windows, ranks = order.shape
    values = np.take_along_axis(probability, order, axis=1).ravel()
    return {
        WINDOW: np.repeat(np.arange(first, first + windows), ranks),
        **{name: np.repeat(column, ranks) for name, column in batch.columns.items()},
        RANK: np.tile(np.arange(1, ranks + 1), windows),
        TARGET: names[order.ravel()],
        # By way of text: the float64 that a person would write for this float32.
        PROBABILITY: values.astype(str).astype(np.float64),
    }


def _bins(spool: Spool) -> Iterator[Bins]:
    """Yield what the parts hold, a contig at a time."""
    for columns, scores in spool.read():
        contig = columns["chrom"]
        ends = [*(np.flatnonzero(contig[1:] != contig[:-1]) + 1), len(contig)]
        for start, end in itertools.pairwise([0, *ends]):
            rows = slice(start, end)
            bins = columns["start"][rows], columns["end"][rows], scores[PROBABILITY][rows]
            yield contig[start], *bins


def report_past_end(windows: Windows, count: int) -> None:
    """Say how many bins have unknown bases because their contig ends."""
    if isinstance(windows, RegionWindows) and windows.past_end:
        say(
            f"{windows.label}: {windows.past_end:,} of {count:,} bins reach past their contig's "
            "end; the bases there are unknown (N)"
        )

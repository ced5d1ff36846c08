"""A prediction: a model, its input windows, and the rows that are computed of them.

`prediction.files` computes a prediction on this machine, and `cluster.predict` on a Ray cluster.
"""

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.dataset.targets import NAME, select_targets
from bioq.errors import UsageError
from bioq.files import sha256
from bioq.files.streams import kept_streams, stored
from bioq.forward import BATCH_SIZE, Precision, Strands, predict_codes
from bioq.genome import ContigNames, Genome, open_names
from bioq.genome.notation import VariantText
from bioq.inputs import (
    RegionWindows,
    SequenceWindows,
    Source,
    VariantWindows,
    WindowBatch,
    Windows,
    open_source,
    require_genome,
    sequence_file,
)
from bioq.options import AtLeastOne, check_types
from bioq.progress import say
from bioq.runs.calibration import CALIBRATION_FILE
from bioq.runs.folder import report_other_genome
from bioq.runs.held_out import HeldOut, held_out
from bioq.runs.trained_model import TrainedModel, load
from bioq.runs.weights import predictions_identity
from bioq.tables import Columns, Dtype, Kind, Layout, Scores

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
    """Write only this many targets of each window, the most probable first, one per row."""
    strands: Strands = "both"
    """both: average the probabilities of a window and its reverse complement. forward: use the
    window only; for a BED region whose sixth column is -, the reverse complement only."""
    stride_bp: AtLeastOne | None = None
    """Bases from window to window in a long sequence or region; by default the bin's length."""
    pad: bool = False
    """Put a sequence that is shorter than the window in the middle of unknown bases."""
    held_out: bool = False
    """Of an ensemble: predict each region only with the members whose training has not seen its
    contig."""
    dtype: Dtype = "float32"
    """Type of the probabilities in the file: float32, or float16 for half the size."""
    batch_size: AtLeastOne = BATCH_SIZE
    """Windows per forward pass."""
    device: str | None = None
    """cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no card."""
    precision: Precision = "32"
    """Number format of the forward pass: 32 (exact float32), tf32 or bf16."""

    def __post_init__(self) -> None:
        check_types(self)


def _check_options(options: PredictOptions, genome: Path | None, chrom_alias: Path | None) -> None:
    """Raise UsageError for options that no output can have."""
    if options.top is not None and options.dtype != "float32":
        raise UsageError(
            "--dtype cannot be combined with --top: --dtype applies to the matrix output only"
        )
    if genome is None and options.held_out:
        raise UsageError(
            "--held-out needs regions and --genome: members are chosen by the contig of a region"
        )
    if genome is not None and options.pad:
        raise UsageError("--pad is for sequences; regions are padded with the bases of the genome")
    require_genome(chrom_alias, genome)


@dataclass(frozen=True)
class Predictor:
    """A model and the table that it fills; the part of a job that the workers of a cluster get."""

    model: TrainedModel
    layout: Layout
    chosen: npt.NDArray[np.int64]
    """Numbers of the targets in the output of the model."""
    options: PredictOptions
    members: Mapping[str, tuple[int, ...]] | None = None
    """Contig in the column `chrom` -> numbers of the members of an ensemble that predict it; None
    for the whole model."""

    def rows(self, batch: WindowBatch, *, first: int) -> tuple[Columns, Scores]:
        """Return the columns and scores of a batch; its first window is number `first`."""
        options = self.options
        probability = self._predict(batch)[:, self.chosen]
        if options.top is None:
            return batch.columns, {PROBABILITY: probability}
        names = self.layout.targets[NAME].to_numpy(dtype=object)
        return _top_rows(batch, probability, names, first, options.top), {}

    def _predict(self, batch: WindowBatch) -> npt.NDArray[np.float32]:
        """Return the probabilities of all targets `(windows, targets)`."""
        strands, precision = self.options.strands, self.options.precision
        if self.members is None:
            return predict_codes(self.model, batch.codes, strands=strands, precision=precision)
        probability = np.empty((len(batch), len(self.model.targets)), dtype=np.float32)
        rows_of: dict[tuple[int, ...], list[int]] = {}
        for row, contig in enumerate(batch.columns["chrom"]):
            rows_of.setdefault(self.members[contig], []).append(row)
        for members, rows in rows_of.items():
            model = self.model.with_members(members)
            probability[rows] = predict_codes(
                model, batch.codes[rows], strands=strands, precision=precision
            )
        return probability


@dataclass(frozen=True)
class OpenPrediction:
    """An open prediction."""

    predictor: Predictor
    windows: Windows
    source: Source
    genome: Genome | None
    identity: Mapping[str, Any]
    """JSON values that must be the same to resume the output."""
    held_out: HeldOut | None = None
    """What the members of an ensemble have seen, if each region is predicted by the others."""

    def counted(self) -> tuple[int, "OpenPrediction"]:
        """Return the number of windows, after a check of the whole input, and the prediction with
        the members that predict each contig of it.

        Raises BioqError for input that is malformed, or that no member can predict.
        """
        count, windows = self.windows.count(), self.windows
        if self.held_out is None or not isinstance(windows, RegionWindows):
            return count, self
        chosen = self.held_out.choose(windows.contigs.values())
        self.held_out.report(chosen)
        members = {name: chosen[number] for name, number in windows.contigs.items()}
        return count, replace(self, predictor=replace(self.predictor, members=members))

    def report_past_end(self, count: int) -> None:
        """Print how many of `count` bins reach past the end of their contig, if any do."""
        windows = self.windows
        if isinstance(windows, RegionWindows) and windows.past_end:
            say(
                f"{windows.label}: {windows.past_end:,} of {count:,} bins reach past their "
                "contig's end; the bases there are unknown (N)"
            )


@contextlib.contextmanager
def open_prediction(
    run: Path,
    source: str | Path,
    *,
    genome: Path | None,
    chrom_alias: Path | None = None,
    options: PredictOptions,
    ordered: bool = False,
) -> Iterator[OpenPrediction]:
    """Yield the prediction of an input (see `inputs.open_source`); nothing is computed yet.

    `chrom_alias` is a table of contig names (see `genome.read_chrom_alias`). `ordered` yields the
    bins in genome order. Raises UsageError for options that do not go together, and BioqError for
    inputs that cannot be opened.
    """
    _check_options(options, genome, chrom_alias)
    with contextlib.ExitStack() as stack:
        model = load(run)
        chosen = select_targets(model.targets, options.targets)
        stack.enter_context(kept_streams())
        names = stack.enter_context(open_names(genome, chrom_alias)) if genome else None
        opened = stack.enter_context(open_source(source, names))
        if names is not None:
            report_other_genome(run, model.config, names.genome)
        windows = _open_windows(opened, model, names, options, ordered=ordered)
        unseen = None
        if options.held_out and names is not None:
            unseen = _held_out(run, model, names, windows)
        table = model.targets.iloc[chosen].reset_index(drop=True)
        layout = _layout(windows, table, options, run)
        yield OpenPrediction(
            predictor=Predictor(model, layout, chosen, options),
            windows=windows,
            source=opened,
            genome=None if names is None else names.genome,
            identity=_identity(run, options, table, genome, chrom_alias),
            held_out=unseen,
        )


def _held_out(run: Path, model: TrainedModel, names: ContigNames, windows: Windows) -> HeldOut:
    """Return what the members of an ensemble have seen. Raises UsageError for other input than
    regions, BioqError if it is not known."""
    if not isinstance(windows, RegionWindows):
        raise UsageError("--held-out needs regions: members are chosen by the contig of a region")
    found = held_out(run, model.config, names)
    if model.calibration is not None:
        say(
            f"note: {run / CALIBRATION_FILE} is not used with --held-out: it was fitted to the "
            "mean of all members"
        )
    return found


def _open_windows(
    source: Source,
    model: TrainedModel,
    names: ContigNames | None,
    options: PredictOptions,
    *,
    ordered: bool,
) -> Windows:
    """Return the windows of a FASTA or, with a genome, of a BED, a region or a variant."""
    window_bp, bin_bp = model.window_bp, model.bin_bp
    stride_bp = options.stride_bp or bin_bp
    if names is None:
        return SequenceWindows(
            sequence_file(source),
            window_bp=window_bp,
            stride_bp=stride_bp,
            pad=options.pad,
            label=source.label,
        )
    content = source.content
    if isinstance(content, VariantText):
        if ordered:
            raise UsageError(
                f"{source.label}: bigWig has one value per base, and a variant has two windows; "
                "give a region, or another --out"
            )
        return VariantWindows(source.text, content, names, window_bp=window_bp, bin_bp=bin_bp)
    return RegionWindows(
        content,
        names.genome,
        alias=names.alias,
        window_bp=window_bp,
        bin_bp=bin_bp,
        stride_bp=stride_bp,
        ordered=ordered,
        stranded=options.strands == "forward",
        label=source.label,
    )


def _layout(windows: Windows, targets: pd.DataFrame, options: PredictOptions, run: Path) -> Layout:
    """Return the layout of a table of windows or, with `top`, of their most probable targets."""
    metadata = {"run": run.resolve().name, "strands": options.strands, **_chosen(options)}
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


def _identity(
    run: Path,
    options: PredictOptions,
    targets: pd.DataFrame,
    genome: Path | None,
    chrom_alias: Path | None,
) -> dict[str, Any]:
    names = "\n".join(targets[NAME])
    return {
        "weights": predictions_identity(run),
        "targets": f"{len(targets)}, checksum {zlib.crc32(names.encode())}",
        "genome": genome is not None,
        "chrom_alias": None if chrom_alias is None else sha256(stored(chrom_alias)),
        "top": options.top,
        "strands": options.strands,
        "stride_bp": options.stride_bp,
        "pad": options.pad,
        "dtype": options.dtype,
        "precision": options.precision,
        **_chosen(options),
    }


def _chosen(options: PredictOptions) -> dict[str, bool]:
    """Return the entry about the choice of members; {} for tables as older versions wrote them."""
    return {"held_out": True} if options.held_out else {}


def _top_rows(
    batch: WindowBatch,
    probability: npt.NDArray[np.float32],
    names: npt.NDArray[Any],
    first: int,
    most: int,
) -> dict[str, npt.NDArray[Any]]:
    """Return one row for each of the `most` best targets per window, ties in target order."""
    order = np.argsort(-probability, axis=1, kind="stable")[:, :most]  # (windows, most)
    windows, ranks = order.shape
    values = np.take_along_axis(probability, order, axis=1).ravel()
    return {
        WINDOW: np.repeat(np.arange(first, first + windows), ranks),
        **{name: np.repeat(column, ranks) for name, column in batch.columns.items()},
        RANK: np.tile(np.arange(1, ranks + 1), windows),
        TARGET: names[order.ravel()],
        # By way of text: the shortest decimal number for this float32, as float64.
        PROBABILITY: values.astype(str).astype(np.float64),
    }

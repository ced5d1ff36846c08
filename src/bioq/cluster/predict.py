"""`bioq predict --ray`: the windows of sequences or regions on a cluster."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from bioq import dna
from bioq.cluster.connection import import_ray
from bioq.cluster.options import ClusterOptions
from bioq.cluster.parts import Parts, check_folder
from bioq.cluster.shards import Shard, compute_parts, digest_of
from bioq.cluster.workers import software
from bioq.dataset.targets import NAME, select_targets
from bioq.files import sha256
from bioq.forward import choose_device, numerics
from bioq.genome import open_genome
from bioq.inputs import WindowBatch, Windows, input_file
from bioq.prediction.job import (
    PredictOptions,
    check_options,
    identity,
    layout_of,
    open_windows,
    predict_rows,
    report_past_end,
)
from bioq.runs.folder import load
from bioq.tables import Columns, Layout, Scores
from bioq.text import STDIN


def predict_on_ray(
    run: Path,
    source: Path,
    out: Path,
    *,
    genome: Path | None = None,
    options: PredictOptions = PredictOptions(),  # noqa: B008 frozen
    cluster: ClusterOptions,
    resume: bool = False,
) -> Path:
    """Predict every window of a FASTA, or, with a genome, of a BED file, on a Ray cluster.

    Writes the folder `out` of Parquet parts (see `parts`), whose rows are those of `predict_file`;
    returns `out`. Raises UsageError for options that do not go together and BioqError, before
    anything is written, for an input with a fault.
    """
    cluster.check()
    check_options(options, genome)
    import_ray(cluster)
    check_folder(out, resume=resume)
    with contextlib.ExitStack() as stack:
        stack.enter_context(numerics(torch.device("cpu"), _precision(options)))
        model = load(run)
        targets: pd.DataFrame = model.targets  # type: ignore[assignment]
        chosen = select_targets(targets, options.targets)
        path, label = stack.enter_context(input_file(source))
        opened = stack.enter_context(open_genome(genome)) if genome else None
        windows = open_windows(path, label, model, opened, options)
        table = targets.iloc[chosen].reset_index(drop=True)
        job = PredictJob(model, layout_of(windows, table, options, run), chosen, options)
        count = windows.count()
        about = {
            "command": "predict",
            "run": run.resolve().name,
            **identity(run, options, targets, chosen, genome),
            "input": "stdin" if source == STDIN else source.name,
            "input_sha256": sha256(path),
            "shard": cluster.ray_shard,
            "batch_size": options.batch_size,
            "device": options.device,
            **software(),
        }
        compute_parts(
            job,
            _shards(windows, cluster.ray_shard),
            Parts(out, about, resume=resume),
            total=count,
            unit="windows",
            device=options.device,
            options=cluster,
        )
    report_past_end(windows, count)
    return out


@dataclass(frozen=True)
class _Packed:
    """The windows of a shard, at two bits a base."""

    first: int
    """Number of the first one in the input."""
    columns: Mapping[str, npt.NDArray[Any]]
    length: int
    packed: dna.Bytes
    mask: dna.Bytes | None
    """Of the unknown bases; None where all are known."""


def _shards(windows: Windows, size: int) -> Iterator[Shard]:
    for number, batch in enumerate(windows.batches(size)):
        packed, unknown = dna.pack(batch.codes)
        mask = unknown if unknown.any() else None
        columns = [repr(values.tolist()).encode() for values in batch.columns.values()]
        yield Shard(
            number,
            len(batch),
            digest_of(packed.tobytes(), unknown.tobytes(), *columns),
            _Packed(number * size, batch.columns, batch.codes.shape[1], packed, mask),
        )


@dataclass(frozen=True)
class PredictJob:
    """What every worker is told of a prediction."""

    model: nn.Module
    layout: Layout
    chosen: npt.NDArray[np.int64]
    options: PredictOptions

    def open(self, device: str) -> "_Open":
        """Put the model on its device. Raises UsageError for a precision that it has not."""
        place = choose_device(device)
        with numerics(place, self.options.precision):
            return _Open(self.model.to(place).eval(), self)


class _Open:
    def __init__(self, model: nn.Module, job: PredictJob):
        self._model = model
        self._job = job
        self._names = job.layout.targets[NAME].to_numpy(dtype=object)

    def rows(self, shard: _Packed) -> Iterator[tuple[Columns, Scores]]:
        job, options = self._job, self._job.options
        batch = WindowBatch(shard.columns, dna.unpack(shard.packed, shard.length, shard.mask))
        for start in range(0, len(batch), options.batch_size):
            part = batch.rows(start, start + options.batch_size)
            first = shard.first + start
            yield predict_rows(self._model, part, job.chosen, self._names, options, first=first)

    def notes(self) -> Mapping[str, Any]:
        return {}


def _precision(options: PredictOptions) -> Any:
    """Return the precision as far as it can be refused here; tf32 needs the worker's card."""
    return options.precision if options.precision != "tf32" or options.device == "cpu" else "32"

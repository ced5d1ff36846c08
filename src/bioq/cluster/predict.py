"""`bioq predict --ray`: the windows of sequences or regions on a cluster."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from bioq import dna
from bioq.cluster.connection import import_ray
from bioq.cluster.options import ClusterOptions
from bioq.cluster.parts import Parts, check_folder
from bioq.cluster.shards import Shard, compute_parts, digest_of
from bioq.cluster.workers import software
from bioq.files import refuse_input
from bioq.forward import numerics
from bioq.genome.named import file_given
from bioq.inputs import WindowBatch, Windows
from bioq.models.device import choose_device
from bioq.prediction.predictor import PredictOptions, Predictor, open_prediction
from bioq.tables import Columns, Layout, Scores


def predict_on_ray(
    run: Path,
    source: str | Path,
    out: Path,
    *,
    genome: Path | None = None,
    chrom_alias: Path | None = None,
    options: PredictOptions = PredictOptions(),  # noqa: B008 frozen
    cluster: ClusterOptions,
    resume: bool = False,
    force: bool = False,
) -> Path:
    """Predict every window of an input (see `inputs.open_source`) on a Ray cluster.

    Writes the folder `out` of Parquet parts (see `parts`), whose rows are those of `predict_file`;
    returns `out`. Raises UsageError for options that do not go together and BioqError, before
    anything is written, for bad input.
    """
    import_ray(cluster)
    check_folder(out, resume=resume, force=force)
    refuse_input(out, source, file_given(genome), chrom_alias, run)
    with (
        numerics(torch.device("cpu"), _precision(options)),
        open_prediction(
            run, source, genome=genome, chrom_alias=chrom_alias, options=options
        ) as prediction,
    ):
        count, prediction = prediction.counted()
        identity = {
            "command": "predict",
            "run": run.resolve().name,
            **prediction.identity,
            "input": prediction.source.name,
            "input_sha256": prediction.source.sha256(),
            "shard": cluster.ray_shard,
            "batch_size": options.batch_size,
            "device": options.device,
            **software(),
        }
        compute_parts(
            PredictTask(prediction.predictor),
            _shards(prediction.windows, cluster.ray_shard),
            Parts(out, identity, resume=resume, force=force),
            total=count,
            unit="windows",
            device=options.device,
            options=cluster,
        )
    prediction.report_past_end(count)
    return out


@dataclass(frozen=True)
class _Packed:
    """The windows of a shard, at two bits per base."""

    first: int
    """Number of the first window in the input."""
    columns: Mapping[str, npt.NDArray[Any]]
    length: int
    packed: dna.Bytes
    mask: dna.Bytes | None
    """The mask of the unknown bases; None if all bases are known."""


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
class PredictTask:
    """A prediction, as it is sent to every worker."""

    predictor: Predictor

    @property
    def layout(self) -> Layout:
        """The layout of the parts."""
        return self.predictor.layout

    def open(self, device: str) -> "_OpenPrediction":
        """Move the model to a device. Raises UsageError if the device does not support the
        precision."""
        chosen = choose_device(device)
        with numerics(chosen, self.predictor.options.precision):
            model = self.predictor.model.to(chosen).eval()
            return _OpenPrediction(replace(self.predictor, model=model))


@dataclass(frozen=True)
class _OpenPrediction:
    predictor: Predictor

    def rows(self, shard: _Packed) -> Iterator[tuple[Columns, Scores]]:
        batch_size = self.predictor.options.batch_size
        batch = WindowBatch(shard.columns, dna.unpack(shard.packed, shard.length, shard.mask))
        for start in range(0, len(batch), batch_size):
            part = batch.rows(start, start + batch_size)
            yield self.predictor.rows(part, first=shard.first + start)

    def notes(self) -> Mapping[str, Any]:
        return {}


def _precision(options: PredictOptions) -> Any:
    """Return the precision that this machine can check: tf32 depends on the worker's card."""
    return options.precision if options.precision != "tf32" or options.device == "cpu" else "32"

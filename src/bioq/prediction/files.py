"""Predicts the windows of a FASTA or BED file on this machine; writes a table or bigWig files.

One batch of windows and one part of the output are in memory at a time.
"""

import contextlib
import itertools
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bioq.dataset.targets import NAME
from bioq.errors import UsageError
from bioq.files import locked, refuse_input, require_absent, require_folder_for
from bioq.forward import numerics
from bioq.genome.named import file_given
from bioq.inputs import WindowBatch
from bioq.models.device import choose_device
from bioq.options import of_type, path_to
from bioq.prediction.predictor import PROBABILITY, OpenPrediction, PredictOptions, open_prediction
from bioq.prediction.spool import Spool, is_interrupted, partial_folder
from bioq.progress import progress, say
from bioq.runs.folder import files_of_run
from bioq.runs.named import resolve_run
from bioq.tables import open_table, table_ending
from bioq.tables.resume import different, refuse_both, refuse_interrupted
from bioq.tracks.bigwig import ENDING as BIGWIG
from bioq.tracks.bigwig import Bins, bigwig_paths, is_bigwig, require_positions, write_bigwigs
from bioq.tracks.hub import Hub, plan_hub, require_bigwig


def predict_file(
    run: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    genome: str | Path | None = None,
    chrom_alias: str | Path | None = None,
    options: PredictOptions = PredictOptions(),  # noqa: B008 frozen
    hub: bool = False,
    resume: bool = False,
    force: bool = False,
) -> list[Path]:
    """Predict every window of an input, in input order, and write the probabilities.

    Until the output is complete its rows are in the folder `OUT.partial`, from which `resume`
    continues.

    Args:
        run: The run: a folder, a name or an address.
        source: Sequences, regions or a variant (see `inputs.open_source`).
        out: File to write, in the format of its ending.
        genome: Genome of regions: a file, or a name such as hg38.
        chrom_alias: Table of contig names.
        options: What is computed and written, and where.
        hub: Also write the files with which genome browsers show the bigWigs (see `tracks.hub`).
        resume: Continue an interrupted output.
        force: Replace an output that exists.

    Returns:
        The files written.

    Raises:
        UsageError: For options that do not go together.
        BioqError: Before anything is written, for bad input, and for an output that exists, without
            `force`.
    """
    path_to("run", run)
    out = path_to("out", out)
    genome = None if genome is None else path_to("genome", genome)
    chrom_alias = None if chrom_alias is None else path_to("chrom_alias", chrom_alias)
    of_type("options", options, PredictOptions, "bioq.prediction.PredictOptions")
    refuse_both(resume=resume, force=force)
    _check(out, genome, options, hub=hub, resume=resume, force=force)
    model = Path(run).name or Path(run).resolve().name
    run = resolve_run(run)  # after all options: it may be a download
    inputs = [source, file_given(genome), chrom_alias, *files_of_run(run)]
    refuse_input(out, *inputs)
    writes_tracks = is_bigwig(out)
    device = choose_device(options.device)
    with (
        numerics(device, options.precision),  # raises before any work
        open_prediction(
            run,
            source,
            genome=genome,
            chrom_alias=chrom_alias,
            options=options,
            ordered=writes_tracks,
        ) as prediction,
    ):
        layout = prediction.predictor.layout
        outs = bigwig_paths(out, list(layout.targets[NAME])) if writes_tracks else [out]
        _require_new(out, outs, resume=resume, force=force)
        tracks, plan = len(outs), None
        if hub and prediction.genome is not None:
            about = prediction.genome, layout.targets
            replaces = force or is_interrupted(out)  # as `_require_new` replaces bigWigs
            plan = plan_hub(out, *about, shows="probability", model=model, force=replaces)
            outs += plan.files
        for path in outs:
            refuse_input(path, *inputs)
        count, prediction = prediction.counted()
        prediction.predictor.model.to(device)
        with Spool(out, layout, prediction.identity, resume=resume, force=force) as spool:
            _predict(prediction, count, spool)
            _complete(spool, outs, prediction, tracks=tracks, hub=plan)
    prediction.report_past_end(count)
    return outs


def _check(
    out: Path,
    genome: Path | None,
    options: PredictOptions,
    *,
    hub: bool,
    resume: bool,
    force: bool,
) -> None:
    if hub:
        require_bigwig([out])
    if not is_bigwig(out):
        if table_ending(out, more=(BIGWIG,)) == ".h5ad" and options.top is not None:
            raise UsageError(
                f"{out}: .h5ad holds a matrix, --top makes a long table; run without --top"
            )
    else:
        require_positions(out, genome)
        if options.top is not None or options.dtype != "float32":
            raise UsageError(
                f"{out}: bigWig holds one float32 per base; run without --top and --dtype"
            )
    require_folder_for(out)
    if not is_bigwig(out):
        _require_new(out, [out], resume=resume, force=force)


def _require_new(out: Path, outs: Sequence[Path], *, resume: bool, force: bool) -> None:
    """Raise an error for an output that exists, unless it is to be replaced or was interrupted.

    An interrupted output with --force continues with --resume: the files that it replaces are there
    until it is complete.
    """
    if is_interrupted(out) and not force:
        refuse_interrupted(partial_folder(out), resume=resume)
        return
    for path in outs:
        if resume and path.exists():
            raise UsageError(f"{path}: is already complete; run without --resume")
        require_absent(path, force=force)


def _complete(
    spool: Spool, outs: list[Path], prediction: OpenPrediction, *, tracks: int, hub: Hub | None
) -> None:
    """Write the rows of the spool as one table or, on a genome, as a bigWig for each of the first
    `tracks` names and then the files of a hub."""
    with contextlib.ExitStack() as together, spool.finishing(outs) as files:
        if is_bigwig(outs[0]) and prediction.genome is not None:
            write_bigwigs(files[:tracks], prediction.genome.lengths, lambda: _bins(spool))
            if hub is not None:  # another process may add its tracks to the same hub
                together.enter_context(locked(outs[0].parent))
                hub.write(files[tracks:], files[:tracks])
        else:
            with open_table(files[0], prediction.predictor.layout) as table:
                for rows in spool.read():
                    table.write(*rows)


def _predict(prediction: OpenPrediction, count: int, spool: Spool) -> None:
    """Predict the windows that are not in the spool yet, and add them to it."""
    done = spool.units
    if count < done:
        raise different(spool.folder, f"another input, of more than {count:,} windows")
    if done:
        say(f"{spool.folder}: continuing after {done:,} of {count:,} windows")
    digest = _Digest()
    batches = prediction.windows.batches(prediction.predictor.options.batch_size)
    rest = _skip(batches, done, spool, digest)
    with progress("predict", count - done, "windows") as advance, _flushed(spool):
        for batch in itertools.chain(rest, batches):
            digest.add(batch)
            rows = prediction.predictor.rows(batch, first=spool.units)
            spool.write(*rows, units=len(batch), digest=digest.text())
            advance(len(batch))


def _skip(
    batches: Iterator[WindowBatch], done: int, spool: Spool, digest: "_Digest"
) -> list[WindowBatch]:
    """Read the windows that are done and compare their digest with that of the spool.

    Returns the windows after them in the last batch that was read.
    """
    with progress("compare with what is done", done, "windows") as advance:
        read = 0
        while read < done:
            batch = next(batches)
            old = min(done - read, len(batch))
            digest.add(batch.rows(0, old))
            read += old
            advance(old)
    if done and digest.text() != spool.digest:
        raise different(spool.folder, f"another input: its first {done:,} windows are not the same")
    return [batch.rows(old, len(batch))] if done and old < len(batch) else []


@contextlib.contextmanager
def _flushed(spool: Spool) -> Iterator[None]:
    """Write the predicted rows as a part when the block ends, also when Ctrl-C ends it."""
    try:
        yield
    except KeyboardInterrupt:
        spool.flush()
        raise
    spool.flush()


class _Digest:
    """A checksum of the windows so far, which does not depend on the size of the batches."""

    def __init__(self) -> None:
        self._codes = 0
        self._columns = 0

    def add(self, batch: WindowBatch) -> None:
        self._codes = zlib.crc32(batch.codes.tobytes(), self._codes)
        for row in zip(*(values.tolist() for values in batch.columns.values()), strict=True):
            self._columns = zlib.crc32(repr(row).encode(), self._columns)

    def text(self) -> str:
        return f"{self._codes:08x}{self._columns:08x}"


def _bins(spool: Spool) -> Iterator[Bins]:
    """Yield the bins of the parts, those of one contig at a time."""
    for columns, scores in spool.read():
        contig = columns["chrom"]
        ends = [*(np.flatnonzero(contig[1:] != contig[:-1]) + 1), len(contig)]
        for start, end in itertools.pairwise([0, *ends]):
            rows = slice(start, end)
            bins = columns["start"][rows], columns["end"][rows], scores[PROBABILITY][rows]
            yield contig[start], *bins

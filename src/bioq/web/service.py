"""The functions of the server without HTTP: read input, queue predictions and jobs."""

import contextlib
import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.errors import BioqError, UsageError, short
from bioq.forward import BATCH_SIZE, predict_codes
from bioq.genome import ContigNames, Genome, open_genome
from bioq.genome.builds import build_named
from bioq.genome.vcf import Variant, VcfContent
from bioq.genome.vcf_header import VcfHeader
from bioq.genome.windows import window_start
from bioq.inputs import Locus, RegionWindows, SequenceWindows, WindowBatch
from bioq.inputs.loci import locus_in_window
from bioq.interpretation import Explanation, mutate_window
from bioq.interpretation.explanation import REFERENCE
from bioq.models.device import choose_device
from bioq.options import whole_number
from bioq.progress import say
from bioq.runs.folder import RunConfig, other_genome
from bioq.runs.trained_model import TrainedModel, fingerprint_of, load
from bioq.variants import Background, VariantOptions
from bioq.variants.background.of_run import NO_BACKGROUND, open_background
from bioq.variants.background.reference import require_same_model
from bioq.variants.jobs import report_background
from bioq.variants.scores import score_names
from bioq.variants.scoring import Scorer
from bioq.variants.summary import summary_of
from bioq.web import visitor_input, visitor_variants
from bioq.web.answers import Alleles, Mutagenesis, Predictions
from bioq.web.jobs import Job, JobBook
from bioq.web.known_window import KnownWindow, find_known_window
from bioq.web.limits import Limits
from bioq.web.motif_names import NO_MOTIFS, MotifNames, open_motif_names
from bioq.web.queue import GiveWay, Level, ModelQueue

STEP_ALLELES = 32
"""Alleles scored between two checks for shorter work: about half a second on two cores."""


@dataclass(frozen=True)
class Service:
    """A model, its queue and jobs, and a genome if there is one."""

    run: str
    """Name of the run."""
    folder: Path
    """Folder of the run; never shown."""
    model: TrainedModel
    genome: Genome | None
    queue: ModelQueue
    jobs: JobBook
    limits: Limits
    background: Background | None = None
    """The variants with which those of visitors are compared."""
    motif_names: MotifNames = field(default_factory=lambda: MotifNames(NO_MOTIFS))
    """The motifs whose names are written above contributions."""
    genome_note: str = ""
    """That the model was trained on another genome; empty if nothing shows it."""

    @property
    def targets(self) -> pd.DataFrame:
        return self.model.targets

    @property
    def config(self) -> RunConfig:
        return self.model.config

    @property
    def window_bp(self) -> int:
        return self.model.window_bp

    @property
    def bin_bp(self) -> int:
        return self.model.bin_bp

    @cached_property
    def known_window(self) -> KnownWindow | None:
        """A window of the genome for examples; None without a genome that has one."""
        if self.genome is None:
            return None
        return find_known_window(self.genome, self.window_bp, self.bin_bp)

    @cached_property
    def fingerprint(self) -> str:
        """The checksum of all that the model's probabilities depend on."""
        return fingerprint_of(self.model)

    @cached_property
    def contigs_checksum(self) -> str:
        """A checksum of the names and lengths of the genome's contigs; empty without a genome."""
        if self.genome is None:
            return ""
        return hashlib.sha256(repr(sorted(self.genome.lengths.items())).encode()).hexdigest()

    # Input: text to windows or alleles. Raise BioqError.

    def read_sequences(self, text: str, *, pad: bool) -> WindowBatch:
        """Return the windows of pasted sequences; see `visitor_input.read_sequences`."""
        return visitor_input.read_sequences(
            text, window_bp=self.window_bp, stride_bp=self.bin_bp, pad=pad, limits=self.limits
        )

    def read_regions(self, text: str) -> WindowBatch:
        """Return the windows of regions; see `visitor_input.read_regions`."""
        return visitor_input.read_regions(
            text,
            self.genome,
            window_bp=self.window_bp,
            bin_bp=self.bin_bp,
            limits=self.limits,
            example="" if self.known_window is None else str(self.known_window.region()),
        )

    def read_variant_lines(self, text: str, header: VcfHeader | None = None) -> list[Variant]:
        """Return pasted alleles; see `visitor_variants.read_variant_lines`."""
        return visitor_variants.read_variant_lines(
            text,
            self.limits,
            contigs=self.require_genome().lengths,
            header=header,
            example="" if self.known_window is None else str(self.known_window.variant),
        )

    # Results: queued for the one thread that uses the model.

    def predict(self, windows: WindowBatch) -> Future[Predictions]:
        """Predict windows, both strands averaged. Raises Busy."""
        answer: Future[Predictions] = Future()
        kinds = kinds_of(windows)

        def finish(future: Future[Any]) -> None:
            if not answer.set_running_or_notify_cancel():
                return
            if future.cancelled() or future.exception():
                answer.set_exception(future.exception() if not future.cancelled() else _stopped())
            else:
                answer.set_result(Predictions(windows, kinds, future.result()))

        probability = self.queue.predict(windows.codes)
        answer.add_done_callback(lambda future: future.cancelled() and probability.cancel())
        probability.add_done_callback(finish)
        return answer

    def predict_job(self, windows: WindowBatch) -> Job:
        """Predict windows as a job, whose result is kept."""
        answer = self.predict(windows)
        first = short(str(next(iter(windows.columns.values()))[0]))
        title = first if len(windows) == 1 else f"{first} and {len(windows) - 1:,} more windows"
        job = Job("sequence", title, self.jobs.new_folder(), len(windows), "windows")
        return self.jobs.adopt(job, answer)

    def mutate_job(self, windows: WindowBatch, number: int, target: int, span_bp: int) -> Job:
        """Mutate the middle `span_bp` of one window, for one target. Raises Busy."""
        locus = self.locus(windows, number, span_bp)
        kinds = kinds_of(windows)
        name = str(self.targets[NAME].iloc[target])
        known = (locus.bases[:, None] != np.arange(4)).sum()
        where = name_of(locus.columns)
        title = f"{name}, {where}:{locus.position[0] + 1:,}-{locus.position[-1] + 1:,}"
        job = Job("mutagenesis", title, self.jobs.new_folder(), int(known), "mutants")

        def run(give_way: GiveWay) -> Mutagenesis:
            def advance(done: int) -> None:
                job.done += done
                give_way()

            reference, effects = mutate_window(
                self.model,
                locus.codes,
                start=locus.start,
                end=locus.end,
                targets=np.array([target]),
                device=next(self.model.parameters()).device,
                advance=advance,
            )
            explanation = Explanation(locus, effects, {REFERENCE: reference})
            return Mutagenesis(title, name, explanation, kinds)

        return self.jobs.start(job, run, Level.SECONDS)

    def score_job(
        self,
        alleles: Iterable[Variant],
        count: int,
        title: str,
        header: VcfHeader | None = None,
        warnings: Sequence[str] = (),
        *,
        score_swapped: bool = False,
    ) -> Job:
        """Score alleles on the genome; `header` is that of their VCF, and `warnings` about its file
        are added to the notes. `score_swapped`: see `VariantOptions`. Raises Busy."""
        genome = self.require_genome()
        job = Job("variants", title, self.jobs.new_folder(), count, "alleles")
        device = str(next(self.model.parameters()).device)
        options = VariantOptions(device=device, score_swapped=score_swapped)
        scored = Alleles(
            job.folder,
            len(self.targets),
            score_names=score_names(
                is_ensemble=bool(self.config.members), has_background=self.background is not None
            ),
            score_swapped=score_swapped,
            stops=self.queue.is_stopping,
        )

        def run(give_way: GiveWay) -> Alleles:
            names = ContigNames(genome)
            scorer = Scorer(self.model, names, options, background=self.background)
            stream = iter(alleles)
            contigs: dict[str, None] = {}
            with scored.filling():
                while batch := list(islice(stream, STEP_ALLELES)):
                    contigs |= dict.fromkeys(variant.chrom for variant in batch)
                    for block in scorer.score(batch):
                        scored.add(block.columns, block.scores)
                    job.done += len(batch)
                    give_way()
            content = VcfContent(count, tuple(contigs), header or VcfHeader())
            own = [self.genome_note] if self.genome_note else []
            scored.notes = (*own, *warnings, *summary_of(scorer, content).warnings())
            return scored

        level = Level.SECONDS if count <= self.limits.direct_alleles else Level.MINUTES
        return self.jobs.start(job, run, level)

    def score_vcf_job(self, upload: bytes, title: str, *, score_swapped: bool = False) -> Job:
        """Check and score an uploaded VCF. `score_swapped`: see `VariantOptions`.

        Its alleles are held in memory: to read its header again would keep the model from others.
        """
        self.require_genome()
        warnings: list[str] = []
        alleles, header = visitor_variants.read_vcf(upload, self.limits, warn=warnings.append)
        return self.score_job(
            alleles, len(alleles), title, header, warnings, score_swapped=score_swapped
        )

    def locus(self, windows: WindowBatch, number: int, span_bp: int) -> Locus:
        """Return the middle of a window, without padding, as the bases to explain."""
        columns = {name: values[number] for name, values in windows.columns.items()}
        start, end = int(columns["start"]), int(columns["end"])
        first, last = start, end
        if "chrom" in columns:
            names = ContigNames(self.require_genome())
            contig = names.contigs[names.require(columns["chrom"], name_of(columns))]
            first, last = 0, names.genome.lengths[contig]
        locus = locus_in_window(
            columns,
            windows.codes[number],
            window_start=window_start(start, end, self.window_bp),
            span_bp=span_bp,
            first=first,
            last=last,
        )
        if locus is None:
            raise BioqError(f"{name_of(columns)}: the sequence has no bases to explain")
        return locus

    def require_genome(self) -> Genome:
        if self.genome is None:
            raise BioqError("variants need a genome: start the server with --genome")
        return self.genome


@contextlib.contextmanager
def open_service(
    run: Path,
    genome: Path | None = None,
    *,
    background: Path | None = None,
    motifs: str | None = None,
    device: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 frozen
    batch_size: int = BATCH_SIZE,
) -> Iterator[Service]:
    """Yield the service of a run. Without `background` it has that of the run, if there is one;
    `motifs` are those of `open_motif_names`.

    Raises BioqError for a bad run folder, genome, background, motifs or batch size.
    """
    batch_size = whole_number("batch_size", batch_size, least=1)
    with contextlib.ExitStack() as stack:
        on = choose_device(device)
        model = load(run).to(on)
        opened = None if genome is None else _shared(stack.enter_context(open_genome(genome)))
        note = "" if opened is None else other_genome(run.resolve().name, model.config, opened)
        if note:
            say(f"note: {note}")
        known = _background(background, run, model, opened)
        builds = [build_named(model.config.genome_build), None if opened is None else opened.build]

        def predict(codes: dna.Bytes) -> Any:
            return predict_codes(model, codes, device=on)

        # The first prediction prepares the model.
        predict(np.zeros((1, model.window_bp), dtype=np.uint8))
        queue = ModelQueue(
            predict,
            waiting_windows=limits.waiting_windows,
            waiting_jobs=limits.waiting_jobs,
            batch_size=batch_size,
        )
        jobs = JobBook(
            queue,
            kept=limits.kept_jobs,
            kept_seconds=limits.kept_seconds,
            kept_bytes=limits.kept_bytes,
        )
        stack.callback(jobs.close)
        stack.callback(queue.close)  # called first: running work has files in the jobs' folders
        yield Service(
            run=run.resolve().name,
            folder=run,
            model=model,
            genome=opened,
            queue=queue,
            jobs=jobs,
            limits=limits,
            background=known,
            motif_names=open_motif_names(motifs, builds),
            genome_note=note,
        )


def _background(
    given: Path | None, run: Path, model: TrainedModel, genome: Genome | None
) -> Background | None:
    """Return the background that was given or that of the run, after a check that it fits."""
    if genome is None:
        if given not in (None, NO_BACKGROUND):
            raise UsageError(f"--background {given}: variants need a genome; add --genome")
        return None
    background = open_background(given, run)
    if background is not None:
        require_same_model(background, fingerprint_of(model), list(model.targets[NAME]))
        report_background(background, run, genome, VariantOptions())
    return background


def _shared(genome: Genome) -> Genome:
    """Return the genome for use by several threads, with its file name instead of its path."""
    lock = threading.Lock()

    def read(contig: str, start: int, end: int) -> dna.Bytes:
        with lock:
            return genome.read(contig, start, end)

    def letters(contig: str, start: int, end: int) -> str:
        with lock:
            return genome.letters(contig, start, end)

    return Genome(Path(genome.path.name), genome.lengths, read, genome.close, letters)


def kinds_of(windows: WindowBatch) -> Mapping[str, Literal["text", "integer", "number"]]:
    """Return the kinds of the columns of regions or sequences."""
    return RegionWindows.columns if "chrom" in windows.columns else SequenceWindows.columns


def name_of(columns: Mapping[str, Any]) -> str:
    """Return the name of a window's sequence or contig, for a message or a title."""
    return short(str(columns.get("sequence") or columns.get("chrom")))


def _stopped() -> BioqError:
    return BioqError("the server is stopping")

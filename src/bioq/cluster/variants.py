"""`bioq variants --ray`: the alleles of a VCF on a cluster."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bioq import dna
from bioq.cluster.connection import import_ray
from bioq.cluster.options import ClusterOptions
from bioq.cluster.parts import Part, Parts, check_folder
from bioq.cluster.shards import Shard, compute_parts, digest_of
from bioq.cluster.workers import software
from bioq.errors import BioqError, UsageError
from bioq.files import refuse_input, sha256
from bioq.files.streams import kept_streams, stored
from bioq.genome import ContigNames, Genome
from bioq.genome.alleles import locate_allele, read_allele_windows
from bioq.genome.vcf import Variant
from bioq.inputs import AllSnvs, alleles_name, open_alleles
from bioq.models.device import choose_device
from bioq.runs.held_out import HeldOut
from bioq.runs.weights import predictions_identity
from bioq.tables import Columns, Layout, Scores
from bioq.tables.resume import REMEDY
from bioq.variants import Summary, VariantJob, VariantOptions, VariantTableOptions
from bioq.variants.background.reference import Background
from bioq.variants.jobs import open_scorer, require_unseen, table_metadata
from bioq.variants.scoring import Scorer
from bioq.variants.summary import summary_of


@kept_streams()
def write_variants_on_ray(
    job: VariantJob,
    out: Path,
    table: VariantTableOptions = VariantTableOptions(),  # noqa: B008 frozen
    *,
    cluster: ClusterOptions,
    resume: bool = False,
    force: bool = False,
) -> Summary:
    """Score the alleles of a VCF on a Ray cluster: one row per allele, in input order.

    Writes the folder `out` of Parquet parts (see `parts`), whose rows are those of
    `write_variants`. Raises BioqError for malformed input, before anything is written.
    """
    import_ray(cluster)
    table = table.of_run(job.run)
    check_folder(out, resume=resume, force=force)
    refuse_input(out, *job.inputs(), job.run, table.background_file)
    _check(job.options, table)
    names = table.score_names(
        is_ensemble=job.is_ensemble(), may_be_none=isinstance(job.source, AllSnvs)
    )
    # This machine reads the genome and never predicts.
    local = replace(job, options=replace(job.options, device="cpu"))
    with (
        open_scorer(local, table) as scorer,
        open_alleles(job.source, scorer.names, may_be_empty=True) as alleles,
    ):
        content = alleles.content
        require_unseen(scorer, content)
        job = replace(job, genome=scorer.names.genome.path)  # the file, where a name was given
        task = _task(job, table, names, scorer)
        parts = compute_parts(
            task,
            _shards(
                _GenomeReader(scorer),
                alleles.read(),
                cluster.ray_shard,
            ),
            Parts(
                out,
                _identity(job, table, names, alleles.sha256(), cluster),
                resume=resume,
                force=force,
            ),
            total=content.alleles,
            unit="alleles",
            device=job.options.device,
            options=cluster,
        )
        _add_counts(scorer, parts, out)
        return summary_of(scorer, content)


def _check(options: VariantOptions, table: VariantTableOptions) -> None:
    if table.format != "table":
        raise UsageError(
            f"--format {table.format} cannot be combined with --ray, which writes tables only"
        )
    if table.long:
        raise UsageError(
            "--long cannot be combined with --ray, whose parts have one row per allele; run "
            "without one of the two"
        )
    if table.annotate:
        raise UsageError(
            "--annotate cannot be combined with --ray, which writes tables only; run without --ray"
        )
    if options.precision == "tf32" and options.device == "cpu":
        raise UsageError("precision tf32 needs a CUDA device, this is cpu; use 32 or bf16")


def _identity(
    job: VariantJob,
    table: VariantTableOptions,
    scores: Sequence[str],
    input_sha256: str,
    cluster: ClusterOptions,
) -> dict[str, Any]:
    """Return the JSON values that must be the same to resume."""
    background = table.background_file
    return {
        "command": "variants",
        "run": job.run.resolve().name,
        "weights": predictions_identity(job.run),
        "input": alleles_name(job.source),
        "input_sha256": input_sha256,
        "genome": job.genome.name,
        "targets": list(table.targets),
        "scores": list(scores),
        "background": None if background is None else sha256(stored(background)),
        "group_by": table.group_by,
        "chrom_alias": None if job.chrom_alias is None else sha256(stored(job.chrom_alias)),
        "shard": cluster.ray_shard,
        **asdict(job.options),
        **({"held_out": True} if table.held_out else {}),
        **software(),
    }


def _add_counts(scorer: Scorer, parts: Iterable[Part], out: Path) -> None:
    """Add the counts that the workers noted to those of `scorer`."""
    for part in parts:
        try:
            for name, counter in scorer.counters.items():
                counter.update(part.notes[name])
        except (KeyError, TypeError, ValueError) as error:
            raise BioqError(f"{out}: the notes of {part.name} are damaged; {REMEDY}") from error


Bases = tuple[str, int, int]
"""(contig, start, end)"""


@dataclass(frozen=True)
class _Alleles:
    """The alleles of a shard, and the bases of the genome that are needed to score them."""

    variants: Sequence[Variant]
    bases: Sequence[Bases]
    packed: dna.Bytes
    """All of `bases`, concatenated, at two bits per base."""
    mask: dna.Bytes
    letters: Mapping[Bases, str]
    """The genome's letters of those of `bases` that have IUPAC codes other than N, where they were
    read as letters."""

    def genome(self) -> dict[Bases, dna.Bytes]:
        """Return the codes of all `bases`."""
        ends = np.cumsum([end - start for _, start, end in self.bases])
        total = int(ends[-1]) if len(ends) else 0
        codes = dna.unpack(self.packed, total, self.mask)[0]
        return dict(zip(self.bases, np.split(codes, ends[:-1]), strict=True)) if total else {}


def _shards(reader: "_GenomeReader", variants: Iterable[Variant], size: int) -> Iterator[Shard]:
    """Divide alleles into shards; without an allele there is one empty shard."""
    stream = iter(variants)
    for number in itertools.count():
        block = list(itertools.islice(stream, size))
        if not block and number:
            return
        bases, letters = reader.read(block)
        codes = np.concatenate([np.empty(0, dtype=np.uint8), *bases.values()])[None, :]
        packed, mask = dna.pack(codes)
        texts = repr([astuple(variant)[1:] for variant in block]), repr([*bases, *letters.items()])
        digest = digest_of(packed.tobytes(), mask.tobytes(), *(text.encode() for text in texts))
        yield Shard(number, len(block), digest, _Alleles(block, list(bases), packed, mask, letters))


class _GenomeReader:
    """Reads the bases that scoring needs: it runs the first steps of scoring on a genome that
    records every read."""

    def __init__(self, scorer: Scorer):
        self._scorer = scorer
        self._genome = scorer.names.genome
        self._bases: dict[Bases, dna.Bytes] = {}
        self._letters: dict[Bases, str] = {}
        recording = Genome(
            self._genome.path,
            self._genome.lengths,
            self._record,
            lambda: None,
            self._record_letters,
        )
        self._names = ContigNames(recording, scorer.names.alias)

    def read(self, block: Sequence[Variant]) -> tuple[dict[Bases, dna.Bytes], dict[Bases, str]]:
        """Return the codes of all bases that scoring reads for some alleles, and the letters of
        those bases whose letters it reads and which are not all A, C, G, T and N."""
        self._bases, self._letters = {}, {}
        window_bp, indel = self._scorer.window_bp, self._scorer.options.indel
        for variant in block:
            site = locate_allele(variant, self._names, window_bp)
            if site.inserted is not None:
                read_allele_windows(self._names.genome, site, window_bp, indel)
        return self._bases, self._letters

    def _record(self, contig: str, start: int, end: int) -> dna.Bytes:
        codes = self._bases[contig, start, end] = self._genome.read(contig, start, end)
        return codes

    def _record_letters(self, contig: str, start: int, end: int) -> str:
        letters = self._genome.letters(contig, start, end)
        if letters != dna.decode(self._record(contig, start, end)):
            self._letters[contig, start, end] = letters
        return letters


@dataclass(frozen=True)
class VariantTask:
    """The scoring of variants, as it is sent to every worker."""

    model: nn.Module
    layout: Layout
    targets: tuple[str, ...]
    options: VariantOptions
    background: Background | None
    group_by: str | None
    genome: Path
    lengths: Mapping[str, int]
    """Contig of the genome -> its length."""
    alias: Mapping[str, str]
    held_out: HeldOut | None

    def open(self, device: str) -> "_OpenScoring":
        """Move the model to a device."""
        return _OpenScoring(self, device)


def _task(
    job: VariantJob, table: VariantTableOptions, scores: Sequence[str], scorer: Scorer
) -> VariantTask:
    metadata = table_metadata(scorer, job.source, scores) | {"options": asdict(job.options)}
    return VariantTask(
        model=scorer.model,
        layout=scorer.layout(scores, metadata),
        targets=table.targets,
        options=job.options,
        background=scorer.background,
        group_by=table.group_by,
        genome=job.genome,
        lengths=scorer.names.genome.lengths,
        alias=scorer.names.alias,
        held_out=scorer.held_out,
    )


class _OpenScoring:
    def __init__(self, task: VariantTask, device: str):
        self._scores = task.layout.scores
        self._bases: dict[Bases, dna.Bytes] = {}
        self._letters: Mapping[Bases, str] = {}
        lengths = dict(task.lengths)
        genome = Genome(task.genome, lengths, self._read, lambda: None, self._read_letters)
        self._scorer = Scorer(
            task.model.to(choose_device(device)).eval(),
            ContigNames(genome, task.alias),
            replace(task.options, device=device),
            targets=task.targets,
            background=task.background,
            group_by=task.group_by,
            held_out=task.held_out,
        )

    def rows(self, shard: _Alleles) -> Iterator[tuple[Columns, Scores]]:
        self._bases, self._letters = shard.genome(), shard.letters
        for counter in self._scorer.counters.values():
            counter.clear()
        for block in self._scorer.score(shard.variants):
            yield block.columns, {name: block.scores[name] for name in self._scores}

    def notes(self) -> Mapping[str, Any]:
        return {name: dict(counter) for name, counter in self._scorer.counters.items()}

    def _read(self, contig: str, start: int, end: int) -> dna.Bytes:
        return self._bases[contig, start, end]

    def _read_letters(self, contig: str, start: int, end: int) -> str:
        bases = contig, start, end
        return self._letters.get(bases) or dna.decode(self._bases[bases])

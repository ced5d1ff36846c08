"""`bioq variants --ray`: the alleles of a VCF on a cluster."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bioq import dna
from bioq.cluster.connection import import_ray
from bioq.cluster.options import ClusterOptions
from bioq.cluster.parts import Parts, check_folder
from bioq.cluster.shards import Shard, compute_parts, digest_of
from bioq.cluster.workers import software
from bioq.errors import BioqError, UsageError
from bioq.files import sha256
from bioq.genome import ContigNames, Genome, read_chrom_alias
from bioq.genome.alleles import locate_allele, read_allele_windows
from bioq.genome.vcf import Variant, read_variants, survey_variants
from bioq.inputs import input_file
from bioq.runs.folder import identity
from bioq.tables import Columns, Layout, Scores
from bioq.text import STDIN
from bioq.variants import Summary, VariantOptions, read_background
from bioq.variants.background import Background
from bioq.variants.jobs import choose_scores, open_scorer, summary_of, table_metadata
from bioq.variants.scoring import Scorer


def write_variants_on_ray(
    run: str | Path,
    vcf: Path,
    out: Path,
    *,
    genome: Path,
    targets: Sequence[str] = (),
    scores: Sequence[str] = (),
    background: Path | None = None,
    chrom_alias: Path | None = None,
    options: VariantOptions = VariantOptions(),  # noqa: B008 frozen
    cluster: ClusterOptions,
    resume: bool = False,
) -> Summary:
    """Score the alleles of a VCF on a Ray cluster: one row an allele, in input order.

    Writes the folder `out` of Parquet parts (see `parts`), whose rows are those of
    `write_variants`. Raises BioqError for input that is malformed, before anything is written.
    """
    cluster.check()
    import_ray(cluster)
    check_folder(out, resume=resume)
    if options.precision == "tf32" and options.device == "cpu":
        raise UsageError("precision tf32 needs a CUDA device, this is cpu; use 32 or bf16")
    known = None if background is None else read_background(background)
    names = choose_scores(scores, "table", has_background=background is not None)
    # This machine reads the genome and never predicts.
    here = replace(options, device="cpu")
    with (
        open_scorer(run, genome, chrom_alias, here, targets, known) as scorer,
        input_file(vcf) as (path, label),
    ):
        content = survey_variants(path, label=label)
        metadata = table_metadata(scorer, vcf, names) | {"options": asdict(options)}
        alias = {} if chrom_alias is None else read_chrom_alias(chrom_alias)
        about = {
            "command": "variants",
            "run": Path(run).resolve().name,
            "weights": identity(Path(run)),
            "input": "stdin" if vcf == STDIN else vcf.name,
            "input_sha256": sha256(path),
            "genome": genome.name,
            "targets": list(targets),
            "scores": list(names),
            "background": None if background is None else sha256(background),
            "chrom_alias": None if chrom_alias is None else sha256(chrom_alias),
            "shard": cluster.ray_shard,
            **asdict(options),
            **software(),
        }
        job = VariantJob(
            scorer.model,
            scorer.layout(names, metadata),
            tuple(targets),
            options,
            known,
            genome,
            scorer.names.genome.lengths,
            alias,
        )
        parts = compute_parts(
            job,
            _shards(_Reader(scorer, alias), read_variants(path, label=label), cluster.ray_shard),
            Parts(out, about, resume=resume),
            total=content.alleles,
            unit="alleles",
            device=options.device,
            options=cluster,
        )
        for part in parts:
            try:
                scorer.statuses.update(part.notes["statuses"])
                scorer.absent.update(part.notes["absent"])
            except (KeyError, TypeError, ValueError) as error:
                raise BioqError(
                    f"{out}: what is noted of {part.name} is damaged; remove its folder and begin "
                    "anew"
                ) from error
        return summary_of(scorer)


Bases = tuple[str, int, int]
"""(contig, start, end)"""


@dataclass(frozen=True)
class _Alleles:
    """The alleles of a shard, and the bases of the genome that their scoring asks for."""

    variants: Sequence[Variant]
    bases: Sequence[Bases]
    packed: dna.Bytes
    """All of `bases` behind one another, at two bits a base."""
    mask: dna.Bytes

    def genome(self) -> dict[Bases, dna.Bytes]:
        """Return the codes of all `bases`."""
        ends = np.cumsum([end - start for _, start, end in self.bases])
        total = int(ends[-1]) if len(ends) else 0
        codes = dna.unpack(self.packed, total, self.mask)[0]
        return dict(zip(self.bases, np.split(codes, ends[:-1]), strict=True)) if total else {}


def _shards(reader: "_Reader", variants: Iterable[Variant], size: int) -> Iterator[Shard]:
    """Cut alleles into shards; no allele at all is one empty shard."""
    stream = iter(variants)
    for number in itertools.count():
        block = list(itertools.islice(stream, size))
        if not block and number:
            return
        found = reader.read(block)
        codes = np.concatenate([np.empty(0, dtype=np.uint8), *found.values()])[None, :]
        packed, mask = dna.pack(codes)
        texts = repr([astuple(variant)[1:] for variant in block]), repr(list(found))
        digest = digest_of(packed.tobytes(), mask.tobytes(), *(text.encode() for text in texts))
        yield Shard(number, len(block), digest, _Alleles(block, list(found), packed, mask))


class _Reader:
    """Finds out what the scoring of alleles reads of the genome, by doing what it does first."""

    def __init__(self, scorer: Scorer, alias: Mapping[str, str]):
        self._scorer = scorer
        self._genome = scorer.names.genome
        self._found: dict[Bases, dna.Bytes] = {}
        recorded = Genome(self._genome.path, self._genome.lengths, self._record, lambda: None)
        self._names = ContigNames(recorded, alias)

    def read(self, block: Sequence[Variant]) -> dict[Bases, dna.Bytes]:
        """Return the codes of all bases that are read for some alleles."""
        self._found = {}
        window_bp, indel = self._scorer.window_bp, self._scorer.options.indel
        for variant in block:
            site = locate_allele(variant, self._names, window_bp)
            if site.inserted is not None:
                read_allele_windows(self._names.genome, site, window_bp, indel)
        return self._found

    def _record(self, contig: str, start: int, end: int) -> dna.Bytes:
        codes = self._found[contig, start, end] = self._genome.read(contig, start, end)
        return codes


@dataclass(frozen=True)
class VariantJob:
    """What every worker is told of the scoring of variants."""

    model: nn.Module
    layout: Layout
    targets: tuple[str, ...]
    options: VariantOptions
    background: Background | None
    genome: Path
    lengths: Mapping[str, int]
    """Of the genome's contigs."""
    alias: Mapping[str, str]

    def open(self, device: str) -> "_Open":
        """Put the model on its device."""
        return _Open(self, device)


class _Open:
    def __init__(self, job: VariantJob, device: str):
        self._job = job
        self._bases: dict[Bases, dna.Bytes] = {}
        genome = Genome(job.genome, dict(job.lengths), self._read, lambda: None)
        self._scorer = Scorer(
            job.model.eval(),
            ContigNames(genome, job.alias),
            replace(job.options, device=device),
            targets=job.targets,
            background=job.background,
        )

    def rows(self, shard: _Alleles) -> Iterator[tuple[Columns, Scores]]:
        self._bases = shard.genome()
        self._scorer.statuses, self._scorer.absent = Counter(), Counter()
        for block in self._scorer.score(shard.variants):
            yield block.columns, {name: block.scores[name] for name in self._job.layout.scores}

    def notes(self) -> Mapping[str, Any]:
        return {"statuses": dict(self._scorer.statuses), "absent": dict(self._scorer.absent)}

    def _read(self, contig: str, start: int, end: int) -> dna.Bytes:
        return self._bases[contig, start, end]

"""The alleles of a VCF, of typed variants, of a genome: random ones, or all SNVs of regions.

All can be read several times.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bioq.errors import UsageError, counted
from bioq.files import sha256
from bioq.files.streams import input_name
from bioq.genome import ContigNames, Interval
from bioq.genome.notation import VARIANT_FORM
from bioq.genome.vcf import (
    Variant,
    VcfContent,
    check_record,
    read_variants,
    survey_variants,
)
from bioq.genome.vcf_header import VcfHeader
from bioq.inputs.all_snvs import AllSnvs, open_all_snvs
from bioq.inputs.files import input_file
from bioq.inputs.places import find_place
from bioq.inputs.random_snvs import RandomSnvs, draw_snvs
from bioq.inputs.typed_variant import refuse_bed

AlleleInput = str | Path | Sequence[str]
"""VCF or BCF, compressed or not, `-` for standard input; or one or more variants as text."""
AlleleSource = AlleleInput | RandomSnvs | AllSnvs
"""The alleles of an input, random SNVs of the genome, or all SNVs of regions."""


@dataclass(frozen=True)
class Alleles:
    """The alleles of an input, after a check of all of it."""

    content: VcfContent
    read: Callable[[], Iterator[Variant]]
    sha256: Callable[[], str]
    """Returns the SHA-256 of the file, or of the texts of the variants."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else is recorded about them, JSON values."""
    file: tuple[Path, str] | None = None
    """A VCF or BCF that can be read again, and its name in messages; None for typed variants."""
    line: str = ""
    """A line about alleles that BioQ has made itself, whose number the user does not know."""


@contextlib.contextmanager
def open_alleles(
    source: AlleleSource, names: ContigNames, *, may_be_empty: bool = False
) -> Iterator[Alleles]:
    """Yield the alleles of a VCF or of typed variants, after a check of every line; or those of a
    genome, random ones or all SNVs of regions.

    Raises BioqError, with the line, for malformed input, and UsageError for a region, and for a
    VCF among several inputs. With `may_be_empty` a VCF may have no record after its header.
    """
    if isinstance(source, RandomSnvs):
        drawn = draw_snvs(names.genome, source)
        yield Alleles(
            VcfContent(len(drawn.alleles), drawn.contigs_drawn(), VcfHeader()),
            drawn.variants,
            drawn.sha256,
            {"random_snvs": {**asdict(source), "in_cpg": drawn.in_cpg}},
            line=f"{source.random:,} random SNVs of {names.genome.title}, seed {source.seed}; "
            f"{drawn.in_cpg:,} of them are C>T or G>A in a CpG",
        )
        return
    if isinstance(source, AllSnvs):
        with open_all_snvs(source, names) as (snvs, regions):
            count = len(snvs.regions)
            yield Alleles(
                VcfContent(snvs.alleles, snvs.contigs(), VcfHeader()),
                snvs.variants,
                regions.sha256,
                {"all_snvs": {"regions": count, "bases": snvs.bases}},
                line=f"{snvs.bases:,} bases in {counted(count, 'region')}, "
                f"{snvs.alleles:,} alleles",
            )
        return
    variants = _typed_variants(source, names)
    if variants is not None:
        content = VcfContent(
            len(variants), tuple(dict.fromkeys(each.chrom for each in variants)), VcfHeader()
        )
        digest = hashlib.sha256("\n".join(_texts(source)).encode()).hexdigest()
        yield Alleles(content, lambda: iter(variants), lambda: digest)
        return
    with input_file(Path(_texts(source)[0])) as (path, label):
        yield Alleles(
            survey_variants(path, label=label, may_be_empty=may_be_empty),
            lambda: read_variants(path, label=label, may_be_empty=may_be_empty),
            lambda: sha256(path),
            file=(path, label),
        )


def _typed_variants(source: AlleleInput, names: ContigNames) -> list[Variant] | None:
    """Return the alleles of typed variants; None for a file. Raises the errors of `open_alleles`
    that concern texts."""
    texts = _texts(source)
    alleles: list[Variant] = []
    for text in texts:
        place = find_place(text, names, files="VCF or BCF", takes_regions=False)
        if place is None:
            if len(texts) > 1:
                raise UsageError(
                    f"{text}: is one of {len(texts):,} inputs; give one VCF, or one or more "
                    f"variants {VARIANT_FORM}; 'bcftools concat' joins VCFs"
                )
            return None
        if isinstance(place, Interval):
            raise UsageError(
                f"{text}: is a region, and variants are scored; write {VARIANT_FORM}, or give a "
                f"VCF: 'bcftools view -r {text} in.vcf.gz | bioq variants RUN -' scores the "
                f"variants of a region, 'bioq variants RUN --all-snvs {text}' every SNV"
            )
        refuse_bed(text, place)
        alleles += check_record(text, *place, contigs=names.genome.lengths)
    return alleles


def alleles_of(source: AlleleInput, names: ContigNames) -> Iterator[Variant]:
    """Yield the alleles of a VCF or of typed variants in one pass, without a check of all of it."""
    variants = _typed_variants(source, names)
    yield from read_variants(_texts(source)[0]) if variants is None else variants


def alleles_name(source: AlleleSource) -> str:
    """Return the name of an input of alleles for metadata."""
    if isinstance(source, RandomSnvs):
        return f"{source.random:,} random SNVs, seed {source.seed}"
    if isinstance(source, AllSnvs):
        return f"all SNVs of {input_name(Path(source.regions))}"
    texts = _texts(source)
    return input_name(Path(texts[0])) if len(texts) == 1 else " ".join(texts)


def _texts(source: AlleleInput) -> list[str]:
    return [str(source)] if isinstance(source, str | Path) else list(source)

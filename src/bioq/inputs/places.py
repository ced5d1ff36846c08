"""What the text of an input is: a file, standard input, a region or a variant.

Every command that takes an input uses this module, so that all take the same texts and answer a
misspelt one with the same words.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bioq.errors import BioqError, UsageError
from bioq.files import sha256
from bioq.files.near import near_path
from bioq.files.streams import STDIN, input_name
from bioq.genome import ContigNames, find_region
from bioq.genome.notation import (
    REGION_FORM,
    VARIANT_FORM,
    Interval,
    VariantText,
    correction,
    parse_region,
    parse_variant,
)
from bioq.genome.vcf import is_bases
from bioq.inputs.files import input_file

PLACES = f"a region {REGION_FORM} or a variant {VARIANT_FORM}"
_LIKE_A_PLACE = re.compile(r"[^/\\]+:[^/\\]*")
"""A text with a colon, and without folders."""
_EXAMPLE_BP = 200


Place = Interval | VariantText


@dataclass(frozen=True)
class Source:
    """An input: a file that can be read again, a region or a variant."""

    text: str
    """As the user has written it."""
    label: str
    """Its name in messages."""
    content: Path | Place

    @property
    def name(self) -> str:
        """The name of the input in metadata."""
        return input_name(Path(self.text)) if isinstance(self.content, Path) else self.text

    def sha256(self) -> str:
        """Return the SHA-256 of the file, or of the text of a region or a variant."""
        if isinstance(self.content, Path):
            return sha256(self.content)
        return hashlib.sha256(self.text.encode()).hexdigest()


@contextlib.contextmanager
def open_source(source: str | Path, names: ContigNames | None) -> Iterator[Source]:
    """Yield what `source` is: FASTA or, with a genome, BED, a region or a variant.

    Raises BioqError for a text that is neither a file nor a place. `sequence_file` refuses a place
    without a genome.
    """
    text = str(source)
    place = find_place(text, names, files="FASTA" if names is None else "BED file")
    if place is not None:
        yield Source(text, text, place)
        return
    with input_file(Path(text)) as (file, label):
        yield Source(text, label, file)


def find_place(
    text: str, names: ContigNames | None, *, files: str, takes_regions: bool = True
) -> Place | None:
    """Return the region or variant that a text is; None for a file.

    `files` are the files that are expected, and `takes_regions` whether regions are, for messages.
    An existing file of that name comes
    first. Raises UsageError for a text that is almost a place, and BioqError for the name of a
    missing file.
    """
    if text == str(STDIN) or os.path.exists(text):
        return None
    genome = None if names is None else names.genome
    region = parse_region(text) if genome is None else find_region(text, genome)
    variant = parse_variant(text)
    if variant is not None and not is_bases(variant.ref) and len(text.split()) > 1:
        variant = None  # the words of a file's name
    if region is not None or variant is not None:
        return region or variant
    if genome is not None and text in genome.lengths:
        whole = Interval(text, 0, genome.lengths[text])
        raise UsageError(f"{text}: is a contig of {genome.path}; write '{whole}' for all of it")
    remedy = correction(text, takes_regions=takes_regions)
    if remedy:
        raise UsageError(f"{text}: is not a file, {_kinds(takes_regions)}; {remedy}")
    raise _nothing(text, names, files, takes_regions=takes_regions)


def sequence_file(source: Source) -> Path:
    """Return the file of an input without a genome. Raises UsageError for a place."""
    if not isinstance(source.content, Path):
        raise UsageError(f"{source.text}: is a position on a genome; give --genome")
    return source.content


def require_genome(chrom_alias: Path | None, genome: Path | None) -> None:
    """Raise UsageError for a table of contig names without the genome that it belongs to."""
    if chrom_alias is not None and genome is None:
        raise UsageError("--chrom-alias has names of the genome's contigs; give --genome too")


def _nothing(text: str, names: ContigNames | None, files: str, *, takes_regions: bool) -> BioqError:
    """Return the error for a text that is neither a file nor a place."""
    if _LIKE_A_PLACE.fullmatch(text) is not None:
        contig, length = next(iter(names.genome.lengths.items())) if names else ("chr1", 1_000)
        example = Interval(contig, 0, min(length, _EXAMPLE_BP))
        region = f"a region is {REGION_FORM}, as {example}, " if takes_regions else ""
        return UsageError(
            f"{text}: is not a file, {_kinds(takes_regions)}; {region}"
            f"a variant is {VARIANT_FORM}, as {contig}:100:A>G; positions are counted from 1 and "
            "may have commas"
        )
    near = near_path(Path(text))
    if names is None:
        return BioqError(
            f"{text}: no such file; {near}expected {files} or, with --genome, BED, {PLACES}"
        )
    places = PLACES if takes_regions else f"or variants {VARIANT_FORM}"
    return BioqError(f"{text}: no such file; {near}expected a {files}, {places}")


def _kinds(takes_regions: bool) -> str:
    return "a region or a variant" if takes_regions else "and not a variant"

"""ENCODE's exclusion lists by name: `encode:hg38`.

Regions with anomalous or high signal in sequencing experiments, whatever the cell: Amemiya, Kundaje
& Boyle 2019, doi:10.1038/s41598-019-45839-z, version 2, https://github.com/Boyle-Lab/Blacklist.
ENCODE's data may be used without restrictions (https://www.encodeproject.org/help/citing-encode/).
The lists of human and mouse are files of this package, those of worm and fly are downloaded.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bioq.errors import BioqError, did_you_mean, nearest
from bioq.files import sha256
from bioq.files.cache import being_filled, cache_folder
from bioq.files.download import fetch
from bioq.genome.bed import read_bed
from bioq.genome.builds import build_named
from bioq.genome.fasta import Genome
from bioq.genome.named import ucsc_name
from bioq.progress import say

PREFIX = "encode:"
_ADDRESS = "https://github.com/Boyle-Lab/Blacklist/raw/master/lists"
_FOLDER = Path(__file__).with_name("encode_lists")


@dataclass(frozen=True)
class ExclusionList:
    """An exclusion list of ENCODE, version 2."""

    regions: int
    bases: int
    """In all regions, which do not overlap. Numbers of regions and bases: as published by others
    who ship the lists."""
    sha256: str = ""
    """Of the file in this package; empty for a list that is downloaded."""
    bed_sha256: str = ""
    """Of the unpacked BED, by which public copies can be compared."""


LISTS: Mapping[str, ExclusionList] = {
    "hg19": ExclusionList(
        834,
        274_970_000,
        "854188407bc35b5f8f1883875cd26562ac0ade28e604d375b39fc588ec8bffa7",
        "1f614b9c1c39a0ef8a7a16891dff4171aacdf8fc62835b6546559d4765a27edf",
    ),
    "hg38": ExclusionList(
        636,
        227_162_400,
        "1bb5608dff8ff4d8125565fe9fb9e5b034e44581de2512589a95c4912a6f2d49",
        "31c69342df43bbc19dd8ef2886611a8150cb53e90f341de14d30e742c9251737",
    ),
    "mm10": ExclusionList(
        3435,
        238_977_200,
        "f142da3b5f9ca34506bd4bafa3908f731c53a6b545a0787204827c91a402f4b5",
        "9638bbeb4be8d99ddf56f1b70700f6a9336ce7f54d87032bd262465ecf3bfac7",
    ),
    "ce10": ExclusionList(100, 2_205_200),
    "ce11": ExclusionList(97, 728_500),
    "dm3": ExclusionList(271, 2_689_400),
    "dm6": ExclusionList(182, 3_740_300),
}
"""UCSC's name of a genome -> its list."""


def exclusion_file(path: Path) -> Path:
    """Return the BED file of excluded regions: `path` itself, or the file of a list's name.

    Raises BioqError for a name that is not known, a file of this package that has changed, and a
    list that cannot be downloaded.
    """
    text = str(path)
    if os.path.lexists(path):
        return path
    if text in LISTS:
        raise BioqError(f"{text}: no such file; ENCODE's list of {text} is {PREFIX}{text}")
    if not text.lower().startswith(PREFIX):
        return path
    name = text[len(PREFIX) :]
    if name not in LISTS or not text.startswith(PREFIX):
        same = ucsc_name(name)
        near = [same] if same is not None and same in LISTS else nearest(name, LISTS)
        hint = did_you_mean([PREFIX + each for each in near])
        raise BioqError(
            f"{text}: no list of this name; {hint}expected a BED file, or one of "
            f"{', '.join(PREFIX + each for each in LISTS)}"
        )
    if not LISTS[name].sha256:
        return _downloaded(name)
    file = _FOLDER / _file_name(name)
    if not file.is_file() or sha256(file) != LISTS[name].sha256:
        raise BioqError(f"{file}: is not the list that BioQ ships; install BioQ again")
    return file


def require_same_build(path: Path, genome: Genome) -> None:
    """Raise BioqError if an exclusion list by name is of another build than the genome.

    A genome whose lengths are those of no known build is not compared.
    """
    text = str(path)
    build = build_named(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None
    if build is None or genome.build is None or build.has_chromosomes_of(genome.build):
        return
    right = ucsc_name(genome.build.name)
    remedy = f"give {PREFIX}{right}" if right in LISTS else "give a list of that build as BED"
    raise BioqError(
        f"{text}: is a list of {build.name}, and the genome is {genome.title}; {remedy}, or the "
        "genome of the list"
    )


def _file_name(name: str) -> str:
    return f"{name}-blacklist.v2.bed.gz"


def _downloaded(name: str) -> Path:
    """Return the file of a list in the cache; download it if it is not there yet."""
    file = cache_folder() / "exclusions" / _file_name(name)
    url = f"{_ADDRESS}/{file.name}"
    if not file.exists():
        with being_filled(file.parent, f"{PREFIX}{name}"):
            if not file.exists():  # another process may have downloaded it meanwhile
                say(f"{PREFIX}{name}: downloading {url} to {file}, once")
                fetch(
                    url,
                    file,
                    check=lambda part: _require_list(part, name, url),
                    remedy="or give a BED file",
                )
    return file


def _require_list(part: Path, name: str, url: str) -> None:
    """Raise BioqError if a download has not the regions and bases of a list."""
    bed, expected = read_bed(part), LISTS[name]
    bases = int((bed.end - bed.start).sum())
    if (len(bed), bases) != (expected.regions, expected.bases):
        raise BioqError(
            f"{url}: has {len(bed):,} regions and {bases:,} bases, expected {expected.regions:,} "
            f"and {expected.bases:,}; the download was removed; give a BED file"
        )

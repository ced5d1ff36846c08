"""Genomes by UCSC's names, such as hg38: downloaded once, then read from the cache.

Source: UCSC's downloads, https://hgdownload.soe.ucsc.edu/goldenPath/NAME/bigZips/NAME.2bit, with
md5sum.txt beside it.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bioq.errors import BioqError, did_you_mean, nearest
from bioq.files import write_json
from bioq.files.cache import being_filled, cache_folder
from bioq.files.checksum import Checksum
from bioq.files.download import fetch, read_text
from bioq.files.near import near_path
from bioq.genome.builds import bare_name, build_named
from bioq.genome.twobit import byte_order, open_twobit
from bioq.progress import say

GENOMES: Mapping[str, str] = {
    "hg19": "human, GRCh37",
    "hg38": "human, GRCh38",
    "hs1": "human, T2T-CHM13v2.0",
    "mm9": "mouse, NCBI37",
    "mm10": "mouse, GRCm38",
    "mm39": "mouse, GRCm39",
    "rn6": "rat, Rnor_6.0",
    "rn7": "rat, mRatBN7.2",
    "rheMac10": "rhesus macaque, Mmul_10",
    "panTro6": "chimpanzee, Clint_PTRv2",
    "bosTau9": "cow, ARS-UCD1.2",
    "susScr11": "pig, Sscrofa11.1",
    "galGal6": "chicken, GRCg6a",
    "danRer10": "zebrafish, GRCz10",
    "danRer11": "zebrafish, GRCz11",
    "dm3": "fruit fly, BDGP5",
    "dm6": "fruit fly, BDGP6",
    "ce10": "worm C. elegans, WS220",
    "ce11": "worm C. elegans, WBcel235",
    "sacCer3": "yeast S. cerevisiae, R64",
}
"""UCSC's name of a genome -> its species and assembly."""
UCSC = "https://hgdownload.soe.ucsc.edu/goldenPath"
MIRROR_VARIABLE = "BIOQ_GENOMES"
"""The environment variable with the address of a mirror that has the folders of `UCSC`."""
SOURCE = "source.json"
"""The file beside a downloaded genome that records its address, length and checksum."""
_REMEDY = "or download the genome elsewhere and give its file"
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


def genome_file(path: Path) -> Path:
    """Return the file of a genome: `path` itself or, for a name in GENOMES without a file of
    this name here, the 2bit file in the cache, which is downloaded if it is not there yet.

    Raises BioqError for a name that is not known, and if the download fails.
    """
    name = str(path)
    if file_given(path) is not None:
        if name in GENOMES:
            _say_once(f"note: {name} is a file here, so it is read and not UCSC's genome {name}")
        else:
            _refuse_unknown(path)
        return path
    if path.exists():
        _say_once(f"note: {name} is also a folder here; the genome is UCSC's {name}")
    folder = cache_folder() / "genomes" / name
    file = folder / f"{name}.2bit"
    if not file.exists():
        with being_filled(folder, f"genome {name}"):
            if not file.exists():  # another process may have downloaded it meanwhile
                _download(name, file)
    _require_complete(file)
    return file


def file_given(path: Path | None) -> Path | None:
    """Return the path of a genome, which an output must not replace; None for a name in GENOMES
    without a file of this name here, even if there is such a folder."""
    return None if path is None or (str(path) in GENOMES and not path.is_file()) else path


def _refuse_unknown(path: Path) -> None:
    """Raise BioqError for a text without such a file that looks like the name of a genome."""
    if os.path.lexists(path):
        return
    same = ucsc_name(path.name)
    if same is not None:
        raise BioqError(
            f"{path}: no such file; give a FASTA or 2bit file, or the name {same}: BioQ then "
            "downloads UCSC's genome"
        )
    if len(path.parts) != 1 or path.suffix:
        return  # a path: the reader names what it expects
    near = nearest(path.name.replace(" ", ""), GENOMES)
    hint = did_you_mean(near) or near_path(path)
    raise BioqError(
        f"{path}: no such file, and not the name of a genome that BioQ downloads; {hint}"
        f"expected a FASTA or 2bit file, or one of {', '.join(GENOMES)}"
    )


def ucsc_name(text: str) -> str | None:
    """Return UCSC's name of the build that a text names, such as hg38 for GRCh38.p14.

    None if the text names no known build, or several.
    """
    build = build_named(text)
    if build is None:
        return None
    builds = ((name, build_named(name)) for name in GENOMES)
    same = [name for name, other in builds if other and other.has_chromosomes_of(build)]
    return same[0] if same else None


def _download(name: str, file: Path) -> None:
    """Download a genome into the cache. Raises BioqError if it is not the genome of this name."""
    base = os.environ.get(MIRROR_VARIABLE, "").rstrip("/") or UCSC
    url = f"{base}/{name}/bigZips/{name}.2bit"
    say(f"genome {name} ({GENOMES[name]}): downloading {url} to {file}, once")
    md5 = _published_md5(url)
    if md5 is None:
        checked = "its length is" if build_named(name) is None else "its length and contigs are"
        say(
            f"note: {url.rpartition('/')[0]}/md5sum.txt has no checksum of {name}.2bit; only "
            f"{checked} checked"
        )
    fetch(
        url,
        file,
        checksum=None if md5 is None else Checksum("MD5", md5),
        check=lambda part: _require_genome(part, name, url),
        remedy=_REMEDY,
    )
    source = {"url": url, "bytes": file.stat().st_size, "md5": md5}
    write_json(file.with_name(SOURCE), source)


def _published_md5(url: str) -> str | None:
    """Return the MD5 that md5sum.txt beside a file gives for it; None if it gives none."""
    folder, _, wanted = url.rpartition("/")
    for line in (read_text(f"{folder}/md5sum.txt", remedy=_REMEDY) or "").splitlines():
        digits, name = [*line.split(), "", ""][:2]
        if name.removeprefix("*").removeprefix("./") == wanted and _MD5.fullmatch(digits):
            return digits.lower()
    return None


def _require_genome(part: Path, name: str, url: str) -> None:
    """Raise BioqError if a download is not a 2bit genome with the chromosomes of its build."""
    with open(part, "rb") as file:
        if byte_order(file.read(4)) is None:
            raise BioqError(f"{url}: is not a 2bit genome; the download was removed; {_REMEDY}")
    lengths, _, _ = open_twobit(part)
    build = build_named(name)
    if build is None:
        return
    found = {(bare_name(contig), bp) for contig, bp in lengths.items()}
    missing = [contig for contig, bp in build.lengths.items() if (contig, bp) not in found]
    if missing:
        raise BioqError(
            f"{url}: is not {name}: it has no contig {missing[0]} of "
            f"{build.lengths[missing[0]]:,} bases; the download was removed; check "
            f"{MIRROR_VARIABLE} if it is set, {_REMEDY}"
        )


def _require_complete(file: Path) -> None:
    """Raise BioqError if a cached file has another length than when it was downloaded."""
    try:
        source: Any = json.loads(file.with_name(SOURCE).read_text(encoding="utf-8"))
        recorded, found = source["bytes"], file.stat().st_size
    except (OSError, ValueError, TypeError, KeyError):
        return  # a file that somebody has put there
    if found != recorded:
        raise BioqError(
            f"{file}: has {found:,} bytes, {recorded:,} were downloaded; remove this file, then "
            f"BioQ downloads it again"
        )


@lru_cache  # a command may open a genome several times
def _say_once(line: str) -> None:
    say(line)

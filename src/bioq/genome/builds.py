"""Genome builds: their names, and the lengths and accessions of their chromosomes.

`builds.tsv` has the primary chromosomes of eleven builds: bases, and the accessions of RefSeq and
GenBank with their versions. Sources: the assembly reports of NCBI and the chrom.sizes of UCSC; of
worm and fly, bioframe 0.8.0, which has them from there.
hg19 and GRCh37 are the same but for the mitochondrion: UCSC's hg19 has NC_001807 (16,571 bases),
GRCh37 has the revised Cambridge sequence (16,569).
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

MITOCHONDRION = "MT"
_TABLE = Path(__file__).with_name("builds.tsv")
# The names that people give to a build, in headers and in the names of files, as regular
# expressions. A GCA or GCF number with its version is a release of NCBI; later patches do not
# change the chromosomes.
_PATCH = r"(\.?p\d+)?"
_NAMES = {
    "hg19": (rf"(ucsc\.)?hg19{_PATCH}",),
    "GRCh37": (
        rf"grch37{_PATCH}|b37|hs37(d5)?|(human_)?g1k_v37|homo_sapiens_assembly19",
        r"(ncbi|build|ncbi[-_ ]?build)[-_ ]?37",
        r"gca_000001405\.(\d|1[0-4])|gcf_000001405\.(1[3-9]|2[0-5])",
    ),
    "GRCh38": (
        rf"grch38{_PATCH}|hg38{_PATCH}|b38|hs38(dh|d1|a)?|homo_sapiens_assembly38",
        r"(ncbi[-_ ]?)?build[-_ ]?38",
        r"gca_000001405\.(1[5-9]|2\d)|gcf_000001405\.(2[6-9]|[34]\d)",
    ),
    "T2T-CHM13v2.0": (
        r"(t2t[-_.]?)?chm13[-_.]?(t2t[-_.]?)?v?2(\.0)?|hs1",
        r"gca_009914755\.4|gcf_009914755\.1",
    ),
    "GRCm38": (
        rf"grcm38{_PATCH}|mm10{_PATCH}",
        r"gca_000001635\.[2-8]|gcf_000001635\.2[0-6]",
    ),
    "GRCm39": (r"grcm39(\.?p\d+)?|mm39|gca_000001635\.9|gcf_000001635\.27",),
    "sacCer3": (r"saccer3|r64([-_.]\d){0,2}|gc[af]_000146045\.2",),
    "ce10": (r"ce10|ws220",),
    "ce11": (r"ce11|wbcel235|gc[af]_000002985\.6",),
    "dm3": (r"dm3|bdgp5(\.\d+)?",),
    "dm6": (r"dm6|bdgp6(\.\d+)*|gc[af]_000001215\.4",),
}
_AS_WORDS = {
    name: re.compile(rf"(?<![a-z0-9])({'|'.join(names)})(?![a-z0-9])", re.IGNORECASE)
    for name, names in _NAMES.items()
}

Relation = Literal["same", "part", "different"]
"""How the lengths of two contigs of the same name compare; see `compare_lengths`."""


@dataclass(frozen=True)
class Build:
    """A genome build whose chromosomes are known."""

    name: str
    """GRCh38, hg19, ..., as in `builds.tsv`."""
    lengths: Mapping[str, int]
    """Name of the chromosome as `bare_name` returns it -> bases."""

    def length_of(self, contig: str) -> int | None:
        """Return the bases of a contig by any of its names; None if it is not a chromosome of this
        build."""
        accession = find_accession(contig)
        if accession is not None:
            return accession.bp if self.name in accession.builds else None
        return self.lengths.get(bare_name(contig))

    def has_chromosomes_of(self, other: "Build") -> bool:
        """Return whether two builds have the same chromosomes, the mitochondrion aside."""
        return {**self.lengths, MITOCHONDRION: 0} == {**other.lengths, MITOCHONDRION: 0}


@dataclass(frozen=True)
class Accession:
    """A chromosome that has an accession of RefSeq or GenBank."""

    contig: str
    """Its name as `bare_name` returns it."""
    bp: int
    builds: tuple[str, ...]
    """The names of the builds that have this sequence."""


def bare_name(contig: str) -> str:
    """Return the name of a contig without `chr`; the mitochondrion is MT (chrM = M = chrMT = MT).

    A known accession is the name of its chromosome (NC_000001.11 = 1).
    """
    accession = find_accession(contig)
    if accession is not None:
        return accession.contig
    bare = contig[3:] if contig[:3].lower() == "chr" and len(contig) > 3 else contig
    return MITOCHONDRION if bare.upper() in ("M", "MT") else bare


def find_accession(name: str) -> Accession | None:
    """Return the chromosome of an accession: NC_000001.11, CM000663.2, ref|NC_001133.9|.

    None for every other name, for a version that no known build has, and without a version where
    builds have several of them (NC_000001).
    """
    known = _accessions()
    if "|" in name:
        return next((known[word] for word in name.split("|") if word in known), None)
    return known.get(name)


def about_accession(name: str) -> str:
    """Return what an accession is, for a message; empty for a name that is not an accession of a
    known build, in any version."""
    accession = find_accession(name)
    if accession is not None:
        return f"{name} is {accession.contig} of {' and '.join(accession.builds)}"
    base, dot, _ = name.partition(".")
    versions = [word for word in _accessions() if word.startswith(f"{base}.")]
    if not versions:
        return ""
    builds = ", ".join(f"{word} is of {_accessions()[word].builds[-1]}" for word in versions)
    return f"{name} is another version: {builds}" if dot else f"{name} has no version: {builds}"


def build_named(text: str) -> Build | None:
    """Return the build that a text names: GRCh37.p13, hs37d5, file:///x/GRCh38.primary.fa.

    None if the text names no known build, or several.
    """
    found = [name for name, words in _AS_WORDS.items() if words.search(text)]
    return _builds()[found[0]] if len(found) == 1 else None


def build_of(lengths: Mapping[str, int]) -> Build | None:
    """Return the build of a genome, or of a part of it, by the lengths of its contigs.

    One chromosome of the right length is enough, if no other contig contradicts it. Without a
    mitochondrion, hg19 is GRCh37 with names that begin with chr.
    """
    known: dict[str, set[int]] = {}  # of the chromosomes of any build, among maybe many contigs
    chromosomes = _chromosomes()
    for name, bp in lengths.items():
        bare = bare_name(name)
        if bare in chromosomes:
            known.setdefault(bare, set()).add(bp)
    found = [build for build in _builds().values() if _agrees(build, known)]
    if len(found) > 1:
        style = "hg19" if any(name.startswith("chr") for name in lengths) else "GRCh37"
        found = [build for build in found if build.name == style]
    return found[0] if found else None


@lru_cache(maxsize=1 << 12)
def compare_lengths(contig: str, one_bp: int, other_bp: int) -> Relation:
    """Return whether two lengths of a contig are the same, or one may be a part of the other.

    Files for tests and lessons have the first megabases of a chromosome, and their positions are
    those of the chromosome. Builds differ by a few percent. So a contig of less than half the
    length may be a part, unless it is a complete chromosome of a known build.
    """
    if one_bp == other_bp:
        return "same"
    shorter, longer = sorted((one_bp, other_bp))
    bare = bare_name(contig)
    is_complete = any(build.lengths.get(bare) == shorter for build in _builds().values())
    return "part" if 2 * shorter < longer and not is_complete else "different"


def which_build(contig: str, position: int, genome: Build | None) -> str:
    """Return the question whether a file is of another build than the genome, with the builds of
    the same species in which the contig has the base `position`, from 0."""
    question = "is the file of another genome build?"
    if genome is None:
        return question
    fit = [
        build.name
        for build in _builds().values()
        if build.lengths.keys() == genome.lengths.keys()
        and position < build.lengths.get(bare_name(contig), 0)
    ]
    return f"{question} {' and '.join(fit)} have that position" if fit else question


def different_genomes(one: Mapping[str, int], other: Mapping[str, int]) -> tuple[str, str] | None:
    """Return a description of each of two genomes, by the lengths of their contigs, if they are
    different builds or species; None if nothing shows it.

    A genome may be a part of the other, in contigs and in bases. The mitochondrion does not count:
    that of hg19 is another than that of GRCh37.
    """
    builds = build_of(one), build_of(other)
    if builds[0] is not None and builds[1] is not None:
        same = builds[0].has_chromosomes_of(builds[1])
        return None if same else (builds[0].name, builds[1].name)
    others = {bare_name(name): bp for name, bp in other.items()}
    for name, bp in one.items():
        bare = bare_name(name)
        if bare in others and bare != MITOCHONDRION:
            lengths = bp, others[bare]
            if compare_lengths(bare, *lengths) == "different":
                at = next(other_name for other_name in other if bare_name(other_name) == bare)
                return _described(builds[0], name, bp), _described(builds[1], at, lengths[1])
    return None


def lengths_in(entry: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the lengths of contigs that a run or a background recorded; {} if it did not."""
    contigs = entry.get("contigs", {})
    is_known = isinstance(contigs, Mapping) and all(isinstance(bp, int) for bp in contigs.values())
    return contigs if is_known else {}


def _described(build: Build | None, contig: str, bp: int) -> str:
    return build.name if build is not None else f"a genome whose {contig} has {bp:,} bases"


def _agrees(build: Build, lengths: Mapping[str, set[int]]) -> bool:
    """Return whether contigs have the lengths of a build, at least one besides the mitochondrion.

    UCSC's later hg19 has chrM and chrMT: one of the two must agree.
    """
    shared = lengths.keys() & build.lengths.keys()
    agree = {name for name in shared if build.lengths[name] in lengths[name]}
    return bool(agree - {MITOCHONDRION}) and agree == shared


@cache
def _chromosomes() -> frozenset[str]:
    return frozenset(name for build in _builds().values() for name in build.lengths)


@cache
def _builds() -> Mapping[str, Build]:
    lengths: dict[str, dict[str, int]] = defaultdict(dict)
    for row in _rows():
        lengths[row["build"]][row["contig"]] = int(row["bp"])
    return {name: Build(name, lengths[name]) for name in lengths}


@cache
def _accessions() -> Mapping[str, Accession]:
    """Return accession -> chromosome, with its version and, where only one is known, without."""
    known: dict[str, Accession] = {}
    versions: dict[str, set[str]] = defaultdict(set)
    for row in _rows():
        for word in filter(None, (row["refseq"], row["genbank"])):
            before = known[word].builds if word in known else ()
            known[word] = Accession(row["contig"], int(row["bp"]), (*before, row["build"]))
            versions[word.partition(".")[0]].add(word)
    for word, all_versions in versions.items():
        if len(all_versions) == 1:
            known[word] = known[next(iter(all_versions))]
    return known


@cache
def _rows() -> Iterable[Mapping[str, str]]:
    with open(_TABLE, encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file, delimiter="\t"))

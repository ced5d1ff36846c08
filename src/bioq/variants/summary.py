"""The end of a scoring: how many alleles have each status, and whether the VCF fits the genome."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from bioq.errors import some
from bioq.genome import ContigNames
from bioq.genome.alleles import (
    CONTIG_DIFFERS,
    EDGE_PADDED,
    NO_CONTIG,
    OUTSIDE,
    REF_MISMATCH,
    SCORED,
    STATUSES,
    SWAPPED,
)
from bioq.genome.builds import Relation, about_accession, bare_name, compare_lengths
from bioq.genome.vcf import VcfContent
from bioq.genome.vcf_header import VcfHeader
from bioq.variants.scoring import Scorer

QUESTIONABLE_SHARE = 0.1
"""If a larger share of the alleles does not fit the genome, the summary questions the genome."""
_FEWEST_QUESTIONABLE = 3
"""Of fewer alleles that do not fit, each may have its own reason, unless no allele is scored."""
_MOST_NAMED = 3
_FEWEST_SHIFTED = 3
"""SNVs that do not fit: of fewer, the base beside POS may be REF by chance (1 in 4)."""
PLINK_CODES = {"23": "X", "24": "Y", "25": "X", "XY": "X", "26": "MT", "PAR1": "X", "PAR2": "X"}
"""Contig -> human chromosome. 25, XY (plink 1.9), PAR1 and PAR2 (plink 2) are the parts of X that Y
has too."""
_REMEDY_OF = {
    NO_CONTIG: "Give the genome of these contigs, or other names of them with --chrom-alias",
    CONTIG_DIFFERS: "Give the genome of the VCF",
    OUTSIDE: "Give the genome of the same build",
    REF_MISMATCH: "Give the genome of the same build, and positions counted from 1",
    SWAPPED: "Give --score-swapped, or the genome of the same build",
}
"""Status -> what to do if no allele was scored; for other statuses `_NO_REMEDY`."""
_NO_REMEDY = "Such alleles have no score"


@dataclass(frozen=True)
class Summary:
    """How many alleles have each status."""

    statuses: Mapping[str, int]
    """Status -> alleles."""
    absent: Mapping[str, int]
    """Contig that the genome lacks -> alleles."""
    differing: Mapping[str, int]
    """Contig that has another length in the genome -> alleles."""
    misfits: Mapping[str, int]
    """Of the alleles whose REF the genome does not have: see `Scorer.misfits`."""
    names: ContigNames = field(compare=False)
    header: VcfHeader = field(compare=False)
    contigs: Sequence[str]
    """The contigs of the VCF that have alleles."""
    scored: int
    compared: Sequence[str] = ()
    """What the alleles were compared with, see `Background.lines`; none without a background."""
    rank_doubts: str = ""
    """What is wrong with some of the ranks, see `Background.doubts`."""

    def lines(self) -> list[str]:
        """Return a table of the statuses, the background, then the warnings."""
        total = sum(self.statuses.values())
        lines = [f"{total:>12,}  alleles"]
        for status, meaning in STATUSES.items():
            if self.statuses.get(status):
                lines.append(f"{self.statuses[status]:>12,}  {status}: {meaning}")
        lines += self.compared if self.scored else ()
        return [*lines, *(f"warning: {line}" for line in self.warnings())]

    def none_scored(self) -> str:
        """Return that no allele was scored, the most frequent reason and what to do; an empty text
        if an allele was scored, or there is none."""
        total = sum(self.statuses.values())
        if self.scored or not total:
            return ""
        status, count = max(self.statuses.items(), key=itemgetter(1))
        about = f"{STATUSES[status]}. {_REMEDY_OF.get(status, _NO_REMEDY)}"
        if total == 1:
            return f"its allele was not scored ({status}): {about}"
        return (
            f"none of its {total:,} alleles was scored; the most frequent status is {status} "
            f"({count:,}): {about}"
        )

    def warnings(self) -> list[str]:
        """Return a line for each way in which the VCF does not fit the genome or the background."""
        return [
            *self._different(),
            *header_warnings(self.header, self.contigs, self.names),
            *self._accessions(),
            *self._plink_codes(),
            *self._masked(),
            *self._shifted(),
            *self._questions(),
            *([self.rank_doubts] if self.rank_doubts else []),
        ]

    @property
    def _genome(self) -> str:
        return self.names.genome.path.name

    def _different(self) -> Iterator[str]:
        if not self.differing:
            return
        lengths = (
            _lengths(name, self.header, self.names) for name in list(self.differing)[:_MOST_NAMED]
        )
        more = len(self.differing) - _MOST_NAMED
        ending = f"; and {more:,} more contigs" if more > 0 else ""
        yield (
            f"{_alleles(sum(self.differing.values()))} not scored ({CONTIG_DIFFERS})"
            f"{_builds(self.header, self.names)}: {'; '.join(lengths)}{ending}. Give the genome of "
            "the VCF; if the VCF's header is wrong, correct it with 'bcftools reheader --fai "
            "GENOME.fai'"
        )

    def _accessions(self) -> Iterator[str]:
        """Yield a line if alleles are on chromosomes that the genome has in another build."""
        named = self._other_accessions
        if named:
            alleles = sum(self.absent[name] for name in named)
            genome = self.names.genome
            build = "of no known build" if genome.build is None else genome.build.name
            yield (
                f"{_alleles(alleles)} not scored ({NO_CONTIG}): {next(iter(named.values()))}, and "
                f"{self._genome} is {build}"
            )

    def _plink_codes(self) -> Iterator[str]:
        """Yield a line if contigs are codes of plink for chromosomes that the genome has."""
        known = self._known_codes
        if known:
            meanings = ", ".join(f"{name} is {contig}" for name, contig in known.items())
            name, contig = next(iter(known.items()))
            alleles = sum(self.absent[name] for name in known)
            yield (
                f"{_alleles(alleles)} not scored ({NO_CONTIG}); as codes of plink for human "
                f"chromosomes, {meanings}: on the command line, give --chrom-alias a table with "
                f"lines such as '{name}<tab>{contig}', or make the VCF with plink's --output-chr MT"
            )

    @property
    def _other_accessions(self) -> Mapping[str, str]:
        """Accession that the genome lacks -> a sentence about its build."""
        return {name: about for name in self.absent if (about := about_accession(name))}

    @property
    def _known_codes(self) -> Mapping[str, str]:
        """Code of plink -> the contig of the genome."""
        codes = {name: PLINK_CODES.get(bare_name(name)) for name in self.absent}
        number = {name: self.names.find(code) for name, code in codes.items() if code is not None}
        return {name: self.names.contigs[at] for name, at in number.items() if at is not None}

    def _masked(self) -> Iterator[str]:
        masked = self.misfits.get("masked", 0)
        if masked > QUESTIONABLE_SHARE * self._located:
            yield (
                f"{_alleles(masked)} not scored ({REF_MISMATCH}): {self._genome} has N at their "
                "REF; is it a hard-masked genome? Give the genome without masks, or soft-masked "
                "(repeats in lower case)"
            )

    def _shifted(self) -> Iterator[str]:
        side = self._shift
        if side:
            is_next = side == "next"
            where, start = ("after", "from 0") if is_next else ("before", "from 2")
            correction = "add 1 to POS" if is_next else "subtract 1 from POS"
            count, snvs = self.misfits[side], self.misfits["snv"]
            yield (
                f"the positions seem to be counted {start}; a VCF counts from 1. Of {snvs:,} SNVs "
                f"whose REF is not at POS, {self._genome} has {count:,} at the base {where} it: "
                f"{correction}. Alleles that fit by chance were scored at a wrong base"
            )

    @property
    def _shift(self) -> str:
        """The side of POS on which the genome has the REF of nearly all SNVs that do not fit."""
        snvs = self.misfits.get("snv", 0)
        if snvs < _FEWEST_SHIFTED or snvs <= QUESTIONABLE_SHARE * self._located:
            return ""
        return next(
            (side for side in ("next", "previous") if self.misfits.get(side, 0) >= 0.9 * snvs), ""
        )

    @property
    def _located(self) -> int:
        """The number of alleles whose REF was compared with the genome, or is outside of it."""
        return sum(
            self.statuses.get(name, 0)
            for name in (REF_MISMATCH, SWAPPED, OUTSIDE, SCORED, EDGE_PADDED)
        )

    def _questions(self) -> Iterator[str]:
        """Yield a question if many alleles have a REF or a contig that the genome lacks."""
        total = sum(self.statuses.values())
        misfits = sum(self.statuses.get(name, 0) for name in (REF_MISMATCH, SWAPPED, OUTSIDE))
        misfits -= self.misfits.get("masked", 0)
        if self._questionable(misfits, self._located) and not self._shift:
            build = self.names.genome.build
            title = self._genome if build is None else f"{self._genome} ({build.name})"
            snvs = self.misfits.get("snv", 0)
            is_from_0 = bool(snvs) and self.misfits.get("next", 0) == snvs
            yield _misfit_question(misfits, self._located, title, is_from_0=is_from_0)
        explained = self._other_accessions.keys() | self._known_codes.keys()
        names = [name for name in self.absent if name not in explained]
        absent = sum(self.absent[name] for name in names)
        if self._questionable(absent, total):
            yield (
                f"{absent:,} of {total:,} alleles are on contigs that {self._genome} does not have "
                f"({some(names, 3)}; it has {some(self.names.contigs, 3)}): is it the right "
                "genome? If it is, --chrom-alias on the command line gives other names of contigs"
            )

    def _questionable(self, misfits: int, alleles: int) -> bool:
        is_enough = misfits >= _FEWEST_QUESTIONABLE or not self.scored
        return is_enough and misfits > QUESTIONABLE_SHARE * alleles


def _misfit_question(misfits: int, alleles: int, genome: str, *, is_from_0: bool) -> str:
    """Return the question about alleles whose REF the genome does not have."""
    if alleles == 1:
        from_0 = ", or counted from 0" if is_from_0 else ""
        return (
            f"the allele does not have the bases of {genome} as REF: is its position of another "
            f"genome build{from_0}?"
        )
    from_0 = ", or are its positions counted from 0" if is_from_0 else ""
    return (
        f"{misfits:,} of {alleles:,} compared alleles do not have the bases of {genome} as REF: "
        f"is the VCF of another genome build{from_0}?"
    )


def summary_of(scorer: Scorer, content: VcfContent) -> Summary:
    """Return the summary of the alleles of a VCF that a scorer has scored."""
    scored = (SCORED, EDGE_PADDED, *((SWAPPED,) if scorer.options.score_swapped else ()))
    background, highest = scorer.background, scorer.ranked["highest"]
    compared = [] if background is None else background.lines()
    if background is not None and len(scorer.targets) < len(background.targets):
        compared.append(
            f"score_phred and top_target are those of all {len(background.targets):,} targets, not "
            "only of the chosen ones"
        )
    if highest > 1:
        compared.append(
            f"{highest:,} alleles have the largest score_phred, and max_abs_diff orders them; a "
            "background of more variants can tell them apart"
        )
    return Summary(
        statuses=Counter(scorer.statuses),
        absent=Counter(scorer.absent),
        differing=Counter(scorer.differing),
        misfits=Counter(scorer.misfits),
        names=scorer.names,
        header=content.header,
        contigs=content.contigs,
        scored=sum(scorer.statuses[name] for name in scored),
        compared=compared,
        rank_doubts="" if background is None else background.doubts(scorer.ranked["indel"]),
    )


def header_warnings(header: VcfHeader, contigs: Iterable[str], names: ContigNames) -> Iterator[str]:
    """Yield warnings about alleles that are scored although the VCF's header leaves a doubt.

    One for contigs of which the header or the genome may have the beginning only, and one for a
    header that names another build, if no length shows that a contig is another sequence.
    """
    relations = {name: _relation(name, header, names) for name in contigs}
    genome = names.genome
    parts = [name for name, relation in relations.items() if relation == "part"]
    if parts:
        name = parts[0]
        more = f" (and {len(parts) - 1:,} more contigs)" if len(parts) > 1 else ""
        yield (
            f"{_lengths(name, header, names)}{more}{_builds(header, names)}. Scored as if the "
            "shorter were the beginning of the longer; if it is not, give the genome of the VCF"
        )
    named, build = header.named, genome.build
    if named is None or build is None or named.has_chromosomes_of(build):
        return
    if all(names.find(name) is None for name in relations):  # no allele is scored
        return
    if "different" not in relations.values():
        agree = "same" in relations.values()
        reason = (
            "their contigs have the same lengths"
            if agree
            else "the header has no lengths to compare"
        )
        yield (
            f"the VCF's header says {named.name}, {genome.path.name} is {build.name}, and {reason}."
            " The alleles are scored: check that their positions are those of the genome"
        )


def _relation(name: str, header: VcfHeader, names: ContigNames) -> Relation | None:
    """Return how the lengths of a VCF's contig compare; None if one of them is not known."""
    header_bp, number = header.length_of(name), names.find(name)
    if header_bp is None or number is None:
        return None
    contig = names.contigs[number]
    return compare_lengths(contig, header_bp, names.genome.lengths[contig])


def _lengths(name: str, header: VcfHeader, names: ContigNames) -> str:
    """Return the two lengths of a contig that the genome has."""
    number = names.find(name)
    contig = name if number is None else names.contigs[number]
    genome = names.genome
    source = "in the VCF" if header.has_length(name) else "by its accession or assembly="
    other = "" if contig == name else f"{contig} "
    return (
        f"{name} has {header.length_of(name) or 0:,} bases {source} and "
        f"{other}{genome.lengths.get(contig, 0):,} in {genome.path.name}"
    )


def _alleles(count: int) -> str:
    return "1 allele is" if count == 1 else f"{count:,} alleles are"


def _builds(header: VcfHeader, names: ContigNames) -> str:
    """Return the builds of the VCF and the genome, where they are known and differ."""
    said, build = header.build, names.genome.build
    if said is not None and build is not None and said.name == build.name:
        return ""
    parts = []
    if said is not None:
        parts.append(f"the VCF says {said.name}")
    if build is not None:
        parts.append(f"{names.genome.path.name} is {build.name}")
    return f"; {', '.join(parts)}" if parts else ""

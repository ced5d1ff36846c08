"""Which members of an ensemble have not seen a contig: their predictions on it are honest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bioq.errors import BioqError, UsageError, some
from bioq.genome import ContigNames
from bioq.progress import say
from bioq.runs.folder import RunConfig, read_members, seen_contigs
from bioq.runs.training_data import training_data

_ALL = "use all members, run without --held-out"


@dataclass(frozen=True)
class _Member:
    """The contigs of a genome that a member has seen, and those of its own genome, by number."""

    name: str
    seen: frozenset[int]
    known: frozenset[int] | None
    """None if the run does not record the contigs of its genome."""


@dataclass(frozen=True)
class HeldOut:
    """What the members of an ensemble have seen of a genome."""

    run: Path
    contigs: Sequence[str]
    """The genome's names."""
    members: Sequence[_Member]

    def report(self, chosen: Mapping[int, tuple[int, ...]]) -> None:
        """Print which members predict which contigs, from the answer of `choose`."""
        contigs_of: dict[tuple[int, ...], list[str]] = {}
        for number, members in sorted(chosen.items()):
            contigs_of.setdefault(members, []).append(self.contigs[number])
        for members, contigs in sorted(contigs_of.items()):
            names = some((self.members[at].name for at in members), 3)
            say(f"held out: {some(contigs)}: predicted by {names}")

    def choose(self, numbers: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """Return, for each contig by its number, the numbers of the members that have not seen it.

        Raises BioqError if all members have seen a contig, or it is not a contig of the genome that
        a member was trained on, so that its name says nothing.
        """
        chosen = {number: self._not_seen(number) for number in set(numbers)}
        seen = [self.contigs[number] for number in sorted(chosen) if not chosen[number]]
        if seen:
            raise BioqError(
                f"{self.run}: every member has seen {some(seen)} in its training, so none can "
                f"predict it for --held-out; leave out these contigs or, to {_ALL}"
            )
        return chosen

    def _not_seen(self, number: int) -> tuple[int, ...]:
        for member in self.members:
            if member.known is not None and number not in member.known:
                raise BioqError(
                    f"{self.run}: the genome on which its member {member.name} was trained has no "
                    f"contig {self.contigs[number]}, so it is not known whether the member has "
                    f"seen its sequence; leave out this contig or, to {_ALL}"
                )
        return tuple(at for at, one in enumerate(self.members) if number not in one.seen)


def held_out(run: Path, config: RunConfig, names: ContigNames) -> HeldOut:
    """Return what the members of an ensemble have seen of a genome.

    Raises UsageError for a run that is no ensemble, BioqError if it is not known what a member has
    seen: it does not record it, and its data set is not at its path; or if the genome has none of
    the contigs that a member has seen.
    """
    if not config.members:
        raise UsageError(
            f"{run}: is one run; --held-out chooses among the members of an ensemble: train with "
            "folds, and join the runs with 'bioq ensemble'"
        )
    members = [_member(folder, member, names) for folder, member in read_members(run, config)]
    return HeldOut(run, names.contigs, members)


def _member(run: Path, config: RunConfig, names: ContigNames) -> _Member:
    seen = _numbers(_seen(run, config), names)
    known = _numbers(config.contig_lengths, names) if config.contig_lengths else None
    if known is None and not seen:
        raise BioqError(
            f"{run}: has seen none of the contigs of {names.genome.title} by these names; "
            "--held-out needs the genome on which the run was trained, or --chrom-alias"
        )
    return _Member(run.name, seen, known)


def _numbers(contigs: Iterable[str], names: ContigNames) -> frozenset[int]:
    """Return the numbers in a genome of the contigs that it has."""
    found = (names.find(contig) for contig in contigs)
    return frozenset(number for number in found if number is not None)


def _seen(run: Path, config: RunConfig) -> Sequence[str]:
    """Return the contigs that a run has seen: as it records them or, of a run of an older version,
    as its data set has them."""
    recorded: Sequence[str] | None = config.data.get("seen_contigs")
    if recorded is not None:
        return recorded
    unknown = f"{run}: does not record which contigs its training has seen"
    source: Mapping[str, object] | None = config.training.get("from")
    if source is not None:
        raise BioqError(f"{unknown}, and it started from another run; train it again or, to {_ALL}")
    try:
        seen = seen_contigs(training_data(run))
    except BioqError as error:
        raise BioqError(f"{unknown}, and its data set could not be read ({error})") from error
    if seen is None:
        raise BioqError(
            f"{unknown}, and its data set has no coordinates; train on a data set that has them "
            f"or, to {_ALL}"
        )
    return seen

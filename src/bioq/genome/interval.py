"""A stretch of a contig."""

from dataclasses import dataclass

from bioq.errors import BioqError


@dataclass(frozen=True, order=True)
class Interval:
    """The bases `start` to `end` of a contig, 0-based and half-open; never empty.

    Raises BioqError if the contig has no name, start is negative or end is not after start.
    """

    contig: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not self.contig:
            raise BioqError(f"interval {self.start}-{self.end}: has no contig name")
        if self.start < 0:
            raise BioqError(f"interval {self}: start {self.start} is negative; the first base is 0")
        if self.end <= self.start:
            raise BioqError(f"interval {self}: end {self.end} is not after start {self.start}")

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.contig}:{self.start}-{self.end}"

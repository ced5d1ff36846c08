"""The API's requests and answers about the bases that a prediction depends on."""

from typing import Annotated

from pydantic import BaseModel, Field

from bioq.web.schemas import GIVEN, TAKEN, Bases, Glob, Region, VariantLine

Span = Annotated[int, Field(ge=1)]


class MutagenesisRequest(BaseModel):
    """One window, as a sequence or a region, and one target."""

    model_config = TAKEN
    sequence: Bases | None = None
    """At most as long as the window; a shorter sequence is put in the middle of unknown bases."""
    region: Region | None = None
    """Instead of a sequence: CONTIG:START-END of the server's genome, at most bin_bp."""
    target: Glob
    """Name of the target."""
    span_bp: Span | None = None
    """Bases in the middle of the window that are mutated; bin_bp by default."""


class Effects(BaseModel):
    """Change of the probability with this base at each position; 0 for the window's own base."""

    model_config = GIVEN
    A: list[float]
    C: list[float]
    G: list[float]
    T: list[float]


class MutagenesisAnswer(BaseModel):
    """The effect of every substitution on one target."""

    model_config = GIVEN
    target: str
    reference: float
    """Probability of the unchanged window."""
    bases: str
    """The mutated bases, one letter per position."""
    position: list[int]
    """Counted from 0, in the sequence or on the contig."""
    effects: Effects


class AttributionRequest(BaseModel):
    """One window, as a sequence or a region, or the two windows of a variant; and one target."""

    model_config = TAKEN
    sequence: Bases | None = None
    """At most as long as the window; a shorter sequence is put in the middle of unknown bases."""
    region: Region | None = None
    """Instead of a sequence: CONTIG:START-END of the server's genome, at most bin_bp."""
    variant: VariantLine | None = None
    """Instead of a sequence: CONTIG:POS:REF>ALT, or a line of a VCF with one ALT; its windows with
    REF and with ALT are explained."""
    target: Glob
    """Name of the target."""
    span_bp: Span | None = None
    """Bases in the middle of the window that are explained; bin_bp by default."""


class SiteAnswer(BaseModel):
    """Bases next to each other with high contributions."""

    model_config = GIVEN
    start: int
    """Index of its first base in contributions."""
    end: int
    """End, not included."""
    contribution: float
    """Sum of its contributions."""
    motif: str
    """Name of the best match among the server's motifs; empty if no motif matches."""
    strand: str
    """Strand of the match: + or -; a dot if no motif matches."""
    q: float
    """Benjamini & Hochberg's q of the best match."""


class ContributionsAnswer(BaseModel):
    """The contribution of each base of a window."""

    model_config = GIVEN
    name: str
    """The allele of a variant; empty for a sequence or a region."""
    logit: float
    """Logit of the window, both strands averaged."""
    baseline_logit: float
    """Mean logit of the shuffled copies of the window, from which the contributions count."""
    completeness_gap: float
    """The sum of the contributions of the whole window, minus logit, plus baseline_logit."""
    bases: str
    """The explained bases, one letter per contribution."""
    position: list[int]
    """Counted from 0, in the sequence or on the contig; inserted bases repeat the position before
    them."""
    contributions: list[float]
    sites: list[SiteAnswer]


class AttributionAnswer(BaseModel):
    """The contribution of each base to one target's logit, by integrated gradients."""

    model_config = GIVEN
    target: str
    windows: list[ContributionsAnswer]
    """One; of a variant two, with REF and with ALT."""
    motifs: str
    """The motifs with which sites were compared."""
    note: str
    """Why sites have no motif names; empty if they have."""

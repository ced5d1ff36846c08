"""What the API takes and gives, and the one line by which it says what is wrong with a request."""

import re
from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from bioq.genome.notation import REGION_PATTERN
from bioq.web.visitor_input import short

_TAKEN = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
_GIVEN = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)
_DNA = "^[ACGTNRYSWKMBDHVacgtnryswkmbdhv]+$"
_MOST_SHOWN = 60

# Letters that are no DNA's get past this to the reader, which says which they are.
Bases = Annotated[str, Field(pattern="^[!-=?-~]+$", json_schema_extra={"pattern": _DNA})]
# One line each: no blank one and no comment, which the readers would pass over.
Region = Annotated[
    str,
    Field(
        pattern="^[!-~][ -~–]*$",
        json_schema_extra={"pattern": f"^{REGION_PATTERN}$"},
    ),
]
VariantLine = Annotated[str, Field(pattern='^[!"$-~][\\t -~]*$')]
Glob = Annotated[str, Field(min_length=1, max_length=200)]
Targets = Annotated[list[Glob], Field(max_length=100)]


class NamedSequence(BaseModel):
    """A sequence of DNA and what it is called."""

    model_config = _TAKEN
    name: Annotated[str, Field(pattern="^[!-~]{1,100}$")]
    """Without blanks."""
    sequence: Bases
    """Letters of DNA; all but A, C, G and T are unknown bases."""


class PredictRequest(BaseModel):
    """Sequences, or regions of the server's genome."""

    model_config = _TAKEN
    sequences: list[NamedSequence] = []
    """Each at least as long as the model's window; longer ones have a window every bin_bp."""
    regions: list[Region] = []
    """Instead of sequences: CONTIG:START-END, counted from 1 with both ends, as genome browsers
    write it. Bins of bin_bp cover each."""
    targets: Targets = []
    """Only these: names, with * and ? as wildcards, or COLUMN=VALUE of the target table."""
    pad: bool = False
    """Put sequences that are shorter than the window in the middle of unknown bases."""


class PredictedWindow(BaseModel):
    """One window."""

    model_config = _GIVEN
    name: str
    """The sequence's name, or the region's contig."""
    start: int
    """First base, counted from 0: of the window in its sequence, or of the bin on its contig."""
    end: int
    """The base after the last."""
    n_share: float
    """Share of the window's bases that are unknown."""
    probability: list[float]
    """In the order of targets; both strands averaged."""


class PredictAnswer(BaseModel):
    """Probabilities, window by window in the order asked."""

    model_config = _GIVEN
    targets: list[str]
    windows: list[PredictedWindow]


class VariantsRequest(BaseModel):
    """Some variants; more go to /api/jobs."""

    model_config = _TAKEN
    variants: Annotated[list[VariantLine], Field(min_length=1)]
    """Each CONTIG:POS:REF>ALT, or a line of a VCF: CHROM POS ID REF ALT."""
    targets: Targets = []
    """Only these: names, with * and ? as wildcards, or COLUMN=VALUE of the target table."""


class AlleleScores(BaseModel):
    """What an allele does, each in the order of targets."""

    model_config = _GIVEN
    ref: list[float]
    """Probability with the reference allele."""
    alt: list[float]
    """Probability with the alternative allele."""
    diff: list[float]
    """alt - ref"""
    log2_odds_ratio: list[float]
    """log2 of the odds of alt over those of ref."""


class ScoredAllele(BaseModel):
    """One allele."""

    model_config = _GIVEN
    chrom: str
    pos: int
    """Counted from 1, as in a VCF."""
    id: str
    ref: str
    alt: str
    status: str
    """scored or edge_padded; any other says why there are no scores."""
    genome_ref: str
    """What the genome has in place of REF, where that is something else."""
    max_abs_diff: float | None
    """The largest absolute diff of the chosen targets."""
    top_target: str
    """The target that has it."""
    scores: AlleleScores | None
    """null where the allele was not scored."""


class VariantsAnswer(BaseModel):
    """Alleles in the order asked."""

    model_config = _GIVEN
    targets: list[str]
    alleles: list[ScoredAllele]


class MutagenesisRequest(BaseModel):
    """One window, as a sequence or a region, and one target."""

    model_config = _TAKEN
    sequence: Bases | None = None
    """No longer than the model's window; a shorter one is put in the middle of unknown bases."""
    region: Region | None = None
    """Instead of a sequence: CONTIG:START-END of the server's genome, at most bin_bp."""
    target: Glob
    """Its name."""
    span_bp: Annotated[int, Field(ge=1)] | None = None
    """Bases in the middle of the window that are mutated; bin_bp by default."""


class Effects(BaseModel):
    """How much higher the probability is with this base at each position; 0 where it is there."""

    model_config = _GIVEN
    A: list[float]
    C: list[float]
    G: list[float]
    T: list[float]


class MutagenesisAnswer(BaseModel):
    """The effect of every substitution on one target."""

    model_config = _GIVEN
    target: str
    reference: float
    """The probability of the window as it is."""
    bases: str
    """What is mutated, a letter a position."""
    position: list[int]
    """Counted from 0, in the sequence or on the contig."""
    effects: Effects


class Scores(BaseModel):
    """Headline scores of the run's evaluation."""

    model_config = _GIVEN
    roc_auc: float | None
    average_precision: float | None


class EvaluationAnswer(BaseModel):
    """What 'bioq evaluate' found."""

    model_config = _GIVEN
    split: str
    windows: int
    macro: Scores
    """The mean over targets."""
    micro: Scores
    """All targets pooled."""


class LimitsAnswer(BaseModel):
    """What one request may ask."""

    model_config = _GIVEN
    body_bytes: int
    windows: int
    direct_alleles: int
    """Of /api/variants."""
    alleles: int
    """Of /api/jobs."""


class ModelAnswer(BaseModel):
    """The model that answers."""

    model_config = _GIVEN
    name: str
    """The run's name."""
    architecture: dict[str, Any]
    window_bp: int
    """Bases that the model reads."""
    bin_bp: int
    """Bases in the window's middle that it speaks of."""
    targets: list[dict[str, str]]
    """name, and the target table's other columns."""
    has_genome: bool
    """Whether regions and variants can be asked."""
    evaluation: EvaluationAnswer | None
    """null where the run has not been evaluated."""
    limits: LimitsAnswer


class JobAnswer(BaseModel):
    """Work that goes on while nobody waits."""

    model_config = _GIVEN
    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int
    """Alleles that are scored."""
    total: int
    before: int
    """Jobs that wait before this one."""
    error: str
    """Why it failed; else empty."""


class Detail(BaseModel):
    """What is wrong and what to change."""

    model_config = _GIVEN
    detail: str
    """One line."""


def one_line(error: RequestValidationError) -> str:
    """Return the first fault of a request: which field, what was expected and what was found."""
    faults = error.errors()
    first = faults[0]
    if first["type"] == "json_invalid":
        return f"the body is no JSON: {first['ctx']['error']} at character {first['loc'][-1] + 1}"
    place = first["loc"][1:]
    if not place and first["type"] != "string_unicode":
        return "the body is no JSON object; send one, with 'Content-Type: application/json'"
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    found = "" if first["type"] == "missing" else f", found {_short(repr(first['input']))}"
    more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
    wanted = re.sub("^(Value|Input|String|List) should", "should", first["msg"])
    return f"{_short(where[1:]) or 'a name'}: {wanted[0].lower()}{wanted[1:]}{found}{more}"


def _short(text: str) -> str:
    return short(text, _MOST_SHOWN)

"""The API's requests and answers, and the error message for a bad request."""

import re
from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, FailFast, Field

from bioq import dna
from bioq.errors import short, shown
from bioq.genome.notation import REGION_FORM, REGION_PATTERN, VARIANT_FORM
from bioq.web.visitor_input import with_example

TAKEN = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
GIVEN = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)
_DNA = f"^[{dna.IUPAC}{dna.IUPAC.lower()}]+$"

# Other letters pass this pattern: the reader's message names them.
_BASES = "^[!-=?-~]+$"
Bases = Annotated[str, Field(pattern=_BASES, json_schema_extra={"pattern": _DNA})]
_REGION = "^[!-~][\\t -~–]*$"
Region = Annotated[
    str,
    Field(pattern=_REGION, json_schema_extra={"pattern": f"^{REGION_PATTERN}$"}),
]
_VARIANT = '^[!"$-~][\\t -~]*$'
VariantLine = Annotated[str, Field(pattern=_VARIANT)]
Glob = Annotated[str, Field(min_length=1, max_length=200)]
MOST_PATTERNS = 100
"""Patterns of targets in a request."""
Targets = Annotated[list[Glob], Field(max_length=MOST_PATTERNS), FailFast()]
ScoreSwapped = Annotated[
    bool,
    Query(description="Score alleles if the genome has ALT, not REF; diff is still ALT minus REF."),
]
_SEQUENCE_NAME = "^[!-~]{1,100}$"
_FORMS = {
    _BASES: "DNA letters alone: no blank, no line end and no header; each sequence in its own item",
    _SEQUENCE_NAME: "1 to 100 letters of ASCII without blanks",
    _REGION: f"{REGION_FORM} on one line, counted from 1 and both ends included",
    _VARIANT: f"{VARIANT_FORM} or the columns of a VCF on one line",
}
"""A pattern -> the form in words, for the error of a text that does not match it."""


class NamedSequence(BaseModel):
    """A DNA sequence and its name."""

    model_config = TAKEN
    name: Annotated[str, Field(pattern=_SEQUENCE_NAME)]
    """Without blanks."""
    sequence: Bases
    """DNA letters; all except A, C, G and T count as unknown bases."""


class PredictRequest(BaseModel):
    """Sequences, or regions of the server's genome."""

    model_config = TAKEN
    sequences: Annotated[list[NamedSequence], FailFast()] = []
    """Each at least as long as the window; a longer sequence is cut into windows, bin_bp apart."""
    regions: Annotated[list[Region], FailFast()] = []
    """Instead of sequences: CONTIG:START-END, counted from 1, both ends included, as in genome
    browsers. Bins of bin_bp cover each region."""
    targets: Targets = []
    """Targets to report, by name or by COLUMN=VALUE of the target table; * and ? are wildcards; by
    default all."""
    pad: bool = False
    """Put a sequence that is shorter than the window in the middle of unknown bases."""


class PredictedWindow(BaseModel):
    """The prediction of one window."""

    model_config = GIVEN
    name: str
    """The sequence's name, or the region's contig."""
    start: int
    """First base, counted from 0: of the window in its sequence, or of the bin on its contig."""
    end: int
    """End, not included."""
    n_share: float
    """Share of the window's bases that are unknown."""
    probability: list[float]
    """One value per target, in the order of targets; both strands averaged."""


class PredictAnswer(BaseModel):
    """Probabilities of each window, in the order of the request."""

    model_config = GIVEN
    targets: list[str]
    windows: list[PredictedWindow]


class VariantsRequest(BaseModel):
    """A few variants; send more to /api/jobs."""

    model_config = TAKEN
    variants: Annotated[list[VariantLine], Field(min_length=1), FailFast()]
    """Each CONTIG:POS:REF>ALT, or a line of a VCF: CHROM POS ID REF ALT."""
    targets: Targets = []
    """Targets to report, by name or by COLUMN=VALUE of the target table; * and ? are wildcards; by
    default all."""
    score_swapped: bool = False
    """Score alleles if the genome has ALT, not REF; diff is still ALT minus REF."""


class AlleleScores(BaseModel):
    """Scores of an allele, one value per target in the order of targets."""

    model_config = GIVEN
    ref: list[float]
    """Probability with the reference allele."""
    alt: list[float]
    """Probability with the alternative allele."""
    diff: list[float]
    """alt - ref"""
    log2_odds_ratio: list[float]
    """log2 of the odds of alt over those of ref."""


class SpreadAnswer(BaseModel):
    """How far the members of an ensemble differ, one value per target in the order of targets."""

    model_config = GIVEN
    diff_sd: list[float]
    """Standard deviation of the members' diffs."""
    sign_agreement: list[float]
    """Share of the members whose diff has the sign of diff."""


class BackgroundScores(BaseModel):
    """Comparison with the variants of a background, one value per target in the order of targets;
    null for a target of which no background variant has an effect."""

    model_config = GIVEN
    evalue: list[float | None]
    """Share of the background's variants with a larger effect."""
    zscore: list[float | None]
    """diff over the root mean square of the background's diffs."""


class ScoredAllele(BaseModel):
    """One allele and its scores."""

    model_config = GIVEN
    chrom: str
    pos: int
    """Counted from 1, as in a VCF."""
    id: str
    ref: str
    alt: str
    status: str
    """scored, edge_padded or, if it was requested, allele_swapped; any other status is the reason
    why there are no scores."""
    genome_ref: str
    """The genome's bases at REF, if they differ from REF."""
    max_abs_diff: float | None
    """The largest absolute diff over the reported targets."""
    top_target: str
    """With a background, the target with the smallest E-value of all targets of the model;
    otherwise the reported target with the largest absolute diff."""
    top_diff: float | None
    """diff of top_target; null if the allele was not scored."""
    score_phred: float | None
    """-10 log10 of the share of the background's variants whose smallest E-value of all targets is
    at most that of the allele; null without a background, or if the allele was not scored."""
    background_n: int | None
    """The number of background variants with which the allele was compared."""
    scores: AlleleScores | None
    """null if the allele was not scored."""
    spread: SpreadAnswer | None
    """null if the allele was not scored, or the model is not an ensemble."""
    background: BackgroundScores | None
    """null if the allele was not scored, or the server has no background."""


class VariantsAnswer(BaseModel):
    """Alleles in the order of the request."""

    model_config = GIVEN
    targets: list[str]
    alleles: list[ScoredAllele]
    notes: list[str]
    """What does not fit between the model's training data, the genome and the variants."""


class Scores(BaseModel):
    """Main scores of the run's evaluation."""

    model_config = GIVEN
    roc_auc: float | None
    roc_auc_interval: list[float] | None = None
    """The ends of its 95 % interval over blocks of the genome; null if it has none."""
    average_precision: float | None
    average_precision_interval: list[float] | None = None
    """The same of the average precision."""


class Areas(BaseModel):
    """A ROC AUC and an average precision."""

    model_config = GIVEN
    roc_auc: float | None
    average_precision: float | None


class ConstantAnswer(BaseModel):
    """Scores of a constant: for every window, each target's share of positives."""

    model_config = GIVEN
    macro: Areas
    micro: Areas


class AllBinsScores(BaseModel):
    """Scores of all bins, estimated from windows that are a sample of them."""

    model_config = GIVEN
    weight: float
    """Bins that a window without a positive stands for; above 10 the scores are rough."""
    macro: Scores
    micro: Scores
    constant: ConstantAnswer


class AllBinsAnswer(BaseModel):
    """The scored windows beside all bins of their contigs."""

    model_config = GIVEN
    bins: int
    positive_rate: float | None
    """Share of positive labels in all bins of these contigs."""
    genome_rate: float | None
    """The same of the genome."""
    scores: AllBinsScores | None = None
    """null if every bin was scored, or the scored windows do not stand for the other bins."""


class EvaluationAnswer(BaseModel):
    """Result of 'bioq evaluate'."""

    model_config = GIVEN
    split: str
    windows: int
    positive_rate: float | None
    """Share of positive labels in these windows, on which average precision depends."""
    macro: Scores
    """The mean over targets."""
    micro: Scores
    """All targets pooled."""
    constant: ConstantAnswer | None = None
    """What a model reaches that does not read the sequence; null if it was not computed."""
    all_bins: AllBinsAnswer | None = None
    """null if the data set does not record its bins."""


class LimitsAnswer(BaseModel):
    """The largest request."""

    model_config = GIVEN
    body_bytes: int
    windows: int
    direct_alleles: int
    """Alleles per request to /api/variants."""
    alleles: int
    """Alleles per request to /api/jobs."""


class ModelAnswer(BaseModel):
    """The served model."""

    model_config = GIVEN
    name: str
    """Name of the run."""
    architecture: dict[str, Any]
    members: list[str]
    """Names of the runs that an ensemble averages; empty for any other model."""
    window_bp: int
    """Length of the window in bases."""
    bin_bp: int
    """Length of the bin in the window's middle, which the prediction is for."""
    targets: list[dict[str, str]]
    """The target table: name and annotation of each target."""
    positive_rate: list[float] | None
    """Share of positive windows of each target in the evaluated split, which a model that ignores
    the DNA would predict; null if the run has not been evaluated."""
    trained_on: str | None
    """Build of the genome of the training data, such as GRCh37; null if it is not known."""
    has_genome: bool
    """Whether the server has a genome, which regions and variants need."""
    genome_build: str | None
    """Build of the server's genome; null if it is not known."""
    background_variants: int | None
    """The variants of the background with which alleles are compared; null without one."""
    evaluation: EvaluationAnswer | None
    """null if the run has not been evaluated."""
    limits: LimitsAnswer


class JobAnswer(BaseModel):
    """A job, which runs in the background."""

    model_config = GIVEN
    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int
    """Alleles scored so far."""
    total: int
    before: int
    """Jobs that wait before this job."""
    error: str
    """Why the job failed; empty otherwise."""
    notes: list[str]
    """Of a finished job: what does not fit between the model's training data, the genome and the
    VCF."""


class Detail(BaseModel):
    """An error: what is wrong and what to change."""

    model_config = GIVEN
    detail: str
    """One line."""


def one_line(error: RequestValidationError, *, region: str = "", variant: str = "") -> str:
    """Return the first error of a request: the field, the expected value and the given value.

    `region` and `variant` are examples on the server's genome.
    """
    first = error.errors()[0]
    path = first["loc"][1:]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    found = shown(first["input"])
    given = "" if first["type"] == "missing" else f", found {found}"
    pattern = str(first.get("ctx", {}).get("pattern"))
    if pattern in _FORMS:
        example = {_REGION: region, _VARIANT: variant}.get(pattern, "")
        form = with_example(_FORMS[pattern], example)
        return f"{short(field[1:])}: expected {form}; found {found}"
    expected = re.sub("^(Value|Input|String|List) should", "should", first["msg"])
    return f"{short(field[1:]) or 'a name'}: {expected[0].lower()}{expected[1:]}{given}"

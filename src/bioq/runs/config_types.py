"""The types of the fields of a run's `config.json`; `files.typed` compares the file with them.

The entry `training` has more fields, all options of a training: `training.plan` reads and checks
them. Here are those that other commands read.
"""

from typing import Annotated, Any, NotRequired, TypedDict

from bioq.files.typed import EachOptional, Line, Name
from bioq.models.recipe import Recipe
from bioq.models.sizes import ModelSizes
from bioq.options import AtLeastZero, Range, TargetCount, WindowBp


class ModelEntry(TypedDict):
    """The arguments of `build_model`, or those of `models.source`."""

    name: Line
    targets: TargetCount
    window_bp: WindowBp
    sizes: ModelSizes
    source_sha256: NotRequired[Line]
    """Of the file NETWORK, of a network that is not one of BioQ's."""


class TrainingEntry(TypedDict):
    """Runs that older versions wrote lack some of the options."""

    model: NotRequired[str | None]
    motifs: NotRequired[Name | None]
    freeze: NotRequired[bool]
    fold: NotRequired[Line | None]
    device: NotRequired[str | None]
    seed: NotRequired[int]
    precision: NotRequired[str]
    sizes: NotRequired[ModelSizes]
    resolved: NotRequired[Annotated[Recipe, EachOptional]]


class DataEntry(TypedDict):
    """The data set of the training."""

    name: Name
    path: NotRequired[Name]
    """Runs written before 2026-11-23 have the name alone."""
    fingerprint: Line
    window_bp: WindowBp
    bin_bp: WindowBp
    label_rule: NotRequired[str]
    windows: dict[str, AtLeastZero]
    contigs: NotRequired[dict[str, AtLeastZero]]
    seen_contigs: NotRequired[list[str]]
    """Contigs with a window that the training or the choice of its epoch has seen; runs written
    before 2026-11-29 and data sets without coordinates lack it."""
    constant: NotRequired[dict[str, Annotated[float, Range(least=0, most=100)] | None]]
    """Column of the history -> the score of a constant; see `runs.constants`. Runs written before
    2026-11-30 do not have it."""


class MemberEntry(TypedDict):
    """A run that an ensemble averages."""

    name: Line
    """The name of its folder in `members/`."""
    origin: Name
    """The folder that it was copied from, or the address that it was downloaded from."""
    weights: Line
    """SHA-256 of its file of best weights."""


class ImportedEntry(TypedDict):
    """Where the weights of a run come from that `bioq import` made, and how the file was read."""

    layout: Line
    """How the file arranges the weights: the name of a record of `published.layouts`."""
    title: Line
    file: Name
    """Name of the file, without its folder."""
    url: Line | None
    """Address of the published file with this checksum; None if the file is none of them."""
    sha256: Line
    md5: Line
    licence: Line
    """Of the weights; empty if none is known."""
    citation: Line
    genome: Line
    """UCSC's name of the genome that the network was trained on; empty if it is not known."""
    channels: Line
    """Order of the bases in the file; the weights of the run are in the order A, C, G, T."""
    second_lstm: Line | None
    """The direction in which the second LSTM reads, where the file does not decide it."""


class StartEntry(TypedDict):
    """The published weights from which a training started, directly or through other runs."""

    title: Line
    citation: Line
    licence: Line


class ConfigFile(TypedDict):
    """The content of `config.json`."""

    model: ModelEntry
    training: TrainingEntry
    data: DataEntry
    versions: dict[str, Any]
    members: NotRequired[list[MemberEntry]]
    """Of an ensemble; a run that was trained has none."""
    imported: NotRequired[ImportedEntry]
    """Of a run that `bioq import` made."""
    started_from: NotRequired[StartEntry]
    """Of a run whose training started from such a run."""

"""The folder of a second stage: RANK/rank.json, and tables about its fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from bioq import __version__
from bioq.errors import BioqError
from bioq.files import FolderKind, read_json, write_json
from bioq.files.typed import Line, Name
from bioq.variants.second_stage.features import feature_names
from bioq.variants.second_stage.logistic import Fit, Floats, Scaling, probability_of

FORMAT, FORMAT_VERSION = "bioq-rank", 1
RANK_FILE, HELD_OUT, QUALITY = "rank.json", "held_out.tsv", "quality.tsv"
FOLDER_KIND = FolderKind(RANK_FILE, (HELD_OUT, QUALITY))
_REMEDY = "make it again with 'bioq rank fit'"
_LARGEST = float(np.finfo(np.float32).max)
"""Features are float32. With a larger mean, scale or weight a score could overflow."""


class _Track(TypedDict):
    name: Name
    sha256: Line


class _Feature(TypedDict):
    name: Line
    mean: float
    scale: float
    weight: float


class _Options(TypedDict):
    strands: Line
    indel: Line


class _Content(TypedDict):
    """The content of rank.json, the part that is read."""

    model: Line
    targets: list[Line]
    tracks: list[_Track]
    options: _Options
    features: list[_Feature]
    intercept: float
    penalty: float


@dataclass(frozen=True)
class Rank:
    """A fitted second stage."""

    model: str
    """Fingerprint of the weights whose scores it was fitted to."""
    targets: tuple[str, ...]
    tracks: tuple[tuple[str, str], ...]
    """(name, SHA-256) of each track."""
    options: Mapping[str, Any]
    """How the alleles were scored: `strands` and `indel`."""
    scaling: Scaling
    fit: Fit

    def score(self, features: npt.NDArray[np.float32]) -> Floats:
        """Return rank_score of alleles, `(alleles,)`, of features in the order of
        `feature_names`."""
        return probability_of(self.fit.log_odds(self.scaling.standardised(features)))

    def names(self) -> list[str]:
        """Return the names of the features."""
        return feature_names(self.targets, [name for name, _ in self.tracks])


def write_rank(folder: Path, rank: Rank, about: Mapping[str, Any]) -> None:
    """Write RANK/rank.json; `about` are further JSON values, which nothing reads."""
    columns = (rank.names(), rank.scaling.mean, rank.scaling.scale, rank.fit.weights)
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "bioq": __version__,
        "model": rank.model,
        **about,
        "options": dict(rank.options),
        "tracks": [{"name": name, "sha256": sha256} for name, sha256 in rank.tracks],
        "penalty": rank.fit.penalty,
        "intercept": rank.fit.intercept,
        "targets": list(rank.targets),
        "features": [
            {"name": name, "mean": float(mean), "scale": float(scale), "weight": float(weight)}
            for name, mean, scale, weight in zip(*columns, strict=True)
        ],
    }
    write_json(folder / RANK_FILE, content)


def read_rank(folder: Path) -> Rank:
    """Read a folder that `bioq rank fit` wrote.

    Raises BioqError for another folder, another format version and damaged content.
    """
    file = folder / RANK_FILE
    if not folder.is_dir():
        raise BioqError(f"{folder}: is not a folder; expected one made by 'bioq rank fit'")
    content = read_json(
        file,
        what="a second stage",
        kind=FORMAT,
        version=FORMAT_VERSION,
        remedy=_REMEDY,
        shape=_Content,
    )
    rank = Rank(
        model=content["model"],
        targets=tuple(content["targets"]),
        tracks=tuple((track["name"], track["sha256"]) for track in content["tracks"]),
        options={name: content["options"][name] for name in _Options.__annotations__},
        scaling=Scaling(_numbers(file, content, "mean"), _numbers(file, content, "scale")),
        fit=Fit(content["penalty"], _numbers(file, content, "weight"), content["intercept"]),
    )
    if [feature["name"] for feature in content["features"]] != rank.names():
        raise BioqError(f"{file}: features do not fit targets and tracks; {_REMEDY}")
    return rank


def _numbers(file: Path, content: Mapping[str, Any], name: str) -> Floats:
    numbers = np.array([feature[name] for feature in content["features"]], dtype=np.float64)
    too_large = np.flatnonzero(np.abs(numbers) > _LARGEST)
    if len(too_large):
        number = int(too_large[0])
        raise BioqError(
            f"{file}: features[{number}].{name} is {numbers[number]:g}; expected at most "
            f"{_LARGEST:g}; {_REMEDY}"
        )
    return numbers


def require_same_model(folder: Path, rank: Rank, model: str, targets: Sequence[str]) -> None:
    """Raise BioqError if a second stage was fitted to other weights or targets."""
    if rank.model != model or rank.targets != tuple(targets):
        raise BioqError(
            f"{folder}: was fitted to the scores of other weights ({rank.model[:12]}, "
            f"{len(rank.targets):,} targets) than the run has ({model[:12]}, {len(targets):,}); "
            "give the run of the fit, or fit again with this run: 'bioq rank fit'"
        )

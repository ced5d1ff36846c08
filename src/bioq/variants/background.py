"""The distribution of effects among many variants: the reference of E-values and z-scores.

A background is an `.npz` file whose size does not depend on the number of variants: for each
target, a histogram of the sizes of effects. Its steps have 9 significant bits (0.4 %), from 2^-64.
"""

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from bioq.errors import BioqError, reason_of, shown
from bioq.files import new_file
from bioq.files.typed import Line, parse_json, require_types
from bioq.genome.builds import lengths_in
from bioq.inputs import input_file
from bioq.options import path_to
from bioq.variants.scores import ScoreArray, effect

FORMAT = "bioq-background"
FORMAT_VERSION = 1
# A float32 without its last 15 bits: a sign, 8 bits of exponent, 8 of mantissa.
_DROPPED_BITS = 15
_FIRST_KEY = (127 - 64) << 8
_KEYS = (64 + 8) << 8
_REMEDY = "make it again with 'bioq background'"
_MOST_BYTES = 1 << 32
"""Unpacked bytes of an array: the counts of 58,000 targets."""


class EffectCounts:
    """A histogram of effects for each target, filled block by block."""

    def __init__(self, targets: int):
        self.variants = 0
        self.counts = np.zeros((targets, _KEYS), dtype=np.uint32)
        self.square_sum = np.zeros(targets, dtype=np.float64)

    def add(self, scores: Mapping[str, ScoreArray]) -> None:
        """Count the effects of alleles; each score is `(alleles, targets)`."""
        sizes = effect(scores)
        self.variants += len(sizes)
        np.add.at(self.counts, (np.arange(sizes.shape[1])[None, :], size_keys(sizes)), 1)
        self.square_sum += (scores["diff"].astype(np.float64) ** 2).sum(axis=0)


def size_keys(sizes: ScoreArray) -> npt.NDArray[np.int64]:
    """Return the histogram step of each size; a larger size has a larger or equal step."""
    keys = (np.ascontiguousarray(sizes).view(np.uint32) >> _DROPPED_BITS).astype(np.int64)
    clipped: npt.NDArray[np.int64] = np.clip(keys - _FIRST_KEY, 0, _KEYS - 1)
    return clipped


@dataclass(frozen=True)
class Background:
    """The distribution of the effects of a set of variants, for each target."""

    path: Path
    targets: tuple[str, ...]
    model: str
    """Fingerprint of the weights that computed it."""
    variants: int
    root_mean_square: npt.NDArray[np.float64]
    """`(targets,)` of diff."""
    larger: ScoreArray
    """`(targets, steps)`: share of the variants whose effect is in a higher step."""
    provenance: Mapping[str, Any]

    @property
    def contig_lengths(self) -> Mapping[str, int]:
        """Contig -> bases in the genome of its variants; {} if the file does not record them."""
        return lengths_in(self.provenance)

    def scores(self, scores: Mapping[str, ScoreArray]) -> dict[str, ScoreArray]:
        """Return E-values and z-scores of alleles, `(alleles, targets)` over all targets.

        The E-value is the share of background variants with a larger effect (DeepSEA 0.94,
        3_h5ToOutput.py). If no variant has a larger effect, it is 1 / variants (DeepSEA: 1e-6, of
        a million). The z-score is diff divided by its root mean square in the background
        (HumanBase's DeepSEA).
        """
        rows = np.arange(len(self.targets))[None, :]
        share = self.larger[rows, size_keys(effect(scores))]
        floor = np.float32(1 / self.variants)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (scores["diff"] / self.root_mean_square).astype(np.float32)
        return {"evalue": np.where(share == 0, floor, share), "zscore": z}


def write_background(
    path: Path, effects: EffectCounts, targets: list[str], provenance: Mapping[str, Any]
) -> None:
    """Write a background as `.npz`; raises BioqError if no variant was counted."""
    if not effects.variants:
        raise BioqError(
            f"{path}: not written: no variant could be scored; see the table of statuses"
        )
    about = {"format": FORMAT, "format_version": FORMAT_VERSION, **provenance}
    with new_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(
            file,
            about=np.array(json.dumps(about)),
            targets=np.array(targets),
            variants=np.int64(effects.variants),
            counts=effects.counts,
            square_sum=effects.square_sum,
        )


class _About(TypedDict):
    """The content of `about`, the part that is read."""

    format: str
    format_version: int
    model: Line
    options: NotRequired[dict[str, Any]]
    contigs: NotRequired[dict[str, int]]


def read_background(path: Path) -> Background:
    """Read a background, in memory that its size on the disk bounds (`_array`).

    Raises BioqError for a file that is not a background, is damaged or has another format version.
    """
    path = path_to("path", path)
    try:
        with input_file(path) as (file, _), zipfile.ZipFile(file) as stored:
            about = parse_json(str(_array(stored, "about", "U", ())[()]))
            _require_known(path, about)
            targets = _array(stored, "targets", "U", (None,))
            variants = int(_array(stored, "variants", "i", ())[()])
            counts = _array(stored, "counts", "u", (len(targets), _KEYS))
            square_sum = _array(stored, "square_sum", "f", (len(targets),))
    except FileNotFoundError as error:
        raise BioqError(f"{path}: no such file; expected one made by 'bioq background'") from error
    except BioqError:
        raise
    except (IsADirectoryError, PermissionError) as error:
        raise BioqError(
            f"{path}: could not be read: {error.strerror}; expected one made by 'bioq background'"
        ) from error
    except Exception as error:  # errors of zipfile, zlib and NumPy's header parser
        reason = reason_of(error)[:100]
        raise BioqError(
            f"{path}: is not a background ({reason or type(error).__name__}); "
            "expected a file made by 'bioq background'"
        ) from error
    if variants < 1 or not len(targets) or (counts.sum(axis=1) != variants).any():
        raise BioqError(f"{path}: its arrays do not fit together; {_REMEDY}")
    if not (np.isfinite(square_sum) & (square_sum >= 0)).all():
        raise BioqError(f"{path}: square_sum has numbers that are NaN or below 0; {_REMEDY}")
    above = np.cumsum(counts[:, ::-1], axis=1, dtype=np.int64)[:, ::-1] - counts
    return Background(
        path=path,
        targets=tuple(targets.tolist()),
        model=about["model"],
        variants=variants,
        root_mean_square=np.sqrt(square_sum / variants),
        larger=(above / variants).astype(np.float32),
        provenance={k: v for k, v in about.items() if k not in ("format", "format_version")},
    )


def _require_known(path: Path, about: Any) -> None:
    """Raise BioqError if the text of a background has other fields or another format version."""
    require_types(about, _About, path, _REMEDY, at="about")
    kind, version = about["format"], about["format_version"]
    if kind != FORMAT or version != FORMAT_VERSION:
        raise BioqError(
            f"{path}: is {shown(kind)}, format_version {version}; this BioQ reads {FORMAT!r}, "
            f"{FORMAT_VERSION}: {_REMEDY}"
        )


def _array(
    stored: zipfile.ZipFile, name: str, kind: str, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """Return an array of a .npz file; None is any length. Raises ValueError for another array.

    Its header, and the size that the archive records, are compared before memory is taken: a
    megabyte of an archive can unpack to a gigabyte.
    """
    if f"{name}.npy" not in stored.namelist():
        raise ValueError(f"it has no {name}")
    member = stored.getinfo(f"{name}.npy")
    if member.file_size > _MOST_BYTES:
        raise ValueError(f"{name} unpacks to {member.file_size:,} bytes")
    with stored.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} is in version {version} of the format")
        found, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.kind != kind or is_fortran or len(found) != len(shape):
            raise ValueError(f"{name} is {dtype} {found}")
        if any(expected not in (None, size) for size, expected in zip(found, shape, strict=True)):
            raise ValueError(f"{name} is {dtype} {found}, expected {shape}")
        size = math.prod(found) * dtype.itemsize
        content = file.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} has {len(content):,} bytes, expected {size:,}")
    return np.frombuffer(content, dtype).reshape(found)


def require_same_model(background: Background, model: str, targets: list[str]) -> None:
    """Raise BioqError if a background was made with other weights or for other targets."""
    if background.targets != tuple(targets):
        raise BioqError(
            f"{background.path}: is a background of {len(background.targets)} targets, the first "
            f"{background.targets[0]!r}; the model has {len(targets)}, the first {targets[0]!r}; "
            "make one with this model, or score without one: --background none"
        )
    if background.model != model:
        raise BioqError(
            f"{background.path}: was made with other weights ({background.model[:12]}) than the "
            f"model has ({model[:12]}); make one with this model: 'bioq background', or "
            "score without one: --background none"
        )

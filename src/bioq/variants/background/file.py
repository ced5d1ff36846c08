"""The `.npz` file of a background.

Its size does not depend on the number of variants. Format version 2 has the counts of each kind of
variant and ranks; version 1, which is still read, has the effects of all variants together.
"""

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.dataset.targets import NAME
from bioq.errors import BioqError, reason_of, shown
from bioq.files import new_file
from bioq.files.near import near_path
from bioq.files.typed import Line, parse_json, require_types
from bioq.inputs import input_file
from bioq.options import path_to
from bioq.progress import say
from bioq.variants.background.effect_counts import EFFECT_STEPS, EVERY, KINDS, EffectCounts
from bioq.variants.background.ranks import (
    MOST_VARIANTS,
    Counts,
    can_be_ranks,
    steps_of,
    target_sets,
    variants_above,
)
from bioq.variants.background.reference import REMEDY, Background, Reference
from bioq.variants.columns import TargetNumbers

FORMAT = "bioq-background"
FORMAT_VERSION = 2
_WITHOUT_RANKS = 1
"""The older format version that is read."""
_Floats = npt.NDArray[np.float64]
_MOST_BYTES = 1 << 32
"""Unpacked bytes of an array: the counts of 58,000 targets."""
_MOST_LISTED_BYTES = 1 << 28
"""Of a text or a list, such as the names of targets: 58,000 names of 1,100 letters."""


def write_background(
    path: Path, effects: EffectCounts, targets: pd.DataFrame, provenance: Mapping[str, Any]
) -> None:
    """Write a background as `.npz`, with the ranks of all targets and of each group of targets in
    their table. Raises BioqError if no variant was counted."""
    if not effects.variants:
        raise BioqError(
            f"{path}: not written: no variant could be scored; see the table of statuses"
        )
    about = {"format": FORMAT, "format_version": FORMAT_VERSION, **provenance}
    sets = target_sets(targets)
    arrays: dict[str, Any] = {
        "about": np.array(json.dumps(about)),
        "targets": np.array(list(targets[NAME])),
        "variants": effects.of_kind,
        "set_sizes": np.array([len(rows) for rows in sets], dtype=np.uint32),
        "set_targets": np.concatenate(sets).astype(np.uint32),
    }
    for index, kind in enumerate(KINDS):
        if effects.of_kind[index]:
            arrays[f"{kind}.counts"] = _small(effects.counts[index])
            arrays[f"{kind}.square_sum"] = effects.square_sum[index]
    for name, counts in effects.rank_counts(sets).items():
        arrays[f"{name}.ranks"] = _small(counts)
    with new_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)


def _small(counts: Counts) -> npt.NDArray[Any]:
    """Return counts in the smallest type that has them: the file is a quarter smaller."""
    return counts.astype(np.min_scalar_type(counts.max()))


class _About(TypedDict):
    """The content of `about`, the part that is read."""

    format: str
    format_version: int
    model: Line
    options: NotRequired[dict[str, Any]]
    contigs: NotRequired[dict[str, int]]


class _Damaged(Exception):
    """The arrays of a file do not fit together."""


def read_background(path: Path) -> Background:
    """Read a background, in memory that its size on the disk bounds (`_array`).

    Args:
        path: File of 'bioq background'.

    Returns:
        The background, of SNVs and, if the file has them, of indels.

    Raises:
        BioqError: For a file that is not a background, is damaged or has another format version.
    """
    path = path_to("path", path)
    try:
        with input_file(path) as (file, _), zipfile.ZipFile(file) as stored:
            about = parse_json(str(_array(stored, "about", "U", ())[()]))
            _require_known(path, about)
            targets = _array(stored, "targets", "U", (None,))
            of_kind: tuple[int, ...] = ()
            if about["format_version"] == _WITHOUT_RANKS:
                sets: list[TargetNumbers] = []
                references = _read_without_ranks(stored, len(targets))
            else:
                sets = _read_sets(stored, len(targets))
                of_kind, references = _read_kinds(stored, sets)
    except FileNotFoundError as error:
        raise BioqError(
            f"{path}: no such file; {near_path(path)}expected one made by 'bioq background'"
        ) from error
    except BioqError:
        raise
    except _Damaged as error:
        raise BioqError(f"{path}: {error}; {REMEDY}") from error
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
    if about["format_version"] == _WITHOUT_RANKS:
        say(
            f"note: {path} is of format version {_WITHOUT_RANKS}: it has E-values, and no ranks "
            f"for score_phred; {REMEDY}"
        )
    return Background(
        path=path,
        targets=tuple(targets.tolist()),
        model=about["model"],
        variants=sum(of_kind) or references[0].variants,
        of_kind=of_kind,
        references=tuple(references),
        sets={rows.tobytes(): index for index, rows in enumerate(sets)},
        provenance={k: v for k, v in about.items() if k not in ("format", "format_version")},
    )


def _read_without_ranks(stored: zipfile.ZipFile, targets: int) -> list[Reference]:
    """Read the arrays of format version 1: one reference for all kinds."""
    variants = int(_array(stored, "variants", "i", ())[()])
    _require(0 < variants <= MOST_VARIANTS)
    counts, square_sum = _histogram(stored, "", targets, variants)
    return [_reference(counts, square_sum, None)] * len(KINDS)


def _read_sets(stored: zipfile.ZipFile, targets: int) -> list[TargetNumbers]:
    """Read the sets of targets; the first is that of all targets."""
    sizes = _array(stored, "set_sizes", "u", (None,)).astype(np.int64)
    members = _array(stored, "set_targets", "u", (None,)).astype(np.int64)
    _require(len(sizes) > 0 and (sizes > 0).all() and sizes.sum() == len(members))
    sets = np.split(members, np.cumsum(sizes)[:-1])
    _require((members < targets).all() and np.array_equal(sets[0], np.arange(targets)))
    return sets


def _read_kinds(
    stored: zipfile.ZipFile, sets: Sequence[TargetNumbers]
) -> tuple[tuple[int, ...], list[Reference]]:
    """Read the arrays of format version 2: the variants of each of `KINDS`, and what its alleles
    are compared with."""
    variants = _array(stored, "variants", "i", (len(KINDS),)).astype(np.int64)
    _require(variants.min() >= 0 and 0 < variants.sum() <= MOST_VARIANTS)
    found = {
        kind: _histogram(stored, f"{kind}.", len(sets[0]), number)
        for kind, number in zip(KINDS, variants.tolist(), strict=True)
        if number
    }
    own = [kind for kind in found if f"{kind}.ranks.npy" in stored.namelist()]
    if len(own) < len(KINDS):
        found[EVERY] = _together(list(found.values()))
    chosen = [kind if kind in own else EVERY for kind in KINDS]
    references = {}
    for name in dict.fromkeys(chosen):
        counts, square_sum = found[name]
        shape = len(sets), steps_of(int(counts[0].sum()))
        ranks = _array(stored, f"{name}.ranks", "u", shape)
        made = references[name] = _reference(counts, square_sum, ranks)
        _require(can_be_ranks(ranks, made.above, made.variants, sets))
    return tuple(variants.tolist()), [references[name] for name in chosen]


def _together(found: Sequence[tuple[Counts, _Floats]]) -> tuple[Counts, _Floats]:
    """Return the histogram and the sum of squares of all kinds."""
    counts = np.zeros(found[0][0].shape, dtype=np.uint32)
    for each, _ in found:
        counts += each
    return counts, np.sum([each for _, each in found], axis=0)


def _require(fits: bool | np.bool_) -> None:
    if not fits:
        raise _Damaged("its arrays do not fit together")


def _histogram(
    stored: zipfile.ZipFile, start: str, targets: int, variants: int
) -> tuple[Counts, _Floats]:
    """Read the histogram of effects of some variants, and the sum of the squares of their diffs."""
    counts = _array(stored, f"{start}counts", "u", (targets, EFFECT_STEPS))
    square_sum = _array(stored, f"{start}square_sum", "f", (targets,))
    _require(targets > 0 and (counts.sum(axis=1, dtype=np.int64) == variants).all())
    if not (np.isfinite(square_sum) & (square_sum >= 0)).all():
        raise _Damaged("square_sum has numbers that are NaN or below 0")
    return counts, square_sum


def _reference(counts: Counts, square_sum: _Floats, ranks: Counts | None) -> Reference:
    variants = int(counts[0].sum())
    return Reference(variants, variants_above(counts), np.sqrt(square_sum / variants), ranks)


def _require_known(path: Path, about: Any) -> None:
    """Raise BioqError if the text of a background has other fields or another format version."""
    require_types(about, _About, path, REMEDY, at="about")
    kind, version = about["format"], about["format_version"]
    if kind != FORMAT or version not in (FORMAT_VERSION, _WITHOUT_RANKS):
        raise BioqError(
            f"{path}: is {shown(kind)}, format_version {version}; this BioQ reads {FORMAT!r}, "
            f"{FORMAT_VERSION}: {REMEDY}"
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
    if member.file_size > (_MOST_LISTED_BYTES if len(shape) < 2 else _MOST_BYTES):
        raise ValueError(f"{name} unpacks to {member.file_size:,} bytes")
    with stored.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} is in version {version} of the format")
        found, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        is_wide = kind == "u" and dtype.itemsize > np.dtype(np.uint32).itemsize
        if dtype.kind != kind or is_wide or is_fortran or len(found) != len(shape):
            raise ValueError(f"{name} is {dtype} {found}")
        if any(expected not in (None, size) for size, expected in zip(found, shape, strict=True)):
            raise ValueError(f"{name} is {dtype} {found}, expected {shape}")
        size = math.prod(found) * dtype.itemsize
        content = file.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} has {len(content):,} bytes, expected {size:,}")
    return np.frombuffer(content, dtype).reshape(found)

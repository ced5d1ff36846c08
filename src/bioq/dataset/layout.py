"""The layout of a data set folder: its description, `dataset.json` and the array headers."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError
from bioq.files import FolderKind, read_json, sha256
from bioq.files.inside import kept_file
from bioq.files.near import near_path
from bioq.files.streams import input_name, stored
from bioq.files.typed import Line
from bioq.options import AtLeastOne, AtLeastZero, TargetCount, WindowBp, found, whole_number

FORMAT = "bioq-dataset"
FORMAT_VERSION = 1
SPLITS = ("train", "valid", "test")
METADATA = "dataset.json"
REMEDY = "copy or build the data set again"
TARGETS = "targets.tsv"
SIMULATION = "simulation"
"""The folder of a simulated data set that has its genome, its peaks and the truth."""
FOLDER_KIND = FolderKind(METADATA, (TARGETS, *SPLITS, "fold-*", SIMULATION))


@dataclass(frozen=True)
class Source:
    """A file that a data set was made from."""

    name: str
    """File name without its folder: the same input gives the same bytes from any folder."""
    sha256: str
    bytes: AtLeastZero

    @classmethod
    def of(cls, path: Path) -> "Source":
        """Describe a file, reading it once for its checksum."""
        path = Path(path)
        file = stored(path)
        return cls(input_name(path), sha256(file), file.stat().st_size)


@dataclass(frozen=True)
class Description:
    """Description of a data set: the part of `dataset.json` that the builder decides."""

    made_by: str
    """The command that made it: `deepsea`, `peaks` or `simulate`."""
    window_bp: WindowBp
    bin_bp: WindowBp
    label_rule: str
    """`half`, `midpoint` or `any`."""
    contigs: tuple[str, ...] = ()
    """Names of the contigs that `bins.npy` numbers; empty without coordinates."""
    sources: tuple[Source, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """The builder's remaining options, as JSON values."""
    contig_bp: tuple[AtLeastZero, ...] = ()
    """Bases of each of `contigs`; empty if they are not known. Absent in data sets written before
    2026-11-28."""
    contig_bins: tuple[AtLeastZero, ...] = ()
    """Bins of each of `contigs` that may be windows, stored here or not: those that overlap no
    excluded region and have a known base in their window. Empty if they are not known; absent in
    data sets written before 2026-11-30."""
    folds: Mapping[str, AtLeastOne] = field(default_factory=dict)
    """Contig -> the fold of its windows, from 1; empty for a data set with splits."""

    @property
    def contig_lengths(self) -> dict[str, int]:
        """Contig -> bases, by which the genome is known; empty if they are not known."""
        return dict(zip(self.contigs, self.contig_bp, strict=True)) if self.contig_bp else {}

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `dataset.json`, without lengths and bins that are not known, and
        without the folds of a data set with splits."""
        entry = asdict(self)
        for optional in ("contig_bp", "contig_bins", "folds"):
            if not entry[optional]:
                del entry[optional]
        return entry


@dataclass(frozen=True)
class SplitMetadata:
    """The entry of a split in `dataset.json`."""

    windows: AtLeastZero
    """Windows stored."""
    masked_windows: AtLeastZero
    """Windows with unknown bases."""
    strands_folded: bool
    """Whether the source had every window on both strands and only the first is stored."""
    has_coordinates: bool
    """Whether the split has `bins.npy`."""
    all_bins: AtLeastZero | None = None
    """Bins of the split's contigs that may be windows, stored here or not (the sum of
    `contig_bins`); None, and absent, if it is not known."""

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `dataset.json`, without what is not known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class FileEntry(TypedDict):
    """The entry of a file in `dataset.json`."""

    sha256: str
    bytes: AtLeastZero


class Metadata(TypedDict):
    """The content of `dataset.json`."""

    description: Description
    targets: TargetCount
    splits: Mapping[str, SplitMetadata]
    """Split -> its entry."""
    files: Mapping[str, FileEntry]
    """Path in the folder -> its entry."""
    fingerprint: Line


def pack_labels(labels: npt.NDArray[Any]) -> dna.Bytes:
    """Pack labels to bits.

    Args:
        labels: 0 and 1, of any number type, `(n, targets)`.

    Returns:
        uint8 `(n, ceil(targets / 8))`.

    Raises:
        BioqError: For another shape, and for a label that is not 0 or 1.
    """
    array = dna.as_array(labels)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise BioqError(f"labels {found(labels)}; expected an array (n, targets) of 0 and 1")
    if array.dtype != bool and not ((array == 0) | (array == 1)).all():
        value = array[(array != 0) & (array != 1)].flat[0]
        raise BioqError(f"labels hold {value:g}; expected 0 or 1")
    return np.packbits(array.astype(bool, copy=False), axis=1, bitorder="little")


def unpack_labels(packed: dna.Bytes, targets: int) -> dna.Bytes:
    """Return the labels of a result of `pack_labels`.

    Args:
        packed: uint8 `(n, ceil(targets / 8))`.
        targets: Number of targets.

    Returns:
        0 and 1, uint8 `(n, targets)`.

    Raises:
        BioqError: For an array that is not a result of `pack_labels` for this number of targets.
    """
    targets = whole_number("targets", targets, least=0)
    dna.require_packed("packed", packed, -(-targets // 8))
    return np.unpackbits(packed, axis=1, count=targets, bitorder="little")


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the .npy header, version 1.0, as NumPy writes it.

    Its size does not depend on the number of rows: NumPy pads the header so that the first axis can
    grow.
    """
    file = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def read_metadata(path: Path) -> Any:
    """Read `dataset.json` of a data set folder.

    Raises BioqError if there is none, it is damaged, or it has another format version.
    """
    file = path / METADATA
    expected = "expected a data set made by 'bioq data ...'"
    if path.is_file():
        raise BioqError(f"{path}: is a file, not a folder; {expected}")
    if not path.is_dir():
        raise BioqError(f"{path}: no such folder; {near_path(path)}{expected}")
    if kept_file(path, METADATA) is None:
        has = " but a config.json, as a run does" if (path / "config.json").exists() else ""
        raise BioqError(f"{path}: holds no {METADATA}{has}; {expected}")
    meta = read_json(
        file,
        what="a data set's metadata",
        kind=FORMAT,
        version=FORMAT_VERSION,
        remedy=REMEDY,
        shape=Metadata,
    )
    if meta.get("fingerprint") != fingerprint(meta):
        raise BioqError(
            f"{file}: was changed after it was written (its fingerprint does not match); "
            "copy or build the data set again"
        )
    return meta


def as_text(meta: Mapping[str, Any]) -> str:
    """Return the text of `dataset.json`."""
    return json.dumps(meta, indent=2) + "\n"


def fingerprint(meta: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the metadata without its fingerprint, as canonical JSON."""
    content = {key: value for key, value in meta.items() if key != "fingerprint"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()

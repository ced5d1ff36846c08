"""Tables of variants in the two formats that exist only for variants: VCF and DeepSEA's files."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
import pandas as pd

from bioq import __version__
from bioq.dataset.targets import NAME
from bioq.files import locked, new_file
from bioq.tables import Columns, Layout, Scores, named_errors
from bioq.tables.text import BgzipFile, join_scores
from bioq.variants.columns import is_scored
from bioq.variants.outputs.info import (
    ENCODED,
    InfoType,
    about,
    field_keys,
    info_line,
    quoted,
    type_of,
)
from bioq.variants.scores import MEANING

DEEPSEA_SCORES: Mapping[str, str] = {
    "ref": "ref",
    "alt": "alt",
    "diff": "diff",
    "log2_odds_ratio": "logfoldchange",
    "evalue": "evalue",
}
"""Score -> ending of its file in DeepSEA: NAME.out.logfoldchange (3_h5ToOutput.py)."""

_DEEPSEA_COLUMNS = {"chrom": "chr", "pos": "pos", "id": "name", "ref": "ref", "alt": "alt"}


class Rows(Protocol):
    """An output of rows: a table of `tables`, a VCF, or the files of DeepSEA."""

    def write(self, columns: Columns, scores: Scores) -> None: ...


def is_vcf(path: Path) -> bool:
    """Return whether a file name ends as a VCF does."""
    return path.name.lower().endswith((".vcf", ".vcf.gz"))


@contextlib.contextmanager
def open_vcf(path: Path, layout: Layout, contigs: Mapping[str, int | None]) -> Iterator[Rows]:
    """Yield rows that become a VCF (bgzip if its name ends in .gz), one line per allele.

    Every score is an INFO field with one value per target, in the order of the BIOQ_TARGET header
    lines. `contigs` are the contigs of the header and their lengths, None if unknown.
    """
    with new_file(path) as partial, named_errors(path):
        is_packed = path.name.lower().endswith(".gz")
        file: Any = BgzipFile(partial) if is_packed else open(partial, "wb")  # noqa: SIM115
        with contextlib.closing(file):
            file.write(_vcf_header(layout, contigs).encode())
            yield _VcfRows(file, layout)


class _VcfRows:
    def __init__(self, file: Any, layout: Layout):
        self._file = file
        columns = _info_columns(layout)
        self._types = {name: type_of(layout, name) for name in columns}
        names = [*columns, *layout.scores]
        self._keys = dict(zip(names, field_keys(names), strict=True))

    def write(self, columns: Columns, scores: Scores) -> None:
        fields = [
            self._fields(name, _texts(columns[name], kind)) for name, kind in self._types.items()
        ]
        scored = is_scored(columns).tolist()
        for name, each in scores.items():
            lists = zip(join_scores(each, ",", ".").to_pylist(), scored, strict=True)
            texts = [text if has_scores else "" for text, has_scores in lists]
            fields.append(self._fields(name, texts))
        fixed = zip(*(columns[name] for name in _DEEPSEA_COLUMNS), strict=True)
        lines = (
            "\t".join([*map(str, allele), ".", ".", ";".join(filter(None, info))]) + "\n"
            for allele, info in zip(fixed, zip(*fields, strict=True), strict=True)
        )
        self._file.write("".join(lines).encode())

    def _fields(self, name: str, texts: Sequence[str]) -> list[str]:
        """Return a field of INFO for each allele; "" for an allele without a value."""
        return [text and f"{self._keys[name]}={text}" for text in texts]


def _info_columns(layout: Layout) -> list[str]:
    """Return the columns of a table that are fields of INFO."""
    return [name for name in layout.columns if name not in _DEEPSEA_COLUMNS]


def _texts(values: npt.NDArray[Any], kind: InfoType) -> list[str]:
    """Return the value of a field of INFO for each allele; "" where the allele has none."""
    if kind == "String":
        return [str(value).translate(ENCODED) for value in values]
    form = "{:.0f}" if kind == "Integer" else "{:.6g}"
    return ["" if value != value else form.format(value) for value in values.tolist()]


def _vcf_header(layout: Layout, contigs: Mapping[str, int | None]) -> str:
    lines = ["##fileformat=VCFv4.3", f"##source=BioQ {__version__}"]
    for name, length in {name.strip("<>"): bp for name, bp in contigs.items()}.items():
        lines.append(f"##contig=<ID={name}{'' if length is None else f',length={length}'}>")
    columns = _info_columns(layout)
    keys = field_keys([*columns, *layout.scores])
    for key, name in zip(keys, columns, strict=False):
        lines.append(info_line(key, 1, type_of(layout, name), about(name)))
    for key, name in zip(keys[len(columns) :], layout.scores, strict=True):
        text = f"{MEANING[name]}; one value per target, see BIOQ_TARGET"
        lines.append(info_line(key, len(layout.targets), "Float", text))
    lines += [
        f"##BIOQ_TARGET=<ID=T{index},Description={quoted(name)}>"
        for index, name in enumerate(layout.targets[NAME])
    ]
    return "\n".join([*lines, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO", ""])


def deepsea_files(path: Path, scores: tuple[str, ...]) -> dict[str, Path]:
    """Return the file of each score in DeepSEA's format, for example PATH.out.diff."""
    return {
        name: path.with_name(f"{path.name}.out.{ending}")
        for name, ending in DEEPSEA_SCORES.items()
        if name in scores
    }


@contextlib.contextmanager
def open_deepsea(path: Path, layout: Layout) -> Iterator[Rows]:
    """Yield rows that become the files of DeepSEA: comma-separated, `%.4e`, numbered from 0.

    Columns chr, pos, name, ref, alt and one per target, as DeepSEA 0.94 writes them. Alleles that
    were not scored, which DeepSEA leaves out, have a row with empty fields.
    """
    stacks = contextlib.ExitStack(), contextlib.ExitStack(), contextlib.ExitStack()
    with stacks[0] as together, stacks[1] as put_in_place, stacks[2] as written:
        files = {}
        for name, file in deepsea_files(path, layout.scores).items():
            partial = put_in_place.enter_context(new_file(file))
            opened = open(partial, "w", encoding="utf-8", newline="")  # noqa: SIM115
            files[name] = written.enter_context(opened)
        yield _DeepSeaRows(files, layout)
        written.close()
        # If two processes write the same files, only one of them renames its files at a time.
        together.enter_context(locked(path.parent))


class _DeepSeaRows:
    def __init__(self, files: Mapping[str, Any], layout: Layout):
        self._files = files
        self._targets = list(layout.targets[NAME])
        self._rows = 0
        header = pd.DataFrame(columns=[*_DEEPSEA_COLUMNS.values(), *self._targets])
        for file in files.values():
            header.to_csv(file, lineterminator="\n")

    def write(self, columns: Columns, scores: Scores) -> None:
        rows = len(columns["chrom"])
        index = pd.RangeIndex(self._rows, self._rows + rows)
        alleles = pd.DataFrame({new: columns[old] for old, new in _DEEPSEA_COLUMNS.items()})
        for name, file in self._files.items():
            values = pd.DataFrame(scores[name], columns=self._targets)
            frame = pd.concat([alleles, values], axis=1).set_index(index)
            frame.to_csv(file, header=False, float_format="%.4e", lineterminator="\n")
        self._rows += rows

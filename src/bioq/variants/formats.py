"""Tables of variants in the two formats that exist only for variants: VCF and DeepSEA's files."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import __version__
from bioq.dataset.targets import NAME
from bioq.files import locked, new_file
from bioq.genome.alleles import STATUSES
from bioq.tables import Columns, Layout, Scores, named_errors
from bioq.tables.text import BgzipFile, join_scores
from bioq.variants.columns import (
    BACKGROUND_N,
    COLUMN_MEANING,
    RANK_MEANING,
    RANK_SCORE,
    SCORE_PHRED,
    TOP_DIFF,
    TOP_TARGET,
    group_columns,
    groups_in,
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
_INFO = {
    "status": ("String", "What became of this allele: " + ", ".join(STATUSES)),
    "genome_ref": ("String", "What the genome has in place of REF, where that is something else"),
    "max_abs_diff": ("Float", "Largest absolute diff of the chosen targets"),
    "mean_abs_diff": ("Float", "Mean absolute diff of the chosen targets"),
    TOP_TARGET: ("String", f"{COLUMN_MEANING[TOP_TARGET]}, percent-encoded"),
    TOP_DIFF: ("Float", COLUMN_MEANING[TOP_DIFF]),
    SCORE_PHRED: ("Float", COLUMN_MEANING[SCORE_PHRED]),
    BACKGROUND_N: ("Integer", COLUMN_MEANING[BACKGROUND_N]),
    RANK_SCORE: ("Float", RANK_MEANING),
}
"""The fields of columns, those that a table has."""
_GROUP_INFO = {
    "group_phred": ("Float", f"{SCORE_PHRED} of the targets of a group alone"),
    "group_top_target": ("String", f"{TOP_TARGET} of the targets of a group, percent-encoded"),
}
"""The fields of groups of targets, in the order of `group_columns`."""
# Characters to percent-encode in a value of INFO: those of VCF 4.3, section 1.2, and blanks.
ENCODED = str.maketrans({letter: f"%{ord(letter):02X}" for letter in "%:;=, \t\r\n"})


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
        self._groups = [group_columns(group) for group in groups_in(layout.columns)]

    def write(self, columns: Columns, scores: Scores) -> None:
        known = {name: kind for name, (kind, _) in _INFO.items() if name in columns}
        fields = [_fields(name, _texts(columns[name], kind)) for name, kind in known.items()]
        for index, (name, (kind, _)) in enumerate(_GROUP_INFO.items()):
            of_groups = [_texts(columns[group[index]], kind) for group in self._groups]
            fields.append(_fields(name, [_joined(each) for each in zip(*of_groups, strict=True)]))
        scored = np.isfinite(columns["max_abs_diff"]).tolist()
        for name, each in scores.items():
            lists = zip(join_scores(each, ",", ".").to_pylist(), scored, strict=True)
            fields.append(_fields(name, [text if is_scored else "" for text, is_scored in lists]))
        fixed = zip(*(columns[name] for name in _DEEPSEA_COLUMNS), strict=True)
        info = zip(*filter(None, fields), strict=True)
        lines = (
            "\t".join([*map(str, allele), ".", ".", ";".join(filter(None, about))]) + "\n"
            for allele, about in zip(fixed, info, strict=True)
        )
        self._file.write("".join(lines).encode())


def _texts(values: npt.NDArray[Any], kind: str) -> list[str]:
    """Return the value of a field of INFO for each allele; "" where the allele has none."""
    if kind == "String":
        return [str(value).translate(ENCODED) for value in values]
    form = "{:.0f}" if kind == "Integer" else "{:.6g}"
    return ["" if value != value else form.format(value) for value in values.tolist()]


def _joined(values: Sequence[str]) -> str:
    """Return the values of a field that has several; "" if all are missing."""
    return ",".join(value or "." for value in values) if any(values) else ""


def _fields(name: str, texts: Sequence[str]) -> list[str]:
    """Return a field of INFO for each allele; "" for an allele without a value."""
    return [text and f"BIOQ_{name.upper()}={text}" for text in texts]


def _vcf_header(layout: Layout, contigs: Mapping[str, int | None]) -> str:
    lines = ["##fileformat=VCFv4.3", f"##source=BioQ {__version__}"]
    for name, length in {name.strip("<>"): bp for name, bp in contigs.items()}.items():
        lines.append(f"##contig=<ID={name}{'' if length is None else f',length={length}'}>")
    for name, (kind, text) in _INFO.items():
        if name not in layout.columns:
            continue
        lines.append(f'##INFO=<ID=BIOQ_{name.upper()},Number=1,Type={kind},Description="{text}">')
    groups = groups_in(layout.columns)
    for name, (kind, text) in _GROUP_INFO.items() if groups else ():
        lines.append(
            f"##INFO=<ID=BIOQ_{name.upper()},Number={len(groups)},Type={kind},"
            f'Description="{text}; one value per group, see BIOQ_GROUP">'
        )
    number = len(layout.targets)
    for name in layout.scores:
        text = MEANING[name]
        lines.append(
            f"##INFO=<ID=BIOQ_{name.upper()},Number={number},Type=Float,"
            f'Description="{text}; one value a target, see BIOQ_TARGET">'
        )
    lines += [
        _named("TARGET", f"T{index}", name) for index, name in enumerate(layout.targets[NAME])
    ]
    lines += [_named("GROUP", f"G{index}", name) for index, name in enumerate(groups)]
    return "\n".join([*lines, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO", ""])


def _named(kind: str, number: str, name: str) -> str:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'##BIOQ_{kind}=<ID={number},Description="{quoted}">'


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

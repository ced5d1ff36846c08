"""Results: predictions of windows, effects of substitutions and scores of alleles, each of which
can be written as a file."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq.errors import BioqError
from bioq.inputs import Loci, WindowBatch
from bioq.interpretation import Explanation
from bioq.interpretation.explanation import contributions
from bioq.interpretation.outputs.arrays_and_tables import (
    AttributionValues,
    Content,
    MutagenesisValues,
    open_writer,
)
from bioq.interpretation.sites import Site
from bioq.tables import Kind, Layout, open_table
from bioq.variants import COLUMNS, SCORES

Floats = npt.NDArray[np.float32]
PROBABILITY = "probability"
ROWS = 256
"""Rows of a table per write."""
Stops = Callable[[], bool]
"""Returns whether the server is stopping, so that long work ends."""


def _goes_on() -> bool:
    return False


@dataclass(frozen=True)
class Predictions:
    """Windows and their probabilities."""

    windows: WindowBatch
    columns: Mapping[str, Kind]
    """Kind of each of the windows' columns."""
    probability: Floats
    """`(windows, targets)`."""

    def title(self, number: int) -> str:
        """Return the title of a window: sequence or contig, and its position counted from 1."""
        columns = self.windows.columns
        name = columns["sequence" if "sequence" in columns else "chrom"][number]
        return f"{name}:{columns['start'][number] + 1:,}-{columns['end'][number]:,}"

    def write(self, out: Path, targets: pd.DataFrame, metadata: Mapping[str, Any]) -> None:
        """Write one row per window."""
        layout = Layout(self.columns, targets, (PROBABILITY,), metadata, marks_formulas=True)
        with open_table(out, layout) as table:
            table.write(self.windows.columns, {PROBABILITY: self.probability})


@dataclass(frozen=True)
class Mutagenesis:
    """The effects of every substitution in a window on one target."""

    title: str
    target: str
    explanation: Explanation
    columns: Mapping[str, Literal["text", "integer", "number"]]

    def write(self, out: Path, targets: pd.DataFrame, metadata: Mapping[str, Any]) -> None:
        """Write one row per substitution."""
        _write_explained(self, [self.explanation], MutagenesisValues(), out, targets, metadata)


@dataclass(eq=False)
class Contributions:
    """The contribution of each base of a window, or of a variant's two, to a target's logit."""

    title: str
    target: str
    explanations: Sequence[Explanation]
    """One; of a variant two, with REF and with ALT."""
    columns: Mapping[str, Literal["text", "integer", "number"]]
    sites: Sequence[Sequence[Site]] | None = None
    """The sites of each explanation, whose positions count from its first base; None until they
    are searched."""
    note: str = ""
    """Why sites have no motif names; empty if they have."""

    def name(self, number: int) -> str:
        """Return the allele of an explanation; empty if it is not of a variant."""
        columns = self.explanations[number].locus.columns
        return str(columns["name"]) if len(self.explanations) > 1 else ""

    def sites_of(self, number: int) -> Sequence[Site]:
        """Return the sites of an explanation; none until they are searched."""
        return [] if self.sites is None else self.sites[number]

    def heights(self, number: int) -> Floats:
        """Return the contributions of the bases of an explanation: `(bases,)`."""
        explanation = self.explanations[number]
        return contributions(explanation.locus.bases, explanation.values)[:, 0]

    def write(self, out: Path, targets: pd.DataFrame, metadata: Mapping[str, Any]) -> None:
        """Write one row per base."""
        _write_explained(self, self.explanations, AttributionValues(), out, targets, metadata)


def _write_explained(
    result: Mutagenesis | Contributions,
    explanations: Sequence[Explanation],
    content: Content,
    out: Path,
    targets: pd.DataFrame,
    metadata: Mapping[str, Any],
) -> None:
    loci_of = [explanation.locus for explanation in explanations]
    loci = Loci(
        result.title,
        result.columns,
        len(loci_of),
        lambda: iter(loci_of),
        has_insertions=len(loci_of) > 1,
    )
    chosen = targets[targets["name"] == result.target].reset_index(drop=True)
    with open_writer(
        out,
        content,
        loci,
        chosen,
        span_bp=max(len(locus.position) for locus in loci_of),
        metadata=metadata,
        marks_formulas=True,
    ) as writer:
        for explanation in explanations:
            writer.write(explanation)


class Alleles:
    """The alleles of a job and their scores; the scores are in files of the job's folder."""

    def __init__(
        self,
        folder: Path,
        targets: int,
        *,
        score_names: Sequence[str] = tuple(SCORES),
        score_swapped: bool = False,
        stops: Stops = _goes_on,
    ):
        self.columns: dict[str, npt.NDArray[Any]] = {}
        """`variants.COLUMNS`, each `(alleles,)`."""
        self.score_names = tuple(score_names)
        """Names of the scores; of an ensemble also those of its members' spread."""
        self.score_swapped = score_swapped
        """Whether alleles were scored where the genome has ALT; see `VariantOptions`."""
        self.notes: tuple[str, ...] = ()
        """What does not fit between model, genome and VCF, one line each."""
        self._folder = folder
        self._targets = targets
        self._stops = stops
        self._blocks: list[Mapping[str, npt.NDArray[Any]]] = []

    @contextlib.contextmanager
    def filling(self) -> Iterator["Alleles"]:
        """Accept blocks through `add` inside the context; complete when the context ends."""
        with contextlib.ExitStack() as stack:
            self._files = {
                name: stack.enter_context(open(self._folder / f"{name}.float32", "wb"))
                for name in self.score_names
            }
            yield self
        self.columns = {
            name: np.concatenate([block[name] for block in self._blocks]) for name in COLUMNS
        }
        self._blocks.clear()

    def add(self, columns: Mapping[str, npt.NDArray[Any]], scores: Mapping[str, Floats]) -> None:
        """Append a block of alleles."""
        self._blocks.append(columns)
        for name, file in self._files.items():
            file.write(np.ascontiguousarray(scores[name], dtype=np.float32).data)

    def __len__(self) -> int:
        return len(self.columns["chrom"])

    def scores(self, rows: slice) -> dict[str, Floats]:
        """Return every score of the alleles `rows`: name -> `(rows, targets)`."""
        shape = (len(self), self._targets)
        return {
            name: np.array(
                np.memmap(self._folder / f"{name}.float32", np.float32, "r", shape=shape)[rows]
            )
            for name in self.score_names
        }

    def write(self, out: Path, targets: pd.DataFrame, metadata: Mapping[str, Any]) -> None:
        """Write one row per allele, with every score of every target.

        Raises BioqError when the server stops: a large table takes a minute.
        """
        options = {"score_swapped": self.score_swapped}
        metadata = {**metadata, "options": options}
        layout = Layout(COLUMNS, targets, self.score_names, metadata, marks_formulas=True)
        with open_table(out, layout) as table:
            for start in range(0, len(self), ROWS):
                if self._stops():
                    raise BioqError("the server is stopping")
                rows = slice(start, start + ROWS)
                table.write(
                    {name: values[rows] for name, values in self.columns.items()},
                    self.scores(rows),
                )

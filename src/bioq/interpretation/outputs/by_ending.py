"""The outputs of an explanation by the endings of their names: checked, then opened together."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bioq.errors import UsageError
from bioq.files import FolderKind, locked, real, require_absent
from bioq.genome import ContigNames
from bioq.inputs import Loci
from bioq.interpretation.outputs.arrays_and_tables import (
    ARRAYS,
    TABLES,
    Content,
    ExplanationWriter,
    open_writer,
)
from bioq.tables import refuse_ending


@dataclass(frozen=True)
class ExplainedInput:
    """The windows that are explained, before the first of them."""

    loci: Loci
    targets: pd.DataFrame
    span_bp: int
    contigs: ContigNames | None
    """The contigs of the genome; None for sequences."""
    metadata: dict[str, Any]
    force: bool
    """Replace files that exist."""

    @property
    def is_variant(self) -> bool:
        """Whether it has two windows of the same positions, with REF and with ALT."""
        return self.loci.has_insertions


@dataclass(frozen=True)
class Output:
    """An output that not every explanation has."""

    ending: str
    open: Callable[[Path, ExplainedInput], AbstractContextManager[ExplanationWriter]]
    """Checks all that could fail later, then yields a writer; the output is complete when the block
    ends."""
    folder: FolderKind | None = None
    """What is in it, if it is a folder."""
    files: Callable[[Path, Sequence[str]], list[Path]] | None = None
    """The files that it has, from its name and the names of the targets, if it has several."""


def check_outputs(outs: Sequence[Path], more: Sequence[Output], *, force: bool) -> None:
    """Raise UsageError for two outputs of one name or a name that ends like no output, and
    BioqError for one that exists, unless `force` is given."""
    for number, out in enumerate(outs):
        if out in outs[:number]:
            raise UsageError(f"{out}: is given twice")
        other = _output_of(out, more)
        if other is None and not out.name.lower().endswith((*ARRAYS, *TABLES)):
            endings = (*ARRAYS, *TABLES, *(output.ending for output in more))
            refuse_ending(out, endings, ", or .png, .svg for a figure")
        folder = other.folder if other else None
        if folder is not None:
            require_absent(out, replaces=folder if force else None)
        else:
            require_absent(out, force=force)


@contextlib.contextmanager
def open_outputs(
    outs: Sequence[Path], content: Content, more: Sequence[Output], explained: ExplainedInput
) -> Iterator[list[ExplanationWriter]]:
    """Yield a writer for each output; they are complete when the block ends.

    Of two processes that write the same outputs, all are those of one.
    """
    with contextlib.ExitStack() as together, contextlib.ExitStack() as stack:
        writers = []
        for out in outs:
            other = _output_of(out, more)
            opened = (
                other.open(out, explained)
                if other
                else open_writer(
                    out,
                    content,
                    explained.loci,
                    explained.targets,
                    span_bp=explained.span_bp,
                    metadata=explained.metadata,
                )
            )
            writers.append(stack.enter_context(opened))
        yield writers
        for folder in sorted({real(out.parent) for out in outs}):  # all processes in one order
            together.enter_context(locked(folder))


def files_of_output(out: Path, more: Sequence[Output], names: Sequence[str]) -> list[Path]:
    """Return the files of an output, or its folder; `names` are those of the targets."""
    other = _output_of(out, more)
    return [out] if other is None or other.files is None else other.files(out, names)


def _output_of(out: Path, more: Sequence[Output]) -> Output | None:
    return next((each for each in more if out.name.lower().endswith(each.ending)), None)

"""The index of a bgzip output, by which tools find the rows of a region."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bioq.files import locked, temporary_name
from bioq.genome.vcf_index import FileKind, Order, index_files, write_index
from bioq.progress import say
from bioq.tables import Columns, Scores
from bioq.variants.outputs.formats import Rows

_KINDS: Mapping[str, FileKind] = {".tsv.gz": "table", ".vcf.gz": "vcf", ".bcf": "bcf"}


def possible_indexes(out: Path) -> list[Path]:
    """Return the files that the index of an output may be in; none if it is not bgzip."""
    return [] if _kind(out) is None else index_files(out)


@contextlib.contextmanager
def with_index(
    out: Path,
    opened: contextlib.AbstractContextManager[Rows],
    contigs: Mapping[str, int | None],
    *,
    is_wanted: bool,
) -> Iterator[Rows]:
    """Yield the rows of an output; afterwards write its index beside it, if one is wanted and the
    output is bgzip. The index of a file that is replaced is always removed.

    `contigs` are those of the rows, with lengths. If the rows are not sorted, there is no index,
    and a line on stderr gives the reason. If two processes write the same output, the index is that
    of the output.
    """
    order = Order(last=max((bp or 0 for bp in contigs.values()), default=0))
    kind = _kind(out)
    old: dict[Path, Path] = {}
    with contextlib.ExitStack() as together:
        try:
            with opened as rows:
                yield _Ordered(rows, order) if is_wanted else rows
                if kind is None:
                    return
                together.enter_context(locked(out.parent))
                old = _set_aside(index_files(out))
        except BaseException:  # the file that would be replaced is kept, and so is its index
            for aside, index in old.items():
                aside.replace(index)
            raise
        for aside in old:
            aside.unlink()
        if not is_wanted or write_index(out, order, kind=kind):
            return
        reason = "htslib cannot index its records"
        if not order.is_sorted:
            reason = (
                f"its records are not sorted; 'bcftools sort -o SORTED.vcf.gz {out}' sorts them"
            )
        say(f"note: {out} has no index: {reason}")


def _set_aside(indexes: list[Path]) -> dict[Path, Path]:
    """Give the indexes that exist other names; return {new name: old name}."""
    found = {temporary_name(index): index for index in indexes if index.exists()}
    for aside, index in found.items():
        index.replace(aside)
    return found


class _Ordered:
    """Rows whose order is noted."""

    def __init__(self, rows: Rows, order: Order):
        self._rows = rows
        self._order = order

    def write(self, columns: Columns, scores: Scores) -> None:
        for contig, position in zip(columns["chrom"], columns["pos"].tolist(), strict=True):
            self._order.add(contig, position)
        self._rows.write(columns, scores)


def _kind(out: Path) -> FileKind | None:
    name = out.name.lower()
    return next((kind for ending, kind in _KINDS.items() if name.endswith(ending)), None)

"""The index of a bgzip table whose rows are in the order of the genome, as tabix reads it."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bioq.files import locked
from bioq.genome.vcf_index import FileKind, Order, index_files, write_index
from bioq.progress import say
from bioq.variants.formats import Rows

_KINDS: Mapping[str, FileKind] = {".tsv.gz": "table", ".vcf.gz": "vcf"}


def may_have_index(out: Path) -> bool:
    """Return whether an output is bgzip, which can have an index."""
    return out.name.lower().endswith(tuple(_KINDS))


@contextlib.contextmanager
def with_index(
    out: Path, opened: contextlib.AbstractContextManager[Rows], contigs: Mapping[str, int | None]
) -> Iterator[Rows]:
    """Yield the rows of an output; afterwards write its index beside it, if it is bgzip.

    The rows are sorted. `contigs` are their contigs, with lengths. If two processes write the same
    output, the index is that of the table.
    """
    if not may_have_index(out):
        with opened as rows:
            yield rows
        return
    with contextlib.ExitStack() as together:
        with opened as rows:
            yield rows
            together.enter_context(locked(out.parent))
        _write_index(out, contigs)


def _write_index(out: Path, contigs: Mapping[str, int | None]) -> None:
    kind = next(kind for ending, kind in _KINDS.items() if out.name.lower().endswith(ending))
    order = Order(last=max((bp or 0 for bp in contigs.values()), default=0))
    for index in index_files(out):  # of the file that is replaced
        index.unlink(missing_ok=True)
    if not write_index(out, order, kind=kind):
        say(f"note: {out} has no index: htslib cannot index it")

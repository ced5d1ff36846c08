"""The index of a bgzip table whose rows are in the order of the genome, as tabix reads it."""

from collections.abc import Mapping
from pathlib import Path

from bioq.genome.vcf_index import FileKind, Order, index_files, write_index
from bioq.progress import say

_KINDS: Mapping[str, FileKind] = {".tsv.gz": "table", ".vcf.gz": "vcf"}


def may_have_index(out: Path) -> bool:
    """Return whether an output is bgzip, which can have an index."""
    return out.name.lower().endswith(tuple(_KINDS))


def index_table(out: Path, contigs: Mapping[str, int | None]) -> None:
    """Write the index of a table beside it; nothing for a file that is not bgzip.

    Its rows are sorted. `contigs` are their contigs, with lengths.
    """
    if not may_have_index(out):
        return
    kind = next(kind for ending, kind in _KINDS.items() if out.name.lower().endswith(ending))
    order = Order(last=max((bp or 0 for bp in contigs.values()), default=0))
    for index in index_files(out):  # of the file that is replaced
        index.unlink(missing_ok=True)
    if not write_index(out, order, kind=kind):
        say(f"note: {out} has no index: htslib cannot index it")

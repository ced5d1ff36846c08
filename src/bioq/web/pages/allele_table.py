"""Choose and sort the alleles that a page lists; on the server, because there may be thousands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bioq.errors import short
from bioq.genome.notation import VariantText
from bioq.variants.order import Numbers, ranking
from bioq.web.answers import Alleles
from bioq.web.request import typed_number

Columns = Mapping[str, npt.NDArray[Any]]
SORTS = ("rank", "change", "number", "position", "status", "target")
_MOST_FIND = 100
_MOST_PAGE = 10**9


@dataclass(frozen=True)
class Filter:
    """The rows and the order given in the page's address; unknown values are ignored."""

    sort: str = "rank"
    """One of `SORTS`: by rank, change, input order, position, status or top target."""
    up: bool = True
    """Smallest first: the first rank, the smallest change."""
    status: str = ""
    """Only alleles of this status."""
    find: str = ""
    """Only alleles whose text contains this."""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read the query of an address."""
        sort, page = query.get("sort", ""), query.get("page", "")
        sort = sort if sort in SORTS else "rank"
        return cls(
            sort=sort,
            up={"0": False, "1": True}.get(query.get("up", ""), sort != "change"),
            status=query.get("status", ""),
            find=query.get("find", "").strip()[:_MOST_FIND],
            page=typed_number(page, _MOST_PAGE) or 1,
        )

    @property
    def query(self) -> dict[str, str | int]:
        """The query of an address, without the page number."""
        return {"sort": self.sort, "up": int(self.up), "status": self.status, "find": self.find}


def chosen_rows(alleles: Alleles, chosen: Filter) -> list[int]:
    """Return the listed alleles, sorted; alleles without scores come last in ranks and changes."""
    columns = alleles.columns
    rows = [
        number
        for number in range(len(alleles))
        if (not chosen.status or columns["status"][number] == chosen.status)
        and (not chosen.find or chosen.find.lower() in _text(columns, number))
    ]
    change = np.nan_to_num(np.abs(columns["top_diff"]), nan=-1.0)
    place = places(columns)
    contigs = {name: number for number, name in enumerate(dict.fromkeys(columns["chrom"]))}
    keys = {
        "rank": lambda number: place[number],
        "number": lambda number: number,
        "change": lambda number: change[number],
        "position": lambda number: (contigs[columns["chrom"][number]], columns["pos"][number]),
        "status": lambda number: columns["status"][number],
        "target": lambda number: columns["top_target"][number],
    }
    rows.sort(key=keys[chosen.sort], reverse=not chosen.up)
    if chosen.sort in ("rank", "change", "target"):
        rows.sort(key=lambda number: bool(change[number] < 0))
    return rows


def places(columns: Columns) -> Numbers:
    """Return the place of each allele in the ranking of all (`variants.order`), from 1."""
    place = np.empty(len(columns["chrom"]), dtype=np.int64)
    place[ranking(columns)] = np.arange(1, len(place) + 1)
    return place


def title_of(columns: Columns, number: int, most: int) -> str:
    """Return an allele as CONTIG:POS:REF>ALT, shortened to about `most` letters."""
    part = most // 4
    chrom = short(str(columns["chrom"][number]), 2 * part)
    ref, alt = (short(str(columns[name][number]), part) for name in ("ref", "alt"))
    return str(VariantText(chrom, str(columns["pos"][number]), ".", ref, alt))


def _text(columns: Columns, number: int) -> str:
    names = ("chrom", "pos", "id", "ref", "alt")
    variant = VariantText(*(str(columns[name][number]) for name in names))
    return f"{variant} {variant.id} {columns['top_target'][number]}".lower()

"""Lines of BED in which two lines are joined, where a file had no line end after its last line.

`cat a.bed b.bed` writes `chr1 1000 1200 p1chr1 2000 2200 p2` in one line if the last line of a.bed
has no line end. The second interval would be columns of the first one, which readers skip.
"""

import re

from bioq.errors import BioqError

_SHORTEST = 3
_MOST_SHOWN = 60
_MOST_FORMS = 100
_CHR = re.compile(r"chr[0-9A-Za-z][\w.*:-]*", re.IGNORECASE)
_BARE = re.compile(r"[1-9][0-9]?|X|Y|MT?")
_DIGITS = re.compile(r"[0-9]+")


class JoinedLines:
    """Finds joined lines among the lines of a file, which are given one by one.

    A line is joined if it has more columns than the line beside it, that line is as wide as one of
    its two parts, and the second part is an interval: a cell ends with a contig, and the two
    cells after it are its start and end. A contig is a name that the file has, or one that is
    written like a name of the file (`chr12` like `chr1`). So ragged BED, in which lines differ in
    their columns after the third, is not refused.
    """

    def __init__(self, label: str):
        self._label = label
        self._seen: set[bytes] = set()
        self._contigs: set[str] = set()
        self._forms: dict[str, re.Pattern[str]] = {}
        """How contigs of the file are written, as regular expressions."""
        self._lines = 0
        self._last: tuple[int, list[bytes]] = (0, [])

    def add(self, number: int, columns: list[bytes]) -> None:
        """Compare a line with the line before it. Raises BioqError if one of them is joined."""
        last, self._last = self._last, (number, columns)
        self._lines += 1
        if columns[0] not in self._seen:
            self._add_contig(columns[0])
        beside = len(last[1])
        if beside != len(columns) and beside:
            line = last if beside > len(columns) else self._last
            self.require_single(*line, beside=min(beside, len(columns)))

    def finish(self) -> None:
        """Check the line of a file of one line. Raises BioqError if it is joined."""
        if self._lines == 1:
            self.require_single(*self._last)

    def require_single(
        self, number: int, columns: list[bytes], *, beside: int | None = None
    ) -> None:
        """Raise BioqError for a joined line beside a line of `beside` columns; if there is none,
        all parts of the line must be equally wide."""
        last = len(columns) - 1
        if beside is None:
            joints = [joint for joint in range(_SHORTEST - 1, last - 1) if last % joint == 0]
        else:
            joints = [beside - 1, len(columns) - beside]
        for joint in joints:
            if not _SHORTEST - 1 <= joint < last - 1:
                continue
            if not _is_interval(*columns[joint + 1 : joint + 3]):
                continue
            cell = _text(columns[joint])
            contig = self._contig_at_end(cell)
            rest = cell.removesuffix(contig)
            if not contig or (joint == 2 and not _is_interval(columns[1], rest.encode())):
                continue
            start, end = map(_text, columns[joint + 1 : joint + 3])
            raise BioqError(
                f"{self._label}:{number}: two lines are joined: after {rest!r} the interval "
                f"{contig} {start} {end} begins; a file without a line end after its last line was "
                f"joined with another file (cat); put a line end before {contig}"
            )

    def _add_contig(self, contig: bytes) -> None:
        name = _text(contig)
        self._seen.add(contig)
        self._contigs.add(name)
        if _BARE.fullmatch(name):
            form = _BARE.pattern
        elif _CHR.match(name):
            form = _CHR.pattern
        elif name.isdigit():
            return
        else:
            form = _DIGITS.sub("[0-9]+", re.escape(name))
        if form not in self._forms and len(self._forms) < _MOST_FORMS:
            self._forms[form] = re.compile(form, re.IGNORECASE)

    def _contig_at_end(self, cell: str) -> str:
        """Return the contig with which a cell ends, after other letters; empty if there is none."""
        ends = [cell[begin:] for begin in range(1, len(cell))]
        for end in ends:
            if end in self._contigs:
                return end
        forms = self._forms.values()
        return next((end for end in ends if any(form.fullmatch(end) for form in forms)), "")


def _is_interval(start: bytes, end: bytes) -> bool:
    return start.isdigit() and end.isdigit() and int(start) < int(end)


def _text(cell: bytes) -> str:
    return cell[-_MOST_SHOWN:].decode("utf-8", "replace")

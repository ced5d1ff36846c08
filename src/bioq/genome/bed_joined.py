"""Lines of BED in which two lines are joined, where a file had no line end after its last line.

`cat a.bed b.bed` writes `chr1 1000 1200 p1chr1 2000 2200 p2` in one line if the last line of a.bed
has no line end. The second interval would be columns of the first one, which readers skip.
"""

import functools
import re

from bioq.errors import BioqError
from bioq.progress import say

_SHORTEST = 3
_MOST_SHOWN = 60
_MOST_FORMS = 100
_CHR = re.compile(r"chr[0-9A-Za-z][\w.*:-]*", re.IGNORECASE)
_BARE = re.compile(r"[1-3]?[1-9]|[1-3]0|X|Y|MT?")
_SHORT = 4
_SEPARATORS = "_:=-/|~@."
_FIGURE = re.compile(rb"-?[0-9.]+([eE][-+]?[0-9]+)?")
_DIGITS = re.compile(r"[0-9]+")


class JoinedLines:
    """Finds joined lines among the lines of a file, which are given one by one.

    A line is joined if it has more columns than the line beside it, that line is as wide as one of
    its two parts, and the second part is an interval: a cell ends with a contig, and the two
    cells after it are its start and end. A contig is a name that the file has, or one that is
    written like a name of the file (`chr12` like `chr1`). So ragged BED, in which lines differ in
    their columns after the third, is not refused.

    Many cells end with a short name, such as 1 or X. After a short name both parts must be as wide
    as the line beside, and numbers, strands and texts be in the same columns of both. If such a
    line is alone in its file, and the name is the end of a number in its first four columns,
    nothing tells it from a line with more numbers: it is read, with a warning.
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
        all parts of the line must be equally wide, or both be on the same contig with a long name.
        """
        last = len(columns) - 1
        if beside is None:
            joints = list(range(_SHORTEST - 1, last - 1))
        else:
            joints = [beside - 1, len(columns) - beside]
        for joint in joints:
            if not _SHORTEST - 1 <= joint < last - 1:
                continue
            if not _is_interval(*columns[joint + 1 : joint + 3]):
                continue
            cell = _text(columns[joint])
            if beside is None and self._is_contig(cell):  # a pair of intervals of bedtools
                continue
            contig = self._contig_at_end(cell)
            rest = cell.removesuffix(contig)
            are_equal = beside is None and last % joint == 0
            parts = _parts(columns, rest.encode(), joint, are_equal=are_equal)
            if not contig or not all(_is_interval(*part[1:3]) for part in parts):
                continue
            is_short = len(contig) <= _SHORT and not _CHR.match(contig)
            if is_short and not (last == joint * len(parts) and _are_alike(parts)):
                continue
            if beside is None and not are_equal and contig != _text(columns[0]):
                continue
            start, end = map(_text, columns[joint + 1 : joint + 3])
            found = f"two lines are joined: after {rest!r} the interval {contig} {start} {end} "
            reason = "a file without a line end after its last line was joined with another file"
            remedy = f"put a line end before {contig}"
            is_number = joint < _SHORTEST or (joint == _SHORTEST and cell.isdigit())
            if is_short and beside is None and is_number:
                _warn(
                    f"{self._label}:{number}: has {len(columns)} columns and is read as one line; "
                    f"if {found}begins ({reason}), {remedy}"
                )
                return
            raise BioqError(f"{self._label}:{number}: {found}begins; {reason} (cat); {remedy}")

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
        """Return the contig with which a cell ends, after other letters; empty if there is none.

        After a separator it is a part of a name, as in `peak_chr1`.
        """
        ends = [
            cell[begin:]
            for begin in range(1, len(cell))
            if begin == 1 or cell[begin - 1] not in _SEPARATORS
        ]
        for end in ends:
            if end in self._contigs:
                return end
        return next(filter(self._is_contig, ends), "")

    def _is_contig(self, name: str) -> bool:
        if name in self._contigs:
            return True
        return any(form.fullmatch(name) for form in self._forms.values())


def _parts(columns: list[bytes], rest: bytes, joint: int, *, are_equal: bool) -> list[list[bytes]]:
    """Return the columns of the lines in a line whose cell number `joint` is `rest` and a contig;
    they are two or, if all `are_equal`, as many as the line has."""
    if not are_equal:
        return [[*columns[:joint], rest], columns[joint:]]
    parts = [columns[at : at + joint + 1] for at in range(0, len(columns) - 1, joint)]
    return [[*parts[0][:joint], rest], *parts[1:]]


def _are_alike(parts: list[list[bytes]]) -> bool:
    """Return whether the cells after the third of the first and the last of `parts` are of the same
    kind: a number, a strand or a text."""
    first, last = parts[0], parts[-1]
    return [*map(_kind, first[_SHORTEST:])] == [*map(_kind, last[_SHORTEST:])]


def _kind(cell: bytes) -> str:
    if cell in (b"+", b"-", b"."):
        return "strand"
    return "number" if _FIGURE.fullmatch(cell) else "text"


@functools.lru_cache  # one warning, although a file is read twice
def _warn(line: str) -> None:
    say(f"warning: {line}")


def _is_interval(start: bytes, end: bytes) -> bool:
    return start.isdigit() and end.isdigit() and int(start) < int(end)


def _text(cell: bytes) -> str:
    return cell[-_MOST_SHOWN:].decode("utf-8", "replace")

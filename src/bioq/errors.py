"""The errors that a user can cause. `cli.main` prints each as one line."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

MOST_SHOWN = 60
"""Letters of a text that are shown in a message or a title."""


def escaped(text: str) -> str:
    """Return a text that a terminal shows and does not obey: one line, in which each letter that is
    not printable is written as Python's repr writes it (`\\x1b`, `\\n`, `\\u202e`).

    Names in files may contain escape codes, which clear a screen, hide a line or write to the
    clipboard, and marks that reverse the direction of text.
    """
    if text.isprintable():
        return text
    letters = (letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return "".join(letters)


_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def without_controls(text: str) -> str:
    """Return a text for a page or a figure: control characters, which XML does not allow, and marks
    that reverse the direction of text are written as Python's repr writes them. Tabs, line ends,
    blanks and the joiners of letters stay."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def harmless(value: Any) -> Any:
    """Return a value of a page's template: text, which is not HTML yet, without controls."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return without_controls(value) if is_text else value


class BioqError(Exception):
    """Bad input: one line with what, where, found, expected and what to do. Exit status 1."""

    def __str__(self) -> str:
        return escaped(super().__str__())


class ReportedElsewhere(BioqError):
    """An error that another process of the same training reports: no message. Exit status 1."""


class UsageError(BioqError):
    """Arguments of a command or a call that do not go together. Exit status 2."""


class NotWrittenError(BioqError):
    """A file could not be written: the disk is full, or a permission is missing."""

    def __init__(self, path: Path | str, reason: str, kept: str = "nothing was left behind"):
        super().__init__(path, reason, kept)  # all three, so that the error can be pickled
        self.path = path
        self.reason = reason
        self.kept = kept
        """The end of the message: the output that remains, and how to continue from it."""

    def __str__(self) -> str:
        return escaped(f"{self.path}: could not be written: {self.reason}; {self.kept}")


def short(text: str, most: int = MOST_SHOWN) -> str:
    """Return a text for a message or a title, cut to `most` letters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


_SHOWN_BITS = 180
"""A longer whole number is not written in digits: it would fill the line, and Python writes none of
more than 4,300 digits."""
_repr = reprlib.Repr()  # writes the start of a value, however large the value is
_repr.maxlevel = 2
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = 20
_repr.maxstring = _repr.maxother = _repr.maxlong = 3 * MOST_SHOWN


def shown(value: Any) -> str:
    """Return a value as Python writes it, in one line, cut to MOST_SHOWN letters."""
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"a number of {value.bit_length():,} bits"
    return short(_repr.repr(value))


def reason_of(error: Exception) -> str:
    """Return why an operation failed, in one line: the system's words, or else the error's text."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())


MOST_NAMES = 8
"""Names that `some` lists."""


def some(names: Iterable[object], most: int = MOST_NAMES) -> str:
    """Return up to `most` names for a message, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def counted(number: int, noun: str) -> str:
    """Return `1 target`, `389 targets`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


_LONGEST_COMPARED = 200
"""Letters of a name that is compared with others: the time grows with the square of its length."""
_MOST_COMPARED = 2_000_000
"""Letters of a name, times letters of the names that it is compared with: 0.3 s."""


def nearest(name: object, names: Iterable[str], most: int = 3, alike: float = 0.6) -> list[str]:
    """Return up to `most` names that are spelled most like `name`, case ignored, the best first;
    none for what is no text, and where the comparison would take long. `alike` is the least ratio
    of difflib."""
    if not isinstance(name, str) or len(name) > _LONGEST_COMPARED:
        return []
    longest = 2 / alike - 1  # a longer name cannot have this ratio
    known = {
        each.lower(): each
        for each in names
        if len(each) <= longest * len(name) and len(name) <= longest * len(each)
    }
    if len(name) * sum(map(len, known)) > _MOST_COMPARED:
        return []
    close = difflib.get_close_matches(name.lower(), known, n=most, cutoff=alike)
    return [known[near] for near in close]


def did_you_mean(near: Sequence[str]) -> str:
    """Return the question of an error about a word of a closed set, such as `did you mean train? `,
    from the words of `nearest`; empty if no word is like it. Every message uses this function."""
    return f"did you mean {' or '.join(near)}? " if near else ""

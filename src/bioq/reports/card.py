"""`write_card`: the README.md of a run, which Hugging Face, Zenodo and GitHub show with its files.

Front matter, title and what people add belong to them. BioQ replaces only its part and the
licence, each between two comments. Source of the names in the front matter: Hugging Face's
hub-docs, modelcard.md.
"""

import json
import re
from pathlib import Path
from shlex import quote

from bioq.errors import BioqError, UsageError, counted, some
from bioq.files import new_file
from bioq.files.inside import kept_file, read_kept
from bioq.models.source import names_source
from bioq.options import of_type, text
from bioq.progress import say
from bioq.reports.card_sections import Described, described, plain, sections
from bioq.runs.folder import CONFIG
from bioq.runs.local_paths import remove_local_paths
from bioq.runs.named import require_own, resolve_run

CARD = "README.md"
_REMEDY = "move it to another folder, or replace it with --force"
_BODY = (
    "<!-- BioQ writes from here: 'bioq card' and 'bioq evaluate' replace this part -->",
    "<!-- BioQ writes to here -->",
)
_LICENCE = ("<!-- BioQ: licence -->", "<!-- BioQ: end of the licence -->")
"""The comments around a part of the card that BioQ replaces."""
_FRONT = re.compile(r"\A(---)[ \t]*\n(.*?)^(---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
"""The front matter: its first line, its content and its last line."""
_OF_LICENCE = re.compile(r"^([\"']?)license(_\w+)?\1[ \t]*:.*\n((?:[ \t#-].*)?\n)*", re.MULTILINE)
"""An entry about the licence, with the lines that belong to it: indented ones and those of a
list."""
_KNOWN_LICENCES = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "unlicense"),
    *("gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "cc0-1.0", "odc-by", "odbl"),
    *("cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
)
"""Identifiers of Hugging Face; any other licence is `other` there, with a name."""
_UNKNOWN = "Not given: nobody else may use these weights until their author gives a licence."


def write_card(run: str | Path, *, licence: str | None = None, force: bool = False) -> Path:
    """Write the card of a run, RUN/README.md.

    If there is a card that BioQ wrote, only BioQ's part is written again, and with `licence` the
    licence. Absolute paths in `config.json` are removed, so that the folder can be shared.

    Args:
        run: The folder of the run.
        licence: Licence of the run, such as CC-BY-4.0.
        force: Replace a README.md without BioQ's part.

    Returns:
        The path of the card.

    Raises:
        BioqError: If the run is damaged, and for a README.md without BioQ's part, without `force`.
    """
    folder = resolve_run(run)
    require_own(folder, f"copy the run first: 'cp -r {quote(str(folder))} COPY'")
    of_type("force", force, bool, "True or False")
    if licence is not None and not text("licence", licence).strip():
        raise UsageError("licence is empty; expected its name, such as 'CC BY 4.0'")
    existing = None if force else _existing(folder)
    sections(described(folder))  # raises for a run that cannot be described, before it is changed
    paths = remove_local_paths(folder)
    if paths:
        removed = f"removed {counted(len(paths), 'path')} of this computer"
        say(f"{folder / CONFIG}: {removed}, so that the folder can be shared: {some(paths)}")
    about = described(folder)
    if existing is None:
        published = about.config.published or {}
        _write(folder, _new(about, licence or published.get("licence") or None))
    else:
        card = _with_part(existing, _BODY, sections(about))
        if licence is not None:
            card = _with_licence(card, licence)
        _write(folder, card)
    return folder / CARD


def refresh_card(run: str | Path) -> bool:
    """Write BioQ's part of a run's card again; return False if the run has no card of BioQ."""
    folder = resolve_run(run)
    if kept_file(folder, CARD) is None:
        return False
    card = _text(folder)
    if not _has_part(card, _BODY):
        return False
    _write(folder, _with_part(card, _BODY, sections(described(folder))))
    return True


def _existing(folder: Path) -> str | None:
    """Return the text of a card that BioQ wrote; None without one."""
    if kept_file(folder, CARD) is None:
        return None
    card = _text(folder)
    if not _has_part(card, _BODY):
        raise BioqError(
            f"{folder / CARD}: has no part that 'bioq card' wrote, so it is yours; {_REMEDY}"
        )
    return card


def _text(folder: Path) -> str:
    try:
        return read_kept(folder, CARD, _REMEDY).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BioqError(f"{folder / CARD}: is not text in UTF-8; {_REMEDY}") from error


def _write(folder: Path, card: str) -> None:
    with new_file(folder / CARD) as partial:
        partial.write_text(card, encoding="utf-8", newline="\n")


def _new(run: Described, licence: str | None) -> str:
    """Return a new card."""
    build = [run.config.genome_build] if run.config.genome_build else []
    tags = ["biology", "genomics", "dna", "chromatin", *_of_bioq(run), *build]
    front = ["---", *_licence_lines(licence), "library_name: bioq", "tags:"]
    front += [f"- {json.dumps(tag)}" for tag in tags]
    return "\n".join(
        [
            *front,
            "---",
            "",
            f"# {plain(run.name)}",
            "",
            _part(_BODY, sections(run)),
            "",
            "## Licence",
            "",
            _part(_LICENCE, plain(licence or _UNKNOWN)),
            "",
        ]
    )


def _of_bioq(run: Described) -> list[str]:
    """Return the names of the networks that are BioQ's."""
    return [name for name in run.models if not names_source(name)]


def _licence_lines(licence: str | None) -> list[str]:
    """Return the lines of the front matter about a licence."""
    if licence is None:
        return ["license: unknown"]
    slug = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-.")
    if slug in _KNOWN_LICENCES:
        return [f"license: {slug}"]
    lines = ["license: other", f"license_name: {json.dumps(slug[:60].strip('-.') or 'other')}"]
    link = re.search(r"https?://[^\s)>\"]+", licence)
    return lines if link is None else [*lines, f"license_link: {json.dumps(link[0].rstrip('.,;'))}"]


def _with_licence(card: str, licence: str) -> str:
    """Return a card with another licence, in its front matter and its text."""
    front = _FRONT.match(card)
    if front is not None:
        kept = _OF_LICENCE.sub("", front[2]).rstrip("\n")
        lines = [front[1], *_licence_lines(licence), *([kept] if kept else []), front[3]]
        card = "\n".join(lines) + card[front.end() :]
    if _has_part(card, _LICENCE):
        return _with_part(card, _LICENCE, plain(licence))
    return f"{card.rstrip()}\n\n## Licence\n\n{_part(_LICENCE, plain(licence))}\n"


def _part(marks: tuple[str, str], content: str) -> str:
    return f"{marks[0]}\n\n{content.strip()}\n\n{marks[1]}"


def _has_part(card: str, marks: tuple[str, str]) -> bool:
    first, last = (card.find(mark) for mark in marks)
    return -1 < first < last


def _with_part(card: str, marks: tuple[str, str], content: str) -> str:
    """Return a card with other content between two comments."""
    before, rest = card.split(marks[0], 1)
    return before + _part(marks, content) + rest.split(marks[1], 1)[1]

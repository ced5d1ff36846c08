"""trackDb.txt of a track hub: one stanza per track, and one for the tracks of an output together.

Source of the settings: UCSC's Hub Track Database Definition (trackDbHub.html, version 3).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote

import pandas as pd

from bioq.dataset.targets import NAME
from bioq.errors import without_controls

Shows = Literal["probability", "contribution"]
SHOWS: tuple[Shows, ...] = get_args(Shows)
Stanza = dict[str, str]

MOST_SHOWN = 10
"""Tracks that a browser shows when it opens the hub. Source: UCSC's Public Hub Guidelines."""
SHORT, LONG = 17, 80
"""The longest labels. Source: UCSC's hgTrackHubHelp.html."""
_MOST_VALUES = 200
_MOST_COLUMNS = 9
_SETTINGS: Mapping[Shows, Stanza] = {
    "probability": {
        "autoScale": "off",
        "viewLimits": "0:1",
        "maxHeightPixels": "128:40:11",
        "windowingFunction": "mean",
        "color": "31,119,180",
    },
    # dynseq: each base is drawn as its letter, as high as its contribution
    "contribution": {
        "logo": "on",
        "autoScale": "on",
        "alwaysZero": "on",
        "maxHeightPixels": "128:64:11",
        "windowingFunction": "mean",
        "color": "44,160,44",
        "altColor": "214,39,40",
    },
}
_NOUNS: Mapping[Shows, str] = {"probability": "Probability", "contribution": "Contribution"}
_PLURALS: Mapping[Shows, str] = {
    "probability": "Probabilities of",
    "contribution": "Contributions of the bases to",
}


@dataclass(frozen=True)
class TrackSet:
    """The tracks of one output of BioQ, one per target."""

    title: str
    """The name of the output without its ending."""
    shows: Shows
    files: Sequence[str]
    """The name of each bigWig."""
    targets: pd.DataFrame
    """A row per bigWig: `name`, and columns by which a browser sorts the tracks."""
    ranges: Sequence[tuple[float, float]]
    """The smallest and the largest value of each bigWig."""
    model: str
    """What computed the tracks, for labels."""

    @property
    def long_label(self) -> str:
        number = len(self.files)
        names = f"{number} targets" if number > 1 else str(self.targets[NAME].iloc[0])
        return label_of(f"{_PLURALS[self.shows]} {names}, by the model {self.model}", LONG)


def track_db(tracks: TrackSet, *, page: str, used: Collection[str] = ()) -> str:
    """Return the stanzas of a set of tracks: a composite track, then one track per bigWig.

    `page` is the relative address of their description, `used` the names of other tracks of the
    hub. The first `MOST_SHOWN` tracks are on.
    """
    groups = _groups(tracks.targets)
    names = {name.lower() for name in used}
    parent = _unique(track_name(tracks.title), names)
    composite = {
        "track": parent,
        "compositeTrack": "on",
        "type": "bigWig",
        "shortLabel": label_of(tracks.title, SHORT),
        "longLabel": tracks.long_label,
        "visibility": "full",
        "html": page,
        **{
            f"subGroup{number}": f"{group.tag} {group.tag} {group.values}"
            for number, group in enumerate(groups, start=1)
        },
        **({"sortOrder": " ".join(f"{group.tag}=+" for group in groups)} if groups else {}),
        **_SETTINGS[tracks.shows],
    }
    return "\n".join([_text(composite, ""), *_subtracks(tracks, groups, parent, names)])


def _subtracks(
    tracks: TrackSet, groups: Sequence["_Group"], parent: str, used: set[str]
) -> Iterator[str]:
    for row, (file, name) in enumerate(zip(tracks.files, tracks.targets[NAME], strict=True)):
        about = [str(value) for value in tracks.targets.iloc[row].drop(NAME) if not pd.isna(value)]
        label = f"{_NOUNS[tracks.shows]}, {name}" + (f" ({', '.join(about)})" if about else "")
        low, high = tracks.ranges[row]
        stanza = {
            "track": _unique(track_name(f"{tracks.title}_{name}"), used),
            "parent": f"{parent} {'on' if row < MOST_SHOWN else 'off'}",
            "type": f"bigWig {min(low, 0.0):.4g} {max(high, 0.0):.4g}",
            "shortLabel": label_of(str(name), SHORT),
            "longLabel": label_of(label, LONG),
            "bigDataUrl": quote(file),
            "priority": str(row + 1),
        }
        if groups:
            stanza["subGroups"] = " ".join(f"{each.tag}={each.of_row[row]}" for each in groups)
        yield _text(stanza, "    ")


def read_stanzas(text: str) -> list[tuple[Stanza, str]]:
    """Return the stanzas of a hub's file, each with its own text.

    A stanza is lines up to a blank one, each a setting and its value; `#` begins a comment.
    """
    found = []
    for block in re.split(r"\n[ \t]*\n", text.strip("\n")):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        settings = [line.split(None, 1) for line in lines if not line.startswith("#")]
        if settings:
            found.append(({each[0]: each[1] if each[1:] else "" for each in settings}, block))
    return found


@dataclass(frozen=True)
class _Group:
    """A column of the table of targets, as a subgroup of tracks."""

    tag: str
    values: str
    """`K562=K562 HeLa_S3=HeLa-S3`: each tag and its title."""
    of_row: Sequence[str]


def _groups(targets: pd.DataFrame) -> list[_Group]:
    """Return the columns of the targets that sort them: of two values or more, and no numbers that
    differ in nearly every row."""
    groups: list[_Group] = []
    used: set[str] = set()
    for column in targets.columns.drop(NAME):
        texts = ["" if pd.isna(value) else str(value) for value in targets[column]]
        if not 1 < len(set(texts)) <= min(_MOST_VALUES, len(texts) - 1):
            continue
        tags: dict[str, str] = {}
        used_tags: set[str] = set()
        for text in sorted(set(texts)):
            tags[text] = _unique(_plain(text) or "none", used_tags)
        titles = (f"{tag}={_plain(text) or 'none'}" for text, tag in tags.items())
        name = _unique(_plain(str(column)), used)
        groups.append(_Group(name, " ".join(titles), [tags[text] for text in texts]))
    return groups[:_MOST_COLUMNS]


def track_name(text: str) -> str:
    """Return a name of letters, digits and _ that begins with a letter."""
    plain = _plain(text)
    return plain if plain[:1].isalpha() else f"t_{plain}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", text)


def _unique(name: str, used: set[str]) -> str:
    """Return the name, or with a number at its end if it is used; add it to those used."""
    number, result = 1, name
    while result.lower() in used:
        number += 1
        result = f"{name}_{number}"
    used.add(result.lower())
    return result


def label_of(text: str, most: int) -> str:
    """Return a text as a label of at most `most` letters: one line, which no \\ continues."""
    return " ".join(without_controls(text).split())[:most].rstrip("\\ ")


def _text(stanza: Stanza, indent: str) -> str:
    return "".join(f"{indent}{setting} {value}\n" for setting, value in stanza.items())

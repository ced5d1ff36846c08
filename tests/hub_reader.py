"""A reader of track hubs that lists their faults, by the rules of UCSC's hubCheck.

Written from UCSC's hubCheck.c, trackHub.c, hgTrackHubHelp.html and trackDbHub.html (version 3); it
shares no code with BioQ. hubCheck itself is a program of UCSC.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import py2bit
import pyBigWig

Stanza = dict[str, str]

NUMBER = r"-?\d+(\.\d+)?(e[-+]?\d+)?"
PATTERNS = {
    "autoScale": "on|off|group",
    "alwaysZero": "on|off",
    "logo": "on",
    "visibility": "hide|dense|squish|pack|full",
    "windowingFunction": r"mean|mean\+whiskers|maximum|minimum",
    "viewLimits": f"{NUMBER}:{NUMBER}",
    "maxHeightPixels": r"\d+:\d+:\d+",
    "color": r"\d+,\d+,\d+",
    "altColor": r"\d+,\d+,\d+",
    "priority": NUMBER,
    "type": f"bigWig( {NUMBER} {NUMBER})?",
    "compositeTrack": "on",
    "parent": r"\w+ (on|off)",
    "shortLabel": ".{1,17}",
    "longLabel": ".{1,80}",
    "track": "[A-Za-z][A-Za-z0-9_]*",
    "subGroups": r"\w+=\w+( \w+=\w+)*",
    "sortOrder": r"\w+=[-+]( \w+=[-+])*",
}
"""The settings of a bigWig or composite track that BioQ may use, and their values."""
FREE = ("bigDataUrl", "html")


def stanzas(text: str) -> list[Stanza]:
    found: list[Stanza] = [{}]
    for line in text.splitlines():
        if not line.strip():
            found.append({})
        elif not line.strip().startswith("#"):
            setting, _, value = line.strip().partition(" ")
            found[-1][setting] = value.strip()
    return [stanza for stanza in found if stanza]


def faults(folder: Path, lengths: Mapping[str, int]) -> list[str]:
    """Return what is wrong with the hub in a folder; `lengths` are those of UCSC's contigs, which
    count if the hub does not bring its genome."""
    found: list[str] = []
    (hub, *more) = stanzas((folder / "hub.txt").read_text())
    if more:
        found.append("hub.txt: more than one stanza")
    for setting in ("hub", "shortLabel", "longLabel", "genomesFile", "email", "descriptionUrl"):
        if not hub.get(setting):
            found.append(f"hub.txt: no {setting}")
    if " " in hub.get("hub", ""):
        found.append("hub.txt: hub has a blank")
    found += labels("hub.txt", hub) + there(folder, "hub.txt", hub, "descriptionUrl", "genomesFile")
    genomes = stanzas((folder / hub.get("genomesFile", "genomes.txt")).read_text())
    names = [genome.get("genome") for genome in genomes]
    if len(set(names)) < len(names) or None in names:
        found.append("genomes.txt: a genome is missing or twice")
    for genome in genomes:
        if "trackDb" not in genome:
            found.append("genomes.txt: no trackDb")
            continue
        contigs, wrong = contigs_of(folder, genome, lengths)
        found += wrong + track_faults(folder, genome["trackDb"], contigs)
    return found


def contigs_of(
    folder: Path, genome: Stanza, lengths: Mapping[str, int]
) -> tuple[Mapping[str, int], list[str]]:
    if "twoBitPath" not in genome:
        return lengths, []
    wrong = [
        f"genomes.txt: an assembly hub needs {setting}"
        for setting in ("organism", "defaultPos", "htmlPath", "scientificName", "description")
        if not genome.get(setting)
    ] + there(folder, "genomes.txt", genome, "htmlPath", "twoBitPath")
    if wrong:
        return lengths, wrong
    file = py2bit.open(str(folder / genome["twoBitPath"]))
    contigs = dict(file.chroms())
    file.close()
    contig, _, span = genome["defaultPos"].rpartition(":")
    start, end = (int(number) for number in span.split("-"))
    if not 1 <= start <= end <= contigs.get(contig, 0):
        wrong.append("genomes.txt: defaultPos is not in the genome")
    return contigs, wrong


def track_faults(folder: Path, name: str, contigs: Mapping[str, int]) -> list[str]:
    found: list[str] = []
    tracks = stanzas((folder / name).read_text())
    by_name: dict[str, Stanza] = {}
    for track in tracks:
        if "track" not in track:
            found.append(f"{name}: a stanza without track")
        elif track["track"] in by_name:
            found.append(f"{name}: track {track['track']} twice")
        by_name[track.get("track", "")] = track
    for track in tracks:
        at = f"{name}: {track.get('track')}"
        for setting in ("shortLabel", "longLabel", "type"):
            if setting not in track:
                found.append(f"{at}: no {setting}")
        found += settings_of(at, track) + labels(at, track)
        parent = track.get("parent", "").partition(" ")[0]
        if parent and by_name.get(parent, {}).get("compositeTrack") != "on":
            found.append(f"{at}: parent {parent} is no composite track")
        children = [one for one in tracks if one.get("parent", "").split(" ")[0] == track["track"]]
        if "compositeTrack" in track:
            found += composite_faults(folder, at, track, children)
        else:
            found += data_faults(folder, at, track, contigs)
    return found


def settings_of(at: str, track: Stanza) -> list[str]:
    found = []
    for setting, value in track.items():
        if re.fullmatch(r"subGroup\d", setting):
            continue
        if setting not in PATTERNS and setting not in FREE:
            found.append(f"{at}: unknown setting {setting}")
        elif setting in PATTERNS and not re.fullmatch(PATTERNS[setting], value):
            found.append(f"{at}: {setting} {value}")
    if "maxHeightPixels" in track and not found:
        highest, usual, lowest = map(int, track["maxHeightPixels"].split(":"))
        if not highest >= usual >= lowest >= 8:
            found.append(f"{at}: maxHeightPixels out of order")
    return found


def composite_faults(folder: Path, at: str, track: Stanza, children: list[Stanza]) -> list[str]:
    found = there(folder, at, track, "html")
    if not children:
        found.append(f"{at}: composite track without tracks")
    if "bigDataUrl" in track:
        found.append(f"{at}: composite track with bigDataUrl")
    if sum(child["parent"].endswith(" on") for child in children) > 10:
        found.append(f"{at}: more than 10 tracks are on")
    groups = {}
    for number in range(1, 10):
        if f"subGroup{number}" in track:
            tag, _, *values = track[f"subGroup{number}"].split(" ")
            groups[tag] = [value.partition("=")[0] for value in values]
    for child in children:
        own = dict(each.split("=") for each in child.get("subGroups", "").split())
        if own.keys() != groups.keys():
            found.append(f"{at}: {child['track']} is not a member of every subGroup")
        found += [f"{at}: {tag}={own[tag]} unknown" for tag in own if own[tag] not in groups[tag]]
    for tag, values in groups.items():
        if len(set(values)) < len(values):
            found.append(f"{at}: subGroup {tag} has a value twice")
    order = [each.split("=")[0] for each in track.get("sortOrder", "").split()]
    return found + [f"{at}: sortOrder {tag}" for tag in order if tag not in groups]


def data_faults(folder: Path, at: str, track: Stanza, contigs: Mapping[str, int]) -> list[str]:
    found = there(folder, at, track, "bigDataUrl")
    if "bigDataUrl" not in track:
        return [f"{at}: no bigDataUrl"]
    if found:
        return found
    try:
        file = pyBigWig.open(str(folder / unquote(track["bigDataUrl"])))
    except RuntimeError:
        return [f"{at}: not a bigWig"]
    if any(contigs.get(contig) != length for contig, length in file.chroms().items()):
        found.append(f"{at}: contigs of another genome")
    values = np.concatenate(
        [file.values(name, 0, length, numpy=True) for name, length in file.chroms().items()]
    )
    limits = [float(each) for each in track.get("type", "").split()[1:]] or [-np.inf, np.inf]
    if np.nanmin(values) < limits[0] - 1e-3 or np.nanmax(values) > limits[-1] + 1e-3:
        found.append(f"{at}: values outside of type {track['type']}")
    file.close()
    return found


def labels(at: str, stanza: Stanza) -> list[str]:
    lengths = {"shortLabel": 17, "longLabel": 80}
    return [
        f"{at}: {setting} is too long"
        for setting, most in lengths.items()
        if len(stanza.get(setting, "")) > most
    ]


def there(folder: Path, at: str, stanza: Stanza, *settings: str) -> list[str]:
    """A relative path of a file of the hub, which a server finds by the same text."""
    return [
        f"{at}: {setting} {stanza[setting]} is no file of the hub"
        for setting in settings
        if setting in stanza
        and (
            re.search(r"[ /]", stanza[setting]) or not (folder / unquote(stanza[setting])).is_file()
        )
    ]


def session_faults(folder: Path) -> list[str]:
    """Return what is wrong with the session of IGV: its paths, and tracks without a resource."""
    root = ElementTree.parse(folder / "igv.xml").getroot()
    paths = [each.get("path") or "" for each in root.iter("Resource")]
    found = [f"no file {path}" for path in paths if not (folder / path).is_file()]
    if [track.get("id") for track in root.iter("Track")] != paths:
        found.append("tracks are not the resources")
    if not re.fullmatch(r".+:\d+-\d+", root.get("locus") or "") or root.get("version") != "8":
        found.append("locus or version")
    return found

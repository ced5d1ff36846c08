"""A session of IGV desktop: the genome, the region to show, and the tracks that a hub shows first.

Source: IGV's IGVSessionReader.java, which also finds a genome and tracks by relative paths.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import unquote
from xml.etree import ElementTree

from bioq.tracks.trackdb import Stanza

_PANEL = "DataPanel"


def igv_session(stanzas: Sequence[Stanza], *, genome: str, locus: str, comment: str) -> str:
    """Return the session of the tracks that are on in a trackDb.

    `genome` is a name that IGV knows or the path of a genome, `locus` the region to show.
    """
    root = ElementTree.Element("Session", {"genome": genome, "locus": locus, "version": "8"})
    root.append(ElementTree.Comment(f" {comment} "))
    resources = ElementTree.SubElement(root, "Resources")
    panel = ElementTree.SubElement(root, "Panel", {"name": _PANEL})
    for path, settings in _shown(stanzas):
        ElementTree.SubElement(resources, "Resource", {"path": path, "type": "bw"})
        panel.append(_track(path, settings))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}\n'


def _shown(stanzas: Sequence[Stanza]) -> Iterator[tuple[str, Stanza]]:
    """Yield the path and the settings, with those of its parent, of every track that is on."""
    by_name = {stanza["track"]: stanza for stanza in stanzas if "track" in stanza}
    for stanza in stanzas:
        parent, _, state = stanza.get("parent", "").partition(" ")
        if "bigDataUrl" in stanza and state != "off":
            yield unquote(stanza["bigDataUrl"]), {**by_name.get(parent, {}), **stanza}


def _track(path: str, settings: Stanza) -> ElementTree.Element:
    is_logo = settings.get("logo") == "on"
    track = ElementTree.Element(
        "Track",
        {
            "clazz": "org.broad.igv.track.DataSourceTrack",
            "id": path,
            "name": settings["shortLabel"] + (" contribution" if is_logo else ""),
            "color": settings["color"],
            "altColor": settings.get("altColor", settings["color"]),
            "autoScale": "false" if "viewLimits" in settings else "true",
            "height": settings["maxHeightPixels"].split(":")[1],
            "renderer": "DYNSEQ" if is_logo else "BAR_CHART",
            "visible": "true",
            "windowFunction": "mean",
        },
    )
    if "viewLimits" in settings:
        low, high = settings["viewLimits"].split(":")
        ElementTree.SubElement(
            track,
            "DataRange",
            {"minimum": low, "baseline": "0", "maximum": high, "type": "LINEAR"},
        )
    return track

"""The page about the tracks of an output, which UCSC's browser shows beside their settings."""

from html import escape

from bioq.errors import without_controls
from bioq.tracks.trackdb import Shows, TrackSet

_ABOUT: dict[Shows, str] = {
    "probability": (
        "At each base, a track has the mean probability of the bins that cover the base, between "
        "0 and 1. The model computes the probability of a bin from the DNA around it."
    ),
    "contribution": (
        "At each explained base, a track has the contribution of the base to the logit of the "
        "target. Close to the bases, each is drawn as its letter, as high as its contribution; "
        "letters below the line lower the prediction."
    ),
}


def description_page(tracks: TrackSet) -> str:
    """Return the page about a set of tracks, as HTML."""

    def shown(text: str) -> str:
        return escape(without_controls(text))

    number = len(tracks.files)
    names = "".join(f"<li>{shown(str(name))}</li>\n" for name in tracks.targets["name"])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{shown(tracks.title)}</title>\n</head>\n<body>\n"
        f"<h2>Description</h2>\n<p>{shown(tracks.long_label)}. "
        f"{'One track per target' if number > 1 else 'One track'}, computed from DNA alone.</p>\n"
        f"<h2>Display</h2>\n<p>{_ABOUT[tracks.shows]} "
        "Where no window was computed, a track has no value.</p>\n"
        f"<h2>Targets</h2>\n<ul>\n{names}</ul>\n</body>\n</html>\n"
    )

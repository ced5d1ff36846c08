"""The windows of regions as tracks along the genome, one lane per target."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from bioq.dataset.targets import NAME, select_targets
from bioq.errors import BioqError
from bioq.plots.numbers import probability_text
from bioq.plots.window_track import Stretch, draw_axis, draw_lane, top_of
from bioq.web.answers import Predictions
from bioq.web.pages.annotation import Annotation
from bioq.web.service import Service

MOST_LANES = 12
USUAL_LANES = 6
_MOST_STRETCHES = 10
MOST_LETTERS = 200
"""Letters of the names of a track's targets."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lane:
    """One target along one stretch."""

    name: str
    top: float
    svg: Markup


@dataclass(frozen=True)
class Track:
    """The lanes of a stretch above its axis."""

    title: str
    lanes: Sequence[Lane]
    axis: Markup


@dataclass(frozen=True)
class Tracks:
    """The tracks of a result, and the text that chose their targets."""

    tracks: Sequence[Track]
    more: int
    """Stretches that are not drawn."""
    chosen: str
    error: str


def tracks_of(
    predictions: Predictions,
    service: Service,
    annotation: Annotation,
    *,
    text: str,
    window: int,
    address: str,
) -> Tracks | None:
    """Return the tracks of the stretches of at least two windows; None if there are none.

    `text` has the names of the targets, or patterns of them, separated by blanks; without it the
    targets with the highest probabilities are drawn. `window` is marked. A bar is a link to
    `address` with the number of its window.
    """
    stretches = _stretches(predictions)
    if not stretches:
        return None
    text, error = text.strip()[:MOST_LETTERS], ""
    chosen = _most_probable(predictions)
    if text:
        try:
            chosen = _chosen(service, text)
        except BioqError as fault:
            error = str(fault)
    tracks = [
        _track(predictions, service, annotation, rows, chosen, window, address)
        for rows in stretches[:_MOST_STRETCHES]
    ]
    return Tracks(tracks, max(len(stretches) - _MOST_STRETCHES, 0), text, error)


def _stretches(predictions: Predictions) -> list[range]:
    """Return the rows of windows of regions whose bins follow each other, two or more."""
    columns = predictions.windows.columns
    if "chrom" not in columns:
        return []
    chrom, start, end = (columns[name] for name in ("chrom", "start", "end"))
    breaks = [
        row
        for row in range(1, len(chrom))
        if chrom[row] != chrom[row - 1] or start[row] != end[row - 1]
    ]
    ends = [*breaks, len(chrom)]
    rows = [range(first, last) for first, last in zip([0, *breaks], ends, strict=True)]
    return [row for row in rows if len(row) > 1]


def _most_probable(predictions: Predictions) -> Numbers:
    order = np.argsort(-predictions.probability.max(axis=0), kind="stable")
    return order[:USUAL_LANES]


def _chosen(service: Service, text: str) -> Numbers:
    chosen = select_targets(service.targets, text.split())
    if len(chosen) > MOST_LANES:
        raise BioqError(
            f"{text!r} fits {len(chosen):,} targets; the page draws {MOST_LANES}: name fewer"
        )
    return chosen


def _track(
    predictions: Predictions,
    service: Service,
    annotation: Annotation,
    rows: range,
    chosen: Numbers,
    window: int,
    address: str,
) -> Track:
    columns, span = predictions.windows.columns, slice(rows.start, rows.stop)
    stretch = Stretch(
        str(columns["chrom"][rows.start]),
        np.asarray(columns["start"][span], np.int64),
        np.asarray(columns["end"][span], np.int64),
    )
    title = f"{stretch.contig}:{stretch.starts[0] + 1:,}-{stretch.ends[-1]:,}"
    lanes = []
    for target in chosen:
        values, name = (
            predictions.probability[span, target],
            str(service.targets[NAME].iloc[target]),
        )
        best = int(values.argmax())
        svg = draw_lane(
            stretch,
            values,
            title=f"Probability of {name} along {title}: highest "
            f"{probability_text(float(values[best]))} at {stretch.title(best)}",
            link=lambda number: f"{address}{rows.start + number + 1}",
            chosen=window - rows.start,
            colour=annotation.colour_of(service.targets.iloc[target].to_dict()),
        )
        lanes.append(Lane(name, top_of(values), Markup(svg)))
    return Track(title, lanes, Markup(draw_axis(stretch)))

"""The figure of a mutagenesis or of contributions, as a file."""

from starlette.responses import FileResponse

from bioq.plots.interpretation import write_contributions_figure, write_effects_figure
from bioq.web.answers import Contributions, Mutagenesis
from bioq.web.jobs import Job, NoSuchJob
from bioq.web.pages.render import DRAWING

_TYPES = {"svg": "image/svg+xml", "png": "image/png"}


def figure(job: Job, ending: str) -> FileResponse:
    """Answer with the figure as .svg or .png, drawn at the first call.

    Raises NoSuchJob for another ending, and for a job without a figure.
    """
    result = job.answer if job.state == "done" else None
    if ending not in _TYPES or not isinstance(result, Mutagenesis | Contributions):
        raise NoSuchJob(
            f"there is no figure.{ending}; expected .svg or .png of a finished mutagenesis or of "
            "contributions"
        )
    file = job.folder / f"figure.{ending}"
    with job.writing:
        if not file.exists():
            with DRAWING:
                if isinstance(result, Mutagenesis):
                    write_effects_figure(file, [result.explanation], [result.target])
                else:
                    write_contributions_figure(file, result.explanations, [result.target])
    return FileResponse(file, media_type=_TYPES[ending], filename=f"bioq-{job.kind}.{ending}")

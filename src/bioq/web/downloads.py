"""Results as files, written into the job's folder at the first download."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from bioq.errors import BioqError
from bioq.progress import no_progress
from bioq.tables import FORMATS
from bioq.web.jobs import Job, NoSuchJob
from bioq.web.pools import Pools
from bioq.web.service import Service

TYPES = {format.ending[1:]: format.media_type for format in FORMATS if format.is_flat}
"""Ending of a file name -> media type."""
if TYPE_CHECKING:  # mypy needs a fixed type; FastAPI documents the endings
    Ending = str
else:
    Ending = Literal[tuple(TYPES)]


class Download(FileResponse):
    """A file that may be removed until it is open: the answer begins with its first bytes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiting: list[Message] = []
        is_started = False

        async def send_together(message: Message) -> None:
            nonlocal is_started
            waiting.append(message)
            if message["type"] == "http.response.start":
                return
            is_started = True
            while waiting:
                await send(waiting.pop(0))

        try:
            await super().__call__(scope, receive, send_together)
        except (FileNotFoundError, RuntimeError) as error:
            if is_started or Path(self.path).exists():
                raise
            raise NoSuchJob("the job's result was removed") from error


async def download(service: Service, pools: Pools, job: Job, ending: str) -> FileResponse:
    """Answer with a job's result as a table.

    Raises NoSuchJob for an unknown ending, BioqError for a job without a result.
    """
    if ending not in TYPES:
        raise NoSuchJob(f"a result has no .{ending} file; expected {', '.join(TYPES)}")
    if job.state != "done":
        raise BioqError(f"the job is {job.state}; it has a result when it is done")
    file = job.folder / f"result.{ending}"
    metadata: dict[str, Any] = {"run": service.run, "strands": "both", "source": job.title}

    def write() -> None:
        with job.writing, no_progress():
            if not job.folder.exists():
                raise NoSuchJob("the job's result was removed")
            if not file.exists():
                job.answer.write(file, service.targets, metadata)
        service.jobs.forget_old()

    await pools.downloads.run(write)
    return Download(file, media_type=TYPES[ending], filename=f"bioq-{job.kind}.{ending}")

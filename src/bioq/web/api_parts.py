"""What the operations of the API share: their refusals, the wait for a job, numbers as JSON."""

import asyncio
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bioq.web import schemas
from bioq.web.jobs import Job

_MEANING: dict[int | str, str] = {
    400: "The body cannot be read, or the Host header is not this server's",
    403: "The request comes from a page of another site",
    404: "No job has this id",
    413: "The body is too large",
    415: "The body is not a file, or its line ends are lost",
    422: "An error in the request",
    429: "Too many requests wait; try again after Retry-After seconds",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the answers with an error status."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": schemas.Detail, "description": _MEANING[status]} for status in statuses
    }
    if 429 in responses:
        responses[429]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return responses


ERRORS = refusals(400, 403, 413, 422, 429)


async def finished(job: Job) -> Any:
    """Wait for a job that only this request uses; its result is never removed for space."""
    job.seen = math.inf
    return await asyncio.wrap_future(job.future)


def numbers_of(values: npt.NDArray[np.float32]) -> list[float]:
    """Return float32s with the fewest digits that read back as the same float32."""
    text = pa.array(values.astype(np.float32)).cast(pa.string())
    numbers: list[float] = text.cast(pa.float64()).to_pylist()
    return numbers

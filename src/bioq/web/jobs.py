"""Jobs, which continue after the request that started them: progress, results and files."""

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from bioq.errors import BioqError
from bioq.web.queue import Cancelled, GiveWay, Level, ModelQueue, Work
from bioq.web.repeat import Repeat
from bioq.web.trouble import trouble_of

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class NoSuchJob(BioqError):
    """No job has this id, or its result was removed."""


@dataclass(eq=False)
class Job:
    """A piece of work with an id under which its result is kept."""

    kind: str
    """sequence, mutagenesis, contributions or variants; decides the type of `answer`."""
    title: str
    folder: Path
    """Folder of the job's files; removed with the job."""
    total: int
    """Number of steps: windows, mutants or alleles."""
    units: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    """Random, so that it cannot be guessed: the id gives access to the result."""
    done: int = 0
    back: str = "/"
    """Address of the page that started the job."""
    again: Repeat | None = None
    """How to compute the result again; None for a job of the API."""
    seen: float = field(default_factory=time.monotonic)
    future: Future[Any] = field(default_factory=Future)
    work: Work | None = None
    writing: threading.Lock = field(default_factory=threading.Lock)
    """Held while a file of the result is written."""

    @property
    def state(self) -> State:
        if not self.future.done():
            return "running" if self.future.running() else "waiting"
        if self.future.cancelled():
            return "cancelled"
        error = self.future.exception()
        if isinstance(error, (Cancelled, CancelledError)):
            return "cancelled"
        return "failed" if error else "done"

    @property
    def error(self) -> str:
        """Why the job failed, in one line; empty if it did not fail."""
        if self.state != "failed":
            return ""
        error = self.future.exception()
        if isinstance(error, BioqError):
            return str(error)
        trouble = trouble_of(error)
        if trouble is not None:
            return trouble[1]
        return f"unexpected error ({type(error).__name__}); see the server's terminal"

    @property
    def answer(self) -> Any:
        """The result of a finished job."""
        return self.future.result(timeout=0)


class JobBook:
    """The jobs of a server; their folders are in one temporary folder, removed with the server."""

    def __init__(self, queue: ModelQueue, *, kept: int, kept_seconds: float, kept_bytes: int):
        self._queue = queue
        self._kept = kept
        self._kept_seconds = kept_seconds
        self._kept_bytes = kept_bytes
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="bioq-jobs-"))

    def new_folder(self) -> Path:
        """Return a new folder for a new job."""
        with self._lock:
            if not self._folder.is_dir():  # a cleaner of temporary files has removed it
                self._folder = Path(tempfile.mkdtemp(prefix="bioq-jobs-"))
        return Path(tempfile.mkdtemp(dir=self._folder))

    def start(
        self,
        job: Job,
        run: Callable[[GiveWay], Any],
        level: Level,
    ) -> Job:
        """Queue a job. Raises Busy, and removes the job's folder, if too many wait."""
        try:
            job.work = self._queue.submit(level, run)
        except BioqError:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise
        job.future = job.work.future
        return self._add(job)

    def adopt(self, job: Job, future: Future[Any]) -> Job:
        """Keep a job whose result is computed elsewhere, as `future`."""
        job.future = future
        return self._add(job)

    def find(self, id: str) -> Job:
        """Return a job. Raises NoSuchJob for an unknown id."""
        with self._lock:
            job = self._jobs.get(id)
            if job is None or (job.future.done() and job.seen < self._oldest()):
                raise NoSuchJob(
                    "there is no such job: results are kept for a day, until the server stops"
                )
            job.seen = time.monotonic()
        return job

    def ahead(self, job: Job) -> int:
        """Return how many jobs wait before `job`."""
        return 0 if job.work is None else self._queue.ahead(job.work)

    def cancel(self, id: str) -> Job:
        """Stop a job that waits or runs; a job that has ended does not change."""
        job = self.find(id)
        (job.work or job.future).cancel()
        return job

    def remove(self, id: str) -> None:
        """Stop a job and remove it with its files."""
        job = self.cancel(id)
        with self._lock:
            self._jobs.pop(id, None)
        job.future.add_done_callback(lambda _: _delete(job))

    def close(self) -> None:
        """Remove every file."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _add(self, job: Job) -> Job:
        with self._lock:
            self._jobs[job.id] = job
        self.forget_old()
        return job

    def _oldest(self) -> float:
        return time.monotonic() - self._kept_seconds

    def forget_old(self) -> None:
        """Remove ended jobs that are too old, too many, or whose files are too large together.

        The job that was viewed last is kept unless it is too old.
        """
        with self._lock:
            ended = [job for job in self._jobs.values() if job.future.done()]
            ended.sort(key=lambda job: job.seen, reverse=True)
            removed, kept_bytes = [], 0
            for number, job in enumerate(ended):
                kept_bytes += _bytes_in(job.folder)
                too_much = number >= self._kept or (number and kept_bytes > self._kept_bytes)
                if too_much or job.seen < self._oldest():
                    del self._jobs[job.id]
                    removed.append(job)
        for job in removed:
            _delete(job)


def _delete(job: Job) -> None:
    """Remove a job's files, once no file is being written."""
    with job.writing:
        shutil.rmtree(job.folder, ignore_errors=True)


def _bytes_in(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except FileNotFoundError:  # the folder is being removed, or a file in it is being renamed
        return 0

"""Jobs that outlive the request that began them: their progress, their result, their files."""

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

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class NoSuchJob(BioqError):
    """The job is not known: never was, or no longer."""


@dataclass(eq=False)
class Job:
    """A piece of work with a name by which it is found again."""

    kind: str
    """sequence, mutagenesis or variants: what `answer` is."""
    title: str
    folder: Path
    """Its own; goes with it."""
    total: int
    """Steps: windows, mutants or alleles."""
    units: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    """Cannot be guessed: whoever knows it may see the result."""
    done: int = 0
    back: str = "/"
    """The page from which it was asked."""
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
        """Why it failed, in one line; empty where it did not."""
        if self.state != "failed":
            return ""
        error = self.future.exception()
        if isinstance(error, BioqError):
            return str(error)
        return f"unexpected error ({type(error).__name__}); the server's terminal says more"

    @property
    def answer(self) -> Any:
        """The result of a job that is done."""
        return self.future.result(timeout=0)


class JobBook:
    """The jobs of a server; their folders lie in one temporary folder, which goes with it."""

    def __init__(self, queue: ModelQueue, *, kept: int, kept_seconds: float, kept_bytes: int):
        self._queue = queue
        self._kept = kept
        self._kept_seconds = kept_seconds
        self._kept_bytes = kept_bytes
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="bioq-jobs-"))

    def new_folder(self) -> Path:
        """Return a new folder for a job that is about to be made."""
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
        """Keep a job whose result somebody else computes."""
        job.future = future
        return self._add(job)

    def find(self, id: str) -> Job:
        """Return a job. Raises NoSuchJob for an id that is not known."""
        with self._lock:
            job = self._jobs.get(id)
            if job is None or (job.future.done() and job.seen < self._oldest()):
                raise NoSuchJob(
                    "there is no such job: results go after a day, or when the server stops"
                )
            job.seen = time.monotonic()
        return job

    def ahead(self, job: Job) -> int:
        """Return how many jobs wait before this one."""
        return 0 if job.work is None else self._queue.ahead(job.work)

    def cancel(self, id: str) -> Job:
        """Stop a job that waits or runs; one that has ended stays as it is."""
        job = self.find(id)
        (job.work or job.future).cancel()
        return job

    def remove(self, id: str) -> None:
        """Stop a job and forget it with its files."""
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
        """Forget ended jobs that are too old, too many, or whose files are too large together; the
        one that was looked at last stays."""
        with self._lock:
            ended = [one for one in self._jobs.values() if one.future.done()]
            ended.sort(key=lambda one: one.seen, reverse=True)
            gone, kept_bytes = [], 0
            for number, one in enumerate(ended):
                kept_bytes += _bytes_in(one.folder)
                too_much = number >= self._kept or (number and kept_bytes > self._kept_bytes)
                if too_much or one.seen < self._oldest():
                    del self._jobs[one.id]
                    gone.append(one)
        for one in gone:
            _delete(one)


def _delete(job: Job) -> None:
    """Remove a job's files, after the one that is being written."""
    with job.writing:
        shutil.rmtree(job.folder, ignore_errors=True)


def _bytes_in(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except FileNotFoundError:  # it is being removed, or a file in it gets its last name
        return 0

"""Jobs: how they are found, kept and forgotten, and that their files go with them."""

import asyncio
import gc
import gzip
import shutil
import threading
import time
import weakref
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest
from fastapi.testclient import TestClient

from bioq.errors import BioqError
from bioq.inputs import RegionWindows
from bioq.web import create_app, jobs, open_service
from bioq.web.downloads import Download
from bioq.web.jobs import Job, JobBook, NoSuchJob
from bioq.web.limits import Limits
from bioq.web.pools import Pool
from bioq.web.queue import Busy, Level, ModelQueue

LONG_S = 30


class Clock:
    """Tells the time that a test says it is."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jobs, "time", clock)
    return clock


@pytest.fixture
def queue():
    with ModelQueue(lambda codes: codes.astype(np.float32), waiting_jobs=1) as queue:
        yield queue


@pytest.fixture
def book(queue, clock):
    with JobBook(queue, kept=3, kept_seconds=60, kept_bytes=1000) as book:
        yield book


def new_job(book: JobBook, clock: Clock, size: int = 1) -> Job:
    """Return a job that is not in the book yet; its folder holds one file."""
    job = Job("sequence", "a job", book.new_folder(), 1, "windows", seen=clock.now)
    (job.folder / "result").write_bytes(bytes(size))
    return job


def done(book: JobBook, clock: Clock, size: int = 1) -> Job:
    """Return a job that has ended."""
    future: Future[str] = Future()
    future.set_result("the answer")
    return book.adopt(new_job(book, clock, size), future)


def test_an_id_cannot_be_guessed(book, clock):
    ids = {new_job(book, clock).id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(id) == 22 for id in ids)  # 16 random bytes in base64


def test_an_unknown_job_is_told_from_a_known_one(book, clock):
    job = done(book, clock)
    assert book.find(job.id) is job
    assert job.answer == "the answer"
    with pytest.raises(NoSuchJob, match="no such job"):
        book.find(job.id + "A")


def test_a_result_goes_some_time_after_it_was_last_looked_at(book, clock):
    first, second = done(book, clock), done(book, clock)
    clock.now += 50
    book.find(first.id)
    clock.now += 50
    assert book.find(first.id) is first
    with pytest.raises(NoSuchJob):
        book.find(second.id)
    done(book, clock)
    assert first.folder.exists()
    assert not second.folder.exists()


def test_only_the_results_looked_at_last_are_kept(book, clock):
    made = []
    for _ in range(3):
        made.append(done(book, clock))
        clock.now += 1
    book.find(made[0].id)
    clock.now += 1
    made.append(done(book, clock))
    assert [job.folder.exists() for job in made] == [True, False, True, True]


def test_results_that_are_large_together_go_oldest_first_but_the_last_stays(book, clock):
    made = []
    for size in (400, 400, 400):
        made.append(done(book, clock, size))
        clock.now += 1
    assert [job.folder.exists() for job in made] == [False, True, True]
    made.append(done(book, clock, 5000))
    assert [job.folder.exists() for job in made] == [False, False, False, True]


def test_a_job_that_has_not_ended_is_never_forgotten(book, clock):
    waiting = book.adopt(new_job(book, clock, 5000), Future())
    clock.now += 1000
    for _ in range(5):
        done(book, clock)
    assert book.find(waiting.id) is waiting
    assert waiting.folder.exists()


def test_a_refused_job_leaves_no_folder(queue, book, clock):
    began, going = threading.Event(), threading.Event()

    def run(give_way):
        began.set()
        assert going.wait(LONG_S)

    queue.submit(Level.SECONDS, run)
    assert began.wait(LONG_S)
    try:
        queue.submit(Level.SECONDS, lambda give_way: None)
        job = new_job(book, clock)
        with pytest.raises(Busy):
            book.start(job, lambda give_way: None, Level.SECONDS)
        assert not job.folder.exists()
    finally:
        going.set()


@pytest.mark.parametrize("is_removed", [False, True])
def test_what_runs_is_cancelled_and_its_folder_goes_only_when_it_has_stopped(
    book, clock, is_removed
):
    began, going = threading.Event(), threading.Event()
    job = new_job(book, clock)

    def run(give_way):
        began.set()
        assert going.wait(LONG_S)
        assert job.folder.exists()
        give_way()

    book.start(job, run, Level.SECONDS)
    assert began.wait(LONG_S)
    assert job.state == "running"
    ended = threading.Event()
    if is_removed:
        book.remove(job.id)
        with pytest.raises(NoSuchJob):
            book.find(job.id)
    else:
        book.cancel(job.id)
    job.future.add_done_callback(lambda _: ended.set())
    going.set()
    assert ended.wait(LONG_S)
    assert job.state == "cancelled"
    assert job.error == ""
    assert job.folder.exists() != is_removed


def test_a_job_whose_result_another_computes_is_cancelled_too(book, clock):
    job = book.adopt(new_job(book, clock), Future())
    assert job.state == "waiting"
    assert book.cancel(job.id).state == "cancelled"


def test_cancelling_what_has_ended_changes_nothing(book, clock):
    job = done(book, clock)
    assert book.cancel(job.id).state == "done"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BioqError("chr9: is not there"), "chr9: is not there"),
        (OSError("/secret/path"), "unexpected error (OSError); see the server's terminal"),
    ],
)
def test_an_error_is_told_in_words_and_an_unexpected_one_by_its_type_only(
    book, clock, error, words
):
    future: Future[str] = Future()
    future.set_exception(error)
    job = book.adopt(new_job(book, clock), future)
    assert job.state == "failed"
    assert job.error == words


def test_a_folder_is_removed_after_the_file_that_is_being_written(book, clock):
    job = done(book, clock)
    with job.writing:
        removing = threading.Thread(target=book.remove, args=[job.id])
        removing.start()
        while job.id in book._jobs:
            pass
        assert job.folder.exists()
    removing.join(LONG_S)
    assert not job.folder.exists()


def test_closing_removes_every_file(queue, clock):
    with JobBook(queue, kept=3, kept_seconds=60, kept_bytes=1000) as book:
        folder = done(book, clock).folder.parent
        assert folder.exists()
    assert not folder.exists()


# With a model.


@pytest.fixture(scope="module")
def small(trained, genome):
    """A service with small limits."""
    limits = Limits(waiting_jobs=1, waiting_windows=3, direct_alleles=1, allele_letters=50_000)
    with open_service(trained.run, genome, limits=limits) as service:
        yield service


@pytest.fixture
def held(small):
    """The queue is held up until the event is set."""
    began, going = threading.Event(), threading.Event()

    def run(give_way):
        began.set()
        assert going.wait(LONG_S)

    work = small.queue.submit(Level.SECONDS, run)
    assert began.wait(LONG_S)
    yield going
    going.set()
    work.future.result(LONG_S)


def folders(service) -> set[Path]:
    new = service.jobs.new_folder()
    new.rmdir()
    return set(new.parent.iterdir())


@pytest.mark.parametrize("end", ["cancelled", "scored"])
def test_an_upload_is_no_file_and_its_alleles_go_as_soon_as_its_job_ends(small, held, end):
    before = folders(small)
    job = small.score_vcf_job(b"chr1\t5\t.\tA\tC\nchr1\t6\t.\tA\tC\n", "my.vcf")
    held_by_job = weakref.ref(job.work.run)
    assert folders(small) - before == {job.folder}
    assert not list(job.folder.iterdir())
    if end == "cancelled":
        small.jobs.cancel(job.id)
    held.set()
    if end == "scored":
        assert len(job.future.result(LONG_S)) == 2
    small.queue.submit(Level.MINUTES, lambda give_way: None).future.result(LONG_S)
    gc.collect()
    assert held_by_job() is None
    assert folders(small) - before == {job.folder}
    small.jobs.remove(job.id)
    assert folders(small) == before


def test_a_file_that_is_removed_before_it_is_open_is_404(small, tmp_path):
    (tmp_path / "here").write_text("a table")
    app = create_app(small)
    for name in ("here", "gone"):
        app.add_api_route(f"/{name}", lambda name=name: Download(tmp_path / name))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/here").text == "a table"
        assert client.get("/here", headers={"Range": "bytes=2-4"}).text == "tab"
        gone = client.get("/gone")
    assert gone.status_code == 404
    assert "the job&#39;s result was removed" in gone.text


def test_a_table_ends_when_the_server_stops(small, tmp_path):
    job = small.score_vcf_job(b"chr1\t5\t.\tA\tC\nchr1\t6\t.\tA\tC\n", "my.vcf")
    alleles = job.future.result(LONG_S)
    alleles.write(tmp_path / "table.tsv", small.targets, {})
    alleles._stops = lambda: True
    with pytest.raises(BioqError, match="the server is stopping"):
        alleles.write(tmp_path / "other.tsv", small.targets, {})
    assert [file.name for file in tmp_path.iterdir()] == ["table.tsv"]
    small.jobs.remove(job.id)


def test_an_upload_without_its_last_bgzip_block_has_a_note(small, tmp_path):
    with pysam.BGZFile(str(tmp_path / "v.gz"), "wb") as file:
        file.write(b"chr1\t5\t.\tA\tC\n")
    upload = (tmp_path / "v.gz").read_bytes()
    notes = []
    for content in (upload, upload[:-28]):
        job = small.score_vcf_job(content, "my.vcf.gz")
        notes.append(job.future.result(LONG_S).notes)
        assert job.title == "my.vcf.gz"
    assert not notes[0]
    assert len(notes[1]) == 1
    assert notes[1][0].startswith("VCF: the empty block that ends a bgzip file is not there")
    with pytest.raises(BioqError, match="VCF: its gzip compression is cut short or damaged"):
        small.score_vcf_job(upload[:-40], "my.vcf.gz")


def test_what_is_refused_leaves_no_file(small, held):
    region = small.read_regions("chr1:1001-1040")
    mutation = small.mutate_job(region, 0, 0, 40)
    waiting = small.predict_job(small.read_regions("chr1:1001-1120"))
    before = folders(small)
    with pytest.raises(Busy):
        small.mutate_job(region, 0, 0, 40)
    with pytest.raises(Busy):
        small.predict_job(region)
    with pytest.raises(Busy):
        small.score_vcf_job(b"chr1\t5\t.\tA\tC\n", "my.vcf")
    with pytest.raises(BioqError, match="the alleles up to here have"):
        small.score_vcf_job(gzip.compress(b"chr1\t5\t.\t" + b"A" * 60_000 + b"\tC\n"), "my.vcf")
    assert folders(small) == before
    small.jobs.cancel(waiting.id)
    again = small.predict_job(region)  # what was cancelled takes no place
    held.set()
    assert again.future.result(LONG_S).probability.shape == (1, 2)
    mutation.future.result(LONG_S)  # it waits where the next test's job will wait


@pytest.mark.parametrize(("place", "first", "last"), [("1-40", 1, 40), ("4990-5000", 4975, 5000)])
def test_no_base_past_the_contigs_ends_is_mutated(small, place, first, last):
    windows = small.read_regions(f"chr1:{place}")
    assert set(RegionWindows.columns) == set(windows.columns)
    job = small.mutate_job(windows, 0, 0, small.bin_bp)
    position = job.future.result(LONG_S).explanation.locus.position
    assert list(position) == list(range(first - 1, last))
    assert job.done == job.total == 3 * len(position)


def test_a_span_past_the_contigs_end_is_not_mutated(small):
    windows = small.read_regions("chr1:4951-5000")
    assert list(windows.columns["end"]) == [4990, 5030]
    with pytest.raises(BioqError, match="chr1: the sequence has no bases to explain"):
        small.mutate_job(windows, 1, 0, 2)


def test_a_window_on_an_unknown_contig_is_not_mutated(small):
    windows = small.read_regions("chr1:1001-1040")
    windows.columns["chrom"][0] = "chr9"
    with pytest.raises(BioqError, match=r"chr9: .* has no contig 'chr9'; it has chr1"):
        small.mutate_job(windows, 0, 0, small.bin_bp)


def test_a_sequence_without_bases_is_not_mutated(small):
    windows = small.read_sequences(">nothing\n>other\nACGT\n", pad=True)
    with pytest.raises(BioqError, match="nothing: the sequence has no bases to explain"):
        small.mutate_job(windows, 0, 0, small.bin_bp)
    answer = small.mutate_job(windows, 1, 0, small.bin_bp).future.result(LONG_S)
    assert list(answer.explanation.locus.position) == [0, 1, 2, 3]


def test_a_download_of_a_result_that_was_removed_is_not_found(small, trained):
    with TestClient(create_app(small), base_url="http://127.0.0.1") as client:
        job = small.predict_job(small.read_regions("chr1:1001-1040"))
        job.future.result(LONG_S)
        assert client.get(f"/api/jobs/{job.id}/result.tsv").status_code == 200
        shutil.rmtree(job.folder)
        answer = client.get(f"/api/jobs/{job.id}/result.parquet")
    assert answer.status_code == 404
    assert "was removed" in answer.json()["detail"]


def test_limits_change_what_is_kept(trained):
    limits = replace(Limits(), kept_jobs=1)
    with open_service(trained.run, limits=limits) as service:
        text = "ACGT" * 50
        first, second = (
            service.predict_job(service.read_sequences(text, pad=False)) for _ in range(2)
        )
        second.future.result(LONG_S)
        third = service.predict_job(service.read_sequences(text, pad=False))
        third.future.result(LONG_S)
        service.jobs.forget_old()
        with pytest.raises(NoSuchJob):
            service.jobs.find(first.id)
        assert service.jobs.find(third.id) is third


def test_of_many_requests_that_come_at_once_no_more_wait_than_may():
    async def burst() -> list[object]:
        pool = Pool("uploads", threads=1, waiting=2)
        come = (pool.run(time.sleep, 0.02) for _ in range(10))
        first = await asyncio.gather(*come, return_exceptions=True)
        return [*first, await pool.run(str, "later")]

    *first, later = asyncio.run(burst())
    assert first[:3] == [None] * 3
    assert [str(error) for error in first[3:]] == [
        "2 uploads wait already; try again in some seconds"
    ] * 7
    assert later == "later"

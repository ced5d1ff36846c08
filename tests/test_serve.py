"""`bioq serve` as a process of its own: how it begins, what it leaves, how it ends."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import bioq

PACKAGE = Path(bioq.__file__).parents[1]
START_S, STOP_S = 60, 10
"""For a machine that does ten things at once; alone it starts in 4 s and stops within 2."""
SEQUENCE = "ACGT" * 50


class Server:
    """A process, and its temporary folder."""

    def __init__(self, arguments: list[object], folder: Path):
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bioq", "serve", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(PACKAGE)},
            cwd=folder,
        )

    def address(self) -> str:
        """Return the address that it prints."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(START_S, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        match = re.fullmatch(r"(http://127\.0\.0\.1:\d+)  \(Ctrl-C stops it\)\n", line)
        assert match, line + (self.process.communicate()[1] if not line else "")
        return match[1]

    def end(self, number: signal.Signals) -> tuple[int, str, float]:
        """Send a signal; return the exit status, what it said on stderr, and the seconds."""
        started = time.monotonic()
        self.process.send_signal(number)
        _, printed = self.process.communicate(timeout=30)
        return self.process.returncode, printed, time.monotonic() - started

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


def alleles(genome: Path, count: int) -> bytes:
    """Return a VCF of substitutions of the first contig."""
    bases = genome.read_text().splitlines()[1]
    lines = [
        f"chr1\t{at + 1}\t.\t{base}\t{alt}\n" for alt in "ACGT" for at, base in enumerate(bases)
    ]
    return "".join(lines[:count]).encode()


@pytest.fixture
def start(trained, genome, tmp_path) -> Iterator:
    """Start a server on any free port."""
    started = []

    def begin(*more: object) -> Server:
        arguments = [trained.run, "--genome", genome, "--port", 0, "--device", "cpu", *more]
        started.append(Server(arguments, tmp_path))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_writes_nowhere_else_ends_soon_while_a_job_runs_and_leaves_nothing(
    start, genome, number
):
    server = start()
    address = server.address()
    before = server.files()
    sequences = {"sequences": [{"name": "a", "sequence": SEQUENCE}]}
    answer = httpx2.post(f"{address}/api/predict", json=sequences, timeout=60)
    assert len(answer.json()["windows"]) == 1
    job = httpx2.post(f"{address}/api/jobs", content=alleles(genome, 9), timeout=60).json()["id"]
    while httpx2.get(f"{address}/api/jobs/{job}").json()["state"] != "done":
        time.sleep(0.02)
    assert httpx2.get(f"{address}/api/jobs/{job}/result.tsv", timeout=60).text.startswith("chrom\t")
    answer = httpx2.post(f"{address}/api/jobs", content=alleles(genome, 10_000), timeout=60)
    url = f"{address}{answer.headers['location']}"
    while httpx2.get(url).json()["done"] == 0:
        time.sleep(0.01)
    assert httpx2.get(url).json()["state"] == "running"
    written = server.files() - before
    assert any(file.endswith("result.tsv") for file in written)
    assert all(file.startswith("bioq-serve-") for file in before | written)
    with httpx2.stream("GET", f"{address}/"):  # a connection that stays open holds nothing up
        status, printed, seconds = server.end(number)
    assert (status, printed) == (
        (130, "bioq: interrupted\n") if number == signal.SIGINT else (0, "")
    )
    assert seconds < STOP_S
    assert server.files() == set()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_the_files_of_a_killed_server_go_when_the_next_one_starts_but_no_living_ones(start):
    killed, living = start(), start()
    killed.address()
    living.address()
    both = {path.name for path in killed.folder.glob("bioq-serve-*")}
    assert len(both) == 2
    killed.end(signal.SIGKILL)
    third = start()
    third.address()
    left = {path.name for path in killed.folder.glob("bioq-serve-*")}
    assert len(left) == 2
    assert len(left & both) == 1


def test_only_this_machine_is_answered_and_told_nothing_of_what_nobody_expected(start, genome):
    server = start()
    address = server.address()
    others = [ip for ip in socket.gethostbyname_ex(socket.gethostname())[2] if ip[:4] != "127."]
    for ip in [*others, "127.0.0.2"]:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((ip, int(address.rpartition(":")[2])), timeout=5)
    assert httpx2.get(f"{address}/api/model").status_code == 200
    assert server.end(signal.SIGTERM)[:2] == (0, "")


def test_a_temporary_folder_that_disappears_is_made_again_and_told_in_one_line(start, genome):
    server = start()
    address = server.address()
    for lost in ("bioq-serve-*/bioq-jobs-*", "bioq-serve-*", "."):  # TMPDIR itself, too
        for folder in server.folder.parent.glob(f"{server.folder.name}/{lost}"):
            shutil.rmtree(folder)
        answer = httpx2.post(f"{address}/api/jobs", content=alleles(genome, 9), timeout=60)
        assert answer.status_code == 202
        lines = {"text": "chr1:5:A>C"}
        page = httpx2.post(f"{address}/variant", data=lines, timeout=60, follow_redirects=True)
        assert page.status_code == 200
    url = f"{address}{answer.headers['location']}"
    while httpx2.get(url).json()["state"] in ("waiting", "running"):
        time.sleep(0.02)
    assert httpx2.get(f"{url}/result.tsv").status_code == 200
    (jobs,) = server.folder.glob("bioq-serve-*/bioq-jobs-*")
    for folder in jobs.iterdir():
        shutil.rmtree(folder)
    if Path("/proc").is_dir():
        opened = Path(f"/proc/{server.process.pid}/fd").iterdir()
        assert not [file for file in opened if "lock (deleted)" in os.path.realpath(file)]
    gone = httpx2.get(f"{url}/result.parquet")
    assert (gone.status_code, gone.json()) == (404, {"detail": "the job's result was removed"})
    _, printed, _ = server.end(signal.SIGTERM)
    told = "bioq serve: the folder of temporary files was removed; it is made again\n"
    assert printed == told
    assert server.files() == set()


def test_a_temporary_folder_that_cannot_be_made_again_ends_requests_not_the_server(start, genome):
    server = start()
    address = server.address()
    shutil.rmtree(server.folder)
    server.folder.write_text("a file in its place")
    for _ in range(3):
        answer = httpx2.post(f"{address}/api/jobs", content=alleles(genome, 9), timeout=60)
        assert answer.status_code == 503
        assert httpx2.get(f"{address}/api/model").status_code == 200
    server.folder.unlink()
    answer = httpx2.post(f"{address}/api/jobs", content=alleles(genome, 9), timeout=60)
    assert answer.status_code == 202
    _, printed, _ = server.end(signal.SIGTERM)
    assert f"bioq serve: cannot make a folder in {server.folder}: " in printed
    assert printed.count("\n") == 3  # that it cannot, that files are lost, that it is made again
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"--port": -1}, 2, "127.0.0.1:-1 cannot be served"),
        ({"--port": 70000}, 2, "127.0.0.1:70000 cannot be served"),
        ({"--port": "http"}, 2, "--port"),
        ({"--host": "nowhere.invalid"}, 2, "nowhere.invalid:0 cannot be served"),
        ({"--host": "192.0.2.1"}, 2, "192.0.2.1:0 cannot be served"),
        ({"run": "no/run"}, 1, "no/run"),
        ({"--genome": "no.fa"}, 1, "no.fa: no such file; expected a genome"),
        ({"--genome": "bad.fa"}, 1, "bad.fa:1: is not FASTA"),
        ({"--device": "quantum"}, 2, "quantum"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(
    trained, genome, tmp_path, monkeypatch, capsys, change, status, words
):
    from bioq.cli import main

    (tmp_path / "bad.fa").write_text("no fasta\n")
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    given = {"run": trained.run, "--genome": genome, "--port": 0, "--device": "cpu"} | change
    tokens = [str(given.pop("run"))]
    tokens += [f"{name}={value}" for name, value in given.items()]
    assert main(["serve", *tokens]) == status
    printed, error = capsys.readouterr()
    assert printed == ""
    assert error.count("\n") == 1
    assert words in error
    assert set(tmp_path.iterdir()) == before


def test_a_port_that_is_taken_is_told_in_one_line(trained, capsys):
    from bioq.cli import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(trained.run), "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"127.0.0.1:{port} cannot be served (Address already in use)" in error
    assert "give another --port, or 0 for any" in error


def test_two_servers_that_start_at_once_cannot_have_one_port(trained):
    from bioq.errors import UsageError
    from bioq.web.server import _listen

    with _listen("127.0.0.1", 0) as first:
        assert first.proto == socket.IPPROTO_TCP  # else asyncio does not turn Nagle off
        with pytest.raises(UsageError, match="cannot be served"):
            with _listen("127.0.0.1", first.getsockname()[1]):
                pass


def test_while_it_serves_the_garbage_collector_leaves_what_the_start_has_made(trained, monkeypatch):
    import gc

    from bioq.web import server

    seen: list[int] = []

    class Quick:
        def run(self, sockets: list[socket.socket]) -> None:
            seen.append(gc.get_freeze_count())

    monkeypatch.setattr(server, "new_server", lambda *_, **__: Quick())
    server.serve(trained.run, port=0, device="cpu", ready=lambda _: None)
    # A full collection of the 300,000 objects of PyTorch and the others holds every page for 0.2 s.
    assert seen[0] > 100_000
    assert gc.get_freeze_count() == 0

"""Hostile clients of `bioq serve`: odd HTTP, slow and many connections, uploads that cost time."""

import contextlib
import gzip
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

MIB = 1 << 20
PAGE_S = 0.2
"""Promised on a quiet machine; a test accepts ten times as much."""
WIDE_S = 10 * PAGE_S
SHORT = {
    "head_seconds": 1.0,
    "body_seconds": 1.0,
    "idle_seconds": 2.0,
    "answer_seconds": 2.0,
    "connections": 60,
}
_SERVER = """
import sys
from pathlib import Path
from bioq import web
limits = web.Limits(**eval(sys.argv[3]))
web.serve(Path(sys.argv[1]), Path(sys.argv[2]), port=0, device="cpu", limits=limits,
          ready=lambda address: print(address, flush=True))
"""


class Served:
    """A server in a process of its own."""

    def __init__(self, run: Path, genome: Path, folder: Path, **limits: object):
        self.folder = folder
        self.seen = 0
        with open(folder / "stderr", "w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, run, genome, repr(limits)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | {"TMPDIR": str(folder)},
            )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.parts = urlsplit(self.address)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.parts.hostname, self.parts.port), timeout=30)

    def ask(self, request: bytes, *, ends: bool = False) -> bytes:
        """Send bytes; return everything that comes back until the connection is closed. If it
        `ends`, the client tells that it sends nothing more, and may miss answers."""
        with self.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall(request)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(OSError):
                while piece := connection.recv(1 << 16):
                    answer += piece
            return answer

    def page_seconds(self) -> float:
        """Return the time of a page, which must be right."""
        started = time.monotonic()
        answer = httpx2.get(f"{self.address}/variant", timeout=60)
        assert answer.status_code == 200
        return time.monotonic() - started

    def printed(self) -> str:
        """Return what it printed to stderr since the last call."""
        text = (self.folder / "stderr").read_text()
        new, self.seen = text[self.seen :], len(text)
        return new


@pytest.fixture(scope="module")
def served(trained, genome, tmp_path_factory) -> Iterator[Served]:
    """One server for all tests, with short times."""
    one = Served(trained.run, genome, tmp_path_factory.mktemp("served"), **SHORT)
    yield one
    one.process.terminate()
    one.process.communicate(timeout=60)
    assert one.printed() == ""


def head(first: str, *lines: str) -> bytes:
    return "\r\n".join([first, "Host: 127.0.0.1", *lines, "", ""]).encode()


GET = head("GET /api/model HTTP/1.1", "Connection: close")
CHUNKED = head("POST /api/jobs HTTP/1.1", "Transfer-Encoding: chunked")
ODD = {
    "binary": bytes(range(256)) * 20,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    "nothing": b"",
    "line ends": b"\r\n" * 5000,
    "long line": b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
    "long header": head("GET / HTTP/1.1", "X: " + "a" * (1 << 20)),
    "many headers": head("GET / HTTP/1.1", *(f"X{n}: 1" for n in range(20_000))),
    "websocket": head(
        "GET / HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ),
    "h2c": head("GET / HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade", "HTTP2-Settings: AA"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/9.9": head("GET / HTTP/9.9"),
    "pipelined": GET.replace(b"Connection: close\r\n", b"") * 20 + GET,
    "pipelined rubbish": GET.replace(b"Connection: close\r\n", b"") + b"\x00rubbish\r\n\r\n",
    "absolute": head("GET http://127.0.0.1/api/model HTTP/1.1", "Connection: close"),
    "CONNECT": head("CONNECT 127.0.0.1:443 HTTP/1.1"),
    "star": head("OPTIONS * HTTP/1.1", "Connection: close"),
    "no slash": head("GET api/model HTTP/1.1", "Connection: close"),
    "two lengths": head("POST /api/jobs HTTP/1.1", "Content-Length: 1", "Content-Length: 2")
    + b"xx",
    "length and chunks": head(
        "POST /api/jobs HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked"
    )
    + b"0\r\n\r\n",
    "odd coding": head("POST /api/jobs HTTP/1.1", "Transfer-Encoding: gzip, chunked")
    + b"0\r\n\r\n",
    "twice chunked": head("POST /api/jobs HTTP/1.1", "Transfer-Encoding: chunked, chunked"),
    "bad chunk": CHUNKED + b"zz\r\n",
    "bad chunk after a good one": CHUNKED + b"1\r\n#\r\nzz\r\n",
    "negative chunk": CHUNKED + b"-1\r\n\r\n",
    "huge chunk": CHUNKED + b"ffffffffffffffff\r\n#",
    "long chunk line": CHUNKED + b"1;" + b"a" * (1 << 20),
    "cut body": head("POST /api/jobs HTTP/1.1", "Content-Length: 100") + b"#",
    "cut form": head(
        "POST /variant HTTP/1.1",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Length: 100",
    )
    + b"--x\r\n",
    "folded": head("GET / HTTP/1.1", "X: 1", " 2", "Connection: close"),
    "escapes": head("GET /%00%ff%0d%0a HTTP/1.1", "Connection: close"),
    "body of GET": head("GET / HTTP/1.1", "Content-Length: 3", "Connection: close") + b"abc",
    "two hosts": head("GET / HTTP/1.1", "Host: 127.0.0.1"),
    "expect": head("POST /api/jobs HTTP/1.1", "Expect: 100-continue", "Content-Length: 9"),
}


def test_wrong_http_ends_its_connection_without_a_word_on_stderr(served, counted, trials):
    chance = random.Random(1)
    for request in ODD.values():
        for trial in range(trials):
            cut = request if trial == 0 else request[: chance.randrange(len(request) + 1)]
            answer = served.ask(cut, ends=True)
            assert b"Traceback" not in answer
            assert not answer.startswith(b"HTTP/1.1 500"), (cut[:200], answer)
    assert served.ask(ODD["pipelined"]).count(b"HTTP/1.1 200 OK") == 21
    assert served.ask(GET).startswith(b"HTTP/1.1 200 OK")
    assert served.printed() == ""
    counted("wrong HTTP", "no traceback, no 500, next request answered", len(ODD) * trials)


def test_head_has_the_headers_of_get_and_no_body(served):
    for path in ("/", "/variant", "/model", "/api", "/api/model", "/static/app.js", "/nowhere"):
        got = served.ask(head(f"GET {path} HTTP/1.1", "Connection: close"))
        headers, _, body = got.partition(b"\r\n\r\n")
        only, _, nothing = served.ask(head(f"HEAD {path} HTTP/1.1", "Connection: close")).partition(
            b"\r\n\r\n"
        )
        assert (body != b"", nothing) == (True, b"")
        dateless = [
            {line for line in text.split(b"\r\n") if not line.startswith(b"date:")}
            for text in (headers, only)
        ]
        assert dateless[0] == dateless[1], path
    assert served.printed() == ""


@pytest.mark.parametrize(
    "how", ["nothing", "half a head", "head byte by byte", "body byte by byte"]
)
def test_a_slow_request_is_closed(served, counted, how):
    count = 20
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(served.connect()) for _ in range(count)]
        start = {
            "half a head": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            "body byte by byte": head("POST /api/jobs HTTP/1.1", "Content-Length: 9999"),
        }.get(how, b"")
        for connection in slow:
            connection.sendall(start)
            connection.settimeout(0.01)
        waiting = set(slow)
        while waiting and time.monotonic() - began < 30:
            for connection in list(waiting):
                with contextlib.suppress(TimeoutError):
                    try:
                        if how.endswith("byte by byte"):
                            connection.sendall(b"a")
                        if connection.recv(1 << 16) == b"":
                            waiting.discard(connection)
                    except ConnectionError:
                        waiting.discard(connection)
        assert not waiting
    assert served.page_seconds() < WIDE_S
    assert served.printed() == ""
    counted("slow requests", "closed in time, pages answered", count)


def test_many_connections_do_not_keep_others_out(served, counted):
    with contextlib.ExitStack() as stack:
        for number in range(300):
            connection = stack.enter_context(served.connect())
            connection.sendall(b"GET / HTTP/1.1\r\n" if number % 2 else b"")
            if number % 50 == 0:
                assert served.page_seconds() < WIDE_S
        assert served.page_seconds() < WIDE_S
    assert served.printed() == ""
    counted("idle connections", "pages answered", 300)


def test_tiny_chunks_and_endless_bodies_do_not_stop_the_pages(served, counted):
    """A chunk of one byte takes 50 microseconds: 256 KiB of them once stopped all for seconds."""
    tiny = CHUNKED + b"1\r\na\r\n" * 200_000
    endless = head("POST /api/jobs HTTP/1.1", "Content-Length: 1000000000000") + b"x" * (100 * MIB)
    answers = []
    threads = [
        threading.Thread(target=lambda sent=sent: answers.append(served.ask(sent)))
        for sent in (tiny, endless) * 3
    ]
    for thread in threads:
        thread.start()
    slowest = max(served.page_seconds() for _ in range(10))
    for thread in threads:
        thread.join(60)
    assert slowest < WIDE_S
    assert len(answers) == len(threads)  # the server closed each before its end
    assert all(answer[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 413") for answer in answers)
    lines = [b"chr1\t%d\t.\tA\tC\t.\t.\t.\n" % (1000 + number) for number in range(5_000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)
    assert b" 400 " not in served.ask(CHUNKED + chunks + b"0\r\n\r\n", ends=True)[:20]
    assert served.printed() == ""
    counted("tiny chunks and endless bodies", "closed; pages answer", len(threads))


def test_a_body_of_two_lengths_is_refused(served):
    """A proxy that uses the other length would take a part of the body for a request."""
    smuggled = head("GET /variant HTTP/1.1")
    answer = served.ask(
        head(
            "POST /api/predict HTTP/1.1",
            f"Content-Length: {5 + len(smuggled)}",
            "Transfer-Encoding: chunked",
        )
        + b"0\r\n\r\n"
        + smuggled
    )
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Content-Length and Transfer-Encoding; send one" in answer


def test_an_answer_that_nobody_reads_is_given_up(served, counted):
    with contextlib.ExitStack() as stack:
        readers = []
        for _ in range(4):
            connection = stack.enter_context(served.connect())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                connection.sendall(head("GET /api/openapi.json HTTP/1.1") * 400)
            readers.append(connection)
        folder = Path(f"/proc/{served.process.pid}/fd")
        ends = time.monotonic() + 30
        while time.monotonic() < ends and sockets_in(folder) > 1:
            time.sleep(0.2)
        assert sockets_in(folder) <= 1
    assert served.page_seconds() < WIDE_S
    assert served.printed() == ""
    counted("answers that nobody reads", "closed in time", 4)


def sockets_in(folder: Path) -> int:
    """Return the TCP sockets of a process, its event loop's pair excluded."""
    names = []
    for link in folder.iterdir():
        with contextlib.suppress(OSError):
            names.append(os.readlink(link))
    return sum(name.startswith("socket:") for name in names) - 2


def test_missing_descriptors_are_one_line_and_the_server_goes_on(served, counted):
    _, most = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (40, most))
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(served.connect())
        time.sleep(1.5)
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (min(1024, most), most))
    time.sleep(1.5)
    assert served.page_seconds() < WIDE_S
    line = "bioq serve: the server has too many open files; try again in some seconds\n"
    assert served.printed() == line
    counted("no free descriptor", "one line, the server goes on", 100)


UPLOADS = {
    "# lines": b"#\n" * (63 * MIB),
    "contigs": b"##contig=<ID=a,length=5,assembly=hg19,x=y,z=1>\n" * 190_000,
    "one line": b"x" * (126 * MIB),
    "columns": (b"#CHROM\tPOS\tID\tREF\tALT" + b"\t1\tA" * MIB + b"\n") * 30,
}


def test_pages_are_answered_while_uploads_are_checked(served, counted):
    served.page_seconds()
    bodies = [gzip.compress(text, 1) for text in UPLOADS.values()]
    statuses: list[int] = []

    def upload(body: bytes) -> None:
        answer = httpx2.post(f"{served.address}/api/jobs", content=body, timeout=120)
        assert (answer.status_code == 429) == ("retry-after" in answer.headers)
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=upload, args=[bodies[n % 4]]) for n in range(41)]
    for thread in threads:
        thread.start()
    times = []
    while any(thread.is_alive() for thread in threads):
        times.append(served.page_seconds())
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert len(statuses) == 41
    assert set(statuses) == {422, 429}
    assert max(times) < WIDE_S, sorted(times)[-5:]
    assert served.printed() == ""
    counted("uploads that cost time, 41 at once", "422 or 429, pages answered", 41)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_honest_requests_lose_nothing_among_hostile_ones(trained, counted):
    script = Path(__file__).parents[2] / "benchmarks" / "serve_hostile.py"
    done = subprocess.run(
        [sys.executable, script, "--tiny", "--run", trained.run],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted("honest among hostile requests", "answered, right numbers (wrk)", 1)

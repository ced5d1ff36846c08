"""A local web server for downloads, with the faults that a test chooses."""

import contextlib
import http.server
import random
import re
import threading
import time
from dataclasses import dataclass, field

import pytest

CONTENT = random.Random(0).randbytes(5000)


@dataclass
class Site:
    """What the server serves, how it fails, and what it was asked."""

    content: bytes = CONTENT
    """The file at every address that `files` does not have."""
    files: dict[str, bytes | None] = field(default_factory=dict)
    """Path of an address -> its file; None: status 404."""
    etag: str | None = '"first"'
    takes_ranges: bool = True
    gives_length: bool = True
    break_after: list[int] = field(default_factory=list)
    """For each answer in turn, after how many bytes the connection ends."""
    statuses: list[int] = field(default_factory=list)
    """Statuses to answer with before it behaves."""
    ranges: list[str | None] = field(default_factory=list)
    """The Range header of every request."""
    paths: list[str] = field(default_factory=list)
    """The path of every request."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """The headers of every request."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path of an address -> the address to which it redirects."""
    extra_length: int = 0
    """Bytes that the server announces and does not send."""
    pause_s: float = 0.0
    """The time before every answer."""
    url: str = ""

    @property
    def server(self) -> str:
        """The address without a path: http://127.0.0.1:PORT."""
        return self.url.partition("/files/")[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        path = self.path.partition("?")[0]
        site.ranges.append(self.headers.get("Range"))
        site.paths.append(path)
        site.headers.append(dict(self.headers))
        time.sleep(site.pause_s)
        content = site.files.get(path, site.content)
        if site.statuses:
            self.send_error(site.statuses.pop(0))
        elif path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[path])
            self.end_headers()
        elif content is None:
            self.send_error(404)
        else:
            self._send(site, content)

    def _send(self, site, content):
        start = self._start(site)
        if start > 0 and start >= len(content):
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            end = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(content)}")
        if site.gives_length:
            self.send_header("Content-Length", str(len(body) + site.extra_length))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        self.wfile.write(body[: site.break_after.pop(0)] if site.break_after else body)

    def _start(self, site):
        ranges, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if not ranges or not site.takes_ranges or (condition and condition != site.etag):
            return 0
        return int(re.fullmatch(r"bytes=(\d+)-", ranges)[1])

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    with _running() as site:
        yield site


@pytest.fixture
def other_site():
    with _running() as site:
        yield site


@contextlib.contextmanager
def _running():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.site = Site(url=f"http://127.0.0.1:{server.server_port}/files/bundle.tar.gz")
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.site
    server.shutdown()
    thread.join()
    server.server_close()

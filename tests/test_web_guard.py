"""What stands before every request: sizes, whose it is, headers; and that all is escaped."""

import html
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from bioq.runs.trained_model import TrainedModel
from bioq.web import Service, create_app, open_service, pages
from bioq.web.guard import HEADERS
from bioq.web.limits import Limits
from bioq.web.queue import Busy

EVIL = "<script>alert('1')</script>\"><img/src=x>"
MIB = 1 << 20
SEQUENCE = "ACGT" * 50


@pytest.fixture
def small(service: Service) -> Iterator[TestClient]:
    """A server that takes bodies of 1 MiB."""
    app = create_app(replace(service, limits=Limits(body_bytes=MIB)))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def pieces(size: int) -> Iterator[bytes]:
    """Yield a body of which nobody says the length beforehand."""
    yield b'{"sequences": [{"name": "a", "sequence": "'
    for _ in range(size >> 16):
        yield b"A" * (1 << 16)
    yield b'"}]}'


# Sizes.


@pytest.mark.parametrize("path", ["/api/predict", "/api/jobs", "/sequence", "/variant"])
@pytest.mark.parametrize("is_said", [True, False])
def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(small, path, is_said):
    kind = "application/json" if path == "/api/predict" else "application/x-www-form-urlencoded"
    body = b"".join(pieces(2 * MIB)) if is_said else pieces(2 * MIB)
    answer = small.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 413
    assert "the request is larger than 1 MiB; send less" in answer.text
    is_page = answer.headers["content-type"].startswith("text/html")
    assert is_page == (not path.startswith("/api/"))


def test_a_large_upload_is_refused_before_it_is_read(small):
    def never() -> Iterator[bytes]:
        yield from ()
        pytest.fail("it was read")

    headers = {"Content-Length": str(50 * MIB), "Content-Type": "application/octet-stream"}
    assert small.post("/api/jobs", content=never(), headers=headers).status_code == 413


def test_a_body_below_the_bound_is_taken(small):
    body = {"sequences": [{"name": "a", "sequence": "A" * (MIB >> 7)}]}
    assert small.post("/api/predict", json=body).status_code == 422  # too many windows, not bytes


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "²", "1 2", ""])
def test_a_length_that_is_no_number_is_refused(small, length):
    headers = {"Content-Length": length.encode("latin-1")}
    answer = small.post("/api/jobs", content=b"x", headers=headers)
    assert answer.status_code == 400


def test_a_length_of_any_number_of_digits_is_only_too_large(small):
    headers = {"Content-Length": "9" * 5000}
    assert small.post("/api/jobs", content=b"x", headers=headers).status_code == 413


@pytest.mark.parametrize("length", [1, 10_000])
def test_a_wrong_length_harms_nobody_else(address, length):
    """On the wire: a body that is longer or shorter than it says."""
    parts = urlsplit(address)
    body = b'{"sequences": []}'
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(
            f"POST /api/predict HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json"
            f"\r\nContent-Length: {length}\r\n\r\n".encode()
            + body
        )
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(30)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert b"200 OK" not in answer
    assert b"Traceback" not in answer
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(
            f"GET /api/model HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


# Whose request it is.


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 422),  # a program
        ({"Sec-Fetch-Site": "same-origin"}, 422),
        ({"Sec-Fetch-Site": "none"}, 422),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),  # another port of this machine
        ({"Origin": "http://127.0.0.1"}, 422),
        ({"Origin": "http://127.0.0.1:81"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/sequence", "/variant", "/api/jobs"])
def test_only_our_own_pages_and_programs_may_ask_for_work(client, path, headers, status):
    answer = client.post(path, content=b"", headers=headers)
    assert answer.status_code == status


def test_another_site_may_not_delete_but_may_link_here(client, service):
    job = service.predict_job(service.read_sequences(SEQUENCE, pad=False))
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert client.delete(f"/api/jobs/{job.id}", headers=foreign).status_code == 403
    assert service.jobs.find(job.id) is job
    assert client.get("/", headers=foreign).status_code == 200


def test_no_answer_allows_another_site_to_read_it(client):
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = client.request(method, "/api/model", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.9", ""])
def test_a_foreign_host_name_is_refused(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_the_names_of_this_machine_are_answered(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


# Headers and errors.


@pytest.fixture
def broken(service: Service, monkeypatch) -> Iterator[TestClient]:
    """A server in which the Sequence page and the API's model fail."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret /home/me/run")

    monkeypatch.setattr(pages.sequence, "_examples", fail)
    monkeypatch.setattr("bioq.web.api._evaluation", fail)
    app = create_app(service)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/api/model"])
def test_an_unexpected_error_says_nothing_of_the_inside(broken, path):
    answer = broken.get(path)
    assert answer.status_code == 500
    for word in ("secret", "RuntimeError", "Traceback", "/home", ".py"):
        assert word not in answer.text
    assert "unexpected error in the server; see its terminal" in answer.text


def test_every_kind_of_answer_has_the_headers(client, small, service, monkeypatch, request):
    answers = [
        client.get("/"),
        client.get("/static/app.js"),
        client.get("/static/page.css"),
        client.get("/nowhere"),
        client.get("/static/../../etc/passwd"),
        client.put("/"),
        client.get("/", headers={"Host": "evil.example"}),
        client.post("/sequence", data={"text": SEQUENCE}, follow_redirects=False),
        client.post("/sequence", data={"text": "?"}),
        client.post("/sequence", headers={"Sec-Fetch-Site": "cross-site"}),
        client.get("/api/model"),
        client.post("/api/predict", json={}),
        client.post("/api/jobs", headers={"Content-Length": "abc"}),
        small.post("/api/jobs", content=bytes(2 * MIB)),
        client.get(client.post("/sequence", data={"text": SEQUENCE}).url.path + "/result.tsv"),
    ]
    with monkeypatch.context() as busy:
        busy.setattr(service.queue, "predict", lambda codes: (_ for _ in ()).throw(Busy("busy")))
        answers.append(client.post("/sequence", data={"text": SEQUENCE}))
        answers.append(
            client.post("/api/predict", json={"sequences": [{"name": "a", "sequence": SEQUENCE}]})
        )
    broken = request.getfixturevalue("broken")
    answers += [broken.get("/"), broken.get("/api/model")]
    result = {answer.status_code for answer in answers}
    assert result == {200, 303, 400, 403, 404, 405, 413, 422, 429, 500}
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value], (answer.status_code, answer.url, name)
        assert "server" not in answer.headers
        assert (answer.status_code == 429) == ("retry-after" in answer.headers)


def test_the_policy_allows_nothing_inline_and_no_other_server():
    policy = dict(
        part.strip().partition(" ")[::2] for part in HEADERS["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert not re.search("unsafe|http|[*]", HEADERS["Content-Security-Policy"])


# Everything shown is escaped.


@pytest.fixture(scope="module")
def evil(trained, genome) -> Iterator[tuple[TestClient, Service]]:
    """A server whose run and targets, names and columns, are all markup."""
    with open_service(trained.run, genome) as service:
        targets = service.targets.copy()
        targets["name"] = [EVIL, f"2{EVIL}"]
        targets["cell"] = [f"c{EVIL}", f"d{EVIL}"]
        model = TrainedModel(service.model.network, targets=targets, config=service.model.config)
        bad = replace(service, model=model, run=f"run{EVIL}")
        with TestClient(create_app(bad), base_url="http://127.0.0.1") as client:
            yield client, bad


def links_of(page: str) -> set[str]:
    """Return the addresses on this server that a page leads to, without what is changed there."""
    result = {html.unescape(link) for link in re.findall(r'(?:href|src|action)="([^"]*)"', page)}
    return {link.partition("#")[0] for link in result if link[:1] in ("/", "?")}


def test_no_page_that_can_be_reached_holds_what_somebody_wrote_as_markup(evil):
    client, _ = evil
    name = EVIL.replace(" ", "")
    region = "chr1:2481-2520"
    starts = ["/", "/variant", "/model", "/api"]
    posts = [
        ("/sequence", {"data": {"text": f">{name}\n{SEQUENCE}\n>x{name}\n{SEQUENCE}"}}),
        ("/sequence", {"data": {"text": region}}),
        ("/sequence", {"data": {"text": EVIL}}),
        ("/sequence", {"data": {"text": f">{name}\nJ{name}"}}),
        ("/sequence", {"data": {"text": f"{name}:1-2"}}),
        ("/variant", {"data": {"text": EVIL}}),
        ("/variant", {"data": {"text": "chr1 5 <img> A C,<script>\nchr1 5 <b> N <x>"}}),
        ("/variant", {"data": {"text": "chr1 2501 <script>alert(1)</script> A C,G,T"}}),
        (
            "/variant",
            {"files": {"vcf": (EVIL.replace('"', "'"), b"chr1\t5\t<b>\tA\tC,<img>\n" * 2)}},
        ),
        ("/variant", {"files": {"vcf": ("x", b"<script>\n")}}),
    ]
    seen: dict[str, str] = {}
    for path, fields in posts:
        answer = client.post(path, **fields)
        seen[f"{path} {fields}"] = answer.text
        if answer.history:
            starts.append(answer.url.path)
            job = answer.url.path
            if path == "/sequence":
                mutated = client.post(f"{job}/mutagenesis", data={"window": "1", "target": "0"})
                assert mutated.status_code == 200, mutated.text
                starts.append(mutated.url.path)
    starts += [f"/jobs/{EVIL}", f"/{EVIL}", f"/jobs/x/result.{EVIL}", f"/?example={EVIL}"]
    starts += [f"{job}?q={EVIL}&sort={EVIL}&page={EVIL}&window={EVIL}" for job in starts[4:8]]
    waiting = list(starts)
    while waiting and len(seen) < 300:
        path = waiting.pop()
        if path in seen:
            continue
        answer = client.get(path)
        kind = answer.headers["content-type"]
        assert answer.status_code < 500, path
        seen[path] = answer.text if kind.startswith(("text/html", "image/svg")) else ""
        base = urlsplit(path).path
        waiting += [base + link if link[0] == "?" else link for link in links_of(seen[path])]
    shown = "".join(seen.values())
    assert html.escape("<script>alert('1')</script>") in shown or "&lt;script&gt;" in shown
    assert len(seen) > 25
    for path, page in seen.items():
        for tag in ("<script>", "<img/", "<img>", "alert('1')</script", "<x>"):
            assert tag not in page, (path, tag)
        opened = set(re.findall(r"<script[^>]*>", page))
        assert opened <= {'<script type="module" src="/static/app.js">'}, path


def test_a_job_that_failed_shows_its_words_escaped(evil):
    client, service = evil
    job = service.score_job([], 0, EVIL)
    job.future.exception(30)
    page = client.get(f"/jobs/{job.id}").text
    assert "<script>alert" not in page

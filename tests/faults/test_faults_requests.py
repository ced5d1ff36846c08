"""Requests of strangers: odd values in every place of every route, and bodies made to stop it."""

from __future__ import annotations

import itertools
import json
import random
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TRIALS, Counted
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from pydantic import ValidationError
from web_fixtures import quoted

import bioq.web
from bioq.errors import BioqError
from bioq.web.bodies import parse_json
from bioq.web.schemas import PredictRequest

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REQUESTS = 100
"""Requests per kind of place and trial."""
MOST_SECONDS, WIDE_SECONDS = 2.0, 20.0
"""0.1 s on an idle machine (docs/how-to/serve.md); the tests may run beside other work."""
MOST_MEMORY = 50_000_000
CHARSETS = ["none", "undefined", "utf-7", "utf-16", "idna", "hex", "rot13", "latin-1", "utf-8"]
ODD = [
    "", " ", "0", "-0", "-1", "1.0", "1e3", "1e400", "+1", "1_0", "0x1", "01", "00000000199",
    "00000000001", "9" * 18, "9" * 19, "1" * 5000, "٣", "²", "１", "nan", "NaN", "inf", "Infinity",
    "true", "null", "None", "\0", "\n", "\ud7ff", "%00", "%", "..", "../..", "a/b", "*a" * 100,
    "[", "=1+1", "x" * 300, "é", "😀", "<b>",
]  # fmt: skip
"""Texts in the place of a number, an id, a name or an ending."""
OK = {200, 202, 204, 303, 307, 400, 404, 405, 413, 414, 415, 422}
NUMBERS = [
    "0", "-0", "-1", "1.0", "1e400", "-1e400", "1e-400", "1" * 19, "1" * 5000, "1." + "1" * 5000,
    "NaN", "Infinity", "-Infinity", "true", "null", "[]", "{}", '"1"', '"٣"', '"\\ud800"', '""',
    '"\\u0000"', "1_0", "01", "+1", ".5", "0x1", "[[1]]", '{"a": 1}',
]  # fmt: skip
"""JSON, or almost, in the place of a value."""


def _routes(client: TestClient) -> Iterator[tuple[str, str]]:
    """Yield (method, path) of every route of the application."""

    app: Any = client.app
    assert isinstance(app, FastAPI)
    for route in iter_route_contexts(app.routes):
        for method in sorted(getattr(route, "methods", None) or ["GET"]):
            yield method, str(route.path) or "/"


def _names() -> list[str]:
    """Return the names of all fields and parameters that the sources of the server read."""
    source = "".join(file.read_text() for file in Path(bioq.web.__file__).parent.rglob("*.py"))
    names = {*re.findall(r'\.get\("(\w+)"', source), *re.findall(r'"(\w+)" in form', source)}
    assert {"window", "target", "page", "text", "vcf", "pad", "span"} <= names
    return sorted(names | {"score_swapped"})


Ask = tuple[str, str, dict[str, Any]]
"""Method, address and further arguments of a request."""


def _parts(client: TestClient, jobs: list[str]) -> Iterator[Ask]:
    for method, path in _routes(client):
        parts = re.findall(r"{(\w+)(?::\w+)?}", path)
        for name, odd, id in itertools.product(parts, ODD, jobs):
            given = {"id": id, "number": "1", "ending": "tsv", "path": "page.css"}
            given[name] = quoted(odd)
            if method != "DELETE" or name == "id":
                address = re.sub(r"{(\w+)(?::\w+)?}", lambda part, at=given: at[part[1]], path)
                yield method, address, {}


def _parameters(client: TestClient, jobs: list[str]) -> Iterator[Ask]:
    for method, path in _routes(client):
        if method == "DELETE":
            continue
        for id, name, odd in itertools.product(jobs if "{id}" in path else [""], _names(), ODD):
            address = path.replace("{id}", id).replace("{number}", "2").replace("{ending}", "tsv")
            yield method, f"{address}?{name}={quoted(odd)}", {}
            yield method, f"{address}?{name}={quoted(odd)}&{name}=1", {}


def _forms(client: TestClient, jobs: list[str]) -> Iterator[Ask]:
    for method, path in _routes(client):
        if method != "POST" or "cancel" in path:
            continue
        for name, odd in itertools.product(_names(), ODD):
            fields = {"window": "1", "target": "0", "span": "bin"} | {name: odd}
            address = path.replace("{id}", jobs[0])
            yield method, address, {"data": fields}
            yield method, address, {"files": {key: (None, fields[key]) for key in fields}}
    for charset, boundary in itertools.product([*ODD, *CHARSETS], ["XX", "X" * 300, '"', ""]):
        body = b'--XX\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n--XX--\r\n'
        kind = f"multipart/form-data; boundary={boundary}; charset={charset}"
        if kind.isprintable():
            yield "POST", "/variant", {"content": body, "headers": {"Content-Type": kind.encode()}}


def _json(client: TestClient, jobs: list[str]) -> Iterator[Ask]:
    good = {
        "predict": {"regions": ["chr1:1-40"], "targets": ["first"], "pad": True},
        "variants": {"variants": ["chr1:5:A>C"], "targets": ["first"], "score_swapped": True},
        "mutagenesis": {"region": "chr1:1-40", "target": "first", "span_bp": 4},
        "attribution": {"variant": "chr1:5:A>C", "target": "first", "span_bp": 4},
    }
    for what, fields in good.items():
        for name, odd in itertools.product(fields, [*NUMBERS, *map(json.dumps, ODD)]):
            others = json.dumps({key: fields[key] for key in fields if key != name})[1:-1]
            for value in (odd, f"[{odd}]"):
                body = f'{{"{name}": {value}, {others}}}'.encode("utf-8", "surrogatepass")
                yield "POST", f"/api/{what}", {"content": body, "headers": JSON}


@pytest.mark.parametrize("kind", [_parts, _parameters, _forms, _json])
def test_odd_values_are_refused_or_answered(
    client: TestClient,
    jobs: list[str],
    kind: Callable[[TestClient, list[str]], Iterator[Ask]],
    trials: int,
    counted: Counted,
) -> None:
    asks = list(kind(client, jobs))
    chosen = random.Random(0).sample(asks, min(len(asks), REQUESTS * trials))
    for method, address, more in chosen:
        answer = client.request(method, address, follow_redirects=False, **more)
        assert answer.status_code in OK, (method, address, more, answer.text)
        if "/api/" in address and answer.status_code >= 400 and method != "HEAD":
            (line,) = answer.json().values()
            assert "\n" not in line
    counted("odd values in requests", "answered, or refused in one line", len(chosen))
    assert client.post("/api/predict", json={"regions": ["chr1:1-40"]}).status_code == 200


def _filled(size: int, pattern: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    return before + pattern * (size // len(pattern)) + after


def _hostile_json(size: int) -> Iterator[bytes]:
    """Yield bodies of about `size` bytes."""
    yield _filled(size, b"1,", b'{"regions": [', b"1]}")
    yield _filled(size, b'"chr1:1-2",', b'{"regions": [', b'"chr1:1-2"]}')
    yield _filled(size, b'"chr1:5:A>C",', b'{"variants": [', b'"chr1:5:A>C"]}')
    yield _filled(size, b'{"name":"a","sequence":"A"},', b'{"pad":true,"sequences":[', b"{}]}")
    yield _filled(size, b'"*",', b'{"regions":["chr1:1-40"],"targets":[', b'"*"]}')
    yield from (_filled(size, pattern) for pattern in (b"[", b'{"a":', b'"', b'\\"', b'"\\"', b" "))
    yield _filled(size, b'"pad":true,', b"{", b'"pad":true}')
    yield b"{" + b",".join(b'"k%d":1' % number for number in range(size // 12)) + b"}"
    yield from (
        _filled(size, b"1", before, b"}") for before in (b'{"pad": ', b'{"pad": 1.', b'{"a":-')
    )
    for pattern in (b"x", b"A", b"\\u0000", b'\\"', b"1:", b"*a", b"\xff", b"\xe2\x80\xa8"):
        yield _filled(size, pattern, b'{"regions": ["', b'"]}')
        yield _filled(size, pattern, b'{"sequences":[{"name":"a","sequence":"', b'!"}]}')
        yield _filled(size, pattern, b'{"variants": ["chr1 5 . A ', b'"]}')
    yield _filled(size, "1,".encode("utf-16-le"), '{"regions": ["\u2222",'.encode("utf-16-le"))


def _hostile_forms(size: int) -> Iterator[bytes]:
    yield from (_filled(size, pattern) for pattern in (b"a&", b"a=1&", b"%", b"="))
    for pattern in (
        b"<", b"%0a", b"A%0a", b"A+", b"%3ea%0aA%0a", b"%3e%0a", b"chr1:1-2%0a", b"ACGTT",
        b"%23%0a", b"chr1:5:A>C%0a", b"##contig=%3cID=1,length=1>%0a", b"%c2%b2", b"1+", b"C,",
    ):  # fmt: skip
        yield _filled(size, pattern, b"pad=1&text=")
        yield _filled(size, pattern, b"text=chr1+5+.+A+", b"!")


@pytest.mark.parametrize("size", [1 << 16, 1 << 20, 4 << 20, 16 << 20][:: 1 if TRIALS > 1 else 2])
def test_hostile_bodies_end_soon_and_in_little_memory(
    client: TestClient, size: int, trials: int, counted: Counted
) -> None:
    asks = [
        *(("/api/predict", body, JSON) for body in _hostile_json(size)),
        *(("/api/variants", body, JSON) for body in _hostile_json(size)),
        *(
            (page, body, FORM)
            for page in ("/sequence", "/variant")
            for body in _hostile_forms(size)
        ),
    ]
    if trials == 1:
        asks = random.Random(size).sample(asks, 12)
    for path, body, kind in asks:
        started = time.perf_counter()
        answer = client.post(path, content=body, headers=kind)
        seconds = time.perf_counter() - started
        where = path, body[:60], answer.text[:200]
        assert answer.status_code in {200, 400, 413, 422}, where
        # 4,680 alleles on the page Variant are not hostile: they are scored, which takes seconds.
        assert seconds < (WIDE_SECONDS if answer.status_code == 200 else MOST_SECONDS), (
            seconds,
            where,
        )
    counted("bodies made to stop the server", "refused soon, in little memory", len(asks))


def test_a_body_takes_little_memory_until_it_is_refused(client: TestClient) -> None:
    limits = client.app.state.service.limits  # type: ignore[attr-defined]
    for body in _hostile_json(4 << 20):
        tracemalloc.start()
        try:
            with pytest.raises(BioqError):
                PredictRequest.model_validate(parse_json(body, limits))
                raise BioqError("right, or refused by the readers")
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        except ValidationError:
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        finally:
            tracemalloc.stop()

"""Bodies of requests: bounds that hold before objects are made, and what each refusal says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from bioq.errors import BioqError
from bioq.web import Service, create_app
from bioq.web.bodies import json_bytes, parse_json
from bioq.web.limits import Limits

JSON = {"Content-Type": "application/json"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
CELLS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXTS
ITEMS = CELLS | st.lists(CELLS, max_size=3) | st.dictionaries(TEXTS, CELLS, max_size=3)
VALUES = ITEMS | st.lists(ITEMS, max_size=3) | st.dictionaries(TEXTS, ITEMS, max_size=3)


@given(value=st.dictionaries(TEXTS, VALUES, max_size=5), indent=st.sampled_from([None, 1]))
def test_json_is_parsed_as_by_the_library(value: dict[str, Any], indent: int | None) -> None:
    for ascii in (True, False):
        body = json.dumps(value, indent=indent, ensure_ascii=ascii).encode()
        for mark in (b"", b"\xef\xbb\xbf"):
            assert parse_json(mark + body, Limits()) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body is not JSON: Expecting value at character 1"),
        (b"[1]", "the body is not a JSON object; send one, with 'Content-Type: application/json'"),
        (b'{"a": 1,}', "at character "),
        (b'{"pad": true, "pad": false}', "the body has 'pad' twice in one object; send it once"),
        (b'{"a": {"b": 1, "b": 1}}', "'b' twice"),
        (b'{"a": NaN}', "it has NaN, which is not a number in JSON"),
        (b'{"a": -Infinity}', "it has -Infinity"),
        (b'{"a": 1234567890123456789}', "a number of 19 letters; at most 18"),
        (b'{"a": 1.' + b"0" * 5000 + b"}", "a number of 5,002 letters"),
        (b'{"a": "\xff"}', "byte 8 is not UTF-8; send JSON as UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "byte 1 is not UTF-8"),
        (b"[" * 9, "more than 8 brackets inside one another; a request has 3"),
        (b'{"a": [' + b"1," * 10_000, "too many values: a request has at most 200 windows, or 100"),
        (b'"' * 20_000, "too many values"),
        (b'{"a": "' + b'\\"' * 100_000, "Unterminated string starting at character 7"),
    ],
)
def test_a_body_is_refused_at_its_first_fault(body: bytes, says: str) -> None:
    with pytest.raises(BioqError) as error:
        parse_json(body, Limits())
    assert says in str(error.value)
    assert len(str(error.value)) < 200


def test_text_in_another_encoding_cannot_hide_values() -> None:
    """In UTF-16, the letter U+2222 has the bytes of two quotes."""
    body = ('{"a": ["\u2222",' + "1," * 10_000 + "1]}").encode("utf-16-le")
    with pytest.raises(BioqError):
        parse_json(body, Limits())


def test_the_largest_request_is_parsed(client: TestClient, service: Service) -> None:
    limits = service.limits
    assert json_bytes(limits) == 4 << 20
    names = [f"{number:0100d}" for number in range(limits.windows)]
    dna = "ACGT" * (service.window_bp // 4)
    body = {
        "sequences": [{"name": name, "sequence": dna} for name in names],
        "targets": ["f*" + "*" * 198] * 100,
        "pad": False,
    }
    answer = client.post("/api/predict", content=json.dumps(body, indent=4), headers=JSON)
    assert [window["name"] for window in answer.json()["windows"]] == names
    one = {"sequences": [{"name": "a", "sequence": "A" * (2_000_000)}]}
    assert "windows are more than" in client.post("/api/predict", json=one).json()["detail"]


def test_a_body_that_is_too_large_is_refused_while_it_arrives(client: TestClient) -> None:
    pieces = (b" " * (1 << 16) for _ in range(1_000))
    for content in (b" " * (5 << 20), pieces):
        answer = client.post("/api/predict", content=content, headers=JSON)
        assert answer.status_code == 413
        assert "MiB; send less" in answer.json()["detail"]


def test_only_the_first_fault_of_a_request_is_told(client: TestClient) -> None:
    body = {"regions": [1, 2, 3], "pad": 1, "x": 1}
    detail = client.post("/api/predict", json=body).json()["detail"]
    assert detail == "regions[0]: should be a valid string, found 1"
    detail = client.post("/api/predict", json={"regions": "x" * 1_000_000}).json()["detail"]
    assert len(detail) < 200


@pytest.mark.parametrize(
    ("content", "kind", "status", "says"),
    [
        (b"a=1&" * 100, "application/x-www-form-urlencoded", 400, "more than 8 fields"),
        (b"text=A&text=C", "application/x-www-form-urlencoded", 422, "the field &#39;text&#39; tw"),
        (b"text=" + b"%41" * 600_000, "application/x-www-form-urlencoded", 413, "%-escapes"),
        (b"text=" + b"A" * 3_000_000, "application/x-www-form-urlencoded", 413, "the page takes"),
        (b"text=A", "text/plain", 415, "a form is sent as multipart/form-data"),
        (b"x", "multipart/form-data; boundary=X; charset=none", 415, "charset of the form is"),
        (b"x", "multipart/form-data; boundary=X; charset=undefined", 415, "send UTF-8"),
        (b"--X\r\n\r\n", "multipart/form-data; boundary=X", 400, "the form cannot be read"),
        (b"x", "multipart/form-data", 400, "the form cannot be read"),
    ],
)
def test_a_form_is_refused_with_the_reason(
    client: TestClient, content: bytes, kind: str, status: int, says: str
) -> None:
    for page in ("/sequence", "/variant"):
        answer = client.post(page, content=content, headers={"Content-Type": kind})
        assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_a_content_type_that_takes_long_to_read_is_refused(client: TestClient) -> None:
    for path in ("/sequence", "/variant", "/api/predict"):
        kind = "multipart/form-data" + ";" * 60_000
        answer = client.post(path, content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert "Content-Type has 60,019 letters; it has at most 500" in answer.text


def test_an_address_with_a_long_query_is_refused(client: TestClient) -> None:
    assert client.get("/?" + "a&" * 2_000).status_code == 200
    answer = client.get("/?" + "a&" * 20_000)
    assert (answer.status_code, answer.json()["detail"]) == (
        414, "the query has more than 4096 letters",
    )  # fmt: skip


def test_a_form_has_no_more_files_and_fields_than_the_pages_send(client: TestClient) -> None:
    files = [("vcf", ("a.vcf", b"x")), ("other", ("b.vcf", b"x"))]
    assert client.post("/variant", files=files).status_code == 400
    assert client.post("/sequence", files=files[:1]).status_code == 400
    fields = {f"x{number}": (None, "1") for number in range(9)}
    assert client.post("/variant", files=fields).status_code == 400
    large = {"text": (None, "A" * 3_000_000)}
    assert "2 MiB of text" in client.post("/sequence", files=large).text


def test_text_has_bounds_on_lines_before_it_is_read(service: Service) -> None:
    limits = replace(service.limits, text_lines=100)
    app = create_app(replace(service, limits=limits))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        page = client.post("/sequence", data={"text": "A\n" * 101})
        assert "the text has 101 lines; the page takes 100" in page.text
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        page = client.post("/sequence", data={"text": ">a\nA\n" * 300, "pad": "1"})
        assert "at least 299 windows are more than the 200" in page.text
        page = client.post("/variant", data={"text": "##a=b\n" * 10_001})
        assert "10,001 lines that begin with #" in page.text


def test_numbers_of_other_alphabets_are_not_skipped_in_a_sequence(client: TestClient) -> None:
    for digit in ("٣", "²", "１"):
        page = client.post("/sequence", data={"text": f"1 ACGT\n{digit} ACGT", "pad": "1"})
        assert page.status_code == 422
        assert "line 2: " in page.text
        assert "is not DNA" in page.text

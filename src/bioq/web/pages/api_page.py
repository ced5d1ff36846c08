"""The page of the API, made from the OpenAPI description, with answers of this server."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response
from starlette.types import Message

from bioq.web.examples import Example, examples
from bioq.web.pages.render import render
from bioq.web.request import service_of

router = APIRouter()

_MOST_ITEMS = 4
_MOST_LETTERS = 400
_MOST_SECONDS = 60.0


@dataclass(frozen=True)
class Exchange:
    """An example request and the server's answer."""

    curl: str
    status: int
    answer: str


@dataclass(frozen=True)
class Field:
    """A field of a request or of an answer."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Operation:
    """An operation of the API."""

    method: str
    path: str
    meaning: str
    request_fields: list[Field]
    answer_fields: list[Field]
    exchanges: list[Exchange]


@router.get("/api")
async def show(request: Request) -> Response:
    """Show every operation with a command to copy and its answer."""
    app: FastAPI = request.app
    answers = getattr(app.state, "answers", None)
    if answers is None:
        answers = [answer async for answer in _answers(app)]
        if all(
            status < 429 for _, status, _ in answers
        ):  # else the server was busy: the next visitor tries again
            app.state.answers = answers
    address = str(request.base_url).rstrip("/")
    exchanges: dict[tuple[str, str], list[Exchange]] = {}
    for example, status, answer in answers:
        exchange = Exchange(example.curl(address), status, answer)
        exchanges.setdefault((example.method, example.path), []).append(exchange)
    openapi = app.openapi()
    operations = [
        _operation(openapi, method.upper(), path, exchanges)
        for path, methods in openapi["paths"].items()
        for method in methods
    ]
    return render(
        request,
        "api.html.j2",
        here="/api",
        operations=operations,
        refusals=_refusals(openapi),
        limits=service_of(request).limits,
    )


async def _answers(app: FastAPI) -> Any:
    """Send every example, in order; yield (example, status, answer as text)."""
    service = app.state.service
    id = ""
    for example in examples(service):
        if "{id}" in example.path and not id:
            yield example, 404, "(needs a job)"
            continue
        status, body = await _send(app, example, id)
        yield example, status, _shown(body)
        if example.path == "/api/jobs" and status == 202:
            id = json.loads(body)["id"]
            future = asyncio.wrap_future(service.jobs.find(id).future)
            await asyncio.wait([future], timeout=_MOST_SECONDS)


async def _send(app: FastAPI, example: Example, id: str) -> tuple[int, bytes]:
    """Send an example to the application, without a network; return the status and the body."""
    path = example.path.replace("{id}", id)
    media_type = example.media_type.encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": example.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", media_type)],
    }
    status, body, is_sent = 0, b"", False

    async def receive() -> Message:
        nonlocal is_sent
        if is_sent:  # a second call waits until the client disconnects
            await asyncio.Event().wait()
        is_sent = True
        return {"type": "http.request", "body": example.body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await app(scope, receive, send)
    return status, body


def _operation(
    openapi: dict[str, Any],
    method: str,
    path: str,
    exchanges: dict[tuple[str, str], list[Exchange]],
) -> Operation:
    operation = openapi["paths"][path][method.lower()]
    request = operation.get("requestBody", {}).get("content", {})
    success = next(iter(operation["responses"].values())).get("content", {})
    # The examples download one of the tables.
    shown = exchanges.get((method, path.replace("{ending}", "tsv")), [])
    return Operation(
        method,
        path,
        operation["description"],
        [
            *_query_fields(operation),
            *_fields(openapi, request.get("application/json", {}).get("schema", {})),
        ],
        list(_fields(openapi, success.get("application/json", {}).get("schema", {}))),
        shown,
    )


def _query_fields(operation: dict[str, Any]) -> list[Field]:
    """Return the fields in the query of an operation's address."""
    return [
        Field(f"?{field['name']}", f"{field['schema']['type']} (optional)", field["description"])
        for field in operation.get("parameters", [])
        if field["in"] == "query"
    ]


def _fields(openapi: dict[str, Any], schema: dict[str, Any], before: str = "") -> Iterator[Field]:
    """Yield the fields of an object, and the fields of objects inside it."""
    schema = _resolved(openapi, schema)
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        full_name = before + name
        optional = not before and "default" in field and name not in required
        kind = _kind(openapi, field) + (" (optional)" if optional else "")
        inner = _resolved(openapi, field)
        yield Field(full_name, kind, field.get("description") or inner.get("description", ""))
        yield from _fields(openapi, inner, full_name + ".")
        items = _resolved(openapi, inner.get("items", {}))
        yield from _fields(openapi, items, full_name + "[].")


def _resolved(openapi: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that a reference names; of "X or null", the schema X."""
    for option in schema.get("anyOf", []):
        if option.get("type") != "null":
            return _resolved(openapi, option)
    if "$ref" in schema:
        target: dict[str, Any] = openapi["components"]["schemas"][schema["$ref"].split("/")[-1]]
        return target
    return schema


def _kind(openapi: dict[str, Any], schema: dict[str, Any]) -> str:
    or_null = (
        " or null"
        if any(option.get("type") == "null" for option in schema.get("anyOf", []))
        else ""
    )
    resolved = _resolved(openapi, schema)
    if resolved.get("type") == "array":
        return f"list of {_kind(openapi, resolved['items'])}s{or_null}"
    return f"{resolved.get('type', 'object')}{or_null}"


def _refusals(openapi: dict[str, Any]) -> list[tuple[str, str]]:
    """Return every error status and its meaning."""
    meanings = {
        status: response["description"]
        for methods in openapi["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if status >= "400"
    }
    return sorted(meanings.items())


def _shown(body: bytes) -> str:
    """Return an answer as readable text; long lists and long text are shortened, with a mark."""
    text = body.decode("utf-8")
    try:
        text = json.dumps(_cut(json.loads(text)), indent=2, ensure_ascii=False)
    except ValueError:
        return text if len(text) <= _MOST_LETTERS else text[:_MOST_LETTERS] + " …"
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda list_: f"[{' '.join(list_[1].split())}]", text)


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(part) for key, part in value.items()}
    if isinstance(value, list):
        more = [f"… {len(value) - _MOST_ITEMS + 1:,} more"] if len(value) > _MOST_ITEMS else []
        return [_cut(part) for part in (value[: _MOST_ITEMS - 1] if more else value)] + more
    return value

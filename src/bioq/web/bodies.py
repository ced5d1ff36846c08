"""Bodies of requests, bounded before they become objects: JSON of the API, forms of the pages.

A body is counted while it arrives. The tokens of JSON are counted before it is parsed, and the
fields and the escapes of a form before they are decoded, so that the work for a bad request is
bounded, whatever it contains.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Never
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bioq.errors import BioqError, short
from bioq.files.typed import repeated
from bioq.web.guard import BodyTooLarge, declared_bytes
from bioq.web.limits import Limits
from bioq.web.request import service_of
from bioq.web.schemas import MOST_PATTERNS

_TOKENS_PER_ITEM = 8
"""JSON tokens (strings, brackets and commas) of a sequence with its name."""
_SLACK = 4
"""A request with up to this many times the most items is parsed: the readers' message has its
number of items."""
_DEEPEST = 8
"""Levels of brackets; the API uses 3."""
_LEAST_JSON_BYTES = 1 << 20
_MOST_DIGITS = 18
"""Digits of a number; a longer one takes time that grows with the square of its length."""
_MOST_FIELDS = 8
"""Fields of a form; the pages send up to 6."""
_LETTERS_PER_ESCAPE = 8
"""A form has at most one %-escape per this many bytes of text on average."""
_LONGEST_TYPE = 500
"""Letters of Content-Type; a boundary has at most 70 (RFC 2046)."""
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[][{},]', re.DOTALL)
_FORM, _PARTS = b"application/x-www-form-urlencoded", b"multipart/form-data"
_IS_NOT_JSON = "the body is not a JSON object; send one, with 'Content-Type: application/json'"


class JsonRoute(APIRoute):
    """A route whose JSON body is bounded before it is parsed."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_bounded(request: Request) -> Response:
            return await answer(_Parsed(request, await _read_json(request)))

        return answer_bounded


class _Parsed(Request):
    """A request whose JSON body is parsed already."""

    def __init__(self, request: Request, value: dict[str, Any]):
        super().__init__(request.scope, request.receive)
        self._value = value

    async def body(self) -> bytes:
        return b"{}"  # FastAPI parses a body that is not empty

    async def json(self) -> dict[str, Any]:
        return self._value


def json_bytes(limits: Limits) -> int:
    """Return the most bytes of a JSON body: twice the text, for names, blanks and escapes."""
    return max(2 * limits.text_bytes, _LEAST_JSON_BYTES)


def parse_json(body: bytes, limits: Limits) -> dict[str, Any]:
    """Return the object of a JSON body.

    Raises BioqError, at the first fault, for a body that is not UTF-8 or not JSON (NaN is not), for
    more values or levels than any request needs, for a number of more than 18 digits and for a name
    that is twice in an object.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    _count_tokens(body, limits)
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=lambda text: int(_checked_number(text)),
            parse_float=lambda text: float(_checked_number(text)),
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise BioqError(
            f"the body is not JSON: byte {error.start + 1:,} is not UTF-8; send JSON as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise BioqError(
            f"the body is not JSON: {error.msg.rstrip(' at')} at character {error.pos + 1:,}"
        ) from error
    if not isinstance(value, dict):
        raise BioqError(_IS_NOT_JSON)
    return value


@contextlib.asynccontextmanager
async def read_form(request: Request, *, files: int = 0) -> AsyncIterator[FormData]:
    """Yield the fields of a form, and up to `files` files, which are closed at the end.

    Raises HTTPException for another Content-Type, for a charset that is not UTF-8, for a form that
    cannot be read, and for more fields, files or text than the pages send; BioqError for two fields
    of one name.
    """
    limits = service_of(request).limits
    kind, options = _content_type(request)
    if kind == _PARTS:
        charset = options.get(b"charset", b"utf-8")
        if charset.lower() not in (b"utf-8", b"utf8"):
            raise HTTPException(
                415, f"the charset of the form is {short(charset.decode('latin-1'))!r}; send UTF-8"
            )
        form = await _read_parts(request, limits, files)
    elif kind == _FORM:
        form = await _read_fields(request, limits)
    elif not kind:
        form = FormData()
    else:
        raise HTTPException(
            415, f"a form is sent as {_PARTS.decode()} or {_FORM.decode()}; found another type"
        )
    try:
        twice = repeated(name for name, _ in form.multi_items())
        if twice is not None:
            raise BioqError(f"the form has the field {short(twice)!r} twice; send it once")
        yield form
    finally:
        await form.close()


def _content_type(request: Request) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the type of a body and its options. Raises HTTPException for a very long header."""
    text = request.headers.get("content-type", "")
    if len(text) > _LONGEST_TYPE:
        raise HTTPException(
            415, f"Content-Type has {len(text):,} letters; it has at most {_LONGEST_TYPE}"
        )
    return parse_options_header(text)


async def _read_json(request: Request) -> dict[str, Any]:
    kind, _ = _content_type(request)
    if kind != b"application/json" and not kind.endswith(b"+json"):
        raise BioqError(_IS_NOT_JSON)
    limits = service_of(request).limits
    return parse_json(await _received(request, json_bytes(limits)), limits)


async def _received(request: Request, most_bytes: int) -> bytes:
    """Return the body. Raises BodyTooLarge as soon as it has more than `most_bytes`."""
    if declared_bytes(request.headers) > most_bytes:
        raise BodyTooLarge(most_bytes)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most_bytes:
            raise BodyTooLarge(most_bytes)
    return bytes(body)


def _count_tokens(body: bytes, limits: Limits) -> None:
    """Raise BioqError at the first token that is more, or deeper, than any request needs."""
    items = max(limits.windows, limits.direct_alleles)
    most = _SLACK * (_TOKENS_PER_ITEM * items + 2 * MOST_PATTERNS)
    depth = 0
    for count, token in enumerate(_TOKEN.finditer(body), start=1):
        first = body[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > _DEEPEST:
            raise BioqError(
                f"the body has more than {_DEEPEST} brackets inside one another; a request has 3"
            )
        if count > most:
            raise BioqError(
                f"the body has too many values: a request has at most {limits.windows:,} windows, "
                f"or {limits.direct_alleles:,} alleles, and {MOST_PATTERNS} patterns of targets"
            )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = str(repeated(name for name, _ in pairs))
        raise BioqError(f"the body has {short(twice)!r} twice in one object; send it once")
    return result


def _checked_number(text: str) -> str:
    if len(text.removeprefix("-")) > _MOST_DIGITS:
        raise BioqError(f"the body has a number of {len(text):,} letters; at most {_MOST_DIGITS}")
    return text


def _refuse_constant(text: str) -> Never:
    raise BioqError(f"the body is not JSON: it has {text}, which is not a number in JSON")


async def _read_fields(request: Request, limits: Limits) -> FormData:
    most_bytes = 2 * limits.text_bytes
    body = await _received(request, most_bytes)
    if body.count(b"%") > most_bytes // _LETTERS_PER_ESCAPE:
        raise HTTPException(
            413, f"the form has too many %-escapes; send it as {_PARTS.decode()}, which has none"
        )
    try:
        fields = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:
        raise HTTPException(400, f"the form has more than {_MOST_FIELDS} fields") from error
    for _, text in fields:
        if len(text) > limits.text_bytes:
            raise HTTPException(
                413, f"a field has {len(text):,} letters; the page takes {limits.text_bytes:,}"
            )
    return FormData([*fields])


async def _read_parts(request: Request, limits: Limits, files: int) -> FormData:
    try:
        return await request.form(
            max_files=files, max_fields=_MOST_FIELDS, max_part_size=limits.text_bytes
        )
    except BodyTooLarge:
        raise
    except HTTPException as error:
        raise HTTPException(
            400,
            f"the form cannot be read: it is damaged, or has more than {_MOST_FIELDS} fields, "
            f"{files} files or {limits.text_bytes >> 20} MiB of text",
        ) from error

"""Every reader on bytes that are nearly right: it reads them or says one line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_parsers import CORPUS, Parsers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 30 * int(os.environ.get("BIOQ_FAULT_TRIALS", "1"))
NAMES = sorted(folder.name for folder in CORPUS.iterdir() if folder.is_dir())
Counted = Callable[[str, str, int], None]
Edit = tuple[str, float, bytes]


@pytest.fixture(scope="session")
def parsers(tmp_path_factory: pytest.TempPathFactory) -> Parsers:
    return Parsers(tmp_path_factory.mktemp("parsers"))


def seeds(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


def edited(content: bytes, edits: list[Edit]) -> bytes:
    for kind, share, new in edits:
        at = int(share * len(content))
        if kind == "flip" and content:
            bit = content[at] ^ (1 << (new[0] & 7 if new else 0))
            content = content[:at] + bytes([bit]) + content[at + 1 :]
        elif kind == "put":
            content = content[:at] + new + content[at + len(new) :]
        elif kind == "insert":
            content = content[:at] + new + content[at:]
        elif kind == "cut":
            content = content[:at]
        elif kind == "repeat":
            content = content[:at] + content[max(at - 20, 0) :]
    return content


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "put", "insert", "cut", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(max_size=8) | st.sampled_from([b"\t", b"\n", b"-1", b"9" * 20, b"\xff" * 4]),
    ),
    max_size=4,
)


def test_every_reader_has_a_corpus(parsers: Parsers) -> None:
    assert sorted(parsers.named) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_whatever_the_corpus_holds_is_read_or_refused_in_one_line(
    name: str, parsers: Parsers, counted: Counted
) -> None:
    for file in seeds(name):
        parsers.parse(name, file.read_bytes())
    counted("fuzzed inputs that are kept", "read, or refused in one line", len(seeds(name)))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_nearly_right_is_read_or_refused_in_one_line(
    name: str, parsers: Parsers, counted: Counted
) -> None:
    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(file=st.sampled_from(seeds(name)), edits=EDITS)
    def check(file: Path, edits: list[Edit]) -> None:
        parsers.parse(name, edited(file.read_bytes(), edits))

    check()
    counted("files cut, flipped and edited", "read, or refused in one line", EXAMPLES)

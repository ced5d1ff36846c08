"""Tests of bioq.tables.resume: when an output is resumed, and the errors if it is not."""

from pathlib import Path

import pytest

from bioq.errors import BioqError, NotWrittenError, UsageError
from bioq.tables.resume import (
    damaged,
    new_part,
    read_object,
    refuse_interrupted,
    require_identity,
)


def test_an_interrupted_output_needs_the_flag(tmp_path: Path) -> None:
    refuse_interrupted(tmp_path, resume=True)
    with pytest.raises(UsageError, match=r"holds an interrupted output; add --resume to continue"):
        refuse_interrupted(tmp_path, resume=False)


@pytest.mark.parametrize(
    ("recorded", "expected", "message"),
    [
        ({"top": 1}, {"top": 2}, "o: was started with top 1, not 2; resume it with the same, or"),
        ({"top": 1, "new": 3}, {"top": 1}, "o: was started with new 3, not None;"),
        ({"top": 1}, {"top": 1, "old": "x"}, "o: was started with old None, not 'x';"),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, "o: was started with a 1, not 2;"),
    ],
)
def test_every_value_of_the_identity_is_compared(
    recorded: dict[str, object], expected: dict[str, object], message: str
) -> None:
    require_identity(Path("o"), recorded, recorded)
    with pytest.raises(UsageError) as caught:
        require_identity(Path("o"), recorded, expected)
    assert str(caught.value).startswith(message)


def test_a_part_that_cannot_be_written_says_how_to_resume(tmp_path: Path) -> None:
    with new_part(tmp_path / "0.arrow") as partial:
        partial.write_bytes(b"rows")
    with pytest.raises(NotWrittenError) as caught, new_part(tmp_path / "1.arrow"):
        with open("/dev/full", "wb", buffering=0) as full:  # every write fails with ENOSPC
            full.write(b"0")
    assert str(caught.value) == (
        f"{tmp_path}/1.arrow: could not be written: No space left on device; the rows so far are "
        f"kept in {tmp_path}, --resume continues from there"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["0.arrow"]


@pytest.mark.parametrize("content", ["{", "[1]", "3", "\udcff"])
def test_a_damaged_identity_is_one_line(content: str, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BioqError, match=r"manifest.json: is damaged \(.*\); remove its folder and"):
        read_object(file)
    assert "\n" not in str(damaged(file, "two\nlines"))

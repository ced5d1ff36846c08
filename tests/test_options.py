"""Options are checked by the types of their fields, and the message names flag and value."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from bioq import UsageError
from bioq.options import AtLeastOne, Positive, Share, check_types


@dataclass(frozen=True)
class Options:
    steps: AtLeastOne = 1
    learning_rate: Positive | None = None
    dropout: Share = 0.5
    strands: Literal["both", "forward"] = "both"
    targets: tuple[str, ...] = ()
    pad: bool = False
    genome: Path | None = None

    def __post_init__(self) -> None:
        check_types(self)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("steps", 0, "1 or more"),
        ("steps", True, "a whole number, 1 or more"),
        ("steps", 1.0, "a whole number, 1 or more"),
        ("steps", None, "a whole number, 1 or more"),
        ("learning_rate", 0, "more than 0"),
        ("learning_rate", "fast", "a number, more than 0"),
        ("learning_rate", math.inf, "a number, more than 0"),
        ("learning_rate", True, "a number, more than 0"),
        ("dropout", math.nan, "a number, 0 or more, below 1"),
        ("dropout", 1, "0 or more, below 1"),
        ("strands", "all", "both or forward"),
        ("strands", 1, "both or forward"),
        ("strands", [], "both or forward"),
        ("targets", "CTCF", "a tuple, each item text"),
        ("targets", (1,), "a tuple, each item text"),
        ("pad", 1, "true or false"),
        ("genome", "hg19.fa", "a path"),
    ],
)
def test_a_value_that_does_not_fit_is_named(option: str, value: Any, expected: str) -> None:
    flag = option.replace("_", "-")
    with pytest.raises(UsageError) as error:
        Options(**{option: value})
    assert str(error.value) == f"--{flag} {value!r}, expected {expected}"


def test_values_that_fit_are_kept() -> None:
    options = Options(3, 1e-3, 0, "forward", ("a", "b"), True, Path("hg19.fa"))
    assert (options.steps, options.dropout, options.targets) == (3, 0, ("a", "b"))
    assert Options(learning_rate=1).learning_rate == 1


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(UsageError, match="--steps 0, expected 1 or more; --pad None, expected"):
        Options(steps=0, pad=None)  # type: ignore[arg-type]

"""Options are checked by the types of their fields, and the message names flag and value."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from bioq import UsageError
from bioq.cli import main
from bioq.options import AtLeastOne, Positive, Share, check_types
from bioq.training.plan import TrainingRequest, wrong_options


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


BAD = (
    *("inf", "nan", "-inf", "true", "1.5", "1e3", "-1", "0", "1" + "0" * 30, "1" + "0" * 400),
    *('"x"', '"a\\u0000b"', "[1]", "{a = 1}", "2020-01-01", '"\\u001b[31m"'),
)
NAMES = [name for name in TrainingRequest().options() if name != "recipe"]


@pytest.mark.parametrize("name", NAMES)
def test_every_wrong_value_of_every_key_is_one_line(name: str) -> None:
    """Each value is taken, or refused with what is expected, never by a TypeError."""
    refused = 0
    for text in BAD:
        value = tomllib.loads(f"a = {text}")["a"]
        wrong = wrong_options({name: value})
        refused += bool(wrong)
        line = "".join(wrong.values())
        assert len(line) < 300
        assert line.isprintable()
        if value != value or value in (math.inf, -math.inf) or isinstance(value, list | dict):
            assert wrong, text
        if isinstance(value, int) and value > 10**300:  # a field of a number takes 10**30
            assert wrong, text
    assert refused >= 6


def test_a_config_file_is_named_with_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.toml"
    for line, shown in (
        ("epochs = inf", "epochs = inf, expected a whole number, 1 or more"),
        ("seed = 1.5", "seed = 1.5, expected a whole number"),
        (f"seed = {10**30}", "expected a whole number below 2^63"),
        ('model = "a\\u0000b"', "expected text without a NUL"),
        ('"\\u001b[31mepoch" = 1', "unknown option \\x1b[31mepoch"),
        ("batch-size = 1\nbatch_size = 2", "batch-size is also spelled with _"),
    ):
        file.write_text(line)
        assert main(["train", "none", "--out", "run", "--config", str(file)]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith(f"bioq: {file}: ")
        assert shown in printed
        assert printed.strip().isprintable()

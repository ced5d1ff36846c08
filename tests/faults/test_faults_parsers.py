"""Every reader on bytes that are nearly right: it reads them or says one line."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_commands import Counted
from fault_parsers import CORPUS, Parsers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioq.cli import main
from bioq.cli.train import _read_config
from bioq.dataset.targets import read_target_rows, read_target_table
from bioq.errors import BioqError
from bioq.genome import read_chrom_alias
from bioq.motifs import read_meme

EXAMPLES = 30 * int(os.environ.get("BIOQ_FAULT_TRIALS", "1"))
NAMES = sorted(folder.name for folder in CORPUS.iterdir() if folder.is_dir())
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


def test_the_time_to_read_a_table_or_motifs_grows_with_their_size_alone(tmp_path: Path) -> None:
    columns = [f"c{number}" for number in range(30_000)]
    (tmp_path / "t.tsv").write_text("name\t" + "\t".join(columns) + "\na\n")
    matrix = "letter-probability matrix:\n0 0 0 1\n"
    motifs = "".join(f"MOTIF {number}\n{matrix}" for number in range(40_000))
    (tmp_path / "m.meme").write_text(f"MEME version 4\n{motifs}")
    began = time.process_time()
    assert read_target_rows(tmp_path / "t.tsv").columns == ["name", *columns]
    assert len(read_meme(tmp_path / "m.meme")) == 40_000
    assert time.process_time() - began < 4, "1 s; 15 s where their numbers were squared"


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (read_meme, "motifs in MEME format"),
        (read_target_table, "a tab-separated target table"),
        (read_chrom_alias, "a table of contig names"),
        (_read_config, "options in TOML"),
    ],
)
def test_a_file_too_large_to_be_what_it_should_is_not_read_whole(
    read: Callable[[Path], object],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bioq.files.inside.SMALL_BYTES", 1000)
    file = tmp_path / "x"
    file.write_text("# " + "c" * 998)  # the largest that is read
    with contextlib.suppress(BioqError):
        read(file)
    file.write_text("# " + "c" * 999)
    with pytest.raises(BioqError, match=rf"x: is larger than 1,000 bytes; expected {expected}$"):
        read(file)


def test_a_line_that_quotes_a_whole_file_is_said_without_its_middle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise BioqError(f"m.meme:2: found {'X' * 100_000}; expected DNA, 'ALPHABET= ACGT'")

    monkeypatch.setattr("bioq.cli.data.open_dataset", refuse)
    assert main(["data", "info", "x"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("bioq: m.meme:2: found XXX")
    assert printed.endswith("X; expected DNA, 'ALPHABET= ACGT'\n")
    assert len(printed) < 5000

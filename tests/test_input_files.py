"""Every command gives the same for a file, a pipe, any line end and any compression of it."""

import gzip
import itertools
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from input_files import COMMANDS, GENOME_COMMANDS, run

from bioq.cli import main


def mixed(content: bytes) -> bytes:
    ends = itertools.cycle([b"\r\n", b"\r", b"\n"])
    return b"".join(line + next(ends) for line in content.rstrip(b"\n").split(b"\n"))


def bgzip(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x")
        with pysam.BGZFile(str(file), "wb") as packed:
            packed.write(content)
        return file.read_bytes()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "returns": lambda content: content.replace(b"\n", b"\r"),
    "Windows, no last line end": lambda content: content.rstrip(b"\n").replace(b"\n", b"\r\n"),
    "line ends of three kinds": mixed,
    "byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "two members": lambda content: gzip.compress(content[:40]) + gzip.compress(content[40:]),
    "bgzip": bgzip,
    "bgzip without its last block": lambda content: bgzip(content)[:-28],
    "zeros behind": lambda content: gzip.compress(content) + bytes(100),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_form_of_a_file_gives_the_same_output(
    files: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, given_file = COMMANDS[name]
    monkeypatch.chdir(files)
    expected = run(command, files / "expected")
    content = (files / given_file).read_bytes()
    changed = f"changed {name}"  # a warning is printed once per name and content
    for number, (form, change) in enumerate(FORMS.items()):
        (files / changed).write_bytes(change(content))
        capsys.readouterr()
        tokens = [changed if token == given_file else token for token in command]
        assert run(tokens, files / f"out{number}") == expected, form
        is_warned = "the empty block that ends a bgzip file" in capsys.readouterr().err
        assert is_warned == (form == "bgzip without its last block"), form


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kind", ["process substitution", "named pipe"])
def test_a_pipe_gives_what_the_file_gives(
    files: Path,
    given: Callable[[bytes], Path],
    name: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, piped = COMMANDS[name]
    monkeypatch.chdir(files)
    expected = run(command, files / "expected")
    (files / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(files / "temporary"))
    content = (files / piped).read_bytes()
    if kind == "named pipe":
        path = files / "fifo"
        os.mkfifo(path)
        threading.Thread(target=path.write_bytes, args=[content], daemon=True).start()
    else:
        path = given(content)
    result = run([str(path) if token == piped else token for token in command], files / "piped")
    assert result == expected
    assert "waiting" not in capsys.readouterr().err
    assert not list((files / "temporary").iterdir())


@pytest.mark.parametrize("name", GENOME_COMMANDS)
@pytest.mark.parametrize("indexed", [False, True])
def test_a_letter_of_the_genome_that_is_not_dna_is_an_error_of_every_command(
    files: Path,
    name: str,
    indexed: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(files)
    bases = (files / "g.fa").read_text().split("\n")[1]
    lines = [bases[:60] + "5", *(bases[start : start + 61] for start in range(60, 2000, 61))]
    (files / "g.fa").write_text(">chr1\n" + "\n".join(lines) + "\n")
    if indexed:
        pysam.faidx("g.fa")
    out = files / "out.npz"
    tokens = [token.replace("OUT", "out") for token in GENOME_COMMANDS[name]]
    assert main(tokens) == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith(
        "bioq: g.fa:2: contig 'chr1' holds '5' in column 61; expected DNA"
    )
    assert not out.exists()
    assert not list(files.glob("out*.tsv"))
    assert not (files / "out").exists()

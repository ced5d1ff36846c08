"""Pipes, named pipes and standard input in place of every file that a command reads."""

import gzip
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pysam
import pytest
from input_files import PEAKS, VARIANTS, run

from bioq.cli import main
from bioq.dataset import Source
from bioq.errors import BioqError, UsageError
from bioq.files import streams
from bioq.files.streams import STDIN, input_name, is_stream, kept_streams, stored
from bioq.files.text import open_text, read_text
from bioq.genome import open_genome, read_bed
from bioq.genome.vcf import read_variants
from bioq.inputs import input_file
from bioq.models.motif_start import starting_motifs
from bioq.variants.background.file import read_background

MEME = b"MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n0.7 0.1 0.1 0.1\n"


def test_a_peak_file_of_a_sheet_may_be_a_pipe(
    files: Path, given: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    expected = run(PEAKS, files / "expected")
    pipe = given((files / "peaks.bed").read_bytes())
    (files / "targets.tsv").write_text(f"name\tpeaks\nA\t{pipe}\n")
    assert run(PEAKS, files / "piped") == expected


def test_the_checksum_of_a_source_is_that_of_the_pipe(
    files: Path, given: Callable[[bytes], Path]
) -> None:
    pipe = given(b"chr1\t5\t9\n")
    with kept_streams():
        assert len(read_bed(pipe)) == 1
        source = Source.of(pipe)
    (files / "x.bed").write_bytes(b"chr1\t5\t9\n")
    expected = Source.of(files / "x.bed")
    assert (source.name, source.sha256, source.bytes) == ("pipe", expected.sha256, 9)


def test_a_background_from_a_pipe_is_the_background(
    files: Path, given: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    assert main(["background", "run", "in.vcf", "--genome", "g.fa", "--out", "b.npz"]) == 0
    expected = run([*VARIANTS, "--background", "b.npz"], files / "expected")
    pipe = given((files / "b.npz").read_bytes())
    assert run([*VARIANTS, "--background", str(pipe)], files / "piped") == expected
    with pytest.raises(BioqError, match="could not be read: Is a directory"):
        read_background(files)


@pytest.mark.parametrize("kind", ["plain", "gzip", "bcf"])
def test_alleles_are_read_from_a_pipe_whatever_its_format(
    files: Path, given: Callable[[bytes], Path], kind: str
) -> None:
    text = (files / "in.vcf").read_bytes().replace(b"v4.2\n", b"v4.2\n##contig=<ID=1>\n")
    if kind == "bcf":
        (files / "x.vcf").write_bytes(text)
        with pysam.VariantFile(str(files / "x.vcf")) as source:
            with pysam.VariantFile(str(files / "x.bcf"), "wb", header=source.header) as out:
                for record in source:
                    record.alts = record.alts[:1]
                    out.write(record)
        content = (files / "x.bcf").read_bytes()
    else:
        content = gzip.compress(text) if kind == "gzip" else text
    alleles = list(read_variants(given(content)))
    assert [allele.pos for allele in alleles[:: 1 if kind == "bcf" else 3]] == [300, 700]


def test_a_genome_in_a_pipe_is_refused_in_one_line(
    given: Callable[[bytes], Path],
) -> None:
    for path in (given(b">a\nACGT\n"), STDIN, Path("/dev/null")):
        with pytest.raises(BioqError, match="is a pipe, and a genome is read in any order"):
            open_genome(path)


def test_a_mat_file_and_motifs_of_a_training_in_a_pipe_are_refused(
    files: Path, given: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = given(b"x")
    assert main(["data", "deepsea", "--train", str(pipe), "--out", str(files / "d")]) == 1
    assert "is a pipe, and a .mat file is read in any order" in capsys.readouterr().err
    with pytest.raises(UsageError, match="a training that continues reads its motifs again"):
        starting_motifs("danq", str(given(MEME)))


def test_standard_input_and_its_path_are_one_stream() -> None:
    program = """
from pathlib import Path
from bioq.files.streams import kept_streams
from bioq.files.text import read_text
with kept_streams():
    print(read_text(Path("-"), "x") + read_text(Path("/dev/stdin"), "x"))
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, input="text", capture_output=True, text=True, check=True)
    assert result.stdout == "texttext\n"


def test_standard_input_may_be_any_object_and_may_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\r\nb")))
    with input_file(STDIN) as (path, label):
        assert (path.read_bytes(), label) == (b"a\r\nb", "standard input")
        assert read_text(STDIN, "x") == "a\nb"
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(BioqError, match="standard input: is closed; give a file"):
        read_text(STDIN, "x")


def test_a_closed_standard_input_is_not_a_file_that_gets_its_number(tmp_path: Path) -> None:
    genome = tmp_path / "g.fa"
    genome.write_text(">chr1\nACGT\n")
    script = (
        f"from pathlib import Path; held = open({str(genome)!r}); assert held.fileno() == 0\n"
        "from bioq.files.text import read_text\n"
        "for name in ('/dev/stdin', '/dev/fd/0'):\n"
        "    try: print(read_text(Path(name), 'x'))\n"
        "    except Exception as error: print(error)\n"
    )
    command = f'exec {sys.executable} -c "$0" <&-'
    shell = ["bash", "-c", command, script]
    result = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert result.stdout == (
        "/dev/stdin: is closed; give a file\n/dev/fd/0: is closed; give a file\n"
    )


def test_only_files_and_folders_are_not_streams(
    tmp_path: Path, given: Callable[[bytes], Path]
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    assert is_stream(STDIN)
    assert is_stream(Path("/dev/null"))
    assert is_stream(given(b""))
    assert is_stream(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "file", tmp_path / "absent"):
        assert not is_stream(path)
        assert stored(path) == path
    with (tmp_path / "file").open() as file:  # 7< file
        assert not is_stream(Path(f"/dev/fd/{file.fileno()}"))


def test_the_number_of_a_pipe_is_not_its_name(
    tmp_path: Path, given: Callable[[bytes], Path]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    names = [input_name(path) for path in (STDIN, Path("/dev/stdin"), given(b""))]
    assert names == ["stdin", "stdin", "pipe"]
    assert input_name(tmp_path / "fifo") == "fifo"
    assert input_name(tmp_path / "in.vcf") == "in.vcf"


@pytest.mark.parametrize("late", ["the writer", "the data", "the end of the data"])
def test_a_reader_that_waits_says_for_what(
    tmp_path: Path,
    late: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(streams, "WAIT_S", 0.1)
    pipe = tmp_path / "fifo"
    os.mkfifo(pipe)

    def pause(moment: str) -> None:
        time.sleep(0.5 if late == moment else 0)

    def write() -> None:
        pause("the writer")
        with pipe.open("wb", buffering=0) as file:
            pause("the data")
            file.write(b"a")
            pause("the end of the data")
            file.write(b"b")

    writer = threading.Thread(target=write)
    writer.start()
    with open_text(pipe, "text") as text:
        assert text.read() == b"ab"
    writer.join()
    assert capsys.readouterr().err == f"waiting for data from {pipe}\n"


def test_a_large_copy_says_its_size_and_a_full_disk_is_named(
    given: Callable[[bytes], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(streams, "LARGE_BYTES", 100_000)
    with input_file(given(bytes(150_000))) as (copy, _):
        assert copy.stat().st_size == 150_000
    assert "GB so far; a file needs no copy" in capsys.readouterr().err
    full = Path("/dev/full")
    if full.exists():
        with pytest.raises(BioqError, match=r"could not be copied .*No space left .*set TMPDIR"):
            streams._copy(given(bytes(150_000)), full)


def test_a_copy_is_kept_as_long_as_the_work_and_no_longer(
    given: Callable[[bytes], Path],
) -> None:
    pipe = given(b"text")
    with kept_streams():
        with input_file(pipe) as (copy, _):
            pass
        assert copy.exists()
        assert stored(pipe) == copy
    assert not copy.exists()

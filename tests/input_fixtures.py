"""Input files of each kind, and bytes in a pipe, for tests of what people give."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def given() -> Iterator[Callable[[bytes], Path]]:
    """Give bytes as the path of a pipe, as <(...) of a shell does."""
    ends: list[int] = []
    writers: list[threading.Thread] = []

    def give(content: bytes) -> Path:
        reading, writing = os.pipe()
        ends.append(reading)

        def write() -> None:
            with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:
                file.write(content)

        writers.append(threading.Thread(target=write, daemon=True))
        writers[-1].start()
        return Path(f"/dev/fd/{reading}")

    yield give
    for end in ends:
        os.close(end)
    for writer in writers:
        writer.join()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a run, a genome and an input of each kind."""
    from variant_cases import HEADER, make_chromosome, make_run

    bases = make_chromosome(2000)
    make_run(tmp_path / "run")
    (tmp_path / "g.fa").write_text(f">chr1\n{bases}\n>chr2\n{bases[::-1]}\n")
    records = (f"1\t{pos}\t.\t{bases[pos - 1]}\tN,<DEL>,*\t.\t.\t.\n" for pos in (300, 700))
    vcf = HEADER + "".join(records)
    for base in "ACGT":
        vcf = vcf.replace(f"\t{base}\tN,", f"\t{base}\t{'ACGT'[('ACGT'.index(base) + 1) % 4]},")
    (tmp_path / "in.vcf").write_text(vcf)
    (tmp_path / "in.bed").write_text("1\t200\t240\n1\t300\t400\tb\n")
    (tmp_path / "in.fa").write_text(f">a\n{bases[:300]}\n>b\n{bases[300:520]}\n")
    (tmp_path / "alias.tsv").write_text("1\tchr1\n")
    (tmp_path / "peaks.bed").write_text("1\t200\t400\nchr2\t0\t200\n")
    (tmp_path / "targets.tsv").write_text("name\tpeaks\nA\tpeaks.bed\n")
    (tmp_path / "exclude.bed").write_text("chr1\t300\t330\n")
    (tmp_path / "bins.bed").write_text("chr1\t200\t240\nchr2\t40\t80\n")
    return tmp_path

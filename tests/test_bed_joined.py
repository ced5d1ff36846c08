"""Lines of BED that were joined, because a file had no line end after its last line."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from input_files import COMMANDS, PEAKS

from bioq.cli import main
from bioq.errors import BioqError
from bioq.genome import Genome, read_bed
from bioq.genome.bed_joined import JoinedLines
from bioq.inputs import RegionWindows

NARROW = "{}\t{}\t{}\tp\t0\t.\t1\t2\t3\t50"
BLOCKS = "{}\t{}\t{}\tp\t0\t+\t0\t0\t0\t1\t200\t0"
FORMS = {
    "BED4": "{}\t{}\t{}\tp1",
    "BED5": "{}\t{}\t{}\tp\t1000",
    "BED6": "{}\t{}\t{}\tp\t0\t+",
    "narrowPeak": NARROW,
    "BED12": BLOCKS,
    "blanks": "{} {} {} p",
}


def read_windows(path: Path) -> int:
    genome = Genome(
        Path("g.fa"), dict.fromkeys(("chr1", "1", "scaffold_3"), 10**6), lambda *_: 0, bool
    )
    return RegionWindows(path, genome, window_bp=200, bin_bp=40, stride_bp=40).count()


def refusals(path: Path) -> set[str]:
    """Return the errors of both readers."""
    errors = set()
    for read in (lambda: read_bed(path, summits=True, blocks=True), lambda: read_windows(path)):
        with pytest.raises(BioqError) as caught:
            read()
        errors.add(str(caught.value))
    return errors


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("contig", ["chr1", "1", "scaffold_3"])
@pytest.mark.parametrize("where", ["first line", "between lines", "last line", "only line"])
def test_two_files_without_a_line_end_between_them_are_refused_by_line(
    tmp_path: Path, form: str, contig: str, where: str
) -> None:
    lines = [FORMS[form].format(contig, start, start + 200) for start in range(1000, 5000, 1000)]
    before = [] if where in ("first line", "only line") else lines[2:3]
    after = [] if where in ("last line", "only line") else lines[3:]
    path = tmp_path / "a.bed"
    path.write_text("\n".join([*before, lines[0] + lines[1], *after]) + "\n")
    start = f"{path}:{1 + len(before)}: two lines are joined: after "
    for error in refusals(path):
        assert error.startswith(start)
        assert f" the interval {contig} 2000 2200 begins; " in error


def test_files_of_different_width_and_a_contig_that_is_not_on_another_line(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    path.write_text("chr1\t10\t20\tpchr12\t30\t40\tq\t0\t-\nchr12\t50\t60\tq\t0\t-\n")
    with pytest.raises(BioqError, match=":1: two lines are joined: after 'p' the interval chr12 "):
        read_bed(path)
    path.write_text("chr1\t10\t20\tp\nchr1\t30\t40\tpchr2\t30\t40\tq\n")
    with pytest.raises(BioqError, match=":2: two lines are joined: after 'p' the interval chr2 30"):
        read_bed(path)


@pytest.mark.parametrize("end", ["20chr1", "20\ufeffchr1", "20scaffold_3"])
def test_lines_of_three_columns_that_are_joined_are_refused(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.bed"
    path.write_text(f"chr1\t10\t{end}\t30\t40\n")
    for error in refusals(path):
        assert error.startswith(
            f"{path}:1: end '{end}' is not a whole number; ".replace("\ufeff", "\\ufeff")
        )
        assert "two lines seem to be joined here" in error
    path.write_text("1\t10\t19\n1\t20\t401\t50\t60\n")  # 40, then contig 1
    for error in refusals(path):
        assert ":2: two lines are joined: after '40' the interval 1 50 60 begins" in error


RAGGED = [
    "chr1\t10\t20\nchr1\t30\t40\tp\t5\t10\n",
    "1\t10\t20\n1\t300\t411\t5\t10\n",
    "chr1\t10\t20\tp1\nchr1\t30\t40\tp1\t0\t+\t30\t40\n",
    "chr1 10 20 my peak\nchr1 30 40 your own chr1 peak 2\n",
    "chr1\t10\t20\tp\nchr1\t30\t40\tgene_chr1\t7\t5\t.\tx\n",
    "chr1\t10\t20\tp\nchr1\t30\t40\tgene_chr1\t5\n",
    "chr1\t10\t20\tenh_chr1\t30\t50\nchr1\t30\t40\tenh_chr1\t30\t50\n",
    "chr1\t10\t20\tp\nchr1\t30\t40\tp\t0\t-\t30\t40\t0\t2\t4,4\t0,6\n",
]


@pytest.mark.parametrize("text", RAGGED)
def test_ragged_lines_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.bed"
    path.write_text(text)
    assert len(read_bed(path)) == 2
    assert read_windows(path) >= 2


cells = st.sampled_from(
    [".", "+", "0", "5", "17", "p1", "peak_chr", "x1", "0.5", "chr", "enhancer"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(cells, max_size=9), min_size=2, max_size=6))
def test_lines_of_any_width_without_a_contig_in_a_later_cell_are_never_joined(
    rows: list[list[str]],
) -> None:
    joined = JoinedLines("a.bed")
    for number, row in enumerate(rows, start=1):
        joined.add(number, [cell.encode() for cell in ["chr1", "100", "200", *row]])
    joined.finish()


@pytest.mark.parametrize(
    "name", ["regions", "attribution", "peaks, exclude", "peaks, bins", "peaks"]
)
def test_every_command_refuses_joined_lines(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(files)
    command, given_file = COMMANDS.get(name, (PEAKS, "peaks.bed"))
    Path(given_file).write_text("chr1\t200\t240\tachr1\t300\t340\tb\nchr2\t200\t240\tc\n")
    assert main([token.replace("OUT", str(files / "out")) for token in command]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{given_file}:1: two lines are joined: after 'a' the interval chr1 300 340" in line
    assert not list(files.glob("out*"))


def test_a_byte_order_mark_between_joined_files_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    path.write_text("\ufeffchr1\t10\t20\n\ufeffchr1\t30\t40\n", encoding="utf-8")
    for error in refusals(path):
        assert error.startswith(f"{path}:2: begins with a byte order mark (U+FEFF, invisible)")

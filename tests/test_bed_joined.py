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


@pytest.mark.parametrize("second", ["", "\tq", "\tq\t0\t+"])
def test_a_line_alone_of_two_unequal_lines_on_one_contig_is_refused(
    tmp_path: Path, second: str
) -> None:
    path = tmp_path / "a.bed"
    path.write_text(f"chr1\t100\t300\tp1\t7chr1\t2000\t2200{second}\n")
    for error in refusals(path):
        assert error.startswith(f"{path}:1: two lines are joined: after '7' the interval chr1 2000")
    path.write_text(f"chr1\t100\t300\tp1\t7\tchr1\t2000\t2200{second}\n")
    assert read_windows(path)  # a pair of intervals


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


ALONE = [
    "chr1\t1000\t1200\ttx_chr1\t306\t975\t491",  # name, score, two more numbers
    "1\t1000\t1200\ttx_2\t490\t3298\t104",
    "1\t1000\t1200\tH19\t138\t778\t200",
    "1\t3034\t3771\t1:3034-3771\t375\t491\t737",
    "II\t1000\t1200\ttx_II\t869\t4908\t200",
    "1\t1000\t2007\t5\t960",  # name and score
    "1\t1000\t2007\t5\t960\t+\t1000\t2007\t0",
    "13\t1000\t2007\tp1\t960\t+\t13\t1005\t2007\tb\t5\t+\t900",  # bedtools intersect -wo
]


@pytest.mark.parametrize("line", ALONE)
def test_a_line_that_is_alone_with_more_numbers_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    path = tmp_path / "a.bed"
    path.write_text(line)
    assert read_bed(path).end.tolist() == [int(line.split("\t")[2])]
    assert "joined" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "lines",
    [
        ["1\t1000\t1200", "1\t1000\t1200\tpeak1\t75\t2\t300\tx"],
        ["X\t1000\t1200\tp\t5", "X\t1000\t1200\tMT1X\t0\t50\t.\t1"],
        ["1\t10\t20\tp", "1\t30\t40\tH19\t7\t50\t8"],
        ["chr1\t10\t20\tp", "chr1\t30\t40\ttx_chr1\t7\t50\t8"],
    ],
)
def test_names_that_end_like_a_contig_are_names(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "a.bed"
    path.write_text("\n".join(lines))
    assert len(read_bed(path)) == 2


def test_a_line_that_may_be_two_is_read_with_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.bed"
    path.write_text("1\t1000\t12001\t5\t960\n")
    assert read_bed(path).end.tolist() == [12001]
    assert len(read_bed(path)) == 1
    assert capsys.readouterr().err == (
        f"warning: {path}:1: has 5 columns and is read as one line; if two lines are joined: after "
        "'1200' the interval 1 5 960 begins (a file without a line end after its last line was "
        "joined with another file), put a line end before 1\n"
    )


def test_a_line_with_the_name_of_its_contig_as_its_name_is_no_pair(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    path.write_text("1\t1000\t1200\t1\t200\t350\n1\t2000\t2200\t2\t200\t351\n")
    assert len(read_bed(path)) == 2
    path.write_text("1\t1000\t1200\t1\t5000\t5200\n")
    with pytest.raises(BioqError, match=":1: the file seems to be BEDPE"):
        read_bed(path)


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

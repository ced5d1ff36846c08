"""The target table and the sheet of targets."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from input_files import PEAKS

from bioq.cli import main
from bioq.dataset import Dataset
from bioq.dataset.target_sheet import read_target_sheet
from bioq.dataset.targets import (
    matching_targets,
    read_target_table,
    select_targets,
    write_target_table,
)
from bioq.errors import BioqError, UsageError


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "targets.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_target_table_keeps_every_column_as_text_with_the_name_first(tmp_path: Path) -> None:
    path = write(tmp_path, "cell\tname\tnumber\nK562\tCTCF\t007\n\tNA\t\nHeLa\tx y\n")
    table = read_target_table(path)
    assert table.columns.tolist() == ["name", "cell", "number"]
    expected = [["CTCF", "K562", "007"], ["NA", "", ""], ["x y", "HeLa", ""]]
    assert table.to_numpy().tolist() == expected


def test_a_table_that_was_written_reads_back_the_same(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a", 'say "x"', "tab\there"], "note": ["", "NA", "ü"]})
    write_target_table(table, tmp_path / "t.tsv")
    pd.testing.assert_frame_equal(read_target_table(tmp_path / "t.tsv"), table, check_dtype=False)


def test_a_byte_order_mark_crlf_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfname\tcell\r\na\tK562\r\n\r\n\t\r\nb\tHeLa\r\n")
    assert read_target_table(path)["name"].tolist() == ["a", "b"]


WRONG_TABLES = {
    "empty": ("", r": is empty; expected a first line with the names of the columns"),
    "no name column": ("id\tpeaks\na\tb\n", r":1: has no column 'name'; found 'id, peaks'"),
    "commas": ("name,peaks\na,b\n", r":1: has no column 'name'; found 'name,peaks'"),
    "no rows": ("name\tpeaks\n", "has no rows; expected one target per row"),
    "empty name": ("name\tcell\na\tx\n\n \ty\n", r":4: the name is empty"),
    "repeated name": ("name\na\nb\n\na\n", r":5: the name 'a' is also on line 2"),
    "too many columns": ("name\tcell\na\tx\nb\ty\tz\n", r":3: has 3 columns, but line 1 names 2"),
    "two columns alike": ("name\tcell\tcell\na\tx\ty\n", r":1: has two columns 'cell'"),
    "an open quote": ('name\n"a\nb\n', ":2: a cell begins with a quote .* and no quote ends it"),
    "a long cell": (f"name\n\na\n{'b' * 131_073}\n", r":4: has a cell of 131,073 characters"),
    "not text": (b"name\n\xff\xfe\x00\n", ":2: has the byte 0xFF, which is not UTF-8 text"),
}


@pytest.mark.parametrize("wrong", WRONG_TABLES)
def test_a_wrong_table_is_named_in_one_line(tmp_path: Path, wrong: str) -> None:
    content, message = WRONG_TABLES[wrong]
    path = write(tmp_path, content)
    with pytest.raises(BioqError, match=message) as caught:
        read_target_table(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BioqError, match="no such file; expected a tab-separated target table"):
        read_target_table(tmp_path / "none.tsv")
    with pytest.raises(BioqError, match="could not be read: Is a directory"):
        read_target_table(tmp_path)


def test_a_sheet_gives_each_target_its_peak_file_relative_to_the_sheet(tmp_path: Path) -> None:
    (tmp_path / "peaks").mkdir()
    (tmp_path / "peaks/a.bed").touch()
    elsewhere = tmp_path / "b.bed"
    elsewhere.touch()
    sheet = read_target_sheet(
        write(tmp_path, f"\ufeffname\tcell\tpeaks\na\tK562\tpeaks/a.bed\nb\t\t{elsewhere}\n")
    )
    assert sheet.paths == (tmp_path / "peaks/a.bed", elsewhere)
    assert sheet.targets.to_numpy().tolist() == [["a", "K562"], ["b", ""]]
    assert sheet.targets.columns.tolist() == ["name", "cell"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "name\tpeaks\na\ta.bed\nb\tnone.bed\n",
            r":3: the peak file of 'b' does not exist: .*none",
        ),
        ("name\tpeaks\na\ta.bed\nb\t\n", r":3: 'b' has no peak file in column 'peaks'"),
        ("name\tfile\na\ta.bed\n", r":1: has no column 'peaks'; found 'name, file'"),
        ("name\tpeaks\na\ta.bed\na\ta.bed\n", r":3: the name 'a' is also on line 2"),
        ("name\tpeaks\na\tfolder\n", r":2: the peak file of 'a' is a folder"),
    ],
)
def test_a_wrong_sheet_names_its_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.bed").touch()
    (tmp_path / "folder").mkdir()
    path = write(tmp_path, content)
    with pytest.raises(BioqError, match=message):
        read_target_sheet(path)


CHOICE = pd.DataFrame(
    {"name": ["CTCF", "GATA1", "x[1]", "cell=K562"], "cell": ["K562", "HeLa", "K562", ""]}
)


@pytest.mark.parametrize(
    ("patterns", "rows"),
    [
        ([], [0, 1, 2, 3]),
        (["GATA1", "CTCF"], [0, 1]),
        (["*T*"], [0, 1]),
        (["cell=K*"], [0, 2]),
        (["name=*T*"], [0, 1]),
        (["cell=K562"], [3]),
        (["cell=K562", "GATA?"], [1, 3]),
        (["x[1]"], [2]),
        (["?[[]1[]]"], [2]),
    ],
)
def test_targets_are_chosen_by_name_or_annotation(patterns: list[str], rows: list[int]) -> None:
    assert select_targets(CHOICE, patterns).tolist() == rows


ODD = pd.DataFrame(
    {
        "name": ["H3K27me3 [rep 1]", "H3K27me3 r", "Pol2(b)*", "Pol2(b)*c", "a=b", "[1, 2]", "?"],
        "cell": ["[T] cell", "T cell", "T cell", "a=b", "x", "*", ""],
        "cell=type": ["B", "C", "K[562]", "K5", "", "", ""],
    }
)


@pytest.mark.parametrize(
    ("pattern", "rows"),
    [
        ("H3K27me3 [rep 1]", [0]),
        ("H3K27me3 [r]", [1]),
        ("H3K27me3 [[]rep 1]", [0]),
        ("Pol2(b)*", [2]),
        ("Pol2(b)*c", [3]),
        ("Pol2(b)?*", [2, 3]),
        ("a=b", [4]),
        ("a=*", [4]),
        ("[1, 2]", [5]),
        ("?", [6]),
        ("cell=[T] cell", [0]),
        ("cell=[T]*", [1, 2]),
        ("cell=a=b", [3]),
        ("cell=*", [5]),
        ("cell=", [6]),
        ("cell=type=K[562]", [2]),
        ("cell=type=K[5]", [3]),
        ("cell=type=K*", [2, 3]),
    ],
)
def test_a_name_or_cell_that_equals_the_pattern_is_taken_and_no_other(pattern, rows) -> None:
    assert select_targets(ODD, [pattern]).tolist() == rows
    assert np.flatnonzero(matching_targets(ODD, pattern)).tolist() == rows


def test_every_name_chooses_its_own_target_only() -> None:
    random = np.random.default_rng(2)
    names = sorted({"".join(random.choice(list("ab*?[]!=(,-"), 4)) for _ in range(300)})
    table = pd.DataFrame({"name": names, "a": "x"})
    for row, name in enumerate(names):
        assert select_targets(table, [name]).tolist() == [row]


def test_a_pattern_that_fits_no_target_is_named() -> None:
    with pytest.raises(UsageError, match=r"no target is called 'ctcf'; .* CTCF, GATA1.*by cell="):
        select_targets(CHOICE, ["ctcf"])
    with pytest.raises(UsageError, match=r"'lab=x', and the target table has no column 'lab'"):
        select_targets(CHOICE, ["lab=x"])
    with pytest.raises(UsageError, match=r"no target has 'cell=A\*'; column 'cell' holds K562, He"):
        select_targets(CHOICE, ["CTCF", "cell=A*"])
    with pytest.raises(UsageError, match=r"called 'CTCF \[rep'; .*and \[\[\] is the letter \["):
        select_targets(CHOICE, ["CTCF [rep"])


SWALLOWED = 'name\tpeaks\tnote\nA\ta.bed\t"deep\nB\ta.bed\tx\nC\ta.bed\tshallow"\nD\ta.bed\ty\n'
OPEN = 'name\tpeaks\tnote\n\nA\ta.bed\tx\nB\ta.bed\t"5 gel\nC\ta.bed\tx\n'
SHEETS = {
    "quotes of two rows": (
        SWALLOWED,
        r':2: a quote \("\) .* is closed on line 4, so 3 lines would',
    ),
    "an open quote": (OPEN, r':4: a cell begins with a quote \("\) and no quote ends it'),
    "an open quote and a long file": (OPEN + "D\ta.bed\tx\n" * 20_000, ":4: a cell begins with a"),
    "text after a quote": ('name\tpeaks\nA\ta.bed\nB\t"a" b\n', ":3: a cell begins with a quote"),
    "Latin-1": (
        "name\tpeaks\nA\ta.bed\nCaf\u00e9\ta.bed\n".encode("latin-1"),
        ":3: has the byte 0xE9",
    ),
    "UTF-16 without a mark": (
        "name\tpeaks\nA\ta.bed\n".encode("utf-16-le"),
        ": is UTF-16 or UTF-32",
    ),
    "semicolons": (
        "name;peaks\nA;a.bed\n",
        "'name;peaks': its columns are separated by semicolons",
    ),
    "commas": ("cell,name,peaks\nA,B,a.bed\n", "its columns are separated by commas"),
    "blanks": ("name  peaks\nA  a.bed\n", "its columns are separated by spaces"),
    "capital letters": ("Name\tPeaks\nA\ta.bed\n", "no column 'name'; found 'Name'; write 'name'"),
    "a comment sign": ("#name\tpeaks\nA\ta.bed\n", "no column 'name'; found '#name'; write 'name'"),
    "a space in a column": (
        "name \tpeaks\nA\ta.bed\n",
        "found 'name ', with a space at its end; wri",
    ),
    "NBSP in a column": (
        "name\tpeaks\xa0\nA\ta.bed\n",
        r"found 'peaks\\xa0', with no-break space \(U\+00A0\); write 'peaks'",
    ),
    "a mark in a column": (
        "name\t\ufeffpeaks\nA\ta.bed\n",
        r"found '\\ufeffpeaks', with a byte order mark \(U\+FEFF\)",
    ),
    "a space after a path": ("name\tpeaks\nA\ta.bed \n", "a.bed ', with a space at its end; paths"),
    "a space before a path": (
        "name\tpeaks\nA\t a.bed\n",
        " a.bed', with a space at its start; path",
    ),
    "a mark in a path": (
        "name\tpeaks\nA\ta.bed\u200b\n",
        r"a.bed\\u200b', with zero width space \(U\+200B\)",
    ),
    "an address": (
        "name\tpeaks\nA\thttps://x.org/a.bed\n",
        "'A' is an address; download it .* https://x",
    ),
    "a zero byte in a name": (
        b"name\tpeaks\nA\0\ta.bed\n",
        r":2: the name is 'A\\x00', with a control",
    ),
    "two columns without a name": ("name\tpeaks\t\t\nA\ta.bed\t\tx\n", ":1: has two columns ''"),
}


@pytest.mark.parametrize("wrong", SHEETS)
def test_a_sheet_as_people_have_it_is_refused_by_line_and_reason(
    tmp_path: Path, wrong: str
) -> None:
    content, message = SHEETS[wrong]
    (tmp_path / "a.bed").touch()
    path = write(tmp_path, content)
    with pytest.raises(BioqError, match=message) as caught:
        read_target_sheet(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert "codec" not in str(caught.value)


def test_columns_at_the_end_without_name_and_cells_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.bed").touch()
    sheet = read_target_sheet(write(tmp_path, "name\tpeaks\tcell\t\t\nA\ta.bed\tx\t\t\nB\ta.bed\n"))
    assert sheet.targets.to_dict("list") == {"name": ["A", "B"], "cell": ["x", ""]}


def test_quoted_cells_of_a_line_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.bed").touch()
    sheet = read_target_sheet(write(tmp_path, 'name\tpeaks\tnote\nA\ta.bed\t"5"" gel"\n'))
    assert sheet.targets["note"].tolist() == ['5" gel']


def test_a_cell_of_several_lines_in_an_older_run_is_read(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a"], "note": ["two\nlines"]})
    write_target_table(table, tmp_path / "t.tsv")
    pd.testing.assert_frame_equal(read_target_table(tmp_path / "t.tsv"), table, check_dtype=False)


@pytest.mark.parametrize("wrong", ["quotes of two rows", "an open quote", "Latin-1", "semicolons"])
def test_the_command_refuses_such_a_sheet_and_writes_nothing(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    monkeypatch.chdir(files)
    content, message = SHEETS[wrong]
    write(files, content)
    (files / "a.bed").write_text("chr1\t200\t400\n")
    assert main([token.replace("OUT", "out") for token in PEAKS]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert not (files / "out").exists()


def table_of(names: list[str], **columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"name": names, **columns})


NAMES = ["GM12878.wgEncodeCtcfUniPk", "HUVEC.E122-H3K4me3", "K562|CTCFL", "H3K27me3 [rep 1]"]
CELLS = ["GM12878", "HUVEC", "K562", ""]


@pytest.mark.parametrize(
    ("pattern", "suggested"),
    [
        ("CTCF", ["*Ctcf*", "*CTCF*"]),  # pieces of names, in their letters
        ("k562|ctcfl", ["K562|CTCFL"]),
        ("*ME3", ["*me3*"]),
        ("CTFC", ["*Ctcf*", "*CTCFL*"]),
        ("h3k27me3 [rep 1]", ["H3K27me3 [rep 1]"]),
        ("cell=k562", ["cell=K562"]),
        ("cell=K526", ["cell=K562"]),
        ("HUVECC", ["cell=HUVEC"]),
        ("zelle=HUVEC", ["cell=HUVEC"]),
        ("Qqqqqq", []),
        ("", []),
    ],
)
def test_the_patterns_that_are_spelled_most_alike_are_suggested_and_match(
    pattern: str, suggested: list[str]
) -> None:
    table = table_of(NAMES, cell=CELLS)
    with pytest.raises(UsageError) as error:
        select_targets(table, [pattern])
    _, asked, rest = str(error.value).partition("did you mean ")
    shown = [text for text in rest.partition("?")[0].split("'") if text not in ("", " or ")]
    assert shown[: len(suggested)] == suggested
    assert bool(asked) == bool(suggested)
    for one in shown:
        assert matching_targets(table, one).any()
    assert "'bioq targets' lists the targets of a run or a data set" in str(error.value)


def test_targets_are_listed_with_their_annotation(
    run: Path, masked_data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = (run / "targets.tsv").read_text()
    assert main(["targets", str(run)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (expected, "2 targets\n")
    assert main(["targets", str(masked_data.path), "second", "nam*=x", "fir*"]) == 2
    assert "no target is called 'nam*=x'" in capsys.readouterr().err
    assert main(["targets", str(masked_data.path), "sec*"]) == 0
    captured = capsys.readouterr()
    assert [line.split("\t")[0] for line in captured.out.splitlines()] == ["name", "second"]
    assert captured.err == "1 of 2 targets\n"


def test_targets_of_neither_a_run_nor_a_data_set_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["targets", str(tmp_path)]) == 1
    assert "has no config.json and no dataset.json; expected a run" in capsys.readouterr().err
    assert main(["targets", str(tmp_path / "none")]) == 1
    assert "none: no such folder; expected a run folder" in capsys.readouterr().err


def test_a_list_of_targets_may_be_cut_short_by_its_reader(run: Path) -> None:
    """`bioq targets run | head -1`, with more rows than a pipe holds."""
    config = json.loads((run / "config.json").read_text())
    config["model"]["targets"] = 20_000
    (run / "config.json").write_text(json.dumps(config))
    rows = [f"target {number}\n" for number in range(20_000)]
    (run / "targets.tsv").write_text("name\n" + "".join(rows))
    command = [sys.executable, "-m", "bioq", "targets", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"name\n"
        process.stdout.close()
        assert process.stderr.read() == b""


def test_scores_are_not_named_as_columns_to_choose_by() -> None:
    table = pd.DataFrame(
        {
            "name": ["CTCF", "GATA1"],
            "replicate": ["1", "2"],
            "danq_roc_auc": ["0.97", "NA"],
        }
    )
    with pytest.raises(UsageError, match=r"by replicate=;"):
        select_targets(table, ["ctc"])

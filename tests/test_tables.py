"""Tables of scores: every format reads back, with the library that people read it with."""

import errno
import gzip
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioq.errors import BioqError, UsageError
from bioq.tables import ENDINGS, Kind, Layout, Table, open_table, table_ending
from bioq.tables.formulas import mark_formulas
from bioq.tables.hdf5_file import _QuietFile
from bioq.tables.parquet import ParquetWriter

TARGETS = pd.DataFrame({"name": ["CTCF", "a|b/c"], "cell": ["K562", ""]})
COLUMNS = {"name": "text", "start": "integer", "share": "number", "good": "integer"}
SCORE_COLUMNS = ["probability:CTCF", "probability:a|b/c"]
LAYOUT = Layout(COLUMNS, TARGETS, ("probability",), {"run": "ä"})  # type: ignore[arg-type]
PAIR = Layout(COLUMNS, TARGETS, ("diff", "ref"), {"run": 1})  # type: ignore[arg-type]


def rows(count: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    columns = {
        "name": np.array([f"höhe {number % 7}" for number in range(count)], dtype=object),
        "start": random.integers(0, 1 << 40, count),
        "share": np.where(random.random(count) < 0.2, np.nan, random.random(count)),
        "good": random.integers(0, 2, count),
    }
    scores = random.random((count, len(TARGETS))).astype(np.float32) ** 8
    scores[::5, 1] = np.nan
    return columns, scores


def write(path: Path, layout: Layout, count: int = 100, batch: int = 13) -> Path:
    columns, scores = rows(count)
    with open_table(path, layout) as table:
        for start in range(0, count, batch):
            part = slice(start, start + batch)
            table.write(
                {name: values[part] for name, values in columns.items()},
                {name: scores[part] + index for index, name in enumerate(layout.scores)},
            )
        assert table.rows == count
    return path


def expected_frame(count: int = 100) -> pd.DataFrame:
    columns, scores = rows(count)
    frame = pd.DataFrame(columns)
    return frame.assign(**dict(zip(SCORE_COLUMNS, scores.T, strict=True)))


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz"])
def test_text_reads_back_to_the_last_bit_with_pandas(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"t{ending}", LAYOUT)
    numbers = {"share": np.float64, **dict.fromkeys(SCORE_COLUMNS, np.float32)}
    result = pd.read_csv(path, sep="\t", dtype=dict.fromkeys(numbers, str)).astype(numbers)
    pd.testing.assert_frame_equal(result, expected_frame(), check_dtype=False, rtol=0, atol=0)
    text = path.read_bytes()
    lines = (gzip.decompress(text) if ending.endswith("gz") else text).decode().split("\n")
    assert lines[0] == "name\tstart\tshare\tgood\tprobability:CTCF\tprobability:a|b/c"
    assert lines[1].split("\t")[-1] == "NA"


def test_parquet_reads_back_to_the_last_bit_with_pandas(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", LAYOUT)
    result = pd.read_parquet(path)
    pd.testing.assert_frame_equal(result, expected_frame(), check_dtype=False, rtol=0, atol=0)
    schema = pq.read_schema(path)
    assert json.loads(schema.metadata[b"bioq"]) == {"run": "ä"}
    assert str(schema.field("probability:CTCF").type) == "float"


def test_parquet_has_null_for_a_number_that_is_not_defined(tmp_path: Path) -> None:
    """DuckDB, Polars and Arrow sort NaN as the largest number."""
    table = pq.read_table(write(tmp_path / "t.parquet", LAYOUT))
    for name, values in expected_frame().items():
        assert table[name].null_count == values.isna().sum()
    assert table["share"].null_count
    assert table["probability:a|b/c"].null_count
    largest = pc.max(table["share"]).as_py()
    assert largest == expected_frame()["share"].max()


def test_a_column_of_float32_has_the_digits_of_float32_in_text(tmp_path: Path) -> None:
    columns, scores = rows(3)
    for dtype, text in ((np.float32, "0.1"), (np.float64, "0.10000000149011612")):
        columns["share"] = np.full(3, np.float32(0.1), dtype=dtype)
        with open_table(tmp_path / f"{text}.tsv", LAYOUT) as table:
            table.write(columns, {"probability": scores})
        lines = (tmp_path / f"{text}.tsv").read_text().splitlines()
        assert [line.split("\t")[2] for line in lines[1:]] == [text] * 3


def test_hdf5_reads_back_to_the_last_bit_with_h5py(tmp_path: Path) -> None:
    columns, scores = rows(100)
    with h5py.File(write(tmp_path / "t.h5", PAIR)) as file:
        np.testing.assert_array_equal(file["scores/diff"], scores)
        np.testing.assert_array_equal(file["scores/ref"], scores + 1)
        assert file["rows/name"].asstr()[:].tolist() == columns["name"].tolist()
        np.testing.assert_array_equal(file["rows/share"], columns["share"])
        assert file["targets/name"].asstr()[:].tolist() == TARGETS["name"].tolist()
        assert json.loads(file.attrs["metadata"]) == {"run": 1}
        assert (file.attrs["format"], file.attrs["format_version"]) == ("bioq-table", 1)


@pytest.mark.parametrize("count", [0, 100])
def test_anndata_reads_the_h5ad(count: int, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    columns, scores = rows(count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = anndata.read_h5ad(write(tmp_path / "t.h5ad", PAIR, count))
    np.testing.assert_array_equal(result.X, scores)
    np.testing.assert_array_equal(result.layers["ref"], scores + 1)
    assert result.obs_names.tolist() == [str(row) for row in range(count)]
    assert result.obs["name"].tolist() == columns["name"].tolist()
    np.testing.assert_array_equal(result.obs["good"].to_numpy(), columns["good"])
    assert list(result.obs.columns) == list(COLUMNS)
    assert result.var_names.tolist() == TARGETS["name"].tolist()
    assert result.var["cell"].tolist() == ["K562", ""]
    assert json.loads(result.uns["bioq"]) == {"run": 1}


def test_names_with_a_slash_are_columns_of_hdf5_too(tmp_path: Path) -> None:
    """HDF5 has groups in place of the parts before a slash, and one may be another column."""
    anndata = pytest.importorskip("anndata")
    names = ["phred:Th1", "phred:Th1/17", "phred:Th1_17", ".", "/", "//"]
    keys = ["phred:Th1", "phred:Th1_17_2", "phred:Th1_17", "_", "__2", "__"]
    targets = pd.DataFrame({"name": ["a/b"], "cell": ["x"], "cell/type": ["y/z"]})
    kinds: dict[str, Kind] = dict.fromkeys(names, "integer")
    layout = Layout(kinds, targets, ("diff",))
    for ending in (".h5", ".h5ad"):
        path = tmp_path / f"table{ending}"
        with open_table(path, layout) as table:
            values = {name: np.array([number]) for number, name in enumerate(names)}
            table.write(values, {"diff": np.ones((1, 1), np.float32)})
        with h5py.File(path) as file:
            rows = file["rows" if ending == ".h5" else "obs"]
            assert rows.attrs["column-order"].tolist() == keys
            assert [int(rows[key][0]) for key in keys] == list(range(6))
    read = anndata.read_h5ad(path)
    assert list(read.obs.columns) == keys
    assert list(read.var.columns) == ["cell", "cell_type"]
    assert list(read.var_names) == ["a/b"]


def test_more_columns_than_hdf5_can_name_are_refused(tmp_path: Path) -> None:
    names = [f"column {number}" for number in range(4001)]
    for ending in (".h5", ".h5ad"):
        for count in (4000, 4001):
            kinds: dict[str, Kind] = dict.fromkeys(names[:count], "number")
            layout, path = Layout(kinds, TARGETS, ("diff",)), tmp_path / f"{count}{ending}"
            if count == 4000:
                with open_table(path, layout):
                    pass
                continue
            with pytest.raises(UsageError, match=r"at most 4,000 columns .* table has 4,001"):
                with open_table(path, layout):
                    pass
            assert not path.exists()


def test_several_scores_are_told_apart_by_column(tmp_path: Path) -> None:
    result = pd.read_parquet(write(tmp_path / "t.parquet", PAIR))
    names = ["diff:CTCF", "diff:a|b/c", "ref:CTCF", "ref:a|b/c"]
    assert list(result.columns) == [*COLUMNS, *names]
    np.testing.assert_array_equal(result["ref:CTCF"], rows(100)[1][:, 0] + 1)


def test_a_target_called_like_a_column_stays_apart_from_it(tmp_path: Path) -> None:
    layout = Layout({"start": "integer"}, pd.DataFrame({"name": ["start"]}), ("probability",))
    with open_table(tmp_path / "t.tsv", layout) as table:
        table.write({"start": np.arange(2)}, {"probability": np.ones((2, 1), np.float32)})
    assert (tmp_path / "t.tsv").read_text() == "start\tprobability:start\n0\t1\n1\t1\n"


@pytest.mark.parametrize("ending", ENDINGS)
def test_how_rows_are_batched_changes_nothing(ending: str, tmp_path: Path) -> None:
    one = write(tmp_path / f"a{ending}", LAYOUT, batch=100)
    many = write(tmp_path / f"b{ending}", LAYOUT, batch=1)
    if ending in (".tsv", ".tsv.gz"):
        assert one.read_bytes() == many.read_bytes()
    elif ending == ".parquet":
        pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(many))
    else:
        with h5py.File(one) as first, h5py.File(many) as second:
            index = "X" if ending == ".h5ad" else "scores/probability"
            np.testing.assert_array_equal(first[index], second[index])


def test_how_many_rows_become_text_at_once_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write(tmp_path / "a.tsv", LAYOUT)
    monkeypatch.setattr("bioq.tables.text._FIELDS_AT_ONCE", 20)  # three rows
    assert write(tmp_path / "b.tsv", LAYOUT).read_bytes() == one.read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_float16_is_within_its_precision(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{ending}"
    scores = (np.random.default_rng(0).random((50, 2)) ** 4).astype(np.float32)
    layout = Layout({"row": "integer"}, TARGETS, ("p",), dtype="float16")
    with open_table(path, layout) as table:
        table.write({"row": np.arange(50)}, {"p": scores})
    if ending in (".h5", ".h5ad"):
        with h5py.File(path) as file:
            result = file["X" if ending == ".h5ad" else "scores/p"][:]
        assert result.dtype == np.float16
    elif ending == ".parquet":
        result = pd.read_parquet(path)[["p:CTCF", "p:a|b/c"]].to_numpy()
        assert result.dtype == np.float16
    else:
        result = pd.read_csv(path, sep="\t")[["p:CTCF", "p:a|b/c"]].to_numpy()
    np.testing.assert_allclose(result.astype(float), scores, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_that_is_not_finished_leaves_nothing(ending: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_table(tmp_path / f"t{ending}", LAYOUT) as table:
        columns, scores = rows(10)
        table.write(columns, {"probability": scores})
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_long_table_has_no_scores(tmp_path: Path) -> None:
    layout = Layout({"rank": "integer", "target": "text"}, TARGETS)
    with open_table(tmp_path / "t.parquet", layout) as table:
        table.write({"rank": np.arange(2), "target": np.array(["x", "y"])})
    assert pd.read_parquet(tmp_path / "t.parquet").to_numpy().tolist() == [[0, "x"], [1, "y"]]


def test_text_cells_hold_no_tab_or_line_break(tmp_path: Path) -> None:
    layout = Layout({"name": "text"}, TARGETS)
    with open_table(tmp_path / "t.tsv", layout) as table:
        table.write({"name": np.array(["a\tb\nc"], dtype=object)})
    assert (tmp_path / "t.tsv").read_text() == "name\na b c\n"


def test_an_unknown_ending_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"t.csv: did you mean .tsv. expected a name that ends in .tsv, .tsv.gz"
    ):
        table_ending(tmp_path / "t.csv")
    assert table_ending("X.TSV.GZ") == ".tsv.gz"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_that_is_not_there_is_named(ending: str, tmp_path: Path) -> None:
    with pytest.raises(BioqError, match="could not be written: No such file or directory"):
        with open_table(tmp_path / "none" / f"t{ending}", LAYOUT):
            pass


def test_rows_that_do_not_fit_the_layout_are_refused(tmp_path: Path) -> None:
    columns, scores = rows(3)
    path = tmp_path / "t.tsv"

    def attempt(columns: dict[str, np.ndarray], scores: dict[str, np.ndarray]) -> None:
        with open_table(path, LAYOUT) as table:
            assert isinstance(table, Table)
            table.write(columns, scores)

    with pytest.raises(ValueError, match="the layout has"):
        attempt(columns, {})
    with pytest.raises(ValueError, match="for 2 targets"):
        attempt(columns, {"probability": scores[:2]})


class FullDisk:
    """A file that can be read, and no longer written."""

    def __init__(self, file: Any):
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def truncate(self, size: int | None = None) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_hdf5_reads_back_what_a_full_disk_has_refused(tmp_path: Path) -> None:
    for refused in (lambda file: file.write(b"efgh"), lambda file: file.truncate(8)):
        file = _QuietFile(tmp_path / "x")
        file.write(b"abcd")
        assert file.error is None
        file._disk = FullDisk(file._disk)
        refused(file)
        assert isinstance(file.error, OSError)
        file.seek(4)
        file.write(b"efgh")
        file.seek(2)
        content = bytearray(6)
        assert file.readinto(content) == 6
        assert content == b"cdefgh"
        file.close()


def test_parquet_keeps_less_than_a_row_group_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bioq.tables.parquet._ROW_GROUP_ROWS", 10)
    writer = ParquetWriter(tmp_path / "t.parquet", Layout({"row": "integer"}, TARGETS))
    for start in range(0, 40, 4):
        writer.write({"row": np.arange(start, start + 4)}, {})
        assert writer._waiting_rows < 10
    writer.close()
    assert pd.read_parquet(tmp_path / "t.parquet")["row"].tolist() == list(range(40))


FORMULAS = [
    "=1+1",
    "+1+1",
    "-x",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    '"=1"',
    "＝1",
    "'x",
    "''",
    "=",
    "-",
]
HARMLESS = ["-0.5", "+1", "1e-5", "-.5e+3", "", "chr1", "x=1", "a-b", ".", "<DEL>", "*", "A\x00="]


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz"])
def test_cells_that_a_spreadsheet_takes_for_formulas_are_marked_reversibly(
    ending: str, tmp_path: Path
) -> None:
    cells = [*FORMULAS, *HARMLESS]
    targets = pd.DataFrame({"name": ["cmd|' /C calc'!A0", "CTCF"]})
    columns: dict[str, Kind] = {"name": "text", "x": "number", "=HYPERLINK(1)": "number"}
    layout = Layout(columns, targets, ("p",), marks_formulas=True)
    plain = replace(layout, marks_formulas=False)
    numbers = -np.arange(len(cells)) / 2
    scores = np.full((len(cells), 2), -0.5, dtype=np.float32)
    lines = {}
    for name, each in (("marked", layout), ("plain", plain)):
        path = tmp_path / f"{name}{ending}"
        with open_table(path, each) as table:
            table.write(
                {"name": np.array(cells, dtype=object), "x": numbers, "=HYPERLINK(1)": numbers},
                {"p": scores},
            )
        text = path.read_bytes() if ending == ".tsv" else gzip.decompress(path.read_bytes())
        lines[name] = [line.split("\t") for line in text.decode().splitlines()]
    marked = lines["marked"]
    assert marked[0] == ["name", "x", "'=HYPERLINK(1)", "p:cmd|' /C calc'!A0", "p:CTCF"]
    assert all(row[0].startswith("'") for row in marked[1 : len(FORMULAS) + 1])
    assert [row[0] for row in marked[len(FORMULAS) + 1 :]] == HARMLESS
    assert [row[1:] for row in marked[1:]] == [row[1:] for row in lines["plain"][1:]]
    assert [[cell.removeprefix("'") for cell in row] for row in marked] == lines["plain"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_marks_of_formulas_can_be_removed(cells: list[str]) -> None:
    marked = mark_formulas(cells)
    assert [cell.removeprefix("'") for cell in marked] == cells
    assert mark_formulas(FORMULAS) == [f"'{cell}" for cell in FORMULAS]

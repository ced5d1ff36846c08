"""Predictions that go wrong: killed processes, full disks, precisions that are not to be had."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyBigWig
import pytest
from test_prediction import CONTIGS, RECORDS, fasta, read_back, windows_of

from bioq.errors import BioqError, UsageError
from bioq.files import locked
from bioq.prediction import PredictOptions, predict_file
from bioq.prediction.spool import Spool
from bioq.tables import Layout
from bioq.tracks.bigwig import Bins, write_bigwigs

ENDINGS = (".tsv.gz", ".parquet", ".h5", ".h5ad", ".bw")
DRIVER = Path(__file__).with_name("killed_predictions.py")


def drive(run: Path, folder: Path, kills: int, endings: tuple[str, ...]) -> tuple[list[str], str]:
    """Return what the processes print on stdout, without the outputs' names, and on stderr."""
    (folder / "r.bed").write_text("chr1\t0\t900\nchr2\t0\t430\n")
    genome = fasta(folder / "g.fa", CONTIGS)
    outs = [str(folder / f"out{ending}") for ending in endings]
    done = subprocess.run(
        [sys.executable, DRIVER, run, folder / "r.bed", genome, str(kills), *outs],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return [line for line in done.stdout.splitlines() if "/" not in line], done.stderr


def assert_whole(folder: Path, ending: str) -> None:
    """The output is, row for row, that of a process that nobody stopped."""
    if ending == ".bw":
        for name in ("first", "second"):
            with (
                pyBigWig.open(str(folder / f"out.{name}.bw")) as result,
                pyBigWig.open(str(folder / f"whole.{name}.bw")) as whole,
            ):
                for contig in CONTIGS:
                    assert result.intervals(contig) == whole.intervals(contig) != None  # noqa: E711
        return
    result, whole = (read_back(folder / f"{name}{ending}") for name in ("out", "whole"))
    assert len(whole[0]) == 34
    pd.testing.assert_frame_equal(result[0], whole[0])
    np.testing.assert_array_equal(result[1], whole[1])


def test_processes_killed_at_any_moment_lose_and_double_nothing(run: Path, tmp_path: Path) -> None:
    lines, _ = drive(run, tmp_path, 3, ENDINGS)
    parts = []
    for ending, line in zip(ENDINGS, lines, strict=True):
        name, whole, *result = line.split()
        assert (name, whole) == (f"out{ending}", "0")
        parts += [int(number) for number in result]
        assert_whole(tmp_path, ending)
    assert len(parts) > 5
    assert any(0 < number < 34 for number in parts)
    left = {path.name for path in tmp_path.iterdir()} - {"run", "data", "r.bed", "g.fa"}
    assert all(name.startswith(("out.", "whole.")) and ".part" not in name for name in left)


def test_a_full_disk_is_one_line_and_what_was_done_is_gone_on_with(
    run: Path, tmp_path: Path
) -> None:
    lines, messages = drive(run, tmp_path, 0, (".parquet",))
    assert lines == ["out.parquet 0 1"]
    told = [line for line in messages.splitlines() if line.startswith("bioq: ")]
    folder = tmp_path / "out.parquet.partial"
    assert told == [
        f"bioq: {folder}/out.parquet: could not be written: File too large; "
        f"the rows so far are kept in {folder}, --resume continues from there"
    ]
    assert_whole(tmp_path, ".parquet")


def test_a_bigwig_without_its_end_is_no_success(tmp_path: Path) -> None:
    def bins() -> Iterator[Bins]:
        start = np.arange(0, 400, 40)
        yield "chr1", start, start + 40, np.ones((10, 1), dtype=np.float32)

    path = tmp_path / "o.bw"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioq.tracks.bigwig._MAGIC", b"none")
        with pytest.raises(BioqError, match=r"o.bw: could not be written: its end is missing"):
            write_bigwigs([path], {"chr1": 900}, bins)
    assert not list(tmp_path.iterdir())
    write_bigwigs([path], {"chr1": 900}, bins)
    assert path.is_file()


def test_rows_of_a_folder_that_was_being_removed_are_not_taken_up(
    run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.tsv"
    (tmp_path / "o.tsv.partial").mkdir()
    (tmp_path / "o.tsv.partial/000000000000014.arrow").write_bytes(b"old")
    predict_file(run, fasta(tmp_path / "x.fa"), out)
    assert len(read_back(out)[0]) == len(windows_of(RECORDS))


def test_parts_of_another_table_are_refused(tmp_path: Path) -> None:
    targets = pd.DataFrame({"name": ["first"]})
    before, after = Layout({"start": "integer"}, targets), Layout({"end": "integer"}, targets)
    with Spool(tmp_path / "o", before, {}, resume=False) as spool:
        spool.write({"start": np.arange(3)}, {}, units=3, digest="abc")
        spool.flush()
    with Spool(tmp_path / "o", before, {}, resume=True) as spool:
        assert (spool.units, spool.rows, spool.digest) == (3, 3, "abc")
        assert [columns["start"].tolist() for columns, _ in spool.read()] == [[0, 1, 2]]
    with Spool(tmp_path / "o", after, {}, resume=True) as spool:
        with pytest.raises(BioqError, match=r"3.arrow: is damaged \(it has other columns\); rem"):
            list(spool.read())
    (part,) = (tmp_path / "o.partial").glob("*.arrow")
    with pa.ipc.open_file(part.read_bytes()) as reader:
        table = reader.read_all()
    with pa.ipc.new_file(str(part), table.schema.remove_metadata()) as writer:
        writer.write_table(table)
    with pytest.raises(BioqError, match=r"3.arrow: position is None, expected an object; rem"):
        Spool(tmp_path / "o", before, {}, resume=True)


def test_an_output_that_another_process_writes_is_left_to_it(run: Path, tmp_path: Path) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "o.tsv"
    (tmp_path / "o.tsv.partial").mkdir()
    with locked(tmp_path / "o.tsv.partial"):
        with pytest.raises(UsageError, match=r"o.tsv.partial: another process is writing this"):
            predict_file(run, source, out)
    predict_file(run, source, out)
    assert len(read_back(out)[0]) == len(windows_of(RECORDS))


def test_bf16_is_within_a_hundredth_and_float16_within_its_eleven_bits(
    run: Path, tmp_path: Path
) -> None:
    source = fasta(tmp_path / "x.fa")
    result = {}
    for name, options in {
        "exact": PredictOptions(),
        "bf16": PredictOptions(precision="bf16"),
        "half": PredictOptions(dtype="float16"),
    }.items():
        predict_file(run, source, tmp_path / f"{name}.h5", options=options)
        result[name] = read_back(tmp_path / f"{name}.h5")[1]
    assert 0 < np.abs(result["bf16"] - result["exact"]).max() < 0.01
    np.testing.assert_array_equal(result["half"], result["exact"].astype(np.float16))
    np.testing.assert_allclose(result["half"], result["exact"], rtol=2**-11, atol=2**-25)


def test_tf32_without_a_graphics_card_is_refused_before_any_work(run: Path, tmp_path: Path) -> None:
    options = PredictOptions(precision="tf32", device="cpu")
    with pytest.raises(UsageError, match="tf32 needs a CUDA device"):
        predict_file(run, fasta(tmp_path / "x.fa"), tmp_path / "o.h5", options=options)
    assert not list(tmp_path.glob("o.h5*"))


@pytest.mark.parametrize("options", [{"force": True}, {"resume": True}, {}])
def test_a_folder_with_other_files_is_not_removed(
    options: dict[str, bool], run: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "o.tsv.partial" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UsageError, match=r"partial: has files of yours, thesis.txt; move them"):
        predict_file(run, fasta(tmp_path / "x.fa"), tmp_path / "o.tsv", **options)
    assert mine.read_text() == "mine"


def test_a_prediction_that_failed_before_its_first_part_does_not_block_the_next(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the device is gone")

    for ending in (".tsv", ".parquet", ".h5"):
        out = tmp_path / f"late{ending}"
        with monkeypatch.context() as patch:
            patch.setattr("bioq.prediction.predictor.Predictor.rows", fail)
            with pytest.raises(RuntimeError, match="the device is gone"):
                predict_file(run, fasta(tmp_path / "x.fa"), out)
        assert not list(tmp_path.glob("late*"))
        predict_file(run, fasta(tmp_path / "x.fa"), out)
        assert out.is_file()
        out.unlink()

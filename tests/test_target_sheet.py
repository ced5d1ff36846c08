"""Several peak files per target: replicates and differences, against a recount of every base."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_peaks import Peak, World, worlds

from bioq.cli import main
from bioq.dataset import open_dataset
from bioq.dataset.target_sheet import PeakFiles, read_target_sheet
from bioq.errors import BioqError
from bioq.files import sha256

Target = tuple[list[int], int, list[int]]
"""The numbers of the files `peaks`, in how many of them a bin must be positive, and the numbers of
the files `minus_peaks`."""


def write_sheet(folder: Path, targets: Sequence[Target], *, words: bool = False) -> None:
    """Write a sheet of the files 0.narrowPeak, 1.narrowPeak, ...; with `words` union and
    intersection instead of numbers."""
    lines = ["name\tpeaks\treplicates\tminus_peaks\tcell"]
    for number, (peaks, least, minus) in enumerate(targets):
        cells = [";".join(f"{file}.narrowPeak" for file in files) for files in (peaks, minus)]
        how = str(least) if len(peaks) > 1 else ""
        if words and len(peaks) > 1:
            how = {1: "union", len(peaks): "Intersection "}.get(least, how)
        lines.append(f"t{number}\t{cells[0]}\t{how}\t{cells[1]}\tK562")
    (folder / "targets.tsv").write_text("\n".join(lines) + "\n")


@st.composite
def targets(draw: st.DrawFn, files: int) -> Target:
    numbers = draw(st.permutations(range(files)))
    peaks = draw(st.integers(1, files))
    minus = draw(st.integers(0, files - peaks))
    return numbers[:peaks], draw(st.integers(1, peaks)), numbers[peaks : peaks + minus]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=worlds(), label=st.sampled_from(["half", "midpoint", "any"]), draw=st.data())
def test_labels_of_replicates_and_differences_equal_a_recount_of_every_base(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[dict[str, str], dict[str, list[Peak]]],
    label: str,
    draw: st.DataObject,
) -> None:
    contigs, peaks = made
    names = list(peaks)
    assume(
        len(names) > 2 and any(len(bases) > 3 and set(bases) != {"N"} for bases in contigs.values())
    )
    chosen = draw.draw(st.lists(targets(len(names)), min_size=1, max_size=9))
    used = {file for target in chosen for file in (*target[0], *target[2])}
    assume(any(peaks[names[file]] for file in used))
    world = World(tmp_path_factory.mktemp("world"), contigs, peaks).write()
    write_sheet(world.folder, chosen, words=draw.draw(st.booleans()))
    try:
        split = world.build(options={"label": label, "keep": "all"})["train"]
    except BioqError as error:
        assert "no window is left" in str(error)  # noqa: PT017 the whole genome is unknown
        return
    bins = split.bins()
    for row, (contig, start) in zip(
        split.labels(), bins[["chrom", "start"]].to_numpy(), strict=True
    ):
        positive = [world.is_positive(name, contig, start, 4, label) for name in names]
        expected = [
            sum(positive[file] for file in files) >= least and not any(positive[m] for m in minus)
            for files, least, minus in chosen
        ]
        assert row.astype(bool).tolist() == expected


def test_blocks_of_bed12_are_peaks_of_a_replicate_too(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">c\n" + "ACGTGCTA" * 5 + "\n")
    blocks = "c\t0\t40\tx\t0\t.\t0\t0\t0\t2\t4,4,\t0,36,\n"  # bins 0 and 9 of 4 bp
    (tmp_path / "blocks.bed").write_text(blocks)
    (tmp_path / "plain.bed").write_text("c\t0\t12\n")  # bins 0, 1, 2
    (tmp_path / "targets.tsv").write_text(
        "name\tpeaks\treplicates\tminus_peaks\n"
        "either\tblocks.bed;plain.bed\tunion\t\n"
        "both\tblocks.bed; plain.bed\tintersection\t\n"
        "left\tplain.bed\t\tblocks.bed\n"
    )
    words = ["--genome", str(tmp_path / "genome.fa"), "--targets", str(tmp_path / "targets.tsv")]
    sizes = ["--window-bp", "12", "--bin-bp", "4", "--keep", "all"]
    none = ["--valid-chrom", "none", "--test-chrom", "none", "--out", str(tmp_path / "data")]
    assert main(["data", "peaks", *words, *sizes, *none]) == 0
    labels = open_dataset(tmp_path / "data")["train"].labels()
    either, both, left = (np.flatnonzero(column).tolist() for column in labels.T)
    assert (either, both, left) == ([0, 1, 2, 9], [0], [1, 2])


def test_the_data_set_records_every_file_and_keeps_the_annotation(tmp_path: Path) -> None:
    peaks = {name: [("c", 4 * number, 4 * number + 8, -1)] for number, name in enumerate("abc")}
    world = World(tmp_path, {"c": "ACGTTGCA" * 4}, peaks).write()
    write_sheet(tmp_path, [([0, 1], 2, [2]), ([2], 1, [])])
    data = world.build(options={"keep": "all"})
    names = [source.name for source in data.description.sources]
    files = ["0.narrowPeak", "1.narrowPeak", "2.narrowPeak", "2.narrowPeak"]
    assert names == ["genome.fa", "targets.tsv", *files]
    for source in data.description.sources:
        assert source.sha256 == sha256(tmp_path / source.name)
    assert data.targets.to_dict("records") == [
        {"name": "t0", "replicates": "2", "minus_peaks": "2.narrowPeak", "cell": "K562"},
        {"name": "t1", "replicates": "", "minus_peaks": "", "cell": "K562"},
    ]


def test_a_sheet_with_one_file_per_target_gives_the_same_bytes(tmp_path: Path) -> None:
    """A column `replicates` that was annotation before stays annotation."""
    peaks = {name: [("c", 4 * number, 4 * number + 8, -1)] for number, name in enumerate("ab")}
    world = World(tmp_path, {"c": "ACGTTGCA" * 4}, peaks).write()
    (tmp_path / "targets.tsv").write_text(
        "name\tpeaks\treplicates\na\t0.narrowPeak\t3 donors\nb\t1.narrowPeak\t\n"
    )
    data = world.build(options={"keep": "all"})
    assert data.targets["replicates"].tolist() == ["3 donors", ""]
    assert data["train"].labels().sum(axis=0).tolist() == [2, 2]
    meta = json.loads((data.path / "dataset.json").read_text())
    assert "folds" not in meta["description"]
    assert "folds" not in meta["description"]["options"]


def test_a_file_that_is_called_like_the_whole_cell_is_one_file(tmp_path: Path) -> None:
    for name in ("a;b.bed", "a", "b.bed"):
        (tmp_path / name).touch()
    (tmp_path / "t.tsv").write_text("name\tpeaks\nx\ta;b.bed\n")
    sheet = read_target_sheet(tmp_path / "t.tsv")
    assert sheet.files == (PeakFiles((tmp_path / "a;b.bed",)),)
    (tmp_path / "a;b.bed").unlink()
    (tmp_path / "t.tsv").write_text("name\tpeaks\treplicates\nx\t a ; b.bed;;\tUNION\n")
    sheet = read_target_sheet(tmp_path / "t.tsv")
    assert sheet.files == (PeakFiles((tmp_path / "a", tmp_path / "b.bed"), 1),)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("a.bed;b.bed\t\t", "'x' has 2 peak files and nothing in column 'replicates'; expected"),
        ("a.bed;b.bed\t3\t", "2 peak files and '3' in column 'replicates'; .* or 1 to 2 "),
        ("a.bed;b.bed\t0\t", "2 peak files and '0' in column"),
        ("a.bed;b.bed\tboth\t", "2 peak files and 'both' in column"),
        ("a.bed;b.bed\t²\t", "2 peak files and '²' in column"),
        ("a.bed;a.bed\t2\t", r"the peak file a\.bed twice; name it once"),
        ("a.bed;./a.bed\t2\t", r"the peak file \./a\.bed twice"),
        ("a.bed;c.bed\t2\t", r"the peak file of 'x' does not exist: .*c\.bed"),
        ("a.bed,b.bed\t2\t", "does not exist: .*; if the cell names several files, write ;"),
        (";;\t\t", "'x' has no peak file in column 'peaks'"),
        ("a.bed\t\tc.bed", r"the peak file of 'x' does not exist: .*c\.bed"),
        ("a.bed\t\ta.bed", "in the columns 'peaks' and 'minus_peaks', so no bin could be positive"),
        ("a.bed;b.bed\tunion\t./b.bed", r"has the file .*b\.bed in the columns"),
    ],
)  # fmt: skip
def test_a_wrong_cell_names_its_line(tmp_path: Path, cells: str, message: str) -> None:
    for name in ("a.bed", "b.bed"):
        (tmp_path / name).touch()
    (tmp_path / "t.tsv").write_text(f"name\tpeaks\treplicates\tminus_peaks\nx\t{cells}\n")
    with pytest.raises(BioqError, match=message) as error:
        read_target_sheet(tmp_path / "t.tsv")
    assert str(error.value).startswith(f"{tmp_path / 't.tsv'}:2: ")
    assert "\n" not in str(error.value)


def test_notes_about_files_of_a_target_with_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peaks = {"a": [("c", 0, 8, -1)], "b": [("other", 0, 8, -1)], "d": []}
    world = World(tmp_path, {"c": "ACGTTGCA" * 4}, peaks).write()
    write_sheet(tmp_path, [([0, 1], 1, [2]), ([1, 0], 1, [2]), ([0], 1, [])])
    world.build(options={"keep": "all"})
    printed = capsys.readouterr().err
    assert (
        "warning: 4 of 7 peak files of targets with several files have no peak on genome.fa"
        in printed
    )
    assert f"(first: {tmp_path / '1.narrowPeak'}, of the target t0)" in printed
    assert "2 targets have the peak files " in printed
    assert "all labels of" not in printed
    write_sheet(tmp_path, [([1, 2], 1, [])])
    with pytest.raises(BioqError, match="none of its 2 peak files has a peak on"):
        world.build(out="none", options={"keep": "all"})


def test_a_peak_file_in_place_of_the_sheet_is_named(tmp_path: Path) -> None:
    peaks = tmp_path / "ctcf.narrowPeak"
    peaks.write_text("chr1\t237593\t237953\t.\t108\n")
    with pytest.raises(BioqError, match=r"these are peaks; .*: write a sheet that has the name"):
        read_target_sheet(peaks)

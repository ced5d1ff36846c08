"""Tests of bioq.dataset: round trips against NumPy, and damage of every kind found and named."""

import errno
import hashlib
import itertools
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioq.dataset import (
    BLOCK_BP,
    Batch,
    Dataset,
    Description,
    Source,
    new_dataset,
    open_dataset,
    pack_labels,
    unpack_labels,
    verify,
)
from bioq.errors import BioqError

Array = npt.NDArray[Any]
WINDOW_BP = 38
"""Neither a multiple of four nor of eight, so that every row has padding."""
TARGETS = pd.DataFrame({"name": [f"t{i}" for i in range(11)], "cell": ["K562"] * 10 + [""]})
DESCRIPTION = Description(
    made_by="peaks",
    window_bp=WINDOW_BP,
    bin_bp=8,
    label_rule="half",
    contigs=("chr1", "chrX"),
    sources=(Source("genome.fa", "00" * 32, 123),),
    options={"keep": "any", "rate": 0.1},
    contig_bp=(1_000_000_999, 2_000_000_000),
)
SIZES = {"train": 23, "valid": 5, "test": 9}


def random_split(windows: int, seed: int, unknown: float) -> tuple[Array, Array, Array]:
    """Codes, labels and bins; about `unknown` of the windows hold an N."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (windows, WINDOW_BP), dtype=np.uint8)
    masked = rng.random(windows) < unknown
    codes[masked] |= (rng.random((masked.sum(), WINDOW_BP)) < 0.3).astype(np.uint8) * 4
    codes = np.minimum(codes, 4)
    labels = (rng.random((windows, len(TARGETS))) < 0.3).astype(np.uint8)
    bins = np.stack([rng.integers(0, 2, windows), rng.integers(0, 10**9, windows)], axis=1)
    return codes, labels, bins


def write(
    path: Path, sizes: dict[str, int] = SIZES, *, unknown: float = 0.4, coordinates: bool = True
) -> dict[str, tuple[Array, Array, Array]]:
    """Write a data set in uneven portions; return what went in."""
    description = DESCRIPTION if coordinates else Description("deepsea", WINDOW_BP, 8, "half")
    splits = {
        name: random_split(windows, seed, unknown)
        for seed, (name, windows) in enumerate(sizes.items())
    }
    with new_dataset(path, description, TARGETS) as writer:
        for name, (codes, labels, bins) in splits.items():
            with writer.split(name, strands_folded=name == "valid") as split:
                cuts = [0, *range(4, len(codes), 7), len(codes)]
                for start, stop in itertools.pairwise(cuts):
                    part = slice(start, stop)
                    split.append(
                        codes[part], pack_labels(labels[part]), bins[part] if coordinates else None
                    )
    return splits


def one_hot_by_hand(codes: Array) -> Array:
    return np.stack([codes == base for base in range(4)], axis=1).astype(np.uint8)


def assert_batch(batch: Batch, codes: Array, labels: Array) -> None:
    assert batch.windows.dtype == batch.labels.dtype == np.uint8
    np.testing.assert_array_equal(batch.windows, one_hot_by_hand(codes))
    np.testing.assert_array_equal(batch.labels, labels)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("data") / "set"
    return path, write(path)


@pytest.mark.parametrize("unknown", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("coordinates", [True, False])
def test_what_was_written_is_read_back(tmp_path: Path, unknown: float, coordinates: bool) -> None:
    written = write(tmp_path / "set", unknown=unknown, coordinates=coordinates)
    data = open_dataset(tmp_path / "set")
    assert list(data) == ["train", "valid", "test"]
    assert len(data) == 3
    assert "test" in data
    assert "other" not in data
    for name, (codes, labels, bins) in written.items():
        split = data[name]
        assert len(split) == len(codes)
        assert (split.window_bp, split.targets, split.name) == (WINDOW_BP, 11, name)
        assert split.strands_folded == (name == "valid")
        assert split.masked_windows == (codes == 4).any(axis=1).sum()
        assert_batch(split.read(slice(None)), codes, labels)
        assert split.has_coordinates == coordinates
        if coordinates:
            table = split.bins()
            assert table.columns.tolist() == ["chrom", "start", "end"]
            assert table["chrom"].tolist() == [("chr1", "chrX")[contig] for contig in bins[:, 0]]
            assert table["start"].tolist() == bins[:, 1].tolist()
            assert table["end"].tolist() == (bins[:, 1] + 8).tolist()


def test_blocks_are_numbered_along_the_genome_in_any_order_of_the_windows(tmp_path: Path) -> None:
    codes, labels, _ = random_split(7, 0, 0.0)
    starts = [BLOCK_BP, 0, BLOCK_BP - 1, 7 * BLOCK_BP, 0, BLOCK_BP, 7 * BLOCK_BP + 3]
    bins = np.array(list(zip([0, 0, 0, 0, 1, 1, 0], starts, strict=True)))
    with new_dataset(tmp_path / "set", DESCRIPTION, TARGETS) as writer:
        with writer.split("test") as split:
            split.append(codes, pack_labels(labels), bins)
    blocks = open_dataset(tmp_path / "set")["test"].blocks()
    assert blocks.dtype == np.int64
    assert blocks.tolist() == [1, 0, 0, 2, 3, 4, 2]


def test_blocks_without_coordinates_are_runs_of_as_many_rows_as_a_block_has_bins(
    tmp_path: Path,
) -> None:
    per_block = BLOCK_BP // 8
    write(tmp_path / "set", {"test": 2 * per_block + 5, "valid": 0}, coordinates=False)
    data = open_dataset(tmp_path / "set")
    assert np.bincount(data["test"].blocks()).tolist() == [per_block, per_block, 5]
    assert (np.diff(data["test"].blocks()) >= 0).all()
    assert data["valid"].blocks().shape == (0,)


@pytest.mark.parametrize("coordinates", [True, False])
def test_an_empty_split_has_no_block(tmp_path: Path, coordinates: bool) -> None:
    write(tmp_path / "set", {"train": 3, "valid": 0}, coordinates=coordinates)
    assert open_dataset(tmp_path / "set")["valid"].blocks().tolist() == []


def test_the_targets_and_the_description_are_read_back(made: tuple[Path, Any]) -> None:
    data = open_dataset(str(made[0]))
    pd.testing.assert_frame_equal(data.targets, TARGETS, check_dtype=False)
    assert data.description == DESCRIPTION


@given(rows=st.lists(st.integers(-23, 22), max_size=40))
@settings(max_examples=50)
def test_rows_come_in_the_order_asked_for(
    made: tuple[Path, dict[str, Any]], rows: list[int]
) -> None:
    codes, labels, _ = made[1]["train"]
    wanted = np.array(rows, dtype=np.int64)
    assert_batch(open_dataset(made[0])["train"].read(rows), codes[wanted], labels[wanted])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])
def test_rows_may_be_whole_numbers_of_any_width(made: tuple[Path, Any], dtype: Any) -> None:
    codes, labels, _ = made[1]["train"]
    rows = np.array([22, 0, 3], dtype=dtype)
    assert_batch(open_dataset(made[0])["train"].read(rows), codes[rows], labels[rows])


def test_rows_of_a_small_type_reach_into_a_large_split(tmp_path: Path) -> None:
    codes, labels, _ = write(tmp_path / "set", {"train": 300})["train"]
    rows = np.array([255, 7], dtype=np.uint8)  # 300 does not fit the type of the rows
    assert_batch(open_dataset(tmp_path / "set")["train"].read(rows), codes[rows], labels[rows])


SLICES = [
    slice(None),
    slice(3, 9),
    slice(9, 3),
    slice(-4, None),
    slice(None, None, -1),
    slice(0, 99, 5),
]


@pytest.mark.parametrize("rows", SLICES, ids=str)
def test_slices_are_those_of_numpy(made: tuple[Path, Any], rows: slice) -> None:
    codes, labels, _ = made[1]["train"]
    assert_batch(open_dataset(made[0])["train"].read(rows), codes[rows], labels[rows])


def test_a_boolean_mask_selects_rows(made: tuple[Path, Any]) -> None:
    codes, labels, _ = made[1]["train"]
    wanted = labels[:, 0] == 1
    assert_batch(open_dataset(made[0])["train"].read(wanted), codes[wanted], labels[wanted])


@pytest.mark.parametrize("row", [23, -24])
def test_a_row_outside_the_split_is_an_error(made: tuple[Path, Any], row: int) -> None:
    with pytest.raises(BioqError, match=rf"'train' has 23 windows; found rows {min(0, row)} \.\. "):
        open_dataset(made[0])["train"].read([row, 0])


@pytest.mark.parametrize("rows", [[0.5], [[1, 2]], np.array(3), np.ones(4, dtype=bool)], ids=str)
def test_rows_that_are_no_row_numbers_are_an_error(made: tuple[Path, Any], rows: Any) -> None:
    with pytest.raises(BioqError, match="expected a slice, a sequence of whole numbers, or a mask"):
        open_dataset(made[0])["train"].read(rows)


def test_labels_and_positives_agree_with_numpy(made: tuple[Path, Any]) -> None:
    for name, split in open_dataset(made[0]).items():
        labels = made[1][name][1]
        np.testing.assert_array_equal(split.labels(), labels)
        np.testing.assert_array_equal(split.positives(), labels.sum(axis=0))


@given(st.integers(0, 6), st.integers(1, 40), st.integers(0, 1000))
def test_unpacking_labels_undoes_packing_them(rows: int, targets: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, (rows, targets), dtype=np.uint8)
    packed = pack_labels(labels)
    assert packed.shape == (rows, -(-targets // 8))
    np.testing.assert_array_equal(unpack_labels(packed, targets), labels)


@pytest.mark.parametrize("coordinates", [True, False])
def test_an_empty_split_is_read_as_empty(tmp_path: Path, coordinates: bool) -> None:
    write(tmp_path / "set", {"train": 3, "valid": 0}, coordinates=coordinates)
    split = verify(tmp_path / "set")["valid"]
    assert len(split) == 0
    assert split.read(slice(None)).windows.shape == (0, 4, WINDOW_BP)
    assert split.read([]).labels.shape == (0, 11)
    assert split.labels().shape == (0, 11)
    assert split.positives().tolist() == [0] * 11
    if coordinates:
        assert split.bins().shape == (0, 3)


def test_reading_rows_in_any_order_maps_no_pages(made: tuple[Path, Any]) -> None:
    split = open_dataset(made[0])["train"]
    rows = [3, 4, 5, 1, 0, 0, 7, len(split) - 1]
    assert_batch(split.read(rows), made[1]["train"][0][rows], split.labels()[rows])


def test_packed_batches_are_writable_copies(made: tuple[Path, Any]) -> None:
    split = open_dataset(made[0])["train"]
    packed = split.read_packed(slice(0, 4))
    packed.sequence[:] = 255
    packed.labels[:] = 255
    assert_batch(split.read(slice(0, 4)), *(part[:4] for part in made[1]["train"][:2]))


def test_a_split_without_coordinates_says_so(tmp_path: Path) -> None:
    write(tmp_path / "set", coordinates=False)
    with pytest.raises(BioqError, match=r"split 'test' has no coordinates: .* pass --bed"):
        open_dataset(tmp_path / "set")["test"].bins()


def test_a_split_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "set", {"train": 2, "test": 2})
    with pytest.raises(BioqError, match=r"set: has no split 'valid'; it has train, test$"):
        open_dataset(tmp_path / "set")["valid"]


# The format as docs/reference/data-format.md specifies it


def reader_of_the_documentation() -> Any:
    """Run the Python block of docs/reference/data-format.md; return the function that it
    defines."""
    text = (Path(__file__).parents[1] / "docs" / "reference" / "data-format.md").read_text(
        encoding="utf-8"
    )
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["read_split"]


@pytest.mark.parametrize("unknown", [0.0, 0.4])
def test_the_reader_of_the_documentation_reads_the_same(tmp_path: Path, unknown: float) -> None:
    written = write(tmp_path / "set", {"train": 9, "valid": 0}, unknown=unknown)
    read_split = reader_of_the_documentation()
    for name, (codes, labels, _) in written.items():
        windows, result = read_split(tmp_path / "set", name)
        np.testing.assert_array_equal(windows, one_hot_by_hand(codes))
        np.testing.assert_array_equal(result, labels)


def test_bytes_lie_where_the_documentation_says(made: tuple[Path, dict[str, Any]]) -> None:
    codes, _, bins = made[1]["train"]
    raw = (made[0] / "train" / "sequence.npy").read_bytes()
    assert raw[:10] == b"\x93NUMPY\x01\x00\x76\x00"
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (23, 10), }"
    assert raw[10:128] == header.ljust(117) + b"\n"
    window = int.from_bytes(raw[128 + 3 * 10 : 128 + 4 * 10], "little")
    assert [(window >> 2 * i) & 3 for i in range(40)] == [*(codes[3] & 3), 0, 0]
    raw = (made[0] / "train" / "bins.npy").read_bytes()
    assert b"'descr': '<i4'" in raw[:128]
    assert struct.unpack_from("<2i", raw, 128 + 22 * 8) == tuple(bins[22])
    assert b"'descr': '<i8'" in (made[0] / "train" / "mask_rows.npy").read_bytes()[:128]


def test_the_fingerprint_is_the_one_that_the_documentation_defines(made: tuple[Path, Any]) -> None:
    meta = json.loads((made[0] / "dataset.json").read_text())
    result = meta.pop("fingerprint")
    canonical = json.dumps(meta, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(canonical.encode()).hexdigest() == result


# Writing


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two")
    one, two = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert open_dataset(tmp_path / "one").fingerprint == open_dataset(tmp_path / "two").fingerprint


def test_another_label_gives_another_fingerprint(tmp_path: Path) -> None:
    fingerprints = set()
    for i, labels in enumerate(([[1]], [[0]])):
        target = pd.DataFrame({"name": ["t"]})
        with new_dataset(tmp_path / str(i), Description("x", 4, 2, "half"), target) as writer:
            with writer.split("train") as split:
                split.append(np.zeros((1, 4), dtype=np.uint8), pack_labels(np.array(labels)))
        fingerprints.add(open_dataset(tmp_path / str(i)).fingerprint)
    assert len(fingerprints) == 2


def test_every_array_is_plain_npy(made: tuple[Path, dict[str, Any]]) -> None:
    labels = np.load(made[0] / "test" / "labels.npy")
    np.testing.assert_array_equal(
        np.unpackbits(labels, axis=1, count=11, bitorder="little"), made[1]["test"][1]
    )
    assert np.load(made[0] / "test" / "bins.npy").tolist() == made[1]["test"][2].tolist()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("inside_split", [True, False])
def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, error: type[BaseException], inside_split: bool
) -> None:
    codes, labels, bins = random_split(3, 0, 0.5)
    with pytest.raises(error), new_dataset(tmp_path / "set", DESCRIPTION, TARGETS) as writer:
        with writer.split("train") as split:
            split.append(codes, pack_labels(labels), bins)
            if inside_split:
                raise error
        raise error
    assert os.listdir(tmp_path) == []


def test_a_killed_write_leaves_nothing_that_opens(tmp_path: Path) -> None:
    script = f"""
import os, signal
import numpy as np, pandas as pd
from bioq.dataset import Description, new_dataset, pack_labels
with new_dataset({str(tmp_path / "set")!r}, Description("x", 4, 2, "half"),
                 pd.DataFrame({{"name": ["t"]}})) as writer:
    with writer.split("train") as split:
        split.append(np.zeros((1, 4), dtype=np.uint8), pack_labels(np.zeros((1, 1))))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part")
    with pytest.raises(BioqError, match=r"holds no dataset\.json"):
        open_dataset(left)


def test_an_existing_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(BioqError, match="set: exists already; give a folder"):
        with new_dataset(tmp_path / "set", DESCRIPTION, TARGETS):
            pytest.fail("the block must not run")


@pytest.mark.parametrize("limit", [100, 200, 500, 1400, 3000])
def test_a_full_disk_while_writing_is_one_line_and_leaves_nothing(
    tmp_path: Path, limit: int
) -> None:
    # A limit on the size of a file stops each kind of file in turn, as a full disk does.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(BioqError) as raised:
            write(tmp_path / "set")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(raised.value) == (
        f"{tmp_path}/set: could not be written: {os.strerror(errno.EFBIG)}; nothing was left behind"
    )
    assert os.listdir(tmp_path) == []


def test_a_split_can_be_dropped_and_written_anew(tmp_path: Path) -> None:
    codes, labels, bins = random_split(6, 0, 0.5)
    with new_dataset(tmp_path / "set", DESCRIPTION, TARGETS) as writer:
        for part in (slice(0, 6), slice(0, 3)):
            writer.drop_split("train")
            with writer.split("train") as split:
                split.append(codes[part], pack_labels(labels[part]), bins[part])
    assert_batch(verify(tmp_path / "set")["train"].read(slice(None)), codes[:3], labels[:3])


@pytest.mark.parametrize("name", ["train", "extra"])
def test_a_split_has_a_known_name_and_is_written_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"split '{name}': expected one of"):
        with new_dataset(tmp_path / "set", DESCRIPTION, TARGETS) as writer:
            with writer.split("train"):
                pass
            with writer.split(name):
                pass


def append_once(path: Path, codes: Array, labels: Array, bins: Array | None) -> None:
    with new_dataset(path, DESCRIPTION, TARGETS) as writer, writer.split("train") as split:
        split.append(codes, labels, bins)


def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    codes, labels, bins = random_split(4, 0, 0.5)
    packed = pack_labels(labels)
    with pytest.raises(ValueError, match=r"4 rows of labels for codes \(4, 37\)"):
        append_once(tmp_path / "set", codes[:, 1:], packed, bins)
    with pytest.raises(ValueError, match=r"3 rows of labels for codes \(4, 38\)"):
        append_once(tmp_path / "set", codes, packed[:3], bins)
    with pytest.raises(ValueError, match="expected a bin for every window"):
        append_once(tmp_path / "set", codes, packed, None)
    with pytest.raises(ValueError, match="expected a bin for every window"):
        append_once(tmp_path / "set", codes, packed, bins[:3])
    with pytest.raises(ValueError, match=r"labels.npy: rows are uint8 \(4, 11\), expected"):
        append_once(tmp_path / "set", codes, labels, bins)
    assert os.listdir(tmp_path) == []


# Damage


@pytest.fixture
def path(tmp_path: Path, made: tuple[Path, Any]) -> Path:
    return shutil.copytree(made[0], tmp_path / "set")


FILES = [
    "dataset.json",
    "targets.tsv",
    *(
        f"{split}/{name}.npy"
        for split in SIZES
        for name in ("sequence", "labels", "mask_rows", "mask", "bins")
    ),
]


def test_the_files_of_a_data_set_are_these(path: Path) -> None:
    result = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert result == set(FILES)
    assert set(verify(path).files) == result - {"dataset.json"}


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_found_and_its_file_named(path: Path, name: str) -> None:
    whole = (path / name).read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 40)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        (path / name).write_bytes(damaged)
        with pytest.raises(BioqError, match=f"/set.*{name}"):
            verify(path)
    (path / name).write_bytes(whole)
    verify(path)


def test_a_flipped_bit_in_an_array_header_does_not_open(path: Path) -> None:
    file = path / "train" / "labels.npy"
    whole = file.read_bytes()
    for position in range(128):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        file.write_bytes(damaged)
        with pytest.raises(BioqError, match=r"labels\.npy: is not the \.npy file of uint8"):
            open_dataset(path)


def test_every_damaged_file_is_named(path: Path) -> None:
    for name in ("train/labels.npy", "test/sequence.npy"):
        damaged = bytearray((path / name).read_bytes())
        damaged[-1] ^= 1
        (path / name).write_bytes(damaged)
    open_dataset(path)
    message = r"set: the checksum of test/sequence\.npy, train/labels\.npy differs from"
    with pytest.raises(BioqError, match=message):
        verify(path)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_truncated_file_does_not_open(path: Path, name: str) -> None:
    whole = (path / name).read_bytes()
    for size in (0, len(whole) // 2, len(whole) - 1):
        (path / name).write_bytes(whole[:size])
        message = (
            rf"{name}: has {size:,} bytes, but dataset\.json records {len(whole):,}; the data "
        )
        with pytest.raises(BioqError, match=message):
            open_dataset(path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(path: Path, name: str) -> None:
    (path / name).unlink()
    with pytest.raises(BioqError, match=rf"{name}: is missing|set: holds no dataset\.json"):
        open_dataset(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'"x"', b"\xff", b'{"format": 1}'])
def test_metadata_that_is_none_is_one_line(path: Path, content: bytes) -> None:
    (path / "dataset.json").write_bytes(content)
    with pytest.raises(BioqError, match=r"dataset\.json: is not a data set's metadata \("):
        open_dataset(path)


def test_truncated_metadata_does_not_open(path: Path) -> None:
    whole = (path / "dataset.json").read_bytes()
    (path / "dataset.json").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BioqError, match=r"dataset\.json: is not a data set's metadata"):
        open_dataset(path)


def change(path: Path, **values: object) -> None:
    meta = json.loads((path / "dataset.json").read_text())
    (path / "dataset.json").write_text(json.dumps({**meta, **values}, indent=2) + "\n")


def test_a_newer_format_version_names_both(path: Path) -> None:
    change(path, format_version=7)
    with pytest.raises(BioqError, match=r"dataset\.json: format_version 7, this BioQ reads 1; use"):
        open_dataset(path)


def test_another_format_is_named(path: Path) -> None:
    change(path, format="bioq-run")
    with pytest.raises(BioqError, match="format is 'bioq-run', expected 'bioq-dataset'"):
        open_dataset(path)


def test_changed_metadata_does_not_open(path: Path) -> None:
    change(path, targets=12)
    with pytest.raises(BioqError, match=r"dataset\.json: was changed after it was written"):
        open_dataset(path)


def test_respaced_metadata_opens_but_does_not_verify(path: Path) -> None:
    meta = json.loads((path / "dataset.json").read_text())
    (path / "dataset.json").write_text(json.dumps(meta))
    open_dataset(path)
    with pytest.raises(BioqError, match=r"dataset\.json: was changed after it was written"):
        verify(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "nowhere: no such folder; expected a data set"), ("", "holds no dataset.json")],
)
def test_what_is_no_data_set_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(BioqError, match=message):
        open_dataset(tmp_path / name)


def rewrite(path: Path, name: str, content: bytes) -> Dataset:
    """Replace a file and make dataset.json agree, as a faulty writer would; open the result."""
    from bioq.dataset import layout

    (path / name).write_bytes(content)
    meta = json.loads((path / "dataset.json").read_text())
    meta["files"][name]["bytes"] = len(content)
    meta["fingerprint"] = layout.fingerprint(meta)
    (path / "dataset.json").write_text(json.dumps(meta))
    return open_dataset(path)


def test_an_array_of_another_shape_is_named(path: Path) -> None:
    short = (path / "test" / "labels.npy").read_bytes()
    message = (
        r"train/labels\.npy: is not the \.npy file of uint8 \(23, 2\) that dataset\.json describes"
    )
    with pytest.raises(BioqError, match=message):
        rewrite(path, "train/labels.npy", short)


def test_random_rows_are_read_without_pandas_and_the_memory_it_takes(path: Path) -> None:
    code = (
        "import sys; from bioq import open_dataset; "
        f"data = open_dataset({str(path)!r}); data['train'].read([2, 0]); "
        "sys.exit('pandas was loaded' if 'pandas' in sys.modules else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_target_table_of_another_length_is_named(path: Path) -> None:
    with pytest.raises(
        BioqError, match=r"targets\.tsv: has 1 targets, but dataset\.json records 11"
    ):
        rewrite(path, "targets.tsv", b"name\nt0\n")


def test_a_file_that_is_no_npy_is_named(path: Path) -> None:
    with pytest.raises(BioqError, match=r"train/mask\.npy: is not the \.npy file of"):
        rewrite(path, "train/mask.npy", b"MATLAB 5.0 MAT-file")


def test_a_file_cut_short_while_open_is_named(made: tuple[Path, Any]) -> None:
    split = open_dataset(made[0])["train"]
    file = made[0] / "train" / "sequence.npy"
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(BioqError, match=r"sequence\.npy: became shorter after it was opened"):
        split.read([len(split) - 1])


def test_every_file_reaches_the_disk_before_the_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr("bioq.dataset.writing.sync", lambda path: synced.append(path.name))
    write(tmp_path / "set", {"train": 3})
    names = [file.name for file in (tmp_path / "set").rglob("*") if file.is_file()]
    assert sorted(synced) == sorted(names)
    assert synced[-1] == "dataset.json"


def test_the_lengths_of_contigs_are_recorded(tmp_path: Path) -> None:
    write(tmp_path / "set")
    about = open_dataset(tmp_path / "set").description
    assert about.contig_lengths == {"chr1": 1_000_000_999, "chrX": 2_000_000_000}


def test_a_data_set_without_lengths_is_written_and_read_as_before(tmp_path: Path) -> None:
    write(tmp_path / "set", coordinates=False)
    meta = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert not {"contig_bp", "contig_bins"} & set(meta["description"])
    assert "all_bins" not in meta["splits"]["train"]
    assert open_dataset(tmp_path / "set")["train"].all_bins is None
    assert open_dataset(tmp_path / "set").description.contig_lengths == {}
    assert verify(tmp_path / "set").fingerprint == open_dataset(tmp_path / "set").fingerprint


@pytest.mark.parametrize(
    ("field", "numbers", "problem"),
    [
        ("contig_bins", [5], "contig_bins is not one number of bins for each of the 2 contigs"),
        ("contig_bins", [5, -6], r"contig_bins\[1\] is -6, expected 0 or more"),
        ("contig_bp", [5], "contig_bp is not one length for each of the 2 contigs"),
        ("contig_bp", "long", "contig_bp is 'long', expected a list"),
        ("contig_bp", [5, "six"], r"contig_bp\[1\] is 'six', expected a whole number, 0 or more"),
        ("contig_bp", {"chr1": 5}, "contig_bp is {'chr1': 5}, expected a list"),
    ],
)
def test_lengths_and_bins_that_are_not_those_of_the_contigs_are_refused(
    tmp_path: Path, field: str, numbers: object, problem: str
) -> None:
    write(tmp_path / "set")
    from bioq.dataset import layout

    file = tmp_path / "set" / "dataset.json"
    meta = json.loads(file.read_text())
    meta["description"][field] = numbers
    meta["fingerprint"] = layout.fingerprint(meta)
    file.write_text(layout.as_text(meta))
    with pytest.raises(BioqError, match=problem):
        open_dataset(tmp_path / "set")

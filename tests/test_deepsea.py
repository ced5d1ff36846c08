"""bioq.builders.deepsea.build against arrays that the tests write with scipy and h5py."""

import hashlib
import os
import threading
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bioq import dna
from bioq.builders.deepsea import matlab
from bioq.builders.deepsea import rows as deepsea_rows
from bioq.builders.deepsea.build import import_deepsea
from bioq.builders.deepsea.rows import bits_of_labels, codes_of_one_hot
from bioq.dataset import open_dataset, pack_labels, verify
from bioq.dataset.targets import read_target_table
from bioq.errors import BioqError, UsageError
from bioq.published.targets import DEEPSEA_TARGET_TABLE

REFERENCE = Path(__file__).parents[1].parent / "shared/reference/deepsea_targets.tsv"
WINDOW_BP = 200


def _windows(count, seed=0, window_bp=WINDOW_BP):
    """One-hot `(n, 4, length)` in order A, C, G, T."""
    codes = np.random.default_rng(seed).integers(0, 4, (count, window_bp), dtype=np.uint8)
    return dna.one_hot(codes)


def _labels(count, targets=11, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (count, targets), dtype=np.uint8)


def _both_strands(windows, labels):
    return np.concatenate([windows, windows[:, ::-1, ::-1]]), np.concatenate([labels, labels])


def _write(path, windows, labels, *, kind="hdf5"):
    """Write windows in order A, C, G, T as MATLAB would write DeepSEA's A, G, C, T."""
    split = path.stem
    arrays = {f"{split}xdata": windows[:, [0, 2, 1, 3]], f"{split}data": labels}
    if kind == "hdf5":
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array.T, chunks=True, compression="gzip")
    else:
        scipy.io.savemat(path, arrays, do_compression=kind == "v5 compressed")
    return path


def _file(tmp_path, split, count=6, *, kind="hdf5", folded=True, **labels):
    windows = _windows(count, seed=len(split)), _labels(count, seed=len(split), **labels)
    stored = _both_strands(*windows) if folded else windows
    return _write(tmp_path / f"{split}.mat", *stored, kind=kind), *windows


def _refusal(out, error=BioqError, **files):
    with pytest.raises(error) as caught:
        import_deepsea(out, **files)
    message = str(caught.value)
    assert "\n" not in message
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))
    return message


def _assert_holds(split, windows, labels):
    batch = split.read(slice(None))
    np.testing.assert_array_equal(batch.windows, windows)
    np.testing.assert_array_equal(batch.labels, labels)


def test_the_three_files_as_shipped_make_a_data_set_of_one_strand_each(tmp_path, capsys):
    train = _windows(9, 1, 1000), _labels(9, 919, 1)
    valid = _windows(4, 2, 1000), _labels(4, 919, 2)
    test = _windows(5, 3, 1000), _labels(5, 919, 3)
    paths = {
        "train": _write(tmp_path / "train.mat", *_both_strands(*train)),
        "valid": _write(tmp_path / "valid.mat", *_both_strands(*valid), kind="v5 compressed"),
        "test": _write(tmp_path / "test.mat", *_both_strands(*test), kind="v5"),
    }

    import_deepsea(tmp_path / "out", **paths)

    data = verify(tmp_path / "out")
    for name, expected in {"train": train, "valid": valid, "test": test}.items():
        _assert_holds(data[name], *expected)
        assert data[name].strands_folded
    import_deepsea(tmp_path / "out", test=paths["test"], force=True)
    assert list(verify(tmp_path / "out")) == ["test"]
    assert data.description.made_by == "deepsea"
    assert (data.description.window_bp, data.description.bin_bp) == (1000, 200)
    assert data.description.label_rule == "half"
    assert [source.name for source in data.description.sources] == [
        "train.mat",
        "valid.mat",
        "test.mat",
    ]
    content = paths["train"].read_bytes()
    assert data.description.sources[0].sha256 == hashlib.sha256(content).hexdigest()
    assert data.targets["name"][0] == "8988T|DNase|None"
    output = capsys.readouterr()
    assert output.out == ""
    assert "train: 18 rows, two strands of each, folded: 9 windows" in output.err


@pytest.mark.parametrize("kind", ["hdf5", "v5", "v5 compressed"])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_any_file_may_be_of_either_format_and_the_others_left_out(tmp_path, split, kind):
    path, windows, labels = _file(tmp_path, split, kind=kind)
    import_deepsea(tmp_path / "out", **{split: path})
    data = open_dataset(tmp_path / "out")
    assert list(data) == [split]
    _assert_holds(data[split], windows, labels)


@pytest.mark.parametrize("kind", ["hdf5", "v5"])
@pytest.mark.parametrize("chunk", [1, 7, 74])
def test_blocks_of_any_size_give_the_same_data_set(tmp_path, monkeypatch, kind, chunk):
    monkeypatch.setattr(matlab, "BLOCK_BYTES", 4 * WINDOW_BP * 10)
    monkeypatch.setattr(matlab, "MOST_BLOCK_BYTES", 4 * WINDOW_BP * 20)
    monkeypatch.setattr(deepsea_rows, "BLOCK_ROWS", 8)
    monkeypatch.setattr(deepsea_rows, "_RAM_ROWS", 12)
    windows, labels = _windows(37), _labels(37)
    path = tmp_path / "train.mat"
    _write(path, *_both_strands(windows, labels), kind=kind)
    if kind == "hdf5":
        with h5py.File(path, "a") as file:
            for name, width in (("trainxdata", (3, 4)), ("traindata", (5,))):
                array = file[name][...]
                del file[name]
                file.create_dataset(name, data=array, chunks=(*width, chunk))

    import_deepsea(tmp_path / "out", train=path)

    split = open_dataset(tmp_path / "out")["train"]
    assert split.strands_folded
    _assert_holds(split, windows, labels)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u2"])
@pytest.mark.parametrize("kind", ["hdf5", "v5"])
def test_zeros_and_ones_of_any_numeric_class_are_read(tmp_path, kind, dtype):
    windows, labels = _windows(6), _labels(6)
    path = tmp_path / "valid.mat"
    _write(path, windows.astype(dtype), labels.astype(dtype), kind=kind)
    import_deepsea(tmp_path / "out", valid=path)
    _assert_holds(open_dataset(tmp_path / "out")["valid"], windows, labels)


def test_logical_labels_are_read(tmp_path):
    windows, labels = _windows(6), _labels(6)
    path = _write(tmp_path / "test.mat", windows, labels.astype(bool), kind="v5")
    import_deepsea(tmp_path / "out", test=path)
    _assert_holds(open_dataset(tmp_path / "out")["test"], windows, labels)


# Strands


@pytest.mark.parametrize("kind", ["hdf5", "v5"])
@pytest.mark.parametrize("what", ["a base", "a label"])
def test_a_file_that_does_not_fold_in_its_last_row_is_stored_whole(tmp_path, capsys, kind, what):
    windows, labels = _both_strands(_windows(20), _labels(20))
    if what == "a base":
        windows[-1, :, 5] = windows[-1, [1, 0, 3, 2], 5]
    else:
        labels[-1, 3] ^= 1
    path = _write(tmp_path / "train.mat", windows, labels, kind=kind)

    import_deepsea(tmp_path / "out", train=path)

    split = verify(tmp_path / "out")["train"]
    assert not split.strands_folded
    _assert_holds(split, windows, labels)
    printed = capsys.readouterr().err
    assert "row 39 is not the reverse complement of row 19 (counted from 0)" in printed
    assert "40 rows, stored unchanged: 40 windows" in printed


def test_an_odd_number_of_rows_is_stored_whole(tmp_path, capsys):
    path, windows, labels = _file(tmp_path, "test", 7, folded=False)
    import_deepsea(tmp_path / "out", test=path)
    split = open_dataset(tmp_path / "out")["test"]
    assert not split.strands_folded
    _assert_holds(split, windows, labels)
    assert "an odd number of rows, 7, cannot be two strands" in capsys.readouterr().err


def test_unknown_bases_and_whole_unknown_windows_are_masked_folded_and_counted(tmp_path, capsys):
    windows, labels = _windows(6), _labels(6)
    windows[2, :, :30] = 0
    windows[4] = 0
    path = _write(tmp_path / "train.mat", *_both_strands(windows, labels))

    import_deepsea(tmp_path / "out", train=path)

    split = open_dataset(tmp_path / "out")["train"]
    assert split.strands_folded
    assert split.masked_windows == 2
    _assert_holds(split, windows, labels)
    printed = capsys.readouterr().err
    assert "2 windows hold unknown bases (all zeros, N), 1 of them nothing else" in printed


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 40)),
                  elements=st.integers(0, 4)))  # fmt: skip
def test_codes_of_one_hot_undoes_one_hot(codes):
    planes = dna.one_hot(codes.T)[:, [0, 2, 1, 3]].transpose(2, 1, 0)
    np.testing.assert_array_equal(codes_of_one_hot(None, planes), codes)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 9)),
                  elements=st.integers(0, 1)))  # fmt: skip
def test_bits_of_labels_are_those_of_pack_labels(labels):
    np.testing.assert_array_equal(bits_of_labels(None, labels).T, pack_labels(labels.T))


# Coordinates


def _bed(tmp_path, *runs, name="allTFs.pos.bed"):
    """Write runs of (contig, number of bins)."""
    lines = [
        f"{contig}\t{1000 + 200 * number}\t{1200 + 200 * number}\n"
        for contig, count in runs
        for number in range(count)
    ]
    path = tmp_path / name
    path.write_text("".join(lines))
    return path


def test_coordinates_are_the_lines_of_the_bed_file_split_as_deepsea_splits_them(tmp_path):
    files = {
        split: _file(tmp_path, split, count)[0]
        for split, count in {"train": 6, "valid": 2, "test": 5}.items()
    }
    bed = _bed(tmp_path, ("chr1", 4), ("chr7", 6), ("chr8", 3), ("chr9", 2), ("chrX", 9))

    import_deepsea(tmp_path / "out", bed=bed, **files)

    data = open_dataset(tmp_path / "out")
    lines = pd.read_csv(bed, sep="\t", names=["chrom", "start", "end"])
    for split, rows in {
        "train": slice(0, 6),
        "valid": slice(6, 8),
        "test": slice(10, 15),
    }.items():
        result = data[split].bins().astype({"chrom": str})
        expected = lines[rows].reset_index(drop=True)
        pd.testing.assert_frame_equal(result, expected, check_dtype=False)
    assert data.description.sources[-1].name == "allTFs.pos.bed"


def test_the_lengths_of_contigs_are_those_of_hg19_for_deepseas_own_targets(tmp_path):
    paths = {}
    for count in (919, 11):
        (tmp_path / str(count)).mkdir()
        paths[count] = _file(tmp_path / str(count), "test", 6, targets=count)[0]
    bed = _bed(tmp_path, ("chr8", 3), ("chr9", 3))
    past_end = tmp_path / "past.bed"
    past_end.write_text(bed.read_text().replace("chr9\t1400\t1600", "chr9\t141213400\t141213600"))
    for name, mat, lines, expected in (
        ("own", paths[919], bed, {"chr8": 146_364_022, "chr9": 141_213_431}),
        ("other", paths[11], bed, {}),
        ("past", paths[919], past_end, {}),
    ):
        import_deepsea(tmp_path / name, test=mat, bed=lines)
        assert open_dataset(tmp_path / name).description.contig_lengths == expected


def test_the_bed_file_and_the_targets_may_be_named_pipes_with_any_line_ends(tmp_path):
    path, *_ = _file(tmp_path, "test", 3, targets=2)
    bed = _bed(tmp_path, ("chr1", 4), ("chr8", 2), ("chr9", 1)).read_bytes()
    contents = {"bed": bed.replace(b"\n", b"\r"), "targets": b"name\rone\rtwo"}
    pipes = {name: tmp_path / f"{name}.fifo" for name in contents}
    for name, pipe in pipes.items():
        os.mkfifo(pipe)
        threading.Thread(target=pipe.write_bytes, args=[contents[name]], daemon=True).start()
    import_deepsea(tmp_path / "out", test=path, **pipes)
    data = open_dataset(tmp_path / "out")
    assert list(data.targets["name"]) == ["one", "two"]
    assert list(data["test"].bins()["chrom"]) == ["chr8", "chr8", "chr9"]
    source = data.description.sources[-1]
    assert source.sha256 == hashlib.sha256(contents["bed"]).hexdigest()
    assert source.bytes == len(bed)


def test_coordinates_of_a_file_that_does_not_fold_take_a_line_a_row(tmp_path):
    path, *_ = _file(tmp_path, "test", 6, folded=False)
    bed = _bed(tmp_path, ("chr1", 4), ("8", 3), ("9", 3))
    import_deepsea(tmp_path / "out", test=path, bed=bed)
    bins = open_dataset(tmp_path / "out")["test"].bins()
    assert bins["chrom"].tolist() == ["8"] * 3 + ["9"] * 3


def test_a_file_that_proves_not_to_fold_but_has_coordinates_for_half_is_refused(tmp_path):
    path, *_ = _file(tmp_path, "test", 6, folded=False)
    bed = _bed(tmp_path, ("chr1", 4), ("chr8", 3))
    message = _refusal(tmp_path / "out", test=path, bed=bed)
    assert "not two strands of the same windows" in message
    assert "leave the BED out" in message


def test_a_bed_file_of_other_windows_is_refused(tmp_path):
    train, *_ = _file(tmp_path, "train", 6)
    test, *_ = _file(tmp_path, "test", 5)
    short = _bed(tmp_path, ("chr1", 5), ("chr8", 4))
    message = _refusal(tmp_path / "out", test=test, bed=short)
    assert "has 4 lines on chr8 and chr9, but the test file has 5 windows" in message
    message = _refusal(tmp_path / "out", train=train, bed=short)
    assert "the 6 train windows should be its lines 1 .. 6, but it has 5 lines before" in message


def test_valid_without_train_needs_the_lines_of_the_shipped_file(tmp_path):
    valid, *_ = _file(tmp_path, "valid", 2)
    message = _refusal(tmp_path / "out", valid=valid, bed=_bed(tmp_path, ("chr1", 8)))
    assert "lines 2,200,001 .. 2,200,002" in message
    assert "give the train file too" in message


def test_a_bed_line_that_is_no_bin_is_refused_with_its_number(tmp_path):
    path, *_ = _file(tmp_path, "test", 2)
    bed = _bed(tmp_path, ("chr8", 2))
    bed.write_text("chr8\t0\t200\nchr8\t200\t401\n")
    message = _refusal(tmp_path / "out", test=path, bed=bed)
    assert f"{bed}:2: found 200 .. 401, 201 bp; expected a bin of 200 bp" in message


# Targets


def test_the_919_names_are_unique_and_tell_cell_target_and_treatment():
    table = read_target_table(DEEPSEA_TARGET_TABLE)
    assert len(table) == 919
    assert table["group"].value_counts().to_dict() == {"TF": 690, "DNase": 125, "histone": 104}
    triple = table["cell"] + "|" + table["target"] + "|" + table["treatment"]
    for name, expected in zip(table["name"], triple, strict=True):
        assert name == expected or name.startswith(f"{expected}|")
    assert "K562|CTCF|None|BroadK562Ctcf" in set(table["name"])
    roc_auc = pd.to_numeric(table["danq_roc_auc"], errors="coerce")
    assert roc_auc.mean() == pytest.approx(0.9384, abs=5e-5)  # DanQ's published macro average


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"{REFERENCE} is absent")
def test_the_919_targets_are_in_the_order_of_the_reference_table():
    shipped = read_target_table(DEEPSEA_TARGET_TABLE)
    reference = pd.read_csv(REFERENCE, sep="\t", dtype=str, keep_default_na=False)
    for column in reference.columns.drop("index"):
        assert shipped[column].tolist() == reference[column].str.strip().tolist()


def test_targets_of_another_number_are_numbered_and_the_user_is_told(tmp_path, capsys):
    path, *_ = _file(tmp_path, "train", targets=3)
    import_deepsea(tmp_path / "out", train=path)
    names = open_dataset(tmp_path / "out").targets["name"].tolist()
    assert names == ["target_0", "target_1", "target_2"]
    assert "has 3 targets, not DeepSEA's 919" in capsys.readouterr().err


def test_a_target_table_names_the_targets(tmp_path):
    path, *_ = _file(tmp_path, "train", targets=2)
    table = tmp_path / "targets.tsv"
    table.write_text("name\tcell\nCTCF\tK562\nATAC\tliver\n")
    import_deepsea(tmp_path / "out", train=path, targets=table)
    assert open_dataset(tmp_path / "out").targets["cell"].tolist() == ["K562", "liver"]


def test_a_target_table_of_another_length_is_refused(tmp_path):
    path, *_ = _file(tmp_path, "train", targets=3)
    table = tmp_path / "targets.tsv"
    table.write_text("name\nCTCF\n")
    message = _refusal(tmp_path / "out", train=path, targets=table)
    assert f"{table}: names 1 targets, but {path} has 3" in message


# Refused


def test_no_file_at_all_is_wrong_usage(tmp_path):
    assert "--train, --valid, --test" in _refusal(tmp_path / "out", UsageError)


def test_an_output_folder_that_exists_is_refused(tmp_path):
    path, *_ = _file(tmp_path, "test")
    (tmp_path / "out").mkdir()
    with pytest.raises(BioqError, match="exists already"):
        import_deepsea(tmp_path / "out", test=path)


def test_a_file_given_for_the_wrong_split_is_named(tmp_path):
    path, *_ = _file(tmp_path, "valid")
    message = _refusal(tmp_path / "out", test=path)
    assert f"{path}: was given as --test but holds validxdata" in message
    assert "give this file as --valid" in message


def test_a_file_without_the_variables_says_which_it_has(tmp_path):
    path = tmp_path / "train.mat"
    scipy.io.savemat(path, {"data": np.eye(3), "classes": np.eye(2)})
    message = _refusal(tmp_path / "out", train=path)
    assert "has no variable 'trainxdata'; found classes, data" in message
    assert "expected trainxdata and traindata" in message


def test_the_names_in_a_damaged_file_do_not_break_the_line(tmp_path):
    path, *_ = _file(tmp_path, "test", kind="v5")
    path.write_bytes(path.read_bytes().replace(b"testxdata", b"testxd\nta"))
    assert r"found testdata, testxd\nta;" in _refusal(tmp_path / "out", test=path)


def test_a_file_without_labels_says_so(tmp_path):
    path = tmp_path / "train.mat"
    scipy.io.savemat(path, {"trainxdata": _windows(2)})
    assert "has no variable 'traindata'" in _refusal(tmp_path / "out", train=path)


def test_sparse_labels_are_refused(tmp_path):
    path = tmp_path / "test.mat"
    labels = scipy.sparse.csc_array(_labels(4).astype(float))
    scipy.io.savemat(path, {"testxdata": _windows(4), "testdata": labels})
    message = _refusal(tmp_path / "out", test=path)
    assert "testdata is a sparse matrix" in message
    assert "uint8(full(...))" in message


@pytest.mark.parametrize(
    ("windows", "labels", "what"),
    [
        ((6, 5, 200), (6, 3), "testxdata is (6, 5, 200) and testdata (6, 3); expected (windows, 4"),
        ((6, 800), (6, 3), "expected (windows, 4, length) and (windows, targets)"),
        ((6, 4, 200), (7, 3), "their rows differ"),
        ((200, 4, 6), (3, 6), "their rows differ"),
        ((200, 4, 6), (6, 3), "save them transposed"),
        ((0, 4, 200), (0, 3), "empty"),
        ((6, 4, 199), (6, 3), "shorter than the bin of 200 bp"),
    ],
)
@pytest.mark.parametrize("kind", ["hdf5", "v5"])
def test_wrong_shapes_are_refused_as_matlab_shows_them(tmp_path, kind, windows, labels, what):
    path = tmp_path / "test.mat"
    arrays = {"testxdata": np.zeros(windows, np.uint8), "testdata": np.zeros(labels, np.uint8)}
    if kind == "v5":
        scipy.io.savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array.T
    assert what in _refusal(tmp_path / "out", test=path)


def test_files_of_different_data_sets_are_refused(tmp_path):
    train, *_ = _file(tmp_path, "train", targets=3)
    test, *_ = _file(tmp_path, "test", targets=4)
    message = _refusal(tmp_path / "out", train=train, test=test)
    assert f"{test}: has 4 targets" in message
    assert f"{train} has 3" in message


@pytest.mark.parametrize("kind", ["hdf5", "v5"])
@pytest.mark.parametrize(("value", "dtype"), [(2, "u1"), (-1, "i1"), (0.5, "f8"), (np.nan, "f4")])
def test_a_value_other_than_0_and_1_is_refused_with_its_place(tmp_path, kind, value, dtype):
    windows, labels = _windows(6).astype(dtype), _labels(6).astype(dtype)
    windows[4, 2, 17] = value  # G: channel 1 in the file, but named by its letter
    path = _write(tmp_path / "valid.mat", windows, labels, kind=kind)
    message = _refusal(tmp_path / "out", valid=path)
    assert f"validxdata holds {value} at row 4, position 17, channel G" in message

    labels[3, 9] = value
    path = _write(tmp_path / "valid.mat", _windows(6), labels, kind=kind)
    message = _refusal(tmp_path / "out", valid=path)
    assert f"validdata holds {value} at row 3, target 9 (counted from 0)" in message


@pytest.mark.parametrize("kind", ["hdf5", "v5"])
def test_a_position_with_two_bases_is_refused_with_its_place(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(matlab, "BLOCK_BYTES", 4 * WINDOW_BP * 2)
    windows = _windows(16)
    windows[12, :, 103] = [0, 1, 1, 0]
    path = tmp_path / "test.mat"
    _write(path, windows, _labels(16), kind=kind)
    message = _refusal(tmp_path / "out", test=path)
    assert "testxdata marks G and C at row 12, position 103 (counted from 0)" in message


def test_a_file_that_ends_too_early_leaves_nothing(tmp_path):
    path, *_ = _file(tmp_path, "test", kind="v5")
    path.write_bytes(path.read_bytes()[:-100])
    assert "cut short" in _refusal(tmp_path / "out", test=path)

"""bioq.builders.deepsea.matlab against scipy.io and h5py."""

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from bioq.builders.deepsea import matlab
from bioq.builders.deepsea.matlab import Hdf5Array, NotNumeric, V5Array, open_mat
from bioq.errors import BioqError

NUMERIC = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "bool"]


def _numbers(*shape, dtype="u1"):
    return np.random.default_rng(0).integers(0, 2, shape).astype(dtype)


def _read_v5(path, name, step=1):
    with open_mat(path) as variables:
        array = variables[name]
        assert isinstance(array, V5Array)
        pieces = list(array.planes(step))
        starts = np.cumsum([0, *(len(piece) for _, piece in pieces)])
        assert [first for first, _ in pieces] == starts[:-1].tolist()
        assert starts[-1] == array.shape[0]
        return np.concatenate([piece for _, piece in pieces])


def _read_hdf5(path, name, start=0, stop=None):
    with open_mat(path) as variables:
        array = variables[name]
        assert isinstance(array, Hdf5Array)
        spans = list(array.spans(start, array.shape[-1] if stop is None else stop))
        return np.concatenate([array.read(*span) for span in spans], axis=-1), spans


def _refusal(path):
    with pytest.raises(BioqError) as caught, open_mat(path):
        pass
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def _write_hdf5(path, **arrays):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=True, compression="gzip")
    return path


# MATLAB v5


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", NUMERIC)
def test_v5_arrays_of_every_numeric_class_equal_what_scipy_reads(tmp_path, dtype, compressed):
    path = tmp_path / "a.mat"
    written = _numbers(13, 4, 9, dtype=dtype)
    scipy.io.savemat(path, {"testxdata": written}, do_compression=compressed)

    result = _read_v5(path, "testxdata")

    np.testing.assert_array_equal(result.T, scipy.io.loadmat(path)["testxdata"])


@pytest.mark.parametrize("step", [1, 3, 8, 100])
def test_v5_pieces_are_multiples_of_the_step_and_cover_the_array(tmp_path, monkeypatch, step):
    monkeypatch.setattr(matlab, "BLOCK_BYTES", 4 * 50)
    path = tmp_path / "a.mat"
    written = _numbers(7, 29)
    scipy.io.savemat(path, {"a": written}, do_compression=True)

    with open_mat(path) as variables:
        pieces = list(variables["a"].planes(step))

    assert all(len(piece) % step == 0 for _, piece in pieces[:-1])
    np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), written.T)


@pytest.mark.parametrize("compressed", [False, True])
def test_v5_variables_are_found_by_name_in_any_order(tmp_path, compressed):
    path = tmp_path / "a.mat"
    arrays = {
        "ab": _numbers(3, 5),
        "a_rather_long_name": _numbers(2, 4, 6),
        "c": np.array([[1.5, 2.5]]),
    }
    scipy.io.savemat(path, arrays, do_compression=compressed)

    with open_mat(path) as variables:
        assert list(variables) == list(arrays)
        assert variables["a_rather_long_name"].shape == (6, 4, 2)
    for name, written in arrays.items():
        np.testing.assert_array_equal(_read_v5(path, name).T, written)


def test_a_big_endian_v5_file_is_read(tmp_path):
    written = _numbers(3, 4, dtype="i2") * 259
    element = b"".join(
        [
            struct.pack(">II", 6, 8) + struct.pack(">II", 10, 0),  # flags: class int16
            struct.pack(">II", 5, 8) + struct.pack(">ii", 3, 4),  # dimensions
            struct.pack(">HH4s", 3, 1, b"abc"),  # name, packed into its tag
            struct.pack(">II", 3, 24) + written.T.astype(">i2").tobytes(),
        ]
    )
    path = tmp_path / "big.mat"
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    path.write_bytes(header + struct.pack(">II", 14, len(element)) + element)

    np.testing.assert_array_equal(scipy.io.loadmat(path)["abc"], written)
    np.testing.assert_array_equal(_read_v5(path, "abc").T, written)


def test_v5_variables_that_are_no_arrays_are_named_by_kind(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(
        path,
        {
            "sparse": scipy.sparse.csc_array(np.eye(3)),
            "text": "abc",
            "cell": np.array([1, "x"], dtype=object),
            "struct": {"field": 1},
            "complex": np.array([1j]),
        },
    )
    with open_mat(path) as variables:
        kinds = {name: v.kind for name, v in variables.items() if isinstance(v, NotNumeric)}
    assert kinds == {
        "sparse": "sparse matrix",
        "text": "text",
        "cell": "cell array",
        "struct": "structure",
        "complex": "complex array",
    }


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kept", [130, 200, -1])
def test_a_v5_file_cut_short_is_refused_on_opening(tmp_path, compressed, kept):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": _numbers(50, 40)}, do_compression=compressed)
    path.write_bytes(path.read_bytes()[:kept])
    assert "cut short" in _refusal(path)


def _damage_compressed(path, change):
    """Rewrite the compressed bytes of a file's only variable."""
    content = path.read_bytes()
    deflated = change(content[136:])
    path.write_bytes(content[:128] + struct.pack("<II", 15, len(deflated)) + deflated)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda deflated: deflated[:-40], "ends too early"),
        (lambda deflated: deflated[:-4] + b"\0\0\0\0", "incorrect data check"),
    ],
)
def test_damaged_compressed_bytes_are_refused_when_read(tmp_path, change, why):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": _numbers(500, 40)}, do_compression=True)
    _damage_compressed(path, change)

    with pytest.raises(BioqError, match=f"{why}.*download it again"):
        _read_v5(path, "a")


def test_a_compressed_variable_that_is_no_matrix_is_refused(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": _numbers(5, 4)}, do_compression=True)
    _damage_compressed(path, lambda _: zlib.compress(struct.pack("<II", 7, 8) + bytes(8)))
    assert "element of type 7" in _refusal(path)


def test_dimensions_that_do_not_fit_the_bytes_are_refused(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": _numbers(11, 13)})
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<ii", 11, 13), struct.pack("<ii", 11, 12), 1))
    assert "a has shape (11, 12) but 143 bytes" in _refusal(path)


# HDF5


@pytest.mark.parametrize(
    "chunks", [None, (9, 4, 1), (1, 1, 37), (2, 3, 5), (9, 4, 100), (1, 1, 100), (4, 2, 64)]
)
@pytest.mark.parametrize(("start", "stop"), [(0, 100), (0, 50), (50, 100), (13, 14)])
def test_hdf5_blocks_equal_what_h5py_reads_whatever_the_chunks(
    tmp_path, monkeypatch, chunks, start, stop
):
    monkeypatch.setattr(matlab, "BLOCK_BYTES", 36 * 11)
    monkeypatch.setattr(matlab, "MOST_BLOCK_BYTES", 36 * 40)
    path = tmp_path / "train.mat"
    written = _numbers(9, 4, 100)
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=written, chunks=chunks)

    result, spans = _read_hdf5(path, "a", start, stop)

    np.testing.assert_array_equal(result, written[..., start:stop])
    assert max(end - first for first, end in spans) <= 40
    chunk = chunks[-1] if chunks else 1
    if chunk <= 40:
        assert all(end % chunk == 0 for _, end in spans[:-1])


def test_hdf5_is_known_by_content_behind_a_matlab_header_and_any_name(tmp_path):
    written = _numbers(4, 6)
    path = _write_hdf5(tmp_path / "valid.v5.txt", validdata=written)
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(content)
    np.testing.assert_array_equal(_read_hdf5(path, "validdata")[0], written)


def test_hdf5_chunks_too_large_for_memory_are_refused(tmp_path, monkeypatch):
    path = _write_hdf5(tmp_path / "a.mat", a=_numbers(30, 40))
    monkeypatch.setattr(matlab, "MOST_CHUNK_BYTES", 100)
    with pytest.raises(BioqError, match=r"chunks of 1,200 bytes.*at most 100.*h5repack"):
        _read_hdf5(path, "a")


def test_hdf5_groups_and_references_are_no_arrays(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        file.create_group("sparse").attrs["MATLAB_sparse"] = np.uint64(3)
        file.create_group("struct")
        file.create_group("#refs#")
        file["cell"] = np.array([file["struct"].ref], dtype=h5py.ref_dtype)
    with open_mat(path) as variables:
        kinds = {name: variable.kind for name, variable in variables.items()}
    assert kinds == {"cell": "array of object", "sparse": "sparse matrix", "struct": "group"}


def test_an_hdf5_file_cut_short_is_refused_on_opening(tmp_path):
    path = _write_hdf5(tmp_path / "a.mat", a=_numbers(300, 40))
    path.write_bytes(path.read_bytes()[:-100])
    message = _refusal(path)
    assert "truncated" in message
    assert "download it again" in message


def test_a_damaged_hdf5_chunk_is_refused_when_read(tmp_path):
    path = _write_hdf5(tmp_path / "a.mat", a=_numbers(300, 40))
    with h5py.File(path) as file:
        chunk = file["a"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    at = 512 + chunk.byte_offset + 20  # behind the user block
    content[at : at + 50] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(BioqError, match=r"a could not be read in rows 0 \.\. 40 .*damaged"):
        _read_hdf5(path, "a")


# Neither


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00" + bytes(200), "is gzip data, which must be unpacked first"),
        (b"\n<html><body>404</body></html>" + bytes(200), "is a web page"),
        (b"chr1\t0\t200\n" * 30, r"begins with b'chr1\t0\t2'"),
        (b"MATLAB 7.3".ljust(124) + b"\x00\x02IM" + bytes(400), "header of a MATLAB v7.3 file"),
    ],
)
def test_a_file_that_is_no_mat_file_is_refused_with_a_guess(tmp_path, content, what):
    path = tmp_path / "train.mat"
    path.write_bytes(content)
    message = _refusal(path)
    assert what in message
    assert "expected a .mat file of MATLAB v5 or v7.3" in message or "cut short" in message


def test_a_matlab_v4_file_is_refused(tmp_path):
    path = tmp_path / "old.mat"
    scipy.io.savemat(path, {"a": np.eye(30)}, format="4")
    assert "MATLAB v5 or v7.3" in _refusal(path)


def test_a_missing_mat_file_is_refused():
    assert "No such file" in _refusal(Path("absent/train.mat"))

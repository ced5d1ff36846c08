"""Tests of bioq.dna: against plain Python loops, hand-written matrices and properties."""

import numpy as np
import numpy.typing as npt
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bioq import dna

CODES = st.integers(0, 4)


def code_arrays(dims: int = 1, longest: int = 70) -> st.SearchStrategy[npt.NDArray[np.uint8]]:
    shapes = hnp.array_shapes(min_dims=dims, max_dims=dims, min_side=0, max_side=longest)
    return hnp.arrays(np.uint8, shapes, elements=CODES)


@given(st.text(alphabet="ACGTNacgtnRYSWKMBDHVryUu-*. 1é"))
def test_encode_agrees_with_a_plain_loop(sequence: str) -> None:
    expected = ["ACGT".index(base.upper()) if base in "ACGTacgt" else 4 for base in sequence]
    assert dna.encode(sequence).tolist() == expected


@given(st.binary())
def test_encode_of_bytes_agrees_with_a_plain_loop(sequence: bytes) -> None:
    expected = [b"ACGT".index(bytes([b]).upper()) if b in b"ACGTacgt" else 4 for b in sequence]
    assert dna.encode(sequence).tolist() == expected


@given(st.text(alphabet="ACGTN"))
def test_decode_undoes_encode(sequence: str) -> None:
    assert dna.decode(dna.encode(sequence)) == sequence


def test_decode_writes_n_for_every_iupac_code() -> None:
    assert dna.decode(dna.encode("aRcYgStWnK")) == "ANCNGNTNNN"


@given(st.text(alphabet="ACGTN"))
def test_reverse_complement_agrees_with_biopython(sequence: str) -> None:
    expected = str(Seq(sequence).reverse_complement())
    assert dna.decode(dna.reverse_complement(dna.encode(sequence))) == expected


@given(code_arrays(dims=2, longest=20))
def test_reverse_complement_twice_is_identity(codes: npt.NDArray[np.uint8]) -> None:
    opposite = dna.reverse_complement(codes)
    assert opposite.dtype == np.uint8
    np.testing.assert_array_equal(dna.reverse_complement(opposite), codes)


def test_one_hot_is_the_hand_written_matrix() -> None:
    hot = dna.one_hot(dna.encode("GATNC"))
    assert hot.dtype == np.uint8
    assert hot.tolist() == [
        [0, 1, 0, 0, 0],  # A
        [0, 0, 0, 0, 1],  # C
        [1, 0, 0, 0, 0],  # G
        [0, 0, 1, 0, 0],  # T
    ]


@given(code_arrays(dims=2, longest=20))
def test_flipping_both_axes_of_one_hot_is_the_reverse_complement(
    codes: npt.NDArray[np.uint8],
) -> None:
    flipped = dna.one_hot(codes)[:, ::-1, ::-1]
    np.testing.assert_array_equal(flipped, dna.one_hot(dna.reverse_complement(codes)))


def test_packing_sets_the_bits_that_the_format_names() -> None:
    # Base i in bits 2(i mod 4) of byte i // 4: A0 C1 G2 T3 | N0 T3; N is base 4 of mask byte 0.
    packed, mask = dna.pack(dna.encode("ACGTNT")[None])
    assert packed.tolist() == [[0 | 1 << 2 | 2 << 4 | 3 << 6, 0 | 3 << 2]]
    assert mask.tolist() == [[1 << 4]]


@pytest.mark.parametrize("length", range(1, 34))
def test_unpack_undoes_pack_at_every_length(length: int) -> None:
    codes = np.random.default_rng(length).integers(0, 5, (7, length), dtype=np.uint8)
    packed, mask = dna.pack(codes)
    assert packed.shape == (7, dna.packed_bytes(length)) == (7, (length + 3) // 4)
    assert mask.shape == (7, (length + 7) // 8)
    np.testing.assert_array_equal(dna.unpack(packed, length, mask), codes)


@given(code_arrays(dims=2))
def test_unpack_undoes_pack(codes: npt.NDArray[np.uint8]) -> None:
    packed, mask = dna.pack(codes)
    np.testing.assert_array_equal(dna.unpack(packed, codes.shape[1], mask), codes)


@given(code_arrays(dims=2))
def test_pack_agrees_with_a_plain_loop_and_leaves_padding_zero(
    codes: npt.NDArray[np.uint8],
) -> None:
    packed, mask = dna.pack(codes)
    for row, bases in enumerate(codes.tolist()):
        sequence, unknown = 0, 0
        for i, code in enumerate(bases):
            sequence |= (code if code < 4 else 0) << (2 * i)
            unknown |= (code == 4) << i
        assert int.from_bytes(packed[row].tobytes(), "little") == sequence
        assert int.from_bytes(mask[row].tobytes(), "little") == unknown


def test_unpack_without_a_mask_takes_every_base_as_known() -> None:
    packed, _ = dna.pack(dna.encode("ACNT")[None])
    assert dna.decode(dna.unpack(packed, 4)[0]) == "ACAT"


def test_pack_leaves_its_input_alone() -> None:
    codes = dna.encode("NNACGT")[None].copy()
    dna.pack(codes)
    assert dna.decode(codes[0]) == "NNACGT"


@pytest.mark.parametrize(("rows", "length"), [(0, 0), (0, 10), (3, 0)])
def test_empty_arrays_pack_and_unpack(rows: int, length: int) -> None:
    packed, mask = dna.pack(np.empty((rows, length), dtype=np.uint8))
    assert dna.unpack(packed, length, mask).shape == (rows, length)
    assert dna.unpack(packed, length).shape == (rows, length)

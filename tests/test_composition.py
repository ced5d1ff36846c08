"""Counts of k-mers are those of plain strings, and the layer on them is scikit-learn's ridge."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import bioq
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.dna.tensors import one_hot
from bioq.errors import BioqError
from bioq.fast.kmers import count_kmers
from bioq.models import ModelSizes, build_model
from bioq.models.composition import KMERS, Composition, kmer_counts, middle_fifth
from bioq.training.composition import SPREAD, fit_composition, penalty_of

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
Floats = npt.NDArray[np.float64]


def counted(text: str) -> Floats:
    """Count 5-mers of a text and of its middle fifth, with strings."""
    kmers = [a + b + c + d + e for a in "ACGT" for b in "ACGT" for c in "AC" for d in "ACGT"
             for e in "ACGT"]  # fmt: skip
    row = {kmer: position for position, kmer in enumerate(kmers)}
    counts = np.zeros(2 * len(kmers))
    start = 2 * len(text) // 5
    for first, part in ((0, text), (len(kmers), text[start : len(text) - start])):
        for position in range(len(part) - 4):
            kmer = part[position : position + 5]
            kmer = kmer if kmer in row else kmer[::-1].translate(COMPLEMENT)
            if "N" not in kmer:
                counts[first + row[kmer]] += 1
    return counts


def write_data(folder: Path, windows: int) -> Dataset:
    """Write windows of 100 bp; one target is rich in A, one never positive, one rich in CG."""
    codes = np.random.default_rng(3).integers(0, 4, (windows, 100)).astype(np.uint8)
    islands = ((codes[:, :-1] == 1) & (codes[:, 1:] == 2)).sum(axis=1)
    labels = np.stack([(codes == 0).sum(axis=1) > 27, islands < 0, islands > 7], axis=1)
    table = pd.DataFrame({"name": ["A", "never", "CG"]})
    with new_dataset(folder, Description("peaks", 100, 20, "half"), table) as writer:
        for name, rows in (("train", slice(20, None)), ("valid", slice(20))):
            with writer.split(name) as split:
                split.append(codes[rows], pack_labels(labels[rows]))
    return open_dataset(folder)


def codes_of(*texts: str) -> torch.Tensor:
    return torch.tensor([["ACGTN".index(base) for base in text] for text in texts]).to(torch.uint8)


def both(counts: tuple[torch.Tensor, torch.Tensor]) -> Floats:
    return torch.cat(counts, dim=1).double().numpy()


@settings(max_examples=50, deadline=None)
@given(st.integers(25, 130).flatmap(lambda n: st.text("ACGTN", min_size=n, max_size=n)))
def test_counts_are_those_of_strings_on_either_strand(text: str) -> None:
    expected = counted(text)
    for strand in (text, text[::-1].translate(COMPLEMENT)):
        codes = codes_of(strand)
        np.testing.assert_array_equal(both(count_kmers(codes))[0], expected)
        np.testing.assert_array_equal(both(kmer_counts(one_hot(codes).float()))[0], expected)


def test_a_count_by_hand() -> None:
    text = "TACGT" + "N" * 10 + "GACGTATAC" + "N" * 16  # 40 bp, the middle fifth is [16, 24)
    window, middle = count_kmers(codes_of(text))
    # CGTAT and its like: of ACGTATAC, which the middle holds, four; of the window two more.
    assert (middle_fifth(40), middle.sum(), window.sum()) == ((16, 24), 4, 6)
    acgta = (((0 * 4 + 1) * 2 + 0) * 4 + 2) * 4  # with G in the middle it counts as TACGT
    tacgt = (((3 * 4 + 0) * 2 + 1) * 4 + 2) * 4 + 3
    assert (window[0, acgta], window[0, tacgt], middle[0, tacgt]) == (0, 2, 1)


def test_the_window_of_the_papers_has_its_bin_in_the_middle() -> None:
    assert middle_fifth(1000) == (400, 600)


def test_soft_windows_have_gradients_that_say_what_a_substitution_does() -> None:
    torch.manual_seed(0)
    layer = Composition(60, 3)
    layer.weight.normal_()
    windows = one_hot(torch.randint(0, 4, (1, 60), dtype=torch.uint8)).double()
    layer.double()
    torch.autograd.gradcheck(layer, windows.requires_grad_())


def test_autocast_counts_exactly() -> None:
    layer = Composition(1000, 1)
    layer.weight.fill_(1)
    windows = one_hot(codes_of("A" * 1000)).float()
    expected = layer.of_counts(*count_kmers(codes_of("A" * 1000)))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(windows) == expected


def test_a_window_whose_middle_holds_no_k_mer_is_refused() -> None:
    with pytest.raises(BioqError, match=r"24 bp is too short to count 5-mers.*at least 25 bp"):
        Composition(24, 1)


def test_the_fit_is_the_ridge_of_scikit_learn(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 300)
    split = data["train"]
    windows = split.read(slice(0, len(split))).windows
    labels = split.labels().astype(float)
    layer = Composition(windows.shape[2], labels.shape[1])
    fit_composition(layer, split)

    texts = ["".join("ACGT"[b] for b in w.argmax(axis=0)) for w in windows]
    assert (windows.sum(axis=1) == 1).all(), "no unknown bases here"
    read = 2 * np.sqrt(np.stack([counted(text) for text in texts]) + 0.375)
    standard = StandardScaler().fit_transform(read)
    score = (
        Ridge(alpha=penalty_of(len(labels)), solver="cholesky")
        .fit(standard, labels)
        .predict(standard)
    )
    rate = (labels.sum(axis=0) + 1) / (len(labels) + 2)
    result = layer(torch.from_numpy(windows).float()).numpy()
    for target in (0, 2):  # the other has no score
        standard_score = StandardScaler().fit_transform(score[:, [target]])[:, 0]
        expected = np.log(rate / (1 - rate))[target] + SPREAD * standard_score
        np.testing.assert_allclose(result[:, target], expected, atol=2e-4)
    assert np.corrcoef(result[:, 0], (windows[:, 0] == 1).sum(axis=1))[0, 1] > 0.5


def test_a_target_without_positives_keeps_its_rate(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 50)
    layer = Composition(data.description.window_bp, len(data.targets))
    fit_composition(layer, data["train"])
    assert not layer.weight[1].any()
    rate = 1 / (len(data["train"]) + 2)
    assert layer.bias[1].item() == pytest.approx(np.log(rate / (1 - rate)), rel=1e-5)
    assert layer.weight[0].any()
    assert torch.isfinite(layer.weight).all()


def test_training_fits_it_once_and_leaves_it_alone(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 60)
    expected = Composition(data.description.window_bp, len(data.targets))
    fit_composition(expected, data["train"])
    sizes = ModelSizes(filters=4, filter_width=5, pool_width=5, lstm_units=3, dense_units=4)
    config = bioq.TrainConfig(epochs=2, device="cpu")
    model = bioq.train(data, tmp_path / "run", model="marq", sizes=sizes, config=config)
    for name in ("weight", "bias"):
        torch.testing.assert_close(
            getattr(model.network.composition, name), getattr(expected, name), rtol=0, atol=0
        )
    assert build_model("marq", targets=2, sizes=ModelSizes(composition_share=0)).composition is None
    assert KMERS == 512


def test_the_penalty_grows_with_the_windows_up_to_those_it_was_found_on() -> None:
    assert penalty_of(11_719) == penalty_of(1_000_000) == 1e5
    assert penalty_of(1_000) == pytest.approx(1e8 / 11_719)

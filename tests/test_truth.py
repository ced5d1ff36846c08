import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bioq.builders.simulation.build import SimulationOptions, simulate
from bioq.builders.simulation.grammar import TARGETS
from bioq.builders.simulation.truth import compare_with_truth, motif_content, truth
from bioq.dataset import Dataset, open_dataset
from bioq.errors import BioqError

PAIRS = ("CTCF-near-SRF", "REST-then-HNF4A", "ZNF143-facing-EGR3")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("truth") / "small"
    simulate(out, SimulationOptions(train_contigs=2, contig_bp=80_000, element_rate=0.9))
    return open_dataset(out)


def read_bed(path: Path) -> set[tuple[str, int, int]]:
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return {(chrom, int(start), int(end)) for chrom, start, end in rows}


def test_truth_equals_a_slow_recount_of_the_clean_peaks(small: Dataset) -> None:
    clean = truth(small, "test")
    assert clean.shape == (400, len(TARGETS))
    for column, target in enumerate(TARGETS):
        covered: set[int] = set()
        for chrom, start, end in read_bed(small.path / f"simulation/clean/{target.name}.bed"):
            covered |= set(range(start, end)) if chrom == "chr4" else set()
        bins = small["test"].bins()["start"]
        slow = [len(covered & set(range(start, start + 200))) >= 100 for start in bins]
        np.testing.assert_array_equal(clean[:, column], slow, err_msg=target.name)


def test_without_noise_the_labels_are_the_truth(tmp_path: Path) -> None:
    options = SimulationOptions(train_contigs=1, contig_bp=20_000, drop_rate=0, false_rate=0)
    simulate(tmp_path / "out", options)
    data = open_dataset(tmp_path / "out")
    for split in data:
        clean, labels = truth(data, split), data[split].labels()
        np.testing.assert_array_equal(clean[:, :-1], labels[:, :-1])
        assert not clean[:, -1].any()
        assert labels[:, -1].any()  # the control: peaks at random


def test_motifs_alone_do_not_tell_the_pair_targets(small: Dataset) -> None:
    clean, content = truth(small, "train"), motif_content(small, "train")
    labels = small["train"].labels()
    for name in PAIRS:
        column = list(small.targets["name"]).index(name)
        noisy = labels[:, column]
        assert average_precision_score(noisy, clean[:, column]) > 0.75
        assert average_precision_score(noisy, content[:, column]) < 0.6
        assert roc_auc_score(noisy, clean[:, column]) > roc_auc_score(noisy, content[:, column])
    np.testing.assert_array_equal(content[:, :6], clean[:, :6])


def test_truth_of_a_data_set_that_was_not_simulated_is_refused(
    small: Dataset, tmp_path: Path
) -> None:
    moved = copy.copy(small)
    moved.path = tmp_path
    with pytest.raises(BioqError, match=r"has no simulation/clean, so its truth is unknown"):
        truth(moved, "test")


def test_the_comparison_holds_what_scikit_learn_finds(small: Dataset) -> None:
    names = list(small.targets["name"])
    model = pd.DataFrame(
        {
            "name": names[::-1],  # whatever the order of the rows
            "roc_auc": np.linspace(0.5, 1, len(names))[::-1],
            "average_precision": np.linspace(0, 1, len(names))[::-1],
        }
    )
    table = compare_with_truth(small, "test", model)
    assert list(table["name"]) == names
    np.testing.assert_array_equal(table["roc_auc"], np.linspace(0.5, 1, len(names)))
    np.testing.assert_array_equal(table["average_precision"], np.linspace(0, 1, len(names)))
    labels, clean, content = (
        small["test"].labels(),
        truth(small, "test"),
        motif_content(small, "test"),
    )
    for row in table.itertuples():
        noisy = labels[:, row.Index]
        for prefix, scores in (("truth", clean), ("motifs", content)):
            for name, score in (
                ("roc_auc", roc_auc_score),
                ("average_precision", average_precision_score),
            ):
                expected = score(noisy, scores[:, row.Index])
                assert getattr(row, f"{prefix}_{name}") == pytest.approx(expected, abs=1e-9)
    control = table.iloc[-1]
    assert (control["name"], control["truth_roc_auc"]) == ("control", 0.5)

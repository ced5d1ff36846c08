"""`bioq import`: runs of published files, compared with the published arithmetic."""

import json
from pathlib import Path

import numpy as np
import pytest
from published_files import (
    KERAS_DETAILS,
    NETWORKS,
    WINDOW_BP,
    deepsea,
    keras_layers,
    keras_probabilities,
    large_weights,
    probabilities,
    random_codes,
    save,
    save_keras,
)

import bioq
from bioq import dna

CODES = random_codes()
CLOSE = 1e-5


def predicted(run: Path, strands: str = "forward") -> np.ndarray:
    return bioq.predict(bioq.load(run), dna.one_hot(CODES), strands=strands)


def imported(file: Path, run: Path, **arguments: object) -> dict[str, object]:
    """Import a file of small windows; return the block `imported` of its configuration."""
    bioq.import_model(file, run, window_bp=WINDOW_BP, **arguments)
    return json.loads((run / "config.json").read_text())["imported"]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_pytorch_predicts_as_its_published_code(name: str, tmp_path: Path) -> None:
    network = large_weights(NETWORKS[name]())
    expected = probabilities(network, CODES)
    assert expected.std(axis=0).min() > 0.1
    run = tmp_path / "run"
    assert imported(save(network, tmp_path / "file.pth"), run)["layout"] == name
    np.testing.assert_allclose(predicted(run), expected, atol=CLOSE)
    other_strand = probabilities(network, dna.reverse_complement(CODES))
    np.testing.assert_allclose(predicted(run, "both"), (expected + other_strand) / 2, atol=CLOSE)


@pytest.mark.parametrize("prefix", ["2.", "1.", ""])
@pytest.mark.parametrize("is_old", [True, False])
def test_deepsea_is_read_in_all_wrappings(prefix: str, is_old: bool, tmp_path: Path) -> None:
    network = large_weights(deepsea())
    file = save(network, tmp_path / "file.pth", prefix, is_old=is_old)
    imported(file, tmp_path / "run")
    np.testing.assert_allclose(
        predicted(tmp_path / "run"), probabilities(network, CODES), atol=CLOSE
    )


def test_deepseas_floor_is_kept(tmp_path: Path) -> None:
    """Activations of 1e-6, so that what is not above 0 counts as much as what is."""
    network = large_weights(deepsea(), unit=1e-6)
    imported(save(network, tmp_path / "file.pth"), tmp_path / "run")
    expected = probabilities(network, CODES)
    np.testing.assert_allclose(predicted(tmp_path / "run"), expected, atol=CLOSE)
    without = deepsea(floor=0.0)
    without.load_state_dict(network.state_dict())
    assert abs(probabilities(without.eval(), CODES) - expected).max() > 0.01


@pytest.mark.parametrize("model", ["danq", "danq-jaspar"])
@pytest.mark.parametrize(("second", "reverses"), [("backward", "positions"), ("forward", "batch")])
def test_a_network_of_keras_predicts_as_keras(
    model: str, second: str, reverses: str, tmp_path: Path
) -> None:
    layers = keras_layers(model)
    file, run = save_keras(model, layers, tmp_path / "file.hdf5"), tmp_path / "run"
    block = imported(file, run, second_lstm=second)
    assert (block["layout"], block["second_lstm"]) == (model, second)
    expected = keras_probabilities(model, layers, CODES, reverses=reverses)
    assert expected.std(axis=0).min() > 0.1
    np.testing.assert_allclose(predicted(run), expected, atol=CLOSE)


@pytest.mark.parametrize("detail", KERAS_DETAILS)
def test_each_detail_of_keras_changes_the_probabilities(detail: str) -> None:
    layers = keras_layers("danq")
    right = keras_probabilities("danq", layers, CODES)
    assert abs(keras_probabilities("danq", layers, CODES, wrong=detail) - right).max() > 0.01


def test_the_two_readings_of_keras_differ() -> None:
    layers = keras_layers("danq")
    positions, batch = (
        keras_probabilities("danq", layers, CODES, reverses=axis) for axis in ("positions", "batch")
    )
    assert abs(positions - batch).max() > 0.01


def test_two_lstms_that_read_forward_need_hard_gates() -> None:
    with pytest.raises(bioq.UsageError, match="which is for gates 'hard' only"):
        bioq.build_model("danq", targets=3, sizes={"second_lstm": "forward"})

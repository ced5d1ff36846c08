"""The run folder: what is written is read again, and damage is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from genome_cases import trained_on, write_2bit

import bioq
from bioq import BioqError, ModelSizes
from bioq.cli import main
from bioq.dataset import Dataset, Description, new_dataset, open_dataset
from bioq.genome import open_genome
from bioq.models import build_model
from bioq.runs.best_epoch import best_epoch
from bioq.runs.folder import create_run, other_genome, read_config, read_history
from bioq.runs.trained_model import load
from bioq.runs.weights import save_weights

NAN = float("nan")
SMALL = ModelSizes(filters=4, lstm_units=3, dense_units=5)


@pytest.fixture
def run(tmp_path: Path, masked_data: Dataset) -> Path:
    torch.manual_seed(0)
    model = build_model("danq", targets=2, window_bp=200, sizes=SMALL)
    folder = tmp_path / "run"
    create_run(folder, model=model.architecture, training={"seed": 0}, data=masked_data)
    save_weights(model, folder / "model.safetensors")
    return folder


def test_a_saved_model_predicts_as_before(run: Path, masked_data: Dataset) -> None:
    torch.manual_seed(0)
    before = build_model("danq", targets=2, window_bp=200, sizes=SMALL)
    windows = masked_data["test"].read(slice(None)).windows
    after = bioq.load(run)
    np.testing.assert_array_equal(bioq.predict(before, windows), bioq.predict(after, windows))
    assert not after.training
    assert list(after.targets["name"]) == ["first", "second"]
    assert after.config.data["fingerprint"] == masked_data.fingerprint


def test_an_existing_run_is_not_overwritten(run: Path, masked_data: Dataset) -> None:
    with pytest.raises(BioqError, match="exists already"):
        create_run(run, model={}, training={}, data=masked_data)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(BioqError, match=r"holds no config.json; expected a run folder"):
        load(tmp_path)


def test_a_newer_format_names_both_versions(run: Path) -> None:
    file = run / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"format_version": 7}))
    with pytest.raises(BioqError, match="format_version 7, this BioQ reads 1"):
        read_config(run)
    file.write_text(json.dumps(config | {"format": "other"}))
    with pytest.raises(BioqError, match="format is 'other', expected 'bioq-run'"):
        read_config(run)
    file.write_text("{")
    with pytest.raises(BioqError, match="is not a run's configuration"):
        read_config(run)


def test_truncated_weights_are_named(run: Path) -> None:
    file = run / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BioqError, match=r"model.safetensors: is not a readable safetensors"):
        load(run)


def test_a_changed_weight_is_found_by_its_checksum(run: Path) -> None:
    file = run / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(BioqError, match=r"model.safetensors: its checksum does not match"):
        load(run)


def test_missing_weights_are_named(run: Path) -> None:
    with pytest.raises(BioqError, match=r"last.safetensors: no such file"):
        load(run, weights="last")


def test_a_pickle_in_place_of_the_weights_is_refused(run: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, run / "model.safetensors")
    with pytest.raises(BioqError, match="is not a readable safetensors file"):
        load(run)


def test_weights_of_another_architecture_are_named(run: Path) -> None:
    other = build_model("danq", targets=2, window_bp=200, sizes=ModelSizes(filters=5))
    save_weights(other, run / "model.safetensors")
    with pytest.raises(BioqError, match=r"weight conv.bias is \(5,\), the architecture .* \(4,\)"):
        load(run)


def test_a_target_table_of_another_length_is_named(run: Path) -> None:
    (run / "targets.tsv").write_text("name\nonly\n")
    with pytest.raises(BioqError, match=r"has 1 targets, config.json has 2"):
        load(run)


def test_a_run_without_history_is_named(run: Path) -> None:
    with pytest.raises(BioqError, match=r"history\.csv: no such file; restore it"):
        read_history(run)


@pytest.mark.parametrize(
    ("scores", "losses", "best"),
    [
        ([0.5, 0.7, 0.6], [3.0, 2.0, 1.0], 2),
        ([0.7, 0.7, 0.6], [3.0, 2.0, 1.0], 1),
        ([NAN, NAN, NAN], [3.0, 1.0, 2.0], 2),
        ([NAN, 0.6, 0.7], [3.0, 1.0, 2.0], 3),
        ([NAN, NAN, NAN], [NAN, NAN, NAN], None),
    ],
)
def test_the_best_epoch_is_the_first_of_the_best_score(
    scores: list[float], losses: list[float], best: int | None
) -> None:
    history = [
        {"epoch": epoch, "valid_macro_roc_auc": score, "valid_loss": loss}
        for epoch, (score, loss) in enumerate(zip(scores, losses, strict=True), 1)
    ]
    assert best_epoch(history, "valid_macro_roc_auc") == best


def test_the_best_epoch_by_loss_is_the_lowest_and_a_missing_score_falls_back_to_it() -> None:
    history = [{"epoch": 1, "valid_loss": 0.2}, {"epoch": 2, "valid_loss": 0.1}]
    assert best_epoch(history, "valid_loss") == best_epoch(history, "valid_micro_roc_auc") == 2
    assert best_epoch([], "valid_loss") is None


def test_a_run_records_the_contigs_of_its_data_set(run: Path) -> None:
    assert read_config(run).contig_lengths == {}
    assert read_config(run).genome_build == ""
    config = read_config(trained_on(run, {"chr21": 46_709_983, "chrM": 16_569}))
    assert config.contig_lengths == {"chr21": 46_709_983, "chrM": 16_569}
    assert config.genome_build == "GRCh38"


def test_the_genome_of_a_data_set_is_that_of_its_runs_and_is_printed(
    tmp_path: Path, masked_data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    about = Description("peaks", 200, 40, "half", contigs=("chrI",), contig_bp=(230_218,))
    with new_dataset(tmp_path / "yeast", about, masked_data.targets) as writer:
        for name in ("train", "valid"):
            with writer.split(name) as split:
                codes = np.zeros((8, 200), dtype=np.uint8)
                split.append(codes, np.zeros((8, 1), dtype=np.uint8), np.zeros((8, 2)))
    assert main(["data", "info", str(tmp_path / "yeast")]) == 0
    assert "  genome sacCer3\n" in capsys.readouterr().out
    network = build_model("danq", targets=2, window_bp=200, sizes=SMALL)
    run = tmp_path / "run"
    create_run(run, model=network.architecture, training={}, data=open_dataset(tmp_path / "yeast"))
    assert read_config(run).contig_lengths == {"chrI": 230_218}
    assert main(["summary", str(run)]) == 0
    assert capsys.readouterr().out.endswith("trained on the genome sacCer3\n")


def test_damaged_contigs_are_refused_and_a_run_without_them_is_read(
    run: Path, tmp_path: Path
) -> None:
    file = run / "config.json"
    config = json.loads(file.read_text())
    for contigs in ([], 3, {"chr1": "long"}, None):
        config["data"]["contigs"] = contigs
        file.write_text(json.dumps(config))
        with pytest.raises(BioqError, match=r"config\.json: data\.contigs.* is .*, expected a"):
            read_config(run)
    del config["data"]["contigs"]  # runs written before 2026-11-28
    file.write_text(json.dumps(config))
    with open_genome(write_2bit(tmp_path / "hg.2bit", "chr21", 46_709_983)) as genome:
        assert other_genome(run, read_config(run), genome) == ""


def test_another_genome_than_that_of_the_training_is_noted(run: Path, tmp_path: Path) -> None:
    with open_genome(write_2bit(tmp_path / "hg.2bit", "chr21", 46_709_983)) as genome:
        config = read_config(trained_on(run, {"21": 48_129_895, "MT": 16_569}))
        assert other_genome("run", config, genome) == (
            f"run was trained on GRCh37; {genome.path} is GRCh38: the positions of the two are "
            "not the same"
        )
        for contigs in ({"chr21": 46_709_983}, {"chr1": 248_956_422}, {"chr21": 20_000_000}):
            config = read_config(trained_on(run, contigs))
            assert other_genome("run", config, genome) == ""

"""`bioq import`: runs of published files, compared with the published arithmetic."""

import json
from pathlib import Path

import numpy as np
import torch
from published_files import Bioq2024, large_weights, published_one_hot, random_codes, save

import bioq
from bioq import dna

WINDOW_BP = 200


def test_bioq_of_2024_predicts_as_its_own_network(tmp_path: Path) -> None:
    codes = random_codes(20, WINDOW_BP)
    network = large_weights(Bioq2024(WINDOW_BP, targets=3), codes)
    file = save(network, tmp_path / "best_model.pth")
    model = bioq.import_model(file, tmp_path / "run", window_bp=WINDOW_BP)
    with torch.no_grad():
        expected = network(torch.from_numpy(published_one_hot(codes))).numpy()
    assert expected.std(axis=0).min() > 0.1
    found = bioq.predict(model, dna.one_hot(codes), strands="forward")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    imported = json.loads((tmp_path / "run/config.json").read_text())["imported"]
    assert imported["layout"] == "bioq-2024"

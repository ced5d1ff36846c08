"""The motifs of filters are those that were planted; matches and q-values are the outside ones."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import false_discovery_control

from bioq import dna
from bioq.cli import main
from bioq.dataset import Description, new_dataset, open_dataset, pack_labels
from bioq.errors import BioqError, UsageError
from bioq.filter_motifs import (
    MotifOptions,
    benjamini_hochberg,
    filter_effects,
    find_filter_motifs,
    match_motifs,
    spaced_rows,
)
from bioq.models import ModelSizes, build_model
from bioq.models.initialise import initialise_filters
from bioq.motifs import jaspar_motifs, read_meme, write_meme
from bioq.runs import BEST, create_run, save_weights

PLANTED = ("MA0139.2", "MA0083.3")


@pytest.fixture(scope="module")
def jaspar():
    return jaspar_motifs()


@pytest.fixture(scope="module")
def planted(tmp_path_factory, jaspar):
    """Windows that hold sampled CTCF or SRF sites, and a model that starts from those motifs."""
    random = np.random.default_rng(0)
    motifs = [motif for motif in jaspar if motif.matrix_id in PLANTED]
    assert len(motifs) == 2
    codes = random.integers(0, 4, (400, 200)).astype(np.uint8)
    for row in range(400):
        rows = motifs[row % 2].probabilities
        at = random.integers(0, 200 - len(rows))
        codes[row, at : at + len(rows)] = [random.choice(4, p=p) for p in rows]
    codes[0, :150] = dna.UNKNOWN
    path = tmp_path_factory.mktemp("planted") / "data"
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(path, description, pd.DataFrame({"name": ["a", "b"]})) as writer:
        for name in ("train", "valid", "test"):
            with writer.split(name) as split:
                split.append(codes, pack_labels(np.eye(2, dtype=np.uint8)[np.arange(400) % 2]))
    sizes = ModelSizes(filters=4, filter_width=26, pool_width=10, lstm_units=4, dense_units=8)
    torch.manual_seed(0)
    model = build_model("danq", targets=2, window_bp=200, sizes=sizes).eval()
    initialise_filters(model, motifs, generator=torch.Generator().manual_seed(0))
    return open_dataset(path), model, motifs


def test_planted_motifs_are_found_again_and_matched_to_their_jaspar_entries(planted, jaspar):
    data, model, motifs = planted
    found = find_filter_motifs(model, data["test"], MotifOptions(device="cpu"))
    matched = match_motifs([each.motif for each in found], jaspar)
    by_filter = dict(zip([each.filter for each in found], matched.itertuples(), strict=True))
    for number, motif in enumerate(motifs):
        assert by_filter[number].matrix_id == motif.matrix_id
        assert by_filter[number].q < 1e-3
        assert by_filter[number].strand == "+"


def test_sites_are_those_that_a_loop_counts_in_any_batch_size(planted):
    data, model, _ = planted
    found = find_filter_motifs(model, data["test"], MotifOptions(device="cpu", batch_size=7))
    windows = data["test"].read(slice(None)).windows.astype(np.float32)
    with torch.no_grad():
        activation = model.conv(torch.from_numpy(windows)).numpy()
    for each in found:
        own = activation[:, each.filter]
        counted = [
            windows[row, :, at : at + 26]
            for row, at in enumerate(own.argmax(axis=1))
            if own[row, at] > own.max() / 2 and windows[row, :, at : at + 26].sum() == 26
        ]
        assert each.sites == len(counted)
        np.testing.assert_allclose(each.motif.probabilities, np.mean(counted, axis=0).T)


def test_effect_of_a_filter_is_that_of_a_model_without_it(planted):
    data, model, _ = planted
    options = MotifOptions(device="cpu", effect_windows=400)
    effects = filter_effects(model, data["test"], [0, 1], options)
    windows = torch.from_numpy(data["test"].read(slice(None)).windows.astype(np.float32))
    with torch.no_grad():
        whole = model(windows)
        weight, bias = model.conv.weight[1].clone(), model.conv.bias[1].clone()
        model.conv.weight[1], model.conv.bias[1] = 0, 0
        expected = (whole - model(windows)).mean(dim=0)
        model.conv.weight[1], model.conv.bias[1] = weight, bias
    np.testing.assert_allclose(effects[1], expected, atol=1e-6)


def test_q_values_are_those_of_scipy():
    p = np.random.default_rng(0).random(50) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))


def test_meme_file_reads_back_as_written(tmp_path, jaspar):
    write_meme(tmp_path / "m.meme", jaspar[:3], [5, 6, 7])
    for ours, theirs in zip(read_meme(tmp_path / "m.meme"), jaspar, strict=False):
        assert (ours.name, ours.matrix_id) == (theirs.name, theirs.matrix_id)
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=2e-6)
    assert "nsites= 6" in (tmp_path / "m.meme").read_text()


def test_filters_that_nothing_activates_are_an_error(planted):
    data, _, _ = planted
    dead = build_model("danq", targets=2, window_bp=200, sizes=ModelSizes(filters=2, lstm_units=2))
    with torch.no_grad():
        dead.conv.bias.fill_(-100.0)
    with pytest.raises(BioqError, match="no window activates any filter"):
        find_filter_motifs(dead, data["test"], MotifOptions(device="cpu"))


def test_missing_memelite_is_said_in_one_line(monkeypatch, jaspar):
    monkeypatch.setitem(sys.modules, "memelite", None)
    with pytest.raises(UsageError, match=r"bioq\[motifs\]"):
        match_motifs(jaspar[:1], jaspar)


def test_no_windows_is_an_error():
    with pytest.raises(UsageError, match="windows 0; expected at least 1"):
        spaced_rows(10, 0)


def test_command_writes_motifs_matches_and_effects(planted, tmp_path, capsys):
    data, model, motifs = planted
    run, out = tmp_path / "run", tmp_path / "out"
    create_run(run, model=model.architecture, training={}, data=data)
    save_weights(model, run / BEST)
    words = ["motifs", str(run), str(data.path), "--out", str(out), "--device", "cpu"]
    assert main([*words, "--effect-windows", "10"]) == 0
    table = pd.read_csv(out / "motifs.tsv", sep="\t")
    assert list(table["matrix_id"][:2]) == [motif.matrix_id for motif in motifs]
    assert len(read_meme(out / "motifs.meme")) == len(table)
    assert list(pd.read_csv(out / "effects.tsv", sep="\t")) == ["filter", "a", "b"]
    assert main(words) == 1
    assert "exists already" in capsys.readouterr().err

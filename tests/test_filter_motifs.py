"""The motifs of filters are those that were planted; matches and q-values are the outside ones."""

import copy
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from memelite import tomtom
from scipy.stats import false_discovery_control

import bioq
from bioq import TrainConfig, dna
from bioq.cli import main
from bioq.dataset import Description, new_dataset, open_dataset, pack_labels
from bioq.errors import BioqError, UsageError
from bioq.interpretation.filter_motifs import motif_table
from bioq.interpretation.filters import (
    FilterMotif,
    MotifOptions,
    filter_effects,
    find_filter_motifs,
    spaced_rows,
)
from bioq.interpretation.motif_matches import benjamini_hochberg, match_motifs
from bioq.models import ModelSizes, build_model
from bioq.models.motif_start import initialise_filters
from bioq.motifs import Motif, jaspar_motifs, read_meme, write_meme
from bioq.runs.folder import BEST, create_run
from bioq.runs.trained_model import load
from bioq.runs.training_data import training_data
from bioq.runs.weights import save_weights

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
    result = find_filter_motifs(model, data["test"], MotifOptions(device="cpu"))
    matched = match_motifs([each.motif for each in result], jaspar)
    by_filter = dict(zip([each.filter for each in result], matched.itertuples(), strict=True))
    for number, motif in enumerate(motifs):
        assert by_filter[number].matrix_id == motif.matrix_id
        assert by_filter[number].q < 1e-3
        assert by_filter[number].strand == "+"


def test_sites_are_those_that_a_loop_counts_in_any_batch_size(planted):
    data, model, _ = planted
    options = MotifOptions(device="cpu", batch_size=7, windows=60)
    result = find_filter_motifs(model, data["test"], options)
    rows = spaced_rows(400, 60).numpy()
    forward = data["test"].read(rows).windows.astype(np.float32)
    windows = np.concatenate([forward, forward[:, ::-1, ::-1]])
    with torch.no_grad():
        activation = model.conv(torch.from_numpy(windows)).numpy()
    for each in result:
        own = activation[:, each.filter]
        sites = [windows[row, :, at : at + 26] for row, at in np.argwhere(own > own.max() / 2)]
        known = [site for site in sites if site.sum() == 26]
        assert each.sites == len(known)
        assert each.maximum == pytest.approx(own.max())
        np.testing.assert_allclose(each.motif.probabilities, np.mean(known, axis=0).T)


def test_motif_of_random_sites_has_no_information_beyond_chance(jaspar):
    """Without the correction, ten random sites of 26 bp make a motif of about 6 bits."""
    random = np.random.default_rng(0)
    corrected, plain = [], []
    for _ in range(100):
        counts = random.multinomial(10, [0.25] * 4, size=26)
        each = FilterMotif(0, Motif("", "", counts / 10), sites=10, maximum=1.0)
        corrected.append(each.information_bits())
        plain.append(each.motif.information_bits().sum())
    assert np.mean(plain) > 5
    assert np.mean(corrected) < 0.5 * np.mean(plain)
    sure = FilterMotif(0, Motif("", "", np.eye(4)), sites=100_000, maximum=1.0)
    assert sure.information_bits() == pytest.approx(8, abs=1e-3)


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


def test_effects_are_those_without_dropout_and_leave_every_layer_in_its_mode(planted):
    data, model, _ = planted
    options = MotifOptions(device="cpu", effect_windows=20)
    expected = filter_effects(model, data["test"], [0, 1], options)
    training = copy.deepcopy(model).train()
    training.drop_conv.eval()
    modes = [layer.training for layer in training.modules()]
    np.testing.assert_array_equal(filter_effects(training, data["test"], [0, 1], options), expected)
    assert [layer.training for layer in training.modules()] == modes


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


def test_flat_motifs_match_nothing(jaspar):
    """TOMTOM alone gives motifs of random windows a q-value below 0.05; a match must inform."""
    random = np.random.default_rng(0)
    flat = [
        Motif(str(number), str(number), random.multinomial(1000, [0.25] * 4, size=26) / 1000)
        for number in range(5)
    ]
    assert match_motifs(flat, jaspar).isna().all(axis=None)


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("first", [-4, 0, 3])
def test_match_says_where_the_motif_lies_on_which_strand(jaspar, strand, first):
    """A query cut out of a known motif, or with flat columns before it, is found at its place."""
    ctcf = next(motif for motif in jaspar if motif.matrix_id == PLANTED[0])
    whole = ctcf if strand == "+" else ctcf.reverse_complement()
    rows = np.concatenate(
        [np.full((max(-first, 0), 4), 0.25), whole.probabilities[max(first, 0) :]]
    )
    row = match_motifs([Motif("query", "query", rows)], jaspar).iloc[0]
    assert (row["matrix_id"], row["strand"], row["offset"]) == (PLANTED[0], strand, first)


def test_p_values_and_strands_are_those_of_memelite(jaspar):
    queries = [jaspar[number].reverse_complement() for number in (3, 50, 200)]
    ours = match_motifs(queries, jaspar)  # first: Numba's first call changes PyTorch's threads
    result = tomtom(
        [q.probabilities.T.copy() for q in queries], [m.probabilities.T for m in jaspar]
    )
    best = result[0].argmin(axis=1)
    np.testing.assert_array_equal(ours["p"], result[0][range(3), best])
    np.testing.assert_array_equal(ours["strand"] == "-", result[4][range(3), best] == 1)
    assert list(ours["matrix_id"]) == [jaspar[number].matrix_id for number in best]


def test_few_motifs_to_match_against_are_called_unreliable(jaspar, capsys):
    match_motifs(jaspar[:1], jaspar[:10])
    assert capsys.readouterr().err == (
        "10 motifs to match against are few: with fewer than 25 TOMTOM's p-values are unreliable\n"
    )


def test_matching_motifs_leaves_pytorch_its_threads():
    """In a process of its own: Numba changes their number when it first runs."""
    code = (
        "import torch\n"
        "from bioq.interpretation.motif_matches import match_motifs\n"
        "from bioq.motifs import jaspar_motifs\n"
        "jaspar = jaspar_motifs('JASPAR2024')[:40]\n"
        "match_motifs(jaspar[:2], jaspar)\n"
        "print(torch.get_num_threads())"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout == "1\n"


def test_a_pair_that_shares_little_information_is_never_the_best_match(monkeypatch):
    """Whatever p-value TOMTOM gives it; it counts as p = 1 among the comparisons."""
    query = Motif("query", "query", np.eye(4)[[0, 1, 2, 3, 0, 1]])  # 2 bits per position
    flat = Motif("flat", "flat", np.full((6, 4), 0.25))
    p = np.array([[1e-9, 1e-3]])
    zeros = np.zeros((1, 2))
    monkeypatch.setattr("memelite.tomtom", lambda *_: (p, zeros, zeros, zeros, zeros))
    row = match_motifs([query], [flat, query]).iloc[0]
    assert (row["match"], row["p"], row["shared_bits"]) == ("query", 1e-3, 12.0)
    assert row["q"] == false_discovery_control([1.0, 1e-3])[1]


def test_missing_memelite_is_said_in_one_line(monkeypatch, jaspar):
    monkeypatch.setitem(sys.modules, "memelite", None)
    with pytest.raises(UsageError, match=r"bioq\[motifs\]"):
        match_motifs(jaspar[:1], jaspar)


def test_no_windows_is_an_error():
    with pytest.raises(UsageError, match="windows 0; expected at least 1"):
        spaced_rows(10, 0)


@pytest.fixture
def run(planted, tmp_path):
    data, model, _ = planted
    create_run(tmp_path / "run", model=model.architecture, training={}, data=data)
    save_weights(model, tmp_path / "run" / BEST)
    return tmp_path / "run"


def test_command_writes_motifs_matches_effects_and_page(planted, run, tmp_path, capsys):
    _, _, motifs = planted
    out = tmp_path / "out"
    words = ["motifs", str(run), "--out", str(out), "--device", "cpu"]
    assert main([*words, "--effect-windows", "10"]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(out / "motifs.tsv", sep="\t")
    assert list(table["matrix_id"][:2]) == [motif.matrix_id for motif in motifs]
    assert (
        f"{(table['q'] < 0.05).sum()} of 4 filters match JASPAR2024:vertebrates with q < 0.05"
        in printed
    )
    assert len(read_meme(out / "motifs.meme")) == (table["sites"] > 0).sum()
    assert list(pd.read_csv(out / "effects.tsv", sep="\t")) == ["filter", "a", "b"]
    page = (out / "motifs.html").read_text("utf-8")
    assert page.count("<article") == 4
    assert f"filter 0: {motifs[0].name}" in page
    assert "http" not in page, "the page needs nothing but itself"
    assert main(words) == 1
    assert "exists already" in capsys.readouterr().err
    (out / "motifs.tsv").write_text("old")
    assert main([*words, "--effect-windows", "10", "--force"]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(out / "motifs.tsv", sep="\t"), table)


def test_filters_with_few_or_no_sites_stay_in_the_table_without_a_match(
    planted, run, tmp_path, capsys
):
    _, model, _ = planted
    with torch.no_grad():
        changed = copy.deepcopy(model)
        changed.conv.bias[3] = -100.0
    save_weights(changed, run / BEST)
    words = ["motifs", str(run), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*words, "--min-sites", "1000000", "--effect-windows", "0"]) == 0
    printed = capsys.readouterr().out
    assert "3 with fewer than 1000000 sites: not matched" in printed
    assert "1 that no window activates" in printed
    table = pd.read_csv(tmp_path / "out" / "motifs.tsv", sep="\t")
    assert list(table["filter"]) == [0, 1, 2, 3]
    assert table["match"].isna().all()
    assert table["sites"][3] == 0
    assert (table["sites"][:3] > 0).all()
    assert "too few sites to compare" in (tmp_path / "out" / "motifs.html").read_text("utf-8")


def test_data_set_that_is_gone_or_another_is_named(planted, run, tmp_path, capsys):
    data, _, _ = planted
    config = json.loads((run / "config.json").read_text())
    words = ["motifs", str(run), "--out", str(tmp_path / "out"), "--device", "cpu"]
    config["data"] |= {"path": str(tmp_path / "gone"), "name": "absent"}
    (run / "config.json").write_text(json.dumps(config))
    assert main(words) == 1
    error = capsys.readouterr().err
    assert f"its data set is not in {tmp_path / 'gone'} or {tmp_path / 'absent'}" in error
    config["data"] |= {"path": str(data.path), "fingerprint": "0" * 64}
    (run / "config.json").write_text(json.dumps(config))
    assert main(words) == 1
    assert f"was trained on {'0' * 12}" in capsys.readouterr().err
    assert main([*words, "--against", "nothing"]) == 1  # the first error is the data set's
    assert main([*words[:2], str(data.path), *words[2:], "--against", "nothing"]) == 2
    assert "neither a file nor a JASPAR release" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_data_set_beside_a_run_of_before_paths_is_found(planted, run, tmp_path):
    data, _, _ = planted
    shutil.copytree(data.path, tmp_path / data.path.name)
    config = json.loads((run / "config.json").read_text())
    del config["data"]["path"]
    (run / "config.json").write_text(json.dumps(config))
    assert training_data(run).path == tmp_path / data.path.name


def test_windows_of_another_length_are_an_error(masked_data, planted, tmp_path, capsys):
    model = build_model("danq", targets=2, window_bp=300, sizes=ModelSizes(2, 8, 10, 2))
    create_run(tmp_path / "run", model=model.architecture, training={}, data=masked_data)
    save_weights(model, tmp_path / "run" / BEST)
    words = ["motifs", str(tmp_path / "run"), str(masked_data.path), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "has windows of 200 bp, the run" in error
    assert "takes 300 bp; build the data set with --window-bp 300" in error


def test_trained_model_finds_the_motif_that_was_planted(tmp_path, jaspar):
    """Nobody tells this model the motif: it learns it from windows and labels alone."""
    random = np.random.default_rng(0)
    srf = next(motif for motif in jaspar if motif.matrix_id == PLANTED[1])
    description = Description(made_by="peaks", window_bp=100, bin_bp=20, label_rule="any")
    with new_dataset(tmp_path / "data", description, pd.DataFrame({"name": ["SRF"]})) as writer:
        for name, windows in (("train", 1200), ("valid", 100), ("test", 400)):
            codes = random.integers(0, 4, (windows, 100)).astype(np.uint8)
            for row in range(0, windows, 2):
                at = random.integers(20, 60)
                site = [random.choice(4, p=p) for p in srf.probabilities]
                codes[row, at : at + len(srf)] = site
            labels = (np.arange(windows) % 2 == 0).astype(np.uint8)[:, np.newaxis]
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels))
    sizes = ModelSizes(
        filters=8, filter_width=18, pool_width=20, lstm_units=8, dense_units=8, dropout_conv=0.0
    )
    config = TrainConfig(epochs=4, batch_size=16, lr=4e-3, patience=0, device="cpu")
    bioq.train(tmp_path / "data", tmp_path / "run", model="danq", sizes=sizes, config=config)
    data = open_dataset(tmp_path / "data")

    def filters_that_match(model):
        result = find_filter_motifs(model, data["test"], MotifOptions(device="cpu"))
        table = motif_table(model, result, jaspar, min_sites=30)
        return int(((table["matrix_id"] == srf.matrix_id) & (table["q"] < 1e-4)).sum())

    assert filters_that_match(load(tmp_path / "run")) >= 1
    torch.manual_seed(0)
    assert not filters_that_match(build_model("danq", targets=1, window_bp=100, sizes=sizes))


@pytest.mark.parametrize("columns", [1, 4, 30])
def test_a_collection_of_flat_motifs_matches_nothing(jaspar, columns):
    flat = Motif("flat", "F", np.full((columns, 4), 0.25))
    for against in ([flat], [flat, flat], [flat, jaspar[0]]):
        table = match_motifs([jaspar[1], flat], against)
        assert len(table) == 2
        assert table["match"].isna().tolist()[1]
    assert match_motifs([jaspar[1], flat], [flat]).isna().all(axis=None)

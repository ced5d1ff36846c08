"""A network that a user has written goes where BioQ's go, and a stranger's is not executed."""

from __future__ import annotations

import codecs
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from calibrated_run import floor, give_calibration
from download_site import Site
from fastapi.testclient import TestClient
from safetensors.torch import load_file
from test_folds import build as build_folds
from test_folds import make_world
from test_interrupted_training import stop_in_step
from test_run_addresses import serve_hub
from test_training import assert_same_run
from torch import nn
from variant_cases import make_chromosome, other_base, write_vcf

import bioq
from bioq import BioqError, TrainConfig, UsageError, dna
from bioq.cli import main
from bioq.dataset import Description, new_dataset, open_dataset, pack_labels
from bioq.dataset.batches import Batches
from bioq.dna.tensors import one_hot
from bioq.forward import predict_split
from bioq.models.source import executed_modules, read_source
from bioq.models.summary import summarise
from bioq.runs import network as runs_network
from bioq.runs import trust
from bioq.runs.folder import read_config, read_history
from bioq.runs.weights import save_half

FILE = Path(__file__).with_name("small_network.py")
MODEL = f"{FILE}:build"
QUICK = ["--epochs", "2", "--batch-size", "8", "--lr", "5e-3", "--device", "cpu"]
WINDOW_BP = 200


def of_test(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Remember what is trusted in a folder, and nothing that other tests trusted."""
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    patch.setattr(trust, "_trusted", set())


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    of_test(monkeypatch, tmp_path)
    return tmp_path / "config"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three splits of windows of 200 bp, two targets: their middle base."""
    folder = tmp_path_factory.mktemp("own") / "data"
    random = np.random.default_rng(0)
    description = Description(made_by="peaks", window_bp=WINDOW_BP, bin_bp=40, label_rule="half")
    with new_dataset(folder, description, pd.DataFrame({"name": ["first", "second"]})) as writer:
        for name, windows in (("train", 40), ("valid", 20), ("test", 20)):
            codes = random.integers(0, 4, (windows, WINDOW_BP)).astype(np.uint8)
            codes[::5, 7:30] = dna.UNKNOWN
            labels = np.stack([codes[:, 100] == 1, codes[:, 100] >= 2], axis=1)
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels))
    return folder


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    """The run of the network; other tests copy it."""
    folder = data.parent / "run"
    with pytest.MonkeyPatch.context() as patch:
        of_test(patch, data.parent)
        command = ["train", str(data), "--model", MODEL, "--out", str(folder), *QUICK]
        assert main(command) == 0
    return folder


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    (tmp_path / "g.fa").write_text(f">chr1\n{make_chromosome()}\n")
    return tmp_path / "g.fa"


def by_pytorch(run: Path) -> nn.Module:
    """Return the network as somebody without BioQ would load it."""
    spec = importlib.util.spec_from_file_location("apart", run / "network.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.build(2, WINDOW_BP).eval()
    network(torch.zeros(1, 4, WINDOW_BP))
    network.load_state_dict(load_file(run / "model.safetensors"))
    return network


def test_predictions_are_those_of_the_file_in_pytorch(run: Path, data: Path) -> None:
    assert (run / "network.py").read_bytes() == FILE.read_bytes()
    network, split = by_pytorch(run), open_dataset(data)["test"]
    assert not torch.equal(network.norm.running_mean, torch.zeros(8))  # type: ignore[operator]
    codes, _ = Batches(split, torch.device("cpu")).read_codes(torch.arange(len(split)))
    windows = one_hot(codes).float()
    with torch.no_grad():
        both = [network(windows), network(windows.flip(1, 2))]
    expected = torch.stack(both).sigmoid().mean(0).numpy()
    model = bioq.load(run, trust=True)
    np.testing.assert_allclose(bioq.predict(model, windows.numpy()), expected, atol=1e-6)
    np.testing.assert_allclose(predict_split(model, split), expected, atol=1e-6)
    assert list(model.network.state_dict()) == list(network.state_dict())


def test_reading_a_run_changes_no_random_numbers(run: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    bioq.load(run, trust=True)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("extra", [[], ["--average", "0.9"]], ids=["plain", "average"])
@pytest.mark.parametrize("number", [3, 5], ids=["in an epoch", "before a validation"])
def test_a_resumed_training_gives_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, extra: list[str]
) -> None:
    file = Path(shutil.copy(FILE, tmp_path / "mine.py"))
    runs = [tmp_path / "whole", tmp_path / "stopped"]
    commands = [
        ["train", str(data), "--model", f"{file}:build", "--out", str(each), *QUICK, *extra]
        for each in runs
    ]
    assert main(commands[0]) == 0
    with monkeypatch.context() as patch:
        stop_in_step(patch, number, signal.SIGINT)
        assert main(commands[1]) == 130
    file.unlink()  # the run has its own copy
    assert main(["train", str(data), "--out", str(runs[1]), "--resume"]) == 0
    assert_same_run(*runs)


def test_a_changed_file_does_not_continue_a_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = Path(shutil.copy(FILE, tmp_path / "mine.py")), tmp_path / "run"
    command = ["train", str(data), "--model", f"{file}:build", "--out", str(out)]
    assert main([*command, *QUICK]) == 0
    assert main([*command, "--resume"]) == 0
    file.write_text(file.read_text().replace("0.1", "0.2"))
    assert main([*command, "--resume"]) == 2
    assert "mine.py:build: is not the network that" in capsys.readouterr().err


def test_every_command_takes_the_run(
    run: Path, data: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    chromosome = make_chromosome()
    rows = [("chr1", 400 + n, f"v{n}", chromosome[399 + n], other_base(chromosome[399 + n]))
            for n in range(5)]  # fmt: skip
    vcf, bed = write_vcf(tmp_path / "x.vcf", rows), tmp_path / "x.bed"
    bed.write_text("chr1\t400\t640\n")

    def bioq_(*words: object) -> str:
        assert main(list(map(str, words))) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    at = ["--genome", genome, "--device", "cpu"]
    bioq_("evaluate", run, data, "--device", "cpu", "--trust")
    assert "small_network.py:build" in (run / "evaluation" / "report.html").read_text()
    bioq_("predict", run, bed, *at, "--out", tmp_path / "p.tsv")
    bioq_("variants", run, vcf, *at, "--out", tmp_path / "v.tsv")
    scores = pd.read_csv(tmp_path / "v.tsv", sep="\t")
    network = by_pytorch(run)
    codes = dna.encode(chromosome[300:500]).copy()
    pair = np.stack([codes, codes])
    pair[1, 99] = dna.encode(other_base(chromosome[399]))[0]
    windows = one_hot(torch.from_numpy(pair)).float()
    with torch.no_grad():
        logits = [network(each).double() for each in (windows, windows.flip(1, 2))]
    ref, alt = torch.stack(logits).sigmoid().mean(0).numpy()
    np.testing.assert_allclose(scores["diff:first"][0], alt[0] - ref[0], atol=2e-6)
    bioq_("background", run, vcf, *at, "--out", tmp_path / "background.npz")
    bioq_("mutagenesis", run, "chr1:401-440", *at, "--targets", "first", "--out",
          tmp_path / "m.tsv")  # fmt: skip
    bioq_("attribution", run, "chr1:401-440", *at, "--targets", "first", "--out",
          tmp_path / "a.tsv")  # fmt: skip
    bioq_("motifs", run, data, "--out", tmp_path / "motifs")
    give_calibration(run, floor(0.25))
    assert bioq.predict(run, windows.numpy()).min() > 0.25
    assert f"SHA-256 {read_config(run).model['source_sha256']}" in bioq_("summary", run)
    bioq_("card", run)
    card = (run / "README.md").read_text()
    assert f"| `network.py` | `{read_config(run).model['source_sha256']}` |" in card
    assert "`bioq.load(run, trust=True)`" in card
    second = Path(shutil.copytree(run, tmp_path / "second"))
    (second / "model.safetensors").unlink()
    save_half(run, second / "model.safetensors")  # other weights
    (second / "calibration.json").unlink(missing_ok=True)
    bioq_("ensemble", run, second, "--out", tmp_path / "both")
    members = [bioq.predict(each, windows.numpy()) for each in (run, second)]
    mean = bioq.predict(tmp_path / "both", windows.numpy())
    np.testing.assert_allclose(mean, np.mean(members, axis=0), atol=1e-6)
    assert "small_network.py:build (SHA-256 " in bioq_("summary", tmp_path / "both")


def test_a_training_can_start_from_the_run(run: Path, data: Path, tmp_path: Path) -> None:
    out, command = tmp_path / "tuned", ["train", str(data), "--from", str(run), "--freeze"]
    assert main([*command, "--out", str(out), *QUICK]) == 1  # it is not trusted here
    assert main([*command, "--out", str(out), *QUICK, "--trust"]) == 0
    before, after = (load_file(each / "model.safetensors") for each in (run, out))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"output.weight", "output.bias"}
    assert (out / "network.py").read_bytes() == FILE.read_bytes()
    assert read_config(out).model["name"] == "small_network.py:build"


def test_every_fold_is_trained_with_the_file_as_it_was_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path)
    folded = build_folds(world, "data", "--folds", "3", "--keep", "all")
    file, out = Path(shutil.copy(FILE, tmp_path / "mine.py")), tmp_path / "models"
    command = ["train", str(folded.path), "--out", str(out), "--fold", "all"]
    with monkeypatch.context() as patch:
        stop_in_step(patch, 3, signal.SIGINT)
        assert main([*command, *QUICK, "--model", f"{file}:build"]) == 130
    file.write_text("raise RuntimeError")
    assert main([*command, "--resume"]) == 0
    names = {read_config(out / f"fold-{n}").model["name"] for n in (1, 2, 3)}
    files = {(out / f"fold-{n}" / "network.py").read_bytes() for n in (1, 2, 3)}
    assert (names, files) == ({"mine.py:build"}, {FILE.read_bytes()})
    assert len(list((out / "ensemble" / "members").glob("*/network.py"))) == 3


def test_a_file_of_options_names_the_network(data: Path, tmp_path: Path) -> None:
    (tmp_path / "options.toml").write_text(f'model = "{MODEL}"\nepochs = 1\nlr = 0.005\n')
    command = ["train", str(data), "--config", str(tmp_path / "options.toml")]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    assert read_config(tmp_path / "run").model["name"] == "small_network.py:build"


def test_the_motifs_of_a_file_start_the_filters(data: Path, tmp_path: Path) -> None:
    probabilities = "\n".join(" 0.97 0.01 0.01 0.01" for _ in range(6))
    motif = f"MEME version 4\n\nMOTIF AAAAAA\nletter-probability matrix: w= 6\n{probabilities}\n"
    (tmp_path / "m.meme").write_text(motif)
    flags = ["--motifs", str(tmp_path / "m.meme"), "--epochs", "1", "--lr", "1e-9"]
    command = ["train", str(data), "--model", MODEL, "--out", str(tmp_path / "run")]
    assert main([*command, *flags, "--batch-size", "40"]) == 0
    weight = load_file(tmp_path / "run" / "model.safetensors")["conv.weight"][0]
    starts = [start for start in range(3) if (weight[0, start : start + 6] > 0.7).all()]
    assert len(starts) == 1


def test_the_plan_and_the_first_lines_name_the_network(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(data), "--model", MODEL, "--plan"]) == 0
    printed = capsys.readouterr()
    assert "model: small_network.py:build, " in printed.out
    assert "network small_network.py:build, SHA-256 " in printed.err
    assert "the run keeps it as network.py" in printed.err
    assert main(["summary", MODEL, "--targets", "3", "--window-bp", "200"]) == 0
    assert "3 targets" in capsys.readouterr().out


def test_two_devices_validate_what_is_saved(data: Path, tmp_path: Path) -> None:
    """The means of BatchNorm differ between the ranks, and those of the first are saved."""
    pytest.importorskip("lightning_fabric")
    out = tmp_path / "run"
    command = ["train", str(data), "--model", MODEL, "--out", str(out), *QUICK, "--devices", "2"]
    subprocess.run([sys.executable, "-m", "bioq", *command], check=True, env=dict(os.environ))
    model, valid = bioq.load(out, weights="last"), open_dataset(data)["valid"]
    probability = predict_split(model, valid)
    labels = valid.labels()
    loss = -np.where(labels, np.log(probability), np.log1p(-probability)).mean()
    assert read_history(out)["valid_loss"].iloc[-1] == pytest.approx(loss, rel=1e-5)


def test_workers_of_ray_get_the_network(run: Path, genome: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "x.bed").write_text("chr1\t200\t800\n")
    command = ["predict", str(run), str(tmp_path / "x.bed"), "--genome", str(genome)]
    outs = [tmp_path / "parts", tmp_path / "plain.parquet"]
    on_ray = [*command, "--out", str(outs[0]), "--ray", "local", "--ray-workers", "1", "--trust"]
    subprocess.run([sys.executable, "-m", "bioq", *on_ray], check=True)
    assert main([*command, "--out", str(outs[1]), "--device", "cpu"]) == 0  # trusted by the other
    parts, plain = map(pd.read_parquet, outs)
    pd.testing.assert_frame_equal(parts, plain, rtol=1e-6)


def test_the_page_of_the_model_shows_the_layers_and_the_checksum(run: Path) -> None:
    from bioq.web import create_app, open_service

    bioq.load(run, trust=True)
    with open_service(run) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            page = client.get("/model").text
    sha256 = read_config(run).model["source_sha256"]
    assert f"small_network.py:build (SHA-256 {sha256[:12]})" in page
    assert "blocks.2.conv" in page


def test_the_summary_has_every_weight(run: Path) -> None:
    network = bioq.load(run, trust=True).network
    summary = summarise(network)
    total = sum(tensor.numel() for tensor in network.state_dict().values())
    assert summary.parameters == total
    assert [layer.layer for layer in summary.layers] == [
        *("windows", "conv", "norm", "blocks.1", "blocks.2.conv", "blocks.2.norm"),
        *("dropout", "output"),
    ]


# What a stranger's run may do.


def test_a_strangers_network_is_executed_once_it_is_trusted(
    run: Path, tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in [module.__name__ for module in executed_modules()]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["summary", str(run)]) == 1
    line = capsys.readouterr().err
    lines = len(FILE.read_text().splitlines())
    assert f"{run / 'network.py'}: this run has a network of its author's: {lines} lines" in line
    assert "add --trust" in line
    assert executed_modules() == []
    assert not config.exists()
    for command in (["evaluate", str(run), "nowhere"], ["serve", str(run), "--port", "0"]):
        assert main(command) == 1
    with pytest.raises(BioqError, match="trust=True"):
        bioq.load(run)
    assert executed_modules() == []
    assert main(["summary", str(run), "--trust"]) == 0
    listed = config / "bioq" / "trusted-networks"
    assert listed.stat().st_mode & 0o777 == 0o600
    sha256 = read_config(run).model["source_sha256"]
    assert listed.read_text() == f"{sha256}  {run.absolute() / 'network.py'}\n"
    monkeypatch.setattr(trust, "_trusted", set())  # as in another process
    assert main(["summary", str(run)]) == 0
    assert len(listed.read_text().splitlines()) == 1


def test_a_list_that_others_can_write_is_refused(
    run: Path, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["summary", str(run), "--trust"]) == 0
    monkeypatch.setattr(trust, "_trusted", set())
    (config / "bioq" / "trusted-networks").chmod(0o622)
    assert main(["summary", str(run)]) == 1
    assert "others can write this list of trusted networks" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("between", ["\n", "\r\n"])
def test_a_list_that_an_editor_saved_keeps_its_lines(
    run: Path, config: Path, monkeypatch: pytest.MonkeyPatch, between: str, end: str
) -> None:
    listed = config / "bioq" / "trusted-networks"
    listed.parent.mkdir(parents=True)
    others = ["1" * 64, "2" * 64]
    text = between.join(f"{sha256}  /a/network.py" for sha256 in others)
    listed.write_bytes(codecs.BOM_UTF8 + f"{text}{end}".encode())
    listed.chmod(0o600)
    assert main(["summary", str(run), "--trust"]) == 0
    own = read_config(run).model["source_sha256"]
    assert trust._remembered() == {*others, own}
    monkeypatch.setattr(trust, "_trusted", set())  # as in another process
    assert main(["summary", str(run)]) == 0
    assert listed.read_text("utf-8-sig").splitlines()[2:] == [
        f"{own}  {run.absolute() / 'network.py'}"
    ]


def test_trust_that_cannot_be_remembered_holds_for_the_command(
    run: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("not a folder")
    assert main(["summary", str(run), "--trust"]) == 0
    listed = config / "bioq" / "trusted-networks"
    assert f"is not remembered in {listed}: Not a directory" in capsys.readouterr().err


def test_a_list_of_trusted_networks_that_is_a_pipe_is_not_waited_for(
    run: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = config / "bioq" / "trusted-networks"
    listed.parent.mkdir(parents=True)
    os.mkfifo(listed)
    assert main(["summary", str(run)]) == 1
    assert "add --trust" in capsys.readouterr().err
    assert main(["summary", str(run), "--trust"]) == 0
    assert f"is not remembered in {listed}" in capsys.readouterr().err


def changed(run: Path, folder: Path, **changes: Any) -> Path:
    """Return a copy of a run with other values in the entry `model` of its config.json."""
    copy = Path(shutil.copytree(run, folder))
    content = json.loads((copy / "config.json").read_text())
    content["model"] |= changes
    (copy / "config.json").write_text(json.dumps(content))
    return copy


def a_link(run: Path) -> None:
    (run / "network.py").unlink()
    (run / "network.py").symlink_to(FILE)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: (run / "network.py").write_text("x = 1\n"), "not the network that"),
        (lambda run: (run / "network.py").unlink(), "network.py: no such file; restore the file"),
        (a_link, "leads out of the folder"),
        (lambda run: os.truncate(run / "network.py", 2 << 20), "at most 1,048,576"),
    ],
    ids=["changed", "missing", "link", "large"],
)  # fmt: skip
def test_a_file_that_was_not_trained_is_refused_though_it_is_trusted(
    run: Path, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    bioq.load(copy, trust=True)
    damage(copy)
    with pytest.raises(BioqError) as raised:
        bioq.load(copy, trust=True)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../x.py:build"}, None),
        ({"name": "small_network.py"}, "expected FILE.py:FUNCTION"),
        ({"name": "small_network.py:os.system"}, "expected FILE.py:FUNCTION"),
        ({"name": "small_network.py:gone"}, "has no function gone"),
        ({"name": "small_network.py:nn"}, "has no function nn"),
        ({"targets": 3}, "config.json has 3"),
        ({"window_bp": 300}, "output.weight is (2, 152)"),
        ({"source_sha256": 1}, "source_sha256"),
    ],
)
def test_what_config_json_records_of_the_network_is_checked(
    run: Path, tmp_path: Path, changes: dict[str, Any], words: str | None
) -> None:
    copy = changed(run, tmp_path / "copy", **changes)
    if words is None:  # the name is a name; the file is always network.py
        assert bioq.load(copy, trust=True).config.model["name"] == changes["name"]
        return
    with pytest.raises(BioqError) as raised:
        bioq.load(copy, trust=True)
    assert words in str(raised.value)


def test_a_downloaded_network_asks_too(
    run: Path, tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", site.server)
    names = ("config.json", "targets.tsv", "model.safetensors", "history.csv", "network.py")
    serve_hub(site, {name: (run / name).read_bytes() for name in names})
    assert main(["summary", "hf:o/n"]) == 1
    assert "this run has a network of its author's" in capsys.readouterr().err
    assert main(["summary", "hf:o/n", "--trust"]) == 0
    files = {name: (run / name).read_bytes() for name in names}
    shutil.rmtree(tmp_path / "cache")
    serve_hub(site, files | {"network.py": b"x = 1\n"})
    assert main(["summary", "hf:o/n"]) == 1
    assert "is no run that this BioQ reads: network.py: has the SHA-256" in capsys.readouterr().err


def test_the_file_of_a_run_trains_again_under_its_name(
    run: Path, data: Path, tmp_path: Path
) -> None:
    model = f"{run / 'network.py'}:build"
    bioq.train(
        data, tmp_path / "run", model=model, config=TrainConfig(epochs=1, batch_size=8, lr=5e-3)
    )
    assert read_config(tmp_path / "run").model["name"] == "small_network.py:build"


def test_of_a_file_that_changes_while_it_is_named_the_used_bytes_are_trusted(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = replace(read_source(f"{FILE}:build"), file=run / "network.py", content=b"x = 1")
    monkeypatch.setattr(runs_network, "read_source", lambda model: earlier)
    used = runs_network.named_source("network.py:build")
    assert trust._trusted == {used.sha256}


def test_options_that_do_not_fit_are_refused(data: Path, run: Path, tmp_path: Path) -> None:
    sizes = bioq.ModelSizes(filters=3)
    with pytest.raises(UsageError, match=r"--filters with --model .*: the sizes of your network"):
        bioq.train(data, tmp_path / "run", model=MODEL, sizes=sizes)
    with pytest.raises(UsageError, match=r"--model with --from .*: the network is that run's"):
        bioq.train(data, tmp_path / "run", model=MODEL, from_run=run)
    with pytest.raises(UsageError, match="model of type function; expected text"):
        bioq.train(data, tmp_path / "run", model=lambda targets, window_bp: None)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_the_network_of_the_page_is_trained(data: Path, tmp_path: Path) -> None:
    page = Path(__file__).parents[1] / "docs" / "how-to" / "own-network.md"
    (text,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    (tmp_path / "my_net.py").write_text(text)
    command = ["train", str(data), "--model", f"{tmp_path / 'my_net.py'}:build"]
    assert main([*command, "--out", str(tmp_path / "run"), *QUICK]) == 0
    assert len(bioq.predict(tmp_path / "run", "A" * WINDOW_BP)) == 1
    assert f"{len(text.splitlines())} lines of Python" in page.read_text()

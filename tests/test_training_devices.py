"""Training on many devices: each row once, one device's curve, one end for all; on CPUs."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from sklearn.metrics import roc_auc_score

import bioq
from bioq import BioqError, ModelSizes, TrainConfig, UsageError
from bioq.dataset import Description, new_dataset, open_dataset, pack_labels
from bioq.forward import predict_split
from bioq.runs.folder import read_history
from bioq.training import distributed as ranks
from bioq.training.distributed import LostError, Ranks, joined
from bioq.training.launch import start_ranks

# No dropout: its masks are the one thing that differs with the number of ranks.
SIZES = ModelSizes(8, 8, 10, 4, 2, 8, dropout_conv=0.0, dropout_head=0.0)
# 202 windows in batches of 20 in 3 parts: nothing divides, and the last batch has 2 windows, so
# that one rank has none.
CONFIG = TrainConfig(epochs=5, batch_size=20, lr=5e-3, warmup_epochs=0.0, device="cpu")
WINDOWS, VALID = 202, 700
# Largest relative difference of a training or validation loss between numbers of ranks: 55 steps
# gave 8e-8 (float32 sums in another order).
BOUND = 1e-5
TRAIN = [sys.executable, "-m", "bioq", "train"]


def write_data(folder: Path, seed: int) -> Path:
    """202 windows of 200 bp to train and 700, three batches, to validate; two targets."""
    random = np.random.default_rng(seed)
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    table = pd.DataFrame({"name": ["first", "second"]})
    with new_dataset(folder, description, table) as writer:
        for name, windows in (("train", WINDOWS), ("valid", VALID)):
            codes = random.integers(0, 4, (windows, 200)).astype(np.uint8)
            labels = np.stack([codes[:, 100] == 1, codes[:, 100] >= 2], axis=1)
            with writer.split(name) as split:
                split.append(codes, pack_labels(labels))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set; runs lie beside it."""
    return write_data(tmp_path_factory.mktemp("devices") / "data", seed=0)


@pytest.fixture(scope="module")
def alone(data: Path) -> Path:
    """The run of one device."""
    run = data.parent / "alone"
    bioq.train(data, run, sizes=SIZES, config=CONFIG)
    return run


def assert_same_curve(run: Path, other: Path) -> None:
    result, expected = read_history(run), read_history(other)
    assert len(result) == len(expected)
    for name in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(result[name], expected[name], rtol=BOUND)
    np.testing.assert_allclose(
        result["valid_macro_roc_auc"], expected["valid_macro_roc_auc"], atol=1e-3
    )


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def flags(**more: int) -> list[str]:
    """CONFIG and SIZES for the command line."""
    given = {**asdict(CONFIG), **asdict(SIZES), **more, "tensorboard": None}
    return [
        word
        for name, value in given.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]


# What each rank of torchrun runs: it notes the rows that it takes, its weights, what it was told.
PROGRAM = """
import hashlib, json, os, sys
import bioq, bioq.training.train
from bioq import BioqError, ModelSizes, TrainConfig
data, folder, sizes, config = sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:])
taken, weights, told = [], [], None
class Noted(bioq.training.train.TrainingLoop):
    def _local_share(self, batch):
        share, weight = super()._local_share(batch)
        taken.append(share.rows.tolist() if weight else [])
        return share, weight
    def run(self):
        super().run()
        tensors = self.state.network.state_dict().values()
        weights.append([hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for tensor in tensors])
bioq.training.train.TrainingLoop = Noted
sizes = ModelSizes(**sizes)
bioq.train(data, folder + "/three", sizes=sizes, config=TrainConfig(**config))
steps = len(taken)
try:
    worse = {**config, "lr": 1e30, "clip_norm": 0.0, "optimizer": "rmsprop"}
    bioq.train(data, folder + "/worse", sizes=sizes, config=TrainConfig(**worse))
except BioqError as error:
    told = str(error)
other = data if os.environ["RANK"] == "0" else folder + "/other"
try:
    bioq.train(other, folder + "/mixed", sizes=sizes, config=TrainConfig(**config))
except BioqError as error:
    told_of_data = str(error)
with open(f"{folder}/rank{os.environ['RANK']}.json", "w") as file:
    found = {"taken": taken[:steps], "weights": weights[0], "told": told, "data": told_of_data}
    json.dump(found, file)
"""


@pytest.fixture(scope="module")
def three(data: Path) -> list[dict[str, Any]]:
    """What three ranks, started by torchrun, report."""
    folder = data.parent
    write_data(folder / "other", seed=1)
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3"]
    arguments = [data, folder, json.dumps(asdict(SIZES)), json.dumps(asdict(CONFIG))]
    subprocess.run(
        [*command, folder / "program.py", *arguments], env=environment(), check=True, timeout=120
    )
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(3)]


def test_every_row_is_taken_once_an_epoch(three: list[dict[str, Any]]) -> None:
    steps = math.ceil(WINDOWS / CONFIG.batch_size)
    assert [len(rank["taken"]) for rank in three] == [steps * CONFIG.epochs] * 3
    for epoch in range(CONFIG.epochs):
        of_epoch = slice(epoch * steps, (epoch + 1) * steps)
        parts = [part for rank in three for part in rank["taken"][of_epoch]]
        assert sorted(row for part in parts for row in part) == list(range(WINDOWS))
        assert {len(part) for part in parts} == {0, 1, 6, 7}


def test_all_ranks_end_with_the_same_weights(three: list[dict[str, Any]]) -> None:
    assert three[0]["weights"] == three[1]["weights"] == three[2]["weights"]


def test_three_ranks_of_torchrun_have_the_curve_of_one_device(
    three: list[dict[str, Any]], data: Path, alone: Path
) -> None:
    assert_same_curve(data.parent / "three", alone)


def test_shared_validation_has_the_auc_of_one_device(
    three: list[dict[str, Any]], data: Path
) -> None:
    split = open_dataset(data)["valid"]
    probability = predict_split(bioq.load(data.parent / "three", weights="last"), split)
    scores = read_history(data.parent / "three").iloc[-1]
    expected = roc_auc_score(split.labels(), probability, average="micro")
    assert scores["valid_micro_roc_auc"] == pytest.approx(expected, abs=1e-12)


def test_a_loss_that_is_no_number_stops_all_ranks_and_is_said_once(
    three: list[dict[str, Any]],
) -> None:
    assert "the training loss is no longer a number" in three[0]["told"]
    assert three[1]["told"] == three[2]["told"] == ""


def test_ranks_with_different_data_are_refused(three: list[dict[str, Any]]) -> None:
    assert "other: has fingerprint" in three[1]["data"]
    assert "for the first rank; give all machines the same data set" in three[1]["data"]
    assert three[0]["data"] == three[2]["data"] == ""


def test_slurm_s_variables_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of 2 tasks on the second of 2 nodes; names and values as srun(1) gives them."""
    for name, value in {
        "SLURM_JOB_ID": "1234567",
        "SLURM_JOB_NAME": "train",
        "SLURM_NODELIST": "gpu[5-6]",
        "SLURM_NNODES": "2",
        "SLURM_NTASKS": "4",
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NODEID": "1",
        "SLURM_PROCID": "3",
        "SLURM_LOCALID": "1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # Fabric sets them; so they are restored
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    info = ranks._rank_info(1)
    assert info is not None
    fabric = ranks._make_fabric(info, "cpu")
    assert (fabric.global_rank, fabric.world_size, fabric.local_rank) == (3, 4, 1)
    environment = fabric.strategy.cluster_environment
    assert environment.main_address == "gpu5"
    assert environment.main_port == 15000 + 4567  # Fabric's rule: the end of the job's number


def test_interrupted_runs_go_on_with_other_numbers_of_devices(data: Path, alone: Path) -> None:
    """1 device, stopped; 2, one of them killed; 3, Ctrl-C; 1 again: the curve of one device."""
    run, long = data.parent / "changing", replace(CONFIG, epochs=16)
    whole = data.parent / "whole"
    bioq.train(data, whole, sizes=SIZES, config=long)
    with pytest.MonkeyPatch.context() as patch:
        finish = bioq.training.loop.TrainingLoop._finish_epoch

        def stop(self: Any) -> dict[str, float]:
            row = finish(self)
            if row["epoch"] == 2:
                raise KeyboardInterrupt
            return row

        patch.setattr(bioq.training.loop.TrainingLoop, "_finish_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            bioq.train(data, run, sizes=SIZES, config=long)
    for devices, status, message in (
        (2, 1, "rank 1 (process"),
        (3, 130, "interrupted; saved "),
    ):
        started, printed = _stop_in_the_middle(data, run, devices)
        assert started == status
        assert message in printed
        assert printed.count("bioq: ") == 1
        assert "Traceback" not in printed
    assert len(read_history(run)) < 16, "all of it was to be in pieces"
    bioq.train(data, run, resume=True)
    assert_same_curve(run, whole)


def _stop_in_the_middle(data: Path, run: Path, devices: int) -> tuple[int, str]:
    """Go on with a run; kill its last of 2 ranks, or send Ctrl-C to what started 3, after an epoch.
    All of them must be gone within seconds."""
    before = len(read_history(run))
    process = subprocess.Popen(
        [*TRAIN, data, "--out", run, "--resume", "--devices", str(devices)],
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        while process.poll() is None and len(read_history(run)) == before:
            time.sleep(0.01)
        started = psutil.Process(process.pid).children()
        assert len(started) == devices
        if devices == 2:
            next(rank for rank in started if rank.environ()["RANK"] == "1").kill()
        else:
            process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    finally:
        process.kill()
    _, alive = psutil.wait_procs(started, timeout=5)
    assert not alive
    return process.returncode, printed


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces, joined by a cable: two hosts, but for their disks. Their names."""
    if shutil.which("ip") is None:
        pytest.skip("no ip command: no network namespaces")
    names = [f"bioq{os.getpid()}{end}" for end in "ab"]
    cable = [f"bq{os.getpid() % 100000}{end}" for end in "ab"]
    commands = [f"netns add {names[0]}", f"netns add {names[1]}"]
    commands.append(
        f"link add {cable[0]} netns {names[0]} type veth peer {cable[1]} netns {names[1]}"
    )
    for number, (name, end) in enumerate(zip(names, cable, strict=True), 1):
        commands += [f"-n {name} link set {end} name cable", f"-n {name} link set lo up"]
        commands += [f"-n {name} addr add 10.91.7.{number}/24 dev cable"]
        commands += [f"-n {name} link set cable up"]
    try:
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def test_two_hosts_train_together(hosts: list[str], data: Path, alone: Path) -> None:
    run = data.parent / "hosts"
    started = [
        subprocess.Popen(
            ["ip", "netns", "exec", host, *TRAIN, data, "--out", run, *flags(nodes=2)],
            env=environment(
                NODE_RANK=str(number),
                MASTER_ADDR="10.91.7.1",
                MASTER_PORT="29511",
                GLOO_SOCKET_IFNAME="cable",
            ),
            stdout=subprocess.DEVNULL,
        )
        for number, host in enumerate(hosts)
    ]
    try:
        assert [host.wait(timeout=150) for host in started] == [0, 0]
    finally:
        for host in started:
            host.kill()
    assert_same_curve(run, alone)


def test_shares_are_each_row_once_for_any_numbers() -> None:
    for world in (1, 2, 3, 8):
        every = [Ranks(torch.device("cpu"), rank, world) for rank in range(world)]
        for count in (0, 1, 2, 7, 8, 100, 257):
            for together in (1, 4, 256):
                parts = [np.arange(count)[one.share(count, together=together)] for one in every]
                np.testing.assert_array_equal(np.concatenate(parts), np.arange(count))
                groups = [-(-len(part) // together) for part in parts]
                assert max(groups) - min(groups) <= 1
                assert all(part[0] % together == 0 for part in parts if len(part))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, "--devices 0, expected 1 to 4,096"),
        ({"nodes": -1}, "--nodes -1, expected 1 to 4,096"),
        ({"devices": 2, "device": "cuda:1"}, "--device cuda:1 with several devices; expected cpu"),
        ({"devices": 2, "device": "mps"}, "--device mps with several devices; expected cpu"),
        ({"nodes": 2, "device": "cpu"}, "--nodes 2 without NODE_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"devices": 99, "device": "cuda"}, "--devices 99, but PyTorch sees"),
    ],
)
def test_devices_that_cannot_be_are_refused(
    options: dict[str, Any], message: str, data: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        bioq.train(data, data.parent / "none", config=TrainConfig(**options))


def test_a_node_rank_out_of_range_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NODE_RANK", "2"), ("MASTER_ADDR", "::1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="NODE_RANK 2 with --nodes 2; expected 0 to 1"):
        bioq.train(data, data.parent / "none", config=TrainConfig(nodes=2, device="cpu"))


def test_what_the_user_asks_for_must_agree_with_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--devices 4 --nodes 1, but torchrun started 4 processes"):
        with joined("cpu", 4, 1):
            pass


def test_srun_without_tasks_per_node_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    with pytest.raises(UsageError, match="srun started 2 tasks without --ntasks-per-node"):
        with joined("cpu", 1, 1):
            pass


def test_a_batch_script_without_srun_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0"), ("SLURM_JOB_ID", "7")):
        monkeypatch.setenv(name, value)
    with joined("cpu", 1, 1) as result:
        assert result.is_alone


def test_a_rank_reports_every_kind_of_error_as_one_that_can_be_raised(tmp_path: Path) -> None:
    arguments = {"file": "/none/x", "content": {}}
    job = {"function": "bioq.files:write_json", "arguments": arguments, "parent": os.getpid()}
    command = [sys.executable, "-c", "from bioq.training.launch import run_rank; run_rank()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as rank:
        assert rank.stdin is not None
        assert rank.stdout is not None
        rank.stdin.write(json.dumps(job).encode() + b"\n")
        rank.stdin.flush()
        report = json.loads(rank.stdout.read())
    assert report["kind"] == "BioqError"
    assert report["message"].startswith("/none/x: could not be written: No such file")


@pytest.mark.parametrize(
    ("function", "arguments", "kind", "message"),
    [
        (
            "os:_exit",
            {"status": 0},
            LostError,
            r"rank \d \(process \d+\) ended with status 0 before",
        ),
        (
            "os:_exit",
            {"status": 7},
            LostError,
            r"rank \d \(process \d+\) ended with status 7 before",
        ),
        ("os:abort", {}, LostError, r"rank \d \(process \d+\) was ended by SIGABRT, so all ranks"),
        ("math:sqrt", {"x": 1}, RuntimeError, r"rank \d \(process \d+\): TypeError: math.sqrt"),
        (
            "subprocess:run",
            {"args": "kill -TERM $PPID; sleep 9", "shell": True},
            LostError,
            r"rank \d \(process \d+\) was ended by SIGTERM, so all ranks",
        ),
    ],
)
def test_a_rank_that_ends_before_its_work_is_done_is_named(
    function: str, arguments: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        start_ranks(function, arguments, device="cpu", devices=2, nodes=1, folder=tmp_path)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="POSIX signals: no waitid")
def test_a_frozen_rank_is_named_and_may_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "kill -STOP $PPID; sleep 1; kill -CONT $PPID"
    start_ranks(
        "subprocess:run",
        {"args": words, "shell": True},
        device="cpu",
        devices=2,
        nodes=1,
        folder=tmp_path,
    )
    printed = capsys.readouterr().err
    for rank in (0, 1):
        assert printed.count(f"rank {rank} (process ") == 1
    assert "is frozen by SIGSTOP; the other ranks wait for it, at most 5 minutes" in printed


def test_lightning_fabric_is_asked_for_where_it_is_missing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(UsageError, match=r"pip install 'bioq\[distributed\]'"):
        bioq.train(data, data.parent / "none", config=TrainConfig(devices=2, device="cpu"))


def test_ranks_that_do_not_come_are_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "TIMEOUT", ranks.timedelta(seconds=1))
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "9")
    with pytest.raises(BioqError, match="lost the other ranks"):
        with joined("cpu", 1, 1):
            pass


def test_one_device_needs_no_lightning(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    bioq.train(data, data.parent / "plain", sizes=SIZES, config=replace(CONFIG, epochs=1))

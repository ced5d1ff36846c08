"""Predictions and variants on a Ray cluster of two machines with one CPU each, all on this one."""

import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from genome_cases import trained_on, twobit_of
from test_prediction import fasta, random_bases
from test_variants import iupac_rows
from variant_cases import make_chromosome, make_run, other_base, random_rows, write_vcf

from bioq.cli import main
from bioq.cluster import ClusterOptions, predict_on_ray, write_variants_on_ray
from bioq.cluster.connection import Cluster, connected
from bioq.cluster.parts import JOB, JOURNAL, MANIFEST, Part, Parts, part_name
from bioq.cluster.shards import Shard, _part, _Pool, compute_parts
from bioq.cluster.variants import _add_counts, _identity
from bioq.cluster.workers import Computed, Worker, software
from bioq.errors import BioqError, NotWrittenError, UsageError
from bioq.files import sha256
from bioq.inputs import AllSnvs
from bioq.prediction import PredictOptions, predict_file
from bioq.tables import Columns, Layout, Scores
from bioq.variants import (
    VariantJob,
    VariantOptions,
    VariantTableOptions,
    make_background,
    write_variants,
)

OPTIONS = PredictOptions(batch_size=4)
SHARD = 8
RECORDS = {f"s{n}": random_bases(200 + 90 * n, n) for n in range(14)}


class Machines:
    """A cluster whose head computes nothing, and what may be killed of it."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        common = {"object_store_memory": 80 << 20, "include_dashboard": False}
        quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
        head = {"num_cpus": 0, "_system_config": quick, **common}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self._common = common
        self.nodes: list[Any] = []
        self.complete()

    def complete(self) -> None:
        while len(self.nodes) < 2:
            self.nodes.append(self.cluster.add_node(num_cpus=1, **self._common))

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill_workers(self) -> None:
        """Kill every process that holds a model."""
        for node in self.nodes:
            for process in workers_of(node):
                process.kill()

    def kill_node(self) -> None:
        """Kill the machine that has the only model, with every process on it."""
        node = self._node_of_the_only_model()
        self.nodes.remove(node)
        raylet = psutil.Process(raylet_of(node))
        for process in [raylet, *raylet.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.worker_nodes.discard(node)

    def _node_of_the_only_model(self) -> Any:
        """Wait for the end of the models of an earlier command, which Ray ends in its own time."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            having = [node for node in self.nodes if workers_of(node)]
            if len(having) == 1:
                return having[0]
            time.sleep(0.05)
        raise TimeoutError(f"{len(having)} machines have a model")


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def workers_of(node: Any) -> list[psutil.Process]:
    """Return the processes of a machine that hold a model."""
    found = []
    for process in psutil.Process(raylet_of(node)).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since it was listed
            if process.name().startswith("ray::Worker"):
                found.append(process)
    return found


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    pytest.importorskip("ray")
    result = Machines()
    yield result
    result.cluster.shutdown()


@pytest.fixture
def at_part(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Do something when so many parts are in their places."""

    def set_up(number: int, action: Callable[[], None]) -> None:
        write, written = Parts.write, []

        def write_and_act(self: Parts, part: Part, content: bytes) -> None:
            write(self, part, content)
            written.append(part)
            if len(written) == number:
                action()

        monkeypatch.setattr(Parts, "write", write_and_act)

    return set_up


def on(machines: Machines, **changes: Any) -> ClusterOptions:
    return dataclasses.replace(ClusterOptions(ray=machines.address, ray_shard=SHARD), **changes)


def part_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*.parquet"))}


def read_manifest(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return result


def without_progress(messages: str) -> list[str]:
    """Return the lines but those of a machine so busy that this takes longer than 10 s."""
    return [line for line in messages.splitlines() if not line.startswith("compute: ")]


# The folder of parts


def make_parts(folder: Path, *, resume: bool = False, **job: Any) -> Parts:
    return Parts(folder, {"input": "a", "batch_size": 4, **job}, resume=resume)


def fill(parts: Parts, folder: Path, *numbers: int) -> None:
    parts.begin()
    for number in numbers:
        content = f"part {number}".encode()
        (folder.parent / "copy").write_bytes(content)
        digest = sha256(folder.parent / "copy")
        parts.write(Part(part_name(number), 1, digest, f"input {number}", {}), content)


def test_parts_are_found_again_and_damaged_ones_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    fill(make_parts(folder), folder, 0, 2, 3)
    (folder / part_name(2)).write_bytes(b"part x")
    (folder / part_name(3)).unlink()
    (folder / ".part-00001.parquet.xyz.part").write_bytes(b"half")
    with open(folder / JOURNAL, "a") as file:
        file.write('{"name": "part-00001.parquet", "ro')  # killed while it wrote
    parts = make_parts(folder, resume=True)
    assert [parts.holds(number, f"input {number}") for number in range(5)] == [True] + 4 * [False]
    fill(parts, folder, 1, 2, 3)
    assert [part.name for part in parts.finish(4)] == [part_name(number) for number in range(4)]
    assert {path.name for path in folder.iterdir()} == {
        MANIFEST,
        *(part_name(number) for number in range(4)),
    }
    assert read_manifest(folder)["rows"] == 4


def test_a_whole_output_can_be_mended(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    parts = make_parts(folder)
    fill(parts, folder, 0, 1)
    parts.finish(2)
    before = (folder / MANIFEST).read_bytes()
    (folder / part_name(1)).write_bytes(b"part x")
    parts = make_parts(folder, resume=True)
    assert [parts.holds(number, f"input {number}") for number in range(2)] == [True, False]
    parts.begin()
    assert not (folder / MANIFEST).exists(), "it says that all is whole"
    again = make_parts(folder, resume=True)
    assert again.holds(0, "input 0")
    fill(again, folder, 1)
    again.finish(2)
    assert (folder / MANIFEST).read_bytes() == before


def test_outputs_that_must_not_be_gone_on_with_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    fill(make_parts(folder), folder, 0)
    with pytest.raises(UsageError, match=r"out: holds an interrupted output; add --resume"):
        make_parts(folder)
    with pytest.raises(
        UsageError, match=r"out: was started with batch_size 4, not 8; resume it with"
    ):
        make_parts(folder, resume=True, batch_size=8)
    message = r"out: part-00000.parquet was computed from other windows"
    with pytest.raises(UsageError, match=message):
        make_parts(folder, resume=True).holds(0, "other")
    (folder / JOB).write_text("{")
    with pytest.raises(
        BioqError, match=r"_job.json: is not an output's job .* run the command again"
    ):
        make_parts(folder, resume=True)
    (folder / JOB).unlink()
    with pytest.raises(BioqError, match=r"out: holds neither _job.json nor _manifest.json"):
        make_parts(folder, resume=True)
    with pytest.raises(BioqError, match=r"out: exists already"):
        make_parts(folder)
    (folder / MANIFEST).write_text(
        '{"format": "bioq-parts", "format_version": 1, "job": {"input": "a", "batch_size": 4}, '
        '"parts": [{"name": 1}]}'
    )
    with pytest.raises(BioqError, match=r"_manifest.json: parts\[0\].name is 1, expected text"):
        make_parts(folder, resume=True)


def test_a_journal_that_cannot_be_written_says_how_to_resume(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    parts = make_parts(folder)
    parts.begin()
    (folder / JOURNAL).mkdir()
    message = r"_parts.jsonl: could not be written: Is a directory; .*out, --resume continues from"
    with pytest.raises(NotWrittenError, match=message):
        fill(parts, folder, 0)


# What needs no cluster


def told(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0].removeprefix("bioq: ")


@pytest.mark.parametrize(
    ("tokens", "status", "message"),
    [
        (["predict", "x.fa", "--ray", "local", "--ray-workers", "0"], 2, "--ray-workers 0, expec"),
        (["predict", "x.fa", "--ray", "local", "--ray-shard", "0"], 2, "--ray-shard 0, expected"),
        (["predict", "x.fa", "--ray-shard", "9"], 2, "are for a cluster; give --ray too"),
        (["predict", "x.fa", "--ray", "local", "--batch-size", "0"], 2, "--batch-size 0, expec"),
        (["predict", "x.fa", "--ray", "local", "--top", "1", "--dtype", "float16"], 2, "cannot be"),
        (["predict", "no.fa", "--ray", "local"], 1, "no.fa: no such file; expected FASTA"),
        (["predict", "x.fa", "--ray", "127.0.0.1:1"], 1, "--ray 127.0.0.1:1: could not be con"),
        (["predict", "x.fa", "--ray", "ray://h:1"], 2, "--ray ray://h:1: expected HOST:PORT, auto"),
        (["predict", "x.fa", "--ray", "local", "--precision", "tf32", "--device", "cpu"], 2,
         "precision tf32 needs a CUDA device"),
        (["variants", "x.vcf", "--genome", "g.fa", "--resume"], 2, "add --ray"),
        (["variants", "x.vcf", "--genome", "g.fa", "--ray", "local", "--format", "deepsea"], 2,
         "--format deepsea cannot be combined with --ray"),
        (["variants", "x.vcf", "--genome", "g.fa", "--ray", "local", "--precision", "tf32",
          "--device", "cpu"], 2, "precision tf32 needs a CUDA device"),
        (["variants", "x.vcf", "--genome", "g.fa", "--ray", "local"], 1, "x.vcf:3: POS is 'x'"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else "",
)  # fmt: skip
def test_errors_are_one_line_and_nothing_is_written(
    tokens: list[str],
    status: int,
    message: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    fasta(tmp_path / "x.fa")
    fasta(tmp_path / "g.fa", {"chr1": make_chromosome()})
    write_vcf(tmp_path / "x.vcf", [("chr1", "x", ".", "A", "C")])
    assert main([tokens[0], "run", *tokens[1:], "--out", "out"]) == status
    assert message in told(capsys)
    assert not (tmp_path / "out").exists()


def test_damaged_notes_of_a_part_are_named(tmp_path: Path) -> None:
    scorer: Any = SimpleNamespace(
        statuses=Counter(),
        absent=Counter(),
        differing=Counter(),
        misfits=Counter(),
        ranked=Counter(),
    )
    scorer.counters = dict(vars(scorer))
    notes: dict[str, Any] = {"statuses": {"scored": 3}, "absent": {"7": 1}}
    notes |= {"differing": {"MT": 2}, "misfits": {"snv": 5}, "ranked": {"highest": 1}}
    _add_counts(scorer, [Part(part_name(0), 4, "", "", notes)] * 2, tmp_path)
    assert (scorer.statuses, scorer.absent) == ({"scored": 6}, {"7": 2})
    assert (scorer.differing, scorer.misfits) == ({"MT": 4}, {"snv": 10})
    assert scorer.ranked == {"highest": 2}
    damage: dict[str, Any]
    for damage in (
        {},
        {"statuses": 3, "absent": {}},
        {"statuses": {}, "absent": 3},
        {"statuses": {}, "absent": {}, "differing": 3},
    ):
        part = Part(part_name(1), 4, "", "", damage)
        with pytest.raises(BioqError, match=r"notes of part-00001.parquet are damaged; remove"):
            _add_counts(scorer, [part], tmp_path)


def test_a_part_that_changed_on_its_way_is_refused() -> None:
    shard = Shard(3, 1, "input", None)
    computed = Computed(b"rows", hashlib.sha256(b"rows").hexdigest(), 1, {})
    assert _part(shard, computed) == Part(part_name(3), 1, computed.sha256, "input", {})
    with pytest.raises(BioqError, match=r"shard 3: its part arrived damaged; run again"):
        _part(shard, dataclasses.replace(computed, content=b"other"))


def test_every_option_identifies_the_scores_of_variants(tmp_path: Path) -> None:
    vcf, run = write_vcf(tmp_path / "x.vcf", []), make_run(tmp_path / "run")
    (tmp_path / "alias.tsv").write_text("7\t1\n")
    job, table = VariantJob(run, vcf, tmp_path / "g.fa"), VariantTableOptions()
    options = VariantOptions(strands="forward")
    cluster = ClusterOptions(ray="local")
    identities = [
        _identity(job, table, ("diff",), "sha", cluster),
        _identity(dataclasses.replace(job, options=options), table, ("diff",), "sha", cluster),
        _identity(dataclasses.replace(job, chrom_alias=tmp_path / "alias.tsv"), table, ("diff",),
                  "sha", cluster),
        _identity(job, VariantTableOptions(targets=("first",)), ("diff",), "sha", cluster),
        _identity(job, VariantTableOptions(background=vcf), ("diff",), "sha", cluster),
        _identity(job, VariantTableOptions(group_by="name"), ("diff",), "sha", cluster),
        _identity(job, table, ("diff", "ref"), "sha", cluster),
        _identity(job, table, ("diff",), "sha", dataclasses.replace(cluster, ray_shard=5)),
    ]  # fmt: skip
    assert len({repr(identity) for identity in identities}) == len(identities)


def test_a_missing_ray_is_said_in_one_line(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    source = fasta(tmp_path / "x.fa")
    assert main(["predict", str(run), str(source), "--out", "o", "--ray", "local"]) == 2
    assert told(capsys) == "--ray needs the package ray; pip install 'bioq[ray]'"


class Stopped(Exception):
    """What SIGTERM raises here."""


@pytest.fixture
def stops() -> Iterator[Callable[[int, object], None]]:
    """Have SIGTERM raise Stopped; return its handler."""

    def stop(number: int, frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    yield stop
    signal.signal(signal.SIGTERM, before)


def sigterm_taking_ray(*, stopped_in: str = "") -> tuple[Any, list[str]]:
    """Return a Ray that takes SIGTERM over whenever it is called, as the true one does, and what
    was asked of it; the first call of that name is stopped in its middle."""
    calls: list[str] = []

    def call(name: str) -> None:
        calls.append(name)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        if name == stopped_in and calls.count(name) == 1:
            signal.raise_signal(signal.SIGTERM)

    ray = SimpleNamespace(
        init=lambda **_: call("init"),
        shutdown=lambda: call("shutdown"),
        cluster_resources=dict,
    )
    return ray, calls


def test_sigterm_does_here_what_it_did_before_ray_was_connected(
    stops: Callable[[int, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray, calls = sigterm_taking_ray()
    monkeypatch.setattr("bioq.cluster.connection.import_ray", lambda _: ray)
    with connected(ClusterOptions(ray="local")):
        assert signal.getsignal(signal.SIGTERM) == stops
    assert signal.getsignal(signal.SIGTERM) == stops
    assert calls == ["init", "shutdown"]


@pytest.mark.parametrize(
    ("stopped_in", "expected"),
    [("init", ["init", "shutdown"]), ("shutdown", ["init", "shutdown", "shutdown"])],
)
def test_sigterm_while_ray_connects_or_leaves_is_ours_and_ray_is_left(
    stopped_in: str,
    expected: list[str],
    stops: Callable[[int, object], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray, calls = sigterm_taking_ray(stopped_in=stopped_in)
    monkeypatch.setattr("bioq.cluster.connection.import_ray", lambda _: ray)
    (tmp_path / "ray").mkdir()
    monkeypatch.setattr("bioq.cluster.connection._temporary_folder", lambda: str(tmp_path / "ray"))
    with pytest.raises(Stopped), connected(ClusterOptions(ray="local")):
        pass
    assert calls == expected
    assert signal.getsignal(signal.SIGTERM) == stops
    assert not (tmp_path / "ray").exists()


def test_a_signal_that_a_library_turns_into_ctrl_c_keeps_its_status_and_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("of a library") from None

    monkeypatch.setattr("bioq.cli.data.open_dataset", turn)
    assert main(["data", "info", "x"]) == 143
    assert told(capsys) == "terminated"


# On the cluster


@pytest.mark.parametrize("changes", [{}, {"top": 1}], ids=["matrix", "top"])
def test_predictions_are_those_of_the_plain_command(
    changes: dict[str, Any], run: Path, tmp_path: Path, machines: Machines
) -> None:
    source, out = fasta(tmp_path / "x.fa", RECORDS), tmp_path / "parts"
    options = dataclasses.replace(OPTIONS, **changes)
    predict_file(run, source, tmp_path / "plain.parquet", options=options)
    assert predict_on_ray(run, source, out, options=options, cluster=on(machines)) == out
    plain = pd.read_parquet(tmp_path / "plain.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(out), plain, check_exact=True)
    assert pyarrow.dataset.dataset(out).to_table().to_pandas().equals(plain)
    manifest = read_manifest(out)
    assert manifest["rows"] == len(plain) == sum(part["rows"] for part in manifest["parts"])
    assert manifest["job"]["weights"] == sha256(run / "model.safetensors")
    assert manifest["job"]["input_sha256"] == sha256(source)
    assert {part["name"]: part["sha256"] for part in manifest["parts"]} == {
        path.name: sha256(path) for path in out.glob("part-*")
    }


def test_regions_past_a_contigs_end_are_predicted_and_told(
    run: Path, tmp_path: Path, machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.bed").write_text("chr1\t0\t400\tpeak\n1\t900\t990\n")
    genome = fasta(tmp_path / "g.fa", {"chr1": make_chromosome()})
    common = [str(run), str(tmp_path / "r.bed"), "--genome", str(genome), "--batch-size", "4"]
    assert main(["predict", *common, "--out", str(tmp_path / "o.parquet")]) == 0
    plain = capsys.readouterr()
    ray = ["--ray", machines.address, "--ray-shard", "8", "--ray-workers", "1"]
    assert main(["predict", *common, "--out", str(tmp_path / "parts"), *ray]) == 0
    result = capsys.readouterr()
    assert result.out == f"{tmp_path}/parts\n"
    lines = [
        line for line in result.err.splitlines() if not line.startswith("compute: ")
    ]  # if slow
    assert lines == plain.err.splitlines() != []
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "parts"),
        pd.read_parquet(tmp_path / "o.parquet"),
        check_exact=True,
    )


def test_all_snvs_of_a_region_are_those_of_the_plain_command(
    run: Path, tmp_path: Path, machines: Machines
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": make_chromosome()})
    job = VariantJob(run, AllSnvs("chr1:380-400"), genome)
    write_variants(job, tmp_path / "plain.parquet")
    write_variants_on_ray(job, tmp_path / "parts", cluster=on(machines, ray_shard=16))
    found, plain = (pd.read_parquet(tmp_path / name) for name in ("parts", "plain.parquet"))
    assert len(plain) == 63
    pd.testing.assert_frame_equal(found, plain, rtol=0, atol=2e-6)


def test_the_strands_of_regions_are_those_of_the_plain_command(
    run: Path, tmp_path: Path, machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.bed").write_text("chr1\t0\t400\tp\t0\t+\n1\t-9\t300\tm\t0\t-\n")
    genome = fasta(tmp_path / "g.fa", {"chr1": make_chromosome()})
    common = [str(run), str(tmp_path / "r.bed"), "--genome", str(genome), "--batch-size", "4"]
    common += ["--strands", "forward"]
    assert main(["predict", *common, "--out", str(tmp_path / "o.parquet")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 1)[1] for line in told] == [
        "1 of 2 regions begin before their contig's first base; they are read from that base on",
        "1 of 2 regions are on the - strand (column 6): their reverse complements are used",
    ]
    ray = ["--ray", machines.address, "--ray-shard", "8", "--ray-workers", "1"]
    assert main(["predict", *common, "--out", str(tmp_path / "parts"), *ray]) == 0
    assert capsys.readouterr().err.splitlines()[:2] == told
    result, plain = (pd.read_parquet(tmp_path / name) for name in ("parts", "o.parquet"))
    pd.testing.assert_frame_equal(result, plain, check_exact=True)


@pytest.mark.parametrize("kill", ["workers", "node"])
def test_a_death_in_the_middle_changes_no_byte(
    kill: str,
    run: Path,
    tmp_path: Path,
    machines: Machines,
    at_part: Callable[[int, Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    machines.complete()
    source = fasta(tmp_path / "x.fa", RECORDS)
    one, two = (on(machines, ray_shard=4, ray_workers=workers) for workers in (1, 2))
    predict_on_ray(run, source, tmp_path / "calm", options=OPTIONS, cluster=one)
    assert without_progress(capsys.readouterr().err) == []
    action, cluster = (
        (machines.kill_workers, two) if kill == "workers" else (machines.kill_node, one)
    )
    at_part(5, action)
    predict_on_ray(run, source, tmp_path / "hit", options=OPTIONS, cluster=cluster)
    assert "a worker died; shard " in capsys.readouterr().err
    calm, hit = part_files(tmp_path / "calm"), part_files(tmp_path / "hit")
    assert len(calm) > 30
    assert hit == calm
    assert (tmp_path / "hit" / MANIFEST).read_bytes() == (tmp_path / "calm" / MANIFEST).read_bytes()
    machines.complete()


def test_workers_killed_while_they_start_are_replaced(
    run: Path, tmp_path: Path, machines: Machines
) -> None:
    machines.complete()
    source = fasta(tmp_path / "x.fa", RECORDS)
    cluster = on(machines, ray_shard=8, ray_workers=2)
    predict_on_ray(run, source, tmp_path / "calm", options=OPTIONS, cluster=cluster)
    killed, stop = list[int](), threading.Event()

    def kill() -> None:
        while len(killed) < 2 and not stop.wait(0.01):
            for process in [each for node in machines.nodes for each in workers_of(node)]:
                if process.pid not in before and process.pid not in killed:
                    process.kill()
                    killed.append(process.pid)

    before = {process.pid for node in machines.nodes for process in workers_of(node)}
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        predict_on_ray(run, source, tmp_path / "hit", options=OPTIONS, cluster=cluster)
    finally:
        stop.set()
        killer.join()
    assert killed
    assert part_files(tmp_path / "hit") == part_files(tmp_path / "calm")


def test_a_driver_that_died_is_gone_on_with_and_only_what_is_missing_is_computed(
    run: Path, tmp_path: Path, machines: Machines
) -> None:
    source, out = fasta(tmp_path / "x.fa", RECORDS), tmp_path / "parts"
    command = [
        *(sys.executable, "-m", "bioq", "predict", str(run), str(source), "--out", str(out)),
        *("--ray", machines.address, "--ray-shard", "4", "--batch-size", "4"),
    ]
    with subprocess.Popen(command) as driver:
        deadline = time.monotonic() + 300  # Ray and PyTorch start slowly on a busy machine
        while len(part_files(out)) < 3:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        driver.kill()
    done = json.loads("[" + ",".join((out / JOURNAL).read_text().split("\n\n")) + "]")
    before = {part["name"]: (out / part["name"]).stat().st_mtime_ns for part in done}
    assert not (out / MANIFEST).exists()
    assert 0 < len(before) < 30
    damaged = min(before)
    (out / damaged).write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"parts: was started with batch_size 4, not 5"):
        options = dataclasses.replace(OPTIONS, batch_size=5)
        predict_on_ray(
            run, source, out, options=options, cluster=on(machines, ray_shard=4), resume=True
        )
    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert (resumed.stdout, without_progress(resumed.stderr)) == (f"{out}\n", [])
    after = {name: (out / name).stat().st_mtime_ns for name in before}
    assert {name for name in before if before[name] != after[name]} == {damaged}
    predict_file(run, source, tmp_path / "plain.parquet", options=OPTIONS)
    pd.testing.assert_frame_equal(
        pd.read_parquet(out), pd.read_parquet(tmp_path / "plain.parquet"), check_exact=True
    )


def test_a_genome_by_name_is_read_by_the_machine_that_starts_the_command(
    tmp_path: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))  # the workers do not have it
    monkeypatch.chdir(tmp_path)
    cached = tmp_path / "cache" / "genomes" / "danRer11" / "danRer11.2bit"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(twobit_of({"chr1": 2000}))
    vcf, run = (
        write_vcf(tmp_path / "x.vcf", [("1", 900, ".", "T", "C")]),
        make_run(tmp_path / "run"),
    )
    by_name, by_path = (VariantJob(run, vcf, genome) for genome in (Path("danRer11"), cached))
    write_variants_on_ray(by_name, tmp_path / "parts", cluster=on(machines))
    assert pd.read_parquet(tmp_path / "parts")["status"].tolist() == ["scored"]
    nowhere = ClusterOptions(ray="127.0.0.1:1", ray_shard=SHARD)
    write_variants_on_ray(by_path, tmp_path / "parts", cluster=nowhere, resume=True)  # the same
    regions = tmp_path / "x.bed"
    regions.write_text("chr1\t800\t1000\n")
    predict_on_ray(
        run, regions, tmp_path / "predicted", genome=Path("danRer11"), cluster=on(machines)
    )
    assert part_files(tmp_path / "predicted")


def test_variants_are_those_of_the_plain_command(
    tmp_path: Path, machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    chromosome = make_chromosome()
    genome = fasta(tmp_path / "g.fa", {"chr1": chromosome, "chrM": chromosome[:300]})
    rows = random_rows(chromosome, 60)
    rows += [("MT", 150, ".", chromosome[149], other_base(chromosome[149]))]
    rows += [("chr1", 3, ".", "A", "C"), ("chrX", 5, ".", "A", "C"), ("1", 400, ".", "N", "<DEL>")]
    vcf, run = write_vcf(tmp_path / "x.vcf", rows), make_run(tmp_path / "run")
    lines = vcf.read_text()
    vcf.write_text(lines.replace("#CHROM", "##contig=<ID=MT,length=299>\n#CHROM", 1))
    trained_on(run, {"chr1": len(chromosome) + 1})
    job, out = VariantJob(run, vcf, genome), tmp_path / "parts"
    plain = write_variants(job, tmp_path / "plain.parquet")
    result = write_variants_on_ray(job, out, cluster=on(machines, ray_shard=16))
    assert result == plain
    assert result.lines() == plain.lines()
    assert (result.differing, result.statuses["contig_differs"]) == ({"MT": 1}, 1)
    noted = [line for line in capsys.readouterr().err.splitlines() if "was trained on" in line]
    assert len(noted) == 2
    assert len(result.statuses) >= 5
    assert len(part_files(out)) > 4
    pd.testing.assert_frame_equal(
        pd.read_parquet(out), pd.read_parquet(tmp_path / "plain.parquet"), rtol=0, atol=1e-5
    )
    again = write_variants_on_ray(
        job, out, cluster=ClusterOptions(ray="127.0.0.1:1", ray_shard=16), resume=True
    )
    assert again == plain, "nothing is missing, so no cluster is needed"
    make_background(job, run / "background.npz")  # the one of the run, by default
    table = VariantTableOptions(group_by="name", scores=("diff",))
    plain = write_variants(job, tmp_path / "ranked.parquet", table)
    ranked = write_variants_on_ray(
        job, tmp_path / "ranked", table, cluster=on(machines, ray_shard=32)
    )
    assert ranked.lines() == plain.lines()
    expected = pd.read_parquet(tmp_path / "ranked.parquet")
    assert expected["score_phred:second"].notna().any()
    found = pd.read_parquet(tmp_path / "ranked")
    pd.testing.assert_frame_equal(found[["pos", "background_n"]], expected[["pos", "background_n"]])
    for name in ("score_phred", "score_phred:first", "score_phred:second"):
        assert (found[name].isna() == expected[name].isna()).all()
        share = 10 ** (-found[name] / 10) - 10 ** (-expected[name] / 10)
        assert share.abs().max() < 0.05, "other batches: effects differ by rounding"
    (tmp_path / "other").mkdir()
    changed = fasta(
        tmp_path / "other" / "g.fa", {"chr1": chromosome[::-1], "chrM": chromosome[:300]}
    )
    message = r"part-00000.parquet was computed from other windows or all"
    with pytest.raises(UsageError, match=message):
        write_variants_on_ray(
            VariantJob(run, vcf, changed),
            out,
            VariantTableOptions(background=Path("none")),  # it was started without one
            cluster=on(machines, ray_shard=16),
            resume=True,
        )


def test_variants_at_iupac_codes_of_the_genome_are_those_of_the_plain_command(
    tmp_path: Path, machines: Machines
) -> None:
    letters, rows = iupac_rows(make_chromosome())
    genome = fasta(tmp_path / "g.fa", {"chr1": letters})
    vcf, run = write_vcf(tmp_path / "x.vcf", rows), make_run(tmp_path / "run")
    job, out = VariantJob(run, vcf, genome), tmp_path / "parts"
    plain = write_variants(job, tmp_path / "plain.parquet")
    assert write_variants_on_ray(job, out, cluster=on(machines, ray_shard=4)) == plain
    tables = pd.read_parquet(out), pd.read_parquet(tmp_path / "plain.parquet")
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)
    assert "".join(tables[0]["genome_ref"]).count("M") == 8
    (tmp_path / "other").mkdir()
    changed = fasta(tmp_path / "other" / "g.fa", {"chr1": letters.replace("M", "N")})
    with pytest.raises(UsageError, match=r"part-0000\d.parquet was computed from other windows"):
        write_variants_on_ray(
            VariantJob(run, vcf, changed), out, cluster=on(machines, ray_shard=4), resume=True
        )


def test_positions_from_0_and_bed_of_variants_are_named_as_by_the_plain_command(
    tmp_path: Path, machines: Machines
) -> None:
    chromosome = make_chromosome()
    genome, run = fasta(tmp_path / "g.fa", {"chr1": chromosome}), make_run(tmp_path / "run")
    rows = [
        ("chr1", pos, ".", chromosome[pos], other_base(chromosome[pos]))
        for pos in (1, 5, *range(300, 340), 999)
    ]
    vcf = write_vcf(tmp_path / "x.vcf", rows)
    job, out = VariantJob(run, vcf, genome), tmp_path / "parts"
    plain = write_variants(job, tmp_path / "plain.parquet")
    result = write_variants_on_ray(job, out, cluster=on(machines, ray_shard=8))
    assert result == plain
    assert "positions seem to be counted from 0" in result.lines()[-1]
    bed = tmp_path / "x.bed"
    bed.write_text("".join(f"{row[0]}\t{row[1]}\t{int(row[1]) + 1}\tA\tC\n" for row in rows))
    with pytest.raises(BioqError, match=r"x\.bed:1: looks like BED"):
        write_variants_on_ray(
            VariantJob(run, bed, genome), tmp_path / "other", cluster=on(machines, ray_shard=8)
        )
    assert not (tmp_path / "other").exists()


def test_a_vcf_of_no_alleles_gives_a_part_of_no_rows(tmp_path: Path, machines: Machines) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": make_chromosome()})
    vcf, run = write_vcf(tmp_path / "x.vcf", []), make_run(tmp_path / "run")
    job, out = VariantJob(run, vcf, genome), tmp_path / "parts"
    summary = write_variants_on_ray(job, out, cluster=on(machines))
    assert summary.lines() == ["           0  alleles"]
    assert summary.none_scored() == ""
    assert pq.read_table(out).num_rows == 0
    assert "diff:first" in pq.read_table(out).column_names


def test_an_output_is_replaced_only_with_force_and_only_if_it_is_one(
    tmp_path: Path, machines: Machines
) -> None:
    genome = fasta(tmp_path / "g.fa", {"chr1": make_chromosome()})
    run, out = make_run(tmp_path / "run"), tmp_path / "parts"
    base = make_chromosome()[499]
    place = f"chr1:500:{base}>{other_base(base)}"
    predict_on_ray(run, "chr1:401-600", out, genome=genome, cluster=on(machines))
    before = sorted(file.name for file in out.iterdir())
    with pytest.raises(BioqError, match=r"parts: exists already; give .* or --force"):
        write_variants_on_ray(VariantJob(run, place, genome), out, cluster=on(machines))
    with pytest.raises(UsageError, match="--resume continues an output and --force replaces it"):
        predict_on_ray(run, place, out, cluster=on(machines), resume=True, force=True)
    with pytest.raises(BioqError, match="has no contig 'chr7'"):
        predict_on_ray(run, "chr7:1-9", out, genome=genome, cluster=on(machines), force=True)
    assert sorted(file.name for file in out.iterdir()) == before
    predict_on_ray(run, place, out, genome=genome, cluster=on(machines), force=True)
    assert pq.read_table(out)["name"].to_pylist() == [f"ref {base}", f"alt {other_base(base)}"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(BioqError, match=r"mine: is not replaced: it has no _manifest\.json"):
        predict_on_ray(
            run, place, tmp_path / "mine", genome=genome, cluster=on(machines), force=True
        )


# Shards that go wrong


def job_of(compute: Callable[[int], int]) -> Any:
    """Return a job that computes one number of another."""
    layout = Layout({"value": "integer"}, pd.DataFrame({"name": []}))

    class Open:  # local classes travel to the workers whole
        def rows(self, payload: int) -> Iterator[tuple[Columns, Scores]]:
            yield {"value": np.array([compute(payload)])}, {}

        def notes(self) -> dict[str, Any]:
            return {}

    class Numbers:
        def __init__(self) -> None:
            self.layout = layout

        def open(self, device: str) -> Open:
            return Open()

    return Numbers()


def compute_numbers(
    compute: Callable[[int], int], folder: Path, machines: Machines, shards: Iterator[Shard]
) -> None:
    compute_parts(
        job_of(compute),
        shards,
        Parts(folder, {}, resume=False),
        total=40,
        unit="numbers",
        device=None,
        options=on(machines, ray_shard=1),
    )


def test_few_shards_are_read_ahead(tmp_path: Path, machines: Machines) -> None:
    folder, ahead = tmp_path / "out", []

    def shards() -> Iterator[Shard]:
        for number in range(40):
            done = len(part_files(folder)) if folder.exists() else 0
            ahead.append(number + 1 - done)
            yield Shard(number, 1, str(number), number)

    compute_numbers(lambda number: number**2, folder, machines, shards())
    assert pd.read_parquet(folder)["value"].tolist() == [number**2 for number in range(40)]
    assert max(ahead) <= 2 * 2 + 1, "two for each worker, and one that came back meanwhile"


def fails(number: int) -> int:
    if number == 3:
        raise ZeroDivisionError("no number\nis that")
    return number


def is_refused(number: int) -> int:
    if number == 3:
        raise BioqError("x.fa: has a fault")
    return number


def dies(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (is_refused, r"^x.fa: has a fault$"),
        (fails, r"^shard 3 failed 3 times, the last time with ZeroDivisionError: no number; --res"),
        (
            dies,
            r"^shard 3: 4 workers died while they computed it; is their memory too small\? .*"
            r" --resume continues",
        ),
    ],
    ids=["refused", "fails", "dies"],
)
def test_a_shard_that_always_fails_stops_all_with_one_line(
    compute: Callable[[int], int], message: str, tmp_path: Path, machines: Machines
) -> None:
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    folder = tmp_path / "out"
    shards = (Shard(number, 1, str(number), number) for number in range(40))
    try:
        with pytest.raises(BioqError, match=message):
            compute_numbers(compute, folder, machines, shards)
    finally:
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert part_name(3) not in part_files(folder)
    assert not (folder / MANIFEST).exists()


@dataclasses.dataclass(eq=False)
class Call:
    """A call of a worker that holds some shards; the number is None for the opening."""

    held: list[int]
    number: int | None


class LosesResults:
    """In place of Ray: shard 3 kills its worker, and the results that it still has are lost."""

    class exceptions:
        class RayError(Exception):
            pass

        class RayTaskError(Exception):
            pass

    def remote(self, **_options: object) -> Callable[[type], Any]:
        def start() -> Any:
            held: list[int] = []

            def compute(number: int) -> Any:
                held.append(number)
                return Call(held, number)

            return SimpleNamespace(
                open=SimpleNamespace(remote=lambda *_: Call(held, None)),
                compute=SimpleNamespace(remote=compute),
            )

        return lambda _class: SimpleNamespace(remote=start)

    def put(self, task: Any) -> Any:
        return task

    def kill(self, actor: Any) -> None:
        pass

    def wait(self, calls: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return calls[:1], calls[1:]

    def get(self, call: Call) -> int | None:
        if call.number is not None and 3 in call.held:
            raise self.exceptions.RayError("the worker died")
        if call.number is not None:
            call.held.remove(call.number)
        return call.number


def test_a_shard_whose_result_a_neighbour_takes_along_is_not_blamed() -> None:
    ray = LosesResults()
    pool = _Pool(Cluster(ray=ray, cpus=1, gpus=0), job_of(int), "cpu", 1)
    shards, finished = (Shard(number, 1, str(number), number) for number in range(1, 9)), []
    waiting = deque([next(shards)])
    with pytest.raises(BioqError, match=r"^shard 3: 4 workers died while they computed it"):
        for shard, _ in pool.results(waiting, shards):
            finished.append(shard.number)
    assert finished == [1, 2]


def test_another_version_on_a_worker_is_refused() -> None:
    with pytest.raises(BioqError, match=r"a worker has torch .*, this machine has 1.0; install"):
        Worker().open(job_of(int), "cpu", {**software(), "torch": "1.0"})


def test_a_card_that_no_machine_has_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = contextlib.nullcontext(Cluster(ray=None, cpus=2, gpus=0))
    monkeypatch.setattr("bioq.cluster.shards.connected", lambda _: without)
    source, out = fasta(tmp_path / "x.fa", RECORDS), tmp_path / "out"
    for device, message in (
        ("cuda", "--device cuda: the cluster has no GPU"),
        ("mps", "--device mps: on a cluster expected cpu or cuda"),
    ):
        options = PredictOptions(device=device)
        with pytest.raises(UsageError, match=message):
            predict_on_ray(run, source, out, options=options, cluster=ClusterOptions(ray="a:1"))
        assert not out.exists()


def test_a_precision_that_a_worker_has_not_is_refused_before_anything_is_written(
    run: Path, tmp_path: Path, machines: Machines
) -> None:
    source, out = fasta(tmp_path / "x.fa", RECORDS), tmp_path / "out"
    options = PredictOptions(precision="tf32")
    with pytest.raises(UsageError, match=r"^precision tf32 needs a CUDA device, this is cpu; use"):
        predict_on_ray(run, source, out, options=options, cluster=on(machines))
    assert not out.exists()


def test_a_cluster_of_this_machine_leaves_nothing_but_the_folder(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "parts"
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "bioq", "predict", run, source, "--out", out),
            *("--ray", "local", "--ray-workers", "1"),
        ],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert (ended.stdout, without_progress(ended.stderr)) == (f"{out}\n", [])
    assert list(temporary.iterdir()) == []
    assert {path.name for path in out.iterdir()} == {MANIFEST, part_name(0)}

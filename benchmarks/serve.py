"""`bioq serve` under load: is every answer right, and how many answers per second?

    python benchmarks/serve.py [--run DIR ...] [--clients 64] [--seconds 20] [--out DIR]

The server is a separate process. Each client is a thread with its own connection: it sends its
sequences to /api/predict, one after another, and compares every answer with the prediction of that
sequence alone by plain PyTorch (BIOQ_PLAIN=1). Measured: one client, all clients with batching, all
clients without (one request per forward pass), and all clients if only a quarter of them may wait:
a client that gets status 429 sends its request again. The model is `bioq` at its published size,
with 919 targets and random weights, and those of --run. Markdown to stdout; with --out also
serve.json.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SEQUENCES = 4
"""Sequences of each client."""
TOLERANCE = 1e-5
AGAIN_S = 0.05


@dataclass
class Load:
    """What a number of clients saw."""

    model: str
    what: str
    clients: int
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    """Answers that are not those of the sequence that was asked."""
    lost: int = 0
    """Requests without an answer."""
    latencies_s: list[float] = field(default_factory=list)
    """Of answers with status 200."""

    def summary(self) -> dict[str, object]:
        percentiles = statistics.quantiles(self.latencies_s, n=100)
        return {
            "model": self.model,
            "load": self.what,
            "clients": self.clients,
            "seconds": self.seconds,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "wrong": self.wrong,
            "lost": self.lost,
            "answers_per_s": self.statuses[200] / self.seconds,
            "p50_s": percentiles[49],
            "p99_s": percentiles[98],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="run folders")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--out", type=Path, help="folder for serve.json")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--batch-size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--waiting-windows", type=int, default=2000, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.batch_size, options.waiting_windows)
        return
    os.environ["BIOQ_PLAIN"] = "1"  # for what is expected; the servers do without
    report = []
    print("| model | load | clients | answers/s | p50, ms | p99, ms | 429 | wrong | lost |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        published = Path(name) / "run"
        make_published(Path(name), published)
        for run in [published, *options.run]:
            model = "bioq, 919 targets" if run == published else run.resolve().name
            for load in measure(run, model, options.clients, options.seconds):
                report.append(load.summary())
                print_row(report[-1], load.statuses)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "serve.json").write_text(json.dumps(report, indent=1) + "\n")
    if any(row["wrong"] or row["lost"] for row in report):
        sys.exit("answers were wrong or lost")


def measure(run: Path, model: str, clients: int, seconds: float):
    """Yield the loads of a model."""
    questions = make_questions(run, clients)
    for what, count, arguments in (
        ("one client", 1, ()),
        ("with batching", clients, ()),
        ("without batching", clients, ("--batch-size", "1")),
        ("a quarter may wait", clients, ("--waiting-windows", str(clients // 4))),
    ):
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", run, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "BIOQ_PLAIN"},
        )
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            yield run_load(Load(model, what, count), port, questions[:count], seconds)
        finally:
            server.terminate()
            server.wait()


def make_questions(run: Path, clients: int) -> list[list[tuple[bytes, np.ndarray]]]:
    """Return each client's requests with the probabilities expected, `(targets,)`."""
    import bioq
    from bioq import dna
    from bioq.forward import predict_codes

    model = bioq.load(run)
    window_bp = model.window_bp
    random = np.random.default_rng(1)
    codes = random.integers(0, 4, (clients * SEQUENCES, window_bp)).astype(np.uint8)
    expected = np.concatenate([predict_codes(model, one[None]) for one in codes])
    distance = np.abs(expected[:, None] - expected[None]).max(axis=2)
    np.fill_diagonal(distance, 1)
    if distance.min() < 2 * TOLERANCE:
        sys.exit(f"{run}: two sequences have the same answer and could not be distinguished")
    requests = [
        json.dumps({"sequences": [{"name": "s", "sequence": dna.decode(one)}]}).encode()
        for one in codes
    ]
    pairs = list(zip(requests, expected, strict=True))
    return [pairs[start : start + SEQUENCES] for start in range(0, len(pairs), SEQUENCES)]


def run_load(
    load: Load, port: int, questions: list[list[tuple[bytes, np.ndarray]]], seconds: float
) -> Load:
    """Have every client ask for some seconds, and to the end of what it has asked."""
    lock = threading.Lock()
    ready = threading.Barrier(len(questions) + 1)

    def ask(share: list[tuple[bytes, np.ndarray]]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        connection.connect()
        ready.wait()
        ends, number = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            body, expected = share[number % len(share)]
            started = time.monotonic()
            try:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", "/api/predict", body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except OSError:
                with lock:
                    load.lost += 1
                connection.close()
                continue
            taken = time.monotonic() - started
            right = answer.status != 200 or is_right(content, expected)
            with lock:
                load.statuses[answer.status] += 1
                load.wrong += not right
                if answer.status == 200:
                    load.latencies_s.append(taken)
            if answer.status == 429:
                time.sleep(AGAIN_S)
            else:
                number += 1
        connection.close()

    threads = [threading.Thread(target=ask, args=[share]) for share in questions]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.monotonic()
    for thread in threads:
        thread.join()
    load.seconds = time.monotonic() - started
    return load


def is_right(content: bytes, expected: np.ndarray) -> bool:
    result = np.array(json.loads(content)["windows"][0]["probability"])
    return result.shape == expected.shape and bool(np.abs(result - expected).max() < TOLERANCE)


def print_row(row: dict[str, object], statuses: Counter[int]) -> None:
    print(
        f"| {row['model']} | {row['load']} | {row['clients']} | {row['answers_per_s']:,.1f} | "
        f"{1000 * row['p50_s']:,.0f} | {1000 * row['p99_s']:,.0f} | {statuses[429]:,} | "
        f"{row['wrong']} | {row['lost'] + sum(n for s, n in statuses.items() if s >= 500)} |",
        flush=True,
    )


def serve(run: Path, batch_size: int | None, waiting_windows: int) -> None:
    """Serve a run on any free port, which is printed."""
    from bioq import web
    from bioq.forward import BATCH_SIZE
    from bioq.web.limits import Limits

    web.serve(
        run,
        port=0,
        limits=Limits(waiting_windows=waiting_windows),
        batch_size=batch_size or BATCH_SIZE,
        ready=lambda address: print(address.rpartition(":")[2], flush=True),
    )


def make_published(folder: Path, run: Path) -> None:
    """Write a run of `bioq` at its published size; the weights are large enough for its answers to
    differ from sequence to sequence."""
    import pandas as pd
    import torch

    from bioq.dataset import Description, new_dataset, open_dataset, pack_labels
    from bioq.models import build_model
    from bioq.runs.folder import create_run
    from bioq.runs.weights import save_weights

    table = pd.DataFrame({"name": [f"t{number}" for number in range(919)]})
    description = Description(made_by="peaks", window_bp=1000, bin_bp=200, label_rule="half")
    with new_dataset(folder / "data", description, table) as writer:
        for name in ("train", "valid", "test"):
            with writer.split(name) as split:
                labels = pack_labels(np.ones((1, len(table)), dtype=bool))
                split.append(np.zeros((1, 1000), dtype=np.uint8), labels)
    torch.manual_seed(0)
    model = build_model("bioq", targets=len(table))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    data = open_dataset(folder / "data")
    create_run(run, model=model.architecture, training={}, data=data)
    save_weights(model, run / "model.safetensors")


if __name__ == "__main__":
    main()

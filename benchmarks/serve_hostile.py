"""`bioq serve` among hostile clients, measured by wrk: is every honest request answered, and when?

    python benchmarks/serve_hostile.py [--run DIR] [--clients 4] [--seconds 20] [--tiny]

wrk (the Debian package) sends honest requests to /api/predict and compares each answer with the
prediction of that sequence alone by plain PyTorch. First quietly, then while other clients attack:
slow heads and bodies, idle connections, answers that are not read, uploads that take long to check,
JSON of a million values and bytes that are not HTTP. Markdown to stdout; exit status 1 if an honest
request was refused, lost or answered with wrong numbers.
"""

import argparse
import contextlib
import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import serve

ATTACKS: dict[str, tuple[bytes, bool]] = {}
"""Name -> (bytes to send, whether to go on with a byte per tenth of a second)."""


def _head(path: str, length: int, kind: str = "application/json") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()


def make_attacks() -> None:
    """Fill ATTACKS."""
    numbers = b'{"regions": [' + b"1," * (1 << 20) + b"1]}"
    hashes = gzip.compress(b"#\n" * (63 << 20), 1)
    contigs = gzip.compress(b"##contig=<ID=a,length=5,assembly=hg19,x=y>\n" * 190_000, 1)
    binary = "application/octet-stream"
    ATTACKS.update(
        {
            "idle": (b"", False),
            "slow head": (b"GET / HTTP/1.1\r\nX: ", True),
            "slow body": (_head("/api/jobs", 1 << 20, binary), True),
            "unread": (b"GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50, True),
            "JSON": (_head("/api/predict", len(numbers)) + numbers, False),
            "# lines": (_head("/api/jobs", len(hashes), binary) + hashes, False),
            "contigs": (_head("/api/jobs", len(contigs), binary) + contigs, False),
            "rubbish": (bytes(range(256)) * 64, False),
        }
    )


def attack(port: int, name: str, stop: threading.Event, counts: Counter[str]) -> None:
    """Attack again and again; each time until the server closes the connection, or for 5 s."""
    first, goes_on = ATTACKS[name]
    while not stop.is_set():
        counts[name] += 1
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        ):
            connection.sendall(first)
            ends = time.monotonic() + 5
            while time.monotonic() < ends and not stop.is_set():
                if goes_on:
                    connection.sendall(b"a")
                    stop.wait(0.1)
                elif not connection.recv(1 << 16):
                    break
        stop.wait(0.2)


def run_wrk(port: int, lines: Path, clients: int, seconds: float) -> dict[str, float]:
    """Return the counts and the percentiles of wrk."""
    script = Path(__file__).with_suffix(".lua")
    command = ["wrk", "-c", clients, "-t", clients, "-d", f"{seconds:g}s", "--timeout", "30s"]
    command += ["-s", script, f"http://127.0.0.1:{port}", "--", lines]
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(
    port: int, lines: Path, clients: int, seconds: float, each: int
) -> list[tuple[str, dict[str, float], int]]:
    """Return (load, result of wrk, number of attacks), quiet and under attack."""
    rows = [("quiet", run_wrk(port, lines, clients, seconds), 0)]
    stop, counts = threading.Event(), Counter[str]()
    threads = [
        threading.Thread(target=attack, args=[port, name, stop, counts], daemon=True)
        for name in ATTACKS
        for _ in range(each)
    ]
    for thread in threads:
        thread.start()
    try:
        rows.append(("attacked", run_wrk(port, lines, clients, seconds), sum(counts.values())))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return rows


def with_server(run: Path, work: Callable[[int], object]) -> str:
    """Call `work` with the port of a server of a run; return what it printed to stderr."""
    environment = {name: value for name, value in os.environ.items() if name != "BIOQ_PLAIN"}
    server = subprocess.Popen(
        [sys.executable, serve.__file__, "--serve", run],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert server.stdout is not None
        work(int(server.stdout.readline()))
    finally:
        server.terminate()
        _, printed = server.communicate()
    return printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="run folder; by default bioq, 919 targets")
    parser.add_argument("--clients", type=int, default=4, help="honest clients")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--attackers", type=int, default=8, help="hostile clients of each kind")
    parser.add_argument("--tiny", action="store_true", help="only whether this script works")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    if options.tiny:
        options.seconds, options.attackers, options.clients = 2, 1, 2
    os.environ["BIOQ_PLAIN"] = "1"  # for what is expected; the server does without
    make_attacks()
    rows: list[tuple[str, dict[str, float], int]] = []
    with tempfile.TemporaryDirectory() as name:
        run = options.run
        if run is None:
            run = Path(name) / "run"
            serve.make_published(Path(name), run)
        lines = Path(name) / "requests"
        questions = [pair for share in serve.make_questions(run, 4) for pair in share]
        lines.write_text(
            "".join(
                f"{body.decode()}\t{','.join(map(repr, map(float, p)))}\n" for body, p in questions
            )
        )
        printed = with_server(
            run,
            lambda port: rows.extend(
                measure(port, lines, options.clients, options.seconds, options.attackers)
            ),
        )
    print("| load | attacks | right | p50, ms | p99, ms | wrong | refused | lost |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for load, row, attacks in rows:
        print(
            f"| {load} | {attacks:,} | {row['right']:,.0f} | {row['p50_ms']:,.0f} | "
            f"{row['p99_ms']:,.0f} | {row['wrong']} | {row['refused']} | {row['lost']} |"
        )
    if printed:
        sys.exit(f"the server printed: {printed}")
    if any(row["wrong"] or row["refused"] or row["lost"] or not row["right"] for _, row, _ in rows):
        sys.exit("honest requests were refused, lost or wrong")


if __name__ == "__main__":
    main()

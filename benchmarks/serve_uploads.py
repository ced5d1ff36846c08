"""How long a visitor waits for a page of `bioq serve` while uploads are checked.

    python benchmarks/serve_uploads.py [--run RUN] [--loads 5] [--uploads 41] [--tiny]

The page Variant is asked for again and again by a process of its own: quietly, then while many
uploads at once are sent that take long to check. Markdown to stdout; exit status 1 if a page was
not answered or an upload had another status than 422 (refused) or 429 (later).
"""

import argparse
import gzip
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from serve_hostile import with_server

MIB = 1 << 20
UPLOADS = (
    b"#\n" * (63 * MIB),
    b"##contig=<ID=a,length=5,assembly=hg19,x=y,z=1>\n" * 190_000,
    b"x" * (126 * MIB),
    (b"#CHROM\tPOS\tID\tREF\tALT" + b"\t1\tA" * MIB + b"\n") * 30,
)


def ask_for_pages(port: int, seconds: float) -> None:
    """Ask for a page, with pauses of 20 ms; print the waiting times in ms as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    waited = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        started = time.perf_counter()
        connection.request("GET", "/variant")
        answer = connection.getresponse()
        answer.read()
        waited.append(1000 * (time.perf_counter() - started))
        if answer.status != 200:
            sys.exit(f"a page had status {answer.status}")
        time.sleep(0.02)
    print(json.dumps(waited))


def upload(port: int, body: bytes, statuses: Counter[int]) -> None:
    """Send a body as a VCF file."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/api/jobs", body)
    statuses[connection.getresponse().status] += 1
    connection.close()


def measure(port: int, loads: int, uploads: int, seconds: float) -> None:
    """Print a row for no uploads and for each load."""
    print("| load | pages | p50, ms | p99, ms | slowest, ms | uploads refused | later |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    bodies = [gzip.compress(text, 1) for text in UPLOADS]
    for load in range(loads + 1):
        words = [sys.executable, __file__, "--pages", str(port), str(seconds)]
        pages = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        time.sleep(min(1, seconds / 4))
        statuses: Counter[int] = Counter()
        threads = [
            threading.Thread(target=upload, args=[port, bodies[number % 4], statuses])
            for number in range(uploads if load else 0)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        printed, _ = pages.communicate()
        if pages.returncode or set(statuses) - {422, 429}:
            sys.exit(f"pages ended with {pages.returncode}, uploads with {dict(statuses)}")
        waited = sorted(json.loads(printed))
        print(
            f"| {load or 'none'} | {len(waited)} | {waited[len(waited) // 2]:.1f} | "
            f"{waited[int(0.99 * len(waited))]:.0f} | {waited[-1]:.0f} | "
            f"{statuses[422]} | {statuses[429]} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("yeast"), help="run folder or name")
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--uploads", type=int, default=41, help="at once")
    parser.add_argument("--seconds", type=float, default=12, help="of a load")
    parser.add_argument("--tiny", action="store_true", help="only whether this script works")
    parser.add_argument("--pages", nargs=2, type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pages:
        ask_for_pages(int(options.pages[0]), options.pages[1])
        return
    if options.tiny:
        options.loads, options.uploads, options.seconds = 1, 5, 2
    with_server(
        options.run,
        lambda port: measure(port, options.loads, options.uploads, options.seconds),
    )


if __name__ == "__main__":
    main()

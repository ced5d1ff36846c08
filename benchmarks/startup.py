"""Start-up, installed size and dependencies of BioQ in an environment of its own.

    python benchmarks/startup.py [--environment DIR] [--folder DIR] [--tiny]

Installs BioQ and its pinned dependencies, no extras, into a new environment (minutes, about 1.5 GB;
or takes the one in --environment), then times the commands: medians. "Cold" runs come after the
files of the environment and of the run folder were put out of the system's file cache (Linux;
Python's own library is not among them). The model is `bioq` at its published size with 919 targets
after one step of training. --tiny takes the environment of this Python.
Tables go to stdout, in Markdown.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

from generated import tiny_sizes, write_run
from measuring import parse, parser, print_heads, print_row

ROOT = Path(__file__).parents[1]

LIST_DISTRIBUTIONS = """
import json, re
from importlib.metadata import distributions
found = {}
for one in distributions():
    files = {str(file.locate()) for file in one.files or ()}
    paths = [p for p in map(__import__("pathlib").Path, files) if p.is_file()]
    needs = [n for n in one.requires or () if "extra ==" not in n]
    names = [re.split(r"[<>=~!\\[; (]", need)[0] for need in needs]
    size = sum(path.stat().st_size for path in paths)
    found[re.sub(r"[-_.]+", "-", one.name).lower()] = (one.version, size, names)
print(json.dumps(found))
"""
MEMORY_OF_IMPORTS = {
    "nothing": "",
    "numpy": "import numpy",
    "torch": "import torch",
    "torch, pandas": "import torch, pandas",
    "bioq.dataset.batches (torch, pandas)": "import bioq.dataset.batches",
    "what bioq train imports": "import bioq.cli.train",
    "what bioq predict imports": "import bioq.cli.predict",
}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--environment", type=Path, help="BioQ is installed there")
    arguments.add_argument("--folder", type=Path, help="where files are written")
    arguments.add_argument("--runs", type=int, default=5, help="of every command, cold and warm")
    arguments.add_argument("--targets", type=int, default=919)
    arguments.add_argument("--only", type=int, help="so many commands and imports, the last ones")
    tiny = {"environment": Path(sys.prefix), "runs": 1, "targets": 9, "only": 2}
    options = parse(arguments, tiny=tiny)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        environment = options.environment or install(folder / "environment")
        bin_folder = environment / ("Scripts" if os.name == "nt" else "bin")
        sizes = tiny_sizes("bioq") if options.tiny else None
        write_run(folder / "run", "bioq", targets=options.targets, sizes=sizes)
        (folder / "one.fa").write_text(f">one\n{'ACGTTGCAAC' * 100}\n")
        forgotten = [] if options.tiny else [environment, folder / "run"]
        print_times(bin_folder / "bioq", folder, options, forgotten)
        print_imports(bin_folder / "python", options.only)
        print_sizes(json.loads(run(bin_folder / "python", "-c", LIST_DISTRIBUTIONS)))


def install(environment: Path) -> Path:
    """Make a virtual environment with BioQ in it, as a user gets it: no extras."""
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    torch = re.search(r"^torch==.*$", constraints.read_text(), flags=re.MULTILINE)
    pip = (python, "-m", "pip", "install", "--quiet", "-c", constraints)
    if torch is not None:
        run(*pip, torch[0])
    run(*pip, ROOT)
    return environment


def print_times(
    bioq: Path, folder: Path, options: argparse.Namespace, forgotten: list[Path]
) -> None:
    runs = options.runs
    print_heads("command", "cold, s", "warm, s", "warm, CPU s")
    predict = ("predict", folder / "run", folder / "one.fa", "--out", folder / "one.tsv")
    ensemble = ("predict", "yeast", *predict[2:])
    commands: list[tuple[str, Sequence[object]]] = [
        ("--help", ["--help"]),
        ("targets yeast", ["targets", "yeast"]),
        ("models", ["models"]),
        ("predict --help", ["predict", "--help"]),
        ("predict, one sequence, bioq as published", predict),
        ("predict, one sequence, yeast", ensemble),
    ]
    for what, words in commands[-options.only :] if options.only else commands:
        cold, warm = [], []
        for number in range(2 * runs):
            if number < runs:
                for path in forgotten:
                    forget(path)
            (folder / "one.tsv").unlink(missing_ok=True)
            times = timed(bioq, *words)
            (cold if number < runs else warm).append(times)
        medians = [statistics.median(column) for column in zip(*warm, strict=True)]
        cold_s = statistics.median(seconds for seconds, _ in cold)
        print_row(f"bioq {what}", f"{cold_s:.2f}", f"{medians[0]:.2f}", f"{medians[1]:.2f}")


def forget(folder: Path) -> None:
    """Put every file of a folder out of the system's file cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def print_imports(python: Path, only: int | None) -> None:
    print()
    print_heads("imported", "peak memory, MB", "of it no file that is mapped, MB", "CPU s")
    ask = (
        "\nimport time; cpu_s = time.process_time()\n"
        "s = dict(l.split(':', 1) for l in open('/proc/self/status'))\n"
        "peak, mapped = (int(s[n].split()[0]) / 1024 for n in ('VmHWM', 'RssFile'))\n"
        "print(peak, peak - mapped, cpu_s)"
    )
    imports = list(MEMORY_OF_IMPORTS.items())
    for what, statement in imports[-only:] if only else imports:
        peak, added, cpu_s = map(float, run(python, "-c", statement + ask).split())
        print_row(what, f"{peak:.0f}", f"{added:.0f}", f"{cpu_s:.2f}")


def print_sizes(result: dict[str, tuple[str, int, list[str]]]) -> None:
    """Print the size of every distribution that BioQ needs, and who needs it."""
    needed_by: dict[str, set[str]] = {"bioq": set()}
    waiting = ["bioq"]
    while waiting:
        name = waiting.pop()
        for need in result[name][2]:
            need = re.sub(r"[-_.]+", "-", need).lower()
            if need in result:  # otherwise it is for another system or Python
                if need not in needed_by:
                    waiting.append(need)
                needed_by.setdefault(need, set()).add(name)
    sizes = {name: result[name][1] / 1e6 for name in needed_by}
    direct = [name for name, by in needed_by.items() if "bioq" in by]
    print(
        f"\nInstalled: {sum(sizes.values()):,.0f} MB; {len(direct)} direct dependencies, "
        f"{len(sizes) - 1} in all.\n"
    )
    print_heads("package", "version", "MB", "needed by")
    for name in sorted(sizes, key=lambda one: -sizes[one]):
        needing = ", ".join(sorted(needed_by[name]))
        print_row(name, result[name][0], f"{sizes[name]:.3f}", needing)


def timed(*command: object) -> tuple[float, float]:
    """Run a command; return its seconds and its CPU seconds."""
    before, started = os.times(), time.perf_counter()
    run(*command)
    seconds, after = time.perf_counter() - started, os.times()
    cpu_s = after.children_user + after.children_system
    return seconds, cpu_s - before.children_user - before.children_system


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()

"""What works where packages and modules of POSIX are missing: Windows, macOS, a new Python.

One process without them, and without the extras, stands for such a system; the real ones are tried
by the release workflow.
"""

import ast
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bioq
from bioq import dna
from bioq.dataset import Description, new_dataset, pack_labels

PACKAGES = ("pysam", "pyBigWig")
EXTRAS = ("fastapi", "lightning_fabric", "memelite", "pyjaspar", "ray", "sklearn", "tensorboard")
POSIX_MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
POSIX_NAMES = {
    "os": ("geteuid", "getuid", "killpg", "posix_fallocate", "pread", "setsid", "O_NONBLOCK"),
    "signal": ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1"),
}
SIZES = "--model deepsea --filters 4 --dense-units 4 --filter-width 8 --pool-width 4 --epochs 1"
COMMANDS = {
    "train": f"train data --out run --device cpu {SIZES}",
    "evaluate": "evaluate run data --device cpu",
    "predict": "predict run in.fa --out out.tsv --device cpu",
    "2bit genome": "predict run in.bed --genome genome.2bit --out regions.tsv --device cpu",
    "serve": "serve run",
    "help of serve": "serve --help",
    "FASTA genome": "predict run in.bed --genome genome.fa --out bed.tsv --device cpu",
    "bigWig": "predict run in.bed --genome genome.2bit --out out.bw --device cpu",
    "JASPAR": f"train data --out second --device cpu {SIZES} --motifs JASPAR2024",
}
PROGRAM = f"""
import contextlib, importlib, io, json, os, pkgutil, signal, sys
for package in {PACKAGES + EXTRAS!r}:
    sys.modules[package] = None
# Other packages choose for this system when they are imported, so they are imported before.
import torch, matplotlib.figure, pyarrow, pandas, rich.console
for module in {POSIX_MODULES!r}:
    sys.modules[module] = None
for module, names in {POSIX_NAMES!r}.items():
    for name in names:
        delattr(sys.modules[module], name)
import bioq
from bioq.cli import main

for module in pkgutil.walk_packages(bioq.__path__, "bioq.", onerror=lambda _: None):
    if not module.name.startswith(("bioq.web", "bioq.__main__")):
        importlib.import_module(module.name)
answers = {{}}
for title, command in {COMMANDS!r}.items():
    log = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(log):
        status = main(command.split())
    answers[title] = [status, log.getvalue().splitlines()[-1:]]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small data set, a genome, regions and a sequence."""
    folder = tmp_path_factory.mktemp("other")
    random = np.random.default_rng(0)
    description = Description(made_by="peaks", window_bp=200, bin_bp=40, label_rule="half")
    with new_dataset(
        folder / "data", description, pd.DataFrame({"name": ["first", "second"]})
    ) as writer:
        for name in ("train", "valid", "test"):
            codes = random.integers(0, 4, (20, 200)).astype(np.uint8)
            with writer.split(name) as split:
                split.append(codes, pack_labels(np.stack([codes[:, 1] > 1, codes[:, 2] > 1], 1)))
    codes = random.integers(0, 4, 200).astype(np.uint8)
    letters = dna.decode(codes)
    # The format 2bit: https://genome.ucsc.edu/FAQ/FAQformat.html#format7; T, C, A, G are 0 to 3.
    fours = np.array([2, 1, 3, 0])[codes].reshape(-1, 4) @ [64, 16, 4, 1]
    head = struct.pack("<4IB4sI4I", 0x1A412743, 0, 1, 0, 4, b"chr1", 25, 200, 0, 0, 0)
    (folder / "genome.2bit").write_bytes(head + bytes(fours.tolist()))
    for name in ("in.fa", "genome.fa"):
        (folder / name).write_text(f">chr1\n{letters}\n", encoding="ascii")
    (folder / "in.bed").write_text("chr1\t80\t120\n", encoding="ascii")
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_a_model_is_trained_evaluated_and_predicts(answers: dict[str, Any], folder: Path) -> None:
    for title in ("train", "evaluate", "predict", "2bit genome", "help of serve"):
        assert answers[title][0] == 0, answers[title]
    assert len((folder / "out.tsv").read_text(encoding="ascii").splitlines()) == 2
    assert (folder / "run" / "evaluation" / "report.html").exists()


@pytest.mark.parametrize(
    ("title", "beginning"),
    [
        ("FASTA genome", "bioq: a FASTA genome, a BCF and a file in bgzip blocks need the package"),
        ("bigWig", "bioq: a bigWig needs the package pyBigWig; pip install pyBigWig"),
        ("serve", "bioq: bioq serve needs the packages fastapi and uvicorn; pip install 'bioq["),
        ("JASPAR", "bioq: motifs of JASPAR need the package pyjaspar; pip install 'bioq[motifs]'"),
    ],
)
def test_what_is_missing_is_named_in_one_line(
    title: str, beginning: str, answers: dict[str, Any]
) -> None:
    status, (line,) = answers[title]
    assert status == 2
    assert line.startswith(beginning)


def test_a_bigwig_is_refused_before_any_work(answers: dict[str, Any], folder: Path) -> None:
    assert answers["bigWig"][0] == 2
    assert [path.name for path in folder.iterdir() if ".bw" in path.name] == []


def test_no_module_imports_at_its_head_what_only_posix_has() -> None:
    for file in Path(next(iter(bioq.__path__))).rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not set(names) & {*POSIX_MODULES, *PACKAGES}, file

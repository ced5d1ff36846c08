"""What works where packages and modules of POSIX are missing: Windows, macOS, a new Python.

A process without them stands for such a system; the real ones are tried by the release workflow.
"""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bioq
from bioq.dataset import Dataset

PACKAGES = ("pysam", "pyBigWig")
POSIX_MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
POSIX_NAMES = {
    "os": ("geteuid", "getuid", "killpg", "posix_fallocate", "pread", "setsid", "O_NONBLOCK"),
    "signal": ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1"),
}
WITHOUT = f"""
import sys
for package in {PACKAGES!r}:
    sys.modules[package] = None
import os, signal, torch, matplotlib.figure, h5py, pyarrow, pandas, rich.console
for module in {POSIX_MODULES!r}:
    sys.modules[module] = None
for module, names in {POSIX_NAMES!r}.items():
    for name in names:
        delattr(sys.modules[module], name)
from bioq.cli import main
"""
"""Other packages are imported first, because theirs is the choice for this system."""
EXTRAS = ("fastapi", "lightning_fabric", "memelite", "pyjaspar", "ray", "scipy", "sklearn")


def call(code: str, folder: Path, *, before: str = WITHOUT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + code], cwd=folder, capture_output=True, text=True
    )


def test_every_module_can_be_imported_without_what_windows_lacks(tmp_path: Path) -> None:
    done = call(
        "import pkgutil, importlib, bioq\n"
        "for module in pkgutil.walk_packages(bioq.__path__, 'bioq.'):\n"
        "    if module.name != 'bioq.__main__':\n"
        "        importlib.import_module(module.name)\n"
        "print(len(sys.modules))",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_a_model_is_trained_evaluated_and_predicts_without_what_windows_lacks(
    masked_data: Dataset, tmp_path: Path
) -> None:
    fasta = tmp_path / "in.fa"
    letters = np.random.default_rng(0).choice(list("ACGT"), 200)
    fasta.write_text(f">first\n{''.join(letters)}\n", encoding="ascii")
    sizes = "--filters 4 --dense-units 4 --epochs 1 --model deepsea --filter-width 8 --pool-width 4"
    commands = (
        f"train {masked_data.path} --out run --device cpu {sizes}",
        f"evaluate run {masked_data.path} --device cpu",
        "predict run in.fa --out out.tsv --device cpu",
    )
    done = call(f"print([main(line.split()) for line in {commands!r}])", tmp_path)
    assert done.stdout.splitlines()[-1:] == ["[0, 0, 0]"], done.stderr
    assert len((tmp_path / "out.tsv").read_text(encoding="ascii").splitlines()) == 2
    assert (tmp_path / "run" / "evaluation" / "report.html").exists()


@pytest.mark.parametrize(
    ("uses", "message"),
    [
        ("pysam.FastaFile('x')", "a FASTA genome, a BCF and a file in bgzip blocks need"),
        ("pyBigWig.open('x')", "a bigWig needs the package pyBigWig; pip install pyBigWig"),
    ],
)
def test_the_first_use_of_a_missing_package_is_an_error_of_one_line(
    uses: str, message: str, tmp_path: Path
) -> None:
    done = call(
        "from bioq.genome.libraries import pyBigWig, pysam\n"
        "from bioq.errors import UsageError\n"
        f"try:\n    {uses}\nexcept UsageError as error:\n    print(error)",
        tmp_path,
    )
    assert done.stdout.startswith(message), done.stderr
    assert done.stdout.count("\n") == 1


def test_without_the_extras_only_what_needs_them_is_missing(tmp_path: Path) -> None:
    without = f"import sys\nfor name in {EXTRAS!r}:\n    sys.modules[name] = None\n"
    done = call(
        "import pkgutil, importlib, bioq\n"
        "from bioq.cli import main\n"
        "for module in pkgutil.walk_packages(bioq.__path__, 'bioq.', onerror=lambda _: None):\n"
        "    if not module.name.startswith(('bioq.web', 'bioq.__main__')):\n"
        "        importlib.import_module(module.name)\n"
        "assert main(['serve', '--help']) == 0\n"
        "status = main(['serve', 'yeast', '--device', 'cpu'])\n"
        "from bioq.motifs import motifs_from\n"
        "from bioq.errors import UsageError\n"
        "try:\n    motifs_from('JASPAR2024')\n"
        "except UsageError as error:\n    print(status, error)",
        tmp_path,
        before=without,
    )
    assert done.stdout.splitlines()[-1:] == [
        "2 motifs of JASPAR need the package pyjaspar; pip install 'bioq[motifs]', or give a file "
        "in MEME format"
    ], done.stderr
    assert done.stderr.splitlines()[-1] == (
        "bioq: bioq serve needs the packages fastapi and uvicorn; pip install 'bioq[serve]'"
    )


def test_no_module_imports_what_only_posix_has_when_it_is_imported() -> None:
    for file in Path(next(iter(bioq.__path__))).rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names}.isdisjoint(POSIX_MODULES), file
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in POSIX_MODULES, file

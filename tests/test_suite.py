"""The test suite itself: what it must not skip, and what a single file must not load."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_pytest(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own; the last line of its output lists the loaded modules."""
    code = "import pytest, sys; status = pytest.main(sys.argv[1:]); "
    code += "print('loaded:', *sorted(sys.modules)); sys.exit(status)"
    return subprocess.run(
        [sys.executable, "-c", code, "-p", "no:cacheprovider", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def skipping(tmp_path: Path) -> Path:
    """A file of tests beside BioQ's plugin: two are skipped, for want of a browser and a card."""
    file = tmp_path / "test_skipping.py"
    file.write_text(
        "import pytest\n\n"
        "def test_browser(): pytest.skip('no Chromium is installed')\n"
        "def test_card(): pytest.skip('no CUDA card')\n"
        "def test_passes(): pass\n"
    )
    return file


def test_a_skip_that_must_not_be_fails_the_run_and_is_named(skipping: Path) -> None:
    plugin = ["-p", "must_run", f"--rootdir={skipping.parent}", "-c", "/dev/null", str(skipping)]
    done = run_pytest(*plugin, "--must-run", folder=ROOT / "tests")
    assert done.returncode == 1, done.stdout
    named = done.stdout[done.stdout.index("must run (--must-run)") :]
    assert "test_browser: Skipped: no Chromium is installed" in named
    assert "test_card" not in named
    without = run_pytest(*plugin, folder=ROOT / "tests")
    assert without.returncode == 0, without.stdout


def test_a_file_of_pure_functions_loads_nothing_heavy() -> None:
    done = run_pytest("tests/test_dna.py", "-k", "plain_loop")
    assert done.returncode == 0, done.stdout
    loaded = set(done.stdout.rsplit("loaded:", 1)[1].split())
    assert not loaded & {"torch", "pandas", "schemathesis", "zarr", "fastapi", "playwright"}

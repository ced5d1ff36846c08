"""Run the tutorials as their reader does: each notebook in an empty folder.

    python docs/scripts/run_tutorials.py             # all of them; an error in a cell is an error
    python docs/scripts/run_tutorials.py 01 --write  # the outputs are stored in the notebook

Where ../shared/data has the yeast genome and the peak file, they replace the downloads.
"""

import argparse
import base64
import gzip
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from pictures import smaller

import bioq

DOCS = Path(__file__).absolute().parents[1]
DATA = DOCS.parents[1] / "shared/data/yeast"
"""Real yeast data of the development machine: a genome and peak files."""
GENOME = "sacCer3"
DOWNLOADS = {"Reb1_CX.bed": "peaks/Reb1_CX.bed.gz"}
"""File that a notebook downloads if it is not there yet -> its copy in DATA."""
CELL_TIMEOUT_S = 600
WIDEST_PX = 1200
"""Stored images are at most this wide."""

# `!command` in a notebook: with pipes in place of a terminal, so that no progress bar is drawn; and
# a command that fails is an error of the cell.
_PREPARE = """
import subprocess

def _system(command):
    command = _shell.var_expand(command, depth=1)
    done = subprocess.run(
        ["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )
    print(done.stdout, end="", flush=True)
    if done.returncode:
        raise RuntimeError(f"{command}: exit status {done.returncode}")

_shell = get_ipython()
_shell.system = _system
"""
_PROGRESS = re.compile(r"^.+: [\d,]+(/[\d,]+)? \S+, [\d,.]+/s(, .*)?\n", re.M)


def notebooks(names: Sequence[str] = ()) -> list[Path]:
    """Return the notebooks whose names begin with one of `names`, or all."""
    found = sorted((DOCS / "tutorials").glob("[0-9][0-9]-*.ipynb"))
    return [path for path in found if not names or path.name.startswith(tuple(names))]


def needs_data(path: Path) -> bool:
    """Return whether a notebook reads the yeast genome, which is downloaded or copied from DATA."""
    cells = nbformat.read(path, as_version=4).cells
    return any(GENOME in cell.source for cell in cells if cell.cell_type == "code")


def run_notebook(path: Path, folder: Path) -> NotebookNode:
    """Return a notebook with the outputs of its cells, run in `folder`, an empty folder.

    Raises nbclient.exceptions.CellExecutionError at the first cell with an error, also if a command
    of the shell (`!bioq ...`) fails.
    """
    work, home = folder / "work", folder / "home"
    for each in (work, home):
        each.mkdir()
    environment = _environment(home)
    if DATA.is_dir():
        offer_copies(work, Path(environment["BIOQ_CACHE"]))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_PREPARE))
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(work)}},
    )
    client.execute(env=environment)
    del notebook.cells[0]
    package = f"{Path(bioq.__file__).parents[1]}/"
    tidy(notebook, {f"{work}/": "", str(work): ".", str(home): "~", package: ""})
    return notebook


def offer_copies(work: Path, cache: Path) -> None:
    """Put the copies of what a reader downloads where BioQ and the notebooks look for it."""
    from bioq.genome.fasta import open_genome
    from bioq.genome.twobit_writing import write_twobit
    from bioq.progress import no_progress

    for name, copy in DOWNLOADS.items():
        with gzip.open(DATA / copy) as file:
            (work / name).write_bytes(file.read())
    folder = cache / "genomes" / GENOME
    folder.mkdir(parents=True)
    with no_progress():
        write_twobit(open_genome(DATA / "sacCer3.dev.fa.gz"), folder / f"{GENOME}.2bit")


def tidy(notebook: NotebookNode, replaced: dict[str, str]) -> None:
    """Remove from the outputs what differs each time: paths, times of cells, lines of progress.

    Makes images smaller. `replaced` has texts, such as the temporary folder, and what is written
    in their place.
    """

    def clean(text: str) -> str:
        for old, new in replaced.items():
            text = text.replace(old, new)
        return text

    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    codes = (cell for cell in notebook.cells if cell.cell_type == "code")
    for number, cell in enumerate(codes, start=1):
        cell.metadata.pop("execution", None)
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
            _tidy_output(output, clean)
        cell.outputs = [output for output in cell.outputs if output.get("text") != ""]


def _tidy_output(output: NotebookNode, clean: Callable[[str], str]) -> None:
    if output.output_type == "stream":
        output.text = clean(_PROGRESS.sub("", output.text))
    for kind, content in output.get("data", {}).items():
        if kind == "image/png":
            output.data[kind] = _stored(content)
        elif isinstance(content, str):
            output.data[kind] = clean(content)


def _stored(png: str) -> str:
    """Return a PNG in base64, with fewer columns and colours if that makes it smaller."""
    made = smaller(base64.b64decode(png), widest_px=WIDEST_PX, colours=256)
    return min(base64.b64encode(made).decode(), png, key=len)


def texts(notebook: NotebookNode) -> Iterator[str]:
    """Yield every text that the cells of a notebook have printed or returned."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield output.get("data", {}).get("text/plain", "")


def _environment(home: Path) -> dict[str, str]:
    """Return the environment of the kernel: `bioq` is that of this Python, and the configuration of
    the user has no effect."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "IPYTHONDIR": str(home / "ipython"),
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    # The tests choose a backend without windows; a notebook has its own.
    environment.pop("MPLBACKEND", None)
    if DATA.is_dir():
        environment["BIOQ_CACHE"] = str(home / ".cache/bioq")
    return environment


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the tutorials.")
    parser.add_argument("names", nargs="*", help="first letters of notebooks, such as 01; or all")
    parser.add_argument("--write", action="store_true", help="store the outputs in the notebooks")
    arguments = parser.parse_args()
    for path in notebooks(arguments.names):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            notebook = run_notebook(path, Path(folder))
        if arguments.write:
            nbformat.write(notebook, path)
        print(f"{path.name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

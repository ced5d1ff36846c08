"""Every tutorial runs as it is written, in an empty folder, and prints what its text speaks of."""

import re
from pathlib import Path

import nbformat
import pytest
import run_tutorials

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/tutorials"
NOTEBOOKS = run_tutorials.notebooks()
EXPECTED: dict[str, tuple[str, ...]] = {
    "01-first-model": (
        r"--background matched:4 was chosen",
        r"every bin of its contigs",
        r"\nROC AUC +0\.[89]\d+ \[",  # a constant has 0.5, few G and C at most 0.7
        r"few G and C: ROC AUC 0\.[56]",
        r"REB1 \(MA0363\.3\): Reb1 \+0\.\d+, control",
    ),
    "02-rank-variants": (
        r"11  scored",
        r"ref_mismatch +A",
        r"Reb1_site_a\tG\tT\t.*;BIOQ_SCORE_PHRED=30\.1\d*;BIOQ_TOP_TARGET=CX_Reb1;",
        r"warning: 1 allele is an indel",
    ),
    "03-yeast-motifs": (
        r"put in: \d of 3 motifs change a target's logit more than their control",
        r"REB1 \(MA0363\.3\): CX_Reb1 \+0\.\d+, control [+-]0\.0",
        r"CBF1 \(MA0281\.3\): CX_Cbf1 \+0\.",
        r"chrIV +\d+ +\d+ +REB1 ",
    ),
    "04-published-weights": (
        r"stand-in\.pth",
        r"(?s)frozen.*tuned.*scratch",
    ),
    "05-python": (
        r"TTACCCG: logit \+",
        r"\d+ edits: logit",
        r"design +REB1",
        r"AnnData object with n_obs × n_vars = 2 × 399",
    ),
    "06-many-devices": (
        r"status -9",
        r"resume after epoch [12]\n",  # the kill came after the first checkpoint
        r"the same to 1e-5: True",
        r"the syntax is right",
        r"_manifest\.json",
        r"the same as without Ray to 1e-5: True",
    ),
}
"""Notebook -> regular expressions: each must be found in what its cells print, stored and new."""


def missing_texts(name: str, notebook: nbformat.NotebookNode) -> list[str]:
    """Return the expected texts that no output of a notebook has."""
    printed = "\n".join(run_tutorials.texts(notebook))
    return [pattern for pattern in EXPECTED[name] if not re.search(pattern, printed)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_runs_as_written(path: Path, tmp_path: Path) -> None:
    if run_tutorials.needs_data(path) and not run_tutorials.DATA.is_dir():
        pytest.skip("needs the real data in ../shared/data")
    notebook = run_tutorials.run_notebook(path, tmp_path)
    assert not missing_texts(path.stem, notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_stored_outputs_are_complete_and_name_no_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not missing_texts(path.stem, notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not re.search(r"/tmp/|/home/|/root/|/work/", "\n".join(run_tutorials.texts(notebook)))
    assert path.stat().st_size < 2_000_000


def test_every_tutorial_is_in_the_table_and_has_expected_texts() -> None:
    names = {path.stem for path in NOTEBOOKS}
    page = (FOLDER / "index.md").read_text("utf-8")
    assert set(re.findall(r"^\| .*\]\((.+?)\.ipynb\)", page, re.M)) == names == set(EXPECTED)


def test_a_failing_command_of_the_shell_is_an_error(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("!bioq targets nowhere")
    path = tmp_path / "wrong.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    with pytest.raises(Exception, match="bioq targets nowhere: exit status 1"):
        run_tutorials.run_notebook(path, tmp_path)


def test_progress_and_paths_are_not_stored() -> None:
    text = "data: 5,000/7,659 windows, 164/s, about 12 s left\nwrote /tmp/xyz/work/scores.tsv\n"
    cell = nbformat.v4.new_code_cell("!bioq", outputs=[nbformat.v4.new_output("stream", text=text)])
    cell.metadata["execution"] = {"iopub.status.busy": "2026-11-30T01:00:00Z"}
    notebook = nbformat.v4.new_notebook(cells=[cell])
    run_tutorials.tidy(notebook, {"/tmp/xyz/work/": ""})
    assert list(run_tutorials.texts(notebook)) == ["wrote scores.tsv\n", ""]
    assert not cell.metadata

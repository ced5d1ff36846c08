"""Every benchmark runs at a tiny size, and fails if a part of it fails; benchmarks call what users
call; the commands that texts print for them are understood."""

import argparse
import ast
import importlib
import json
import math
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bioq

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
CARD = "card.sh"
BY_CARD = ("card_paths.py", "gpu.py")
"""Scripts that card.sh runs, in its test."""


def modules() -> list[Path]:
    """Return every Python file of the benchmarks."""
    return sorted(path for path in BENCHMARKS.glob("**/*.py") if ".venv" not in path.parts)


def scripts() -> list[str]:
    """Return every script by its path in the folder; a file without a `main` is a module."""
    named = {str(path.relative_to(BENCHMARKS)): path.read_text("utf-8") for path in modules()}
    found = [name for name, text in named.items() if 'if __name__ == "__main__":' in text]
    return [CARD, *(name for name in found if name not in BY_CARD)]


def run(script: str, *words: object, status: int = 0) -> str:
    """Run a script; return its output."""
    program = "bash" if script.endswith(".sh") else sys.executable
    done = subprocess.run(
        [program, BENCHMARKS / script, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PATH_THREADS": "1", "PYTHON": sys.executable},
        timeout=600,
        check=False,
    )
    assert done.returncode == status, f"{script}: status {done.returncode}\n{done.stderr[-3000:]}"
    return done.stdout + ("" if status == 0 else done.stderr)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, simulated windows on one contig per split, and `run`, trained once."""
    folder = tmp_path_factory.mktemp("benchmarks")
    for words in (
        ["data", "simulate", "--train-contigs", "1", "--contig-bp", "500000", "--out", "data"],
        ["train", "data", "--out", "run", "--model", "danq", "--filters", "8", "--lstm-units", "8",
         "--dense-units", "8", "--epochs", "1", "--device", "cpu"],
    ):  # fmt: skip
        subprocess.run(
            [sys.executable, "-m", "bioq", *words],
            cwd=folder,
            check=True,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    return folder


INPUTS = {
    "attribution.py": ("data", "run"),
    "calibration.py": ("data", "run"),
    "deeplift.py": ("data", "run"),
    "finetune.py": ("data",),
    "precision.py": ("run", "data"),
}
"""Files of `simulated` that a script reads."""
ROWS = {
    "attribution.py": 7,
    "batches.py": 3,
    "bed_reading.py": 3,
    "calibration.py": 9,
    "cluster.py": 1,
    "deeplift.py": 5,
    "deepsea_import.py": 4,
    "devices.py": 3,
    "finetune.py": 4,
    "intervals.py": 8,
    "metrics.py": 9,
    "models.py": 2,
    "motif_effects.py": 6,
    "mutagenesis.py": 3,
    "one_target.py": 4,
    "peaks_import.py": 1,
    "peers/inference.py": 5,
    "peers/layers.py": 1,
    "peers/loading.py": 4,
    "peers/metrics.py": 2,
    "peers/mutagenesis.py": 4,
    "peers/training.py": 3,
    "peers/variants.py": 4,
    "precision.py": 4,
    "serve.py": 4,
    "shipped_yeast.py": 3,
    "startup.py": 2,
    "table_memory.py": 2,
    "training_step.py": 2,
    "yeast.py": 2,
    "yeast_motifs.py": 3,
}
"""Rows of the first table, at least; of a script that is not named, one."""
SERVE = ("--clients", "4", "--seconds", "2")


@pytest.mark.parametrize("folder", [BENCHMARKS, BENCHMARKS / "peers"], ids=["own", "peers"])
def test_every_call_in_a_benchmark_gives_its_arguments(folder: Path, tmp_path: Path) -> None:
    # The contenders whose packages are not installed here do not run in the tests.
    words = [
        "--check-untyped-defs",
        "--ignore-missing-imports",
        "--config-file=",
        "--follow-imports=skip",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            *words,
            "--cache-dir",
            tmp_path,
            *sorted(folder.glob("*.py")),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": f"{BENCHMARKS}:{BENCHMARKS / 'peers'}"},
        cwd=BENCHMARKS,
        check=False,
    )
    assert "source files" in done.stdout, done.stdout + done.stderr
    kinds = ("[call-arg]", "[name-defined]")
    assert not [line for line in done.stdout.splitlines() if line.endswith(kinds)]


@pytest.mark.parametrize("script", scripts())
def test_a_benchmark_runs_and_prints_numbers(
    script: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if script == CARD:
        check_card(run(script, "--tiny", tmp_path), tmp_path)
        return
    words: list[object] = ["--tiny"] if script != "serve.py" else [*SERVE]
    if script in INPUTS:
        folder = request.getfixturevalue("simulated")
        words += [folder / name for name in INPUTS[script]]
    if script == "yeast.py":
        (tmp_path / "data").symlink_to(request.getfixturevalue("simulated") / "data")
    if '"--work", type=Path' in (BENCHMARKS / script).read_text("utf-8"):
        words += ["--work", tmp_path]
    found = tables(run(script, *words))
    assert len(found[0]) >= ROWS.get(script, 1), found[0]
    for table in found:
        check_numbers(table)


@pytest.mark.parametrize("words", [[], ["--tiny"], ["--help"], ["--tiny", "-h"], ["a", "b"], [""]])
def test_the_card_script_names_its_folder_and_makes_none(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", BENCHMARKS / CARD, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "expected a folder for the results: bash benchmarks/card.sh" in line
    assert not list(tmp_path.iterdir())


def check_card(printed: str, folder: Path) -> None:
    """All parts of card.sh ended well, and wrote their files."""
    text = (BENCHMARKS / CARD).read_text("utf-8")
    assert all(name in text for name in BY_CARD)
    statuses = re.findall(r"^== (\w+): status (\d+)", printed, re.M)
    parts = ["inference", "paths", "profile", "tests", "tiles", "training"]
    assert sorted(statuses) == [(name, "0") for name in parts]
    (checks,) = tables((folder / "paths.md").read_text("utf-8"))
    assert len(checks) >= 18
    assert {row[""] for row in checks} == {"right"}
    card = json.loads((folder / "training.json").read_text("utf-8"))
    assert [row["way"] for row in card["training"]][:2] == ["BioQ 32", "BioQ bf16"]
    assert {"machine", "settings", "peak_tflops", "training", "epoch"} <= card.keys()
    for table in tables((folder / "gpu.md").read_text("utf-8")):
        if "tiles" not in table[0]:  # these need a card
            check_numbers(table)


Table = list[dict[str, str]]
MEASURED = re.compile(r"second|\bs\b|ms|/s|memory|MB|minutes|rate|times|stored", re.I)
NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?")


def tables(text: str) -> list[Table]:
    """Return the Markdown tables of a text: rows of cells by heading."""
    found: list[Table] = []
    heads: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            heads = []
            continue
        cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
        if not heads:
            heads = cells
            found.append([])
        elif not all(re.fullmatch(r"-+", cell) for cell in cells):
            found[-1].append(dict(zip(heads, cells, strict=True)))
    assert found, f"no table in:\n{text}"
    return found


def check_numbers(table: Table) -> None:
    """A table has rows; its rates, times and memory are positive; nothing is missing or failed."""
    assert table
    for row in table:
        for head, cell in row.items():
            assert not re.search(r"\b(nan|inf|None|WRONG)\b|did not run", cell), row
            number = NUMBER.match(cell)
            if number and MEASURED.search(head):
                value = float(number[0].replace(",", ""))
                assert math.isfinite(value), row
                assert value >= 0, row
        measured = [cell for head, cell in row.items() if MEASURED.search(head)]
        numbers = [NUMBER.match(cell) for cell in measured]
        values = [float(one[0].replace(",", "")) for one in numbers if one]
        assert not measured or any(value > 0 for value in values), row


CONTEST = """
import sys
import numpy as np
sys.path.append({peers!r})
from contest import TINY, Contender, main, parser
from measuring import parse

def good(options, case):
    return lambda: np.arange(3.0)

def raising(options, case):
    raise ValueError("no such layer")

def ending(options, case):
    sys.exit(3)

def tiring(options, case):
    calls = []
    def call():
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeError("tired")
        return np.arange(3.0)
    return call

def wrong(options, case):
    return lambda: np.arange(3.0) + 1

main(
    parse(parser("test"), tiny=TINY),
    [
        Contender("first", globals()[{first!r}]),
        Contender("second", good, ours=True),
        Contender("raising", raising),
        Contender("ending", ending),
        Contender("tiring", tiring),
        Contender("wrong", wrong),
        Contender("absent", good, ("no-such-package",)),
    ],
    {{"a case": 3}},
    subject="jobs",
    unit="jobs",
)
"""


@pytest.mark.parametrize("first", ["good", "raising"])
def test_a_contender_that_fails_is_named_at_the_end_after_the_others_were_written(
    tmp_path: Path, first: str
) -> None:
    script = tmp_path / "jobs.py"
    script.write_text(CONTEST.format(peers=str(BENCHMARKS / "peers"), first=first))
    printed = run(str(script), "--tiny", "--out", tmp_path, status=1)
    assert (tmp_path / "jobs.md").read_text().strip() in printed
    report = json.loads((tmp_path / "jobs.json").read_text())
    errors = {row["contender"]: row["error"] for row in report["rows"]}
    expected = {
        "first": "" if first == "good" else "ValueError: no such layer",
        "second": "",
        "raising": "ValueError: no such layer",
        "ending": "ended with status 3: ",
        "tiring": "RuntimeError: tired",
        "wrong": "wrong answer: differs by 1, allowed 1e-04",
    }
    assert errors.keys() == expected.keys()
    for name, error in expected.items():
        assert errors[name].startswith(error), errors
        assert bool(errors[name]) == bool(error)
    assert [row["contender"] for row in report["rows"] if row["units_per_s"]] == [
        name for name, error in expected.items() if not error
    ]
    assert "- absent is not installed (no-such-package)" in printed
    last = printed.splitlines()[-1]
    assert last.startswith("failed: ")
    failed = [name for name, error in expected.items() if error]
    assert [part.split(",")[0] for part in last.removeprefix("failed: ").split("; ")] == failed


def test_a_part_that_fails_is_named_at_the_end_after_the_others_were_printed() -> None:
    printed = run("deepsea_import.py", "--tiny", "rows:100", "nothing:100", "v5:100", status=1)
    (table,) = tables(printed)
    assert [row["file"] for row in table] == ["train.mat", "test.mat"]
    assert printed.splitlines()[-1].startswith("failed: nothing:100 (CalledProcessError: ")


def test_a_section_of_the_card_that_fails_makes_the_script_fail(tmp_path: Path) -> None:
    words = ("--tiny", "--device", "cpu", "--sections", "inference", "prediction")
    printed = run("gpu.py", *words, "--batches", 0, 16, "--out", tmp_path, status=1)
    last = printed.splitlines()[-1]
    assert last.startswith("failed: inference (")
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert "error" in found["inference"][0]


DOCUMENTED = set(
    re.findall(r"^from (bioq\S*) import", (ROOT / "docs/how-to/python.md").read_text(), re.M)
)
HOMES = {home for name, home in vars(bioq)["_HOME"].items()}
SUBJECTS = {
    ("attribution.py", "bioq.fast.threads"): "memelite, with repeatable threads",
    ("batches.py", "bioq.dataset.batches"): "the reader of a training is what is measured",
    ("calibration.py", "bioq.evaluation.calibration_choice"): "the choice of a map is its subject",
    ("calibration.py", "bioq.evaluation.calibration_maps"): "so are the maps",
    ("calibration.py", "bioq.runs.calibration"): "so is the saved map",
    ("card_paths.py", "bioq.fast.cuda"): "reports the ways that a card did not take",
    ("gpu.py", "bioq.fast.cuda"): "measures each way of a card by itself",
    ("gpu.py", "bioq.fast.danq_triton"): "tries other tiles of a kernel",
    ("gpu.py", "bioq.models.summary"): "counts operations, as `bioq summary`",
    ("models.py", "bioq.builders.simulation.truth"): "the best possible scores",
    ("motif_evidence.py", "bioq.interpretation.filters"): "scrambled motifs beside `bioq motifs`",
    ("motif_evidence.py", "bioq.interpretation.motif_experiments.insertion"): "its function",
    ("motif_evidence.py", "bioq.interpretation.motif_matches"): "the matches of `bioq motifs`",
    ("motif_evidence.py", "bioq.interpretation.sites"): "the sites of `bioq attribution --sites`",
    ("motif_effects.py", "bioq.interpretation.motif_experiments.insertion"): "the same sites",
    ("motif_effects.py", "bioq.interpretation.motif_experiments.logits"): "the edits' engine",
    ("motif_effects.py", "bioq.interpretation.motif_experiments.pairs"): "the same arrangements",
    ("peers/loading.py", "bioq.dataset.batches"): "the reader of a training is what is measured",
    ("random_background.py", "bioq.genome.vcf"): "counts the SNVs of a VCF in a CpG",
    ("serve.py", "bioq.runs.folder"): "writes a run with large random weights",
    ("serve.py", "bioq.runs.weights"): "writes a run with large random weights",
    ("serve.py", "bioq.web.limits"): "measures a server with other limits",
    ("shipped_yeast.py", "bioq.runs.weights"): "stores a run of the package in half precision",
    ("variant_ranks.py", "bioq.variants.background.effect_counts"): "measures each step of a rank",
    ("variant_ranks.py", "bioq.variants.ranking"): "measures each step of a rank",
    ("variant_ranks.py", "bioq.variants.scoring"): "measures each step of a rank",
    ("yeast_motifs.py", "bioq.interpretation.motif_matches"): "q-values over the factors",
    ("yeast_motifs.py", "bioq.runs.named"): "reads the evaluation of a run of the package",
}
"""Modules that are no user's, each with the reason why a script imports it."""


def is_public(module: str) -> bool:
    """Whether users import from a module: it declares its names, holds names of `bioq`, or
    docs/how-to/python.md imports from it."""
    if module in HOMES | DOCUMENTED | {"bioq", "bioq.dna", "bioq.dna.tensors", "bioq.cli"}:
        return True
    return hasattr(importlib.import_module(module), "__all__")


def private_uses(path: Path) -> Iterator[str]:
    """Yield what a benchmark uses of BioQ that users do not call."""
    script, tree = str(path.relative_to(BENCHMARKS)), ast.parse(path.read_text("utf-8"))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and imports_bioq(node):
            imported |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
            yield from (f"{node.lineno}: {one}" for one in private_imports(script, node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = root_of(node)
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            if private and name not in ("self", "module"):  # `module` is tangermeme's
                yield f"{node.lineno}: {ast.unparse(node)}"
            if isinstance(node.ctx, ast.Store) and name in imported:
                yield f"{node.lineno}: replaces {ast.unparse(node)}"


def imports_bioq(node: ast.Import | ast.ImportFrom) -> bool:
    of = [node.module or ""] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]
    return any(name.split(".")[0] == "bioq" for name in of)


def private_imports(script: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the private names of an import, and the modules that users do not import from."""
    for name in (alias.name for alias in node.names):
        if name.startswith("_"):
            yield name
        module = module_of(str(node.module), name) if isinstance(node, ast.ImportFrom) else name
        if not is_public(module) and (script, module) not in SUBJECTS:
            yield module


def root_of(node: ast.expr) -> str:
    """Return the first name of a.b.c; "" if it does not begin with a name."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def module_of(module: str, name: str) -> str:
    """Return the module that `from module import name` reads."""
    inside = f"{module}.{name}"
    return inside if importlib.util.find_spec(module) and is_module(inside) else module


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_benchmarks_call_what_users_call() -> None:
    found = {path.name: list(private_uses(path)) for path in modules()}
    assert len(found) > 25
    assert {name: uses for name, uses in found.items() if uses} == {}


def test_a_private_use_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "BENCHMARKS", tmp_path)
    script = tmp_path / "one.py"
    script.write_text(
        "import bioq\nfrom bioq.genome.bed import _read\nfrom bioq.training import loop as steps\n"
        "from bioq.fast import cuda\nfrom bioq import metrics\nbioq.load = None\n"
        "steps.TrainingLoop._step\nmetrics.roc_auc\n"
    )
    assert sorted(private_uses(script)) == [
        "2: _read",
        "2: bioq.genome.bed",
        "3: bioq.training.loop",
        "4: bioq.fast.cuda",
        "6: replaces bioq.load",
        "7: steps.TrainingLoop._step",
    ]


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "Makefile"])
COMMAND = re.compile(r"(benchmarks/[\w/]+\.(?:py|sh))((?: [^`|;]*)?)")


def documented() -> list[tuple[str, str, str]]:
    """Return (where, script, words) of every command of a benchmark in a page or a docstring."""
    found = []
    for page in PAGES:
        text = page.read_text("utf-8").replace("\\\n", " ")
        code = re.findall(r"^```\w*\n(.*?)^```|`([^`]+)`|^(    [^\n]*)$", text, re.M | re.S)
        for block in ("".join(parts) for parts in code):
            lines = [" ".join(block.split())] if "```" not in block else block.splitlines()
            for line in block.splitlines() if block.startswith("    ") else lines:
                found += [(page.name, *one) for one in COMMAND.findall(line)]
    for path in modules():
        text = (ast.get_docstring(ast.parse(path.read_text("utf-8")), clean=False) or "") + "\n"
        # A command goes on in lines that are indented further.
        text = re.sub(r"\\?\n {8,}", " ", text)
        for line in re.findall(r"^    python (.*)$", text, re.M):
            found += [(path.name, *one) for one in COMMAND.findall(line)]
    return found


class Parsed(Exception):
    """Raised in place of running a script whose words were understood."""


@pytest.mark.parametrize(("where", "script", "words"), sorted(set(documented())))
def test_a_documented_command_is_understood(
    where: str, script: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ROOT / script
    assert path.is_file(), where
    if path.suffix == ".sh":
        return
    parse_args = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, given: Any = None) -> None:
        parse_args(self, given)
        raise Parsed

    plain = re.sub(r"\s{2,}.*|\s#.*|[\[\]]|\.\.\.|\$\(\w+\)", "", words)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.setattr(sys, "path", [str(path.parent), str(BENCHMARKS), *sys.path])
    monkeypatch.setattr(sys, "argv", [str(path), *required(words, path), *shlex.split(plain)])
    with pytest.raises(SystemExit if "--help" in words else Parsed):
        runpy.run_path(str(path), run_name="__main__")


def required(words: str, path: Path) -> list[str]:
    """Return the inputs that a page leaves out where it names a script alone."""
    name = str(path.relative_to(BENCHMARKS))
    return [] if words.strip() else [*INPUTS.get(name, ())]


def test_documented_commands_are_found() -> None:
    found = documented()
    assert len(found) > 50
    assert any(script == "benchmarks/peers/training.py" for _, script, _ in found)
    assert any("--targets 399 --batch 32" in words for _, _, words in found)

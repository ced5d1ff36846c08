"""The architecture that docs/explanation/design.md draws is the one that the import contract
holds."""

import ast
import importlib
import importlib.util
import re
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def layers_of_contract(container: str = "bioq") -> list[set[str]]:
    contracts = (one for one in CONTRACT["contracts"] if one["type"] == "layers")
    layers = next(one["layers"] for one in contracts if one["containers"] == [container])
    return [set(re.findall(r"\w+", layer)) for layer in layers]


def layers_of_drawing(heading: str) -> list[set[str]]:
    """The first column of the drawing: names apart by │ or :, the description after two spaces."""
    section = (ROOT / "docs/explanation/design.md").read_text().split(f"\n## {heading}\n")[1]
    drawing = section.split("```")[1]
    columns = (re.split(r" {2,}", line.strip())[0] for line in drawing.strip().splitlines())
    return [set(re.findall(r"\w+", column)) for column in columns if column.strip(" │")]


def test_the_drawings_show_the_layers_of_the_contracts() -> None:
    layers = [layer for layer in layers_of_contract() if layer != {"__main__"}]
    assert layers_of_drawing("The flow") == layers
    assert layers_of_drawing("Variants") == layers_of_contract("bioq.variants")


def test_the_top_level_is_short_and_shared() -> None:
    """A module that a single package imports belongs in that package; only the command line
    imports the jobs, and the packages that show their results."""
    names = {path.stem for path in (ROOT / "src/bioq").iterdir() if path.suffix in ("", ".py")}
    names -= {"__init__", "__main__", "__pycache__"}
    assert len(names) <= 28, sorted(names)
    graph = grimp.build_graph("bioq", cache_dir=None)
    order = layers_of_contract()
    jobs = next(number for number, layer in enumerate(order) if "training" in layer)
    used_by = {name: set() for name in names}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            user, used = (name.split(".")[1] for name in (f"{module}.", f"{imported}."))
            if used in names and user and user != used:
                used_by[used].add(user)
    below = set().union(*order[jobs + 1 :])
    lonely = {name: users for name, users in used_by.items() if name in below and len(users) < 2}
    assert not lonely


def test_no_function_has_more_than_50_lines_of_code() -> None:
    """Counted from its first statement after the docstring to its last."""
    lines = {}
    for file in (ROOT / "src/bioq").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first, last = node.body[ast.get_docstring(node) is not None :][:1], node.body[-1]
                name = f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
                lines[name] = last.end_lineno - first[0].lineno + 1 if first else 0
    assert len(lines) > 1000
    assert not {name: count for name, count in lines.items() if count > 50}


def test_everything_that_benchmarks_and_tests_import_exists() -> None:
    """Benchmarks run at a tiny size only, and parts of the tests run in other processes."""
    missing = []
    for file in [*ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        if ".venv" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bioq":
                module = importlib.import_module(str(node.module))
                for name in (alias.name for alias in node.names):
                    exists = hasattr(module, name) or importlib.util.find_spec(
                        f"{node.module}.{name}"
                    )
                    if not exists:
                        missing.append(f"{file.relative_to(ROOT)}:{node.lineno}: {name}")
    assert missing == []


HOMES = {"progress.py", "cli/tables.py", "cli/help_text.py"}
"""The modules that print: what they print is escaped (help texts are our own)."""


def test_only_the_homes_of_printing_print() -> None:
    """A name from a file may contain escape codes; a `print` elsewhere would send them raw."""
    found = []
    for file in (ROOT / "src/bioq").rglob("*.py"):
        name = str(file.relative_to(ROOT / "src/bioq"))
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and name not in HOMES:
                called = ast.unparse(node.func)
                if called in ("print", "sys.stdout.write", "sys.stderr.write"):
                    found.append(f"{name}:{node.lineno}")
    assert found == []

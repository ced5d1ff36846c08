"""The pages of the Python reference: a page per module, from its docstrings."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

FOLDER = "reference/python"
MODULES = (
    "bioq",
    "bioq.dataset",
    "bioq.dna",
    "bioq.dna.shuffle",
    "bioq.forward",
    "bioq.genome",
    "bioq.interpretation",
    "bioq.metrics",
    "bioq.models",
    "bioq.motifs",
    "bioq.prediction",
    "bioq.tables",
    "bioq.tracks",
    "bioq.variants",
    "bioq.builders.simulation.build",
)
"""What a program that uses BioQ imports."""
_HEAD = """# Python reference

Windows are one-hot arrays `(batch, 4, length)` in the order A, C, G, T. Positions are 0-based and
half-open. What a user can correct is a `bioq.BioqError`. [BioQ from Python](../../how-to/python.md)
is a program that uses most of this.

| import from | |
| --- | --- |
"""


def python_pages() -> Iterator[tuple[str, str]]:
    """Yield (page below docs/, its Markdown) of the list of modules, then of every module."""
    rows, pages, shown = [], [], {}
    for module in map(import_module, MODULES):
        name = module.__name__
        rows.append(f"| [{name}]({name}.md) | {_first_sentence(module)} |\n")
        pages.append((f"{FOLDER}/{name}.md", _page(module, shown)))
    yield f"{FOLDER}/index.md", "".join([_HEAD, *rows])
    yield from pages


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a module exports; without `__all__`, those that it defines."""
    exported = getattr(module, "__all__", None)
    if exported is not None:
        names = [name for name in exported if not name.startswith("_")]
        return sorted(names, key=str.isupper)  # constants last
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    ]


def _page(module: ModuleType, shown: dict[Any, str]) -> str:
    """Return a page: a table of the names, then each name that no page before has."""
    rows, parts = [], []
    for name in public_names(module):
        value, path = getattr(module, name), f"{module.__name__}.{name}"
        is_explained = inspect.isfunction(value) or inspect.isclass(value)
        first = shown.setdefault(value, path) if is_explained else path
        line = _first_sentence(value) if is_explained else ""
        rows.append(f"| [`{name}`][{first}] | {line} |")
        if first == path:
            parts.append(f"::: {path}\n    options:\n      members: {_methods(value)}")
    head = f"# {module.__name__}\n\n::: {module.__name__}\n    options:\n{_MODULE}"
    return "\n\n".join([head, "\n".join(["| name | |", "| --- | --- |", *rows]), *parts])


_MODULE = """      members: false
      show_root_heading: false
      show_root_toc_entry: false
"""


def _methods(value: Any) -> str:
    """Return the public methods of a class as a YAML list; its fields are in the table above."""
    if not inspect.isclass(value):
        return "false"
    kinds = (classmethod, staticmethod)
    names = [
        name
        for name, member in vars(value).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, kinds))
    ]
    return f"[{', '.join(names)}]" if names else "false"


def _first_sentence(value: Any) -> str:
    """Return the first sentence of a docstring, for a row of a table."""
    paragraph = " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())
    sentence, end, _ = paragraph.partition(". ")
    return (sentence + end.strip()).replace("|", "\\|")

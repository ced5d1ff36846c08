"""The pages of the Python reference: a page per module, from its docstrings."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

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


def python_pages() -> Iterator[tuple[str, str]]:
    """Yield (page below docs/, its Markdown) of the list of modules, then of every module."""
    rows = ["| import from | |", "| --- | --- |"]
    pages = []
    for name in MODULES:
        module = import_module(name)
        (line, *_) = (module.__doc__ or "").splitlines()
        rows.append(f"| [{name}]({name}.md) | {line} |")
        pages.append((f"{FOLDER}/{name}.md", _page(name, public_names(module))))
    yield f"{FOLDER}/index.md", "\n".join([_HEAD, *rows, ""])
    yield from pages


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a module exports; without `__all__`, those that it defines."""
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return [name for name in exported if not name.startswith("_")]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    ]


def _page(name: str, names: list[str]) -> str:
    members = "\n".join(f"        - {one}" for one in names)
    return _PAGE.format(name=name, members=members)


_HEAD = """# Python reference

Windows are one-hot arrays `(batch, 4, length)` in the order A, C, G, T. Positions are 0-based and
half-open. What a user can correct is a `bioq.BioqError`. [BioQ from Python](../../how-to/python.md)
is a program that uses most of this.
"""
_PAGE = """# {name}

::: {name}
    options:
      show_root_heading: false
      show_root_toc_entry: false
      members:
{members}
      summary:
        functions: true
        classes: true
"""

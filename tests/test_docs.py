"""The documentation is true: its Python runs, its commands parse, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from bioq.cli import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def test_the_python_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs" / "python.md", "python")
    names: dict[str, object] = {}
    exec(compile(code, "docs/python.md", "exec"), names)
    assert "(3, 4, 1000)" in capsys.readouterr().out
    assert names["probability"].shape == names["batch"].labels.shape  # type: ignore[attr-defined]


def commands(page: Path) -> list[list[str]]:
    text = "\n".join(blocks(page, "(?:sh|console|bash)?")).replace("\\\n", " ")
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("bioq ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documented_commands_are_understood(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run where nothing exists, a documented command fails on its input, not on its usage."""
    monkeypatch.chdir(tmp_path)
    for tokens in commands(page):
        if "..." in tokens or "--help" in tokens or tokens[:1] in (["demo"], ["summary"]):
            continue
        if tokens[:2] in (["data", "simulate"], ["data", "fetch"]):
            continue  # these need no input: they would do their work
        assert main(tokens) == 1, (page.name, tokens, capsys.readouterr().err)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)", page.read_text("utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

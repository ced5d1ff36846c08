"""The documentation as a site: it builds without a warning, offline, and everything is in it."""

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from browser_fixtures import browser
from markdown_it import MarkdownIt

import bioq
import bioq.interpretation
from bioq.cli import _COMMANDS, _DATA_COMMANDS, _RANK_COMMANDS

__all__ = ["browser"]
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMMANDS = [
    *_COMMANDS,
    *(f"data {name}" for name in _DATA_COMMANDS),
    *(f"rank {name}" for name in _RANK_COMMANDS),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; --strict ends with an error at a warning, such as a link to nowhere."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Elements(HTMLParser):
    """The elements of a page: its tags, what it loads, where it leads."""

    def __init__(self, page: Path):
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a":
            self.links += [values["href"]] if "href" in values else []
            return
        loaded = [values[name] for name in ("src", "srcset", "data", "poster") if name in values]
        if tag == "link" and values.get("rel") not in ("canonical", "next", "prev", "alternate"):
            loaded.append(values.get("href", ""))
        self.loads += loaded


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Elements]:
    return {
        page.relative_to(site).as_posix(): Elements(page)
        for page in sorted(site.rglob("*.html"))
        if page.name != "404.html"
    }


def text_of(page: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page.read_text("utf-8")))


def test_every_command_has_a_page_with_its_options(site: Path) -> None:
    listed = text_of(site / "reference/commands/index.html")
    for command in COMMANDS:
        page = site / f"reference/commands/{command.replace(' ', '-')}.html"
        assert f'<h1 id="bioq-{command.replace(" ", "-")}">' in page.read_text("utf-8")
        assert f"bioq {command}" in listed
    train = (site / "reference/commands/train.html").read_text("utf-8")
    rows = re.findall(r"<tr>\s*(.*?)\s*</tr>", train, re.S)
    (row,) = [re.sub(r"\s+", " ", row) for row in rows if 'id="--lr"' in row]
    assert "<td>FLOAT</td>" in row
    assert "by --recipe: 0.004 (marq)" in row
    assert "Highest learning rate." in row


def test_every_public_name_is_explained(pages: dict[str, Elements]) -> None:
    ids = set().union(*(page.ids for name, page in pages.items() if "reference/python" in name))
    for module in (bioq, bioq.interpretation):
        names = {f"{module.__name__}.{name}" for name in module.__all__ if name[0] != "_"}
        assert names <= ids, sorted(names - ids)


def test_shapes_and_units_are_in_tables(site: Path) -> None:
    page = (site / "reference/python/bioq.interpretation.html").read_text("utf-8")
    cells = [text for text in re.findall(r"<td>(.*?)</td>", page, re.S) if "<code>" in text]
    assert any("<code>(4, end - start, targets)</code>" in cell for cell in cells)
    page = (site / "reference/python/bioq.html").read_text("utf-8")
    rows = re.findall(r"<tr.*?</tr>", page, re.S)
    (row,) = [row for row in rows if 'title="bioq.TrainConfig.lr"' in row]
    assert "Highest learning rate." in row


def test_functions_explain_each_argument_and_their_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    site_python = importlib.import_module("site_python")
    functions = {
        value: inspect.signature(value)
        for module in map(importlib.import_module, site_python.MODULES)
        for name in site_python.public_names(module)
        if inspect.isfunction(value := getattr(module, name))
    }
    assert len(functions) > 90
    lacking = []
    for function, signature in functions.items():
        text = inspect.getdoc(function) or ""
        explained = text.partition("Args:\n")[2]
        lacking += [
            f"{function.__module__}.{function.__name__}: {argument}"
            for argument in signature.parameters
            if f"    {argument}: " not in explained
        ]
        has_result = signature.return_annotation not in (None, "None")
        if (
            signature.parameters
            and has_result
            and not re.search(r"^(Returns|Yields):$", text, re.M)
        ):
            lacking.append(f"{function.__module__}.{function.__name__}: Returns")
    assert lacking == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Elements]) -> None:
    elsewhere = [(name, one) for name, page in pages.items() for one in page.loads
                 if re.match(r"(\w+:)?//", one)]  # fmt: skip
    assert elsewhere == []
    assert sum(len(page.loads) for page in pages.values()) > len(pages)
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text("utf-8"))


def test_every_page_is_reached_from_the_first(pages: dict[str, Elements]) -> None:
    reached, new = set(), ["index.html"]
    while new:
        name = new.pop()
        if name in reached or name not in pages:
            continue
        reached.add(name)
        folder = os.path.dirname(name)
        for link in pages[name].links:
            if not re.match(r"\w+:", link):
                path = unquote(urldefrag(link)[0])
                new.append(os.path.normpath(os.path.join(folder, path)) if path else name)
    assert reached == set(pages)
    written = {*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")}
    for page in written:
        name = page.relative_to(DOCS).with_suffix(".html").as_posix()
        assert name in reached, page


def test_links_lead_to_an_anchor_of_a_page(site: Path, pages: dict[str, Elements]) -> None:
    """MkDocs checks the links of Markdown; this also those of docstrings, help and navigation."""
    for name, page in pages.items():
        for link in page.links:
            path, anchor = urldefrag(unquote(link))
            if re.match(r"\w+:", link) or not (path or anchor):
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
            assert (site / target).is_file(), (name, link)
            if anchor and target in pages:
                assert anchor in pages[target].ids, (name, link)


def test_the_site_has_the_lists_tables_and_code_that_github_shows(site: Path) -> None:
    """Two readers of Markdown differ in lists that follow a line, and in what is indented."""
    tags = {"table": ["table_open"], "tr": ["tr_open"], "li": ["list_item_open"],
            "pre": ["fence", "code_block"]}  # fmt: skip
    for page in [*DOCS.rglob("*.md"), *(ROOT / f"{name}.md" for name in ("SECURITY", "CHANGELOG"))]:
        made = site / page.relative_to(DOCS if DOCS in page.parents else ROOT)
        html = made.with_suffix(".html").read_text("utf-8")
        article = html[html.index("<article") : html.index("</article>")]
        tokens = [one.type for one in MarkdownIt("commonmark").enable("table").parse(
            page.read_text("utf-8"))]  # fmt: skip
        for tag, kinds in tags.items():
            expected = sum(tokens.count(kind) for kind in kinds)
            assert len(re.findall(rf"<{tag}[\s>]", article)) == expected, (page, tag)


def test_the_search_index_has_commands_pages_and_functions(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text("utf-8"))
    found = {one["location"] for one in index["docs"] if "attribution" in one["text"].lower()}
    for page in (
        "reference/commands/attribution.html",
        "how-to/attribution.html",
        "reference/python/bioq.interpretation.html#bioq.interpretation.attribution_file",
    ):
        assert any(location.startswith(page) for location in found), page


@pytest.fixture
def requests(browser: object) -> Iterator[tuple[object, list[str]]]:
    page = browser.new_page(viewport={"width": 390, "height": 800})  # type: ignore[attr-defined]
    page.set_default_timeout(120_000)
    faults: list[str] = []
    page.on("request", lambda one: None if one.url.startswith("file:") else faults.append(one.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page, faults
    page.close()


def test_a_phone_reads_it_as_files_without_a_network(
    site: Path, requests: tuple[object, list[str]]
) -> None:
    page, faults = requests
    names = ("index", "how-to/variants", "reference/commands/train", "reference/python/bioq")
    for name in names:
        page.goto((site / f"{name}.html").as_uri())  # type: ignore[attr-defined]
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")  # type: ignore[attr-defined]
        assert wide <= 0, name
    page.locator("label[for=__search]:visible").first.click()  # type: ignore[attr-defined]
    page.locator("input.md-search__input").press_sequentially("mutagenesis")  # type: ignore[attr-defined]
    result = page.locator(".md-search-result__item").first  # type: ignore[attr-defined]
    result.wait_for()
    assert "mutagenesis" in result.inner_text().lower()
    assert faults == []

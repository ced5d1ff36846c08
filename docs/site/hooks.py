"""What MkDocs calls when it builds the site: made pages, pages from outside docs/, links."""

import fnmatch
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from site_commands import command_pages
from site_python import python_pages

ROOT = Path(__file__).parents[2]
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages of the repository that are pages of the site too."""
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_HREF = re.compile(r'href="([^":#]+)\.(?:md|ipynb)(#[^"]*)?"')
_CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]*`)", re.M | re.S)


@cache
def made_pages() -> dict[str, str]:
    """Return {page below docs/: its Markdown} of the pages that no file of docs/ contains."""
    outside = {name: (ROOT / name).read_text("utf-8") for name in OUTSIDE}
    return {**dict(command_pages(ROOT / "docs")), **dict(python_pages()), **outside}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of a folder in place of `FOLDER/*` in the navigation."""
    docs = Path(config.docs_dir)
    files = [path for kind in ("*.md", "*.ipynb") for path in docs.rglob(kind)]
    pages = [*made_pages(), *sorted(path.relative_to(docs).as_posix() for path in files)]
    patterns = [one for one in _names(config.nav) if posixpath.basename(one) != "*"]
    named = {page for pattern in patterns for page in fnmatch.filter(pages, pattern)}
    config.nav = _expanded(config.nav, pages, [page for page in pages if page not in named])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, as if they were files of docs/."""
    for name, text in made_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead the links of a page to the pages of the site; to another file no link is left."""
    name = page.file.src_uri
    folder = posixpath.dirname(name if name in OUTSIDE else f"docs/{name}")

    def linked(match: re.Match[str]) -> str:
        text, target = match.groups()
        path, mark, anchor = target.partition("#")
        if not path or re.match(r"\w+:", path):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, path))
        if path == "README.md":
            path = "docs/index.md"
        if not path.startswith("docs/") and path not in OUTSIDE:
            return text
        if text == posixpath.basename(path):
            text = _title(path) or text
        to = posixpath.relpath(path.removeprefix("docs/"), posixpath.dirname(name) or ".")
        return f"[{text}]({to}{mark}{anchor})"

    parts = _CODE.split(markdown)
    return "".join(part if _CODE.fullmatch(part) else _LINK.sub(linked, part) for part in parts)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Lead the links of a notebook to the pages of the site: MkDocs does so for Markdown alone."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    return _HREF.sub(lambda match: f'href="{match[1]}.html{match[2] or ""}"', html)


def _title(path: str) -> str:
    """Return the title of a page of the repository; a link that is only a file's name shows it."""
    page = ROOT / path
    heading = re.search(r"^# (.*)$", page.read_text("utf-8"), re.M) if page.is_file() else None
    return heading[1] if heading else ""  # MkDocs reports a page that is not there


def _names(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from _names(part)


def _expanded(nav: list[Any], pages: list[str], others: list[str]) -> list[Any]:
    """Return the navigation with the pages of each pattern, of `FOLDER/*` the others of the folder;
    a section without pages is left out."""
    result: list[Any] = []
    for part in nav:
        if isinstance(part, dict):
            ((title, inside),) = part.items()
            below = inside if isinstance(inside, str) else _expanded(inside, pages, others)
            result += [{title: below}] if below else []
        elif posixpath.basename(part) == "*":
            folder = posixpath.dirname(part)
            result += [page for page in others if posixpath.dirname(page) == folder]
        elif "*" in part:
            result += fnmatch.filter(pages, part)
        else:
            result.append(part)
    return result

"""The pages of the commands, made from what `--help` prints."""

import io
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from cyclopts.help import HelpEntry, HelpPanel
from rich.console import Console

from bioq.cli import _make_app
from bioq.cli.help_text import entries_by_group, plain

FOLDER = "reference/commands"
_SET = {"False": "off", "True": "on"}
_MARKS = re.compile(r"[`*_\[\]|#~]")


class MarkdownHelp:
    """Collects one command's help as Markdown; cyclopts calls its methods."""

    def __init__(self, command: str):
        self._command = command
        self.blocks: list[str] = []
        self.commands: dict[str, list[HelpEntry]] = {}

    def __call__(self, console: Console, options: Any, panel: HelpPanel) -> None:
        """Add the options of a panel, a table for each group; keep the commands of a parent."""
        if panel.format == "command":
            commands = [entry for entry in panel.entries if entry.names[0][0] != "-"]
            self.commands |= {str(panel.title): commands} if commands else {}
            return
        for group, entries in entries_by_group(panel, self._command):
            rows = [_row(entry) for entry in entries]
            head = "| option | value | default | |\n| --- | --- | --- | --- |"
            self.blocks += [f"## {group}", "\n".join([head, *rows])]

    def render_usage(self, console: Console, options: Any, usage: Any) -> None:
        """Add the line that shows how the command is typed."""
        self.blocks.append(f"```\n{plain(usage).strip().removeprefix('Usage: ')}\n```")

    def render_description(self, console: Console, options: Any, description: Any) -> None:
        """Add the paragraphs; examples are indented."""
        for paragraph in plain(description).rstrip().split("\n\n"):
            if paragraph.startswith(" "):
                lines = "\n".join(line.strip() for line in paragraph.splitlines())
                self.blocks.append(f"```sh\n{lines}\n```")
            else:
                self.blocks.append(_text(" ".join(paragraph.split())))


def command_pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Yield (page below docs/, its Markdown) of the list of commands, then of every command."""
    top = _help_of([])
    parts, pages = ["# Commands", *top.blocks], []
    for title, entries in top.commands.items():
        rows = ["| command | |", "| --- | --- |"]
        for words, line in _commands(entries):
            name = " ".join(["bioq", *words])
            rows.append(f"| [{name}]({_file(words)}) | {_text(line)} |")
            pages.append((f"{FOLDER}/{_file(words)}", _page(words, docs)))
        parts += [f"## {title}", "\n".join(rows)]
    yield f"{FOLDER}/index.md", "\n\n".join(parts)
    yield from pages


def _commands(entries: list[HelpEntry]) -> Iterator[tuple[list[str], Any]]:
    """Yield (words, line) of each command; of `data` and `rank`, of each command below."""
    for entry in entries:
        name = entry.names[0]
        below = [part for parts in _help_of([name]).commands.values() for part in parts]
        if not below:
            yield [name], entry.description
        for part in below:
            yield [name, part.names[0]], part.description


def _help_of(words: list[str]) -> MarkdownHelp:
    app = _make_app(words)
    collected = MarkdownHelp(words[0] if words else "")
    app.help_formatter = collected
    app.help_print(words, console=Console(file=io.StringIO()))
    return collected


def _page(words: list[str], docs: Path) -> str:
    usage, *rest = _help_of(words).blocks
    title = f"bioq {' '.join(words)}"
    return "\n\n".join([f"# {title}", usage, *rest, *_pages_with(title, docs)])


def _pages_with(command: str, docs: Path) -> Iterator[str]:
    """Yield a section with the pages that type the command, if there are any."""
    links = []
    for page in sorted([*docs.glob("how-to/*.md"), *docs.glob("tutorials/*.md")]):
        text = page.read_text("utf-8")
        title = re.search(r"^# (.*)$", text, re.M)
        if title and re.search(rf"^(?:.*\| )?{command} ", text, re.M):
            links.append(f"- [{title[1]}](../../{page.relative_to(docs).as_posix()})")
    if links:
        yield "## Pages with this command"
        yield "\n".join(links)


def _file(words: list[str]) -> str:
    return "-".join(words) + ".md"


def _row(entry: HelpEntry) -> str:
    names = entry.display_labels if entry.positional_label else entry.all_options
    name = " ".join(f'<code id="{one}">{_code(one)}</code>' for one in names)
    value = " ".join(f"<code>{_code(one)}</code>" for one in entry.choices or ()) or _code(
        entry.metavar or entry.positional_label or "flag"
    )
    default = "required" if entry.required else _text(_SET.get(entry.default, entry.default or ""))
    return f"| {name} | {value} | {default} | {_text(entry.description)} |"


def _code(text: str) -> str:
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", escape(text, quote=False))


def _text(text: Any) -> str:
    """Return text in which nothing is Markdown, except that a page of docs/ is a link to it."""
    parts = re.split(r"(docs/[\w/-]+\.md)", plain(text))
    return "".join(
        f"[{name.removeprefix('docs/').removesuffix('.md')}](../../{name.removeprefix('docs/')})"
        if name.startswith("docs/") and name.endswith(".md")
        else _code(name)
        for name in parts
    )

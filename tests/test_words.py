"""The words: no text of the code or the pages has a pattern of the list in CONTRIBUTING.md."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COVERED = (
    "src/bioq",
    "benchmarks",
    "docs",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
)
"""Files and folders whose text is checked."""
LINE = 100
SECTION = "## Words"
_ENDINGS = (".py", ".j2", ".js", ".css", ".md")


def words_section() -> str:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return page[page.index(f"{SECTION}\n") :].split("\n## ")[0]


def banned() -> list[tuple[str, str, str]]:
    """Return (pattern, a text that fails, the text to write instead) of every row of the list."""
    rows = re.findall(r"^\| `(.+)` \| (.+) \| (.+) \|$", words_section(), re.M)
    return [(pattern.replace(r"\|", "|"), bad, good) for pattern, bad, good in rows]


def texts_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every string literal, with {} for a value in it, and every comment;
    comments on neighbouring lines are one text."""
    tree = ast.parse(source)
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            yield node.lineno, node.value
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(token.start[0], token.string.strip("# ")) for token in tokens
                if token.type == tokenize.COMMENT]  # fmt: skip
    for _, block in groupby(enumerate(comments), lambda item: item[1][0] - item[0]):
        lines = [comment for _, comment in block]
        yield lines[0][0], " ".join(text for _, text in lines)


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of a file: paragraph by paragraph unless it is Python."""
    source = path.read_text("utf-8")
    if path.suffix == ".py":
        yield from texts_of_python(source)
        return
    if path.name == "CONTRIBUTING.md":
        source = source.replace(words_section(), "\n" * words_section().count("\n"))
    line = 1
    for paragraph in re.split(r"(?<=\n)(?=\n)", source):
        yield line, paragraph
        line += paragraph.count("\n")


def faults(texts: Iterator[tuple[int, str]], name: str) -> list[str]:
    """Return a line for each match of a banned pattern: where, what, and what to write instead."""
    patterns = [(re.compile(pattern, re.I), good) for pattern, _, good in banned()]
    return [
        f"{name}:{line}: {match[0]!r}; write for example: {good}"
        for line, text in texts
        for pattern, good in patterns
        for match in pattern.finditer(re.sub(r"\s+", " ", text))
    ]


def covered_files() -> list[Path]:
    paths = [ROOT / name for name in COVERED]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    own = [file for file in files if ".venv" not in file.parts]  # `make bench` makes one
    return sorted(file for file in own if file.suffix in _ENDINGS or file.name == "Makefile")


@pytest.mark.parametrize(("pattern", "bad", "good"), banned(), ids=[row[0] for row in banned()])
def test_each_row_of_the_list_fails_its_example_and_not_the_better_text(
    pattern: str, bad: str, good: str
) -> None:
    assert re.search(pattern, bad, re.I), bad
    assert faults(iter([(1, good)]), "better") == []


def test_every_covered_path_has_text() -> None:
    assert len(banned()) > 20
    for name in COVERED:
        assert any(file.is_relative_to(ROOT / name) for file in covered_files()), name


def test_no_text_has_a_banned_pattern() -> None:
    result = [
        fault
        for file in covered_files()
        for fault in faults(texts_of(file), str(file.relative_to(ROOT)))
    ]
    assert result == [], "\n" + "\n".join(result)


def test_strings_comments_and_paragraphs_are_read_across_line_breaks() -> None:
    source = '''"""One row
    a target."""
x = 1  # a device that is not to
y = 2  # be had
raise ValueError(f"file {name} is"
                 f" whole: {x:,}")
'''
    lines = [fault.split("; ")[0] for fault in faults(texts_of_python(source), "x.py")]
    assert lines == [
        "x.py:1: 'One row a target'",
        "x.py:5: 'is whole'",
        "x.py:3: 'to be had'",
    ]


def long_lines(text: str) -> list[int]:
    """Return the numbers of the Markdown lines that are too long: neither rows of tables nor a
    lone address."""
    return [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > LINE and not line.startswith("|") and " " in line.strip()
    ]


def test_lines_of_markdown_fit() -> None:
    for file in covered_files():
        if file.suffix == ".md":
            assert long_lines(file.read_text("utf-8")) == [], file
    text = "x " * 60
    assert long_lines(f"{text}\n| {text} |\nhttps://{'x' * 200}\nshort\n") == [1]

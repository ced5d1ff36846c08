"""Make the pictures of docs/gallery.md again, with the commands of that page.

    python docs/scripts/make_gallery.py                     # all of them, in a temporary folder
    python docs/scripts/make_gallery.py roc motifs --in DIR  # two; DIR keeps the commands' outputs

In the page, a comment below a picture has its source: a file that a command has written, or an
address and the part of that page that is pictured.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from pictures import smaller

DOCS = Path(__file__).absolute().parents[1]
PAGE = DOCS / "gallery.md"
OUT = DOCS / "images/gallery"
WIDEST_PX, HIGHEST_PX = 1400, 1250
"""A wider picture is made smaller; of a higher one the upper part is kept."""
COLOURS = 128
VIEW = {"width": 1000, "height": 900}
START_S, DRAWN_MS = 120, 180_000
"""How long a server may take to start, and a page to be drawn."""

_SECTION = re.compile(r"^#{2,3} ", re.M)
_PICTURE = re.compile(
    r"^!\[[^\]]*\]\(images/gallery/(\S+)\.png\)\n<!-- from: (\S+)(?: (.+))? -->", re.M
)


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery."""

    name: str
    source: str
    """A file that the commands write, or an address of the server if it begins with /."""
    part: str
    """CSS selector of the part of a page; empty for a figure file."""
    commands: Sequence[str]
    """All commands of the page up to here, in order."""


def read_page(page: str) -> list[Picture]:
    """Return the pictures of the text of docs/gallery.md."""
    commands: list[str] = []
    pictures = []
    for section in _SECTION.split(page):
        for block in re.findall(r"^```\n(.*?)^```", section, re.M | re.S):
            commands += [line for line in block.replace("\\\n", " ").splitlines() if line]
        pictures += [
            Picture(name, source, part or "", tuple(commands))
            for name, source, part in _PICTURE.findall(section)
        ]
    return pictures


def run_commands(commands: Sequence[str], work: Path) -> None:
    """Run the commands that have not been run in `work` yet; servers are started by `serving`."""
    log = work / "commands-done.txt"
    done = log.read_text("utf-8").splitlines() if log.exists() else []
    for command in commands:
        if command in done or command.startswith("bioq serve"):
            continue
        print(command, file=sys.stderr, flush=True)
        subprocess.run(["bash", "-c", command], cwd=work, check=True, env=_environment())
        done.append(command)
        log.write_text("".join(f"{line}\n" for line in done), "utf-8")


def _environment() -> dict[str, str]:
    bin_of_python = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([bin_of_python, os.environ.get("PATH", "")])}


@contextlib.contextmanager
def serving(command: str, work: Path, port: int = 8765) -> Iterator[str]:
    """Start `bioq serve` in `work`; yield its address."""
    process = subprocess.Popen(
        [*command.split(), "--port", str(port)], cwd=work, env=_environment()
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(START_S):
            with contextlib.suppress(URLError):
                urllib.request.urlopen(f"{address}/api/model").close()
                break
            time.sleep(1)
        yield address
    finally:
        process.terminate()
        process.wait()


def picture_of_page(browser: Any, address: str, part: str) -> bytes:
    """Return a PNG of a part of a page, which may be drawn only after a job."""
    page = browser.new_page(viewport=VIEW, device_scale_factor=1.4)
    page.set_default_timeout(DRAWN_MS)
    page.goto(address)
    element = page.locator(part).first
    element.wait_for()
    for letters in page.locator("p.note[data-reloads]").all():  # names of sites come later
        letters.wait_for(state="detached")
    png: bytes = element.screenshot()
    page.close()
    return png


def make(pictures: Sequence[Picture], work: Path) -> None:
    """Write the pictures, with one browser and one server for all pages."""
    from playwright.sync_api import sync_playwright

    OUT.mkdir(exist_ok=True)
    run_commands(max((picture.commands for picture in pictures), key=len), work)
    served = [picture for picture in pictures if picture.source.startswith("/")]
    with contextlib.ExitStack() as stack:
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        address = ""
        if served:
            serve = next(line for line in served[0].commands if line.startswith("bioq serve"))
            address = stack.enter_context(serving(serve, work))
        for picture in pictures:
            if picture.part:
                here = address if picture in served else f"file://{work}/"
                png = picture_of_page(browser, f"{here}{picture.source}", picture.part)
            else:
                png = (work / picture.source).read_bytes()
            png = smaller(png, widest_px=WIDEST_PX, colours=COLOURS, highest_px=HIGHEST_PX)
            (OUT / f"{picture.name}.png").write_bytes(png)
            print(OUT / f"{picture.name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of docs/gallery.md again.")
    parser.add_argument("names", nargs="*", help="names of pictures without .png; or all")
    parser.add_argument("--in", dest="work", type=Path, help="folder of the commands' outputs")
    arguments = parser.parse_args()
    pictures = read_page(PAGE.read_text("utf-8"))
    if unknown := set(arguments.names) - {picture.name for picture in pictures}:
        parser.error(f"{PAGE.name} has no picture {', '.join(sorted(unknown))}")
    chosen = [each for each in pictures if not arguments.names or each.name in arguments.names]
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        make(chosen, work)


if __name__ == "__main__":
    main()

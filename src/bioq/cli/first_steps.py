"""What `bioq` without a command prints: what to do first, for each of three readers."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from bioq import __version__

DEMO = Path("bioq-demo")
"""Where `bioq demo` writes without --out."""


def program() -> str:
    """Return how a person types BioQ in the current shell: `bioq` if this BioQ is first on PATH,
    otherwise the path as it was typed, such as `.venv/bin/bioq`."""
    typed = sys.argv[0] if sys.argv else ""
    if Path(typed).stem != "bioq":  # python -m bioq, or a call from Python
        if shutil.which("bioq") is None or not _is_same(Path(sys.executable).with_name("bioq")):
            return f"{shlex.quote(sys.executable)} -m bioq"
        return "bioq"
    return "bioq" if _is_same(Path(typed)) else shlex.quote(typed)


def _is_same(script: Path) -> bool:
    """Return whether `bioq` on PATH is this script."""
    found = shutil.which("bioq")
    return found is not None and script.exists() and os.path.samefile(found, script)


def first_steps() -> str:
    """Return the text of `bioq` alone, at most 15 lines."""
    bioq = program()
    report = DEMO / "run" / "evaluation" / "report.html"
    if report.is_file():
        first = f"""Your demo is here. Open its report in a browser:
    {report}"""
    else:
        first = f"""Try it on simulated data, in minutes:
    {bioq} demo"""
    return f"""BioQ {__version__} predicts chromatin targets, such as binding, from DNA sequence.

{first}
You have variants (one here; or a VCF), of yeast or of human:
    {bioq} variants yeast "chrIV:657630:G>T" --genome sacCer3 --out one.tsv
    {bioq} import beluga --out beluga
You have peak files:
    {bioq} data peaks --help
You develop methods:
    {bioq} summary danq

All commands: {bioq} --help. Complete them with the Tab key: {bioq} completion"""

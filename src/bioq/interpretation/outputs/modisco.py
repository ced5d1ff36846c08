"""Contributions as tfmodisco-lite reads them: a folder of arrays, and the command that reads it.

`ohe.npz` is one-hot and `shap.TARGET.npz` has the hypothetical contributions, each
`(windows, 4, length)` with the key `arr_0`; `motifs.sh` runs tfmodisco-lite on them.
"""

import contextlib
import shlex
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.dataset.targets import NAME, target_paths
from bioq.errors import UsageError
from bioq.files import FolderKind, new_folder
from bioq.interpretation.explanation import Explanation
from bioq.interpretation.outputs.arrays_and_tables import npz_member
from bioq.interpretation.outputs.by_ending import ExplainedInput

ENDING = ".modisco"
ONE_HOT, SCRIPT = "ohe.npz", "motifs.sh"
FOLDER = FolderKind(ONE_HOT, ("shap.*.npz", SCRIPT))
SEQLETS = 2000
"""The most seqlets of each sign that tfmodisco-lite clusters: its README's number."""
_MOST_TARGETS = 64
"""One file of each is open."""
_SHORTEST_BP = 50
"""A seqlet of tfmodisco-lite is 30 bp long, and is extended by 10 bp on either side."""


@contextlib.contextmanager
def open_modisco(out: Path, explained: ExplainedInput) -> Iterator["_Arrays"]:
    """Yield a writer of a folder for tfmodisco-lite.

    A window with fewer bases than `span_bp` ends in zeros. Raises UsageError for more than 64
    targets and for a span that is too short.
    """
    names, span_bp = [str(name) for name in explained.targets[NAME]], explained.span_bp
    if len(names) > _MOST_TARGETS:
        raise UsageError(
            f"{out}: takes at most {_MOST_TARGETS} targets, these are {len(names):,}; choose with "
            "--targets"
        )
    if span_bp < _SHORTEST_BP:
        raise UsageError(
            f"{out}: --span-bp {span_bp}: tfmodisco-lite needs at least {_SHORTEST_BP} bases"
        )
    _shap_paths(out, names)  # raises an error for names that become equal
    replaces = FOLDER if explained.force else None
    with new_folder(out, replaces=replaces) as folder, contextlib.ExitStack() as stack:
        (folder / SCRIPT).write_text(_script(names, span_bp), encoding="utf-8", newline="\n")
        shape = explained.loci.count, 4, span_bp
        members = [stack.enter_context(_array(folder / ONE_HOT, shape, np.int8))]
        for path in _shap_paths(folder, names):
            members.append(stack.enter_context(_array(path, shape, np.float32)))
        yield _Arrays(members, span_bp)


class _Arrays:
    def __init__(self, members: Sequence[Any], span_bp: int) -> None:
        self._one_hot, *self._hypothetical = members
        self._span_bp = span_bp

    def write(self, explanation: Explanation) -> None:
        bases = explanation.locus.bases
        missing = (0, 0), (0, self._span_bp - len(bases))
        one_hot = np.pad(dna.one_hot(bases).astype(np.int8), missing)
        self._one_hot.write(one_hot.tobytes())
        for member, values in zip(
            self._hypothetical, np.moveaxis(explanation.values, 2, 0), strict=True
        ):
            member.write(np.pad(values, missing).astype("<f4").tobytes())


@contextlib.contextmanager
def _array(path: Path, shape: tuple[int, ...], kind: npt.DTypeLike) -> Iterator[Any]:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        npz_member(file, "arr_0", shape, kind) as member,
    ):
        yield member


def _shap_paths(folder: Path, names: Sequence[str]) -> list[Path]:
    return target_paths(folder / "shap.npz", names, ".npz")


def _script(names: Sequence[str], span_bp: int) -> str:
    """Return the commands that find the motifs of each target."""
    lines = [
        "#!/bin/sh",
        "# Finds the motifs that contribute to each target, with tfmodisco-lite:",
        "# pip install modisco-lite",
        'cd "$(dirname "$0")" || exit 1',
    ]
    for path in _shap_paths(Path(), names):
        found = f"motifs.{path.name.removeprefix('shap.').removesuffix('.npz')}.h5"
        lines.append(
            f"modisco motifs -s {ONE_HOT} -a {shlex.quote(path.name)} -n {SEQLETS} -w {span_bp} "
            f"-o {shlex.quote(found)}"
        )
    return "\n".join(lines) + "\n"

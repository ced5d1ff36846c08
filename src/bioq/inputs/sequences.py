"""The windows of the sequences of a FASTA, read in one pass and small memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from bioq import dna
from bioq.errors import BioqError
from bioq.genome.fasta_letters import check_letters
from bioq.genome.fasta_text import FASTA_BLANKS, FastaPiece, fasta_pieces
from bioq.genome.windows import middle_start
from bioq.inputs.windows import N_SHARE, WindowBatch, in_batches
from bioq.progress import say


class SequenceWindows:
    """The windows of every sequence of a FASTA, in file order.

    A sequence of the length of a window is one window. A longer sequence has a window every
    `stride_bp` from its first base, and one more window at its end if bases are left. A shorter
    sequence is an error or, with `pad`, in the middle of a window of unknown bases.

    Columns: `sequence` (its name, the first word of the header), `start` and `end` of the window in
    the sequence (0-based, half-open), `n_share`.
    """

    columns: ClassVar[dict[str, Literal["text", "integer", "number"]]] = {
        "sequence": "text",
        "start": "integer",
        "end": "integer",
        N_SHARE: "number",
    }

    def __init__(
        self,
        path: Path,
        *,
        window_bp: int,
        stride_bp: int,
        pad: bool = False,
        pad_option: str = "--pad",
        label: str = "",
    ):
        self.path = path
        self.label = label or str(path)
        """The name of the file in messages."""
        self._window_bp = window_bp
        self._stride_bp = stride_bp
        self._pad = pad
        self._pad_option = pad_option  # its name in messages
        self._empty = 0  # sequences without bases

    def count(self) -> int:
        """Return the number of windows, after a check of every line.

        Raises BioqError, with the line, for a file that is not FASTA, letters that are not DNA,
        and, without `pad`, a sequence that is shorter than a window.
        """
        windows, length, name, header_line = 0, 0, "", 0
        self._empty = 0
        for piece in self._pieces(show_progress=True):
            line, text = piece.line, piece.text
            if piece.is_header:
                if header_line:
                    windows += self._count_of(name, length, header_line)
                name, header_line, length = self._name(line, text), line, 0
            elif header_line:
                check_letters(piece, self.label, f"sequence {name!r}")
                length += len(text.translate(None, FASTA_BLANKS))
            elif text.strip():
                start = text.strip()[:20].decode("ascii", "replace")
                if start.startswith("##fileformat=VCF"):
                    advice = "the file seems to be VCF, which 'bioq variants' reads"
                else:
                    advice = "for regions (BED) give the genome too"
                raise BioqError(
                    f"{self.label}:1: is not FASTA: it begins with {start!r}, expected '>' and a "
                    f"sequence's name; {advice}"
                )
        if not header_line:
            raise BioqError(f"{self.label}: holds no sequences; expected FASTA")
        windows += self._count_of(name, length, header_line)
        if self._empty:
            which = "1 sequence has" if self._empty == 1 else f"{self._empty:,} sequences have"
            say(f"warning: {self.label}: {which} no bases; such a window holds N only")
        return windows

    def batches(self, size: int) -> Iterator[WindowBatch]:
        """Yield every window in order, `size` at a time."""
        return in_batches(self._stretches(), size)

    def _stretches(self) -> Iterator[WindowBatch]:
        cutter: _Cutter | None = None
        for piece in self._pieces():
            if piece.is_header:
                if cutter is not None:
                    yield from cutter.finish()
                name = self._name(piece.line, piece.text)
                cutter = _Cutter(name, self._window_bp, self._stride_bp)
            elif cutter is not None:
                yield from cutter.add(dna.encode(piece.text.translate(None, FASTA_BLANKS)))
        if cutter is not None:
            yield from cutter.finish()

    def _pieces(self, *, show_progress: bool = False) -> Iterator[FastaPiece]:
        return fasta_pieces(self.path, show_progress=show_progress, label=self.label)

    def _name(self, line: int, header: bytes) -> str:
        words = header[1:].decode("utf-8", "replace").split(maxsplit=1)
        if not words:
            raise BioqError(f"{self.label}:{line}: '>' stands alone; every sequence needs a name")
        return words[0]

    def _count_of(self, name: str, length: int, line: int) -> int:
        self._empty += not length
        if length < self._window_bp:
            if not self._pad:
                raise BioqError(
                    f"{self.label}:{line}: sequence {name!r} has {length:,} bases, the model reads "
                    f"{self._window_bp:,}; give longer sequences, or {self._pad_option} to fill "
                    "them with N"
                )
            return 1
        return 1 + -(-(length - self._window_bp) // self._stride_bp)


class _Cutter:
    """Cuts a sequence into windows while it is read; keeps little more than a window of it."""

    def __init__(self, name: str, window_bp: int, stride_bp: int):
        self._name = name
        self._window_bp = window_bp
        self._stride_bp = stride_bp
        self._held = np.empty(0, dtype=np.uint8)
        self._held_start = 0
        self._next_start = 0

    def add(self, codes: dna.Bytes) -> Iterator[WindowBatch]:
        self._held = np.concatenate([self._held, codes])
        end = self._held_start + len(self._held)
        starts = np.arange(self._next_start, end - self._window_bp + 1, self._stride_bp)
        if len(starts):
            yield self._windows(starts)
            self._next_start = int(starts[-1]) + self._stride_bp
        # The bases of the last window are kept too: the sequence may end with them.
        keep = min(self._next_start, max(end - self._window_bp, 0))
        self._held = self._held[max(keep - self._held_start, 0) :]
        self._held_start = max(keep, self._held_start)

    def finish(self) -> Iterator[WindowBatch]:
        end = self._held_start + len(self._held)
        if end < self._window_bp:
            codes = np.full((1, self._window_bp), dna.UNKNOWN, dtype=np.uint8)
            before = middle_start(0, self._window_bp, end)
            codes[0, before : before + end] = self._held
            yield WindowBatch(self._columns(np.zeros(1, dtype=np.int64), end), codes)
        elif self._next_start - self._stride_bp + self._window_bp < end:
            yield self._windows(np.array([end - self._window_bp]))

    def _windows(self, starts: np.ndarray) -> WindowBatch:
        stretch = self._held[int(starts[0]) - self._held_start :]
        views = np.lib.stride_tricks.sliding_window_view(stretch, self._window_bp)
        codes = views[:: self._stride_bp][: len(starts)]  # a view: no window is copied yet
        return WindowBatch(self._columns(starts, self._window_bp), codes)

    def _columns(self, starts: np.ndarray, length: int) -> dict[str, np.ndarray]:
        names = np.empty(len(starts), dtype=object)
        names.fill(self._name)  # one text for all rows; `np.full` makes a copy for each
        return {"sequence": names, "start": starts, "end": starts + length}

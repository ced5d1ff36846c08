"""The letters that a FASTA may have: the bases and the other IUPAC letters, in either case."""

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import BioqError
from bioq.files.text import BYTE_ORDER_MARK
from bioq.genome.fasta_text import FASTA_BLANKS, FastaPiece

LETTERS = (dna.IUPAC + dna.IUPAC.lower()).encode()
_SKIPPED = LETTERS + FASTA_BLANKS


def is_lower(letters: dna.Bytes) -> npt.NDArray[np.bool_]:
    """Return whether each of some letters, ASCII `(n,)`, is in lower case."""
    return letters >= ord("a")


def check_letters(piece: FastaPiece, label: str, name: str) -> None:
    """Raise BioqError, with line and column, for a letter of a sequence that is not DNA.

    `label` is the file, `name` the sequence or contig, as in "contig 'chr1'".
    """
    wrong = piece.text.translate(None, _SKIPPED)
    if not wrong:
        return
    before = piece.text[: piece.text.index(wrong[:1])]
    lines = before.count(b"\n")
    column = len(before) - before.rfind(b"\n") if lines else piece.column + len(before)
    advice = ""
    if wrong[:1] in b"Uu":
        advice = "; RNA? write T for U"
    elif wrong.startswith(BYTE_ORDER_MARK):
        advice = "; it is an invisible byte order mark: files were joined here; remove it"
    elif wrong[:1] == b">":
        advice = "; the header of a sequence is on a line of its own"
    letter = repr(chr(wrong[0])) if wrong[0] < 0x80 else f"the byte 0x{wrong[0]:02X}"
    raise BioqError(
        f"{label}:{piece.line + lines}: {name} holds {letter} in column {column}; expected DNA: "
        f"A, C, G, T, N and the other IUPAC letters{advice}"
    )

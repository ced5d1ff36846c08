"""Checks the sequences and regions that a visitor pastes.

Text is copied into a temporary file, whose name the visitor cannot choose, and read by the readers
of the command line. No input of a visitor is ever used as a path.
"""

import re
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from bioq import dna
from bioq.errors import BioqError, short
from bioq.files.text import split_lines
from bioq.genome import ContigNames, Genome, find_region
from bioq.genome.notation import (
    REGION_FORM,
    Interval,
    correction,
    parse_variant,
)
from bioq.genome.vcf import is_bases
from bioq.inputs import RegionWindows, SequenceWindows, WindowBatch, Windows
from bioq.inputs.regions import outside_genome
from bioq.progress import no_progress
from bioq.web.limits import Limits

_LETTERS = dna.IUPAC + dna.IUPAC.lower()
# Another letter than DNA, a digit or a blank; or a digit and a letter in one word.
_NOT_BARE = re.compile(rf"[^{_LETTERS}0-9\s]|(?<=[0-9])[{_LETTERS}]|(?<=[{_LETTERS}])[0-9]")
_SKIPPED = {code: None for code in range(0x3001) if chr(code).isspace()} | {
    ord(digit): None for digit in "0123456789"
}
"""For `str.translate`: blanks, of Unicode too, and digits."""
_MOST_QUOTED = 40
_WIDEST_WRAP = 120
"""Letters of the longest line of a sequence that a program has wrapped."""


def read_sequences(
    text: str, *, window_bp: int, stride_bp: int, pad: bool, limits: Limits
) -> WindowBatch:
    """Return the windows of a FASTA, or of one sequence without a header, in which numbers and
    blanks are skipped.

    Raises BioqError for letters that are not DNA, for several sequences without headers, for
    sequences shorter than the window without `pad`, and for more windows than the limit.
    """
    text = checked_text(text, limits)
    if not text.strip():
        raise BioqError("there is no sequence; paste DNA letters, or FASTA")
    _check_windows(text.count("\n>") + text.count("\r>"), limits)
    if not text.lstrip().startswith(">"):
        letters = _bare(text)
        _require_one_sequence(text, window_bp)
        text = ">sequence\n" + letters
    fasta = text.lstrip()
    blank_lines = len(split_lines(text[: len(text) - len(fasta)])) - 1
    with tempfile.TemporaryDirectory(prefix="bioq-") as folder:
        file = Path(folder) / "sequences.fa"
        fasta = "\n" * blank_lines + fasta + "\n"
        file.write_text(fasta, encoding="utf-8", errors="replace", newline="")
        windows = SequenceWindows(
            file,
            window_bp=window_bp,
            stride_bp=stride_bp,
            pad=pad,
            pad_option="choose “pad”",
            label="sequences",
        )
        return _read_all(windows, limits)


def read_regions(
    text: str,
    genome: Genome | None,
    *,
    window_bp: int,
    bin_bp: int,
    limits: Limits,
    example: str = "",
) -> WindowBatch:
    """Return the windows of regions, one region per line; see `notation`. `example` is a region of
    the genome, for messages.

    Raises BioqError for a line that is not a region, a region outside the genome, and more windows
    than the limit.
    """
    text = checked_text(text, limits)
    if genome is None:
        raise BioqError("regions need a genome: start the server with --genome, or paste the DNA")
    form, names = with_example(REGION_FORM, example), ContigNames(genome)
    regions, bins = [], 0
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip():
            continue
        region = find_region(line, genome, f"line {number}: ")
        if region is None:
            remedy = _remedy_of_region(line, genome) or f"expected {form}"
            raise BioqError(f"line {number}: {quoted(line)!r} is not a region; {remedy}")
        if not region.is_within():
            raise BioqError(f"line {number}: {quoted(line)!r}: expected 1 <= START <= END")
        contig = names.contigs[names.require(region.contig, f"line {number}")]
        if not region.is_within(genome.lengths[contig]):
            raise outside_genome(f"line {number}", names, region.contig, "START <= END")
        bins += -(-region.length_bp // bin_bp)
        _check_windows(bins, limits)
        regions.append(region)
    if not bins:
        raise BioqError(f"there is no region; write {form}")
    windows = RegionWindows(
        regions, genome, window_bp=window_bp, bin_bp=bin_bp, stride_bp=bin_bp, label="regions"
    )
    return _read_all(windows, limits)


def is_like_region(text: str, genome: Genome | None) -> bool:
    """Return whether a pasted text is regions, right or misspelt, and not DNA."""
    first = text.lstrip().partition("\n")[0].strip()
    if first.startswith(">"):
        return False
    is_contig = genome is not None and first in genome.lengths
    return ":" in first or is_contig or bool(correction(first))


def _remedy_of_region(line: str, genome: Genome) -> str:
    """Return what a line is that is not a region, and what to do; empty if it is unknown."""
    line = line.strip()
    if line in genome.lengths:
        return f"it is a contig; write '{Interval(line, 0, genome.lengths[line])}' for all of it"
    variant = parse_variant(line)
    if variant is not None and is_bases(variant.ref):
        return "it is a variant, which the page Variant and /api/variants take"
    return correction(line)


def with_example(form: str, example: str) -> str:
    """Return a form of input with an example of it, if there is one."""
    return f"{form}, as {example}" if example else form


def _read_all(windows: Windows, limits: Limits) -> WindowBatch:
    with no_progress():
        count = windows.count()
        _check_windows(count, limits)
        batch = next(windows.batches(count))
    letters = sum(len(str(name)) for name in next(iter(batch.columns.values())))
    if letters > limits.name_letters:  # each row of a result repeats its name
        raise BioqError(
            f"the names of the {count:,} windows have {letters:,} letters; the page takes "
            f"{limits.name_letters:,}: write shorter names"
        )
    return batch


def _check_windows(count: int, limits: Limits) -> None:
    """Raise BioqError if there are more windows, at least `count`, than the limit."""
    if count > limits.windows:
        raise BioqError(
            f"at least {count:,} windows are more than the {limits.windows:,} that the page takes; "
            "give less sequence, or use 'bioq predict'"
        )


def _require_one_sequence(text: str, window_bp: int) -> None:
    """Raise BioqError, with the line, if letters without a header are several sequences.

    One sequence may be wrapped at any width, and its lines may have numbers and blanks. Several
    are separated by a blank line, or each is a line or a block of wrapped lines: two of them are as
    long as a window, or lines are longer than usual wrapped lines and differ in length. Lines of
    one usual width before a last line that is not longer are always one sequence.
    """
    lines = enumerate(split_lines(text), start=1)
    filled = [(number, _bare_length(line)) for number, line in lines if line.strip()]
    for (last, _), (number, _) in pairwise(filled):
        if number > last + 1:
            raise _several_sequences(last + 1, "a blank line separates the letters")
    lengths = [length for _, length in filled]
    is_wrapped = len(set(lengths[:-1])) == 1 and lengths[-1] <= lengths[0]
    if is_wrapped and lengths[0] <= _WIDEST_WRAP:
        return
    as_windows = [number for number, length in filled if length >= window_bp]
    if len(as_windows) > 1:
        raise _several_sequences(as_windows[1], "two lines are as long as a window")
    blocks = _wrapped_blocks(filled)
    if sum(length >= window_bp for _, length in blocks) > 1:
        raise _several_sequences(blocks[1][0], "a shorter line ends the wrapped lines before it")
    wide = [number for number, length in filled if length > _WIDEST_WRAP]
    if len(wide) > 1 and not is_wrapped:
        raise _several_sequences(wide[1], "long lines differ in length")


def _several_sequences(line: int, why: str) -> BioqError:
    return BioqError(
        f"line {line}: {why}, so these seem to be several sequences; write FASTA: a line '>name' "
        "before each sequence; if it is one sequence, write such a line before it"
    )


def _wrapped_blocks(lines: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (first line, letters) of blocks of lines (number, letters), in which every line but
    the last is as long as the longest of all."""
    width = max((length for _, length in lines), default=0)
    blocks: list[tuple[int, int]] = []
    is_open = False
    for number, length in lines:
        if not is_open:
            blocks.append((number, 0))
        blocks[-1] = (blocks[-1][0], blocks[-1][1] + length)
        is_open = length == width
    return blocks


def _bare_length(line: str) -> int:
    return len(line.translate(_SKIPPED))


def _bare(text: str) -> str:
    """Return the letters of a sequence without a header: all except blanks and whole numbers."""
    wrong = _NOT_BARE.search(text)
    if wrong is not None:
        before = text[: wrong.start()]
        begun = "" if not before or before[-1].isspace() else before.rsplit(maxsplit=1)[-1]
        word = begun + text[wrong.start() :].split(maxsplit=1)[0]
        raise BioqError(
            f"line {len(split_lines(before))}: {quoted(word)!r} is not DNA; expected the letters "
            "A, C, G, T, N and the other IUPAC letters, or FASTA, which begins with '>'"
        )
    return text.translate(_SKIPPED)


def checked_text(text: str, limits: Limits) -> str:
    """Return a text without its byte order mark, after a check of its size."""
    if len(text) > limits.text_bytes:
        raise BioqError(
            f"the text has {len(text):,} letters; the page takes {limits.text_bytes:,}: use the "
            "command line for more"
        )
    lines = max(text.count("\n"), text.count("\r"))
    if lines > limits.text_lines:
        raise BioqError(
            f"the text has {lines:,} lines; the page takes {limits.text_lines:,}: use the command "
            "line for more"
        )
    return text.removeprefix("\ufeff")


def quoted(text: str) -> str:
    return short(text.strip(), _MOST_QUOTED)

"""Checks the sequences, regions and variants that a visitor pastes or uploads.

Text is copied into a temporary file, whose name the visitor cannot choose, and read by the readers
of the command line. No input of a visitor is ever used as a path.
"""

import re
import tempfile
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from bioq import dna
from bioq.errors import BioqError, short
from bioq.files.text import open_content, split_lines
from bioq.genome import ContigNames, Genome, find_region
from bioq.genome.notation import (
    REGION_FORM,
    VARIANT_FORM,
    Interval,
    correction,
    parse_region,
    parse_variant,
)
from bioq.genome.vcf import Variant, check_record, is_bases, read_variants, refuse_other_tables
from bioq.genome.vcf_header import VcfHeader
from bioq.genome.vcf_tables import refuse_joined, refuse_joined_header, refuse_names
from bioq.inputs import RegionWindows, SequenceWindows, WindowBatch, Windows
from bioq.inputs.regions import outside_genome
from bioq.progress import Advance, no_progress
from bioq.web.limits import Limits

_PIECE_BYTES = 1 << 20
_LETTERS = dna.IUPAC + dna.IUPAC.lower()
# Another letter than DNA, a digit or a blank; or a digit and a letter in one word.
_NOT_BARE = re.compile(rf"[^{_LETTERS}0-9\s]|(?<=[0-9])[{_LETTERS}]|(?<=[{_LETTERS}])[0-9]")
_SKIPPED = {code: None for code in range(0x3001) if chr(code).isspace()} | {
    ord(digit): None for digit in "0123456789"
}
"""For `str.translate`: blanks, of Unicode too, and digits."""
_MOST_HEADER_LINES = 10_000
"""Lines of a pasted header: GRCh38 has 3,366 contigs; each takes 9 microseconds."""
_MOST_CELLS = 10_000
"""Cells of a line that are kept as such; the last of them is the rest of the line."""
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
    text = _checked(text, limits)
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
    text = _checked(text, limits)
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
            raise BioqError(f"line {number}: {_short(line)!r} is not a region; {remedy}")
        if not region.is_within():
            raise BioqError(f"line {number}: {_short(line)!r}: expected 1 <= START <= END")
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


def read_variant_lines(
    text: str,
    limits: Limits,
    *,
    contigs: Container[str] = (),
    header: VcfHeader | None = None,
    example: str = "",
) -> list[Variant]:
    """Return the alleles of pasted lines, one variant per line; see `notation`. Lines that begin
    with # are those of a VCF's header, and are added to `header`. `contigs` are the names in the
    genome; see `check_record`. `example` is a variant of the genome, for messages.

    Raises BioqError, with the line, for a line that is not a variant, and for a variant after #.
    """
    lines = split_lines(_checked(text, limits))
    header = VcfHeader() if header is None else header
    headers = [number for number, line in enumerate(lines, start=1) if line.startswith("#")]
    if len(headers) > _MOST_HEADER_LINES:
        raise BioqError(
            f"the text has {len(headers):,} lines that begin with #; the page takes "
            f"{_MOST_HEADER_LINES:,}: upload the VCF as a file"
        )
    for number in headers:
        _read_header_line(f"line {number}", lines[number - 1], header)
    variants = (
        variant
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
        for variant in _variants_of(f"line {number}", line.strip(), contigs, header, example)
    )
    alleles = list(_bounded(refuse_other_tables(variants, header), limits))
    _require_alleles(len(alleles))
    return alleles


def read_vcf(
    upload: bytes, limits: Limits, *, warn: Callable[[str], None] | None = None
) -> tuple[list[Variant], VcfHeader]:
    """Return the alleles and the header of an uploaded VCF, text or gzip.

    Raises BioqError for an upload that is too large or not VCF text. BCF and other formats that
    htslib recognises are refused, because they can name further files; also a file with more lines,
    bytes or seconds of checking than the limits. `warn` receives the warning about a bgzip file
    without its last block.
    """
    ends = time.monotonic() + limits.vcf_seconds

    def advance(done: int, note: str = "") -> None:
        if time.monotonic() > ends:
            raise BioqError(
                f"the VCF was checked for {limits.vcf_seconds:g} s without coming to its end; "
                "score it with 'bioq variants'"
            )

    header = VcfHeader()
    with tempfile.TemporaryDirectory(prefix="bioq-") as folder:
        file = Path(folder) / "upload.vcf"
        _unpack(upload, file, limits, warn, advance)
        variants = read_variants(file, label="VCF", header=header, advance=advance)
        alleles = list(_bounded(variants, limits))
    _require_alleles(len(alleles))
    return alleles, header


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


def _unpack(
    upload: bytes,
    file: Path,
    limits: Limits,
    warn: Callable[[str], None] | None,
    advance: Advance,
) -> None:
    """Write the decompressed bytes of an upload to a file, piece by piece.

    Raises BioqError for damaged gzip data, for another format, and as soon as the bytes or the
    lines are more than the limit.
    """
    packed = file.with_name(f"{file.name}.upload")
    packed.write_bytes(upload)
    written = lines = line_bytes = 0
    try:
        with (
            open_content(packed, "VCF", label="VCF", warn=warn, advance=advance) as content,
            open(file, "wb") as out,
        ):
            while piece := content.stream.read(_PIECE_BYTES):
                written += len(piece)
                ends = max(piece.count(b"\n"), piece.count(b"\r"))
                lines += ends
                line_bytes = 0 if ends else line_bytes + len(piece)
                fault = _too_much(written, lines, line_bytes, limits)
                if fault:
                    raise BioqError(f"{fault}; score it with 'bioq variants'")
                out.write(piece)
    finally:
        packed.unlink()
    if not written:
        raise BioqError("the file is empty; expected VCF")


def _read_header_line(where: str, line: str, header: VcfHeader) -> None:
    """Add a line that begins with # to a header. Raises BioqError for a variant: dropping it would
    give fewer results than lines."""
    if line.startswith(("##", "#CHROM")):
        refuse_joined_header(where, line.split(maxsplit=_MOST_CELLS))
        header.add_line(line.encode("utf-8", "replace"))
        return
    variant = parse_variant(line[1:])
    if variant is not None and variant.pos.isdigit() and is_bases(variant.ref):
        raise BioqError(
            f"{where}: {_short(line)!r} is a variant after #, which begins the lines of a header; "
            "remove the # or the line"
        )


def _too_much(written: int, lines: int, line_bytes: int, limits: Limits) -> str:
    """Return which limit of an upload is exceeded, in words; empty if none is."""
    if written > limits.vcf_bytes:
        return f"the VCF is larger than {limits.vcf_bytes >> 20} MiB decompressed"
    if lines > limits.vcf_lines:
        return f"the VCF has more than {limits.vcf_lines:,} lines, its header included"
    if line_bytes > limits.vcf_line_bytes:
        return f"the VCF has a line of more than {limits.vcf_line_bytes >> 20} MiB"
    return ""


def _variants_of(
    where: str, line: str, contigs: Container[str], header: VcfHeader, example: str
) -> Iterator[Variant]:
    variant, cells = parse_variant(line), line.split(maxsplit=_MOST_CELLS)
    if variant is None or not variant.pos.isdigit():
        refuse_names(where, cells)
    if variant is None:
        form = with_example(VARIANT_FORM, example)
        expected = f"expected {form}, or the columns CHROM POS ID REF ALT of a VCF"
        region = "it is a region, which the page Sequence and /api/predict take"
        remedy = region if parse_region(line) is not None else correction(line)
        raise BioqError(f"{where}: {_short(line)!r} is not a variant; {remedy or expected}")
    refuse_joined(where, cells, len(cells))
    contig_bp = header.length_of(variant.chrom)
    yield from check_record(where, *variant, contig_bp, contigs=contigs)


def _bounded(alleles: Iterable[Variant], limits: Limits) -> Iterator[Variant]:
    """Yield the alleles; raise BioqError at the first allele past a limit."""
    letters = 0
    for count, allele in enumerate(alleles, start=1):
        letters += sum(map(len, (allele.chrom, allele.id, allele.ref, allele.alt)))
        if count > limits.alleles:
            raise BioqError(
                f"at least {count:,} alleles are more than the {limits.alleles:,} that the page "
                "takes; score them with 'bioq variants'"
            )
        if letters > limits.allele_letters:
            raise BioqError(
                f"{allele.where}: the alleles up to here have {letters:,} letters; the page takes "
                f"{limits.allele_letters:,}: score them with 'bioq variants'"
            )
        yield allele


def _require_alleles(count: int) -> None:
    if not count:
        raise BioqError(f"there is no variant; write {VARIANT_FORM}, or upload a VCF")


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
            f"line {len(split_lines(before))}: {_short(word)!r} is not DNA; expected the letters "
            "A, C, G, T, N and the other IUPAC letters, or FASTA, which begins with '>'"
        )
    return text.translate(_SKIPPED)


def _checked(text: str, limits: Limits) -> str:
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


def _short(text: str) -> str:
    return short(text.strip(), _MOST_QUOTED)

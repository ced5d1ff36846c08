"""What a visitor wrote or uploaded, checked: sequences, regions and variants.

Text is copied into a temporary file of our own naming and read by the readers that the command
line uses. Nothing that a visitor writes is ever taken for a path.
"""

import gzip
import io
import re
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from bioq.errors import BioqError
from bioq.genome import Genome
from bioq.genome.fasta import BGZF_END, is_bgzip
from bioq.genome.vcf import Variant, check_record, read_variants
from bioq.inputs import RegionWindows, SequenceWindows, WindowBatch, Windows
from bioq.progress import no_progress
from bioq.web.limits import Limits

REGION = re.compile(r"(?P<contig>[^:\s]+):(?P<start>[\d,]+)\s*[-–]\s*(?P<end>[\d,]+)")
_VARIANT = re.compile(
    r"(?P<chrom>[^:\s]+)[:-](?P<pos>[\d,]+)[:-](?P<ref>[A-Za-z]+)[>:/-](?P<alt>[A-Za-z]+)"
)
_GZIP_MAGIC, _BCF_MAGIC = b"\x1f\x8b", b"BCF"
_BASES = re.compile(r"[ACGTNRYSWKMBDHV]*", re.IGNORECASE)
_PIECE_BYTES = 1 << 20
_MOST_SHOWN = 40
_CHECKING = threading.Lock()
"""Held while an upload is unpacked and checked: the largest take a gigabyte of memory."""


def read_sequences(
    text: str, *, window_bp: int, stride_bp: int, pad: bool, limits: Limits
) -> WindowBatch:
    """Return the windows of a FASTA, or of one sequence without a header (numbers and blanks in
    it are passed over).

    Raises BioqError for what is no DNA, for sequences shorter than the window without `pad`, and
    for more windows than the limit.
    """
    text = _checked(text, limits)
    if not text.strip():
        raise BioqError("there is no sequence; paste DNA letters, or FASTA")
    if not text.lstrip().startswith(">"):
        text = ">sequence\n" + _bare(text)
    with tempfile.TemporaryDirectory(prefix="bioq-") as folder:
        file = Path(folder) / "sequences.fa"
        file.write_text(text.lstrip() + "\n", encoding="utf-8", errors="replace")
        windows = SequenceWindows(
            file, window_bp=window_bp, stride_bp=stride_bp, pad=pad, label="sequences"
        )
        try:
            return _read_all(windows, limits)
        except BioqError as error:  # the words of the command line, in those of the page
            raise BioqError(str(error).replace("--pad to fill", "choose “pad” to fill")) from error


def read_regions(
    text: str, genome: Genome | None, *, window_bp: int, bin_bp: int, limits: Limits
) -> WindowBatch:
    """Return the windows of regions, CONTIG:START-END a line, counted from 1 with both ends.

    Raises BioqError for what is no region, for one outside the genome, and for more windows than
    the limit.
    """
    text = _checked(text, limits)
    if genome is None:
        raise BioqError("regions need a genome: start the server with --genome, or paste the DNA")
    lines, bins = [], 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            lines.append("\n")
            continue
        match = REGION.fullmatch(line.strip())
        if match is None:
            raise BioqError(
                f"line {number}: {_short(line)!r} is no region; expected CONTIG:START-END, as "
                "chr22:19711000-19711999"
            )
        start, end = _number(match["start"]) - 1, _number(match["end"])
        if not 0 <= start < end:
            raise BioqError(f"line {number}: {_short(line)!r}: expected 1 <= START <= END")
        bins += -(-(end - start) // bin_bp)
        lines.append(f"{match['contig']}\t{start}\t{end}\t{match['contig']}:{start + 1}-{end}\n")
    if not bins:
        raise BioqError("there is no region; write CONTIG:START-END, as chr22:19711000-19711999")
    _check_windows(bins, limits)
    with tempfile.TemporaryDirectory(prefix="bioq-") as folder:
        file = Path(folder) / "regions.bed"
        file.write_text("".join(lines), encoding="utf-8", errors="replace")
        windows = RegionWindows(
            file, genome, window_bp=window_bp, bin_bp=bin_bp, stride_bp=bin_bp, label="regions"
        )
        return _read_all(windows, limits)


def read_variant_lines(text: str, limits: Limits) -> list[Variant]:
    """Return the alleles of pasted lines: CONTIG:POS:REF>ALT or a VCF's columns, with or without
    the ID, separated by blanks; lines that begin with # are passed over.

    Raises BioqError, with the line, for what is neither.
    """
    text = _checked(text, limits)
    alleles = [
        variant
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
        for variant in _variants_of(f"line {number}", line.strip())
    ]
    _check_alleles(alleles, limits)
    return alleles


def save_vcf(upload: bytes, file: Path, limits: Limits) -> int:
    """Write an uploaded VCF, text or gzip, decompressed, check it, and return its alleles.

    Raises BioqError for what is too large or no VCF text; BCF and other formats that htslib would
    recognise are refused, for they can name further files.
    """
    with _CHECKING:
        _unpack(upload, file, limits)
        return _check_alleles(read_variants(file, label="VCF"), limits)


def _unpack(upload: bytes, file: Path, limits: Limits) -> None:
    with open(file, "wb") as out:
        written = 0
        for piece in _decompressed(upload):
            written += len(piece)
            if written > limits.vcf_bytes:
                raise BioqError(
                    f"the VCF is larger than {limits.vcf_bytes >> 20} MiB decompressed; score it "
                    "with 'bioq variants'"
                )
            out.write(piece)
    with open(file, "rb") as content:
        head = content.read(4)
    if not head:
        raise BioqError("the file is empty; expected VCF")
    if head.startswith((_GZIP_MAGIC, _BCF_MAGIC)):
        raise BioqError(
            "the file is BCF or compressed twice; expected VCF text, plain or gzip: "
            "'bcftools view IN.bcf -Oz -o OUT.vcf.gz' makes one"
        )


def _decompressed(upload: bytes) -> Iterator[bytes]:
    """Yield the bytes of a gzip or bgzip in pieces that are small whatever it expands to."""
    if not upload.startswith(_GZIP_MAGIC):
        yield upload
        return
    try:
        if is_bgzip(upload) and not upload.endswith(BGZF_END):
            raise EOFError
        with gzip.GzipFile(fileobj=io.BytesIO(upload)) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except EOFError as error:
        raise BioqError("the gzip compression is cut short; upload the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BioqError(f"the gzip compression is damaged ({error}); upload again") from error


def _variants_of(where: str, line: str) -> Iterator[Variant]:
    match = _VARIANT.fullmatch(line)
    cells = line.split()
    if match is not None:
        pos = match["pos"].replace(",", "")
        yield from check_record(where, match["chrom"], pos, ".", match["ref"], match["alt"])
    elif len(cells) >= 5:
        yield from check_record(where, *cells[:5])
    elif len(cells) == 4:
        chrom, pos, ref, alt = cells
        yield from check_record(where, chrom, pos, ".", ref, alt)
    else:
        raise BioqError(
            f"{where}: {_short(line)!r} is no variant; expected CONTIG:POS:REF>ALT, as "
            "chr22:19711000:A>G, or the columns CHROM POS ID REF ALT of a VCF"
        )


def _check_alleles(alleles: Iterable[Variant], limits: Limits) -> int:
    """Return how many alleles there are; stops at the first that is too many."""
    count = letters = 0
    for count, allele in enumerate(alleles, start=1):
        letters += len(allele.ref) + len(allele.alt)
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
    if not count:
        raise BioqError("there is no variant; write CONTIG:POS:REF>ALT, or upload a VCF")
    return count


def _read_all(windows: Windows, limits: Limits) -> WindowBatch:
    with no_progress():
        count = windows.count()
        _check_windows(count, limits)
        return next(windows.batches(count))


def _check_windows(count: int, limits: Limits) -> None:
    if count > limits.windows:
        raise BioqError(
            f"{count:,} windows are more than the {limits.windows:,} that the page takes; give "
            "less sequence, or use 'bioq predict'"
        )


def _bare(text: str) -> str:
    """Return the letters of a sequence that stands without a header."""
    for number, line in enumerate(text.splitlines(), start=1):
        for word in line.split():
            if not word.isdigit() and _BASES.fullmatch(word) is None:
                raise BioqError(
                    f"line {number}: {_short(word)!r} is no DNA; expected the letters A, C, G, T, "
                    "N and IUPAC's others, or FASTA, which begins with '>'"
                )
    return "".join(word for word in text.split() if not word.isdigit())


def _checked(text: str, limits: Limits) -> str:
    """Return a text of a size that is taken, without the mark that some editors begin it with."""
    if len(text) > limits.text_bytes:
        raise BioqError(
            f"the text has {len(text):,} letters; the page takes {limits.text_bytes:,}: use the "
            "command line for more"
        )
    return text.removeprefix("\ufeff")


def short(text: str, most: int) -> str:
    """Return a text cut to `most` letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _short(text: str) -> str:
    return short(text.strip(), _MOST_SHOWN)


def _number(text: str) -> int:
    digits = text.replace(",", "")
    return int(digits[:12] or 0)

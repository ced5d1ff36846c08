"""Checks the variants that a visitor pastes or uploads."""

import tempfile
import time
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from bioq.errors import BioqError
from bioq.files.text import open_content, split_lines
from bioq.genome.notation import VARIANT_FORM, correction, parse_region, parse_variant
from bioq.genome.vcf import Variant, check_record, is_bases, read_variants, refuse_other_tables
from bioq.genome.vcf_header import VcfHeader
from bioq.genome.vcf_tables import refuse_joined, refuse_joined_header, refuse_names
from bioq.progress import Advance
from bioq.web.limits import Limits
from bioq.web.visitor_input import checked_text, quoted, with_example

_PIECE_BYTES = 1 << 20
_MOST_HEADER_LINES = 10_000
"""Lines of a pasted header: GRCh38 has 3,366 contigs; each takes 9 microseconds."""
_MOST_CELLS = 10_000
"""Cells of a line that are kept as such; the last of them is the rest of the line."""


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
    lines = split_lines(checked_text(text, limits))
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
            f"{where}: {quoted(line)!r} is a variant after #, which begins the lines of a header; "
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
        raise BioqError(f"{where}: {quoted(line)!r} is not a variant; {remedy or expected}")
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

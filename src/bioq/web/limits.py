"""The limits of the server: sizes, numbers and times."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The largest request, the longest queue and the results that are kept."""

    body_bytes: int = 16 << 20
    """Bytes of a request's body, an uploaded VCF included."""
    vcf_bytes: int = 128 << 20
    """Bytes of an uploaded VCF once it is decompressed."""
    text_bytes: int = 2 << 20
    """Bytes of pasted text."""
    text_lines: int = 50_000
    """Lines of pasted text: 2 MiB in lines of 42 letters."""
    windows: int = 200
    """Windows of one prediction."""
    alleles: int = 10_000
    """Alleles of one job."""
    allele_letters: int = 10_000_000
    """Letters of REF and ALT of all alleles of one job."""
    direct_alleles: int = 100
    """Alleles that /api/variants scores in one request."""
    waiting_windows: int = 2_000
    """Windows that may wait for prediction; a request beyond that gets status 429."""
    waiting_jobs: int = 16
    """Jobs that may wait at each level of the queue (see `queue.Level`)."""
    kept_jobs: int = 100
    """Finished jobs whose results are kept; the oldest result is removed first."""
    kept_seconds: float = 24 * 3600
    """Seconds that a result is kept after it was last viewed."""
    kept_bytes: int = 8 << 30
    """Bytes of all result files together; the oldest result is removed first."""
    direct_seconds: float = 1.5
    """Seconds that a page waits for a result before it shows progress instead."""

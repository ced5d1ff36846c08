"""How much the server takes on: every bound in one place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one request may ask, what may wait, and what is kept."""

    body_bytes: int = 16 << 20
    """Bytes of a request's body, an uploaded VCF included."""
    vcf_bytes: int = 128 << 20
    """Bytes of an uploaded VCF once it is decompressed."""
    text_bytes: int = 2 << 20
    """Bytes of pasted text."""
    windows: int = 200
    """Windows of one prediction."""
    alleles: int = 10_000
    """Alleles of one job."""
    allele_letters: int = 10_000_000
    """Letters of REF and ALT of all alleles of one job."""
    direct_alleles: int = 100
    """Alleles that the API scores while its caller waits."""
    waiting_windows: int = 2_000
    """Windows that may wait to be predicted; the request that would be too many gets a 429."""
    waiting_jobs: int = 16
    """Longer jobs that may wait."""
    kept_jobs: int = 100
    """Finished jobs whose results are kept, the oldest goes first."""
    kept_seconds: float = 24 * 3600
    """How long a result is kept after it was last looked at."""
    kept_bytes: int = 8 << 30
    """Size of all results' files, the oldest goes first."""
    direct_seconds: float = 1.5
    """How long a page waits for a result before it shows progress instead."""

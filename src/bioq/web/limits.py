"""The limits of the server: sizes, numbers and times."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The largest request, the longest queue and the results that are kept."""

    body_bytes: int = 16 << 20
    """Bytes of a request's body, an uploaded VCF included."""
    vcf_bytes: int = 128 << 20
    """Bytes of an uploaded VCF once it is decompressed."""
    vcf_lines: int = 200_000
    """Lines of an uploaded VCF. It has up to 10,000 alleles; its header has a line per contig, of
    which the human builds have up to 3,400."""
    vcf_line_bytes: int = 8 << 20
    """Bytes of a line of an uploaded VCF, give or take a MiB: a million samples. While Python
    splits a line, no page is answered: 64 MiB took a second."""
    vcf_seconds: float = 5.0
    """Seconds of checking an uploaded VCF: ten times the time of 10,000 alleles in 114 MiB."""
    text_bytes: int = 2 << 20
    """Bytes of pasted text."""
    text_lines: int = 50_000
    """Lines of pasted text: 2 MiB in lines of 42 letters."""
    windows: int = 200
    """Windows of one prediction."""
    name_letters: int = 200_000
    """Letters of the names of all windows of one prediction: a name is in the row of each."""
    alleles: int = 10_000
    """Alleles of one job."""
    allele_letters: int = 10_000_000
    """Letters of contig, ID, REF and ALT of all alleles of one job."""
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
    waiting_uploads: int = 8
    """Uploads that may wait for their check, of which one runs at a time; beyond that, status 429.
    The last one waits for 40 s at most."""
    waiting_requests: int = 400
    """Requests that may wait in each other pool of threads (see `pools`): as many as connections,
    so that a request is refused only by the limits of its own kind."""
    bodies_bytes: int = 256 << 20
    """Bytes of all bodies that are in memory, of those over `small_bytes`; a body beyond that gets
    status 429."""
    small_bytes: int = 256 << 10
    """Bytes of a body that is accepted whatever larger bodies are in memory: 400 of them are 100
    MiB."""
    connections: int = 400
    """Connections at once. Each may need two file descriptors, of which a process usually has
    1,024. At more, the connection that has waited longest without a complete request is closed."""
    head_seconds: float = 10.0
    """Seconds in which the first line and the headers of a request must arrive."""
    idle_seconds: float = 15.0
    """Seconds that a connection stays open after an answer: a page polls a job every second."""
    body_seconds: float = 20.0
    """Seconds that a body may take in addition to its bytes at `bytes_per_second`."""
    bytes_per_second: int = 16 << 10
    """The slowest upload: an eighth of a slow mobile connection (1 Mbit/s)."""
    answer_seconds: float = 30.0
    """Seconds in which a client must read the 48 KiB that make room for more of an answer."""
    direct_seconds: float = 1.5
    """Seconds that a page waits for a result before it shows progress instead."""

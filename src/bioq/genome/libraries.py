"""pysam, which does not exist for Windows, and pyBigWig, which has wheels for few systems.

`import bioq` and all that does not need them work without them: their first use is an error.
"""

from typing import Any

from bioq.errors import UsageError

_MESSAGES = {
    "pysam": (
        "a FASTA genome, a BCF and a file in bgzip blocks need the package pysam; pip install "
        "pysam, or on Windows, where it does not exist, run BioQ in WSL or give a .2bit genome"
    ),
    "pyBigWig": (
        "a bigWig needs the package pyBigWig; pip install pyBigWig, with a C compiler and zlib, or "
        "install BioQ by conda (on Windows: in WSL)"
    ),
}


class _Absent:
    """In place of a package that is not installed."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UsageError(_MESSAGES[self._name])


try:
    import pysam
    import pysam.bcftools
    import pysam.utils
except ImportError:
    pysam = _Absent("pysam")  # type: ignore[assignment]
try:
    import pyBigWig
except ImportError:
    pyBigWig = _Absent("pyBigWig")

__all__ = ["pyBigWig", "pysam"]

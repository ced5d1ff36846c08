"""The frequency of each allele of a VCF, where INFO has it."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bioq.files.streams import stored
from bioq.files.text import open_content
from bioq.genome.vcf import BCF_MAGIC
from bioq.genome.vcf_lines import INFO, open_bcf_lines

KEY = "AF"
"""The field of INFO: VCF 4.3, section 1.6.1, one number per ALT."""


def read_frequencies(path: Path) -> npt.NDArray[np.float64]:
    """Return INFO/AF of every allele of a VCF or BCF in the order of `read_variants`, NaN where
    the file does not have it. The file was read before: a malformed line is not an error here."""
    found = (_of_info(info, alts.count(b",") + 1) for alts, info in _records(path))
    return np.fromiter(chain.from_iterable(found), dtype=np.float64)


def _records(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield ALT and INFO of every record."""
    with open_content(path, "VCF or BCF", accepts=["BCF"]) as content:
        if content.stream.peek(len(BCF_MAGIC)).startswith(BCF_MAGIC):
            with open_bcf_lines(stored(path), content.label) as bcf:
                for _, cells in bcf.records():
                    yield cells[4], cells[INFO]
            return
        for line in content.text():
            if not (line.startswith(b"#") or line.isspace()):
                cells = line.rstrip(b"\n").split(b"\t", INFO + 1)
                yield cells[4], cells[INFO] if len(cells) > INFO else b""


def _of_info(info: bytes, count: int) -> list[float]:
    """Return the frequencies of a record with `count` alleles."""
    none = [float("nan")] * count
    for field in info.split(b";"):
        key, _, value = field.partition(b"=")
        if key == KEY.encode():
            texts = value.split(b",")
            if len(texts) != count:
                return none
            return [_number(text) for text in texts]
    return none


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")

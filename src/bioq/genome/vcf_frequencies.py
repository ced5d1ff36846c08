"""The frequency of each allele of a VCF, where INFO has it."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam

from bioq.files.streams import stored
from bioq.files.text import open_content
from bioq.genome.fasta import quiet_htslib
from bioq.genome.vcf import BCF_MAGIC

KEY = "AF"
"""The field of INFO: VCF 4.3, section 1.6.1, one number per ALT."""


def read_frequencies(path: Path) -> npt.NDArray[np.float64]:
    """Return INFO/AF of every allele of a VCF or BCF in the order of `read_variants`, NaN where
    the file does not have it. The file was read before: a malformed line is not an error here."""
    with open_content(path, "VCF or BCF", accepts=["BCF"]) as content:
        if content.stream.peek(len(BCF_MAGIC)).startswith(BCF_MAGIC):
            return np.array(list(_of_bcf(stored(path))))
        found: list[float] = []
        for line in content.text():
            if line.startswith(b"#") or line.isspace():
                continue
            cells = line.rstrip(b"\n").split(b"\t", 8)
            found += _of_info(cells[7] if len(cells) > 7 else b"", cells[4].count(b",") + 1)
        return np.array(found, dtype=np.float64)


def _of_bcf(path: Path) -> Iterator[float]:
    with (
        quiet_htslib(),
        warnings.catch_warnings(action="ignore"),
        pysam.VariantFile(str(path), ignore_truncation=True) as file,
    ):
        has_field = KEY in file.header.info
        for record in file:
            count = len(record.alts or (".",))
            value = record.info.get(KEY) if has_field else None
            values = value if isinstance(value, tuple) else (value,)
            known = len(values) == count and all(isinstance(each, float) for each in values)
            yield from (values if known else [float("nan")] * count)


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

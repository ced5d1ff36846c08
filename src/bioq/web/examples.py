"""Example requests to the API, with targets of this model and positions in this genome."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.genome.notation import Interval, VariantText
from bioq.web.service import Service

JSON, BYTES = "application/json", "application/octet-stream"
_POSITIONS = 40
"""Positions of the genome that are tried to find a window without unknown bases."""
_SEQUENCE_BP = 24
_SPAN_BP = 4


@dataclass(frozen=True)
class Example:
    """An example request."""

    name: str
    method: str
    path: str
    """As in the OpenAPI description, with {id} for the id of a job."""
    json: Mapping[str, Any] | None = None
    vcf: str = ""

    @property
    def body(self) -> bytes:
        return self.vcf.encode() if self.json is None else json.dumps(self.json).encode()

    @property
    def media_type(self) -> str:
        return BYTES if self.json is None else JSON

    def curl(self, address: str) -> str:
        """Return the curl command that sends the request."""
        options = {"POST": [], "GET": [], "DELETE": ["-X DELETE"]}[self.method]
        if self.json is not None:
            options += [f"-H 'Content-Type: {JSON}'", f"-d {shlex.quote(json.dumps(self.json))}"]
        if self.vcf:
            options.append("--data-binary @variants.vcf.gz")
        url = shlex.quote(f"{address}{self.path}".replace("{id}", "ID"))
        return " \\\n  ".join([f"curl {url}", *options])


def examples(service: Service) -> list[Example]:
    """Return an example of every operation, and two if it accepts two kinds of input."""
    target = str(service.targets[NAME].iloc[0])
    requests = [Example("model", "GET", "/api/model")]
    codes = np.random.default_rng(0).integers(0, 4, _SEQUENCE_BP).astype(np.uint8)
    sequence = {"name": "mine", "sequence": dna.decode(codes)}
    predict = {"sequences": [sequence], "targets": [target], "pad": True}
    requests.append(Example("sequence", "POST", "/api/predict", predict))
    contig, start, base = _position(service)
    region = str(Interval(contig, start, start + 2 * service.bin_bp))
    requests.append(
        Example("region", "POST", "/api/predict", {"regions": [region], "targets": [target]})
    )
    alleles = list(_alleles(contig, start + 1, base))
    lines = [str(allele) for allele in alleles]
    requests.append(
        Example("variants", "POST", "/api/variants", {"variants": lines, "targets": [target]})
    )
    window: dict[str, Any] = {"region": str(Interval(contig, start, start + service.bin_bp))}
    if service.genome is None:
        window = {"sequence": sequence["sequence"]}
    mutate = {**window, "target": target, "span_bp": _SPAN_BP}
    requests.append(Example("window", "POST", "/api/mutagenesis", mutate))
    rows = "".join("\t".join(allele) + "\n" for allele in alleles)
    vcf = f"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n{rows}"
    requests.append(Example("VCF", "POST", "/api/jobs", vcf=vcf))
    requests.append(Example("job", "GET", "/api/jobs/{id}"))
    requests.append(Example("result", "GET", "/api/jobs/{id}/result.tsv"))
    requests.append(Example("job", "DELETE", "/api/jobs/{id}"))
    return requests


def add_examples(openapi: dict[str, Any], service: Service) -> None:
    """Put the examples of request bodies into an OpenAPI description."""
    for example in examples(service):
        if example.body:
            operation = openapi["paths"][example.path][example.method.lower()]
            content = operation["requestBody"]["content"][example.media_type]
            value = example.vcf or example.json
            content.setdefault("examples", {})[example.name] = {"value": value}


def _alleles(contig: str, pos: int, base: str) -> Iterator[VariantText]:
    """Yield an allele that is scored, and one whose REF differs from the genome."""
    next_base = dna.BASES[(dna.BASES.index(base) + 1) % 4]
    later_base = dna.BASES[(dna.BASES.index(base) + 2) % 4]
    yield VariantText(contig, str(pos), ".", base, next_base)
    yield VariantText(contig, str(pos), ".", next_base, later_base)


def _position(service: Service) -> tuple[str, int, str]:
    """Return (contig, start, base) of a position with known bases around it.

    Without a genome, a position that a human genome has.
    """
    genome = service.genome
    if genome is None:
        return "chr22", 19_711_000, "A"
    contig = max(genome.lengths, key=lambda name: genome.lengths[name])
    length = genome.lengths[contig]
    start = 0
    for number in range(1, _POSITIONS):
        start = length * number // _POSITIONS
        codes = genome.read(contig, start, min(start + service.window_bp, length))
        if len(codes) == service.window_bp and (codes < dna.UNKNOWN).all():
            break
    base = dna.decode(genome.read(contig, start, start + 1))
    return contig, start, base if base in dna.BASES else "A"

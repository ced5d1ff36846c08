"""Example requests to the API, with targets of this model and positions in this genome."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.genome.notation import VariantText
from bioq.web.known_window import KnownWindow
from bioq.web.service import Service

JSON, BYTES = "application/json", "application/octet-stream"
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
    """Return examples of the operations, and two if one accepts two kinds of input.

    Without a genome there is none of an operation that needs a genome.
    """
    target, window = str(service.targets[NAME].iloc[0]), service.known_window
    codes = np.random.default_rng(0).integers(0, 4, _SEQUENCE_BP).astype(np.uint8)
    sequence = {"name": "mine", "sequence": dna.decode(codes)}
    predict = {"sequences": [sequence], "targets": [target], "pad": True}
    requests = [
        Example("model", "GET", "/api/model"),
        Example("sequence", "POST", "/api/predict", predict),
    ]
    mutated: dict[str, Any] = {"sequence": sequence["sequence"]}
    if window is not None:
        requests += _of_genome(window, target)
        mutated = {"region": str(window.region())}
    mutate = {**mutated, "target": target, "span_bp": _SPAN_BP}
    requests.append(Example("window", "POST", "/api/mutagenesis", mutate))
    requests.append(Example("window", "POST", "/api/attribution", mutate))
    return requests if window is None else [*requests, *_of_jobs(window)]


def _of_genome(window: KnownWindow, target: str) -> list[Example]:
    """Return the examples with a region and with variants."""
    region = {"regions": [str(window.region(2))], "targets": [target]}
    lines = {"variants": [str(allele) for allele in _alleles(window)], "targets": [target]}
    return [
        Example("region", "POST", "/api/predict", region),
        Example("variants", "POST", "/api/variants", lines),
    ]


def _of_jobs(window: KnownWindow) -> list[Example]:
    rows = "".join("\t".join(allele) + "\n" for allele in _alleles(window))
    vcf = f"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n{rows}"
    return [
        Example("VCF", "POST", "/api/jobs", vcf=vcf),
        Example("job", "GET", "/api/jobs/{id}"),
        Example("result", "GET", "/api/jobs/{id}/result.tsv"),
        Example("job", "DELETE", "/api/jobs/{id}"),
    ]


def add_examples(openapi: dict[str, Any], service: Service) -> None:
    """Put the examples of request bodies into an OpenAPI description."""
    for example in examples(service):
        if example.body:
            operation = openapi["paths"][example.path][example.method.lower()]
            content = operation["requestBody"]["content"][example.media_type]
            value = example.vcf or example.json
            content.setdefault("examples", {})[example.name] = {"value": value}


def _alleles(window: KnownWindow) -> list[VariantText]:
    """Return an allele that is scored, and one with REF and ALT exchanged, which is not unless it
    is requested."""
    variant = window.variant
    return [variant, variant._replace(ref=variant.alt, alt=variant.ref)]

"""What a result was computed from: the fields of a form, and the request to the API that has the
same input."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bioq.files.text import split_lines
from bioq.genome.vcf import Variant

MOST_LETTERS = 2_000
"""Letters of a link: browsers, mail programs and proxies keep as many."""
_NAME_LETTERS = 100
"""Letters of a sequence's name that the API accepts."""


@dataclass(frozen=True)
class Repeat:
    """How to compute a result again."""

    path: str
    """The page of the form."""
    fields: Mapping[str, str]
    """The fields of the form; none if the text is too long for a link."""
    api: str
    """The path of the API that takes the same input."""
    file: str
    """Name of the request's file in the job's folder; or the name of the visitor's file."""
    is_kept: bool = True
    """Whether the server has the request as a file."""


def fields_of_link(**fields: str) -> dict[str, str]:
    """Return the fields that are not empty; none if they are too long together for a link."""
    fits = sum(map(len, fields.values())) <= MOST_LETTERS
    return {name: text for name, text in fields.items() if text and fits}


def keep_request(
    folder: Path, path: str, fields: Mapping[str, str], api: str, file: str, request: str
) -> Repeat:
    """Write a request into the folder of a job; return how to repeat the job."""
    (folder / file).write_text(request, encoding="utf-8")
    return Repeat(path, fields, api, file)


def windows_request(text: str, *, is_regions: bool, pad: bool) -> str:
    """Return the JSON of /api/predict for a pasted text that the page has read."""
    if is_regions:
        return json.dumps({"regions": [line for line in split_lines(text) if line.strip()]})
    return json.dumps({"sequences": _sequences(text), **({"pad": True} if pad else {})})


def variants_request(alleles: Sequence[Variant]) -> str:
    """Return a VCF of alleles."""
    rows = (f"{one.chrom}\t{one.pos}\t{one.id}\t{one.ref}\t{one.alt}\n" for one in alleles)
    return "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(rows)


def _sequences(text: str) -> list[dict[str, str]]:
    """Return the sequences of a FASTA, or the one of a text without a header, as the API takes
    them: names of ASCII, letters alone."""
    found: list[dict[str, str]] = []
    for line in split_lines(text):
        if line.startswith(">") or not found:
            words = line[1:].split(maxsplit=1) if line.startswith(">") else []
            name = words[0].encode("ascii", "replace").decode() if words else "sequence"
            found.append({"name": name[:_NAME_LETTERS], "sequence": ""})
        if not line.startswith(">"):
            found[-1]["sequence"] += "".join(letter for letter in line if letter.isalpha())
    return [item for item in found if item["sequence"]]

"""Options that several commands share, with one help text each."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bioq.genome.notation import REGION_FORM, VARIANT_FORM

FLAGS = Parameter(name="*")
"""Every field of a dataclass is a flag."""
Device = Annotated[
    str | None,
    Parameter(
        help="cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no "
        "card."
    ),
]
_FROM_1 = "positions are counted from 1"
Input = Annotated[
    str,
    Parameter(
        name="input",
        allow_leading_hyphen=True,
        help="FASTA (plain, gzip or bgzip). With --genome also BED, a region "
        f"{REGION_FORM}, or a variant {VARIANT_FORM}, which gives the windows with REF and with "
        f"ALT; {_FROM_1}. - reads FASTA or BED from standard input.",
    ),
]
"""The input of a command that reads windows."""
AlleleInput = Annotated[
    str,
    Parameter(
        name="input",
        allow_leading_hyphen=True,
        help=f"VCF or BCF, compressed or not; or a variant {VARIANT_FORM}; {_FROM_1}. "
        "- reads VCF or BCF from standard input.",
    ),
]
"""The input of a command that scores alleles."""
ChromAlias = Annotated[
    Path | None,
    Parameter(
        help="Table of contig names, tab-separated, one contig per line; one of the names is the "
        "genome's. UCSC's chromAlias.txt and NCBI's assembly_report.txt are such tables."
    ),
]
RUN_FORMS = (
    "a folder that 'bioq train', 'bioq import' or 'bioq ensemble' wrote, a name that 'bioq models' "
    "lists, or an address: hf:OWNER/NAME, zenodo:RECORD or https://...#sha256=DIGITS"
)
"""What a command takes as a run, for help texts."""
Run = Annotated[
    str,
    Parameter(name="run", help=f"The run: {RUN_FORMS}."),
]
"""A run, as `runs.named.resolve_run` takes it: text and not a path, which would lose a slash of an
address."""
Force = Annotated[bool, Parameter(help="Replace an output that exists.")]

"""The publications whose networks BioQ reads; without PyTorch, for what only lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bioq.published.data import BELUGA_TARGETS, DEEPSEA_TARGETS

_ZENODO = "https://zenodo.org/record"
_DANQ_CITATION = "Quang & Xie 2016, Nucleic Acids Research 44:e107, doi:10.1093/nar/gkw226"


@dataclass(frozen=True)
class Publication:
    """A published network, and the data that it was trained on."""

    title: str
    citation: str
    targets: int
    licence: str = ""
    """The licence of the weights; empty if none is known."""
    files: Mapping[str, str] = field(default_factory=dict)
    """MD5 -> address of each published file; empty if no file is online."""


PUBLICATIONS: Mapping[str, Publication] = {
    "deepsea": Publication(
        title="DeepSEA (Zhou & Troyanskaya 2015)",
        citation="Zhou & Troyanskaya 2015, Nature Methods 12:931, doi:10.1038/nmeth.3547",
        licence="CC BY 3.0",
        targets=DEEPSEA_TARGETS,
        files={
            "89e640bf6bdbe1ff165f484d9796efc7": (
                f"{_ZENODO}/1466993/files/deepsea_predict.pth?download=1"
            ),
            "35956ab9c28960b5a3693f470fe980c1": (
                f"{_ZENODO}/1466993/files/deepsea_variant_effects.pth?download=1"
            ),
        },
    ),
    "beluga": Publication(
        title="Beluga (Zhou et al. 2018)",
        citation="Zhou et al. 2018, Nature Genetics 50:1171, doi:10.1038/s41588-018-0160-6",
        licence=(
            "Princeton Academic Use Software Agreement, for non-commercial use: "
            "https://github.com/kipoi/models/blob/master/DeepSEA/beluga/LICENSE"
        ),
        targets=BELUGA_TARGETS,
        files={
            "62360f2db4ac96554d28d058b50ab654": (
                f"{_ZENODO}/3402406/files/deepsea.beluga.pth?download=1"
            ),
        },
    ),
    "danq": Publication(
        title="DanQ (Quang & Xie 2016)",
        citation=_DANQ_CITATION,
        targets=DEEPSEA_TARGETS,
    ),
    "danq-jaspar": Publication(
        title="DanQ-JASPAR (Quang & Xie 2016)",
        citation=_DANQ_CITATION,
        targets=DEEPSEA_TARGETS,
    ),
    "bioq-2024": Publication(
        title="BioQ (Conboy & Konka 2024)",
        citation="Conboy & Konka 2024",
        targets=DEEPSEA_TARGETS,
    ),
}
"""Name of a layout -> its publication. The links to DanQ's files are dead."""

"""The inputs of a trained model: sequences, regions and variants, as a stream of windows."""

from bioq.inputs.all_snvs import AllSnvs
from bioq.inputs.alleles import (
    AlleleInput,
    Alleles,
    AlleleSource,
    alleles_name,
    alleles_of,
    open_alleles,
)
from bioq.inputs.files import input_file
from bioq.inputs.loci import Loci, Locus, open_loci
from bioq.inputs.places import (
    PLACES,
    Place,
    Source,
    find_place,
    open_source,
    require_genome,
    sequence_file,
)
from bioq.inputs.random_snvs import RandomSnvs
from bioq.inputs.regions import RegionWindows
from bioq.inputs.sequences import SequenceWindows
from bioq.inputs.typed_variant import VariantWindows
from bioq.inputs.windows import WindowBatch, Windows

__all__ = [
    "PLACES",
    "AllSnvs",
    "AlleleInput",
    "AlleleSource",
    "Alleles",
    "Loci",
    "Locus",
    "Place",
    "RandomSnvs",
    "RegionWindows",
    "SequenceWindows",
    "Source",
    "VariantWindows",
    "WindowBatch",
    "Windows",
    "alleles_name",
    "alleles_of",
    "find_place",
    "input_file",
    "open_alleles",
    "open_loci",
    "open_source",
    "require_genome",
    "sequence_file",
]

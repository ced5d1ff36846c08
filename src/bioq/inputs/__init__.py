"""The inputs of a trained model: sequences, regions and variants, as a stream of windows."""

from bioq.inputs.files import input_file
from bioq.inputs.loci import Loci, Locus, open_loci
from bioq.inputs.regions import RegionWindows
from bioq.inputs.sequences import SequenceWindows
from bioq.inputs.windows import WindowBatch, Windows

__all__ = [
    "Loci",
    "Locus",
    "RegionWindows",
    "SequenceWindows",
    "WindowBatch",
    "Windows",
    "input_file",
    "open_loci",
]

"""What a person brings to a trained model: sequences and regions, as a stream of windows."""

from bioq.inputs.files import input_file
from bioq.inputs.places import Place, Places, open_places
from bioq.inputs.regions import RegionWindows
from bioq.inputs.sequences import SequenceWindows
from bioq.inputs.windows import WindowBatch, Windows

__all__ = [
    "Place",
    "Places",
    "RegionWindows",
    "SequenceWindows",
    "WindowBatch",
    "Windows",
    "input_file",
    "open_places",
]

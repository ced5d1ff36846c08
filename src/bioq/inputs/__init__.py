"""What a person brings to a trained model: sequences and regions, as a stream of windows."""

from bioq.inputs.regions import RegionWindows
from bioq.inputs.sequences import SequenceWindows
from bioq.inputs.windows import WindowBatch, Windows

__all__ = ["RegionWindows", "SequenceWindows", "WindowBatch", "Windows"]

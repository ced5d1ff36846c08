"""Saturation mutagenesis: what every change of one base does to every target."""

from bioq.mutagenesis.effects import WindowEffects, mutate_window
from bioq.mutagenesis.jobs import MutagenesisOptions, mutagenesis_file

__all__ = ["MutagenesisOptions", "WindowEffects", "mutagenesis_file", "mutate_window"]

"""BioQ predicts what DNA does: chromatin targets of a 1,000-bp window."""

__version__ = "0.1.0"

"""DeepSEA's data, on which every published network that BioQ reads was trained.

Beluga has more targets on the same genome, with the same channels, and leaves out the same contigs.
Sources: README of the DeepSEA training bundle v0.9; Zhou & Troyanskaya 2015; Quang & Xie 2016; Zhou
et al. 2018.
"""

GENOME = "hg19"
"""UCSC's name of the genome."""
CHANNELS = "AGCT"
"""Order of the channels of a one-hot window (checked on real rows; DanQ's and Selene's code
agree)."""
TEST_CONTIGS = ("chr8", "chr9")
"""The contigs of the test windows. Training and validation have those of the other autosomes."""
DEEPSEA_TARGETS, BELUGA_TARGETS = 919, 2002
"""Numbers of targets: of DeepSEA, DanQ and BioQ, and of Beluga."""

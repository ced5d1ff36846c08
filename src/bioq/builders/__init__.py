"""Builders of data sets: from peaks, from DeepSEA's files, or simulated."""

BIN_BP = 200
"""Length of the bins of DeepSEA's data, and the usual length of those of other data sets."""

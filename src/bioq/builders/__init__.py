"""Builders of data sets: from peaks, from DeepSEA's files, or simulated."""

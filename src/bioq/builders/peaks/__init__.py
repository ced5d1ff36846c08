"""Builds a data set from peak files and a genome."""

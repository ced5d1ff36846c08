"""Tracks of a genome browser: bigWig files of what a model computes along a genome."""

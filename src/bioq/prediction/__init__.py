"""Probabilities for the windows of sequences and regions, into a file."""

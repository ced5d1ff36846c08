"""Scoring a run on a labelled split, and calibrating its probabilities."""

"""Simulated data sets with motifs planted by known rules."""

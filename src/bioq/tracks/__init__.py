"""Tracks of a genome browser: bigWig files, and the hub with which a browser shows them."""

from bioq.tracks.hub import write_hub

__all__ = ["write_hub"]

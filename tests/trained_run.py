"""What the fixture `trained` gives: in a module of its own, for tests to import by name."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainedRun:
    """A small model that has learned two planted motifs, and where it comes from."""

    run: Path
    data: Path
    motifs: dict[str, str]
    """Target -> the consensus that makes it positive, on either strand."""
    window_bp: int = 200

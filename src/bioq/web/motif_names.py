"""The motifs whose names are written above contributions."""

import os
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bioq import dna
from bioq.errors import UsageError
from bioq.genome.builds import Build
from bioq.interpretation.sites import Site, find_sites
from bioq.motifs import Motif, collection_for, motifs_from
from bioq.options import text

NO_MOTIFS = "none"
"""In place of a collection: sites without names."""
_TRIAL_BP, _TRIAL_SITE = 100, slice(40, 52)


class MotifNames:
    """A collection of motifs, which is read when it is first used."""

    def __init__(self, source: str, motifs: Sequence[Motif] | None = None):
        self.source = source
        """The collection as the option --motifs gives it: a release or a file; or `NO_MOTIFS`."""
        self._motifs = motifs
        self._lock = threading.Lock()
        self._preparing: threading.Thread | None = None
        self.is_ready = False
        """Whether sites are found in milliseconds; the first search takes seconds."""

    def sites(self, codes: dna.Bytes, heights: npt.NDArray[np.float32]) -> tuple[list[Site], str]:
        """Return the sites among contributions, both `(bases,)`, and a note: why they have no
        names, or why there are none; empty if they have names."""
        try:
            return find_sites(codes, heights, self._read()), self._note()
        except UsageError as error:  # a package is not installed
            return [], f"Sites and their motif names are not shown: {error}"

    def prepare(self, *, wait: bool = False) -> None:
        """Read the motifs and find a site in a thread, unless this was done: the first call of the
        packages compiles them, for seconds."""
        with self._lock:
            if self._preparing is None:
                # A daemon: the server ends without it.
                self._preparing = threading.Thread(target=self._find_any, daemon=True)
                self._preparing.start()
        if wait:
            self._preparing.join()

    def _find_any(self) -> None:
        codes = np.random.default_rng(0).integers(0, 4, _TRIAL_BP).astype(np.uint8)
        heights = np.zeros(_TRIAL_BP, np.float32)
        heights[_TRIAL_SITE] = 1
        try:
            self.sites(codes, heights)
        except OSError:  # no descriptor or no space for what is compiled: a page tries it again
            pass
        finally:
            self.is_ready = True

    def _read(self) -> Sequence[Motif]:
        with self._lock:
            if self._motifs is None:
                self._motifs = [] if self.source == NO_MOTIFS else motifs_from(self.source)
            return self._motifs

    def _note(self) -> str:
        if self.source != NO_MOTIFS:
            return ""
        return "Sites have no motif names: the server was started with --motifs none"


def open_motif_names(source: str | None, builds: Sequence[Build | None]) -> MotifNames:
    """Return the motifs of a collection: a JASPAR release or a MEME file (`motifs_from`).

    Without a source it is JASPAR's newest release, of the group of the first build that is known.
    Raises UsageError or BioqError for another collection.
    """
    if source is None:
        known = next((build.name for build in builds if build is not None), "")
        return MotifNames(collection_for(known))
    if text("motifs", source) == NO_MOTIFS:
        return MotifNames(source)
    # A folder of the server is not the visitor's business.
    return MotifNames(os.path.basename(source), motifs_from(source))

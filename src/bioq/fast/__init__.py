"""Faster computation of the networks in `models`, with equal outputs.

`prepare` returns a fast path for any windows, `prepare_edits` one for windows and edits of them,
`open_mutants` one for the single substitutions of a window; each returns None for a model that has
none, which then computes itself. `paths` lists the fast paths of each network. BIOQ_PLAIN=1 in the
environment switches all of them off.
"""

from bioq.fast.edits import prepare_edits
from bioq.fast.engines import prepare
from bioq.fast.mutants import Mutants, open_mutants
from bioq.fast.paths import Engine

__all__ = ["Engine", "Mutants", "open_mutants", "prepare", "prepare_edits"]

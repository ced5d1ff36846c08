"""Faster computation of the networks in `models`, with equal outputs.

`prepare` returns a fast path for any windows, `prepare_edits` a fast path for windows and edits of
them, `open_mutants` a fast path for the single substitutions of a window. Each returns None for a
model without that path, which is then computed by plain PyTorch. `paths` lists the fast paths of
each network. BIOQ_PLAIN=1 in the environment switches all of them off.
"""

from bioq.fast.edits import prepare_edits
from bioq.fast.engines import prepare
from bioq.fast.mutants import Mutants, open_mutants
from bioq.fast.paths import Engine

__all__ = ["Engine", "Mutants", "open_mutants", "prepare", "prepare_edits"]

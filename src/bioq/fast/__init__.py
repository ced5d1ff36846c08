"""The same outputs sooner. `models` stays the definition; here is how a CPU computes it best.

`prepare` picks a fast path for any windows where there is one, `prepare_edits` one for windows and
edits of them, `open_mutants` one for the single substitutions of a window. BIOQ_PLAIN=1 in the
environment switches all of them off.
"""

from bioq.fast.edits import prepare_edits
from bioq.fast.engines import Engine, prepare
from bioq.fast.mutants import Mutants, open_mutants

__all__ = ["Engine", "Mutants", "open_mutants", "prepare", "prepare_edits"]

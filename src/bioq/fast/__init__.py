"""The same outputs sooner. `models` stays the definition; here is how a CPU computes it best.

`prepare` picks a fast path where there is one. BIOQ_PLAIN=1 in the environment switches all of them
off.
"""

from bioq.fast.engines import Engine, prepare

__all__ = ["Engine", "prepare"]

"""Mutants of a window through a Marq of one LSTM layer: edits of one window, a few positions at a
time."""

import numpy as np
import torch
from torch import Tensor

from bioq.fast.edits_marq import EditedMarq
from bioq.fast.reach import Codes, Cost, Numbers, mutated
from bioq.models.marq import Marq

_MOST_ROWS = 64
"""Mutants that are computed at a time. More lie farther apart, and each is computed again at the
positions of all."""


class SharedMarq:
    """A Marq whose weights are arranged to compute mutants."""

    def __init__(self, model: Marq):
        self.network = EditedMarq(model, torch.float32)
        reach = self.network.reach
        # The composition counts the bases that no filter reads, too.
        is_whole = model.composition is not None
        self.used = model.architecture["window_bp"] if is_whole else reach.used
        """See `paths.SharedNetwork`."""
        self.cost = Cost(
            mutant_bytes=8 * reach.positions * 2 * model.lstm.hidden_size,
            least_mutants=0,
            gains=EditedMarq.can_compute(model) and reach.spares_half,
        )

    def reference(self, codes: Codes) -> "MarqReference":
        """Compute a window of codes `(length,)`."""
        return MarqReference(self.network, codes)


class MarqReference:
    """A window that is computed again with every few mutants of it."""

    def __init__(self, network: EditedMarq, codes: Codes):
        self._network, self._codes = network, codes
        self.logits: Tensor = self._with_mutants(codes[None], np.zeros(1, np.int64))[:1]
        """Logits of the window `(1, targets)`."""

    def mutate(self, position: Numbers, base: Numbers) -> Tensor:
        """See `paths.Reference`."""
        mutants = mutated(self._codes, position, base)
        starts = range(0, len(position), _MOST_ROWS)
        pieces = (slice(start, start + _MOST_ROWS) for start in starts)
        parts = [self._with_mutants(mutants[rows], position[rows])[1:] for rows in pieces]
        return torch.cat(parts)

    def _with_mutants(self, mutants: Codes, position: Numbers) -> Tensor:
        """Return the logits of the window, then those of mutants at ascending positions."""
        low, high = self._network.reach.span(position[:1], position[-1:])
        of = torch.zeros(len(mutants), dtype=torch.int64)
        window, edited = torch.from_numpy(self._codes[None]), torch.from_numpy(mutants)
        return self._network(window, edited, of, int(low[0]), int(high[0]))

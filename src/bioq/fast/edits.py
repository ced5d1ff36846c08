"""Windows and edits of them: the layers compute once what an edit shares with its window.

`mutants` handles many edits of one window. This module handles a few edits in each of many windows,
such as the alleles of a VCF. Windows and edits are computed together; only the positions from the
first to the last difference are computed again. `reach` has a picture.
"""

from collections.abc import Callable
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from bioq.fast.cache import cached
from bioq.fast.engines import Precision
from bioq.fast.paths import EditedNetwork, cpu_dtype, paths_of
from bioq.fast.reach import Codes, Numbers
from bioq.fast.threads import Threads
from bioq.options import of_type, one_of

EditEngine = Callable[[Codes, Codes, Numbers], tuple[Tensor, Tensor]]
"""Codes of windows `(n, window_bp)`, of edits `(m, window_bp)` and the window of each edit `(m,)`
-> logits float32 `(m, targets)` of that window and of the edit; at least one edit."""

_LEAST_ROWS = 16
"""Fewest edits for which another thread saves time."""
_MOST_ROWS = 64
"""Edits that a thread computes at a time."""


def prepare_edits(model: nn.Module, precision: str) -> EditEngine | None:
    """Return an engine that shares computation between windows and their edits.

    Returns None if sharing does not apply: see `prepare`; also for more than one LSTM layer, or
    windows so short that one substitution changes most positions. Raises UsageError for another
    precision.
    """
    one_of("precision", precision, get_args(Precision))
    of_type("model", model, nn.Module, "a PyTorch module")
    paths = paths_of(model)
    if paths is None or paths.edits is None or not paths.has_edits(model):
        return None
    network, dtype = paths.edits, cpu_dtype(model, precision)
    if dtype is None:
        return None
    engine = cached(model, f"edits {precision}", lambda: _Edits(network(model, dtype)))
    return engine if engine.reach.spares_half else None


class _Edits:
    """An engine that divides edits between threads, those at similar positions together."""

    def __init__(self, network: EditedNetwork):
        self.reach = network.reach
        self._network = network
        self._threads = Threads()

    def __call__(self, codes: Codes, edited: Codes, of: Numbers) -> tuple[Tensor, Tensor]:
        differs = edited != codes[of]
        first, last = differs.argmax(1), edited.shape[1] - 1 - differs[:, ::-1].argmax(1)
        low, high = self.reach.span(first, last)
        lows, highs = np.full(len(codes), self.reach.positions), np.zeros(len(codes), np.int64)
        np.minimum.at(lows, of, low)
        np.maximum.at(highs, of, high)
        order = np.lexsort((of, highs[of], lows[of]))  # the edits of a window side by side
        workers = min(torch.get_num_threads(), len(edited) // _LEAST_ROWS)
        least = max(workers, 1)
        parts = np.array_split(order, least * -(-len(edited) // (least * _MOST_ROWS)))

        def compute(rows: Numbers) -> tuple[Tensor, Tensor]:
            windows, number = np.unique(of[rows], return_inverse=True)
            logits = self._network(
                torch.from_numpy(codes[windows]),
                torch.from_numpy(edited[rows]),
                torch.from_numpy(number),
                int(low[rows].min()),
                int(high[rows].max()),
            )
            return logits[: len(windows)][torch.from_numpy(number)], logits[len(windows) :]

        results = self._threads.map(compute, parts, workers)
        back = torch.from_numpy(np.argsort(order))
        before, after = (torch.cat(part)[back] for part in zip(*results, strict=True))
        return before, after

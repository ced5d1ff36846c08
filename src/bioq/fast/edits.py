"""Windows and edits of them: what an edit leaves as it was is computed once.

Mutants (`mutants`) are many edits of one window, all over it; these are a few of each of many
windows, about the same place: the alleles of a VCF. So windows and edits go through the layers
together, cut where the first of them begins to differ and where the last one ends.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.fast.engines import cpu_dtype, keep
from bioq.fast.kmers import KmerConvolution
from bioq.fast.layers import PackedLinear, in_dtype, pool_width
from bioq.fast.reach import Codes, Numbers, Reach
from bioq.fast.threads import Threads
from bioq.models.danq import DanQ
from bioq.models.deepsea import DeepSEA

EditEngine = Callable[[Codes, Codes, Numbers], tuple[Tensor, Tensor]]
"""Codes of windows `(n, window_bp)`, of edits `(m, window_bp)` and the window of each edit `(m,)`
-> logits float32 `(m, targets)` of that window and of the edit."""

_LEAST_ROWS = 16
"""Edits that are worth a thread of their own."""
_MOST_ROWS = 64
"""Edits that a thread computes at a time."""


class _Family(Protocol):
    reach: Reach

    def __call__(self, codes: Tensor, edited: Tensor, of: Tensor, low: int, high: int) -> Tensor:
        """Return logits `(n + m, targets)` of windows and edits, which differ at positions
        `low` to `high` after pooling."""
        ...


def prepare_edits(model: nn.Module, precision: str) -> EditEngine | None:
    """Return what computes windows and their edits sooner than one by one; None where the model
    (or what `prepare` gives) must: see `prepare`, with more than one LSTM layer, and in windows so
    short that a substitution changes most of their positions."""
    dtype = cpu_dtype(model, precision)
    if dtype is None or (isinstance(model, DanQ) and model.lstm.num_layers > 1):
        return None
    family: Callable[..., _Family] = EditedDanQ if isinstance(model, DanQ) else EditedDeepSEA
    engine = keep(model, f"edits {precision}", lambda: _Edits(family(model, dtype)))
    return engine if 2 * engine.reach.changed <= engine.reach.positions else None


class _Edits:
    """An engine that gives every thread edits of its own, which begin and end alike."""

    def __init__(self, family: _Family):
        self.reach = family.reach
        self._family = family
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
            both = self._family(
                torch.from_numpy(codes[windows]),
                torch.from_numpy(edited[rows]),
                torch.from_numpy(number),
                int(low[rows].min()),
                int(high[rows].max()),
            )
            return both[: len(windows)][torch.from_numpy(number)], both[len(windows) :]

        found = self._threads.map(compute, parts, workers)
        back = torch.from_numpy(np.argsort(order))
        before, after = (torch.cat(part)[back] for part in zip(*found, strict=True))
        return before, after


class EditedDanQ:
    """Windows and edits through a DanQ of one LSTM layer.

    Forward, it reads what an edit shares with its window until the edit begins; backward, until it
    ends. From there every edit goes on from the states of its window.
    """

    def __init__(self, model: DanQ, dtype: torch.dtype):
        lstm = in_dtype(model.lstm, dtype)
        self._units = lstm.hidden_size
        positions = model.dense.in_features // (2 * self._units)
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        self.reach = Reach(self._convolution.width, self._convolution.pool_width, positions)
        self._weights = [[weight.detach() for weight in way] for way in lstm.all_weights]
        self._output = PackedLinear(model.output, dtype)
        dense = in_dtype(model.dense, dtype)
        into = dense.weight.detach().view(-1, positions, 2, self._units)
        self._into_dense = [into[:, :, way].flatten(1) for way in range(2)]
        self._bias = dense.bias.detach()

    def __call__(self, codes: Tensor, edited: Tensor, of: Tensor, low: int, high: int) -> Tensor:
        width, pool = self.reach.width, self.reach.pool_width
        maps = self._convolution(codes)  # (n, position, filter)
        piece = self._convolution(edited[:, low * pool : high * pool + width - 1])
        there = torch.cat([maps[:, low:], torch.cat([piece, maps[of, high:]], dim=1)])
        back = torch.cat([maps[:, :high], torch.cat([maps[of, :low], piece], dim=1)]).flip(1)
        rows = torch.cat([torch.arange(len(codes)), of])
        forward = self._read(0, maps[:, :low], there, rows)
        backward = [read.flip(1) for read in self._read(1, maps[:, high:].flip(1), back, rows)]
        hidden = self._hidden(forward, backward, rows).relu_()
        return self._output(hidden.to(maps.dtype)).float()

    def _read(self, way: int, shared: Tensor, own: Tensor, rows: Tensor) -> list[Tensor]:
        """Return what a direction of the LSTM makes of the positions that windows share
        with their edits, `(n, shared, units)`, and of the others, `(n + m, others, units)`."""
        zeros = shared.new_zeros((1, len(shared), self._units))
        states: Sequence[Tensor] = (zeros, zeros)
        read = shared.new_empty((len(shared), 0, self._units))
        if shared.shape[1]:
            read, *states = _read_one_way(shared, states, self._weights[way])
        own_states = [state[:, rows] for state in states]
        return [read, _read_one_way(own, own_states, self._weights[way])[0]]

    def _hidden(self, forward: list[Tensor], backward: list[Tensor], rows: Tensor) -> Tensor:
        """Return the dense layer before its ReLU, float32 `(n + m, units)`."""
        there, back = self._into_dense
        split = forward[0][0].numel()
        hidden = functional.linear(forward[0].flatten(1), there[:, :split], self._bias).float()
        end = backward[1][0].numel()
        hidden += functional.linear(backward[0].flatten(1), back[:, end:])
        hidden = hidden[rows]
        hidden += functional.linear(forward[1].flatten(1), there[:, split:])
        hidden += functional.linear(backward[1].flatten(1), back[:, :end])
        return hidden


class EditedDeepSEA:
    """Windows and edits through a DeepSEA: of edits only the positions that a change reaches."""

    def __init__(self, model: DeepSEA, dtype: torch.dtype):
        pool = pool_width(model.pool)
        self._convolution = KmerConvolution(model.conv1, pool, dtype)
        filters, width = model.conv3.out_channels, self._convolution.width
        third = model.dense.in_features // filters
        second = third + width - 1
        self.reach = Reach(width, pool, second * pool + width - 1)
        self._layers = [
            (in_dtype(model.conv2, dtype), Reach(width, pool, second)),
            (in_dtype(model.conv3, dtype), Reach(width, 1, third)),
        ]
        dense = in_dtype(model.dense, dtype)
        into = dense.weight.detach().view(-1, filters, third)
        self._into_dense = into.transpose(1, 2).flatten(1)  # by position, then filter
        self._bias = dense.bias.detach()
        self._output = PackedLinear(model.output, dtype)

    def __call__(self, codes: Tensor, edited: Tensor, of: Tensor, low: int, high: int) -> Tensor:
        width, pool = self.reach.width, self.reach.pool_width
        maps = self._convolution(codes)[:, : self.reach.positions].transpose(1, 2)
        piece = self._convolution(edited[:, low * pool : high * pool + width - 1]).transpose(1, 2)
        for convolution, reach in self._layers:
            begin, end = reach.span(low, high - 1)
            start, stop = begin * reach.pool_width, end * reach.pool_width + reach.width - 1
            around = maps[:, :, start:stop][of]
            seen = slice(max(low, start), min(high, stop))
            around[:, :, seen.start - start : seen.stop - start] = piece[
                :, :, seen.start - low : seen.stop - low
            ]
            maps, piece = (
                functional.max_pool1d(convolution(part), reach.pool_width).relu_()
                for part in (maps, around)
            )
            low, high = int(begin), int(end)
        piece -= maps[:, :, low:high][of]
        weights, filters = self._into_dense, maps.shape[1]
        whole = functional.linear(maps.transpose(1, 2).flatten(1), weights, self._bias)
        by = functional.linear(
            piece.transpose(1, 2).flatten(1), weights[:, low * filters : high * filters]
        )
        hidden = torch.cat([whole, whole[of] + by])
        return self._output(hidden.relu_()).float()


def _read_one_way(
    inputs: Tensor, states: Sequence[Tensor], weights: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (read `(n, position, units)`, hidden, cell) as PyTorch's LSTM does."""
    found: tuple[Tensor, Tensor, Tensor] = torch.lstm(
        inputs,
        tuple(states),
        weights,
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=False,
        bidirectional=False,
        batch_first=True,
    )
    return found

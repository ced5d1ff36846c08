"""Windows and edits of them through a Marq of one LSTM layer."""

import torch
from torch import Tensor

from bioq.fast.edits_danq import EditedLSTM
from bioq.fast.kmers import KmerConvolution, count_kmers
from bioq.fast.layers import copied, pool_width
from bioq.fast.networks import MARQ_WINDOWS
from bioq.fast.reach import Reach
from bioq.models.composition import KMER
from bioq.models.marq import Marq


class EditedMarq:
    """A Marq of one LSTM layer that computes windows and their edits together: the convolution and
    the counts of k-mers where they differ, the LSTM as `EditedDanQ` does, the rest for each."""

    def __init__(self, model: Marq, dtype: torch.dtype):
        self._convolution = KmerConvolution(model.conv, pool_width(model.pool), dtype)
        positions = self._convolution.positions(torch.empty(1, model.architecture["window_bp"]))
        self.reach = Reach(self._convolution.width, self._convolution.pool_width, positions)
        self._lstm = EditedLSTM(model.lstm, dtype)
        self._model = copied(model)
        self._dtype = dtype

    @staticmethod
    def can_compute(model: Marq) -> bool:
        """Return whether the states of a window can be continued: see `EditedDanQ`."""
        return model.lstm.num_layers == 1

    def __call__(self, codes: Tensor, edited: Tensor, of: Tensor, low: int, high: int) -> Tensor:
        """See `paths.EditedNetwork`."""
        width, pool = self.reach.width, self.reach.pool_width
        with torch.autocast("cpu", self._dtype, enabled=self._dtype != torch.float32):
            maps, piece = (
                self._model.norm(self._convolution(part)).to(self._dtype)
                for part in (codes, edited[:, low * pool : high * pool + width - 1])
            )
            window = torch.cat([torch.arange(len(codes)), of])  # of every row of the result
            forward, backward = self._lstm(maps, piece, of, low, high)
            pieces = []
            for first in range(0, len(window), MARQ_WINDOWS):
                rows = slice(first, first + MARQ_WINDOWS)
                onward = torch.cat([forward[0][window[rows]], forward[1][rows]], dim=1)
                back = torch.cat([backward[1][rows], backward[0][window[rows]]], dim=1)
                pieces.append(self._model.after_lstm(torch.cat([onward, back], dim=2)))
        logits = torch.cat(pieces).float()
        if self._model.composition is None:
            return logits
        return self._model.mixed(
            logits, self._model.composition.of_counts(*_counts(codes, edited, of))
        )


def _counts(codes: Tensor, edited: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
    """Return the counts of k-mers of windows and of their edits, each `(n + m, KMERS)`: of an edit
    those of its window, and the difference between the stretches that differ."""
    length = codes.shape[1]
    differ = (edited != codes[of]).any(dim=0).nonzero()
    first, last = (int(differ[end]) if len(differ) else 0 for end in (0, -1))
    start, end = max(first - KMER + 1, 0), min(last + KMER, length)

    def of_stretch(rows: Tensor) -> tuple[Tensor, Tensor]:
        return count_kmers(rows[:, start:end], at=start, window_bp=length)

    before, without, with_edit = count_kmers(codes), of_stretch(codes), of_stretch(edited)
    whole, middle = (
        torch.cat([window, (window - gone)[of] + new])
        for window, gone, new in zip(before, without, with_edit, strict=True)
    )
    return whole, middle

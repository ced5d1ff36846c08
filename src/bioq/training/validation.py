"""Validation during training: the computation of `bioq evaluate`, divided among the ranks."""

import math

import numpy as np
import numpy.typing as npt
from torch import nn

from bioq.dataset import Dataset
from bioq.forward import BATCH_SIZE, Precision, predict_split
from bioq.metrics import log_loss, quick_scores, same_everywhere
from bioq.runs.same_everywhere import what_to_try
from bioq.training.distributed import Ranks

_NAMES = (
    "macro_roc_auc",
    "micro_roc_auc",
    "macro_average_precision",
    "micro_average_precision",
)


class Validation:
    """The validation split of a data set; `len()` is its number of windows, 0 without a split."""

    def __init__(self, data: Dataset, ranks: Ranks, precision: Precision):
        self._split = data["valid"] if "valid" in data and len(data["valid"]) else None
        self._labels = self._split.labels() if self._split and ranks.is_first else None
        self.data = data
        self._same = np.zeros(0, dtype=bool)  # (targets,), of the scores computed last
        self._ranks = ranks
        self._precision = precision

    def __len__(self) -> int:
        return len(self._split) if self._split else 0

    def predict(self, model: nn.Module) -> npt.NDArray[np.float32] | None:
        """Return the probabilities: on the first rank `(windows, targets)`, on the other ranks
        only their share; None without a split.

        Each rank predicts whole batches, the same as a single device would: the numbers are equal.
        """
        if self._split is None:
            return None
        part = predict_split(
            model,
            self._split,
            device=self._ranks.device,
            precision=self._precision,
            rows=self._ranks.share(len(self), together=BATCH_SIZE),
        )
        return self._ranks.gather(part, len(self), together=BATCH_SIZE)

    def scores(self, probability: npt.NDArray[np.float32] | None) -> dict[str, float]:
        """Return loss, ROC AUC and average precision of probabilities `(windows, targets)`; NaN
        without a split, and on every rank but the first, which has the labels.
        """
        if probability is None or self._labels is None:
            return {f"valid_{name}": math.nan for name in ("loss", *_NAMES)}
        self._same = same_everywhere(probability)
        scores = quick_scores(self._labels, probability)
        return {
            "valid_loss": log_loss(self._labels, probability),
            **{f"valid_{name}": scores[name] for name in _NAMES},
        }

    def same_note(self, *, learning_rate: float, epochs: int) -> tuple[str, str]:
        """Return which targets got the same prediction for every window, in the last scores:
        "", "some" or "all"; and the note about it, with what to try."""
        same, count = self._same, int(self._same.sum())
        if not count:
            return "", ""
        advice = what_to_try(
            same,
            self.data["train"].positives(),
            len(self.data["train"]),
            learning_rate=learning_rate,
            epochs=epochs,
        )
        if count == len(same):
            return "all", f"the network predicts the same for every validation window: {advice}"
        return "some", (
            f"{count:,} of {len(same):,} targets get the same prediction for every validation "
            f"window: {advice}"
        )

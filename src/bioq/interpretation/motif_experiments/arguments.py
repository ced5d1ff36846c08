"""The arguments of motif experiments, checked: windows, motifs and targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from bioq import dna
from bioq.dataset.targets import NAME
from bioq.errors import BioqError, UsageError
from bioq.inputs.python_windows import numbers_below
from bioq.interpretation.motif_experiments.logits import Logits
from bioq.motifs import Motif
from bioq.options import found
from bioq.runs.trained_model import TrainedModel, architecture_of, require_length, require_module


@dataclass(frozen=True)
class Chosen:
    """The targets whose effects are computed."""

    numbers: npt.NDArray[np.int64] | None
    """None: all."""
    names: Sequence[str] | None
    """None for a model without names of targets: their numbers."""

    def of(self, logits: Logits) -> Logits:
        """Return the columns of these targets."""
        return logits if self.numbers is None else logits[:, self.numbers]

    def labels(self, count: int) -> list[str]:
        """Return the names of the targets, of which there are `count`."""
        if self.names is not None:
            return list(self.names)
        return [str(number) for number in (range(count) if self.numbers is None else self.numbers)]


def checked_windows(model: nn.Module, windows: object, name: str) -> dna.Bytes:
    """Return windows as codes uint8 `(n, window_bp)`. Raises BioqError for another shape, no
    window, or another length than the model reads."""
    codes = dna.checked_codes(windows, axes=2, name=name)
    if not len(codes):
        raise BioqError(f"{name} have no window; expected at least one")
    require_length(require_module(model), codes.shape[1], name)
    return codes


def checked_motifs(motifs: object) -> list[Motif]:
    """Return motifs as a list. Raises UsageError for anything else, and for no motif."""
    is_list = isinstance(motifs, Sequence) and all(isinstance(each, Motif) for each in motifs)
    if not is_list or not len(motifs):  # type: ignore[arg-type]
        raise UsageError(
            f"motifs {found(motifs)}; expected a list of motifs, such as bioq.motifs.motifs_from"
        )
    return list(motifs)  # type: ignore[call-overload,no-any-return]


def choose_targets(model: nn.Module, targets: Sequence[int] | None) -> Chosen:
    """Return the chosen targets of a model, by default all. Raises UsageError for a number that
    is not that of a target."""
    names = None
    require_module(model)
    if isinstance(model, TrainedModel):
        names = [str(name) for name in model.targets[NAME]]
    if targets is None:
        return Chosen(None, names)
    count = architecture_of(model).get("targets", np.iinfo(np.int64).max)
    numbers = numbers_below("targets", targets, count)
    return Chosen(numbers, None if names is None else [names[number] for number in numbers])

"""Our models as tools want them that know one forward pass: probabilities, mean of both strands."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Probability(nn.Module):
    """One-hot windows `(batch, 4, length)` to probabilities `(batch, target)`, one strand."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        return torch.sigmoid(self.model(windows))


class BothStrands(nn.Module):
    """The outputs of a model, averaged over a window and its reverse complement."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        mean: Tensor = (self.model(windows) + self.model(windows.flip((1, 2)))) / 2
        return mean


def load_selene(
    model: Any, folder: Path, genome: Path, *, batch_size: int, both_strands: bool = True
) -> Any:
    """Return Selene's AnalyzeSequences of a model; its weights pass through a file in `folder`."""
    from selene_sdk.predict import AnalyzeSequences
    from selene_sdk.sequences import Genome
    from selene_sdk.utils import NonStrandSpecific

    wrapped: nn.Module = Probability(model)
    if both_strands:
        wrapped = NonStrandSpecific(wrapped)
    path = folder / "weights.pth"
    torch.save(wrapped.state_dict(), path)
    architecture = model.architecture
    return AnalyzeSequences(
        wrapped,
        str(path),
        architecture["window_bp"],
        [f"target {number}" for number in range(architecture["targets"])],
        batch_size=batch_size,
        reference_sequence=Genome(str(genome)),
    )

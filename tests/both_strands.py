"""A model that averages both strands itself, for tools that know one forward pass."""

from torch import Tensor, nn


class BothStrands(nn.Module):
    """The mean logits of a window and its reverse complement."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, windows: Tensor) -> Tensor:
        mean: Tensor = (self.model(windows) + self.model(windows.flip((1, 2)))) / 2
        return mean

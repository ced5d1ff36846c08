"""A network that a user could have written: it has state of BatchNorm and a layer that gets its
size from its first input."""

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.norm(self.conv(x)))


class SmallNetwork(nn.Module):
    def __init__(self, targets: int):
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.blocks = nn.Sequential(nn.ReLU(), nn.MaxPool1d(10), Block(8))
        self.dropout = nn.Dropout(0.1)
        self.output = nn.LazyLinear(targets)

    def forward(self, windows: Tensor) -> Tensor:
        x = self.blocks(self.norm(self.conv(windows)))
        return self.output(self.dropout(x.flatten(1)))


def build(targets: int, window_bp: int) -> nn.Module:
    return SmallNetwork(targets)

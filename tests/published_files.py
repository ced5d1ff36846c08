"""Small files in the layouts of published models, and the published arithmetic written out.

Weights are large enough that a wrong gate, order or flip changes probabilities by much more than
1e-5.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bioq import dna

CHANNELS = "AGCT"


def random_codes(count: int, window_bp: int, seed: int = 0) -> np.ndarray:
    """Return windows as codes `(count, window_bp)`, with some unknown bases."""
    codes = np.random.default_rng(seed).integers(0, 4, (count, window_bp), dtype=np.uint8)
    codes[:, 10:13] = dna.UNKNOWN
    return codes


def published_one_hot(codes: np.ndarray) -> np.ndarray:
    """Return one-hot windows `(count, 4, window_bp)` in the published order of channels."""
    letters = np.array(list("ACGTN"))[codes]
    return np.stack([letters == base for base in CHANNELS], axis=1).astype(np.float32)


class Bioq2024(nn.Module):
    """BioQ of 2024: the network of its training script."""

    def __init__(self, window_bp: int, *, targets: int, filters=6, width=8, units=5, dense=7):
        super().__init__()
        pool = width // 2
        positions = (window_bp - width + 1) // pool
        self.conv = nn.Sequential(nn.Conv1d(4, filters, width), nn.ReLU(), nn.MaxPool1d(pool))
        self.brnn = nn.Sequential(
            nn.LSTM(filters, units, 2, batch_first=True, bidirectional=True),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(positions * 2 * units, dense),
            nn.ReLU(),
            nn.Linear(dense, targets),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Return probabilities `(batch, target)`."""
        states, _ = self.brnn[0](self.conv(windows).transpose(1, 2))
        return torch.sigmoid(self.brnn[1:](states))


def large_weights(network: nn.Module, codes: np.ndarray, seed: int = 0) -> nn.Module:
    """Give a network large weights that depend on the seed, in eval mode, and a last layer whose
    logits of the windows `codes` have mean 0 and standard deviation 1.5 per target."""
    generator = torch.Generator().manual_seed(seed)
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    logits: list[Tensor] = []
    hook = last.register_forward_hook(lambda _layer, _inputs, output: logits.append(output))
    with torch.no_grad():
        for weight in network.parameters():
            inputs = weight[0].numel() if weight.ndim > 1 else 4
            weight.normal_(0.0, 2.0 / inputs**0.5, generator=generator)
        network.eval()(torch.from_numpy(published_one_hot(codes)))
        mean, std = logits[0].mean(0), logits[0].std(0) / 1.5
        last.weight.div_(std[:, None])
        last.bias.sub_(mean).div_(std)
    hook.remove()
    return network


def save(network: nn.Module, file: Path, prefix: str = "") -> Path:
    """Save the state_dict of a network, its names behind a prefix."""
    torch.save({f"{prefix}{name}": value for name, value in network.state_dict().items()}, file)
    return file

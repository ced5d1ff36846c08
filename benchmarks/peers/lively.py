"""Models whose answers depend on the sequence, as trained ones do; fresh ones hardly differ."""

import functools
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from generated import named_sizes, tiny_sizes
from torch import Tensor, nn

from bioq import dna
from bioq.models import AS_PUBLISHED, ModelSizes, build_model, sizes_from

TARGETS, TINY_TARGETS = 919, 9


@functools.cache
def lively_model(name: str, *, tiny: bool = False) -> nn.Module:
    """Return a model in eval mode, the same in every process, of which the logits of every target
    vary between windows with a standard deviation of about one. A tiny one is not of the published
    size. `name` may add sizes: `danq gates=hard`."""
    torch.manual_seed(0)
    targets = targets_of(tiny=tiny)
    model = build_model(name.split()[0], targets=targets, sizes=sizes_of(name, tiny=tiny)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(2)
        logits = model(one_hot(random_codes(8, length=window_bp_of(model))))
        model.output.weight.div_(logits.std(dim=0).mean())
        model.output.bias.copy_(torch.linspace(-4, 0, targets))
    return model


def targets_of(*, tiny: bool) -> int:
    """Return the number of targets: DeepSEA's, or a tiny model's."""
    return TINY_TARGETS if tiny else TARGETS


def sizes_of(name: str, *, tiny: bool) -> ModelSizes:
    """Return the published sizes, or those of a tiny model, with those that the name adds."""
    name, *words = name.split()
    sizes = tiny_sizes(name) if tiny else AS_PUBLISHED
    return sizes_from(asdict(sizes) | named_sizes(words))


def window_bp_of(model: nn.Module) -> int:
    """Return the length of the windows that a model reads."""
    architecture: Any = model.architecture
    window_bp: int = architecture["window_bp"]
    return window_bp


def random_codes(windows: int, *, length: int = 1000, seed: int = 1) -> dna.Bytes:
    """Return random bases uint8 `(windows, length)` as codes (see `dna`)."""
    random = np.random.default_rng(seed)
    return random.integers(0, 4, (windows, length), dtype=np.uint8)


def one_hot(codes: dna.Bytes) -> Tensor:
    """Return float32 one-hot `(windows, 4, length)`."""
    return torch.from_numpy(dna.one_hot(codes)).float()

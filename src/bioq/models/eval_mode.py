"""Computing in eval mode, that is without dropout."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and each of its layers back into its own mode afterwards."""
    modes = [(layer, layer.training) for layer in model.modules()]
    try:
        if any(was_training for _, was_training in modes):
            model.eval()
        yield
    finally:
        for layer, was_training in modes:
            if layer.training != was_training:  # setting it takes longer than asking
                layer.training = was_training

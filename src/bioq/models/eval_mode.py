"""Computing in eval mode, that is without dropout."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and each of its layers back into its own mode afterwards."""
    training = [layer for layer in model.modules() if layer.training]
    try:
        if training:
            model.eval()
        yield
    finally:
        for layer in training:
            layer.training = True

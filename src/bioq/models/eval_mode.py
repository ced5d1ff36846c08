"""Computing in eval mode, that is without dropout."""

import contextlib
import threading
from collections.abc import Iterator

from torch import nn

_lock = threading.Lock()
_entered: dict[nn.Module, tuple[int, bool]] = {}
"""Layer -> the number of blocks of `eval_mode`, in any thread, that it is in, and its own mode."""


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and each of its layers back into its own mode afterwards.

    Several threads may do so at once: the last that leaves a layer gives it its mode back.
    """
    layers = list(model.modules())
    with _lock:
        for layer in layers:
            blocks, own_mode = _entered.get(layer, (0, layer.training))
            _entered[layer] = (blocks + 1, own_mode)
    try:
        if any(layer.training for layer in layers):
            model.eval()
        yield
    finally:
        with _lock:
            for layer in layers:
                blocks, own_mode = _entered.pop(layer)
                if blocks > 1:
                    _entered[layer] = (blocks - 1, own_mode)
                elif layer.training != own_mode:  # setting it takes longer than asking
                    layer.training = own_mode

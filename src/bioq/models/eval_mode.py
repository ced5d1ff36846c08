"""Computing in eval mode, that is without dropout."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from torch import nn

_lock = threading.Lock()
_users: Counter[nn.Module] = Counter()
"""Layer -> the blocks of `eval_mode`, in any thread, that it is in now."""
_was_training: dict[nn.Module, bool] = {}
"""Layer that is in a block -> its own mode."""


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and each of its layers back into its own mode afterwards.

    Several threads may do so at once: the last that leaves a layer gives it its mode back.
    """
    layers = list(model.modules())
    with _lock:
        for layer in layers:
            _was_training.setdefault(layer, layer.training)
        _users.update(layers)
    try:
        if any(layer.training for layer in layers):
            model.eval()
        yield
    finally:
        with _lock:
            _users.subtract(layers)
            for layer in layers:
                if not _users[layer]:
                    del _users[layer]
                    was_training = _was_training.pop(layer)
                    if layer.training != was_training:  # setting it takes longer than asking
                        layer.training = was_training

"""How the models call their LSTM: as `nn.LSTM` does, but never in float16."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn


def read_in_order(lstm: nn.LSTM, found: Tensor) -> Tensor:
    """Return `(batch, position, 2 * units)` of `(batch, position, filter)`.

    Autocast on a CUDA card has cuDNN's LSTM compute in float16, even if autocast is for bfloat16
    (PyTorch 2.14: at::autocast::_cudnn_rnn_cast_reflatten). Gradients are too small for float16
    without a scaled loss: of those that a convolution of `bioq` gets, 90 % would be zero. So the
    LSTM takes and returns float32 there; `forward.numerics` lets it use TF32 matrix units.
    """
    on_card = found.is_cuda and torch.is_autocast_enabled("cuda")
    with torch.autocast("cuda", enabled=False) if on_card else nullcontext():
        read: Tensor = lstm(found.float() if on_card else found)[0]
    return read

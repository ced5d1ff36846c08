"""The LSTM of a model, and how it is run: never in float16."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from bioq.errors import UsageError
from bioq.models.hard_lstm import HardLSTM
from bioq.models.sizes import Gates, SecondLstm


def bidirectional_lstm(
    inputs: int,
    units: int,
    layers: int,
    *,
    gates: Gates = "sigmoid",
    second: SecondLstm = "backward",
) -> nn.LSTM | HardLSTM:
    """Return an LSTM with random weights that reads `(batch, position, inputs)` in both
    directions, or twice forward.

    Raises UsageError for the latter without hard gates: nn.LSTM has no such order.
    """
    if gates == "hard":
        return HardLSTM(inputs, units, layers, second=second)
    if second == "forward":
        raise UsageError(
            "second_lstm is 'forward', which is for gates 'hard' only; leave out one of the two"
        )
    return nn.LSTM(inputs, units, layers, batch_first=True, bidirectional=True)


def lstm_states(lstm: nn.LSTM | HardLSTM, pooled: Tensor) -> Tensor:
    """Return states `(batch, position, 2 * units)` of inputs `(batch, position, filter)`.

    Under autocast on a CUDA card, cuDNN's LSTM computes in float16, also where autocast is for
    bfloat16 (PyTorch 2.14: at::autocast::_cudnn_rnn_cast_reflatten). Without a scaled loss,
    gradients are too small for float16: 90 % of those that reach the convolution of `bioq` would
    be zero. Therefore the LSTM takes and returns float32 on a card under autocast, and
    `forward.numerics` allows TF32 matrix units for it.
    """
    on_card = pooled.is_cuda and torch.is_autocast_enabled("cuda")
    with torch.autocast("cuda", enabled=False) if on_card else nullcontext():
        read = lstm(pooled.float() if on_card else pooled)
    states: Tensor = read if isinstance(lstm, HardLSTM) else read[0]
    return states

"""Training as in Keras 0.2 on Theano, in which DanQ was trained: first weights and RMSprop.

Sources: the scripts DanQ_train.py and DanQ-JASPAR_train.py (uci-cbcl/DanQ), which leave both to
Keras, and the Keras of that time (2015): `initializations.py`, `optimizers.py`,
`layers/convolutional.py`, `layers/recurrent.py`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bioq.models.hard_lstm import HardLSTM

CONVOLUTION_RANGE = 0.05
"""Weights of a one-dimensional convolution start within this distance of 0: that Keras has
`uniform` there, and not Glorot's range."""
ORTHOGONAL_GAIN = 1.1
"""Factor of the orthogonal matrices of an LSTM."""
RHO = 0.9
"""Share of the past in the mean of squared gradients."""
EPSILON = 1e-6
"""Added to the mean of squared gradients before its root is taken. It decides where gradients are
below 1e-3: there, a step is in proportion to the gradient, as without RMSprop."""


@torch.no_grad()
def start_as_keras(network: nn.Module) -> None:
    """Give a network's convolutions, LSTMs and dense layers the first weights of Keras 0.2, from
    PyTorch's global generator.

    Convolutions: uniform in ±0.05. Dense layers, and an LSTM's inputs: uniform in ±sqrt(6 / (inputs
    + outputs)) (Glorot & Bengio 2010), for each gate separately. An LSTM's own states: an
    orthogonal matrix (Saxe et al. 2014) times 1.1 for each gate. Biases 0, except 1 for the forget
    gate (Jozefowicz et al. 2015), once: PyTorch adds two biases. Other layers do not change: that
    Keras has none of them.
    """
    for layer in network.modules():
        weights = dict(layer.named_parameters(recurse=False))
        if isinstance(layer, nn.Conv1d):
            nn.init.uniform_(weights["weight"], -CONVOLUTION_RANGE, CONVOLUTION_RANGE)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(weights["weight"])
        elif not isinstance(layer, nn.LSTM | HardLSTM):
            continue
        for name, weight in weights.items():
            if name.startswith("bias"):
                weight.zero_()
            elif name.startswith(("weight_ih", "weight_hh")):
                for gate in weight.chunk(4):
                    _start_gate(name, gate)
            if name.startswith("bias_ih"):
                weight.chunk(4)[1].fill_(1)  # PyTorch's order: input, forget, cell, output


def _start_gate(name: str, gate: Tensor) -> None:
    if name.startswith("weight_ih"):
        nn.init.xavier_uniform_(gate)
    else:
        nn.init.orthogonal_(gate, gain=ORTHOGONAL_GAIN)


class KerasRMSprop(torch.optim.Optimizer):
    """RMSprop of Keras 0.2: a = 0.9 a + 0.1 g², then a step of -lr g / sqrt(a + 1e-6).

    PyTorch's adds 1e-8 to the root instead, so its steps do not become smaller with the gradient.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float):
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Make one step with the gradients that the weights have."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            gradients: Any = [weight.grad for weight in weights]
            if not weights:
                continue
            means = []
            for weight in weights:
                state = self.state[weight]
                if not state:
                    state["step"] = torch.zeros(())
                    state["square_avg"] = torch.zeros_like(weight)
                state["step"] += 1
                means.append(state["square_avg"])
            if group["weight_decay"]:
                gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
            torch._foreach_mul_(means, RHO)
            torch._foreach_addcmul_(means, gradients, gradients, 1 - RHO)
            roots = torch._foreach_add(means, EPSILON)
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(weights, gradients, roots, -group["lr"])

"""The training step on a CPU: the first convolution with gradients, without its full map.

The map before pooling has 13 times the size of the pooled map (125 MB for 100 windows of `bioq`),
and a plain step writes it four times. Here a few windows at a time are convolved and pooled while
they are in cache; for the gradient only the position of each maximum is kept.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.dna.tensors import one_hot
from bioq.fast.kmers import KmerConvolution
from bioq.fast.layers import lift_, pool_width
from bioq.fast.switch import is_replaceable
from bioq.models.families import family_of, first_convolution


def training_forward(model: nn.Module, precision: str) -> Callable[[Tensor], Tensor]:
    """Return a differentiable function from codes uint8 `(n, window_bp)`, on the model's device, to
    the logits `(n, targets)` used for the loss. For Marq these are the logits of the network alone.

    In float32 on a CPU the first convolution of every network of `models` that has its max pooling
    as `pool` is the fast one of this module; elsewhere, with hooks or with BIOQ_PLAIN=1, it is the
    model's. Both draw the same random numbers.
    """
    family = family_of(model)
    if family is None:
        return lambda codes: model(one_hot(codes).float())
    on_cpu = next(model.parameters()).device.type == "cpu"
    is_exact = type(model) is family.network and is_replaceable(model)
    has_pool = isinstance(getattr(model, "pool", None), nn.MaxPool1d)
    if on_cpu and precision == "32" and is_exact and has_pool:
        network: Any = model
        first = first_convolution(model)
        return lambda codes: network.after_pooling(_pooled(network, first, codes))
    trained = family.trained(model)
    return lambda codes: trained(one_hot(codes).float())


def _pooled(network: Any, first: nn.Conv1d, codes: Tensor) -> Tensor:
    """Return the pooled first convolution `(n, filter, position)`, with gradients."""
    width, floor = pool_width(network.pool), getattr(network, "floor", 0.0)
    kmers = KmerConvolution(first, width, torch.float32, floor=floor)
    pooled: Tensor = ConvolutionPooled.apply(  # type: ignore[no-untyped-call]
        first.weight, first.bias, codes, kmers
    )
    return pooled


class ConvolutionPooled(torch.autograd.Function):
    """Max pooling of the ReLU (or of the floor) of a convolution over codes, with gradients of
    weight and bias.

    `apply(weight, bias, codes, kmers)` takes codes uint8 `(n, length)` and the tables of that
    weight and bias, and returns `(n, filter, position)`.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, codes: Tensor, kmers: Any) -> Tensor:
        pooled = weight.new_empty((len(codes), len(weight), kmers.positions(codes)))
        highest = torch.empty(pooled.shape, dtype=torch.int64)  # position of each maximum
        for rows in kmers.pieces(codes):
            _pool(kmers, codes[rows], pooled[rows], highest[rows])
        ctx.save_for_backward(codes, pooled.relu_(), highest)
        ctx.kmers = kmers
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        codes, pooled, highest = ctx.saved_tensors
        kmers: KmerConvolution = ctx.kmers
        gradient = gradients[0] * (pooled != kmers.floor if kmers.floor else pooled > 0)
        _, filters, positions = pooled.shape
        steps, column = positions * kmers.pool_width, 4 * kmers.width
        bases = one_hot(codes).to(pooled.dtype).transpose(1, 2).flatten(1)  # (n, length * 4)
        of_weight = pooled.new_zeros((filters, column))
        pieces = kmers.pieces(codes)
        unpooled = pooled.new_empty((len(codes[pieces[0]]), steps, filters))  # used for every slice
        for rows in pieces:
            part = unpooled[: len(codes[rows])].zero_()
            part.transpose(1, 2).scatter_(2, highest[rows], gradient[rows])
            # The 4 * width numbers that a filter reads at each step are adjacent in `bases`.
            read = bases[rows].unfold(1, column, 4)[:, :steps].reshape(-1, column)
            of_weight.addmm_(part.flatten(0, 1).t(), read)
        of_weight = of_weight.view(filters, kmers.width, 4).transpose(1, 2)
        return of_weight, gradient.sum(dim=(0, 2)), None, None


def _pool(kmers: KmerConvolution, codes: Tensor, pooled: Tensor, highest: Tensor) -> None:
    """Write the maximum of every `pool_width` steps and its position, `(n, filter, position)`."""
    sums = lift_(kmers.map(codes), kmers.floor)
    image = sums.transpose(1, 2).unsqueeze(2)  # pooling of one row is faster in 2-D
    largest, where = functional.max_pool2d(image, (1, kmers.pool_width), return_indices=True)
    pooled.copy_(largest.squeeze(2))
    highest.copy_(where.squeeze(2))

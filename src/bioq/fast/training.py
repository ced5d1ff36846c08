"""The training step on a CPU: the first convolution with gradients, its map never written out.

The map before pooling is 13 times what pooling keeps (125 MB for 100 windows of `bioq`), and a
plain step writes it four times. Here a few windows at a time are convolved and pooled while they
are in cache; for the gradient only the place of each maximum is kept.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.dna.tensors import one_hot
from bioq.fast.kmers import KmerConvolution
from bioq.fast.switch import may_stand_in
from bioq.models.danq import DanQ
from bioq.models.deepatt import DeepATT
from bioq.models.deepsea import DeepSEA
from bioq.models.marq import Marq


def training_forward(model: nn.Module, precision: str) -> Callable[[Tensor], Tensor]:
    """Return what computes the logits `(n, targets)` that a model learns by, with gradients, from
    codes uint8 `(n, window_bp)` that lie where the model does: its own, of a Marq those of its
    network without the composition.

    In float32 on a CPU that is the fast way; everywhere else, with hooks or with BIOQ_PLAIN=1, the
    model itself. Both draw the same random numbers.
    """
    on_cpu = next(model.parameters()).device.type == "cpu"
    if on_cpu and precision == "32" and may_stand_in(model, (DanQ, DeepSEA, DeepATT, Marq)):
        if isinstance(model, DanQ | DeepATT | Marq):
            return lambda codes: model.after_pooling(_found(model, model.conv, codes))
        if isinstance(model, DeepSEA):
            return lambda codes: model.after_pooling(_found(model, model.conv1, codes))
    learns = model.network if isinstance(model, Marq) else model
    return lambda codes: learns(one_hot(codes).float())


def _found(model: DanQ | DeepSEA | DeepATT | Marq, first: nn.Conv1d, codes: Tensor) -> Tensor:
    kmers = KmerConvolution(first, model.architecture["sizes"]["pool_width"], torch.float32)
    found: Tensor = ConvolutionPooled.apply(  # type: ignore[no-untyped-call]
        first.weight, first.bias, codes, kmers
    )
    return found


class ConvolutionPooled(torch.autograd.Function):
    """Max pooling of the ReLU of a convolution over codes, with gradients of weight and bias.

    `apply(weight, bias, codes, kmers)` takes codes uint8 `(n, length)` and the tables of that
    weight and bias, and returns `(n, filter, position)`.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, codes: Tensor, kmers: Any) -> Tensor:
        pooled = weight.new_empty((len(codes), len(weight), kmers.positions(codes)))
        place = torch.empty(pooled.shape, dtype=torch.int64)  # of the maximum, in its window
        for rows in kmers.pieces(codes):
            _pool(kmers, codes[rows], pooled[rows], place[rows])
        ctx.save_for_backward(codes, pooled.relu_(), place)
        ctx.kmers = kmers
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        codes, pooled, place = ctx.saved_tensors
        kmers: KmerConvolution = ctx.kmers
        gradient = gradients[0] * (pooled > 0)
        _, filters, positions = pooled.shape
        steps, column = positions * kmers.pool_width, 4 * kmers.width
        bases = one_hot(codes).to(pooled.dtype).transpose(1, 2).flatten(1)  # (n, length * 4)
        of_weight = pooled.new_zeros((filters, column))
        pieces = kmers.pieces(codes)
        unpooled = pooled.new_empty((len(codes[pieces[0]]), steps, filters))  # one, used again
        for rows in pieces:
            part = unpooled[: len(codes[rows])].zero_()
            part.transpose(1, 2).scatter_(2, place[rows], gradient[rows])
            # The 4 * width numbers that a filter reads at each step lie side by side in `bases`.
            read = bases[rows].unfold(1, column, 4)[:, :steps].reshape(-1, column)
            of_weight.addmm_(part.flatten(0, 1).t(), read)
        of_weight = of_weight.view(filters, kmers.width, 4).transpose(1, 2)
        return of_weight, gradient.sum(dim=(0, 2)), None, None


def _pool(kmers: KmerConvolution, codes: Tensor, pooled: Tensor, place: Tensor) -> None:
    """Write the largest of every `pool_width` steps, and where it is, `(n, filter, position)`."""
    image = kmers.map(codes).transpose(1, 2).unsqueeze(2)  # one row, which has a quicker pooling
    largest, where = functional.max_pool2d(image, (1, kmers.pool_width), return_indices=True)
    pooled.copy_(largest.squeeze(2))
    place.copy_(where.squeeze(2))

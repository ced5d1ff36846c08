"""The fast path for any windows of a model."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from bioq import dna
from bioq.errors import BioqError
from bioq.fast.cache import cached
from bioq.fast.cuda import can_run_on
from bioq.fast.paths import Engine, cpu_dtype, paths_of
from bioq.fast.switch import cuda_switched_on
from bioq.fast.threads import Threads
from bioq.options import found, of_type, one_of

Precision = Literal["32", "tf32", "bf16"]
_LEAST_ROWS = 24
"""Windows per thread from which threads of their own are faster than PyTorch's threads, which
divide each product (docs/log/performance.md, 2026-11-30)."""
_MOST_ROWS = 64
"""Windows that a thread computes at a time: more only take more memory."""


def prepare(model: nn.Module, precision: Precision) -> Engine | None:
    """Return a faster function from codes to a model's logits, or None if the model has no fast
    path.

    A model has none if its class has no entry in `paths`, if a layer has hooks, if its weights are
    not float32, for bf16 on a processor without bf16, with BIOQ_PLAIN=1, and on a card unless it
    is a DanQ in bf16 and BIOQ_CUDA_FAST=1 is set. In float32 the logits differ from the model's by
    the rounding of float32 sums in another order (tests: 1e-5). bf16 rounds as autocast does, and
    also rounds the products of the first layer. The function is prepared again when weights change,
    which is noticed by their version counters and by samples of their values. It raises BioqError
    for other codes; UsageError is raised for another precision.
    """
    one_of("precision", precision, get_args(Precision))
    of_type("model", model, nn.Module, "a PyTorch module")
    paths = paths_of(model)
    if paths is None:
        return None
    device, on_cuda, on_cpu = next(model.parameters()).device, paths.cuda, paths.windows
    is_asked = device.type == "cuda" and precision == "bf16" and cuda_switched_on()
    if on_cuda and is_asked and can_run_on(device):
        return cached(model, precision, lambda: on_cuda(model))
    dtype = cpu_dtype(model, precision)
    if on_cpu is None or dtype is None:
        return None
    return cached(model, precision, lambda: _Threaded(on_cpu(model, dtype)))


class _Threaded:
    """An engine that divides windows between threads."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._threads = Threads()

    def __call__(self, codes: Tensor) -> Tensor:
        is_codes = codes.dtype == torch.uint8 and codes.ndim == 2
        if not is_codes or (codes.numel() and codes.max() > dna.UNKNOWN):
            raise BioqError(
                f"codes {found(codes)}; expected codes uint8 (n, window_bp) from 0 to 4 "
                "(see bioq.dna.encode)"
            )
        workers = min(torch.get_num_threads(), len(codes) // _LEAST_ROWS)
        if workers < 2:
            parts = torch.split(codes, _MOST_ROWS)
        else:
            parts = codes.tensor_split(workers * -(-len(codes) // (workers * _MOST_ROWS)))
        return torch.cat(self._threads.map(self._engine, parts, workers))

"""DanQ on an NVIDIA card in bf16: the whole forward pass as one CUDA graph per batch size.

Two ways are tried in order: our Triton kernels, then cuDNN's LSTM. Neither has run on a card yet
(benchmarks/card.sh checks them), so each graph is compared with the model before it is used. If a
way is not available or its logits differ too much, one line on stderr names it, and the next way
is used or, after the last, plain PyTorch.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn import functional

from bioq.dna.tensors import one_hot
from bioq.fast.layers import copied
from bioq.models.danq import DanQ
from bioq.models.hard_lstm import HardLSTM
from bioq.progress import say

Compute = Callable[[Tensor], Tensor]
"""Codes uint8 `(n, window_bp)` -> logits float32 `(n, targets)`, both on the device."""

_LEAST_WINDOWS = 128
"""With fewer windows a graph saves no time: plain PyTorch computes them."""
_SIZE_STEP = 256
"""The number of windows of a graph is a multiple of this; a smaller batch leaves windows of the
graph unused."""
_MOST_WINDOWS = 4096
"""Largest number of windows of a graph, which takes about 0.6 MB per window for `bioq`."""
_CHECKED_WINDOWS = 32
"""Windows at each end of a graph's batch whose logits are checked."""
_ALLOWED = 2.0
"""Largest root mean square difference from the float32 logits, as a multiple of that of PyTorch's
bf16 logits."""
_OLDEST = (8, 0)
"""Compute capability of the first cards with bf16 matrix units (Ampere)."""


@dataclass(frozen=True)
class Way:
    """A way of computing DanQ."""

    name: str
    build: Callable[[DanQ], Compute]
    has_hard_gates: bool = False
    """Whether it also computes hard gates."""


failed: dict[str, str] = {}
"""Ways that failed in this process -> the reason. They are reported once and not tried again."""


class CudaDanQ:
    """A DanQ in bf16 that reads codes on its card."""

    def __init__(
        self,
        model: DanQ,
        ways: Sequence[Way] | None = None,
        record: Callable[[Compute, Tensor], Compute] | None = None,
        *,
        least_windows: int = _LEAST_WINDOWS,
        size_step: int = _SIZE_STEP,
    ):
        """Try `ways` in order; `record` makes the graph of a way. Batches of `least_windows` or
        more have a graph, whose size is a multiple of `size_step`. (Tests and benchmarks give these
        arguments.)"""
        self._model = ref(model)  # a strong reference would never free the model: see `prepare`
        ways = WAYS if ways is None else ways
        if isinstance(model.lstm, HardLSTM):
            ways = [way for way in ways if way.has_hard_gates]
        self._ways = [way for way in ways if way.name not in failed]
        self._record = record or record_graph
        self._least_windows, self._size_step = least_windows, size_step
        self._compute: Compute | None = None
        self._graphs: dict[int, Compute] = {}

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        with torch.inference_mode(), torch.autocast(codes.device.type, enabled=False):
            return torch.cat([self._batch(part) for part in torch.split(codes, _MOST_WINDOWS)])

    def _batch(self, codes: Tensor) -> Tensor:
        graph = None
        if len(codes) >= self._least_windows:
            size = -(-len(codes) // self._size_step) * self._size_step
            graph = self._graph(size, codes)
        return self._plain(codes, torch.bfloat16) if graph is None else graph(codes)

    def _graph(self, windows: int, like: Tensor) -> Compute | None:
        """Return a graph of that many windows; None if no way is left."""
        model = self._original()
        while windows not in self._graphs and self._ways:
            way = self._ways[0]
            try:
                if self._compute is None:
                    with torch.inference_mode(False), torch.no_grad():
                        self._compute = way.build(model)
                codes = _random_codes(windows, like)
                graph = self._record(self._compute, codes)
                self._check(graph, codes)
                self._graphs[windows] = graph
            except Exception as error:  # noqa: BLE001 after any error the next way is tried
                self._give_up(way, error)
        return self._graphs.get(windows)

    def _check(self, graph: Compute, codes: Tensor) -> None:
        """Raise ArithmeticError unless a graph is about as near to float32 as PyTorch's bf16."""
        logits = graph(codes)
        rows = torch.arange(len(codes))
        ends = torch.cat([rows[:_CHECKED_WINDOWS], rows[-_CHECKED_WINDOWS:]])
        exact = self._plain(codes[ends], torch.float32)
        error = _distance(logits[ends], exact)
        allowed = _ALLOWED * _distance(self._plain(codes[ends], torch.bfloat16), exact)
        if not error <= allowed:  # also if the error is NaN
            raise ArithmeticError(
                f"logits are {error:.2g} from those in float32; expected at most {allowed:.2g}"
            )

    def _give_up(self, way: Way, error: Exception) -> None:
        reason = (str(error) or type(error).__name__).strip().split("\n")[0]
        failed[way.name] = reason
        self._ways = self._ways[1:]
        self._compute = None
        self._graphs.clear()
        instead = f"{self._ways[0].name} instead" if self._ways else "plain PyTorch is used"
        say(f"no {way.name} for bf16 on this card ({reason}); {instead}")

    def _plain(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the logits of the model in plain PyTorch, in float32 or by autocast."""
        bf16, before = dtype == torch.bfloat16, torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = bf16
        try:
            with torch.autocast(codes.device.type, torch.bfloat16, enabled=bf16):
                logits: Tensor = self._original()(one_hot(codes).float())
        finally:
            torch.backends.cudnn.allow_tf32 = before
        return logits.float()

    def _original(self) -> DanQ:
        model = self._model()
        if model is None:
            raise ReferenceError("the model is gone; prepare its engine again")
        return model


def can_run_on(device: torch.device) -> bool:
    """Return whether a card has bf16 matrix units; the first card without them is reported."""
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) >= _OLDEST:
        return True
    if "old" not in failed:
        failed["old"] = f"compute capability {major}.{minor}"
        say(
            f"{device} has {failed['old']}; bf16 is fast from "
            f"{_OLDEST[0]}.{_OLDEST[1]} on only, so plain PyTorch is used"
        )
    return False


class CudnnDanQ:
    """A DanQ of PyTorch's own layers, its weights rounded once: to bf16, the LSTM's to float16.

    In float16 PyTorch keeps cuDNN's weights in one block of memory. In bf16 every call would copy
    them, and before PyTorch 2.10 the call would not use cuDNN. The states are smaller than one and
    no gradients are computed, so the range of float16 is large enough.
    """

    def __init__(self, model: DanQ):
        self._layers = copied(model).bfloat16()
        self._lstm = copy.deepcopy(model.lstm).half().eval()
        if isinstance(self._lstm, nn.LSTM):
            self._lstm.flatten_parameters()

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        layers = self._layers
        pooled = layers.pool(functional.relu(layers.conv(one_hot(codes).bfloat16())))
        read, _ = self._lstm(pooled.transpose(1, 2).half())
        hidden = functional.relu(layers.dense(torch.flatten(read, 1).bfloat16()))
        logits: Tensor = layers.output(hidden)
        return logits.float()


def record_graph(compute: Compute, codes: Tensor) -> Compute:
    """Return `compute` for up to as many windows as `codes` has, replayed as one CUDA graph."""
    device = codes.device
    inputs = codes.clone()
    with torch.cuda.device(device):
        side_stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side_stream):
            for _ in range(3):  # compiles kernels, and lets libraries choose their kernels
                compute(inputs)
        torch.cuda.current_stream(device).wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = compute(inputs)

    def replay(codes: Tensor) -> Tensor:
        inputs[: len(codes)].copy_(codes)  # the logits of later windows are not returned
        with torch.cuda.device(device):
            graph.replay()
        return logits[: len(codes)].clone()

    return replay


def _build_triton(model: DanQ) -> Compute:
    from bioq.fast.danq_triton import TritonDanQ

    return TritonDanQ(model, torch.bfloat16)


def _build_cudnn(model: DanQ) -> Compute:
    return CudnnDanQ(model)


WAYS = (
    Way("Triton kernels", _build_triton, has_hard_gates=True),
    Way("cuDNN in a CUDA graph", _build_cudnn),
)


def _distance(logits: Tensor, exact: Tensor) -> float:
    return float((logits - exact).square().mean().sqrt())


def _random_codes(windows: int, like: Tensor) -> Tensor:
    """Return random codes on the device of `like`, of its window length; 2 % are unknown."""
    generator = torch.Generator().manual_seed(windows)
    shape = (windows, like.shape[1])
    codes = torch.randint(0, 4, shape, generator=generator, dtype=torch.uint8)
    unknown = torch.rand(shape, generator=generator) < 0.02
    return codes.masked_fill(unknown, 4).to(like.device)

"""DanQ on an NVIDIA card in bf16: the whole forward pass as one CUDA graph a batch size.

Two ways, tried in order: our Triton kernels, then cuDNN's LSTM. Neither has run on a card yet
(benchmarks/card.sh checks them there), so each graph is compared with the model itself before it
is used. A way that is absent or gives other numbers is named in one line, and the model computes
itself.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import ref

import torch
from torch import Tensor
from torch.nn import functional

from bioq.dna.tensors import one_hot
from bioq.models.danq import DanQ
from bioq.progress import say

Compute = Callable[[Tensor], Tensor]
"""Codes uint8 `(n, window_bp)` -> logits float32 `(n, targets)`, both on the device."""

_LEAST_WINDOWS = 128
"""Fewer than this are not worth a graph: the model computes them."""
_SIZE_STEP = 256
"""Graphs have a multiple of this many windows; what a batch lacks is computed in vain."""
_MOST_WINDOWS = 4096
"""Windows of a graph; it takes about 0.6 MB each for `bioq`."""
_CHECKED_WINDOWS = 32
"""At each end of a graph's batch."""
_ALLOWED = 2.0
"""How many times further than PyTorch's own bf16 logits may be from float32, root mean square."""
_OLDEST = (8, 0)
"""Compute capability of the first cards with bf16 matrix units (Ampere)."""


@dataclass(frozen=True)
class Way:
    """A way of computing DanQ."""

    name: str
    build: Callable[[DanQ], Compute]


_given_up: dict[str, str] = {}
"""Ways that failed in this process, and why: not tried again, told once."""


class CudaDanQ:
    """A DanQ in bf16 that reads codes on its card."""

    def __init__(
        self,
        model: DanQ,
        ways: Sequence[Way] | None = None,
        record: Callable[[Compute, Tensor], Compute] | None = None,
    ):
        """Take `ways` in order; `record` makes the graph of one (both are for tests)."""
        self._model = ref(model)  # a strong one would keep the model for ever: see `prepare`
        ways = WAYS if ways is None else ways
        self._ways = [way for way in ways if way.name not in _given_up]
        self._record = record or record_graph
        self._compute: Compute | None = None
        self._graphs: dict[int, Compute] = {}

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        with torch.inference_mode(), torch.autocast(codes.device.type, enabled=False):
            return torch.cat([self._batch(part) for part in torch.split(codes, _MOST_WINDOWS)])

    def _batch(self, codes: Tensor) -> Tensor:
        graph = None
        if len(codes) >= _LEAST_WINDOWS:
            graph = self._graph(-(-len(codes) // _SIZE_STEP) * _SIZE_STEP, codes)
        return self._plain(codes, torch.bfloat16) if graph is None else graph(codes)

    def _graph(self, windows: int, like: Tensor) -> Compute | None:
        """Return what computes up to that many windows; None where the model must."""
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
            except Exception as error:  # noqa: BLE001 whatever it is, there is another way
                self._give_up(way, error)
        return self._graphs.get(windows)

    def _check(self, graph: Compute, codes: Tensor) -> None:
        """Raise ArithmeticError unless a graph is about as near to float32 as PyTorch's bf16."""
        found = graph(codes)
        rows = torch.arange(len(codes))
        ends = torch.cat([rows[:_CHECKED_WINDOWS], rows[-_CHECKED_WINDOWS:]])
        exact = self._plain(codes[ends], torch.float32)
        error = _distance(found[ends], exact)
        allowed = _ALLOWED * _distance(self._plain(codes[ends], torch.bfloat16), exact)
        if not error <= allowed:  # nor where it is no number
            raise ArithmeticError(
                f"logits are {error:.2g} from the model's in float32; "
                f"expected at most {allowed:.2g}"
            )

    def _give_up(self, way: Way, error: Exception) -> None:
        reason = (str(error) or type(error).__name__).strip().split("\n")[0]
        _given_up[way.name] = reason
        self._ways = self._ways[1:]
        self._compute = None
        self._graphs.clear()
        instead = f"{self._ways[0].name} instead" if self._ways else "the model computes itself"
        say(f"no {way.name} for bf16 on this card ({reason}); {instead}")

    def _plain(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """Return what the model itself computes, in float32 or by autocast."""
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
    """Whether a card has bf16 matrix units; one that has none is told once."""
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) >= _OLDEST:
        return True
    if "old" not in _given_up:
        _given_up["old"] = f"compute capability {major}.{minor}"
        say(
            f"{device} has {_given_up['old']}; bf16 is only fast from "
            f"{_OLDEST[0]}.{_OLDEST[1]} on, so the model computes itself"
        )
    return False


class CudnnDanQ:
    """A DanQ of PyTorch's own layers, its weights rounded once: to bf16, the LSTM's to float16.

    PyTorch keeps cuDNN's weights in one piece in float16, not in bf16, where every call would copy
    them, and before PyTorch 2.10 leave cuDNN. The states are smaller than one, and no gradients
    are taken here, so that float16 has the range.
    """

    def __init__(self, model: DanQ):
        self._layers = copy.deepcopy(model).bfloat16().eval()
        self._layers.lstm = copy.deepcopy(model.lstm).half().eval()
        self._layers.lstm.flatten_parameters()

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        layers = self._layers
        found = layers.pool(functional.relu(layers.conv(one_hot(codes).bfloat16())))
        read, _ = layers.lstm(found.transpose(1, 2).half())
        hidden = functional.relu(layers.dense(torch.flatten(read, 1).bfloat16()))
        logits: Tensor = layers.output(hidden)
        return logits.float()


def record_graph(compute: Compute, codes: Tensor) -> Compute:
    """Return `compute` for up to as many windows as `codes` has, replayed as one CUDA graph."""
    device = codes.device
    given = codes.clone()
    with torch.cuda.device(device):
        aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(3):  # kernels are compiled and libraries choose theirs
                compute(given)
        torch.cuda.current_stream(device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = compute(given)

    def replay(codes: Tensor) -> Tensor:
        given[: len(codes)].copy_(codes)  # what lies behind them stays and is not looked at
        with torch.cuda.device(device):
            graph.replay()
        return logits[: len(codes)].clone()

    return replay


def _build_triton(model: DanQ) -> Compute:
    from bioq.fast.danq_triton import TritonDanQ

    return TritonDanQ(model, torch.bfloat16)


def _build_cudnn(model: DanQ) -> Compute:
    return CudnnDanQ(model)


WAYS = (Way("Triton kernels", _build_triton), Way("cuDNN in a CUDA graph", _build_cudnn))


def _distance(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).square().mean().sqrt())


def _random_codes(windows: int, like: Tensor) -> Tensor:
    """Return codes shaped and placed like others, every 50th base unknown on average."""
    generator = torch.Generator().manual_seed(windows)
    shape = (windows, like.shape[1])
    codes = torch.randint(0, 4, shape, generator=generator, dtype=torch.uint8)
    unknown = torch.rand(shape, generator=generator) < 0.02
    return codes.masked_fill(unknown, 4).to(like.device)

"""The layers of a model: the shape of their outputs, their parameters and operations."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from bioq.models.eval_mode import eval_mode
from bioq.models.families import FAMILIES, family_of
from bioq.models.family import LayerKind, Shape
from bioq.models.hard_lstm import HardLSTM


@dataclass(frozen=True)
class Layer:
    """One step of a forward pass."""

    layer: str
    """Its name in the model, such as `conv`; `windows` for the input."""
    kind: str
    """Operation, such as `convolution 320 x 26, ReLU`."""
    axes: tuple[str, ...]
    """Names of the axes of its output, without the batch."""
    output: tuple[int, ...]
    """Lengths of those axes."""
    parameters: int
    flops: int
    """Floating-point operations of one window: two for every multiplication and addition.
    Activations and pooling, which take few, are not counted."""
    inputs: tuple[int, ...] = ()
    """Numbers, in the summary, of the layers whose outputs this layer reads."""


@dataclass(frozen=True)
class Summary:
    """The layers of a model, in the order in which they are computed.

    If the logits are a sum of several branches, the last layer is `logits`, which adds them.
    """

    name: str
    window_bp: int
    targets: int
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        return sum(layer.flops for layer in self.layers)

    @property
    def has_branches(self) -> bool:
        """Whether a layer reads another layer than the one before it."""
        return any(layer.inputs != (number,) for number, layer in enumerate(self.layers[1:]))

    def table(self) -> pd.DataFrame:
        """Return one row per layer, and a last row `total`.

        Columns: layer, input (only if the model has branches: names of the layers that it reads),
        kind, output (text such as `320 filters x 75 positions`), parameters, flops.
        """
        rows = [
            {
                "layer": layer.layer,
                "input": ", ".join(self.layers[number].layer for number in layer.inputs),
                "kind": layer.kind,
                "output": shape_text(layer),
                "parameters": layer.parameters,
                "flops": layer.flops,
            }
            for layer in self.layers
        ]
        rows.append(
            {"layer": "total", "input": "", "kind": "", "output": ""}
            | {"parameters": self.parameters, "flops": self.flops}
        )
        return pd.DataFrame(rows).drop(columns=[] if self.has_branches else "input")


def summarise(model: nn.Module) -> Summary:
    """Pass one window of zeros through the network of a run and describe every layer.

    Of a network that is not of `models` the layers are those without layers of their own or, if
    these are many, its parts; weights that belong to none of them are listed with the logits. The
    model is not changed.
    """
    architecture: dict[str, Any] = model.architecture  # type: ignore[assignment]
    weight = next(model.parameters())
    windows = torch.zeros(1, 4, architecture["window_bp"], device=weight.device, dtype=weight.dtype)
    floor = architecture["sizes"].get("floor", 0.0)
    is_known = family_of(model) is not None
    tracer = _Tracer(windows.requires_grad_(), getattr(model, "output", None), floor, is_known)
    parts = list(model.named_children() if is_known else _innermost(model))
    if len(parts) > _MOST_LAYERS:
        parts = list(model.named_children())
    hooks = [part.register_forward_hook(tracer.hook(name)) for name, part in parts]
    try:
        with torch.enable_grad(), eval_mode(model):
            logits = model(windows)
    finally:
        for hook in hooks:
            hook.remove()
    total = sum(weight.numel() for weight in (*model.parameters(), *model.buffers()))
    tracer.finish(logits, 0 if is_known else total)
    layers, targets = tuple(tracer.layers), architecture["targets"]
    return Summary(architecture["name"], architecture["window_bp"], targets, layers)


def with_memory(outline: nn.Module) -> nn.Module:
    """Return a network on the device `meta` with memory for its weights, of no particular content.

    Used before `summarise`: PyTorch computes on `meta` with parts of its compiler, which take 1.5 s
    to load; `to_empty` loads some of them, too. A network on another device, or of more than 2^28
    weights, is not changed.
    """
    weights = [*outline.parameters(), *outline.buffers()]
    is_large = sum(weight.numel() for weight in weights) > _MOST_IN_MEMORY
    if is_large or any(weight.device.type != "meta" for weight in weights):
        return outline
    for module in outline.modules():
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(weight.shape, dtype=weight.dtype)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.zeros(buffer.shape, dtype=buffer.dtype))
    return outline


_MOST_IN_MEMORY = 1 << 28
"""Weights that get memory, 1 GiB: pages that are only read take none."""
_MOST_LAYERS = 40
"""Layers of a network that is not of `models`, above which its parts are described instead."""


def _innermost(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers, by name, that have weights themselves or no layer inside."""
    for name, child in module.named_children():
        weights = (*child.parameters(recurse=False), *child.buffers(recurse=False))
        if weights or not any(True for _ in child.children()):
            yield f"{prefix}{name}", child
        else:
            yield from _innermost(child, f"{prefix}{name}.")


class _Tracer:
    """Describes the layers while a model computes, and finds the inputs of each.

    A tensor records, for its gradient, the operations that made it; the layers that it comes from
    are the first ones met on the way back. No gradient is computed.
    """

    def __init__(
        self, windows: Tensor, output: nn.Module | Tensor | None, floor: float, is_known: bool
    ):
        self._relu = f"ReLU with floor {floor:g}" if floor else "ReLU"
        self.layers = [
            Layer("windows", "one-hot bases", ("base", "position"), tuple(windows.shape[1:]), 0, 0)
        ]
        self._windows = windows
        self._output = output
        self._is_known = is_known
        self._counted: set[nn.Module] = set()
        self._made_by: dict[Any, int] = {}
        """Operation that made the output of a layer -> number of the last such layer."""

    def hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        """Return the forward hook of the layer `name`."""

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            result = output[0] if isinstance(output, tuple) else output
            if not isinstance(result, Tensor):
                return
            kind = _OUTPUT if module is self._output else self._kind_of(module)
            sources = self._sources(*inputs) or (len(self.layers) - 1,)
            given = self.layers[sources[0]]
            if isinstance(module, nn.ReLU):
                self.layers[sources[0]] = replace(given, kind=f"{given.kind}, {self._relu}")
                return
            shape = tuple(result.shape[1:])  # of one window
            layer = Layer(
                name,
                kind.text(module),
                _axes(kind.axes[-len(shape) :] if kind.axes else given.axes, shape),
                shape,
                0 if module in self._counted else _weights(module),
                kind.flops(module, given.output, shape),
                sources,
            )
            self._counted.add(module)
            if result.grad_fn is not None:
                self._made_by[result.grad_fn] = len(self.layers)
            self.layers.append(layer)

        return note

    def finish(self, logits: Tensor, total: int) -> None:
        """Add the layer `logits` if several layers are added to it, or if more than the layers'
        weights, `total`, are in the network."""
        sources = self._sources(logits)
        others = max(total - sum(layer.parameters for layer in self.layers), 0)
        if len(sources) > 1 or others:
            kind = "weighted sum" if self._is_known else "computed from these"
            shape = tuple(logits.shape[1:])
            sources = sources or (len(self.layers) - 1,)
            self.layers.append(Layer("logits", kind, ("target",), shape, others, 0, sources))

    def _kind_of(self, layer: nn.Module) -> LayerKind:
        """Return the description of a layer's class, or of the nearest class that it inherits
        from."""
        kinds = _KINDS if self._is_known else {**_KINDS, nn.Linear: _DENSE}
        return kinds[next((kind for kind in type(layer).__mro__ if kind in kinds), nn.Module)]

    def _sources(self, *tensors: object) -> tuple[int, ...]:
        """Return the numbers of the layers that tensors come from, ascending."""
        found: set[int] = set()
        seen: set[Any] = set()
        waiting: list[Any] = [
            0 if tensor is self._windows else tensor.grad_fn
            for tensor in tensors
            if isinstance(tensor, Tensor)
        ]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if node == 0 or getattr(node, "variable", None) is self._windows:
                found.add(0)
            elif node in self._made_by:
                found.add(self._made_by[node])
            else:
                waiting += [before for before, _ in node.next_functions]
        return tuple(sorted(found))


def shape_text(layer: Layer) -> str:
    """Return the shape of a layer's output as text: `320 filters x 75 positions`."""
    parts = (
        f"{length:,} {axis if length == 1 else axis + 's'}"
        for axis, length in zip(layer.axes, layer.output, strict=True)
    )
    return " x ".join(parts)


def _weights(layer: nn.Module) -> int:
    return sum(weight.numel() for weight in (*layer.parameters(), *layer.buffers()))


def _axes(names: tuple[str, ...], shape: Shape) -> tuple[str, ...]:
    """Return the names of the axes of an output; general names if these do not fit."""
    if len(names) == len(shape):
        return names
    by_axes = {1: ("unit",), 2: ("channel", "position"), 3: ("channel", "row", "column")}
    return by_axes.get(len(shape)) or tuple(f"axis-{number}" for number in range(len(shape)))


def _lstm_text(layer: nn.LSTM | HardLSTM) -> str:
    layers = "1 layer" if layer.num_layers == 1 else f"{layer.num_layers} layers"
    gates = ", hard gates" if isinstance(layer, HardLSTM) else ""
    if isinstance(layer, nn.LSTM) and not layer.bidirectional:
        return f"LSTM, {layers} of {layer.hidden_size}"
    return f"bidirectional LSTM, {layers} of 2 x {layer.hidden_size}{gates}"


def _convolution_flops(layer: nn.Conv1d, _input: Shape, output: Shape) -> int:
    return 2 * layer.weight.numel() * output[1]  # every weight at each position


def _lstm_flops(layer: nn.LSTM | HardLSTM, _input: Shape, output: Shape) -> int:
    weights = (weight.numel() for weight in layer.parameters() if weight.dim() == 2)
    return 2 * sum(weights) * output[0]  # every weight at each position


def _dense_flops(layer: nn.Linear, _input: Shape, output: Shape) -> int:
    return 2 * math.prod(output[:-1]) * layer.weight.numel()  # every weight for each input row


_KINDS: Mapping[type[nn.Module], LayerKind] = {
    nn.Module: LayerKind(lambda layer: type(layer).__name__),
    nn.Conv1d: LayerKind(
        lambda layer: f"convolution {layer.out_channels} x {layer.kernel_size[0]}",
        ("filter", "position"),
        _convolution_flops,
    ),
    nn.MaxPool1d: LayerKind(lambda layer: f"max pooling {layer.kernel_size}"),
    nn.Dropout: LayerKind(lambda layer: f"dropout {layer.p:g}, in training"),
    nn.LSTM: LayerKind(_lstm_text, ("position", "unit"), _lstm_flops),
    HardLSTM: LayerKind(_lstm_text, ("position", "unit"), _lstm_flops),
    nn.Linear: LayerKind(lambda _: "dense", ("target", "unit"), _dense_flops),
    nn.LayerNorm: LayerKind(lambda _: "norm", ("position", "filter")),
    **{layer: kind for family in FAMILIES for layer, kind in family.layers.items()},
}
_OUTPUT = LayerKind(lambda _: "dense", ("position", "target"), _dense_flops)
"""The last layer, `output` in every model."""
_DENSE = LayerKind(lambda _: "dense", ("position", "unit"), _dense_flops)
"""A dense layer of a network that is not of `models`."""

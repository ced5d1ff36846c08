"""What a model is made of: its layers, what each gives, weighs and costs."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from bioq.models.composition import KMER, Composition
from bioq.models.deepatt import TargetAttention
from bioq.models.marq import TargetMean, WindowHead


@dataclass(frozen=True)
class Layer:
    """One step of a forward pass."""

    layer: str
    """Its name in the model, such as `conv`; `windows` for the input."""
    kind: str
    """What it does, such as `convolution 320 x 26, ReLU`."""
    axes: tuple[str, ...]
    """Names of the axes of what it gives, without the batch."""
    output: tuple[int, ...]
    """Lengths of those axes."""
    parameters: int
    flops: int
    """Floating-point operations for one window: a multiplication and an addition a weight used;
    activations and pooling, which take next to none, are not counted."""


@dataclass(frozen=True)
class Summary:
    """The layers of a model, in the order in which a window passes them."""

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

    def table(self) -> pd.DataFrame:
        """Return one row a layer and a last one, `total`.

        Columns: layer, kind, output (text such as `320 filters x 75 positions`), parameters, flops.
        """
        rows = [asdict(layer) | {"output": shape_text(layer)} for layer in self.layers]
        rows.append(
            {"layer": "total", "kind": "", "output": ""}
            | {"parameters": self.parameters, "flops": self.flops}
        )
        return pd.DataFrame(rows).drop(columns="axes")


def summarise(model: nn.Module) -> Summary:
    """Pass one window of zeros through a model that `build_model` made and note every layer.

    The model is left as it was.
    """
    architecture: dict[str, Any] = model.architecture  # type: ignore[assignment]
    window_bp = architecture["window_bp"]
    layers = [Layer("windows", "one-hot bases", ("base", "position"), (4, window_bp), 0, 0)]

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            result: Tensor = output[0] if isinstance(output, tuple) else output
            is_last = module is model.output
            shape = tuple(result.shape[1:])  # of one window
            layers.append(
                Layer(
                    name,
                    _kind(module, is_last=is_last),
                    _axes(module, layers[-1], shape, is_last=is_last),
                    shape,
                    sum(weight.numel() for weight in (*module.parameters(), *module.buffers())),
                    _flops(module, layers[-1].output, shape),
                )
            )

        return hook

    hooks = [part.register_forward_hook(note(name)) for name, part in model.named_children()]
    was_training = model.training
    try:
        with torch.no_grad():
            weight = next(model.parameters())
            model.eval()(torch.zeros(1, 4, window_bp, device=weight.device, dtype=weight.dtype))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return Summary(architecture["name"], window_bp, architecture["targets"], tuple(layers))


def shape_text(layer: Layer) -> str:
    """Return what a layer gives in words: `320 filters x 75 positions`."""
    parts = (
        f"{length:,} {axis if length == 1 else axis + 's'}"
        for axis, length in zip(layer.axes, layer.output, strict=True)
    )
    return " x ".join(parts)


def _kind(module: nn.Module, *, is_last: bool) -> str:
    if isinstance(module, nn.Conv1d):
        return f"convolution {module.out_channels} x {module.kernel_size[0]}, ReLU"
    if isinstance(module, nn.MaxPool1d):
        return f"max pooling {module.kernel_size}"
    if isinstance(module, nn.Dropout):
        return f"dropout {module.p:g}, in training"
    if isinstance(module, nn.LSTM):
        layers = "1 layer" if module.num_layers == 1 else f"{module.num_layers} layers"
        return f"bidirectional LSTM, {layers} of 2 x {module.hidden_size}"
    if isinstance(module, TargetAttention):
        units = module.merge.out_features
        return f"attention, a query a target, {module.heads} heads of {units // module.heads}"
    if isinstance(module, nn.Linear):
        return "dense" if is_last else "dense, ReLU"
    if isinstance(module, nn.LayerNorm):
        return "norm"
    if isinstance(module, TargetMean):
        return "attention, a query a target"
    if isinstance(module, WindowHead):
        return f"dense {module.dense.out_features}, GELU, dense, added"
    if isinstance(module, Composition):
        return f"{KMER}-mers of the window, fitted, mixed in"
    return type(module).__name__


def _axes(
    module: nn.Module, before: Layer, output: tuple[int, ...], *, is_last: bool
) -> tuple[str, ...]:
    if isinstance(module, nn.Conv1d):
        return ("filter", "position")
    if isinstance(module, nn.LSTM):
        return ("position", "unit")
    if isinstance(module, nn.Linear) and is_last:
        return ("position", "target")[-len(output) :]
    if isinstance(module, nn.Linear):
        return ("target", "unit")[-len(output) :]
    if isinstance(module, TargetAttention):
        return ("target", "unit")
    if isinstance(module, nn.LayerNorm):
        return ("position", "filter")
    if isinstance(module, TargetMean | WindowHead | Composition):
        return ("target",)
    return before.axes


def _flops(module: nn.Module, given: tuple[int, ...], output: tuple[int, ...]) -> int:
    """Return two for every use of a weight, of a key or a value, or of a product of bases that is
    counted: a convolution and an LSTM use weights at each position, a dense layer at each row that
    it is given."""
    if isinstance(module, nn.Conv1d):
        return 2 * module.weight.numel() * output[1]
    if isinstance(module, nn.LSTM):
        weights = (weight.numel() for weight in module.parameters() if weight.dim() == 2)
        return 2 * sum(weights) * output[0]
    if isinstance(module, TargetAttention):
        (positions, inputs), (targets, units) = given, output
        attended = positions * inputs * units + targets * units * positions  # keys; and products
        return 2 * (2 * attended + targets * units * units)  # values as keys; then `merge`
    if isinstance(module, nn.Linear):
        rows = math.prod(output[:-1])
        return 2 * rows * module.weight.numel()
    if isinstance(module, TargetMean):
        positions, _ = given
        targets, rank = module.queries.shape
        return 2 * positions * (module.keys.weight.numel() + targets * rank)
    if isinstance(module, WindowHead):
        parts = (module.squeeze, module.dense, module.output)
        squeeze, dense, out = (part.weight.numel() for part in parts)
        positions = module.dense.in_features // module.squeeze.out_features
        return 2 * (positions * squeeze + dense + out)
    if isinstance(module, Composition):
        products: int = 4**KMER * (module.window_bp - KMER + 1)  # of pairs and triples of bases
        return 2 * (products + module.weight.numel())
    return 0

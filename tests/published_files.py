"""Small files in the layouts of published models, and the published arithmetic written out.

The networks are arranged as the published code arranges them, or computed in NumPy. Weights are
large enough that a wrong gate, order or flip changes probabilities by much more than 1e-5.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bioq import dna

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]
CHANNELS = "AGCT"
WINDOW_BP = 400
"""Length of the windows of the small networks; Beluga needs at least 310 bp."""


def random_codes(count: int = 20, window_bp: int = WINDOW_BP, seed: int = 0) -> Codes:
    """Return windows as codes `(count, window_bp)`, with some unknown bases."""
    codes = np.random.default_rng(seed).integers(0, 4, (count, window_bp), dtype=np.uint8)
    codes[:, 10:13] = dna.UNKNOWN
    return codes


def published_one_hot(codes: Codes, channels: str = CHANNELS) -> npt.NDArray[np.float32]:
    """Return one-hot windows `(count, 4, window_bp)`, in the published order of channels."""
    letters = np.array(list("ACGTN"))[codes]
    return np.stack([letters == base for base in channels], axis=1).astype(np.float32)


class Apply(nn.Module):
    """A function as a layer, as the published code has them."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)


def _flat() -> Apply:
    return Apply(lambda maps: maps.reshape(len(maps), -1))


def _dense(inputs: int, units: int) -> nn.Sequential:
    return nn.Sequential(Apply(lambda rows: rows), nn.Linear(inputs, units))


def deepsea(
    targets: int = 3, *, filters: int = 4, dense: int = 7, floor: float = 1e-6
) -> nn.Module:
    """Return DeepSEA, from one-hot `(batch, 4, 1, length)` to probabilities."""
    positions = ((WINDOW_BP - 7) // 4 - 7) // 4 - 7
    widths = (filters, filters * 3 // 2, filters * 3)

    def above() -> nn.Module:
        return nn.Threshold(0, floor)

    def pool() -> nn.Module:
        return nn.MaxPool2d((1, 4), (1, 4))

    return nn.Sequential(
        *(nn.Conv2d(4, widths[0], (1, 8)), above(), pool(), nn.Dropout(0.2)),
        *(nn.Conv2d(widths[0], widths[1], (1, 8)), above(), pool(), nn.Dropout(0.2)),
        *(nn.Conv2d(widths[1], widths[2], (1, 8)), above(), nn.Dropout(0.5), _flat()),
        *(_dense(widths[2] * positions, dense), above(), _dense(dense, targets), nn.Sigmoid()),
    )


class Beluga(nn.Module):
    """Beluga, from one-hot `(batch, 4, 1, length)` to probabilities."""

    def __init__(self, targets: int = 3, *, filters: int = 4, dense: int = 7):
        super().__init__()
        positions = ((WINDOW_BP - 14) // 4 - 14) // 4 - 14
        second, third = filters * 3 // 2, filters * 2

        def step(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
            return nn.Conv2d(inputs, outputs, (1, 8)), nn.ReLU()

        def rest() -> tuple[nn.Module, nn.Module]:
            return nn.Dropout(0.2), nn.MaxPool2d((1, 4), (1, 4))

        self.model = nn.Sequential(
            nn.Sequential(
                *(*step(4, filters), *step(filters, filters), *rest()),
                *(*step(filters, second), *step(second, second), *rest()),
                *(*step(second, third), *step(third, third)),
            ),
            nn.Sequential(
                *(nn.Dropout(0.5), _flat(), _dense(third * positions, dense), nn.ReLU()),
                *(_dense(dense, targets), nn.Sigmoid()),
            ),
        )

    def forward(self, windows: Tensor) -> Tensor:
        return self.model(windows)


class Bioq2024(nn.Module):
    """BioQ of 2024, from one-hot `(batch, 4, 1, length)` to probabilities."""

    def __init__(self, targets: int = 3, *, filters: int = 6, width: int = 8, dense: int = 7):
        super().__init__()
        pool, units = width // 2, 5
        positions = (WINDOW_BP - width + 1) // pool
        self.conv = nn.Sequential(nn.Conv1d(4, filters, width), nn.ReLU(), nn.MaxPool1d(pool))
        self.brnn = nn.Sequential(
            *(nn.LSTM(filters, units, 2, batch_first=True, bidirectional=True), nn.Dropout(0.5)),
            *(nn.Flatten(), nn.Linear(positions * 2 * units, dense), nn.ReLU()),
            nn.Linear(dense, targets),
        )

    def forward(self, windows: Tensor) -> Tensor:
        states, _ = self.brnn[0](self.conv(windows.squeeze(2)).transpose(1, 2))
        return torch.sigmoid(self.brnn[1:](states))


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "deepsea": deepsea,
    "beluga": Beluga,
    "bioq-2024": Bioq2024,
}
"""Name of a layout of PyTorch -> its network, of a number of targets."""


def large_weights(network: nn.Module, *, unit: float = 1.0, seed: int = 0) -> nn.Module:
    """Give a network large weights, in eval mode, and a last layer whose logits of `random_codes`
    have mean 0 and standard deviation 1.5 per target. `unit` is the size of activations."""
    generator = torch.Generator().manual_seed(seed)
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    logits: list[Tensor] = []
    hook = last.register_forward_hook(lambda _layer, _inputs, output: logits.append(output))
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            inputs = weight[0].numel() if weight.ndim > 1 else 4
            size = unit if number == 0 or weight.ndim == 1 else 1.0
            weight.normal_(0.0, size * 2.0 / inputs**0.5, generator=generator)
        network.eval()(torch.from_numpy(published_one_hot(random_codes()))[:, :, None])
        mean, std = logits[0].mean(0), logits[0].std(0) / 1.5
        last.weight.div_(std[:, None])
        last.bias.sub_(mean).div_(std)
    hook.remove()
    return network


def probabilities(network: nn.Module, codes: Codes) -> npt.NDArray[np.float32]:
    """Return what a network of this module predicts for windows as codes."""
    with torch.no_grad():
        return network(torch.from_numpy(published_one_hot(codes))[:, :, None]).numpy()


def save(network: nn.Module, file: Path, prefix: str = "", *, is_old: bool = False) -> Path:
    """Save the state_dict of a network, its names behind a prefix; `is_old` as PyTorch did before
    1.6."""
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    torch.save(state, file, _use_new_zipfile_serialization=not is_old)
    return file


Layers = Mapping[int, list[npt.NDArray[np.float32]]]
"""Number of a layer of Keras -> its parameters."""


def keras_layers(
    model: str, targets: int = 3, *, filters: int = 6, width: int = 8, dense: int = 7, seed: int = 0
) -> Layers:
    """Return the parameters of a DanQ (`danq` or `danq-jaspar`) with large weights."""
    units, random = 5, np.random.default_rng(seed)
    positions = (WINDOW_BP - width + 1) // (width // 2)

    def draw(*shape: int, inputs: int) -> npt.NDArray[np.float32]:
        return random.normal(0.0, 2.0 / inputs**0.5, shape).astype(np.float32)

    def gate() -> list[npt.NDArray[np.float32]]:
        return [
            draw(filters, units, inputs=filters),
            draw(units, units, inputs=units),
            draw(units, inputs=1),
        ]

    flat = positions * 2 * units
    layers = {
        0: [draw(filters, 4, width, 1, inputs=width), draw(filters, inputs=4)],
        3: [weight for _ in range(8) for weight in gate()],
        6: [draw(flat, dense, inputs=flat // 8), draw(dense, inputs=4)],
        _last(model): [draw(dense, targets, inputs=dense), draw(targets, inputs=4)],
    }
    logits = keras_logits(model, layers, random_codes())
    std = logits.std(axis=0) / 1.5
    weight, bias = layers[_last(model)]
    layers[_last(model)] = [
        (weight / std).astype(np.float32),
        ((bias - logits.mean(axis=0)) / std).astype(np.float32),
    ]
    return layers


def _last(model: str) -> int:
    return {"danq": 8, "danq-jaspar": 7}[model]


def save_keras(model: str, layers: Layers, file: Path) -> Path:
    """Save parameters as save_weights of Keras 0.2 does."""
    with h5py.File(file, "w") as out:
        out.attrs["nb_layers"] = _last(model) + (2 if model == "danq" else 1)
        for number in range(out.attrs["nb_layers"]):
            group = out.create_group(f"layer_{number}")
            parameters = layers.get(number, [])
            group.attrs["nb_params"] = len(parameters)
            for index, values in enumerate(parameters):
                group.create_dataset(f"param_{index}", data=values)
    return file


def hard_sigmoid(sums: Array) -> Array:
    return np.clip(0.2 * sums + 0.5, 0.0, 1.0)


def _lstm(inputs: Array, weights: list[Array], gate: Callable[[Array], Array]) -> Array:
    """Return states `(batch, position, unit)`: Keras 0.2's LSTM, from first to last position."""
    w_i, u_i, b_i, w_c, u_c, b_c, w_f, u_f, b_f, w_o, u_o, b_o = weights
    hidden = cell = np.zeros((len(inputs), len(b_i)))
    states = []
    for position in range(inputs.shape[1]):
        x = inputs[:, position]
        i = gate(x @ w_i + b_i + hidden @ u_i)
        f = gate(x @ w_f + b_f + hidden @ u_f)
        c = f * cell + i * np.tanh(x @ w_c + b_c + hidden @ u_c)
        o = gate(x @ w_o + b_o + hidden @ u_o)
        hidden, cell = o * np.tanh(c), c
        states.append(hidden)
    return np.stack(states, axis=1)


KERAS_DETAILS = (
    *("channels", "flip", "scale 0.8", "gates", "gate order", "halves", "scale 0.5", "flatten"),
)
"""What `keras_logits` can get wrong."""


def keras_logits(
    model: str,
    layers: Layers,
    codes: Codes,
    *,
    reverses: str = "positions",
    wrong: str = "",
) -> Array:
    """Return the logits of a DanQ of Keras 0.2 on Theano, at test time.

    `reverses` is the axis that the second LSTM reverses, positions or batch. `wrong` is one of
    KERAS_DETAILS.
    """
    params = {n: [np.asarray(p, np.float64) for p in of] for n, of in layers.items()}
    filters, bias = params[0]
    width = filters.shape[2]
    one_hot = published_one_hot(codes, "ACGT" if wrong == "channels" else CHANNELS)
    kernel = filters[:, :, :, 0] if wrong == "flip" else filters[:, :, ::-1, 0]
    windows = np.lib.stride_tricks.sliding_window_view(one_hot, width, axis=2)
    maps = np.maximum(np.einsum("bclw,fcw->bfl", windows, kernel) + bias[:, None], 0)
    pool = width // 2
    positions = maps.shape[2] // pool
    pooled = maps[:, :, : positions * pool].reshape(len(maps), -1, positions, pool).max(axis=3)
    inputs = pooled.transpose(0, 2, 1) * (1.0 if wrong == "scale 0.8" else 0.8)
    gate = (lambda x: 1 / (1 + np.exp(-x))) if wrong == "gates" else hard_sigmoid
    order_of = [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11] if wrong == "gate order" else range(12)
    first = [params[3][index] for index in order_of]
    second = [params[3][12 + index] for index in order_of]
    axis = {"batch": 0, "positions": 1}[reverses]
    backward = np.flip(_lstm(np.flip(inputs, axis), second, gate), axis)
    states = [_lstm(inputs, first, gate), backward]
    read = np.concatenate(states[::-1] if wrong == "halves" else states, axis=2)
    read = read * (1.0 if wrong == "scale 0.5" else 0.5)
    flat = (read.transpose(0, 2, 1) if wrong == "flatten" else read).reshape(len(read), -1)
    hidden = np.maximum(flat @ params[6][0] + params[6][1], 0)
    weight, last = params[_last(model)]
    return hidden @ weight + last


def keras_probabilities(model: str, layers: Layers, codes: Codes, **reading: str) -> Array:
    """Return probabilities of `keras_logits`, which takes `reading`."""
    return 1 / (1 + np.exp(-keras_logits(model, layers, codes, **reading)))

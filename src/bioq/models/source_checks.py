"""What a network that a user has written must do, tried before a training begins."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bioq.errors import BioqError
from bioq.models.source import Source, build_from_source, calling

TOLERANCE = 1e-3
"""Largest difference of two logits that should be equal, as a share of the largest logit or of
1."""
_SHAPES_ONLY = frozenset(
    ("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Transpose", "Permute", "T")
)
"""The operations of autograd that change the shape of a tensor and not its numbers."""


@dataclass(frozen=True)
class Found:
    """What was found about a network that can be trained."""

    starts_at_rates: bool
    """Whether its last layer is `output`, with a bias per target."""


def check_source(source: Source, *, targets: int, window_bp: int, smallest_batch: int = 2) -> Found:
    """Build a network twice, and compute random windows of `window_bp` bases with it.

    `smallest_batch` is the least number of windows of a training step. PyTorch's generator is not
    changed. Raises BioqError if the network
    - fails, or returns anything but finite logits `(batch, targets)`: probabilities are refused;
    - computes other logits in another call, or beside other windows, in eval mode;
    - has numbers that its state_dict lacks, so that a run could not be loaded;
    - has a weight that learns but no gradient.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_from_source(source, targets=targets, window_bp=window_bp)
        again = build_from_source(source, targets=targets, window_bp=window_bp)
        try_ = _Try(source, targets, window_bp)
        if again is network:
            raise try_.error("returns the same network in each call; expected a new one")
        windows = _random_windows(window_bp)
        with torch.no_grad():
            logits = _check_predictions(try_, network, windows)
            _check_rebuilt(try_, network, again, windows, logits)
        _check_gradients(try_, network, windows)
        if smallest_batch == 1:
            with torch.no_grad():
                try_.logits(network.train(), windows[:1])
    bias = getattr(getattr(network, "output", None), "bias", None)
    return Found(isinstance(bias, nn.Parameter) and bias.shape == (targets,))


@dataclass(frozen=True)
class _Try:
    """A network that is tried: its source and its arguments."""

    source: Source
    targets: int
    window_bp: int

    def error(self, what: str) -> BioqError:
        call = f"{self.source.function}({self.targets}, {self.window_bp})"
        return BioqError(f"{self.source.file}: {call} {what}")

    def logits(self, network: nn.Module, windows: Tensor) -> Tensor:
        """Return the logits of windows. Raises BioqError if the network returns anything else."""
        logits = calling(self.source, network, windows.clone())
        shape = (len(windows), self.targets)
        if isinstance(logits, Tensor) and logits.is_floating_point() and logits.shape == shape:
            return logits.float()
        found = f"a {type(logits).__name__}"
        if isinstance(logits, Tensor):
            found = f"{logits.dtype} of shape {tuple(logits.shape)}"
        mode = " while training" if network.training else ""
        raise self.error(
            f"builds a network that returns {found} for {len(windows)} windows{mode}; expected "
            f"logits of shape {shape}"
        )


def _random_windows(window_bp: int) -> Tensor:
    """Return two windows of random bases, and one in which every base is unknown."""
    bases = torch.randint(4, (2, window_bp))
    one_hot = torch.nn.functional.one_hot(bases, 4).transpose(1, 2).float()
    return torch.cat([one_hot, torch.zeros(1, 4, window_bp)])


def _check_predictions(try_: _Try, network: nn.Module, windows: Tensor) -> Tensor:
    """Compare the logits of several calls in eval mode; return them."""
    logits = try_.logits(network.eval(), windows)
    for number, kind in ((0, "random"), (1, "random"), (2, "unknown")):
        if not torch.isfinite(logits[number]).all():
            raise try_.error(
                f"builds a network that returns NaN or infinite logits for a window of {kind} bases"
            )
    if not _equal(try_.logits(network, windows), logits):
        raise try_.error(
            "builds a network that returns other logits in a second call in eval mode; use "
            "nn.Dropout, or functional.dropout(x, training=self.training)"
        )
    alone = torch.cat([try_.logits(network, window[None]) for window in windows])
    if not _equal(alone, logits):
        raise try_.error(
            "builds a network in which the logits of a window depend on the other windows of the "
            "batch, in eval mode; compute each window for itself"
        )
    return logits


def _check_rebuilt(
    try_: _Try, network: nn.Module, again: nn.Module, windows: Tensor, logits: Tensor
) -> None:
    """Copy the weights into a second network, as reading a run does, and compare its logits."""
    weights, others = network.state_dict(), again.state_dict()
    if {name: each.shape for name, each in weights.items()} != {
        name: each.shape for name, each in others.items()
    }:
        raise try_.error("builds another network in a second call; expected the same layers")
    again.load_state_dict(weights)
    if not _equal(try_.logits(again.eval(), windows), logits):
        raise try_.error(
            "builds a network with numbers outside of its state_dict that differ in the next call, "
            "so that a run could not be read back; make them an nn.Parameter or a buffer"
        )


def _check_gradients(try_: _Try, network: nn.Module, windows: Tensor) -> None:
    """Differentiate logits in train mode."""
    logits = try_.logits(network.train(), windows[:2])
    squashed = _squashed_by(logits)
    if squashed:
        raise try_.error(
            f"builds a network that ends with a {squashed}; expected logits: return the numbers "
            f"before the {squashed}, BioQ computes the probabilities"
        )
    learning = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    gradients: Any = [None] * len(learning)
    if logits.requires_grad:
        gradients = torch.autograd.grad(
            logits.square().sum() + logits.sum(), list(learning.values()), allow_unused=True
        )
    unused = [name for name, each in zip(learning, gradients, strict=True) if each is None]
    if unused:
        raise try_.error(
            f"builds a network whose weight {unused[0]!r} has no effect on the logits while "
            "training; use it in forward, remove it, or give it requires_grad_(False)"
        )


def _squashed_by(logits: Tensor) -> str:
    """Return `sigmoid` or `softmax` if logits are the result of one; else an empty text."""
    node: Any = logits.grad_fn
    while node is not None:
        name: str = node.name().rstrip("0123456789").removesuffix("Backward")
        if name in ("Sigmoid", "Softmax"):
            return name.lower()
        if name not in _SHAPES_ONLY:
            return ""
        node = node.next_functions[0][0]
    return ""


def _equal(one: Tensor, other: Tensor) -> bool:
    most = float(other.abs().max().clamp(min=1))
    return bool(((one - other).abs() <= TOLERANCE * most).all())

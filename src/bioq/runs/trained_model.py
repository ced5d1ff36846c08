"""A trained model: a network with its targets, its configuration and its calibration."""

from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bioq.errors import BioqError
from bioq.models.device import choose_device
from bioq.options import found, of_type, one_of, path_to
from bioq.progress import say
from bioq.runs.calibration import CALIBRATION_FILE, Calibration, Probability, read_calibration
from bioq.runs.folder import BEST, LAST, RunConfig, network_outline, read_config, read_targets
from bioq.runs.weights import load_weights, weights_checksum

_WEIGHTS = {"best": BEST, "last": LAST}


class TrainedModel(nn.Module):
    """A network from `(batch, 4, window_bp)` to logits `(batch, targets)`, and what it predicts.

    It is a module, so that other packages can use it. Calling it returns the network's logits;
    `bioq.predict` returns calibrated probabilities. Its layers are those of `network`.
    """

    network: nn.Module

    def __init__(
        self,
        network: nn.Module,
        *,
        targets: pd.DataFrame,
        config: RunConfig,
        calibration: Calibration | None = None,
    ):
        super().__init__()
        self.network = network
        self.targets: Final = targets
        """The target table: one row per output."""
        self.config: Final = config
        """The run's `config.json`."""
        self.calibration: Final = calibration
        """Applied to every probability that BioQ reports; None for a model without one."""
        self.training = network.training

    def forward(self, windows: Tensor) -> Tensor:
        logits: Tensor = self.network(windows)
        return logits

    @property
    def window_bp(self) -> int:
        """Length of the windows that the network reads."""
        return int(self.config.model["window_bp"])

    @property
    def bin_bp(self) -> int:
        """Length of the bin in the middle of a window that a label of the data set describes."""
        return int(self.config.data["bin_bp"])

    def with_calibration(self, calibration: Calibration | None) -> "TrainedModel":
        """Return the same network, not a copy of it, with another calibration."""
        return TrainedModel(
            self.network, targets=self.targets, config=self.config, calibration=calibration
        )


def load(
    run: str | Path,
    *,
    device: str | torch.device = "cpu",
    weights: str = "best",
    calibrated: bool = True,
) -> TrainedModel:
    """Return the trained model of a run folder, in eval mode.

    `weights` is "best" (by validation) or "last", which has no calibration. The calibration of a
    run is not used if it was fitted to other weights, which a note on stderr reports, or with
    `calibrated=False`. Raises BioqError if the folder is no run, or the weights are damaged or
    belong to another architecture; UsageError for another name of weights, and for a device that
    this machine does not have.
    """
    one_of("weights", weights, tuple(_WEIGHTS))
    of_type("calibrated", calibrated, bool, "True or False")
    run, device = path_to("run", run), choose_device(device)
    config = read_config(run)
    network = network_outline(run, config)  # no random weights: those of the file replace them
    load_weights(network, run / _WEIGHTS[weights])
    targets = read_targets(run, config)
    calibration = None
    if calibrated and weights == "best":
        calibration = _matching_calibration(run, network)
    model = TrainedModel(network, targets=targets, config=config, calibration=calibration)
    return model.to(device).eval()


def require_module(model: object) -> nn.Module:
    """Return a model that can compute.

    Raises BioqError for another type, and for a model with weights that have no values: they are on
    the device `meta`, or of a lazy layer that was never called.
    """
    if not isinstance(model, nn.Module):
        raise BioqError(f"model {found(model)}; expected a model of bioq.load or a PyTorch module")
    for weight in (*model.parameters(), *model.buffers()):
        if is_lazy(weight):
            raise BioqError("model has a layer without weights yet (nn.Lazy...); call it once")
        if weight.is_meta:
            raise BioqError(
                "model has weights on the device 'meta', which have no values; load its weights "
                "(bioq.load does)"
            )
    return model


def require_length(model: nn.Module, window_bp: int, name: str) -> None:
    """Raise BioqError unless a model reads windows of this length; `name` is what has it."""
    expected = architecture_of(model).get("window_bp", window_bp)
    if window_bp != expected:
        raise BioqError(
            f"{name} are {window_bp:,} bp long; this model reads windows of {expected:,} bp"
        )


def network_of(model: nn.Module) -> nn.Module:
    """Return the network of a trained model; any other module is a network itself."""
    return model.network if isinstance(model, TrainedModel) else model


def module_to_compute(model: nn.Module) -> nn.Module:
    """Return the module that a fast path may replace: the network of a trained model.

    A trained model with hooks, which a fast path would not run, is returned itself.
    """
    return model if model._forward_hooks or model._forward_pre_hooks else network_of(model)


def architecture_of(model: nn.Module) -> dict[str, Any]:
    """Return the arguments that `build_model` was called with; {} for a module it did not build."""
    return dict(getattr(network_of(model), "architecture", {}))


def calibration_of(model: nn.Module) -> Calibration | None:
    """Return the calibration of a trained model; a module without a run has none."""
    return model.calibration if isinstance(model, TrainedModel) else None


def calibrated(model: nn.Module, probability: Probability) -> Probability:
    """Return a model's probabilities, calibrated if the model has a calibration."""
    calibration = calibration_of(model)
    return probability if calibration is None else calibration(probability)


def _matching_calibration(run: Path, network: nn.Module) -> Calibration | None:
    """Return the run's calibration; None, with a note, if it was fitted to other weights."""
    calibration = read_calibration(run)
    if calibration is None:
        return None
    if calibration.weights == weights_checksum(network):
        return calibration
    say(
        f"note: {run / CALIBRATION_FILE}: was fitted for other weights than this run has now and "
        "is not used; calibrate again ('bioq calibrate'), or remove it"
    )
    return None

"""A trained model: a network with its targets, its configuration and its calibration.

The probabilities of an ensemble are the mean of its members' calibrated probabilities, calibrated
by the ensemble's own calibration if it has one. `mean_of_members` is the only place that does it.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bioq.dataset.targets import NAME
from bioq.errors import BioqError, UsageError
from bioq.models.device import choose_device
from bioq.options import found, of_type, one_of
from bioq.progress import say
from bioq.runs.calibration import CALIBRATION_FILE, Calibration, Probability, read_calibration
from bioq.runs.folder import (
    BEST,
    LAST,
    RunConfig,
    read_config,
    read_members,
    read_targets,
)
from bioq.runs.named import resolve_run
from bioq.runs.network import network_outline
from bioq.runs.trust import trusting
from bioq.runs.weights import fingerprint, load_weights, weights_checksum, weights_sha256

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
        folder: Path | None = None,
    ):
        super().__init__()
        self.network = network
        self.targets: Final = targets
        """The target table: one row per output."""
        self.config: Final = config
        """The run's `config.json`."""
        self.calibration: Final = calibration
        """Applied to every probability that BioQ reports; None for a model without one."""
        self.folder: Final = folder
        """The run folder whose best weights and calibration the model has; None if it has others,
        or was not loaded. The default background of its variants is there."""
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

    def with_members(self, numbers: Sequence[int]) -> "TrainedModel":
        """Return the ensemble of some of the members, not copies of them, without a calibration:
        that of the whole ensemble was fitted to the mean of all members."""
        members = members_of(self)
        chosen = [cast(TrainedModel, members[number]) for number in numbers]
        network = Ensemble(chosen, architecture=self.config.model)
        return TrainedModel(network, targets=self.targets, config=self.config)


class Ensemble(nn.Module):
    """The trained models that an ensemble averages; the `network` of its trained model.

    A call returns the mean of the members' logits, which is what attribution explains. BioQ's
    probabilities are not those of this mean: see `mean_of_members`. Hooks belong on the members,
    because predictions call each of them and not this module.
    """

    def __init__(self, members: Sequence[TrainedModel], *, architecture: Mapping[str, Any]):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.architecture = dict(architecture)
        """The entry `model` of the ensemble's `config.json`."""
        self.training = members[0].training

    def forward(self, windows: Tensor) -> Tensor:
        total: Tensor = sum(member(windows) for member in self.members)
        return total / len(self.members)


def load(
    run: str | Path,
    *,
    device: str | torch.device = "cpu",
    weights: str = "best",
    calibrated: bool = True,
    trust: bool = False,
) -> TrainedModel:
    """Return the trained model of a run folder, in eval mode.

    Args:
        run: The run: a folder, a name or an address.
        device: Where the model is.
        weights: `"best"` (by validation) or `"last"`, which has no calibration and which an
            ensemble does not have.
        calibrated: Use the run's calibration. It is not used if it was fitted to other weights,
            which a note on stderr reports; the members of an ensemble keep their calibrations.
        trust: Execute the network of the run if it is a Python file of its author
            (docs/how-to/own-network.md). Needed once for each file, unless you trained the run.

    Returns:
        An `nn.Module` from one-hot `(batch, 4, length)` to logits `(batch, targets)`, with the
        target table in `targets` and the run's `config.json` in `config`.

    Raises:
        BioqError: If the folder is no run, or the weights are damaged or belong to another
            architecture.
        UsageError: For another name of weights, and for a device that this machine does not have.
    """
    one_of("weights", weights, tuple(_WEIGHTS))
    for name, flag in {"calibrated": calibrated, "trust": trust}.items():
        of_type(name, flag, bool, "True or False")
    run, device = resolve_run(run), choose_device(device)
    config = read_config(run)
    targets = read_targets(run, config)
    with trusting(trust):
        network = _load_network(run, config, targets, weights)
    calibration = None
    if calibrated and weights == "best":
        without = TrainedModel(network, targets=targets, config=config)
        calibration = _matching_calibration(run, without)
    model = TrainedModel(
        network,
        targets=targets,
        config=config,
        calibration=calibration,
        folder=run if calibrated and weights == "best" else None,
    )
    return model.to(device).eval()


def _load_network(run: Path, config: RunConfig, targets: pd.DataFrame, weights: str) -> nn.Module:
    """Return the network of a run, or the members of an ensemble, with their weights."""
    if not config.members:
        network = network_outline(run, config)  # no random weights: those of the file replace them
        load_weights(network, run / _WEIGHTS[weights])
        return network
    if weights != "best":
        raise UsageError(
            f"{run}: is an ensemble, which has the best weights of its members and not their last"
        )
    members = []
    for (folder, _), entry in zip(read_members(run, config), config.members, strict=True):
        member = load(folder)
        if list(member.targets[NAME]) != list(targets[NAME]):
            raise BioqError(
                f"{folder}: has other targets than {run}, or in another order; make the ensemble "
                "again with 'bioq ensemble'"
            )
        if weights_sha256(folder) != entry["weights"]:
            raise BioqError(
                f"{folder / BEST}: has other weights than when {run} was made; restore them, or "
                "make the ensemble again with 'bioq ensemble'"
            )
        members.append(member)
    return Ensemble(members, architecture=config.model)


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


def is_ensemble(model: nn.Module) -> bool:
    """Return whether a model is a trained model of several networks."""
    return isinstance(network_of(model), Ensemble)


def members_of(model: nn.Module) -> Sequence[nn.Module]:
    """Return the members of an ensemble; any other model is its only member."""
    network = network_of(model)
    return list(network.members) if isinstance(network, Ensemble) else [model]


def mean_of_members(model: nn.Module, probabilities: Sequence[Probability]) -> Probability:
    """Return the probabilities of a model from the calibrated ones of each of `members_of`.

    Of an ensemble they are the mean, calibrated if the ensemble itself has a calibration.
    """
    if not is_ensemble(model):
        return probabilities[0]
    total: Any = probabilities[0]
    for of_member in probabilities[1:]:
        total = total + of_member
    mean: Probability = total / len(probabilities)
    return calibrated(model, mean)


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


def checksum_of(model: nn.Module) -> str:
    """Return the checksum of all that a calibration of a model is fitted to: its weights; of an
    ensemble, the weights and the calibration of each member, in any order."""
    if not is_ensemble(model):
        return weights_checksum(network_of(model))
    parts = sorted(f"{checksum_of(one)} {_identity(one)!r}" for one in members_of(model))
    return f"{zlib.crc32(repr(parts).encode()):08x}"


def fingerprint_of(model: nn.Module) -> str:
    """Return the SHA-256 of all that a model's probabilities depend on (`weights.fingerprint`)."""
    if not is_ensemble(model):
        return fingerprint(network_of(model), calibration_of(model))
    parts = sorted(fingerprint_of(member) for member in members_of(model))
    return hashlib.sha256(repr(parts).encode() + _identity(model)).hexdigest()


def _identity(model: nn.Module) -> bytes:
    """Return bytes that are equal for models with equal calibrations."""
    calibration = calibration_of(model)
    return b"" if calibration is None else calibration.identity()


def calibrated(model: nn.Module, probability: Probability) -> Probability:
    """Return the probabilities of a model that is not calibrated yet, by its own calibration."""
    calibration = calibration_of(model)
    return probability if calibration is None else calibration(probability)


def _matching_calibration(run: Path, model: TrainedModel) -> Calibration | None:
    """Return the run's calibration; None, with a note, if it was fitted to other weights."""
    calibration = read_calibration(run)
    if calibration is None:
        return None
    if calibration.weights == checksum_of(model):
        return calibration
    say(
        f"note: {run / CALIBRATION_FILE}: was fitted for other weights than this run has now and "
        "is not used; calibrate again ('bioq calibrate'), or remove it"
    )
    return None

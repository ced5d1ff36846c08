"""Training: one readable loop, the same for every recipe, device and place of the data."""

import hashlib
import math
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bioq.batches import Batches, reverse_complement_codes
from bioq.checkpoint import Position, load_state, save_state
from bioq.dataset import Dataset, Split, open_dataset
from bioq.errors import BioqError, UsageError
from bioq.fast.memory import kept_memory
from bioq.fast.training import training_forward
from bioq.gradient_check import warn_of_wrong_gradients
from bioq.inference import choose_device, numerics, predict_split
from bioq.metrics import quick_scores
from bioq.models import ModelSizes, build_model
from bioq.models.initialise import initialise_filters, starting_motifs
from bioq.progress import progress, say
from bioq.recipes import RUNTIME_OPTIONS, TrainConfig, learning_rate_at, make_optimizer
from bioq.runs import (
    BEST,
    CONFIG,
    LAST,
    create_run,
    load,
    read_config,
    save_weights,
    write_history,
)

# Steps between two looks at the loss: each look waits for the device.
_LOOK_EVERY_STEPS = 50

Row = dict[str, float]


def train(
    data: Dataset | str | Path,
    run: str | Path,
    *,
    model: str = "bioq",
    sizes: ModelSizes | None = None,
    motifs: str | None = None,
    config: TrainConfig | None = None,
    resume: bool = False,
) -> nn.Module:
    """Train a model on a data set, leave a run folder, and return the best model, in eval mode.

    `model` is a name of `bioq.models.PUBLISHED`; `sizes` changes its layers; `motifs` (a JASPAR
    release, a MEME file, or "none") starts its filters. With `resume` an interrupted run goes on
    from its last checkpoint with the settings it was started with; on a CPU the result is the
    same, bit for bit, as without the interruption.
    Raises BioqError if `run` exists (or, with `resume`, is no run of this data), or the loss is
    no longer a number.
    """
    data = data if isinstance(data, Dataset) else open_dataset(data)
    if not len(data["train"]):
        raise BioqError(f"{data.path}: the train split is empty; there is nothing to learn from")
    run = Path(run)
    config = config or TrainConfig()
    config.resolve(len(data["train"]))
    asked = {"model": model, "sizes": asdict(sizes or ModelSizes()), "motifs": motifs}
    if resume:
        config, started = _settings_to_continue(run, data, asked, config)
    else:
        started = asked
    device = choose_device(config.device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(_seed(config.seed, "weights"))
        network = build_model(
            started["model"],
            targets=len(data.targets),
            window_bp=data.description.window_bp,
            sizes=ModelSizes(**started["sizes"]),
        )
        _start_filters(network, started["model"], started["motifs"], _seed(config.seed, "motifs"))
        if not resume:
            create_run(
                run,
                model=network.architecture,
                training={
                    **started,
                    **asdict(config),
                    "resolved": asdict(config.resolve(len(data["train"]))),
                },
                data=data,
            )
        _Training(network.to(device), data, run, config, device).go()
    return load(run)


class _Training:
    """A run in progress."""

    def __init__(
        self, model: nn.Module, data: Dataset, run: Path, config: TrainConfig, device: torch.device
    ):
        self.model = model
        self.run = run
        self.config = config
        self.recipe = config.resolve(len(data["train"]))
        self.device = device
        self.train_windows = len(data["train"])
        self.shown = self.train_windows * (2 if self.recipe.strands == "both" else 1)
        self.steps = math.ceil(self.shown / self.recipe.batch_size)
        self.valid = data["valid"] if "valid" in data and len(data["valid"]) else None
        self.valid_labels = None if self.valid is None else self.valid.labels()
        self.optimizer = make_optimizer(self.recipe, model)
        self.position = load_state(run, model, self.optimizer)
        if self.recipe.output_bias and not self.position.epoch and not self.position.step:
            _start_at_positive_rates(model, data["train"])
        self.batches = Batches(data["train"], device, data_in=config.data_in)
        self.forward = training_forward(model, config.precision)
        self.saved_at = time.monotonic()

    def go(self) -> None:
        """Train until the last epoch, or until validation has stopped getting better."""
        self._announce()
        if self.device.type == "mps":
            warn_of_wrong_gradients(self.model, self.device)
        with ExitStack() as stack:
            if self.device.type == "cpu":
                stack.enter_context(kept_memory())
            log = _tensorboard(self.run, stack) if self.config.tensorboard else None
            while not self._finished():
                self._epoch()
                row = self._finish_epoch()
                say(_epoch_line(row, self.recipe.epochs))
                if log is not None:
                    for name, value in row.items():
                        log.add_scalar(name, value, int(row["epoch"]))
        best = int(self._best()["epoch"])
        say(
            f"best epoch {best} of {self.position.epoch}; {self.run / BEST} holds its weights; "
            f"peak memory {_peak_memory_mb():,.0f} MB"
        )

    def _announce(self) -> None:
        weights = sum(parameter.numel() for parameter in self.model.parameters())
        valid = "no validation split" if self.valid is None else f"{len(self.valid):,} to validate"
        say(
            f"train {weights:,} weights on {self.train_windows:,} windows ({valid}); "
            f"device {self.device}, precision {self.config.precision}, "
            f"data in {self.batches.data_in}, {self.steps:,} steps an epoch"
        )
        if self.position.epoch or self.position.step:
            say(f"resume after epoch {self.position.epoch}, step {self.position.step}")

    def _epoch(self) -> None:
        """Take the steps of one epoch that are still to be taken."""
        position, recipe = self.position, self.recipe
        rows, flipped = self._order(position.epoch)
        pending: list[Tensor] = []
        started = time.monotonic() - position.seconds
        label = f"epoch {position.epoch + 1}/{recipe.epochs}"
        self.model.train()
        with progress(label, self.shown, "windows") as advance:
            advance(min(position.step * recipe.batch_size, self.shown))
            while position.step < self.steps:
                start = position.step * recipe.batch_size
                batch = slice(start, start + recipe.batch_size)
                pending.append(self._step(rows[batch], flipped[batch]))
                position.step += 1
                position.seconds = time.monotonic() - started
                if len(pending) == _LOOK_EVERY_STEPS or position.step == self.steps:
                    self._look(pending)
                seen = (position.step - len(pending)) * recipe.batch_size
                note = f"loss {position.loss_sum / min(seen, self.shown):.4f}" if seen else ""
                advance(len(rows[batch]), note)
                if time.monotonic() - self.saved_at > self.config.checkpoint_min * 60:
                    self._look(pending)
                    self._save()

    def _order(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Return the rows of an epoch in the order shown, and which of them on the other strand.

        With the data on the device they lie there too: copying them step by step would have every
        step wait for the one before.
        """
        rows, flipped = self._draw_order(epoch)
        if self.batches.data_in == "device":
            return rows.to(self.device), flipped.to(self.device)
        return rows, flipped

    def _draw_order(self, epoch: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(_seed(self.config.seed, "order", epoch))
        order = torch.randperm(self.shown, generator=generator)
        if self.recipe.strands == "both":
            return order % self.train_windows, order >= self.train_windows
        if self.recipe.strands == "random":
            return order, torch.rand(self.shown, generator=generator) < 0.5
        return order, torch.zeros(self.shown, dtype=torch.bool)

    def _step(self, rows: Tensor, flipped: Tensor) -> Tensor:
        """Take one step; return its mean loss times its windows, still on the device."""
        number = self.position.epoch * self.steps + self.position.step
        torch.manual_seed(_seed(self.config.seed, "step", number))  # dropout of this step
        rate = learning_rate_at(self.recipe, number, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        codes, labels = self.batches.read_codes(rows)
        opposite = flipped.to(self.device).view(-1, 1)
        codes = torch.where(opposite, reverse_complement_codes(codes), codes)
        with numerics(self.device, self.config.precision):
            loss = binary_cross_entropy_with_logits(self.forward(codes).float(), labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        return loss.detach() * len(rows)

    def _look(self, pending: list[Tensor]) -> None:
        """Add the losses of the steps since the last look; stop if one is no number."""
        if not pending:
            return
        for loss in torch.stack(pending).tolist():
            self.position.loss_sum += loss
        pending.clear()
        if not math.isfinite(self.position.loss_sum):
            raise BioqError(
                f"{self.run}: the training loss is no longer a number in epoch "
                f"{self.position.epoch + 1}, before step {self.position.step}; try a lower --lr "
                f"(it is {self.recipe.learning_rate:g}), --clip-norm 1, or --precision 32. "
                "The last checkpoint and the best weights so far are kept"
            )

    def _save(self) -> None:
        save_state(self.run, self.model, self.optimizer, self.position)
        self.saved_at = time.monotonic()

    def _finish_epoch(self) -> Row:
        """Validate, keep the weights, write the history, then the checkpoint."""
        position = self.position
        row: Row = {
            "epoch": position.epoch + 1,
            "train_loss": position.loss_sum / self.shown,
            **self._validate(),
            "learning_rate": learning_rate_at(
                self.recipe, (position.epoch + 1) * self.steps - 1, self.steps
            ),
            "seconds": position.seconds,
            "windows_per_s": self.shown / position.seconds,
        }
        history = [*position.history, row]
        self.position = Position(epoch=position.epoch + 1, history=history)
        if self._best() is row:
            save_weights(self.model, self.run / BEST)
        save_weights(self.model, self.run / LAST)
        write_history(self.run, history)
        self._save()
        return row

    def _validate(self) -> Row:
        names = (
            "macro_roc_auc",
            "micro_roc_auc",
            "macro_average_precision",
            "micro_average_precision",
        )
        if self.valid is None or self.valid_labels is None:
            return {f"valid_{name}": math.nan for name in ("loss", *names)}
        probability = predict_split(
            self.model, self.valid, device=self.device, precision=self.config.precision
        )
        if not np.isfinite(probability).all():
            self._look([torch.tensor(math.nan)])
        scores = quick_scores(self.valid_labels, probability)
        return {
            "valid_loss": _cross_entropy(self.valid_labels, probability),
            **{f"valid_{name}": scores[name] for name in names},
        }

    def _best(self) -> Row:
        """Return the row of the best epoch so far; without validation the last one."""
        history = self.position.history
        name = self.recipe.select_by
        if math.isnan(history[0][name]):  # no target has both answers in the validation split
            name = "valid_loss"
        if math.isnan(history[0][name]):
            return history[-1]
        sign = 1 if name == "valid_loss" else -1
        return min(history, key=lambda row: sign * row[name])

    def _finished(self) -> bool:
        position, patience = self.position, self.recipe.patience
        if not position.history:
            return False
        stale = position.epoch - self._best()["epoch"]
        return position.epoch >= self.recipe.epochs or bool(patience and stale >= patience)


def _settings_to_continue(
    run: Path, data: Dataset, asked: Mapping[str, Any], config: TrainConfig
) -> tuple[TrainConfig, Mapping[str, Any]]:
    """Return the settings that a run was started with; only runtime options may change."""
    stored = read_config(run)
    if stored.data["fingerprint"] != data.fingerprint:
        raise BioqError(
            f"{run}: was trained on a data set with fingerprint "
            f"{stored.data['fingerprint'][:12]}, {data.path} has {data.fingerprint[:12]}; "
            "resume with the data set that it was started with"
        )
    training = stored.training
    before = TrainConfig(**{name: training[name] for name in asdict(config)})
    standard = {"model": "bioq", "motifs": None, **asdict(ModelSizes()), **asdict(TrainConfig())}
    given = {**asked, **asked["sizes"], **asdict(config)}
    used = {**training, **training["sizes"]}
    changed = [
        name
        for name, usual in standard.items()
        if name not in RUNTIME_OPTIONS and given[name] not in (usual, used[name])
    ]
    if changed:
        settings = "; ".join(f"{name} {used[name]!r}, not {given[name]!r}" for name in changed)
        raise UsageError(
            f"{run / CONFIG}: this run was started with {settings}; "
            "resume it without these options, or start a new run"
        )
    runtime = {name: given[name] for name in RUNTIME_OPTIONS if given[name] != standard[name]}
    return replace(before, **runtime), {name: training[name] for name in asked}


def _start_filters(model: nn.Module, name: str, motifs: str | None, seed: int) -> None:
    """Start the first filters from the motifs that the user, or else the paper, names."""
    chosen = starting_motifs(name, motifs)
    if chosen:
        placed = initialise_filters(model, chosen, generator=torch.Generator().manual_seed(seed))
        say(f"start {len(placed)} filters from motifs")


def _start_at_positive_rates(model: nn.Module, split: Split) -> None:
    """Set the last layer's bias to the log odds of each target's positive rate.

    One positive and one negative are added to each count, so that the odds are finite.
    """
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    rate = (split.positives() + 1) / (len(split) + 2)
    with torch.no_grad():
        head.bias.copy_(torch.from_numpy(np.log(rate / (1 - rate))))


def _cross_entropy(labels: npt.NDArray[np.uint8], probability: npt.NDArray[np.float32]) -> float:
    """Return the mean binary cross-entropy over all windows and targets, in nats.

    Probabilities are kept 1e-7 away from 0 and 1, about float32's own step below 1.
    """
    total = 0.0
    for start in range(0, len(labels), 4096):
        answer = labels[start : start + 4096].astype(bool)
        given = probability[start : start + 4096].astype(np.float64).clip(1e-7, 1 - 1e-7)
        total -= float(np.log(np.where(answer, given, 1 - given)).sum())
    return total / labels.size


def _epoch_line(row: Row, epochs: int) -> str:
    return (
        f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, "
        f"valid loss {row['valid_loss']:.4f}, "
        f"ROC AUC macro {row['valid_macro_roc_auc']:.4f} micro {row['valid_micro_roc_auc']:.4f}, "
        f"AP macro {row['valid_macro_average_precision']:.4f} "
        f"micro {row['valid_micro_average_precision']:.4f}, {row['windows_per_s']:,.0f} windows/s"
    )


def _seed(seed: int, *what: str | int) -> int:
    """Return a seed of its own for every use, from the one that the user gives."""
    text = repr((seed, *what)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def _tensorboard(run: Path, stack: ExitStack) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--tensorboard needs the package tensorboard; pip install 'bioq[tensorboard]'"
        ) from error
    return stack.enter_context(SummaryWriter(str(run / "tensorboard")))


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)

"""Training: one readable loop, the same for every recipe, device, number of devices and place of
the data."""

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

from bioq.dataset import Dataset, open_dataset
from bioq.dataset.batches import Batches
from bioq.errors import BioqError, UsageError
from bioq.fast.memory import kept_memory
from bioq.fast.training import training_forward
from bioq.forward import numerics
from bioq.models import ModelSizes
from bioq.progress import no_progress, progress, say
from bioq.runs.folder import BEST, LAST, write_history
from bioq.runs.trained_model import TrainedModel, load
from bioq.runs.weights import save_weights
from bioq.training.augmentation import Showing, draw_showing
from bioq.training.checkpoint import (
    Position,
    device_of_run,
    load_state,
    save_state,
    settings_to_continue,
)
from bioq.training.distributed import Ranks, is_rank, joined
from bioq.training.gradient_check import warn_of_wrong_gradients
from bioq.training.launch import start_ranks
from bioq.training.recipes import (
    TrainConfig,
    fine_tuning,
    learning_rate_at,
    make_optimizer,
    running_mean,
    seed_of,
)
from bioq.training.start import (
    asked_settings,
    check_same_data,
    settings_of_start,
    start_model,
    start_run,
)
from bioq.training.validation import Validation

_LOOK_EVERY_STEPS = 50  # at the loss: each look waits for the device
Row = dict[str, float]


def train(
    data: Dataset | str | Path,
    run: str | Path,
    *,
    model: str | None = None,
    sizes: ModelSizes | None = None,
    motifs: str | None = None,
    from_run: str | Path | None = None,
    freeze: bool = False,
    config: TrainConfig | None = None,
    resume: bool = False,
) -> TrainedModel:
    """Train a model on a data set, leave a run folder, and return the best model, in eval mode.

    `model` is a name of `bioq.models.PUBLISHED`, "bioq" by default; `sizes` changes its layers;
    `motifs` (a JASPAR release, a MEME file, or "none") starts its filters. With `from_run` the
    network and the best weights of that run are the start instead, and with `freeze` only what
    belongs to single targets learns. With `resume` an interrupted run goes on from its last
    checkpoint with the settings it was started with; on a CPU the result is the same, bit for bit,
    as without the interruption.
    With `config.devices` or `config.nodes` above 1 the ranks are processes started here, unless
    torchrun or srun has started this one as one of them; `run` must lie where all machines see it.
    Raises BioqError if `run` exists (or, with `resume`, is no run of this data), or the loss is
    no longer a number.
    """
    config = config or TrainConfig()
    config.check_devices()
    if resume and config.device is None:
        config = replace(config, device=device_of_run(Path(run)))
    settings = asked_settings(model, sizes, motifs, from_run, freeze)
    if from_run is not None and not resume:
        config = fine_tuning(config, freeze=freeze)
    if config.devices * config.nodes > 1 and not is_rank():
        data = data if isinstance(data, Dataset) else open_dataset(data)
        start_ranks(
            "bioq.training.loop:train_rank",
            {
                "data": str(data.path),
                "run": str(run),
                "settings": dict(settings),
                "config": asdict(config),
                "resume": resume,
            },
            device=config.device,
            devices=config.devices,
            nodes=config.nodes,
        )
    else:
        _train(data, Path(run), settings, config, resume)
    return load(run)


def train_rank(
    data: str, run: str, settings: dict[str, Any], config: dict[str, Any], resume: bool
) -> None:
    """Take part in a training, as one of the ranks that `train` starts."""
    _train(data, Path(run), settings, TrainConfig(**config), resume)


def _train(
    data: Dataset | str | Path,
    run: Path,
    asked: Mapping[str, Any],
    config: TrainConfig,
    resume: bool,
) -> None:
    """Train in this process, with the other ranks if it has any."""
    with joined(config.device, config.devices, config.nodes) as ranks, ExitStack() as stack:
        if not ranks.is_first:
            stack.enter_context(no_progress())
        with ranks.agreed():
            data = data if isinstance(data, Dataset) else open_dataset(data)
            if not len(data["train"]):
                raise BioqError(
                    f"{data.path}: the train split is empty; there is nothing to learn from"
                )
        check_same_data(data, ranks)
        with ranks.agreed():
            config = replace(config, devices=ranks.local, nodes=ranks.world // ranks.local)
            if resume:
                config, started = settings_to_continue(run, data, asked, config)
            else:
                started = settings_of_start(asked, data)
            shift = config.resolve(len(data["train"]), started["model"]).shift
            if shift >= data.description.window_bp:
                raise UsageError(
                    f"--shift {shift} would move windows of {data.description.window_bp:,} bp out "
                    "of sight; expected less, such as 20"
                )
        device = ranks.device
        stack.enter_context(
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        )
        with ranks.agreed():
            network, note = start_model(started, data, config, run)
        if note and ranks.is_first:
            say(note)
        if not resume:
            start_run(run, network, started, config, data, ranks)
        _Training(network.to(device), data, run, config, ranks).go()


class _Training:
    """A run in progress."""

    def __init__(
        self, model: nn.Module, data: Dataset, run: Path, config: TrainConfig, ranks: Ranks
    ):
        self.model = model
        self.learning = [weight for weight in model.parameters() if weight.requires_grad]
        self.is_frozen = len(self.learning) < len(list(model.parameters()))
        self.run = run
        self.config = config
        architecture: Any = model.architecture
        self.recipe = config.resolve(len(data["train"]), architecture["name"])
        self.ranks = ranks
        self.device = ranks.device
        self.train_windows = len(data["train"])
        self.shown = self.train_windows * self.recipe.times_shown
        self.steps = math.ceil(self.shown / self.recipe.batch_size)
        self.valid = Validation(data, ranks, config.precision)
        self.optimizer = make_optimizer(self.recipe, model)
        self.averaged = running_mean(model, self.recipe.average) if self.recipe.average else None
        with ranks.agreed():
            self.position = load_state(run, model, self.optimizer, self.averaged)
        self.batches = Batches(
            data["train"], self.device, data_in=config.data_in, processes=ranks.local
        )
        self.forward = ranks.wrap(model, training_forward(model, config.precision))
        self.saved_at = time.monotonic()

    def go(self) -> None:
        """Train until the last epoch, or until validation has stopped getting better."""
        self._announce()
        if self.device.type == "mps":
            warn_of_wrong_gradients(self.model, self.device)
        with ExitStack() as stack:
            if self.device.type == "cpu":
                stack.enter_context(kept_memory())
            log = None
            if self.config.tensorboard and self.ranks.is_first:
                log = _tensorboard(self.run, stack)
            while not self._finished():
                self._epoch()
                row = self._finish_epoch()
                self._say(_epoch_line(row, self.recipe.epochs))
                if log is not None:
                    for name, value in row.items():
                        log.add_scalar(name, value, int(row["epoch"]))
        best = int(self._best()["epoch"])
        self._say(
            f"best epoch {best} of {self.position.epoch}; {self.run / BEST} holds its weights; "
            f"peak memory {_peak_memory_mb():,.0f} MB"
        )

    def _say(self, line: str) -> None:
        if self.ranks.is_first:
            say(line)

    def _announce(self) -> None:
        total = sum(weight.numel() for weight in self.model.parameters())
        learning = sum(weight.numel() for weight in self.learning)
        weights = f"{learning:,} of {total:,}" if self.is_frozen else f"{total:,}"
        valid = f"{len(self.valid):,} to validate" if len(self.valid) else "no validation split"
        devices = "device" if self.ranks.is_alone else f"{self.ranks.world} ranks on"
        self._say(
            f"train {weights} weights on {self.train_windows:,} windows ({valid}); "
            f"{devices} {self.device}, precision {self.config.precision}, "
            f"data in {self.batches.data_in}, {self.steps:,} steps an epoch"
        )
        if self.position.epoch or self.position.step:
            self._say(f"resume after epoch {self.position.epoch}, step {self.position.step}")

    def _epoch(self) -> None:
        """Take the steps of one epoch that are still to be taken."""
        position, recipe = self.position, self.recipe
        showing = self._showing(position.epoch)
        pending: list[Tensor] = []
        started = time.monotonic() - position.seconds
        label = f"epoch {position.epoch + 1}/{recipe.epochs}"
        # A frozen network is given what it will be given when it predicts: nothing is dropped.
        self.model.train(not self.is_frozen)
        with progress(label, self.shown, "windows") as advance:
            advance(min(position.step * recipe.batch_size, self.shown))
            while position.step < self.steps:
                start = position.step * recipe.batch_size
                batch = showing[start : start + recipe.batch_size]
                pending.append(self._step(batch))
                position.step += 1
                position.seconds = time.monotonic() - started
                if len(pending) == _LOOK_EVERY_STEPS or position.step == self.steps:
                    self._look(pending)
                seen = (position.step - len(pending)) * recipe.batch_size
                note = f"loss {position.loss_sum / min(seen, self.shown):.4f}" if seen else ""
                advance(len(batch), note)
                if time.monotonic() - self.saved_at > self.config.checkpoint_min * 60 and (
                    self.ranks.is_alone or not pending  # ranks look together, clocks differ
                ):
                    self._look(pending)
                    self._save()

    def _showing(self, epoch: int) -> Showing:
        """Return what an epoch shows.

        With the data on the device it lies there too: copying it step by step would have every
        step wait for the one before.
        """
        showing = draw_showing(self.train_windows, self.recipe, self.config.seed, epoch)
        return showing.to(self.device) if self.batches.data_in == "device" else showing

    def _step(self, batch: Showing) -> Tensor:
        """Take one step; return its mean loss times its windows, of this rank, still on the device.

        Each rank takes its part of the batch. DDP means the gradients over the ranks, so each
        rank's loss is weighted by its share of the batch.
        """
        number = self.position.epoch * self.steps + self.position.step
        rank = () if self.ranks.is_first else (self.ranks.rank,)
        torch.manual_seed(seed_of(self.config.seed, "step", number, *rank))  # dropout of this step
        rate = learning_rate_at(self.recipe, number, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        own, weight = self._own(batch)
        codes, labels = self.batches.read_codes(own.rows)
        codes = own.view(codes)
        with numerics(self.device, self.config.precision):
            loss = binary_cross_entropy_with_logits(self.forward(codes).float(), labels)
            self.optimizer.zero_grad(set_to_none=True)
            (loss * weight).backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.learning, self.recipe.clip_norm)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        return loss.detach() * (len(own) if weight else 0)

    def _own(self, batch: Showing) -> tuple[Showing, float]:
        """Return this rank's part of a batch and its weight: 1 where all have as many rows.

        With fewer rows than ranks some have none; these take the first, with weight 0.
        """
        own = self.ranks.share(len(batch))
        weight = (own.stop - own.start) * self.ranks.world / len(batch)
        return batch[own if weight else slice(0, 1)], weight

    def _look(self, pending: list[Tensor]) -> None:
        """Add the losses of the steps since the last look; stop if one is no number."""
        if not pending:
            return
        for loss in self.ranks.total(torch.stack(pending)):
            self.position.loss_sum += loss
        pending.clear()
        if not math.isfinite(self.position.loss_sum):
            raise self._not_a_number()

    def _not_a_number(self) -> BioqError:
        return self.ranks.error(
            f"{self.run}: the training loss is no longer a number in epoch "
            f"{self.position.epoch + 1}, before step {self.position.step}; try a lower --lr "
            f"(it is {self.recipe.learning_rate:g}), --clip-norm 1, or --precision 32. "
            "The last checkpoint and the best weights so far are kept"
        )

    def _save(self) -> None:
        if self.ranks.is_first:
            save_state(self.run, self.model, self.optimizer, self.position, self.averaged)
        self.saved_at = time.monotonic()

    def _finish_epoch(self) -> Row:
        """Validate, keep the weights, write the history, then the checkpoint."""
        model = self.model if self.averaged is None else self.averaged.module
        predicted = self.valid.predict(model)
        row = self.ranks.first(lambda: self._row(predicted))
        history = [*self.position.history, row]
        self.position = Position(epoch=self.position.epoch + 1, history=history)
        with self.ranks.agreed():  # others wait: they may read what the first writes
            if self.ranks.is_first:
                if self._best() is row:
                    save_weights(model, self.run / BEST)
                save_weights(model, self.run / LAST)
                write_history(self.run, history)
            self._save()
        return row

    def _row(self, predicted: npt.NDArray[np.float32] | None) -> Row:
        position = self.position
        return {
            "epoch": position.epoch + 1,
            "train_loss": position.loss_sum / self.shown,
            **self._valid_scores(predicted),
            "learning_rate": learning_rate_at(
                self.recipe, (position.epoch + 1) * self.steps - 1, self.steps
            ),
            "seconds": position.seconds,
            "windows_per_s": self.shown / position.seconds,
        }

    def _valid_scores(self, predicted: npt.NDArray[np.float32] | None) -> Row:
        if predicted is not None and not np.isfinite(predicted).all():
            raise self._not_a_number()
        return self.valid.scores(predicted)

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


def _epoch_line(row: Row, epochs: int) -> str:
    return (
        f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, "
        f"valid loss {row['valid_loss']:.4f}, "
        f"ROC AUC macro {row['valid_macro_roc_auc']:.4f} micro {row['valid_micro_roc_auc']:.4f}, "
        f"AP macro {row['valid_macro_average_precision']:.4f} "
        f"micro {row['valid_micro_average_precision']:.4f}, {row['windows_per_s']:,.0f} windows/s"
    )


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

"""The training loop: the same for every recipe, device, number of devices and storage of the data.

It takes every option from the plan.
"""

import math
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bioq.dataset.batches import Batches
from bioq.errors import BioqError, UsageError
from bioq.fast.memory import kept_memory
from bioq.forward import numerics
from bioq.progress import progress, say
from bioq.runs.best_epoch import best_epoch_text
from bioq.runs.constants import constants_of, scores_line
from bioq.runs.folder import BEST, LAST, write_history
from bioq.runs.weights import save_weights
from bioq.training.augmentation import EpochOrder, draw_epoch_order
from bioq.training.distributed import Ranks
from bioq.training.gradient_check import warn_of_wrong_gradients
from bioq.training.pace import LONG_S, Pace, Watch, threads_remark
from bioq.training.plan import Plan
from bioq.training.recipes import learning_rate_at, seed_of
from bioq.training.state import Position, TrainingState, save_state
from bioq.training.stop import StopSignals
from bioq.training.validation import Validation

_CHECK_EVERY_STEPS = 50  # of the loss: every check waits for the device
Row = dict[str, float]


@dataclass
class TrainingLoop:
    """A run in progress."""

    plan: Plan
    state: TrainingState
    batches: Batches
    validation: Validation
    logits_of: Callable[[Tensor], Tensor]
    """Computes logits `(n, targets)` with gradients from codes uint8 `(n, window_bp)`."""
    folder: Path
    """The run folder."""
    ranks: Ranks
    later_folds: int = 0
    """Trainings of other folds that follow in the same command."""
    saved_at: float = field(default_factory=time.monotonic)
    """Time of the last checkpoint."""
    same_everywhere: str = ""
    """Which targets got the same prediction for every window, as it was printed last."""
    stop: StopSignals = field(default_factory=StopSignals)
    pace: Pace = field(init=False)
    has_advised: bool = False
    """Whether the notes about what would be faster are printed, or not needed."""

    def __post_init__(self) -> None:
        self.pace = Pace(self.plan, len(self.validation), self.later_folds)

    def run(self) -> None:
        """Train until the last epoch, or until validation has stopped improving.

        Without other ranks, Ctrl-C and SIGTERM end it after a step, with a checkpoint.
        """
        if self._is_finished():
            self._say(f"{self.folder}: the training is finished; nothing is left to do")
            self._say(self._verdict())
            return
        self._announce()
        device = self.ranks.device
        if device.type == "mps":
            warn_of_wrong_gradients(self.state.network, device)
        with ExitStack() as stack:
            if device.type == "cpu":
                stack.enter_context(kept_memory())
            log = None
            if self.plan.config.tensorboard and self.ranks.is_first:
                log = _tensorboard(self.folder, stack)
            if self.ranks.is_alone:
                stack.enter_context(self.stop)
            while not self._is_finished():
                self.stop.act()
                self._train_epoch()
                row = self._finish_epoch()
                validated = len(self.validation) > 0
                self._say(_epoch_line(row, self.plan.recipe.epochs, validated=validated))
                self._say_same_everywhere(row)
                if log is not None:
                    for name, value in row.items():
                        log.add_scalar(name, value, int(row["epoch"]))
        self._say(
            f"{self._verdict()}; {self.folder / BEST} holds its weights; "
            f"peak memory {peak_memory_mb():,.0f} MB"
        )

    def _verdict(self) -> str:
        """Return which epoch's weights are kept, and why."""
        text = best_epoch_text(self.state.position.history, self.plan.recipe.select_by)
        return f"best epoch {text}"

    def _say_same_everywhere(self, row: Row) -> None:
        """Print that the network predicts the same for every window: once, and if it changes."""
        state, note = self.validation.same_note(
            learning_rate=self.plan.recipe.learning_rate, epochs=int(row["epoch"])
        )
        if state != self.same_everywhere:
            self._say(f"note: {note or 'every target now gets different predictions'}")
            self.same_everywhere = state

    def _say(self, line: str) -> None:
        if self.ranks.is_first:
            say(line)

    def _announce(self) -> None:
        plan, position = self.plan, self.state.position
        total = sum(weight.numel() for weight in self.state.network.parameters())
        learning = sum(weight.numel() for weight in self.state.learning)
        weights = f"{learning:,} of {total:,}" if plan.freeze else f"{total:,}"
        windows = len(self.validation)
        valid = f"{windows:,} to validate" if windows else "no validation split"
        devices = "device" if self.ranks.is_alone else f"{self.ranks.world} ranks on"
        fold = f"fold {plan.fold}: " if plan.fold else ""
        self._say(
            f"{fold}train {weights} weights on {plan.data.train_windows:,} windows ({valid}); "
            f"{devices} {self.ranks.device}, precision {plan.config.precision}, "
            f"data in {self.batches.data_in}, {plan.steps_per_epoch:,} steps per epoch"
        )
        if self.ranks.is_first:
            constants = constants_of(self.validation.data)
            say(f"a constant (each target's share of positives) has {scores_line(constants)}")
        if position.step:
            of_steps = f"step {position.step:,} of {plan.steps_per_epoch:,}"
            self._say(f"resume in epoch {position.epoch + 1}, {of_steps}")
        elif position.epoch:
            self._say(f"resume after epoch {position.epoch}")

    def _train_epoch(self) -> None:
        """Take the remaining steps of an epoch."""
        plan, position = self.plan, self.state.position
        batch_size, shown = plan.recipe.batch_size, plan.windows_per_epoch
        order = self._epoch_order(position.epoch)
        unchecked: list[Tensor] = []
        started = time.monotonic() - position.seconds
        fold = f"fold {plan.fold}, " if plan.fold else ""
        label = f"{fold}epoch {position.epoch + 1}/{plan.recipe.epochs}"
        # A frozen network computes as it does when it predicts, without dropout.
        self.state.network.train(not plan.freeze)
        done = min(position.step * batch_size, shown)
        watch = Watch()
        with progress(label, shown, "windows", done=done, after_s=self._after_epoch_s) as advance:
            while position.step < plan.steps_per_epoch:
                start = position.step * batch_size
                batch = order[start : start + batch_size]
                unchecked.append(self._step(batch))
                position.step += 1
                is_last = position.step == plan.steps_per_epoch
                if is_last or len(unchecked) == _CHECK_EVERY_STEPS:
                    self._check_losses(unchecked)
                position.seconds = time.monotonic() - started
                seen = min((position.step - len(unchecked)) * batch_size, shown)
                advance(len(batch), f"loss {position.loss_sum / seen:.4f}" if seen > 0 else "")
                started += self._advise(watch, len(batch))  # not a part of the epoch
                if self._is_checkpoint_due(unchecked) or self.stop.received is not None:
                    self._check_losses(unchecked)
                    self._save()
                    self.stop.act()

    def _after_epoch_s(self, rate: float) -> float:
        return self.pace.after_epoch_s(self.state.position.epoch, rate)

    def _advise(self, watch: Watch, windows: int) -> float:
        """After the first seconds of steps, print what would be faster, if the threads wait for one
        another or the training will take long. Return the seconds that finding out took."""
        if self.has_advised or not self.ranks.is_first:
            return 0.0
        rate = watch.rate_after(windows)
        if rate is None:
            return 0.0
        began = time.monotonic()
        self.has_advised = True
        if remark := threads_remark(self.ranks.device):
            say(f"note: {remark}")
        position = self.state.position
        left_s = self.pace.left_s(position.epoch, position.step, rate)
        if left_s > LONG_S:
            say(self.pace.advice(left_s, self.ranks.device))
        return time.monotonic() - began

    def measured_rate(self, seconds: float) -> tuple[float, int]:
        """Take steps for some seconds, after the first step, and keep none of them on disk; return
        the windows per second and the number of steps that were measured."""
        recipe, order = self.plan.recipe, self._epoch_order(self.state.position.epoch)
        self.state.network.train(not self.plan.freeze)
        windows, steps, started = 0, 0, time.monotonic()
        while True:
            start = steps % max(self.plan.steps_per_epoch - 1, 1) * recipe.batch_size
            batch = order[start : start + recipe.batch_size]
            self._step(batch).item()  # waits for the device
            if steps == 0:
                started, windows = time.monotonic(), 0
            else:
                windows += len(batch)
            steps += 1
            spent = time.monotonic() - started
            if steps > 1 and spent > seconds:
                return windows / spent, steps - 1

    def _epoch_order(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch's windows.

        If the data are on the device, the order is too: copying a part of it at each step would
        make each step wait for the step before.
        """
        plan, device = self.plan, self.ranks.device
        order = draw_epoch_order(plan.data.train_windows, plan.recipe, plan.config.seed, epoch)
        return order.to(device) if self.batches.data_in == "device" else order

    def _step(self, batch: EpochOrder) -> Tensor:
        """Take one step; return the mean loss times the windows of this rank, on the device.

        Each rank takes its part of the batch. DDP averages gradients over ranks, so each rank's
        loss is weighted by its share of the batch.
        """
        plan, state = self.plan, self.state
        number = state.position.epoch * plan.steps_per_epoch + state.position.step
        rank = () if self.ranks.is_first else (self.ranks.rank,)
        self._seed(seed_of(plan.config.seed, "step", number, *rank))  # for dropout
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate_at(plan.recipe, number, plan.steps_per_epoch)
        share, weight = self._local_share(batch)
        codes, labels = self.batches.read_codes(share.rows)
        codes = share.augment(codes)
        with numerics(self.ranks.device, plan.config.precision):
            loss = binary_cross_entropy_with_logits(self.logits_of(codes).float(), labels)
            state.optimizer.zero_grad(set_to_none=True)
            (loss * weight).backward()  # type: ignore[no-untyped-call]
        if plan.recipe.clip_norm:
            nn.utils.clip_grad_norm_(state.learning, plan.recipe.clip_norm)
        state.optimizer.step()
        if state.average is not None:
            state.average.update_parameters(state.network)
        return loss.detach() * (len(share) if weight else 0)

    def _seed(self, seed: int) -> None:
        """Seed PyTorch's random numbers. On a CPU those of cards are left out: they would take 0.5
        ms at each step."""
        if self.ranks.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def _local_share(self, batch: EpochOrder) -> tuple[EpochOrder, float]:
        """Return this rank's part of a batch and its weight: 1 if all ranks have equally many rows.

        With fewer rows than ranks, a rank without a row takes the first, with weight 0.
        """
        share = self.ranks.share(len(batch))
        weight = (share.stop - share.start) * self.ranks.world / len(batch)
        return batch[share if weight else slice(0, 1)], weight

    def _check_losses(self, losses: list[Tensor]) -> None:
        """Add the losses of the steps since the last check, and empty the list.

        Raises BioqError if a loss is NaN or infinite.
        """
        if not losses:
            return
        for loss in self.ranks.total(torch.stack(losses)):
            self.state.position.loss_sum += loss
        losses.clear()
        if not math.isfinite(self.state.position.loss_sum):
            raise self._not_finite()

    def _not_finite(self) -> BioqError:
        position = self.state.position
        return self.ranks.error(
            f"{self.folder}: the training loss is no longer a number in epoch "
            f"{position.epoch + 1}, before step {position.step}; try a lower --lr "
            f"(it is {self.plan.recipe.learning_rate:g}), --clip-norm 1, or --precision 32. "
            "The last checkpoint and the best weights so far are kept"
        )

    def _is_checkpoint_due(self, unchecked: list[Tensor]) -> bool:
        """Return whether to write a checkpoint now. Several ranks do so only after a check of the
        losses, which all ranks make at the same step; their clocks differ."""
        due = time.monotonic() - self.saved_at > self.plan.config.checkpoint_min * 60
        return due and (self.ranks.is_alone or not unchecked)

    def _save(self) -> None:
        if self.ranks.is_first:
            save_state(self.folder, self.state)
        self.saved_at = time.monotonic()

    def _finish_epoch(self) -> Row:
        """Validate; write the weights, the history and the checkpoint; return the new row of the
        history."""
        network = self.state.validated
        row = self._validated_row()
        position = self.state.position
        history = [*position.history, row]
        self.state.position = Position(epoch=position.epoch + 1, history=history)
        with self.ranks.agreed():  # the other ranks wait: they may read the files
            if self.ranks.is_first:
                if self._best_epoch() == row["epoch"]:
                    save_weights(network, self.folder / BEST)
                save_weights(network, self.folder / LAST)
                write_history(self.folder, history)
            self._save()
        return row

    def _validated_row(self) -> Row:
        """Validate; return the history's row of the epoch whose steps are finished.

        A signal ends the validation at once, with a checkpoint from which it is done again.
        """
        while True:
            started = time.monotonic()
            try:
                with self.stop.at_once():
                    self.ranks.share_buffers(self.state.validated)
                    probability = self.validation.predict(self.state.validated)
                    row = self.ranks.first(lambda: self._row(probability))  # noqa: B023 called here
            except BaseException:  # a library may raise its own error in place of Stopped
                if self.stop.received is None:
                    raise
                self._save()
                self.stop.act()
            else:
                self.pace.validation_s = time.monotonic() - started
                self.pace.epoch_s = self.state.position.seconds
                return row

    def _row(self, probability: npt.NDArray[np.float32] | None) -> Row:
        """Return the history's row of the epoch whose steps are finished."""
        if probability is not None and not np.isfinite(probability).all():
            raise self._not_finite()
        plan, position = self.plan, self.state.position
        epoch, steps = position.epoch + 1, plan.steps_per_epoch
        return {
            "epoch": epoch,
            "train_loss": position.loss_sum / plan.windows_per_epoch,
            **self.validation.scores(probability),
            "learning_rate": learning_rate_at(plan.recipe, epoch * steps - 1, steps),
            "seconds": position.seconds,
            "windows_per_s": plan.windows_per_epoch / position.seconds,
        }

    def _best_epoch(self) -> int:
        return self.state.position.best_epoch(self.plan.recipe)

    def _is_finished(self) -> bool:
        return self.state.position.is_finished(self.plan.recipe)


def _epoch_line(row: Row, epochs: int, *, validated: bool) -> str:
    scores = row if validated else {"train_loss": row["train_loss"]}
    return (
        f"epoch {row['epoch']}/{epochs}: {scores_line(scores)}, "
        f"{row['windows_per_s']:,.0f} windows/s"
    )


def require_tensorboard() -> None:
    """Raise UsageError if TensorBoard's package is not installed."""
    if find_spec("tensorboard") is None:
        raise UsageError(
            "--tensorboard needs the package tensorboard; pip install 'bioq[tensorboard]'"
        )


def _tensorboard(run: Path, stack: ExitStack) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return stack.enter_context(SummaryWriter(str(run / "tensorboard")))


def peak_memory_mb() -> float:
    """Return the largest memory that this process has had; NaN on Windows."""
    try:
        import resource
    except ImportError:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)

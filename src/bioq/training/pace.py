"""How long a training takes, and what would be faster."""

import time
from dataclasses import dataclass

import torch

from bioq.errors import BioqError
from bioq.fast.threads import same_threads
from bioq.models import ModelSizes, build_model
from bioq.progress import duration
from bioq.training.plan import DEFAULT_MODEL, DataFacts, Plan

LONG_S = 30 * 60
"""A training that is expected to take longer than this gets advice."""
_PREDICTS_FASTER = 1.5
"""Windows per second of validation, divided by those of training, until it is measured: on two
cores 1.2 to 1.6 for each model (docs/log/models.md)."""
_MUCH_LARGER = 2
"""A model with this many times the weights of the default model is named as a reason."""
_ESTIMATE_AFTER_S = 5.0
"""Seconds of steps before the time of a training is estimated; the first steps are slower."""
_PRODUCTS = 100
"""Matrix products of one round. A shorter round often fits into one time slice, in which each
thread has a core, and then no thread waits."""
_ROUNDS = 20
"""Times that each number of threads computes products, in turn."""
_FEWEST_ROUNDS, _MEASURE_S = 3, 2.0
"""After the fewest rounds no other begins once so many seconds are spent. Only threads that wait
take so long: 64 threads on two cores took 7 s for all rounds."""
_MUCH_SLOWER = 2.0
"""Threads that take this many times as long as fewer threads are worth a line. On two cores of an
Intel Xeon two threads were the fastest without other programs, and took 3.7 to 17 times as long as
one beside two or three (docs/log/performance.md, 2026-11-30)."""


class Watch:
    """Measures the speed of the first seconds of steps, without the first step."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._windows = 0

    def rate_after(self, windows: int) -> float | None:
        """Count a step; return the windows per second once the measurement is long enough."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
            return None
        self._windows += windows
        seconds = now - self._started
        return self._windows / seconds if seconds > _ESTIMATE_AFTER_S else None


@dataclass
class Pace:
    """The speed of a training; each method takes the speed of its steps in windows per second."""

    plan: Plan
    valid_windows: int
    later_folds: int = 0
    """Trainings of about the same length that follow in the same command."""
    epoch_s: float | None = None
    """Seconds that the steps of the last epoch took; None in the first."""
    validation_s: float | None = None
    """Seconds that the last validation took; None before the first."""

    def after_epoch_s(self, epoch: int, rate: float) -> float:
        """Return the seconds from the last step of an epoch (from 0) to the end of the command, if
        no training stops early."""
        validation_s = self.validation_s
        if validation_s is None:
            validation_s = self.valid_windows / (rate * _PREDICTS_FASTER)
        epochs = self.plan.recipe.epochs
        of_epoch = self.epoch_s
        if of_epoch is None:  # the rate of the first steps of an epoch is too low
            of_epoch = self.plan.windows_per_epoch / rate
        left = epochs - epoch - 1 + self.later_folds * epochs
        return left * (of_epoch + validation_s) + validation_s

    def left_s(self, epoch: int, step: int, rate: float) -> float:
        """Return the seconds that are left after some steps of an epoch (from 0)."""
        shown = self.plan.windows_per_epoch
        done = min(step * self.plan.recipe.batch_size, shown)
        return (shown - done) / rate + self.after_epoch_s(epoch, rate)

    def advice(self, seconds: float, device: torch.device) -> str:
        """Return a line about a long training: how long it takes, and what would be faster."""
        most = "at most " if self.plan.recipe.patience else ""
        left = f"the training takes {most}about {duration(seconds)} more"
        return f"note: {left}; faster: {self.faster(device)}"

    def faster(self, device: torch.device) -> str:
        """Return what would be faster, as options."""
        ways = [*_smaller(self.plan), f"--epochs {max(self.plan.recipe.epochs // 4, 1)}"]
        if device.type == "cpu":
            ways.append("a GPU (--device cuda)")
        return " or ".join([", ".join(ways[:-1]), ways[-1]] if len(ways) > 1 else ways)


def threads_remark(device: torch.device) -> str | None:
    """Return a remark if a device is the CPU, and fewer of PyTorch's threads are much faster there
    than all; None otherwise.

    PyTorch's threads wait for one another after each product. If another program has the core of
    one of them, all wait: a step of `marq` that took 40 ms took more than 450, and 84 with one
    thread. BioQ does not change their number itself: the results of a training would depend on what
    else the computer does, since other numbers of threads add up in another order.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        return None
    fewer, times = _fastest_threads(threads)
    if times < _MUCH_SLOWER:
        return None
    return (
        f"{threads} threads take {times:.0f} times as long as {fewer} now, probably because fewer "
        f"cores are free for them; faster: OMP_NUM_THREADS={fewer} before the command"
    )


def _fastest_threads(threads: int) -> tuple[int, float]:
    """Return the fastest of a number of threads, its half, the half of that, ... and 1, and how
    many times as long all threads take."""
    numbers = [threads]
    while numbers[-1] > 1:
        numbers.append(numbers[-1] // 2)
    spent = dict.fromkeys(numbers, 0.0)
    for done in range(_ROUNDS):
        if done >= _FEWEST_ROUNDS and sum(spent.values()) >= _MEASURE_S:
            break
        for number in numbers:
            spent[number] += _product_seconds(number)
    fastest = min(numbers, key=spent.__getitem__)
    return fastest, spent[threads] / spent[fastest]


def _product_seconds(threads: int) -> float:
    """Return the seconds of some matrix products with a number of threads."""
    left, right = torch.ones(128, 128), torch.ones(128, 512)
    with same_threads():
        torch.set_num_threads(threads)
        torch.mm(left, right)
        started = time.perf_counter()
        for _ in range(_PRODUCTS):
            torch.mm(left, right)
        return time.perf_counter() - started


def count_weights(facts: DataFacts, model: str, sizes: ModelSizes) -> int:
    """Return the number of weights of a model of BioQ's for a data set; 0 if its layers do not fit
    into the windows."""
    try:
        with torch.device("meta"):
            network = build_model(
                model, targets=facts.targets, window_bp=facts.window_bp, sizes=sizes
            )
    except BioqError:
        return 0
    return sum(weight.numel() for weight in network.parameters())


def _smaller(plan: Plan) -> list[str]:
    """Return how to get the default model, if the plan's model is much larger."""
    if plan.source is not None or plan.network is not None:
        return []
    weights = count_weights(plan.data, plan.model, plan.sizes)
    of_default = count_weights(plan.data, DEFAULT_MODEL, ModelSizes())
    if weights < _MUCH_LARGER * of_default or not of_default:
        return []
    return [
        f"the default model (omit --model and its sizes: {DEFAULT_MODEL}, {of_default:,} weights "
        f"instead of {weights:,})"
    ]

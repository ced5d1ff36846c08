"""How far the contributions of tangermeme's DeepLIFT are from summing to the logits of our models.

    python benchmarks/deeplift.py DATA [RUN ...] [--tiny]

Prints for each run, and for untrained models, the sum of the errors as a share of the sum of the
differences of the logits, over windows of the split `valid` and shuffled windows. The models
without a run have random weights, times 1.5.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from measuring import Failures, parse, parser, print_heads, print_row
from tangermeme.deep_lift_shap import deep_lift_shap
from torch import Tensor, nn

import bioq
from bioq.models import ModelSizes, build_model

UNTRAINED = ("deepsea", "beluga", "danq", "deepatt", "marq")


def error(model: nn.Module, windows: Tensor, target: int, shuffles: int) -> float:
    """Return the sum of the errors over the sum of the differences, of windows `(n, 4, length)`."""
    gap, difference = deeplift_gaps(model, windows, target, shuffles=shuffles)
    return float(gap.sum() / difference.sum())


def deeplift_gaps(
    model: nn.Module, windows: Tensor, target: int, *, shuffles: int
) -> tuple[Tensor, Tensor]:
    """Return |sum of contributions - difference of logits| and |difference of logits| of each
    window and its shuffled windows."""
    settings = {"n_shuffles": shuffles, "return_references": True, "random_state": 0}
    values, references = deep_lift_shap(model, windows, target=target, device="cpu", **settings)
    with torch.no_grad():
        before = torch.stack([model(shuffled)[:, target].mean() for shuffled in references])
        difference = model(windows)[:, target] - before
    return (values.sum((1, 2)) - difference).abs(), difference.abs()


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("runs", type=Path, nargs="*")
    arguments.add_argument("--target", default="Ctcf", help="part of the name of a run's target")
    arguments.add_argument("--windows", type=int, default=8)
    arguments.add_argument("--shuffles", type=int, default=10, help="of each window")
    arguments.add_argument("--models", nargs="+", choices=UNTRAINED, default=UNTRAINED)
    options = parse(arguments, tiny={"windows": 2, "shuffles": 2, "target": ""})
    failures, shuffles = Failures(), options.shuffles
    warnings.simplefilter("ignore")  # tangermeme warns about each error
    split = bioq.open_dataset(options.data)["valid"]
    known = split.read(slice(0, len(split))).windows.sum(axis=(1, 2)) == split.window_bp
    rows = np.flatnonzero(known)  # DeepLIFT needs all bases
    rows = rows[np.linspace(0, len(rows) - 1, options.windows).astype(int)]
    windows = torch.from_numpy(split.read(rows).windows).float()
    print_heads("model", "target", "error")
    for run in options.runs:
        with failures.of(str(run)):
            model = bioq.load(run)
            names = list(model.targets["name"])
            target = next(number for number, name in enumerate(names) if options.target in name)
            of_run = error(model.network.eval(), windows, target, shuffles)
            print_row(run, names[target], f"{of_run:.2g}")
    for name in options.models:
        with failures.of(name):
            model = untrained(name, split.window_bp, tiny=options.tiny)
            print_row(name, "random weights", f"{error(model, windows, 0, shuffles):.2g}")
    failures.end()


def untrained(name: str, window_bp: int, *, tiny: bool) -> nn.Module:
    torch.manual_seed(0)
    sizes = ModelSizes(filters=8 if tiny else 32)
    model = build_model(name, targets=3, window_bp=window_bp, sizes=sizes).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.5)
    return model


if __name__ == "__main__":
    main()

"""How far the contributions of tangermeme's DeepLIFT are from summing to the logits of our models.

    python benchmarks/deeplift.py DATA [RUN ...]

Prints for each run, and for untrained models, the sum of the errors as a share of the sum of the
differences of the logits, over windows of the split `valid` and shuffled windows. The models
without a run have random weights, times 1.5.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from tangermeme.deep_lift_shap import deep_lift_shap
from torch import Tensor, nn

import bioq
from bioq.dataset.targets import NAME
from bioq.models import ModelSizes, build_model

WINDOWS = 8
SHUFFLES = 10
UNTRAINED = ("deepsea", "danq", "deepatt", "marq")


def error(model: nn.Module, windows: Tensor, target: int) -> float:
    """Return the sum of the errors over the sum of the differences, of windows `(n, 4, length)`."""
    values, references = deep_lift_shap(
        model,
        windows,
        target=target,
        n_shuffles=SHUFFLES,
        return_references=True,
        random_state=0,
        device="cpu",
    )
    with torch.no_grad():
        before = torch.stack([model(shuffled)[:, target].mean() for shuffled in references])
        difference = model(windows)[:, target] - before
    return float((values.sum((1, 2)) - difference).abs().sum() / difference.abs().sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--target", default="Ctcf", help="part of the name of the target of a run")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # tangermeme warns about each error
    split = bioq.open_dataset(options.data)["valid"]
    rows = np.linspace(0, len(split) - 1, WINDOWS).astype(int)
    windows = torch.from_numpy(split.read(rows).windows).float()
    for run in options.runs:
        model = bioq.load(run)
        names = list(model.targets[NAME])
        target = next(number for number, name in enumerate(names) if options.target in name)
        print(f"{run} {names[target]}: {error(model.network.eval(), windows, target):.2g}")
    for name in UNTRAINED:
        torch.manual_seed(0)
        sizes = ModelSizes(filters=32)
        model = build_model(name, targets=3, window_bp=split.window_bp, sizes=sizes).eval()
        with torch.no_grad():
            for weights in model.parameters():
                weights.mul_(1.5)
        print(f"{name}, random weights: {error(model, windows, 0):.2g}")


if __name__ == "__main__":
    main()

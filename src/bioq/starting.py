"""What training starts from: a model with seeded weights, motifs and rates, and a run folder."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bioq.dataset import Dataset, Split
from bioq.errors import BioqError
from bioq.models import ModelSizes, build_model
from bioq.models.initialise import initialise_filters, starting_motifs
from bioq.ranks import Ranks, rank_name
from bioq.recipes import TrainConfig, seed_of
from bioq.runs import CONFIG, create_run


def start_model(
    settings: Mapping[str, Any], data: Dataset, seed: int
) -> tuple[nn.Module, str | None]:
    """Return a new model for a data set and, if motifs start its filters, a line that says so.

    `settings` names "model", "sizes" and "motifs": those that the user, or else the paper, names.
    Sets PyTorch's random numbers.
    """
    torch.manual_seed(seed_of(seed, "weights"))
    model = build_model(
        settings["model"],
        targets=len(data.targets),
        window_bp=data.description.window_bp,
        sizes=ModelSizes(**settings["sizes"]),
    )
    chosen = starting_motifs(settings["model"], settings["motifs"])
    if not chosen:
        return model, None
    generator = torch.Generator().manual_seed(seed_of(seed, "motifs"))
    placed = initialise_filters(model, chosen, generator=generator)
    return model, f"start {len(placed)} filters from motifs"


def start_at_positive_rates(model: nn.Module, split: Split) -> None:
    """Set the last layer's bias to the log odds of each target's positive rate.

    One positive and one negative are added to each count, so that the odds are finite.
    """
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    rate = (split.positives() + 1) / (len(split) + 2)
    with torch.no_grad():
        head.bias.copy_(torch.from_numpy(np.log(rate / (1 - rate))))


def start_run(
    run: Path,
    model: nn.Module,
    settings: Mapping[str, Any],
    config: TrainConfig,
    data: Dataset,
    ranks: Ranks,
) -> None:
    """Make the run folder on the first rank; the others look whether they see it."""
    resolved = asdict(config.resolve(len(data["train"])))
    training = {**settings, **asdict(config), "resolved": resolved}
    architecture: Any = model.architecture
    ranks.first(lambda: create_run(run, model=architecture, training=training, data=data))
    with ranks.agreed():
        if not (run / CONFIG).is_file():
            raise BioqError(
                f"{run}: the first rank has made it, {rank_name()} does not see it; put the run "
                "on a file system that all machines share"
            )

"""The motifs of a run's filters, with their matches and their effects: the job of `bioq motifs`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from bioq.dataset import Dataset, Split, open_dataset, require_undamaged
from bioq.dataset.targets import NAME
from bioq.interpretation.filters import (
    FilterMotif,
    MotifOptions,
    filter_effects,
    find_filter_motifs,
    spaced_rows,
)
from bioq.interpretation.motif_matches import SIGNIFICANT_Q, match_motifs
from bioq.models.families import first_convolution
from bioq.motifs import Motif, collection_for, motifs_from, write_meme
from bioq.progress import say
from bioq.runs.folder import (
    read_config,
    refuse_ensemble,
    require_window_bp,
)
from bioq.runs.trained_model import TrainedModel, load, network_of
from bioq.runs.training_data import training_data, with_fold_of

NAMED_TARGETS = 3
"""Targets named for each filter: those with the largest effects."""


@dataclass(frozen=True)
class MotifInputs:
    """The model, the windows and the motifs to match with."""

    run: str
    """The run's name."""
    model: TrainedModel
    data: str
    """The data set's name."""
    split: Split
    against: Sequence[Motif]
    options: MotifOptions


@dataclass(frozen=True)
class FilterMotifs:
    """The motifs of a run's filters."""

    inputs: MotifInputs
    motifs: Sequence[FilterMotif]
    """Of the filters with a site."""
    table: pd.DataFrame
    """One row per filter: see `motif_table`; then the target with the largest effect."""
    effects: pd.DataFrame | None
    """One row per motif: filter, and its effect on each target's logit."""
    strongest: Mapping[int, Sequence[tuple[str, float]]]
    """Filter -> the targets with the largest effects, and these effects."""

    @property
    def windows(self) -> int:
        """Number of windows read."""
        return len(spaced_rows(len(self.inputs.split), self.inputs.options.windows))

    @property
    def matched(self) -> int:
        """Number of filters with a significant match."""
        return int((self.table["q"] < SIGNIFICANT_Q).sum())

    @property
    def few_sites(self) -> int:
        """Number of filters with too few sites to match."""
        return int(self.table["sites"].between(1, self.inputs.options.min_sites - 1).sum())

    @property
    def silent(self) -> int:
        """Number of filters without a site."""
        return len(self.table) - len(self.motifs)

    def write(self, folder: Path) -> None:
        """Write motifs.meme, motifs.tsv and, if there are effects, effects.tsv."""
        motifs = [each.motif for each in self.motifs]
        write_meme(folder / "motifs.meme", motifs, [each.sites for each in self.motifs])
        tables = {"motifs.tsv": self.table, "effects.tsv": self.effects}
        for name, table in tables.items():
            if table is not None:
                table.to_csv(folder / name, sep="\t", index=False, float_format="%.6g")


def open_motif_inputs(run: Path, dataset: Path | None, options: MotifOptions) -> MotifInputs:
    """Open a run, a data set (by default the run's) and the motifs to match with.

    Raises BioqError if a file cannot be read, or the data set has windows of another length, and
    UsageError for an ensemble.
    """
    refuse_ensemble(
        run, read_config(run), "filters belong to one network; name the folder of a member"
    )
    model = load(run)
    data = _open_data(run, model, dataset, options.split)
    against = options.against or collection_for(model.config.genome_build)
    return MotifInputs(
        run.resolve().name,
        model,
        data.path.resolve().name,
        data[options.split],
        motifs_from(against),
        replace(options, against=against),
    )


def explain_filters(inputs: MotifInputs) -> FilterMotifs:
    """Find the motifs of the filters, their matches and their effects."""
    options = inputs.options
    motifs = find_filter_motifs(inputs.model, inputs.split, options)
    table = motif_table(inputs.model, motifs, inputs.against, min_sites=options.min_sites)
    if not options.effect_windows:
        return FilterMotifs(inputs, motifs, table, None, {})
    filters = [motif.filter for motif in motifs]
    names = [str(name) for name in inputs.model.targets[NAME]]
    effects = filter_effects(inputs.model, inputs.split, filters, options)
    strongest = _strongest(filters, effects, names)
    effect_table = pd.DataFrame(effects, columns=names)
    effect_table.insert(0, "filter", filters)
    first = {number: targets[0] for number, targets in strongest.items()}
    none = (None, np.nan)
    table["strongest_target"] = [first.get(number, none)[0] for number in table["filter"]]
    table["strongest_effect"] = [first.get(number, none)[1] for number in table["filter"]]
    return FilterMotifs(inputs, motifs, table, effect_table, strongest)


def motif_table(
    model: nn.Module, motifs: Sequence[FilterMotif], against: Sequence[Motif], *, min_sites: int
) -> pd.DataFrame:
    """Return one row per filter of the model: filter, sites, maximum, information_bits, match.

    The columns of the match are those of `match_motifs`; they are empty for a filter with fewer
    than `min_sites` sites. A filter without a site has 0 sites and no other value.
    """
    table = pd.DataFrame({"filter": range(first_convolution(network_of(model)).out_channels)})
    with_sites = pd.DataFrame(
        {
            "filter": [motif.filter for motif in motifs],
            "sites": [motif.sites for motif in motifs],
            "maximum": [motif.maximum for motif in motifs],
            "information_bits": [motif.information_bits() for motif in motifs],
        }
    )
    enough = [motif for motif in motifs if motif.sites >= min_sites]
    matched = match_motifs([motif.motif for motif in enough], against)
    matched.insert(0, "filter", [motif.filter for motif in enough])
    table = table.merge(with_sites, on="filter", how="left").merge(matched, on="filter", how="left")
    table["sites"] = table["sites"].fillna(0).astype(int)
    return table


def _strongest(
    filters: Sequence[int], effects: npt.NDArray[np.float32], names: Sequence[str]
) -> dict[int, list[tuple[str, float]]]:
    """Return the `NAMED_TARGETS` targets with the largest effects of each filter."""
    order = np.argsort(-abs(effects), axis=1)[:, :NAMED_TARGETS]
    return {
        number: [(names[target], float(row[target])) for target in targets]
        for number, row, targets in zip(filters, effects, order, strict=True)
    }


def _open_data(run: Path, model: TrainedModel, dataset: Path | None, split: str) -> Dataset:
    if dataset is None:
        data = training_data(run)
        say(f"data set: {data.path}")
    else:
        data = with_fold_of(run, model.config, open_dataset(dataset))
    require_window_bp(run, model.config, data)
    require_undamaged(data, [split])
    return data

"""`bioq motifs`."""

from pathlib import Path
from typing import Annotated

import pandas as pd
from cyclopts import Parameter

from bioq.dataset import open_dataset
from bioq.errors import BioqError
from bioq.files import new_folder
from bioq.filter_motifs import MotifOptions, filter_effects, find_filter_motifs, match_motifs
from bioq.motifs import motifs_from, write_meme
from bioq.runs import load, read_config

DEFAULTS = MotifOptions()


def motifs(
    run: Path,
    dataset: Path,
    /,
    *,
    out: Path,
    options: Annotated[MotifOptions, Parameter(name="*")] = DEFAULTS,
) -> None:
    """Write the motifs that a run's filters look for, and what they match.

    Writes DIR/motifs.meme, DIR/motifs.tsv (sites, information, best TOMTOM match) and
    DIR/effects.tsv (how much each filter raises each target's logit). The data set is needed: a
    filter's motif is counted from the windows that activate it. Matching needs bioq[motifs].

    For example:

        bioq motifs run yeast --out motifs --against JASPAR2024:fungi

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    dataset
        Data set folder whose windows are read.
    out
        Folder to make.
    """
    model = load(run)
    data = open_dataset(dataset)
    window_bp = read_config(run).model["window_bp"]
    if window_bp != data.description.window_bp:
        raise BioqError(
            f"{dataset}: windows are {data.description.window_bp} bp long; this model reads "
            f"windows of {window_bp} bp"
        )
    split = data[options.split]
    against = motifs_from(options.against)
    with new_folder(out) as folder:
        found = find_filter_motifs(model, split, options)
        own = [each.motif for each in found]
        write_meme(folder / "motifs.meme", own, [each.sites for each in found])
        table = pd.DataFrame(
            {
                "filter": [each.filter for each in found],
                "sites": [each.sites for each in found],
                "maximum": [each.maximum for each in found],
                "information_bits": [motif.information_bits().sum() for motif in own],
            }
        )
        table = pd.concat([table, match_motifs(own, against)], axis=1)
        names = list(model.targets["name"])  # type: ignore[index]
        if options.effect_windows:
            effects = filter_effects(model, split, list(table["filter"]), options)
            best = abs(effects).argmax(axis=1)
            table["strongest_target"] = [names[number] for number in best]
            table["strongest_effect"] = effects[range(len(best)), best]
            wide = pd.DataFrame(effects, columns=names)
            wide.insert(0, "filter", table["filter"])
            wide.to_csv(folder / "effects.tsv", sep="\t", index=False, float_format="%.6g")
        table.to_csv(folder / "motifs.tsv", sep="\t", index=False, float_format="%.6g")
    print(f"{len(found)} filters with sites: {out / 'motifs.tsv'}")

"""`bioq motifs`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from cyclopts import Parameter
from torch import nn

from bioq.dataset import Dataset, Split, open_dataset
from bioq.errors import BioqError
from bioq.files import new_folder, require_absent
from bioq.interpretation.filters import (
    MotifOptions,
    filter_effects,
    find_filter_motifs,
    motif_table,
    spaced_rows,
)
from bioq.motifs import motifs_from, write_meme
from bioq.progress import say
from bioq.reports.motifs import SHOWN_TARGETS, SIGNIFICANT_Q, motifs_page
from bioq.runs.folder import load, read_config, training_data

DEFAULTS = MotifOptions()


def motifs(
    run: Path,
    dataset: Path | None = None,
    /,
    *,
    out: Path,
    options: Annotated[MotifOptions, Parameter(name="*")] = DEFAULTS,
) -> None:
    """Write the motifs that a run's filters detect, and the known motifs that they match.

    Writes OUT/motifs.html (logos, each with its best match), OUT/motifs.tsv (sites, information,
    best TOMTOM match), OUT/motifs.meme and OUT/effects.tsv (how much each filter raises each
    target's logit). Matching needs bioq[motifs].

    For example:

        bioq motifs run --out motifs --against JASPAR2024:fungi

    Parameters
    ----------
    run
        Run folder, written by 'bioq train'.
    dataset
        Data set folder whose windows are read; by default the data set that the run was trained
        on.
    out
        New folder for the files.
    """
    require_absent(out)
    model = load(run)
    data = _data(run, dataset)
    split = data[options.split]
    against = motifs_from(options.against)
    with new_folder(out) as folder:
        found = find_filter_motifs(model, split, options)
        own = {each.filter: each.motif for each in found}
        write_meme(folder / "motifs.meme", list(own.values()), [each.sites for each in found])
        table = motif_table(model, found, against, min_sites=options.min_sites)
        about = {
            "run": run.resolve().name,
            "data": data.path.resolve().name,
            "split": split.name,
            "windows": len(spaced_rows(len(split), options.windows)),
            "against": options.against,
            "matched": int((table["q"] < SIGNIFICANT_Q).sum()),
            "few": int(table["sites"].between(1, options.min_sites - 1).sum()),
            "min_sites": options.min_sites,
            "silent": len(table) - len(found),
        }
        targets = _add_effects(table, model, split, list(own), options, folder)
        table.to_csv(folder / "motifs.tsv", sep="\t", index=False, float_format="%.6g")
        page = motifs_page(table, own, against, targets, about)
        (folder / "motifs.html").write_text(page, encoding="utf-8")
    for line in _summary(about, len(table)):
        print(line)
    print(out / "motifs.html")


def _add_effects(
    table: pd.DataFrame,
    model: nn.Module,
    split: Split,
    filters: list[int],
    options: MotifOptions,
    folder: Path,
) -> dict[int, list[tuple[str, float]]]:
    """Write effects.tsv, name each filter's strongest target; return its strongest few."""
    if not options.effect_windows:
        return {}
    names = list(model.targets["name"])  # type: ignore[index]
    effects = filter_effects(model, split, filters, options)
    wide = pd.DataFrame(effects, columns=names)
    wide.insert(0, "filter", filters)
    wide.to_csv(folder / "effects.tsv", sep="\t", index=False, float_format="%.6g")
    order = np.argsort(-abs(effects), axis=1)[:, :SHOWN_TARGETS]
    strongest = {
        number: [(names[target], float(row[target])) for target in best]
        for number, row, best in zip(filters, effects, order, strict=True)
    }
    firsts = {number: best[0] for number, best in strongest.items()}
    nothing = (None, np.nan)
    table["strongest_target"] = [firsts.get(number, nothing)[0] for number in table["filter"]]
    table["strongest_effect"] = [firsts.get(number, nothing)[1] for number in table["filter"]]
    return strongest


def _data(run: Path, dataset: Path | None) -> Dataset:
    """Open the data set that is named, else the run's; check that the model reads its windows."""
    if dataset is None:
        data = training_data(run)
        say(f"data set: {data.path}")
    else:
        data = open_dataset(dataset)
    window_bp = read_config(run).model["window_bp"]
    if window_bp != data.description.window_bp:
        raise BioqError(
            f"{data.path}: windows are {data.description.window_bp} bp long; this model reads "
            f"windows of {window_bp} bp"
        )
    return data


def _summary(about: Mapping[str, Any], filters: int) -> Iterator[str]:
    yield (
        f"{about['matched']} of {filters} filters match {about['against']} with q < {SIGNIFICANT_Q}"
    )
    if about["few"]:
        yield f"{about['few']} with fewer than {about['min_sites']} sites: no match sought"
    if about["silent"]:
        yield f"{about['silent']} that no window activates"

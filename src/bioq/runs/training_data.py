"""The data set that a run was trained on: where it is, and the splits of the run's fold."""

import os
from pathlib import Path

from bioq.dataset import Dataset, open_dataset
from bioq.errors import BioqError
from bioq.runs.folder import CONFIG, MEMBERS, REMEDY, RunConfig, read_config, read_members


def with_fold_of(run: str | Path, config: RunConfig, data: Dataset) -> Dataset:
    """Return a data set with the splits of the fold that a run was trained on; a data set without
    folds, or of which a fold is chosen, is returned unchanged.

    Raises BioqError if the run was not trained on a fold of this data set.
    """
    if not data.folds or data.chosen is not None:
        return data
    trained = [member for _, member in read_members(run, config)] or [config]
    fold, *others = {each.fold_in(data) for each in trained}
    if others:
        raise BioqError(
            f"{run}: its members were trained on different folds of {data.path}, so no split of it "
            "is new to all of them; name the folder of each member in turn, such as "
            f"{Path(run) / MEMBERS / config.members[0]['name']}"
        )
    if fold is None:
        raise BioqError(
            f"{data.path}: has {data.folds} folds, and {run} was not trained on one of them, so it "
            "is not known which to read; give the data set of the run, or one with splits"
        )
    try:
        return data.chosen_by(fold)
    except BioqError as error:
        raise BioqError(f"{Path(run) / CONFIG}: records {error}; {REMEDY}") from error


def training_data(run: str | Path) -> Dataset:
    """Open the data set that a run was trained on: at its path then, else beside the run.

    With the splits of the fold of the run, if it has folds. Raises BioqError if it is at neither
    path, or has another fingerprint, and for a run that was imported.
    """
    config = read_config(run)
    data = config.data
    if config.imported is not None:
        raise BioqError(
            f"{run}: was imported from {config.imported['file']}, whose training data are not a "
            "data set of BioQ; name a data set behind the run"
        )
    candidates = [Path(run).resolve().parent / str(data["name"])]
    if "path" in data:  # runs written before 2026-11-23 have the name alone
        candidates.insert(0, Path(data["path"]))
    path = next((candidate for candidate in candidates if os.path.isdir(candidate)), None)
    if path is None:
        raise BioqError(
            f"{run}: its data set is not in {' or '.join(map(str, dict.fromkeys(candidates)))}; "
            "name the folder of the data set behind the run"
        )
    opened = open_dataset(path)
    if opened.fingerprint != data["fingerprint"]:
        raise BioqError(
            f"{path}: has fingerprint {opened.fingerprint[:12]}, {run} was trained on "
            f"{data['fingerprint'][:12]}; name the data set to read behind the run"
        )
    return with_fold_of(run, config, opened)

"""The target tables of the published models.

DeepSEA, DanQ and BioQ have the same 919 targets; `deepsea_targets.tsv` has their names in column
order, the peak file of each, its rate of positives in training and the published test AUCs of
DeepSEA, DanQ and DanQ-JASPAR. Sources: the sample table of
jakublipinski/build-deepsea-training-dataset (Apache-2.0) and the DanQ authors' `aucs.txt`. A name
is cell|target|treatment, followed by the short name of the peak file if several experiments share
these three.

Beluga has 2,002: the first 815 of DeepSEA (DNase and factors), then assays of Roadmap Epigenomics
and ENCODE, which `beluga_roadmap.tsv` lists for each cell, in order. Source: the names of the
experiments in `predictor_names.txt` of Beluga in kipoi/models; they are facts and do not have the
licence of the weights. A Roadmap target whose name ENCODE's part has ends with |Roadmap.
"""

from pathlib import Path

import pandas as pd

from bioq.dataset.targets import NAME, read_target_table
from bioq.published.data import BELUGA_TARGETS, DEEPSEA_TARGETS

DEEPSEA_TARGET_TABLE = Path(__file__).with_name("deepsea_targets.tsv")
_ROADMAP = Path(__file__).with_name("beluga_roadmap.tsv")
_SHARED = 815
"""The targets of DeepSEA with which Beluga's begin."""
_COLUMNS = [NAME, "cell", "target", "treatment", "group"]


def published_targets(targets: int) -> pd.DataFrame | None:
    """Return the table of the published networks with this number of targets; None if there is
    none."""
    if targets == DEEPSEA_TARGETS:
        return read_target_table(DEEPSEA_TARGET_TABLE)
    return _beluga_targets() if targets == BELUGA_TARGETS else None


def _beluga_targets() -> pd.DataFrame:
    shared = read_target_table(DEEPSEA_TARGET_TABLE)[_COLUMNS].iloc[:_SHARED]
    taken = set(shared[NAME])
    rows = []
    for line in _ROADMAP.read_text(encoding="utf-8").splitlines()[1:]:
        cell, assays = line.split("\t")
        for assay in assays.split():
            name = f"{cell}|{assay}|None"
            group = "DNase" if assay.startswith("DNase") else "histone"
            name = f"{name}|Roadmap" if name in taken else name
            rows.append([name, cell, assay, "None", group])
    return pd.concat([shared, pd.DataFrame(rows, columns=_COLUMNS)], ignore_index=True)


def numbered_targets(targets: int) -> pd.DataFrame:
    """Return the table of targets that have no names: target_0, target_1 and so on."""
    return pd.DataFrame({NAME: [f"target_{number}" for number in range(targets)]})

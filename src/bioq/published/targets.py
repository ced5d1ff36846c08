"""The target tables of the published models.

`deepsea_targets.tsv` has the names of the 919 targets in column order, the peak file of each, its
rate of positives in training and the published test AUCs of DeepSEA, DanQ and DanQ-JASPAR. Sources:
the sample table of jakublipinski/build-deepsea-training-dataset (Apache-2.0) and the DanQ authors'
`aucs.txt`. A name is cell|target|treatment, followed by the short name of the peak file if several
experiments share these three.
"""

from pathlib import Path

import pandas as pd

from bioq.dataset.targets import NAME, read_target_table

DEEPSEA_TARGETS = 919
DEEPSEA_TARGET_TABLE = Path(__file__).with_name("deepsea_targets.tsv")


def published_targets(targets: int) -> pd.DataFrame | None:
    """Return the table of the published network with this number of targets; None if there is
    none."""
    return read_target_table(DEEPSEA_TARGET_TABLE) if targets == DEEPSEA_TARGETS else None


def numbered_targets(targets: int) -> pd.DataFrame:
    """Return the table of targets that have no names: target_0, target_1 and so on."""
    return pd.DataFrame({NAME: [f"target_{number}" for number in range(targets)]})

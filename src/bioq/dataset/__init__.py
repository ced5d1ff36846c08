"""The packed data set: a folder of plain .npy files, written once and opened by memory map.

`docs/reference/data-format.md` specifies every byte. A folder holds `dataset.json`, `targets.tsv`
and, for each split or fold, `sequence.npy`, `labels.npy`, `mask_rows.npy`, `mask.npy` and, where
known, `bins.npy`.
"""

from bioq.dataset.blocks import BLOCK_BP
from bioq.dataset.checksums import require_undamaged, verify
from bioq.dataset.folds import Fold
from bioq.dataset.label_kinds import LabelKinds, label_kinds
from bioq.dataset.layout import (
    FOLDER_KIND,
    FORMAT,
    FORMAT_VERSION,
    METADATA,
    SIMULATION,
    SPLITS,
    TARGETS,
    Description,
    Source,
    pack_labels,
    unpack_labels,
)
from bioq.dataset.reading import Dataset, open_dataset
from bioq.dataset.split import Batch, Rows, Split
from bioq.dataset.storage import PackedBatch
from bioq.dataset.writing import DatasetWriter, SplitWriter, new_dataset

__all__ = [
    "BLOCK_BP",
    "FOLDER_KIND",
    "FORMAT",
    "FORMAT_VERSION",
    "METADATA",
    "SIMULATION",
    "SPLITS",
    "TARGETS",
    "Batch",
    "Dataset",
    "DatasetWriter",
    "Description",
    "Fold",
    "LabelKinds",
    "PackedBatch",
    "Rows",
    "Source",
    "Split",
    "SplitWriter",
    "label_kinds",
    "new_dataset",
    "open_dataset",
    "pack_labels",
    "require_undamaged",
    "unpack_labels",
    "verify",
]

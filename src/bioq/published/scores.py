"""Published scores on DeepSEA's test windows, and how to tell these windows from others.

Scores of each target: columns of `deepsea_targets.tsv`, such as `danq_roc_auc`. Their means are
macro averages. The BioQ paper gives scores of all targets pooled (micro averages) only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from bioq.dataset import Dataset
from bioq.dataset.targets import NAME, read_target_table
from bioq.published.data import DEEPSEA_TARGETS
from bioq.published.targets import DEEPSEA_TARGET_TABLE

TEST_SPLIT = "test"
TEST_WINDOWS = 227_512
"""Windows of DeepSEA's test split (chromosomes 8 and 9), each of them on two strands in the file.
"""
_ENDINGS = {"_roc_auc": "roc_auc", "_pr_auc": "average_precision"}


@dataclass(frozen=True)
class PublishedModel:
    """A model with published scores on DeepSEA's test windows."""

    title: str
    """As the paper spells it."""
    source: str
    micro: Mapping[str, float] = field(default_factory=dict)
    """Score -> its value for all targets pooled."""


MODELS: Mapping[str, PublishedModel] = {
    "deepsea": PublishedModel("DeepSEA", "Zhou & Troyanskaya 2015"),
    "danq": PublishedModel("DanQ", "Quang & Xie 2016"),
    "danq_jaspar": PublishedModel("DanQ-JASPAR", "Quang & Xie 2016"),
    "bioq": PublishedModel(
        "BioQ", "Conboy & Konka 2024", {"roc_auc": 0.9320, "average_precision": 0.3942}
    ),
}
"""Name in the columns of a target table -> the model."""


def title_of(model: str) -> str:
    """Return a published model's name as its paper spells it; another name unchanged."""
    return MODELS[model].title if model in MODELS else model


def published_columns(targets: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield (column, model, score) of columns such as `danq_roc_auc` and `deepsea_pr_auc`."""
    for column in map(str, targets.columns):
        for ending, score in _ENDINGS.items():
            if column.endswith(ending) and column != ending[1:]:
                yield column, column.removesuffix(ending), score


def with_published_scores(targets: pd.DataFrame) -> pd.DataFrame:
    """Return a target table with the published scores; one that has not DeepSEA's 919 targets, in
    their order, is returned unchanged. A column that the table has already is kept."""
    if len(targets) != DEEPSEA_TARGETS:
        return targets
    table = read_target_table(DEEPSEA_TARGET_TABLE)
    if list(targets[NAME]) != list(table[NAME]):
        return targets
    new = [column for column, _, _ in published_columns(table) if column not in targets]
    return targets.assign(**{column: table[column].to_numpy() for column in new})


def model_with_scores(model: str) -> str | None:
    """Return the name in MODELS of a model of `bioq.models`; None if it has no published scores."""
    name = model.replace("-", "_")
    return name if name in MODELS else None


def is_published_test(data: Dataset, split: str) -> bool:
    """Return whether a split has the windows of the published scores: DeepSEA's own test split.

    It is the split `test` of a data set made of DeepSEA's files, with the 919 targets in order and
    as many windows, in which just those targets have no positive that have no published score.
    """
    if split != TEST_SPLIT or data.description.made_by != "deepsea" or split not in data:
        return False
    windows = TEST_WINDOWS if data[split].strands_folded else 2 * TEST_WINDOWS
    table = read_target_table(DEEPSEA_TARGET_TABLE)
    if len(data[split]) != windows or list(data.targets[NAME]) != list(table[NAME]):
        return False
    undefined = pd.to_numeric(table["danq_roc_auc"], errors="coerce").isna().to_numpy()
    return bool(((data[split].positives() == 0) == undefined).all())

"""The scores that a constant reaches in the columns of a run's history.

The constant is each target's share of positives in the windows that are scored, for every window:
what a model reaches that does not read the sequence.
"""

from collections.abc import Mapping

from bioq.dataset import Dataset
from bioq.metrics import constant_scores, number


def constants_of(data: Dataset) -> dict[str, float]:
    """Return column of `history.csv` -> score of a constant, NaN where it is undefined.

    Of the training windows the loss; of the validation windows, if there are any, all scores.
    """
    each = {
        name: constant_scores(split.positives(), len(split))
        for name, split in data.items()
        if name in ("train", "valid") and len(split)
    }
    scores = {}
    if "train" in each:
        scores["train_loss"] = each["train"].log_loss
    if "valid" in each:
        valid = each["valid"]
        scores |= {
            "valid_loss": valid.log_loss,
            "valid_macro_roc_auc": valid.macro_roc_auc,
            "valid_micro_roc_auc": valid.micro_roc_auc,
            "valid_macro_average_precision": valid.macro_average_precision,
            "valid_micro_average_precision": valid.micro_average_precision,
        }
    return scores


def scores_line(scores: Mapping[str, float]) -> str:
    """Return scores of the columns of `history.csv` as text: those of an epoch, or of a constant.

    "loss 0.1021, valid loss 0.0950, ROC AUC macro 0.7858 micro 0.9196, AP macro 0.1240 micro
    0.2584"; without validation, the training loss alone.
    """
    line = f"loss {scores['train_loss']:.4f}"
    if "valid_loss" not in scores:
        return line
    macro, micro = (
        {
            score: number(scores[f"valid_{mean}_{score}"])
            for score in ("roc_auc", "average_precision")
        }
        for mean in ("macro", "micro")
    )
    line += f", valid loss {number(scores['valid_loss'])}"
    if macro == micro:  # as with one target
        return f"{line}, ROC AUC {macro['roc_auc']}, AP {macro['average_precision']}"
    return (
        f"{line}, ROC AUC macro {macro['roc_auc']} micro {micro['roc_auc']}, "
        f"AP macro {macro['average_precision']} micro {micro['average_precision']}"
    )

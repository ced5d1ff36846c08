"""Scores a run, or the mean of several, on a split: per target, per group, macro and micro.

Macro: one score a target, then the mean over the targets that have one. Micro: all windows and
targets pooled into one curve. The DanQ and DeepSEA papers give macro averages, the BioQ paper micro
ones; the two are not to be compared. Thresholds are chosen on the split `valid`, never on the one
that is scored.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import metrics
from bioq.dataset import Dataset, open_dataset
from bioq.errors import BioqError, UsageError
from bioq.evaluation.files import (
    ALL,
    VALID,
    Evaluation,
    make_folder,
    published_columns,
    without_nan,
    write_evaluation,
)
from bioq.evaluation.split import Labels, Probability, predict_labelled, require_fit
from bioq.forward import BATCH_SIZE, Precision, Strands, choose_device
from bioq.progress import progress, say
from bioq.runs.calibration import Calibration
from bioq.runs.folder import CONFIG
from bioq.runs.trained_model import TrainedModel, load


def evaluate(
    run: str | Path | Sequence[str | Path],
    data: Dataset | str | Path,
    *,
    out: str | Path | None = None,
    split: str = "test",
    strands: Strands = "both",
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    precision: Precision = "32",
) -> Evaluation:
    """Score the run's best model on one split, and write `RUN/evaluation/`.

    Of several runs the mean of their probabilities is scored (an ensemble: Lakshminarayanan et al.
    2017), with one model in memory at a time; they need `out`, and `OUT/evaluation/` is written.
    With strands="both" the probabilities of the two strands are averaged. Without a device: the
    first CUDA card, else the CPU. Raises BioqError if a run and the data set do not fit together
    (targets, window length), or the split is missing or empty; UsageError for runs and an `out`
    that do not go together.
    """
    runs = [Path(run)] if isinstance(run, str | Path) else [Path(one) for one in run]
    whole = _home(runs, out)
    data = data if isinstance(data, Dataset) else open_dataset(data)
    members = [_Member(one, _checked(one, data)) for one in runs]
    if not len(data[split]):
        raise BioqError(f"{data.path}: split {split!r} holds no windows; there is nothing to score")
    place = choose_device(device)
    folder = make_folder(whole)
    # A run alone stays at hand for its second split; of several one is in memory at a time.
    network = lru_cache(maxsize=int(len(members) == 1))(_Member.load)

    def scored(name: str) -> tuple[Labels, Probability]:
        parts = (
            predict_labelled(
                network(member).to(place),
                data[name],
                folder,
                strands=strands,
                batch_size=batch_size,
                precision=precision,
            )
            for member in members
        )
        return _mean(parts, len(members))

    notes = _notes(data, split, strands, [member.calibration for member in members])
    thresholds = pooled_threshold = None
    if VALID in data and len(data[VALID]):
        chosen_on = scored(VALID)
        thresholds = metrics.best_thresholds(*chosen_on)
        pooled_threshold = metrics.best_f1(metrics.operating_points(*chosen_on))
        del chosen_on
    labels, probability = scored(split)
    about = _about(whole, data, split) | {
        "members": [member.run.resolve().name for member in members],
        "calibrated": all(member.calibration is not None for member in members),
        "strands": strands,
        "precision": precision,
        "notes": notes,
    }
    found = _score(labels, probability, data.targets, thresholds, pooled_threshold, about)
    write_evaluation(found, whole)
    for note in notes:
        say(f"note: {note}")
    return found


@dataclass(frozen=True, eq=False)
class _Member:
    run: Path
    calibration: Calibration | None

    def load(self) -> TrainedModel:
        """Return the model with the calibration that was read before, so that a note about it is
        printed once."""
        return load(self.run, calibrated=False).with_calibration(self.calibration)


def _checked(run: Path, data: Dataset) -> Calibration | None:
    """Return the calibration of a run that fits a data set."""
    model = load(run)
    require_fit(run, model, data)
    return model.calibration


def _home(runs: Sequence[Path], out: str | Path | None) -> Path:
    """Return the folder that `evaluation/` is to be in."""
    if out is None:
        if len(runs) != 1:
            raise UsageError(f"{len(runs)} runs: say where their evaluation goes, with --out")
        return runs[0]
    seen: set[Path] = set()
    for run in runs:
        if run.resolve() in seen:
            raise UsageError(f"{run}: is named twice; an ensemble is of different runs")
        seen.add(run.resolve())
    if (Path(out) / CONFIG).exists():
        raise UsageError(f"--out {out}: is a run, whose evaluation is its own; give another folder")
    return Path(out)


def _mean(parts: Iterable[tuple[Labels, Probability]], members: int) -> tuple[Labels, Probability]:
    """Return the labels and the mean probability, in the first part's place."""
    remaining = iter(parts)
    labels, total = next(remaining)
    for _, probability in remaining:
        total += probability
    if members > 1:
        total /= members
    return labels, total


def _about(run: Path, data: Dataset, split: str) -> dict[str, Any]:
    return {
        "run": run.resolve().name,
        "data": {"name": data.path.resolve().name, "fingerprint": data.fingerprint},
        "split": split,
        "windows": len(data[split]),
        "targets": len(data.targets),
    }


def _notes(
    data: Dataset, split: str, strands: Strands, calibrations: Sequence[Calibration | None]
) -> list[str]:
    notes = []
    known = [one for one in calibrations if one is not None]
    if known and len(known) < len(calibrations):
        notes.append(f"{len(known)} of the {len(calibrations)} runs are calibrated, the rest not")
    if known:
        lowest = sum(one.lowest for one in known) / len(calibrations)
        if len(known) == len(calibrations):
            notes.append(f"the probabilities are calibrated: none is below {lowest:.3g}")
        if split == VALID and any(one.data.get("fingerprint") == data.fingerprint for one in known):
            notes.append(
                f"the calibration was fitted on the split {VALID!r} that is scored here: "
                "Brier score and calibration error are too good"
            )
    if VALID not in data or not len(data[VALID]):
        notes.append(
            f"the data set has no split {VALID!r}, so no threshold could be chosen: "
            "accuracy, F1, precision and recall are given at 0.5 only"
        )
    elif split == VALID:
        notes.append(
            f"the thresholds were chosen on the split {VALID!r} that is scored here: "
            "the scores at them are too good"
        )
    if split == "train":
        notes.append("the model has seen these windows: every score is too good")
    if data[split].strands_folded and strands == "forward":
        notes.append(
            "the source holds every window on both strands; only the stored strand was scored"
        )
    return notes


def _score(
    labels: Labels,
    probability: Probability,
    targets: pd.DataFrame,
    thresholds: metrics.Floats | None,
    pooled_threshold: float | None,
    about: dict[str, Any],
) -> Evaluation:
    groups = _groups(targets)
    with progress("score", 3 + len(groups), "steps") as advance:
        scores = metrics.per_target(labels, probability, thresholds=thresholds)
        advance(1)
        pooled = metrics.operating_points(labels, probability)
        advance(1)
        curves = [_curves(ALL, pooled)]
        by_group = {}
        for group, columns in groups.items():
            points = metrics.operating_points(labels, probability, columns=columns)
            curves.append(_curves(group, points))
            by_group[group] = _group_summary(scores.iloc[columns], points)
            advance(1)
        calibrated = metrics.reliability(labels, probability)
        at = _answers(labels, probability, pooled_threshold)
        never = 1 - pooled.positives / max(labels.size, 1)
        at.append({"chosen": "always no", "threshold": None, "accuracy": never})
        advance(1)
    summary = about | {
        "positive_rate": 1 - never,
        "macro": _macro(scores),
        "micro": {
            "roc_auc": metrics.roc_auc(pooled),
            "average_precision": metrics.average_precision(pooled),
            "brier": metrics.brier(labels, probability),
            "calibration_error": calibrated.expected_error,
        },
        "groups": by_group,
        "thresholds": at,
        "published": _published(targets, scores),
    }
    return Evaluation(
        _with_annotation(targets, scores),
        without_nan(summary),
        pd.concat([c for c in curves if len(c)] or curves[:1], ignore_index=True),
        _reliability_table(calibrated),
    )


def _groups(targets: pd.DataFrame) -> dict[str, npt.NDArray[np.intp]]:
    """Return the target numbers of every group, in the sheet's order; {} without groups."""
    if "group" not in targets:
        return {}
    names = [name for name in targets["group"].unique() if name and name != ALL]
    return {name: np.flatnonzero(targets["group"] == name) for name in names}


def _macro(scores: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("roc_auc", "average_precision"):
        found[key], found[f"undefined_{key}"] = metrics.macro(scores[key])
        found[f"median_{key}"] = float(scores[key].median())
    for key in ("brier", "f1_at_0.5", "f1_at_threshold"):
        if key in scores:
            found[key] = metrics.macro(scores[key])[0]
    return found


def _group_summary(scores: pd.DataFrame, points: metrics.OperatingPoints) -> dict[str, Any]:
    macro_roc_auc, undefined = metrics.macro(scores["roc_auc"])
    return {
        "targets": len(scores),
        "positives": points.positives,
        "undefined": undefined,
        "macro_roc_auc": macro_roc_auc,
        "micro_roc_auc": metrics.roc_auc(points),
        "macro_average_precision": metrics.macro(scores["average_precision"])[0],
        "micro_average_precision": metrics.average_precision(points),
    }


def _answers(
    labels: Labels, probability: Probability, pooled_threshold: float | None
) -> list[dict[str, Any]]:
    """Return the rates of all answers together, at 0.5 and at the chosen threshold."""
    choices = [("fixed", metrics.HALF)]
    if pooled_threshold is not None and not math.isnan(pooled_threshold):
        choices.append((f"best F1 on {VALID}", pooled_threshold))
    found = []
    for chosen, threshold in choices:
        counted = metrics.at_threshold(labels, probability, threshold)
        rates = {rate: getattr(counted, rate) for rate in metrics.RATES}
        found.append({"chosen": chosen, "threshold": threshold, **rates})
    return found


def _published(targets: pd.DataFrame, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Compare with the scores that the sheet gives, over the targets where both are defined."""
    found = []
    for column, model, key in published_columns(targets):
        theirs = pd.to_numeric(targets[column], errors="coerce").to_numpy(dtype=float)
        ours = scores[key].to_numpy()
        both = np.isfinite(theirs) & np.isfinite(ours)
        if both.any():
            found.append(
                {
                    "model": model,
                    "score": key,
                    "targets": int(both.sum()),
                    "published_mean": float(theirs[both].mean()),
                    "mean_here": float(ours[both].mean()),
                    "better_here": int((ours[both] > theirs[both]).sum()),
                }
            )
    return found


def _with_annotation(targets: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Put the sheet's columns before the scores; one named like a score becomes `sheet_NAME`."""
    clash = {name: f"sheet_{name}" for name in targets.columns if name in scores.columns}
    return pd.concat([targets.rename(columns=clash).reset_index(drop=True), scores], axis=1)


def _curves(group: str, points: metrics.OperatingPoints) -> pd.DataFrame:
    x, y = metrics.roc_curve(points, most=400)
    recall, precision, thresholds = metrics.precision_recall_curve(points, most=400)
    roc = pd.DataFrame({"curve": "roc", "x": x, "y": y, "threshold": np.nan})
    other = pd.DataFrame(
        {"curve": "precision_recall", "x": recall, "y": precision, "threshold": thresholds}
    )
    defined = [table for table in (roc.dropna(subset="x"), other) if len(table)]
    both = pd.concat(defined or [roc[:0]], ignore_index=True)
    both.insert(1, "group", group)
    return both


def _reliability_table(found: metrics.Reliability) -> pd.DataFrame:
    edges = np.linspace(0, 1, len(found.count) + 1)
    return pd.DataFrame(
        {
            "start": edges[:-1],
            "end": edges[1:],
            "count": found.count,
            "mean_probability": found.mean_probability,
            "positive_rate": found.positive_rate,
        }
    )

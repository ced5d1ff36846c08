"""Sentences about the share of positives in the windows that were scored, and in the genome."""

from collections.abc import Iterator

from bioq.errors import counted
from bioq.evaluation.all_bins import MOST_WEIGHT
from bioq.evaluation.summary import AllBins, SomeTargets, Summary, scored_windows

_EVERY_BIN = "--all-bins test (with --folds: --keep all)"


def share(rate: float | None) -> str:
    """Return a share as text: 33.3 %, 0.41 %, 0.0012 %; "an unknown share" where not known."""
    if rate is None:
        return "an unknown share"
    return f"{100 * rate:.3g} %"


def rate_remarks(summary: Summary) -> Iterator[str]:
    """Yield the rate of positives in the split and in the genome, and what follows from it."""
    split, here = scored_windows(summary), share(summary["positive_rate"])
    known = summary.get("all_bins")
    if known is None or known["positive_rate"] is None:
        why = "" if known is None else " (that of all bins is not known: --keep left bins out)"
        yield (
            f"{here} of the labels are positive in {split}{why}; average precision, precision and "
            "F1 depend on this share, and hold for it alone"
        )
        return
    of_bins = f"{share(known['positive_rate'])} of all {known['bins']:,} bins"
    there = f"{of_bins} of its contigs, {share(known['genome_rate'])} of the genome"
    complete = f"{split} has every bin of its contigs"
    if "folds" in summary:
        there, complete = f"{of_bins} of the genome", "the folds have every bin"
    if known["drawn"] == "all":
        yield (
            f"{complete}, so average precision, precision and F1 are those of the genome: {here} "
            f"of the labels are positive, {share(known['genome_rate'])} in the whole genome"
        )
    elif "scores" not in known:
        yield (
            f"{here} of the labels are positive in {split} ({there}): average precision, precision "
            "and F1 are higher here than among all bins; for those build the data set with "
            f"--background, or with {_EVERY_BIN}"
        )
    else:
        yield f"{here} of the labels are positive in {split} ({there}). {_estimate(known)}"


def _estimate(known: AllBins) -> str:
    """Return how the scores of all bins are estimated, and in which direction they may be wrong."""
    weight = known["scores"]["weight"]
    text = (
        "The rows “all bins” estimate the scores at that rate: each of the "
        f"{known['background']:,} windows without a positive stands for {weight:,.1f} bins"
    )
    doubts = []
    if "matched" in known["drawn"]:
        doubts.append(
            "usually too low, because these windows are matched to the positives and harder than "
            "others"
        )
    if weight > MOST_WEIGHT:
        rough = "rough" if doubts else "rough and often too high"
        doubts.append(f"{rough}, because a window stands for more than {MOST_WEIGHT} bins")
    if doubts:
        text += (
            f". The estimate is {', and '.join(doubts)}. For exact scores, build the data set with "
            + _EVERY_BIN
        )
    return text


def one_kind_remarks(summary: Summary) -> Iterator[str]:
    """Yield which targets have windows of one kind only in the split: they have no score."""
    for kind, of in (
        ("negative", summary.get("without_negative")),
        ("positive", summary.get("without_positive")),
    ):
        if of is not None and of["targets"]:
            yield (
                f"no {kind} window in {scored_windows(summary)}, so no ROC AUC and no average "
                f"precision (–), and not in the macro mean: {_named(of, summary['targets'])}"
            )


def _named(of: SomeTargets, targets: int) -> str:
    more = of["targets"] - len(of["names"])
    rest = f" and {more:,} more" if more else ""
    return f"{of['targets']:,} of {counted(targets, 'target')} ({', '.join(of['names'])}{rest})"

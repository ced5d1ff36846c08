"""What docs/log/performance.md claims about a CUDA card, beside what `gpu.py` measured."""

from typing import Any

Row = dict[str, Any]
TRITON, CUDNN = "Triton kernels, bf16", "cuDNN in a CUDA graph, bf16"


def verdicts(report: Row) -> list[str]:
    """Return one sentence per claim that the report can prove or disprove."""
    return of_inference(report) + of_training(report)


def of_inference(report: Row) -> list[str]:
    result = []
    inference = by_way(report.get("inference", []))
    if inference:
        best = max(rate for rates in inference.values() for rate in rates.values())
        result.append(said("inference reaches 400,000 windows/s", best >= 4e5, f"{best:,.0f}"))
        wrong = [row.get("way", "all") for row in report["inference"] if "error" in row]
        result.append(said("both bf16 ways pass their check", not wrong, f"failed: {wrong or 0}"))
        ratio = ratios(inference, TRITON, CUDNN)
        result.append(compared("Triton is the faster way", ratio, min_of(ratio) > 1))
        for way in (TRITON, CUDNN):
            ratio = ratios(inference, way, "plain bf16")
            result.append(compared(f"{way}, beats plain bf16", ratio, min_of(ratio) > 1))
            small = {batch: rate for batch, rate in ratio.items() if batch < 128}
            claim = f"{way}: fewer than 128 windows are not worth a graph"
            result.append(compared(claim, small, max(small.values(), default=0) < 1))
    prediction = by_way(report.get("prediction", []))
    for way, rates in prediction.items():
        if {256, 4096} <= rates.keys():
            claim = f"prediction, {way}: 256 windows are a small batch"
            gain = rates[4096] / rates[256]
            result.append(said(claim, gain > 1.2, f"4096 windows {gain:.2f} times as fast"))
    tiles = {row["tiles"]: row["windows_per_s"] for row in report.get("tiles", []) if rated(row)}
    if tiles:
        first, best_tiles = next(iter(tiles)), max(tiles, key=tiles.__getitem__)
        gain = tiles[best_tiles] / tiles[first]
        result.append(said(f"{first} are good tiles", gain < 1.03, f"{best_tiles}: {gain:.2f}"))
    return result


def of_training(report: Row) -> list[str]:
    result = []
    training = by_way(report.get("training", []))
    if training:
        best = max(rate for rates in training.values() for rate in rates.values())
        result.append(said("training reaches 73,000 windows/s", best >= 73_000, f"{best:,.0f}"))
        steps = max((rates.get(100, 0.0) for rates in training.values()), default=0.0) / 100
        claim = "eager: under 730 steps/s at batch 100"
        result.append(said(claim, steps < 730, f"{steps:,.0f}") if steps else not_measured(claim))
        waiting = {
            f"{row['way']} at {row['batch']}: {row['waits']}"
            for row in report["training"]
            if row.get("way", "").startswith("BioQ") and row.get("waits", "no").startswith("yes")
        }
        result.append(said("no step waits for the card", not waiting, "; ".join(waiting)))
    epoch = report.get("epoch", [])
    if epoch and "error" not in epoch[0]:
        least = min(row["epoch_s"] for row in epoch)
        result.append(
            said("an epoch of 4.4 million windows in 60 s", least <= 60, f"{least:.0f} s")
        )
    return result


def said(claim: str, holds: bool, figure: str) -> str:
    return f"{claim}: {'holds' if holds else 'does not hold'} ({figure})"


def compared(claim: str, ratio: dict[int, float], holds: bool) -> str:
    """Return the verdict on a claim about ratios of rates by batch size, if there are any."""
    return said(claim, holds, text(ratio)) if ratio else not_measured(claim)


def not_measured(claim: str) -> str:
    return f"{claim}: not measured"


def rated(row: Row) -> bool:
    return "windows_per_s" in row


def by_way(rows: list[Row]) -> dict[str, dict[int, float]]:
    """Return way -> batch -> windows per second."""
    result: dict[str, dict[int, float]] = {}
    for row in filter(rated, rows):
        result.setdefault(row["way"], {})[row["batch"]] = row["windows_per_s"]
    return result


def ratios(result: dict[str, dict[int, float]], way: str, other: str) -> dict[int, float]:
    one, two = result.get(way, {}), result.get(other, {})
    return {batch: one[batch] / two[batch] for batch in sorted(one.keys() & two.keys())}


def min_of(ratio: dict[int, float]) -> float:
    return min(ratio.values(), default=0.0)


def text(ratio: dict[int, float]) -> str:
    return ", ".join(f"batch {batch}: {value:.2f}" for batch, value in ratio.items())

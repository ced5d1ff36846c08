"""How often the 95 % intervals of `bioq.metrics.intervals` contain the truth, on simulated genomes.

    python benchmarks/intervals.py [--repeats 300] [--tiny]

In each genome positives cluster in blocks, and the scores of a block move together. The truth is
the score of 10,000 blocks. "mean of 12": the mean over 12 targets whose scores move together.
"""

import numpy as np
from measuring import parse, parser, print_heads, print_row

from bioq import metrics

CASES = (
    # blocks, rows per block, share of positives, distance of the two classes, targets
    (8, 500, 0.02, 1.5, 1),
    (15, 250, 0.006, 1.5, 1),
    (15, 250, 0.006, 2.5, 1),
    (15, 250, 0.02, 1.5, 1),
    (15, 250, 0.2, 1.0, 1),
    (40, 250, 0.02, 1.5, 1),
    (300, 100, 0.01, 2.0, 1),
    (20, 150, 0.03, 1.5, 12),
)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--repeats", type=int, default=300)
    arguments.add_argument("--truth-blocks", type=int, default=10_000, help="whose score is true")
    options = parse(arguments, tiny={"repeats": 3, "truth_blocks": 300})
    print_heads(
        *("blocks", "positives", "targets", "ROC AUC", "contains it"),
        *("AP", "contains it", "AP found"),
    )
    for case in CASES:
        _print_case(np.random.default_rng(0), options.repeats, options.truth_blocks, *case)


def _draw(
    generator: np.random.Generator, blocks: int, rows: int, rate: float, apart: float, targets: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = (blocks, rows, targets)
    rates = rate * generator.gamma(2, 0.5, (blocks, 1, targets))
    labels = generator.random(shape, dtype=np.float32) < rates
    logits = apart * labels + generator.standard_normal(shape, dtype=np.float32)
    logits += 0.4 * generator.standard_normal((blocks, 1, 1), dtype=np.float32) - 3
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    flat = (blocks * rows, targets)
    return labels.reshape(flat), probability.reshape(flat), np.repeat(np.arange(blocks), rows)


def _print_case(
    generator: np.random.Generator,
    repeats: int,
    truth_blocks: int,
    blocks: int,
    rows: int,
    rate: float,
    apart: float,
    targets: int,
) -> None:
    size = (rows, rate, apart, targets)
    table = metrics.per_target(*_draw(generator, truth_blocks // targets, *size)[:2])
    truth = table[["roc_auc", "average_precision"]].mean()
    covered, given, positives, found = np.zeros(2), 0, 0.0, 0.0
    for _ in range(repeats):
        labels, probability, block = _draw(generator, blocks, *size)
        each = metrics.score_targets(labels, probability, blocks=block)
        effects = each.effects.mean(np.arange(targets))
        roc_auc, ap = each.table["roc_auc"].mean(), each.table["average_precision"].mean()
        ends = effects.interval_of_roc_auc(roc_auc), effects.interval_of_average_precision(ap)
        if np.isnan(ends[0][0]):
            continue
        given += 1
        positives += each.table["positives"].mean()
        found += ap
        covered += [low <= true <= high for (low, high), true in zip(ends, truth, strict=True)]
    share = covered / given
    print_row(
        *(blocks, f"{positives / given:.0f}", targets),
        *(f"{truth.iloc[0]:.3f}", f"{share[0]:.0%}", f"{truth.iloc[1]:.3f}", f"{share[1]:.0%}"),
        f"{found / given:.3f}",
    )


if __name__ == "__main__":
    main()

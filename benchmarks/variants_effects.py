"""Scores of variants against measured effects, for BioQ's tables and those of other tools.

    python benchmarks/variants_effects.py MEASURED [MEASURED ...] --scores scores.tsv [--tiny]
        [--column LLR] [--effect-above 0.5] [--block-bp 10]

MEASURED is a table of saturation mutagenesis (CAGI5 and MPRA: chromosome, position, ref, alt and an
effect; with a column of elements, or one file per element), or of QTLs or allele-specific variants
(`chrom pos ref alt label`, label 1 or 0). SCORES is any table with chromosome, position, ref and
alt: of `bioq variants` or `bioq rank apply`, or of another tool, with its columns in --column. Both
may be .tsv, .csv (also .gz) or .parquet. Positions count from 1; chr1 and 1 are the same.

An effect has Pearson's and Spearman's correlation with each score; a score without a value below 0
is compared with the size of the effect. A label has ROC AUC and average precision; --effect-above
makes labels of effects: 1 where the size of the effect is larger; the size of the score is then
compared with them, and otherwise the score with its sign.

The 95 % intervals draw blocks of the genome: 10 bases for effects, because bases of one motif
are not independent, and 100,000 for labels. Those of correlations are percentiles of 2,000
bootstraps; the ranks of Spearman's are those of all rows. An area has no interval if fewer than
five blocks have a positive. Rows without a score are counted.
"""

import gzip
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from measuring import parse, parser, print_heads, print_row, say

from bioq.metrics import (
    average_precision,
    block_effects,
    joined_blocks,
    operating_points,
    roc_auc,
)

NAMES = {
    "chrom": ("chrom", "chromosome", "chr", "contig"),
    "pos": ("pos", "position"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternative", "alternate"),
    "effect": ("effect", "value", "effectsize", "effect_size", "log2fc", "beta"),
    "label": ("label", "is_positive"),
    "element": ("element", "region"),
}
"""Column -> the names that tables have for it; case, # and the [1] of 'bcftools query -H' do not
count."""
KEY = ["chrom", "pos", "ref", "alt"]
OURS = ("rank_score", "score_phred", "max_abs_diff", "top_diff")
"""Columns of BioQ's tables that are compared without --column."""
MOTIF_BP, BLOCK_BP = 10, 100_000
"""Blocks of effects, and of labels: those of `bioq evaluate`."""
BOOTSTRAPS = 2000
FEWEST = 10
"""Rows of a part of the genome, or an element, that has a line of its own."""
Floats = npt.NDArray[np.float64]


def main() -> None:
    """Print a table per score."""
    options = parser(__doc__)
    options.add_argument("measured", nargs="*", type=Path)
    options.add_argument("--scores", type=Path)
    options.add_argument("--column", nargs="*", default=[])
    options.add_argument("--effect-above", type=float)
    options.add_argument("--block-bp", type=int)
    given = parse(options, tiny={"effect_above": 0.5})
    if given.tiny:
        with tempfile.TemporaryDirectory() as folder:
            for measured, scores in tiny_tables(Path(folder)):
                compare([measured], scores, given.column, given.effect_above, given.block_bp)
        return
    if not given.measured or given.scores is None:
        options.error("give one or more tables of measured effects, and --scores")
    compare(given.measured, given.scores, given.column, given.effect_above, given.block_bp)


def compare(
    measured: Sequence[Path],
    scores: Path,
    columns: Sequence[str],
    effect_above: float | None,
    block_bp: int | None,
) -> None:
    """Print the agreement of scores with measured effects or labels."""
    table = pd.concat([read_measured(path) for path in measured], ignore_index=True)
    has_effect = table["effect"].notna().any()
    if has_effect and effect_above is not None:
        table["label"] = (table["effect"].abs() > effect_above).astype(float)
    joined, columns = join(table, scores, columns)
    if not joined[columns].notna().any(axis=None):
        raise SystemExit(f"{scores}: no measured allele has a score; is it the same genome build?")
    size = block_bp or (MOTIF_BP if has_effect else BLOCK_BP)
    stretch = joined["chrom"].astype(str) + ":" + (joined["pos"] // size).astype(str)
    joined["block"] = stretch.astype("category").cat.codes
    print_heads(
        "score", "part", "rows", "with", "Pearson", "Spearman", "positives", "ROC AUC", "AP"
    )
    for column in columns:
        known = joined[np.isfinite(joined[column])]
        for part, rows in parts(known):
            score = rows[column].to_numpy()
            of_label = score if effect_above is None else np.abs(score)
            print_row(column, part, f"{len(rows):,}", *agreement(rows, score, of_label))
    print(flush=True)


def read_table(path: Path, spelt: Mapping[str, Sequence[str]] = NAMES) -> pd.DataFrame:
    """Return a table with the names of `spelt`; lines above the names of the columns are skipped.
    Raises SystemExit if there is no file, or a column of an allele is missing."""
    if not path.is_file():
        raise SystemExit(f"{path}: no such file")
    if path.name.endswith(".parquet"):
        table = pd.read_parquet(path)
        names = [plain(str(name)) for name in table.columns]
    else:
        separator = "," if ".csv" in path.name else "\t"
        above, names = heading(path, separator)
        table = pd.read_csv(path, sep=separator, skiprows=above, header=None, na_values="NA",
                            keep_default_na=False, low_memory=False)  # fmt: skip
        if len(names) != len(table.columns):
            raise SystemExit(f"{path}: {len(names)} names of {len(table.columns)} columns")
    lower = [name.lower() for name in names]
    for name, spellings in spelt.items():
        found = next((lower.index(each) for each in spellings if each in lower), None)
        if found is not None:
            names[found] = name
        elif name in KEY:
            raise SystemExit(f"{path}: has no column {name}; it has {', '.join(names[:10])}")
    table.columns = pd.Index(names)
    table["chrom"] = table["chrom"].astype(str).str.removeprefix("chr")
    position = pd.to_numeric(table["pos"], errors="coerce")
    wrong = ~(position % 1 == 0)
    if wrong.any():
        found = table["pos"][wrong].iloc[0]
        raise SystemExit(f"{path}: {found!r} as position; expected a whole number")
    table["pos"] = position.astype(np.int64)
    for name in ("ref", "alt"):
        table[name] = table[name].astype(str).str.upper()
    return table


def heading(path: Path, separator: str) -> tuple[int, list[str]]:
    """Return the number of lines up to the names of the columns, and these names."""
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt") as file:
        for number, line in enumerate(file, start=1):
            names = [plain(name) for name in line.rstrip("\r\n").split(separator)]
            if set(NAMES["pos"]) & {name.lower() for name in names}:
                return number, names
    raise SystemExit(f"{path}: no line has the name of a column of positions")


def plain(name: str) -> str:
    """Return the name of a column without #, [1] and blanks."""
    return re.sub(r"^#?\s*(\[\d+\])?", "", name.strip())


def read_measured(path: Path) -> pd.DataFrame:
    """Return the alleles of a table with effect, label and element."""
    table = read_table(path)
    if not {"effect", "label"} & set(table.columns):
        raise SystemExit(f"{path}: has no column {' or '.join(NAMES['effect'] + NAMES['label'])}")
    for name in ("effect", "label"):
        if name in table:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(np.float64)
        else:
            table[name] = np.nan
    label = table["label"].dropna()
    if table["effect"].isna().all() and not label.isin((0, 1)).all():
        say(f"{path}: the column label has other numbers than 0 and 1; it is read as the effect")
        table["effect"], table["label"] = table["label"], np.nan
    if "element" not in table:
        table["element"] = path.name.split(".")[0]
    return table[[*KEY, "effect", "label", "element"]]


def join(
    measured: pd.DataFrame, path: Path, columns: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Return the measured alleles with their scores, and the names of the scores."""
    scores = read_table(path, {name: NAMES[name] for name in KEY})
    known = [name for name in OURS if name in scores and scores[name].notna().any()]
    chosen = list(columns) or known
    missing = [name for name in chosen if name not in scores]
    if missing or not chosen:
        others = [str(name) for name in scores if name not in KEY]
        raise SystemExit(
            f"{path}: has no column {' or '.join(missing or OURS)}; give --column with some of "
            f"{', '.join(others[:10])}"
        )
    same = {name: f"{name} (score)" for name in chosen if name in measured}
    scores, chosen = scores.rename(columns=same), [same.get(name, name) for name in chosen]
    repeated = int(scores.duplicated(KEY).sum())
    if repeated:
        say(f"{path}: {repeated:,} alleles are there more than once; the first is used")
    scores = scores.drop_duplicates(KEY)[[*KEY, *chosen]]
    joined = measured.merge(scores, on=KEY, how="left", indicator="partner")
    alone = joined["partner"] == "left_only"
    swapped = scores.rename(columns={"ref": "alt", "alt": "ref"})[KEY]
    turned = len(joined[alone].merge(swapped, on=KEY))
    of_which = f", of which {turned:,} are there with REF and ALT swapped" if turned else ""
    say(
        f"{len(measured):,} measured alleles, {int((~alone).sum()):,} of them in {path.name}, "
        f"{int(alone.sum()):,} not{of_which}"
    )
    for name in chosen:
        joined[name] = pd.to_numeric(joined[name], errors="coerce").astype(np.float64)
    return joined, chosen


def parts(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (name, rows) of all rows, then of each element and each chromosome."""
    yield "all", rows
    for column, title in (("element", "{}"), ("chrom", "chromosome {}")):
        if rows[column].nunique() > 1:
            for name, part in rows.groupby(column, sort=False):
                if len(part) >= FEWEST:
                    yield title.format(name), part


def agreement(rows: pd.DataFrame, score: Floats, of_label: Floats) -> list[str]:
    """Return the cells of a line: correlations of a score with the effect, and the areas of
    `of_label`, the score or its size."""
    cells = [""] * 6
    block = np.unique(rows["block"], return_inverse=True)[1]
    measured = rows["effect"].notna().to_numpy()
    if measured.any():
        effect = rows["effect"].to_numpy()[measured]
        known = score[measured]
        is_size = bool((known >= 0).all())
        cells[:3] = [
            "size" if is_size else "effect",
            *correlations(np.abs(effect) if is_size else effect, known, block[measured]),
        ]
    labelled = rows["label"].notna().to_numpy()
    if labelled.any():
        label = rows["label"].to_numpy()[labelled] > 0
        cells[3] = f"{int(label.sum()):,}"
        if label.any() and not label.all():
            cells[4:] = areas(label, of_label[labelled], block[labelled])
    return cells


def correlations(one: Floats, two: Floats, block: npt.NDArray[np.integer]) -> list[str]:
    """Return Pearson's and Spearman's correlation, with their intervals."""
    block = np.unique(block, return_inverse=True)[1]
    found = []
    for x, y in ((one, two), (ranks(one), ranks(two))):
        x, y = x - x.mean(), y - y.mean()
        terms = (np.ones(len(x)), x, y, x * x, y * y, x * y)
        sums = np.stack([np.bincount(block, each) for each in terms], axis=1)
        value = float(_correlation(sums.sum(axis=0)))
        if np.isnan(value):
            found.append("")
            continue
        low, high = np.nanpercentile(_correlation(_drawn(sums)), [2.5, 97.5])
        found.append(_cell(value, low, high))
    return found


def _drawn(sums: Floats) -> Floats:
    """Return the sums of draws of blocks, with replacement: `(BOOTSTRAPS, 6)`."""
    random, count = np.random.default_rng(0), len(sums)
    draws = [sums[random.integers(0, count, count)].sum(axis=0) for _ in range(BOOTSTRAPS)]
    return np.stack(draws)


def _correlation(sums: Floats) -> Floats:
    """Return correlations of sums `(..., 6)`: count, x, y, x^2, y^2, xy."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (n * xy - x * y) / np.sqrt((n * xx - x**2) * (n * yy - y**2))
    return np.asarray(found, dtype=np.float64)


def ranks(values: Floats) -> Floats:
    """Return the ranks of values; equal values have their mean rank."""
    return pd.Series(values).rank().to_numpy()


def areas(label: npt.NDArray[np.bool_], score: Floats, block: npt.NDArray[np.integer]) -> list[str]:
    """Return ROC AUC and average precision, with the intervals of `bioq evaluate`."""
    points = operating_points(label, score)
    joined = joined_blocks(np.unique(block, return_inverse=True)[1])
    effects = block_effects(points, label, score, joined)
    area, precision = roc_auc(points), average_precision(points)
    return [
        _cell(area, *effects.interval_of_roc_auc(area)),
        _cell(precision, *effects.interval_of_average_precision(precision)),
    ]


def _cell(value: float, low: float, high: float) -> str:
    return f"{value:.3f}" if np.isnan(low) else f"{value:.3f} ({low:.3f} to {high:.3f})"


def tiny_tables(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield (measured, scores): a saturation mutagenesis of two elements, and a table of labels."""
    random = np.random.default_rng(0)
    rows = [
        (chrom, first + at, ref, alt)
        for chrom, first in (("1", 1_000), ("X", 9_000))
        for at, ref in enumerate(random.choice(list("ACGT"), 120))
        for alt in "ACGT"
        if alt != ref
    ]
    alleles = pd.DataFrame(rows, columns=KEY)
    effect = random.normal(size=len(alleles)) ** 3 / 3
    noise = random.normal(size=len(alleles)) / 4
    scores = alleles.assign(top_diff=effect + noise, score_phred=np.abs(effect + noise) * 10)
    scores.assign(chrom="chr" + scores["chrom"]).to_csv(
        folder / "scores.tsv", sep="\t", index=False
    )
    saturation = alleles.assign(
        Value=effect, Element=np.where(alleles["chrom"] == "1", "one", "two")
    )
    with open(folder / "saturation.tsv", "w") as file:
        file.write("## a comment\n#")
        saturation.to_csv(file, sep="\t", index=False)
    yield folder / "saturation.tsv", folder / "scores.tsv"
    alleles.assign(label=(effect > 0.3).astype(int)).to_parquet(folder / "labels.parquet")
    yield folder / "labels.parquet", folder / "scores.tsv"


if __name__ == "__main__":
    main()

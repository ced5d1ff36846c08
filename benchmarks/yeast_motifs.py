"""Which factors' motifs the run `yeast` has learned: by its filters, by motif experiments and by
contributions, each beside scrambled motifs.

    nice python benchmarks/yeast_motifs.py                   about 15 minutes on one core
    python benchmarks/yeast_motifs.py --tiny --work FOLDER

Every target whose factor has a motif in JASPAR2024:fungi has a row. The null is the same for all
criteria: 199 scrambles of the motif, whose columns are in random order (1,999 for contributions
whose p is at most 0.05). p is the share of the motif and its scrambles that score as high; q is
Benjamini and Hochberg's over the factors that can be found, which have 20 positive windows and a
ROC AUC whose interval is above 0.5. A factor is found with q < 0.05.

filters         the score is TOMTOM's p of the filter that matches the motif best, in a network
                where the target is in the top tenth of the targets that the filter raises
experiments     as in `bioq motif-effects`: p compares the change of the target's logit by the best
                site in the middle of shuffled windows with that by 20 scrambled sites; 1 if the
                target is not in the top tenth of the targets that the motif raises
contributions   the score is the sum of the contributions at the best site of the bins of positive
                windows, each explained by the network that has not seen it (integrated gradients)
peaks           not of the run: the ROC AUC of the best site's log odds in the bin, positive windows
                against others

A second null is pairs of a motif and another factor's target: the share whose p is at most 0.05.
What is in --work already is not made again.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from generated import CONTIG
from measuring import parse, parser, print_heads, print_row, run_bioq, say
from motif_evidence import (
    NETWORK,
    Floats,
    Numbers,
    Sizes,
    by_contributions,
    by_experiments,
    by_filters,
    explain,
    in_peaks,
    named_sites,
    p_values,
    scrambled,
)
from yeast import YEAST, build

import bioq
from bioq.dataset import Dataset
from bioq.interpretation.motif_matches import benjamini_hochberg
from bioq.motifs import Motif, jaspar_motifs
from bioq.runs.named import resolve_run

Array = npt.NDArray[Any]

RUN = "yeast"
FOLDS = 4
FEW = 20
"""Fewer positive windows give no ROC AUC that means much."""
FOUND = 0.05
ALIASES = {"RCS1": "AFT1"}
"""Gene -> its name in JASPAR, where that is another."""
WAYS = ("filters", "experiments", "contributions")
FULL = Sizes(199, 1999, 4000, 256, 100, 48, 2000)
TINY = Sizes(4, 19, 40, 4, 4, 2, 20)
TINY_FACTORS = 3
TINY_BP = 60_000
COLUMNS = (
    "factor", "matrix", "windows", "AUC", "AUC of the matrix", "q peaks", "filter", "q filters",
    "effect (null)", "rank", "q experiments", "contributions (null)", "q contributions",
    "sites", "found by",
)  # fmt: skip


@dataclass(frozen=True)
class Factor:
    """A target and its motif."""

    name: str
    target: int
    motif: Motif
    windows: int
    roc_auc: float
    can_be_found: bool


@dataclass(frozen=True)
class Evidence:
    """Of each motif and its scrambles, in the order of the factors."""

    peaks: Floats
    """`(factors, 1 + scrambles)`."""
    filters: Floats
    """`(motifs, 1 + scrambles, factors)`."""
    filter: Numbers
    """`(motifs, 1 + scrambles, factors)`."""
    experiments: Mapping[str, Floats]
    """effect, control and p: `(motifs, all targets)`."""
    contributions: Floats
    """`(motifs, 1 + scrambles, factors)`."""
    own_p: Floats
    """Of each factor's motif, by more scrambles: `(factors,)`."""
    sites: Floats
    """Sites in the windows of a factor that are named by a motif: `(motifs, factors)`."""


@dataclass(frozen=True)
class Judged:
    """Which motifs are found."""

    able: npt.NDArray[np.bool_]
    """Whether a factor can be found."""
    p: Mapping[str, Floats]
    """Way -> `(motifs, factors)`."""
    q: Mapping[str, Floats]
    """Way -> of each factor's motif `(factors,)`, NaN if it cannot be found."""
    q_peaks: Floats
    """`(factors,)`."""


def main() -> None:
    """Build, measure and print."""
    options = _options()
    dataset = options.work / "yeast-folds"
    if not (options.tiny or dataset.is_dir() or YEAST.is_dir()):
        say(f"skipped: {YEAST} is absent (the yeast development data)")
        return
    options.work.mkdir(parents=True, exist_ok=True)
    sizes = TINY if options.tiny else FULL
    data = build_tiny(dataset) if options.tiny else build(dataset, ("--folds", FOLDS))
    factors = read_factors()[: TINY_FACTORS if options.tiny else None]
    evidence = measure(factors, bioq.open_dataset(data), sizes, options.work)
    judged = judge(factors, evidence)
    show_factors(factors, evidence, judged)
    summarise(factors, evidence, judged)


def read_factors() -> list[Factor]:
    """Return the targets with a motif, one of each factor, sorted by name."""
    scores = pd.read_csv(resolve_run(RUN) / "evaluation" / "per_target.tsv", sep="\t")
    motifs: dict[str, Motif] = {}
    for motif in fungi():
        for name in (motif.name, *motif.name.split("::")):
            if name not in motifs or motifs[name].name != name:
                motifs[name] = motif
    found: dict[str, Factor] = {}
    for row in scores.itertuples():
        gene = row.name.removeprefix("CX_").partition("_")[0]
        motif = motifs.get(ALIASES.get(gene.upper(), gene.upper()))
        if motif is not None and (row.name.startswith("CX_") or gene.upper() not in found):
            above = row.positives >= FEW and row.roc_auc_low > 0.5
            found[gene.upper()] = Factor(
                gene.capitalize(), row.Index, motif, row.positives, row.roc_auc, above
            )
    return sorted(found.values(), key=lambda factor: factor.name)


def fungi() -> list[Motif]:
    """Return the known motifs."""
    return jaspar_motifs("JASPAR2024", tax_group="fungi")


def measure(factors: Sequence[Factor], data: Dataset, of: Sizes, work: Path) -> Evidence:
    """Score every motif and its scrambles in every way, for every factor."""
    model = bioq.load(RUN)
    members = list(model.network.members)
    rng = np.random.default_rng(of.seed)
    known = fungi()
    motifs = [scrambled(factor.motif, of.scrambles, rng) for factor in factors]
    targets = [factor.target for factor in factors]
    bin_bp = data.description.bin_bp
    rows = len(data.every_fold()["test"])
    others = np.linspace(0, rows - 1, min(of.others, rows)).round().astype(np.int64)

    def filters() -> dict[str, Array]:
        score, number = by_filters(members, data, motifs, targets, of)
        return {"score": score, "filter": number}

    def contributions() -> dict[str, Array]:
        scores = np.full((len(factors), 1 + of.scrambles, len(factors)), np.nan)
        sites = np.zeros((len(factors), len(factors)))
        own_p = np.ones(len(factors))
        for number, factor in enumerate(factors):
            say(f"contributions: {factor.name}, {number + 1} of {len(factors)}")
            explained = explain(members, data, factor.target, of)
            if explained is not None:
                scores[:, :, number] = by_contributions(explained, motifs, bin_bp)
                named = named_sites(explained, known)
                sites[:, number] = [named[factor.motif.matrix_id] for factor in factors]
                score = scores[[number], :, number]
                if p_values(score)[0] <= FOUND:
                    more = scrambled(factor.motif, of.more_scrambles, rng)
                    score = by_contributions(explained, [more], bin_bp)
                own_p[number] = p_values(score)[0]
        return {"score": scores, "sites": sites, "p": own_p}

    def experiments() -> Mapping[str, Array]:
        return by_experiments(model, data, [factor.motif for factor in factors], of)

    def peaks() -> dict[str, Array]:
        pairs = zip(targets, motifs, strict=True)
        return {"score": np.stack([in_peaks(data, *pair, others, bin_bp) for pair in pairs])}

    of_filters = kept(work / "filters.npz", filters)
    explained = kept(work / "contributions.npz", contributions)
    return Evidence(
        kept(work / "peaks.npz", peaks)["score"],
        of_filters["score"],
        of_filters["filter"],
        kept(work / "experiments.npz", experiments),
        explained["score"],
        explained["p"],
        explained["sites"],
    )


def kept(file: Path, make: Callable[[], Mapping[str, Array]]) -> Mapping[str, Array]:
    """Return arrays of a file, made if it is not there."""
    if not file.is_file():
        np.savez(file, **make())
    with np.load(file) as arrays:
        return dict(arrays)


def judge(factors: Sequence[Factor], evidence: Evidence) -> Judged:
    """Return p-values of every motif for every factor, and the q-values of each factor's motif."""
    able = np.array([factor.can_be_found for factor in factors])
    targets = [factor.target for factor in factors]
    p = {
        "filters": p_values(evidence.filters),
        "experiments": evidence.experiments["p"][:, targets],
        "contributions": p_values(evidence.contributions),
    }
    np.fill_diagonal(p["contributions"], evidence.own_p)
    q = {way: q_of(np.diag(p[way]), able) for way in WAYS}
    return Judged(able, p, q, q_of(p_values(evidence.peaks), able))


def show_factors(factors: Sequence[Factor], evidence: Evidence, judged: Judged) -> None:
    """Print a row per factor."""
    print_heads(*COLUMNS)
    for n, factor in enumerate(factors):
        effects, control = (evidence.experiments[name][n] for name in ("effect", "control"))
        effect = effects[factor.target]
        given = evidence.contributions[n, :, n]
        number = int(evidence.filter[n, 0, n])
        by = [way for way in WAYS if judged.q[way][n] < FOUND]
        print_row(
            factor.name, factor.motif.matrix_id, factor.windows, f"{factor.roc_auc:.2f}",
            f"{evidence.peaks[n, 0]:.2f}", shown(judged.q_peaks[n]),
            f"{number // NETWORK}/{number % NETWORK}" if evidence.filters[n, 0, n] else "",
            shown(judged.q["filters"][n]),
            f"{effect:+.2f} ({control[factor.target]:+.2f})", 1 + (effects > effect).sum(),
            shown(judged.q["experiments"][n]),
            f"{given[0]:+.2f} ({given[1:].mean():+.2f})" if factor.windows else "",
            shown(judged.q["contributions"][n]), int(evidence.sites[n, n]),
            ", ".join(by) or ("none" if judged.able[n] else "too few windows"),
        )  # fmt: skip


def summarise(factors: Sequence[Factor], evidence: Evidence, judged: Judged) -> None:
    """Print how many factors are found, and how many by chance."""
    able, in_peaks = judged.able, judged.q_peaks < FOUND
    found = {way: judged.q[way] < FOUND for way in WAYS}
    counts = np.sum(list(found.values()), axis=0)
    others = ~np.eye(len(able), dtype=bool) & able[:, None] & able
    print()
    print_heads("way", "found", "of those in the peaks", "p at most 0.05", "motifs of others")
    for way in WAYS:
        p = judged.p[way]
        print_row(
            way, *_of(found[way], able, in_peaks), _of(np.diag(p) <= FOUND, able)[0],
            f"{(p[others] <= FOUND).mean():.1%}",
        )  # fmt: skip
    for name, which in (("all three", counts == len(WAYS)), ("any", counts > 0)):
        print_row(name, *_of(which, able, in_peaks), "", "")
    run = np.array([factor.roc_auc for factor in factors])
    print(
        f"\nBy chance {FOUND * able.sum():.1f} factors have p at most {FOUND}.\n"
        f"The matrix alone has a higher ROC AUC than the run for "
        f"{_of(evidence.peaks[:, 0] > run, able)[0]} factors."
    )


def _of(which: npt.NDArray[np.bool_], *groups: npt.NDArray[np.bool_]) -> list[str]:
    """Return "k of n" for each group."""
    return [f"{(which & group).sum()} of {group.sum()}" for group in groups]


def q_of(p: Floats, able: npt.NDArray[np.bool_]) -> Floats:
    """Return q-values over the factors that can be found, NaN for the others."""
    q = np.full(len(p), np.nan)
    q[able] = benjamini_hochberg(p[able])
    return q


def shown(q: float) -> str:
    """Return a q-value as text, empty if there is none."""
    return "" if np.isnan(q) else f"{q:.3f}"


def build_tiny(dataset: Path) -> Path:
    """Build a data set with the run's targets, of random peaks in four contigs, one per fold."""
    if dataset.is_dir():
        return dataset
    folder, random = dataset.parent, np.random.default_rng(0)
    contigs = [f"{CONTIG}{letter}" for letter in "abcd"]
    bases = np.frombuffer(b"ACGT", np.uint8)
    with open(folder / "genome.fa", "w") as genome:
        for name in contigs:
            genome.write(f">{name}\n{bases[random.integers(0, 4, TINY_BP)].tobytes().decode()}\n")
    sheet = ["name\tpeaks\n"]
    for name in bioq.load(RUN).targets["name"]:
        peaks = [(contig, at) for contig in contigs for at in random.integers(0, TINY_BP, 10)]
        lines = [f"{contig}\t{at}\t{at + 1}\n" for contig, at in peaks]
        (folder / f"{name}.bed").write_text("".join(lines))
        sheet.append(f"{name}\t{name}.bed\n")
    (folder / "targets.tsv").write_text("".join(sheet))
    run_bioq(
        "data", "peaks", "--out", dataset, "--genome", folder / "genome.fa",
        "--targets", folder / "targets.tsv", "--label", "midpoint", "--folds", FOLDS,
    )  # fmt: skip
    return dataset


def _options() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--work",
        type=Path,
        default=Path("build/yeast-motifs"),
        help="folder for the data set and what is measured",
    )
    return parse(arguments, tiny={})


if __name__ == "__main__":
    main()

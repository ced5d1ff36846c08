"""How well contributions find the planted sites of simulated data: by baseline, and by the way in
which stretches are called and matched to known motifs.

    python benchmarks/attribution.py DATA RUN [--tiny]

DATA is made by 'bioq data simulate' or 'bioq demo', RUN is trained on it. Windows around planted
sites of the test contig; their middle 200 bp are judged. Average precision: of the contributions,
for the bases inside a site of the target's motif; bases inside sites of other motifs are left out.
Named: windows whose site has a stretch that matches a motif like the planted one.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from measuring import parse, parser, print_heads, print_row, timed
from memelite import tomtom
from sklearn.metrics import average_precision_score
from tangermeme.seqlet import recursive_seqlets, tfmodisco_seqlets
from torch import nn, set_num_threads, tensor

import bioq
from bioq import dna
from bioq.fast.threads import same_threads
from bioq.genome import open_genome
from bioq.interpretation import Attribution, expected_gradients, find_sites, integrated_gradients
from bioq.motifs import Motif, jaspar_motifs

PLANTED = {"CTCF": "MA0139.2", "EGR3": "MA0732.2", "HNF4A": "MA1494.2"}
MIDDLE = slice(400, 600)
BASELINES = (
    ("zeros", 0, 64), ("zeros", 0, 16), ("shuffled", 4, 16), ("shuffled", 8, 8),
    ("shuffled", 16, 4), ("shuffled", 8, 16), ("shuffled", 20, 16),
)  # fmt: skip
Bases = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Windows:
    """Windows around sites of one motif."""

    target: str
    codes: dna.Bytes
    """`(windows, 1000)`."""
    inside: Bases
    """Which bases of the middle are in a site of the target's motif `(windows, 200)`."""
    elsewhere: Bases
    """Which are in a site of another motif."""


def read_windows(data: Path, target: str, count: int) -> Windows:
    sites = pd.read_csv(data / "simulation" / "sites.tsv", sep="\t")
    contig = sites["chrom"].iloc[-1]
    sites = sites[sites["chrom"] == contig]
    with open_genome(data / "simulation" / "genome.fa") as genome:
        room = sites["start"].between(1000, genome.lengths[contig] - 1000)
        own = sites[(sites["motif"] == target) & room].sample(count, random_state=1)
        starts = ((own["start"] + own["end"]) // 2 - 500).tolist()
        codes = np.stack([genome.read(contig, start, start + 1000) for start in starts])
    marks = np.zeros((2, count, 3000), dtype=bool)
    for row, start in enumerate(starts):
        near = sites[(sites["end"] > start) & (sites["start"] < start + 1000)]
        for motif, left, right in zip(near["motif"], near["start"], near["end"], strict=True):
            marks[int(motif != target), row, left - start + 1000 : right - start + 1000] = True
    inside, elsewhere = marks[:, :, 1000:2000][:, :, MIDDLE]
    return Windows(target, codes, inside, elsewhere)


def explained(model: nn.Module, windows: Windows, number: int, how: tuple) -> Attribution:
    kind, shuffles, steps = how
    one_hot = dna.one_hot(windows.codes)
    if kind == "zeros":
        return integrated_gradients(model, one_hot, target=number, steps=steps)
    return expected_gradients(model, one_hot, target=number, shuffles=shuffles, steps=steps)


def joined(windows: Windows, values: Floats) -> tuple[dna.Bytes, npt.NDArray[np.float64]]:
    """Return the middles in one sequence, with an unknown base after each."""
    codes = np.pad(windows.codes[:, MIDDLE], ((0, 0), (0, 1)), constant_values=dna.UNKNOWN)
    padded = np.pad(values.astype(np.float64), ((0, 0), (0, 1)), constant_values=np.nan)
    return codes.ravel(), padded.ravel()


def like_planted(target: str, known: Sequence[Motif]) -> set[str]:
    """Return the names of the motifs that TOMTOM finds like the planted one, by E-value 0.01."""
    planted = next(motif for motif in known if motif.matrix_id == PLANTED[target])
    with same_threads():
        p, *_ = tomtom(
            [planted.probabilities.T.copy()], [one.probabilities.T.copy() for one in known]
        )
    return {known[number].name for number in np.flatnonzero(p[0] * len(known) < 0.01)}


def windows_found(spans: Sequence[tuple[int, int]], inside: Bases) -> int:
    """Return the windows with a span that has at least 4 bases of their site."""
    flat = np.pad(inside, ((0, 0), (0, 1))).ravel()
    return len(
        {start // (inside.shape[1] + 1) for start, end in spans if flat[start:end].sum() > 3}
    )


def print_baselines(model: nn.Module, sets: Sequence[Windows], known: Sequence[Motif]) -> None:
    print_heads("target", "baseline", "steps", "s/window", "average precision", "gap, median",
                "gap, largest", "named")  # fmt: skip
    names = list(model.targets["name"])
    for windows, how in itertools.product(sets, BASELINES):
        result: list[Attribution] = []
        number = names.index(windows.target)
        taken = timed(lambda: result.append(explained(model, windows, number, how)))  # noqa: B023
        (attribution,) = result
        values = attribution.values.sum(axis=1)[:, MIDDLE]
        judged = ~windows.elsewhere
        precision = average_precision_score(windows.inside[judged], values[judged])
        difference = np.abs(attribution.logit - attribution.baseline_logit)
        gap = np.abs(attribution.completeness_gap) / np.maximum(difference, 1)
        alike = like_planted(windows.target, known)
        sites = find_sites(*joined(windows, values), known)
        named = [(site.start, site.end) for site in sites if site.motif in alike]
        print_row(
            windows.target,
            f"{how[0]}:{how[1]}" if how[1] else how[0],
            how[2],
            f"{taken.cpu_s / len(windows.codes):.3f}",
            f"{precision:.3f}",
            f"{np.median(gap):.1%}",
            f"{gap.max():.1%}",
            f"{windows_found(named, windows.inside)} of {len(windows.codes)}",
        )


Caller = Callable[[npt.NDArray[np.float64]], pd.DataFrame]


def callers() -> dict[str, Caller]:
    def recursive(threshold: float) -> Caller:
        return lambda values: recursive_seqlets(values[None], threshold=threshold)

    def modisco(window: int, flank: int) -> Caller:
        return lambda values: tfmodisco_seqlets(
            tensor(values[None]).float(), window_size=window, flank=flank
        ).query("attribution > 0")

    return {
        **{f"recursive_seqlets, {p}": recursive(p) for p in (0.05, 0.01, 0.001)},
        "tfmodisco_seqlets, 21 + 2 x 10": modisco(21, 10),
        "tfmodisco_seqlets, 9 + 2 x 2": modisco(9, 2),
    }


def print_callers(sets: Sequence[Windows], contributions: Sequence[Floats]) -> None:
    print()
    print_heads("target", "caller", "stretches", "bp, median", "in a planted site", "sites found")
    for (windows, values), (name, call) in itertools.product(
        zip(sets, contributions, strict=True), callers().items()
    ):
        called = call(values.astype(np.float64).ravel())
        spans = list(zip(called["start"], called["end"], strict=True))
        any_site = (windows.inside | windows.elsewhere).ravel()
        hits = [any_site[max(start, 0) : end].sum() > 3 for start, end in spans]
        own = windows.inside.ravel()
        found = {start // 200 for start, end in spans if own[max(start, 0) : end].sum() > 3}
        lengths = [end - start for start, end in spans]
        print_row(
            windows.target, name, len(spans), f"{np.median(lengths):.0f}", f"{np.mean(hits):.2f}",
            f"{len(found)} of {len(own) // 200}",
        )  # fmt: skip


def print_false(
    sets: Sequence[Windows], contributions: Sequence[Floats], known: Sequence[Motif]
) -> None:
    """Print how many stretches have a name: in the genome, with the bases of every stretch in
    another order (its contributions stay), and with scrambled known motifs."""
    print()
    print_heads("target", "motifs", "stretches", "named", "of them in a planted site")
    rng = np.random.default_rng(0)
    scrambled = [
        Motif(one.name, one.matrix_id, one.probabilities[rng.permutation(len(one))])
        for one in known
    ]
    for windows, values in zip(sets, contributions, strict=True):
        codes, flat = joined(windows, values)
        any_site = np.pad(windows.inside | windows.elsewhere, ((0, 0), (0, 1))).ravel()
        shuffled = codes.copy()
        for site in find_sites(codes, flat, known):
            span = slice(max(site.start - 1, 0), site.end + 1)
            shuffled[span] = rng.permutation(shuffled[span])
        for name, bases, motifs in (
            ("JASPAR2024", codes, known),
            ("JASPAR2024, bases of the stretch shuffled", shuffled, known),
            ("JASPAR2024 with scrambled columns", codes, scrambled),
        ):
            sites = find_sites(bases, flat, motifs)
            named = [site for site in sites if site.motif]
            hits = sum(bool(any_site[site.start : site.end].any()) for site in named)
            print_row(windows.target, name, len(sites), len(named), hits)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--windows", type=int, default=30, help="of each target")
    arguments.add_argument("--targets", nargs="+", choices=PLANTED, default=list(PLANTED))
    options = parse(arguments, tiny={"windows": 2, "targets": ["CTCF"]})
    set_num_threads(1)
    model, known = bioq.load(options.run), jaspar_motifs()
    sets = [read_windows(options.data, target, options.windows) for target in options.targets]
    print_baselines(model, sets, known)
    names = list(model.targets["name"])
    contributions = [
        explained(model, each, names.index(each.target), ("shuffled", 8, 8))
        .values.sum(axis=1)[:, MIDDLE]
        for each in sets
    ]  # fmt: skip
    print_callers(sets, contributions)
    print_false(sets, contributions, known)


if __name__ == "__main__":
    main()

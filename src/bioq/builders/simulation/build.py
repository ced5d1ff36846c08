"""A simulated data set: a random genome, motifs planted by known rules, noisy peaks, and the truth.

`docs/how-to/simulation.md` describes what is planted and what OUT/simulation holds.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd

from bioq import dna
from bioq.builders import BIN_BP
from bioq.builders.peaks.build import build_from_peaks
from bioq.builders.peaks.options import PeakOptions
from bioq.builders.simulation.grammar import (
    CONTROL,
    JASPAR_RELEASE,
    MATRIX_IDS,
    SLOT_BP,
    TARGETS,
    Planted,
    Target,
    background,
    plant,
)
from bioq.dataset import FOLDER_KIND, SIMULATION
from bioq.dataset.all_bins import KEEP_ALL
from bioq.dataset.target_sheet import PEAKS
from bioq.dataset.targets import NAME, write_target_table
from bioq.files import require_absent
from bioq.motifs import Motif
from bioq.options import (
    AtLeastOne,
    AtLeastZero,
    NotNegative,
    Range,
    Share,
    check_types,
    of_type,
    path_to,
)

MADE_BY = "simulate"
FOLDER = SIMULATION
"""The folder of a simulated data set with its genome, peaks and truth."""
MOTIFS = "motifs"
"""The column of the target sheet with the motifs of a target, joined by commas."""
SITES = "sites.tsv"
CLEAN = "clean"
PEAK_BP = 200
"""Width of every peak, with its middle on the site. With bins of 200 bp and the rule `half`, a bin
is positive if it has the middle of the site."""
_CONTROL_SHARE = 10
"""Elements per peak of the control."""
_FASTA_LINE = 80

# The streams of random numbers: an option of one stream does not change the other stream.
_GENOME, _NOISE = 0, 1

Centres = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SimulationOptions:
    """How large the genome is, how dense its sites and how noisy its peaks."""

    seed: AtLeastZero = 0
    """Seed of every base, site and peak: the same seed and options give the same bytes."""
    train_contigs: AtLeastOne = 4
    """Number of training contigs, from chr1 on; one validation and one test contig follow."""
    contig_bp: Annotated[int, Range(least=10 * SLOT_BP)] = 800_000
    """Length of every contig in bases."""
    element_rate: Annotated[float, Range(above=0, most=1)] = 0.6
    """Share of the genome's 400-bp slots in which one motif, or a pair of them, is planted."""
    drop_rate: Share = 0.05
    """Share of the true peaks that are missing from the peak files."""
    false_rate: NotNegative = 0.05
    """Peaks added at random positions, as a share of the target's true peaks."""
    window_bp: int = 1000
    """Length of the window that a model reads, in bases: a bin of 200 bp and equal flanks on its
    two sides."""

    def __post_init__(self) -> None:
        check_types(self)
        self.peak_options(())

    def peak_options(self, contigs: Sequence[str]) -> PeakOptions:
        """Return how the peaks become a data set; the last two contigs validate and test.

        Raises UsageError if the window does not fit around the bin.
        """
        return PeakOptions(
            label="half",
            window_bp=self.window_bp,
            bin_bp=BIN_BP,
            valid_chrom=tuple(contigs[-2:-1]),
            test_chrom=tuple(contigs[-1:]),
            keep=KEEP_ALL,
        )


_DEFAULTS = SimulationOptions()


def simulate(
    out: str | Path, options: SimulationOptions = _DEFAULTS, *, force: bool = False
) -> None:
    """Make a simulated data set: write FASTA, peaks and sheet, then build the data set from them.

    These files and the truth are kept in OUT/simulation. The same options give the same bytes.

    Args:
        out: Folder to write.
        options: Sizes, rules and seed.
        force: Replace a data set that is there.

    Raises:
        BioqError: If `out` exists, without `force`.
    """
    out = path_to("out", out)
    of_type("options", options, SimulationOptions, "SimulationOptions")
    require_absent(out, replaces=FOLDER_KIND if force else None)
    contigs = [f"chr{number + 1}" for number in range(options.train_contigs + 2)]
    with tempfile.TemporaryDirectory(prefix="bioq-simulation-") as name:
        folder = Path(name) / FOLDER
        folder.mkdir()
        write_simulation(folder, contigs, options)
        build_from_peaks(
            out,
            genome=folder / "genome.fa",
            targets=folder / "targets.tsv",
            options=options.peak_options(contigs),
            attach={FOLDER: folder},
            made_by=MADE_BY,
            more_options={"simulation": asdict(options)},
            force=force,
        )


def write_simulation(folder: Path, contigs: Sequence[str], options: SimulationOptions) -> None:
    """Write genome.fa, peaks/, targets.tsv and the truth (sites.tsv, clean/).

    Args:
        folder: An empty folder.
        contigs: Names of the contigs, each of `contig_bp` bases.
        options: Seed, sizes and rates; the same options give the same files.
    """
    motifs = planted_motifs()
    planted: dict[str, list[Planted]] = {}
    with open(folder / "genome.fa", "w", encoding="ascii", newline="\n") as fasta:
        for number, contig in enumerate(contigs):
            random = np.random.default_rng([options.seed, _GENOME, number])
            codes = background(options.contig_bp, random)
            planted[contig] = plant(codes, motifs, random, element_rate=options.element_rate)
            _write_contig(fasta.write, contig, dna.decode(codes))
    _write_sites(folder / SITES, planted)
    (folder / CLEAN).mkdir()
    (folder / "peaks").mkdir()
    for number, target in enumerate(TARGETS):
        random = np.random.default_rng([options.seed, _NOISE, number])
        clean = {contig: _centres(planted[contig], target) for contig in contigs}
        noisy = {
            contig: _noisy(centres, len(planted[contig]), target, options, random)
            for contig, centres in clean.items()
        }
        _write_peaks(folder / CLEAN / f"{target.name}.bed", clean, options.contig_bp)
        _write_peaks(folder / "peaks" / f"{target.name}.bed", noisy, options.contig_bp)
    write_target_table(_sheet(), folder / "targets.tsv")
    about = asdict(options) | {"jaspar_release": JASPAR_RELEASE, "motifs": dict(MATRIX_IDS)}
    (folder / "options.json").write_text(json.dumps(about, indent=2) + "\n", encoding="ascii")


@cache
def planted_motifs() -> dict[str, Motif]:
    """Return {name: planted motif}, from the counts of JASPAR that are part of the package."""
    file = Path(__file__).with_name("motifs.tsv")
    counts = pd.read_csv(file, sep="\t", comment="#", index_col="matrix_id")
    motifs = {}
    for name, matrix_id in MATRIX_IDS.items():
        matrix = counts.loc[matrix_id].to_numpy(dtype=np.float64)
        motifs[name] = Motif(name, matrix_id, matrix / matrix.sum(axis=1, keepdims=True))
    return motifs


def _centres(planted: Iterable[Planted], target: Target) -> Centres:
    """Return the positions at which a target is bound, ascending: `(sites,)`."""
    centres = [at for element in planted for bound, at in element.centres() if bound is target]
    return np.array(sorted(centres), dtype=np.int64)


def _noisy(
    centres: Centres,
    elements: int,
    target: Target,
    options: SimulationOptions,
    random: np.random.Generator,
) -> Centres:
    """Return the centres of a contig without those dropped, with false centres, ascending."""
    false = round(len(centres) * options.false_rate)
    if target is CONTROL:
        false = elements // _CONTROL_SHARE
    kept = centres[random.random(len(centres)) >= options.drop_rate]
    return np.sort(np.concatenate([kept, random.integers(0, options.contig_bp, false)]))


def _sheet() -> pd.DataFrame:
    return pd.DataFrame(
        {
            NAME: [target.name for target in TARGETS],
            PEAKS: [f"peaks/{target.name}.bed" for target in TARGETS],
            "group": [target.group for target in TARGETS],
            "rule": [target.rule for target in TARGETS],
            MOTIFS: [",".join(target.motifs) for target in TARGETS],
        }
    )


def _write_contig(write: Callable[[str], object], name: str, letters: str) -> None:
    write(f">{name}\n")
    for start in range(0, len(letters), _FASTA_LINE):
        write(f"{letters[start : start + _FASTA_LINE]}\n")


def _write_peaks(path: Path, centres: Mapping[str, Centres], contig_bp: int) -> None:
    """Write peaks of 200 bp around their middles as BED, clipped to the contig."""
    with open(path, "w", encoding="ascii", newline="\n") as bed:
        for contig, middles in centres.items():
            for middle in middles.tolist():
                start, end = middle - PEAK_BP // 2, middle + PEAK_BP // 2
                bed.write(f"{contig}\t{max(start, 0)}\t{min(end, contig_bp)}\n")


def _write_sites(path: Path, planted: Mapping[str, Sequence[Planted]]) -> None:
    """Write every planted site: 0-based, half-open; `element` counts a contig's elements from 0."""
    with open(path, "w", encoding="ascii", newline="\n") as table:
        table.write("chrom\tstart\tend\tstrand\tmotif\telement\n")
        for contig, elements in planted.items():
            for number, element in enumerate(elements):
                for site in element.sites:
                    table.write(
                        f"{contig}\t{site.start}\t{site.end}\t{site.strand}\t{site.motif}"
                        f"\t{number}\n"
                    )

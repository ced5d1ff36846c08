"""Data sets from real yeast and human peaks, recounted base by base without BioQ's code."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from bioq.builders.peaks.build import PeakOptions, build_from_peaks
from bioq.dataset import Dataset, open_dataset
from bioq.genome.bed import _parse_exactly, _parse_quickly, _read
from bioq.genome.bed_forms import Form

SHARED = Path(__file__).parents[1].parent / "shared/data"
YEAST, HUMAN = SHARED / "yeast", SHARED / "human"
PEAKS = re.compile(r"(\.bed|Peak)(\.gz)?$")

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real development data (../shared/data) is not here"
)


def read_fasta(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt") as file:
        records = file.read().split(">")[1:]
    return {text.split(None, 1)[0]: text.partition("\n")[2].replace("\n", "") for text in records}


def read_rows(path: Path) -> list[list[str]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def one_hot(text: str) -> np.ndarray:
    return np.stack(
        [np.frombuffer(text.encode(), dtype="S1") == base for base in (b"A", b"C", b"G", b"T")]
    )


def check_windows(data: Dataset, genome: dict[str, str]) -> None:
    """Compare random windows, and the first and last of every contig, with the text."""
    for split in data.values():
        bins = split.bins()
        ends = bins.groupby("chrom", observed=True).head(1).index
        rows = {*ends, *bins.groupby("chrom", observed=True).tail(1).index}
        rows.update(np.random.default_rng(0).integers(0, len(split), 30).tolist())
        chosen = sorted(rows)
        batch = split.read(chosen)
        for window, row in zip(batch.windows, chosen, strict=True):
            contig, start = bins["chrom"][row], bins["start"][row]
            padded = "N" * 400 + genome[contig].upper() + "N" * 600
            np.testing.assert_array_equal(window, one_hot(padded[start : start + 1000]))


@pytest.fixture(scope="module")
def yeast(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("yeast") / "data"
    build_from_peaks(
        out,
        genome=YEAST / "sacCer3.dev.fa.gz",
        targets=YEAST / "targets.tsv",
        chrom_alias=YEAST / "chromAlias.tsv",
        exclude=YEAST / "exclude.bed",
        options=PeakOptions(label="midpoint", valid_chrom=("chrII",), test_chrom=("chrIV",)),
    )
    return open_dataset(out)


@pytest.fixture(scope="module")
def human(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("human") / "data"
    options = PeakOptions(label="half", valid_chrom=("none",), test_chrom=("chr1",), keep="all")
    genome, targets = HUMAN / "grch37_part.fa.gz", HUMAN / "targets.tsv"
    build_from_peaks(out, genome=genome, targets=targets, options=options)
    return open_dataset(out)


def test_yeast_labels_equal_a_recount_of_every_peak(yeast: Dataset) -> None:
    alias = dict(read_rows(YEAST / "chromAlias.tsv"))
    sheet = read_rows(YEAST / "targets.tsv")[1:]
    genome = read_fasta(YEAST / "sacCer3.dev.fa.gz")
    positive: dict[tuple[str, int], set[int]] = {}
    for target, (_, file) in enumerate(sheet):
        for contig, start, end, *_ in read_rows(YEAST / file):
            middle = (int(start) + int(end)) // 2
            positive.setdefault((alias[contig], middle // 200 * 200), set()).add(target)
    excluded = set()
    for contig, start, end in read_rows(YEAST / "exclude.bed"):
        for first in range(int(start) // 200 * 200, int(end), 200):
            excluded.add((alias.get(contig, contig), first))
    expected = {
        bin_: targets
        for bin_, targets in positive.items()
        if bin_ not in excluded and bin_[0] in genome and bin_[1] + 200 <= len(genome[bin_[0]])
    }
    result: dict[tuple[str, int], set[int]] = {}
    for split in yeast.values():
        bins = zip(split.bins()["chrom"], split.bins()["start"], strict=True)
        for bin_, row in zip(bins, split.labels(), strict=True):
            result[bin_] = set(np.flatnonzero(row).tolist())
    assert result == expected
    assert yeast.targets["name"].tolist() == [name for name, _ in sheet]


def test_yeast_splits_hold_their_chromosomes(yeast: Dataset) -> None:
    contigs = {name: set(split.bins()["chrom"]) for name, split in yeast.items()}
    assert contigs["valid"] == {"chrII"}
    assert contigs["test"] == {"chrIV"}
    assert contigs["train"].isdisjoint({"chrII", "chrIV"})
    assert len(contigs["train"]) == 11 + ("chrM" in contigs["train"])


def test_yeast_windows_equal_the_genome(yeast: Dataset) -> None:
    check_windows(yeast, read_fasta(YEAST / "sacCer3.dev.fa.gz"))


def test_human_labels_equal_a_recount_of_every_base(human: Dataset) -> None:
    sheet = read_rows(HUMAN / "targets.tsv")[1:]
    lengths = {name: len(bases) for name, bases in read_fasta(HUMAN / "grch37_part.fa.gz").items()}
    chosen = range(0, len(sheet), 20)
    for split, contig in (("train", "22"), ("test", "1")):
        rows = human[split].bins()["start"].to_numpy() // 200
        labels = human[split].labels()[:, chosen]
        for column, target in enumerate(chosen):
            covered = np.zeros(lengths[contig] // 200 * 200, dtype=bool)
            for name, start, end, *_ in read_rows(HUMAN / sheet[target][1]):
                if name == f"chr{contig}":
                    covered[int(start) : int(end)] = True
            half = covered.reshape(-1, 200).sum(axis=1) >= 100
            np.testing.assert_array_equal(labels[:, column], half[rows], err_msg=sheet[target][0])


def test_every_human_bin_is_kept_but_those_of_unknown_bases_alone(human: Dataset) -> None:
    genome = read_fasta(HUMAN / "grch37_part.fa.gz")
    for split, contig in (("train", "22"), ("test", "1")):
        bases = np.frombuffer(genome[contig].upper().encode(), dtype=np.uint8)
        known = np.cumsum(np.concatenate([[0], bases != ord("N")]))
        starts = np.arange(0, len(bases) - 199, 200)
        first, last = np.maximum(starts - 400, 0), np.minimum(starts + 600, len(bases))
        expected = starts[known[last] > known[first]]
        np.testing.assert_array_equal(human[split].bins()["start"], expected)


def test_human_windows_equal_the_genome(human: Dataset) -> None:
    check_windows(human, read_fasta(HUMAN / "grch37_part.fa.gz"))


def test_every_real_peak_file_is_read_the_same_quickly_and_exactly() -> None:
    rows = 0
    for file in sorted(path for path in SHARED.rglob("*") if PEAKS.search(path.name)):
        text = _read(file)
        form: Form = "narrowPeak" if text.split(b"\n", 1)[0].count(b"\t") == 9 else "BED"
        quick, exact = _parse_quickly(file, text, form), _parse_exactly(file, text, form)
        if len(exact) < 2:  # a file of one line is always read by the exact parser
            continue
        assert quick is not None, f"{file} takes the slow path"
        assert quick.contigs == exact.contigs
        for column in ("contig", "start", "end", "summit"):
            np.testing.assert_array_equal(getattr(quick, column), getattr(exact, column))
        rows += len(exact)
    assert rows > 100_000

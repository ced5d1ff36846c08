import filecmp
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from bioq.builders.simulation.build import SimulationOptions, simulate
from bioq.builders.simulation.grammar import (
    ELEMENTS,
    MARGIN_BP,
    MATRIX_IDS,
    TARGETS,
    background,
)
from bioq.cli import main
from bioq.dataset import Dataset, open_dataset, verify
from bioq.errors import BioqError, UsageError
from bioq.motifs import jaspar_motifs

SMALL = SimulationOptions(train_contigs=2, contig_bp=80_000, element_rate=0.9)
NOISELESS = SimulationOptions(
    train_contigs=1, contig_bp=20_000, element_rate=0.9, drop_rate=0, false_rate=0
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("simulate") / "small"
    simulate(out, SMALL)
    return open_dataset(out)


@pytest.fixture(scope="module")
def sites(small: Dataset) -> pd.DataFrame:
    return pd.read_csv(small.path / "simulation" / "sites.tsv", sep="\t")


def all_files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def read_bed(path: Path) -> set[tuple[str, int, int]]:
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return {(chrom, int(start), int(end)) for chrom, start, end in rows}


def test_one_seed_gives_the_same_bytes_in_every_file(tmp_path: Path) -> None:
    simulate(tmp_path / "one", NOISELESS)
    simulate(tmp_path / "two", NOISELESS)
    files = all_files(tmp_path / "one")
    assert files == all_files(tmp_path / "two")
    assert {"dataset.json", "simulation/genome.fa", "simulation/sites.tsv"} <= set(files)
    same, different, unread = filecmp.cmpfiles(
        tmp_path / "one", tmp_path / "two", files, shallow=False
    )
    assert (same, different, unread) == (files, [], [])


def test_noise_leaves_genome_and_sites_alone_and_another_seed_does_not(tmp_path: Path) -> None:
    genomes = []
    for number, (seed, drop_rate) in enumerate([(0, 0.0), (0, 0.4), (1, 0.0)]):
        out = tmp_path / str(number)
        simulate(
            out,
            SimulationOptions(seed, train_contigs=1, contig_bp=4000, drop_rate=drop_rate),
        )
        genomes.append((out / "simulation" / "genome.fa").read_text())
    assert genomes[0] == genomes[1] != genomes[2]


def test_force_replaces_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    command = ["data", "simulate", "--train-contigs", "1", "--contig-bp", "4000", "--out", str(out)]
    assert main(command) == 0
    first = (out / "dataset.json").read_bytes()
    assert main([*command, "--seed", "1"]) == 1
    assert "data: exists already; " in capsys.readouterr().err
    assert (out / "dataset.json").read_bytes() == first
    assert main([*command, "--seed", "1", "--force"]) == 0
    assert (out / "dataset.json").read_bytes() != first


def test_the_result_is_a_whole_data_set_with_splits_by_contig(small: Dataset) -> None:
    assert verify(small.path).fingerprint == small.fingerprint
    assert {name: sorted(set(split.bins()["chrom"])) for name, split in small.items()} == {
        "train": ["chr1", "chr2"],
        "valid": ["chr3"],
        "test": ["chr4"],
    }
    assert [len(split) for split in small.values()] == [800, 400, 400]  # every bin is kept
    assert list(small.targets["name"]) == [target.name for target in TARGETS]
    about = json.loads((small.path / "simulation" / "options.json").read_text())
    assert (about["contig_bp"], about["motifs"]["CTCF"]) == (80_000, "MA0139.2")


def rules_of_a_pair(left: Any, right: Any) -> Iterator[str]:
    """Yield the targets that two neighbouring sites make positive."""
    motifs, strands = (left.motif, right.motif), left.strand + right.strand
    if set(motifs) == {"CTCF", "SRF"}:
        yield "CTCF-near-SRF"
    if (motifs, strands) in [(("REST", "HNF4A"), "++"), (("HNF4A", "REST"), "--")]:
        yield "REST-then-HNF4A"
    if set(motifs) == {"ZNF143", "EGR3"} and strands == "+-":
        yield "ZNF143-facing-EGR3"


def test_clean_peaks_follow_the_rules_when_recounted_from_the_sites(
    small: Dataset, sites: pd.DataFrame
) -> None:
    expected: dict[str, set[tuple[str, int, int]]] = {target.name: set() for target in TARGETS}

    def add(name: str, chrom: str, middle: int) -> None:
        expected[name].add((chrom, max(middle - 100, 0), min(middle + 100, SMALL.contig_bp)))

    for chrom, table in sites.groupby("chrom"):
        rows = list(table.sort_values("start").itertuples())
        for row in rows:
            add(row.motif, chrom, (row.start + row.end) // 2)
            near = [
                other
                for other in rows
                if other is not row and other.start - row.end <= 40 and row.start - other.end <= 40
            ]
            if row.motif == "CTCF" and not any(other.motif == "SRF" for other in near):
                add("CTCF-without-SRF", chrom, (row.start + row.end) // 2)
            for right in near:
                if right.start >= row.start:
                    for name in rules_of_a_pair(row, right):
                        add(name, chrom, (row.start + right.end) // 2)
        for _, element in table.groupby("element"):
            add("open", chrom, (element["start"].min() + element["end"].max()) // 2)
    for name, peaks in expected.items():
        assert read_bed(small.path / "simulation" / "clean" / f"{name}.bed") == peaks, name
        assert peaks or name == "control"


def test_planted_instances_have_the_base_frequencies_of_their_matrices(
    small: Dataset, sites: pd.DataFrame, tmp_path: Path
) -> None:
    matrices = {motif.matrix_id: motif.probabilities for motif in jaspar_motifs("JASPAR2024")}
    fasta = tmp_path / "genome.fa"
    fasta.write_bytes((small.path / "simulation" / "genome.fa").read_bytes())
    complement = str.maketrans("ACGT", "TGCA")
    with pysam.FastaFile(str(fasta)) as genome:
        for motif, rows in sites.groupby("motif"):
            counts = np.zeros_like(matrices[MATRIX_IDS[str(motif)]])
            for row in rows.itertuples():
                letters = genome.fetch(row.chrom, row.start, row.end)
                if row.strand == "-":
                    letters = letters.translate(complement)[::-1]
                counts[np.arange(len(letters)), ["ACGT".index(letter) for letter in letters]] += 1
            difference = np.abs(counts / len(rows) - matrices[MATRIX_IDS[str(motif)]])
            # Five standard errors of a proportion, at its largest.
            assert difference.max() < 5 * np.sqrt(0.25 / len(rows)), motif
            assert counts[matrices[MATRIX_IDS[str(motif)]] == 0].sum() == 0


def test_both_strands_hold_about_as_many_sites_of_every_motif(sites: pd.DataFrame) -> None:
    for motif, rows in sites.groupby("motif"):
        forward = (rows["strand"] == "+").sum()
        assert abs(forward / len(rows) - 0.5) < 4 * np.sqrt(0.25 / len(rows)), motif


def test_elements_stand_apart_by_the_margin(sites: pd.DataFrame) -> None:
    for _, table in sites.groupby("chrom"):
        spans = table.groupby("element").agg({"start": "min", "end": "max"}).sort_values("start")
        assert (spans["start"].to_numpy()[1:] - spans["end"].to_numpy()[:-1]).min() >= MARGIN_BP


def test_noise_drops_and_adds_peaks_at_the_given_rates(tmp_path: Path) -> None:
    options = SimulationOptions(
        train_contigs=1, contig_bp=200_000, element_rate=1, drop_rate=0.3, false_rate=0.2
    )
    simulate(tmp_path / "out", options)
    folder = tmp_path / "out" / "simulation"
    for target in TARGETS[:-1]:
        clean = read_bed(folder / "clean" / f"{target.name}.bed")
        noisy = read_bed(folder / "peaks" / f"{target.name}.bed")
        kept = len(clean & noisy) / len(clean)
        assert abs(kept - 0.7) < 5 * np.sqrt(0.21 / len(clean)), target.name
        assert len(noisy - clean) == pytest.approx(0.2 * len(clean), rel=0.1, abs=2), target.name


def test_every_pair_has_as_many_decoys_as_sites() -> None:
    pairs = [element for element in ELEMENTS if len(element.motifs) == 2]
    for motifs in {frozenset(element.motifs) for element in pairs}:
        kinds = [element for element in pairs if frozenset(element.motifs) == motifs]
        true = sum(element.share for element in kinds if element.makes is not None)
        assert true == sum(element.share for element in kinds if element.makes is None)


def test_background_has_few_cpg_and_no_other_rare_pair() -> None:
    codes = background(200_000, np.random.default_rng(0))
    assert codes.shape == (200_000,)
    single = np.bincount(codes, minlength=4) / len(codes)
    pairs = np.bincount(codes[:-1] * 4 + codes[1:], minlength=16).reshape(4, 4) / (len(codes) - 1)
    ratio = pairs / np.outer(single, single)
    assert ratio[1, 2] < 0.3  # CpG
    assert np.delete(ratio.reshape(-1), 1 * 4 + 2).min() > 0.7
    assert 0.38 < single[1] + single[2] < 0.46


def test_an_existing_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BioqError, match="exists already"):
        simulate(tmp_path, NOISELESS)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("seed", -1, "--seed -1, expected 0 or more"),
        ("train_contigs", 0, "--train-contigs 0, expected 1 or more"),
        ("contig_bp", 3999, "--contig-bp 3999, expected 4000 or more"),
        ("element_rate", 0.0, "--element-rate 0.0, expected more than 0, at most 1"),
        ("element_rate", 1.1, "--element-rate 1.1, expected more than 0, at most 1"),
        ("drop_rate", 1.0, "--drop-rate 1.0, expected 0 or more, below 1"),
        ("false_rate", -0.1, "--false-rate -0.1, expected 0 or more"),
        ("window_bp", 201, "window_bp 201 with bin_bp 200"),
    ],
)
def test_options_out_of_range_are_refused_by_name(option: str, value: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SimulationOptions(**{option: value})

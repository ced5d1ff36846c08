"""Backgrounds of motif experiments: what they keep of the windows, and where windows are read."""

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import bioq
from bioq import dna
from bioq.cli import main
from bioq.dataset import Dataset
from bioq.errors import BioqError, UsageError
from bioq.genome import open_genome
from bioq.interpretation.motif_experiments.backgrounds import (
    ReadWindows,
    WindowSource,
    gc_share,
    make_backgrounds,
    match_gc,
    random_windows,
    read_windows,
)
from bioq.motifs import Motif, write_meme


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def windows(number: int = 30, gc: float = 0.5, seed: int = 0) -> dna.Bytes:
    shares = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    return rng(seed).choice(4, (number, 200), p=shares).astype(np.uint8)


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    texts = {
        name: dna.decode(windows(1, seed=seed).ravel()) * 5 for seed, name in ((1, "a"), (2, "b"))
    }
    texts["a"] = texts["a"][:500] + "N" * 300 + texts["a"][500:]
    texts["short"] = "ACGT"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return path


@pytest.mark.parametrize(("number", "given"), [(30, 30), (7, 30), (20, 3)])
def test_shuffled_backgrounds_have_the_pairs_of_spaced_windows(number: int, given: int) -> None:
    read = ReadWindows(windows(given), "windows of x")
    made, what = make_backgrounds(read, "shuffled", number, rng())
    assert made.shape == (number, 200)
    assert what == f"{number} dinucleotide shuffles of windows of x"
    pairs = [Counter(pairwise(row.tolist())) for row in read.codes]
    sources = [pairs.index(Counter(pairwise(row.tolist()))) for row in made]
    assert sources == sorted(sources)
    assert len(set(sources)) == min(number, given)
    assert max(Counter(sources).values()) - min(Counter(sources).values()) <= 1
    assert len({row.tobytes() for row in made} - {row.tobytes() for row in read.codes}) == number


def test_unchanged_backgrounds_are_the_windows() -> None:
    made, what = make_backgrounds(ReadWindows(windows(5), "5 windows of x"), "unchanged", 9, rng())
    np.testing.assert_array_equal(made, windows(5))
    assert what == "5 of 5 windows of x"


def test_backgrounds_matched_in_gc_have_the_gc_of_the_positives_and_no_label() -> None:
    codes = np.concatenate([windows(40, 0.54, 1), windows(900, 0.5, 2)])
    is_positive = np.arange(940) < 40
    read = ReadWindows(codes, "windows of x", is_positive)
    made, what = make_backgrounds(read, "gc", 20, rng())
    assert len(made) == 20
    assert what == "20 windows without a positive label, as rich in GC as those with one"
    negatives = {row.tobytes() for row in codes[40:]}
    assert all(row.tobytes() in negatives for row in made)
    assert gc_share(codes[40:]).mean() < 0.51
    assert gc_share(made).mean() == pytest.approx(gc_share(codes[:40]).mean(), abs=0.02)


def test_backgrounds_that_no_window_matches_are_refused() -> None:
    codes = np.concatenate([windows(4, 1.0), windows(40, 0.5)])
    read = ReadWindows(codes, "windows of x", np.arange(44) < 4)
    with pytest.raises(
        UsageError, match="--background gc: no windows without a positive label, as"
    ):
        make_backgrounds(read, "gc", 20, rng())


def test_no_window_is_matched_twice_or_beyond_one_percent() -> None:
    wanted, candidates = windows(50, 0.7, 1), windows(300, 0.45, 2)
    rows = match_gc(wanted, candidates, 50, rng())
    assert len(set(rows.tolist())) == len(rows)
    nearest = abs(gc_share(candidates[rows])[:, None] - gc_share(wanted)).min(axis=1)
    assert (nearest <= 0.01 + 1e-12).all()


@pytest.mark.parametrize("is_positive", [True, False])
def test_labels_that_are_all_alike_cannot_be_matched(is_positive: bool) -> None:
    read = ReadWindows(windows(5), "windows of x", np.full(5, is_positive))
    which = "every window" if is_positive else "no window"
    with pytest.raises(UsageError, match=f"--background gc: {which} of windows of x is positive"):
        make_backgrounds(read, "gc", 5, rng())
    with pytest.raises(UsageError, match="--background gc: needs the labels of a data set"):
        make_backgrounds(ReadWindows(windows(5), "x"), "gc", 5, rng())


def test_random_windows_have_no_unknown_base_and_come_from_all_contigs(genome: Path) -> None:
    with open_genome(genome) as opened:
        drawn = random_windows(opened, 300, 200, rng())
        assert drawn.shape == (300, 200)
        assert (drawn < dna.UNKNOWN).all()
        texts = {name: dna.decode(opened.read(name, 0, opened.lengths[name])) for name in "ab"}
    found = [[name for name, text in texts.items() if dna.decode(row) in text] for row in drawn]
    assert {name for names in found for name in names} == {"a", "b"}
    assert all(found)


def test_a_genome_without_known_windows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.fa").write_text(f">a\n{'ACGTN' * 100}\n")
    with open_genome(tmp_path / "n.fa") as opened:
        with pytest.raises(BioqError, match="has no 200 bp without unknown bases"):
            random_windows(opened, 3, 200, rng())


def test_windows_are_read_from_a_data_set_a_genome_regions_or_a_fasta(
    run: Path, masked_data: Dataset, genome: Path, tmp_path: Path
) -> None:
    model = bioq.load(run)
    every = np.arange(2)

    def read(**source: object) -> ReadWindows:
        return read_windows(run, model, WindowSource(**source), every, rng())  # type: ignore[arg-type]

    of_run = read(split="valid")
    assert of_run.what == "20 windows of data, split valid"
    expected = masked_data["valid"].read(slice(None))
    np.testing.assert_array_equal(dna.one_hot(of_run.codes), expected.windows)
    np.testing.assert_array_equal(of_run.is_positive, expected.labels.any(axis=1))
    given = read(given=str(masked_data.path))
    assert given.what == "20 windows of data, split test"
    of_genome = read(genome=genome)
    assert of_genome.codes.shape == (8192, 200)
    assert of_genome.others is None
    bed = tmp_path / "two.bed"
    bed.write_text("a\t100\t110\nb\t300\t700\n")
    regions = read(given=str(bed), genome=genome)
    assert regions.codes.shape == (3, 200)
    with open_genome(genome) as opened:
        np.testing.assert_array_equal(regions.codes[0], opened.read("a", 5, 205))
        np.testing.assert_array_equal(regions.codes[2], opened.read("b", 500, 700))
    assert regions.others is not None
    what = make_backgrounds(regions, "gc", 10, rng())[1]
    assert what.endswith(f"random windows as rich in GC as 3 windows of {bed}")
    fasta = tmp_path / "s.fa"
    fasta.write_text(f">x\n{dna.decode(windows(1)[0])}\n")
    np.testing.assert_array_equal(read(given=str(fasta)).codes, windows(1))
    with pytest.raises(UsageError, match=r"--genome: .* is a data set, whose windows need no"):
        read(given=str(masked_data.path), genome=genome)


def test_a_run_without_its_data_set_names_what_to_give(
    run: Path, masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(masked_data.path)
    meme = tmp_path / "m.meme"
    write_meme(meme, [Motif("m", "m", np.eye(4))], [20])
    out = tmp_path / "out"
    assert main(["motif-effects", str(run), "--motifs", str(meme), "--out", str(out)]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "its data set is not in" in line
    assert line.endswith("or give --genome, to use random windows of it")
    assert not out.exists()

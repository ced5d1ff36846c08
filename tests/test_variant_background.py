"""Backgrounds: E-values and z-scores against shares and means counted by hand."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from variant_cases import make_chromosome, make_run, random_rows, read_tsv, write_vcf

import bioq
from bioq import BioqError
from bioq.cli import main
from bioq.errors import NotWrittenError, UsageError
from bioq.files import sha256
from bioq.variants import (
    VariantJob,
    VariantOptions,
    VariantTableOptions,
    make_background,
    read_background,
    score_variants,
    write_variants,
)
from bioq.variants.background import file as background_file
from bioq.variants.background.effect_counts import counting, size_keys
from bioq.variants.background.file import write_background
from bioq.variants.scores import compare, log2_odds

STEP = 2.0**-8
"""How far apart two effects may lie and still be counted as one size, as a share of them."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">1\n{make_chromosome()}\n")
    return path


@pytest.fixture
def common(tmp_path: Path) -> Path:
    rows = [*random_rows(make_chromosome(), 80), ("7", 1, ".", "A", "C"), ("1", 1, ".", "A", "*")]
    return write_vcf(tmp_path / "common.vcf", rows)


def test_a_background_on_another_genome_is_noted(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lengths = {"one": 1000, "two": 1001}
    genomes = {name: tmp_path / f"{name}.fa" for name in lengths}
    for name, bp in lengths.items():
        genomes[name].write_text(f">chr1\n{make_chromosome(bp)}\n")
    background = tmp_path / "background.npz"
    vcf = write_vcf(tmp_path / "in.vcf", random_rows(make_chromosome(), 9))
    make_background(VariantJob(run, vcf, genomes["one"]), background)
    assert read_background(background).contig_lengths == {"chr1": 1000}
    for name, notes in (("one", 0), ("two", 1)):
        job = VariantJob(run, vcf, genomes[name])
        table = VariantTableOptions(background=background)
        write_variants(job, tmp_path / "out.h5ad", table, force=True)
        lines = [line for line in capsys.readouterr().err.splitlines() if "was made on" in line]
        assert len(lines) == notes


def whole(run: Path, vcf: Path, genome: Path) -> pd.DataFrame:
    return pd.concat(score_variants(bioq.load(run), vcf, genome), ignore_index=True)


def test_evalues_and_zscores_are_those_counted_by_hand(
    run: Path, genome: Path, common: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    background = tmp_path / "background.npz"
    tokens = ["--genome", str(genome), "--out"]
    assert main(["background", str(run), str(common), *tokens, str(background)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{background}\n"
    assert "no_contig" in shown.err
    vcf = write_vcf(tmp_path / "mine.vcf", random_rows(make_chromosome(), 12))
    out = tmp_path / "out.tsv"
    tokens = [*tokens, str(out), "--background", str(background)]
    assert main(["variants", str(run), str(vcf), *tokens]) == 0
    table = read_tsv(out)
    among = whole(run, common, genome).query("status == 'scored'")
    assert len(among) == 100
    for target in ("first", "second"):
        sizes = np.abs(among[f"diff:{target}"] * among[f"log2_odds_ratio:{target}"]).to_numpy()
        size = np.abs(table[f"diff:{target}"] * table[f"log2_odds_ratio:{target}"]).to_numpy()
        most = (sizes[None, :] > size[:, None] * (1 - STEP)).mean(axis=1)
        least = (sizes[None, :] > size[:, None] * (1 + STEP)).mean(axis=1)
        evalue = table[f"evalue:{target}"].to_numpy()
        assert (evalue <= np.maximum(most, 1 / 100) + 1e-6).all()
        assert (evalue >= np.maximum(least, 1 / 100) - 1e-6).all()
        root_mean_square = np.sqrt((among[f"diff:{target}"].astype(float) ** 2).mean())
        np.testing.assert_allclose(
            table[f"zscore:{target}"], table[f"diff:{target}"] / root_mean_square, rtol=1e-4
        )
    assert 0 < table["evalue:first"].min() < table["evalue:first"].max() < 1


def test_a_background_knows_where_it_comes_from(
    run: Path, genome: Path, common: Path, tmp_path: Path
) -> None:
    job = VariantJob(run, common, genome)
    summary = make_background(job, tmp_path / "b.npz")
    background = read_background(tmp_path / "b.npz")
    about = background.provenance
    assert background.variants == summary.statuses["scored"] == 100
    assert about["vcf"] == "common.vcf"
    assert about["vcf_sha256"] == sha256(common)
    assert about["genome"] == "genome.fa"
    assert about["options"]["indel"] == "left"
    assert about["statuses"] == {"scored": 100, "no_contig": 1, "star": 1}
    assert about["bioq"] == bioq.__version__
    write_variants(job, tmp_path / "o.h5ad", VariantTableOptions(background=tmp_path / "b.npz"))


@given(
    arrays.arrays(
        np.float32, st.integers(1, 30), elements=st.floats(0, 100, width=32, allow_subnormal=False)
    )
)
def test_sizes_are_told_apart_in_order_and_to_four_in_a_thousand(sizes: np.ndarray) -> None:
    keys = size_keys(sizes)
    for left, left_key in zip(sizes.astype(float), keys, strict=True):
        for right, right_key in zip(sizes.astype(float), keys, strict=True):
            if left < right:
                assert left_key <= right_key
            if max(left, right) > 2.0**-63 and left < right * (1 - STEP):
                assert left_key < right_key


def test_effects_counted_in_parts_are_those_counted_at_once(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ref, alt = random.random((2, 1, 50, 3), dtype=np.float32)
    scores = compare(ref, alt)
    kinds = random.random(50) < 0.3
    table = pd.DataFrame({"name": ["a", "b", "c"]})
    for name, blocks in (("once", [(0, 50)]), ("parts", [(0, 7), (7, 50)])):
        with counting(tmp_path / name, 3, 50) as counted:
            for start, end in blocks:
                rows = slice(start, end)
                counted.add({key: each[rows] for key, each in scores.items()}, kinds[rows])
            write_background(tmp_path / f"{name}.npz", counted, table, {"model": "m"})
    left, right = (read_background(tmp_path / f"{name}.npz") for name in ("once", "parts"))
    for first, second in zip(left.references, right.references, strict=True):
        np.testing.assert_array_equal(first.above, second.above)
        np.testing.assert_array_equal(first.rank_counts, second.rank_counts)
        np.testing.assert_allclose(first.root_mean_square, second.root_mean_square)


def test_a_background_of_another_model_is_refused(
    run: Path, genome: Path, common: Path, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "other", seed=9)
    background = tmp_path / "b.npz"
    make_background(VariantJob(other, common, genome), background)
    job = VariantJob(run, common, genome)
    with pytest.raises(BioqError, match="was made with other weights"):
        write_variants(job, tmp_path / "o.tsv", VariantTableOptions(background=background))
    targets = run / "targets.tsv"
    targets.write_text("name\nthird\nsecond\n")
    with pytest.raises(BioqError, match="of 2 targets, the first 'first'; the model has 2"):
        write_variants(job, tmp_path / "o.tsv", VariantTableOptions(background=background))
    assert not (tmp_path / "o.tsv").exists()


def test_other_options_than_the_backgrounds_are_noted(
    run: Path, genome: Path, common: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    background = tmp_path / "b.npz"
    options = VariantOptions(strands="forward")
    make_background(VariantJob(run, common, genome, options=options), background)
    job = VariantJob(run, common, genome)
    write_variants(job, tmp_path / "o.tsv", VariantTableOptions(background=background))
    assert "b.npz was made with --strands forward, not both" in capsys.readouterr().err


def test_a_background_of_nothing_is_not_written(run: Path, genome: Path, tmp_path: Path) -> None:
    job = VariantJob(run, write_vcf(tmp_path / "in.vcf", [("none", 5, ".", "A", "C")]), genome)
    with pytest.raises(BioqError, match="not written: no variant could be scored"):
        make_background(job, tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()
    with pytest.raises(UsageError, match=r"expected a name that ends in \.npz"):
        make_background(job, tmp_path / "b.txt")


def test_what_is_no_background_is_named(tmp_path: Path) -> None:
    path = tmp_path / "b.npz"
    with pytest.raises(BioqError, match=r"b\.npz: no such file; expected one made by"):
        read_background(path)
    path.write_text("hello")
    with pytest.raises(BioqError, match="is not a background"):
        read_background(path)
    np.savez(path, counts=np.zeros(3))
    with pytest.raises(BioqError, match=r"is not a background \(it has no about\)"):
        read_background(path)
    parts = {"targets": np.array(["a"]), "variants": 1, "square_sum": np.zeros(1)}
    about = {"format": "bioq-background", "format_version": 9, "model": "m"}
    np.savez(path, about=json.dumps(about), counts=np.zeros((1, 3)), **parts)
    with pytest.raises(BioqError, match="format_version 9; this BioQ reads"):
        read_background(path)
    np.savez(
        path, about=json.dumps(about | {"format_version": 1}), counts=np.zeros((1, 3)), **parts
    )
    with pytest.raises(BioqError, match=r"is not a background \(counts is float64 \(1, 3\)\)"):
        read_background(path)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("set_sizes", lambda each: each + 1, "its arrays do not fit together"),
        ("set_targets", lambda each: each + 1, "its arrays do not fit together"),
        ("variants", lambda each: each[::-1], "its arrays do not fit together"),
        ("substitution.counts", lambda each: each * 2, "its arrays do not fit together"),
        ("all.ranks", lambda each: each[:, ::-1], "its arrays do not fit together"),
        ("all.ranks", lambda each: each.astype(np.uint64), r"all.ranks is uint64 \(1, 101\)"),
        ("indel.square_sum", lambda each: -each, "square_sum has numbers that are NaN or"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    run: Path, genome: Path, common: Path, tmp_path: Path,
    name: str, change: Callable[[np.ndarray], np.ndarray], reason: str,
) -> None:  # fmt: skip
    make_background(VariantJob(run, common, genome), tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as opened:
        arrays = dict(opened)
    np.savez(tmp_path / "b.npz", **arrays | {name: np.ascontiguousarray(change(arrays[name]))})
    with pytest.raises(BioqError, match=f"b.npz: .*{reason}"):
        read_background(tmp_path / "b.npz")


def test_a_list_that_unpacks_to_too_much_is_refused(
    run: Path, genome: Path, common: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts of the same file may be larger: they grow with the targets of the model."""
    path = tmp_path / "b.npz"
    make_background(VariantJob(run, common, genome), path)
    monkeypatch.setattr(background_file, "_MOST_LISTED_BYTES", 8192)
    assert read_background(path).targets == ("first", "second")
    with np.load(path) as opened:
        arrays = dict(opened)
    np.savez_compressed(path, **arrays | {"targets": np.array(["first", "second" * 2000])})
    with pytest.raises(BioqError, match=r"is not a background \(targets unpacks to 9\d,"):
        read_background(path)


def test_a_disk_without_space_for_the_temporary_file_ends_the_command_before_it_scores(
    run: Path, genome: Path, common: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, out = VariantJob(run, common, genome), tmp_path / "none" / "b.npz"
    with pytest.raises(NotWrittenError, match=r"could not be written: No such file or directory"):
        make_background(job, out)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    message = r"b.npz: could not be written: No space left on device \(needed: 0 MB for a temporary"
    with pytest.raises(NotWrittenError, match=message):
        make_background(job, tmp_path / "b.npz")
    assert [path.name for path in tmp_path.glob("*b.npz*")] == []


def test_the_log_odds_of_certain_probabilities_are_finite() -> None:
    """DeepSEA's 3_h5ToOutput.py: log2(p / (1 - p + 1e-12)); a probability of 0 is the smallest
    float32."""
    odds = log2_odds(np.array([0.0, 0.5, 1.0], dtype=np.float32))
    np.testing.assert_allclose(odds, [-149.0, 0.0, np.log2(1e12)], atol=1e-9)

"""Ranks, E-values, groups and kinds against a recount of the effects of every variant."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from variant_cases import make_chromosome, make_run, random_rows, read_tsv, write_vcf

import bioq
from bioq import BioqError
from bioq.cli import main
from bioq.errors import UsageError
from bioq.variants import (
    COLUMNS,
    VariantJob,
    VariantTableOptions,
    make_background,
    read_background,
    write_variants,
)
from bioq.variants.background import effect_counts
from bioq.variants.background.effect_counts import counting
from bioq.variants.background.file import write_background
from bioq.variants.background.ranks import count_steps, steps_of
from bioq.variants.background.reference import Background
from bioq.variants.ranking import Ranking
from bioq.variants.scores import compare

TABLE = pd.DataFrame(
    {
        "name": [f"target {number}" for number in range(8)],
        "cell": ["liver", "brain", "liver", "brain", "", "heart", "liver", ""],
    }
)
GROUPS = {"liver": [0, 2, 6], "brain": [1, 3], "heart": [5]}
ALL = list(range(8))
CONSTANT = 3
"""The target on which no variant has an effect."""
BITS = 15
"""The bits of a float32 effect that a background drops."""


def effects_of(rows: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    ref, alt = random.random((2, 1, rows, 8), dtype=np.float32)
    alt += (ref - alt) * np.float32(0.9)
    alt[:, :, CONSTANT] = ref[:, :, CONSTANT]
    return compare(ref, alt)


def sizes_of(scores: dict[str, np.ndarray]) -> np.ndarray:
    """Return |diff x log2_odds_ratio| without the bits that a background drops."""
    size = np.abs(scores["diff"] * scores["log2_odds_ratio"])
    return (size.view(np.uint32) >> BITS << BITS).view(np.float32)


def make(path: Path, scores: dict[str, np.ndarray], kinds: np.ndarray) -> Background:
    with counting(path, 8, len(kinds)) as counted:
        for start in range(0, len(kinds), 300):
            rows = slice(start, start + 300)
            counted.add({name: each[rows] for name, each in scores.items()}, kinds[rows])
        write_background(path, counted, TABLE, {"model": "m"})
    return read_background(path)


def recount(
    sizes: np.ndarray, among: np.ndarray, targets: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the E-values, the rank and the smallest E-value of alleles, by comparing each effect
    with that of every variant."""
    targets = [target for target in targets if target != CONSTANT]
    if not targets:
        nothing = np.full(len(sizes), np.nan)
        return np.empty((len(sizes), 0)), nothing, nothing
    larger = (among[None, :, :] > sizes[:, None, :]).mean(axis=1)[:, targets]
    of_variants = (among[None, :, :] > among[:, None, :]).mean(axis=1)[:, targets].min(axis=1)
    smallest = larger.min(axis=1)
    share = (of_variants[None, :] <= smallest[:, None] + 1e-12).mean(axis=1)
    return larger, -10 * np.log10(share), smallest


@pytest.mark.parametrize(("variants", "own"), [(60, 1000), (450, 100), (450, 0)])
def test_evalues_ranks_groups_and_kinds_are_those_of_a_recount(
    variants: int, own: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effect_counts, "OWN_KIND", own)
    kinds = np.random.default_rng(1).random(variants) < 0.2
    scores, mine = effects_of(variants, 2), effects_of(90, 3)
    for name, each in mine.items():  # variants of the background, and one beyond them
        each[:20] = scores[name][:20]
        each[20] = scores[name].max(axis=0) * 2
    changes = np.random.default_rng(4).random(90) < 0.5
    background = make(tmp_path / "b.npz", scores, kinds)
    ranking = Ranking(TABLE, np.arange(8), group_by="cell", background=background)
    comparison = background.compare(mine, changes)
    columns = ranking.columns(mine["diff"], comparison, changes)
    assert list(ranking.groups) == list(GROUPS)
    among, sizes = sizes_of(scores), sizes_of(mine)
    for kind in (False, True):
        rows = changes == kind
        chosen = kinds == kind if (kinds == kind).sum() >= own else np.ones(variants, dtype=bool)
        total = int(chosen.sum())
        assert set(columns["background_n"][rows]) == {total}
        if kind:  # all of them, without a doubt only if they are compared with their own kind
            assert ("their score_phred is too high" in background.doubts(1)) == (total == variants)
        larger, phred, smallest = recount(sizes[rows], among[chosen], ALL)
        evalue = comparison.scores["evalue"][rows]
        known = [target for target in ALL if target != CONSTANT]
        np.testing.assert_allclose(evalue[:, known], np.maximum(larger, 1 / total), rtol=1e-6)
        assert np.isnan(evalue[:, CONSTANT]).all()
        np.testing.assert_allclose(columns["score_phred"][rows], phred, atol=1e-9)
        for group, targets in GROUPS.items():
            _, phred, _ = recount(sizes[rows], among[chosen], targets)
            np.testing.assert_allclose(columns[f"score_phred:{group}"][rows], phred, atol=1e-9)
        names = TABLE["name"].tolist()
        of_known, _, _ = recount(sizes[rows], among[chosen], ALL)
        for row, top, diff in zip(
            range(int(rows.sum())),
            columns["top_target"][rows],
            columns["top_diff"][rows],
            strict=True,
        ):
            best = [known[at] for at in np.flatnonzero(of_known[row] == smallest[row])]
            size = np.abs(mine["diff"][rows][row])
            assert names.index(top) == max(best, key=lambda target: size[target])
            assert diff == mine["diff"][rows][row][names.index(top)]


@given(st.lists(st.integers(0, 2**31 - 2), min_size=1, max_size=30))
def test_numbers_keep_their_order_and_small_ones_their_step(numbers: list[int]) -> None:
    ordered = np.array(sorted(numbers))
    steps = count_steps(ordered)
    assert (np.diff(steps) >= 0).all()
    assert (steps[ordered < 512] == ordered[ordered < 512]).all()
    assert steps_of(int(ordered[-1])) == steps[-1] + 1
    apart = ordered[1:] > ordered[:-1] * (1 + 2.0**-8) + 1
    assert (np.diff(steps)[apart] > 0).all()


@settings(max_examples=20, deadline=None)
@given(
    arrays.arrays(np.float32, (12, 8), elements=st.sampled_from([0, 0.1, 0.2, 0.5])),
    arrays.arrays(np.bool_, 12),
)
def test_the_rank_of_a_variant_is_the_share_of_those_at_least_as_extreme(
    tmp_path_factory: pytest.TempPathFactory, diff: np.ndarray, kinds: np.ndarray
) -> None:
    scores = {"diff": diff, "log2_odds_ratio": diff}
    background = make(tmp_path_factory.mktemp("b") / "b.npz", scores, kinds)
    comparison = background.compare(scores, kinds)
    ranking = Ranking(TABLE, np.arange(8), background=background)
    found = ranking.columns(diff, comparison, kinds)["score_phred"]
    sizes = sizes_of(scores)
    with_effect = np.flatnonzero(sizes.max(axis=0) > 0)
    if not len(with_effect):
        assert np.isnan(found).all()
        return
    larger = (sizes[None, :, :] > sizes[:, None, :]).sum(axis=1)[:, with_effect].min(axis=1)
    order = np.argsort(larger, kind="stable")
    at_least = np.searchsorted(larger[order], larger, side="right") / 12
    np.testing.assert_allclose(10 ** (-found / 10), at_least)


CELLS = "name\tcell\nfirst\tliver\nsecond\t\n"


@pytest.fixture
def job(tmp_path: Path) -> VariantJob:
    """A run whose first target has a cell, and variants of both kinds."""
    run = make_run(tmp_path / "run")
    (run / "targets.tsv").write_text(CELLS)
    genome = tmp_path / "genome.fa"
    genome.write_text(f">1\n{make_chromosome()}\n")
    rows = [*random_rows(make_chromosome(), 80), ("7", 1, ".", "A", "C")]
    return VariantJob(run, write_vcf(tmp_path / "common.vcf", rows), genome)


def table_of(job: VariantJob, out: Path, **options: Any) -> pd.DataFrame:
    write_variants(job, out, VariantTableOptions(**options), force=True)
    return pd.read_parquet(out) if out.suffix == ".parquet" else read_tsv(out)


def test_the_columns_of_the_command_are_those_of_a_recount(
    job: VariantJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    background, out = tmp_path / "b.npz", tmp_path / "o.parquet"
    where = ["--genome", str(job.genome), "--out"]
    assert main(["background", str(job.run), str(job.source), *where, str(background)]) == 0
    made = capsys.readouterr().err
    words = ["variants", str(job.run), str(job.source), *where, str(out)]
    words += ["--background", str(background), "--group-by", "cell"]
    assert main(words) == 0
    table = pd.read_parquet(out)
    assert list(table)[: len(COLUMNS) + 3] == [
        *COLUMNS, "score_phred:liver", "top_target:liver", "diff:first",
    ]  # fmt: skip
    scored = table[table["status"] == "scored"]
    names = ["first", "second"]
    scores = {
        score: scored[[f"{score}:{name}" for name in names]].to_numpy(np.float32)
        for score in ("diff", "log2_odds_ratio")
    }
    sizes = sizes_of(scores)
    larger, phred, _ = recount(sizes, sizes, [0, 1])
    np.testing.assert_allclose(scored["score_phred"], phred, atol=1e-9)
    np.testing.assert_allclose(
        scored["score_phred:liver"], recount(sizes, sizes, [0])[1], atol=1e-9
    )
    assert set(scored["top_target:liver"]) == {"first"}
    is_first = (scored["top_target"] == "first").to_numpy()
    assert (larger[:, 0] < larger[:, 1])[is_first].sum() >= is_first.sum() - 2
    assert 0.2 < is_first.mean() < 0.8
    diff = np.where(is_first, scored["diff:first"], scored["diff:second"])
    np.testing.assert_array_equal(scored["top_diff"], diff)
    assert set(scored["background_n"]) == {len(scored)}
    rest = table[table["status"] != "scored"]
    assert (
        rest[["score_phred", "background_n", "top_diff", "score_phred:liver"]].isna().all(axis=None)
    )
    assert (rest[["top_target", "top_target:liver"]] == "").all(axis=None)
    most = f"{phred.max():.1f}"
    changing = int((scored["ref"].str.len() != scored["alt"].str.len()).sum())
    line = f"alleles are compared with 100 variants of b.npz ({changing} of them indels)"
    highest = int(np.isclose(phred, phred.max()).sum())
    shown = capsys.readouterr().err
    assert f"{line}: score_phred is at most {most}\n" in shown
    assert f"{line}: score_phred is at most {most}\nnote: b.npz has few variants" in made
    assert f"\n{highest} alleles have the largest score_phred, and max_abs_diff orders" in shown
    line = f"{changing} alleles are indels, and {changing} variants of b.npz are"
    assert f"\nwarning: {line}: their score_phred is too high" in shown
    stored = json.loads(pq.read_schema(out).metadata[b"bioq"])
    assert set(stored["columns"]) == set(COLUMNS)
    assert stored["background"]["compared_with"] == {"substitution": 100, "indel": 100}
    assert stored["background"]["of_kind"]["indel"] == changing
    assert stored["background"]["most_score_phred"]["substitution"] == pytest.approx(phred.max())


def test_ranks_are_the_same_in_every_format_and_in_python(job: VariantJob, tmp_path: Path) -> None:
    make_background(job, tmp_path / "b.npz")
    options = {"background": tmp_path / "b.npz", "group_by": "cell", "scores": ("diff",)}
    table = table_of(job, tmp_path / "o.parquet", **options)
    text = table_of(job, tmp_path / "o.tsv", **options)
    pd.testing.assert_frame_equal(text, table, check_dtype=False)
    frames = bioq.score_variants(
        bioq.load(job.run),
        job.source,
        job.genome,
        background=tmp_path / "b.npz",
        group_by="cell",
    )
    ranked = [*COLUMNS, "score_phred:liver", "top_target:liver"]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True)[ranked], table[ranked])
    write_variants(job, tmp_path / "o.h5ad", VariantTableOptions(**options))
    rows = anndata.read_h5ad(tmp_path / "o.h5ad").obs[ranked].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, table[ranked], check_dtype=False, check_categorical=False)
    write_variants(job, tmp_path / "o.vcf", VariantTableOptions(**options))
    with pysam.VariantFile(str(tmp_path / "o.vcf")) as file:
        for record, row in zip(file, table.to_dict("records"), strict=True):
            if row["status"] != "scored":
                assert list(record.info) == ["BIOQ_STATUS"]
                continue
            assert record.info["BIOQ_TOP_DIFF"] == pytest.approx(row["top_diff"], rel=1e-4)
            assert record.info["BIOQ_SCORE_PHRED"] == pytest.approx(row["score_phred"], rel=1e-4)
            assert record.info["BIOQ_BACKGROUND_N"] == 100
            phred = pytest.approx(row["score_phred:liver"], rel=1e-4)
            assert record.info["BIOQ_SCORE_PHRED_liver"] == phred
            assert record.info["BIOQ_TOP_TARGET_liver"] == "first"


def test_groups_of_any_name_are_read_by_bcftools(job: VariantJob, tmp_path: Path) -> None:
    if shutil.which("bcftools") is None:
        pytest.skip("bcftools is not installed")
    names = ['a "b", c=d; 50%', "100:200"]
    (job.run / "targets.tsv").write_text(
        'name\tkind\nfirst\t"a ""b"", c=d; 50%"\nsecond\t100:200\n'
    )
    make_background(job, tmp_path / "b.npz")
    options = {"background": tmp_path / "b.npz", "group_by": "kind", "scores": ("diff",)}
    table = table_of(job, tmp_path / "o.tsv", **options)
    assert [name for name in table if name.startswith("top_target:")] == [
        f"top_target:{name}" for name in names
    ]
    write_variants(job, tmp_path / "o.vcf.gz", VariantTableOptions(**options))
    groups = ("a__b___c_d__50_", "100_200")
    fields = [f"BIOQ_{name}_{group}" for name in ("SCORE_PHRED", "TOP_TARGET") for group in groups]
    fields.append("BIOQ_BACKGROUND_N")
    query = "\t".join(f"%INFO/{field}" for field in fields) + "\n"
    command = ["bcftools", "query", "-f", query, str(tmp_path / "o.vcf.gz")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not shown.stderr
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    for found, row in zip(rows, table.to_dict("records"), strict=True):
        if row["status"] != "scored":
            assert found == ["."] * 5
            continue
        phreds = [row[f"score_phred:{name}"] for name in names]
        np.testing.assert_allclose([float(each) for each in found[:2]], phreds, rtol=1e-4)
        assert found[2:] == ["first", "second", "100"]


def test_chosen_targets_do_not_move_ranks(job: VariantJob, tmp_path: Path) -> None:
    make_background(job, tmp_path / "b.npz")
    options = {"background": tmp_path / "b.npz", "group_by": "name"}
    every = table_of(job, tmp_path / "o.tsv", **options)
    out, chosen_one = tmp_path / "o.tsv", VariantTableOptions(**options, targets=("second",))
    line = "score_phred and top_target are those of all 2 targets, not only of the chosen ones"
    assert line in write_variants(job, out, chosen_one, force=True).lines()
    assert line not in write_variants(job, tmp_path / "x.tsv").lines()
    one = read_tsv(out)
    same = ["score_phred", "top_target", "top_diff", "score_phred:first", "top_target:first"]
    pd.testing.assert_frame_equal(one[same], every[same])
    chosen = every["diff:second"].abs()
    np.testing.assert_allclose(one["max_abs_diff"], chosen, rtol=1e-6)
    plain = table_of(job, tmp_path / "o.tsv", group_by="name", targets=("second",))
    assert set(plain["top_target:second"]) == {"second", ""}
    assert set(plain["top_target:first"]) == {""}
    assert plain[["score_phred", "score_phred:second", "background_n"]].isna().all(axis=None)
    np.testing.assert_allclose(plain["top_diff"].abs(), chosen, rtol=1e-6)


def test_groups_that_the_table_or_the_background_lacks_are_named(
    job: VariantJob, tmp_path: Path
) -> None:
    make_background(job, tmp_path / "b.npz")
    with pytest.raises(UsageError, match="DeepSEA's files have no columns for groups"):
        VariantTableOptions(group_by="cell", format="deepsea")
    with pytest.raises(UsageError, match=r"group by 'cel': .* did you mean 'cell'\? its columns"):
        table_of(job, tmp_path / "o.tsv", group_by="cel")
    (job.run / "targets.tsv").write_text("name\tcell\tassay\nfirst\t\tDNase\nsecond\t\tDNase\n")
    with pytest.raises(UsageError, match=r"group by 'cell': all its cells .* are empty"):
        table_of(job, tmp_path / "o.tsv", group_by="cell")
    table_of(job, tmp_path / "o.tsv", group_by="assay", background=tmp_path / "b.npz")
    many = make(tmp_path / "many.npz", effects_of(40, 1), np.zeros(40, dtype=bool))
    other = TABLE.assign(cell=["liver", "liver", *TABLE["cell"][2:]])
    with pytest.raises(BioqError, match=r"many.npz: has no ranks of the groups of 'cell': when it"):
        Ranking(other, np.arange(8), group_by="cell", background=many)


def test_a_file_of_format_version_1_gives_evalues_and_a_note(
    job: VariantJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table_of(job, tmp_path / "o.parquet")
    scored = table[table["status"] == "scored"]
    names = ["first", "second"]
    diff, odds = (
        scored[[f"{score}:{name}" for name in names]].to_numpy(np.float32)
        for score in ("diff", "log2_odds_ratio")
    )
    make_background(job, tmp_path / "new.npz")
    new = read_background(tmp_path / "new.npz")
    sizes = sizes_of({"diff": diff, "log2_odds_ratio": odds})
    counts = np.zeros((2, 72 << 8), dtype=np.uint32)
    for target in range(2):
        steps = (sizes[:, target].view(np.uint32) >> BITS).astype(int) - ((127 - 64) << 8)
        np.add.at(counts[target], np.clip(steps, 0, None), 1)
    about = {"format": "bioq-background", "format_version": 1, "model": new.model}
    np.savez_compressed(
        tmp_path / "old.npz",
        about=np.array(json.dumps(about)),
        targets=np.array(names),
        variants=np.int64(len(scored)),
        counts=counts,
        square_sum=(diff.astype(np.float64) ** 2).sum(axis=0),
    )
    capsys.readouterr()
    options = {"group_by": "cell", "background": tmp_path / "old.npz"}
    old = table_of(job, tmp_path / "old.parquet", **options)
    shown = capsys.readouterr().err
    assert shown.count("note: ") == 1
    assert "format version 1: it has E-values, and no ranks for score_phred; make it again" in shown
    now = table_of(job, tmp_path / "new.parquet", **options | {"background": tmp_path / "new.npz"})
    empty = ["score_phred", "score_phred:liver"]
    assert old[empty].isna().all(axis=None)
    pd.testing.assert_frame_equal(old.drop(columns=empty), now.drop(columns=empty))

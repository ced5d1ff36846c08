"""Variants end to end: one row an allele, and scores that a computation by hand gives too."""

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from variant_cases import make_chromosome, make_run, other_base, random_rows, read_tsv, write_vcf

import bioq
from bioq import BioqError, dna
from bioq.cli import main
from bioq.errors import UsageError
from bioq.variants import (
    COLUMNS,
    SCORES,
    VariantJob,
    VariantOptions,
    VariantTableOptions,
    make_background,
    score_variants,
    write_variants,
)
from bioq.variants import scoring as scoring_module

WINDOW_BP = 200
BOUND = 2e-6
"""How far scores may lie apart when batches are of another size: float32 sums in another order."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def chromosome() -> str:
    return make_chromosome()


@pytest.fixture
def genome(tmp_path: Path, chromosome: str) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">1 first\n{chromosome}\n>chrM\nACGTACGTAC\n")
    return path


def written(tmp_path: Path, rows: Sequence[tuple[object, ...]]) -> Path:
    return write_vcf(tmp_path / "in.vcf", rows)


def score(run: Path, vcf: Path, genome: Path, **options: object) -> pd.DataFrame:
    tables = score_variants(
        bioq.load(run),
        vcf,
        genome,
        options=VariantOptions(**options),  # type: ignore[arg-type]
    )
    return pd.concat(tables, ignore_index=True)


def number_columns(table: pd.DataFrame) -> pd.DataFrame:
    return table[[name for name in table if ":" in name or name.endswith("abs_diff")]]


def test_every_allele_gives_one_row_in_input_order(
    run: Path, genome: Path, chromosome: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = chromosome[499]
    new = other_base(base)
    wrong = other_base(new)
    vcf = written(
        tmp_path,
        [
            ("1", 500, "rs1", base, f"{new},*,<DEL>,{base}AC"),
            ("1", 500, "rs1", base, new),
            ("chr1", 500, ".", wrong, new),
            ("1", 500, ".", new, base),
            ("7", 500, "x;y", "A", "C"),
            ("1", 3, ".", chromosome[2], other_base(chromosome[2])),
            ("M", 10, ".", "C", "."),
            ("1", 5000, ".", "A", "C"),
            ("1", 500, ".", "N", "C"),
            ("1", 500, ".", base, base),
            ("1", 401, ".", chromosome[400:500], base),
        ],
    )
    out = tmp_path / "out.tsv"
    assert main(["variants", str(run), str(vcf), "--genome", str(genome), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    table = read_tsv(out)
    assert list(table)[: len(COLUMNS)] == list(COLUMNS)
    assert table["status"].tolist() == [
        "scored", "star", "symbolic", "scored", "scored", "ref_mismatch", "allele_swapped",
        "no_contig", "edge_padded", "no_alt", "outside_contig", "ambiguous", "alt_is_ref",
        "too_long",
    ]  # fmt: skip
    assert table["alt"].tolist()[:5] == [new, "*", "<DEL>", f"{base}AC", new]
    assert table["id"].tolist()[4:8] == ["rs1", ".", ".", "x;y"]
    assert table["chrom"].tolist()[4:8] == ["1", "chr1", "1", "7"]
    assert table["genome_ref"].tolist()[4:8] == ["", base, base, ""]
    is_scored = table["status"].isin(["scored", "edge_padded"])
    assert (number_columns(table).notna().all(axis=1) == is_scored).all()
    assert (number_columns(table).isna().all(axis=1) == ~is_scored).all()
    assert table["top_target"].isin(["first", "second"]).tolist() == is_scored.tolist()
    assert table.iloc[0, 5:].equals(table.iloc[4, 5:]), "a duplicate has the same scores"
    assert shown.out == f"{out}\n"
    lines = shown.err.splitlines()
    assert lines[0].split() == ["14", "alleles"]
    counts = {words[1]: int(words[0]) for line in lines[1:13] if (words := line.split(maxsplit=2))}
    expected = table["status"].value_counts()
    assert {name.rstrip(":"): count for name, count in counts.items()} == dict(expected)
    assert lines[13].endswith("as REF: is the VCF of another genome build?")


@pytest.mark.parametrize(
    ("strands", "indel"), [("both", "left"), ("forward", "right"), ("both", "both")]
)
def test_scores_are_those_of_windows_edited_by_hand(
    run: Path, genome: Path, chromosome: str, tmp_path: Path, strands: str, indel: str
) -> None:
    vcf = written(tmp_path, random_rows(chromosome))
    table = score(run, vcf, genome, strands=strands, indel=indel)
    model = bioq.load(run)
    flanks = ("left", "right") if indel == "both" else (indel,)
    assert set(table["status"]) == {"scored"}
    assert len(table) == 50
    for row in table.to_dict("records"):
        at, ref, alt = row["pos"] - 1, str(row["ref"]), str(row["alt"])
        expected: list[dict[str, np.ndarray]] = []
        edited = chromosome[:at] + alt + chromosome[at + len(ref) :]
        for flank in flanks:
            moved = len(alt) - len(ref) if flank == "right" else 0
            before, after = chromosome[at - 99 : at + 101], edited[at - 99 + moved :][:200]
            for is_opposite in (False, True) if strands == "both" else (False,):
                expected.append(by_hand(model, before, after, is_opposite))
        for name in SCORES:
            mean = np.mean([result[name] for result in expected], axis=0)
            result = [row[f"{name}:first"], row[f"{name}:second"]]
            np.testing.assert_allclose(result, mean, rtol=0, atol=2e-5 if "log" in name else BOUND)
        size = np.abs([row["diff:first"], row["diff:second"]])
        assert row["max_abs_diff"] == pytest.approx(size.max())
        assert row["mean_abs_diff"] == pytest.approx(size.mean())
        assert row["top_target"] == ["first", "second"][int(size.argmax())]
    assert table["max_abs_diff"].max() > 1000 * BOUND


def by_hand(
    model: nn.Module, before: str, after: str, is_opposite: bool
) -> Mapping[str, np.ndarray]:
    """DeepSEA's formulas on the probabilities of two windows of one strand."""
    codes = np.stack([dna.encode(before), dna.encode(after)])
    if is_opposite:
        codes = dna.reverse_complement(codes)
    ref, alt = bioq.predict(model, dna.one_hot(codes), strands="forward").astype(float)
    fold = np.log2(alt / (1 - alt + 1e-12)) - np.log2(ref / (1 - ref + 1e-12))
    return {"ref": ref, "alt": alt, "diff": alt - ref, "log2_odds_ratio": fold}


def iupac_rows(chromosome: str) -> tuple[str, list[tuple[object, ...]]]:
    """Return a chromosome with IUPAC codes, and alleles whose REF the codes allow or not.

    The codes M, R and N are at the 1-based positions 500, 502 and 600.
    """
    letters = list(chromosome)
    letters[499], letters[501], letters[599] = "M", "R", "N"
    between = chromosome[500]
    rows: list[tuple[object, ...]] = [
        ("1", 500, "a", "A", "T"),
        ("1", 500, "c", "C", "T"),
        ("1", 500, "c-to-a", "c", "A,G"),
        ("1", 500, "deletion", f"A{between}G", "A"),
        ("1", 500, "other-deletion", f"C{between}A", "C"),
        ("1", 502, "insertion", "G", "GATT"),
        ("1", 500, "a", "A", "T"),
        ("1", 500, "not-allowed", "T", "A"),
        ("1", 500, "iupac-ref", "M", "A"),
        ("1", 500, "iupac-alt", "A", "R"),
        ("1", 600, "n", "A", "C"),
        ("1", 503, "near", chromosome[502], other_base(chromosome[502])),
    ]
    return "".join(letters), rows


@pytest.mark.parametrize("indel", ["left", "right", "both"])
def test_a_ref_that_an_iupac_code_of_the_genome_allows_is_in_both_windows(
    run: Path, chromosome: str, tmp_path: Path, indel: str
) -> None:
    letters, rows = iupac_rows(chromosome)
    genome = tmp_path / "iupac.fa"
    genome.write_text(f">1\n{letters}\n")
    table = score(run, written(tmp_path, rows), genome, indel=indel)
    assert table["status"].tolist() == [
        *["scored"] * 8, "ref_mismatch", "ambiguous", "ambiguous", "ref_mismatch", "scored",
    ]  # fmt: skip
    between = chromosome[500]
    assert table["genome_ref"].tolist() == [
        "M", "M", "M", "M", f"M{between}R", f"M{between}R", "R", "M", "M", "", "", "N", "",
    ]  # fmt: skip
    model = bioq.load(run)
    flanks = ("left", "right") if indel == "both" else (indel,)
    for row in table[table["status"] == "scored"].to_dict("records"):
        at, ref, alt = row["pos"] - 1, str(row["ref"]).upper(), str(row["alt"])
        before_all = letters[:at] + ref + letters[at + len(ref) :]
        after_all = letters[:at] + alt + letters[at + len(ref) :]
        expected: list[Mapping[str, np.ndarray]] = []
        for flank in flanks:
            moved = len(alt) - len(ref) if flank == "right" else 0
            before, after = before_all[at - 99 : at + 101], after_all[at - 99 + moved :][:200]
            expected += [by_hand(model, before, after, opposite) for opposite in (False, True)]
        for name in ("ref", "alt", "diff"):
            mean = np.mean([result[name] for result in expected], axis=0)
            found = [row[f"{name}:first"], row[f"{name}:second"]]
            np.testing.assert_allclose(found, mean, rtol=0, atol=BOUND)
    by_id = table.set_index("id")
    assert abs(by_id.loc["c", "ref:first"] - by_id.loc["a", "ref:first"].iloc[0]) > 100 * BOUND


def test_batch_size_order_and_grouping_change_nothing(
    run: Path, genome: Path, chromosome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [*random_rows(chromosome), ("1", 5000, ".", "A", "C")]
    whole = score(run, written(tmp_path, rows), genome)
    for batch_size, block in ((1, 1024), (7, 5), (256, 1)):
        monkeypatch.setattr(scoring_module, "BLOCK", block)
        again = score(run, written(tmp_path, rows), genome, batch_size=batch_size)
        assert again[["pos", "alt", "status"]].equals(whole[["pos", "alt", "status"]])
        np.testing.assert_allclose(number_columns(again), number_columns(whole), atol=2e-5)
    backward = score(run, written(tmp_path, rows[::-1]), genome)
    keys = ["pos", "id", "alt"]
    np.testing.assert_allclose(
        number_columns(backward.sort_values(keys)),
        number_columns(whole.sort_values(keys)),
        atol=2e-5,
    )


def test_bf16_gives_the_same_within_two_hundredths(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    vcf = written(tmp_path, random_rows(chromosome))
    exact, rough = (score(run, vcf, genome, precision=name) for name in ("32", "bf16"))
    for name in ("ref", "alt", "diff"):
        columns = [f"{name}:first", f"{name}:second"]
        apart = np.abs(exact[columns] - rough[columns]).to_numpy()
        assert 0 < apart.max() < 0.02


class _Counting(nn.Module):
    """Counts the windows that it predicts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.architecture = {"window_bp": WINDOW_BP, "targets": 1}
        self.windows = 0

    def forward(self, windows: Tensor) -> Tensor:
        self.windows += len(windows)
        return windows[:, 0].sum(dim=1, keepdim=True) * self.weight


def test_a_genome_window_that_alleles_share_is_computed_once(
    genome: Path, chromosome: str, tmp_path: Path
) -> None:
    bases = "".join(base for base in "ACGT" if base != chromosome[499])
    rows = [("1", 500, ".", chromosome[499], ",".join(bases)) for _ in range(3)]
    model = _Counting()
    tables = list(score_variants(model, written(tmp_path, rows), genome))
    assert [len(table) for table in tables] == [9]
    assert model.windows == 2 * (1 + 9)
    assert "diff:target 0" in tables[0]


def test_a_swapped_allele_is_scored_on_request_with_the_sign_turned(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    rows = random_rows(chromosome, 4)[:1]
    chrom, pos, name, ref, alt = rows[0]
    forward = score(run, written(tmp_path, rows), genome)
    turned = written(tmp_path, [(chrom, pos, name, alt, ref)])
    assert np.isnan(score(run, turned, genome)["diff:first"]).all()
    swapped = score(run, turned, genome, score_swapped=True)
    assert swapped["status"].tolist() == ["allele_swapped"]
    assert swapped["genome_ref"].tolist() == [ref]
    for target in ("first", "second"):
        for score_name in ("diff", "log2_odds_ratio"):
            column = f"{score_name}:{target}"
            np.testing.assert_allclose(swapped[column], -forward[column], atol=2e-5)
        np.testing.assert_allclose(swapped[f"ref:{target}"], forward[f"alt:{target}"], atol=BOUND)


class _MotifModel(nn.Module):
    """Target 0 asks for TGATAAC anywhere on either strand, target 1 for CCCGGG."""

    def __init__(self) -> None:
        super().__init__()
        self.architecture = {"window_bp": WINDOW_BP, "targets": 2}
        self.filters = nn.Conv1d(4, 2, 7)
        with torch.no_grad():
            for number, motif in enumerate(("TGATAAC", "CCCGGGN")):
                hot = torch.from_numpy(dna.one_hot(dna.encode(motif)))
                self.filters.weight[number] = hot * 2.0
            self.filters.bias[:] = -13

    def forward(self, windows: Tensor) -> Tensor:
        both = torch.cat([self.filters(windows), self.filters(windows.flip(1, 2))], dim=2)
        return both.amax(dim=2)


def test_a_variant_that_destroys_the_motif_has_the_strongest_negative_diff(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    letters = dna.decode(random.integers(0, 4, 1000).astype(np.uint8))
    for motif in ("TGATAAC", "GTTATCA"):
        letters = letters.replace(motif, "A" * 7)
    letters = letters[:500] + "TGATAAC" + letters[507:]
    genome = tmp_path / "genome.fa"
    genome.write_text(f">1\n{letters}\n")
    rows = [
        ("1", pos, pos, letters[pos - 1], other_base(letters[pos - 1])) for pos in range(450, 551)
    ]
    (table,) = score_variants(_MotifModel(), written(tmp_path, rows), genome)
    order = table.sort_values("diff:target 0")["pos"].tolist()
    assert set(order[:7]) == set(range(501, 508))
    assert (table["diff:target 0"].nsmallest(7) < -0.3).all()
    inside = table["pos"].between(501, 507)
    assert (table.loc[inside, "top_target"] == "target 0").all()
    assert table.loc[~inside, "diff:target 0"].abs().max() < 1e-6


def test_targets_and_scores_are_chosen(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    vcf, out = written(tmp_path, random_rows(chromosome, 4)), tmp_path / "out.tsv"
    tokens = ["variants", str(run), str(vcf), "--genome", str(genome), "--out", str(out)]
    assert main([*tokens, "--targets", "sec*", "--scores", "diff", "alt"]) == 0
    assert list(read_tsv(out))[len(COLUMNS) :] == ["diff:second", "alt:second"]
    assert set(read_tsv(out)["top_target"]) == {"second"}


@pytest.mark.parametrize("ending", [".tsv", ".vcf"])
def test_standard_input_gives_what_the_file_gives(
    ending: str,
    run: Path,
    genome: Path,
    chromosome: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vcf = written(tmp_path, random_rows(chromosome, 8))
    outs = [tmp_path / f"{name}{ending}" for name in "ab"]
    stdin = io.BytesIO(vcf.read_bytes())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=stdin))
    for source, out in zip([str(vcf), "-"], outs, strict=True):
        tokens = ["variants", str(run), source, "--genome", str(genome), "--out", str(out)]
        assert main(tokens) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.mark.parametrize("name", ["out.tsv", "out.parquet", "out.h5ad", "out.vcf.gz", "deepsea"])
def test_a_vcf_of_no_alleles_gives_a_complete_output_of_no_rows(
    run: Path, genome: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A region of a VCF may have no variant: a pipeline over many VCFs goes on."""
    vcf, out = written(tmp_path, []), tmp_path / name
    tokens = ["variants", str(run), str(vcf), "--genome", str(genome), "--out", str(out)]
    tokens += ["--format", "deepsea"] if name == "deepsea" else []
    assert main(tokens) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["           0  alleles"]
    files = [Path(line) for line in captured.out.splitlines()]
    assert all(file.is_file() for file in files)
    if name == "out.tsv":
        assert read_tsv(out).shape == (0, len(COLUMNS) + 8)
    if name == "deepsea":
        assert [file.name for file in files] == [
            f"deepsea.out.{ending}" for ending in ("ref", "alt", "diff", "logfoldchange")
        ]
        assert files[0].read_text() == ",chr,pos,name,ref,alt,first,second\n"


def test_a_vcf_that_ends_in_its_header_is_an_error_and_leaves_no_output(
    run: Path, genome: Path, tmp_path: Path
) -> None:
    out, vcf = tmp_path / "out.tsv", tmp_path / "in.vcf"
    vcf.write_text("##fileformat=VCFv4.2\n")
    with pytest.raises(BioqError, match="holds no variants; expected a record per variant"):
        write_variants(VariantJob(run, vcf, genome), out)
    assert not out.exists()


def test_a_typed_variant_with_another_ref_is_asked_about_as_one(
    run: Path, genome: Path, chromosome: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = other_base(chromosome[299])
    alt = next(base for base in "ACGT" if base not in (ref, chromosome[299]))
    out = tmp_path / "out.tsv"
    typed = ["variants", str(run), f"1:300:{ref}>{alt}", "--genome", str(genome), "--out", str(out)]
    assert main(typed) == 1
    assert (
        "warning: the allele does not have the bases of genome.fa as REF: is its position of "
        "another genome build"
    ) in capsys.readouterr().err


def test_wrong_build_and_wrong_names_are_asked_about(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    rows: list[tuple[object, ...]] = [
        ("1", pos, ".", other_base(chromosome[pos - 1]), "N") for pos in (300, 301)
    ]
    rows = [(*row[:4], other_base(str(row[3]))) for row in rows] + [("7", 5, ".", "A", "C")]
    summary = write_variants(VariantJob(run, written(tmp_path, rows), genome), tmp_path / "out.tsv")
    *_, questions_0, questions_1 = summary.lines()
    questions = [questions_0, questions_1]
    assert "the most frequent status is ref_mismatch (2)" in summary.none_scored()
    assert questions[0].startswith(
        "warning: 2 of 2 compared alleles do not have the bases of genome.fa as REF"
    )
    assert questions[1].startswith(
        "warning: 1 of 3 alleles are on contigs that genome.fa does not have (7;"
    )
    alias = tmp_path / "alias.tsv"
    alias.write_text("7\t1\n")
    renamed = write_variants(
        VariantJob(run, written(tmp_path, rows), genome, alias), tmp_path / "out.tsv", force=True
    )
    assert "no_contig" not in renamed.statuses


def test_malformed_input_leaves_no_output(
    run: Path,
    genome: Path,
    chromosome: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vcf = written(tmp_path, random_rows(chromosome, 8))
    vcf.write_text(vcf.read_text() + "1\tten\t.\tA\tC\n")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(vcf.read_bytes())))
    for source in (vcf, Path("-")):
        with pytest.raises(BioqError, match=r":11: POS is 'ten'"):
            write_variants(VariantJob(run, source, genome), tmp_path / "out.tsv")
    assert sorted(tmp_path.iterdir()) == before


def test_no_file_that_the_command_reads_is_replaced(
    run: Path, genome: Path, tmp_path: Path
) -> None:
    vcf, copy = written(tmp_path, []), tmp_path / "genome.tsv"
    shutil.copy(genome, copy)
    for out in (copy, run / "targets.tsv"):
        before = out.read_bytes()
        with pytest.raises(UsageError, match="is the input; give another name"):
            write_variants(VariantJob(run, vcf, copy), out, force=True)
        assert out.read_bytes() == before
    copy = copy.rename(tmp_path / "genome.npz")
    with pytest.raises(UsageError, match="is the input; give another name"):
        make_background(VariantJob(run, vcf, copy), copy, force=True)
    assert copy.read_bytes() == genome.read_bytes()


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("out.csv", {}, r"expected a name that ends in \.tsv, .*\.h5ad, \.vcf, \.vcf\.gz"),
        ("in.vcf", {}, "is the input; give another name"),
        (
            "out.tsv",
            {"scores": ("dif",)},
            "score 'dif'; did you mean diff\\? expected some of diff, log2_odds_ratio",
        ),
        ("out.tsv", {"scores": ("zscore",)}, "zscore needs --background"),
        ("out.tsv", {"targets": ("third",)}, "no target is called 'third'"),
        ("out.tsv", {"format": "xml"}, "--format 'xml', expected table or deepsea"),
    ],
)
def test_wrong_options_are_named(
    run: Path, genome: Path, tmp_path: Path, out: str, options: dict[str, object], message: str
) -> None:
    vcf = written(tmp_path, [])
    with pytest.raises(UsageError, match=message):
        table = VariantTableOptions(**options)  # type: ignore[arg-type]
        write_variants(VariantJob(run, vcf, genome), tmp_path / out, table)


def test_an_option_out_of_range_is_named() -> None:
    with pytest.raises(UsageError, match="--batch-size 0, expected 1 or more"):
        VariantOptions(batch_size=0)
    with pytest.raises(
        UsageError, match="--indel 'right side', did you mean right\\? expected left, right or both"
    ):
        VariantOptions(indel="right side")  # type: ignore[arg-type]


def test_the_python_function_yields_tables_of_flat_size(
    run: Path, genome: Path, chromosome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring_module, "BLOCK", 16)
    vcf = written(tmp_path, random_rows(chromosome))
    tables = bioq.score_variants(bioq.load(run), vcf, genome, targets=["first"])
    assert isinstance(tables, Iterator)
    result = list(tables)
    assert [len(table) for table in result] == [16, 16, 16, 2]
    names = [f"{name}:first" for name in SCORES]
    assert all(list(table) == [*COLUMNS, *names] for table in result)

"""What variants are written as: every format says the same, and other tools read it."""

import gzip
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pysam
import pytest
from variant_cases import make_chromosome, make_run, random_rows, read_tsv, write_vcf

from bioq.cli import main
from bioq.variants import (
    COLUMNS,
    SCORES,
    VariantJob,
    VariantOptions,
    VariantTableOptions,
    write_variants,
)
from bioq.variants.columns import RANK_SCORE, group_columns
from bioq.variants.scores import MEANING

HUMAN = Path(__file__).parents[1].parent / "shared" / "data" / "human"
MIXED = [
    ("chr1", 500, "a=b", "N", "C"),
    ("1", 0, ".", "A", "C"),
    ("7", 12, "x;y", "A", "*,<DEL>,A[7:9[,C"),
    ("chr1", 3, ".", "A", "."),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def chromosome() -> str:
    return make_chromosome()


@pytest.fixture
def genome(tmp_path: Path, chromosome: str) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">1\n{chromosome}\n")
    return path


@pytest.fixture
def vcf(tmp_path: Path, chromosome: str) -> Path:
    return write_vcf(tmp_path / "in.vcf", [*random_rows(chromosome), *MIXED])


@pytest.fixture
def table(run: Path, vcf: Path, genome: Path, tmp_path: Path) -> pd.DataFrame:
    write_variants(VariantJob(run, vcf, genome), tmp_path / "table.tsv")
    return read_tsv(tmp_path / "table.tsv")


def of_score(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[[f"{name}:first", f"{name}:second"]]


def test_the_page_lists_every_column_and_score() -> None:
    page = (Path(__file__).parents[1] / "docs/reference/variant-table.md").read_text("utf-8")
    section = page.partition("\n## The columns\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    columns = [*COLUMNS, *group_columns("GROUP"), RANK_SCORE, "SCORE:TARGET"]
    assert named[: len(columns)] == columns
    assert set(named[len(columns) :]) == set(MEANING)


def test_parquet_and_hdf5_hold_what_the_text_holds(
    run: Path, vcf: Path, genome: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    for ending in (".parquet", ".h5", ".h5ad", ".tsv.gz"):
        write_variants(VariantJob(run, vcf, genome), tmp_path / f"out{ending}")
    parquet = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(parquet, table, check_dtype=False)
    zipped = read_tsv(tmp_path / "out.tsv.gz")
    pd.testing.assert_frame_equal(zipped, table)
    result = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert result.obs["status"].tolist() == table["status"].tolist()
    np.testing.assert_allclose(np.asarray(result.X), of_score(table, "diff"))
    np.testing.assert_allclose(np.asarray(result.layers["alt"]), of_score(table, "alt"))
    with h5py.File(tmp_path / "out.h5") as file:
        names: list[str] = []
        file.visit(names.append)
        assert any(name.endswith("log2_odds_ratio") for name in names), names


def vcf_rows(table: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    for row in table.to_dict("records"):
        yield (row["chrom"], row["pos"], row["id"], row["ref"], row["alt"], row["status"])


@pytest.mark.parametrize("ending", [".vcf", ".vcf.gz"])
def test_bcftools_reads_every_row_of_the_vcf(
    run: Path, vcf: Path, genome: Path, tmp_path: Path, table: pd.DataFrame, ending: str
) -> None:
    if shutil.which("bcftools") is None:
        pytest.skip("bcftools is not installed")
    out = tmp_path / f"out{ending}"
    assert main(["variants", str(run), str(vcf), "--genome", str(genome), "--out", str(out)]) == 0
    fields = ["CHROM", "POS", "ID", "REF", "ALT"]
    fields += [f"INFO/BIOQ_{name}" for name in ("STATUS", "DIFF", "TOP_TARGET", "MAX_ABS_DIFF")]
    query = "\\t".join(f"%{name}" for name in fields) + "\\n"
    command = ["bcftools", "query", "-f", query, str(out)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not shown.stderr
    lines = [line.split("\t") for line in shown.stdout.splitlines()]
    expected = [[str(cell) for cell in row] for row in vcf_rows(table)]
    assert [line[:6] for line in lines] == expected
    diff = of_score(table, "diff").to_numpy()
    for line, values, top in zip(lines, diff, table["top_target"], strict=True):
        if np.isnan(values).any():
            assert line[6:] == [".", ".", "."]
            continue
        np.testing.assert_allclose([float(cell) for cell in line[6].split(",")], values, rtol=1e-4)
        assert line[7] == top
        assert float(line[8]) == pytest.approx(np.abs(values).max(), rel=1e-4)
    for check in (["view", "-Ob", "-o", str(tmp_path / "out.bcf")], ["sort", "-o", "/dev/null"]):
        done = subprocess.run(
            ["bcftools", *check, str(out)], capture_output=True, text=True, check=True
        )
        assert "rror" not in done.stderr


def test_htslib_reads_the_header_and_the_scores_of_the_vcf(
    run: Path, vcf: Path, genome: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    write_variants(VariantJob(run, vcf, genome), tmp_path / "out.vcf")
    with pysam.VariantFile(str(tmp_path / "out.vcf")) as file:
        header, records = file.header, list(file)
    assert header.contigs["chr1"].length == 1000
    assert header.contigs["7"].length is None or header.contigs["7"].length == 0
    targets = [line for line in str(header).splitlines() if line.startswith("##BIOQ_TARGET")]
    assert [line.split('"')[1] for line in targets] == ["first", "second"]
    for name in SCORES:
        assert header.info[f"BIOQ_{name.upper()}"].number == 2
        values = of_score(table, name).to_numpy()
        for record, row in zip(records, values, strict=True):
            result = record.info.get(f"BIOQ_{name.upper()}")
            assert (result is None) == np.isnan(row).any()
            if result is not None:
                np.testing.assert_allclose(result, row, rtol=1e-5)


def test_deepsea_files_are_what_its_own_code_writes(
    run: Path, vcf: Path, genome: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    table_options = VariantTableOptions(format="deepsea")
    write_variants(VariantJob(run, vcf, genome), tmp_path / "in.vcf", table_options)
    endings = {"ref": "ref", "alt": "alt", "diff": "diff", "log2_odds_ratio": "logfoldchange"}
    files = sorted(path.name for path in tmp_path.glob("in.vcf.out.*"))
    assert files == sorted(f"in.vcf.out.{ending}" for ending in endings.values())
    for name, ending in endings.items():
        lines = [",chr,pos,name,ref,alt,first,second"]
        for number, row in enumerate(table.to_dict("records")):
            cells = [number, *(row[key] for key in ("chrom", "pos", "id", "ref", "alt"))]
            values = [row[f"{name}:first"], row[f"{name}:second"]]
            cells += ["" if np.isnan(value) else f"{value:.4e}" for value in values]
            lines.append(",".join(map(str, cells)))
        expected = "\n".join(lines) + "\n"
        # The table's text is of float32: the fifth digit can fall the other way.
        result = (tmp_path / f"in.vcf.out.{ending}").read_text()
        assert result.splitlines()[0] == lines[0]
        compared = zip(result.split(","), expected.split(","), strict=True)
        assert sum(left != right for left, right in compared) <= 1


def expected_statuses(vcf: Path, contigs: dict[str, str], window_bp: int) -> Counter[str]:
    """Count statuses independently: htslib reads the records, the genome is one string."""
    counts: Counter[str] = Counter()
    with pysam.VariantFile(str(vcf)) as file:
        for record in file:
            letters = contigs.get(record.chrom, "")
            for alt in record.alts or (".",):
                counts[status_of(record.pos, record.ref or "", alt, letters, window_bp)] += 1
    return counts


def status_of(pos: int, ref: str, alt: str, letters: str, window_bp: int) -> str:
    if alt in ("*", "."):
        return {"*": "star", ".": "no_alt"}[alt]
    if set(alt) - set("ACGTN"):
        return "symbolic"
    if not letters:
        return "no_contig"
    if pos < 1 or pos - 1 + len(ref) > len(letters):
        return "outside_contig"
    if "N" in ref + alt:
        return "ambiguous"
    if not letters.startswith(ref, pos - 1):
        return "allele_swapped" if letters.startswith(alt, pos - 1) else "ref_mismatch"
    if max(len(ref), len(alt)) > window_bp // 2 - 1:
        return "too_long"
    gone = max(len(ref) - len(alt), 0)
    inside = pos - window_bp // 2 >= 0 and pos + window_bp // 2 + gone <= len(letters)
    return "scored" if inside else "edge_padded"


@pytest.fixture(scope="module")
def human() -> dict[str, str]:
    path = HUMAN / "grch37_part.fa.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with gzip.open(path, "rt") as file:
        parts = file.read().split(">")[1:]
    return {
        part.split(None, 1)[0]: part.split("\n", 1)[1].replace("\n", "").upper() for part in parts
    }


@pytest.mark.parametrize(
    ("name", "records"), [("exac.chr22.vcf.gz", 854), ("1000g.chr22.vcf.gz", 2185)]
)
def test_real_vcfs_are_scored_whole(
    human: dict[str, str], tmp_path: Path, name: str, records: int
) -> None:
    run = make_run(tmp_path / "run", window_bp=1000)
    summary = write_variants(
        VariantJob(
            run,
            HUMAN / name,
            HUMAN / "grch37_part.fa.gz",
            options=VariantOptions(strands="forward"),
        ),
        tmp_path / "out.tsv",
    )
    expected = expected_statuses(HUMAN / name, human, 1000)
    assert Counter(summary.statuses) == expected
    table = read_tsv(tmp_path / "out.tsv")
    assert Counter(table["status"]) == expected
    with pysam.VariantFile(str(HUMAN / name)) as file:
        rows = [
            (record.chrom, record.pos, record.id or ".", record.ref, alt)
            for record in file
            for alt in record.alts or (".",)
        ]
    assert list(table[list(COLUMNS)[:5]].itertuples(index=False, name=None)) == rows
    assert len(rows) >= records
    scored = table["status"] == "scored"
    assert scored.mean() > 0.9
    assert np.isfinite(of_score(table[scored], "log2_odds_ratio")).all(axis=None)

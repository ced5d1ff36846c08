"""Every SNV of regions: the alleles against a loop over the letters, the numbers against a VCF."""

import io
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from variant_cases import make_chromosome, make_run, read_tsv, write_vcf

import bioq
from bioq.cli import main
from bioq.genome.vcf_index import Order, write_index
from bioq.inputs.all_snvs import merge_regions
from bioq.tables.text import BgzipFile
from bioq.variants import COLUMNS

FIRST_BASE = {"R": "A", "Y": "C", "S": "C", "W": "A", "K": "G", "M": "A", "B": "C", "D": "A"}
FIRST_BASE |= {"H": "A", "V": "A"}
BOUND = 2e-5
"""How far scores may differ where alleles are in other batches: docs/how-to/variants.md."""


def contigs() -> dict[str, str]:
    one = make_chromosome(600)
    two = make_chromosome(900)[::-1]
    two = two[:300] + "NNNNN" + two[305:310] + "MRYKBV" + two[316:]
    return {"chr1": one[:200] + one[200:260].lower() + one[260:], "chr2": two}


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs().items()))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def bed(tmp_path: Path) -> Path:
    """Regions that are not in order, overlap, touch, or name contigs in two ways."""
    path = tmp_path / "regions.bed"
    rows = [("2", 295, 320), ("chr1", 240, 262), ("chr1", 250, 270), ("chr1", 270, 280)]
    rows += [("chr2", 0, 4), ("chr1", 597, 605), ("2", 318, 321)]
    path.write_text("".join(f"{name}\t{start}\t{end}\n" for name, start, end in rows))
    return path


def expected_alleles() -> list[tuple[str, int, str, str]]:
    """Return the alleles of `bed`, by a set of its bases."""
    bases = {("chr1", at) for at in [*range(240, 280), *range(597, 600)]}
    bases |= {("chr2", at) for at in [*range(4), *range(295, 321)]}
    alleles = []
    for name, at in sorted(bases):
        letter = contigs()[name][at].upper()
        ref = FIRST_BASE.get(letter, letter)
        alts = "N" if ref == "N" else "ACGT".replace(ref, "")
        alleles += [(name, at + 1, ref, alt) for alt in alts]
    return alleles


def call(run: Path, genome: Path, *words: str | Path) -> int:
    return main(["variants", str(run), "--genome", str(genome), *map(str, words)])


def test_every_base_has_its_snvs_once_in_the_order_of_the_genome(
    run: Path, genome: Path, bed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.tsv"
    assert call(run, genome, "--all-snvs", bed, "--out", out) == 0
    table = read_tsv(out)
    alleles = expected_alleles()
    assert list(table[["chrom", "pos", "ref", "alt"]].itertuples(index=False, name=None)) == alleles
    assert list(table.columns) == list(COLUMNS)
    assert set(table["id"]) == {"."}
    counts = Counter(table["status"])
    assert counts["ambiguous"] == sum(ref == "N" for _, _, ref, _ in alleles) == 5
    assert counts["scored"] + counts["edge_padded"] == len(alleles) - 5
    codes = table[table["genome_ref"] != ""].drop_duplicates(["chrom", "pos"])
    assert "".join(codes["genome_ref"]) == "MRYKBV"
    printed = capsys.readouterr().err.splitlines()
    assert f"73 bases in 4 regions, {len(alleles):,} alleles" in printed
    assert (
        f"{bed}: 1 region reaches past the end of the contig; the bases after it have no row"
        in printed
    )


def test_the_numbers_are_those_of_the_same_alleles_in_a_vcf(
    run: Path, genome: Path, bed: Path, tmp_path: Path
) -> None:
    alleles = expected_alleles()
    vcf = write_vcf(tmp_path / "in.vcf", [(n, pos, ".", ref, alt) for n, pos, ref, alt in alleles])
    order = np.random.default_rng(0).permutation(len(alleles))
    mixed = write_vcf(
        tmp_path / "mixed.vcf",
        [(alleles[at][0], alleles[at][1], ".", *alleles[at][2:]) for at in order],
    )
    background = tmp_path / "b.npz"
    assert (
        main(["background", str(run), str(vcf), "--genome", str(genome), "--out", str(background)])
        == 0
    )
    options = ["--background", str(background), "--targets", "*"]
    tables = []
    for name, source in (("a", ["--all-snvs", bed]), ("b", [vcf]), ("c", [mixed])):
        out = tmp_path / f"{name}.tsv"
        assert call(run, genome, *source, "--out", out, *options) == 0
        tables.append(out)
    assert tables[0].read_bytes() == tables[1].read_bytes()
    own, other = read_tsv(tables[0]), read_tsv(tables[2])
    assert own["score_phred"].notna().sum() == len(own) - 5
    own = own.iloc[order].reset_index(drop=True)
    scores = [name for name in own if name.startswith(("diff:", "ref:", "alt:"))]
    assert len(scores) == 6
    np.testing.assert_allclose(own[scores], other[scores], atol=BOUND)
    assert np.abs(own["diff:first"]).max() > 100 * BOUND


def test_a_typed_region_gives_the_rows_of_a_file(run: Path, genome: Path, tmp_path: Path) -> None:
    (tmp_path / "r.bed").write_text("1\t99\t200\n")
    for out, source in (("a.tsv", tmp_path / "r.bed"), ("b.tsv", "1:100-200")):
        assert call(run, genome, "--all-snvs", source, "--out", tmp_path / out) == 0
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    table = read_tsv(tmp_path / "a.tsv")
    assert len(table) == 303
    assert set(table["chrom"]) == {"chr1"}


def test_regions_on_standard_input_give_the_rows_of_a_file(
    run: Path, genome: Path, bed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(bed.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    for out, source in (("a.tsv", bed), ("b.tsv", "-")):
        assert call(run, genome, "--all-snvs", source, "--out", tmp_path / out) == 0
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


@pytest.mark.parametrize("ending", [".tsv.gz", ".vcf.gz"])
def test_tabix_finds_the_rows_of_a_region(
    ending: str, run: Path, genome: Path, bed: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"o{ending}"
    assert call(run, genome, "--all-snvs", bed, "--out", out) == 0
    lines = [line.split("\t") for line in pysam.BGZFile(str(out)).read().decode().splitlines()]
    rows = [line for line in lines if line[0].startswith("chr")]
    rows = [line for line in rows if line[0] != "chrom"]
    assert [tuple(line[:2]) for line in rows] == [
        (n, str(pos)) for n, pos, *_ in expected_alleles()
    ]
    with pysam.TabixFile(str(out)) as indexed:
        for contig, start, end in [("chr1", 239, 241), ("chr2", 297, 312), ("chr1", 0, 600)]:
            found = [line.split("\t") for line in indexed.fetch(contig, start, end)]
            assert found == [
                line for line in rows if line[0] == contig and start < int(line[1]) <= end
            ]
    assert Path(f"{out}.tbi").is_file()


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")
def test_bcftools_finds_the_rows_of_a_region(
    run: Path, genome: Path, bed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.vcf.gz"
    assert call(run, genome, "--all-snvs", bed, "--out", out) == 0
    command = ["bcftools", "query", "-r", "chr2:301-312", "-f", "%POS %REF %ALT\n", str(out)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert found.splitlines() == [
        f"{pos} {ref} {alt}"
        for name, pos, ref, alt in expected_alleles()
        if name == "chr2" and 301 <= pos <= 312
    ]


@pytest.mark.parametrize("position", [1000, (1 << 29) + 5])
def test_a_table_of_a_long_contig_gets_a_csi(position: int, tmp_path: Path) -> None:
    out = tmp_path / "t.tsv.gz"
    file = BgzipFile(out)
    file.write(f"chrom\tpos\tx\nchr1\t{position}\ta\nchr1\t{position + 1}\tb\n".encode())
    file.close()
    assert write_index(out, Order(last=position), kind="table")
    index = f"{out}{'.csi' if position > 1 << 29 else '.tbi'}"
    with pysam.TabixFile(str(out), index=index) as indexed:
        assert list(indexed.fetch("chr1", position, position + 1)) == [f"chr1\t{position + 1}\tb"]


@pytest.mark.parametrize("ending", [".parquet", ".h5", ".h5ad"])
def test_other_formats_have_the_same_rows(
    ending: str, run: Path, genome: Path, bed: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"o{ending}"
    assert call(run, genome, "--all-snvs", bed, "--out", out) == 0
    positions = [pos for _, pos, _, _ in expected_alleles()]
    if ending == ".parquet":
        table = pd.read_parquet(out)
        assert list(table.columns) == list(COLUMNS)
        assert table["pos"].tolist() == positions
    else:
        with h5py.File(out) as file:
            assert file["rows/pos" if ending == ".h5" else "obs/pos"][:].tolist() == positions


def test_deepseas_files_have_the_same_rows(run: Path, genome: Path, tmp_path: Path) -> None:
    """Their folder is locked while they are put in place, as that of a table with an index is."""
    words = ["variants", run, "--all-snvs", "chr1:300-310", "--genome", genome]
    out = tmp_path / "out.tsv.gz"
    words += ["--format", "deepsea", "--out", out]
    subprocess.run([sys.executable, "-m", "bioq", *map(str, words)], check=True, timeout=60)
    table = pd.read_csv(tmp_path / "out.tsv.gz.out.diff", index_col=0)
    assert table["pos"].tolist() == sorted([*range(300, 311)] * 3)


def test_the_three_alts_of_a_base_share_its_window(
    run: Path, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    predict = bioq.variants.scoring.predict_edits

    def counted(model, codes, edited, of, **options):
        calls.append((len(codes), len(edited)))
        return predict(model, codes, edited, of, **options)

    monkeypatch.setattr("bioq.variants.scoring.predict_edits", counted)
    assert call(run, genome, "--all-snvs", "chr1:200-300", "--out", tmp_path / "o.tsv") == 0
    assert calls == [(101, 303)] * 2  # two strands


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 12)).map(
            lambda each: (each[0], each[1], each[1] + each[2])
        ),
        max_size=12,
    )
)
@settings(max_examples=100)
def test_merged_regions_have_the_same_bases_and_are_apart(
    regions: list[tuple[int, int, int]],
) -> None:
    merged = merge_regions(np.array(regions, dtype=np.int64).reshape(-1, 3))
    covered = {(contig, at) for contig, start, end in regions for at in range(start, end)}
    found = [(contig, at) for contig, start, end in merged.tolist() for at in range(start, end)]
    assert found == sorted(covered)
    assert all(
        before[0] < after[0] or before[2] < after[1]
        for before, after in zip(merged.tolist(), merged.tolist()[1:], strict=False)
    )


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--all-snvs", "chr1:5:A>G"], 2, "is a variant; --all-snvs takes BED or a region"),
        (["--all-snvs", "chr1:599-602"], 1, "chr1 has the bases 1 to 600"),
        (["--all-snvs", "absent.bed"], 1, "absent.bed: no such file; expected a BED file"),
        (["--all-snvs", "empty.bed"], 1, "empty.bed: holds no regions; expected BED"),
        (["--all-snvs", "in.vcf"], 1, "in.vcf"),
        (["x.vcf", "--all-snvs", "chr1:5-6"], 2, "x.vcf with --all-snvs: give one input"),
        ([], 2, "no variants are given; expected a VCF, a BCF or a variant, or --all-snvs"),
        (["--all-snvs", "chr1:5-6", "--annotate"], 2, "--all-snvs has none; run without"),
        (["--all-snvs", "chr2:301-304"], 1, "none of its 4 alleles was scored"),
    ],
)
def test_what_has_no_snvs_is_refused_in_one_line(
    words: list[str],
    status: int,
    message: str,
    run: Path,
    genome: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.bed").write_text("# nothing\n")
    write_vcf(Path("in.vcf"), [("chr1", 5, ".", "A", "C")])
    ending = ".vcf.gz" if "--annotate" in words else ".tsv.gz"
    assert call(run, genome, *words, "--out", f"o{ending}") == status
    last = capsys.readouterr().err.splitlines()[-1]
    assert message in last
    if "chr2:301-304" not in words:
        assert not list(tmp_path.glob("o.*"))


def test_an_output_or_an_index_that_exists_is_not_replaced(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "o.tsv.gz.tbi"
    index.write_text("mine")
    words = ["--all-snvs", "chr1:5-6", "--out", tmp_path / "o.tsv.gz"]
    assert call(run, genome, *words) == 1
    assert f"{index}: " in capsys.readouterr().err
    assert index.read_text() == "mine"
    assert call(run, genome, *words, "--force") == 0
    with pysam.TabixFile(str(tmp_path / "o.tsv.gz")) as indexed:
        assert len(list(indexed.fetch("chr1"))) == 6

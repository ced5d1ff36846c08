"""What the second stage reads beside the scores: tracks, genes, frequencies; and its warnings."""

import gzip
from pathlib import Path

import numpy as np
import pyBigWig
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioq import BioqError
from bioq.errors import UsageError
from bioq.genome import ContigNames, open_genome
from bioq.genome.bigwig import open_tracks
from bioq.genome.gene_starts import Starts, read_starts
from bioq.genome.vcf import read_variants
from bioq.genome.vcf_frequencies import read_frequencies
from bioq.variants.second_stage.cross_fit import Folds
from bioq.variants.second_stage.quality import differences
from bioq.variants.second_stage.sets import DISTANCE, FREQUENCY, GC, INDEL

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data" / "human"
GTF = """#!genome-build x
chr1\tx\tgene\t101\t900\t.\t+\t.\tgene_id "a";
chr1\tx\ttranscript\t201\t900\t.\t+\t.\tgene_id "a";
chr1\tx\texon\t301\t400\t.\t+\t.\tgene_id "a";
chr1\tx\ttranscript\t301\t800\t.\t-\t.\tgene_id "b";
chrQ\tx\ttranscript\t1\t10\t.\t+\t.\tgene_id "c";
"""


@pytest.fixture
def names(tmp_path: Path) -> ContigNames:
    path = tmp_path / "g.fa"
    path.write_text(f">1\n{'ACGT' * 300}\n>2\n{'ACGT' * 10}\n")
    with open_genome(path) as genome:
        yield ContigNames(genome)


def test_starts_are_those_of_transcripts_on_their_strand(
    names: ContigNames, tmp_path: Path
) -> None:
    path = tmp_path / "genes.gtf.gz"
    path.write_bytes(gzip.compress(GTF.encode()))
    starts = read_starts(path, names)
    assert {name: each.tolist() for name, each in starts.of_contig.items()} == {"1": [200, 799]}
    path = tmp_path / "genes.gtf"
    path.write_text("".join(line for line in GTF.splitlines(True) if "transcript" not in line))
    assert read_starts(path, names).of_contig["1"].tolist() == [100]
    path = tmp_path / "genes.bed"
    path.write_text("track name=x\nchr1\t200\t900\ta\t0\t+\nchr1\t300\t800\tb\t0\t-\n")
    assert read_starts(path, names).of_contig["1"].tolist() == [200, 799]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1\t200\t900\n", "genes.txt:1: is not a line of genes"),
        ("chr1\t200\t900\ta\t0\t.\n", "genes.txt:1: the sixth column is '.'"),
        (f"chr1\t{'9' * 5000}\t900\ta\t0\t+\n", "genes.txt:1: is not a line of genes"),
        (f"chr1\tx\tgene\t1\t{'9' * 5000}\t.\t+\t.\tx\n", "genes.txt:1: is not a line of genes"),
        ("chr9\t200\t900\ta\t0\t+\n", "no transcript and no gene on a contig"),
        ("", "no transcript and no gene on a contig"),
    ],
)
def test_other_files_of_genes_are_refused(
    names: ContigNames, tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "genes.txt"
    path.write_text(text)
    with pytest.raises(BioqError, match=expected.replace(".", r"\.")):
        read_starts(path, names)


@given(st.sets(st.integers(0, 1000), min_size=1, max_size=20), st.integers(0, 1000))
def test_a_distance_is_that_to_the_nearest_start(starts: set[int], position: int) -> None:
    found = Starts({"1": np.array(sorted(starts))})
    assert found.distance("1", position) == min(abs(start - position) for start in starts)
    assert np.isnan(found.distance("2", position))


def write_track(path: Path, contig: str = "chr1", bp: int = 1200) -> Path:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(contig, bp)])
        file.addEntries([contig] * 2, [10, 20], ends=[12, 21], values=[1.0, 4.0])
    return path


def test_a_value_of_a_track_is_the_mean_of_the_bases_that_have_one(
    names: ContigNames, tmp_path: Path
) -> None:
    with open_tracks([write_track(tmp_path / "cons.bw")], names) as (track,):
        assert track.name == "cons"
        assert track.value("1", 10, 11) == 1
        assert track.value("1", 11, 21) == 2.5
        assert np.isnan(track.value("1", 12, 20))
        assert np.isnan(track.value("2", 1, 2))
    part = write_track(tmp_path / "part.bw", bp=100)
    with open_tracks([part], names) as (track,):
        assert track.value("1", 20, 300) == 4
        assert np.isnan(track.value("1", 100, 101))


def test_a_track_that_is_damaged_further_on_is_named(names: ContigNames, tmp_path: Path) -> None:
    """Its header and its index are those of a bigWig, its values cannot be unpacked."""
    path = tmp_path / "cons.bw"
    content = bytearray(write_track(path).read_bytes())
    data = int.from_bytes(content[16:24], "little")  # where the values begin
    content[data + 4 : data + 30] = bytes(26)
    path.write_bytes(content)
    with open_tracks([path], names) as (track,):
        with pytest.raises(BioqError, match=r"cons\.bw: the bigWig is damaged or cut short"):
            track.value("1", 10, 11)


def test_other_tracks_are_refused(names: ContigNames, tmp_path: Path) -> None:
    def message(*paths: Path) -> str:
        with pytest.raises(BioqError) as error, open_tracks(paths, names):
            pass
        return str(error.value)

    good = write_track(tmp_path / "cons.bw")
    damaged = tmp_path / "cut.bw"
    damaged.write_bytes(good.read_bytes()[:100])
    text = tmp_path / "x.wig"
    text.write_text("track type=wiggle_0\n")
    (tmp_path / "more").mkdir()
    assert "no such file" in message(tmp_path / "none.bw").lower()
    assert "is not a bigWig" in message(text)
    assert "damaged or cut short" in message(damaged)
    assert "has 1,300 bases, and 1,200" in message(write_track(tmp_path / "b.bw", bp=1300))
    assert "has no contig of" in message(write_track(tmp_path / "c.bw", "chr7"))
    with pytest.raises(UsageError, match="two files are called 'cons'"):
        with open_tracks([good, write_track(tmp_path / "more" / "cons.bw")], names):
            pass


VCF = """##fileformat=VCFv4.2
##contig=<ID=1>
##INFO=<ID=AF,Number=A,Type=Float,Description="x">
##INFO=<ID=XAF,Number=1,Type=Float,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
1\t10\t.\tA\tC,G\t.\t.\tXAF=0.9;AF=0.25,0.5
1\t11\t.\tA\t.\t.\t.\t.
1\t12\t.\tA\tC\t.\t.\tAF=.
1\t13\t.\tA\tC\t.\t.\tXAF=0.1
1\t14\t.\tA\tC\t.\t.\tAF=0.125
"""


def test_frequencies_are_those_of_info_for_each_allele(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.write_text(VCF)
    nan = float("nan")
    expected = [0.25, 0.5, nan, nan, nan, 0.125]
    np.testing.assert_array_equal(read_frequencies(path), expected)
    bcf = tmp_path / "a.bcf"
    with pysam.VariantFile(str(path)) as source:
        with pysam.VariantFile(str(bcf), "wb", header=source.header) as out:
            for record in source:
                out.write(record)
    np.testing.assert_array_equal(read_frequencies(bcf), expected)
    path.write_text("1\t10\t.\tA\tC,G\n")
    np.testing.assert_array_equal(read_frequencies(path), [nan, nan])


def test_frequencies_of_real_files_are_those_of_pysam() -> None:
    for name in ("exac.chr22.vcf.gz", "1000g.chr22.vcf.gz"):
        path = SHARED / name
        if not path.exists():
            pytest.skip("../shared/data is not here")
        found = read_frequencies(path)
        assert len(found) == sum(1 for _ in read_variants(path))
        expected: list[float] = []
        with pysam.VariantFile(str(path)) as file:
            for record in file:
                values = record.info.get("AF", (float("nan"),) * len(record.alts or "."))
                expected += values
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def folds_of(count: int) -> Folds:
    return Folds(np.arange(count) % 5, np.arange(count) // 4, "5 folds of contigs")


def test_a_difference_is_reported_only_where_it_is_more_than_chance() -> None:
    random = np.random.default_rng(3)
    labels = random.random(800) < 0.4
    same = {
        FREQUENCY: random.random(800),
        DISTANCE: random.exponential(1e4, 800),
        GC: random.normal(0.4, 0.05, 800),
        INDEL: (random.random(800) < 0.1).astype(float),
    }
    assert list(differences(same, labels, folds_of(800))) == []
    changed = {
        FREQUENCY: same[FREQUENCY] ** np.where(labels, 3, 1),
        DISTANCE: same[DISTANCE] / np.where(labels, 3, 1),
        GC: same[GC] + np.where(labels, 0.03, 0),
        INDEL: (random.random(800) < np.where(labels, 0.3, 0.1)).astype(float),
    }
    lines = list(differences(changed, labels, folds_of(800)))
    assert len(lines) == 4
    assert all("more than chance" in line for line in lines)
    share = changed[INDEL][labels].mean()
    assert f"{share:.1%} of the positives" in lines[3]


def test_a_property_that_is_not_known_is_not_compared() -> None:
    labels = np.arange(100) < 50
    nothing = np.full(100, np.nan)
    properties = {FREQUENCY: nothing, DISTANCE: nothing, GC: np.full(100, 0.4), INDEL: nothing}
    assert list(differences(properties, labels, folds_of(100))) == []
    one = Folds(np.zeros(100, np.int64), np.zeros(100, np.int64), "")
    properties[GC] = np.arange(100.0)
    (line,) = differences(properties, labels, one)
    assert line.startswith("GC: the sets were not compared")

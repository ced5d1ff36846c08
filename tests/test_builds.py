"""Tests of the known genome builds: their table, their names, and genomes by their lengths."""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from bioq.genome import builds, open_genome
from bioq.genome.builds import (
    about_accession,
    bare_name,
    build_named,
    build_of,
    compare_lengths,
    different_genomes,
    find_accession,
    which_build,
)

YEAST = Path(__file__).parents[2] / "shared/data/yeast/sacCer3.dev.fa.gz"
TENS, UNITS = ("", "X"), ("", *re.findall(r"\w+", "I II III IV V VI VII VIII IX"))
ROMAN = [tens + unit for tens in TENS for unit in UNITS][1:17]
HUMAN = Path(__file__).parents[2] / "shared/data/human/grch37_part.fa.gz"


def table() -> list[dict[str, str]]:
    path = Path(builds.__file__).with_name("builds.tsv")
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def named(text: str) -> str | None:
    build = build_named(text)
    return None if build is None else build.name


def of(**lengths: int) -> str | None:
    build = build_of(lengths)
    return None if build is None else build.name


def test_the_table_has_every_primary_chromosome_once() -> None:
    contigs = defaultdict(list)
    for row in table():
        contigs[row["build"]].append(row["contig"])
    human = [*map(str, range(1, 23)), "X", "Y", "MT"]
    mouse = [*map(str, range(1, 20)), "X", "Y", "MT"]
    assert {name: sorted(of) for name, of in contigs.items()} == {
        **dict.fromkeys(("hg19", "GRCh37", "GRCh38", "T2T-CHM13v2.0"), sorted(human)),
        **dict.fromkeys(("GRCm38", "GRCm39"), sorted(mouse)),
        "sacCer3": sorted([*ROMAN, "MT"]),
        **dict.fromkeys(("ce10", "ce11"), sorted([*ROMAN[:5], "X", "MT"])),
        "dm3": sorted(["2L", "2R", "3L", "3R", "4", "X", "MT"]),
        "dm6": sorted(["2L", "2R", "3L", "3R", "4", "X", "Y", "MT"]),
    }


def test_the_table_has_an_accession_for_one_sequence_only() -> None:
    sequences = defaultdict(set)
    for row in table():
        for accession in filter(None, (row["refseq"], row["genbank"])):
            assert accession.partition(".")[2].isdigit(), accession
            sequences[accession].add((row["contig"], row["bp"]))
    assert all(len(of) == 1 for of in sequences.values())


def test_the_total_lengths_are_those_of_the_assemblies() -> None:
    # The sum over the primary chromosomes with the mitochondrion, as NCBI's reports give it.
    total = Counter[str]()
    for row in table():
        total[row["build"]] += int(row["bp"])
    assert total["GRCh37"] == 3_095_693_981
    assert total["hg19"] == total["GRCh37"] + 2
    assert total["GRCh38"] == 3_088_286_401
    assert total["T2T-CHM13v2.0"] == 3_117_292_070
    assert total["sacCer3"] == 12_157_105
    assert total["ce11"] == 100_286_401


def test_hg19_and_grch37_differ_in_the_mitochondrion_only() -> None:
    hg19, grch37 = build_named("hg19"), build_named("GRCh37")
    assert hg19 is not None
    assert grch37 is not None
    differing = {name for name, bp in hg19.lengths.items() if grch37.lengths[name] != bp}
    assert differing == {"MT"}
    assert (hg19.length_of("chrM"), grch37.length_of("MT")) == (16_571, 16_569)
    assert hg19.has_chromosomes_of(grch37)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hg19", "hg19"),
        ("ucsc.hg19.fasta", "hg19"),
        ("GRCh37", "GRCh37"),
        ("b37", "GRCh37"),
        ("GRCh37.p13", "GRCh37"),
        ("hs37d5", "GRCh37"),
        ("human_g1k_v37", "GRCh37"),
        ("file:///humgen/1kg/reference/human_g1k_v37_decoy.fasta", "GRCh37"),
        ("ftp://ftp.1000genomes.ebi.ac.uk/hs37d5.fa.gz", "GRCh37"),
        ("file:///seq/Homo_sapiens_assembly19.fasta", "GRCh37"),
        ("GCF_000001405.25", "GRCh37"),
        ("NCBI build 37", "GRCh37"),
        ("GRCh37-lite", "GRCh37"),
        ("GRCh38.d1.vd1.fa", "GRCh38"),
        ("gnomAD_GRCh38", "GRCh38"),
        ("hg38.p14", "GRCh38"),
        ("CHM13_T2T_v2.0", "T2T-CHM13v2.0"),
        ("hg38", "GRCh38"),
        ("GRCh38.p14", "GRCh38"),
        ("GRCH38", "GRCh38"),
        ("GRCh38/hg38", "GRCh38"),
        ("GRCh38_full_analysis_set_plus_decoy_hla.fa", "GRCh38"),
        ("file:///x/GRCh38.primary.fa", "GRCh38"),
        ("GCA_000001405.15_GRCh38_no_alt_analysis_set", "GRCh38"),
        ("Homo_sapiens_assembly38.fasta", "GRCh38"),
        ("T2T-CHM13v2.0", "T2T-CHM13v2.0"),
        ("chm13v2.0.fa", "T2T-CHM13v2.0"),
        ("hs1", "T2T-CHM13v2.0"),
        ("mm10", "GRCm38"),
        ("GRCm38.p6", "GRCm38"),
        ("mm39", "GRCm39"),
        ("Mus_musculus.GRCm39.dna.primary_assembly.fa", "GRCm39"),
        ("sacCer3", "sacCer3"),
        ("R64-1-1", "sacCer3"),
        ("Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa", "sacCer3"),
        ("Drosophila_melanogaster.BDGP6.46.dna.toplevel.fa", "dm6"),
        ("dm3", "dm3"),
        ("WBcel235", "ce11"),
        ("ce10.2bit", "ce10"),
        # Ambiguous, unknown, or part of a longer word.
        ("lifted from hg19 to hg38", None),
        ("hg19/GRCh37", None),
        ("chm13v1.1", None),
        ("hg18", None),
        ("hg190", None),
        ("lib37", None),
        ("", None),
    ],
)
def test_a_text_names_a_build(text: str, name: str | None) -> None:
    assert named(text) == name


def test_lengths_identify_a_genome_and_a_part_of_it() -> None:
    assert of(chr1=248_956_422) == "GRCh38"
    assert of(chr22=51_304_566) == "hg19"
    assert build_of({"22": 51_304_566}) == build_named("GRCh37")
    assert of(chr1=249_250_621, chrM=16_569) == "GRCh37"
    assert of(chr1=249_250_621, chrM=16_571, chrMT=16_569) == "hg19"
    assert build_of({"NC_000001.11": 248_956_422}) == build_named("hg38")
    assert of(chr1=195_471_971, chrUn_x=5) == "GRCm38"
    assert of(chrIV=1_531_933) == "sacCer3"


def test_lengths_of_no_known_build_or_of_two_give_none() -> None:
    assert of(chr1=248_956_422, chr2=243_199_373) is None
    assert of(chr1=1_000_000, chr22=22_000_000) is None
    assert of(chrM=16_569) is None  # four builds have it
    assert of() is None


def test_an_accession_is_a_chromosome_of_its_builds() -> None:
    grch38 = find_accession("NC_000001.11")
    assert grch38 is not None
    assert (grch38.contig, grch38.bp, grch38.builds) == ("1", 248_956_422, ("GRCh38",))
    assert find_accession("CM000663.2") == grch38
    older = find_accession("NC_000001.10")
    assert older is not None
    assert older.builds == ("hg19", "GRCh37")
    assert find_accession("ref|NC_001133.9|") == find_accession("BK006935.2")
    assert bare_name("NC_000023.11") == "X"


def test_an_accession_without_version_is_known_where_one_version_is() -> None:
    assert find_accession("NC_000001") is None
    assert find_accession("NC_000001.9") is None
    assert find_accession("NC_060925") == find_accession("NC_060925.1")
    assert find_accession("chr1") is None
    assert find_accession("1") is None


def test_an_accession_is_described_for_messages() -> None:
    assert about_accession("NC_000001.10") == "NC_000001.10 is 1 of hg19 and GRCh37"
    assert about_accession("NC_000001") == (
        "NC_000001 has no version: NC_000001.10 is of GRCh37, NC_000001.11 is of GRCh38"
    )
    assert about_accession("CM000994.1").startswith("CM000994.1 is another version: CM000994.2 is")
    assert about_accession("chr1") == ""


def test_chromosomes_of_different_builds_have_different_lengths() -> None:
    of_length = defaultdict(set)
    for row in table():
        if row["contig"] != "MT" and row["build"] != "hg19":
            of_length[row["contig"], row["bp"]].add(row["build"])
    assert all(len(names) == 1 for names in of_length.values())


def test_genomes_differ_by_build_or_by_the_length_of_a_contig() -> None:
    grch37, hg19 = {"1": 249_250_621, "MT": 16_569}, {"chr1": 249_250_621, "chrM": 16_571}
    grch38, mouse = {"chr1": 248_956_422}, {"chr2": 182_113_224}
    assert different_genomes(grch37, hg19) is None
    assert different_genomes(grch37, grch38) == ("GRCh37", "GRCh38")
    assert different_genomes(grch38, mouse) == ("GRCh38", "GRCm38")
    assert different_genomes(grch37, {"1": 1_000_000}) is None
    assert different_genomes(grch37, {"chr1": 240_000_000}) == (
        "GRCh37", "a genome whose chr1 has 240,000,000 bases",
    )  # fmt: skip
    assert different_genomes({"chr1": 6000}, {"1": 5999}) is not None
    assert different_genomes({"chr1": 6000}, {"1": 2000, "chrM": 9}) is None
    assert different_genomes({}, grch38) is None


def test_a_position_past_the_end_names_the_builds_that_have_it() -> None:
    question = "is the file of another genome build?"
    grch38 = build_named("hg38")
    assert which_build("chr1", 249_000_000, grch38) == (
        f"{question} hg19 and GRCh37 have that position"
    )
    assert which_build("chr1", 10**9, grch38) == question
    assert which_build("chr1", 5, None) == question


def test_a_build_has_lengths_by_any_name() -> None:
    build = build_named("GRCh38")
    assert build is not None
    assert {build.length_of(name) for name in ("1", "chr1", "NC_000001.11", "CM000663.2")} == {
        248_956_422
    }
    assert build.length_of("NC_000001.10") is None
    assert build.length_of("chrUn_x") is None


@pytest.mark.parametrize(
    ("contig", "one", "other", "relation"),
    [
        ("chr1", 5, 5, "same"),
        ("MT", 2_998, 3_000, "different"),
        ("chrM", 16_571, 16_569, "different"),
        ("1", 249_250_621, 248_956_422, "different"),
        ("22", 51_304_566, 22_000_000, "part"),
        ("chr1", 6_000, 248_956_422, "part"),
        ("chrM", 16_569, 85_779, "different"),  # the human against yeast's
    ],
)
def test_two_lengths_of_a_contig(contig: str, one: int, other: int, relation: str) -> None:
    assert compare_lengths(contig, one, other) == relation
    assert compare_lengths(contig, other, one) == relation


@pytest.mark.skipif(not YEAST.is_file(), reason="needs the real data in ../shared/data")
def test_the_real_yeast_genome_is_saccer3() -> None:
    with open_genome(YEAST) as genome:
        build = build_of(genome.lengths)
        assert build is not None
        assert build.name == "sacCer3"
        assert {name: build.length_of(name) for name in genome.lengths} == genome.lengths


@pytest.mark.skipif(not HUMAN.is_file(), reason="needs the real data in ../shared/data")
def test_the_first_bases_of_human_chromosomes_are_no_known_build() -> None:
    with open_genome(HUMAN) as genome:
        assert build_of(genome.lengths) is None

"""Windows around alleles: against string edits of a whole chromosome, done by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioq import dna
from bioq.genome import ContigNames, Genome
from bioq.genome.alleles import (
    STATUSES,
    AlleleSite,
    Indel,
    centre_index,
    locate_allele,
    read_allele_windows,
)
from bioq.genome.vcf import Variant


def genome_of(**contigs: str) -> Genome:
    codes = {name: dna.encode(letters) for name, letters in contigs.items()}
    lengths = {name: len(letters) for name, letters in contigs.items()}
    return Genome(Path("genome.fa"), lengths, lambda c, start, end: codes[c][start:end], bool)


def by_string(chromosome: str, pos: int, ref: str, alt: str, window_bp: int, flank: str) -> str:
    """Edit the allele into the whole chromosome and cut the window out: strings only.

    The first base of REF is at 0-based index window_bp // 2 - 1 of the window. Keeping the right
    flank moves the cut by as many bases as the chromosome has become longer.
    """
    padding = "N" * 3 * window_bp
    at = pos - 1
    assert chromosome[at : at + len(ref)].upper() == ref.upper()
    edited = padding + chromosome[:at] + alt + chromosome[at + len(ref) :] + padding
    start = len(padding) + at - (window_bp // 2 - 1)
    if flank == "right":
        start += len(alt) - len(ref)
    return edited[start : start + window_bp].upper()


def random_dna(random: np.random.Generator, length: int) -> str:
    return dna.decode(random.integers(0, 4, length).astype(np.uint8))


def test_the_variant_base_is_at_index_499_of_1000() -> None:
    assert centre_index(1000) == 499
    genome = genome_of(one="A" * 5000 + "C" + "A" * 5000)
    here = locate_allele(Variant("f:1", "one", 5001, ".", "C", "T"), ContigNames(genome), 1000)
    windows = read_allele_windows(genome, here, 1000, "left")
    assert np.flatnonzero(windows.genome == 1).tolist() == [499]
    assert np.flatnonzero(windows.edited[0] == 3).tolist() == [499]
    # DeepSEA's window of a variant: 1-based pos - 499 to pos + 500.
    assert (here.start + 1 - centre_index(1000), here.start - centre_index(1000) + 1000) == (
        5001 - 499,
        5001 + 500,
    )


@pytest.mark.parametrize("window_bp", [20, 21, 200])
def test_thousands_of_random_alleles_are_what_a_string_edit_gives(window_bp: int) -> None:
    random = np.random.default_rng(window_bp)
    chromosome = random_dna(random, 700)
    genome = genome_of(one=chromosome)
    names = ContigNames(genome)
    longest = centre_index(window_bp)
    checked = padded = 0
    while checked < 2000:
        ref_bp, alt_bp = random.integers(1, min(longest, 30) + 1, 2)
        pos = int(random.integers(1, len(chromosome) - ref_bp + 2))
        ref, alt = chromosome[pos - 1 : pos - 1 + ref_bp], random_dna(random, alt_bp)
        here = locate_allele(Variant("f:1", "one", pos, ".", ref, alt), names, window_bp)
        if here.status == "alt_is_ref":
            assert ref == alt
            continue
        assert here.status == "scored"
        indel: Indel = ("left", "right", "both")[checked % 3]  # type: ignore[assignment]
        result = read_allele_windows(genome, here, window_bp, indel)
        flanks = ["left", "right"] if indel == "both" else [indel]
        expected = [by_string(chromosome, pos, ref, alt, window_bp, flank) for flank in flanks]
        if ref_bp == alt_bp:
            assert len(set(expected)) == 1
            del expected[1:]
        assert [dna.decode(codes) for codes in result.edited] == expected
        genome_window = by_string(chromosome, pos, ref, ref, window_bp, "left")
        assert dna.decode(result.genome) == genome_window
        assert result.is_padded == any("N" in window for window in [genome_window, *expected])
        padded += result.is_padded
        checked += 1
    assert 20 < padded < 2000


def test_each_flank_stays_where_it_was() -> None:
    genome = genome_of(one="AAAAAAAAAACGTTTTTTTTTTTT")
    here = locate_allele(Variant("f:1", "one", 11, ".", "CG", "C"), ContigNames(genome), 8)
    both = read_allele_windows(genome, here, 8, "both")
    assert dna.decode(both.genome) == "AAACGTTT"
    assert [dna.decode(codes) for codes in both.edited] == ["AAACTTTT", "AAAACTTT"]
    here = locate_allele(Variant("f:1", "one", 11, ".", "C", "CC"), ContigNames(genome), 8)
    both = read_allele_windows(genome, here, 8, "both")
    assert [dna.decode(codes) for codes in both.edited] == ["AAACCGTT", "AACCGTTT"]


GENOME = genome_of(chr1="ACGTACGTNNACGTACGTAC", chrM="ACGT")


@pytest.mark.parametrize(
    ("chrom", "pos", "ref", "alt", "status", "genome_ref"),
    [
        ("chr1", 5, "A", "C", "scored", ""),
        ("1", 5, "a", "c", "scored", ""),
        ("MT", 1, "A", "C", "scored", ""),
        ("1", 5, "AC", "A", "scored", ""),
        ("1", 5, "ACG", "TTT", "scored", ""),
        ("1", 5, "G", "A", "allele_swapped", "A"),
        ("1", 5, "A", "AC", "scored", ""),
        ("1", 5, "G", "T", "ref_mismatch", "A"),
        ("1", 20, "G", "CA", "ref_mismatch", "C"),
        ("1", 9, "A", "C", "ref_mismatch", "N"),
        ("1", 9, "N", "C", "ambiguous", ""),
        ("1", 5, "A", "R", "ambiguous", ""),
        ("1", 5, "A", "a", "alt_is_ref", ""),
        ("1", 5, "A", "*", "star", ""),
        ("1", 5, "A", ".", "no_alt", ""),
        ("1", 5, "A", "<DEL>", "symbolic", ""),
        ("1", 5, "A", "A[1:9[", "symbolic", ""),
        ("1", 5, "A", ".C", "symbolic", ""),
        ("2", 5, "A", "C", "no_contig", ""),
        ("1", 0, "A", "C", "outside_contig", ""),
        ("1", 21, "A", "C", "outside_contig", ""),
        ("1", 20, "CA", "C", "outside_contig", ""),
        ("1", 1, "ACGTA", "A", "too_long", ""),
        ("1", 1, "A", "AAAAA", "too_long", ""),
    ],
)
def test_every_allele_has_its_status(
    chrom: str, pos: int, ref: str, alt: str, status: str, genome_ref: str
) -> None:
    here = locate_allele(Variant("f:1", chrom, pos, ".", ref, alt), ContigNames(GENOME), 10)
    assert (here.status, here.genome_ref) == (status, genome_ref)
    assert here.status in STATUSES
    assert (here.inserted is not None) == (status in ("scored", "allele_swapped"))


def test_a_contig_shorter_than_the_window_is_padded_on_both_sides() -> None:
    here = locate_allele(Variant("f:1", "chrM", 2, ".", "C", "T"), ContigNames(GENOME), 10)
    windows = read_allele_windows(GENOME, here, 10, "left")
    assert dna.decode(windows.genome) == "NNNACGTNNN"
    assert dna.decode(windows.edited[0]) == "NNNATGTNNN"
    assert windows.is_padded


def test_an_allele_without_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="status star has no windows"):
        read_allele_windows(GENOME, AlleleSite("star"), 10, "left")


@given(st.data())
def test_any_allele_on_any_genome_has_a_status_and_whole_windows(data: st.DataObject) -> None:
    chromosome = data.draw(st.text("ACGTNacgt", min_size=1, max_size=40))
    genome = genome_of(one=chromosome)
    allele = st.text("ACGTN", min_size=1, max_size=8)
    pos = data.draw(st.integers(0, len(chromosome) + 2))
    own = chromosome[max(pos - 1, 0) : pos + 2] or "A"
    ref = data.draw(allele | st.just(own))
    alt = data.draw(allele | st.sampled_from(["*", ".", "<DEL>", "]1:2]A"]) | st.just(own))
    here = locate_allele(Variant("f:1", "one", pos, ".", ref, alt), ContigNames(genome), 12)
    assert here.status in STATUSES
    if here.inserted is None:
        return
    old, new = (ref, alt) if here.status == "scored" else (alt, ref)
    result = read_allele_windows(genome, here, 12, "both")
    flanks = ["left", "right"][: len(result.edited)]
    assert [dna.decode(codes) for codes in result.edited] == [
        by_string(chromosome, pos, old, new, 12, flank) for flank in flanks
    ]
    assert dna.decode(result.genome) == by_string(chromosome, pos, old, old, 12, "left")

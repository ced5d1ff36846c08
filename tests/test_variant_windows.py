"""Windows around alleles: against string edits of a whole chromosome, done by hand."""

import itertools
from collections import Counter
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
    return Genome(
        Path("genome.fa"),
        lengths,
        lambda c, start, end: codes[c][start:end],
        bool,
        lambda c, start, end: contigs[c][start:end].upper(),
    )


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
        ("1", 5, "ACC", "A", "ref_mismatch", "ACG"),
        ("1", 5, "CCG", "CG", "ref_mismatch", "ACG"),
        ("1", 5, "ATTG", "AG", "ref_mismatch", "ACGT"),
        ("1", 5, "ATTA", "AC", "allele_swapped", "ACGT"),
        ("1", 5, "T", "TA", "ref_mismatch", "A"),
        ("1", 5, "TT", "ACGT", "allele_swapped", "AC"),
        ("1", 19, "TT", "ACG", "ref_mismatch", "AC"),
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
        ("1", 1, "ACGT", "A", "scored", ""),
        ("1", 1, "C", "ACGTA", "too_long", "A"),
        ("1", 1, "ACGTC", "A", "ref_mismatch", "ACGTA"),
        ("1", 1, "ACGTA", "ACGTA", "alt_is_ref", ""),
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


ALLOWED_BY = {
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
}  # fmt: skip


def status_by_string(letters: str, at: int, ref: str, alt: str) -> str:
    """Return the status of an allele with bases, by the letters of the genome from `at` on."""
    has = letters[at : at + len(ref)]
    if all(base == own or base in ALLOWED_BY.get(own, "") for base, own in zip(ref, has)):  # noqa: B905
        return "scored"
    # Every way to cut ALT in two: is it a beginning and an end of REF, without the middle?
    is_deletion = len(alt) < len(ref) and any(
        alt == ref[:cut] + ref[len(ref) - len(alt) + cut :] for cut in range(len(alt) + 1)
    )
    has_alt = letters[at : at + len(alt)] == alt
    return "allele_swapped" if has_alt and not is_deletion else "ref_mismatch"


def test_the_status_of_every_short_allele_is_what_string_comparison_gives() -> None:
    random = np.random.default_rng(18)
    counts: Counter[str] = Counter()
    for _ in range(8000):
        letters = "".join(random.choice(list("ACGT" * 6 + "NMRSVB"), 16))
        at = int(random.integers(5, 8))

        def draw(letters: str = letters, at: int = at) -> str:
            length = int(random.integers(1, 5))
            own = [str(random.choice(list(ALLOWED_BY.get(x, "A")))) if x not in "ACGT" else x
                   for x in letters[at : at + length]]  # fmt: skip
            change = random.random(length) < 0.15
            drawn = random.choice(list("ACGT"), length)
            return "".join(np.where(change, drawn, own))

        ref, alt = draw(), draw()
        if ref == alt:
            continue
        genome = genome_of(one=letters)
        site = locate_allele(Variant("f:1", "one", at + 1, ".", ref, alt), ContigNames(genome), 14)
        has = letters[at : at + len(ref)]
        assert site.status == status_by_string(letters, at, ref, alt), (has, ref, alt)
        assert site.genome_ref == ("" if has == ref else has)
        counts[site.status + ("" if set(has) <= set("ACGT") else ", IUPAC")] += 1
    assert min(counts.values()) > 10
    assert len(counts) == 6


def test_the_page_has_the_statuses_in_the_order_in_which_they_are_decided() -> None:
    page = (Path(__file__).parents[1] / "docs/reference/variant-table.md").read_text("utf-8")
    table = page.partition("| status | meaning |\n| --- | --- |\n")[2].partition("\n\n")[0]
    rows = [line.replace("`", "").strip("| ").split(" | ") for line in table.splitlines()]
    assert [tuple(row) for row in rows] == list(STATUSES.items())


def test_the_status_is_the_first_that_is_true_of_the_allele() -> None:
    genome, longest = genome_of(one="ACGTTGCA" * 10), 5
    for chrom, contig_bp, pos, ref, alt in itertools.product(
        ("one", "two"),
        (None, 80, 79),
        (1, 2, 77),
        ("A", "C", "N", "CGTTG", "CGTTGC", "AAAAAA"),
        ("A", "C", "N", "CGTTG", "CGTTGC", "<DEL>", "*", "."),
    ):
        by_bases = status_by_string("ACGTTGCA" * 10, pos - 1, ref, alt)
        is_true = {
            "symbolic": alt == "<DEL>",
            "star": alt == "*",
            "no_alt": alt == ".",
            "no_contig": chrom == "two",
            "contig_differs": contig_bp == 79,
            "outside_contig": pos - 1 + len(ref) > 80,
            "ambiguous": "N" in ref + alt,
            "alt_is_ref": ref == alt,
            "ref_mismatch": by_bases == "ref_mismatch",
            "too_long": max(len(ref), len(alt)) > longest,
            "allele_swapped": by_bases == "allele_swapped",
        }
        variant = Variant("f:1", chrom, pos, ".", ref, alt, contig_bp)
        expected = next((status for status in list(STATUSES)[2:] if is_true[status]), "scored")
        status = locate_allele(variant, ContigNames(genome), 2 * longest + 2).status
        assert status == expected, variant


@pytest.mark.parametrize(
    ("pos", "ref", "alt", "status", "genome_ref", "windows"),
    [
        # 1-based: 11 M, 12 N, 13 R, 14 R.
        (11, "A", "T", "scored", "M", ["CGTACANNNA", "CGTACTNNNA"]),
        (11, "C", "A", "scored", "M", ["CGTACCNNNA", "CGTACANNNA"]),
        (11, "c", "cgg", "scored", "M", ["CGTACCNNNA", "CGTACCGGNN"]),
        (10, "CC", "C", "scored", "CM", ["ACGTACCNNN", "ACGTACNNNA"]),
        (13, "GA", "G", "scored", "RR", ["TACNNGAACG", "TACNNGACGT"]),
        (13, "GA", "TT", "scored", "RR", ["TACNNGAACG", "TACNNTTACG"]),
        (11, "G", "T", "ref_mismatch", "M", None),
        (11, "G", "A", "ref_mismatch", "M", None),
        (11, "M", "T", "ambiguous", "", None),
        (11, "A", "M", "ambiguous", "", None),
        (11, "A", "A", "alt_is_ref", "", None),
        (12, "A", "T", "ref_mismatch", "N", None),
        (11, "AA", "A", "ref_mismatch", "MN", None),
        (13, "GC", "G", "ref_mismatch", "RR", None),
    ],
)
def test_a_base_that_the_iupac_code_of_the_genome_allows_is_in_both_windows(
    pos: int, ref: str, alt: str, status: str, genome_ref: str, windows: list[str] | None
) -> None:
    genome = genome_of(one="ACGTACGTACMNRRacgtac")
    here = locate_allele(Variant("f:1", "one", pos, ".", ref, alt), ContigNames(genome), 12)
    assert (here.status, here.genome_ref) == (status, genome_ref)
    if windows is None:
        assert here.inserted is None
        return
    found = read_allele_windows(genome, here, 12, "left")
    assert [dna.decode(codes)[:10] for codes in (found.genome, *found.edited)] == windows


@given(st.data())
def test_windows_at_iupac_codes_are_what_a_string_edit_gives(data: st.DataObject) -> None:
    chromosome = data.draw(st.text("ACGTNMRYKSWBDHV", min_size=1, max_size=40))
    genome = genome_of(one=chromosome)
    start = data.draw(st.integers(0, len(chromosome) - 1))
    has = chromosome[start : start + data.draw(st.integers(1, 5))]
    ref = "".join(data.draw(st.sampled_from(ALLOWED_BY.get(letter, letter))) for letter in has)
    alt = data.draw(st.text("ACGT", min_size=1, max_size=5))
    here = locate_allele(Variant("f:1", "one", start + 1, ".", ref, alt), ContigNames(genome), 12)
    if "N" in ref:
        assert here.status == "ambiguous"
    if here.status != "scored":
        return
    concrete = "".join(
        letter if letter in "ACGT" or start <= at < start + len(ref) else "N"
        for at, letter in enumerate(chromosome[:start] + ref + chromosome[start + len(ref) :])
    )
    result = read_allele_windows(genome, here, 12, "both")
    flanks = ["left", "right"][: len(result.edited)]
    assert dna.decode(result.genome) == by_string(concrete, start + 1, ref, ref, 12, "left")
    assert [dna.decode(codes) for codes in result.edited] == [
        by_string(concrete, start + 1, ref, alt, 12, flank) for flank in flanks
    ]


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

"""How people write regions and variants: every spelling, read back, and contigs with any name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioq.errors import BioqError
from bioq.genome.notation import (
    REGION_PATTERN,
    Interval,
    VariantText,
    correction,
    parse_region,
    parse_variant,
)

CONTIGS = st.sampled_from(
    ["chr1", "1", "chrUn_KI270302v1", "HLA-A*01:01:01:01", "HLA-DRB1*15:01:01:01", "a:1-5", "x-2-A"]
)
NUMBERS = st.integers(1, 10**9)


@given(CONTIGS, NUMBERS, NUMBERS, st.sampled_from(["{:,}", "{}", "{:012}"]), st.data())
def test_a_region_is_read_in_every_spelling(contig, start, end, digits, data):
    dash = data.draw(st.sampled_from(["-", "–", " - ", "- ", ".."]))
    text = f" {contig}:{digits.format(start)}{dash}{digits.format(end)}\n"
    region = parse_region(text)
    assert region == Interval(contig, start - 1, end)
    assert region.is_within() == (start <= end)
    assert parse_region(str(region)) == region
    assert parse_variant(text) is None


@given(CONTIGS, NUMBERS, st.text("ACGTNacgtn", min_size=1, max_size=9), st.data())
def test_a_variant_is_read_in_every_spelling(contig, pos, ref, data):
    alt = data.draw(st.text("ACGTN", min_size=1, max_size=9))
    number = data.draw(st.sampled_from(["{:,}", "{}"])).format(pos)
    text = data.draw(
        st.sampled_from(
            [
                f"{contig}:{number}:{ref}>{alt}",
                f"{contig}:{number}:{ref}:{alt}",
                f"{contig}:{number}:{ref}/{alt}",
                f"{contig}-{number}-{ref}-{alt}",
                f"{contig}–{number}–{ref}–{alt}",
                f"{contig}:{number}{ref}>{alt}",
                f"{contig}:g.{number}{ref}>{alt}",
                f"{contig}_{pos}_{ref.upper()}_{alt}",
                f"{contig} {pos} {ref} {alt}",
                f"{contig}\t{pos}\t.\t{ref}\t{alt}\t50\tPASS",
            ]
        )
    )
    variant = parse_variant(text)
    if "_" in text.removeprefix(contig):
        ref = ref.upper()
    assert variant == VariantText(contig, str(pos), ".", ref, alt)
    assert parse_variant(str(variant)) == variant
    assert parse_region(text) is None


def test_an_alt_that_is_not_bases_is_read_after_an_arrow_only():
    assert parse_variant("chr1:5:A>C,<DEL>") == ("chr1", "5", ".", "A", "C,<DEL>")
    assert parse_variant("chr1:5:A>-") == ("chr1", "5", ".", "A", "-")
    assert parse_variant("chr1-5-A-*") is None
    assert parse_variant("a-1-b-c.bed") is None


@pytest.mark.parametrize("text", ["chr1:-1:G>A", "chr1:-5-C-A", "chr1--5-C-A", ":5:C>A"])
def test_the_name_of_a_contig_does_not_end_with_the_separator(text):
    assert parse_variant(text) is None


@pytest.mark.parametrize(
    ("first", "last", "contig_bp", "expected"),
    [(1, 5, 5, True), (1, 6, 5, False), (0, 5, 5, False), (3, 2, 5, False), (3, 3, None, True)],
)
def test_a_region_is_within_its_contig_or_not(first, last, contig_bp, expected):
    assert parse_region(f"chr1:{first}-{last}").is_within(contig_bp) == expected


@given(st.from_regex(f"^{REGION_PATTERN}$", alphabet=st.characters(codec="ascii")))
def test_the_pattern_of_the_api_is_part_of_the_grammar(text):
    if all(len(number) < 19 for number in re.split("[:-]", text)):
        assert parse_region(text) is not None


@given(st.text() | st.lists(st.sampled_from([*":->–,/. ", "1", "A", "chr1"])).map("".join))
def test_any_text_is_read_or_not(text):
    try:
        region, variant = parse_region(text), parse_variant(text)
        assert "\n" not in correction(text)
    except BioqError as error:
        assert "digits" in str(error)  # noqa: PT017
        return
    assert region is None or variant is None or len(text.split()) > 3
    if region is not None:
        assert re.search(r"\d|,", text)


@pytest.mark.parametrize("digits", ["1" * 19, "9" * 60, "1,000" * 9])
def test_a_position_of_more_than_18_digits_is_refused_and_shown(digits):
    for text in (f"chr1:{digits}-5", f"chr1:5-{digits}"):
        with pytest.raises(BioqError, match="digits, and no contig is that long") as error:
            parse_region(text, "line 3: ")
        assert str(error.value).startswith(f"line 3: '{text[:50]}")
    zeros = parse_region("chr1:" + "0" * 30 + "5-" + "1" * 18)
    assert zeros == Interval("chr1", 4, int("1" * 18))


def test_a_long_text_takes_time_in_proportion():
    for text in ("1-" * 500_000, "a" * 1_000_000, "c:" + "1" * 1_000_000, "c-1-A" * 200_000):
        assert parse_region(text) is None
        assert parse_variant(text + "!") is None
        assert not correction(text)


@pytest.mark.parametrize("contig", ["NC_000001.11", "NT_187361.1", "CM000663.2", "KI270728.1"])
@pytest.mark.parametrize("alleles", ["A:G", "A:", ":G", "2:G", "AT:A"])
def test_four_parts_after_an_accession_are_spdi_and_no_variant(contig, alleles):
    assert parse_variant(f"{contig}:702:{alleles}") is None
    assert "from 0" in correction(f"{contig}:702:{alleles}")
    assert parse_variant(f"{contig}:703:A>G") == (contig, "703", ".", "A", "G")


@pytest.mark.parametrize("text", ["peaks.bed", "", "chr1:5:A>C", "a b c d", "1 700 700 G/A +"])
def test_other_texts_are_not_corrected(text):
    assert correction(text) == ""

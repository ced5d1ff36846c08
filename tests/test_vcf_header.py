"""Tests of VCF headers: lengths, assemblies, accessions, and lines that are malformed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioq.genome.vcf_header import VcfHeader


def header(*lines: str) -> VcfHeader:
    read = VcfHeader()
    for line in lines:
        read.add_line(line.encode())
    return read


@pytest.mark.parametrize(
    ("line", "lengths"),
    [
        ("##contig=<ID=1,length=249250621>", {"1": 249_250_621}),
        ("##contig=<length=5,ID=1>", {"1": 5}),
        ("##contig=<ID=1,length=249,250,621,assembly=b37>", {"1": 249_250_621}),
        ("##contig=<ID=1, length=5 , assembly=b37>", {"1": 5}),
        ('##contig=<ID=1,assembly="a, b=c",length="5",md5=1b22,species="Homo sapiens">', {"1": 5}),
        (r'##contig=<ID=1,note="say \"so\", then",length=5>', {"1": 5}),
        ("##contig=<ID=HLA-A*01:01:01:01,length=3503>\r\n", {"HLA-A*01:01:01:01": 3503}),
        ("##contig=<ID=<ctg1>,length=7>", {"<ctg1>": 7}),
        ("##CONTIG=<id=1,Length=5>", {"1": 5}),
        # Not a length.
        ("##contig=<ID=1>", {}),
        ("##contig=<ID=1,length=>", {}),
        ("##contig=<ID=1,length=-5>", {}),
        ("##contig=<ID=1,length=0>", {}),
        ("##contig=<ID=1,length=five>", {}),
        ("##contig=<ID=1,length=2147483647>", {}),
        ("##contig=<ID=1,length=536870912>", {}),
        (f"##contig=<ID=1,length={'9' * 5000}>", {}),
        # Malformed.
        ("##contig=<length=5>", {}),
        ("##contig=<ID=1,length=5", {}),
        ("##contig=", {}),
        ("##contig=<>", {}),
        ("##contig=<,,,>", {}),
        ('##contig=<ID="1,length=5>', {'"1': 5}),  # the quote does not end
    ],
)
def test_the_lengths_of_contigs(line: str, lengths: dict[str, int]) -> None:
    assert dict(header(line).lengths) == lengths


@given(st.lists(st.binary(max_size=80)), st.booleans())
def test_no_line_is_an_error(lines: list[bytes], as_contig: bool) -> None:
    read = VcfHeader()
    for line in lines:
        read.add_line(b"##contig=<" + line + b">" if as_contig else b"##" + line)
    assert read.length_of("1") is None or read.lengths
    assert read.build is None or read.lengths or read.named


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["##reference=file:///x/GRCh38.primary.fa"], "GRCh38"),
        (["##reference=<ID=hs37d5,Source=ftp://x/hs37d5.fa.gz>"], "GRCh37"),
        (["##assembly=hg19"], "hg19"),
        (["##genome-build hg38"], "GRCh38"),
        (["##contig=<ID=1,assembly=GRCh37.p13>", "##contig=<ID=2,assembly=b37>"], "GRCh37"),
        (["##contig=<ID=1,assembly=GRCh37>", "##reference=GRCh38"], None),
        (["##reference=my.fa", "##source=hg19"], None),
        ([], None),
    ],
)
def test_the_build_that_a_header_names(lines: list[str], named: str | None) -> None:
    build = header(*lines).named
    assert (None if build is None else build.name) == named


def test_the_build_by_lengths_comes_before_its_name() -> None:
    read = header("##reference=GRCh38", "##contig=<ID=1,length=249250621>")
    assert read.named is not None
    assert read.build is not None
    assert (read.named.name, read.build.name) == ("GRCh38", "GRCh37")


def test_a_length_is_given_then_of_the_assembly_then_of_the_accession() -> None:
    read = header(
        "##contig=<ID=1,length=5,assembly=GRCh38>",
        "##contig=<ID=chr2,assembly=GRCh38>",
        "##contig=<ID=chrUn_x,assembly=GRCh38>",
        "##contig=<ID=4>",
    )
    assert [read.length_of(name) for name in ("1", "chr2", "chrUn_x", "4", "5")] == [
        5, 242_193_529, None, None, None,
    ]  # fmt: skip
    assert read.length_of("NC_000003.11") == 198_022_430
    assert read.length_of("chr1") == 5
    read.add_line(b"##contig=<ID=chr1,length=6>")
    assert [read.length_of(name) for name in ("1", "chr1", "CHR1")] == [5, 6, None]
    assert read.length_of("NC_000003") is None

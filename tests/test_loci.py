"""What is explained base by base: each base once, the alleles of indels, and where they are."""

import io
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bioq import BioqError, UsageError, dna
from bioq.genome import ContigNames, open_genome
from bioq.inputs import Locus, open_loci

WINDOW = 20
CHROMOSOME = "".join(np.random.default_rng(5).choice(list("ACGT"), 150))


def loci(
    source: str | Path, genome: Path | None = None, *, span: int = WINDOW, pad: bool = False
) -> list[Locus]:
    if genome is None:
        with open_loci(str(source), None, window_bp=WINDOW, span_bp=span, pad=pad) as opened:
            result = list(opened.read())
            assert len(result) == opened.count
            return result
    with (
        open_genome(genome) as known,
        open_loci(
            str(source), ContigNames(known), window_bp=WINDOW, span_bp=span, pad=pad
        ) as opened,
    ):
        result = list(opened.read())
        assert len(result) == opened.count
        return result


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{CHROMOSOME}\n")
    return path


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.text("ACGTN", min_size=1, max_size=70)),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, WINDOW),
)
def test_every_base_of_a_sequence_comes_once(sequences: list[tuple[str, str]], span: int) -> None:
    """Names may come again; ends that the middle of no window reaches are left out."""
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "in.fa"
        fasta.write_text("".join(f">{name}\n{bases}\n" for name, bases in sequences))
        result = [
            (locus.columns["sequence"], int(position), dna.decode(locus.bases)[index])
            for locus in loci(fasta, span=span, pad=True)
            for index, position in enumerate(locus.position)
        ]
    before = (WINDOW - span) // 2
    expected = []
    for name, bases in sequences:
        padding = max(WINDOW - len(bases), 0)
        start = max(before - padding // 2, 0)
        end = len(bases) - max(WINDOW - span - before - (padding - padding // 2), 0)
        expected += [(name, locus, bases[locus]) for locus in range(start, end)]
    assert result == expected


@given(st.integers(0, 149), st.integers(1, 100), st.integers(1, WINDOW))
def test_a_region_is_covered_once_and_no_further(start: int, length: int, span: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        genome = Path(folder) / "genome.fa"
        genome.write_text(f">chr1\n{CHROMOSOME}\n")
        bed = Path(folder) / "in.bed"
        bed.write_text(f"chr1\t{start}\t{start + length}\n")
        result = loci(bed, genome, span=span)
        position = [int(one) for locus in result for one in locus.position]
        inside = range(start, min(start + length, len(CHROMOSOME)))
        if length > span:
            assert position == list(inside)
        else:
            assert len(set(position)) == len(position) <= span
            assert set(inside) <= set(position) <= set(range(len(CHROMOSOME)))
        for locus in result:
            assert dna.decode(locus.bases) == "".join(CHROMOSOME[one] for one in locus.position)
            before = int(locus.position[0]) - locus.start
            known = [CHROMOSOME[one] for one in range(max(before, 0), min(before + WINDOW, 150))]
            assert dna.decode(locus.codes).strip("N") == "".join(known)


def test_a_region_before_its_contig_is_explained_from_the_first_base(
    genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bed = tmp_path / "in.bed"
    bed.write_text("chr1\t-5\t30\n")
    result = loci(bed, genome, span=12)
    assert [int(one) for locus in result for one in locus.position] == list(range(30))
    assert "1 of 1 regions begin before their contig's first base" in capsys.readouterr().err


def test_a_region_with_blocks_is_explained_as_one_region(
    genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bed = tmp_path / "in.bed"
    bed.write_text("chr1\t10\t40\tx\t0\t+\t10\t40\t0\t2\t3,4,\t0,26,\n")
    result = loci(bed, genome, span=12)
    assert [int(one) for locus in result for one in locus.position] == list(range(10, 40))
    assert capsys.readouterr().err == (
        f"{bed}: is BED12; a region is a whole item, its blocks are not read\n"
    )


@given(st.integers(0, 145), st.integers(1, 5), st.text("ACGT", min_size=1, max_size=5))
def test_an_allele_is_edited_into_the_genome_and_its_bases_keep_their_loci(
    start: int, ref_length: int, alt: str
) -> None:
    ref = CHROMOSOME[start : start + ref_length]
    assume(ref != alt)
    with tempfile.TemporaryDirectory() as folder:
        genome = Path(folder) / "genome.fa"
        genome.write_text(f">chr1\n{CHROMOSOME}\n")
        wild, mutant = loci(f"chr1:{start + 1}:{ref}>{alt}", genome, span=12)
    assert (wild.columns["name"], mutant.columns["name"]) == (f"ref {ref}", f"alt {alt}")
    padded = "N" * WINDOW + CHROMOSOME + "N" * 2 * WINDOW
    at = start + WINDOW
    edited = padded[:at] + alt + padded[at + len(ref) :]
    first = at - (WINDOW // 2 - 1)
    assert dna.decode(wild.codes) == padded[first : first + WINDOW]
    assert dna.decode(mutant.codes) == edited[first : first + WINDOW]
    for locus in (wild, mutant):
        for position, inserted, base in zip(
            locus.position, locus.inserted, dna.decode(locus.bases), strict=True
        ):
            if inserted:
                assert position == start + len(ref) - 1
                assert base == alt[len(ref) - 1 + inserted]
            elif locus is mutant and start <= position < start + len(ref):
                assert base == alt[position - start]
            else:
                assert base == CHROMOSOME[position]
    assert not wild.inserted.any()
    assert mutant.inserted.max() == max(len(alt) - len(ref), 0)
    gone = set(range(start + len(alt), start + len(ref)))
    assert not gone & set(mutant.position.tolist())
    pairs = list(zip(mutant.position.tolist(), mutant.inserted.tolist(), strict=True))
    assert pairs == sorted(set(pairs))


def test_a_fasta_and_a_bed_may_come_through_a_pipe(genome: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for text, known, span in (
        (b">s\n" + b"ACGT" * 5, None, WINDOW),
        (b"chr1\t40\t60\n", genome, 5),
    ):
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(pipe.write_bytes, text)
            explained = loci(pipe, known, span=span)
            assert written.result() == len(text)
        assert sum(len(locus.position) for locus in explained) == 20


def test_a_genome_in_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BioqError, match="pipe: is a pipe, and a genome is read in any order"):
        open_genome(tmp_path / "pipe")


def test_a_fasta_and_a_bed_may_come_on_stdin(genome: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b">s\n" + b"ACGT" * 5)))
    (locus,) = loci("-")
    assert dna.decode(locus.codes) == "ACGT" * 5
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"chr1\t40\t60\n")))
    (locus,) = loci("-", genome)
    assert dna.decode(locus.bases) == CHROMOSOME[40:60]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("chr1:1-151", BioqError, "chr1 has the bases 1 to 150"),
        ("chr1:0-10", BioqError, "chr1 has the bases 1 to 150"),
        ("chr1:10-5", BioqError, "chr1 has the bases 1 to 150"),
        ("past.bed", BioqError, ":2: start 160 is past the end of chr1, which has 150 bases"),
        (f"chr1:5:{CHROMOSOME[4]}>-", UsageError, "a deletion as CA>C and an insertion as C>CA"),
        (f"chr1:5:{CHROMOSOME[4:6]}>NA", UsageError, "alleles are written with A, C, G and T"),
        (f"chr1:5:{CHROMOSOME[4]}>{'A' * 13}", UsageError, "more than the 12 explained bases"),
        (
            "chr1:1-1234567890123456789",
            BioqError,
            "'chr1:1-1234567890123456789': a position has 19",
        ),
        ("chr1:99999999999:A>C", BioqError, "POS is '99999999999'; expected a whole number"),
        (
            f"chr1:5:{'A' * 9}>A",
            BioqError,
            f"has {CHROMOSOME[4:13]} at this position, not AAAAAAAAA",
        ),
    ],
)
def test_a_place_that_is_none_is_refused(
    genome: Path, source: str, error: type[Exception], message: str
) -> None:
    if source.endswith(".bed"):
        bed = genome.parent / source
        bed.write_text("chr1\t0\t10\nchr1\t160\t170\n")
        source = str(bed)
    with pytest.raises(error, match=message):
        loci(source, genome, span=12)


HLA = "HLA-A*01:01:01:01"


@pytest.mark.parametrize(
    ("source", "names", "bases"),
    [
        (f"{HLA}:21-32", [""], [CHROMOSOME[20:32]]),
        (f"{HLA}:1-12", [""], [CHROMOSOME[:12]]),
        (f"{HLA}:26:{CHROMOSOME[25]}>GTG", [f"ref {CHROMOSOME[25]}", "alt GTG"], None),
        (f"{HLA}-26-{CHROMOSOME[25]}-GTG", [f"ref {CHROMOSOME[25]}", "alt GTG"], None),
        (f"{HLA} 26 {CHROMOSOME[25]} GTG", [f"ref {CHROMOSOME[25]}", "alt GTG"], None),
    ],
)
def test_the_name_of_a_contig_may_have_colons_and_asterisks(
    tmp_path: Path, source: str, names: list[str], bases: list[str] | None
) -> None:
    genome = tmp_path / "hla.fa"
    genome.write_text(f">{HLA}\n{CHROMOSOME}\n>HLA-A*01\n{'A' * 50}\n")
    result = loci(source, genome, span=12)
    assert [locus.columns["chrom"] for locus in result] == [HLA] * len(names)
    assert [locus.columns["name"] for locus in result] == names
    if bases is not None:
        assert [dna.decode(locus.bases) for locus in result] == bases


def test_the_name_of_a_contig_that_looks_like_a_region_is_the_whole_contig(tmp_path: Path) -> None:
    genome = tmp_path / "extracted.fa"
    genome.write_text(f">chr1:1-100\n{CHROMOSOME[:100]}\n")
    whole = loci("chr1:1-100", genome, span=12)
    assert "".join(dna.decode(locus.bases) for locus in whole) == CHROMOSOME[:100]
    (part,) = loci("chr1:1-100:21-32", genome, span=12)
    assert dna.decode(part.bases) == CHROMOSOME[20:32]
    wild, _ = loci(f"chr1:1-100:21:{CHROMOSOME[20]}>{CHROMOSOME[20]}T", genome, span=12)
    assert CHROMOSOME[20] == dna.decode(wild.codes)[WINDOW // 2 - 1]
    with pytest.raises(BioqError, match="has no contig 'chr1'; it has chr1:1-100"):
        loci("chr1:1-50", genome, span=12)


def test_a_region_that_is_also_the_name_of_a_contig_is_refused_with_both(tmp_path: Path) -> None:
    genome = tmp_path / "two.fa"
    genome.write_text(f">chr1\n{CHROMOSOME}\n>chr1:101-150\n{CHROMOSOME[100:]}\n")
    with pytest.raises(
        BioqError, match=r"is a contig of .* and also the bases 101 to 150"
    ) as error:
        loci("chr1:101-150", genome, span=50)
    written = [text for text in str(error.value).split("'") if text.startswith("chr1:101")]
    assert written == ["chr1:101-150", "chr1:101-150:1-50", "chr1:101 - 150"]
    for text in written[1:]:
        bases = "".join(dna.decode(locus.bases) for locus in loci(text, genome, span=10))
        assert bases == CHROMOSOME[100:]


G = CHROMOSOME.index("G", 40)
"""A G of the chromosome, 0-based."""


@pytest.mark.parametrize(
    "text",
    [
        "chr1:{pos}G>A",
        "chr1:g.{pos}G>A",
        "chr1:{pos} G>A",
        "1-{pos}-G-A",
        "1_{pos}_G_A",
        "1_{pos}_G/A",
        "1:{pos}_G_A",
        "1:{pos} G A",
        "1:{pos}:G→A",
    ],
)
def test_a_variant_is_explained_in_the_spellings_of_other_programs(genome: Path, text: str) -> None:
    wild, mutant = loci(text.format(pos=G + 1), genome, span=12)
    assert (wild.columns["name"], mutant.columns["name"]) == ("ref G", "alt A")
    at = WINDOW // 2 - 1
    assert (dna.decode(wild.codes)[at], dna.decode(mutant.codes)[at]) == ("G", "A")


def test_a_region_may_have_two_dots(genome: Path) -> None:
    dots, dash = loci("chr1:21..32", genome, span=12), loci("chr1:21-32", genome, span=12)
    assert [dna.decode(locus.bases) for locus in dots] == [CHROMOSOME[20:32]]
    np.testing.assert_array_equal(dots[0].codes, dash[0].codes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rs7412", "a name in dbSNP, which BioQ does not have; look up its position"),
        ("chr1_13550_G_A_b38", r"if the genome is GRCh38 \(hg38\), write 'chr1:13550:G>A'"),
        ("chr1 21 32", "write 'chr1:22-32' if START is counted from 0, .* 'chr1:21-32' if it"),
        ("chr1-21-32", "write 'chr1:22-32' if START is counted from 0, .* 'chr1:21-32' if it"),
        ("chr1\t20\t32\tpeak\t0\t+", "write 'chr1:21-32' if START is counted from 0, as in BED"),
        ("chr1:21-32:+", "a region has no strand; write 'chr1:21-32'"),
        ("chr1:21", "write 'chr1:21-21' for one base, or CONTIG:POS:REF>ALT"),
        ("NC_000001.11:g.21del", "of HGVS, BioQ reads substitutions on a contig"),
        (f"chr1 {G} {G + 1} G A", f"looks like BED, .* write 'chr1:{G + 1}:G>A' if it is"),
        (f"chr1:{G + 1}:G>G", r"ALT is REF \(G\); expected another allele"),
        ("peaks.bed", "expected a BED file, a region CONTIG:START-END or a variant CONTIG:POS:REF"),
    ],
)
def test_a_text_that_is_almost_a_place_is_corrected(genome: Path, text: str, message: str) -> None:
    with pytest.raises(BioqError, match=message) as error:
        loci(text, genome, span=12)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("alleles", ["G:A", ":A", "G:", "1:A", ":"])
def test_spdi_is_never_read_as_a_position_from_1(tmp_path: Path, alleles: str) -> None:
    genome = tmp_path / "refseq.fa"
    genome.write_text(f">NC_000001.11\n{CHROMOSOME}\n")
    with pytest.raises(UsageError, match=r"SPDI.* counts positions from 0") as error:
        loci(f"NC_000001.11:{G}:{alleles}", genome, span=12)
    if alleles == "G:A":
        written = [text for text in str(error.value).split("'") if text.startswith("NC_")]
        assert written[-2:] == [f"NC_000001.11:{G + 1}:G>A", f"NC_000001.11:{G}:G>A"]
        wild, _ = loci(written[-2], genome, span=12)
        assert dna.decode(wild.codes)[WINDOW // 2 - 1] == "G"


def test_a_ref_that_the_next_base_has_or_that_is_masked_is_explained(tmp_path: Path) -> None:
    genome = tmp_path / "masked.fa"
    before = next(at for at in range(60, 90) if CHROMOSOME[at : at + 2] == "AG")
    genome.write_text(f">chr1\n{CHROMOSOME[:100]}NN{CHROMOSOME[102:]}\n")
    with pytest.raises(BioqError, match="REF at the next position: is the position counted from 0"):
        loci(f"chr1:{before + 1}:G>T", genome, span=12)
    with pytest.raises(BioqError, match="N are bases that are masked or unknown"):
        loci("chr1:101:G>T", genome, span=12)


def test_a_position_that_is_not_a_number_is_refused(genome: Path) -> None:
    for pos in ("x", "9" * 5000):
        with pytest.raises(BioqError, match="POS is '"):
            loci(f"chr1 {pos} A C", genome, span=12)


@pytest.mark.parametrize("name", ["my nice peaks file.fa", "no such file here.fa at all"])
def test_a_missing_file_whose_name_has_many_words_is_no_variant(name: str, genome: Path) -> None:
    with pytest.raises(BioqError, match="no such file; expected FASTA"):
        with open_loci(name, None, window_bp=100, span_bp=20, pad=False) as opened:
            list(opened.read())


@pytest.mark.parametrize("pos", [21, 22])
def test_an_iupac_code_of_the_genome_allows_a_ref_which_both_windows_have(
    tmp_path: Path, pos: int
) -> None:
    genome = tmp_path / "iupac.fa"
    letters = f"{CHROMOSOME[:20]}MY{CHROMOSOME[22:]}"
    genome.write_text(f">chr1\n{letters}\n")
    for ref in "AC" if pos == 21 else "CT":
        wild, mutant = loci(f"chr1:{pos}:{ref}>G", genome)
        before, after = letters[: pos - 1], letters[pos:]
        first = pos - 1 - (WINDOW // 2 - 1)
        for locus, base in ((wild, ref), (mutant, "G")):
            expected = (before + base + after)[first : first + WINDOW]
            assert dna.decode(locus.codes) == expected.replace("M", "N").replace("Y", "N")
    with pytest.raises(BioqError, match=f"has {letters[pos - 1]} at this position, not G"):
        loci(f"chr1:{pos}:G>A", genome)


def test_an_empty_sequence_is_refused_even_if_it_is_to_be_padded(tmp_path: Path) -> None:
    fasta = tmp_path / "in.fa"
    fasta.write_text(">none\n>some\nACGT\n")
    with pytest.raises(BioqError, match="sequence 'none' has no bases"):
        loci(fasta, pad=True)

"""Mutagenesis: every substitution, at its place, in every format; figures and refusals."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from genome_cases import trained_on, write_2bit
from variant_cases import other_base, write_vcf

import bioq
from bioq import dna
from bioq.cli import main
from bioq.genome import open_names
from bioq.inputs import Locus
from bioq.inputs.loci import open_loci
from bioq.interpretation import Explanation, mutate_window
from bioq.plots.interpretation import letter_heights, plot_effects

WINDOW, BIN = 200, 40
CHROMOSOME = "".join(np.random.default_rng(3).choice(list("ACGT"), 700))


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{CHROMOSOME}\n")
    return path


def probability(run: Path, bases: str) -> np.ndarray:
    hot = dna.one_hot(dna.encode(bases)[None])
    return bioq.predict(bioq.load(run), hot)[0]


def mutated(bases: str, position: int, base: str) -> str:
    return bases[:position] + base + bases[position + 1 :]


def test_effects_are_differences_of_separate_predictions(run: Path) -> None:
    bases = CHROMOSOME[:90] + "N" + CHROMOSOME[91:WINDOW]
    reference, effects = mutate_window(
        bioq.load(run), dna.encode(bases), start=85, end=95, batch_size=7
    )
    np.testing.assert_allclose(reference, probability(run, bases), atol=1e-6)
    assert effects.shape == (4, 10, 2)
    for position in range(10):
        for number, base in enumerate("ACGT"):
            expected = probability(run, mutated(bases, 85 + position, base)) - reference
            np.testing.assert_allclose(effects[number, position], expected, atol=1e-6)
    assert np.abs(effects).max() > 1e-3


def test_mutants_of_the_opposite_strand_have_the_same_effects(run: Path) -> None:
    codes = dna.encode(CHROMOSOME[:WINDOW])
    model = bioq.load(run)
    _, effects = mutate_window(model, codes, start=50, end=60)
    _, reverse = mutate_window(model, dna.reverse_complement(codes), start=140, end=150)
    np.testing.assert_allclose(effects, reverse[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_arrays_of_a_fasta_hold_every_window_and_its_places(
    run: Path, tmp_path: Path, ending: str
) -> None:
    fasta, out = tmp_path / "in.fa", tmp_path / f"out{ending}"
    fasta.write_text(f">one\n{CHROMOSOME[:WINDOW]}\n>two\n{CHROMOSOME[300:500]}\n")
    assert main(["mutagenesis", str(run), str(fasta), "--out", str(out), "--span-bp", "6"]) == 0
    if ending == ".npz":
        arrays = dict(np.load(out))
        names = arrays["window_sequence"]
    else:
        with h5py.File(out) as file:
            names = file["window_sequence"].asstr()[:]
            arrays = {name: file[name][:] for name in file}
    assert list(names) == ["one", "two"]
    assert arrays["effects"].shape == (2, 4, 6, 2)
    np.testing.assert_array_equal(arrays["position"], [range(97, 103)] * 2)
    second = CHROMOSOME[300:500]
    assert dna.decode(arrays["codes"][1]) == second[97:103]
    expected = probability(run, mutated(second, 99, "G")) - probability(run, second)
    np.testing.assert_allclose(arrays["effects"][1, 2, 2], expected, atol=1e-6)


def test_a_padded_sequence_is_counted_from_its_own_first_base(run: Path, tmp_path: Path) -> None:
    fasta, out = tmp_path / "in.fa", tmp_path / "out.tsv"
    fasta.write_text(f">short\n{CHROMOSOME[:151]}\n")
    tokens = ["mutagenesis", str(run), str(fasta), "--out", str(out), "--pad", "--span-bp", "20"]
    assert main(tokens) == 0
    table = pd.read_csv(out, sep="\t")
    assert len(table) == 60
    assert all(CHROMOSOME[row.position] == row.ref for row in table.itertuples())


@pytest.mark.parametrize("place", ["chr1:301-400", "regions.bed", "1:5-20"])
def test_a_region_is_covered_with_substitutions_of_the_genome(
    run: Path, genome: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("regions.bed").write_text("chr1\t300\t400\n")
    out = tmp_path / "out.tsv"
    tokens = ["mutagenesis", str(run), place, "--genome", str(genome), "--out", str(out)]
    assert main([*tokens, "--targets", "second"]) == 0
    table = pd.read_csv(out, sep="\t")
    assert all(CHROMOSOME[row.position] == row.ref for row in table.itertuples())
    assert all(table.ref != table.alt)
    covered = range(40) if place == "1:5-20" else range(300, 400)
    assert set(table.position) == set(covered)
    assert not table.duplicated(["position", "alt"]).any()
    if place != "1:5-20":
        row = table[(table.position == 331) & (table.alt != CHROMOSOME[331])].iloc[0]
        start = 300 - 80  # the window has the bin 300 to 340 in its middle
        window = CHROMOSOME[start : start + WINDOW]
        mutant = mutated(window, 331 - start, row.alt)
        expected = probability(run, mutant) - probability(run, window)
        assert row["effect:second"] == pytest.approx(expected[1], abs=1e-6)


def test_a_variant_has_a_window_with_each_allele(run: Path, genome: Path, tmp_path: Path) -> None:
    ref = CHROMOSOME[350]
    alt = "A" if ref != "A" else "C"
    out = tmp_path / "out.npz"
    tokens = ["mutagenesis", str(run), f"chr1:351:{ref}>{alt}", "--genome", str(genome)]
    assert main([*tokens, "--out", str(out), "--span-bp", "11"]) == 0
    arrays = np.load(out)
    assert list(arrays["window_name"]) == [f"ref {ref}", f"alt {alt}"]
    np.testing.assert_array_equal(arrays["position"], [range(345, 356)] * 2)
    assert [dna.decode(codes) for codes in arrays["codes"]] == [
        CHROMOSOME[345:356],
        mutated(CHROMOSOME, 350, alt)[345:356],
    ]
    # What the ref window says of the alt base is the difference of the two windows.
    difference = arrays["reference"][1] - arrays["reference"][0]
    np.testing.assert_allclose(arrays["effects"][0, "ACGT".index(alt), 5], difference, atol=1e-6)


@pytest.mark.parametrize("command", ["mutagenesis", "attribution"])
def test_another_genome_than_that_of_the_training_is_noted(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    genome = write_2bit(tmp_path / "hg.2bit", "chr21", 46_709_983)
    trained_on(run, {"21": 48_129_895})
    tokens = [str(run), "NC_000021.9:1001-1005", "--genome", str(genome), "--span-bp", "5"]
    assert main([command, *tokens, "--out", str(tmp_path / "out.tsv")]) == 0
    assert "note: " in capsys.readouterr().err.splitlines()[0]
    tokens[1] = "NC_000021.8:1001-1005"
    assert main([command, *tokens, "--out", str(tmp_path / "other.tsv")]) == 1
    assert "NC_000021.8 is 21 of hg19 and GRCh37" in capsys.readouterr().err


@pytest.mark.parametrize(("ref_bp", "alt"), [(1, "TTA"), (4, "G"), (2, "CAC"), (1, "another base")])
def test_both_windows_of_a_variant_are_those_of_bioq_variants(
    run: Path, genome: Path, tmp_path: Path, ref_bp: int, alt: str
) -> None:
    ref = CHROMOSOME[350 : 350 + ref_bp]
    alt = ref[0] + alt if alt != "another base" else other_base(ref)
    vcf = write_vcf(tmp_path / "in.vcf", [("chr1", 351, "v", ref, alt)])
    expected, out = tmp_path / "variants.tsv", tmp_path / "out.npz"
    tokens = [str(vcf), "--genome", str(genome), "--out", str(expected), "--scores", "ref", "alt"]
    assert main(["variants", str(run), *tokens]) == 0
    tokens = [f"chr1:351:{ref}>{alt}", "--genome", str(genome), "--out", str(out)]
    assert main(["mutagenesis", str(run), *tokens]) == 0
    row = pd.read_csv(expected, sep="\t").iloc[0]
    scores = [
        [row[f"{allele}:{name}"] for name in ("first", "second")] for allele in ("ref", "alt")
    ]
    np.testing.assert_allclose(np.load(out)["reference"], scores, atol=1e-5)
    assert abs(np.diff(scores, axis=0)).max() > 1e-4


def test_a_row_with_fewer_bases_ends_in_nan(run: Path, tmp_path: Path) -> None:
    fasta, out, table = tmp_path / "in.fa", tmp_path / "out.npz", tmp_path / "out.tsv"
    fasta.write_text(f">long\n{CHROMOSOME[:206]}\n>short\n{CHROMOSOME[:150]}\n")
    for file in (out, table):
        assert main(["mutagenesis", str(run), str(fasta), "--out", str(file), "--pad"]) == 0
    arrays = np.load(out)
    assert [(row >= 0).sum() for row in arrays["position"]] == [200, 6, 150]
    np.testing.assert_array_equal(
        np.isnan(arrays["effects"]).any(axis=(1, 3)), arrays["position"] < 0
    )
    assert (arrays["codes"][arrays["position"] < 0] == dna.UNKNOWN).all()
    rows = pd.read_csv(table, sep="\t")
    assert len(rows) == 3 * (206 + 150)
    assert not rows.duplicated(["sequence", "position", "alt"]).any()


def test_what_a_small_span_leaves_out_is_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta, out = tmp_path / "in.fa", tmp_path / "out.tsv"
    fasta.write_text(f">one\n{CHROMOSOME[:230]}\n")
    assert main(["mutagenesis", str(run), str(fasta), "--out", str(out), "--span-bp", "31"]) == 0
    positions = set(pd.read_csv(out, sep="\t")["position"])
    assert positions == set(range(84, 230 - 85))
    assert "not the first 84 and the last 85 bases" in capsys.readouterr().err


def test_figures_are_written_beside_a_table_or_alone(
    run: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = ["mutagenesis", str(run), "chr1:301-330", "--genome", str(genome), "--out"]
    svg, png, table = tmp_path / "map.svg", tmp_path / "map.png", tmp_path / "out.tsv"
    assert main([*tokens, str(svg), "--targets", "first"]) == 0
    assert main([*tokens, str(table), "--figure", str(png)]) == 0
    assert svg.read_text().startswith("<?xml")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.split() == [str(svg), str(table), str(png)]


def test_a_letter_is_as_high_as_the_mean_fall_and_a_figure_wraps_long_windows() -> None:
    codes = dna.encode("ACGTN" * 30)
    effects = np.zeros((4, 150, 1), dtype=np.float32)
    effects[1:, 0, 0] = -0.3, -0.6, -0.9
    effects[:, 4, 0] = 0.5
    heights = letter_heights(codes, effects[:, :, 0])
    assert heights[0] == pytest.approx(0.6)
    assert not heights[1:].any()
    position = np.arange(150)
    place = Locus({"sequence": "s"}, codes, 0, position, np.zeros_like(position))
    result = Explanation(place, effects, {"reference": np.ones(1, dtype=np.float32)})
    figure = plot_effects([result], ["target"])
    maps = [axes for axes in figure.subfigs[0].axes if axes.images]
    assert [round(axes.get_xlim()[0] + 0.5) for axes in maps] == [0, 100]
    labels = [[label.get_text() for label in axes.get_xticklabels()] for axes in maps]
    assert labels[1] == [str(place) for place in range(110, 151, 10)]


def explained_alleles(start: int, ref: str, alt: str) -> list[Explanation]:
    """The windows with REF and with ALT of a variant at `start` of 200 bases; the effects of the
    second window are twice those of the first."""
    generator = np.random.default_rng(0)
    before, after = generator.integers(0, 4, (2, 120)).astype(np.uint8)
    explained = []
    for factor, allele in ((1, ref), (2, alt)):
        codes = np.concatenate([before[:start], dna.encode(allele), after])[:200]
        position = np.arange(len(codes))
        place = Locus(
            {"sequence": "s", "name": allele},
            codes,
            0,
            position,
            np.zeros_like(position),
            allele=(start, start + len(allele)),
        )
        effects = np.full((4, len(codes), 1), 0.1 * factor, dtype=np.float32)
        explained.append(Explanation(place, effects, {"reference": np.ones(1, dtype=np.float32)}))
    return explained


@pytest.mark.parametrize(("ref", "alt"), [("A", "C"), ("ACG", "A"), ("T", "TGGA")])
@pytest.mark.parametrize("start", [98, 100, 30])
def test_alleles_are_marked_in_the_middle_of_a_line_and_have_equal_axes(
    ref: str, alt: str, start: int
) -> None:
    figure = plot_effects(explained_alleles(start, ref, alt), ["target"])
    limits, lines = set(), []
    for part, allele in zip(figure.subfigs, (ref, alt), strict=True):
        logos, maps = part.axes[0:-1:2], part.axes[1:-1:2]
        limits |= {axes.get_ylim() for axes in logos}
        lines.append([axes.get_xlim() for axes in maps])
        ((left, right),) = [
            limit for limit in lines[-1] if limit[0] <= start and start + len(allele) <= limit[1]
        ]
        assert (start + 0.5 - left, right - left) == (51, 100), "the first base, of 100"
        for axes in maps:
            (frame,) = axes.patches
            assert (frame.get_x(), frame.get_width()) == (start - 0.5, len(allele))
    assert len(limits) == 1
    assert lines[0][:2] == lines[1][:2]


def test_the_loci_of_a_variant_name_the_bases_of_its_alleles(genome: Path) -> None:
    ref = CHROMOSOME[300:303]
    with (
        open_names(genome) as names,
        open_loci(
            f"chr1:301:{ref}>{ref[0]}", names, window_bp=WINDOW, span_bp=20, pad=False
        ) as loci,
    ):
        with_ref, with_alt = loci.read()
    for locus, allele in ((with_ref, ref), (with_alt, ref[0])):
        assert locus.allele is not None
        first, last = locus.allele
        assert dna.decode(locus.bases[first:last]) == allele
        assert locus.position[first] == 300


def test_a_region_of_the_opposite_strand_has_its_effects_at_the_letters_of_the_genome(
    run: Path, genome: Path, tmp_path: Path
) -> None:
    bed, table, arrays = (tmp_path / name for name in ("in.bed", "out.tsv", "out.npz"))
    bed.write_text("chr1\t300\t305\tx\t0\t-\nchr1\t2\t9\tedge\t0\t-\nchr1\t300\t305\ty\t0\t+\n")
    tokens = ["mutagenesis", str(run), str(bed), "--genome", str(genome), "--span-bp", "7"]
    for out in (table, arrays):
        assert main([*tokens, "--out", str(out), "--strands", "forward"]) == 0
    rows = pd.read_csv(table, sep="\t", dtype={"ref": str})
    model = bioq.load(run)
    padded = "N" * WINDOW + CHROMOSOME + "N" * WINDOW

    def predicted(bases: str, name: str) -> np.ndarray:
        codes = dna.encode(bases)
        strand = codes if name == "y" else dna.reverse_complement(codes)
        return bioq.predict(model, dna.one_hot(strand[None]), strands="forward")[0]

    starts = {"x": 299, "edge": 2, "y": 299}
    for row in rows.rename(columns={"effect:first": "effect"}).itertuples():
        first = starts[row.name] - (WINDOW - 7) // 2
        window = padded[WINDOW + first :][:WINDOW]
        assert CHROMOSOME[row.position] == row.ref
        mutant = mutated(window, row.position - first, row.alt)
        effect = predicted(mutant, row.name)[0] - predicted(window, row.name)[0]
        assert row.effect == pytest.approx(effect, abs=2e-6)
    assert rows["name"].tolist() == ["x"] * 21 + ["edge"] * 21 + ["y"] * 21
    effects = np.load(arrays)["effects"]
    assert np.abs(effects[0] - effects[2]).max() > 1e-4
    chosen = ["ACGT".index(alt) for alt in rows["alt"]]
    window = np.repeat([0, 1, 2], 21)
    at = np.tile(np.repeat(np.arange(7), 3), 3)
    np.testing.assert_allclose(effects[window, chosen, at, 0], rows["effect:first"], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"--out": "x.csv"}, 2, "expected a name that ends in .npz"),
        ({"--out": "absent/x.npz"}, 1, "there is no folder absent"),
        ({"--span-bp": "201"}, 2, "--span-bp 201: expected 1 to 200"),
        ({"--batch-size": "0"}, 2, "--batch-size 0, expected 1 or more"),
        ({"--figure": "x.pdf"}, 2, "--figure x.pdf: expected a name that ends in .png or .svg"),
        ({"--out": "a.png", "--figure": "b.png"}, 2, "a.png is a figure already"),
        ({"what": "chr1:1-700", "--figure": "b.png"}, 2, "a figure shows at most 6 windows"),
        ({"what": "chr1:690-701"}, 1, "chr1 has the bases 1 to 700"),
        ({"what": "chr9:1-10"}, 1, "has no contig 'chr9'; it has chr1"),
        ({"what": "chr1:5:A><DEL>"}, 2, "alleles are written with A, C, G and T"),
        ({"what": "chr1:5:N>A"}, 2, "alleles are written with A, C, G and T"),
        ({"what": "chr1:701:A>C"}, 1, "expected POS and the end of REF among them"),
        ({"what": "chr9:1:A>C"}, 1, "has no contig 'chr9'; it has chr1"),
        ({"what": f"chr1:5:{'A' * 41}>{'C' * 41}"}, 1, "is it the right genome"),
        ({"what": f"chr1:1:{CHROMOSOME[:41]}>{'C' * 41}"}, 2, "more than the 40 explained bases"),
        ({"--genome": None}, 2, "chr1:301-310: is a position on a genome; give --genome"),
        ({"--pad": ""}, 2, "--pad is for sequences"),
    ],
)
def test_what_cannot_be_mutated_is_refused_in_one_line(
    run: Path,
    genome: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str | None],
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    flags: dict[str, str | None] = {"--genome": str(genome), "--out": "x.npz"} | change
    what = flags.pop("what", None) or "chr1:301-310"
    given = [part for name, value in flags.items() if value is not None for part in (name, value)]
    assert main(["mutagenesis", str(run), what, *filter(None, given)]) == status
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert set(tmp_path.iterdir()) <= before | {tmp_path / "genome.fa.fai"}

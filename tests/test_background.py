"""Background windows, against slow recounts in plain Python."""

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioq.builders.peaks.background import Background, parse_background, share_out
from bioq.builders.peaks.build import build_from_peaks
from bioq.builders.peaks.composition import (
    CELLS,
    cell_of,
    steps_of,
    window_composition,
)
from bioq.builders.peaks.options import PeakOptions
from bioq.cli import main
from bioq.dataset import Dataset, open_dataset
from bioq.dataset.all_bins import all_bins_rates
from bioq.errors import BioqError, UsageError
from bioq.genome import open_genome

BIN_BP, WINDOW_BP = 20, 60
FLANK_BP = (WINDOW_BP - BIN_BP) // 2
Interval = tuple[str, int, int]


def write_inputs(
    folder: Path, contigs: dict[str, str], peaks: dict[str, list[Interval]]
) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    fasta = "".join(f">{name}\n{bases}\n" for name, bases in contigs.items())
    (folder / "genome.fa").write_text(fasta)
    for number, intervals in enumerate(peaks.values()):
        lines = "".join(f"{c}\t{s}\t{e}\n" for c, s, e in intervals)
        (folder / f"{number}.bed").write_text(lines)
    rows = "".join(f"{name}\t{number}.bed\n" for number, name in enumerate(peaks))
    (folder / "targets.tsv").write_text("name\tpeaks\n" + rows)
    return {"genome": folder / "genome.fa", "targets": folder / "targets.tsv"}


def build(folder: Path, inputs: dict[str, Path], out: str = "out", **more: Any) -> Dataset:
    exclude = {"exclude": more.pop("exclude")} if "exclude" in more else {}
    splits = {"valid_chrom": ("none",), "test_chrom": ("chr2",)}
    options = PeakOptions(**({"window_bp": WINDOW_BP, "bin_bp": BIN_BP} | splits | more))
    build_from_peaks(folder / out, options=options, **inputs, **exclude)
    return open_dataset(folder / out)


def bins_of(data: Dataset, split: str, *, positive: bool | None = None) -> list[tuple[str, int]]:
    frame, labels = data[split].bins(), data[split].labels().any(axis=1)
    chosen = frame if positive is None else frame[labels == positive]
    return list(zip(chosen["chrom"], chosen["start"].tolist(), strict=True))


def random_contig(random: np.random.Generator, length: int, letters: bytes) -> str:
    return random.choice(np.frombuffer(letters, dtype=np.uint8), length).tobytes().decode()


def islands(random: np.random.Generator, bins: int) -> tuple[str, list[bool]]:
    """Return a contig of stretches rich in G and C, or in lower case, and whether each bin is rich
    in G and C."""
    kinds = random.integers(0, 3, bins // 5)
    letters = (b"AATTacgt", b"GGCCGCAT", b"acgtACGT")
    text = "".join(random_contig(random, 5 * BIN_BP, letters[kind]) for kind in kinds)
    return text, np.repeat(kinds == 1, 5).tolist()


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Path]:
    """Peaks in every fifth bin that is rich in G and C, of two contigs."""
    random = np.random.default_rng(3)
    contigs, peaks = {}, []
    for name, bins in (("chr1", 600), ("chr2", 300)):
        contigs[name], is_rich = islands(random, bins)
        rich = np.flatnonzero(is_rich)[::5].tolist()
        peaks += [(name, number * BIN_BP + 2, number * BIN_BP + 18) for number in rich]
    return write_inputs(tmp_path / "in", contigs, {"peak": peaks})


def composition_in_python(bases: str, start: int) -> tuple[int, int, int]:
    """Return the bases of a window that are G or C, known and in lower case, and unknown."""
    window = "".join(
        bases[at] if 0 <= at < len(bases) else "N"
        for at in range(start - FLANK_BP, start + BIN_BP + FLANK_BP)
    )
    known = [base for base in window if base in "ACGTacgt"]
    gc = sum(base in "GCgc" for base in known)
    return gc, sum(base.islower() for base in known), len(window) - len(known)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contigs=st.lists(st.text("ACGTNacgtnR", min_size=1, max_size=150), min_size=1, max_size=3),
    bin_bp=st.sampled_from([1, 3, 8, 16, 20]),
    flank_bp=st.sampled_from([0, 1, 7, 8, 12, 16, 40]),
    chunk_bp=st.integers(1, 60),
)
def test_the_composition_of_windows_equals_a_count_of_every_base(
    tmp_path_factory: pytest.TempPathFactory,
    contigs: list[str],
    bin_bp: int,
    flank_bp: int,
    chunk_bp: int,
) -> None:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    text = "".join(f">c{number}\n{bases}\n" for number, bases in enumerate(contigs))
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch, open_genome(path) as genome:
        patch.setattr("bioq.builders.peaks.composition._CHUNK_BP", chunk_bp)
        result = window_composition(genome, bin_bp=bin_bp, flank_bp=flank_bp)
        bare = window_composition(genome, bin_bp=bin_bp, flank_bp=flank_bp, cells=False)
    expected_cells, expected_known = [], []
    window_bp = bin_bp + 2 * flank_bp
    for bases in contigs:
        padded = "N" * flank_bp + bases + "N" * flank_bp
        for start in range(0, len(bases) - bin_bp + 1, bin_bp):
            window = padded[start : start + window_bp]
            known = [base for base in window if base in "ACGTacgt"]
            gc, lower = sum(b in "GCgc" for b in known), sum(b.islower() for b in known)
            numbers = (np.array([n]) for n in (gc, lower, window_bp - len(known)))
            expected_cells.append(int(cell_of(*numbers, window_bp)[0]))
            expected_known.append(bool(known))
    assert result.cell.tolist() == expected_cells
    assert result.is_known.tolist() == bare.is_known.tolist() == expected_known


def test_a_cell_is_one_percent_gc_five_percent_repeats_and_ten_percent_unknown() -> None:
    gc, repeats, unknown = (np.array(n) for n in ([504, 506, 0, 450], [0, 24, 26, 0], [0] * 4))
    cells = cell_of(gc, repeats, unknown, 1000)
    assert [step.tolist() for step in steps_of(cells)] == [[50, 51, 0, 45], [0, 0, 1, 0], [0] * 4]
    partly = cell_of(np.array([450, 0]), np.array([450, 0]), np.array([100, 1000]), 1000)
    assert [step.tolist() for step in steps_of(partly)] == [[50, 0], [10, 0], [1, 0]]
    most = cell_of(np.array([1]), np.array([1]), np.array([999]), 1000)
    assert int(most[0]) == CELLS - 1


def greedy(wanted: dict[int, int], available: dict[int, int]) -> dict[int, int]:
    """Share out one bin at a time, the nearest pair of cells first."""
    short, spare, taken = Counter(wanted), Counter(available), Counter[int]()

    def distance(pair: tuple[int, int]) -> int:
        steps = [steps_of(np.array([cell])) for cell in pair]
        return sum(abs(int(one[0]) - int(other[0])) for one, other in zip(*steps, strict=True))

    pairs = sorted(
        ((one, other) for one in sorted(wanted) for other in sorted(available)), key=distance
    )
    for one, other in pairs:
        while short[one] > 0 and spare[other] > 0:
            short[one], spare[other], taken[other] = (
                short[one] - 1,
                spare[other] - 1,
                taken[other] + 1,
            )
    return dict(+taken)


CELL_COUNTS = st.dictionaries(
    st.builds(lambda gc, rep: rep * 101 + gc, st.integers(40, 46), st.integers(0, 3)),
    st.integers(1, 6),
    max_size=8,
)


@settings(max_examples=50)
@given(wanted=CELL_COUNTS, available=CELL_COUNTS)
def test_cells_are_shared_out_as_one_bin_at_a_time_from_the_nearest(
    wanted: dict[int, int], available: dict[int, int]
) -> None:
    dense = []
    for counts in (wanted, available):
        array = np.zeros(CELLS, dtype=np.int64)
        array[list(counts)] = list(counts.values())
        dense.append(array)
    taken = share_out(*dense)
    assert taken.sum() == min(dense[0].sum(), dense[1].sum())
    assert (taken <= dense[1]).all()
    assert (taken >= np.minimum(*dense)).all()
    assert {int(c): int(taken[c]) for c in np.flatnonzero(taken)} == greedy(wanted, available)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), n=st.integers(1, 4), kind=st.sampled_from(["matched", "random"]))
def test_a_background_bin_has_no_peak_no_excluded_base_and_the_right_split(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str, n: int
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    letters = st.text("ACGTacgtNG", min_size=20, max_size=700)
    contigs = {name: data.draw(letters) for name in ("chr1", "chr2", "chr3")}

    def intervals(most: int) -> list[Interval]:
        result = []
        for _ in range(data.draw(st.integers(0, most))):
            name = data.draw(st.sampled_from(sorted(contigs)))
            start = data.draw(st.integers(0, len(contigs[name]) - 1))
            end = data.draw(st.integers(start + 1, min(start + 50, len(contigs[name]))))
            result.append((name, start, end))
        return result

    peaks = {f"t{target}": intervals(4) for target in range(2)}
    excluded = intervals(2)
    inputs = write_inputs(folder, contigs, peaks)
    (folder / "exclude.bed").write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in excluded))
    try:
        built = build(
            folder, inputs, background=f"{kind}:{n}", exclude=folder / "exclude.bed", seed=n
        )
    except BioqError:
        return  # no peak, or no bin with a positive
    touching = [interval for each in peaks.values() for interval in each] + excluded

    def may_be_background(contig: str, start: int) -> bool:
        has_base = composition_in_python(contigs[contig], start)[2] < WINDOW_BP
        return has_base and not any(
            c == contig and s < start + BIN_BP and start < e for c, s, e in touching
        )

    for split, here in (("train", ("chr1", "chr3")), ("test", ("chr2",))):
        free = [
            (contig, start)
            for contig in here
            for start in range(0, len(contigs[contig]) - BIN_BP + 1, BIN_BP)
            if may_be_background(contig, start)
        ]
        if split not in built:
            continue
        background = bins_of(built, split, positive=False)
        assert len(background) == len(set(background))
        assert set(background) <= set(free)
        positives = len(bins_of(built, split, positive=True))
        assert len(background) == min(n * positives, len(free))


def test_matched_windows_have_the_composition_of_the_positive_ones(
    tmp_path: Path, world: dict[str, Path]
) -> None:
    contigs = dict(
        block.split("\n")[:2] for block in world["genome"].read_text().split(">") if block
    )
    means = {}
    for kind in ("matched", "random"):
        built = build(tmp_path, world, kind, background=f"{kind}:1")
        for positive in (True, False):
            bases = [
                composition_in_python(contigs[contig], start)
                for contig, start in bins_of(built, "train", positive=positive)
            ]
            counts = np.array(bases)
            known = WINDOW_BP - counts[:, 2]
            means[kind, positive] = (counts[:, :2] / known[:, None]).mean(axis=0)
    matched = means["matched", True] - means["matched", False]
    at_random = means["random", True] - means["random", False]
    assert np.abs(matched).max() < 0.02, "GC and repeats"
    assert at_random[0] > 0.2, "random windows have less GC than the peaks"


def test_the_same_seed_draws_the_same_bytes_and_another_seed_other_bins(
    tmp_path: Path, world: dict[str, Path]
) -> None:
    for kind in ("matched:2", "random:2"):
        first, again, other = (
            build(tmp_path, world, f"{kind} {number}", background=kind, seed=seed)
            for number, seed in enumerate((5, 5, 6))
        )
        assert first.fingerprint == again.fingerprint
        assert bins_of(first, "train") != bins_of(other, "train")
        positives = [bins_of(data, "train", positive=True) for data in (first, other)]
        assert positives[0] == positives[1]
        assert first.description.options["background"] == kind
        assert first.description.options["seed"] == 5


def test_another_test_contig_does_not_change_the_background_of_the_training_contig(
    tmp_path: Path, world: dict[str, Path]
) -> None:
    both = build(tmp_path, world, "both", background="matched:1")
    one = build(tmp_path, world, "one", background="matched:1", all_bins=("test",))
    assert bins_of(both, "train") == bins_of(one, "train")


def test_a_split_with_all_bins_has_every_bin_and_the_genomes_rate(
    tmp_path: Path, world: dict[str, Path]
) -> None:
    sampled = build(tmp_path, world, "sampled")
    built = build(tmp_path, world, "all test", all_bins=("test",))
    every = build(tmp_path, world, "every", keep="all")
    assert bins_of(built, "test") == bins_of(every, "test")
    assert len(built["test"]) == built["test"].all_bins == 300
    assert len(built["train"]) < built["train"].all_bins == 600
    assert built.description.contig_bins == (600, 300)
    for split in ("train", "test"):
        rate = every[split].labels().mean(axis=0)
        for data in (sampled, built, every):
            np.testing.assert_allclose(all_bins_rates(data, split), rate)


def test_the_genomes_rate_of_a_target_that_the_keep_pattern_leaves_out_is_not_known(
    tmp_path: Path,
) -> None:
    contigs = {"chr1": "ACGT" * 100, "chr2": "ACGT" * 50}
    peaks = {"a": [("chr1", 0, 20), ("chr2", 0, 20)], "b": [("chr1", 40, 60)]}
    inputs = write_inputs(tmp_path, contigs, peaks)
    built = build(tmp_path, inputs, keep="a", all_bins=("test",))
    np.testing.assert_allclose(all_bins_rates(built, "train"), [1 / 20, np.nan])
    np.testing.assert_allclose(all_bins_rates(built, "test"), [1 / 10, 0])
    given = tmp_path / "bins.bed"
    given.write_text("chr1\t0\t20\n")
    listed = build(tmp_path, inputs | {"bins": given}, "listed")
    assert listed.description.contig_bins == ()
    assert np.isnan(all_bins_rates(listed, "train")).all()


@pytest.mark.parametrize("soft_masked", [True, False])
def test_the_command_says_what_it_added_and_how_well_it_fits(
    tmp_path: Path, world: dict[str, Path], capsys: pytest.CaptureFixture[str], soft_masked: bool
) -> None:
    if not soft_masked:
        world["genome"].write_text(world["genome"].read_text().upper().replace(">CHR", ">chr"))
    words = ["data", "peaks", "--genome", world["genome"], "--targets", world["targets"]]
    words += ["--out", tmp_path / "out", "--window-bp", WINDOW_BP, "--bin-bp", BIN_BP]
    words += ["--valid-chrom", "none", "--test-chrom", "chr2", "--all-bins", "test"]
    assert main([str(word) for word in words]) == 0
    printed, info = capsys.readouterr()[::-1]
    reason = "because without it 100% of the labels are positive (the limit is 10%)"
    assert f"--background matched:4 was chosen, {reason}\n" in printed
    positives = len(bins_of(open_dataset(tmp_path / "out"), "train", positive=True))
    (line,) = (line for line in printed.split("\n") if line.startswith("train: "))
    assert line.startswith(f"train: {positives} positive: GC ")
    assert f"; {4 * positives} matched: GC " in line
    of_all = f"(20.00%; {positives / 600:.3%} of all 600 bins of its contigs)"
    assert f"  train: {5 * positives} windows, {positives} positive {of_all}\n" in info
    assert ("repeats " in line) == soft_masked
    assert ("the genome has no soft mask" in printed) == (not soft_masked)
    assert "test: 300 windows" in info


def test_many_targets_with_few_positives_each_get_no_background(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contigs = {"chr1": "ACGT" * 200, "chr2": "ACGT" * 50}
    peaks = {f"t{n}": [("chr1", n * BIN_BP, n * BIN_BP + 20)] for n in range(20)}
    inputs = write_inputs(tmp_path, contigs, peaks)
    built = build(tmp_path, inputs)
    assert len(built["train"]) == 20
    assert (
        "no background was added, because without it 5% of the labels are positive (the limit is "
        "10%); --background matched:N adds bins without a peak"
    ) in capsys.readouterr().err
    assert "background" not in built.description.options


def test_too_few_bins_are_all_taken_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contigs = {"chr1": "ACGT" * 50, "chr2": "N" * 390 + "ACGTACGTAC"}
    peaks = {"a": [("chr1", 0, 160), ("chr2", 380, 400)]}
    inputs = write_inputs(tmp_path, contigs, peaks)
    built = build(tmp_path, inputs, background="matched:999999999")
    assert bins_of(built, "train", positive=False) == [("chr1", 160), ("chr1", 180)]
    assert bins_of(built, "test", positive=False) == [("chr2", 360)]
    printed = capsys.readouterr().err
    assert (
        "train: 8 positive: GC 50%; 2 matched (all there are; 7,999,999,992 were wanted): GC 50%\n"
    ) in printed
    assert "test: 1 positive: GC 50%; 1 matched (all there are; 999,999" in printed


def test_peaks_that_cover_every_bin_leave_no_background(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = write_inputs(tmp_path, {"chr1": "ACGT" * 20, "chr2": "AC"}, {"a": [("chr1", 0, 80)]})
    built = build(tmp_path, inputs)
    assert len(built["train"]) == 4
    printed = capsys.readouterr().err
    assert "train: 4 positive; 0 matched (all there are; 16 were wanted)\n" in printed
    everywhere = tmp_path / "exclude.bed"
    everywhere.write_text("chr1\t0\t80\n")
    with pytest.raises(BioqError, match=r"no bin is left \(4 bins excluded\)"):
        build(tmp_path, inputs, "none", exclude=everywhere)


def test_a_peak_too_short_for_a_positive_keeps_its_bin_from_the_background(tmp_path: Path) -> None:
    contigs = {"chr1": "ACGT" * 25, "chr2": "ACGT" * 5}
    peaks = {"a": [("chr1", 0, 20), ("chr1", 45, 47)], "b": [("chr1", 60, 61)]}
    built = build(tmp_path, write_inputs(tmp_path, contigs, peaks), background="matched:9")
    assert bins_of(built, "train") == [("chr1", 0), ("chr1", 20), ("chr1", 80)]


def test_every_kind_of_genome_gives_the_same_background(
    tmp_path: Path, world: dict[str, Path]
) -> None:
    plain = build(tmp_path, world, "plain", background="matched:1")
    zipped = tmp_path / "genome.fa.gz"
    zipped.write_bytes(gzip.compress(world["genome"].read_bytes()))
    other = build(tmp_path, world | {"genome": zipped}, "zipped", background="matched:1")
    assert bins_of(plain, "train") == bins_of(other, "train")


@pytest.mark.parametrize(
    "text",
    [
        *("matched:x", "matched:", "matched:0", "matched:-1", "matched:1.5", "Matched", "all", ""),
        *("matched+", "matched:1+random:2", "random:1,matched:1"),
    ],
)
def test_another_text_for_the_background_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"--background '.*', expected matched:N or random:N, w"):
        PeakOptions(background=text)


def test_the_texts_of_a_background_are_read_and_written() -> None:
    assert parse_background("matched:7") == Background("matched", 7)
    assert parse_background("random") == Background("random", 4)
    for text in ("random:3", "none", "matched:2"):
        assert str(parse_background(text)) == text


def refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_options_that_choose_the_bins_already_are_refused(tmp_path: Path) -> None:
    refused(
        lambda: PeakOptions(keep="all", background="matched:1"),
        "--keep all keeps every bin, so --background has nothing to add",
    )
    refused(
        lambda: PeakOptions(keep="all", all_bins=("test",)),
        "--keep all keeps every bin, so --all-bins has nothing to add",
    )
    refused(
        lambda: PeakOptions(all_bins=("valid",), valid_chrom=("none",)),
        "--all-bins valid with --valid-chrom none: there is no such split",
    )
    refused(lambda: PeakOptions(all_bins=("tests",)), "--all-bins .*expected a tuple")  # type: ignore[arg-type]
    PeakOptions(keep="all", background="none")
    inputs = write_inputs(tmp_path, {"chr1": "ACGT" * 20, "chr2": "AC"}, {"a": [("chr1", 0, 20)]})
    given = tmp_path / "bins.bed"
    given.write_text("chr1\t0\t20\n")
    for options in ({"background": "random:1"}, {"all_bins": ("test",)}):
        refused(
            lambda chosen=options: build(tmp_path, inputs | {"bins": given}, **chosen),  # type: ignore[misc]
            "--bins names the exact bins to use; leave out --",
        )

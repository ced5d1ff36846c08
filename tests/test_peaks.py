"""Data sets from peaks, against a slow recount of every base."""

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from genome_cases import write_2bit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioq import dna
from bioq.builders.peaks.build import build_from_peaks
from bioq.builders.peaks.options import PeakOptions
from bioq.cli import main
from bioq.dataset import open_dataset, verify
from bioq.errors import BioqError, UsageError
from bioq.genome import open_genome

Peak = tuple[str, int, int, int]
"""Contig, start, end, summit (-1 for none)."""

NO_SPLIT = {"valid_chrom": ("none",), "test_chrom": ("none",), "background": "none"}


@dataclass
class World:
    """A small genome and its peaks, on disk and in plain Python."""

    folder: Path
    contigs: dict[str, str]
    peaks: dict[str, list[Peak]] = field(default_factory=dict)

    def write(self) -> "World":
        text = "".join(f">{name}\n{bases}\n" for name, bases in self.contigs.items())
        (self.folder / "genome.fa").write_text(text)
        for number, peaks in enumerate(self.peaks.values()):
            lines = [f"{c}\t{s}\t{e}\t.\t0\t.\t0.5\t-1\t-1\t{p}\n" for c, s, e, p in peaks]
            (self.folder / f"{number}.narrowPeak").write_text("".join(lines))
        rows = [f"{name}\t{number}.narrowPeak\n" for number, name in enumerate(self.peaks)]
        (self.folder / "targets.tsv").write_text("name\tpeaks\n" + "".join(rows))
        return self

    def build(self, *, out: str = "out", options: dict[str, Any] | None = None, **more: Any) -> Any:
        chosen = PeakOptions(**({"window_bp": 12, "bin_bp": 4} | NO_SPLIT | (options or {})))
        path = self.folder / out
        genome, targets = self.folder / "genome.fa", self.folder / "targets.tsv"
        build_from_peaks(path, genome=genome, targets=targets, options=chosen, **more)
        return verify(path)

    def is_positive(self, target: str, contig: str, start: int, bin_bp: int, label: str) -> bool:
        """Decide one label base by base."""
        covered = set()
        peaks = self.peaks[target]
        given = [(first, last, summit) for _, first, last, summit in peaks if summit >= 0]
        far = sum(summit > last - first for first, last, summit in given)
        are_positions = all(first <= summit < last for first, last, summit in given)
        are_positions = are_positions and 2 * far >= len(given) > 0
        for name, first, last, summit in peaks:
            if name == contig and label == "midpoint":
                at = summit if are_positions else first + summit
                is_used = summit >= 0 and first <= at < last
                covered.add(at if is_used else (first + last) // 2)
            elif name == contig:
                covered.update(range(first, last))
        inside = sum(base in covered for base in range(start, start + bin_bp))
        return 2 * inside >= bin_bp if label == "half" else inside > 0

    def window(self, contig: str, start: int, end: int) -> str:
        bases = self.contigs[contig]
        return "".join(bases[at] if 0 <= at < len(bases) else "N" for at in range(start, end))


def letters(windows: np.ndarray) -> list[str]:
    """Return one-hot windows `(n, 4, length)` as text."""
    codes = np.where(windows.any(axis=1), windows.argmax(axis=1), dna.UNKNOWN).astype(np.uint8)
    return [dna.decode(row) for row in codes]


@pytest.fixture
def world(tmp_path: Path) -> World:
    contigs = {"chr1": "ACGTTGCAACGTAGGTCCAAGT", "chr2": "GGGGCCCCAAAATTTTACGT", "chr3": "NN" * 8}
    peaks = {
        "left": [("chr1", 0, 6, 1), ("chr2", 4, 6, -1)],
        "right": [("chr1", 15, 22, 0), ("chr2", 0, 20, 19), ("chr3", 2, 9, -1)],
    }
    return World(tmp_path, contigs, peaks).write()


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, list[Peak]]]:
    contigs = draw(st.lists(st.text("ACGTN", min_size=1, max_size=60), min_size=1, max_size=3))
    named = {f"chr{number}": bases for number, bases in enumerate(contigs)}
    peaks = {}
    for target in range(draw(st.integers(1, 10))):
        result = []
        for _ in range(draw(st.integers(0, 6))):
            contig = draw(st.sampled_from(sorted(named)))
            start = draw(st.integers(0, len(named[contig]) - 1))
            end = draw(st.integers(start + 1, len(named[contig])))
            result.append((contig, start, end, draw(st.integers(-1, end - start))))
        peaks[f"t{target}"] = result
    return named, peaks


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=worlds(),
    label=st.sampled_from(["half", "midpoint", "any"]),
    keep=st.sampled_from(["any", "all"]),
    bin_bp=st.integers(1, 9),
    flank_bp=st.integers(0, 7),
)
def test_labels_and_windows_equal_a_recount_of_every_base(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[dict[str, str], dict[str, list[Peak]]],
    label: str,
    keep: str,
    bin_bp: int,
    flank_bp: int,
) -> None:
    world = World(tmp_path_factory.mktemp("world"), *made).write()
    expected = []
    for contig, bases in world.contigs.items():
        for start in range(0, len(bases) - bin_bp + 1, bin_bp):
            labels = [world.is_positive(t, contig, start, bin_bp, label) for t in world.peaks]
            window = world.window(contig, start - flank_bp, start + bin_bp + flank_bp)
            if (keep == "all" or any(labels)) and set(window) != {"N"}:
                expected.append((contig, start, window, labels))
    options = {"label": label, "keep": keep, "bin_bp": bin_bp, "window_bp": bin_bp + 2 * flank_bp}
    if not expected or not any(world.peaks.values()):
        refused(
            world,
            "none of its|has no peak on|no bin is left|no window is left|no contig",
            options=options,
        )
        return
    split = world.build(options=options)["train"]
    batch, bins = split.read(slice(None)), split.bins()
    result = zip(bins["chrom"], bins["start"], letters(batch.windows), batch.labels, strict=True)
    assert [(c, s, w, row.astype(bool).tolist()) for c, s, w, row in result] == expected


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=worlds(), label=st.sampled_from(["half", "midpoint", "any"]), draw=st.data())
def test_given_bins_come_in_their_order_even_where_they_overlap(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[dict[str, str], dict[str, list[Peak]]],
    label: str,
    draw: st.DataObject,
) -> None:
    world = World(tmp_path_factory.mktemp("world"), *made).write()
    starts = [(c, s) for c, bases in world.contigs.items() for s in range(len(bases) - 3)]
    if not starts or not any(world.peaks.values()):
        return
    chosen = draw.draw(st.lists(st.sampled_from(starts), min_size=1, max_size=30))
    bins = world.folder / "bins.bed"
    bins.write_text("".join(f"{contig}\t{start}\t{start + 4}\n" for contig, start in chosen))
    split = world.build(options={"label": label}, bins=bins)["train"]
    frame, batch = split.bins(), split.read(slice(None))
    assert list(zip(frame["chrom"], frame["start"], strict=True)) == chosen
    assert letters(batch.windows) == [world.window(c, s - 4, s + 8) for c, s in chosen]
    expected = [[world.is_positive(t, c, s, 4, label) for t in world.peaks] for c, s in chosen]
    np.testing.assert_array_equal(batch.labels, expected)


def test_a_hand_worked_example_of_the_three_rules(tmp_path: Path) -> None:
    # Bins of 4: [0,4) [4,8) [8,12). Two overlapping peaks cover 3..5 (1 + 2 bases), not 2 + 3.
    peaks = {"t": [("chr1", 3, 5, -1), ("chr1", 4, 6, -1), ("chr1", 9, 10, -1)]}
    world = World(tmp_path, {"chr1": "ACGTACGTACGTA"}, peaks).write()
    for label, expected in (("half", [0, 1, 0]), ("midpoint", [0, 1, 1]), ("any", [1, 1, 1])):
        data = world.build(out=label, options={"label": label, "keep": "all"})
        assert data["train"].labels()[:, 0].tolist() == expected


def test_the_half_rule_holds_at_exactly_half_and_peaks_are_not_counted_twice(
    tmp_path: Path,
) -> None:
    peaks = {
        "half": [("chr1", 0, 100, -1)],
        "less": [("chr1", 0, 99, -1)],
        "twice": [("chr1", 0, 60, -1), ("chr1", 0, 60, -1)],
        "two parts": [("chr1", 150, 200, -1), ("chr1", 0, 50, -1)],
    }
    world = World(tmp_path, {"chr1": "ACGT" * 300}, peaks).write()
    data = world.build(options={"window_bp": 1000, "bin_bp": 200})
    assert data["train"].labels().tolist() == [[1, 0, 0, 1]]
    assert data["train"].bins().to_numpy().tolist() == [["chr1", 0, 200]]


def test_splits_follow_contigs_in_either_naming(world: World) -> None:
    data = world.build(options={"valid_chrom": ("2",), "test_chrom": ("chr3",), "keep": "all"})
    assert {name: set(split.bins()["chrom"]) for name, split in data.items()} == {
        "train": {"chr1"},
        "valid": {"chr2"},
    }, "chr3 has unknown bases only, so the test split is empty and left out"


def test_excluded_regions_take_out_every_bin_that_they_touch(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    exclude = world.folder / "exclude.bed"
    exclude.write_text("1\t3\t5\n2\t8\t12\n2\t7\t8\nchrUn\t0\t9\n")
    data = world.build(options={"keep": "all"}, exclude=exclude)
    bins = data["train"].bins()
    assert bins.loc[bins["chrom"] == "chr1", "start"].tolist() == [8, 12, 16]
    assert bins.loc[bins["chrom"] == "chr2", "start"].tolist() == [0, 12, 16]
    printed = capsys.readouterr().err
    assert "4 bins excluded" in printed
    assert (
        "warning: 1 excluded region of exclude.bed is on 1 contig that genome.fa does not have "
        "(chrUn: 1); left out\n"
    ) in printed


def test_a_keep_pattern_keeps_the_bins_of_the_targets_that_it_names(world: World) -> None:
    bins = world.build(options={"keep": "l*"})["train"].bins()
    assert bins[["chrom", "start"]].to_numpy().tolist() == [["chr1", 0], ["chr1", 4], ["chr2", 4]]
    with pytest.raises(BioqError, match=r"no target fits the keep pattern 'x\*'; its names"):
        world.build(out="other", options={"keep": "x*"})


def test_a_keep_pattern_that_is_a_name_keeps_the_bins_of_that_target_only(world: World) -> None:
    peaks = dict(zip(["ChIP [rep 1]", "ChIP r"], world.peaks.values(), strict=True))
    renamed = World(world.folder, world.contigs, peaks).write()

    def kept(out: str, keep: str) -> list[list[object]]:
        bins = renamed.build(out=out, options={"keep": keep})["train"].bins()
        return bins[["chrom", "start"]].to_numpy().tolist()

    first = kept("first", "ChIP [rep 1]")
    assert first == [["chr1", 0], ["chr1", 4], ["chr2", 4]]
    second = kept("second", "ChIP r")
    assert second == kept("set", "ChIP [rep]") != first


def test_the_summary_counts_windows_positives_and_what_was_left_out(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.build(options={"valid_chrom": ("chr2",), "test_chrom": ("chr3",)})
    printed = capsys.readouterr().err.splitlines()
    assert printed[-3:] == [
        "warning: test: no window, so the data set has no such split",
        "left out: 4 bins without a positive, 2 bins of unknown bases only",
        "4 windows reach past the end of their contig and are filled with unknown bases",
    ]


def test_the_data_set_records_how_it_was_made(world: World, tmp_path: Path) -> None:
    attached = tmp_path / "truth"
    attached.mkdir()
    (attached / "sites.tsv").write_text("x\n")
    more = {"attach": {"truth": attached}, "made_by": "simulate", "more_options": {"seed": 3}}
    data = world.build(**more)
    about = data.description
    assert (about.made_by, about.label_rule, about.window_bp, about.bin_bp) == (
        "simulate",
        "half",
        12,
        4,
    )
    names = [source.name for source in about.sources]
    assert names == ["genome.fa", "targets.tsv", "0.narrowPeak", "1.narrowPeak"]
    assert about.options == {
        "keep": "any",
        "seed": 3,
        "valid_chrom": ["none"],
        "test_chrom": ["none"],
    }
    assert (data.path / "truth/sites.tsv").read_text() == "x\n"
    assert "truth/sites.tsv" in data.files


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = World(tmp_path_factory.mktemp("elsewhere"), world.contigs, world.peaks).write()
    assert world.build().fingerprint == other.build().fingerprint


def test_peaks_on_absent_contigs_and_empty_files_are_reported_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peaks: dict[str, list[Peak]] = {
        "good": [("1", 0, 4, -1), ("chr7", 0, 4, -1), ("chr7", 9, 12, -1)],
        "empty": [],
        "elsewhere": [("chrX", 0, 4, -1), ("chr7", 0, 4, -1)],
    }
    data = World(tmp_path, {"chr1": "ACGTACGT"}, peaks).write().build()
    assert data["train"].labels().tolist() == [[1, 0, 0]]
    printed = capsys.readouterr().err
    assert (
        "warning: 4 peaks of 2 files are on 2 contigs that genome.fa does not have "
        "(chr7: 3, chrX: 1); left out\n"
    ) in printed
    assert (
        "warning: 1 of 3 peak files holds no peak, so all labels of its target are 0: "
        f"{tmp_path / '1.narrowPeak'}\n"
    ) in printed
    assert (
        "warning: 1 of 3 peak files has only peaks on contigs that genome.fa does not have (other "
        f"names? another build?), so all labels of its target are 0: {tmp_path / '2.narrowPeak'}: "
        "chrX, chr7\n"
    ) in printed


def test_info_counts_one_target_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peaks: dict[str, list[Peak]] = {"good": [("1", 0, 4, -1)], "empty": []}
    data = World(tmp_path, {"chr1": "ACGTACGT"}, peaks).write()
    path = data.build(options={"keep": "all"}).path
    assert main(["data", "info", str(path)]) == 0
    assert "  1 target has no positive in any split: empty\n" in capsys.readouterr().out


def test_many_files_without_a_peak_are_one_line_and_info_lists_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peaks: dict[str, list[Peak]] = {f"empty{n}": [] for n in range(14)}
    peaks |= {f"elsewhere{n}": [("chrX", 0, 4, -1)] for n in range(3)}
    data = World(tmp_path, {"chr1": "ACGTACGT"}, {"good": [("1", 0, 4, -1)]} | peaks).write()
    path = data.build(options={"keep": "all"}).path
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warnings == [
        "warning: 3 peaks of 3 files are on 1 contig that genome.fa does not have (chrX: 3); left "
        "out",
        "warning: 14 of 18 peak files hold no peak, so all labels of these targets are 0 (first: "
        f"{tmp_path / '1.narrowPeak'}); 'bioq data info' lists targets without a positive",
        "warning: 3 of 18 peak files have only peaks on contigs that genome.fa does not have "
        "(other names? another build?), so all labels of these targets are 0 (first: "
        f"{tmp_path / '15.narrowPeak'}: chrX); 'bioq data info' lists targets without a positive",
    ]
    assert main(["data", "info", str(path)]) == 0
    assert (
        f"17 targets have no positive in any split: {', '.join(peaks)}\n" in capsys.readouterr().out
    )


def test_force_replaces_a_data_set_and_nothing_else(world: World) -> None:
    first = world.build().fingerprint
    with pytest.raises(BioqError, match=r"out: exists already; .*or --force to replace this one"):
        world.build(options={"keep": "all"})
    assert world.build(options={"keep": "all"}, force=True).fingerprint != first
    (world.folder / "mine").mkdir()
    (world.folder / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(BioqError, match=r"mine: is not replaced: it has no dataset\.json"):
        world.build(out="mine", force=True)
    assert (world.folder / "mine" / "thesis.txt").read_text() == "mine"


def test_the_note_about_plain_gzip_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = tmp_path / "genome.fa.gz"
    genome.write_bytes(gzip.compress(b">chr1\nACGT\n"))
    for _ in range(3):
        open_genome(genome).close()
    assert capsys.readouterr().err.count("plain gzip has no random access") == 1


def test_an_alias_names_contigs_for_peaks_exclusions_and_splits(tmp_path: Path) -> None:
    contigs = {"chrI": "ACGTACGTACGT", "chrII": "ACGTACGTACGT"}
    peaks = {"t": [("chr1", 0, 12, -1), ("chr2", 0, 12, -1)]}
    world = World(tmp_path, contigs, peaks).write()
    alias, exclude = tmp_path / "alias.tsv", tmp_path / "exclude.bed"
    alias.write_text("chr1\tchrI\nchr2\tchrII\nchr3\tchrIII\n")
    exclude.write_text("chr1\t0\t1\n")
    options = {"valid_chrom": ("chr2",)}
    data = world.build(options=options, chrom_alias=alias, exclude=exclude)
    assert data["train"].bins()["start"].tolist() == [4, 8]
    assert set(data["valid"].bins()["chrom"]) == {"chrII"}


def refused(world: World, message: str, kind: type[BioqError] = BioqError, **more: Any) -> None:
    with pytest.raises(kind, match=message) as caught:
        world.build(**more)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    left = [path.name for path in world.folder.iterdir() if path.is_dir()]
    assert left == [], "nothing is left behind"


def test_a_genome_without_any_of_the_peaks_contigs_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, {"chrI": "ACGTACGT"}, {"a": [("chr1", 0, 4, -1)], "b": []}).write()
    refused(
        world,
        "targets.tsv: none of its 2 peak files has a peak on .*genome.fa: their contigs are chr1, "
        "the genome's are chrI; check the genome build, or give --chrom-alias",
    )


def test_sheets_whose_files_are_all_empty_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path, {"chrI": "ACGTACGT"}, {"a": [], "b": []}).write()
    refused(world, "their contigs are none at all")


def test_a_peak_past_the_end_of_its_contig_is_clipped_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MACS writes such peaks; the summit of a clipped peak is used if it is on the contig."""
    long = [("chr1", 0, 4, -1), ("chr1", 16, 30, 3), ("chr1", 18, 40, 15), ("chr1", -5, 6, 6)]
    world = World(tmp_path, {"chr1": "ACGTACGTACGTACGTACGTACGT"}, {"a": long, "b": long}).write()
    data = world.build(options={"keep": "all", "label": "any"})
    assert data["train"].labels()[:, 0].tolist() == [1, 1, 0, 0, 1, 1]
    assert (
        f"6 peaks of 2 files (first: {tmp_path / '0.narrowPeak'}) reach past an end of their "
        "contig and are clipped" in capsys.readouterr().err.splitlines()
    )
    data = world.build(out="points", options={"keep": "all", "label": "midpoint"})
    # 4 // 2, 16 + 3, (18 + 24) // 2 because 18 + 15 is past the end, -5 + 6
    assert data["train"].labels()[:, 0].tolist() == [1, 0, 0, 0, 1, 1]
    assert "2 summits of 2 files" in capsys.readouterr().err


def test_a_peak_that_is_no_overhang_is_refused_by_line(tmp_path: Path) -> None:
    for peak, message in (
        (("chr1", 8, 12, -1), "start 8 is past the end of chr1, which has 8 bases in .*genome.fa"),
        (("chr1", 7, 2000, -1), "end 2000 is far past the end of chr1, which has 8 bases"),
    ):
        peaks = {"a": [("chr1", 0, 4, -1), peak]}
        world = World(tmp_path, {"chr1": "ACGTACGT"}, peaks).write()
        refused(world, f"0.narrowPeak:2: {message}.*; is the file of another genome build?")
        exclude = tmp_path / "ex.bed"
        exclude.write_text("\t".join(map(str, peak[:3])) + "\n")
        world = World(tmp_path, {"chr1": "ACGTACGT"}, {"a": [("chr1", 0, 4, -1)]}).write()
        refused(world, f"ex.bed:1: {message}", exclude=exclude)


def test_an_excluded_region_past_the_end_of_its_contig_is_clipped_and_counted(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ex.bed").write_text("chr1\t-9\t2\nchr1\t17\t99\nchr2\t0\t2\n")
    data = world.build(options={"keep": "all"}, exclude=tmp_path / "ex.bed")
    kept = data["train"].bins()
    assert kept["start"][kept["chrom"] == "chr1"].tolist() == [4, 8, 12]
    assert kept["start"][kept["chrom"] == "chr2"].tolist() == [4, 8, 12, 16]
    assert "2 excluded regions of " in (err := capsys.readouterr().err)
    assert "ex.bed reach past an end of their contig and are clipped" in err


def test_the_blocks_of_bed12_and_gapped_peak_are_the_peaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path, {"chr1": "ACGTACGTACGTACGTACGTACGT"}, {"a": [], "b": []}).write()
    line = "chr1\t0\t24\tpk\t9\t.\t0\t24\t0\t2\t4,6,\t0,18,"
    (tmp_path / "0.narrowPeak").write_text(line + "\n")
    (tmp_path / "1.narrowPeak").write_text(line + "\t5.1\t3\t2\n")
    for label, expected in (("half", [1, 0, 0, 0, 1, 1]), ("midpoint", [1, 0, 0, 0, 0, 1])):
        data = world.build(out=label, options={"keep": "all", "label": label})
        assert data["train"].labels().T.tolist() == [expected, expected]
        err = capsys.readouterr().err
        assert "are BED12 or gappedPeak: their 2 items are read as 4 blocks" in err
    (tmp_path / "ex.bed").write_text(line + "\n")
    (tmp_path / "0.narrowPeak").write_text("chr1\t0\t24\n")
    data = world.build(out="excluded", options={"keep": "all"}, exclude=tmp_path / "ex.bed")
    assert data["train"].bins()["start"].tolist() == [4, 8, 12]
    assert "ex.bed is BED12: its 1 item is read as 2 blocks" in capsys.readouterr().err


def test_a_tenth_column_that_is_no_summit_does_not_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ENCODE's cCRE files are BED9 and one column of text."""
    world = World(tmp_path, {"chr1": "ACGTACGTACGT"}, {"a": []}).write()
    line = "chr1\t4\t12\tEH38D1\t0\t.\t4\t12\t255,205,0\tdELS\n"
    (tmp_path / "0.narrowPeak").write_text(line)
    for label, expected in (("half", [0, 1, 1]), ("any", [0, 1, 1]), ("midpoint", [0, 0, 1])):
        data = world.build(out=label, options={"keep": "all", "label": label})
        assert data["train"].labels()[:, 0].tolist() == expected
        is_told = "0.narrowPeak are not those of narrowPeak" in capsys.readouterr().err
        assert is_told == (label == "midpoint")
    broken = "chr1\t4\t12\t.\t0\t.\t1\t-1\t-1\t"
    (tmp_path / "0.narrowPeak").write_text(f"{broken}3\n{broken}4\n{broken}x\n")
    world.build(out="unused")
    refused_summit = "0.narrowPeak:3: summit .* 'x' is not a whole number"
    with pytest.raises(BioqError, match=refused_summit):
        world.build(out="used", options={"label": "midpoint"})


def test_summits_outside_their_peak_and_summits_as_positions_are_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peaks = {
        "outside": [("chr1", 0, 4, 2), ("chr1", 8, 12, 4)],
        "absolute": [("chr1", 8, 12, 8), ("chr1", 12, 20, 18)],
    }
    world = World(tmp_path, {"chr1": "ACGTACGTACGTACGTACGT"}, peaks).write()
    data = world.build(options={"keep": "all", "label": "midpoint"})
    assert data["train"].labels().T.tolist() == [[1, 0, 1, 0, 0], [0, 0, 1, 0, 1]]
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("warning")] == [
        f"warning: the summits (column 10) of {tmp_path / '1.narrowPeak'} are positions on the "
        "contig, not counted from the peak's start as in narrowPeak; they are read as positions",
        f"warning: 1 summit of {tmp_path / '0.narrowPeak'} is outside its peak; the middle of the "
        "peak is used",
    ]
    world.build(out="half")
    assert "summit" not in capsys.readouterr().err


def test_many_contigs_that_the_genome_lacks_are_counted_in_one_line(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "".join(f"alt{n}\t1\t9\n" * (40 - n) for n in range(30))
    (tmp_path / "0.narrowPeak").write_text(text + "chr1\t0\t6\n")
    (tmp_path / "ex.bed").write_text(text)
    world.build(exclude=tmp_path / "ex.bed")
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    left_out = (
        "on 30 contigs that genome.fa does not have (alt0: 40, alt1: 39, alt2: 38, alt3: 37, "
        "alt4: 36 and 25 more); left out"
    )
    assert warnings == [
        f"warning: {sum(range(11, 41))} peaks are {left_out}",
        f"warning: {sum(range(11, 41))} excluded regions of ex.bed are {left_out}",
    ]
    (tmp_path / "ex.bed").write_text("# nothing\n")
    world.build(out="none", exclude=tmp_path / "ex.bed")
    assert "ex.bed: holds no excluded" in capsys.readouterr().err


def test_a_wrong_peak_in_a_pipe_is_named_by_line(world: World, tmp_path: Path) -> None:
    pipe = tmp_path / "ex.bed"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(pipe.write_text, "chr1\t0\t4\nchr1\t99\t110\n")
        refused(world, "ex.bed:2: start 99 is past the end of chr1", exclude=pipe)
        written.result()


def test_a_header_line_of_peaks_and_bins_is_told(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0.narrowPeak").write_text("chrom\tstart\tend\nchr1\t0\t6\n")
    (tmp_path / "bins.bed").write_text("Chr Start Stop\nchr1 0 4\n")
    data = world.build(bins=tmp_path / "bins.bed")
    assert data["train"].labels().tolist() == [[1, 0]]
    err = capsys.readouterr().err
    assert f"{tmp_path / '0.narrowPeak'} is read as names of columns: chrom start end" in err
    assert "bins.bed: its first line is read as names of columns: Chr Start Stop" in err


def test_an_unknown_split_contig_is_refused_with_the_genomes_contigs(world: World) -> None:
    refused(
        world,
        "--valid-chrom chr7: .*genome.fa has no such contig; it has chr1, chr2, chr3; "
        "give --valid-chrom one of them, or 'none'",
        options={"valid_chrom": PeakOptions().valid_chrom},
    )
    refused(
        world,
        "2 is in both --valid-chrom and --test-chrom",
        UsageError,
        options={"valid_chrom": ("chr2",), "test_chrom": ("2",)},
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("chr1\t0\t4\nchr1\t4\t9\n", "bins.bed:2: the bin is 5 bp wide, expected 4"),
        ("chr1\t0\t4\nchr4\t4\t8\n", "bins.bed:2: .*genome.fa has no contig 'chr4'; it has chr1"),
        (
            "#x\nchr1\t20\t24\n",
            "bins.bed:2: the bin 20 to 24 reaches past an end of chr1, which has 22 bases",
        ),
        ("chr1\t-2\t2\n", "bins.bed:1: the bin -2 to 2 reaches past an end of chr1"),
        ("chr1\t30\t34\n", "bins.bed:1: start 30 is past the end of chr1, which has 22 bases"),
        ("#x\n", "bins.bed: holds no bin"),
    ],
)
def test_a_wrong_list_of_bins_is_refused_by_line(world: World, lines: str, message: str) -> None:
    bins = world.folder / "bins.bed"
    bins.write_text(lines)
    refused(world, message, bins=bins)


def test_a_list_of_bins_does_not_go_with_exclusions_or_a_keep_pattern(world: World) -> None:
    bins = world.folder / "bins.bed"
    bins.write_text("chr1\t0\t4\n")
    for more in ({"exclude": bins}, {"options": {"keep": "l*"}}):
        refused(world, "--bins names the exact bins to use", UsageError, bins=bins, **more)


def test_a_window_of_unknown_bases_is_kept_where_its_bin_was_given(world: World) -> None:
    bins = world.folder / "bins.bed"
    bins.write_text("chr3\t4\t8\n")
    assert letters(world.build(bins=bins)["train"].read([0]).windows) == ["N" * 12]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_bp": 1001}, "window_bp 1001 with bin_bp 200: .* must be even"),
        ({"window_bp": 100}, "window_bp 100 with bin_bp 200"),
        ({"bin_bp": 0}, "--bin-bp 0, expected 1 or more"),
        ({"label": "most"}, "--label 'most', expected half, midpoint or any"),
    ],
)
def test_options_that_cannot_go_together_are_wrong_usage(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        PeakOptions(**options)


def test_contigs_shorter_than_a_bin_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path, {"chr1": "ACG"}, {"a": [("chr1", 0, 3, -1)]}).write()
    refused(world, "no contig is as long as one bin of 4 bp")


def test_peaks_that_make_no_bin_positive_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path, {"chr1": "ACGTACGT"}, {"a": [("chr1", 0, 1, -1)]}).write()
    refused(world, r"no bin is left \(2 bins without a positive\)")


def test_a_genome_of_unknown_bases_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, {"chr1": "NNNNNNNN"}, {"a": [("chr1", 0, 8, -1)]}).write()
    refused(world, r"no window is left \(2 bins of unknown bases only\)")


def test_an_output_that_exists_is_refused_before_any_work(world: World) -> None:
    (world.folder / "targets.tsv").unlink()
    (world.folder / "out").write_text("mine")
    refused(world, "out: exists already; give another name, or --force to replace it")
    assert (world.folder / "out").read_text() == "mine"


def test_an_interrupted_build_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bioq.builders.peaks.build.read_windows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        world.build()
    assert not any(path.is_dir() for path in world.folder.iterdir())


def test_a_gzip_peak_file_and_genome_give_the_same_data_set(world: World, tmp_path: Path) -> None:
    plain = world.build(out="plain")["train"]
    for name in ("genome.fa", "0.narrowPeak"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(path.read_bytes()))
    zipped = world.build(out="zipped")["train"]
    np.testing.assert_array_equal(plain.labels(), zipped.labels())
    a, b = plain.read(slice(None)), zipped.read(slice(None))
    np.testing.assert_array_equal(a.windows, b.windows)


def test_windows_written_in_several_chunks_keep_their_labels(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = world.build(out="whole")
    monkeypatch.setattr("bioq.builders.peaks.build._ROWS_AT_ONCE", 2)
    parts = world.build(out="parts")
    assert whole.fingerprint == parts.fingerprint
    assert open_dataset(parts.path)["train"].labels().sum() > 0


def test_the_lengths_of_the_genomes_contigs_are_recorded(world: World) -> None:
    built = world.build()
    assert built.description.contig_lengths == {"chr1": 22, "chr2": 20, "chr3": 16}


def built(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    peaks: dict[str, str],
    *,
    out: str = "out",
    options: dict[str, Any] | None = None,
    **more: Any,
) -> list[str]:
    """Build from BED texts of a genome of 40 bases; return the warnings and notes."""
    (folder / "genome.fa").write_text(f">chr1\n{'ACGT' * 10}\n")
    rows = [f"{name}\t{name}.bed\n" for name in peaks]
    for name, text in peaks.items():
        (folder / f"{name}.bed").write_text(text)
    (folder / "targets.tsv").write_text("name\tpeaks\n" + "".join(rows))
    World(folder, {}).build(out=out, options={"keep": "all"} | (options or {}), **more)
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if line.startswith(("warning", "note"))]


PEAK = "chr1\t8\t16\n"


def test_targets_without_a_positive_window_are_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summits = "chr1\t5\t6\tp\t7.1\nchr1\t20\t21\tp\t3.0\n"
    peaks = {"peak": PEAK, "summits": summits, "excluded": "chr1\t0\t4\n", "empty": ""}
    (tmp_path / "not.bed").write_text("chr1\t0\t4\n")
    exclude = tmp_path / "not.bed"
    assert built(tmp_path, capsys, peaks, exclude=exclude) == [
        "warning: 1 of 4 peak files holds no peak, so all labels of its target are 0: "
        f"{tmp_path / 'empty.bed'}",
        "warning: summits (1 of 4 targets): no positive window; all peaks are shorter than half a "
        "bin (2 bp), which --label half needs; give --label midpoint",
        "warning: excluded (1 of 4 targets): no positive window, though there are peaks: check "
        "--label, --keep, --exclude and --bins",
    ]
    options = {"label": "midpoint"}
    lines = built(tmp_path, capsys, peaks, out="midpoint", options=options)
    assert not any("summits" in line for line in lines)


def test_many_targets_without_a_positive_window_are_counted_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peaks = {f"t{number}": f"chr1\t{number}\t{number + 1}\n" for number in range(20)}
    line, *more = built(tmp_path, capsys, {"peak": PEAK} | peaks)
    assert line.startswith("warning: t0, t1, t2, t3, t4, t5, t6, t7 and 12 more (20 of 21 targets)")
    assert not more


def test_a_sheet_of_summits_alone_names_the_label_rule(tmp_path: Path) -> None:
    world = World(tmp_path, {"chr1": "ACGT" * 5}, {"A": [("chr1", 3, 4, -1)]}).write()
    refused(
        world, "no bin is left .*; all peaks are shorter than half a bin: give --label midpoint"
    )


def test_a_target_that_is_positive_almost_everywhere_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = "chr1\t0\t16\tE1\nchr1\t16\t40\tE2\n"
    assert built(tmp_path, capsys, {"states": states, "peak": PEAK}) == [
        "warning: states (1 of 2 targets): a positive label in more than 95% of all bins: is the "
        "file a segmentation or a signal? Give the intervals of one state, or called peaks",
    ]
    options = {"keep": "any"}
    assert built(tmp_path, capsys, {"peak": PEAK}, out="one", options=options) == [
        "warning: peak (1 of 1 targets): a positive label in more than 95% of the windows, so "
        "there is almost no negative to learn from; --background matched adds bins without a peak",
    ]


SIGNALS = {
    "bedGraph": 'track type=bedGraph name="x"\nchr1\t8\t16\t1.5\n',
    "wiggle": "browser hide all\ntrack type=wiggle_0\nchr1\t8\t16\t1.5\n",
    "values of 0": "chr1\t0\t8\t0\nchr1\t8\t16\t8.5\nchr1\t16\t24\t0.00\n",
}
PEAK_TABLES = {
    "BED4 without names": "chr1\t0\t4\t.\nchr1\t4\t8\t.\n",
    "scores of 0": "chr1\t0\t4\t0\nchr1\t8\t12\t0\n",
    "numbers": "chr1\t0\t4\t1\nchr1\t4\t8\t2\n",
    "a track": "track name=bedGraph\nchr1\t0\t4\t0\n",
    "BED5": "chr1\t0\t4\tx\t0\nchr1\t4\t8\ty\t0\n",
}


@pytest.mark.parametrize("kind", [*SIGNALS, *PEAK_TABLES])
def test_a_signal_that_is_given_as_peaks_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    text = (SIGNALS | PEAK_TABLES)[kind]
    lines = built(tmp_path, capsys, {"peak": PEAK, "signal": text, "other": text})
    said = (
        f"warning: 2 files (first: {tmp_path / 'signal.bed'}): seems to be a signal (bedGraph or "
        "wiggle), not peaks: it has such a track line, or adjacent intervals with a value of 0; "
        "each interval is read as one of the peaks; give called peaks"
    )
    assert lines == ([said] if kind in SIGNALS else [])


def test_the_same_file_for_two_targets_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "genome.fa").write_text(f">chr1\n{'ACGT' * 10}\n")
    (tmp_path / "a.bed").write_text(PEAK)
    (tmp_path / "b.bed").write_text(PEAK)
    (tmp_path / "targets.tsv").write_text("name\tpeaks\nA\ta.bed\nB\tb.bed\nC\t./a.bed\nD\tb.bed\n")
    World(tmp_path, {}).build(options={"keep": "all"})
    assert capsys.readouterr().err.splitlines()[0] == (
        f"note: {tmp_path / 'targets.tsv'}: 2 targets have the peak file "
        f"{os.path.realpath(tmp_path / 'a.bed')}, so their labels are equal: A, C; files "
        "like this: 2"
    )


def test_a_track_line_of_another_build_is_a_warning_for_peaks_and_exclusions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = write_2bit(tmp_path / "hg.2bit", "chr21", 46_709_983)
    (tmp_path / "a.bed").write_text("track db=hg19\nchr21\t1000\t1200\n")
    (tmp_path / "b.bed").write_text("track db=hg38\nchr21\t1000\t1200\n")
    (tmp_path / "x.bed").write_text("track db=hg19\nchr21\t1000\t1200\n")
    (tmp_path / "targets.tsv").write_text("name\tpeaks\nA\ta.bed\nB\tb.bed\nC\tx.bed\n")
    said = f"the track line says hg19, {genome} is GRCh38; check that the"
    with pytest.raises(BioqError, match="no bin is left"):
        build_from_peaks(
            tmp_path / "out",
            genome=genome,
            targets=tmp_path / "targets.tsv",
            options=PeakOptions(valid_chrom=("none",), test_chrom=("none",)),
            exclude=tmp_path / "x.bed",
        )
    lines = [line for line in capsys.readouterr().err.splitlines() if "track line" in line]
    assert lines == [
        f"warning: {tmp_path / 'a.bed'}:1: {said} peaks are those of the genome; files like this: "
        "2",
        f"warning: {tmp_path / 'x.bed'}:1: {said} excluded regions are those of the genome",
    ]
    build_from_peaks(
        tmp_path / "out",
        genome=genome,
        targets=tmp_path / "targets.tsv",
        options=PeakOptions(valid_chrom=("none",), test_chrom=("none",)),
        bins=tmp_path / "x.bed",
    )
    lines = capsys.readouterr().err.splitlines()
    assert f"warning: {tmp_path / 'x.bed'}:1: {said} bins are those of the genome" in lines
    assert lines[-1] == (
        "warning: A, B, C (3 of 3 targets): a positive label in more than 95% of the bins of "
        "--bins, so there is almost no negative to learn from; add bins without a peak"
    )


def test_the_summits_of_idr_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "chr1\t8\t24\t.\t1000\t.\t12.1\t-1\t3.5\t{}\t4.1\t4.2\t8\t24\t12.1\t9\t8\t20\t11.0\t9\n"
    text = line.format(1) + line.format(13)
    options = {"label": "midpoint"}
    assert built(tmp_path, capsys, {"idr": text}, options=options) == []
    assert open_dataset(tmp_path / "out")["train"].labels()[:, 0].tolist() == [
        *(0, 0, 1, 0, 0, 1, 0, 0, 0, 0)
    ]

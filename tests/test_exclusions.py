"""ENCODE's exclusion lists by name, on contigs of real lengths."""

import gzip
import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from download_site import Site
from genome_cases import write_2bit

from bioq.cli import main
from bioq.dataset import open_dataset
from bioq.errors import BioqError
from bioq.genome import Genome, exclusions, open_genome
from bioq.genome.exclusions import LISTS, exclusion_file, require_same_build

CHR21 = {"hg19": 48_129_895, "hg38": 46_709_983}
SHIPPED = [name for name, each in LISTS.items() if each.sha256]


def regions(name: str) -> list[tuple[str, int, int]]:
    lines = gzip.decompress(exclusion_file(Path(f"encode:{name}")).read_bytes()).splitlines()
    cells = [line.decode().split("\t") for line in lines]
    return [(contig, int(start), int(end)) for contig, start, end, _ in cells]


def test_the_lists_of_human_and_mouse_are_shipped() -> None:
    assert SHIPPED == ["hg19", "hg38", "mm10"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_list_has_the_published_regions_and_bases(name: str) -> None:
    found, expected = regions(name), LISTS[name]
    assert len(found) == expected.regions
    assert sum(end - start for _, start, end in found) == expected.bases
    assert all(start < end for _, start, end in found)
    ordered = sorted(found)
    assert all(
        one[0] != other[0] or one[2] <= other[1] for one, other in itertools.pairwise(ordered)
    )
    text = gzip.decompress(exclusion_file(Path(f"encode:{name}")).read_bytes())
    assert hashlib.sha256(text).hexdigest() == expected.bed_sha256


@pytest.mark.parametrize(("build", "contig"), [("hg38", "chr21"), ("hg19", "21")])
def test_bins_in_a_list_by_name_are_left_out_and_the_list_is_a_source(
    tmp_path: Path, build: str, contig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = write_2bit(tmp_path / "g.2bit", contig, CHR21[build])
    excluded = [(start, end) for name, start, end in regions(build) if name == "chr21"]
    inside, outside = excluded[0][0], excluded[0][1] + 200
    (tmp_path / "p.bed").write_text(
        f"chr21\t{inside + 200}\t{inside + 600}\nchr21\t{outside}\t{outside + 400}\n"
    )
    (tmp_path / "targets.tsv").write_text("name\tpeaks\np\tp.bed\n")
    status = main(
        [
            *("data", "peaks", "--genome", str(genome), "--targets", str(tmp_path / "targets.tsv")),
            *("--out", str(tmp_path / "data"), "--exclude", f"encode:{build}", "--keep", "all"),
            *("--valid-chrom", "none", "--test-chrom", "none"),
        ]
    )
    assert status == 0
    frame = open_dataset(tmp_path / "data")["train"].bins()
    kept = set(frame["start"].tolist())
    bins = CHR21[build] // 200
    touched = {
        bin_ for start, end in excluded for bin_ in range(start // 200, min(-(-end // 200), bins))
    }
    assert kept == {bin_ * 200 for bin_ in range(bins)} - {bin_ * 200 for bin_ in touched}
    assert f"{len(touched):,} bins excluded" in capsys.readouterr().err
    sources = open_dataset(tmp_path / "data").description.sources
    (source,) = [each for each in sources if "blacklist" in each.name]
    assert source.name == f"{build}-blacklist.v2.bed.gz"
    assert source.sha256 == LISTS[build].sha256


def test_a_list_of_another_build_than_the_genome_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = write_2bit(tmp_path / "g.2bit", "chr21", CHR21["hg38"])
    (tmp_path / "p.bed").write_text("chr21\t20000000\t20000400\n")
    (tmp_path / "targets.tsv").write_text("name\tpeaks\np\tp.bed\n")
    arguments = ["--genome", str(genome), "--targets", str(tmp_path / "targets.tsv")]
    arguments += ["--out", str(tmp_path / "data"), "--valid-chrom", "none", "--test-chrom", "none"]
    assert main(["data", "peaks", *arguments, "--exclude", "encode:hg19"]) == 1
    said = capsys.readouterr().err
    assert "encode:hg19: is a list of hg19, and the genome is " in said
    assert "g.2bit (GRCh38); give encode:hg38, or the genome of the list" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("lengths", "wrong", "right"),
    [
        ({"chr4": 1_348_131}, "dm3", "dm6"),
        ({"4": 1_351_857}, "dm6", "dm3"),
        ({"I": 15_072_434}, "ce10", "ce11"),
        ({"chrI": 230_218}, "ce11", None),
    ],
)
def test_lists_of_fly_and_worm_are_compared_with_the_genome(
    lengths: dict[str, int], wrong: str, right: str | None
) -> None:
    genome = Genome(Path("g.fa"), lengths, lambda *_: np.zeros(0, np.uint8), lambda: None)
    remedy = f"give encode:{right}" if right else "give a list of that build as BED"
    with pytest.raises(BioqError, match=f"encode:{wrong}: is a list of {wrong}, .*; {remedy}"):
        require_same_build(Path(f"encode:{wrong}"), genome)
    if right is not None:
        require_same_build(Path(f"encode:{right}"), genome)


def test_a_genome_of_no_known_build_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">chr1\nACGT\n")
    with open_genome(tmp_path / "g.fa") as genome:
        require_same_build(Path("encode:hg38"), genome)
        require_same_build(Path("mine.bed"), genome)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("encode:hg39", "encode:hg38"),
        ("encode:HG38", "encode:hg38"),
        ("ENCODE:hg38", "encode:hg38"),
        ("encode:GRCh38", "encode:hg38"),
        ("encode:GRCh37", "encode:hg19"),
        ("encode:GRCm38", "encode:mm10"),
        ("encode:ce12", "encode:ce11"),
    ],
)
def test_a_list_that_is_not_known_is_an_error_with_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(BioqError, match=rf"{text}: no list of this name; did you mean {nearest}"):
        exclusion_file(Path(text))


@pytest.mark.parametrize("text", ["encode:", "encode:sacCer3", "encode:mm39"])
def test_a_build_without_a_list_is_an_error_with_all_names(text: str) -> None:
    with pytest.raises(BioqError, match="or one of encode:hg19, encode:hg38, encode:mm10"):
        exclusion_file(Path(text))


def test_the_name_of_a_genome_is_answered_with_the_name_of_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BioqError, match=r"^mm10: no such file; ENCODE's list of mm10 is encode:"):
        exclusion_file(Path("mm10"))
    monkeypatch.chdir(tmp_path)
    Path("mm10").write_text("chr1\t0\t1\n")
    assert exclusion_file(Path("mm10")) == Path("mm10")


def test_a_path_stays_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("encode:hg38").write_text("chr1\t0\t1\n")
    for path in (Path("encode:hg38"), Path("mine.bed"), tmp_path / "encode" / "hg38"):
        assert exclusion_file(path) == path


def test_a_shipped_list_that_has_changed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hg38-blacklist.v2.bed.gz").write_bytes(gzip.compress(b"chr1\t0\t1\n"))
    monkeypatch.setattr(exclusions, "_FOLDER", tmp_path)
    with pytest.raises(BioqError, match=r"is not the list that BioQ ships; install BioQ again"):
        exclusion_file(Path("encode:hg38"))


def worm(*, regions: int = 97, more: int = 0) -> bytes:
    """Return a list with the regions and bases of ce11's."""
    lines = [f"chrI\t{10_000 * number}\t{10_000 * number + 100}\tx" for number in range(regions)]
    last = 10_000 * regions
    lines[-1] = f"chrI\t{last}\t{last + 728_500 - 100 * (regions - 1) + more}\tx"
    return gzip.compress("\n".join([*lines, ""]).encode())


def test_a_list_that_is_not_shipped_is_downloaded_once_and_compared(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(exclusions, "_ADDRESS", site.url.rpartition("/")[0])
    site.content = worm(more=100)
    with pytest.raises(BioqError, match=r"97 regions and 728,600 bases, expected 97 and 728,500"):
        exclusion_file(Path("encode:ce11"))
    assert list((tmp_path / "cache" / "exclusions").iterdir()) == []
    site.content = b"<html>a login page</html>"
    with pytest.raises(BioqError):
        exclusion_file(Path("encode:ce11"))
    site.content = worm()
    file = exclusion_file(Path("encode:ce11"))
    assert file == tmp_path / "cache" / "exclusions" / "ce11-blacklist.v2.bed.gz"
    assert file.read_bytes() == site.content
    assert "encode:ce11: downloading http://" in capsys.readouterr().err
    requests = len(site.paths)
    assert exclusion_file(Path("encode:ce11")) == file
    assert len(site.paths) == requests == 3

"""Genomes by UCSC's names: a local server takes the place of UCSC's."""

import hashlib
import http.client
import io
import json
import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import py2bit
import pytest
from download_site import Site
from genome_cases import twobit_of

import bioq
from bioq.cli import main
from bioq.dataset import open_dataset
from bioq.errors import BioqError
from bioq.files import download, locked
from bioq.files.cache import cache_folder
from bioq.files.redirects import Redirects
from bioq.genome import named, open_genome
from bioq.genome.builds import build_named
from bioq.genome.named import GENOMES, genome_file
from bioq.prediction import predict_file
from bioq.web import open_service

FISH = "danRer11"
"""A genome whose lengths BioQ does not have."""
BYTES = twobit_of({"chr1": 5000, "chr2": 3001})


def served(site: Site, name: str, content: bytes, md5: str | None = "") -> None:
    """Put a genome on the server, with its checksum among others; md5 None: without md5sum.txt."""
    folder = f"/goldenPath/{name}/bigZips"
    site.files[f"{folder}/{name}.2bit"] = content
    digits = md5 or hashlib.md5(content, usedforsecurity=False).hexdigest()
    text = f"{'0' * 32}  {name}.fa.gz\n{digits}  {name}.2bit\n{'1' * 32}  {name}.agp.gz\n"
    site.files[f"{folder}/md5sum.txt"] = None if md5 is None else text.encode()


@pytest.fixture
def ucsc(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A mirror of UCSC, an empty cache, and a working folder of its own."""
    monkeypatch.setenv("BIOQ_GENOMES", f"{site.server}/goldenPath/")
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    named._say_once.cache_clear()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    served(site, FISH, BYTES)
    return site


def cached(tmp_path: Path, name: str = FISH) -> Path:
    return tmp_path / "cache" / "genomes" / name / f"{name}.2bit"


def test_a_name_is_downloaded_once_and_read_without_the_network_afterwards(
    ucsc: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_genome(FISH) as genome:
        assert genome.path == cached(tmp_path)
        assert genome.lengths == py2bit.open(str(cached(tmp_path))).chroms()
        assert genome.letters("chr2", 0, 3) == "TTT"
    assert cached(tmp_path).read_bytes() == BYTES
    assert sorted(path.name for path in cached(tmp_path).parent.iterdir()) == [
        f"{FISH}.2bit",
        "source.json",
    ]
    said = capsys.readouterr().err
    assert f"genome {FISH} (zebrafish, GRCz11): downloading http://127.0.0.1" in said
    assert f"MD5 {hashlib.md5(BYTES, usedforsecurity=False).hexdigest()} (as expected)" in said
    requests = len(ucsc.paths)
    with open_genome(Path(FISH)):
        assert len(ucsc.paths) == requests == 2
    assert capsys.readouterr().err == ""


def test_the_source_of_a_genome_is_recorded(ucsc: Site, tmp_path: Path) -> None:
    file = genome_file(Path(FISH))
    source = json.loads(file.with_name("source.json").read_text())
    assert source["url"].endswith(f"/goldenPath/{FISH}/bigZips/{FISH}.2bit")
    assert source["bytes"] == len(BYTES)
    assert source["md5"] == hashlib.md5(BYTES, usedforsecurity=False).hexdigest()


def test_a_known_build_is_compared_with_its_lengths(ucsc: Site, tmp_path: Path) -> None:
    build = build_named("sacCer3")
    assert build is not None
    lengths = {f"chr{'M' if name == 'MT' else name}": bp for name, bp in build.lengths.items()}
    served(ucsc, "sacCer3", twobit_of({**lengths, "chrIV": lengths["chrIV"] - 1}))
    with pytest.raises(BioqError, match=r"is not sacCer3: it has no contig IV of 1,531,933 bases"):
        genome_file(Path("sacCer3"))
    assert not cached(tmp_path, "sacCer3").exists()
    assert [path.name for path in cached(tmp_path, "sacCer3").parent.iterdir()] == []
    served(ucsc, "sacCer3", twobit_of(lengths))
    with open_genome("sacCer3") as genome:
        assert genome.title == f"{cached(tmp_path, 'sacCer3')} (sacCer3)"


@pytest.mark.parametrize("version", [0, 1])
def test_both_versions_of_2bit_are_read(tmp_path: Path, version: int) -> None:
    file = tmp_path / "g.2bit"
    file.write_bytes(twobit_of({"chr1": 11, "chrM": 6}, version=version))
    with open_genome(file) as genome:
        assert genome.lengths == py2bit.open(str(file)).chroms() == {"chr1": 11, "chrM": 6}
        assert genome.letters("chrM", 0, 6) == py2bit.open(str(file)).sequence("chrM", 0, 6)


def test_a_file_of_the_name_is_read_and_said(
    ucsc: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(FISH).write_text(">mine\nACGT\n")
    with open_genome(FISH) as genome, open_genome(FISH):
        assert list(genome.lengths) == ["mine"]
    assert ucsc.paths == []
    said = capsys.readouterr().err
    assert said == f"note: {FISH} is a file here, so it is read and not UCSC's genome {FISH}\n"


def test_a_folder_of_the_name_is_not_the_genome(
    ucsc: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(FISH).mkdir()
    assert genome_file(Path(FISH)) == cached(tmp_path)
    assert f"note: {FISH} is also a folder here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hg39", r"hg39: no such file, and not the name .*; did you mean hg38"),
        ("HG38", r"HG38: no such file; .* or the name hg38: BioQ then downloads UCSC's genome"),
        ("hg 38", r"hg 38: .*did you mean hg38"),
        ("GRCh38", r"GRCh38: no such file; .* or the name hg38"),
        ("GRCh38.p14", r"GRCh38.p14: no such file; .* or the name hg38"),
        ("GRCh37", r"or the name hg19"),
        ("T2T-CHM13", r"expected a FASTA or 2bit file, or one of hg19, hg38, hs1"),
        ("chm13v2.0", r"or the name hs1"),
        ("GRCm39", r"or the name mm39"),
        ("data/hg38.fa", r"data/hg38.fa: no such file; .* or the name hg38"),
        ("sacCer4", r"did you mean sacCer3"),
        ("data/mine", r"data/mine: no such file; expected a genome"),
        ("mine.fa", r"mine.fa: no such file; expected a genome"),
    ],
)
def test_a_name_that_is_not_known_is_an_error_with_the_nearest(
    ucsc: Site, text: str, expected: str
) -> None:
    with pytest.raises(BioqError, match=expected):
        open_genome(text)
    assert ucsc.paths == []


def test_a_checksum_that_differs_removes_the_download(ucsc: Site, tmp_path: Path) -> None:
    served(ucsc, FISH, BYTES, md5="ab" * 16)
    with pytest.raises(BioqError, match=r"the MD5 of the download is .*, expected abab.*removed"):
        genome_file(Path(FISH))
    assert list(cached(tmp_path).parent.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"0" * 32 + b"  danRer11.fa.gz\n",
        b"not a list\n\xff\xfe\n",
        b"12  danRer11.2bit\n",
    ],
    ids=["absent", "empty", "other files", "no text", "no digits"],
)
def test_without_a_published_checksum_the_genome_is_read_and_it_is_said(
    ucsc: Site, text: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    ucsc.files[f"/goldenPath/{FISH}/bigZips/md5sum.txt"] = text
    assert genome_file(Path(FISH)).read_bytes() == BYTES
    assert f"md5sum.txt has no checksum of {FISH}.2bit" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["{} *./danRer11.2bit\r\n", "  {}\tdanRer11.2bit\n"])
def test_lines_of_md5sum_in_other_forms_are_read(ucsc: Site, line: str) -> None:
    ucsc.files[f"/goldenPath/{FISH}/bigZips/md5sum.txt"] = line.format("ab" * 16).encode()
    with pytest.raises(BioqError, match="expected abab"):
        genome_file(Path(FISH))


def test_a_huge_list_of_checksums_is_refused(ucsc: Site, tmp_path: Path) -> None:
    ucsc.files[f"/goldenPath/{FISH}/bigZips/md5sum.txt"] = b"x" * (download.MOST_TEXT_BYTES + 2)
    with pytest.raises(BioqError, match=r"md5sum.txt: is larger than 1,048,576 bytes"):
        genome_file(Path(FISH))
    assert not cached(tmp_path).exists()


def test_a_download_that_breaks_off_is_resumed_by_the_next_command(
    ucsc: Site, tmp_path: Path
) -> None:
    ucsc.break_after = [10_000, 500] + [0] * download.TRIES
    with pytest.raises(BioqError, match=r"tries in a row.* or download the genome elsewhere and"):
        genome_file(Path(FISH))
    assert not cached(tmp_path).exists()
    ucsc.ranges.clear()
    assert genome_file(Path(FISH)).read_bytes() == BYTES
    assert ucsc.ranges == [None, "bytes=500-"]


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
@pytest.mark.parametrize("file", [f"{FISH}.2bit", "md5sum.txt"])
def test_a_redirect_out_of_the_web_is_refused(ucsc: Site, target: str, file: str) -> None:
    ucsc.redirects[f"/goldenPath/{FISH}/bigZips/{file}"] = target
    with pytest.raises(BioqError, match=r"edirect.*(which BioQ does not read|is not allowed)"):
        genome_file(Path(FISH))


def test_a_redirect_from_https_to_http_is_refused() -> None:
    request = urllib.request.Request("https://hgdownload.soe.ucsc.edu/x")
    follow = Redirects().redirect_request
    answer = io.BytesIO(), 302, "Found", http.client.HTTPMessage()
    assert follow(request, *answer, "https://elsewhere.org/x") is not None
    with pytest.raises(BioqError, match=r"http://elsewhere.org/x, which .* \(https only\)"):
        follow(request, *answer, "http://elsewhere.org/x")


def test_a_redirect_to_another_web_address_is_followed(ucsc: Site) -> None:
    path = f"/goldenPath/{FISH}/bigZips/{FISH}.2bit"
    ucsc.files["/elsewhere"] = BYTES
    ucsc.redirects[path] = f"{ucsc.server}/elsewhere"
    assert genome_file(Path(FISH)).read_bytes() == BYTES


@pytest.mark.parametrize(("gives_length", "extra"), [(False, 0), (True, 100)])
def test_a_server_that_lies_about_the_length_gives_no_wrong_genome(
    ucsc: Site, tmp_path: Path, *, gives_length: bool, extra: int
) -> None:
    ucsc.gives_length, ucsc.extra_length = gives_length, extra
    if gives_length:
        with pytest.raises(BioqError, match=r"tries in a row|the file on the server has changed"):
            genome_file(Path(FISH))
        assert not cached(tmp_path).exists()
    else:
        assert genome_file(Path(FISH)).read_bytes() == BYTES


def test_a_genome_that_the_server_does_not_have_is_named(ucsc: Site) -> None:
    ucsc.files[f"/goldenPath/{FISH}/bigZips/{FISH}.2bit"] = None
    with pytest.raises(BioqError, match=r"danRer11.2bit: the server answered 404 .* give its file"):
        genome_file(Path(FISH))


@pytest.mark.parametrize(
    "content", [b"<html>a login page</html>", BYTES[:-1], b""], ids=["page", "cut", "empty"]
)
def test_something_else_than_a_genome_is_not_kept(
    ucsc: Site, tmp_path: Path, content: bytes
) -> None:
    served(ucsc, FISH, content, md5=None)
    expected = "cut short or damaged" if content == BYTES[:-1] else "is not a 2bit genome"
    with pytest.raises(BioqError, match=expected):
        genome_file(Path(FISH))
    assert list(cached(tmp_path).parent.iterdir()) == []


def test_no_network_is_one_line_at_once(
    ucsc: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOQ_GENOMES", "http://127.0.0.1:1/goldenPath")
    with pytest.raises(BioqError, match=r"no answer \(.*refused\); check the network; or download"):
        genome_file(Path(FISH))


def test_an_address_that_is_not_a_web_address_is_refused(
    ucsc: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOQ_GENOMES", "/data/ucsc")
    with pytest.raises(BioqError, match="is not a web address"):
        genome_file(Path(FISH))


def test_a_full_disk_is_named_before_the_download(
    ucsc: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(BioqError, match=r"has 10 bytes free, 2,0.* are needed"):
        genome_file(Path(FISH))


def test_a_cache_that_is_a_file_is_one_line(
    ucsc: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(BioqError, match=r"cannot be written: Not a directory; set BIOQ_CACHE"):
        genome_file(Path(FISH))
    assert (tmp_path / "cache").read_text() == "mine"


def test_a_read_only_cache_is_read_and_not_written(
    ucsc: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genome_file(Path(FISH))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write into every folder
    assert genome_file(Path(FISH)) == cached(tmp_path)
    with pytest.raises(BioqError, match="it is read-only for you; set BIOQ_CACHE"):
        genome_file(Path("rn7"))


def test_a_cached_file_of_another_length_is_not_used(ucsc: Site, tmp_path: Path) -> None:
    genome_file(Path(FISH))
    cached(tmp_path).write_bytes(BYTES[:-10])
    with pytest.raises(BioqError, match=r"has 2,0.* were downloaded; remove this file"):
        genome_file(Path(FISH))


def test_a_genome_that_somebody_put_into_the_cache_is_used(ucsc: Site, tmp_path: Path) -> None:
    cached(tmp_path).parent.mkdir(parents=True)
    cached(tmp_path).write_bytes(BYTES)
    assert genome_file(Path(FISH)) == cached(tmp_path)
    assert ucsc.paths == []


def start_command() -> subprocess.Popen[str]:
    script = f"from bioq.genome import open_genome; print(open_genome({FISH!r}).path)"
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_three_commands_at_once_one_downloads(ucsc: Site, tmp_path: Path) -> None:
    ucsc.pause_s = 0.3
    results = [process.communicate(timeout=60) for process in [start_command() for _ in range(3)]]
    assert {out.strip() for out, _ in results} == {str(cached(tmp_path))}
    assert sum(", once" in err for _, err in results) == 1
    assert sum(path.endswith(".2bit") for path in ucsc.paths) == 1


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_command_waits_for_another_and_downloads_if_that_is_killed(
    ucsc: Site, tmp_path: Path, *, is_finished: bool
) -> None:
    cached(tmp_path).parent.mkdir(parents=True)
    with locked(cached(tmp_path).parent):
        process = start_command()
        assert process.stderr is not None
        waiting = process.stderr.readline()
        assert waiting == f"genome {FISH}: another process is downloading it; waiting for that\n"
        if is_finished:
            cached(tmp_path).write_bytes(BYTES)
    out, _ = process.communicate(timeout=60)
    assert out.strip() == str(cached(tmp_path))
    assert cached(tmp_path).read_bytes() == BYTES
    assert len(ucsc.paths) == (0 if is_finished else 2)


def test_threads_of_one_process_download_once(ucsc: Site, tmp_path: Path) -> None:
    ucsc.pause_s = 0.2
    threads = [threading.Thread(target=genome_file, args=[Path(FISH)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(path.endswith(".2bit") for path in ucsc.paths) == 1


def test_the_folder_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BIOQ_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "bioq"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the XDG standard
    assert cache_folder() == tmp_path / ".cache" / "bioq"
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch/me")
    assert cache_folder() == Path("/scratch/me/bioq")
    monkeypatch.setenv("BIOQ_CACHE", "~/genomes")
    assert cache_folder() == tmp_path / "genomes"
    monkeypatch.setenv("BIOQ_CACHE", "genomes")
    with pytest.raises(BioqError, match="BIOQ_CACHE=genomes: is not an absolute path"):
        cache_folder()
    monkeypatch.setenv("BIOQ_CACHE", "~nobody-of-this-name/x")
    with pytest.raises(BioqError, match="there is no home folder; set BIOQ_CACHE"):
        cache_folder()


def test_every_name_has_a_species_and_known_builds_are_ucscs() -> None:
    assert all(GENOMES.values())
    known = {name: build.name for name in GENOMES if (build := build_named(name)) is not None}
    assert known["hg38"] == "GRCh38"
    assert known["hs1"] == "T2T-CHM13v2.0"
    assert known["mm10"] == "GRCm38"


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "chr1:1,000-1,200", "--out", "out.tsv"),
        ("mutagenesis", "chr1:1,000-1,200", "--out", "out.tsv"),
        ("attribution", "chr1:1,000-1,200", "--out", "out.tsv", "--targets", "first"),
        ("variants", "chr1:1000:T>G", "--out", "out.tsv"),
        ("background", "x.vcf", "--out", "out.npz"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_command_takes_a_name(ucsc: Site, run: Path, arguments: tuple[str, ...]) -> None:
    Path("x.vcf").write_text("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n1\t900\t.\tT\tC\n")
    command, source, *more = arguments
    assert main([command, str(run), source, "--genome", FISH, *more]) == 0
    assert len(ucsc.paths) == 2
    assert Path(arguments[3]).stat().st_size > 100


def test_a_data_set_of_a_name_records_the_file_and_its_checksum(
    ucsc: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("p.bed").write_text("chr1\t1000\t1400\n")
    Path("t.tsv").write_text("name\tpeaks\np\tp.bed\n")
    splits = ["--valid-chrom", "none", "--test-chrom", "none", "--background", "none"]
    arguments = ["--genome", FISH, "--targets", "t.tsv", "--out", FISH]
    for more in ([], ["--force"]):  # the second time, the output is a folder of this name
        assert main(["data", "peaks", *arguments, *splits, *more]) == 0
    source = open_dataset(Path(FISH)).description.sources[0]
    assert source.name == f"{FISH}.2bit"
    assert source.sha256 == hashlib.sha256(BYTES).hexdigest()


def test_the_server_and_the_functions_of_python_take_a_name(ucsc: Site, run: Path) -> None:
    with open_service(run, Path(FISH)) as service:
        assert service.genome is not None
        assert service.genome.title == f"{FISH}.2bit"  # no path of this machine on a page
    model = bioq.load(run)
    (table,) = bioq.score_variants(model, "chr1:1000:T>G", FISH)
    assert table["status"].tolist() == ["scored"]
    assert predict_file(run, "chr2:1,000-1,200", "p.tsv", genome=FISH) == [Path("p.tsv")]

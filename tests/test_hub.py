"""Track hubs: what UCSC's browser and IGV read beside bigWigs, complete or not at all."""

import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import py2bit
import pyBigWig
import pysam
import pytest
from hub_reader import (
    composite_faults,
    faults,
    labels,
    session_faults,
    settings_of,
    stanzas,
)
from variant_cases import make_run

from bioq import BioqError, UsageError
from bioq.cli import main
from bioq.genome import open_genome
from bioq.genome.twobit_writing import write_twobit
from bioq.prediction import predict_file
from bioq.tracks import write_hub
from bioq.tracks.bigwig import bigwig_paths, write_bigwigs
from bioq.tracks.hub import HUB_FILES, TWOBIT
from bioq.tracks.trackdb import TrackSet, read_stanzas, track_db

RANDOM = np.random.default_rng(8)
CHR_I = 230_218  # sacCer3's chrI; no other build has a contig of this name and length


def bases(length: int) -> str:
    return "".join(RANDOM.choice(list("ACGT"), length))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("hub") / "run")


@pytest.fixture(scope="module")
def yeast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("yeast") / "sacCer3.fa"
    path.write_text(f">I\n{bases(CHR_I)}\n")  # Ensembl's name of chrI
    return path


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plant") / "my plant.v2.fa"
    path.write_text(f">one\n{bases(900)}NNNN\n>two\nNN{bases(300).lower()}acgtRYNN\n")
    return path


def written(run: Path, genome: Path, out: Path, region: str, **options: bool) -> list[Path]:
    return predict_file(run, region, out, genome=genome, hub=True, **options)


def hub_of(run: Path, genome: Path, folder: Path) -> Path:
    written(run, genome, folder / "tracks.bw", "one:1-800")
    return folder


def bigwigs(folder: Path, names: list[str], lengths: dict[str, int], out: str = "x.bw") -> None:
    def read() -> object:
        start = np.arange(100, 140)
        values = RANDOM.normal(size=(40, len(names))).astype(np.float32)
        yield next(iter(lengths)), start, start + 1, values

    write_bigwigs(bigwig_paths(folder / out, names), lengths, read)  # type: ignore[arg-type]


def test_a_hub_of_a_genome_of_ucsc_has_no_faults(run: Path, yeast: Path, tmp_path: Path) -> None:
    files = written(run, yeast, tmp_path / "tracks.bw", "I:100,001-103,000")
    assert sorted(path.name for path in files) == sorted(path.name for path in tmp_path.iterdir())
    assert faults(tmp_path, {"I": CHR_I}) == []
    assert session_faults(tmp_path) == []
    assert stanzas((tmp_path / "genomes.txt").read_text()) == [
        {"genome": "sacCer3", "trackDb": "trackDb.txt"}
    ]
    root = ElementTree.parse(tmp_path / "igv.xml").getroot()
    assert (root.get("genome"), root.get("locus")) == ("sacCer3", "I:100001-103000")
    names = [track.get("name") for track in root.iter("Track")]
    assert names == ["first", "second"]


def test_a_hub_of_an_unknown_genome_brings_it(run: Path, plant: Path, tmp_path: Path) -> None:
    hub_of(run, plant, tmp_path)
    assert faults(tmp_path, {}) == []
    assert session_faults(tmp_path) == []
    (genome,) = stanzas((tmp_path / "genomes.txt").read_text())
    assert genome["genome"] == "my_plant_v2"
    assert genome["defaultPos"] == "one:1-800"
    assert ElementTree.parse(tmp_path / "igv.xml").getroot().get("genome") == "genome.2bit"


def test_a_written_2bit_is_the_genome(plant: Path, tmp_path: Path) -> None:
    path = tmp_path / "genome.2bit"
    with open_genome(plant) as genome:
        write_twobit(genome, path)
        lengths = genome.lengths
    fasta = pysam.FastaFile(str(plant))
    file = py2bit.open(str(path), True)
    assert file.chroms() == lengths
    for contig in lengths:
        expected = fasta.fetch(contig).replace("R", "N").replace("Y", "N")
        assert file.sequence(contig) == expected
    file.close()
    fasta.close()


def test_a_2bit_of_a_large_genome_has_offsets_of_64_bits(
    plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_genome(plant) as genome:
        write_twobit(genome, tmp_path / "usual.2bit")
        monkeypatch.setattr("bioq.genome.twobit_writing._MOST_OFFSET", 100)
        write_twobit(genome, tmp_path / "large.2bit")
    heads = [(tmp_path / f"{name}.2bit").read_bytes()[4] for name in ("usual", "large")]
    assert heads == [0, 1]
    with (
        open_genome(tmp_path / "usual.2bit") as usual,
        open_genome(tmp_path / "large.2bit") as large,
    ):
        assert usual.lengths == large.lengths
        for contig, length in usual.lengths.items():
            same = usual.read_masked(contig, 0, length), large.read_masked(contig, 0, length)
            for one, two in zip(*same, strict=True):
                np.testing.assert_array_equal(one, two)


def test_a_2bit_genome_is_copied(run: Path, plant: Path, tmp_path: Path) -> None:
    with open_genome(plant) as genome:
        write_twobit(genome, tmp_path / "mine.2bit")
    (tmp_path / "hub").mkdir()
    hub_of(run, tmp_path / "mine.2bit", tmp_path / "hub")
    copied = (tmp_path / "hub/genome.2bit").read_bytes()
    assert copied == (tmp_path / "mine.2bit").read_bytes()
    assert faults(tmp_path / "hub", {}) == []


def test_contributions_are_drawn_as_letters(plant: Path, tmp_path: Path) -> None:
    names = ["a|b c", "γ"]
    bigwigs(tmp_path, names, {"one": 904, "two": 310}, "our map.bw")
    files = write_hub(tmp_path / "our map.bw", names, genome=plant, model="m", shows="contribution")
    assert [path.name for path in files] == [
        "trackDb.txt", "genome.2bit", "genomes.txt", "our map.html", "hub.txt", "igv.xml",
    ]  # fmt: skip
    assert faults(tmp_path, {}) == []
    assert session_faults(tmp_path) == []
    composite, first, _ = stanzas((tmp_path / "trackDb.txt").read_text())
    assert (composite["logo"], composite["autoScale"]) == ("on", "on")
    assert first["bigDataUrl"] == "our%20map.a_b_c.bw"
    with pyBigWig.open(str(tmp_path / "our map.a_b_c.bw")) as file:
        values = file.values("one", 100, 140, numpy=True)
    _, low, high = first["type"].split()
    assert float(low) == pytest.approx(values.min(), rel=1e-3)
    assert float(high) == pytest.approx(values.max(), rel=1e-3)
    drawn = ElementTree.parse(tmp_path / "igv.xml").iter("Track")
    assert [(track.get("name"), track.get("renderer")) for track in drawn] == [
        ("a|b c contribution", "DYNSEQ"),
        ("γ contribution", "DYNSEQ"),
    ]


def test_tracks_without_a_value_have_a_hub_too(plant: Path, tmp_path: Path) -> None:
    def read() -> object:
        nothing = np.empty(0, dtype=np.int64)
        yield "one", nothing, nothing, np.empty((0, 1), dtype=np.float32)

    lengths = {"one": 904, "two": 310}
    write_bigwigs(bigwig_paths(tmp_path / "x.bw", ["a"]), lengths, read)  # type: ignore[arg-type]
    write_hub(tmp_path / "x.bw", ["a"], genome=plant, model="m", shows="contribution")
    assert session_faults(tmp_path) == []
    (genome,) = stanzas((tmp_path / "genomes.txt").read_text())
    assert genome["defaultPos"] == "one:1-904"


def test_a_second_output_is_added_to_the_hub(run: Path, plant: Path, tmp_path: Path) -> None:
    hub_of(run, plant, tmp_path)
    hub_text = (tmp_path / "hub.txt").read_text().replace("name@example.org", "me@uni.edu")
    (tmp_path / "hub.txt").write_text(hub_text)
    bigwigs(tmp_path, ["first"], {"one": 904, "two": 310}, "map.bw")
    write_hub(tmp_path / "map.bw", ["first"], genome=plant, shows="contribution", model="run")
    assert faults(tmp_path, {}) == []
    assert session_faults(tmp_path) == []
    assert (tmp_path / "hub.txt").read_text() == hub_text
    tracks = [each["track"] for each in stanzas((tmp_path / "trackDb.txt").read_text())]
    assert tracks == ["tracks", "tracks_first", "tracks_second", "map", "map_first"]
    written(run, plant, tmp_path / "tracks.bw", "one:1-400", force=True)
    tracks = [each["track"] for each in stanzas((tmp_path / "trackDb.txt").read_text())]
    assert tracks == ["map", "map_first", "tracks", "tracks_first", "tracks_second"]
    assert faults(tmp_path, {}) == []
    # Another output whose name is the same as a name of tracks, without its sign, is another set.
    written(run, plant, tmp_path / "t-racks.bw", "one:1-400")
    written(run, plant, tmp_path / "t_racks.bw", "one:1-400")
    tracks = [each["track"] for each in stanzas((tmp_path / "trackDb.txt").read_text())]
    assert {"t_racks", "t_racks_2", "t_racks_first", "t_racks_first_2"} <= set(tracks)
    assert faults(tmp_path, {}) == []


def test_two_that_write_into_one_hub_at_once_both_have_their_tracks(
    run: Path, plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bigwigs(tmp_path, ["first"], {"one": 904, "two": 310}, "map.bw")
    about = {"genome": plant, "shows": "contribution", "model": "run"}
    other = threading.Thread(
        target=write_hub, args=(tmp_path / "map.bw", ["first"]), kwargs=about, daemon=True
    )

    def other_begins(*args: object, **options: object) -> str:
        if not other.ident:  # the hub has been read for the first output, and is not yet written
            other.start()
            other.join(timeout=1)
        return track_db(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("bioq.tracks.hub.track_db", other_begins)
    hub_of(run, plant, tmp_path)
    other.join()
    tracks = [each["track"] for each in stanzas((tmp_path / "trackDb.txt").read_text())]
    assert tracks == ["tracks", "tracks_first", "tracks_second", "map", "map_first"]
    assert faults(tmp_path, {}) == []


def test_attribution_adds_its_tracks_as_letters(
    run: Path, plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_of(run, plant, tmp_path)
    tokens = ["attribution", str(run), "one:301-340", "--genome", str(plant), "--hub"]
    assert main([*tokens, "--steps", "4", "--out", str(tmp_path / "map.bw")]) == 0
    printed = capsys.readouterr().out.split("\n")[:-1]
    names = ["map.first.bw", "map.second.bw", "trackDb.txt", "map.html", "igv.xml"]
    assert printed == [str(tmp_path / name) for name in names]
    assert faults(tmp_path, {}) == []
    assert session_faults(tmp_path) == []
    composites = [
        each for each in stanzas((tmp_path / "trackDb.txt").read_text()) if "compositeTrack" in each
    ]
    assert [each.get("logo") for each in composites] == [None, "on"]
    root = ElementTree.parse(tmp_path / "igv.xml").getroot()
    assert root.get("locus") == "one:301-340"
    assert main([*tokens, "--out", str(tmp_path / "map.tsv")]) == 2
    assert "--hub is for bigWig tracks; give --out a name that ends in .bw" in (
        capsys.readouterr().err
    )
    (tmp_path / "other.html").write_text("mine")
    assert main([*tokens, "--out", str(tmp_path / "other.bw")]) == 1
    assert "other.html: exists already" in capsys.readouterr().err
    assert not list(tmp_path.glob("other.*.bw"))


@pytest.mark.parametrize("command", ["predict", "attribution"])
@pytest.mark.parametrize("name", [*HUB_FILES, "tracks.html", "tracks.first.bw"])
def test_no_file_of_a_hub_replaces_an_input(
    command: str,
    name: str,
    run: Path,
    plant: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = tmp_path / name
    options = ["--genome", str(plant), "--chrom-alias", str(read)]
    read.write_text("one\tchr1\ntwo\tchr2\n")
    if name == TWOBIT:
        options = ["--genome", str(read)]
        read.write_bytes(plant.read_bytes())
    before = read.read_bytes()
    out = str(tmp_path / "tracks.bw")
    tokens = [command, str(run), "one:301-340", *options, "--hub", "--force", "--out", out]
    assert main(tokens) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"bioq: {read}: is the input; give another name for the output"
    assert {path.name for path in tmp_path.iterdir()} <= {name, f"{name}.fai"}
    assert read.read_bytes() == before


def test_known_motifs_are_not_replaced(
    run: Path, plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = ["attribution", str(run), "one:301-340", "--genome", str(plant), "--force"]
    for name, outs in {
        "igv.xml": ["map.bw"],
        "map.first.bw": ["map.bw"],
        "map.tsv": ["map.bed", "map.tsv"],
        "map.png": ["map.bw", "map.png"],
    }.items():
        motifs = tmp_path / name
        motifs.write_text("MEME version 4\n")
        words = [word for out in outs for word in ("--out", str(tmp_path / out))]
        hub = ["--hub"] if outs[0].endswith(".bw") else []
        assert main([*tokens, *hub, *words, "--motifs", str(motifs)]) == 2
        assert f"{motifs}: is the input" in capsys.readouterr().err
        assert motifs.read_text() == "MEME version 4\n"
        motifs.unlink()


def test_a_hub_of_bigwigs_does_not_replace_the_genome(plant: Path, tmp_path: Path) -> None:
    genome = tmp_path / TWOBIT
    genome.write_bytes(plant.read_bytes())
    with open_genome(genome) as opened:
        bigwigs(tmp_path, ["t"], dict(opened.lengths))
    with pytest.raises(UsageError, match=r"genome\.2bit: is the input"):
        write_hub(tmp_path / "x.bw", ["t"], genome=genome, model="m", force=True)
    assert genome.read_bytes() == plant.read_bytes()


def test_919_targets_are_sorted_by_their_columns_and_10_are_on(tmp_path: Path) -> None:
    cells = ["8988T", "K562", "HeLa-S3", "HeLa_S3", "", "Gliobla/x"]
    targets = pd.DataFrame(
        {
            "name": [f"{cells[n % 6]}|DNase|None {n // 500}" for n in range(919)],
            "cell": [cells[n % 6] for n in range(919)],
            "treatment": ["None"] * 919,
            "peaks": [f"file{n}.bed" for n in range(919)],
        }
    )
    files = [f"t.{n}.bw" for n in range(919)]
    tracks = TrackSet("9 t", "probability", files, targets, [(0.0, 1.0)] * 919, "m" * 90)
    text = track_db(tracks, page="t.html")
    composite, *subtracks = stanzas(text)
    assert len(subtracks) == 919
    assert len({each["track"] for each in subtracks}) == 919
    assert [each["parent"] for each in subtracks] == ["t_9_t on"] * 10 + ["t_9_t off"] * 909
    assert "subGroup2" not in composite  # the other columns have one value, or one per track
    assert composite["subGroup1"].startswith("cell cell ")
    (tmp_path / "t.html").touch()
    (tmp_path / "trackDb.txt").write_text(text)
    assert composite_faults(tmp_path, "x", composite, subtracks) == []
    for each in [composite, *subtracks]:
        assert settings_of("x", each) + labels("x", each) == []
    assert [each for each, _ in read_stanzas(text)] == [composite, *subtracks]


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no email": (edit("hub.txt", "email", "mail"), "no email"),
    "long label": (edit("hub.txt", "shortLabel ", "shortLabel " + "x" * 17), "too long"),
    "no page": (lambda folder: (folder / "tracks.html").unlink(), "is no file of the hub"),
    "no trackDb": (edit("genomes.txt", "trackDb ", "tracks "), "no trackDb"),
    "no organism": (edit("genomes.txt", "organism", "species"), "needs organism"),
    "position": (edit("genomes.txt", "one:1-800", "one:1-80000"), "defaultPos"),
    "no genome": (lambda folder: (folder / "genome.2bit").unlink(), "twoBitPath"),
    "name twice": (edit("trackDb.txt", "tracks_second", "tracks_first"), "twice"),
    "name": (edit("trackDb.txt", "track tracks_first", "track 1.first"), "track 1.first"),
    "no parent": (edit("trackDb.txt", "parent tracks on", "parent other on"), "parent other"),
    "no type": (edit("trackDb.txt", "type bigWig 0 1", "kind bigWig 0 1"), "no type"),
    "type": (edit("trackDb.txt", "type bigWig 0 1", "type bigWig 0"), "type bigWig 0"),
    "range": (edit("trackDb.txt", "type bigWig 0 1", "type bigWig 5 6"), "values outside"),
    "no label": (edit("trackDb.txt", "longLabel", "label"), "no longLabel"),
    "setting": (edit("trackDb.txt", "color", "colour"), "unknown setting colour"),
    "value": (edit("trackDb.txt", "autoScale off", "autoScale no"), "autoScale no"),
    "height": (edit("trackDb.txt", "128:40:11", "128:4:11"), "maxHeightPixels out of order"),
    "no file": (lambda folder: (folder / "tracks.first.bw").unlink(), "bigDataUrl tracks.first"),
    "file": (lambda folder: (folder / "tracks.first.bw").write_text("x"), "not a bigWig"),
    "absolute": (edit("trackDb.txt", "bigDataUrl ", "bigDataUrl /tmp/"), "is no file of the hub"),
    "contigs": (lambda folder: bigwigs(folder, ["first"], {"one": 9000}, "tracks.bw"), "contigs"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_the_reader_of_hubs_finds_faults(name: str, run: Path, plant: Path, tmp_path: Path) -> None:
    hub_of(run, plant, tmp_path)
    assert faults(tmp_path, {}) == []
    change, fault = WRONG[name]
    change(tmp_path)
    assert any(fault in found for found in faults(tmp_path, {})), faults(tmp_path, {})


def test_what_was_there_is_not_replaced(
    run: Path, plant: Path, yeast: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tracks.bw"
    for name in (*HUB_FILES, "tracks.html"):
        (tmp_path / name).write_text("mine\n")
        with pytest.raises(BioqError, match=rf"{name}: exists already"):
            written(run, plant, out, "one:1-400")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == "mine\n"
        (tmp_path / name).unlink()
    (tmp_path / "trackDb.txt").write_text("mine\n")
    written(run, plant, out, "one:1-800", force=True)
    assert faults(tmp_path, {}) == []
    for path in tmp_path.iterdir():
        path.unlink()
    hub_of(run, plant, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(BioqError, match=r"tracks.first.bw: exists already"):
        written(run, plant, out, "one:1-400")
    with pytest.raises(BioqError, match=r"is the hub of another genome, my_plant_v2, and this is"):
        written(run, yeast, tmp_path / "other.bw", "I:1-400", force=True)
    longer = tmp_path.parent / f"{tmp_path.name}-x/my plant.v2.fa"
    longer.parent.mkdir()
    longer.write_text(f">one\n{bases(5000)}\n")
    with pytest.raises(BioqError, match="is the hub of another genome"):
        written(run, longer, tmp_path / "other.bw", "one:1-400")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_hub_that_cannot_be_written_leaves_no_file_and_can_be_continued(
    run: Path, plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bioq.tracks.hub._copy_genome", fail)
        with pytest.raises(BioqError, match="No space left on device"):
            hub_of(run, plant, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.bw.partial"]
    # As after a command with --force, which replaces what is there when it is resumed.
    (tmp_path / "trackDb.txt").write_text("from an earlier day")
    written(run, plant, tmp_path / "tracks.bw", "one:1-800", resume=True)
    assert faults(tmp_path, {}) == []
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "o.tsv"], "o.tsv: --hub is for bigWig tracks; give --out a name that ends in"),
        (["--out", "o.bw", "--ray", "local"], "--hub cannot be combined with --ray"),
    ],
)
def test_hub_without_bigwigs_is_one_line(
    options: list[str], message: str, run: Path, plant: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = ["predict", str(run), "one:1-400", "--genome", str(plant), "--hub", *options]
    assert main(tokens) == 2
    assert message in capsys.readouterr().err


def test_bigwigs_that_are_missing_are_named(plant: Path, tmp_path: Path) -> None:
    with pytest.raises(BioqError, match=r"x.first.bw: could not be read"):
        write_hub(tmp_path / "x.bw", ["first"], genome=plant, model="m")
    with pytest.raises(UsageError, match=r"x.tsv: expected the name NAME.bw"):
        write_hub(tmp_path / "x.tsv", ["first"], genome=plant, model="m")
    assert not list(tmp_path.iterdir())


def test_a_contig_of_a_name_that_2bit_cannot_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(f">{'n' * 256}\nACGT\n")
    with open_genome(tmp_path / "g.fa") as genome:
        with pytest.raises(BioqError, match="has a name of more than 255 bytes"):
            write_twobit(genome, tmp_path / "g.2bit")

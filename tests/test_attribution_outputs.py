"""The outputs of attribution for other tools: read back with those tools, compared with .npz."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest
from trained_run import TrainedRun

from bioq import dna
from bioq.cli import main
from bioq.genome import read_bed
from bioq.interpretation import find_sites
from bioq.motifs import Motif, read_meme, write_meme


def random_bases(seed: int, length: int) -> str:
    return dna.decode(np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8))


QUICK = ["--baseline", "shuffled:2", "--steps", "2"]
SURE = ["--baseline", "zeros", "--steps", "16"]


def attribute(run: Path, *tokens: object) -> None:
    assert main(["attribution", str(run), *map(str, tokens)]) == 0


@pytest.fixture(scope="module")
def genome(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two contigs with planted sites at 300, 700, ... of chr1."""
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    bases = random_bases(0, 3000)
    for number, start in enumerate(range(300, 2900, 400)):
        motif = list(trained.motifs.values())[number % 2]
        bases = bases[:start] + motif + bases[start + len(motif) :]
    path.write_text(f">chr1\n{bases}\n>chr2\n{bases[:900]}\n")
    return path


@pytest.fixture(scope="module")
def known(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two planted motifs among 30 random ones."""
    planted = [
        Motif(name, f"ID-{name}", np.eye(4)[dna.encode(bases)] * 0.96 + 0.01)
        for name, bases in trained.motifs.items()
    ]
    rng = np.random.default_rng(1)
    others = [Motif(f"r{n}", f"R{n}", rng.dirichlet(np.full(4, 0.2), 10)) for n in range(30)]
    path = tmp_path_factory.mktemp("motifs") / "known.meme"
    write_meme(path, [*planted, *others], [20] * 32)
    return path


def mean_per_base(arrays: dict[str, np.ndarray], target: int, contig: str, length: int):
    """Return the mean contribution of each base over the windows of a contig; NaN elsewhere."""
    total, count = np.zeros(length), np.zeros(length)
    for row in np.flatnonzero(arrays["window_chrom"] == contig):
        position, codes = arrays["position"][row], arrays["codes"][row]
        for index in np.flatnonzero(position >= 0):
            known_base = codes[index] < 4
            value = arrays["hypothetical"][row, codes[index] % 4, index, target]
            total[position[index]] += value if known_base else 0.0
            count[position[index]] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def test_bigwigs_have_the_mean_of_overlapping_windows_and_nothing_elsewhere(
    trained: TrainedRun, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bed = tmp_path / "r.bed"
    bed.write_text("chr2\t100\t140\nchr1\t310\t370\nchr1\t290\t340\n1\t600\t610\nchr1\t340\t345\n")
    npz, track = tmp_path / "c.npz", tmp_path / "c.bw"
    tokens = [bed, "--genome", genome, "--out", npz, "--out", track, "--span-bp", 40, *QUICK]
    attribute(trained.run, *tokens)
    written = [tmp_path / f"c.{name}.bw" for name in trained.motifs]
    assert capsys.readouterr().out.split() == [str(path) for path in (npz, *written)]
    arrays = dict(np.load(npz))
    arrays["window_chrom"] = np.where(arrays["window_chrom"] == "1", "chr1", arrays["window_chrom"])
    for target, path in enumerate(written):
        with pyBigWig.open(str(path)) as file:
            assert file.chroms() == {"chr1": 3000, "chr2": 900}
            for contig, length in file.chroms().items():
                expected = mean_per_base(arrays, target, contig, length)
                values = np.array(file.values(contig, 0, length))
                np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
                np.testing.assert_allclose(values, expected, atol=1e-6)
    assert np.nanmax(np.abs(values)) > 1e-3


def test_sites_are_those_of_the_mean_contributions_with_names_and_positions(
    trained: TrainedRun, genome: Path, known: Path, tmp_path: Path
) -> None:
    bed = tmp_path / "r.bed"
    bed.write_text("chr1\t200\t1200\nchr1\t250\t400\nchr2\t650\t800\n")
    out, npz = tmp_path / "sites.bed", tmp_path / "c.npz"
    tokens = ["--genome", genome, "--motifs", known, *SURE]
    attribute(trained.run, bed, *tokens, "--out", out, "--out", npz)
    rows = pd.read_csv(out, sep="\t").rename(columns={"#chrom": "chrom"})
    assert list(rows.columns) == [
        "chrom", "start", "end", "name", "score", "strand", "target", "contribution", "q",
        "matrix_id",
    ]  # fmt: skip
    regions = read_bed(out)  # as any reader of BED, past the header
    assert list(regions.start) == list(rows["start"])
    assert rows["score"].between(0, 1000).all()
    assert rows.groupby("target")["score"].max().eq(1000).all()
    assert rows["strand"].isin(["+", "-", "."]).all()
    chr1 = rows[rows["chrom"] == "chr1"]
    assert chr1["start"].is_monotonic_increasing
    assert not rows.duplicated(["chrom", "start", "end", "target"]).any()
    for start, target in ((300, "first"), (700, "second"), (1100, "first")):
        end = start + len(trained.motifs[target])
        here = chr1[(chr1["start"] < end) & (chr1["end"] > start) & (chr1["target"] == target)]
        assert target in set(here.loc[here["contribution"] > 0, "name"])
        assert f"ID-{target}" in set(here["matrix_id"])
    assert (rows["chrom"] == "chr2").any()
    arrays = dict(np.load(npz))
    mean = mean_per_base(arrays, 0, "chr1", 3000)
    for row in chr1[chr1["target"] == "first"].itertuples():
        assert mean[row.start : row.end].sum() == pytest.approx(row.contribution, rel=1e-3)


def test_sites_of_sequences_have_the_names_of_the_sequences(
    trained: TrainedRun, known: Path, tmp_path: Path
) -> None:
    """Also of sequences of one name, whose positions are those in each of them."""
    motif = trained.motifs["first"]
    fasta, out, npz = (tmp_path / name for name in ("in.fa", "sites.bed", "c.npz"))
    parts = []
    for start in (60, 90, 120, 150):
        bases = random_bases(start, 200)
        parts.append(f">same\n{bases[:start]}{motif}{bases[start + len(motif) :]}\n")
    fasta.write_text("".join(parts))
    tokens = ["--motifs", known, "--targets", "first", "--out", out, "--out", npz, "--steps", 4]
    attribute(trained.run, fasta, *tokens)
    rows = pd.read_csv(out, sep="\t")
    assert set(rows["#chrom"]) == {"same"}
    arrays = np.load(npz)
    codes = np.pad(arrays["codes"], ((0, 0), (0, 1)), constant_values=dna.UNKNOWN)
    values = (arrays["hypothetical"][..., 0] * dna.one_hot(arrays["codes"])).sum(axis=1)
    values = np.pad(values, ((0, 0), (0, 1)), constant_values=np.nan)
    sites = find_sites(codes.ravel(), values.ravel(), read_meme(known))
    assert len(sites) > 1
    assert len({site.start // 201 for site in sites}) > 1
    assert list(rows["start"]) == [site.start % 201 for site in sites]
    assert list(rows["end"]) == [site.end - site.start + site.start % 201 for site in sites]
    assert list(rows["name"]) == [site.motif or "." for site in sites]
    assert "first" in set(rows["name"])


@pytest.mark.parametrize("ending", [".bw", ".bed"])
def test_the_alleles_of_a_variant_are_refused_as_a_track(
    trained: TrainedRun, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    ending: str,
) -> None:  # fmt: skip
    base = genome.read_text().split("\n")[1][500]
    what = f"chr1:501:{base}>{'A' if base != 'A' else 'C'}"
    tokens = [what, "--genome", str(genome), "--out", str(tmp_path / f"x{ending}")]
    assert main(["attribution", str(trained.run), *tokens]) == 2
    error = capsys.readouterr().err
    assert "a variant has two alleles at the same positions" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_said_before_anything_is_computed(
    trained: TrainedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "tangermeme.seqlet", None)
    fasta = tmp_path / "in.fa"
    fasta.write_text(f">s\n{'ACGT' * 50}\n")
    assert main(["attribution", str(trained.run), str(fasta), "--out", str(tmp_path / "s.bed")])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install 'bioq[motifs]'" in error


def test_what_exists_is_replaced_with_force_only(
    trained: TrainedRun, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track, folder = tmp_path / "c.bw", tmp_path / "c.modisco"
    outs = ["--out", str(track), "--out", str(folder)]
    tokens = ["attribution", str(trained.run), "chr1:301-400", "--genome", str(genome), *outs]
    tokens += [*QUICK, "--span-bp", "100"]
    assert main(tokens) == 0
    before = {path.name for path in tmp_path.rglob("*")}
    assert before == {"c.first.bw", "c.second.bw", "c.modisco", "ohe.npz", "motifs.sh",
                      "shap.first.npz", "shap.second.npz"}  # fmt: skip
    folder.rename(tmp_path / "d.modisco")
    assert main(tokens) == 1
    assert "c.first.bw: exists already" in capsys.readouterr().err
    (tmp_path / "d.modisco").rename(folder)
    assert main([*tokens, "--force"]) == 0
    (folder / "motifs.first.h5").write_text("hours of work")
    assert main([*tokens, "--force"]) == 1
    assert "it has files of yours, motifs.first.h5" in capsys.readouterr().err
    assert (folder / "motifs.first.h5").read_text() == "hours of work"


def test_arrays_for_modisco_are_those_of_the_npz_and_shorter_windows_end_in_zeros(
    trained: TrainedRun, genome: Path, tmp_path: Path
) -> None:
    bed = tmp_path / "r.bed"
    bed.write_text("chr1\t300\t430\nchr2\t0\t10\n")  # 100 + 30 bp; 45 bp of the contig's start
    npz, folder = tmp_path / "c.npz", tmp_path / "c.modisco"
    tokens = [bed, "--genome", genome, "--out", npz, "--out", folder, "--span-bp", 100, *QUICK]
    attribute(trained.run, *tokens)
    arrays = np.load(npz)
    one_hot = np.load(folder / "ohe.npz")["arr_0"]
    np.testing.assert_array_equal(one_hot, dna.one_hot(arrays["codes"]))
    for number, name in enumerate(trained.motifs):
        hypothetical = np.load(folder / f"shap.{name}.npz")["arr_0"]
        assert hypothetical.dtype == np.float32
        expected = np.nan_to_num(arrays["hypothetical"][:, :, :, number])
        np.testing.assert_array_equal(hypothetical, expected)
    assert (one_hot.sum(axis=(1, 2)) < 100).any()
    script = (folder / "motifs.sh").read_text().splitlines()
    assert script[-2:] == [
        f"modisco motifs -s ohe.npz -a shap.{name}.npz -n 2000 -w 100 -o motifs.{name}.h5"
        for name in trained.motifs
    ]


def test_tfmodisco_lite_finds_the_planted_motif(trained: TrainedRun, tmp_path: Path) -> None:
    pytest.importorskip("modiscolite", reason="modisco-lite is not installed")
    motif = trained.motifs["first"]
    lines = []
    for number in range(60):
        bases, start = random_bases(number, 200), 60 + number
        lines.append(f">s{number}\n{bases[:start]}{motif}{bases[start + len(motif) :]}\n")
    fasta, folder = tmp_path / "in.fa", tmp_path / "m.modisco"
    fasta.write_text("".join(lines))
    attribute(trained.run, fasta, "--out", folder, "--targets", "first", "--steps", 4)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    subprocess.run(["sh", folder / "motifs.sh"], check=True, cwd="/", env=environment)
    with h5py.File(folder / "motifs.first.h5") as file:
        patterns = [
            dna.decode(pattern["sequence"][:].argmax(axis=1).astype(np.uint8))
            for pattern in file["pos_patterns"].values()
        ]
    reverse = dna.decode(dna.reverse_complement(dna.encode(motif)))
    core = slice(1, -1)
    assert any(motif[core] in each or reverse[core] in each for each in patterns), patterns

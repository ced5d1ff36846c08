"""--held-out: each contig is predicted by the members of an ensemble that have not seen it."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest
from calibrated_run import floor, give_calibration
from test_ensemble import change_config
from test_prediction import fasta
from variant_cases import make_chromosome, make_run, other_base, read_tsv, write_vcf

import bioq
from bioq import BioqError, UsageError
from bioq.cli import main
from bioq.cluster.predict import PredictTask, _shards
from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.genome import ContigNames, open_genome
from bioq.prediction import PredictOptions, predict_file
from bioq.prediction.predictor import open_prediction
from bioq.runs.folder import read_config, seen_contigs
from bioq.runs.held_out import held_out
from bioq.variants import VariantJob, VariantTableOptions, write_variants

CONTIGS = {f"chr{number}": make_chromosome(900 + 100 * number) for number in (1, 2, 3)}
HELD_OUT = PredictOptions(held_out=True, batch_size=3)
SEEN = (("chr1", "chr2"), ("chr2", "chr3"), ("chr3",))
"""The contigs that each member has seen: chr1 is left to 1 and 2, chr2 to 2, chr3 to 0."""
UNSEEN = {"chr1": (1, 2), "chr2": (2,), "chr3": (0,)}


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return fasta(tmp_path / "g.fa", CONTIGS)


@pytest.fixture
def ensemble(tmp_path: Path) -> Path:
    return make(tmp_path, SEEN)


def make(folder: Path, seen: Sequence[Sequence[str] | None]) -> Path:
    """Make an ensemble whose members have seen these contigs; None: the run does not record it."""
    runs = [make_run(folder / f"run-{number}", seed=number) for number in range(len(seen))]
    for run, contigs in zip(runs, seen, strict=True):
        data = {"contigs": {name: len(bases) for name, bases in CONTIGS.items()}}
        if contigs is not None:
            data["seen_contigs"] = list(contigs)  # type: ignore[assignment]
        change_config(run, lambda config, data=data: config["data"].update(data))
    bioq.make_ensemble(runs, folder / "E")
    return folder / "E"


def bed(folder: Path, rows: Sequence[tuple[str, int, int]]) -> Path:
    lines = [f"{contig}\t{start}\t{end}\n" for contig, start, end in rows]
    (folder / "r.bed").write_text("".join(lines))
    return folder / "r.bed"


@pytest.fixture
def regions(tmp_path: Path) -> Path:
    """Regions of all contigs, mixed, by two kinds of names."""
    rows = [(name, 300 + 80 * n, 420 + 80 * n) for n in range(3) for name in CONTIGS]
    return bed(tmp_path, [*rows, ("2", 400, 500)])


def table_of(run: Path, regions: Path, genome: Path, **options: Any) -> pd.DataFrame:
    out = regions.with_name("table.tsv")
    chosen = PredictOptions(batch_size=3, **options)
    predict_file(run, regions, out, genome=genome, options=chosen, force=True)
    return pd.read_csv(out, sep="\t", comment="#")


def expected_of(ensemble: Path, regions: Path, genome: Path, column: str) -> np.ndarray:
    """Return the mean of the members that have not seen the contig of each row."""
    parts = [table_of(ensemble / "members" / f"run-{n}", regions, genome) for n in range(3)]
    values = np.stack([part[column] for part in parts])
    contigs = [name if name.startswith("chr") else f"chr{name}" for name in parts[0]["chrom"]]
    return np.array([values[list(UNSEEN[c]), row].mean() for row, c in enumerate(contigs)])


def test_each_region_is_predicted_by_the_members_that_have_not_seen_its_contig(
    ensemble: Path,
    regions: Path,
    genome: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = table_of(ensemble, regions, genome, held_out=True)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("held out: ")]
    assert len(said) == len(set(UNSEEN.values()))
    for contig, members in UNSEEN.items():
        names = ", ".join(f"run-{n}" for n in members)
        assert any(contig in line and line.endswith(f": predicted by {names}") for line in said)
    for target in ("first", "second"):
        expected = expected_of(ensemble, regions, genome, f"probability:{target}")
        np.testing.assert_allclose(table[f"probability:{target}"], expected, atol=1e-6)
    plain = table_of(ensemble, regions, genome)
    assert np.abs(plain["probability:first"] - table["probability:first"]).max() > 0.01
    out = tmp_path / "command.tsv"
    words = ["predict", str(ensemble), str(regions), "--genome", str(genome), "--held-out"]
    assert main([*words, "--out", str(out)]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(out, sep="\t", comment="#"), table)


def test_a_track_of_the_genome_is_honest(ensemble: Path, genome: Path, tmp_path: Path) -> None:
    whole = bed(tmp_path, [(name, 0, len(bases)) for name, bases in CONTIGS.items()])
    options = PredictOptions(held_out=True, targets=("first",))
    (path,) = predict_file(ensemble, whole, tmp_path / "o.bw", genome=genome, options=options)
    table = table_of(ensemble, whole, genome, targets=("first",))
    expected = expected_of(ensemble, whole, genome, "probability:first")
    assert len(expected) == len(table) > 50
    with pyBigWig.open(str(path)) as file:
        found = [file.values(row.chrom, row.start, row.start + 1)[0] for row in table.itertuples()]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_cluster_gives_the_same_rows(
    ensemble: Path, regions: Path, genome: Path, tmp_path: Path
) -> None:
    with open_prediction(ensemble, regions, genome=genome, options=HELD_OUT) as prediction:
        _, prediction = prediction.counted()
        task = pickle.loads(pickle.dumps(PredictTask(prediction.predictor)))
        opened = task.open("cpu")
        rows = [
            rows for shard in _shards(prediction.windows, 4) for rows in opened.rows(shard.payload)
        ]
    found = np.concatenate([scores["probability"] for _, scores in rows])
    expected = table_of(ensemble, regions, genome, held_out=True)[
        ["probability:first", "probability:second"]
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_variants_are_scored_by_the_members_that_have_not_seen_their_contig(
    ensemble: Path, genome: Path, tmp_path: Path
) -> None:
    rows = [
        (name, pos, f"v{pos}", bases[pos - 1], other_base(bases[pos - 1]))
        for pos in (300, 500, 510)
        for name, bases in CONTIGS.items()
    ]
    vcf = write_vcf(tmp_path / "v.vcf", [*rows, ("chrNone", 5, ".", "A", "C")])
    tables = []
    for run in (ensemble, *(ensemble / "members" / f"run-{n}" for n in range(3))):
        options = VariantTableOptions(held_out=run == ensemble)
        write_variants(VariantJob(run, vcf, genome), tmp_path / "o.tsv", options, force=True)
        tables.append(read_tsv(tmp_path / "o.tsv"))
    for row, (contig, *_) in enumerate(rows):
        diffs = np.array([tables[1 + n]["diff:first"][row] for n in UNSEEN[contig]])
        assert tables[0]["diff:first"][row] == pytest.approx(diffs.mean(), abs=1e-6)
        deviation = tables[0]["diff_sd:first"][row]
        if len(diffs) == 1:
            assert np.isnan(deviation)
            assert np.isnan(tables[0]["sign_agreement:first"][row])  # nothing to agree with
        else:
            assert deviation == pytest.approx(diffs.std(ddof=1), abs=1e-6)
    job = VariantJob(ensemble, vcf, genome)
    write_variants(job, tmp_path / "o.vcf.gz", VariantTableOptions(held_out=True))
    with pysam.VariantFile(str(tmp_path / "o.vcf.gz")) as file:  # a missing value is "."
        found = [row.info.get("BIOQ_DIFF_SD", (None, None))[0] for row in file][: len(rows)]
    numbers = [np.nan if value is None else value for value in found]
    np.testing.assert_allclose(numbers, tables[0]["diff_sd:first"][: len(rows)], rtol=1e-5)
    assert np.isnan(numbers).sum() == 6
    with pytest.raises(UsageError, match="--held-out with --background"):
        VariantTableOptions(held_out=True, background=tmp_path / "b.npz")


def test_the_calibration_of_all_members_is_not_used(
    ensemble: Path, regions: Path, genome: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = table_of(ensemble, regions, genome, held_out=True)
    give_calibration(ensemble, floor(0.25))
    after = table_of(ensemble, regions, genome, held_out=True)
    pd.testing.assert_frame_equal(before, after)
    assert "calibration.json is not used with --held-out" in capfd.readouterr().err


def test_what_cannot_be_held_out_is_one_line_before_any_work(
    genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensemble = make(tmp_path, (("chr1", "chr2"), ("chr2", "chr1")))
    out = tmp_path / "o.tsv"
    tail = ["--held-out", "--out", str(out)]
    both = bed(tmp_path, [("chr3", 100, 200), ("chr1", 100, 200), ("2", 100, 200)])
    more = dict(CONTIGS) | {"scaffold": make_chromosome(700)}
    larger = fasta(tmp_path / "larger.fa", more)
    strange = fasta(tmp_path / "strange.fa", {"NW_1.1": make_chromosome(700)})
    cases = (
        (
            [str(ensemble), str(both), "--genome", str(genome)],
            1,
            "every member has seen chr1, chr2",
        ),
        ([str(ensemble), str(genome)], 2, "--held-out needs regions and --genome"),
        (
            [str(ensemble), f"chr3:500:{CONTIGS['chr3'][499]}>AAA", "--genome", str(genome)],
            2,
            "--held-out needs regions",
        ),
        (
            [str(tmp_path / "run-0"), str(both), "--genome", str(genome)],
            2,
            "is one run; --held-out",
        ),
        (
            [str(ensemble), "scaffold:101-300", "--genome", str(larger)],
            1,
            "the genome on which its member run-0 was trained has no contig scaffold",
        ),
        (
            [str(ensemble), "NW_1.1:101-300", "--genome", str(strange)],
            1,
            "run-0 was trained has no contig NW_1.1",
        ),
    )
    for words, status, text in cases:
        assert main(["predict", *words, *tail]) == status, words
        error = capsys.readouterr().err.splitlines()[-1]
        assert text in error
        assert not out.exists()
        assert not out.with_name("o.tsv.partial").exists()
    bases = CONTIGS["chr1"]
    vcf = write_vcf(tmp_path / "v.vcf", [("chr1", 300, ".", bases[299], other_base(bases[299]))])
    words = ["variants", str(ensemble), str(vcf), "--genome", str(genome), *tail]
    assert main(words) == 1
    assert "every member has seen chr1" in capsys.readouterr().err
    assert not out.exists()


# What a run records.


def blocks(path: Path, train: str = "chr1", valid: str = "chr2") -> Dataset:
    """A data set with a contig per split; test is on chr3."""
    names, lengths = tuple(CONTIGS), tuple(len(bases) for bases in CONTIGS.values())
    description = Description(
        made_by="peaks",
        window_bp=200,
        bin_bp=40,
        label_rule="half",
        contigs=names,
        contig_bp=lengths,
    )
    random = np.random.default_rng(1)
    table = pd.DataFrame({"name": ["first", "second"]})
    with new_dataset(path, description, table) as writer:
        for name, contig in (("train", train), ("valid", valid), ("test", "chr3")):
            codes = random.integers(0, 4, (12, 200)).astype(np.uint8)
            bins = np.stack([np.full(12, names.index(contig)), np.arange(12) * 40], axis=1)
            with writer.split(name) as split:
                split.append(codes, pack_labels(codes[:, 100:102] > 1), bins)
    return open_dataset(path)


def test_a_new_run_records_the_contigs_of_its_training_and_of_its_source(tmp_path: Path) -> None:
    data = blocks(tmp_path / "data")
    config = bioq.TrainConfig(epochs=1, device="cpu", batch_size=4)
    sizes = bioq.ModelSizes(filters=4, filter_width=8, pool_width=20, lstm_units=2, dense_units=4)
    bioq.train(data, tmp_path / "first", model="danq", sizes=sizes, config=config)
    assert read_config(tmp_path / "first").data["seen_contigs"] == ["chr1", "chr2"]
    other = blocks(tmp_path / "other", train="chr3", valid="chr1")
    bioq.train(other, tmp_path / "next", from_run=tmp_path / "first", config=config)
    assert read_config(tmp_path / "next").data["seen_contigs"] == ["chr1", "chr2", "chr3"]
    change_config(tmp_path / "first", lambda entry: entry["data"].pop("seen_contigs"))
    bioq.train(other, tmp_path / "third", from_run=tmp_path / "first", config=config)
    assert "seen_contigs" not in read_config(tmp_path / "third").data


def test_a_run_without_the_lengths_of_its_contigs_needs_a_name_that_the_genome_has(
    genome: Path, tmp_path: Path
) -> None:
    ensemble = make(tmp_path, (("chr1",), ("chr2",)))
    for number in (0, 1):
        member = ensemble / "members" / f"run-{number}"
        change_config(member, lambda config: config["data"].pop("contigs"))
    part = fasta(tmp_path / "part.fa", {"chr1": CONTIGS["chr1"], "chr9": CONTIGS["chr3"]})
    with open_genome(genome) as opened:
        found = held_out(ensemble, read_config(ensemble), ContigNames(opened))
        assert found.choose([0, 1, 2]) == {0: (1,), 1: (0,), 2: (0, 1)}
    with (
        open_genome(part) as opened,
        pytest.raises(BioqError, match=r"run-1: has seen none of the contigs of .*part.fa"),
    ):
        held_out(ensemble, read_config(ensemble), ContigNames(opened))


def test_without_coordinates_nothing_is_recorded(run: Path, masked_data: Dataset) -> None:
    assert seen_contigs(masked_data) is None
    assert "seen_contigs" not in read_config(run).data


def test_a_run_of_an_older_version_is_read_by_its_data_set(
    genome: Path, regions: Path, tmp_path: Path
) -> None:
    ensemble = make(tmp_path, (None, ("chr3",), ("chr3", "chr2")))
    member = ensemble / "members" / "run-0"
    with open_genome(genome) as opened:
        names = ContigNames(opened)
        with pytest.raises(BioqError, match=r"run-0: does not record which contigs .* is not in"):
            held_out(ensemble, read_config(ensemble), names)
        data = blocks(tmp_path / "data")
        known = {"path": str(data.path), "fingerprint": data.fingerprint}
        change_config(member, lambda config: config["data"].update(known))
        found = held_out(ensemble, read_config(ensemble), names)
        assert found.choose([0, 2]) == {0: (1, 2), 2: (0,)}
        change_config(member, lambda config: config["training"].update({"from": {"path": "x"}}))
        with pytest.raises(BioqError, match="and it started from another run"):
            held_out(ensemble, read_config(ensemble), names)

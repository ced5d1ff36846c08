"""Predictions of files: the right windows, in order, in every format, whole after an interrupt."""

import gzip
import io
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest
from genome_cases import trained_on, write_2bit
from variant_cases import make_run

import bioq
from bioq import BioqError, UsageError, dna
from bioq.cli import main
from bioq.prediction import PredictOptions, predict_file
from bioq.prediction import predictor as module
from bioq.tracks.bigwig import Bins, bigwig_paths, write_bigwigs

WINDOW, BIN = 200, 40
SMALL_BATCH = PredictOptions(batch_size=7)


def random_bases(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGTN"), length))


RECORDS = {f"s{n}": random_bases(WINDOW + 30 * n, n) for n in range(9)}


def fasta(path: Path, records: dict[str, str] = RECORDS) -> Path:
    path.write_text("".join(f">{name} words\n{bases}\n" for name, bases in records.items()))
    return path


def windows_of(records: dict[str, str]) -> list[tuple[str, int, str]]:
    result = []
    for name, bases in records.items():
        last = len(bases) - WINDOW
        starts = [*range(0, last, BIN), last]
        result += [(name, start, bases[start : start + WINDOW]) for start in starts]
    return result


def expected(run: Path, bases: list[str], **options: str) -> np.ndarray:
    codes = np.stack([dna.encode(text.encode()) for text in bases])
    one_hot = (codes[:, None] == np.arange(4)[:, None]).astype(np.float32)
    return bioq.predict(bioq.load(run), one_hot, **options)  # type: ignore[arg-type]


def read_back(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the columns and the probabilities of an output."""
    if path.suffix in (".h5", ".h5ad"):
        plain = path.suffix == ".h5"
        with h5py.File(path) as file:
            group = file["rows" if plain else "obs"]
            columns = {
                name: group[name].asstr()[:] if group[name].dtype == object else group[name][:]
                for name in group.attrs["column-order"]
            }
            return pd.DataFrame(columns), file["scores/probability" if plain else "X"][:]
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    scores = [name for name in frame if name.startswith("probability:")]
    return frame.drop(columns=scores), frame[scores].to_numpy()


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz", ".parquet", ".h5", ".h5ad"])
def test_every_window_of_a_fasta_is_predicted_in_order(
    ending: str, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"out{ending}"
    assert predict_file(run, fasta(tmp_path / "x.fa"), out, options=SMALL_BATCH) == [out]
    columns, scores = read_back(out)
    windows = windows_of(RECORDS)
    assert len({round(float(score), 4) for score in scores[:, 0]}) > len(windows) // 2
    assert list(zip(columns["sequence"], columns["start"], strict=True)) == [w[:2] for w in windows]
    assert (columns["end"] == columns["start"] + WINDOW).all()
    shares = [bases.count("N") / WINDOW for _, _, bases in windows]
    np.testing.assert_allclose(columns["n_share"], shares)
    np.testing.assert_allclose(scores, expected(run, [w[2] for w in windows]), atol=1e-6)
    assert not list(tmp_path.glob("*.partial"))


def test_the_forward_strand_alone_and_half_precision(run: Path, tmp_path: Path) -> None:
    options = PredictOptions(strands="forward", dtype="float16")
    predict_file(run, fasta(tmp_path / "x.fa"), tmp_path / "o.h5", options=options)
    _, scores = read_back(tmp_path / "o.h5")
    assert scores.dtype == np.float16
    forward = expected(run, [w[2] for w in windows_of(RECORDS)], strands="forward")
    np.testing.assert_allclose(scores, forward, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 1000])
def test_the_batch_size_changes_nothing(batch_size: int, run: Path, tmp_path: Path) -> None:
    source = fasta(tmp_path / "x.fa")
    predict_file(run, source, tmp_path / "a.parquet", options=SMALL_BATCH)
    predict_file(run, source, tmp_path / "b.parquet", options=PredictOptions(batch_size=batch_size))
    first, second = read_back(tmp_path / "a.parquet"), read_back(tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(first[0], second[0])
    np.testing.assert_allclose(first[1], second[1], atol=1e-6)


def test_short_sequences_are_refused_unless_they_are_padded(run: Path, tmp_path: Path) -> None:
    bases = random_bases(51, 3)
    source, out = fasta(tmp_path / "x.fa", {"short": bases}), tmp_path / "o.tsv"
    with pytest.raises(BioqError, match="sequence 'short' has 51 bases, the model reads 200"):
        predict_file(run, source, out)
    assert not list(tmp_path.glob("o.tsv*"))
    predict_file(run, source, out, options=PredictOptions(pad=True))
    padded = ("N" * 74 + bases).ljust(WINDOW, "N")
    np.testing.assert_allclose(read_back(out)[1], expected(run, [padded]), atol=1e-6)


CONTIGS = {"chr1": random_bases(900, 5), "chr2": random_bases(430, 6)}
BED = "2\t300\t340\tb\nchr1\t100\t200\ta\nchr1\t120\t200\t.\nchr1\t890\t910\tend\n"


def regions(folder: Path, text: str = BED) -> tuple[Path, Path]:
    (folder / "r.bed").write_text(text)
    return folder / "r.bed", fasta(folder / "g.fa", CONTIGS)


def around(contig: str, start: int) -> str:
    before = (WINDOW - BIN) // 2
    return ("N" * 200 + CONTIGS[contig] + "N" * 300)[200 + start - before :][:WINDOW]


BINS = [("chr2", 300), ("chr1", 100), ("chr1", 140), ("chr1", 180), ("chr1", 120), ("chr1", 160),
        ("chr1", 880)]  # fmt: skip


def test_regions_are_predicted_bin_by_bin(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bed, genome = regions(tmp_path)
    predict_file(run, bed, tmp_path / "o.tsv", genome=genome, options=SMALL_BATCH)
    columns, scores = read_back(tmp_path / "o.tsv")
    assert columns["chrom"].tolist() == ["2"] + ["chr1"] * 6
    assert columns["name"].tolist() == ["b", "a", "a", "a", "", "", "end"]
    assert columns["start"].tolist() == [start for _, start in BINS]
    np.testing.assert_allclose(scores, expected(run, [around(*b) for b in BINS]), atol=1e-6)
    assert "1 of 7 bins reach past their contig's end" in capsys.readouterr().err


STRANDED = (
    "chr1\t100\t200\tp\t0\t+\nchr1\t100\t200\tm\t0\t-\n2\t300\t340\tn\t0\t.\nchr1\t120\t160\tr\t0\t-\n"
    "chr1\t700\t720\tt\t0\tchr1:1-5\nchr1\t500\t540\n"
)
STRANDED_BINS = [
    ("chr1", 100, "+"), ("chr1", 140, "+"), ("chr1", 180, "+"), ("chr1", 100, "-"),
    ("chr1", 140, "-"), ("chr1", 180, "-"), ("chr2", 300, "+"), ("chr1", 120, "-"),
    ("chr1", 690, "+"), ("chr1", 500, "+"),
]  # fmt: skip


def strand_of(bases: str, strand: str) -> str:
    return dna.decode(dna.reverse_complement(dna.encode(bases))) if strand == "-" else bases


def test_the_forward_strand_of_a_region_is_its_own_strand(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bed, genome = regions(tmp_path, STRANDED)
    forward = PredictOptions(batch_size=7, strands="forward")
    predict_file(run, bed, tmp_path / "o.parquet", genome=genome, options=forward)
    columns, scores = read_back(tmp_path / "o.parquet")
    assert columns["start"].tolist() == [start for _, start, _ in STRANDED_BINS]
    bases = [strand_of(around(contig, start), strand) for contig, start, strand in STRANDED_BINS]
    np.testing.assert_allclose(scores, expected(run, bases, strands="forward"), atol=1e-6)
    assert np.abs(scores[0] - scores[3]).max() > 1e-3
    assert (
        f"{bed}: 2 of 6 regions are on the - strand (column 6): their reverse complements are used"
        in capsys.readouterr().err.splitlines()
    )


def test_with_both_strands_the_sixth_column_does_not_matter(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("o.parquet", "o.bw"):
        files = []
        for text in (STRANDED, STRANDED.replace("\t-", "\t+")):
            bed, genome = regions(tmp_path, text)
            out = predict_file(run, bed, tmp_path / name, genome=genome, options=SMALL_BATCH)
            files.append(out[0].read_bytes())
            for path in out:
                path.unlink()
        assert files[0] == files[1]
    assert "strand" not in capsys.readouterr().err


def test_a_bigwig_of_two_strands_is_the_mean_of_their_bins(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bed, genome = regions(tmp_path, STRANDED + "chr1\t140\t180\tagain\t0\t-\n")
    forward = PredictOptions(batch_size=7, strands="forward")
    path, _ = predict_file(run, bed, tmp_path / "o.bw", genome=genome, options=forward)
    assert f"{bed}: 3 bins are on both strands; each" in capsys.readouterr().err
    bases = [strand_of(around(contig, start), strand) for contig, start, strand in STRANDED_BINS]
    scores = expected(run, bases, strands="forward")[:, 0]
    with pyBigWig.open(str(path)) as file:
        for contig, length in (("chr1", 900), ("chr2", 430)):
            covering: list[list[float]] = [[] for _ in range(length)]
            for (name, start, _), score in zip(STRANDED_BINS, scores, strict=True):
                for at in range(start, start + BIN) if name == contig else ():
                    covering[at].append(score)
            means = [np.mean(values) if values else np.nan for values in covering]
            np.testing.assert_allclose(file.values(contig, 0, length), means, atol=1e-6)


def test_an_output_of_other_strands_is_not_continued(run: Path, tmp_path: Path) -> None:
    bed, genome = regions(tmp_path, STRANDED)
    forward = PredictOptions(batch_size=2, strands="forward")
    out = tmp_path / "o.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "predict_codes", interrupt_after(3))
        with pytest.raises(KeyboardInterrupt):
            predict_file(run, bed, out, genome=genome, options=forward)
    regions(tmp_path, STRANDED.replace("\t-", "\t+"))
    with pytest.raises(UsageError, match="another input: its first 6 windows are not the same"):
        predict_file(run, bed, out, genome=genome, options=forward, resume=True)
    regions(tmp_path, STRANDED)
    predict_file(run, bed, out, genome=genome, options=forward, resume=True)
    predict_file(run, bed, tmp_path / "whole.parquet", genome=genome, options=forward)
    resumed, whole = read_back(out), read_back(tmp_path / "whole.parquet")
    pd.testing.assert_frame_equal(resumed[0], whole[0])
    np.testing.assert_allclose(resumed[1], whole[1], atol=1e-6)


def test_a_region_before_its_contig_begins_at_its_first_base_and_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bed, genome = regions(tmp_path, "chrom\tstart\tend\nchr1\t-20\t60\ta\nchr1\t-30\t10\tb\n")
    predict_file(run, bed, tmp_path / "o.tsv", genome=genome)
    columns, scores = read_back(tmp_path / "o.tsv")
    assert columns["start"].tolist() == [0, 40, 0]
    bases = [around("chr1", start) for start in (0, 40, 0)]
    np.testing.assert_allclose(scores, expected(run, bases), atol=1e-6)
    assert capsys.readouterr().err.splitlines()[:2] == [
        f"{bed}: its first line is read as names of columns: chrom start end",
        f"{bed}: 2 of 2 regions begin before their contig's first base; they are read from that "
        "base on",
    ]


def test_an_unknown_contig_stops_before_any_work(run: Path, tmp_path: Path) -> None:
    bed, genome = regions(tmp_path, "chr1\t0\t9\nchr7\t0\t9\n")
    with pytest.raises(BioqError, match=r"r.bed:2: .*g.fa has no contig 'chr7'; it has chr1"):
        predict_file(run, bed, tmp_path / "o.tsv", genome=genome)
    assert not list(tmp_path.glob("o.tsv*"))


def test_another_genome_than_that_of_the_training_is_noted_once(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = write_2bit(tmp_path / "hg.2bit", "chr21", 46_709_983)
    bed = tmp_path / "in.bed"
    bed.write_text("21\t1000\t1040\n")
    for contigs, notes in (({"chr21": 48_129_895}, 1), ({"chr21": 46_709_983}, 0)):
        trained_on(run, contigs)
        predict_file(run, bed, tmp_path / "out.tsv", genome=genome, force=True)
        lines = capsys.readouterr().err.splitlines()
        assert sum("was trained on hg19" in line for line in lines) == notes


@pytest.mark.parametrize(("db", "warnings"), [("hg19", 1), ("hg38", 0), ("mine", 0)])
def test_a_track_line_of_another_build_is_a_warning(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], db: str, warnings: int
) -> None:
    genome = write_2bit(tmp_path / "hg.2bit", "chr21", 46_709_983)
    bed = tmp_path / "in.bed"
    bed.write_text(f'track name="my peaks" db={db} color=0,0,0\n21\t1000\t1040\n')
    predict_file(run, bed, tmp_path / "out.tsv", genome=genome)
    lines = capsys.readouterr().err.splitlines()
    said = f"warning: {bed}:1: the track line says hg19, {genome} is GRCh38; check that"
    assert sum(line.startswith(said) for line in lines) == len(lines) == warnings


def test_a_region_past_the_end_names_the_builds(run: Path, tmp_path: Path) -> None:
    genome = write_2bit(tmp_path / "hg.2bit", "chr21", 46_709_983)
    bed = tmp_path / "in.bed"
    bed.write_text("21\t47000000\t47000040\n")
    message = r"hg.2bit \(GRCh38\); is the file of another genome build\? hg19 and GRCh37 have that"
    with pytest.raises(BioqError, match=message):
        predict_file(run, bed, tmp_path / "out.tsv", genome=genome)


def test_only_the_chosen_targets_are_written(run: Path, tmp_path: Path) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "o.tsv"
    predict_file(run, source, out, options=PredictOptions(targets=("sec*",)))
    result = pd.read_csv(out, sep="\t")
    assert list(result.columns) == ["sequence", "start", "end", "n_share", "probability:second"]
    whole = expected(run, [w[2] for w in windows_of(RECORDS)])
    np.testing.assert_allclose(result["probability:second"], whole[:, 1], atol=1e-6)
    with pytest.raises(UsageError, match="no target is called 'third'; there are first, second"):
        predict_file(run, source, out, options=PredictOptions(targets=("third",)), force=True)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_the_best_targets_of_each_window_are_those_of_pandas(
    most: int, run: Path, tmp_path: Path
) -> None:
    source = fasta(tmp_path / "x.fa")
    predict_file(run, source, tmp_path / "all.tsv", options=SMALL_BATCH)
    options = replace(SMALL_BATCH, top=most)
    predict_file(run, source, tmp_path / "top.tsv", options=options)
    whole = pd.read_csv(tmp_path / "all.tsv", sep="\t")
    long = whole.rename_axis("window").reset_index().melt(
        id_vars=["window", "sequence", "start", "end", "n_share"],
        var_name="target", value_name="probability",
    )  # fmt: skip
    long["target"] = long["target"].str.removeprefix("probability:")
    long = long.sort_values(["window", "probability"], ascending=[True, False])
    long = long.groupby("window").head(most)
    long.insert(5, "rank", long.groupby("window").cumcount() + 1)
    result = pd.read_csv(tmp_path / "top.tsv", sep="\t")
    pd.testing.assert_frame_equal(result, long.reset_index(drop=True), check_dtype=False)


def interrupt_after(batches: int) -> Callable[..., np.ndarray]:
    done = 0

    def predict_codes(*args: object, **options: object) -> np.ndarray:
        nonlocal done
        if done == batches:
            raise KeyboardInterrupt
        done += 1
        return bioq.forward.predict_codes(*args, **options)  # type: ignore[arg-type]

    return predict_codes


def interrupted(
    run: Path,
    source: Path,
    out: Path,
    batches: int,
    *,
    genome: Path | None = None,
    **options: object,
) -> None:
    """Predict some batches of 7 and stop there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioq.prediction.spool._PART_BYTES", 150)
        patch.setattr(module, "predict_codes", interrupt_after(batches))
        with pytest.raises(KeyboardInterrupt):
            options_now = replace(SMALL_BATCH, **options)  # type: ignore[arg-type]
            predict_file(run, source, out, genome=genome, options=options_now)


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz", ".parquet", ".h5", ".h5ad"])
@pytest.mark.parametrize("batches", [0, 1, 4])
def test_an_interrupted_output_is_continued_without_doubled_or_missing_rows(
    batches: int, ending: str, run: Path, tmp_path: Path
) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / f"out{ending}"
    interrupted(run, source, out, batches)
    assert not out.exists()
    predicted = []

    def count(model: object, codes: np.ndarray, **options: object) -> np.ndarray:
        predicted.append(len(codes))
        return bioq.forward.predict_codes(model, codes, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "predict_codes", count)
        predict_file(run, source, out, options=PredictOptions(batch_size=5), resume=True)
    windows = windows_of(RECORDS)
    assert sum(predicted) == len(windows) - 7 * batches
    predict_file(run, source, tmp_path / f"whole{ending}", options=SMALL_BATCH)
    result, whole = read_back(out), read_back(tmp_path / f"whole{ending}")
    pd.testing.assert_frame_equal(result[0], whole[0])
    np.testing.assert_allclose(result[1], whole[1], atol=1e-6)
    assert not list(tmp_path.glob("*.partial"))


def test_an_interrupt_keeps_the_rows_that_are_in_memory(run: Path, tmp_path: Path) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "o.tsv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "predict_codes", interrupt_after(2))
        with pytest.raises(KeyboardInterrupt):
            predict_file(run, source, out, options=SMALL_BATCH)
    parts = [path.name for path in (tmp_path / "o.tsv.partial").glob("*.arrow")]
    assert parts == [f"{2 * SMALL_BATCH.batch_size:015d}.arrow"]


def test_an_interrupt_while_the_table_is_written_loses_nothing(run: Path, tmp_path: Path) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "o.tsv"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioq.tables.Table.write", stop)
        with pytest.raises(KeyboardInterrupt):
            predict_file(run, source, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "predict_codes", stop)
        predict_file(run, source, out, resume=True)
    assert len(pd.read_csv(out, sep="\t")) == len(windows_of(RECORDS))


def test_equally_probable_targets_are_ranked_in_their_order(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def constant(model: object, codes: np.ndarray, **options: object) -> np.ndarray:
        return np.full((len(codes), 2), 0.5, dtype=np.float32)

    monkeypatch.setattr(module, "predict_codes", constant)
    source = fasta(tmp_path / "x.fa")
    for top in (1, 2):
        options = PredictOptions(top=top)
        predict_file(run, source, tmp_path / "o.tsv", options=options, force=True)
        table = pd.read_csv(tmp_path / "o.tsv", sep="\t")
        names = ["first", "second"][:top]
        assert table["target"].tolist() == names * len(windows_of(RECORDS))


def test_a_long_table_is_continued_too(run: Path, tmp_path: Path) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "o.tsv"
    interrupted(run, source, out, 2, top=1)
    options = replace(SMALL_BATCH, top=1)
    predict_file(run, source, out, options=options, resume=True)
    predict_file(run, source, tmp_path / "whole.tsv", options=options)
    assert out.read_bytes() == (tmp_path / "whole.tsv").read_bytes()


def test_only_the_same_output_can_be_continued(run: Path, tmp_path: Path) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "o.tsv"
    interrupted(run, source, out, 2)
    with pytest.raises(UsageError, match=r"o.tsv.partial: holds an interrupted output; add --re"):
        predict_file(run, source, out)
    with pytest.raises(UsageError, match="was started with strands 'both', not 'forward'"):
        predict_file(run, source, out, options=PredictOptions(strands="forward"), resume=True)
    with pytest.raises(UsageError, match="was started with targets '2, "):
        predict_file(run, source, out, options=PredictOptions(targets=("first",)), resume=True)
    other = fasta(tmp_path / "y.fa", RECORDS | {"s1": random_bases(230, 99)})
    with pytest.raises(UsageError, match="was started with another input: its first 14 windows"):
        predict_file(run, other, out, options=SMALL_BATCH, resume=True)
    swapped = RECORDS["s1"].translate(str.maketrans("AC", "CA"))
    edited = fasta(tmp_path / "y.fa", RECORDS | {"s1": swapped})
    with pytest.raises(UsageError, match="was started with another input: its first 14 windows"):
        predict_file(run, edited, out, options=SMALL_BATCH, resume=True)
    renamed = fasta(tmp_path / "y.fa", {f"x{name}": bases for name, bases in RECORDS.items()})
    with pytest.raises(UsageError, match="was started with another input: its first 14 windows"):
        predict_file(run, renamed, out, options=SMALL_BATCH, resume=True)
    fewer = fasta(tmp_path / "y.fa", {"s0": RECORDS["s0"]})
    with pytest.raises(UsageError, match="was started with another input, of more than 1 windows"):
        predict_file(run, fewer, out, options=SMALL_BATCH, resume=True)
    predict_file(run, source, out, options=SMALL_BATCH, resume=True)
    with pytest.raises(UsageError, match=r"o.tsv: is already complete; run without --resume"):
        predict_file(run, source, out, options=SMALL_BATCH, resume=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": ("first",)}, {"top": 1}, {"strands": "forward"}, {"stride_bp": 7},
        {"pad": True}, {"dtype": "float16"}, {"precision": "bf16"},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_that_changes_the_output_identifies_it(
    changes: dict[str, object], run: Path, tmp_path: Path
) -> None:
    source = fasta(tmp_path / "x.fa")
    same = replace(PredictOptions(), batch_size=3, device="cpu")
    changed = replace(PredictOptions(), **changes)  # type: ignore[arg-type]
    identities = []
    for options in (PredictOptions(), same, changed):
        with module.open_prediction(run, source, genome=None, options=options) as prediction:
            identities.append(prediction.identity)
    assert identities[0] == identities[1] != identities[2]


def test_other_weights_are_another_output(tmp_path: Path) -> None:
    source, options, identities = fasta(tmp_path / "x.fa"), PredictOptions(), []
    for seed in (1, 2):
        run = make_run(tmp_path / f"run{seed}", seed=seed)
        with module.open_prediction(run, source, genome=None, options=options) as prediction:
            identities.append(prediction.identity)
    assert {name for name in identities[0] if identities[0][name] != identities[1][name]} == {
        "weights"
    }


def test_damaged_parts_are_named(run: Path, tmp_path: Path) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "o.tsv"
    interrupted(run, source, out, 2)
    part = max((tmp_path / "o.tsv.partial").glob("*.arrow"))
    part.write_bytes(part.read_bytes()[:-50])
    with pytest.raises(BioqError, match=r"14.arrow: is damaged .*; remove its folder"):
        predict_file(run, source, out, options=SMALL_BATCH, resume=True)
    (tmp_path / "o.tsv.partial/manifest.json").write_text("{")
    with pytest.raises(BioqError, match=r"manifest.json: is damaged .*; remove its folder"):
        predict_file(run, source, out, options=SMALL_BATCH, resume=True)


@pytest.mark.parametrize("stride_bp", [BIN, 15, 70])
def test_bigwig_holds_the_mean_of_the_bins_over_each_base(
    stride_bp: int, run: Path, tmp_path: Path
) -> None:
    bed, genome = regions(tmp_path, BED + "chr1\t100\t200\tagain\nchr1\t870\t900\tx\n")
    options = replace(SMALL_BATCH, stride_bp=stride_bp)
    predict_file(run, bed, tmp_path / "o.tsv", genome=genome, options=options)
    columns, scores = read_back(tmp_path / "o.tsv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioq.prediction.spool._PART_BYTES", 700)
        patch.setattr("bioq.prediction.spool._BATCH_BYTES", 150)
        patch.setattr("bioq.tracks.bigwig._FILES_AT_ONCE", 1)
        paths = predict_file(run, bed, tmp_path / "o.bw", genome=genome, options=options)
    assert paths == [tmp_path / "o.first.bw", tmp_path / "o.second.bw"]
    once = ~columns.assign(chrom=columns["chrom"].replace("2", "chr2")).duplicated(
        ["chrom", "start"]
    )
    for number, path in enumerate(paths):
        with pyBigWig.open(str(path)) as file:
            assert file.chroms() == {name: len(bases) for name, bases in CONTIGS.items()}
            for contig, bases in CONTIGS.items():
                total, covers = np.zeros(len(bases)), np.zeros(len(bases))
                own = once & columns["chrom"].isin([contig, contig[3:]])
                for row in np.flatnonzero(own):
                    total[columns["start"][row] : columns["end"][row]] += scores[row, number]
                    covers[columns["start"][row] : columns["end"][row]] += 1
                with np.errstate(invalid="ignore"):
                    means = total / covers
                result = np.array(file.values(contig, 0, len(bases)))
                np.testing.assert_allclose(result, means, atol=1e-6)


def test_bigwig_leaves_out_what_is_past_the_end_of_a_contig(tmp_path: Path) -> None:
    def bins() -> Iterator[Bins]:
        start = np.array([820, 880, 940])
        yield "chr1", start, start + 40, np.array([[0.25], [0.5], [1]], dtype=np.float32)
        yield "chr2", start[:1] - 820, start[:1] - 780, np.ones((1, 1), dtype=np.float32)

    path = tmp_path / "o.bw"
    write_bigwigs([path], {"chr1": 900, "chr2": 430}, bins)
    with pyBigWig.open(str(path)) as file:
        assert file.intervals("chr1") == ((820, 860, 0.25), (880, 900, 0.5))
        assert file.intervals("chr2") == ((0, 40, 1.0),)


def test_interrupted_bigwigs_are_continued(run: Path, tmp_path: Path) -> None:
    bed, genome = regions(tmp_path, "chr1\t0\t900\nchr2\t0\t430\n")
    out = tmp_path / "o.bw"
    interrupted(run, bed, out, 3, genome=genome)
    assert not list(tmp_path.glob("*.bw"))
    predict_file(run, bed, out, genome=genome, options=SMALL_BATCH, resume=True)
    predict_file(run, bed, tmp_path / "whole.bw", genome=genome, options=SMALL_BATCH)
    for name in ("first", "second"):
        with (
            pyBigWig.open(str(tmp_path / f"o.{name}.bw")) as result,
            pyBigWig.open(str(tmp_path / f"whole.{name}.bw")) as whole,
        ):
            for contig in CONTIGS:
                assert result.intervals(contig) == whole.intervals(contig)
    assert not list(tmp_path.glob("*.partial"))


def test_bigwigs_of_names_that_become_the_same_file_are_refused(tmp_path: Path) -> None:
    assert bigwig_paths(tmp_path / "o.bw", ["a|b/c"]) == [tmp_path / "o.a_b_c.bw"]
    with pytest.raises(UsageError, match=r"'a\|b' and 'a/b' would both go to o.a_b.bw"):
        bigwig_paths(tmp_path / "o.bw", ["a|b", "a/b"])


WRONG_OPTIONS = {
    "o.csv": (PredictOptions(), "expected a name that ends in .tsv"),
    "o.bw": (
        PredictOptions(),
        "bigWig needs positions on a genome; give regions .BED. and --genome",
    ),
    "o.h5ad": (PredictOptions(top=2), "--top makes a long table"),
    "o.tsv": (PredictOptions(top=2, dtype="float16"), "--dtype cannot be combined with --top"),
}


@pytest.mark.parametrize("name", WRONG_OPTIONS)
def test_options_that_do_not_go_together_are_refused(name: str, tmp_path: Path) -> None:
    options, message = WRONG_OPTIONS[name]
    with pytest.raises(UsageError, match=message):
        predict_file(tmp_path / "run", tmp_path / "x.fa", tmp_path / name, options=options)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"top": 0}, "--top 0, expected 1 or more"),
        ({"stride_bp": 0}, "--stride-bp 0, expected 1 or more"),
        ({"batch_size": -1}, "--batch-size -1, expected 1 or more"),
        ({"strands": "all"}, "--strands 'all', expected both or forward"),
    ],
)
def test_an_option_out_of_range_is_named(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PredictOptions(**option)


def test_options_that_regions_cannot_have_are_refused(tmp_path: Path) -> None:
    bed, genome = regions(tmp_path)
    with pytest.raises(UsageError, match="--pad is for sequences"):
        options = PredictOptions(pad=True)
        predict_file(tmp_path, bed, tmp_path / "o.tsv", genome=genome, options=options)
    for options in (PredictOptions(top=1), PredictOptions(dtype="float16")):
        with pytest.raises(UsageError, match="bigWig holds one float32 per base"):
            predict_file(tmp_path, bed, tmp_path / "o.bw", genome=genome, options=options)
    with pytest.raises(BioqError, match=r"there is no folder .*none; make it first"):
        predict_file(tmp_path, bed, tmp_path / "none" / "o.tsv", genome=genome)


def test_memory_does_not_grow_with_the_windows(run: Path, tmp_path: Path) -> None:
    def peak(windows: int) -> int:
        bases = random_bases(WINDOW, 1)
        source = fasta(tmp_path / "x.fa", {f"s{n}": bases for n in range(windows)})
        tracemalloc.start()
        try:
            options = PredictOptions(batch_size=64)
            predict_file(run, source, tmp_path / "o.h5", options=options, force=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def constant(model: object, codes: np.ndarray, **options: object) -> np.ndarray:
        return np.zeros((len(codes), 2), dtype=np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "predict_codes", constant)
        patch.setattr("bioq.prediction.spool._PART_BYTES", 20_000)
        patch.setattr("bioq.genome.fasta_text._BLOCK_BYTES", 50_000)
        peak(100)
        assert peak(8000) < peak(800) + 500_000  # 8,000 windows as codes: 1,600,000 bytes


def test_the_command_reads_stdin_and_prints_what_it_wrote(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fasta(tmp_path / "x.fa")
    stdin = SimpleNamespace(buffer=io.BytesIO(source.read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    piped, out = tmp_path / "piped.tsv", tmp_path / "o.tsv"
    assert main(["predict", str(run), "-", "--out", str(piped), "--batch-size", "7"]) == 0
    assert capsys.readouterr().out == f"{piped}\n"
    assert main(["predict", str(run), str(source), "--out", str(out), "--batch-size", "7"]) == 0
    assert piped.read_bytes() == out.read_bytes()
    capsys.readouterr()
    stdin.buffer = io.BytesIO(b"ACGT\n")
    assert main(["predict", str(run), "-", "--out", str(piped), "--force"]) == 1
    assert "bioq: standard input:1: is not FASTA" in capsys.readouterr().err
    stdin.buffer = io.BytesIO(gzip.compress(source.read_bytes())[:-9])
    assert main(["predict", str(run), "-", "--out", str(piped), "--force"]) == 1
    assert "bioq: standard input: its gzip compression is cut short" in capsys.readouterr().err


def test_a_pipe_loses_no_row(run: Path, tmp_path: Path) -> None:
    """A shell gives one for `<(zcat x.fa.gz)`: it can be read only once."""
    source, pipe = fasta(tmp_path / "x.fa"), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(source.read_bytes(),))
    writer.start()
    assert main(["predict", str(run), str(pipe), "--out", str(tmp_path / "piped.tsv")]) == 0
    writer.join()
    assert main(["predict", str(run), str(source), "--out", str(tmp_path / "o.tsv")]) == 0
    assert (tmp_path / "piped.tsv").read_bytes() == (tmp_path / "o.tsv").read_bytes()


def test_an_interrupted_command_says_how_to_go_on(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = fasta(tmp_path / "x.fa"), tmp_path / "o.tsv"
    monkeypatch.setattr(module, "predict_codes", interrupt_after(0))
    assert main(["predict", str(run), str(source), "--out", str(out)]) == 130
    line = "bioq: interrupted; the same command with --resume goes on from what is saved\n"
    assert capsys.readouterr().err == line

"""The second stage: against scikit-learn, on alleles whose labels were drawn from a known model."""

import json
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from variant_cases import HEADER, make_run, other_base, read_tsv

import bioq
from bioq import BioqError, dna
from bioq.cli import main
from bioq.variants import VariantJob, score_variants
from bioq.variants.second_stage import fit_rank
from bioq.variants.second_stage.cross_fit import cross_fit, divide
from bioq.variants.second_stage.logistic import PENALTIES, Scaling, fit_path

CONTIGS = 6
CONTIG_BP = 250_000
STATUSES = ("scored", "edge_padded")


@dataclass(frozen=True)
class Case:
    """Two sets whose labels were drawn with log odds that are linear in |diff:first|."""

    folder: Path
    run: Path
    genome: Path
    positives: Path
    negatives: Path
    track: Path
    alleles: pd.DataFrame
    """Of all alleles: `score_variants`, and the columns truth, label, track."""
    rank: Path
    printed: str

    def fit(self, out: Path, *more: object, negatives: Path | None = None) -> list[str]:
        words = [self.positives, negatives or self.negatives, "--run", self.run]
        words += ["--genome", self.genome, "--out", out, *more]
        return ["rank", "fit", *map(str, words)]

    def apply(self, rank: Path, vcf: object, out: Path, *more: object) -> list[str]:
        words = [rank, vcf, "--run", self.run, "--genome", self.genome, "--out", out, *more]
        return ["rank", "apply", *map(str, words)]


def write_lines(path: Path, rows: pd.DataFrame) -> Path:
    columns = ["chrom", "pos", "id", "ref", "alt"]
    lines = ["\t".join(map(str, row)) + "\t.\t.\t.\n" for row in rows[columns].to_numpy().tolist()]
    path.write_text(HEADER + "".join(lines))
    return path


def random_alleles(sequences: dict[str, str], count: int) -> pd.DataFrame:
    random = np.random.default_rng(8)
    rows = []
    for number in range(count):
        contig = f"chr{number % len(sequences) + 1}"
        pos = int(random.integers(1, CONTIG_BP - 10))
        base = sequences[contig][pos - 1]
        alt = (base + "GATTACA") if number % 9 == 0 else other_base(base)
        rows.append((contig, pos, f"a{number}", base, alt))
    rows += [("chr1", 5000, "star", "A", "*"), ("chrZ", 1, "lost", "A", "C")]
    return pd.DataFrame(rows, columns=["chrom", "pos", "id", "ref", "alt"])


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("rank")
    random = np.random.default_rng(5)
    sequences = {
        f"chr{n + 1}": dna.decode(random.integers(0, 4, CONTIG_BP).astype(np.uint8))
        for n in range(CONTIGS)
    }
    genome = folder / "g.fa"
    genome.write_text("".join(f">{name}\n{text}\n" for name, text in sequences.items()))
    run = make_run(folder / "run")
    drawn = random_alleles(sequences, 900)
    vcf = write_lines(folder / "all.vcf", drawn)
    alleles = pd.concat(score_variants(bioq.load(run), vcf, genome), ignore_index=True)
    size = alleles["diff:first"].abs()
    alleles["truth"] = (1.2 * (size - size.mean()) / size.std() - 0.5).fillna(0)
    alleles["label"] = random.random(len(alleles)) < 1 / (1 + np.exp(-alleles["truth"]))
    track = folder / "cons.bw"
    with_bigwig(track, random)
    with pyBigWig.open(str(track)) as file:
        alleles["track"] = [
            float("nan") if chrom == "chrZ" else np.mean(file.values(chrom, pos - 1, pos))
            for chrom, pos in zip(alleles["chrom"], alleles["pos"], strict=True)
        ]
    one, two = (alleles[alleles["label"] == label] for label in (True, False))
    positives = write_lines(folder / "positives.vcf", one)
    negatives = write_lines(folder / "negatives.vcf", two)
    made = Case(folder, run, genome, positives, negatives, track, alleles, folder / "rank", "")
    assert main(made.fit(made.rank, "--track", track)) == 0
    return made


def with_bigwig(path: Path, random: np.random.Generator) -> None:
    """Write a track that is random in the first half of each contig, and has nothing after."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(f"chr{n + 1}", CONTIG_BP) for n in range(CONTIGS)])
        for n in range(CONTIGS):
            values = random.normal(size=CONTIG_BP // 2)
            file.addEntries(f"chr{n + 1}", 0, values=values.tolist(), span=1, step=1)


def held_out(rank: Path) -> pd.DataFrame:
    return read_tsv(rank / "held_out.tsv")


def quality(rank: Path) -> pd.DataFrame:
    table = read_tsv(rank / "quality.tsv")
    return table[table["part"] == "all"].set_index("score")


def features(table: pd.DataFrame, *, track: bool) -> np.ndarray:
    names = [f"{s}:{t}" for s in ("diff", "log2_odds_ratio") for t in ("first", "second")]
    columns = [table[name].abs().to_numpy(np.float64) for name in names]
    if track:
        columns += [table["track"].to_numpy(), table["track"].isna().to_numpy(np.float64)]
    return np.stack(columns, axis=1)


class ByScikitLearn:
    """Standardise, replace what is missing by the mean, and fit; all by scikit-learn."""

    def __init__(self, x: np.ndarray, y: np.ndarray, penalty: float):
        self.scaler = StandardScaler().fit(x)
        self.model = LogisticRegression(
            C=1 / (len(x) * penalty), solver="newton-cholesky", tol=1e-10, max_iter=1000
        ).fit(np.nan_to_num(self.scaler.transform(x)), y)

    def probability(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(np.nan_to_num(self.scaler.transform(x)))[:, 1]

    def loss(self, x: np.ndarray, y: np.ndarray) -> float:
        p = self.probability(x)
        return -float(np.log(np.where(y, p, 1 - p)).sum())


def used_rows(case: Case, rank: Path) -> pd.DataFrame:
    """Return the alleles that a fit used, with its folds, in its order."""
    table = held_out(rank)
    keys = ["chrom", "pos", "ref", "alt"]
    return table[table["use"] == "used"].merge(
        case.alleles.drop(columns=["id", "status", "label"]), on=keys, how="left"
    )


def log_odds(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1 - probability))


def test_held_out_scores_are_those_of_scikit_learn_with_the_same_cross_validation(
    case: Case,
) -> None:
    rows = used_rows(case, case.rank)
    x, y = features(rows, track=True), rows["label"].to_numpy() == 1
    fold = rows["fold"].to_numpy(np.int64)
    folds = sorted(set(fold))
    assert len(folds) == 5
    loss = {(one, penalty): 0.0 for one in folds for penalty in PENALTIES}
    for penalty in PENALTIES:
        for one, two in combinations(folds, 2):
            model = ByScikitLearn(x[(fold != one) & (fold != two)],
                                  y[(fold != one) & (fold != two)], penalty)  # fmt: skip
            loss[one, penalty] += model.loss(x[fold == two], y[fold == two])
            loss[two, penalty] += model.loss(x[fold == one], y[fold == one])
    intercept = json.loads((case.rank / "rank.json").read_text())["intercept"]
    for one in folds:
        best = min(PENALTIES, key=lambda penalty: loss[one, penalty])
        model = ByScikitLearn(x[fold != one], y[fold != one], best)
        ours = rows["rank_score"].to_numpy()[fold == one]
        expected = log_odds(model.probability(x[fold == one])) - model.model.intercept_[0]
        np.testing.assert_allclose(log_odds(ours) - intercept, expected, atol=2e-4)


def test_each_contig_is_in_one_fold_and_the_areas_are_those_of_scikit_learn(case: Case) -> None:
    rows = used_rows(case, case.rank)
    assert rows.groupby("chrom")["fold"].nunique().max() == 1
    found = quality(case.rank)
    y, ours = rows["label"].to_numpy(), rows["rank_score"].to_numpy()
    assert found.loc["rank_score", "roc_auc"] == pytest.approx(roc_auc_score(y, ours))
    assert found.loc["rank_score", "average_precision"] == pytest.approx(
        average_precision_score(y, ours)
    )
    largest = rows["max_abs_diff"].to_numpy()
    assert found.loc["max |diff|", "roc_auc"] == pytest.approx(roc_auc_score(y, largest))
    assert found.loc["a constant", "average_precision"] == pytest.approx(y.mean())
    gain = found.loc["rank_score", "average_precision"] - found["average_precision"]
    np.testing.assert_allclose(found["gain"].iloc[1:], gain.iloc[1:])
    of_contigs = read_tsv(case.rank / "quality.tsv").set_index("part").drop("all")
    for contig, part in rows.groupby("chrom"):
        area = roc_auc_score(part["label"], part["rank_score"])
        assert of_contigs.loc[contig, "roc_auc"] == pytest.approx(area)


def test_the_signal_is_found_and_a_plain_track_has_none(case: Case) -> None:
    rows, found = used_rows(case, case.rank), quality(case.rank)
    best = roc_auc_score(rows["label"], rows["truth"])
    assert found.loc["rank_score", "roc_auc"] > best - 0.05
    assert found.loc["rank_score", "roc_auc_low"] > 0.6
    low, high = found.loc["track cons", ["roc_auc_low", "roc_auc_high"]]
    assert low < 0.5 < high


def test_permuted_labels_give_an_area_of_one_half_within_its_interval(
    case: Case, tmp_path: Path
) -> None:
    shuffled = case.alleles.sample(frac=1, random_state=3)
    one = write_lines(tmp_path / "one.vcf", shuffled[:300])
    two = write_lines(tmp_path / "two.vcf", shuffled[300:])
    job = VariantJob(case.run, one, case.genome)
    report = fit_rank(job, two, tmp_path / "rank")
    low, high = report.qualities[0].roc_auc_interval
    assert low < 0.5 < high
    assert report.warnings == []


def test_no_allele_is_dropped_silently(case: Case) -> None:
    table = held_out(case.rank)
    assert len(table) == len(case.alleles)
    lost = table[table["use"] == "not scored"]
    assert sorted(lost["status"]) == ["no_contig", "star"]
    assert lost["rank_score"].isna().all()
    assert table[table["use"] == "used"]["rank_score"].between(0, 1).all()


@pytest.mark.parametrize("ending", ["tsv", "parquet", "h5ad"])
def test_apply_gives_the_probability_of_the_fit_to_all_alleles(
    case: Case, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"ranked.{ending}"
    assert main(case.apply(case.rank, case.folder / "all.vcf", out, "--track", case.track)) == 0
    if ending == "h5ad":
        import anndata

        table = anndata.read_h5ad(out).obs.reset_index(drop=True)
    else:
        table = read_tsv(out) if ending == "tsv" else pd.read_parquet(out)
    assert table["id"].tolist() == case.alleles["id"].tolist()
    assert [name for name in table.columns if ":" in name] == []
    rows = used_rows(case, case.rank)
    penalty = json.loads((case.rank / "rank.json").read_text())["penalty"]
    model = ByScikitLearn(features(rows, track=True), rows["label"].to_numpy() == 1, penalty)
    scored = table["status"].isin(STATUSES).to_numpy()
    assert table["rank_score"][~scored].isna().all()
    expected = model.probability(features(case.alleles[scored], track=True))
    np.testing.assert_allclose(table["rank_score"][scored], expected, atol=2e-5)


@pytest.mark.parametrize("annotate", [False, True])
def test_apply_writes_vcfs(case: Case, tmp_path: Path, annotate: bool) -> None:
    out, table = tmp_path / "ranked.vcf.gz", tmp_path / "ranked.tsv"
    vcf, more = case.folder / "all.vcf", ["--track", case.track]
    assert main(case.apply(case.rank, vcf, table, *more)) == 0
    assert main(case.apply(case.rank, vcf, out, *more, *["--annotate"] * annotate)) == 0
    expected = read_tsv(table)["rank_score"]
    with pysam.VariantFile(str(out)) as file:
        found = [record.info.get("BIOQ_RANK_SCORE", float("nan")) for record in file]
    values = [value[0] if isinstance(value, tuple) else value for value in found]
    values = [float("nan") if value is None else value for value in values]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_the_rank_of_a_background_is_a_plain_score(case: Case, tmp_path: Path) -> None:
    background, scores = tmp_path / "b.npz", tmp_path / "scores.tsv"
    vcf = str(case.folder / "all.vcf")
    words = [str(case.run), vcf, "--genome", str(case.genome)]
    assert main(["background", *words, "--out", str(background)]) == 0
    words += ["--background", str(background)]
    assert main(["variants", *words, "--out", str(scores)]) == 0
    assert main(case.fit(tmp_path / "rank", "--background", background)) == 0
    rows = used_rows(case, tmp_path / "rank")
    phred = rows["id"].map(read_tsv(scores).set_index("id")["score_phred"])
    area = quality(tmp_path / "rank").loc["score_phred", "roc_auc"]
    assert area == pytest.approx(roc_auc_score(rows["label"], phred))


def test_genes_and_frequencies_are_compared(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = {f"chr{n + 1}": np.arange(20_000, CONTIG_BP, 40_000) for n in range(CONTIGS)}
    genes = tmp_path / "genes.bed"
    genes.write_text(
        "".join(f"{c}\t{at}\t{at + 9}\tg\t0\t+\n" for c, each in starts.items() for at in each)
    )
    random, paths = np.random.default_rng(1), []
    for name, power in (("positives", 3), ("negatives", 1)):
        lines = (case.folder / f"{name}.vcf").read_text().splitlines()
        rows = [line.removesuffix(".") + f"DP=1;AF={random.random() ** power:.3f}"
                if line[0] != "#" else line for line in lines]  # fmt: skip
        paths.append(tmp_path / f"{name}.vcf")
        paths[-1].write_text("\n".join(rows) + "\n")
    out = tmp_path / "rank"
    words = case.fit(out, "--genes", genes, negatives=paths[1])
    words[2] = str(paths[0])
    assert main(words) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "warning: " in line]
    assert len([line for line in said if "allele frequency has the median" in line]) == 1
    assert json.loads((out / "rank.json").read_text())["warnings"]
    rows = used_rows(case, out)
    distance = [np.abs(starts[chrom] - (pos - 1)).min()
                for chrom, pos in zip(rows["chrom"], rows["pos"], strict=True)]  # fmt: skip
    area = quality(out).loc["near a TSS", "roc_auc"]
    assert area == pytest.approx(roc_auc_score(rows["label"], -np.array(distance)))


def test_apply_takes_a_typed_variant(case: Case, tmp_path: Path) -> None:
    row = case.alleles.iloc[3]
    typed = f"{row['chrom']}:{row['pos']}:{row['ref']}>{row['alt']}"
    out = tmp_path / "one.tsv"
    assert main(case.apply(case.rank, typed, out, "--track", case.track)) == 0
    assert len(read_tsv(out)) == 1


@pytest.mark.parametrize(("alleles", "count"), [(300, 12), (60, 150), (900, 40)])
def test_fits_are_at_the_smallest_penalised_loss(alleles: int, count: int) -> None:
    random = np.random.default_rng(alleles)
    hidden = random.normal(size=(alleles, 5)) @ random.normal(size=(5, count))
    x = np.abs(hidden + random.normal(size=hidden.shape)).astype(np.float32)
    x[:, 1] = 3  # the same everywhere
    y = x[:, 0] + random.normal(size=alleles) > np.median(x[:, 0])
    x[random.random(x.shape) < 0.01] = np.nan
    standardised = Scaling.of(x).standardised(x)
    known = StandardScaler().fit_transform(x.astype(np.float64))
    np.testing.assert_allclose(standardised, np.nan_to_num(known), atol=1e-5)
    fits = fit_path(standardised, y)
    assert [fit.penalty for fit in fits] == list(PENALTIES)
    for fit in fits:
        error = 1 / (1 + np.exp(-fit.log_odds(standardised))) - y
        gradient = standardised.T @ error / alleles + fit.penalty * fit.weights
        np.testing.assert_allclose(gradient, 0, atol=1e-6)
        assert error.mean() == pytest.approx(0, abs=1e-6)


def test_a_fit_without_scikit_learn_names_what_to_install(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(case.fit(tmp_path / "rank")) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "bioq: bioq rank fit needs the package scikit-learn; pip install 'bioq[rank]'"
    )
    assert not (tmp_path / "rank").exists()


def test_features_that_are_the_same_everywhere_give_every_allele_one_score() -> None:
    """Folds have other shares of positives, which no score may show."""
    random = np.random.default_rng(6)
    contig = random.integers(0, 8, 400)
    labels = random.random(400) < 0.1 + 0.08 * contig
    folds = divide(contig, random.integers(0, 10**7, 400), labels)
    fitted = cross_fit(np.full((400, 3), 2, np.float32), labels, folds)
    assert np.unique(folds.of_allele).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(fitted.held_out, labels.mean(), rtol=1e-6)


def test_one_contig_is_divided_into_stretches() -> None:
    random = np.random.default_rng(2)
    position = np.sort(random.integers(0, 5_000_000, 400))
    labels = random.random(400) < 0.2
    folds = divide(np.zeros(400, np.int64), position, labels)
    assert folds.by == "5 stretches of the genome"
    assert folds.count == 5
    edges = [(position[folds.of_allele == fold].min(), position[folds.of_allele == fold].max())
             for fold in range(5)]  # fmt: skip
    for (_, end), (start, _) in pairwise(edges):
        assert end // 100_000 < start // 100_000
    with pytest.raises(BioqError, match="2 stretches of 100,000 bases of 1 contig"):
        divide(np.zeros(40, np.int64), np.arange(40) * 4_000, np.arange(40) % 2 == 0)


def refused(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(list(map(str, words))) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bioq: ")]
    assert len(lines) == 1
    return lines[0]


def test_what_does_not_fit_the_rank_is_refused_in_one_line(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vcf, out = case.folder / "all.vcf", tmp_path / "out.tsv"
    line = refused(case, tmp_path, capsys, *case.apply(case.rank, vcf, out))
    assert "was fitted with these tracks: cons; cons is not given" in line
    other = tmp_path / "other.bw"
    with_bigwig(other, np.random.default_rng(77))
    line = refused(case, tmp_path, capsys, *case.apply(case.rank, vcf, out, "--track", other))
    assert "other is not one of them" in line
    run = make_run(tmp_path / "run-2", seed=2)
    words = [*case.apply(case.rank, vcf, out, "--track", case.track)]
    words[words.index(str(case.run))] = str(run)
    assert "was fitted to the scores of other weights" in refused(case, tmp_path, capsys, *words)
    words = [*case.apply(case.rank, vcf, out, "--track", case.track), "--strands", "forward"]
    assert "was fitted with --strands both" in refused(case, tmp_path, capsys, *words)
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text[:900], "is not a second stage"),
        (lambda text: text.replace('"format_version": 1', '"format_version": 9'), "reads 1"),
        (lambda text: text.replace('"intercept"', '"other"'), "intercept"),
        (lambda text: text.replace('"|diff|:first"', '"|diff|:third"'), "features do not fit"),
    ],
)
def test_a_damaged_rank_is_refused_in_one_line(
    case: Case,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[str], str],
    expected: str,
) -> None:
    rank = tmp_path / "rank"
    rank.mkdir()
    (rank / "rank.json").write_text(change((case.rank / "rank.json").read_text()))
    words = case.apply(rank, case.folder / "all.vcf", tmp_path / "out.tsv", "--track", case.track)
    assert expected in refused(case, tmp_path, capsys, *words)


def test_a_table_does_not_replace_a_file_of_the_rank(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rank = tmp_path / "rank"
    shutil.copytree(case.rank, rank)
    out = rank / "held_out.tsv"
    words = case.apply(rank, case.folder / "all.vcf", out, "--track", case.track, "--force")
    assert main(list(map(str, words))) == 2
    assert "held_out.tsv: is the input; give another name" in capsys.readouterr().err
    assert out.read_bytes() == (case.rank / "held_out.tsv").read_bytes()


def test_an_allele_in_both_sets_is_a_positive_and_a_line_says_so(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (case.alleles[case.alleles["label"] == label] for label in (True, False))
    scored = one[one["status"].isin(STATUSES)]
    negatives = write_lines(tmp_path / "n.vcf", pd.concat([two, scored[:7], two[3:5]]))
    out = tmp_path / "rank"
    assert main(case.fit(out, negatives=negatives)) == 0
    printed = capsys.readouterr()
    assert "7 of its" in printed.err
    assert "are positives too; they were left out of the negatives" in printed.err
    assert "2 of its" in printed.err
    uses = held_out(out)["use"].value_counts()
    assert (uses["in both sets"], uses["repeated"]) == (7, 2)
    assert "rank_score" in printed.out
    assert "max |diff|" in printed.out
    with warnings.catch_warnings():
        line = refused(case, tmp_path, capsys, *case.fit(out, "--force", negatives=case.positives))
    assert "has 0 alleles for the negatives" in line
    assert "in both sets" in line

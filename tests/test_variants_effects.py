"""`benchmarks/variants_effects.py`: numbers against SciPy and scikit-learn; forms of tables."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).parents[1]


def run(*words: object, status: int = 0) -> tuple[pd.DataFrame, str]:
    script = ROOT / "benchmarks" / "variants_effects.py"
    done = subprocess.run(
        [sys.executable, script, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")]
            for line in done.stdout.splitlines() if line.startswith("|")]  # fmt: skip
    if status:
        return pd.DataFrame(), done.stderr
    return pd.DataFrame(rows[2:], columns=rows[0]).set_index(["score", "part"]), done.stderr


def number(cell: str) -> float:
    return float(cell.split()[0])


@pytest.fixture
def alleles() -> pd.DataFrame:
    random = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "chrom": np.repeat(["1", "X"], 300),
            "pos": np.tile(np.arange(1000, 1300), 2),
            "ref": "A",
            "alt": "C",
            "effect": random.normal(size=600),
            "element": np.repeat(["one", "two"], 300),
        }
    )
    noise = random.normal(size=600)
    return table.assign(signed=table["effect"] + noise, size=np.abs(table["effect"] + noise))


def test_correlations_and_areas_are_those_of_scipy_and_scikit_learn(
    alleles: pd.DataFrame, tmp_path: Path
) -> None:
    measured, scores = tmp_path / "measured.tsv.gz", tmp_path / "scores.parquet"
    names = {"chrom": "#Chrom", "pos": "Pos", "ref": "Ref", "alt": "Alt", "effect": "Value"}
    text = alleles[[*names, "element"]].rename(columns=names).to_csv(sep="\t", index=False)

    measured.write_bytes(gzip.compress(f"## comment\n# other\n{text}".encode()))
    kept = alleles.drop(index=[3, 400]).assign(chrom=lambda table: "chr" + table["chrom"])
    kept.loc[5, ["ref", "alt"]] = ["C", "A"]
    kept.drop(columns=["effect", "element"]).to_parquet(scores)
    table, said = run(measured, "--scores", scores, "--column", "signed", "size",
                      "--effect-above", 1)  # fmt: skip
    assert "600 measured alleles, 597 of them in scores.parquet, 3 not, of which 1 are" in said
    used = alleles.drop(index=[3, 400, 5])
    for part, rows in (("all", used), *used.groupby("element")):
        for score, effect in (("signed", rows["effect"]), ("size", rows["effect"].abs())):
            line = table.loc[(score, part)]
            assert number(line["Pearson"]) == pytest.approx(
                pearsonr(effect, rows[score]).statistic, abs=6e-4
            )
            assert number(line["Spearman"]) == pytest.approx(
                spearmanr(effect, rows[score]).statistic, abs=6e-4
            )
            label, size = rows["effect"].abs() > 1, rows[score].abs()
            assert number(line["ROC AUC"]) == pytest.approx(roc_auc_score(label, size), abs=6e-4)
            assert number(line["AP"]) == pytest.approx(
                average_precision_score(label, size), abs=6e-4
            )
    assert ("signed", "chromosome X") in table.index


def test_an_interval_of_a_correlation_is_that_of_fisher_for_independent_rows(
    alleles: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    alleles.to_csv(path, index=False)
    table, _ = run(path, "--scores", path, "--column", "signed", "--block-bp", 1)
    cell = table.loc[("signed", "all"), "Pearson"]
    low, high = (float(each) for each in cell.split("(")[1].rstrip(")").split(" to "))
    expected = pearsonr(alleles["effect"], alleles["signed"]).confidence_interval()
    assert low == pytest.approx(expected.low, abs=0.02)
    assert high == pytest.approx(expected.high, abs=0.02)


def test_labels_and_the_columns_of_bioq_need_no_option(
    alleles: pd.DataFrame, tmp_path: Path
) -> None:
    label = (alleles["effect"] > 0).astype(int)
    measured, scores = tmp_path / "labels.tsv", tmp_path / "scores.tsv"
    lines = alleles[["chrom", "pos", "ref", "alt"]].assign(label=label)
    text = lines.to_csv(sep="\t", index=False, header=False)
    measured.write_text(f"# [1]CHROM\t[2]POS\t[3]REF\t[4]ALT\t[5]label\n{text}")
    ours = alleles.assign(max_abs_diff=alleles["signed"] + 10, score_phred=np.nan)
    ours.drop(columns="effect").to_csv(scores, sep="\t", index=False, na_rep="NA")
    table, _ = run(measured, "--scores", scores)
    assert {score for score, _ in table.index} == {"max_abs_diff"}
    area = roc_auc_score(label, alleles["signed"])
    line = table.loc[("max_abs_diff", "all")]
    assert number(line["ROC AUC"]) == pytest.approx(area, abs=6e-4)
    assert line["positives"] == str(label.sum())


def test_a_label_that_is_an_effect_is_read_as_one(alleles: pd.DataFrame, tmp_path: Path) -> None:
    """TraitGym's tables of saturation mutagenesis have the effect in a column `label`."""
    path = tmp_path / "test.parquet"
    alleles.rename(columns={"effect": "label"}).to_parquet(path)
    table, said = run(path, "--scores", path, "--column", "signed")
    assert "it is read as the effect" in said
    expected = pearsonr(alleles["effect"], alleles["signed"]).statistic
    assert number(table.loc[("signed", "all"), "Pearson"]) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("heads", "more", "expected"),
    [
        ("chrom pos ref effect", [], "has no column alt"),
        ("chrom start ref alt effect", [], "no line has the name of a column of positions"),
        ("chrom pos ref alt other", [], "has no column effect or value"),
        ("chrom pos ref alt effect", ["--column", "x"], "has no column x"),
        ("chrom pos ref alt effect", [], "give --column"),
    ],
)
def test_other_tables_are_refused(
    tmp_path: Path, heads: str, more: list[str], expected: str
) -> None:
    path = tmp_path / "a.tsv"
    cells = ["1", "5", "A", "C", "0.5"][: len(heads.split())]
    path.write_text("\t".join(heads.split()) + "\n" + "\t".join(cells) + "\n")
    _, said = run(path, "--scores", path, *more, status=1)
    assert expected in said


def test_what_cannot_be_compared_is_one_line(alleles: pd.DataFrame, tmp_path: Path) -> None:
    path, other = tmp_path / "a.tsv", tmp_path / "b.tsv"
    alleles.to_csv(path, sep="\t", index=False)
    for table, expected in (
        (None, "b.tsv: no such file"),
        (alleles.assign(pos=alleles["pos"] + 1e6), "no measured allele has a score"),
        (alleles.assign(pos=alleles["pos"] + 0.5), "expected a whole number"),
    ):
        if table is not None:
            table.to_csv(other, sep="\t", index=False)
        _, said = run(path, "--scores", other, "--column", "signed", status=1)
        assert expected in said.splitlines()[-1]
        assert "Traceback" not in said


def test_a_score_may_have_the_name_of_an_effect(alleles: pd.DataFrame, tmp_path: Path) -> None:
    path, scores = tmp_path / "a.tsv", tmp_path / "b.tsv"
    alleles.to_csv(path, sep="\t", index=False)
    renamed = {"signed": "beta", "size": "label", "effect": "kept", "element": "other"}
    alleles.rename(columns=renamed).to_csv(scores, sep="\t", index=False)
    table, _ = run(path, "--scores", scores, "--column", "beta", "label")
    expected = pearsonr(alleles["effect"], alleles["signed"]).statistic
    assert number(table.loc[("beta", "all"), "Pearson"]) == pytest.approx(expected, abs=6e-4)
    assert ("label (score)", "all") in table.index

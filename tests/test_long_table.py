"""Long tables of variants against the wide table of the same alleles, reshaped by pandas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from variant_cases import make_chromosome, make_run, random_rows, read_tsv, write_vcf

from bioq.cli import main
from bioq.variants import COLUMNS, SCORES
from bioq.variants.outputs import long_table


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{make_chromosome()}\n")
    return path


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    rows = random_rows(make_chromosome())
    rows.insert(7, ("chr1", 5, "del", "A", "<DEL>"))
    return write_vcf(tmp_path / "in.vcf", [*rows, ("chrNone", 5, "no", "A", "C")])


@pytest.fixture
def background(run: Path, genome: Path, vcf: Path, tmp_path: Path) -> Path:
    out = tmp_path / "b.npz"
    words = ["background", run, vcf, "--genome", genome, "--out", out]
    assert main(list(map(str, words))) == 0
    return out


def call(run: Path, genome: Path, vcf: Path, out: Path, *words: object) -> int:
    options = [str(word) for word in words]
    return main(
        ["variants", str(run), str(vcf), "--genome", str(genome), "--out", str(out), *options]
    )


def reshaped(
    wide: pd.DataFrame, keep: pd.DataFrame | None = None, top: int | None = None
) -> pd.DataFrame:
    """Return the rows of a long table, of a wide one; `keep` (alleles, targets) are those that
    pass the conditions."""
    rows = []
    names = [name.removeprefix("diff:") for name in wide if name.startswith("diff:")]
    scores = [name.removesuffix(f":{names[0]}") for name in wide if name.endswith(f":{names[0]}")]
    for number, allele in wide.iterrows():
        of_targets = [
            {"target": name, **{f"{score}:target": allele[f"{score}:{name}"] for score in scores}}
            for name in names
            if not np.isnan(allele[f"diff:{name}"]) and (keep is None or keep.loc[number, name])
        ]
        key = "evalue:target" if "evalue" in scores else None
        of_targets.sort(key=lambda each: (each[key] if key else 0, -abs(each["diff:target"])))
        empty = {"target": "", **{f"{score}:target": np.nan for score in scores}}
        for each in of_targets[:top] or [empty]:
            rows.append({**{name: allele[name] for name in COLUMNS}, **each})
    return pd.DataFrame(rows)


def wide_and_long(
    run: Path, genome: Path, vcf: Path, *words: object, long: tuple[object, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables = []
    for name, options in (("wide.tsv", ()), ("long.tsv", ("--long", *long))):
        out = vcf.with_name(name)
        assert call(run, genome, vcf, out, *words, *options, "--force") == 0
        tables.append(read_tsv(out))
    return tables[0], tables[1]


@pytest.mark.parametrize("top", [None, 1, 2])
@pytest.mark.parametrize("with_background", [False, True])
def test_the_rows_are_those_of_the_wide_table(
    top: int | None, with_background: bool, run: Path, genome: Path, vcf: Path, background: Path
) -> None:
    words = ("--background", background) if with_background else ()
    chosen = () if top is None else ("--top", top)
    wide, long = wide_and_long(run, genome, vcf, *words, long=chosen)
    pd.testing.assert_frame_equal(long, reshaped(wide, top=top), rtol=0, atol=0)
    assert (
        (long["target"] == "").sum() == (~wide["status"].isin(["scored", "edge_padded"])).sum() > 1
    )
    assert list(long.columns[: len(COLUMNS) + 1]) == [*COLUMNS, "target"]
    first = long.drop_duplicates(["pos", "id", "alt"])
    assert (first["target"] == first["top_target"]).all()


def test_an_allele_without_a_target_past_the_threshold_keeps_its_row(
    run: Path, genome: Path, vcf: Path, background: Path
) -> None:
    words = ("--background", background)
    wide, _ = wide_and_long(run, genome, vcf, *words, long=())
    least, most = wide["diff:first"].abs().median(), wide["evalue:second"].median()
    wide, long = wide_and_long(
        run, genome, vcf, *words, long=("--min-diff", least, "--max-evalue", most)
    )
    keep = pd.DataFrame(
        {
            name: (wide[f"diff:{name}"].abs() >= least) & (wide[f"evalue:{name}"] <= most)
            for name in ("first", "second")
        }
    )
    assert 0 < keep.to_numpy().sum() < keep.size
    pd.testing.assert_frame_equal(long, reshaped(wide, keep), rtol=0, atol=0)
    scored = wide["status"] == "scored"
    assert (long["target"] == "").sum() > (~scored).sum()
    assert set(long["id"]) == set(wide["id"])


def test_scores_that_are_not_written_still_choose_the_targets(
    run: Path, genome: Path, vcf: Path, background: Path
) -> None:
    words = ("--background", background)
    _, all_scores = wide_and_long(run, genome, vcf, *words, long=("--top", 1))
    _, one = wide_and_long(run, genome, vcf, *words, "--scores", "ref", long=("--top", 1))
    assert list(one.columns) == [*COLUMNS, "target", "ref:target"]
    pd.testing.assert_frame_equal(one, all_scores[one.columns])


@pytest.mark.parametrize("ending", [".tsv.gz", ".parquet"])
def test_every_flat_format_has_the_same_rows(
    ending: str, run: Path, genome: Path, vcf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, long = wide_and_long(run, genome, vcf, long=())
    monkeypatch.setattr(long_table, "_ROWS_AT_ONCE", 6)  # three alleles
    out = tmp_path / f"o{ending}"
    assert call(run, genome, vcf, out, "--long") == 0
    table = pd.read_parquet(out) if ending == ".parquet" else read_tsv(out)
    assert list(table.columns) == [*COLUMNS, "target", *(f"{name}:target" for name in SCORES)]
    pd.testing.assert_frame_equal(table, long, check_dtype=False, rtol=1e-7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "o.h5", "--long"], "a long table has one row per allele and target; expected a"),
        (["--out", "o.vcf", "--long"], "expected a name that ends in .tsv, .tsv.gz, .parquet"),
        (["--out", "o.tsv", "--top", "3"], "--top chooses rows of a long table; add --long"),
        (["--out", "o.tsv", "--min-diff", "0"], "--min-diff chooses rows of a long table"),
        (["--out", "o.tsv", "--max-evalue", "0.5"], "--max-evalue chooses rows of a long table"),
        (["--out", "o.tsv", "--long", "--top", "0"], "--top 0, expected 1 or more"),
        (["--out", "o.tsv", "--long", "--min-diff", "2"], "--min-diff 2.0, expected"),
        (["--out", "o.tsv", "--long", "--max-evalue", "0.1"], "--max-evalue needs --background"),
        (["--out", "o.vcf", "--long", "--annotate"], "--long with --annotate: --long writes"),
        (["--out", "o", "--long", "--format", "deepsea"], "--long with --format deepsea"),
        (["--out", "o", "--long", "--ray", "local"], "--long cannot be combined with --ray"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(
    words: list[str],
    message: str,
    run: Path,
    genome: Path,
    vcf: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    assert main(["variants", str(run), str(vcf), "--genome", str(genome), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert set(tmp_path.iterdir()) == before

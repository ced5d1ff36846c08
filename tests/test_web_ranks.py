"""What the page and the API show of a background: ranks, top targets, E-values and z-scores."""

import csv
import html
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from trained_run import TrainedRun
from variant_cases import read_tsv, write_vcf
from web_fixtures import CONTIG_BP, SITE_START

from bioq import BioqError, UsageError
from bioq.cli import main
from bioq.genome import open_genome
from bioq.variants import VariantJob, VariantTableOptions, make_background, write_variants
from bioq.web import Service, create_app, open_service

PLACES = [*range(SITE_START - 2, SITE_START + 14), 300, 900, CONTIG_BP - 20]


@pytest.fixture(scope="module")
def vcf(genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SNVs over the planted motif and elsewhere, an insertion, and an allele without a score."""
    with open_genome(genome) as opened:
        rows: list[tuple[object, ...]] = []
        for number, start in enumerate(PLACES):
            base = opened.letters("chr1", start, start + 1)
            rows.append(("chr1", start + 1, f"v{number}", base, "C" if base == "A" else "A"))
        base = opened.letters("chr1", SITE_START, SITE_START + 1)
        rows.append(("chr1", SITE_START + 1, "indel", base, base + "TT"))
    rows.append(("chr9", 5, "absent", "A", "C"))
    return write_vcf(tmp_path_factory.mktemp("ranks") / "in.vcf", rows)


@pytest.fixture(scope="module")
def background(trained: TrainedRun, genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The background of 60 alleles of chr2."""
    with open_genome(genome) as opened:
        bases = opened.letters("chr2", 0, 3000)
    rows = [("chr2", 50 * n + 1, ".", bases[50 * n], "CA"[bases[50 * n] == "C"]) for n in range(60)]
    rows = [row if row[3] != row[4] else (*row[:4], "T") for row in rows]
    folder = tmp_path_factory.mktemp("background")
    file = folder / "background.npz"
    make_background(VariantJob(trained.run, write_vcf(folder / "common.vcf", rows), genome), file)
    return file


@pytest.fixture(scope="module")
def expected(
    trained: TrainedRun,
    genome: Path,
    vcf: Path,
    background: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> pd.DataFrame:
    """The table that the command line writes."""
    out = tmp_path_factory.mktemp("table") / "out.tsv"
    job = VariantJob(trained.run, vcf, genome)
    write_variants(job, out, VariantTableOptions(background=background))
    return read_tsv(out)


@pytest.fixture(scope="module")
def ranking(trained: TrainedRun, genome: Path, background: Path) -> Iterator[Service]:
    with open_service(trained.run, genome, background=background) as opened:
        yield opened


@pytest.fixture
def client(ranking: Service) -> Iterator[TestClient]:
    with TestClient(create_app(ranking), base_url="http://127.0.0.1") as opened:
        yield opened


def cells(page: str) -> list[list[str]]:
    """Return the texts of the cells of the last table of a page."""
    body = page.split("<tbody>")[-1].split("</tbody>")[0]
    rows = re.findall(r"<tr.*?</tr>", body, flags=re.DOTALL)
    return [
        [
            html.unescape(re.sub("<.*?>", "", cell)).replace("−", "-")
            for cell in re.findall(r"<td.*?</td>", row)
        ]
        for row in rows
    ]


def test_alleles_are_listed_by_rank_with_what_the_command_line_writes(
    client: TestClient, vcf: Path, expected: pd.DataFrame
) -> None:
    answer = client.post("/variant", files={"vcf": ("in.vcf", vcf.read_bytes())})
    listed = cells(answer.text)
    ordered = expected.sort_values(
        ["score_phred", "max_abs_diff"], ascending=False, kind="stable", na_position="last"
    )
    assert [row[5] for row in listed] == ordered["id"].tolist()
    for place, (row, known) in enumerate(
        zip(listed, ordered.to_dict("records"), strict=True), start=1
    ):
        if known["id"] == "absent":
            assert (row[0], row[2], row[3], row[4]) == ("", "", "", "")
            continue
        assert row[0] == str(place)
        assert row[2] == f"{known['score_phred']:.1f}"
        assert float(row[3]) == pytest.approx(known["top_diff"], abs=5e-5)
        assert row[4] == known["top_target"]
    assert "60 variants of the background" in answer.text


def test_an_allele_has_the_e_values_of_the_table_the_smallest_first(
    client: TestClient, vcf: Path, expected: pd.DataFrame
) -> None:
    answer = client.post("/variant", files={"vcf": ("in.vcf", vcf.read_bytes())})
    for number in (3, 17, len(expected) - 1):
        known = expected.iloc[number - 1]
        page = client.get(f"{answer.url}/alleles/{number}").text
        assert f"phred {known['score_phred']:.1f}</b>" in page
        rows = cells(page)
        assert rows[0][0] == known["top_target"]
        for row in rows:
            evalue, zscore = (known[f"{score}:{row[0]}"] for score in ("evalue", "zscore"))
            assert float(row[5]) == pytest.approx(evalue, rel=0.06)
            assert float(row[6]) == pytest.approx(zscore, abs=1e-3)


def test_the_downloads_have_the_scores_of_the_background(
    client: TestClient, vcf: Path, expected: pd.DataFrame
) -> None:
    answer = client.post("/variant", files={"vcf": ("in.vcf", vcf.read_bytes())})
    table = csv.DictReader(io.StringIO(client.get(f"{answer.url}/result.tsv").text), delimiter="\t")
    rows = list(table)
    for score in ("evalue", "zscore"):
        for target in ("first", "second"):
            column = f"{score}:{target}"
            values = [float("nan" if row[column] == "NA" else row[column]) for row in rows]
            np.testing.assert_allclose(values, expected[column], rtol=1e-3, atol=2e-4)


def test_the_api_has_the_ranks_of_all_targets_whichever_are_asked_for(
    client: TestClient, vcf: Path, expected: pd.DataFrame
) -> None:
    lines = ["{chrom}:{pos}:{ref}>{alt}".format(**row) for row in expected.to_dict("records")]
    for targets in ([], ["second"]):
        body = {"variants": lines, "targets": targets}
        answer = client.post("/api/variants", json=body).json()
        for allele, known in zip(answer["alleles"], expected.to_dict("records"), strict=True):
            if known["id"] == "absent":
                assert allele["background"] is None
                assert (allele["score_phred"], allele["background_n"]) == (None, None)
                assert (allele["top_diff"], allele["top_target"]) == (None, "")
                continue
            assert allele["top_target"] == known["top_target"]
            assert allele["top_diff"] == pytest.approx(known["top_diff"], abs=1e-5)
            assert float(str(np.float32(allele["top_diff"]))) == allele["top_diff"]
            assert targets or allele["top_diff"] in allele["scores"]["diff"]  # to the digit
            assert allele["score_phred"] == pytest.approx(known["score_phred"])
            assert allele["background_n"] == known["background_n"] == 60
            for score, values in allele["background"].items():
                named = [known[f"{score}:{target}"] for target in answer["targets"]]
                np.testing.assert_allclose(values, named, rtol=1e-3, atol=2e-4)
    assert client.get("/api/model").json()["background_variants"] == 60


def test_without_a_background_nothing_is_ranked(
    trained: TrainedRun, genome: Path, vcf: Path
) -> None:
    with (
        open_service(trained.run, genome) as opened,
        TestClient(create_app(opened), base_url="http://127.0.0.1") as client,
    ):
        answer = client.post("/api/variants", json={"variants": ["chr1:5:A>C"]}).json()
        assert client.get("/api/model").json()["background_variants"] is None
        page = client.post("/variant", files={"vcf": ("in.vcf", vcf.read_bytes())}).text
    (allele,) = answer["alleles"]
    assert (allele["score_phred"], allele["background_n"]) == (None, None)
    assert allele["background"] is None
    assert "phred" not in page.lower()


def test_the_background_of_a_run_is_used_by_default(
    trained: TrainedRun,
    genome: Path,
    background: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(trained.run, tmp_path / "run")
    shutil.copy(background, run / "background.npz")
    with open_service(run, genome) as opened:
        assert opened.background is not None
        assert opened.background.path == run / "background.npz"
    assert "the background of the run" in capsys.readouterr().err
    with open_service(run, genome, background=Path("none")) as opened:
        assert opened.background is None
    with open_service(run) as opened:  # there is nothing to compare without a genome
        assert opened.background is None


def test_a_background_that_does_not_fit_ends_the_command_at_once(
    trained: TrainedRun, genome: Path, background: Path, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="variants need a genome; add --genome"):
        with open_service(trained.run, background=background):
            pass
    with pytest.raises(BioqError, match="made with other weights"):
        with open_service(run, genome, background=background):
            pass
    with pytest.raises(BioqError, match="no such file"):
        with open_service(trained.run, genome, background=tmp_path / "no.npz"):
            pass
    tokens = ["serve", str(trained.run), "--background", str(background), "--port", "0"]
    assert main(tokens) == 2

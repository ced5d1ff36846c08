"""Odd numbers, and names like headers: answered, or refused in one line; nothing is dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from web_fixtures import quoted

from bioq.genome import open_genome
from bioq.inputs import RegionWindows
from bioq.web import Service
from bioq.web.request import typed_number


@pytest.mark.parametrize("number", ["00000000199", "٣", "²", "1" * 1000, "0", "4", "", "+1", "1 "])
def test_a_window_and_an_allele_that_do_not_exist_are_named(
    client: TestClient, jobs: list[str], number: str
) -> None:
    page = client.get(f"/jobs/{jobs[0]}?window={quoted(number)}")
    if number != "4":  # the result has 6 windows
        assert page.status_code == 422
        assert "the result has 1 to" in page.text
    address = f"/jobs/{jobs[2]}/alleles/{quoted(number)}"
    answer = client.get(address)
    assert answer.status_code == 404
    if number:
        assert "the job has 1 to 3" in answer.text


def test_whole_numbers_are_digits_without_zeros_before_them() -> None:
    numbers = [str(number) for number in range(12)]
    assert [typed_number(text, 10) for text in numbers] == [*range(11), None]
    assert {typed_number(text, 10**18) for text in ("01", "-0", "1.", "٣", "", "1" * 19)} == {None}


NAMES = ["track", "browser", "#x", "#", ">x", "chrom", "track:1-200", "fixedStep", "@HD", "-1", "="]


@pytest.mark.parametrize("name", NAMES)
def test_a_region_of_a_contig_with_any_name_has_its_answer(
    service: Service, tmp_path: Path, name: str
) -> None:
    from dataclasses import replace

    from bioq.web import create_app

    file = tmp_path / "odd.fa"
    file.write_text(f">{name}\n{'ACGT' * 200}\n>other\n{'ACGT' * 200}\n")
    with open_genome(file) as genome:
        app = create_app(replace(service, genome=genome))
        with TestClient(app, base_url="http://127.0.0.1") as client:
            asked = [f"{name}:1-40", "other:1-40", f"{name}:41-120", "other:5-9"]
            answer = client.post("/api/predict", json={"regions": asked}).json()
            found = [
                (window["name"], window["start"], window["end"]) for window in answer["windows"]
            ]
            assert found == [
                (name, 0, 40), ("other", 0, 40), (name, 40, 80), (name, 80, 120), ("other", 0, 40),
            ]  # fmt: skip
            page = client.post("/sequence", data={"text": "\n".join(asked)})
            if name.startswith(">"):  # FASTA
                assert page.status_code == 422
                return
            table = client.get(f"{page.url.path}/result.parquet")
            assert table.status_code == 200
            assert len(_rows(table.content)) == 5


def _rows(parquet: bytes) -> Any:
    import io

    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(parquet)).to_pandas()


def test_a_region_of_no_contig_is_refused_and_not_dropped(client: TestClient) -> None:
    for region in ("track:1-200", "#x:1-200", "browser:1-5"):
        answer = client.post("/api/predict", json={"regions": ["chr1:1-40", region]})
        assert answer.status_code == 422
        assert "line 2: small.fa has no contig" in answer.json()["detail"]
        page = client.post("/sequence", data={"text": f"{region}\nchr1:1-40"})
        assert page.status_code == 422
        assert "has no contig" in page.text


def test_a_variant_after_a_number_sign_is_refused_and_not_dropped(client: TestClient) -> None:
    for line in ("#x:1:A>G", "#chr1:5:A>C", "#chr1 5 . A C", "# chr1 5 A C"):
        page = client.post("/variant", data={"text": f"chr1:5:A>C\n{line}"})
        assert page.status_code == 422
        assert "line 2: " in page.text
        assert "is a variant after #" in page.text
        answer = client.post("/api/variants", json={"variants": ["chr1:5:A>C", line]})
        assert answer.status_code == 422
    text = "#my variants\n##source=me\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t5\t.\tA\tC"
    assert client.post("/variant", data={"text": text}).status_code == 200


def test_sequences_with_any_name_have_their_answer(client: TestClient, service: Service) -> None:
    names = [">", ">x", ";", "#", "track", "browser", "-", "=1+1", "*", "\\", "a>b", "~" * 100]
    dna = "ACGT" * (service.window_bp // 4)
    sequences = [{"name": name, "sequence": dna} for name in names]
    answer = client.post("/api/predict", json={"sequences": sequences}).json()
    assert [window["name"] for window in answer["windows"]] == names


@pytest.mark.parametrize("name", ["track", "browser"])
def test_a_bed_line_of_a_contig_called_track_is_an_interval(tmp_path: Path, name: str) -> None:
    from bioq.genome.bed import read_bed

    (tmp_path / "g.fa").write_text(f">{name}\n{'ACGT' * 100}\n")
    bed = tmp_path / "some.bed"
    bed.write_text(
        f"browser position {name}:1-200\ntrack name=x description='1 2'\n{name}\t0\t40\n"
        f"{name} 40 80\n#{name}\t1\t2\n{name}\t80\t120\tp\n"
    )
    with open_genome(tmp_path / "g.fa") as genome:
        windows = RegionWindows(bed, genome, window_bp=200, bin_bp=40, stride_bp=40)
        assert windows.count() == 3
        (batch,) = windows.batches(10)
        assert list(batch.columns["start"]) == [0, 40, 80]
    peaks = read_bed(bed)
    assert (list(peaks.start), peaks.contigs) == ([0, 40, 80], (name,))
    bed.write_text(f"{name}\t0\t40\n{name}\t40\t80\n")
    assert list(read_bed(bed).start) == [0, 40]


def test_formulas_of_strangers_are_harmless_in_downloads(client: TestClient) -> None:
    dna = "ACGT" * 50
    page = client.post("/sequence", data={"text": f">=1+1 x\n{dna}\n>-0.5\n{dna}\n>'a\n{dna}"})
    rows = _lines(client, page.url.path)
    assert [row[0] for row in rows] == ["sequence", "'=1+1", "-0.5", "''a"]
    assert list(_rows(client.get(f"{page.url.path}/result.parquet").content)["sequence"]) == [
        "=1+1", "-0.5", "'a",
    ]  # fmt: skip
    started = client.post(f"{page.url.path}/mutagenesis", data={"window": "1", "target": "0"})
    assert {row[0] for row in _lines(client, started.url.path)[1:]} == {"'=1+1"}
    vcf = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n"
    vcf += b"chr1\t5\t=cmd|' /C calc'!A0\tA\tC\n+chr\t5\t@x\tA\tC\n"
    page = client.post("/variant", files={"vcf": ("a.vcf", vcf)})
    rows = _lines(client, page.url.path)
    assert [(row[0], row[2]) for row in rows[1:]] == [
        ("chr1", "'=cmd|' /C calc'!A0"), ("'+chr", "'@x"),
    ]  # fmt: skip


def _lines(client: TestClient, job: str) -> list[list[str]]:
    answer = client.get(f"{job}/result.tsv")
    assert answer.status_code == 200, answer.text
    return [line.split("\t") for line in answer.text.splitlines()]

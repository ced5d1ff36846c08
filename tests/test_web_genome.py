"""The page and the API name the builds of the model, the genome and a VCF where they differ."""

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from genome_cases import trained_on
from trained_run import TrainedRun
from variant_cases import make_chromosome, other_base

from bioq.web import Service, create_app, open_service

YEAST_BP = 230_218
CHROMOSOME = (make_chromosome(1000) * 231)[:YEAST_BP]
LACKS = (
    "1 of 2 alleles are on contigs that r64.fa does not have (II; it has chrI): is it the right "
    "genome? If it is, --chrom-alias on the command line gives other names of contigs"
)
NOTE = "run was trained on GRCh38; r64.fa is sacCer3: the positions of the two are not the same"
DIFFERS = (
    "1 allele is not scored (contig_differs); r64.fa is sacCer3: I has 230,000 bases in the VCF "
    "and chrI 230,218 in r64.fa. Give the genome of the VCF; if the VCF's header is wrong, correct "
    "it with 'bcftools reheader --fai GENOME.fai'"
)
REF = CHROMOSOME[499]
VCF = (
    "##fileformat=VCFv4.3\n##contig=<ID=I,length=230000>\n#CHROM\tPOS\tID\tREF\tALT\n"
    f"I\t500\t.\t{REF}\t{other_base(REF)}\nII\t500\t.\t{REF}\t{other_base(REF)}\n"
)


@pytest.fixture
def opened(trained: TrainedRun, tmp_path: Path) -> Iterator[Service]:
    shutil.copytree(trained.run, tmp_path / "run")
    run = trained_on(tmp_path / "run", {"chr21": 46_709_983, "chrM": 16_569})
    genome = tmp_path / "r64.fa"
    genome.write_text(f">chrI\n{CHROMOSOME}\n")
    with open_service(run, genome) as service:
        yield service


@pytest.fixture
def other(opened: Service) -> Iterator[TestClient]:
    with TestClient(create_app(opened), base_url="http://127.0.0.1") as client:
        yield client


def notes_of(page: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(r'<p class="note">(.*?)</p>', page, re.S)]


def test_the_server_notes_another_genome_at_its_start(
    opened: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    with open_service(opened.folder, tmp_path / "r64.fa") as again:
        assert again.genome_note == NOTE
    assert f"note: {NOTE}" in capsys.readouterr().err.splitlines()


def test_the_pages_name_the_builds(other: TestClient) -> None:
    form = other.get("/").text
    assert "genome <b>r64.fa (sacCer3)</b>" in form
    assert notes_of(form) == [f"Note: {NOTE}."]
    form = other.get("/variant").text
    assert "Variants on r64.fa (sacCer3)" in form
    assert notes_of(form) == [f"Note: {NOTE}."]
    model = other.get("/model").text
    assert '<td class="text">genome build</td><td class="text">GRCh38</td>' in model
    assert f"<li>{NOTE}.</li>" in model


def test_the_api_names_the_builds(other: TestClient, client: TestClient) -> None:
    about = other.get("/api/model").json()
    assert (about["trained_on"], about["genome_build"]) == ("GRCh38", "sacCer3")
    about = client.get("/api/model").json()
    assert (about["trained_on"], about["genome_build"]) == (None, None)


def test_typed_variants_are_answered_with_the_note(other: TestClient, client: TestClient) -> None:
    typed = [f"chrI:500:{REF}>{other_base(REF)}", "NC_001133.8:500:A>C"]
    answer = other.post("/api/variants", json={"variants": typed}).json()
    assert [allele["status"] for allele in answer["alleles"]] == ["scored", "no_contig"]
    assert answer["notes"][0] == NOTE
    assert "NC_001133.8 is another version: NC_001133.9 is of sacCer3" in answer["notes"][1]
    assert client.post("/api/variants", json={"variants": ["chr1:5:A>C"]}).json()["notes"] == []


def test_an_uploaded_vcf_of_another_genome_is_noted(other: TestClient) -> None:
    job = other.post("/api/jobs", content=VCF.encode()).json()
    while job["state"] in ("waiting", "running"):
        job = other.get(f"/api/jobs/{job['id']}").json()
    assert job["state"] == "done", job["error"]
    assert job["notes"] == [NOTE, DIFFERS, LACKS]


@pytest.mark.parametrize("field", ["vcf", "text"])
def test_the_page_of_alleles_shows_the_notes_and_explains_the_status(
    other: TestClient, field: str
) -> None:
    files = {field: ("in.vcf" if field == "vcf" else None, VCF.encode())}
    page = other.post("/variant", files=files).text
    assert notes_of(page) == [f"Note: {note}." for note in (NOTE, DIFFERS, LACKS)]
    assert "the contig has another length in the VCF" in html.unescape(page)

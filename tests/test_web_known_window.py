"""The examples are real on the genome at hand: its contigs, its positions, its bases as REF."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from trained_run import TrainedRun

from bioq import dna
from bioq.genome import Genome, open_genome
from bioq.web import create_app, open_service
from bioq.web.known_window import EXAMPLE_BP, find_known_window

BIN_BP = 40


def genome_of(contigs: dict[str, str]) -> Genome:
    codes = {name: dna.encode(bases) for name, bases in contigs.items()}
    return Genome(
        Path("made.fa"),
        {name: len(bases) for name, bases in contigs.items()},
        lambda contig, start, end: codes[contig][start:end],
        lambda: None,
        lambda contig, start, end: contigs[contig][start:end],
    )


def bases_of(length: int, seed: int = 0) -> str:
    return dna.decode(np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8))


@given(
    before=st.integers(0, 4_000),
    known=st.integers(0, 3_000),
    after=st.integers(0, 4_000),
    other=st.integers(1, 900),
)
def test_a_window_has_known_bases_of_the_genome_in_its_middle(
    before: int, known: int, after: int, other: int
) -> None:
    contigs = {"1": "N" * before + bases_of(known) + "N" * after, "2": bases_of(other, seed=1)}
    contigs = {name: bases for name, bases in contigs.items() if bases}
    window = find_known_window(genome_of(contigs), 200, BIN_BP)
    if window is None:
        assert other < 200  # nothing on the second contig; and on the first
        assert known < 1_000 + 200
        return
    contig = contigs[window.contig]
    start, bases = window.middle
    assert len(bases) == EXAMPLE_BP
    assert contig[start : start + EXAMPLE_BP] == bases
    assert "N" not in bases
    variant = window.variant
    pos = int(variant.pos)
    assert contig[pos - 1] == variant.ref != variant.alt
    for bins in (1, 5):
        region = window.region(bins)
        assert region.is_within(len(contig))
        assert set(contig[region.start : region.end]) != {"N"}


def test_a_window_without_unknown_bases_comes_before_others() -> None:
    genome = genome_of({"1": "N" * 8_000 + bases_of(2_000), "2": bases_of(500, seed=1)})
    window = find_known_window(genome, 200, BIN_BP)
    assert window is not None
    assert window.is_known


@pytest.mark.parametrize("contigs", [{"1": "N" * 3_000}, {"1": bases_of(20)}])
def test_without_known_bases_there_is_no_window(contigs: dict[str, str]) -> None:
    assert find_known_window(genome_of(contigs), 200, BIN_BP) is None


@pytest.fixture(params=["mostly unknown", "short contigs", "unknown"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Genomes as they are distributed: a chromosome that begins with N, an assembly of pieces
    shorter than the window, and one without a known base."""
    contigs = {
        "mostly unknown": {"22": "N" * 15_000 + bases_of(5_000), "MT": bases_of(900, seed=1)},
        "short contigs": {f"tig{n:04}": bases_of(150, seed=n) for n in range(30)},
        "unknown": {"chrUn": "N" * 5_000},
    }[request.param]
    file = tmp_path / f"{request.param.replace(' ', '_')}.fa"
    file.write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    return file


def test_every_example_of_every_page_and_of_the_api_is_accepted(
    trained: TrainedRun, made: Path
) -> None:
    with open_genome(made) as genome:
        names = set(genome.lengths)
    with open_service(trained.run, made) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            check_pages(client, names)
            check_api(client, names)


def check_pages(client: TestClient, names: set[str]) -> None:
    for page, send in (
        ("/", lambda text: client.post("/sequence", data={"text": text, "pad": "on"})),
        ("/variant", lambda text: client.post("/variant", files={"text": (None, text)})),
    ):
        text = client.get(page).text
        examples = re.findall(r'data-example="([^"]*)"', text)
        assert examples or page == "/variant"
        hints = re.findall(r'class="hint".*?</p>', text, re.S)
        examples += re.findall(r", as ([!-~]+:[!-~]+?),", html.unescape(" ".join(hints)))
        for example in map(html.unescape, examples):
            answer = send(example)
            assert answer.status_code == 200, (example, answer.text)
            assert "/jobs/" in str(answer.url)
            if page == "/variant":
                assert "scored" in answer.text
            if ":" in example:
                assert example.split(":")[0] in names


def check_api(client: TestClient, names: set[str]) -> None:
    openapi = client.get("/api/openapi.json").json()
    for path, methods in openapi["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for kind, body in content.items():
            for example in body.get("examples", {}).values():
                value = example["value"]
                sent = value if isinstance(value, str) else json.dumps(value)
                answer = client.post(path, content=sent, headers={"Content-Type": kind})
                assert answer.is_success, answer.text
                if path == "/api/variants":
                    statuses = [allele["status"] for allele in answer.json()["alleles"]]
                    assert statuses[0] in ("scored", "edge_padded")
                    assert statuses[1] == "allele_swapped"
    page = html.unescape(client.get("/api").text)
    assert set(re.findall(r"status (\d)", page)) == {"2"}
    assert {place.split(":")[0] for place in re.findall(r'"([!-~]+):\d+[-:]', page)} <= names


def test_messages_have_examples_of_the_genome(trained: TrainedRun, made: Path) -> None:
    with open_service(trained.run, made) as service:
        window = service.known_window
        expected = "" if window is None else f", as {window.region()}"
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            for body in ({"regions": ["a:b"]}, {"regions": ["22 x"]}):
                detail = client.post("/api/predict", json=body).json()["detail"]
                assert detail.endswith(f"expected CONTIG:START-END{expected}")
            detail = client.post("/api/predict", json={"regions": ["\n"]}).json()["detail"]
            assert f"both ends included{expected};" in detail
            assert "chr22" not in detail


def test_without_a_genome_no_example_needs_one(trained: TrainedRun) -> None:
    with open_service(trained.run) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            openapi = json.dumps(client.get("/api/openapi.json").json()["paths"])
            page = client.get("/api").text
    assert '"region": "' not in openapi
    assert "fileformat" not in openapi
    assert set(re.findall(r"status (\d+)", page)) == {"200"}
    assert page.count("This needs a genome") == 2


def test_a_service_without_its_genome_has_no_window(service) -> None:
    assert service.known_window is not None
    assert replace(service, genome=None).known_window is None

"""A served model: the trained one, with a genome in which its motifs are planted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx2
    from fastapi.testclient import TestClient
    from trained_run import TrainedRun

    from bioq.web import Service

CONTIG_BP = 5_000
SITE_START = 2_500
"""0-based first base of the motif of target `first` in contig chr1."""


@pytest.fixture(scope="session")
def genome(tmp_path_factory: pytest.TempPathFactory, trained: TrainedRun) -> Path:
    """Two contigs of random bases; chr1 has the motif of target `first` in its middle."""
    import numpy as np

    from bioq import dna

    random = np.random.default_rng(1)
    file = tmp_path_factory.mktemp("genome") / "small.fa"
    lines = []
    for name in ("chr1", "chr2"):
        bases = dna.decode(random.integers(0, 4, CONTIG_BP).astype(np.uint8))
        if name == "chr1":
            site = trained.motifs["first"]
            bases = bases[:SITE_START] + site + bases[SITE_START + len(site) :]
        lines.append(f">{name}\n{bases}\n")
    file.write_text("".join(lines))
    return file


@pytest.fixture(scope="session")
def service(trained: TrainedRun, genome: Path) -> Iterator[Service]:
    """What serves the trained model and the genome; shared, so leave no limit changed."""
    from bioq.web import open_service

    with open_service(trained.run, genome) as opened:
        yield opened


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    """Asks the application without a network."""
    from fastapi.testclient import TestClient

    from bioq.web import create_app

    with TestClient(create_app(service), base_url="http://127.0.0.1") as opened:
        yield opened


@pytest.fixture(scope="session")
def address(service: Service) -> Iterator[str]:
    """The address of a real server on a free port."""
    with serving(service) as result:
        yield result


@contextlib.contextmanager
def serving(service: Service) -> Iterator[str]:
    """Serve on a free port, in a thread; yield the address."""
    import httpx2

    from bioq.web import create_app
    from bioq.web.connections import new_server

    server = new_server(create_app(service), service.limits)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    result = f"http://127.0.0.1:{port}"
    httpx2.get(f"{result}/api/openapi.json").raise_for_status()
    yield result
    server.should_exit = True
    thread.join()


@pytest.fixture
def jobs(client: TestClient) -> list[str]:
    """Finished jobs of every kind."""
    first = client.post("/sequence", data={"text": "chr1:2481-2700"}, follow_redirects=False)
    id = first.headers["location"].rpartition("/")[2]
    started = client.post(f"/jobs/{id}/mutagenesis", data={"window": "1", "target": "0"})
    alleles = client.post("/variant", data={"text": "chr1:5:A>C\nchr1:6:A>C\nchr1:7:A>C"})
    return [id, *(answer.url.path.rpartition("/")[2] for answer in (started, alleles))]


def ended(client: TestClient, service: Service, page: httpx2.Response) -> httpx2.Response:
    """Return the page of a job's result, which may be that of its progress on a busy machine."""
    if page.url.path.startswith("/jobs/") and page.status_code == 200:
        service.jobs.find(page.url.path.split("/")[2]).future.result(120)
        return client.get(str(page.url))
    return page


def quoted(text: str) -> str:
    """Return a text as a part of an address, every byte escaped."""
    return "".join(f"%{byte:02x}" for byte in text.encode())

"""The REST API says what the library says, and refuses in one line."""

import gzip
import io
import json
import os
import re
import shlex
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from fastapi.testclient import TestClient
from trained_run import TrainedRun
from web_fixtures import SITE_START

import bioq
from bioq import dna
from bioq.builders.simulation.build import write_simulation
from bioq.cli.demo import SIMULATION
from bioq.dna.tensors import one_hot
from bioq.genome import Genome, open_genome
from bioq.interpretation import mutate_window
from bioq.runs.trained_model import TrainedModel
from bioq.tables import FLAT_ENDINGS
from bioq.web import Service, create_app, open_service
from bioq.web.examples import examples
from bioq.web.limits import Limits
from bioq.web.queue import Busy

HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n"
ROOT = Path(__file__).parents[1]


def ask(client: TestClient, what: str, **fields: Any) -> dict[str, Any]:
    answer = client.post(f"/api/{what}", json=fields)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def refusal(client: TestClient, what: str, status: int = 422, **fields: Any) -> str:
    answer = client.post(f"/api/{what}", json=fields)
    assert answer.status_code == status, answer.text
    (line,) = answer.json().values()
    assert "\n" not in line
    return str(line)


def other_app(service: Service, **changes: Any) -> TestClient:
    return TestClient(create_app(replace(service, **changes)), base_url="http://127.0.0.1")


def dna_one_hot(codes: dna.Bytes) -> np.ndarray:
    return one_hot(torch.from_numpy(codes)).float().numpy()


@pytest.fixture
def codes(service: Service) -> dna.Bytes:
    return np.random.default_rng(3).integers(0, 4, (3, service.window_bp)).astype(np.uint8)


def test_predictions_are_those_of_the_library(
    client: TestClient, service: Service, codes: dna.Bytes
) -> None:
    sequences = [
        {"name": f"s{number}", "sequence": dna.decode(row)} for number, row in enumerate(codes)
    ]
    result = ask(client, "predict", sequences=sequences)
    assert result["targets"] == list(service.targets["name"])
    assert [window["name"] for window in result["windows"]] == ["s0", "s1", "s2"]
    assert {(one["start"], one["end"], one["n_share"]) for one in result["windows"]} == {
        (0, service.window_bp, 0)
    }
    expected = bioq.predict(service.model, dna_one_hot(codes))
    answered = np.array([window["probability"] for window in result["windows"]], dtype=np.float32)
    np.testing.assert_allclose(answered, expected, rtol=0, atol=1e-6)


def test_a_region_is_counted_from_1_and_its_bins_from_0(
    client: TestClient, service: Service, genome: Path
) -> None:
    bin_bp, window_bp = service.bin_bp, service.window_bp
    result = ask(client, "predict", regions=[f"chr1:{SITE_START + 1}-{SITE_START + 2 * bin_bp}"])
    starts = [SITE_START, SITE_START + bin_bp]
    assert [(one["name"], one["start"], one["end"]) for one in result["windows"]] == [
        ("chr1", start, start + bin_bp) for start in starts
    ]
    before = (window_bp - bin_bp) // 2
    with open_genome(genome) as opened:
        windows = [opened.read("chr1", s - before, s - before + window_bp) for s in starts]
    expected = bioq.predict(service.model, dna_one_hot(np.stack(windows)))
    answered = np.array([window["probability"] for window in result["windows"]])
    np.testing.assert_allclose(answered, expected, rtol=0, atol=1e-6)
    assert answered[0, 0] > 0.5  # the motif of target `first` is planted there


def test_targets_are_chosen_by_glob_in_the_order_of_the_table(client: TestClient) -> None:
    region = f"chr1:{SITE_START + 1}-{SITE_START + 10}"
    everything = ask(client, "predict", regions=[region])["windows"][0]["probability"]
    result = ask(client, "predict", regions=[region], targets=["sec*"])
    assert result["targets"] == ["second"]
    assert result["windows"][0]["probability"] == everything[1:]


def test_short_sequences_are_padded_on_request_only(client: TestClient, service: Service) -> None:
    short = [{"name": "short", "sequence": "ACGT" * 5}]
    assert "pad" in refusal(client, "predict", sequences=short)
    (window,) = ask(client, "predict", sequences=short, pad=True)["windows"]
    assert (window["start"], window["end"]) == (0, 20)
    assert window["n_share"] == 1 - 20 / service.window_bp


def test_variants_are_scored_as_bioq_variants_does(
    client: TestClient, service: Service, genome: Path, tmp_path: Path
) -> None:
    with open_genome(genome) as opened:
        site = dna.decode(opened.read("chr1", SITE_START, SITE_START + 6))
    pos = SITE_START + 1
    rows = [
        ("chr1", pos, "rs1", site[0], "AGCT".replace(site[0], "")[0]),
        ("chr1", pos, ".", site[:4], site[0]),
        ("chr1", pos + 1, ".", "N", "A"),
        ("chr9", 5, ".", "A", "C"),
        ("chr1", 3, ".", "A", "<DEL>"),
    ]
    vcf = tmp_path / "in.vcf"
    vcf.write_text(HEADER + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    for targets in ([], ["second"]):
        expected = pd.concat(bioq.score_variants(service.model, vcf, genome, targets=targets))
        result = ask(
            client, "variants", variants=[" ".join(map(str, row)) for row in rows], targets=targets
        )
        assert len(result["alleles"]) == len(expected) == 5
        for allele, (_, row) in zip(result["alleles"], expected.iterrows(), strict=True):
            for column in ("chrom", "pos", "id", "ref", "alt", "status", "genome_ref"):
                assert allele[column] == row[column]
            assert allele["top_target"] == row["top_target"]
            if np.isnan(row["max_abs_diff"]):
                assert allele["scores"] is None
                assert allele["max_abs_diff"] is None
                continue
            assert allele["max_abs_diff"] == pytest.approx(row["max_abs_diff"], abs=1e-6)
            for score, values in allele["scores"].items():
                named = [row[f"{score}:{target}"] for target in result["targets"]]
                np.testing.assert_allclose(values, named, rtol=0, atol=1e-5)
    assert [allele["status"] for allele in result["alleles"]][3:] == ["no_contig", "symbolic"]


def test_more_variants_than_one_waits_for_are_sent_to_jobs(
    client: TestClient, service: Service
) -> None:
    many = ["chr1:5:A>C"] * (service.limits.direct_alleles + 1)
    assert "/api/jobs" in refusal(client, "variants", variants=many)
    assert "/api/jobs" in refusal(client, "variants", variants=["chr1 5 . A C,G,T"] * 50)


def test_a_direct_answer_leaves_no_job_behind(client: TestClient, service: Service) -> None:
    before = set(service.jobs._jobs)
    ask(client, "variants", variants=["chr1:5:A>C"])
    ask(client, "mutagenesis", sequence="ACGT", target="first")
    assert set(service.jobs._jobs) == before


def test_mutagenesis_is_that_of_the_library(client: TestClient, service: Service) -> None:
    codes = np.random.default_rng(4).integers(0, 4, service.window_bp).astype(np.uint8)
    result = ask(client, "mutagenesis", sequence=dna.decode(codes), target="second", span_bp=10)
    start = (service.window_bp - 10) // 2
    reference, effects = mutate_window(
        service.model, codes, start=start, end=start + 10, targets=np.array([1])
    )
    assert result["reference"] == pytest.approx(reference[0], abs=1e-6)
    assert result["bases"] == dna.decode(codes[start : start + 10])
    assert result["position"] == list(range(start, start + 10))
    for base, row in zip("ACGT", effects[:, :, 0], strict=True):
        np.testing.assert_allclose(result["effects"][base], row, rtol=0, atol=1e-6)


def test_mutagenesis_of_a_region_finds_the_planted_motif(
    client: TestClient, service: Service
) -> None:
    bin_bp = service.bin_bp
    result = ask(
        client,
        "mutagenesis",
        region=f"chr1:{SITE_START - 9}-{SITE_START - 10 + bin_bp}",
        target="first",
    )
    assert result["position"] == list(range(SITE_START - 10, SITE_START - 10 + bin_bp))
    worst = np.array([result["effects"][base] for base in "ACGT"]).min(axis=0)
    assert SITE_START <= result["position"][int(worst.argmin())] < SITE_START + 11


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sequence": "ACGT", "region": "chr1:1-20"}, "either 'sequence' or 'region'"),
        ({}, "either 'sequence' or 'region'"),
        ({"sequence": "ACGT" * 1000}, "windows; expected one"),
        ({"sequence": "ACGT", "span_bp": 100_000}, "span_bp 100,000"),
        ({"sequence": "ACGT", "target": "*"}, "fits 2 targets"),
        ({"sequence": "ACGT", "target": "third"}, "no target is called 'third'"),
        ({"sequence": "ACGU"}, "'U'"),
        ({"sequence": "AC>T"}, "sequence: expected DNA letters alone"),
    ],
)
def test_mutagenesis_refuses_what_it_cannot_do(
    client: TestClient, fields: dict[str, Any], says: str
) -> None:
    assert says in refusal(client, "mutagenesis", **{"target": "first", **fields})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "either 'sequences' or 'regions'"),
        ({"regions": ["chr1:1-20"], "sequences": [{"name": "x", "sequence": "A"}]}, "either"),
        ({"regions": ["chr7:1-20"]}, "no contig 'chr7'"),
        ({"regions": ["chr1:20-1"]}, "1 <= START <= END"),
        ({"regions": ["chr1:1-20\nchr1:40-50"]}, "regions[0]: expected CONTIG:START-END"),
        (
            {"regions": ["chr1\t0\t20\tp"]},
            "line 1: 'chr1\\t0\\t20\\tp' is not a region; write 'chr1:1-20' if START is counted "
            "from 0, as in BED, or 'chr1:0-20' if it is counted from 1",
        ),
        (
            {"regions": ["chr1:1-20\nchr1:30-40"]},
            "regions[0]: expected CONTIG:START-END on one line, counted from 1 and both ends "
            "included, as chr1:2481-2520; found 'chr1:1-20\\nchr1:30-40'",
        ),
        (
            {"sequences": [{"name": "x", "sequence": "ACGT\n\nACGT"}]},
            "sequences[0].sequence: expected DNA letters alone: no blank, no line end and no "
            "header; each sequence in its own item; found 'ACGT",
        ),
        ({"regions": ["chr1:1-5000", "chr2:1-5000"] * 2}, "windows are more than"),
        ({"sequences": [{"name": "a b", "sequence": "A"}]}, "sequences[0].name: expected 1 to 100"),
        ({"sequences": [{"name": "a"}]}, "sequences[0].sequence: field required"),
        ({"sequences": [{"name": "a", "sequence": "ACXGT"}], "pad": True}, "'X'"),
        ({"regions": ["chr1:1-20"], "targets": ["third"]}, "no target is called 'third'"),
        ({"regions": ["chr1:1-20"], "pad": "yes"}, "pad: should be a valid boolean, found 'yes'"),
        ({"regionz": []}, "regionz: extra inputs are not permitted"),
    ],
)
def test_predict_refuses_in_one_line_that_names_the_field(
    client: TestClient, service: Service, fields: dict[str, Any], says: str
) -> None:
    assert says in refusal(client, "predict", **fields)


def test_a_body_that_is_no_json_is_told_so(client: TestClient) -> None:
    kind = {"Content-Type": "application/json"}
    for body, headers, says in (
        (b"{", kind, "not JSON: "),
        (b"[1]", kind, "not a JSON object"),
        (b"{}", {}, "'Content-Type: application/json'"),
        (b'{"\\ud800": 1}', kind, "a name: should be a valid string"),
        (b'{"\\u2028": 1}', kind, "extra inputs are not permitted"),
    ):
        answer = client.post("/api/predict", content=body, headers=headers)
        assert answer.status_code == 422
        assert says in answer.json()["detail"]
    answer = client.post("/api/predict", content=b"[" * 100_000, headers=kind)
    assert answer.status_code == 422


def test_without_a_genome_regions_and_variants_say_what_is_missing(service: Service) -> None:
    client = other_app(service, genome=None)
    assert "--genome" in refusal(client, "predict", regions=["chr1:1-20"])
    assert "--genome" in refusal(client, "variants", variants=["chr1:5:A>C"])
    assert not client.get("/api/model").json()["has_genome"]


def test_the_model_says_what_it_is(client: TestClient, service: Service) -> None:
    result = client.get("/api/model").json()
    assert result["architecture"] == dict(service.config.model)
    assert (result["window_bp"], result["bin_bp"]) == (200, 40)
    assert result["targets"] == [{"name": "first"}, {"name": "second"}]
    assert result["evaluation"] is None
    assert result["limits"]["alleles"] == Limits().alleles


def test_the_model_gives_the_scores_of_its_evaluation(
    service: Service, trained: TrainedRun, tmp_path: Path
) -> None:
    summary: Any = bioq.evaluate(trained.run, trained.data, out=tmp_path).summary
    file = tmp_path / "evaluation" / "metrics.json"
    written = json.loads(file.read_text())
    scores = ("roc_auc", "average_precision")
    for score in scores:  # as in evaluations before there were any intervals
        written["micro"].pop(f"{score}_interval", None)
        summary["micro"][f"{score}_interval"] = None
    file.write_text(json.dumps(written))
    result = other_app(service, folder=tmp_path).get("/api/model").json()["evaluation"]
    assert (result["split"], result["windows"]) == ("test", summary["windows"])
    for mean in ("macro", "micro"):
        for score in (*scores, *(f"{score}_interval" for score in scores)):
            assert result[mean][score] == summary[mean].get(score)


def finished(client: TestClient, location: str) -> dict[str, Any]:
    for _ in range(500):
        result: dict[str, Any] = client.get(location).json()
        if result["state"] not in ("waiting", "running"):
            return result
        time.sleep(0.01)
    raise AssertionError(result)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_job_scores_a_vcf(
    client: TestClient,
    service: Service,
    genome: Path,
    tmp_path: Path,
    pack: Callable[[bytes], bytes],
) -> None:
    text = HEADER + "".join(f"chr2\t{pos}\t.\tA\tC,G\n" for pos in range(1000, 1050))
    started = client.post("/api/jobs", content=pack(text.encode()))
    assert started.status_code == 202
    location = started.headers["Location"]
    assert location == f"/api/jobs/{started.json()['id']}"
    assert started.json()["total"] == 100
    result = finished(client, location)
    assert (result["state"], result["done"], result["error"]) == ("done", 100, "")
    vcf = tmp_path / "in.vcf"
    vcf.write_text(text)
    expected = pd.concat(bioq.score_variants(service.model, vcf, genome)).reset_index(drop=True)
    table = pd.read_csv(
        io.BytesIO(client.get(f"{location}/result.tsv").content),
        sep="\t",
        keep_default_na=False,
        na_values=["NA"],
    )
    pd.testing.assert_frame_equal(
        table[list(expected.columns)], expected, check_dtype=False, rtol=0, atol=1e-5
    )
    packed = client.get(f"{location}/result.tsv.gz").content
    assert gzip.decompress(packed) == client.get(f"{location}/result.tsv").content
    parquet = pd.read_parquet(io.BytesIO(client.get(f"{location}/result.parquet").content))
    assert list(parquet["status"]) == list(expected["status"])
    assert client.get(f"{location}/result.xlsx").status_code == 422
    assert client.delete(location).status_code == 204
    assert client.get(location).status_code == 404
    assert client.get(f"{location}/result.tsv").status_code == 404
    assert client.delete(location).status_code == 404


ROWS = b"chr2\t1000\t.\tA\tC\nchr2\t1001\t.\tA\tC\n"


@pytest.mark.parametrize(
    ("kind", "body", "line"),
    [
        ("application/x-www-form-urlencoded", ROWS.replace(b"\n", b""), "no line end: 'curl -d'"),
        ("application/x-www-form-urlencoded", b"text=chr2%091000%0A", "no line end: 'curl -d'"),
        ("application/x-www-form-urlencoded", b"\x1f\x8b\x08\x08xyz", "no line end: 'curl -d'"),
        ("application/json; charset=utf-8", b'{"variants": []}', "application/json; send the VCF"),
        ("multipart/form-data; boundary=x", b"--x\r\n", "multipart/form-data; send the VCF"),
    ],
)
def test_a_job_that_is_not_a_file_is_refused(client, kind, body, line):
    answer = client.post("/api/jobs", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert line in answer.json()["detail"]
    assert "--data-binary @FILE" in answer.json()["detail"]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
@pytest.mark.parametrize("body", [ROWS, gzip.compress(ROWS, mtime=0), ROWS.replace(b"\n", b"\r")])
def test_a_vcf_that_curl_sends_with_data_binary_is_a_job(client, kind, body):
    headers = {} if kind is None else {"Content-Type": kind}
    started = client.post("/api/jobs", content=body, headers=headers)
    assert (started.status_code, started.json()["total"]) == (202, 2)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (ROWS.replace(b"\n", b""), "VCF:1: "),
        (b"chr2\t999\t1000\tA\tC\n", "VCF:1: looks like BED"),
        (b"CHROM\tPOS\tID\tREF\tALT\n" + ROWS, "VCF:1: names the columns"),
    ],
)
def test_a_job_of_another_table_is_refused(client, body, line):
    answer = client.post("/api/jobs", content=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(line)


def test_positions_from_0_are_noted_in_the_answer(client, genome):
    with open_genome(genome) as opened:
        bases = dna.decode(opened.read("chr1", 1000, 1020))
    variants = [
        f"chr1 {1000 + at} {base} {'ACGT'['ACGT'.index(base) - 1]}" for at, base in enumerate(bases)
    ]
    answer = client.post("/api/variants", json={"variants": variants})
    assert any("seem to be counted from 0" in note for note in answer.json()["notes"])


def test_results_are_offered_in_every_flat_format_of_tables(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    parameters = paths["/api/jobs/{id}/result.{ending}"]["get"]["parameters"]
    schema = {parameter["name"]: parameter["schema"] for parameter in parameters}["ending"]
    assert [f".{ending}" for ending in schema["enum"]] == list(FLAT_ENDINGS)


def test_a_job_that_runs_has_no_result_and_can_be_cancelled(service: Service) -> None:
    is_asked, is_begun, may_end = (threading.Event() for _ in range(3))

    def read(contig: str, start: int, end: int) -> dna.Bytes:
        if is_asked.is_set():
            is_begun.set()
            may_end.wait(20)
        return np.zeros(end - start, dtype=np.uint8)

    slow = Genome(Path("slow.fa"), {"chr1": 10_000}, read, lambda: None)
    with other_app(service, genome=slow) as client:
        is_asked.set()
        rows = "".join(f"chr1\t{pos}\t.\tA\tC\n" for pos in range(1000, 2000))
        location = client.post("/api/jobs", content=(HEADER + rows).encode()).headers["Location"]
        try:
            assert is_begun.wait(20)
            assert client.get(location).json()["state"] == "running"
            early = client.get(f"{location}/result.tsv")
            assert early.status_code == 422
            assert "running" in early.json()["detail"]
            future = service.jobs.find(location.split("/")[-1]).future
            assert client.delete(location).status_code == 204
        finally:
            may_end.set()
        assert future.exception(20) is not None
        assert client.get(location).status_code == 404
        deadline = time.monotonic() + 10
        while any("upload.vcf" in files for _, _, files in os.walk(service.jobs._folder)):
            assert time.monotonic() < deadline, "the upload is still there"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (HEADER.encode(), "no variant"),
        (b"BCF\2\2", "BCF"),
        ((HEADER + "chr1\tx\t.\tA\tC\n").encode(), "POS is 'x'"),
        (gzip.compress(HEADER.encode(), mtime=0)[:-9], "cut short"),
    ],
)
def test_jobs_refuse_what_is_no_vcf(client: TestClient, body: bytes, says: str) -> None:
    answer = client.post("/api/jobs", content=body)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_a_full_queue_is_a_429_that_says_when_to_come_back(service: Service) -> None:
    class FullQueue:
        def predict(self, codes: dna.Bytes) -> Future[Any]:
            raise Busy("1,900 windows wait already; try again in some seconds")

    client = other_app(service, queue=FullQueue())
    answer = client.post("/api/predict", json={"regions": ["chr1:1-20"]})
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "wait already" in answer.json()["detail"]


def test_requests_that_arrive_together_are_answered_with_their_own(
    address: str, service: Service
) -> None:
    random = np.random.default_rng(5)
    codes = random.integers(0, 4, (24, service.window_bp)).astype(np.uint8)
    expected = bioq.predict(service.model, dna_one_hot(codes))
    result: dict[int, list[float]] = {}

    def one(number: int) -> None:
        body = {"sequences": [{"name": f"s{number}", "sequence": dna.decode(codes[number])}]}
        answer = httpx2.post(f"{address}/api/predict", json=body, timeout=30).json()
        assert answer["windows"][0]["name"] == f"s{number}"
        result[number] = answer["windows"][0]["probability"]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(codes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = np.array([result[number] for number in range(len(codes))])
    np.testing.assert_allclose(answered, expected, rtol=0, atol=1e-6)


def test_every_documented_example_is_answered(client: TestClient, service: Service) -> None:
    openapi = client.get("/api/openapi.json").json()
    requests = [example for example in examples(service) if example.body]
    assert {example.path for example in requests} == {
        path for path, methods in openapi["paths"].items() if "post" in methods
    }
    for example in requests:
        operation = openapi["paths"][example.path]["post"]
        documented = operation["requestBody"]["content"][example.media_type]["examples"]
        assert documented[example.name]["value"] == (example.vcf or example.json)
        answer = client.post(
            example.path, content=example.body, headers={"Content-Type": example.media_type}
        )
        assert answer.is_success, answer.text
        if answer.status_code == 202:
            client.delete(answer.headers["Location"])


@pytest.mark.parametrize("has_genome", [True, False])
def test_the_api_page_shows_every_operation_and_real_answers(
    service: Service, has_genome: bool
) -> None:
    changes = {} if has_genome else {"genome": None}
    with other_app(service, **changes) as client:
        before = set(service.jobs._jobs)
        page = client.get("/api")
        assert page.status_code == 200
        assert set(service.jobs._jobs) == before
        for path, methods in client.get("/api/openapi.json").json()["paths"].items():
            for method in methods:
                assert f"{method.upper()} {path}" in page.text
        statuses = re.findall(r'class="soft">status (\d+)', page.text)
        shown = examples(replace(service, **changes))
        assert len(statuses) == len(shown)
        assert set(statuses) == ({"200", "202", "204"} if has_genome else {"200"})
        assert ("This needs a genome" in page.text) != has_genome
        assert "&#34;probability&#34;: [0." in page.text


def run_curl(client: TestClient, command: str) -> Any:
    """Ask what a curl command asks."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words.pop(0) == "curl"
    method, headers, body, url = "GET", {}, b"", ""
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data-binary"):
            method, value = "POST", words.pop(0)
            vcf = gzip.compress(f"{HEADER}chr6\t20953\t.\tG\tA\n".encode())
            body = vcf if value.startswith("@") else value.encode()
        elif word in ("-o", "-O"):
            words = words[1:] if word == "-o" else words
        else:
            assert not url, word
            url = word
    path = url.removeprefix("http://127.0.0.1:8000")
    assert path.startswith("/api/"), url
    return client.request(method, path, content=body, headers=headers)


def test_the_commands_of_the_serving_page_run_on_the_genome_of_the_demo(
    service: Service, tmp_path: Path
) -> None:
    write_simulation(tmp_path, [f"chr{number}" for number in range(1, 7)], SIMULATION)
    targets = pd.DataFrame({"name": ["CTCF", "SRF"]})
    text = (ROOT / "docs" / "how-to" / "serve.md").read_text("utf-8").replace("\\\n", " ")
    commands = re.findall(r"^curl .*", text, re.M)
    assert len(commands) >= 7
    model = TrainedModel(service.model.network, targets=targets, config=service.model.config)
    with (
        open_genome(tmp_path / "genome.fa") as genome,
        other_app(service, genome=genome, model=model) as client,
    ):
        id = ""
        for command in commands:
            answer = run_curl(client, command.replace("ID", id))
            assert answer.is_success, (command, answer.text)
            if "/api/variants" in command:
                alleles = answer.json()["alleles"]
                assert [allele["status"] for allele in alleles] == ["scored", "scored"]
            if answer.status_code == 202:
                id = answer.json()["id"]
                finished(client, answer.headers["Location"])


def test_swapped_alleles_are_scored_on_request(client: TestClient, service: Service) -> None:
    window = service.known_window
    assert window is not None
    variant = window.variant
    turned = variant._replace(ref=variant.alt, alt=variant.ref)
    plain = ask(client, "variants", variants=[str(variant), str(turned)])["alleles"]
    assert [allele["status"] for allele in plain] == ["scored", "allele_swapped"]
    assert plain[1]["scores"] is None
    asked = ask(client, "variants", variants=[str(variant), str(turned)], score_swapped=True)
    forward, back = asked["alleles"]
    assert back["status"] == "allele_swapped"
    np.testing.assert_allclose(
        back["scores"]["diff"], -np.array(forward["scores"]["diff"]), atol=2e-5
    )
    assert "valid boolean" in refusal(client, "variants", variants=["1:1:A>C"], score_swapped="on")


@pytest.mark.parametrize("query", ["", "?score_swapped=true", "?score_swapped=false"])
def test_a_job_scores_swapped_alleles_on_request(
    client: TestClient, service: Service, query: str
) -> None:
    window = service.known_window
    assert window is not None
    variant = window.variant
    row = "\t".join(variant._replace(ref=variant.alt, alt=variant.ref))
    job = client.post(f"/api/jobs{query}", content=f"{HEADER}{row}\n".encode()).json()
    service.jobs.find(job["id"]).future.result(timeout=60)
    table = client.get(f"/api/jobs/{job['id']}/result.parquet").content
    file = pq.ParquetFile(io.BytesIO(table))
    asked = query == "?score_swapped=true"
    metadata = json.loads(file.schema_arrow.metadata[b"bioq"])
    assert metadata["options"] == {"score_swapped": asked}
    result = file.read().to_pandas()
    assert result["status"].tolist() == ["allele_swapped"]
    assert np.isnan(result["max_abs_diff"][0]) != asked


def test_a_wrong_query_names_the_field(client: TestClient) -> None:
    answer = client.post("/api/jobs?score_swapped=perhaps", content=HEADER.encode())
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("score_swapped: should be a valid boolean")


def test_the_page_of_the_api_lists_fields_of_the_query(client: TestClient) -> None:
    page = client.get("/api").text
    assert "<code>?score_swapped</code>" in page
    assert "Score alleles if the genome has ALT, not REF; diff is still ALT minus REF." in page


def test_the_model_gives_the_rates_of_its_evaluation(trained: TrainedRun, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    with (
        open_service(run) as service,
        TestClient(create_app(service), base_url="http://127.0.0.1") as client,
    ):
        assert client.get("/api/model").json()["positive_rate"] is None
        bioq.evaluate(run, trained.data)
        rates = client.get("/api/model").json()["positive_rate"]
    labels = bioq.open_dataset(trained.data)["test"]
    assert rates == pytest.approx(list(labels.positives() / len(labels)))

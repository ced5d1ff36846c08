"""A link computes a result again: the same numbers, here; a note, on a server of another model."""

import html
import io
import json
import re
import shlex
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from web_fixtures import SITE_START, ended, quoted

from bioq import dna
from bioq.web import Service, create_app
from bioq.web.links import MOST_LETTERS

REGION = f"chr1:{SITE_START - 39}-{SITE_START + 40}"
TYPED = {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
"""What a browser sends when the visitor types an address."""


def link_of(page: str) -> str:
    """Return the link that a page shows; empty if it has none."""
    match = re.search(r'<a class="address" id="share" href="([^"]*)"[^>]*>([^<]*)<', page)
    if match is None:
        return ""
    link = html.unescape(match[1])
    assert html.unescape(match[2]) == f"http://127.0.0.1{link}"
    return link


def form_of(page: str) -> tuple[str, dict[str, str]]:
    """Return the address and the fields of the first form of a page, as a browser sends them."""
    form = re.search(r'<form class="card" method="post" action="([^"]+)".*?</form>', page, re.S)
    assert form is not None
    fields = {}
    for tag in re.findall(r"<input [^>]*>", form[0]):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if attributes.get("type") == "checkbox":
            if tag.endswith("checked>"):
                fields[attributes["name"]] = "on"
        else:
            fields[attributes["name"]] = html.unescape(attributes["value"])
    area = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", form[0], re.S)
    assert area is not None
    fields["text"] = html.unescape(area[1])
    for name, options in re.findall(r'<select id="(\w+)".*?>(.*?)</select>', form[0], re.S):
        (value,) = re.findall(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        fields[name] = html.unescape(value[0] or value[1])
    return form[1], fields


def sent(client: TestClient, service: Service, link: str) -> httpx2.Response:
    """Open a link and send its form; return the page of the result."""
    opened = client.get(link)
    assert opened.status_code == 200, opened.text
    address, fields = form_of(opened.text)
    return ended(client, service, client.post(address, data=fields))


def table_of(client: TestClient, page: httpx2.Response) -> pd.DataFrame:
    job = "/".join(page.url.path.split("/")[:3])
    return pd.read_csv(io.BytesIO(client.get(f"{job}/result.tsv").content), sep="\t")


def other_server(service: Service, **changes: Any) -> TestClient:
    return TestClient(create_app(replace(service, **changes)), base_url="http://127.0.0.1")


@pytest.fixture
def variant(service: Service) -> str:
    base = service.genome.letters("chr1", SITE_START + 2, SITE_START + 3)
    return f"chr1:{SITE_START + 3}:{base}>{'C' if base != 'C' else 'A'}"


@pytest.fixture
def results(client: TestClient, service: Service, variant: str) -> list[httpx2.Response]:
    """The pages of results of every kind, in the ways in which a visitor reaches them."""
    alt = variant[-1]
    swapped = f"{variant.rpartition(':')[0]}:{alt}>{variant[-3]}"
    region = client.post("/sequence", data={"text": REGION})
    allele = client.post("/variant", data={"text": f"{variant}\nchr1:5:A>C,G,T"})
    explained = {"target": "second", "span": "window"}
    pages = [
        region,
        client.get(region.url.path, params={"window": "2", "show": "first"}),
        client.post("/sequence", data={"text": ">my <name>\nACGTTGCA\nAC", "pad": "on"}),
        client.post("/variant", data={"text": variant}),
        client.post("/variant", data={"text": swapped, "score_swapped": "on"}),
        allele,
        client.post(f"{region.url.path}/mutagenesis", data={"window": "2", "target": "1"}),
        client.post(f"{region.url.path}/contributions", data={"window": "2", "target": "1"}),
        client.post("/explain", data={"text": REGION, "window": "2", **explained}),
        client.post("/explain", data={"text": variant, "target": "first"}),
        client.post(f"{allele.url.path}/alleles/1/contributions", data={"target": "0"}),
    ]
    return [ended(client, service, page) for page in pages]


def test_a_link_computes_the_same_numbers_again(client, service, results):
    for page in results:
        assert page.status_code == 200
        link = link_of(page.text)
        assert 0 < len(link) <= MOST_LETTERS
        again = sent(client, service, link)
        assert again.status_code == 200, again.text
        assert again.url.path != page.url.path
        pd.testing.assert_frame_equal(table_of(client, again), table_of(client, page))
        heading = re.search(r"<h1>.*?</h1>", page.text)
        assert heading is not None
        assert heading[0] in again.text
        assert link_of(again.text) == link


def test_a_link_leads_to_the_window_and_the_targets_that_were_shown(client, service, results):
    page = results[1]
    assert parse_qsl(urlsplit(link_of(page.text)).query)[:3] == [
        ("text", REGION),
        ("window", "2"),
        ("show", "first"),
    ]
    again = sent(client, service, link_of(page.text))
    assert dict(again.url.params) == {"window": "2", "show": "first"}
    assert "Window 2 of 2" in again.text


def test_opening_a_link_computes_nothing_and_changes_nothing(client, service, results):
    links = [link_of(page.text) for page in results]
    before = set(service.jobs._jobs)
    for link in links:
        for headers in ({}, TYPED, {"sec-fetch-site": "cross-site"}):
            assert client.get(link, headers=headers).status_code == 200
            assert client.head(link, headers=headers).status_code == 200
    assert set(service.jobs._jobs) == before


@pytest.mark.parametrize(
    ("headers", "starts"),
    [
        (TYPED, True),
        ({**TYPED, "sec-fetch-site": "same-origin"}, True),
        ({}, False),
        ({**TYPED, "sec-fetch-site": "cross-site"}, False),
        ({**TYPED, "sec-fetch-site": "same-site"}, False),
        ({**TYPED, "sec-fetch-dest": "iframe"}, False),
        ({**TYPED, "sec-fetch-dest": "image", "sec-fetch-mode": "no-cors"}, False),
        ({**TYPED, "sec-purpose": "prefetch;prerender"}, False),
    ],
)
def test_only_a_visitor_of_this_server_starts_the_work_without_a_click(
    client, results, headers, starts
):
    for page in results:
        opened = client.get(link_of(page.text), headers=headers)
        assert (" data-starts" in opened.text) == starts
    for path in ("/", "/variant", "/explain", "/?example=region"):
        assert " data-starts" not in client.get(path, headers=headers).text


def test_a_link_of_another_model_or_genome_says_so_and_does_not_start(client, service, results):
    for page in results:
        link = link_of(page.text)
        for mark in ("model", "genome"):
            other = re.sub(rf"{mark}=([^&]*)-\w+", rf"{mark}=\1-0123456789ab", link)
            assert other != link
            opened = client.get(other, headers=TYPED)
            (note,) = re.findall(r'<p class="note" role="alert">([^<]+)</p>', opened.text)
            assert f"This link was made with the {mark} " in html.unescape(note)
            assert f"this server has another {mark} of this name" in html.unescape(note)
            assert " data-starts" not in opened.text
    link = link_of(results[0].text)
    both = client.get(re.sub(r"(model|genome)=[^&]*", r"\1=elsewhere-0123456789ab", link)).text
    assert "the model elsewhere; this server has the model run" in both
    assert "the genome elsewhere; this server has the genome " in both
    renamed = other_server(service, run="renamed").get(link, headers=TYPED)
    assert " data-starts" in renamed.text  # the same model by another name
    without = other_server(service, genome=None).get(link)
    assert "this server has no genome" in without.text
    named = client.get(link.replace("model=run-", "model=%3Cb%3E-9"))
    assert "<b>" not in re.sub("<b>(?:small|danq|BioQ|renamed)", "", named.text)


def test_a_link_without_marks_is_a_form_that_is_filled_in(client):
    opened = client.get("/", params={"text": "chr1:1-40"}, headers=TYPED)
    assert form_of(opened.text) == ("/sequence", {"text": "chr1:1-40"})
    assert " data-starts" in opened.text
    assert 'role="alert"' not in opened.text


def test_input_too_long_for_a_link_is_a_request_that_gives_the_same_numbers(client, service):
    random = dna.decode((pd.Series(range(3000)) * 7919 % 101 % 4).to_numpy("uint8"))
    sequence = client.post("/sequence", data={"text": f">éx one\n{random}\n>two\n{random[:900]}"})
    regions = client.post(
        "/sequence", data={"text": "\n".join(f"chr1:{n}-{n + 9}" for n in range(1, 180))}
    )
    lines = [f"chr1:{n}:{service.genome.letters('chr1', n - 1, n)}>N" for n in range(1, 200)]
    alleles = client.post("/variant", data={"text": "\n".join(lines).replace(">N", ">ACGT")})
    sequence, regions, alleles = (
        ended(client, service, page) for page in (sequence, regions, alleles)
    )
    for page in (sequence, regions, alleles):
        assert page.status_code == 200
        assert link_of(page.text) == ""
        assert "The input is too long for a link" in page.text
    for page in (sequence, regions):
        answer = asked_again(client, page)
        probability = [window["probability"] for window in answer.json()["windows"]]
        table = table_of(client, page)[["probability:first", "probability:second"]]
        pd.testing.assert_frame_equal(
            pd.DataFrame(probability, columns=table.columns), table, atol=1e-6
        )
    job = asked_again(client, alleles).headers["location"].rpartition("/")[2]
    service.jobs.find(job).future.result(60)
    result = client.get(f"/api/jobs/{job}/result.tsv")
    again = pd.read_csv(io.BytesIO(result.content), sep="\t")
    pd.testing.assert_frame_equal(again, table_of(client, alleles))


@pytest.mark.parametrize("method", ["mutagenesis", "contributions"])
def test_a_window_of_a_long_sequence_is_explained_again_by_a_request(client, service, method):
    random = dna.decode((pd.Series(range(3000)) * 7919 % 101 % 4).to_numpy("uint8"))
    page = ended(client, service, client.post("/sequence", data={"text": random}))
    fields = {"window": "3", "target": "0"}
    explained = ended(client, service, client.post(f"{page.url.path}/{method}", data=fields))
    assert link_of(explained.text) == ""
    answer = asked_again(client, explained).json()
    table = table_of(client, explained)
    if method == "contributions":
        values = answer["windows"][0]["contributions"]
        assert values == pytest.approx(table["contribution:first"].tolist(), abs=1e-6)
    else:
        alt = {(n, a): answer["effects"][a][n] for a in "ACGT" for n in range(service.bin_bp)}
        first = table["position"].min()
        for row in table.to_dict("records"):
            found = alt[row["position"] - first, row["alt"]]
            assert found == pytest.approx(row["effect:first"], abs=1e-6)


def asked_again(client: TestClient, page: httpx2.Response) -> httpx2.Response:
    """Download the request of a page, and send it by the command that the page shows."""
    (command,) = re.findall(r"<pre>(curl [^<]+)</pre>", page.text)
    words = shlex.split(html.unescape(command))
    (download,) = re.findall(r'<a href="(/jobs/[^"]+/request)" download>', page.text)
    content = client.get(download)
    assert content.headers["content-disposition"].endswith(f'"{words[-1][1:]}"')
    headers = dict(word.split(": ") for word in words if word.startswith("Content-Type"))
    if headers:
        json.loads(content.content)
    answer = client.post(urlsplit(words[1]).path, content=content.content, headers=headers)
    assert answer.is_success, answer.text
    return answer


def test_the_vcf_of_a_visitor_is_sent_again_by_its_name(client, service):
    vcf = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t5\t.\tA\tC,G,T\n"
    page = client.post("/variant", files={"vcf": ("my 'file'.vcf", vcf)}, data={})
    page = ended(client, service, page)
    (command,) = re.findall(r"<pre>(curl [^<]+)</pre>", page.text)
    words = shlex.split(html.unescape(command))
    assert words[-2:] == ["--data-binary", "@my 'file'.vcf"]
    assert client.get(f"{page.url.path}/request").status_code == 404


def test_jobs_of_the_api_have_no_link(client, service):
    vcf = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t5\t.\tA\tC,G,T\n"
    job = client.post("/api/jobs", content=vcf).json()["id"]
    service.jobs.find(job).future.result(60)
    assert 'id="share"' not in client.get(f"/jobs/{job}").text
    assert client.get(f"/jobs/{job}/request").status_code == 404
    assert client.get("/jobs/nobody/request").status_code == 404


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("target=none", "there is no target 'none'; choose one of the 2"),
        ("target=", "there is no target ''"),
        ("method=magic", "method 'magic': expected contributions or mutagenesis"),
        ("span=all", "span 'all': expected bin or window"),
        ("method=%3Cscript%3E", "method '<script>'"),
        (f"target={'x' * 2000}", "there is no target 'xxx"),
    ],
)
def test_a_link_with_a_bad_choice_is_refused_in_one_line(client, query, says):
    answer = client.get(f"/explain?text=chr1:1-40&{query}", headers=TYPED)
    assert answer.status_code == 422
    (line,) = re.findall(r'role="alert">([^<]+)<', answer.text)
    assert html.unescape(line).startswith(says)
    assert len(line) < 200
    assert " data-starts" not in answer.text
    fields = dict(parse_qsl(query, keep_blank_values=True))
    assert client.post("/explain", data={"text": "chr1:1-40", **fields}).status_code == 422


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x>',
        "</textarea><script>",
        "\x00\x01",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "chr1:1-999999999999999999999",
        "chr1:5000-1",
        "chr1:1:A>" + "C" * 1500,
        ">",
        "",
        "\n" * 500,
        "= + - @",
    ],
)
def test_hostile_text_in_a_link_is_text_and_never_an_error_of_the_server(client, text):
    for path in ("/", "/variant", "/explain"):
        for name in ("text", "window", "show", "model", "genome", "target", "pad"):
            address = f"{path}?{name}={quoted(text)}"
            answer = client.get(address, headers=TYPED)
            assert answer.status_code in (200, 414, 422), address
            assert "<script>" not in answer.text
            assert "<img" not in answer.text
    for path in ("/sequence", "/variant", "/explain"):
        fields = {"text": text, "window": text, "show": text, "target": "first"}
        answer = client.post(path, data=fields)
        is_scored = path == "/variant" and text.startswith("chr1:1:A>")
        assert answer.status_code == (200 if is_scored else 422)


def test_a_link_that_is_too_long_is_refused(client):
    assert client.get(f"/?text={'A' * 5000}").status_code == 414

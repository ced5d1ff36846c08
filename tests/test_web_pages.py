"""The Sequence page, jobs and mutagenesis, without a browser."""

import html
import io
import re
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from web_fixtures import SITE_START

import bioq
from bioq import dna
from bioq.inputs import SequenceWindows
from bioq.plots.style import MOST_GROUPS
from bioq.prediction import predict_file
from bioq.web import Service, create_app, open_service
from bioq.web.jobs import Job
from bioq.web.pages.annotation import annotation_of
from bioq.web.queue import Level

REGION = f"chr1:{SITE_START - 39}-{SITE_START + 40}"
"""Two bins around the planted motif."""
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def held(service: Service):
    """A job that runs until its event is set, and holds up those behind it."""
    going = threading.Event()

    def run(give_way):
        while not going.is_set():
            give_way()
            time.sleep(0.005)

    job = Job("mutagenesis", "held <up>", service.jobs.new_folder(), 100, "mutants")
    service.jobs.start(job, run, Level.SECONDS)
    while job.state == "waiting":
        time.sleep(0.005)
    yield job
    going.set()
    service.jobs.remove(job.id)


@pytest.fixture
def expected(trained, genome, tmp_path) -> pd.DataFrame:
    """What `bioq predict` writes for REGION."""
    bed, out = tmp_path / "regions.bed", tmp_path / "out.tsv"
    bed.write_text(f"chr1\t{SITE_START - 40}\t{SITE_START + 40}\n")
    predict_file(trained.run, bed, out, genome=genome)
    return pd.read_csv(out, sep="\t")


def predicted(client: TestClient, text: str, **fields: str) -> str:
    """Return the address of a prediction's page."""
    answer = client.post("/sequence", data={"text": text, **fields}, follow_redirects=False)
    assert answer.status_code == 303, alert(answer.text)
    return answer.headers["location"]


def alert(page: str) -> str:
    """Return the text of a page's alert."""
    match = re.search(r'role="alert">([^<]*)<', page)
    return html.unescape(match[1]) if match else ""


def table_of(page: str) -> pd.DataFrame:
    """Return the last table of a page."""
    table = page[page.rindex("<table") :]
    headings, *rows = (
        [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)]
        for row in re.findall(r"<tr.*?</tr>", table, re.S)
    )
    return pd.DataFrame(rows, columns=headings)


def test_the_page_shows_what_bioq_predict_writes(client, expected):
    expected = expected[["probability:first", "probability:second"]]
    address = predicted(client, REGION)
    for window in (1, 2):
        shown = table_of(client.get(address, params={"window": window}).text)
        shown["probability"] = shown["probability"].astype(float)
        result = shown.set_index("target")["probability"]
        np.testing.assert_allclose(
            result[["first", "second"]], expected.iloc[window - 1], atol=6e-4
        )
        assert result.is_monotonic_decreasing


@pytest.mark.parametrize("ending", ["tsv", "parquet"])
def test_the_download_is_what_bioq_predict_writes(client, expected, ending):
    answer = client.get(f"{predicted(client, REGION)}/result.{ending}")
    assert "attachment" in answer.headers["content-disposition"]
    if ending == "tsv":
        result = pd.read_csv(io.BytesIO(answer.content), sep="\t")
    else:
        result = pd.read_parquet(io.BytesIO(answer.content))
    columns = ["chrom", "start", "end", "probability:first", "probability:second"]
    pd.testing.assert_frame_equal(result[columns], expected[columns], check_dtype=False, atol=1e-5)


def test_every_example_is_predicted(client, genome):
    page = client.get("/").text
    examples = re.findall(r'href="(/\?example=\w+)"', page)
    assert len(examples) == 2
    for link in examples:
        filled = client.get(link).text
        text = html.unescape(re.search(r"<textarea[^>]*>\n(.*?)</textarea>", filled, re.S)[1])
        key = parse_qs(urlsplit(link).query)["example"][0]
        assert (key == "region") == (not text.startswith(">"))
        if key == "sequence":
            name, start, end = text[1:].splitlines()[0].split("_")
            bases = "".join(text.splitlines()[1:])
            contig = re.search(rf">{name}\n(\w+)", genome.read_text())[1]
            assert bases == contig[int(start) - 1 : int(end)]
        assert client.get(predicted(client, text)).status_code == 200


def test_without_a_genome_the_example_is_random_and_regions_are_refused(service):
    bare = replace(service, genome=None)
    with TestClient(create_app(bare), base_url="http://127.0.0.1") as client:
        page = client.get("/").text
        assert "random bases" in page
        assert "region" not in page.lower()
        text = re.search(r'data-example="([^"]*)"', page)[1]
        assert client.get(predicted(client, html.unescape(text))).status_code == 200
        answer = client.post("/sequence", data={"text": "chr1:1-100"})
        assert alert(answer.text).startswith("regions need a genome")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no sequence"),
        ("ACGT", "--"),
        ("hello world", "'hello' is not DNA"),
        ("chr9:1-100", "has no contig 'chr9'"),
        ("chr1:100-1", "expected 1 <= START <= END"),
        ("chr1:1-5000\nrubbish", "line 2: 'rubbish' is not a region"),
        (">x\n" + "A" * 200 + "\n>x!\n" + "A" * 10, "x!"),
        ("A" * 20_000, "are more than the 200 that the page takes"),
    ],
)
def test_a_fault_stands_beside_the_text_which_is_kept(client, text, message):
    answer = client.post("/sequence", data={"text": text})
    assert answer.status_code == 422
    if message == "--":
        assert "choose “pad”" in alert(answer.text)
    else:
        assert message in alert(answer.text)
    assert f">\n{html.escape(text)}</textarea>" in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_a_short_sequence_is_padded_on_request_and_the_page_says_so(client):
    page = client.get(predicted(client, "ACGTACGTAC" * 10, pad="on")).text
    assert "50 % of the bases in the window are unknown" in page


def test_what_a_visitor_writes_is_escaped(client, service):
    evil = "<script>alert(1)</script>"
    assert evil not in client.post("/sequence", data={"text": evil}).text
    page = client.get(predicted(client, f">{evil}\n" + "ACGT" * 50)).text
    assert evil not in page
    assert html.escape(evil) in page


def test_a_busy_server_says_so_and_keeps_the_text(client, service, monkeypatch):
    monkeypatch.setattr(service.queue, "_waiting_windows", 0)
    answer = client.post("/sequence", data={"text": REGION})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert "wait already" in alert(answer.text)
    assert REGION in answer.text


@pytest.mark.parametrize("window", ["0", "3", "x", "-1", "99999999999999999999", "²"])
def test_a_window_that_is_not_there_is_refused(client, window):
    answer = client.get(predicted(client, REGION), params={"window": window})
    assert answer.status_code == 422
    assert alert(answer.text) == f"there is no window {window!r}; the result has 1 to 2"


def test_windows_lead_to_one_another(client):
    address = predicted(client, REGION)
    first, last = (client.get(address, params={"window": n}).text for n in (1, 2))
    assert 'rel="next"' in first
    assert 'rel="prev"' not in first
    assert 'rel="prev"' in last
    assert 'rel="next"' not in last


def test_mutagenesis_finds_the_planted_motif(client, trained, service):
    address = predicted(client, f"chr1:{SITE_START - 15}-{SITE_START + 25}")
    fields = {"window": "1", "target": "0", "span": "bin"}
    answer = client.post(f"{address}/mutagenesis", data=fields, follow_redirects=False)
    assert answer.status_code == 303
    job = answer.headers["location"]
    page = client.get(job).text
    assert f'href="{address}?window=1"' in page
    strongest = table_of(page)
    site = range(SITE_START + 1, SITE_START + 1 + len(trained.motifs["first"]))
    positions = strongest["position"].str.replace(",", "").astype(int)
    assert set(positions[:5]) <= set(site)
    assert all(
        trained.motifs["first"][position - site.start] == change[0]
        for position, change in zip(positions, strongest["substitution"], strict=True)
        if position in site
    )
    table = pd.read_csv(io.BytesIO(client.get(f"{job}/result.tsv").content), sep="\t")
    assert len(table) == 3 * service.bin_bp
    most = table.loc[table["effect:first"].abs().idxmax()]
    change = f"{most['effect:first']:+.3g}"
    assert strongest.iloc[0].tolist() == [
        f"{most['position'] + 1:,}",
        f"{most['ref']} → {most['alt']}",
        change.replace("-", "−"),
    ]


def test_the_figure_of_a_mutagenesis_is_svg_and_png(client):
    address = predicted(client, REGION)
    fields = {"window": "2", "target": "1", "span": "window"}
    page = client.post(f"{address}/mutagenesis", data=fields)
    assert f"{page.url.path}/figure.svg" in page.text
    svg, png = (client.get(f"{page.url.path}/figure.{ending}") for ending in ("svg", "png"))
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert "<svg" in svg.text
    assert png.content.startswith(PNG)
    assert client.get(f"{page.url.path}/figure.exe").status_code == 404
    assert client.get(f"{address}/figure.svg").status_code == 404


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target": "0"}, "there is no window ''; the result has 1 to 2"),
        ({"window": "1", "target": "2"}, "there is no target '2'; choose one of the 2"),
        ({"window": "1", "target": "x"}, "there is no target 'x'; choose one of the 2"),
    ],
)
def test_a_mutagenesis_of_what_is_not_there_is_refused(client, fields, message):
    answer = client.post(f"{predicted(client, REGION)}/mutagenesis", data=fields)
    assert answer.status_code == 422
    assert alert(answer.text) == message


def test_a_mutagenesis_is_not_mutated(client):
    fields = {"window": "1", "target": "0"}
    done = client.post(f"{predicted(client, REGION)}/mutagenesis", data=fields)
    answer = client.post(f"{done.url.path}/mutagenesis", data=fields)
    assert answer.status_code == 422
    assert alert(answer.text).startswith("only a predicted window can be explained")


def test_a_job_that_runs_shows_progress_and_one_behind_it_its_place(client, service, held):
    held.done = 40
    page = client.get(f"/jobs/{held.id}").text
    assert 'max="100" value="40"' in page
    assert "40 of 100 mutants" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "held &lt;up&gt;" in page
    waiting = [
        service.jobs.start(
            Job("mutagenesis", "behind", service.jobs.new_folder(), 7, "mutants"),
            lambda give_way: None,
            Level.SECONDS,
        )
        for _ in range(2)
    ]
    state = client.get(f"/jobs/{waiting[1].id}/state").json()
    assert state == {"state": "waiting", "done": 0, "line": "1 job before yours"}
    assert "7 mutants; next in the queue" in client.get(f"/jobs/{waiting[0].id}").text
    for job in waiting:
        service.jobs.remove(job.id)


def test_a_cancelled_job_says_so_and_leads_back(client, held):
    held.back = "/jobs/other?window=3"
    page = client.post(f"/jobs/{held.id}/cancel")
    assert held.state == "cancelled"
    assert "The job was cancelled" in alert(page.text)
    assert 'href="/jobs/other?window=3"' in page.text
    assert client.get(f"/jobs/{held.id}/result.tsv").status_code == 422


def test_a_failed_job_says_why(client, service):
    def run(give_way):
        raise bioq.BioqError("chr1 is <gone>")

    job = Job("mutagenesis", "bad", service.jobs.new_folder(), 1, "mutants")
    service.jobs.start(job, run, Level.SECONDS)
    while not job.future.done():
        time.sleep(0.005)
    assert alert(client.get(f"/jobs/{job.id}").text) == "chr1 is <gone>"


@pytest.mark.parametrize("path", ["/jobs/nobody", "/jobs/nobody/state", "/jobs/nobody/result.tsv"])
def test_an_unknown_job_is_a_page_in_words(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "there is no such job" in alert(answer.text)


def test_an_unknown_address_is_a_page_and_for_programs_json(client):
    answer = client.get("/nothing")
    assert (answer.status_code, alert(answer.text)) == (404, "there is no such address")
    answer = client.get("/api/nothing")
    assert (answer.status_code, answer.json()) == (404, {"detail": "there is no such address"})


def test_no_page_holds_anything_that_the_policy_forbids(client):
    address = predicted(client, REGION)
    fields = {"window": "1", "target": "0"}
    mutated = client.post(f"{address}/mutagenesis", data=fields)
    pages = [client.get("/"), client.get(address), client.get("/jobs/nobody"), mutated]
    for page in pages:
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert not re.search(
            r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=)", page.text
        )
        assert not re.search(r"(src|href)=\"(https?:)?//", page.text)


def test_the_pages_share_the_style_of_the_reports(client):
    shared = Path(bioq.__file__).parent / "reports/templates/page.css"
    answer = client.get("/static/page.css")
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.text == shared.read_text()


def test_targets_are_coloured_by_the_first_column_that_tells_them_apart():
    table = pd.DataFrame(
        {
            "name": [f"t{n}" for n in range(100)],
            "assay": "ChIP",
            "cell": [f"c{n % 8}" for n in range(100)],
            "note": [f"n{n}" for n in range(100)],
        }
    )
    result = annotation_of(table)
    assert result.columns == ("assay", "cell", "note")
    assert result.choices == ("cell",)
    assert result.group == "cell"
    assert len(set(result.colours.values())) == MOST_GROUPS + 1
    assert [name for name, _ in result.legend][-1] == "other"
    assert annotation_of(table[["name", "note"]]).group == ""


def test_windows_of_a_long_sequence_are_those_of_the_reader(client, tmp_path):
    bases = dna.decode(np.random.default_rng(3).integers(0, 4, 333).astype(np.uint8))
    file = tmp_path / "long.fa"
    file.write_text(f">long\n{bases}\n")
    windows = SequenceWindows(file, window_bp=200, stride_bp=40)
    page = client.get(predicted(client, f">long\n{bases}")).text
    assert f"Window 1 of {windows.count()}" in page


def test_the_share_of_positive_windows_stands_beside_each_probability(
    trained, genome, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    with open_service(run, genome) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            text = str(service.known_window.region())
            variant = {"text": (None, str(service.known_window.variant))}
            for page in (
                client.get(predicted(client, text)).text,
                client.post("/variant", files=variant).text,
            ):
                assert "Evaluate the run with" in page
                assert '<th scope="col">positive windows</th>' not in page
            bioq.evaluate(run, trained.data)
            result = predicted(client, text)
            pages = [client.get(result).text, client.post("/variant", files=variant).text]
            fields = {"window": "1", "target": "1", "span": "bin"}
            mutated = client.post(f"{result}/mutagenesis", data=fields).text
    labels = bioq.open_dataset(trained.data)["test"]
    rates = [f"{rate:.4f}" for rate in labels.positives() / len(labels)]
    for page in pages:
        assert "Evaluate the run with" not in page
        assert "the share of windows of the split test that have the target" in page
        for name, rate in zip(("first", "second"), rates, strict=True):
            line = next(line for line in page.splitlines() if f">{name}</td>" in line)
            assert f">{rate}</td>" in line
    assert pages[0].count('class="rate"') == 4  # two bars, two rows
    assert f"({rates[1]} of the windows of the split test have the target)" in mutated


def test_a_column_of_the_target_table_may_have_any_name(trained, genome, tmp_path):
    """DeepSEA's table has a column `target`; a page keeps facts of its own beside the columns."""
    columns = ("target", "p", "rate", "option", "score_diff", "score_roc_auc", "scores")
    run = shutil.copytree(trained.run, tmp_path / "run")
    bioq.evaluate(run, trained.data)  # scores stand beside the columns on the page of the model
    table = pd.read_csv(run / "targets.tsv", sep="\t")[["name"]]
    for column in columns:
        table[column] = [f"{column} of {name}" for name in table["name"]]
    table.to_csv(run / "targets.tsv", sep="\t", index=False)
    base = genome.read_text().split("\n")[1][SITE_START]
    with (
        open_service(run, genome) as service,
        TestClient(create_app(service), base_url="http://127.0.0.1") as client,
    ):
        of_window = client.get(predicted(client, REGION)).text
        other = "C" if base == "A" else "A"
        lines = {"text": f"chr1:{SITE_START + 1}:{base}>{other}"}
        address = str(client.post("/variant", data=lines).url)
        of_allele = client.get(f"{address}/alleles/1").text
        model = client.get("/model").text
        of_targets = model[model.index('<h2 id="targets">') :].partition("</table>")[0]
        for page in (of_window, of_allele, of_targets):
            rows = re.findall(r"<tr.*?</tr>", page[page.rindex("<table") :], re.S)[1:]
            assert len(rows) == len(table)
            for row in rows:
                found = [re.sub(r"<[^>]*>", "", cell) for cell in re.findall("<td.*?</td>", row)]
                assert found[-len(columns) :] == [f"{column} of {found[0]}" for column in columns]

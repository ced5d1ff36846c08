"""Contributions on the page and in the API are those of `bioq attribution`, with motif names."""

import html
import io
import re
import sys
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from trained_run import TrainedRun
from web_fixtures import SITE_START, ended

from bioq import dna
from bioq.forward import predict_codes
from bioq.interpretation import (
    AttributionOptions,
    ExplainJob,
    ExplainOptions,
    attribution_file,
    integrated_gradients,
)
from bioq.motifs import Motif, motifs_from, write_meme
from bioq.plots.interpretation import write_contributions_figure
from bioq.web import Service, create_app, open_service

REGION = f"chr1:{SITE_START - 15}-{SITE_START + 24}"
"""One bin, with the motif of `first` in it."""
HOSTILE = '<b>"first"&'


def written(trained: TrainedRun, genome: Path, source: str, out: Path) -> pd.DataFrame:
    """Return what `bioq attribution --baseline zeros` writes for target `first`."""
    attribution_file(
        ExplainJob(
            run=trained.run,
            source=source,
            outs=[out],
            genome=genome,
            chrom_alias=None,
            options=ExplainOptions(targets=("first",)),
            figure=None,
            draw=write_contributions_figure,
            force=False,
        ),
        attribution=AttributionOptions(baseline="zeros"),
    )
    return pd.read_csv(out, sep="\t")


def attributed(client: TestClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/attribution", json={"target": "first", **fields})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def shown(page: str) -> list[list[tuple[str, str, float]]]:
    """Return (position, base, contribution) of every letter of each logo of a page."""
    logos = re.findall(r'<svg class="logo"[^>]* role="img".*?</svg>', page, re.S)
    title = r'<g class="base"><title>([^:]+): ([ACGTN]) ([+−][^<]+)</title>'
    return [
        [(where, base, float(value.replace("−", "-"))) for where, base, value in found]
        for found in (re.findall(title, logo) for logo in logos)
    ]


def explained(client: TestClient, service: Service, **fields: str) -> httpx2.Response:
    """Return the page of the contributions to `first`."""
    answer = client.post("/explain", data={"target": "first", **fields})
    return ended(client, service, answer)


@pytest.fixture(scope="module")
def named(trained: TrainedRun, genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client of a server whose collection has the planted motif of `first`, with a bad name."""
    rows = np.full((len(trained.motifs["first"]), 4), 0.01)
    rows[np.arange(len(rows)), dna.encode(trained.motifs["first"])] = 0.97
    motifs = [Motif(HOSTILE, "M1", rows), *motifs_from("JASPAR2024:fungi")[:60]]
    file = tmp_path_factory.mktemp("motifs") / "motifs.meme"
    write_meme(file, motifs, [1] * len(motifs))
    with open_service(trained.run, genome, motifs=str(file)) as service:
        service.motif_names.prepare(wait=True)
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            yield client, service


@pytest.mark.parametrize(
    "source", [REGION, f"chr1:{SITE_START + 3}:{{0}}>{{1}}", f"chr1:{SITE_START + 3}:{{0}}>{{0}}AC"]
)
def test_the_api_and_the_download_are_what_bioq_attribution_writes(
    client, service, trained, genome, tmp_path, source
):
    base = service.genome.letters("chr1", SITE_START + 2, SITE_START + 3)
    source = source.format(base, "C" if base != "C" else "A")
    expected = written(trained, genome, source, tmp_path / "out.tsv")
    answer = attributed(client, **{"variant" if ">" in source else "region": source})
    assert answer["target"] == "first"
    contributions = np.concatenate([window["contributions"] for window in answer["windows"]])
    np.testing.assert_allclose(contributions, expected["contribution:first"], atol=1e-5)
    assert "".join(window["bases"] for window in answer["windows"]) == "".join(expected["base"])
    position = np.concatenate([window["position"] for window in answer["windows"]])
    assert position.tolist() == expected["position"].tolist()
    assert [window["name"] for window in answer["windows"]] == (
        list(dict.fromkeys(expected["name"])) if ">" in source else [""]
    )
    service.motif_names.prepare(wait=True)
    page = explained(client, service, text=source)
    table = pd.read_csv(io.BytesIO(client.get(f"{page.url.path}/result.tsv").content), sep="\t")
    if ">" not in source:  # the name of a region is its text, and that of a typed region empty
        table, expected = (each.drop(columns="name") for each in (table, expected))
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, atol=1e-5)


def test_contributions_of_a_window_sum_to_its_logit(client, service):
    """The logit is that of the probability that the server predicts."""
    codes = np.random.default_rng(4).integers(0, 4, service.window_bp).astype(np.uint8)
    sequence = dna.decode(codes)
    (window,) = attributed(client, sequence=sequence, span_bp=service.window_bp)["windows"]
    body = {"sequences": [{"name": "s", "sequence": sequence}], "targets": ["first"]}
    (p,) = client.post("/api/predict", json=body).json()["windows"][0]["probability"]
    assert window["logit"] == pytest.approx(np.log(p / (1 - p)), abs=1e-3)
    difference = window["logit"] - window["baseline_logit"]
    gap = window["completeness_gap"]
    assert sum(window["contributions"]) - difference == pytest.approx(gap, abs=1e-4)


def test_the_logo_has_the_numbers_of_the_api(client, service, trained):
    (window,) = attributed(client, region=REGION)["windows"]
    page = explained(client, service, text=REGION).text
    (letters,) = shown(page)
    assert "".join(base for _, base, _ in letters) == window["bases"]
    assert [int(where.replace(",", "")) - 1 for where, _, _ in letters] == window["position"]
    np.testing.assert_allclose([value for *_, value in letters], window["contributions"], atol=6e-5)
    site = range(SITE_START, SITE_START + len(trained.motifs["first"]))
    order = np.argsort(window["contributions"])[::-1]
    assert {window["position"][index] for index in order[:4]} <= set(site)


def test_a_letter_is_as_high_as_its_contribution_and_below_the_line_if_it_lowers(client, service):
    (window,) = attributed(client, region=REGION)["windows"]
    page = explained(client, service, text=REGION).text
    drawn = re.findall(r'href="#logo-1-([ACGT])" transform="matrix\(14 0 0 (\S+) ', page)
    values = np.array(window["contributions"])
    letters = [window["bases"][index] for index in np.flatnonzero(values)]
    assert sorted(base for base, _ in drawn) == sorted(letters)
    values = values[values != 0]
    scale = np.array([float(height) for _, height in drawn]) / values
    largest = np.argsort(np.abs(values))[-10:]
    np.testing.assert_allclose(scale[largest], scale[largest[-1]], rtol=0.02)
    assert scale[largest[-1]] < 0  # y goes down in SVG: a positive letter is drawn upwards


def test_ref_is_above_alt_on_equal_axes(client, service):
    base = service.genome.letters("chr1", SITE_START + 2, SITE_START + 3)
    text = f"chr1:{SITE_START + 3}:{base}>{base}GG"
    page = explained(client, service, text=text).text
    axes = re.findall(r'<div class="axis">(.*?)</div>', page, re.S)
    assert len(axes) == 2
    ticks = [re.findall(r">([^<]+)</text>", axis) for axis in axes]
    assert ticks[0] == ticks[1]
    assert page.index(f"ref {base}") < page.index(f"alt {base}GG")
    ref, alt = shown(page)
    assert [where for where, *_ in alt if "inserted" in where] == [
        f"{SITE_START + 3:,}, inserted 1",
        f"{SITE_START + 3:,}, inserted 2",
    ]
    assert not [where for where, *_ in ref if "inserted" in where]
    assert page.count('<rect class="allele"') == 2


def test_the_planted_site_has_the_name_of_its_motif_above_it(named, trained):
    length = len(trained.motifs["first"])
    client, service = named
    answer = attributed(client, region=REGION, span_bp=200)
    (window,) = answer["windows"]
    assert (answer["motifs"], answer["note"]) == ("motifs.meme", "")
    (site,) = (site for site in window["sites"] if site["motif"])
    assert site["motif"] == HOSTILE
    position = window["position"]
    assert position[site["start"]] <= SITE_START + 1
    assert position[site["end"] - 1] >= SITE_START + length - 2
    assert site["contribution"] == pytest.approx(
        sum(window["contributions"][site["start"] : site["end"]]), abs=1e-4
    )
    page = explained(client, service, text=REGION, span="window").text
    assert HOSTILE not in page
    assert f">{html.escape(HOSTILE)}</text>" in page
    assert page.count("&lt;b&gt;") == 3  # above the logo, on hover, in the table


def test_without_names_the_logo_appears_and_one_line_says_why(trained, genome, monkeypatch):
    with open_service(trained.run, genome, motifs="none") as service:
        service.motif_names.prepare(wait=True)
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        page = explained(client, service, text=REGION).text
        assert len(shown(page)) == 1
        assert "the server was started with --motifs none." in page
        monkeypatch.setitem(sys.modules, "tangermeme.seqlet", None)
        answer = attributed(client, region=REGION)
        assert answer["windows"][0]["sites"] == []
        assert answer["note"].endswith("pip install 'bioq[motifs]'")
        assert "\n" not in answer["note"]


def test_before_the_search_is_prepared_the_logo_appears_without_names(trained, genome, monkeypatch):
    with open_service(trained.run, genome) as service:
        monkeypatch.setattr(service.motif_names, "prepare", lambda: None)  # as if it still ran
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        page = explained(client, service, text=REGION).text
        assert len(shown(page)) == 1
        assert "is being prepared" in page
        assert "data-reloads" in page


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "expected either 'sequence', 'region' or 'variant'"),
        ({"region": REGION, "sequence": "ACGT"}, "expected either 'sequence'"),
        ({"region": REGION, "target": "none"}, "none"),
        ({"region": REGION, "target": "*"}, "fits 2 targets; expected one"),
        ({"region": REGION, "span_bp": 201}, "span_bp 201: the window has 200 bases"),
        ({"region": REGION, "span_bp": 0}, "span_bp"),
        ({"region": "chr1:1-400"}, "there are 10 windows; expected one"),
        ({"region": "chr1:1-999999999999"}, "chr1"),
        ({"variant": "chr1:1-40"}, "it is a region"),
        ({"variant": "nonsense"}, "is not a variant"),
        ({"variant": "chr9:1:A>C"}, "has no contig"),
        ({"variant": "chr1:1:A>A"}, "chr1:1:A>A"),
        ({"variant": "chr1:1:<DEL>>A"}, "chr1"),
        ({"variant": f"chr1:100:{'A' * 300}>A"}, "chr1:100"),
        ({"sequence": "ACGT!"}, "sequence"),
    ],
)
def test_the_api_refuses_what_it_cannot_explain(client, fields, says):
    answer = client.post("/api/attribution", json={"target": "first", **fields})
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_predictions_between_the_steps_have_their_usual_numbers(service: Service):
    codes = np.random.default_rng(5).integers(0, 4, (2, service.window_bp)).astype(np.uint8)
    windows = dna.one_hot(codes[:1])
    before = predict_codes(service.model, codes)
    done, between = [], []

    def advance(steps: int) -> None:
        done.append(steps)
        between.append(predict_codes(service.model, codes))

    expected = integrated_gradients(service.model, windows, target=0)
    paused = integrated_gradients(service.model, windows, target=0, batch_size=16, advance=advance)
    assert done == [16] * 4
    np.testing.assert_allclose(np.array(between), np.broadcast_to(before, (4, *before.shape)))
    np.testing.assert_allclose(paused.values, expected.values, atol=1e-6)


def test_contributions_of_an_allele_start_from_its_page(client, service):
    base = service.genome.letters("chr1", SITE_START + 2, SITE_START + 3)
    other = "C" if base != "C" else "A"
    text = f"chr1:5:A>C,G,T\nchr1:{SITE_START + 3}:{base}>{other}"
    job = ended(client, service, client.post("/variant", data={"text": text})).url.path
    count = len(pd.read_csv(io.BytesIO(client.get(f"{job}/result.tsv").content), sep="\t"))
    started = client.post(f"{job}/alleles/{count}/contributions", data={"target": "1"})
    started = ended(client, service, started)
    assert "Contributions to second" in started.text
    assert len(shown(started.text)) == 2
    assert f'href="{job}/alleles/{count}"' in started.text
    for number, fields, status in (("99", {"target": "0"}, 404), (str(count), {}, 422)):
        answer = client.post(f"{job}/alleles/{number}/contributions", data=fields)
        assert answer.status_code == status
    assert client.post(f"{started.url.path}/alleles/1/contributions", data={}).status_code == 404


def test_the_figure_of_contributions_is_svg_and_png(client, service):
    page = explained(client, service, text=REGION, target="second")
    svg, png = (client.get(f"{page.url.path}/figure.{ending}") for ending in ("svg", "png"))
    assert "<svg" in svg.text
    assert png.content.startswith(b"\x89PNG\r\n\x1a\n")

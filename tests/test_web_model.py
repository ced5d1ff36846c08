"""The Model page, without a browser."""

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import bioq
from bioq.evaluation.files import read_evaluation
from bioq.evaluation.table import evaluation_table
from bioq.metrics import number
from bioq.models.summary import summarise
from bioq.runs.folder import HISTORY
from bioq.runs.trained_model import load
from bioq.web import create_app, open_service


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained run, evaluated."""
    run = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(trained.run, run)
    bioq.evaluate(run, trained.data)
    return run


@pytest.fixture(scope="module")
def page(evaluated: Path) -> Iterator[str]:
    with open_service(evaluated) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            answer = client.get("/model")
            assert answer.status_code == 200
            yield answer.text


def titles(page: str) -> list[str]:
    return re.findall(r"<figure[^>]*>\s*<h3>(.*?)</h3>", page)


def test_the_page_says_what_the_model_is(page, trained):
    model = load(trained.run)
    assert f"<b>{summarise(model.network).parameters:,}</b> parameters" in page
    assert "<b>200 bp</b> of DNA" in page
    assert "<b>40 bp</b> in the middle" in page
    assert "data set <b>data</b> (2,000 windows)" in page


def test_scores_are_those_of_the_evaluation_and_named_micro_and_macro(page, evaluated):
    summary = read_evaluation(evaluated).summary
    for kind in ("macro", "micro"):
        for key, name in (("roc_auc", "ROC AUC"), ("average_precision", "average precision")):
            assert f"<b>{number(summary[kind][key])}</b><span>{kind} {name}</span>" in page
    for _, macro, micro, _ in evaluation_table(summary)[1:]:
        assert f"<td>{macro}</td><td>{micro}</td>" in page


def test_every_target_stands_with_its_scores(page, evaluated):
    for row in read_evaluation(evaluated).per_target.itertuples():
        constant = number(row.positives / row.windows)
        cells = [
            number(row.roc_auc), number(row.average_precision), constant, f"{row.positives:,}"
        ]  # fmt: skip
        line = next(line for line in page.splitlines() if f">{row.name}</td>" in line)
        assert re.findall(r"<td data-key[^>]*>(.*?)</td>", line) == cells


def test_figures_of_the_evaluation_and_the_training_are_there_with_captions(page):
    assert titles(page) == [
        "ROC curves",
        "Precision and recall",
        "Every target",
        "Calibration",
        "Loss by epoch",
        "Validation scores by epoch",
        "The model",
    ]
    assert page.count("<figcaption") == 7
    assert len(re.findall(r'<svg role="img" aria-label="[^"]+"', page)) == 7
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', page)) <= set(ids)


def test_the_page_holds_nothing_that_its_policy_forbids(page):
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! type=\"module\" src=)", page)


def test_limits_of_use_are_told(page):
    limits = page[page.index('id="limits"') : page.index('id="quality"')]
    for words in ("200 bp", "N", "Both strands", "REF", "diagnosis"):
        assert words in limits


def test_a_run_that_was_not_evaluated_says_how_to_and_shows_it_once_it_is(
    trained, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    with open_service(run) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            before = client.get("/model").text
            assert "bioq evaluate RUN DATASET" in before
            assert titles(before) == ["Loss by epoch", "Validation scores by epoch", "The model"]
            bioq.evaluate(run, trained.data)
            assert "macro ROC AUC" in client.get("/model").text


def test_a_run_without_a_history_has_the_figure_of_its_network(trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    (run / HISTORY).unlink()
    with open_service(run) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            assert titles(client.get("/model").text) == ["The model"]


def test_a_target_with_markup_in_its_name_is_escaped(trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    name = "<script>alert(1)</script>"
    (run / "targets.tsv").write_text(f"name\tcell\n{name}\tK562\nsecond\tHepG2\n")
    with open_service(run) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            page = client.get("/model").text
    assert name not in page
    assert html.escape(name) in page

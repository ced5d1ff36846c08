"""The report of a small run: what the page says, and that it needs nothing but itself."""

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bioq.dataset import Dataset, Description, new_dataset, open_dataset, pack_labels
from bioq.errors import BioqError
from bioq.evaluation.scoring import evaluate
from bioq.metrics import number
from bioq.models import build_model
from bioq.reports.evaluation import ExtraTable, write_report
from bioq.runs import folder as runs
from bioq.runs.weights import save_weights
from bioq.training.recipes import TrainConfig

TARGETS = pd.DataFrame(
    {
        "name": ["<b>bold</b>", "never"],
        "group": ["TF", "DNase & co"],
        "danq_roc_auc": ["0.9", "NA"],
    }
)
SIZES = {"filters": 4, "filter_width": 6, "pool_width": 10, "lstm_units": 3, "dense_units": 8}


def write_dataset(path: Path) -> Dataset:
    generator = np.random.default_rng(0)
    with new_dataset(path, Description("peaks", 60, 20, "half"), TARGETS) as writer:
        for name in ("train", "valid", "test"):
            labels = np.stack([generator.random(40) < 0.4, np.zeros(40, bool)], axis=1)
            with writer.split(name) as split:
                split.append(
                    generator.integers(0, 4, (40, 60)).astype(np.uint8), pack_labels(labels)
                )
    return open_dataset(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """An evaluated run with a report, and two tables of its own in it."""
    folder = tmp_path_factory.mktemp("report")
    data = write_dataset(folder / "a data set")
    config = TrainConfig(epochs=2, lr=2e-3, output_bias=False)
    torch.manual_seed(0)
    model = build_model("bioq", targets=2, window_bp=60, sizes=SIZES)
    training = {"model": "bioq", "sizes": SIZES, "motifs": None}
    training |= {"epochs": 2, "lr": 2e-3, "output_bias": False, "seed": 0}
    training["resolved"] = {**vars(config.resolve(1000))}
    run = folder / "run"
    runs.create_run(run, model=model.architecture, training=training, data=data)
    save_weights(model, run / runs.BEST)
    scores = {
        f"valid_{m}_{s}": 0.5 for m in ("macro", "micro") for s in ("roc_auc", "average_precision")
    }
    epochs = [{"epoch": n, "train_loss": 1 / n, "valid_loss": 1 / n, **scores} for n in (1, 2)]
    epochs[0]["valid_macro_average_precision"] = 0.6
    runs.write_history(run, epochs)
    evaluate(run, data)
    truth = pd.DataFrame({"rule": ["A <before> B"], "best": [0.75], "here": [np.nan]})
    write_report(run, extra_tables=[ExtraTable("Known truth", truth, "A note & more.")])
    return run


@pytest.fixture(scope="module")
def page(run) -> str:
    return (run / "evaluation/report.html").read_text(encoding="utf-8")


def test_every_figure_is_written_as_png_and_svg(run):
    names = {"calibration", "loss", "model", "precision_recall", "published_danq", "roc"}
    names |= {"targets", "validation_scores"}
    result = {file.stem for file in (run / "evaluation").glob("*.svg")}
    assert result == names == {file.stem for file in (run / "evaluation").glob("*.png")}


def test_the_page_loads_nothing_from_elsewhere(page):
    class Links(HTMLParser):
        result: list[str]

        def handle_starttag(self, tag, attributes):
            for name, value in attributes:
                if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                    self.found.append(value)

    links = Links()
    links.found = []
    links.feed(page)
    assert [link for link in links.found if not link.startswith(("#", "data:"))] == []
    assert not re.search(r"url\((?!#)|@import|fetch\(", page)


def test_the_page_is_well_formed_and_no_id_occurs_twice(page):
    empty = {"meta", "br"}

    class Tags(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open: list[str] = []
            self.ids: list[str] = []

        def handle_starttag(self, tag, attributes):
            self.ids += [value for name, value in attributes if name == "id"]
            if tag not in empty:
                self.open.append(tag)

        def handle_startendtag(self, tag, attributes):
            self.ids += [value for name, value in attributes if name == "id"]

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert len(tags.ids) == len(set(tags.ids))


def test_macro_and_micro_are_named_beside_their_numbers(run, page):
    summary = json.loads((run / "evaluation/metrics.json").read_text())
    for average in ("macro", "micro"):
        for key, name in (("roc_auc", "ROC AUC"), ("average_precision", "average precision")):
            value = number(summary[average][key])
            assert f"<b>{value}</b><span>{average} {name}</span>" in page
    assert "no average precision (–), and not in the macro mean: 1 of 2 targets (" in page


def test_names_from_the_sheet_are_shown_as_text_never_as_markup(page):
    assert "<b>bold</b>" not in page
    assert html.escape("<b>bold</b>") in page
    assert "DNase &amp; co" in page


def test_an_extra_table_stands_between_headline_and_figures(page):
    start, end = page.index("<h2>Known truth</h2>"), page.index("<h2>Figures</h2>")
    assert page.index("macro ROC AUC") < start < end
    section = page[start:end]
    assert "A note &amp; more." in section
    assert "A &lt;before&gt; B" in section
    assert '<th class="text">rule</th><th>best</th>' in section
    assert "<td>0.7500</td><td>–</td>" in section


def test_undefined_scores_are_dashes_that_sort_last(page):
    row = page[page.index('title="never"') :].split("</tr>")[0]
    assert '<td data-key="0">0 (few)</td><td data-key="">–</td>' in row


def test_the_best_epoch_is_that_of_the_figure_it_was_selected_by(run):
    svg = (run / "evaluation/loss.svg").read_text()
    assert "<!-- best epoch 1 -->" in svg
    assert "<!-- by macro ROC AUC -->" in svg


def test_the_page_says_how_to_train_and_evaluate_again(page):
    commands = html.unescape(re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)[1]).splitlines()
    assert commands == [
        "bioq train 'a data set' --out run --model bioq --filters 4 --filter-width 6 "
        "--pool-width 10 --lstm-units 3 --dense-units 8 --lr 0.002 --epochs 2 --no-output-bias",
        "bioq evaluate run 'a data set' --split test",
    ]


def test_a_run_that_was_not_evaluated_has_no_report(tmp_path):
    with pytest.raises(BioqError, match=r"no such file; run 'bioq evaluate"):
        write_report(tmp_path)


def test_sentences_have_a_space_after_each_comma(page):
    text = re.sub(r"<(script|style|svg|pre|title).*?</\1>", "", page, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]*>", "", text))
    assert re.findall(r".{20}[,;)][A-Za-z].{9}", text) == []


def test_positives_sort_as_numbers_without_a_group_too(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    file = copy / "evaluation/per_target.tsv"
    table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    table.assign(positives=["30", "31"]).drop(columns="group").to_csv(file, sep="\t", index=False)
    page = write_report(copy).read_text(encoding="utf-8")
    assert '<td data-key="30">30</td>' in page


def test_the_title_names_the_split(page):
    assert "<title>run, test · BioQ report</title>" in page
    assert "<h1>run: scores on test</h1>" in page


def test_the_settings_name_the_best_epoch_and_what_chose_it(page):
    assert '<td>best epoch</td><td class="text">1 of 2 by macro ROC AUC</td>' in page


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_page_and_long_names_keep_their_ends(
    run, browser, tmp_path, width
):
    name = "wgEncodeAwgTfbsHaibGm12878Atf2sc81188V0422111UniPk.narrowPeak.ENDING"
    copy = shutil.copytree(run, tmp_path / "run")
    table = (copy / "evaluation/per_target.tsv").read_text().replace("never", name)
    (copy / "evaluation/per_target.tsv").write_text(table)
    report = write_report(copy)
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.locator(f'td[title="{name}"]')
    ending = shown.locator("span.name > span").last
    cell, end = shown.bounding_box(), ending.bounding_box()
    assert ending.text_content().endswith("ENDING")
    assert end["x"] + end["width"] <= cell["x"] + cell["width"]
    page.close()

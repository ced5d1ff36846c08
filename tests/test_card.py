"""`bioq card`: the README.md of a run, read by other parsers; how `bioq evaluate` renews it."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt
from published_files import WINDOW_BP, Bioq2024, save
from trained_run import TrainedRun

import bioq
from bioq import BioqError, ModelSizes, TrainConfig, UsageError
from bioq.cli import main
from bioq.reports.card import refresh_card
from bioq.runs.folder import read_config
from bioq.runs.weights import read_tensors, save_tensors

SMALL = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
WINDOWS = ["ACGTTGACGTCACATAAGCC" * 10, "CCAATCAGGCCATTTTACGA" * 10]
SHORT = TrainConfig(epochs=1, batch_size=256)


@pytest.fixture
def own(trained: TrainedRun, tmp_path: Path) -> Path:
    """A copy of a trained run, which a test may change."""
    return Path(shutil.copytree(trained.run, tmp_path / "mine"))


def front_matter(card: str) -> dict[str, Any]:
    """Return what a YAML parser reads between the first two lines of dashes."""
    start, front, _ = card.split("---\n", 2)
    assert start == ""
    content: dict[str, Any] = yaml.safe_load(front)
    return content


def tables(card: str) -> list[list[list[str]]]:
    """Return the rows of cells of each table, as a Markdown parser reads them."""
    found: list[list[list[str]]] = []
    is_in_table = False
    for token in MarkdownIt().enable("table").parse(card.split("---\n", 2)[2]):
        is_in_table = (is_in_table or token.type == "table_open") and token.type != "table_close"
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and is_in_table:
            found[-1][-1].append("".join(each.content for each in token.children or ()))
    return found


def rows_of(card: str) -> dict[str, list[str]]:
    """Return the first cell of each row of all tables -> its other cells, in the first row."""
    return {row[0]: row[1:] for table in reversed(tables(card)) for row in reversed(table)}


def test_a_parser_reads_the_front_matter_of_hugging_face(own: Path) -> None:
    card = bioq.write_card(own, licence="CC BY 4.0").read_text()
    assert front_matter(card) == {
        "license": "cc-by-4.0",
        "library_name": "bioq",
        "tags": ["biology", "genomics", "dna", "chromatin", "danq"],
    }


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", {"license": "mit"}),
        ("cc-by-nc-sa-4.0", {"license": "cc-by-nc-sa-4.0"}),
        (
            'Our: own #1 "licence", see https://example.org/a#b).',
            {
                "license": "other",
                "license_name": "our-own-1-licence-see-https-example.org-a-b",
                "license_link": "https://example.org/a#b",
            },
        ),
        ("許諾", {"license": "other", "license_name": "other"}),
    ],
)
def test_a_licence_is_one_of_hugging_face_or_other(
    own: Path, licence: str, expected: dict[str, str]
) -> None:
    card = bioq.write_card(own, licence=licence).read_text()
    front = front_matter(card)
    assert {key: front[key] for key in front if key.startswith("license")} == expected
    again = bioq.write_card(own, licence=licence).read_text()
    assert again == card


def test_without_a_licence_the_card_says_what_this_means(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card", str(own)]) == 0
    assert capsys.readouterr().out.strip() == str(own / "README.md")
    card = (own / "README.md").read_text()
    assert front_matter(card)["license"] == "unknown"
    assert "nobody else may use these weights" in card
    assert main(["card", str(own), "--licence", "CC0 1.0"]) == 0
    card = (own / "README.md").read_text()
    assert front_matter(card)["license"] == "cc0-1.0"
    assert "nobody else may use" not in card
    assert card.count("## Licence") == card.count("\nlicense:") == 1


def test_the_card_has_the_data_the_settings_and_the_checksum(
    own: Path, trained: TrainedRun
) -> None:
    card = bioq.write_card(own).read_text()
    config, rows = read_config(own), rows_of(card)
    data = bioq.open_dataset(trained.data)
    windows = [f"{len(data[name]):,}" for name in ("train", "valid", "test")]
    assert rows["mine"][-3:] == windows
    assert rows["mine"][1] == data.fingerprint[:12]
    assert rows["learning rate"] == [str(config.recipe["learning_rate"])]
    weights = hashlib.sha256((own / "model.safetensors").read_bytes()).hexdigest()
    assert rows["model.safetensors"] == [weights]
    assert "first, second." in card
    best = pd.read_csv(own / "history.csv")["valid_macro_roc_auc"].max()
    assert f"{best:.4f}" in card
    assert "Not evaluated" in card
    lines = [line for line in card.splitlines() if not line.startswith("|")]
    assert max(map(len, lines)) <= 100


def test_evaluate_writes_its_part_again_and_keeps_what_people_wrote(
    own: Path, trained: TrainedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    bioq.write_card(own, licence="MIT")
    before = (own / "README.md").read_text()
    mine = before.replace("tags:\n", "tags:\n- promoters\n").replace(
        "# mine\n", "# Promoters of Anna\n\nBoth sentences are mine.\n"
    )
    (own / "README.md").write_text(mine + "\n## Thanks\n\nTo Ben.\n", newline="\r\n")
    assert main(["evaluate", str(own), str(trained.data)]) == 0
    assert f"card: {own / 'README.md'}" in capsys.readouterr().out
    card = (own / "README.md").read_text()
    assert front_matter(card)["tags"][0] == "promoters"
    assert "Both sentences are mine." in card
    assert card.endswith("## Thanks\n\nTo Ben.\n")
    assert "Not evaluated" not in card
    summary = json.loads((own / "evaluation" / "metrics.json").read_text())
    macro, constant = summary["macro"], summary["constant"]["macro"]
    rows = rows_of(card)
    assert rows["average precision"][0] == f"{macro['average_precision']:.4f}"
    assert rows["average precision"][2].startswith(f"{constant['average_precision']:.4f}")
    assert re.search(r"- \d+\.?\d* % of the labels are positive in test", card)
    assert bioq.write_card(own).read_text() == card


def test_the_card_has_the_published_scores_beside_those_here(
    own: Path, trained: TrainedRun
) -> None:
    bioq.evaluate(own, trained.data)
    file = own / "evaluation" / "metrics.json"
    summary = json.loads(file.read_text())
    row = {"model": "danq", "score": "roc_auc", "average": "macro", "targets": 2}
    summary["published"] = [row | {"published_mean": 0.9384, "mean_here": 0.9512}]
    file.write_text(json.dumps(summary))
    card = bioq.write_card(own).read_text()
    (found,) = [row for table in tables(card) for row in table if "0.9384" in " ".join(row)]
    assert "0.9512" in " ".join(found)


def test_evaluate_elsewhere_and_a_card_of_somebody_are_left_alone(
    own: Path, trained: TrainedRun, tmp_path: Path
) -> None:
    (own / "README.md").write_text("# Mine\n")
    assert not refresh_card(own)
    config = (own / "config.json").read_bytes()
    with pytest.raises(BioqError, match=r"README.md: has no part that 'bioq card' wrote, so it is"):
        bioq.write_card(own)
    assert (own / "README.md").read_text() == "# Mine\n"
    assert (own / "config.json").read_bytes() == config
    card = bioq.write_card(own, force=True).read_text()
    assert main(["evaluate", str(own), str(trained.data), "--out", str(tmp_path / "other")]) == 0
    assert (own / "README.md").read_text() == card
    assert not refresh_card(trained.run)


def test_a_folder_with_a_card_is_not_replaced(own: Path, trained: TrainedRun) -> None:
    bioq.write_card(own)
    words = ["train", str(trained.data), "--out", str(own), "--force", "--epochs", "1"]
    assert main(words) == 1
    assert (own / "README.md").exists()


def test_no_file_of_a_shared_run_has_a_path_of_this_computer(
    trained: TrainedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "home of anna"
    data = bioq.open_dataset(shutil.copytree(trained.data, here / "data"))
    runs = [here / "run-0", here / "run-1"]
    bioq.train(data, runs[0], model="danq", sizes=SMALL, config=SHORT)
    bioq.train(data, runs[1], from_run=runs[0], freeze=True, config=SHORT)
    bioq.make_ensemble(runs, here / "mean")
    for run in (*runs, here / "mean"):
        if run != runs[0]:
            assert main(["evaluate", str(run), str(data.path)]) == 0
        assert b"home of anna" in (run / "config.json").read_bytes()
        expected = bioq.predict(bioq.load(run), WINDOWS)
        assert main(["card", str(run)]) == 0
        assert "of this computer, so that the folder can be shared" in capsys.readouterr().err
        for file in run.rglob("*"):
            assert not file.is_file() or b"home of anna" not in file.read_bytes(), file
        moved = shutil.copytree(run, tmp_path / "elsewhere" / run.name)
        again = bioq.predict(bioq.load(moved), WINDOWS)
        assert (again == expected).all()
    config = read_config(here / "mean")
    assert [member["origin"] for member in config.members] == ["run-0", "run-1"]
    card = " ".join((here / "run-1" / "README.md").read_text().split())
    weights = hashlib.sha256((runs[0] / "model.safetensors").read_bytes()).hexdigest()
    assert (
        f"run-1 started from the weights of the run run-0 (SHA-256 `{weights}`), and only" in card
    )


def test_the_card_of_an_ensemble_names_each_member(
    own: Path, trained: TrainedRun, tmp_path: Path
) -> None:
    bioq.train(trained.data, tmp_path / "other", model="danq", sizes=SMALL, config=SHORT)
    bioq.make_ensemble([own, tmp_path / "other"], tmp_path / "mean")
    card = bioq.write_card(tmp_path / "mean").read_text()
    rows = rows_of(card)
    for name in ("mine", "other"):
        file = tmp_path / "mean" / "members" / name / "model.safetensors"
        sha = hashlib.sha256(file.read_bytes()).hexdigest()
        assert rows[f"members/{name}/model.safetensors"] == [sha]
    assert "The mean of 2 networks (`danq`)" in card
    assert "filters" not in rows
    assert rows["model"] == ["danq"]


def test_the_card_of_an_imported_run_says_where_its_weights_come_from(tmp_path: Path) -> None:
    file = save(Bioq2024(), tmp_path / "best|model.pth")
    bioq.import_model(file, tmp_path / "run", window_bp=WINDOW_BP)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["imported"]["licence"] = "CC BY 3.0"
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    card = bioq.write_card(tmp_path / "run").read_text()
    rows = rows_of(card)
    assert rows["sha256"] == [hashlib.sha256(file.read_bytes()).hexdigest()]
    assert rows["file"] == ["best|model.pth"]
    assert rows["channels"] == ["AGCT"]
    assert front_matter(card)["license"] == "cc-by-3.0"
    assert "of 3 targets in the middle 200 bp" in " ".join(card.split())
    assert "Not evaluated" in card
    assert "No published file with this checksum is known to BioQ" in card
    assert card.count(rows["sha256"][0]) == 1
    assert "`published tr" not in card
    assert "Numbers of windows" not in card
    shown = bioq.write_card(tmp_path / "run", licence="of its authors").read_text()
    assert front_matter(shown)["license_name"] == "of-its-authors"


@pytest.mark.parametrize(
    "theirs",
    [
        "license:\n- mit\n- apache-2.0",
        "license: other\nlicense_name: >\n  long\n\n  text\nlicense_link: x",
        "'license': mit",
        "license : mit  # as always",
    ],
)
def test_a_licence_as_people_write_it_is_replaced(theirs: str, own: Path) -> None:
    card = bioq.write_card(own, licence="MIT").read_text()
    for changed in (
        card.replace("license: mit", theirs),
        card.replace("license: mit", theirs).replace("---\n\n#", "...\n\n#"),
        card.replace("---\n", "--- \n")
        .replace("license: mit\n", "")
        .replace("tags:", f"{theirs}\ntags:"),
    ):
        (own / "README.md").write_text(changed)
        again = bioq.write_card(own, licence="CC BY 4.0").read_text()
        front = yaml.safe_load(again.split("\n...\n")[0].split("\n---")[0])
        assert front["license"] == "cc-by-4.0"
        assert {*front} == {"license", "library_name", "tags"}
        assert "dna" in front["tags"]


def test_a_run_that_cannot_be_described_is_not_changed(own: Path) -> None:
    before = (own / "config.json").read_bytes()
    (own / "model.safetensors").unlink()
    with pytest.raises(BioqError, match=r"expected a run that has finished an epoch"):
        bioq.write_card(own)
    assert (own / "config.json").read_bytes() == before


def test_a_wrapped_line_begins_no_list(own: Path) -> None:
    name = " ".join(["word - 1. + x"] * 30)
    (own / "targets.tsv").write_text(f"name\n{name}\nsecond\n")
    page = MarkdownIt().render(
        bioq.write_card(own).read_text().split("# mine")[1].split("## Use")[0]
    )
    assert "<li>" not in page
    assert name in " ".join(page.split())


@pytest.mark.parametrize("length", range(20, 32))
def test_code_is_in_one_line(own: Path, length: int) -> None:
    renamed = own.rename(own.with_name("n" * length))
    card = bioq.write_card(renamed).read_text()
    assert "`bioq --help`" in card
    assert "\\--help" not in card


def test_names_are_shown_and_not_obeyed(own: Path, tmp_path: Path) -> None:
    evil = "a|b <script> [x](y) -->`*_q_"
    table = (own / "targets.tsv").read_text().replace("first", evil)
    (own / "targets.tsv").write_text(table)
    name = "run <!-- BioQ writes to here -->|x"
    renamed = own.rename(tmp_path / name)
    card = bioq.write_card(renamed, licence="<b>| free").read_text()
    page = MarkdownIt().enable("table").render(card.split("---\n", 2)[2])
    assert "<script>" not in page
    assert "<b>" not in page
    assert "a|b &lt;script&gt; [x](y) --&gt;`*_q_" in page
    assert [name, "500"] in [[row[0], row[-1]] for table in tables(card) for row in table]
    assert bioq.write_card(renamed).read_text() == card
    assert front_matter(card)["library_name"] == "bioq"


def test_a_member_with_the_name_of_a_comment_does_not_end_the_part(
    trained: TrainedRun, tmp_path: Path
) -> None:
    runs = [tmp_path / name for name in ("<!-- BioQ writes to here -->", "second")]
    for change, run in enumerate(runs):
        shutil.copytree(trained.run, run)
        weights, _ = read_tensors(run / "model.safetensors")
        save_tensors({name: w + change for name, w in weights.items()}, run / "model.safetensors")
    bioq.make_ensemble(runs, tmp_path / "both")
    card = bioq.write_card(tmp_path / "both").read_text()
    assert card.count("<!-- BioQ writes to here -->") == 1
    assert bioq.write_card(tmp_path / "both").read_text() == card


def test_wrong_cards_and_licences_are_one_line(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"licence is empty; expected its name"):
        bioq.write_card(own, licence=" ")
    assert not (own / "README.md").exists()
    (own / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(BioqError, match=r"README.md: is not text in UTF-8; move it to another"):
        bioq.write_card(own)
    with pytest.raises(BioqError, match=r"holds no config.json; expected a run folder"):
        bioq.write_card(tmp_path)

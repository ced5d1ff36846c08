"""Names that honest people use are kept; hostile ones and impossible paths end in one line."""

import json
import os
import signal
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from fault_commands import Counted
from fault_folders import Folders
from matplotlib.figure import Figure

from bioq.cli import main
from bioq.errors import BioqError, harmless, without_controls
from bioq.files import require_absent
from bioq.interpretation import gradients
from bioq.plots.style import to_png, to_svg
from bioq.runs.trained_model import load

KEPT = (
    "数据\u3000集",
    "my\u00a0data",
    "a\u202fb",
    "👩\u200d🔬",
    "نمی\u200cخواهم",
    "tab\tname",
    "new\nline",
)
"""A blank of Chinese text, those of macOS and of a word processor, and joined letters."""
SMALL = "--model danq --filters 4 --filter-width 6 --pool-width 10 --lstm-units 2 --dense-units 4"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("names"))


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """End what runs for ever."""

    def stop(*_: object) -> None:
        raise AssertionError("did not end in a minute")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", KEPT)
def test_a_run_of_a_data_set_of_any_name_is_read_again(
    name: str, folders: Folders, tmp_path: Path, counted: Counted
) -> None:
    data, run = tmp_path / name, tmp_path / f"run {name}"
    data.symlink_to(folders.data)  # on another disk, perhaps
    fasta, out = tmp_path / f"{name}.fa", tmp_path / f"{name}.tsv"
    fasta.write_text(">a\n" + "ACGT" * 10 + "\n")
    config = json.loads((folders.run / "config.json").read_text())
    window = config["model"]["window_bp"]
    fasta.write_text(">a\n" + "A" * window + "\n")
    assert main(["train", str(data), "--out", str(run), *SMALL.split(), "--epochs", "1"]) == 0
    assert load(run).window_bp == window
    assert main(["evaluate", str(run), str(data)]) == 0
    assert main(["train", str(data), "--out", str(run), "--resume"]) == 0
    assert main(["predict", str(run), str(fasta), "--out", str(out)]) == 0
    counted("names with odd blanks and joined letters", "trained, evaluated, predicted", 4)


def test_a_path_that_is_not_utf8_is_refused_before_work(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], counted: Counted
) -> None:
    data = tmp_path / "\udcffdata"
    data.symlink_to(folders.data)
    odd = str(tmp_path / "\udcff")
    fasta = tmp_path / "s.fa"
    fasta.write_text(">a\nACGT\n")
    for command in (
        ["train", str(folders.data), "--out", odd],
        ["predict", str(folders.run), str(fasta), "--out", f"{odd}.tsv"],
        ["data", "simulate", "--out", odd],
    ):
        assert main(command) == 1
        assert "not UTF-8" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.fa", "\udcffdata"]
    counted("paths that are not UTF-8", "refused before work", 3)


def test_links_in_a_circle_and_a_file_for_a_folder_are_one_line(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], counted: Counted
) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "file").write_text("")
    data = str(folders.data)
    tried = 0
    for out in ("a", "a/x", "file/x", "file/x/y"):
        for command in (["train", data], ["train", data, "--force"], ["data", "simulate"]):
            assert main([*command, "--out", str(tmp_path / out)]) == 1
            tried += 1
    for run in ("a", "file"):
        path = str(tmp_path / run)
        assert main(["train", data, "--from", path, "--out", str(tmp_path / "x")]) == 1
        assert main(["evaluate", path, path, data, "--out", str(tmp_path / "x")]) in (1, 2)
        tried += 2
    lines = capsys.readouterr().err.splitlines()
    assert not [line for line in lines if "unexpected" in line]
    with pytest.raises(BioqError, match="is not a folder"):
        require_absent(tmp_path / "file" / "x")
    counted("circles of links, files for folders", "one line", tried)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc")
def test_a_folder_in_which_nothing_can_be_made_is_not_tried_for_ever(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], counted: Counted
) -> None:
    window = json.loads((folders.run / "config.json").read_text())["model"]["window_bp"]
    fasta = tmp_path / "s.fa"
    fasta.write_text(">a\n" + "A" * window + "\n")
    assert main(["predict", str(folders.run), str(fasta), "--out", "/proc/self/o.tsv"]) == 1
    assert "could not be made in /proc/self" in capsys.readouterr().err
    counted("an output in a folder that takes none", "one line", 1)


@pytest.mark.parametrize("host", ["\x1b[31m", "a" * 300, "x\0y", "\udcff"])
def test_a_host_that_is_no_host_is_one_line(
    host: str, folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(folders.run), "--host", host, "--port", "0"]) == 2
    assert "cannot be served" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", [".".join("a" * 300) + " = 1\n", "a = 1\n" * 200_000, "#" + "x" * (1 << 20)]
)
def test_options_that_take_memory_to_parse_are_refused(
    text: str, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "options.toml"
    file.write_text(text)
    assert main(["train", str(folders.data), "--plan", "--config", str(file)]) == 1
    assert "options in TOML are at most" in capsys.readouterr().err


def test_no_memory_for_a_tensor_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def summary(run: str, /) -> None:
        torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr("bioq.cli.summary.summary", summary)
    assert main(["summary", "x"]) == 1
    assert capsys.readouterr().err.startswith("bioq: out of memory")


CONTROLS = "a\x1b[31m\x07\x00\x9b\u202eb"


def test_a_figure_and_a_page_show_control_characters() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set_title(f"{CONTROLS} <b>")
    axes.set_yticks([0, 1], [CONTROLS, "b"])
    ElementTree.fromstring(to_svg(figure))  # XML has no control characters
    assert to_png(figure)
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == [without_controls(CONTROLS), "b"]
    assert harmless(CONTROLS) == without_controls(CONTROLS) == r"a\x1b[31m\x07\x00\x9b\u202eb"
    assert without_controls("数据\u3000集\t\n👩\u200d🔬") == "数据\u3000集\t\n👩\u200d🔬"


def test_an_attribution_of_a_long_window_is_that_of_a_short_one(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(folders.run)
    windows = ["ACGT" * model.window_bp][0][: model.window_bp]
    whole = gradients.integrated_gradients(model, windows, target=0)
    monkeypatch.setattr(gradients, "_MOST_BASES", model.window_bp)
    single = gradients.integrated_gradients(model, windows, target=0)
    assert pd.Series(abs(whole.values - single.values).ravel()).max() < 1e-6

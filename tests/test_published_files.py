"""Files that `bioq import` refuses, models by name, and the target tables."""

import hashlib
import pickle
import shutil
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from download_site import Site
from published_files import (
    NETWORKS,
    WINDOW_BP,
    Beluga,
    deepsea,
    keras_layers,
    large_weights,
    save,
    save_keras,
)
from torch import Tensor

import bioq
from bioq.cli import main
from bioq.errors import BioqError
from bioq.published import named
from bioq.published.layouts import LAYOUTS
from bioq.published.publications import PUBLICATIONS
from bioq.published.targets import DEEPSEA_TARGET_TABLE, published_targets

State = dict[str, Tensor]


def refused(file: Path, run: Path, **arguments: Any) -> str:
    """Return the line with which an import is refused; nothing is left behind."""
    with pytest.raises(BioqError) as error:
        bioq.import_model(file, run, **({"window_bp": WINDOW_BP} | arguments))
    assert not run.exists()
    line = str(error.value)
    assert "\n" not in line
    return line


def lacks(state: State) -> None:
    del state["4.bias"]


def has_more(state: State) -> None:
    state["20.weight"] = torch.ones(3)


def has_other_shape(state: State) -> None:
    state["4.bias"] = torch.ones(7)


def has_other_axes(state: State) -> None:
    state["0.weight"] = state["0.weight"].squeeze(2)


def has_double(state: State) -> None:
    state["8.weight"] = state["8.weight"].double()


def has_nan(state: State) -> None:
    state["12.1.weight"][2, 3] = float("nan")


def has_other_filters(state: State) -> None:
    state["4.weight"], state["4.bias"] = torch.ones(7, 4, 1, 8), torch.ones(7)
    state["8.weight"] = torch.ones(12, 7, 1, 8)


def has_odd_inputs(state: State) -> None:
    state["12.1.weight"] = state["12.1.weight"][:, 1:]


def is_repeated(state: State) -> None:
    state["12.1.weight"] = torch.ones(1).expand_as(state["12.1.weight"])


def is_sparse(state: State) -> None:
    state["0.bias"] = state["0.bias"].to_sparse()


def is_a_shape(state: State) -> None:
    state["0.bias"] = state["0.bias"].to("meta")


def is_half_empty(state: State) -> None:
    for name in list(state)[2:]:
        del state[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lacks, "as DeepSEA (Zhou & Troyanskaya 2015): has no 4.bias; expected the 10 tensors"),
        (has_more, "has also 20.weight; expected the 10 tensors"),
        (has_other_shape, "4.bias has the shape (7,), expected (second filters = 6)"),
        (has_other_axes, "0.weight has the shape (4, 4, 8), expected (filters"),
        (has_double, "8.weight is of type float64, expected float32"),
        (has_nan, "1 of the 1,260 numbers in dense.weight are NaN or infinite; restore it"),
        (has_other_filters, "has (4, 7, 12) filters, expected 1, 1.5 and 3 times the first"),
        (has_odd_inputs, "reads 179 numbers, expected a multiple of 12, which is one position"),
        (is_repeated, "12.1.weight is sparse, quantized, one number repeated or"),
        (is_sparse, "0.bias is sparse, quantized, one number repeated or"),
        (is_a_shape, "0.bias is sparse, quantized, one number repeated or only a shape"),
        (is_half_empty, "has the tensors 0.weight, 0.bias, which are of no network that BioQ"),
    ],
)
def test_another_state_dict_is_refused(
    change: Callable[[State], None], message: str, tmp_path: Path
) -> None:
    state = {name: value.clone() for name, value in deepsea().state_dict().items()}
    change(state)
    torch.save(state, tmp_path / "file.pth")
    assert message in refused(tmp_path / "file.pth", tmp_path / "run")


class Runs:
    """An object whose pickle runs a program."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("is_old", [True, False])
def test_nothing_is_unpickled_but_tensors(is_old: bool, tmp_path: Path) -> None:
    mark, file = tmp_path / "mark", tmp_path / "file.pth"
    content = {"0.weight": torch.ones(3), "more": Runs(mark)}
    torch.save(content, file, _use_new_zipfile_serialization=not is_old)
    assert "or has other objects than tensors" in refused(file, tmp_path / "run")
    file.write_bytes(pickle.dumps(Runs(mark), protocol=2))
    refused(file, tmp_path / "run")
    assert not mark.exists()


def test_a_pytorch_that_reads_pickles_unsafely_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(deepsea(), tmp_path / "file.pth")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    line = refused(tmp_path / "file.pth", tmp_path / "run")
    assert line.endswith("(CVE-2026-24747); install PyTorch 2.10 or later")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "is [1, 2], expected the state_dict of a network"),
        ({}, "is an empty dict, expected the state_dict"),
        ({"a": 3}, "a is of type int, expected the state_dict"),
        ({"a": torch.ones(3)}, "has the tensors a, which are of no network that BioQ reads"),
    ],
)
def test_other_content_of_a_checkpoint_is_refused(
    content: Any, message: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "file.pth")
    assert message in refused(tmp_path / "file.pth", tmp_path / "run")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with b''; expected the file of a published model"),
        (b"weights\n", "begins with b'weights"),
        (b"<html><body>", "is a web page (HTML or XML); expected the file of a published model"),
        (b"PK\x03\x04 not a zip", "cannot be read as a PyTorch checkpoint"),
        (b"\x80\x02 not a pickle", "is damaged, or has other objects than tensors"),
        (b"\x89HDF\r\n\x1a\n not HDF5", "is an HDF5 file that cannot be read"),
    ],
)
def test_another_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert message in refused(tmp_path / "file", tmp_path / "run")


@pytest.mark.parametrize("is_old", [True, False])
def test_a_checkpoint_that_was_cut_short_is_refused(is_old: bool, tmp_path: Path) -> None:
    whole = save(deepsea(), tmp_path / "whole.pth", is_old=is_old).read_bytes()
    for share in (0.3, 0.7, 0.98):
        (tmp_path / "file.pth").write_bytes(whole[: int(share * len(whole))])
        assert "it is cut short or damaged" in refused(tmp_path / "file.pth", tmp_path / "run")


def test_a_zip_archive_that_inflates_is_refused(tmp_path: Path) -> None:
    save(deepsea(), tmp_path / "file.pth")
    with (
        zipfile.ZipFile(tmp_path / "file.pth") as whole,
        zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for part in whole.infolist():
            small.writestr(part.filename, whole.read(part))
    assert "zip archive with compressed files" in refused(tmp_path / "small.pth", tmp_path / "run")


def test_a_damaged_directory_of_a_zip_archive_is_refused(tmp_path: Path) -> None:
    content = save(deepsea(), tmp_path / "file.pth").read_bytes()
    directory = content.index(b"PK\x01\x02")
    at = content.index(b"byteorder", directory)
    (tmp_path / "file.pth").write_bytes(content[:at] + b"\xc5" + content[at + 1 :])
    assert "cannot be read as a zip archive" in refused(tmp_path / "file.pth", tmp_path / "run")


def test_a_network_within_a_checkpoint_of_a_script_is_read(tmp_path: Path) -> None:
    network = large_weights(deepsea())
    state = OrderedDict((f"module.{name}", value) for name, value in network.state_dict().items())
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "file.pth")
    model = bioq.import_model(tmp_path / "file.pth", tmp_path / "run", window_bp=WINDOW_BP)
    assert torch.equal(model.network.output.bias, network[14][1].bias)


def test_selenes_danq_is_refused_with_the_reason(tmp_path: Path) -> None:
    state = {f"nnet.0.{kind}": torch.ones(3) for kind in ("weight", "bias")}
    state |= {f"bdlstm.0.{name}": value for name, value in torch.nn.LSTM(3, 2).state_dict().items()}
    for layer in (1, 3):
        state |= {f"classifier.{layer}.{kind}": torch.ones(3) for kind in ("weight", "bias")}
    for prefix in ("", "model."):
        named_state = {f"{prefix}{name}": value for name, value in state.items()}
        torch.save({"state_dict": named_state}, tmp_path / "file.pth")
        line = refused(tmp_path / "file.pth", tmp_path / "run")
        assert "is Selene's DanQ, whose LSTM reads the windows of a batch as one sequence" in line


def no_layers(file: h5py.File) -> None:
    del file.attrs["nb_layers"]


def no_group(file: h5py.File) -> None:
    del file["layer_3"]


def no_parameter(file: h5py.File) -> None:
    del file["layer_3/param_7"]


def counts_text(file: h5py.File) -> None:
    file["layer_3"].attrs["nb_params"] = "24"


def whole_numbers(file: h5py.File) -> None:
    del file["layer_6/param_1"]
    file["layer_6/param_1"] = np.ones(7, np.int32)


def outside(file: h5py.File) -> None:
    del file["layer_6/param_1"]
    file["layer_6/param_1"] = h5py.ExternalLink("other.h5", "x")


def elsewhere(file: h5py.File) -> None:
    del file["layer_6/param_1"]
    file["layer_6"].create_dataset("param_1", (7,), "f4", external=[("secret", 0, 28)])


def huge(file: h5py.File) -> None:
    del file["layer_6/param_0"]
    file["layer_6"].create_dataset("param_0", (1 << 20, 1 << 20), "f4", chunks=(64, 64))


def other_units(file: h5py.File) -> None:
    del file["layer_3/param_1"]
    file["layer_3/param_1"] = np.ones((4, 5), np.float32)


def infinite(file: h5py.File) -> None:
    file["layer_3/param_1"][2, 3] = np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_layers, "/ has no attribute nb_layers, expected a number up to 1,000"),
        (no_group, "has no group layer_3 in /; expected the file that save_weights of Keras 0.2"),
        (no_parameter, "has no dataset param_7 in /layer_3"),
        (counts_text, "/layer_3 has another attribute nb_params"),
        (whole_numbers, "layer_6/param_1 is of type int32, expected float32"),
        (outside, "has no dataset param_1 in /layer_6"),
        (elsewhere, "has no dataset param_1 in /layer_6"),
        (huge, "has more than 2,147,483,648 numbers"),
        (other_units, "layer_3/param_1 has the shape (4, 5), expected (lstm_units = 5"),
        (infinite, "1 of the 100 numbers in lstm.weight_hh_l0 are NaN or infinite"),
    ],
)
def test_another_file_of_keras_is_refused(
    change: Callable[[h5py.File], None], message: str, tmp_path: Path
) -> None:
    file = save_keras("danq", keras_layers("danq"), tmp_path / "file.hdf5")
    (tmp_path / "secret").write_bytes(bytes(28))
    with h5py.File(file, "r+") as opened:
        change(opened)
    assert message in refused(file, tmp_path / "run")


def test_the_length_of_windows_is_that_of_the_dense_layer(tmp_path: Path) -> None:
    fitting = {"deepsea": (387, 402), "beluga": (390, 405), "bioq-2024": (399, 402)}
    for name, network in NETWORKS.items():
        file, run = save(network(), tmp_path / f"{name}.pth"), tmp_path / name
        least, most = fitting[name]
        line = refused(file, run, window_bp=None)
        assert line.endswith(f"do not give; give --window-bp, from {least} to {most}"), line
        refused(file, run, window_bp=least - 1)
        refused(file, run, window_bp=most + 1)
        for window_bp in (least, most):
            assert bioq.import_model(file, run, window_bp=window_bp).window_bp == window_bp
            bioq.import_model(file, run, window_bp=window_bp, force=True)
            assert main(["import", str(file), "--out", str(run)]) == 1
            shutil.rmtree(run)


def test_only_keras_files_have_a_second_lstm(tmp_path: Path) -> None:
    file = save(deepsea(), tmp_path / "file.pth")
    line = refused(file, tmp_path / "run", second_lstm="forward")
    assert line.endswith("whose file decides how it is read; run without --second-lstm")


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    file = save(deepsea(), tmp_path / "file.pth")
    before = file.read_bytes()
    with pytest.raises(BioqError):
        bioq.import_model(file, file, window_bp=WINDOW_BP, force=True)
    with pytest.raises(BioqError):
        bioq.import_model(file, tmp_path, window_bp=WINDOW_BP, force=True)
    assert file.read_bytes() == before


def test_targets_are_named_by_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, sheet = save(deepsea(), tmp_path / "file.pth"), tmp_path / "sheet.tsv"
    sheet.write_text("name\tcell\nA\tx\nB\ty\nC\tz\n")
    model = bioq.import_model(file, tmp_path / "a", window_bp=WINDOW_BP, targets=sheet)
    assert list(model.targets["name"]) == ["A", "B", "C"]
    assert list(model.targets["cell"]) == ["x", "y", "z"]
    assert "target_0" not in capsys.readouterr().err
    model = bioq.import_model(file, tmp_path / "b", window_bp=WINDOW_BP)
    assert list(model.targets["name"]) == ["target_0", "target_1", "target_2"]
    assert "3 targets, which are named target_0, target_1 and so on" in capsys.readouterr().err
    sheet.write_text("name\nA\nB\n")
    line = refused(file, tmp_path / "c", targets=sheet)
    assert f"{sheet}: names 2 targets, {file} has 3; give one row per target" in line


def test_919_targets_have_deepseas_annotation_and_genome(tmp_path: Path) -> None:
    file = save(deepsea(919), tmp_path / "file.pth")
    model = bioq.import_model(file, tmp_path / "run", window_bp=WINDOW_BP)
    expected = pd.read_csv(DEEPSEA_TARGET_TABLE, sep="\t", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(model.targets, expected)
    assert model.config.genome_build == "hg19"
    assert model.config.imported["genome"] == "hg19"
    seen = set(model.config.data["seen_contigs"])
    assert seen == {f"chr{number}" for number in range(1, 23)} - {"chr8", "chr9"}


def test_2002_targets_are_those_of_beluga(tmp_path: Path) -> None:
    file = save(Beluga(2002), tmp_path / "file.pth")
    targets = bioq.import_model(file, tmp_path / "run", window_bp=WINDOW_BP).targets
    assert len(targets) == targets["name"].nunique() == 2002
    deepsea_names = published_targets(919)["name"]
    assert list(targets["name"][:815]) == list(deepsea_names[:815])
    assert targets["group"].value_counts().to_dict() == {
        "histone": 978,
        "TF": 690,
        "DNase": 334,
    }
    # 1,187 names of the published list from here on, joined by _: its length in characters.
    roadmap = targets[815:]
    published = roadmap["cell"] + "_" + roadmap["target"] + "_" + roadmap["treatment"]
    assert published.str.len().sum() + len(published) == 46_739
    assert published.iloc[0] == "ES-I3_Cell_Line_H3K27me3_None"
    assert published.iloc[-1] == "Osteoblasts_H4K20me1_None"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def serve(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name deepsea stand for a small file of the local server."""
    site.content = save(large_weights(deepsea()), tmp_path / "served.pth").read_bytes()
    md5 = hashlib.md5(site.content, usedforsecurity=False).hexdigest()
    file = named.PublishedFile("DeepSEA", site.url, md5)
    monkeypatch.setitem(named.NAMED, "deepsea", file)  # type: ignore[arg-type]  # a dict


def test_a_name_is_downloaded_once(
    cache: Path,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve(site, tmp_path, monkeypatch)
    site.break_after = [1000]
    words = ["import", "deepsea", "--window-bp", str(WINDOW_BP)]
    assert main([*words, "--out", "run"]) == 0
    told = capsys.readouterr().err
    assert "'bioq background run --random 100000 --genome hg19' makes one" in told
    assert site.ranges == [None, "bytes=1000-"]
    assert main([*words, "--out", "again"]) == 0
    assert len(site.ranges) == 2
    assert (cache / "published/deepsea.pth").read_bytes() == site.content


def test_a_file_of_the_cache_that_was_changed_is_not_the_published_one(
    cache: Path,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve(site, tmp_path, monkeypatch)
    save(large_weights(deepsea(), seed=1), tmp_path / "other.pth")
    words = ["import", "deepsea", "--window-bp", str(WINDOW_BP), "--out", "run"]
    for kept in ((tmp_path / "other.pth").read_bytes(), site.content[:1000], None):
        file = cache / "published/deepsea.pth"
        shutil.rmtree(cache, ignore_errors=True)
        (file if kept is None else file.parent).mkdir(parents=True)
        if kept is not None:
            file.write_bytes(kept)
        assert main(words) == 1
        assert "is not the published file of DeepSEA, so it was" in capsys.readouterr().err
        assert not Path("run").exists()
    file.rmdir()
    assert main(words) == 0


def test_a_mirror_with_another_file_is_refused(
    cache: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """The published MD5 is required of a mirror too."""
    assert main(["import", "beluga", "--from-url", site.url, "--out", "run"]) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the MD5 of the download is" in line
    assert "expected 62360f2db4ac96554d28d058b50ab654; it was removed" in line
    assert not list(cache.rglob("*.pth*"))
    assert not Path("run").exists()


def test_a_file_of_a_name_wins(cache: Path, site: Site, tmp_path: Path) -> None:
    save(deepsea(), tmp_path / "deepsea")
    assert main(["import", "deepsea", "--window-bp", str(WINDOW_BP), "--out", "run"]) == 0
    assert site.ranges == []
    assert not cache.exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nothing.pth"], 1, "nothing.pth: no such file; expected the file of a published model"),
        (["deepsee"], 1, "deepsee: no such file; did you mean deepsea? expected the file"),
        (["danq"], 1, "danq: no such file; no file of this model is online, give your copy of it;"),
        (["folder"], 1, "folder: is not a file; give the file of a published model"),
        (["a.pth", "--from-url", "http://x/y"], 2, "and a.pth is no such name; run without it"),
        (["folder/f", "--from-url", "http://x/y"], 2, "folder/f is a file here; run without it"),
        (["deepsea", "--from-url", "ftp://x/y"], 1, "ftp://x/y: is not a web address"),
        (["f", "--second-lstm", "both"], 2, "--second-lstm"),
    ],
)
def test_a_wrong_name_is_one_line(
    words: list[str], code: int, message: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    Path("folder/f").write_bytes(b"x")
    assert main(["import", *words, "--out", "run"]) == code
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_each_layout_has_its_publication() -> None:
    assert [layout.name for layout in LAYOUTS] == list(PUBLICATIONS)

"""Runs by name, and what every command and function takes as a run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from variant_cases import write_vcf

import bioq
from bioq import dna
from bioq.cli import main
from bioq.errors import BioqError
from bioq.published.named import NAMED
from bioq.runs import named
from bioq.runs.addresses import parse_address
from bioq.runs.folder import read_config
from bioq.runs.named import IMPORTED, NamedRun, resolve_run
from bioq.runs.origin import RECORD
from bioq.runs.weights import read_tensors, save_tensors

ENTRY = NamedRun("small", licence="CC0-1.0")
ADDRESS = "hf:someone/tiny"


@pytest.fixture
def given(
    request: pytest.FixtureRequest,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The text of a run: the name of one in the package, or an address that is in the cache."""
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing answers
    monkeypatch.setattr(named, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr("bioq.cli.models.RUNS", (ENTRY,))  # imports it: before the next line
    monkeypatch.setattr(named, "RUNS", (ENTRY,))
    shutil.copytree(run, tmp_path / "shipped" / "small")
    address: Any = parse_address(ADDRESS)
    home = tmp_path / "cache" / "runs" / address.folder
    shutil.copytree(run, home / address.name)
    (home / RECORD).write_text('{"address": "hf:someone/tiny", "version": "abc", "licence": "mit"}')
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    chosen: str = getattr(request, "param", "small")
    return chosen


def write_inputs(folder: Path) -> None:
    """Write a genome of one contig, a FASTA and a VCF."""
    bases = dna.decode(np.random.default_rng(3).integers(0, 4, 1000).astype(np.uint8))
    (folder / "genome.fa").write_text(f">chr1\n{bases}\n")
    (folder / "in.fa").write_text(f">one\n{bases[:200]}\n")
    rows = [("chr1", pos, ".", bases[pos - 1], "A" if bases[pos - 1] != "A" else "C")
            for pos in range(300, 420)]  # fmt: skip
    write_vcf(folder / "in.vcf", rows)


GENOME = ["--genome", "genome.fa"]
SMALL = ["--epochs", "1", "--device", "cpu"]
COMMANDS = [
    ["predict", "RUN", "in.fa", "--out", "OUT.tsv"],
    ["variants", "RUN", "in.vcf", *GENOME, "--out", "OUT.tsv"],
    ["background", "RUN", "in.vcf", *GENOME, "--out", "OUT.npz"],
    ["mutagenesis", "RUN", "in.fa", "--out", "OUT.tsv"],
    ["attribution", "RUN", "in.fa", "--out", "OUT.tsv", "--steps", "2"],
    ["evaluate", "RUN", "DATA", "--out", "OUT"],
    ["train", "DATA", "--from", "RUN", "--out", "OUT", *SMALL],
    ["ensemble", "RUN", "other", "--out", "OUT"],
    ["targets", "RUN"],
    ["summary", "RUN"],
]


def test_every_command_takes_a_name_or_an_address(
    given: str,
    run: Path,
    masked_data: bioq.dataset.Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each writes and prints the same as with the folder of the run: every other command takes a
    name, the rest an address."""
    write_inputs(Path())
    weights = shutil.copytree(run, Path("other")) / "model.safetensors"
    save_tensors({name: tensor / 2 for name, tensor in read_tensors(weights)[0].items()}, weights)
    for position, command in enumerate(COMMANDS):
        printed = []
        for number, text in enumerate(((given, ADDRESS)[position % 2], str(run))):
            values = {"RUN": text, "DATA": str(masked_data.path)}
            words = [values.get(word, word.replace("OUT", f"{command[0]}-{number}"))
                     for word in command]  # fmt: skip
            assert main(words) == 0, (command, capsys.readouterr().err)
            printed.append(capsys.readouterr().out.replace(f"{command[0]}-{number}", "OUT"))
        assert printed[0] == printed[1], command
        for ending in (".tsv", ".npz"):
            first, second = (Path(f"{command[0]}-{number}{ending}") for number in (0, 1))
            assert first.exists() == second.exists()
            if ending == ".tsv" and first.exists():
                assert first.read_bytes() == second.read_bytes()
    assert read_config(Path("train-0")).training["from"]["targets_kept"] == 2
    assert "address" not in read_config(Path("train-0")).training["from"]


@pytest.mark.parametrize("given", ["small", ADDRESS], indirect=True)
def test_the_server_the_cluster_and_motifs_get_the_folder(
    given: str, monkeypatch: pytest.MonkeyPatch, masked_data: bioq.dataset.Dataset
) -> None:
    write_inputs(Path())
    got: list[Path] = []

    def note(run: Path, *_: Any, **__: Any) -> None:
        got.append(run)
        raise BioqError("enough")

    monkeypatch.setattr("bioq.web.serve", note)
    monkeypatch.setattr("bioq.cli.predict.predict_on_ray", note)
    monkeypatch.setattr(
        "bioq.cli.variants.write_variants_on_ray", lambda job, *_, **__: note(job.run)
    )
    monkeypatch.setattr("bioq.cli.motifs.write_motif_folder", note)
    for words in (
        ["serve", given],
        ["predict", given, "in.fa", "--out", "parts", "--ray", "local"],
        ["variants", given, "in.vcf", *GENOME, "--out", "parts", "--ray", "local"],
        ["motifs", given, str(masked_data.path), "--out", "motifs"],
    ):
        assert main(words) == 1
    assert got == [resolve_run(given)] * 4
    assert (got[0] / "config.json").exists()


@pytest.mark.parametrize("given", ["small", ADDRESS], indirect=True)
def test_every_function_takes_a_name_and_an_address(
    given: str, run: Path, masked_data: bioq.dataset.Dataset
) -> None:
    model = bioq.load(given)
    expected = bioq.predict(bioq.load(run), ["ACGT" * 50])
    np.testing.assert_array_equal(bioq.predict(model, ["ACGT" * 50]), expected)
    np.testing.assert_array_equal(bioq.predict(given, ["ACGT" * 50]), expected)
    config = bioq.TrainConfig(epochs=1, device="cpu")
    bioq.train(masked_data, "tuned", from_run=given, config=config)
    bioq.make_ensemble([given, "tuned"], "both")
    origin = read_config("both").members[0]["origin"]
    if given == ADDRESS:
        assert read_config("tuned").training["from"]["address"] == f"{ADDRESS}@abc"
        assert origin == f"{ADDRESS}@abc"
    else:
        assert origin == str(named.SHIPPED / given)
    resumed = bioq.train(masked_data, "tuned", config=config, resume=True)
    np.testing.assert_array_equal(
        bioq.predict(resumed, ["ACGT" * 50]), bioq.predict("tuned", ["ACGT" * 50])
    )
    scores = bioq.evaluate(given, masked_data, out="here").summary
    assert scores["windows"] == len(masked_data["test"])


def test_a_path_that_exists_wins_and_a_name_that_does_not_is_suggested(
    given: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resolve_run("small") != Path("small")
    Path("small").mkdir()
    assert resolve_run("small") == resolve_run("small") == Path("small")
    note = "note: small is a folder here, so it is read and not BioQ's run small\n"
    assert capsys.readouterr().err == note
    assert resolve_run(run) == run
    assert resolve_run("no/such/folder") == Path("no/such/folder")
    with pytest.raises(BioqError, match=r"smal: no such folder; did you mean small\? expected"):
        resolve_run("smal")
    with pytest.raises(BioqError, match="or an address hf:OWNER/NAME, zenodo:RECORD or https:"):
        resolve_run("nothing-like-it")
    with pytest.raises(BioqError, match="'bioq import deepsea --out deepsea' makes a run"):
        resolve_run("deepsea")


def test_no_command_writes_into_a_run_of_the_package(
    given: str, masked_data: bioq.dataset.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(named.SHIPPED.rglob("*"))
    assert main(["evaluate", given, str(masked_data.path)]) == 2
    assert "was downloaded; give --out" in capsys.readouterr().err
    assert main(["calibrate", given, str(masked_data.path)]) == 2
    assert f"'cp -r {named.SHIPPED / given} COPY'" in capsys.readouterr().err
    assert sorted(named.SHIPPED.rglob("*")) == before


def test_models_lists_names_addresses_and_published_networks(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line for line in shown.splitlines()}
    assert rows["small"].split()[1:3] == ["danq", "2"]
    assert " CC0-1.0 " in rows["small"]
    assert str(named.SHIPPED / "small") in rows["small"]
    assert str(resolve_run(ADDRESS)) in rows[ADDRESS]
    assert " mit " in rows[ADDRESS]
    for name in NAMED:
        assert f"'bioq import {name} --out {name}'" in rows[name]
    for name in ("small", ADDRESS):
        assert main(["models", name]) == 0
        assert capsys.readouterr().out == f"{resolve_run(name)}\n"
    (resolve_run(ADDRESS) / "config.json").write_text("{")
    assert main(["models"]) == 0
    assert "damaged; remove " in capsys.readouterr().out


def test_the_published_names_are_those_of_import() -> None:
    assert tuple(NAMED) == IMPORTED


def test_every_run_of_the_package_has_a_name() -> None:
    folders = {folder.name for folder in named.SHIPPED.glob("*")}
    assert {run.name for run in named.RUNS} == folders

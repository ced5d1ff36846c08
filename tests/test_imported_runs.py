"""Every command works on a run of every published layout."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from published_files import (
    NETWORKS,
    WINDOW_BP,
    keras_layers,
    keras_probabilities,
    large_weights,
    probabilities,
    save,
    save_keras,
)

import bioq
from bioq import dna
from bioq.builders.simulation.build import SimulationOptions, simulate
from bioq.cli import main
from bioq.dataset import open_dataset
from bioq.evaluation import leaks
from bioq.evaluation.leaks import leak_notes
from bioq.runs.folder import read_config
from bioq.web import create_app, open_service

LAYOUTS = (*NETWORKS, "danq", "danq-jaspar", "danq, forward")
SOME = ("deepsea", "beluga", "danq")
"""The layouts whose networks are computed differently."""
PLACES = range(1000, 5000, 400)
"""Positions of the variants on the first contig, counted from 0."""


@dataclass(frozen=True)
class World:
    """A data set, its genome and variants, and a run of every layout with its targets."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def genome(self) -> Path:
        return self.folder / "data/simulation/genome.fa"

    @property
    def variants(self) -> Path:
        return self.folder / "variants.vcf"

    def run(self, layout: str) -> Path:
        return self.folder / layout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    simulate(world.data, SimulationOptions(contig_bp=20_000, window_bp=WINDOW_BP, seed=1))
    targets = len(open_dataset(world.data).targets)
    for layout in LAYOUTS:
        file, model = world.folder / f"{layout}.file", layout.partition(",")[0]
        if model in NETWORKS:
            save(large_weights(NETWORKS[model](targets)), file)
        else:
            save_keras(model, keras_layers(model, targets), file)
        bioq.import_model(
            file,
            world.run(layout),
            window_bp=WINDOW_BP,
            targets=world.data / "targets.tsv",
            second_lstm="forward" if "forward" in layout else "backward",
        )
    _write_variants(world)
    return world


def _write_variants(world: World) -> None:
    contig, bases = world.genome.read_text().partition("\n")[::2]
    bases = bases.partition(">")[0].replace("\n", "").upper()
    rows = [
        f"{contig[1:]}\t{at + 1}\t.\t{bases[at]}\t{'ACGT'[('ACGT'.index(bases[at]) + 1) % 4]}\n"
        for at in PLACES
    ]
    world.variants.write_text("##fileformat=VCFv4.2\n" + "".join(rows))


LIGHT = ("targets", "predict", "variants", "background", "card")
"""Commands that are tried with every layout; the others with SOME, because they take a second."""
COMMANDS = {
    "summary": "summary RUN --out OUT.png",
    "targets": "targets RUN",
    "evaluate": "evaluate RUN DATA --out OUT",
    "predict": "predict RUN chr1:1001-2000 --genome GENOME --out OUT.tsv",
    "variants": "variants RUN VARIANTS --genome GENOME --out OUT.tsv",
    "variants of DeepSEA": "variants RUN VARIANTS --genome GENOME --format deepsea --out OUT",
    "background": "background RUN VARIANTS --genome GENOME --out OUT.npz",
    "mutagenesis": "mutagenesis RUN chr1:1001-1200 --genome GENOME --span-bp 20 --out OUT.npz",
    "attribution": "attribution RUN chr1:1001-1200 --genome GENOME --span-bp 20 --targets CTCF "
    "--steps 8 --out OUT.npz",
    "motifs": "motifs RUN DATA --against MEME --out OUT",
    "card": "card RUN",
    "train --from": "train DATA --from RUN --epochs 1 --out OUT",
    "train --freeze": "train DATA --from RUN --freeze --epochs 1 --out OUT",
    "ensemble": "ensemble RUN OTHER --out OUT",
}


def call(command: str, layout: str, world: World, out: Path) -> int:
    other = "bioq-2024" if layout != "bioq-2024" else "danq"
    meme = out.with_name("motifs.meme")
    meme.write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 one\n"
        "letter-probability matrix: alength= 4 w= 8 nsites= 20 E= 0\n" + "0.7 0.1 0.1 0.1\n" * 8
    )
    paths = {
        "RUN": world.run(layout),
        "OTHER": world.run(other),
        "DATA": world.data,
        "GENOME": world.genome,
        "VARIANTS": world.variants,
        "MEME": meme,
    }
    words = [str(paths.get(word, word)) for word in COMMANDS[command].split()]
    return main([word.replace("OUT", str(out)) for word in words])


@pytest.mark.parametrize(
    ("command", "layout"),
    [
        (command, layout)
        for command in COMMANDS
        for layout in LAYOUTS
        if command in LIGHT or layout in SOME
    ],
)
def test_every_command_takes_the_run(
    command: str, layout: str, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command, layout, world, tmp_path / "out") == 0
    assert "Traceback" not in capsys.readouterr().err
    # A run that was trained from the imported one, or has it as a member, is a run too.
    if (tmp_path / "out/config.json").exists():
        assert bioq.load(tmp_path / "out").window_bp == WINDOW_BP


def published(layout: str, codes: np.ndarray) -> np.ndarray:
    """Return what the published network of a layout predicts: the mean of both strands."""
    targets, strands = 12, (codes, dna.reverse_complement(codes))
    if layout in NETWORKS:
        network = large_weights(NETWORKS[layout](targets))
        return np.mean([probabilities(network, strand) for strand in strands], axis=0)
    layers = keras_layers(layout, targets)
    return np.mean([keras_probabilities(layout, layers, strand) for strand in strands], axis=0)


@pytest.mark.parametrize("layout", SOME)
def test_variants_have_the_published_effects(layout: str, world: World, tmp_path: Path) -> None:
    """The fast paths of variants against the published arithmetic on both windows."""
    assert call("variants", layout, world, tmp_path / "out") == 0
    table = pd.read_csv(tmp_path / "out.tsv", sep="\t")
    bases = "".join(world.genome.read_text().partition(">chr2")[0].splitlines()[1:]).upper()
    targets = list(open_dataset(world.data).targets["name"])
    refs, alts = [], []
    for at in PLACES:
        start = at - (WINDOW_BP - 1) // 2  # one base in the middle of an even window
        ref = dna.encode(bases[start : start + WINDOW_BP])
        alt = ref.copy()
        alt[at - start] = (ref[at - start] + 1) % 4
        refs.append(ref)
        alts.append(alt)
    effects = published(layout, np.stack(alts)) - published(layout, np.stack(refs))
    assert abs(effects).max() > 0.01
    found = table[[f"diff:{target}" for target in targets]].to_numpy()
    np.testing.assert_allclose(found, effects, atol=1e-5)


@pytest.mark.parametrize("layout", SOME)
def test_the_page_of_a_model_has_its_origin(layout: str, world: World) -> None:
    with (
        open_service(world.run(layout), device="cpu") as service,
        TestClient(create_app(service), base_url="http://127.0.0.1") as client,
    ):
        page = client.get("/model")
        assert page.status_code == 200
        assert read_config(world.run(layout)).imported["title"].split("&")[0] in page.text
        assert "imported from" in page.text
        assert "Trained on the data set" not in page.text


def test_there_is_no_training_to_resume(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(world.run("danq"))
    assert main(["train", str(world.data), "--resume", "--out", run]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "was imported and not trained, so there is no training to continue" in line
    assert main(["train", str(world.data), "--out", run]) == 1
    assert "exists already; give a folder" in capsys.readouterr().err


def test_a_run_that_started_from_published_weights_records_them(
    world: World, tmp_path: Path
) -> None:
    assert call("train --freeze", "beluga", world, tmp_path / "tuned") == 0
    words = ["train", str(world.data), "--from", str(tmp_path / "tuned"), "--epochs", "1"]
    assert main([*words, "--out", str(tmp_path / "again")]) == 0
    for run in ("tuned", "again"):
        config = json.loads((tmp_path / run / "config.json").read_text())
        assert "imported" not in config
        assert config["started_from"]["title"] == "Beluga (Zhou et al. 2018)"
        assert "non-commercial" in config["started_from"]["licence"]
    assert main(["card", str(tmp_path / "again")]) == 0
    card = (tmp_path / "again/README.md").read_text()
    assert "license: other" in card
    assert "started from published weights: Zhou et al. 2018" in card


def test_motifs_need_a_data_set(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run = world.run("danq")
    assert main(["motifs", str(run), "--out", str(run.with_name("motifs"))]) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "was imported from danq.file, whose training data are not a data set of BioQ" in line


def test_windows_of_the_published_training_are_counted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulated contigs are chr1 to chr6 and not those of hg19, so it is not known; with the
    lengths of the data set, they are counted."""
    data, run = open_dataset(world.data), world.run("deepsea")
    (line,) = leak_notes([run], data, "test")
    assert "it is not known whether it has seen windows of the split 'test'" in line
    with monkeypatch.context() as patch:
        patch.setattr(leaks, "is_published_test", lambda *_: True)
        assert list(leak_notes([run], data, "test")) == []
    config = json.loads((run / "config.json").read_text())
    lengths = data.description.contig_lengths
    for seen, windows in ((["chr6"], 100), (["chr1"], 0)):
        config["data"] |= {"contigs": lengths, "seen_contigs": seen}
        other = tmp_path / seen[0]
        other.mkdir()
        (other / "config.json").write_text(json.dumps(config))
        lines = list(leak_notes([other], data, "test"))
        assert bool(lines) == bool(windows)
        if lines:
            assert f"{windows:,} of {windows:,} windows of the split 'test' are on" in lines[0]
            assert "(DeepSEA (Zhou & Troyanskaya 2015)) has seen (chr6)" in lines[0]

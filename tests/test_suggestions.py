"""A word that is not one of a closed set, and a file that is not there: the error names the nearest
right one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trained_run import TrainedRun

import bioq
from bioq.cli import main
from bioq.dataset import Dataset
from bioq.dataset.targets import select_targets
from bioq.errors import BioqError, nearest
from bioq.files.near import near_path
from bioq.genome.exclusions import exclusion_file
from bioq.genome.named import genome_file
from bioq.interpretation.motif_experiments.options import find_motif
from bioq.models import build_model
from bioq.models.device import choose_device
from bioq.motifs import Motif, jaspar_motifs
from bioq.options import one_of
from bioq.runs.named import resolve_run
from bioq.tables import table_ending
from bioq.training.recipes import TrainConfig
from bioq.variants.columns import groups_of

SOURCE = Path(bioq.__file__).parent
TARGETS = pd.DataFrame({"name": [f"K562|{factor}|none" for factor in ("CTCF", "SRF", "REST")]})
TARGETS["cell"] = "K562"
MOTIFS = [Motif(name, f"MA{at}", np.full((6, 4), 0.25)) for at, name in enumerate(("CTCF", "SRF"))]


@pytest.mark.parametrize(
    ("tokens", "near"),
    [
        ("trian", '"train"'),
        ("data peeks", '"peaks"'),
        ("rank aply", '"apply"'),
        ("variants yeast x.vcf --genom hg19", "--genome"),
        ("evaluate yeast d --strands bot", '"both"'),
        ("train d --out r --recipe smal", '"small"'),
        ("data peaks --genome g --targets t --out o --label midpiont", '"midpoint"'),
        ("completion bsh", '"bash"'),
    ],
)
def test_the_command_line_names_the_nearest_word(
    tokens: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tokens.split()) == 2
    assert f"Did you mean {near}?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("refused", "near"),
    [
        (lambda: build_model("danqq", targets=1), "danq"),
        (lambda: build_model("danq", targets=1, sizes={"filter": 8}), "filters"),
        (lambda: TrainConfig(data_in="memry"), "memory"),
        (lambda: TrainConfig(recipe="smal"), "small"),
        (lambda: choose_device("cdua"), "cuda"),
        (lambda: choose_device("gpu"), "cuda"),
        (lambda: one_of("strands", "bot", ("both", "forward")), "both"),
        (lambda: resolve_run("yeats"), "yeast"),
        (lambda: resolve_run("belugga"), "beluga"),
        (lambda: genome_file(Path("hg83")), "hg38"),
        (lambda: genome_file(Path("sacCer4")), "sacCer3"),
        (lambda: exclusion_file(Path("encode:hg83")), "encode:hg38"),
        (lambda: select_targets(TARGETS, ["CTFC"]), "'*CTCF*'"),
        (lambda: groups_of(TARGETS, "cel"), "'cell'"),
        (lambda: find_motif(MOTIFS, "CTFC", "JASPAR"), "CTCF"),
        (lambda: jaspar_motifs("JASPAR204"), "JASPAR2024"),
        (lambda: jaspar_motifs("JASPAR2024", tax_group="fungus"), "fungi"),
        (lambda: jaspar_motifs("JASPAR2024", collection="COER"), "CORE"),
        (lambda: table_ending("scores.tvs"), ".tsv"),
    ],
)
def test_an_error_names_the_nearest_word(
    refused: Callable[[], object], near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BioqError) as error:
        refused()
    question = str(error.value).partition("did you mean ")[2].partition("?")[0]
    assert near in question.split(" or ")


def test_a_split_that_a_data_set_does_not_have_is_compared_with_its_splits(
    masked_data: Dataset,
) -> None:
    with pytest.raises(BioqError, match=r"has no split 'trian'; did you mean train\? it has train"):
        masked_data["trian"]


@pytest.mark.parametrize(
    "tokens",
    [
        "data info demo/dta",
        "targets demo/dta",
        "train demo/dta --out r",
        "summary demo/dta",
        "data peaks --genome demo/data --targets demo/dta --out o",
        "predict yeast demo/dta --out o.tsv",
    ],
)
def test_a_path_that_does_not_exist_is_compared_with_the_names_beside_it(
    tokens: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo" / "data").mkdir(parents=True)
    assert main(tokens.split()) == 1
    error = capsys.readouterr().err
    assert "did you mean demo/data? expected" in error
    assert error.count("\n") == 1


def test_a_folder_of_a_path_may_be_the_part_that_is_misspelled(tmp_path: Path) -> None:
    (tmp_path / "peaks").mkdir()
    (tmp_path / "peaks" / "CTCF.bed").touch()
    assert near_path(tmp_path / "peaks" / "CTFC.bed") == f"did you mean {tmp_path}/peaks/CTCF.bed? "
    assert near_path(tmp_path / "paeks" / "CTCF.bed") == f"did you mean {tmp_path}/peaks/CTCF.bed? "
    assert near_path(tmp_path / "paeks" / "SRF.bed") == ""
    assert near_path(tmp_path / "other" / "SRF.bed") == ""


def test_every_question_is_asked_by_one_function() -> None:
    with_question = [
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*.py"))
        if "did you mean " in path.read_text(encoding="utf-8").replace("`did you mean ", "")
        or "get_close_matches" in path.read_text(encoding="utf-8")
    ]
    assert with_question == ["errors.py"]


def test_an_error_never_waits_for_its_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 names of 190 letters would take a minute to compare; so they are not compared."""

    def compare(*_: object, **__: object) -> list[str]:
        raise AssertionError

    long = [f"{'sample' * 31}{number:04}" for number in range(2000)]
    short = ["CTCF", "x" * 50]
    assert nearest("CTFC", short) == ["CTCF"]
    monkeypatch.setattr("difflib.get_close_matches", compare)
    assert nearest(f"{'sample' * 31}12345", long) == []


def test_a_link_to_nothing_is_not_suggested(tmp_path: Path) -> None:
    (tmp_path / "peaks.bed").symlink_to(tmp_path / "absent")
    assert near_path(tmp_path / "peaks.bed") == ""
    assert near_path(tmp_path / "peak.bed") == ""


@pytest.mark.parametrize("tokens", ["trian", "rank aply", "data fecth", "--hlep"])
def test_an_unknown_command_is_refused_without_loading_the_others(tokens: str) -> None:
    code = "import sys; from bioq.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, *tokens.split()], capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith("bioq: Unknown ")
    assert "bioq.cli" in done.stdout.split()
    assert not {"torch", "pandas", "numpy", "bioq.cli.train"} & set(done.stdout.split())


def test_a_bigwig_by_its_long_name_is_told_its_ending(
    trained: TrainedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.fa"
    source.write_text(">a\nACGT\n")
    assert (
        main(["predict", str(trained.run), str(source), "--out", str(tmp_path / "p.bigWig")]) == 2
    )
    assert "did you mean .bw? expected a name that ends in .tsv" in capsys.readouterr().err

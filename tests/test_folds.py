"""Folds by chromosome, compared with ordinary data sets of the same contigs."""

import hashlib
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from test_interrupted_training import stop_in_step
from test_training import assert_same_run

import bioq
from bioq import BioqError, UsageError
from bioq.cli import main
from bioq.dataset import Dataset, Fold, Split, open_dataset, require_undamaged, verify
from bioq.dataset.batches import Batches
from bioq.dataset.folds import assign_folds, parse_fold
from bioq.dataset.leaks import count_leaks
from bioq.evaluation.files import read_evaluation
from bioq.runs.folder import read_config
from bioq.runs.training_data import training_data
from bioq.training.pace import Pace
from bioq.training.plan import TrainingRequest, make_plan, request_from_options

FOLDS = 4
LENGTHS = {"c1": 2400, "c2": 2000, "c3": 1600, "c4": 1500, "c5": 900, "c6": 600, "tiny": 30}
BUILD = ["--window-bp", "200", "--bin-bp", "40", "--label", "any", "--background", "none"]
SMALL = [
    *("--filters", "8", "--filter-width", "8", "--pool-width", "10", "--lstm-units", "4"),
    *("--dense-units", "8", "--epochs", "2", "--batch-size", "32"),
]


def make_world(folder: Path) -> Path:
    """Write a genome with an unknown stretch on each contig, and the peaks of two targets."""
    random = np.random.default_rng(3)
    with open(folder / "genome.fa", "w") as file:
        for name, length in LENGTHS.items():
            bases = "".join(random.choice(list("ACGT"), length))
            file.write(f">{name}\n{bases[:20]}{'N' * 9}{bases[29:]}\n")
    for target in ("first", "second"):
        with open(folder / f"{target}.bed", "w") as file:
            for name, length in LENGTHS.items():
                for start in random.integers(0, max(length - 60, 1), length // 150):
                    file.write(f"{name}\t{start}\t{min(start + 30, length)}\n")
    sheet = "name\tpeaks\nfirst\tfirst.bed\nsecond\tsecond.bed\n"
    (folder / "targets.tsv").write_text(sheet)
    return folder


def build(folder: Path, out: str, *more: str) -> Dataset:
    inputs = ["--genome", str(folder / "genome.fa"), "--targets", str(folder / "targets.tsv")]
    assert main(["data", "peaks", *inputs, "--out", str(folder / out), *BUILD, *more]) == 0
    return verify(folder / out)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_world(tmp_path_factory.mktemp("folds"))
    build(folder, "data", "--folds", str(FOLDS), "--keep", "all")
    return folder


@pytest.fixture
def data(world: Path) -> Dataset:
    return open_dataset(world / "data")


def contigs_of(data: Dataset, folds: Sequence[int]) -> list[str]:
    return [contig for contig, fold in data.description.folds.items() if fold in folds]


def in_order(split: Split) -> dict[str, Any]:
    """Return the content of a split with the windows along the genome."""
    bins = split.bin_starts()
    order = np.lexsort((bins[:, 1], bins[:, 0]))
    batch = split.read(order)
    return {
        "bins": split.bins().iloc[order].reset_index(drop=True),
        "windows": batch.windows,
        "labels": batch.labels,
        "blocks": pd.factorize(split.blocks()[order])[0],
    }


@pytest.mark.parametrize("number", range(1, FOLDS + 1))
def test_a_fold_has_the_windows_of_a_data_set_that_was_split_by_the_same_contigs(
    world: Path, data: Dataset, number: int
) -> None:
    valid, test = (contigs_of(data, [fold]) for fold in (number % FOLDS + 1, number))
    chosen = [
        f"--{name}-chrom={each}" for name, of in (("valid", valid), ("test", test)) for each in of
    ]
    other = build(world, f"split-{number}", "--keep", "all", *chosen)
    fold = data.fold(number)
    assert (fold.folds, fold.chosen, list(fold)) == (FOLDS, Fold(number, FOLDS), list(other))
    for name, split in fold.items():
        expected = other[name]
        found, content = in_order(split), in_order(expected)
        pd.testing.assert_frame_equal(found["bins"], content["bins"])
        for key in ("windows", "labels", "blocks"):
            np.testing.assert_array_equal(found[key], content[key])
        assert len(split) == len(expected) > 0
        assert split.masked_windows == expected.masked_windows > 0
        assert split.stored_bytes == expected.stored_bytes
        assert split.all_bins == expected.all_bins
        assert split.has_coordinates
        np.testing.assert_array_equal(split.positives(), expected.positives())
        np.testing.assert_array_equal(split.labels(), split.read(slice(None)).labels)


def test_the_rows_of_a_view_are_those_of_its_folders_one_after_another(data: Dataset) -> None:
    split, random = data.fold(2)["train"], np.random.default_rng(0)
    assert split.folders == ("fold-1", "fold-4")
    packed = [data[name].read_packed(slice(None)) for name in split.folders]
    sequence, labels = (
        np.concatenate([getattr(p, key) for p in packed]) for key in ("sequence", "labels")
    )
    rows, mask = split.masks()
    masks = np.zeros((len(split), mask.shape[1]), dtype=np.uint8)
    masks[rows] = mask
    n = len(split)
    for chosen in (
        random.integers(-n, n, 200),
        slice(None, None, -3),
        random.random(n) < 0.3,
        [],
        [n - 1, 0],
    ):
        found = split.read_packed(chosen)
        expected = [] if isinstance(chosen, list) and not chosen else chosen
        index = np.array(expected, dtype=np.int64) if isinstance(expected, list) else expected
        np.testing.assert_array_equal(found.sequence, sequence[index])
        np.testing.assert_array_equal(found.labels, labels[index])
        of_rows = masks[index] if found.mask is None else found.mask
        np.testing.assert_array_equal(of_rows, masks[index])
    with pytest.raises(BioqError, match=f"split 'train' has {n} windows; found rows"):
        split.read([n])
    where = split.rows_of_folders()
    assert [where[name].stop - where[name].start for name in where] == [len(data[f]) for f in where]


def test_batches_of_a_view_are_the_same_from_disk_and_memory(data: Dataset) -> None:
    split = data.fold(3)["train"]
    rows = torch.from_numpy(np.random.default_rng(1).integers(0, len(split), 64))
    expected = split.read(rows.numpy())
    for where in ("disk", "memory", "device"):
        windows, labels = Batches(split, torch.device("cpu"), data_in=where).read(rows)
        np.testing.assert_array_equal(windows.numpy(), expected.windows)
        np.testing.assert_array_equal(labels.numpy(), expected.labels)


def test_the_reader_of_the_documentation_reads_a_fold(data: Dataset) -> None:
    page = (Path(__file__).parent.parent / "docs/reference/data-format.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    for name, split in data.items():
        windows, labels = names["read_split"](str(data.path), name)
        np.testing.assert_array_equal(windows, split.read(slice(None)).windows)
        np.testing.assert_array_equal(labels, split.labels())


def test_info_lists_the_folds_and_their_contigs(
    world: Path, data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "info", str(world / "data")]) == 0
    printed = capsys.readouterr().out
    for number, (name, split) in enumerate(data.items(), start=1):
        line = next(line for line in printed.splitlines() if line.startswith(f"  {name}: "))
        assert f"{len(split)} windows" in line
        assert line.endswith("; " + ", ".join(contigs_of(data, [number])))
    assert "no window shares bases with a window of another fold" in printed


# --- which contig is in which fold


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 1)), min_size=3, max_size=40),
    st.integers(3, 8),
)
def test_folds_are_balanced_and_each_contig_is_in_one(
    contigs: list[tuple[int, int]], count: int
) -> None:
    windows = np.array([each for each, _ in contigs])
    bins = np.array([each + more for each, more in contigs])
    if (windows > 0).sum() < count:
        with pytest.raises(BioqError, match=f"--folds {count}: "):
            assign_folds(windows, windows, bins, count)
        return
    fold = assign_folds(windows, windows, bins, count)
    assert ((fold > 0) == (bins > 0)).all()
    assert fold.max() <= count
    load = np.bincount(fold, weights=windows, minlength=count + 1)[1:]
    # Graham 1969: the largest fold had the least weight before its last contig was added.
    smallest_last = min(
        windows[(fold == number) & (windows > 0)].min()
        for number in np.flatnonzero(load == load.max()) + 1
    )
    assert load.max() - smallest_last <= load.min()
    assert load.min() > 0


def test_positives_count_as_much_as_windows() -> None:
    windows, positives = np.array([10, 10, 10, 10, 10, 10]), np.array([9, 0, 8, 1, 9, 0])
    fold = assign_folds(windows, positives, windows, 3)
    by_fold = [(windows[fold == n].sum(), positives[fold == n].sum()) for n in (1, 2, 3)]
    assert by_fold == [(20, 9), (20, 9), (20, 9)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--folds", "7"],
            "--folds 7: 6 contigs have a window, and each fold needs one; give --folds 6",
        ),
        (
            ["--folds", "3", "--exclude", "{world}/everything.bed"],
            "targets.tsv: no bin is left (224 bins excluded); check the peaks, --keep and "
            "--exclude",
        ),
        (["--folds", "2"], "--folds 2, expected 3 to 64"),
        (["--folds", "1"], "--folds 1, expected 3 to 64"),
        (["--folds", "4", "--test-chrom", "c1"], "--folds with --test-chrom: with folds there are"),
        (
            ["--folds", "4", "--valid-chrom", "c2", "--test-chrom", "c1", "--all-bins", "test"],
            "--folds with --valid-chrom and --test-chrom and --all-bins: ",
        ),
    ],
)
def test_folds_that_cannot_be_are_one_line(
    world: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    regions = "".join(f"{name}\t0\t{length}\n" for name, length in LENGTHS.items())
    (world / "everything.bed").write_text(regions)
    options = [option.format(world=world) for option in options]
    inputs = ["--genome", str(world / "genome.fa"), "--targets", str(world / "targets.tsv")]
    assert main(["data", "peaks", *inputs, "--out", str(world / "no"), *BUILD, *options]) in (1, 2)
    last = capsys.readouterr().err.splitlines()[-1]
    assert message in last
    assert not (world / "no").exists()


def test_with_folds_the_background_of_each_is_drawn_from_its_contigs(world: Path) -> None:
    inputs = ["--genome", str(world / "genome.fa"), "--targets", str(world / "targets.tsv")]
    sizes = ["--window-bp", "200", "--bin-bp", "40", "--background", "random:1"]
    out = world / "background"
    assert main(["data", "peaks", *inputs, "--out", str(out), *sizes, "--folds", "3"]) == 0
    drawn = open_dataset(out)
    assert drawn.description.options["folds"] == 3
    assert "valid_chrom" not in drawn.description.options
    for split in drawn.values():
        positive = split.labels().any(axis=1)
        assert (~positive).sum() == positive.sum() > 0
    assert [leak.equal for leak in count_leaks(drawn)] == [0]


def test_bins_that_are_given_are_divided_too(world: Path) -> None:
    bins = world / "bins.bed"
    lines = [f"{c}\t{s}\t{s + 40}\n" for c in ("c3", "c1", "c2") for s in (400, 160, 40)]
    bins.write_text("".join(lines))
    data = build(world, "given", "--folds", "3", "--bins", str(bins))
    assert [split.bins()["start"].tolist() for split in data.values()] == [[400, 160, 40]] * 3


# --- folders of strangers, damage, leaks


def rewritten(data: Dataset, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Copy a data set, change its dataset.json, and give it a right fingerprint."""
    shutil.copytree(data.path, folder)
    file = folder / "dataset.json"
    meta = json.loads(file.read_text())
    change(meta)
    meta.pop("fingerprint")
    canonical = json.dumps(meta, sort_keys=True, separators=(",", ":"))
    meta["fingerprint"] = hashlib.sha256(canonical.encode()).hexdigest()
    file.write_text(json.dumps(meta, indent=2) + "\n")
    return folder


def folds_of(meta: dict[str, Any]) -> dict[str, Any]:
    folds: dict[str, Any] = meta["description"]["folds"]
    return folds


WRONG = {
    "a number": (lambda m: folds_of(m).update(c1=9), r"folds\.c1 is 9, expected 1 to 4"),
    "zero": (lambda m: folds_of(m).update(c1=0), r"folds\.c1 is 0, expected 1 or more"),
    "text": (lambda m: folds_of(m).update(c1="1"), r"folds\.c1 is '1', expected a whole number"),
    "a list": (lambda m: m["description"].update(folds=[1]), "folds is .*expected an object"),
    "an unknown contig": (lambda m: folds_of(m).update(c9=1), "folds has the contig 'c9', which"),
    "another fold": (lambda m: folds_of(m).update(c1=2, c2=1), "is not in this fold"),
    "a contig without": (lambda m: folds_of(m).pop("c1"), "is not in this fold"),
    "a fold less": (lambda m: m["splits"].pop("fold-2"), "folds and the folders fold-1"),
    "a split": (lambda m: m["splits"].update(train=m["splits"]["fold-1"]), "the folders fold-1"),
    "no folds": (lambda m: m["description"].pop("folds"), "has the split 'fold-1', expected train"),
    "no coordinates": (
        lambda m: m["splits"]["fold-2"].update(has_coordinates=False),
        r"splits\.fold-2 has no coordinates",
    ),
    "both strands": (
        lambda m: m["splits"]["fold-3"].update(strands_folded=True),
        r"splits\.fold-3 has no coordinates or is strands_folded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_folds_of_a_stranger_are_one_line(data: Dataset, tmp_path: Path, wrong: str) -> None:
    change, message = WRONG[wrong]
    folder = rewritten(data, tmp_path / "copy", change)
    with pytest.raises(BioqError, match=message) as error:
        open_dataset(folder)
    assert "\n" not in str(error.value)


def test_a_damaged_file_is_found_in_the_folds_that_are_used(data: Dataset, tmp_path: Path) -> None:
    shutil.copytree(data.path, tmp_path / "copy")
    file = tmp_path / "copy/fold-3/sequence.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    damaged = open_dataset(tmp_path / "copy").fold(1)
    require_undamaged(damaged, ["test", "valid"])
    with pytest.raises(BioqError, match=r"the checksum of fold-3/sequence\.npy differs"):
        require_undamaged(damaged, ["train"])


def test_equal_sequences_of_two_folds_are_counted_on_both_strands(tmp_path: Path) -> None:
    folder = make_world(tmp_path)
    contigs = (folder / "genome.fa").read_text().split(">")[1:]
    bases = dict(contig.split("\n")[:2] for contig in contigs)
    copied = bases["c1"][400:680]  # windows of bins 440 + 80 k, flank 80: 480 to 560
    back = copied[::-1].translate(str.maketrans("ACGT", "TGCA"))
    bases["c2"] = bases["c2"][:800] + copied + bases["c2"][1080:]
    bases["c3"] = bases["c3"][:1000] + back + bases["c3"][1280:]
    (folder / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in bases.items()))
    data = build(folder, "data", "--folds", "3", "--keep", "all")
    folds = data.description.folds
    assert len({folds["c1"], folds["c2"], folds["c3"]}) == 3
    counted = 0
    for name in data:
        windows = {key: data[key].read(slice(None)).windows for key in data}
        others = np.concatenate([windows[key] for key in data if key != name])
        known = {window.tobytes() for window in others}
        known |= {np.ascontiguousarray(window[::-1, ::-1]).tobytes() for window in others}
        counted += sum(window.tobytes() in known for window in windows[name])
    (leak,) = count_leaks(data)
    assert leak.equal == counted > 0
    (line,) = leak.lines()
    assert line.startswith(f"{counted} of {leak.windows} windows (")
    assert "the sequence of a window of another fold elsewhere in the genome (repeats)" in line


# --- training


def train(world: Path, out: str, *more: str) -> int:
    return main(["train", str(world / "data"), "--out", str(world / out), *SMALL, *more])


def test_a_fold_is_trained_recorded_evaluated_and_resumed(
    world: Path, data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(world, "second", "--fold", "2/4") == 0
    run = world / "second"
    config = read_config(run)
    assert (config.fold, config.training["fold"]) == ("2/4", "2/4")
    assert config.data["windows"] == {name: len(split) for name, split in data.fold(2).items()}
    assert config.data["seen_contigs"] == sorted(contigs_of(data, [1, 3, 4]))
    assert training_data(run).chosen == Fold(2, 4)
    bioq.train(data.fold(2), world / "python", **options_of(run))
    assert_same_run(run, world / "python")
    capsys.readouterr()
    assert train(world, "second", "--resume") == 0
    assert "nothing is left to do" in capsys.readouterr().err
    assert train(world, "second", "--resume", "--fold", "3/4") == 2
    assert "was started with fold '2/4', not '3/4'" in capsys.readouterr().err
    assert main(["evaluate", str(run), str(world / "data")]) == 0
    summary = read_evaluation(run).summary
    assert summary["data"]["fold"] == "2/4"
    assert summary["windows"] == len(data["fold-2"])
    report = (run / "evaluation/report.html").read_text()
    assert "bioq train data --out second --model marq --fold 2/4" in report
    valid = len(data["fold-3"])
    with pytest.raises(BioqError, match="split 'valid' covers"):
        bioq.calibrate(run, data.path)
    assert len(training_data(run)["valid"]) == valid


def options_of(run: Path) -> dict[str, Any]:
    training = read_config(run).training
    request = request_from_options({**TrainingRequest().options(), **training, **training["sizes"]})
    return {"sizes": request.sizes, "config": request.config}


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (None, "has 4 folds; name the one to test, --fold 1/4 to --fold 4/4, or train a model for"),
        ("2/5", "--fold 2/5: {data} has 4 folds; expected 1/4 to 4/4"),
        ("5/4", "--fold '5/4'; expected the fold to test and the number of folds, such as 2/5, or"),
        ("0/4", "--fold '0/4'; expected the fold to test"),
        ("2", "--fold '2'; expected the fold to test"),
        ("ALL", "--fold 'ALL'; expected the fold to test"),
        ("²/4", "--fold '²/4'; expected the fold to test"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("plan", [[], ["--plan"]])
def test_a_fold_that_is_not_there_is_one_line(
    world: Path, capsys: pytest.CaptureFixture[str], fold: str | None, message: str, plan: list[str]
) -> None:
    assert train(world, "never", *(["--fold", fold] if fold else []), *plan) in (1, 2)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bioq: ")]
    assert len(lines) == 1
    assert message.format(data=world / "data") in lines[0]
    assert not (world / "never").exists()


@pytest.mark.parametrize("fold", ["1/3", "all"])
def test_a_fold_of_a_data_set_with_splits_is_one_line(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], fold: str
) -> None:
    words = ["train", str(masked_data.path), "--out", str(tmp_path / "run"), "--fold", fold]
    assert main(words) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"bioq: --fold {fold}: {masked_data.path} has ")
    assert "'bioq data peaks --folds " in last
    assert not (tmp_path / "run").exists()


def test_the_plan_of_all_folds_has_the_time_of_all_and_changes_nothing(
    world: Path, data: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bioq.training.preview._MEASURED_S", 0.1)
    assert train(world, "planned", "--fold", "all", "--plan") == 0
    printed = capsys.readouterr().out
    assert f"data: {data.path} (fold 1/4 to test): {len(data.fold(1)['train'])} windows" in printed
    assert "; then 3 more folds, with about as many windows\n" in printed
    assert " for 4 folds: an estimate from " in printed
    assert re.search(r"^--fold +all +--fold$", printed, re.M)
    assert not (world / "planned").exists()


def test_the_time_left_is_that_of_the_folds_that_follow_too(data: Dataset) -> None:
    plan = make_plan(TrainingRequest(config=bioq.TrainConfig(epochs=3)), data.fold(1))
    windows, valid = plan.windows_per_epoch, len(data.fold(1)["valid"])
    pace = Pace(plan, valid, later_folds=2)
    pace.validation_s = 7.0
    assert pace.left_s(0, 0, rate=10.0) == pytest.approx(3 * 3 * (windows / 10 + 7))
    assert pace.after_epoch_s(2, rate=10.0) == pytest.approx(2 * 3 * (windows / 10 + 7) + 7)


def test_all_folds_are_for_one_machine(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(world, "no", "--fold", "all", "--nodes", "2") == 2
    assert "start a command for each fold instead" in capsys.readouterr().err
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert train(world, "no", "--fold", "all") == 2
    assert not (world / "no").exists()
    assert "start a command for each fold instead" in capsys.readouterr().err


def test_nothing_is_resumed_where_no_fold_was_started(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(world, "typo", "--fold", "all", "--resume") == 1
    assert "fold-1: is no run, so no fold was started; run without --resume" in (
        capsys.readouterr().err
    )


def test_the_fold_may_be_in_a_file_of_options(world: Path) -> None:
    (world / "options.toml").write_text('fold = "3/4"\nepochs = 1\n')
    words = ["train", str(world / "data"), "--out", str(world / "toml"), *SMALL]
    assert main([*words, "--config", str(world / "options.toml")]) == 0
    assert read_config(world / "toml").fold == "3/4"


def test_a_data_set_object_chooses_its_fold(data: Dataset) -> None:
    with pytest.raises(UsageError, match="fold 5; expected 1 to 4"):
        data.fold(5)
    with pytest.raises(BioqError, match=r"has no split 'train'; it has fold-1.*data\.fold\(1\)"):
        data["train"]
    assert data.fold(1).fold(4).chosen == Fold(4, 4)
    with pytest.raises(BioqError, match=r"--fold 2/4: .* has the splits of 1/4"):
        data.fold(1).chosen_by("2/4")
    assert str(parse_fold("12/20")) == "12/20"
    request = TrainingRequest(fold="2/4")
    assert request_from_options(json.loads(json.dumps(request.options()))) == request


def test_all_folds_are_trained_in_turn_and_go_on_after_a_signal(
    world: Path, data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [-(-len(data.fold(number)["train"]) // 32) for number in (1, 2)]
    with pytest.MonkeyPatch.context() as patch:  # in the second step of fold 2
        stop_in_step(patch, 2 * steps[0] + 2, signal.SIGTERM)
        assert train(world, "all", "--fold", "all") == 143
    out, last = world / "all", capsys.readouterr().err.splitlines()[-1]
    command = f"bioq train {world / 'data'} --out {out} --fold all --resume"
    assert last == (
        f"bioq: terminated; saved in epoch 1 of 2, step 2 of {steps[1]} of fold-2; '{command}' "
        "goes on from there"
    )
    assert sorted(os.listdir(out)) == ["fold-1", "fold-2"]
    assert train(world, "all", "--fold", "all") == 1
    assert f"has runs of folds; '{command}' trains those that" in capsys.readouterr().err
    assert main([*command.split()[1:], "--lr", "0.1"]) == 2
    assert "started with lr None, not 0.1" in capsys.readouterr().err
    before = (out / "fold-1/model.safetensors").stat().st_mtime_ns
    assert main(command.split()[1:]) == 0
    printed = capsys.readouterr()
    assert f"fold 1/4: {out / 'fold-1'} is finished" in printed.err
    assert (out / "fold-1/model.safetensors").stat().st_mtime_ns == before
    assert printed.out.split() == [str(out / name) for name in (*data, "ensemble")]
    assert train(world, "third", "--fold", "3/4") == 0
    assert_same_run(out / "fold-3", world / "third")
    assert [read_config(out / name).fold for name in data] == ["1/4", "2/4", "3/4", "4/4"]
    stamp = (out / "ensemble/config.json").stat().st_mtime_ns
    assert main(command.split()[1:]) == 0
    assert (out / "ensemble/config.json").stat().st_mtime_ns == stamp
    assert_cross_validated(out, data, capsys)
    (out / "notes.txt").write_text("mine")
    assert train(world, "all", "--fold", "all", "--force") == 1
    assert "has files of yours, notes.txt" in capsys.readouterr().err
    (out / "notes.txt").unlink()
    assert train(world, "all", "--fold", "all", "--force", "--seed", "5") == 0
    assert read_config(out / "fold-4").training["seed"] == 5
    assert sorted(os.listdir(out)) == sorted([*data, "ensemble"])


def test_all_folds_may_start_from_a_run(world: Path, data: Dataset) -> None:
    assert train(world, "source", "--fold", "1/4") == 0
    words = [
        "train",
        str(data.path),
        "--out",
        str(world / "tuned"),
        "--from",
        str(world / "source"),
    ]
    assert main([*words, "--fold", "all", "--epochs", "1"]) == 0
    for name in data:
        config = read_config(world / "tuned" / name)
        assert config.training["from"]["path"] == str(world / "source")
        assert config.recipe["epochs"] == 1
    # The source has left fold 1 alone for testing, and has seen the folds 2 to 4.
    seen = "are on contigs that source, from which {} started, has seen ({}): scores are too "
    ensemble = bioq.evaluate(world / "tuned" / "ensemble", data).summary["notes"]
    for number in range(1, FOLDS + 1):
        own = bioq.evaluate(world / "tuned" / f"fold-{number}", data).summary["notes"]
        contigs = ", ".join(contigs_of(data, [number]))
        line = seen.format(f"fold-{number}", contigs)
        windows = len(data[f"fold-{number}"])
        expected = [f"{windows} of {windows} windows of the split 'test' {line}high"]
        for notes in (own, ensemble):
            found = [note for note in notes if f"from which fold-{number} started" in note]
            assert found == ([] if number == 1 else expected)
    shutil.rmtree(world / "source")  # the same data set: its contigs have the same names
    again = bioq.evaluate(world / "tuned" / "fold-2", data, force=True).summary["notes"]
    assert any("from which" in note for note in again)


def assert_cross_validated(out: Path, data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """Compare the evaluation of an ensemble of folds with those of its members."""
    ensemble, folder = out / "ensemble", str(data.path)
    capsys.readouterr()
    assert main(["evaluate", str(ensemble), folder]) == 0
    printed = capsys.readouterr().out
    summary = read_evaluation(ensemble).summary
    assert (summary["windows"], summary["data"]["fold"]) == (sum(map(len, data.values())), "all")
    each = []
    for name, found in zip(data, summary["folds"], strict=True):
        expected = bioq.evaluate(out / name, folder).summary
        assert found["windows"] == expected["windows"]
        for mean in ("macro", "micro"):
            for area in ("roc_auc", "average_precision"):
                assert found[f"{mean}_{area}"] == pytest.approx(expected[mean][area], abs=1e-6)
                constant = expected["constant"][mean][area]
                assert found["constant"][mean][area] == pytest.approx(constant)
        each.append(found["macro_roc_auc"])
    assert "\nthe folds have every bin, so average precision, precision and F1 are those" in printed
    assert (
        f"Cross-validation of {data.folds} runs"
        in (ensemble / "evaluation/report.html").read_text()
    )
    assert main(["evaluate", str(out), folder]) == 1
    assert f"holds no config.json; did you mean {ensemble}?" in capsys.readouterr().err
    mean = next(line for line in printed.splitlines() if line.startswith("mean"))
    spread = next(line for line in printed.splitlines() if line.startswith("standard deviation"))
    assert f"{np.mean(each):.4f}" in mean
    assert f"{np.std(each, ddof=1):.4f}" in spread
    test = data.fold(1)["test"]
    probability = bioq.predict(bioq.load(out / "fold-1"), test.read(slice(None)).windows)
    reference = roc_auc_score(test.labels().ravel(), probability.ravel())
    assert summary["folds"][0]["micro_roc_auc"] == pytest.approx(reference, abs=1e-6)
    assert main(["evaluate", str(ensemble), folder, "--split", "train"]) == 1
    assert capsys.readouterr().err.endswith("has no split 'train'; it has valid, test\n")
    notes = bioq.evaluate(ensemble, data.fold(1), force=True).summary["notes"]
    seen = [note for note in notes if "share bases with a training window" in note]
    assert len(seen) == len(set(seen)) > 0
    assert main(["calibrate", str(ensemble), folder]) == 1
    assert "trained on different folds" in capsys.readouterr().err
    assert main(["ensemble", str(out / "fold-1"), str(out / "fold-2"), "--out", f"{out}-two"]) == 0
    assert main(["evaluate", f"{out}-two", folder]) == 1
    assert "no member leaves fold 3/4 for testing" in capsys.readouterr().err


def test_a_run_of_other_data_does_not_choose_a_fold(
    world: Path, masked_data: Dataset, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("evaluate", "calibrate"):
        assert main([command, str(run), str(world / "data")]) == 1
        assert "has 4 folds, and " in capsys.readouterr().err

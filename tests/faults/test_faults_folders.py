"""Folders from a stranger: every field, size and kind of file in them is read or refused."""

import contextlib
import json
import random
import resource
import shutil
import signal
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fault_commands import Counted
from fault_folders import (
    BAD,
    CELLS,
    KINDS,
    Folders,
    changed_tensors,
    chosen,
    paths_in,
    put_kind,
    substituted,
    write_json_of,
)

from bioq.cli import main
from bioq.errors import BioqError
from bioq.runs.folder import read_config
from bioq.runs.trained_model import load
from bioq.runs.weights import MOST_HEADER_BYTES

JSON = (
    "dataset.json",
    "config.json",
    "metrics.json",
    "calibration.json",
    "manifest.json",
    "rank.json",
)
MOST_S = 60
"""No reader needs a second; a file that is waited for would take for ever."""
MOST_BYTES = 6 << 30
"""Address space that a reader may take beside what the process has."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("stranger"))


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """End what waits for a file, and refuse memory, in this block."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, before[1]))
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(MOST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def restored(file: Path, change: str) -> Iterator[None]:
    """Put the content of a file back at the end; an error in the block names the change."""
    own = file.read_bytes()
    try:
        yield
    except BaseException as error:
        error.add_note(change)
        raise
    finally:
        file.write_bytes(own)


def _too_long(*_: object) -> None:
    raise AssertionError("was not refused in a minute")


def refusal(read: Callable[[], object]) -> str:
    """Return the line of an error; "" if the folder is read. Any other end is a failure."""
    try:
        with bounded(), warnings.catch_warnings():
            warnings.simplefilter("error")
            read()
    except BioqError as error:
        line = str(error)
        assert line.isprintable(), repr(line)
        assert line
        assert len(line) < 2000, line
        return line
    return ""


def test_the_folders_are_read_as_they_were_written(folders: Folders) -> None:
    for kept in folders.files():
        assert refusal(kept.read) == "", kept.id
    assert refusal(folders.read_background) == ""


def test_every_field_of_every_json_file_is_read_or_refused_in_one_line(
    folders: Folders, trials: int, counted: Counted
) -> None:
    chance, tried, refused = random.Random(0), 0, 0
    for kept in folders.files():
        file = folders.home / kept.folder / kept.name
        if file.suffix != ".json":
            continue
        own = file.read_bytes()
        content = json.loads(own)
        for at in paths_in(content):
            if (
                trials < 5
                and kept.name == "dataset.json"
                and at[0] == "files"
                and chance.random() < 0.8
            ):
                continue
            for bad in chosen(BAD, trials, chance):
                with restored(file, f"{kept.id}: {at} is {bad!r:.60}"):
                    write_json_of(file, substituted(content, at, bad))
                    line = refusal(kept.read)
                refused += bool(line)
                tried += 1
    assert refused > tried / 2, (refused, tried)
    counted("fields of a stranger's JSON", "read, or refused in one line", tried)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": ' + b"9" * 1_000_000 + b"}",
        b"[" + b"[]," * 5_000_000 + b"[]]",
        b'{"format": 1, "format": 2}',
    ],
    ids=[
        "empty",
        "list",
        "null",
        "text",
        "utf-16",
        "deep",
        "deep object",
        "digits",
        "many",
        "twice",
    ],
)
def test_json_that_would_take_memory_or_time_is_refused(
    text: bytes, folders: Folders, counted: Counted
) -> None:
    files = [kept for kept in folders.files() if kept.name.endswith(".json")]
    for kept in files:
        file = folders.home / kept.folder / kept.name
        own = file.read_bytes()
        file.write_bytes(text)
        began = time.process_time()
        assert refusal(kept.read).startswith(f"{file}: ")
        assert time.process_time() - began < 5
        file.write_bytes(own)
    counted("JSON that would take memory", "refused within seconds", len(files))


def test_every_cell_of_every_table_is_read_or_refused_in_one_line(
    folders: Folders, trials: int, counted: Counted
) -> None:
    chance, tried = random.Random(1), 0
    for kept in folders.files():
        file = folders.home / kept.folder / kept.name
        if file.suffix not in (".tsv", ".csv") or kept.folder == "data":
            continue
        own, separator = file.read_bytes(), "\t" if file.suffix == ".tsv" else ","
        lines = own.decode().splitlines()
        for row in (0, 1, len(lines) - 1):
            cells = lines[row].split(separator)
            for column in range(len(cells)):
                for bad in chosen(CELLS, trials, chance):
                    changed = [*cells[:column], bad, *cells[column + 1 :]]
                    text = [*lines[:row], separator.join(changed), *lines[row + 1 :]]
                    with restored(file, f"{kept.id}: row {row}, column {column} is {bad!r:.60}"):
                        file.write_text("\n".join(text) + "\n")
                        refusal(kept.read)
                    tried += 1
    counted("cells of a stranger's tables", "read, or refused in one line", tried)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_and_what_leads_out_is_refused_and_not_waited_for(
    kind: str, folders: Folders, tmp_path: Path, counted: Counted
) -> None:
    files = folders.files()
    for kept in files:
        file = folders.home / kept.folder / kept.name
        restore = put_kind(file, kind, tmp_path / "elsewhere")
        try:
            line = refusal(kept.read)
        except BaseException as error:
            error.add_note(kept.id)
            raise
        finally:
            restore()
        if kind == "empty" and kept.name in ("_parts.jsonl", "part-00000.parquet"):
            continue  # a journal without a line, and a part that is computed again
        assert line, f"{kept.id} was read"
        assert file.name in line, line
    counted("pipes, devices, links in a folder", "refused, not waited for", len(files))


def test_a_link_to_a_folder_and_a_link_within_one_are_followed(
    folders: Folders, tmp_path: Path
) -> None:
    (tmp_path / "run").symlink_to(folders.run)
    load(tmp_path / "run")
    weights = folders.run / "model.safetensors"
    weights.rename(folders.run / "named.safetensors")
    weights.symlink_to("named.safetensors")
    try:
        load(folders.run)
    finally:
        (folders.run / "named.safetensors").rename(weights)


SIZES = ("filters", "filter_width", "pool_width", "lstm_units", "lstm_layers", "dense_units")


@pytest.mark.parametrize("size", [*SIZES, "targets", "window_bp"])
def test_a_size_that_the_weights_do_not_have_is_refused_at_once(
    size: str, folders: Folders, capsys: pytest.CaptureFixture[str], counted: Counted
) -> None:
    file = folders.run / "config.json"
    own = file.read_bytes()
    tried = 0
    for value in (0, 3, 60, 16_000, 10**6, 10**9, 2**62):
        content = json.loads(own)
        entry = content["model"] if size in content["model"] else content["model"]["sizes"]
        if entry[size] == value:
            continue
        entry[size] = value
        file.write_text(json.dumps(content))
        began = time.process_time()
        # Windows and pooling may be such that the weights are the same.
        line = refusal(lambda: load(folders.run))
        assert line or size in ("window_bp", "pool_width"), value
        with bounded():
            assert main(["predict", str(folders.run), str(file), "--out", "x.tsv"]) in (1, 2)
        assert time.process_time() - began < 20
        assert "unexpected" not in capsys.readouterr().err
        tried += 2
    file.write_bytes(own)
    counted("sizes that the weights do not have", "refused before memory is taken", tried)


def _header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


_TENSOR = '{"dtype":"F32","shape":[%d,4],"data_offsets":[0,%d]}'
HEADERS = {
    "longer than the file": _header(b"{}", 2**40),
    "of 2^63 bytes": _header(b"{}", 2**63),
    "beyond the bound": _header(b" " * 100, MOST_HEADER_BYTES + 1),
    "no JSON": _header(b"\xff" * 40),
    "a tensor longer than the file": _header(
        f'{{"conv.weight":{_TENSOR % (10**9, 16 * 10**9)}}}'.encode()
    ),
    "a tensor of no length": _header(b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    "many tensors": _header(
        b"{"
        + b",".join(
            b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % n for n in range(100_000)
        )
        + b"}"
    ),
    "deep": _header(b'{"a":' * 100_000),
    "an unknown type": _header(b'{"a":{"dtype":"F3","shape":[],"data_offsets":[0,0]}}'),
    "an escape code": _header(
        b'{"\\u001b[31m\\n":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    ),
    "negative": _header(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}'),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_weights_that_is_wrong_is_refused(
    name: str, folders: Folders, counted: Counted
) -> None:
    reads = {
        "model.safetensors": folders.read_run,
        "last.safetensors": lambda: load(folders.run, weights="last"),
        "resume/state.safetensors": folders.read_training,
    }
    for file_name, read in reads.items():
        file = folders.run / file_name
        with restored(file, file_name):
            file.write_bytes(HEADERS[name])
            began = time.process_time()
            assert str(file) in refusal(read)
            assert time.process_time() - began < 10
    counted("headers of weights", "refused before memory is taken", len(reads))


def _fill(value: float) -> Callable[[dict[str, Any], dict[str, str]], None]:
    def change(tensors: dict[str, Any], _: dict[str, str]) -> None:
        next(t for name, t in sorted(tensors.items()) if name.endswith("conv.weight")).view(-1)[
            1
        ] = value

    return change


def _other_type(tensors: dict[str, Any], _: dict[str, str]) -> None:
    for name in tensors:
        if tensors[name].is_floating_point():
            tensors[name] = tensors[name].to(torch.float64)


def _missing(tensors: dict[str, Any], _: dict[str, str]) -> None:
    del tensors[sorted(tensors)[-1]]


def _one_more(tensors: dict[str, Any], _: dict[str, str]) -> None:
    tensors["\x1b[31m.\n.x"] = torch.zeros(1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_fill(float("nan")), "1 of the 24 numbers in .*conv.weight are NaN or infinite"),
        (_fill(float("inf")), "1 of the 24 numbers in .*conv.weight are NaN or infinite"),
        (_other_type, "F64"),
        (_missing, "none"),
        (_one_more, "x1b"),
    ],
    ids=["nan", "inf", "float64", "missing", "more"],
)
@pytest.mark.parametrize("name", ["model.safetensors", "resume/state.safetensors"])
def test_weights_that_are_no_numbers_and_other_weights_are_named(
    name: str, change: Any, expected: str, folders: Folders, counted: Counted
) -> None:
    file = folders.run / name
    read = folders.read_training if "resume" in name else folders.read_run
    with restored(file, name):
        changed_tensors(file, change)
        with pytest.raises(BioqError, match=expected):
            read()
    counted("NaN and other weights", "named", 1)


def test_every_field_of_the_position_of_a_state_is_read_or_refused_in_one_line(
    folders: Folders, trials: int, counted: Counted
) -> None:
    file, chance, tried = folders.run / "resume/state.safetensors", random.Random(2), 0
    position = json.loads(_text_of(file))
    for at in paths_in(position):
        for bad in chosen(BAD, trials, chance):
            text = json.dumps(substituted(position, at, bad))
            with restored(file, f"{at} is {bad!r:.60}"):
                changed_tensors(file, lambda _, kept, text=text: kept.update(position=text))
                refusal(folders.read_training)
            tried += 1
    counted("fields of a stranger's state", "read, or refused in one line", tried)


def _text_of(file: Path) -> str:
    from bioq.runs.weights import read_metadata

    return read_metadata(file)["position"]


def _of_version_1(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays of an older background, that has no ranks."""
    kinds = ("substitution", "indel")
    about = json.loads(str(arrays["about"])) | {"format_version": 1}
    return {
        "about": np.array(json.dumps(about)),
        "targets": arrays["targets"],
        "variants": arrays["variants"].sum(),
        "counts": sum(arrays[f"{kind}.counts"].astype(np.uint32) for kind in kinds),
        "square_sum": sum(arrays[f"{kind}.square_sum"] for kind in kinds),
    }


@pytest.mark.parametrize("version", [1, 2])
def test_every_array_and_field_of_a_background_is_read_or_refused_in_one_line(
    folders: Folders, trials: int, counted: Counted, version: int
) -> None:
    file, chance, tried = folders.background, random.Random(3), 0
    with np.load(file) as opened:
        arrays = dict(opened)
    if version == 1:
        arrays = _of_version_1(arrays)
    about = json.loads(str(arrays["about"]))
    changes: list[dict[str, Any]] = [
        {"about": np.array(json.dumps(substituted(about, at, bad)))}
        for at in paths_in(about)
        for bad in chosen(BAD, trials, chance)
    ]
    counts = next(array for name, array in arrays.items() if name.endswith("counts"))
    for bad in (
        *(np.zeros(3), np.float32("nan"), np.array([1j]), np.array(["x" * 9]), np.zeros((0, 0))),
        *(counts.astype(float), counts * 0, counts[:, :5], counts.T, np.full(2, np.nan)),
        *(
            np.array(-1),
            np.array(2**62),
            np.array([], dtype="U1"),
            np.full(2, -1.0),
            np.array(True),
        ),
    ):
        changes += [{name: bad} for name in arrays]
    for change in changes:
        with restored(file, repr(change)[:200]):
            with open(file, "wb") as written:
                np.savez_compressed(written, **{**arrays, **change})
            refusal(folders.read_background)
        tried += 1
    counted("fields of a stranger's background", "read, or refused in one line", tried)


def test_a_background_that_unpacks_to_gigabytes_is_refused(
    folders: Folders, counted: Counted
) -> None:
    with np.load(folders.background) as opened:
        arrays = dict(opened)
    arrays["indel.counts"] = np.zeros((20_000, 18432), dtype=np.uint8)
    with restored(folders.background, "counts"):
        with open(folders.background, "wb") as written:
            np.savez_compressed(written, **arrays)
        assert "expected (2, 18432)" in refusal(folders.read_background)
    counted("a background that unpacks to much", "refused", 1)


@pytest.mark.parametrize(
    "text", [b"name\n" + b"a\n" * 10_000_000, b"name" + b"\tc" * 100_000 + b"\n" + b"a\n" * 200_000]
)
def test_a_target_table_of_too_many_cells_is_refused(
    text: bytes, folders: Folders, counted: Counted
) -> None:
    file = folders.run / "targets.tsv"
    with restored(file, "targets"):
        file.write_bytes(text)
        assert "expected at most 1,000,000 targets and" in refusal(folders.read_run)
    counted("a table of too many cells", "refused", 1)


def test_a_history_of_too_many_epochs_is_refused(folders: Folders, counted: Counted) -> None:
    file = folders.run / "history.csv"
    header = file.read_bytes().split(b"\n", 1)[0]
    with restored(file, "history"):
        file.write_bytes(header + b"\n" + b"1,1,1\n" * 5_000_000)
        assert "more than 10,000,000 cells" in refusal(folders.read_training)
    counted("a table of too many cells", "refused", 1)


COMMANDS = {
    "config.json": (
        *("summary {run}", "targets {run}", "train {data} --out {run} --resume"),
        "card {run} --force",
    ),
    "targets.tsv": ("targets {run}", "predict {run} {fasta} --out {out}"),
    "calibration.json": ("predict {run} {fasta} --out {out}",),
    "history.csv": ("summary {run}", "card {run} --force"),
    "resume/state.safetensors": ("train {data} --out {run} --resume",),
    "model.safetensors": ("predict {run} {fasta} --out {out}", "evaluate {run} {data} --force"),
    "dataset.json": ("data info {data}", "data verify {data}", "train {data} --out {out}"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_say_one_line_about_a_folder_from_a_stranger(
    name: str,
    folders: Folders,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    trials: int,
    counted: Counted,
) -> None:
    folder = folders.data if name == "dataset.json" else folders.run
    file, chance = folder / name, random.Random(name)
    own = file.read_bytes()
    fasta = tmp_path / "s.fa"
    fasta.write_text(">a\n" + "ACGT" * 10 + "\n")
    paths = {"run": folders.run, "data": folders.data, "fasta": fasta, "out": tmp_path / "o.tsv"}
    tried = 0
    for command in COMMANDS[name]:
        for _ in range(trials):
            if name.endswith(".json"):
                content = json.loads(own)
                at = chance.choice([at for at in paths_in(content) if at[0] != "sources"])
                write_json_of(file, substituted(content, at, chance.choice(BAD)))
            else:
                at = chance.randrange(len(own))
                file.write_bytes(own[:at])
            with bounded():
                code = main([word.format_map(paths) for word in command.split()])
            file.write_bytes(own)
            errors = capsys.readouterr().err
            complaints = [line for line in errors.splitlines() if line.startswith("bioq: ")]
            assert len(complaints) == (code != 0), (command, at, errors)
            assert "unexpected" not in errors, (command, at)
            assert "Traceback" not in errors, (command, at)
            for left in tmp_path.glob("o.tsv*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            tried += 1
    read_config(folders.run)
    counted("commands on a stranger's folder", "one line", tried)

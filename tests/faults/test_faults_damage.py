"""Files that are cut short, flipped, replaced by a pickle, blown up, or from another time."""

import gzip
import os
import pickle
import random
import shutil
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest
from fault_commands import TRAIN, Counted, Processes, Undisturbed, World, content

from bioq.dataset import verify
from bioq.errors import BioqError
from bioq.files import text as text_module
from bioq.genome import bed as bed_module
from bioq.genome import fasta_text, open_genome, read_bed
from bioq.genome.vcf import read_variants
from bioq.inputs import RegionWindows, SequenceWindows
from bioq.runs.folder import BEST, LAST, STATE
from bioq.runs.weights import read_tensors


def flipped(original: bytes, moments: random.Random) -> bytes:
    at = moments.randrange(len(original))
    return original[:at] + bytes([original[at] ^ (1 << moments.randrange(8))]) + original[at + 1 :]


def refused(work: Callable[[], object]) -> bool:
    """Whether a piece of work ends in an error of one line."""
    try:
        work()
    except BioqError as error:
        message = str(error)
    else:
        return False
    assert "\n" not in message
    return True


def test_verify_finds_every_flipped_bit_and_every_cut(
    world: World, tmp_path: Path, trials: int, counted: Counted
) -> None:
    data = tmp_path / "data"
    shutil.copytree(world.folder / "data", data)
    files = sorted(path for path in data.rglob("*") if path.is_file() and path.stat().st_size)
    moments = random.Random(0)
    for number in range(50 * trials):
        file = moments.choice(files)
        own = file.read_bytes()
        cut = own[: moments.randrange(len(own))]
        file.write_bytes(cut if number % 2 else flipped(own, moments))
        assert refused(lambda: verify(data)), (file, number)
        file.write_bytes(own)
    verify(data)
    counted("bits flipped in a data set", "'bioq data verify' finds each", 50 * trials)


@pytest.mark.parametrize("name", [BEST, LAST, STATE])
def test_weights_and_states_that_are_damaged_are_never_taken_for_others(
    name: str, world: World, tmp_path: Path, trials: int, counted: Counted
) -> None:
    file = tmp_path / "damaged.safetensors"
    own = (world.folder / "run" / name).read_bytes()
    expected, expected_text = read_tensors(world.folder / "run" / name)
    moments = random.Random(name)
    result = 0
    for number in range(100 * trials):
        cut = own[: moments.randrange(len(own))]
        file.write_bytes(cut if number % 2 else flipped(own, moments))
        if refused(lambda: read_tensors(file)):
            result += 1
            continue
        tensors, text = read_tensors(file)  # a flip in the name of the checksum itself
        assert all(tensors[key].equal(expected[key]) for key in expected)
        assert expected_text.items() <= text.items()
    assert result > 98 * trials
    counted("weights and states, cut or flipped", "refused, or the same weights", 100 * trials)


def _bgzip(path: Path, text: bytes) -> Path:
    with pysam.BGZFile(str(path), "wb", None) as file:
        file.write(text)
    return path


def _genome_text(path: Path) -> list[tuple[str, bytes]]:
    with open_genome(path) as genome:
        return [
            (name, genome.read(name, 0, length).tobytes())
            for name, length in genome.lengths.items()
        ]


@pytest.mark.parametrize("kind", ["gzip", "bgzip"])
@pytest.mark.parametrize("name", ["g.fa", "v.vcf", "a.bed"])
def test_a_flipped_bit_in_compressed_text_is_found_or_changes_nothing(
    name: str, kind: str, world: World, tmp_path: Path, trials: int, counted: Counted
) -> None:
    read: Callable[[Path], object] = {
        "g.fa": _genome_text,
        "v.vcf": lambda path: [(v.pos, v.ref, v.alt) for v in read_variants(path)],
        "a.bed": lambda path: read_bed(path).start.tolist(),
    }[name]
    text = (world.folder / name).read_bytes()
    file = tmp_path / f"{name}.gz"
    own = gzip.compress(text, mtime=0) if kind == "gzip" else _bgzip(file, text).read_bytes()
    file.write_bytes(own)
    expected = read(file)
    moments = random.Random(name + kind)
    result = 0
    for number in range(20 * trials):
        cut = own[: moments.randrange(len(own))]
        file.write_bytes(cut if number % 2 else flipped(own, moments))
        if refused(lambda: read(file)):
            result += 1
        else:
            assert read(file) == expected, number
    assert result > 15 * trials
    counted("compressed text, cut or flipped", "refused, or the same content", 20 * trials)


class Executed:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("name", [BEST, LAST, STATE, "b.npz", "config.json", "targets.tsv"])
def test_a_pickle_in_any_place_is_refused_and_never_executed(
    name: str, world: World, processes: Processes, tmp_path: Path, counted: Counted
) -> None:
    shutil.copytree(world.folder / "run", tmp_path / "run")
    proof = tmp_path / "executed"
    content = pickle.dumps(Executed(proof))
    if name == "b.npz":
        with open(tmp_path / name, "wb") as file:
            np.savez(file, about=np.array([Executed(proof)], dtype=object), allow_pickle=True)
    else:
        (tmp_path / "run" / name).write_bytes(content)
    genome, vcf = world.folder / "g.fa", world.folder / "v.vcf"
    score = f"variants {tmp_path}/run {vcf} --genome {genome} --out {tmp_path}/v.tsv"
    words = {
        BEST: score,
        LAST: None,
        STATE: f"train {world.folder}/data --out {tmp_path}/run --resume",
        "b.npz": f"{score} --background {tmp_path}/b.npz",
        "config.json": score,
        "targets.tsv": score,
    }[name]
    if words is None:
        assert refused(lambda: read_tensors(tmp_path / "run" / name))
    else:
        (answer,) = processes(words.split())
        assert answer.code == 1, answer.errors
        assert len(answer.complaints) == 1
        assert Path(name).name in answer.complaints[0]
    assert not proof.exists()
    counted("a pickle in place of a file", "refused, never executed", 1)


BOMBS = {
    "FASTA, a header": (b">" + b"x" * 999, "sequences", "bomb.gz:1: the line is longer than"),
    "BED, one line": (b"chr1\t0\t" + b"1" * 993, "regions", "bomb.gz:1: the line is longer than"),
    "BED, a name": (b"chr1\t0\t9\t" + b"n" * 1000, "regions", "bomb.gz:1: the line is longer than"),
    "peaks": (b"chr1\t0\t100\n" * 80, "bed", "holds more than 1,048,576 bytes once unpacked"),
    "VCF, one line": (b"chr1\t5\t.\t" + b"A" * 1000, "vcf", "bomb.gz:1: the line is longer than"),
    "VCF, a comment": (b"##" + b"c" * 1000, "vcf", "bomb.gz: holds no variants"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_to_a_large_one_takes_bounded_memory(
    name: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trials: int,
    counted: Counted,
) -> None:
    # The bounds are 64 MB a line and 1 GB of peaks: tried here with hundredths of them.
    for module in (text_module, fasta_text):
        monkeypatch.setattr(module, "LINE_BYTES", 1 << 19)
    monkeypatch.setattr(bed_module, "_MOST_BYTES", 1 << 20)
    start, reader, printed = BOMBS[name]
    file = tmp_path / "bomb.gz"
    repeated = start[-500:] if reader != "bed" else start
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(start)
        for _ in range(50):
            packed.write(repeated * (1_000_000 // len(repeated)))
    with open_genome(world.folder / "g.fa") as genome:
        sizes = {"window_bp": 200, "stride_bp": 40}
        read = {
            "sequences": lambda: SequenceWindows(file, **sizes).count(),
            "regions": lambda: RegionWindows(file, genome, bin_bp=40, **sizes).count(),
            "bed": lambda: read_bed(file),
            "vcf": lambda: list(read_variants(file)),
        }[reader]
        assert file.stat().st_size < 1_000_000
        tracemalloc.start()
        try:
            with pytest.raises(BioqError, match=printed):
                read()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 30_000_000
    counted("gzip that unpacks to 100 times as much", "bounded memory", 1)


LONG = {
    "VCF, samples": ("v", "chr1\t5\t.\t{ref}\tT\t.\t.\t", "0|0\t", 0),
    "BED, a name": ("r", "chr1\t0\t600\t", "n", 1),
    "FASTA, bases": ("s", ">one\n", "ACGTTGCA", 0),
    "FASTA, a header": ("s", ">", "x", 1),
    "MEME, a row": ("m", "MEME version 4\nletter-probability matrix:\n", "0.25 ", 1),
    "targets, a cell": ("t", "name\tpeaks\none\t", "p", 1),
    "contig names, a column": ("c", "chr1\t", "1\t", 1),
    "TOML, a key": ("o", "", "k", 1),
}
LONG_BYTES = [(100_000_000, name) for name in LONG] + [
    # Under the bound of a small file: these are read.
    (60_000_000, name)
    for name, (kind, *_) in LONG.items()
    if kind in "mtc"
]


@pytest.mark.parametrize(("size", "name"), LONG_BYTES)
def test_a_line_of_100_mb_is_read_or_refused_in_bounded_memory(
    size: int,
    name: str,
    world: World,
    processes: Processes,
    tmp_path: Path,
    counted: Counted,
) -> None:
    kind, start, repeated, code = LONG[name]
    with open_genome(world.folder / "g.fa") as genome:
        ref = "ACGT"[int(genome.read("chr1", 4, 5)[0])]
    file = tmp_path / "long"
    file.write_text(start.format(ref=ref) + repeated * (size // len(repeated)) + "\n")
    genome_at = f"--genome {world.folder}/g.fa"
    peaks = f"data peaks {genome_at} --out {tmp_path}/o --window-bp 200 --bin-bp 40 --targets"
    train = f"train {world.folder}/data --out {tmp_path}/o"
    words = {
        "v": f"variants {world.folder}/run {file} {genome_at} --out {tmp_path}/o.tsv",
        "r": f"predict {world.folder}/run {file} {genome_at} --out {tmp_path}/o.tsv",
        "s": f"predict {world.folder}/run {file} --out {tmp_path}/o.parquet --stride-bp 4000000",
        "m": f"{train} --motifs {file}",
        "t": f"{peaks} {file}",
        "c": f"{peaks} {world.folder}/sheet.tsv --chrom-alias {file}",
        "o": f"{train} --config {file}",
    }[kind]
    (before,) = processes(["data", "info", str(world.folder / "data")])
    (answer,) = processes(words.split())
    assert answer.code == code, answer.errors
    assert len(answer.complaints) == code
    assert len(answer.errors) < 10_000
    assert answer.peak_mb - before.peak_mb < 500
    counted("lines of 60 and 100 MB", "bounded memory; read, or refused in one line", 1)


def test_clocks_and_dates_that_jump_change_nothing(
    world: World,
    processes: Processes,
    undisturbed: Undisturbed,
    tmp_path: Path,
    trials: int,
    counted: Counted,
) -> None:
    moments = random.Random(7)
    whole = undisturbed(TRAIN)
    for trial in range(trials):
        out = world.prepare(TRAIN, tmp_path / f"clock{trial}")
        for _ in range(min(trials, 3)):
            processes(
                world.arguments(TRAIN, out, resume=(out / "run").exists()),
                signal=signal.SIGKILL,
                after_s=moments.uniform(0.2, 1) * whole.seconds,
                clock_s=moments.uniform(-1e9, 1e9),
            )
            for file in out.rglob("*"):
                day = moments.uniform(0, 4e9)
                os.utime(file, (day, day))
        resume = (out / "run").exists()
        (answer,) = processes(world.arguments(TRAIN, out, resume=resume), clock_s=-1e9)
        assert answer.code == 0, answer.errors
        assert content(out) == whole.content
    counted("clocks and dates that jump", "the same weights", trials * min(trials, 3))


def test_an_index_from_the_future_gives_no_other_bases(
    world: World, tmp_path: Path, counted: Counted
) -> None:
    fasta = tmp_path / "g.fa"
    fasta.write_bytes((world.folder / "g.fa").read_bytes())
    pysam.faidx(str(fasta))
    changed = fasta.read_bytes().replace(b">chr2\n", b">chr2 longer\n")
    fasta.write_bytes(changed)
    os.utime(f"{fasta}.fai", (4e9, 4e9))
    assert _genome_text(fasta) == _genome_text(world.folder / "g.fa")
    counted("clocks and dates that jump", "an index is compared, not believed", 1)

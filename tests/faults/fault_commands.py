"""Every command that writes, on inputs so small that it takes a fraction of a second."""

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
from published_files import keras_layers, save_keras

from bioq import dna

_SIZES = "--filters 8 --filter-width 8 --pool-width 10 --lstm-units 4 --dense-units 8"
TIMES = ["seconds", "windows_per_s"]
"""Columns of history.csv that no two trainings share."""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    errors: str
    seconds: float
    peak_mb: float

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.errors.splitlines() if line.startswith("bioq: ")]


Processes = Callable[..., list[Answer]]
Counted = Callable[[str, str, int], None]
"""Says how many trials of a fault a test has made: the fault, what is promised, the number."""


@dataclass(frozen=True)
class World:
    """Inputs of every command."""

    folder: Path

    def arguments(self, command: "Command", out: Path, *, resume: bool = False) -> list[str]:
        """Return the arguments of a command that writes into the folder `out`.

        A file may be there already, complete, when the command is tried again: it is replaced.
        """
        folders = {"in": str(self.folder), "out": str(out)}
        forced = command.words.split()[0] in _FORCED
        words = command.words.split()
        words += ["--resume"] if resume else ["--force"] if forced else []
        return [word.format_map(folders) for word in words]

    def prepare(self, command: "Command", out: Path) -> Path:
        """Make the folder that a command writes into."""
        out.mkdir()
        if command.into_run:
            shutil.copytree(self.folder / "run", out / "run")
        return out


@dataclass(frozen=True)
class Command:
    """A command line; {in} is the world's folder, {out} the one that is written into."""

    name: str
    words: str
    resumes: bool = False
    """Whether what was interrupted can be gone on with."""
    into_run: bool = False
    """Whether it writes into a run that is there."""
    is_slow: bool = False
    """Whether it takes seconds, and is tried by `make test-faults` only."""
    at_once: bool = True
    """Whether all that it writes appears in one step."""
    one_wins: bool = True
    """Whether of two that write it at once all files are those of one."""


_FORCED = ("evaluate", "predict", "variants", "background", "mutagenesis", "attribution")
_VARIANTS = "variants {in}/run {in}/v.vcf --genome {in}/g.fa --batch-size 16"
_PREDICT = "predict {in}/run {in}/r.bed --genome {in}/g.fa --batch-size 8"
TRAIN = Command(
    "train",
    "train {in}/data --out {out}/run --model danq --epochs 3 --batch-size 16 --lr 0.005 "
    f"--patience 0 --checkpoint-min 0.0005 --seed 3 --average 0.9 {_SIZES}",
    resumes=True,
    is_slow=True,
    at_once=False,
)
FOLDS = Command(
    "data peaks --folds",
    "data peaks --genome {in}/g.fa --targets {in}/sheet.tsv --out {out}/folded --window-bp 200 "
    "--bin-bp 40 --folds 3 --keep all",
)
TRAIN_FOLDS = replace(
    TRAIN,
    name="train --fold all",
    words=TRAIN.words.replace(
        "train {in}/data --out {out}/run", "train {in}/folded --out {out}/all"
    ).replace("--epochs 3", "--epochs 2 --fold all"),
)
COMMANDS = (
    Command(
        "data peaks",
        "data peaks --genome {in}/g.fa --targets {in}/sheet.tsv --out {out}/data --window-bp 200 "
        "--bin-bp 40 --valid-chrom chr2 --test-chrom chr3 --keep all",
    ),
    Command("data deepsea", "data deepsea --train {in}/train.mat --out {out}/data"),
    Command(
        "data simulate",
        "data simulate --out {out}/data --train-contigs 1 --contig-bp 40000",
        is_slow=True,
    ),
    TRAIN,
    TRAIN_FOLDS,
    Command("ensemble", "ensemble {in}/run {in}/run-2 --out {out}/ensemble"),
    Command("import", "import {in}/published.hdf5 --out {out}/imported --window-bp 400"),
    Command("card", "card {out}/run --licence MIT", into_run=True, at_once=False),
    Command("evaluate", "evaluate {out}/run {in}/data", into_run=True, is_slow=True, at_once=False),
    *(
        Command(f"predict {ending}", f"{_PREDICT} --out {{out}}/p{ending}", resumes=True)
        for ending in (".tsv.gz", ".parquet", ".h5")
    ),
    Command("predict .bw", f"{_PREDICT} --out {{out}}/p.bw", resumes=True, at_once=False),
    Command(
        "predict --hub",
        f"{_PREDICT} --out {{out}}/p.bw --hub",
        resumes=True,
        at_once=False,
    ),
    *(
        Command(f"variants {ending}", f"{_VARIANTS} --out {{out}}/v{ending}")
        for ending in (".tsv", ".h5", ".vcf.gz")
    ),
    Command(
        "variants, DeepSEA's files",
        f"{_VARIANTS} --out {{out}}/v --format deepsea",
        at_once=False,
    ),
    Command("variants --annotate", f"{_VARIANTS} --annotate --out {{out}}/v.vcf"),
    *(
        Command(
            f"variants --annotate {ending}",
            f"{_VARIANTS} --annotate --out {{out}}/v{ending}",
            at_once=False,
        )
        for ending in (".vcf.gz", ".bcf")
    ),
    Command("variants --long", f"{_VARIANTS} --long --top 1 --out {{out}}/v.parquet"),
    Command(
        "variants --all-snvs",
        "variants {in}/run --all-snvs chr1:100-200 --genome {in}/g.fa --out {out}/v.tsv.gz",
        at_once=False,
    ),
    Command(
        "variants with a report",
        f"{_VARIANTS} --out {{out}}/v.tsv --report {{out}}/v.html",
        is_slow=True,
        at_once=False,
        one_wins=False,
    ),
    Command(
        "rank fit",
        "rank fit {in}/positives.vcf {in}/negatives.vcf --run {in}/run --genome {in}/g.fa "
        "--out {out}/rank",
    ),
    Command("background", "background {in}/run {in}/v.vcf --genome {in}/g.fa --out {out}/b.npz"),
    Command("mutagenesis", "mutagenesis {in}/run {in}/s.fa --out {out}/m.npz --span-bp 20"),
    Command("mutagenesis .h5", "mutagenesis {in}/run {in}/s.fa --out {out}/m.h5 --span-bp 20"),
    Command(
        "attribution",
        "attribution {in}/run {in}/s.fa --out {out}/a.tsv --span-bp 20 --baseline zeros --steps 8",
    ),
    Command(
        "attribution --hub",
        "attribution {in}/run {in}/r.bed --genome {in}/g.fa --out {out}/a.bw --hub "
        "--span-bp 200 --baseline zeros --steps 2",
        at_once=False,
    ),
    Command(
        "attribution .modisco",
        "attribution {in}/run {in}/s.fa --out {out}/a.modisco --span-bp 60 --baseline zeros "
        "--steps 8",
    ),
    Command(
        "attribution .bw .bed",
        "attribution {in}/run {in}/r.bed --genome {in}/g.fa --out {out}/a.bw --out {out}/a.bed "
        "--span-bp 200 --baseline shuffled:2 --steps 2 --motifs {in}/m.meme",
        is_slow=True,
        at_once=False,
    ),
    Command(
        "motifs", "motifs {in}/run {in}/data --out {out}/motifs --against {in}/m.meme", is_slow=True
    ),
    Command(
        "motif-effects",
        "motif-effects {in}/run {in}/data --out {out}/motif-effects --motifs {in}/m.meme "
        "--windows 8 --min-sites 1 --pair M1 M1 --distances 0:5",
        is_slow=True,
    ),
)


class Whole:
    """What a command leaves when nobody disturbs it, and how long it takes."""

    def __init__(self, world: World, command: Command, folder: Path, processes: Processes):
        self.folder = world.prepare(command, folder)
        self.before = content(folder)
        (answer,) = processes(world.arguments(command, folder))
        assert answer.code == 0, answer.errors
        self.seconds = answer.seconds
        self.content = content(folder)
        assert len(self.content) > len(self.before)


Undisturbed = Callable[[Command], Whole]
"""Returns what a command leaves when nobody disturbs it."""


def content(folder: Path) -> dict[str, str]:
    """Return what is under final names: relative path -> checksum of what counts in it."""
    return {
        file.relative_to(folder).as_posix(): _checksum(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not leftover(file.relative_to(folder))
    }


def is_begun(out: Path) -> bool:
    """Whether a training is there that --resume continues."""
    return (out / "run").exists() or (out / "all/fold-1").exists()


def leftover(name: Path) -> bool:
    """Whether a file has a temporary name, or lies in a folder that has."""
    return any(
        (part.startswith(".") and part.endswith(".part")) or part.endswith(".partial")
        for part in name.parts
    )


def _checksum(file: Path) -> str:
    if file.name == "history.csv":
        table = pd.read_csv(file)
        return str(table[[name for name in table.columns if name not in TIMES]].to_csv())
    if file.name == "state.safetensors":  # holds the times of the history
        return "state"
    if zipfile.is_zipfile(file):  # a zip file, and a background, hold the time of writing
        with zipfile.ZipFile(file) as opened:
            members = [each for each in opened.infolist() if each.filename != "about.npy"]
            return repr([(member.filename, member.CRC) for member in members])
    if file.name in ("config.json", "report.html", "rank.json"):  # where things are; the time
        return "text" if file.stat().st_size else "nothing"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def make_world(folder: Path, processes: Processes) -> World:
    """Write the inputs, then make the data set and the run with the commands themselves."""
    random = np.random.default_rng(5)
    contigs = {
        name: dna.decode(random.integers(0, 4, 4000).astype(np.uint8))
        for name in ("chr1", "chr2", "chr3")
    }
    text = "".join(f">{name}\n{bases}\n" for name, bases in contigs.items())
    (folder / "g.fa").write_text(text)
    for target in ("a", "b", "c"):
        starts = [(name, int(start)) for name in contigs for start in random.integers(0, 3900, 25)]
        lines = [f"{name}\t{start}\t{start + 60}\n" for name, start in starts]
        (folder / f"{target}.bed").write_text("".join(lines))
    sheet = "".join(f"{target}\t{target}.bed\n" for target in ("a", "b", "c"))
    (folder / "sheet.tsv").write_text("name\tpeaks\n" + sheet)
    regions = "chr1\t0\t2400\nchr2\t0\t830\n"
    (folder / "r.bed").write_text(regions + "chr3\t100\t900\n")
    (folder / "other.bed").write_text(regions + "chr3\t900\t1700\n")
    for name, contig in (("s", "chr2"), ("other", "chr3")):
        sequences = f">one\n{contigs['chr1'][:260]}\n>two\n{contigs[contig][:200]}\n"
        (folder / f"{name}.fa").write_text(sequences)
    variants = []
    for position in range(200, 3700, 50):
        ref = contigs["chr1"][position - 1]
        variants.append(f"chr1\t{position}\t.\t{ref}\t{_other(ref)}\n")
    (folder / "v.vcf").write_text("##fileformat=VCFv4.2\n" + "".join(variants))
    (folder / "other.vcf").write_text("##fileformat=VCFv4.2\n" + "".join(variants[:50]))
    for name, first in (("positives", 200), ("negatives", 225)):
        alleles = [
            f"{contig}\t{position}\t.\t{bases[position - 1]}\t{_other(bases[position - 1])}\n"
            for contig, bases in contigs.items()
            for position in range(first, 3700, 350)
        ]
        (folder / f"{name}.vcf").write_text("##fileformat=VCFv4.2\n" + "".join(alleles))
    (folder / "m.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 one\n"
        "letter-probability matrix: alength= 4 w= 8 nsites= 20 E= 0\n" + "0.7 0.1 0.1 0.1\n" * 8
    )
    (folder / "other").mkdir()
    _write_mat(folder / "train.mat", random)
    _write_mat(folder / "other/train.mat", random)
    save_keras("danq", keras_layers("danq"), folder / "published.hdf5")
    world = World(folder)
    for command in (COMMANDS[0], FOLDS, TRAIN):
        (answer,) = processes(world.arguments(command, folder))
        assert answer.code == 0, answer.errors
    for number in (2, 3):
        _write_other_run(folder / "run", folder / f"run-{number}", times=number)
    return world


def _other(base: str) -> str:
    return "ACGT"[("ACGT".index(base) + 1) % 4]


def _write_other_run(run: Path, other: Path, *, times: int) -> None:
    """Copy a run, with weights that are several times as large."""
    from bioq.runs.trained_model import load
    from bioq.runs.weights import save_weights

    shutil.copytree(run, other)
    network = load(run).network
    for weights in network.parameters():
        weights.data *= times
    save_weights(network, other / "model.safetensors")


def _write_mat(path: Path, random: np.random.Generator) -> None:
    codes = random.integers(0, 4, (200, 200)).astype(np.uint8)
    labels = random.integers(0, 2, (200, 919)).astype(np.uint8)
    arrays = {"trainxdata": dna.one_hot(codes)[:, [0, 2, 1, 3]], "traindata": labels}
    scipy.io.savemat(path, arrays, do_compression=True)

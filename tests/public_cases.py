"""The public functions: an honest call of each, and what each of its arguments may not be."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published_files import Bioq2024, save
from torch import nn
from variant_cases import make_chromosome, make_run, write_vcf

import bioq
from bioq import dna, metrics
from bioq.dataset import Dataset
from bioq.models import build_model

WINDOW_BP = 60
SIZES = bioq.ModelSizes(filters=4, filter_width=8, pool_width=5, lstm_units=3, dense_units=4)

PACKAGES = (
    "bioq", "bioq.dataset", "bioq.dna", "bioq.dna.shuffle", "bioq.fast", "bioq.forward",
    "bioq.genome", "bioq.interpretation", "bioq.metrics", "bioq.models", "bioq.motifs",
    "bioq.prediction", "bioq.tracks", "bioq.variants",
)  # fmt: skip
"""What docs/ shows to somebody who writes Python."""

ELSEWHERE = {
    "bioq.dataset.label_kinds": "takes an open data set; test_label_kinds.py",
    "bioq.dataset.new_dataset": "takes a Description; its writer is checked in test_dataset.py",
    "bioq.dataset.require_undamaged": "takes an open data set; test_data_damage.py",
    "bioq.dna.as_array": "is a part of checks: every function of codes calls it",
    "bioq.dna.checked_codes": "is the check itself: every function of codes calls it",
    "bioq.dna.require_packed": "is a check itself: unpack and unpack_labels call it",
    "bioq.dna.shuffle.dinucleotide_shuffles": "takes a generator, which it changes: "
    "test_shuffle.py",
    "bioq.forward.numerics": "takes a torch.device: test_forward.py",
    "bioq.forward.require_logits": "is a check itself: test_forward.py",
    "bioq.forward.require_precision": "is a check itself: precision of predict",
    "bioq.genome.find_region": "takes an open genome: test_notation.py",
    "bioq.genome.locate": "takes a Bed that was read: test_genome.py",
    "bioq.interpretation.attribution_file": "takes a job of the command line: test_attribution.py",
    "bioq.interpretation.mutagenesis_file": "takes a job of the command line: test_mutagenesis.py",
    "bioq.metrics.f1_of_yes": "takes shares that were computed: test_constants.py",
    "bioq.motifs.danq_jaspar_motifs": "has no argument",
    "bioq.variants.make_background": "takes a job of the command line: test_variant_background.py",
    "bioq.variants.own_background": "takes a folder that was found: test_random_background.py",
    "bioq.variants.variant_files": "takes paths of the command line: test_variant_formats.py",
    "bioq.variants.write_variants": "takes a job of the command line: test_variants.py",
}
"""Public functions that are not called here, and why."""


def public_functions() -> dict[str, Callable[..., Any]]:
    """Return every public function by its full name, once: under the first package that has it."""
    found: dict[Any, str] = {}
    for package in PACKAGES:
        module = import_module(package)
        exported = getattr(module, "__all__", None)
        for name in exported if exported is not None else sorted(vars(module)):
            value = getattr(module, name)
            is_own = exported is not None or getattr(value, "__module__", "") == package
            if inspect.isfunction(value) and is_own and not name.startswith("_"):
                found.setdefault(value, f"{package}.{name}")
    return {name: function for function, name in found.items()}


@dataclass(frozen=True)
class Argument:
    """An argument of an honest call."""

    value: Any
    refused: Sequence[Any] = ()
    """Each is a BioqError of one line."""
    equal: Sequence[Any] = ()
    """Each gives the result of `value`."""


@dataclass(frozen=True)
class Case:
    """An honest call of a function; `is_slow`: it is not called, its refusals are tried."""

    arguments: Mapping[str, Argument]
    call: Callable[..., Any] | None = None
    """What is called instead of the function."""
    is_slow: bool = False
    kept: Sequence[str] = field(default=())
    """Arguments without a case."""


NO_NUMBER = [True, np.True_, 1.5, np.float64(1.5), "1", b"1", [1], np.array([1]), 1j, float("nan")]


def whole(value: int, *refused: Any, optional: bool = False) -> Argument:
    none = [] if optional else [None]
    return Argument(
        value,
        [*NO_NUMBER, *none, *refused],
        [np.int64(value), np.array(value), torch.tensor(value)],
    )


def number(value: float, *refused: Any) -> Argument:
    wrong = [True, "1", [1], np.array([1.0]), 1j, None, float("nan"), float("inf"), *refused]
    return Argument(value, wrong, [np.float64(value), np.array(value), torch.tensor(value)])


def choice(value: str, *, optional: bool = False) -> Argument:
    none = [] if optional else [None]
    return Argument(
        value, ["nonsense", "", 1, True, [value], np.array([value, value]), b"both", *none]
    )


def text(value: str, *refused: Any) -> Argument:
    return Argument(value, [1, None, True, [value], b"x", np.array(["a"]), *refused])


def flag(value: bool) -> Argument:
    return Argument(value, ["yes", 1, None, np.array([True]), []])


def path(value: Path, *, optional: bool = False) -> Argument:
    none = [] if optional else [None]
    wrong = [1, 1.5, True, b"x", "", "a\0b", [value], "/nowhere/at/all", np.array(["a"]), *none]
    return Argument(value, wrong, [str(value)])


def device() -> Argument:
    wrong = ["nonsense", "meta", torch.device("meta"), "", 0, 1.5, True, ["cpu"], b"cpu", "cpu\n"]
    if not torch.cuda.is_available():
        wrong += ["cuda", "cuda:0", torch.device("cuda")]
    return Argument("cpu", wrong, [torch.device("cpu"), "cpu:0", None])


def model(value: nn.Module, *, computes: bool = True) -> Argument:
    wrong = [None, 3, "no such run", nn.Linear, [value], {}, torch.zeros(3)]
    if not computes:
        return Argument(value, wrong)
    with torch.device("meta"):
        without_values = build_model("bioq", targets=3, window_bp=WINDOW_BP, sizes=SIZES)
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    return Argument(value, [*wrong, without_values, lazy, nn.Identity()])


def codes(value: np.ndarray, *refused: Any, is_length_known: bool = True) -> Argument:
    above, wide = value.copy(), np.repeat(value, 2, axis=-1)[..., ::2]
    above[..., -1] = 5
    fixed = value.copy()
    fixed.setflags(write=False)
    wrong = [
        None, 3, "ACGT", b"ACGT", 1.5, {}, np.uint8(1), value.astype(float), value.astype(complex),
        value == 1, value.astype(object), np.array(["A"] * value.shape[-1]), above,
        value.astype(np.int64) - 5, torch.from_numpy(value.astype(np.float32)), [[1], [1, 2]],
        *refused,
    ]  # fmt: skip
    if is_length_known:
        wrong += [value[..., :-1], np.concatenate([value, value[..., :1]], axis=-1), value[None]]
    equal = [value.astype(np.int64), value.astype(">i2"), np.asfortranarray(value), wide, fixed]
    return Argument(value, wrong, [*equal, value.tolist(), torch.from_numpy(value.copy())])


def windows(value: np.ndarray, *, optional: bool = False) -> Argument:
    def changed(to: float) -> np.ndarray:
        array = value.astype(np.float32)
        array[-1, 2, 3] = to
        return array

    fixed = value.copy()
    fixed.setflags(write=False)
    wrong = [
        3, 1.5, {}, "ACGT", "not DNA at all", ["ACGT", "AC"], [1, [2]], np.array(["x"]),
        value[0], value[0, 0], value[None], value.transpose(0, 2, 1), value[:, :3], value[..., :-1],
        np.concatenate([value, value[:, :1]], axis=1), np.concatenate([value, value], axis=2),
        changed(np.nan), changed(np.inf), changed(-1), changed(1.01), value.astype(object),
        value.astype(complex), torch.zeros(value.shape, device="meta"),
        torch.from_numpy(value).to_sparse(), torch.zeros(value.shape, dtype=torch.complex64),
        np.zeros((1, 5, WINDOW_BP)), np.float32(1), value.astype(str),
    ]  # fmt: skip
    equal = [value.astype(kind) for kind in ("f4", "f8", "f2", "?", "i8", ">i2", ">f4", "u2", "g")]
    equal += [value[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1], np.asfortranarray(value), fixed]
    tensor = torch.from_numpy(value.astype(np.float32))
    equal += [tensor, tensor.clone().requires_grad_(), tensor.half(), value.tolist()]
    return Argument(value, wrong if optional else [*wrong, None], equal)


def labels(value: np.ndarray, *refused: Any) -> Argument:
    other = value.astype(np.int64)
    other.flat[-1] = 2
    half = value.astype(float)
    half.flat[-1] = 0.5
    wrong = [
        None, 3, "01", value.astype(str), value.astype(complex), value.astype(object), value[:-1],
        value[None, None], other, half, -other, np.where(half == 0.5, np.nan, half), [[1], [0, 1]],
        *refused,
    ]  # fmt: skip
    fixed = value.copy()
    fixed.setflags(write=False)
    equal = [value.astype(kind) for kind in ("?", "i8", "f4", "f8", ">i2")]
    return Argument(
        value, wrong, [*equal, fixed, np.asfortranarray(value), value.tolist(), torch.tensor(value)]
    )


def scores(value: np.ndarray, *refused: Any, are_shares: bool = False) -> Argument:
    def changed(to: float) -> np.ndarray:
        array = value.copy()
        array.flat[-1] = to
        return array

    wrong = [
        None, 3, "01", value.astype(str), value.astype(complex), value.astype(object), value[:-1],
        value[None, None], changed(np.nan), changed(np.inf), [[1], [0, 1]], *refused,
    ]  # fmt: skip
    if are_shares:
        wrong += [changed(-0.1), changed(1.5)]
    fixed = value.copy()
    fixed.setflags(write=False)
    equal = [fixed, np.asfortranarray(value), torch.tensor(value)]
    return Argument(value, wrong, equal)


def numbers(value: Sequence[int], count: int) -> Argument:
    array = np.array(value)
    wrong = [
        3, "01", [1.0], ["a"], [True], array.astype(float), array.astype(bool), array[None],
        [*value, -1], [*value, count], np.array(1), [[0], [0, 1]], 1.5, {},
    ]  # fmt: skip
    return Argument(array, wrong, [list(value), array.astype(np.int8), torch.tensor(value)])


@dataclass(frozen=True)
class World:
    """What the calls use; nothing may change it."""

    model: nn.Module
    data: Dataset
    run: Path
    other_run: Path
    genome: Path
    vcf: Path
    motifs: Path
    bed: Path
    names: Path


def make_world(folder: Path, data: Dataset) -> World:
    torch.manual_seed(0)
    network = build_model("bioq", targets=3, window_bp=WINDOW_BP, sizes=SIZES).train()
    chromosome = make_chromosome()
    genome, bed = folder / "genome.fa", folder / "regions.bed"
    genome.write_text(f">chr1\n{chromosome}\n")
    bed.write_text("chr1\t10\t20\n")
    names, motifs = folder / "names.txt", folder / "motifs.meme"
    names.write_text("chr1\t1\n")
    bioq_motif = np.full((4, 4), 0.25)
    from bioq.motifs import Motif, write_meme

    write_meme(motifs, [Motif("one", "M1", bioq_motif)], [20])
    alt = "A" if chromosome[499] != "A" else "C"
    vcf = write_vcf(folder / "one.vcf", [("chr1", 500, "rs1", chromosome[499], alt)])
    runs = make_run(folder / "run"), make_run(folder / "other", seed=2)
    return World(network, data, *runs, genome, vcf, motifs, bed, names)


def cases(world: World, out: Path) -> dict[str, Case]:
    """Return the case of every public function; `out` is a folder to write into."""
    random = np.random.default_rng(0)
    many = random.integers(0, 5, (5, WINDOW_BP)).astype(np.uint8)
    edited = many[:3].copy()
    edited[:, 30] = (edited[:, 30] + 1) % 4
    hot = dna.one_hot(many)
    label = (random.random((40, 3)) < 0.4).astype(np.uint8)
    share = random.random((40, 3)).astype(np.float32)
    points = metrics.operating_points(label, share)
    packed, mask = dna.pack(many)
    strands, precision, batch = choice("both"), choice("32"), whole(2, 0, -1)
    one, each = labels(label), scores(share)
    both = {"labels": one, "probability": scores(share, are_shares=True)}
    ranks = {"labels": labels(label, label[:, 0]), "probability": scores(share, share[:, 0])}
    of_points = Argument(points, [None, 3, share, "points", {}])
    blocks = np.arange(40) // 5
    of_windows = Argument(None, [3, "x", [1], np.full(len(label), -1.0)], [np.ones(len(label))])
    of_blocks = Argument(
        blocks,
        [3, "01", blocks.astype(float), blocks[:-1], blocks - 1, blocks[None], blocks == 1, [[0]]],
        [blocks.tolist(), blocks.astype(np.uint8)],
    )
    no_byte = Argument(packed, [None, packed[:, :-1], packed.astype(int), packed[0], 3, "x"])
    architecture = world.model.architecture
    sizes = Argument(SIZES, [3, "x", None, [1], {"nonsense": 1}, {"filters": 1.5}])
    motifs = [*bioq_motifs(world)]
    one_motif = Argument(motifs[0], [None, 3, "CTCF", [], motifs, motifs[0].probabilities])
    motif_list = Argument(motifs, [None, 3, "JASPAR2024", [], [1], motifs[0]], [tuple(motifs)])
    bumps = np.sin(np.arange(WINDOW_BP) / 3.0) ** 9
    model_options = {"device": device(), "precision": precision}
    data_path = path(world.data.path)
    slow_run = {"run": path(world.run), "data": data_path}
    return {
        "bioq.build_model": Case(
            {
                "name": text("bioq", "nonsense", ""),
                "targets": whole(3, 0, -1),
                "window_bp": whole(WINDOW_BP, 0, -1, 3, optional=True),
                "sizes": sizes,
            },
            call=lambda **arguments: undisturbed(bioq.build_model, **arguments).architecture,
        ),
        "bioq.calibrate": Case(
            {
                **slow_run,
                "device": Argument(None, device().refused),
                "batch_size": Argument(2, batch.refused),
            },
            is_slow=True,
            kept=["force"],
        ),
        "bioq.evaluate": Case(
            {
                **slow_run,
                "out": Argument(None, [1, True, b"x", "", "a\0b", ["x"]]),
                "split": Argument("test", [1, None, ["test"]]),
                "strands": Argument("both", strands.refused),
                "device": Argument(None, [0, 1.5, True, b"cpu"]),
                "batch_size": Argument(2, [0, -1, 1.5, "1", None, True]),
                "precision": Argument("32", precision.refused),
            },
            is_slow=True,
            kept=["force"],
        ),
        "bioq.import_model": Case(
            {
                "what": path(save(Bioq2024(), out / "published.pth")),
                "out": Argument(out / "imported", [1, None, True, b"x", "", "a\0b", world.run]),
                "targets": path(world.names, optional=True),
                "window_bp": whole(400, 0, -1, 1 << 40, optional=True),
                "second_lstm": choice("backward"),
                "from_url": Argument(None, [1, True, b"x", ["x"], "http://127.0.0.1:9/x"]),
                "force": flag(False),
            },
            is_slow=True,
        ),
        "bioq.load": Case(
            {
                "run": path(world.run),
                "device": Argument("cpu", device().refused, [torch.device("cpu")]),
                "weights": choice("best"),
                "calibrated": flag(True),
                "trust": flag(False),
            },
            call=lambda **arguments: list(bioq.load(**arguments).state_dict().values()),
        ),
        "bioq.make_ensemble": Case(
            {
                "runs": Argument(
                    [world.run, world.other_run],
                    [None, 3, {}, [], world.run, [world.run] * 2, [world.run, 1], ["/nowhere"] * 2],
                ),
                "out": Argument(out / "ensemble", [1, None, True, b"x", "", "a\0b", world.run]),
                "force": flag(False),
            },
            is_slow=True,
        ),
        "bioq.open_dataset": Case(
            {"path": data_path}, call=lambda path: bioq.open_dataset(path).fingerprint
        ),
        "bioq.predict": Case(
            {
                "model": model(world.model),
                "windows": windows(hot),
                "strands": strands,
                "batch_size": batch,
                **model_options,
            }
        ),
        "bioq.score_variants": Case(
            {
                "model": model(bioq.load(world.run)),
                "vcf": Argument(world.vcf, ["/nowhere.vcf"], [str(world.vcf)]),
                "genome": path(world.genome),
                "targets": Argument((), ["first", 3, None, [1], ["nonsense"]], [[], ["*"]]),
                "options": Argument(bioq.VariantOptions(), [None, 3, {}, "both"]),
                "background": Argument(None, [3, b"x", "", "/nowhere"]),
                "group_by": Argument(None, [3, b"x", "nonsense", ["name"]]),
                "chrom_alias": Argument(None, [3, "x", ["chr1"]], [{}]),
            },
            call=lambda **arguments: list(bioq.score_variants(**arguments)),
        ),
        "bioq.train": Case(
            {
                "data": data_path,
                "run": Argument(out / "run", [1, None, True, b"x", "", "a\0b"]),
                "model": choice("bioq", optional=True),
                "sizes": Argument(SIZES, [3, "x", [1], {"filters": 1}]),
                "motifs": Argument(None, [3, ["none"], "nonsense"]),
                "from_run": Argument(None, [3, b"x", "", "/nowhere"]),
                "freeze": flag(False),
                "config": Argument(None, [3, "x", {"epochs": 1}]),
                "resume": flag(False),
                "force": flag(False),
            },
            is_slow=True,
        ),
        "bioq.write_card": Case(
            {
                "run": path(world.run),
                "licence": Argument(None, [1, True, b"MIT", "", " ", ["MIT"]]),
                "force": flag(False),
            },
            is_slow=True,
        ),
        "bioq.dataset.pack_labels": Case(
            {
                "labels": Argument(
                    label,
                    [
                        None,
                        3,
                        "x",
                        label[0],
                        label + 1,
                        label.astype(str),
                        label * 0.5,
                        -label.astype(int),
                        [[1], [0, 1]],
                    ],
                    [label.astype(bool), label.astype(float), label.tolist()],
                )
            }
        ),
        "bioq.dataset.unpack_labels": Case(
            {
                "packed": Argument(
                    np.packbits(label, axis=1, bitorder="little"),
                    [None, 3, "x", label[0], label.astype(float)],
                ),
                "targets": whole(3, -1, 9),
            }
        ),
        "bioq.dataset.verify": Case(
            {"path": data_path},
            call=lambda path: import_module("bioq.dataset").verify(path).fingerprint,
        ),
        "bioq.dna.allows": Case({"letters": text("ACN"), "bases": text("ACG")}),
        "bioq.dna.decode": Case({"codes": codes(many[0], many, is_length_known=False)}),
        "bioq.dna.encode": Case(
            {"sequence": Argument("acgtNx", [None, 3, 1.5, ["A"], np.array(["A"])], [b"acgtNx"])}
        ),
        "bioq.dna.one_hot": Case({"codes": codes(many, is_length_known=False)}),
        "bioq.dna.pack": Case({"codes": codes(many, many[0], is_length_known=False)}),
        "bioq.dna.packed_bytes": Case({"length": whole(7, -1)}),
        "bioq.dna.reverse_complement": Case({"codes": codes(many, is_length_known=False)}),
        "bioq.dna.unpack": Case(
            {
                "packed": no_byte,
                "length": whole(WINDOW_BP, -1, 10, 70),
                "mask": Argument(mask, [3, "x", mask[:, :-1], mask[:-1], mask.astype(float)]),
            }
        ),
        "bioq.fast.open_mutants": Case(
            {
                "model": model(world.model, computes=False),
                "codes": codes(many[0], many, is_length_known=False),
                "mutants": whole(180, -1),
                "strands": strands,
                "precision": precision,
            },
            call=lambda **arguments: bioq_fast_mutants(**arguments),
        ),
        "bioq.fast.prepare": Case(
            {"model": model(world.model, computes=False), "precision": precision},
            call=lambda **arguments: bioq_fast(many, **arguments),
        ),
        "bioq.fast.prepare_edits": Case(
            {"model": model(world.model, computes=False), "precision": precision},
            call=lambda **arguments: import_module("bioq.fast").prepare_edits(**arguments) is None,
        ),
        "bioq.forward.predict_codes": Case(
            {
                "model": model(world.model),
                "codes": codes(many, many[0]),
                "strands": strands,
                **model_options,
            }
        ),
        "bioq.forward.predict_edits": Case(
            {
                "model": model(world.model),
                "codes": codes(many, many[0]),
                "edited": codes(edited, edited[0], edited[:2]),
                "of": numbers([0, 1, 2], 5),
                "batch_size": batch,
                **model_options,
            }
        ),
        "bioq.forward.predict_split": Case(
            {
                "model": model(build_model("bioq", targets=3, window_bp=1000, sizes=SIZES)),
                "split": Argument(world.data["test"], [None, 3, "test", world.data, hot]),
                "strands": strands,
                "batch_size": batch,
                **model_options,
                "rows": Argument(
                    slice(3, 6), [None, 3, [3, 4, 5], slice(3, 6, 2), slice(6, 3, -1), "x"]
                ),
                "out": Argument(
                    None,
                    [
                        3,
                        "x",
                        np.zeros((2, 3)),
                        np.zeros(3),
                        np.zeros((3, 3), int),
                        np.zeros((3, 4)),
                    ],
                ),
            }
        ),
        "bioq.genome.open_genome": Case(
            {"path": path(world.genome)}, call=lambda path: read_genome(path)
        ),
        "bioq.genome.open_names": Case(
            {"genome": path(world.genome), "chrom_alias": path(world.names, optional=True)},
            call=lambda **arguments: found_name(**arguments),
        ),
        "bioq.genome.read_bed": Case(
            {"path": path(world.bed)},
            call=lambda path: import_module("bioq.genome").read_bed(path).start,
            kept=["summits", "blocks"],
        ),
        "bioq.genome.read_chrom_alias": Case(
            {"path": path(world.names)},
            call=lambda path: type(import_module("bioq.genome").read_chrom_alias(path)).__name__,
        ),
        "bioq.interpretation.expected_gradients": Case(
            {
                "model": model(world.model),
                "windows": windows(hot),
                "target": whole(1, -1, 3),
                "shuffles": whole(2, 0, -1),
                "steps": whole(3, 0, -1),
                "strands": strands,
                "batch_size": batch,
                "advance": Argument(lambda done: None, [None, 3, "x"]),
                "copies_of": windows(hot, optional=True),
            }
        ),
        "bioq.interpretation.find_sites": Case(
            {
                "codes": codes(many[0]),
                "contributions": Argument(
                    bumps,
                    [
                        None,
                        3,
                        "x",
                        bumps > 0,
                        bumps.astype(int),
                        bumps[:-1],
                        bumps[None],
                        np.where(bumps > 0.9, np.inf, bumps),
                    ],
                    [bumps.tolist(), torch.from_numpy(bumps)],
                ),
                "motifs": Argument(motifs * 25, [None, 3, "x", [1]]),
                "target": text("CTCF"),
            }
        ),
        "bioq.interpretation.input_x_gradient": Case(
            {
                "model": model(world.model),
                "windows": windows(hot),
                "target": whole(1, -1, 3),
                "strands": strands,
            }
        ),
        "bioq.interpretation.integrated_gradients": Case(
            {
                "model": model(world.model),
                "windows": windows(hot),
                "target": whole(1, -1, 3),
                "baseline": windows(dna.one_hot((many + 1) % 4), optional=True),
                "steps": whole(3, 0, -1),
                "strands": strands,
                "batch_size": batch,
                "advance": Argument(lambda done: None, [None, 3, "x"]),
            }
        ),
        "bioq.interpretation.ablation_effects": Case(
            {
                "model": model(world.model),
                "windows": codes(many, many[0]),
                "motifs": motif_list,
                "targets": numbers([2, 0, 2], 3),
                "strands": strands,
                "span_bp": whole(50, -1, 0, optional=True),
                "most_sites": whole(3, -1, 0),
                "min_sites": whole(1, -1),
                "seed": whole(1, -1),
            }
        ),
        "bioq.interpretation.insertion_effects": Case(
            {
                "model": model(world.model),
                "backgrounds": codes(many, many[0]),
                "motifs": motif_list,
                "targets": numbers([2, 0, 2], 3),
                "strands": strands,
                "seed": whole(1, -1),
            }
        ),
        "bioq.interpretation.mutate_window": Case(
            {
                "model": model(world.model),
                "codes": codes(many[0], many),
                "start": whole(5, -5, -1, 61, 11),
                "end": whole(10, 4, -1, 61, 10**30, optional=True),
                "targets": numbers([2, 0, 2], 3),
                "strands": strands,
                "batch_size": batch,
                **model_options,
                "advance": Argument(lambda done: None, [None, 3, "x"]),
            }
        ),
        "bioq.interpretation.pair_effects": Case(
            {
                "model": model(world.model),
                "backgrounds": codes(many, many[0]),
                "a": one_motif,
                "b": one_motif,
                "distances": Argument([0, 3], [None, 3, "0:3", [], [-1], [1.5], [[1]], [10**6]]),
                "targets": numbers([2, 0, 2], 3),
                "strands": strands,
                "seed": whole(1, -1),
            }
        ),
        "bioq.metrics.at_threshold": Case(
            {
                "labels": one,
                "scores": each,
                "threshold": number(0.5),
                "weights": of_windows,
            }
        ),
        "bioq.metrics.average_precision": Case({"points": of_points}),
        "bioq.metrics.best_f1": Case({"points": of_points}),
        "bioq.metrics.best_thresholds": Case(ranks),
        "bioq.metrics.block_effects": Case(
            {
                "points": of_points,
                "labels": one,
                "scores": each,
                "blocks": of_blocks,
                "columns": Argument(None, [3, [-1], [3], [0.5], "x", [[0]]], [[0, 1, 2]]),
                "weights": of_windows,
            }
        ),
        "bioq.metrics.brier": Case(both),
        "bioq.metrics.joined_blocks": Case(
            {"blocks": Argument(blocks, [3, "01", blocks - 1, blocks[None], blocks.astype(float)])}
        ),
        "bioq.metrics.log_loss": Case(both),
        "bioq.metrics.macro": Case(
            {
                "values": Argument(
                    [0.5, 0.25], [None, "x", ["a"], [[0.5]], [1j]], [np.array([0.5, 0.25])]
                )
            }
        ),
        "bioq.metrics.number": Case(
            {
                "value": Argument(0.5, ["x", True, [1], float("inf")], [np.float64(0.5)]),
                "digits": whole(2, -1, 10**9),
                "missing": text("?"),
            }
        ),
        "bioq.metrics.operating_points": Case(
            {
                "labels": one,
                "scores": each,
                "columns": Argument(None, [3, [-1], [3], [0.5], "x", [[0]]], [[0, 1, 2]]),
                "weights": of_windows,
            }
        ),
        "bioq.metrics.constant_scores": Case(
            {
                "positives": Argument(
                    np.array([3, 0, 5]), [3, "x", [-1], [41], [0.5], [[1]]], [[3, 0, 5]]
                ),
                "windows": whole(40, -1, 4),
            }
        ),
        "bioq.metrics.per_target": Case(
            {
                **both,
                "thresholds": Argument(
                    np.full(3, 0.5), [3, "x", np.full(2, 0.5), np.full((3, 1), 0.5)], [[0.5] * 3]
                ),
            }
        ),
        "bioq.metrics.points_of_constants": Case(
            {
                "positives": Argument(
                    np.array([3, 0, 5]),
                    [3, "x", [-1], [41], [0.5], [float("nan")], [[1]]],
                    [[3, 0, 5]],
                ),
                "windows": whole(40, -1, 4),
            }
        ),
        "bioq.metrics.precision_recall_curve": Case({"points": of_points, "most": whole(10, 0)}),
        "bioq.metrics.quick_scores": Case(ranks),
        "bioq.metrics.reliability": Case({**both, "bins": whole(5, 0, -1, 10**12)}),
        "bioq.metrics.roc_auc": Case({"points": of_points}),
        "bioq.metrics.roc_curve": Case({"points": of_points, "most": whole(10, 0)}),
        "bioq.metrics.same_everywhere": Case(
            {
                "probability": Argument(
                    share, [None, 3, "x", share[0], share.astype(str)], [share.tolist()]
                )
            }
        ),
        "bioq.metrics.score_targets": Case(
            {**both, "thresholds": Argument(None, [3, "x", [0.5]]), "blocks": of_blocks},
            call=lambda **arguments: metrics.score_targets(**arguments).table,
        ),
        "bioq.metrics.weighted_areas": Case(
            {
                **ranks,
                "weights": replace(of_windows, value=np.ones(len(label))),
                "blocks": of_blocks,
            },
            call=lambda **arguments: metrics.weighted_areas(**arguments).table,
        ),
        "bioq.metrics.t_quantile": Case(
            {"freedom": Argument(5.0, [None, "x", float("nan"), [5.0]], [5, np.float64(5)])}
        ),
        "bioq.models.build_from_architecture": Case(
            {"architecture": Argument(architecture, [None, 3, "x", {}, {1: 2}, [architecture]])},
            call=lambda architecture: bioq_architecture(architecture),
        ),
        "bioq.motifs.collection_for": Case({"build": text("sacCer3")}),
        "bioq.motifs.jaspar_motifs": Case(
            {
                "release": text("JASPAR2024", "nonsense"),
                "collection": text("CORE", "nonsense"),
                "tax_group": text("fungi", "nonsense"),
            },
            is_slow=True,
        ),
        "bioq.motifs.motifs_from": Case({"source": text(str(world.motifs), "nonsense", "a\0b")}),
        "bioq.motifs.read_meme": Case({"path": path(world.motifs)}),
        "bioq.motifs.write_meme": Case(
            {
                "path": Argument(out / "out.meme", [None, 3, "", b"x"]),
                "motifs": Argument(motifs, [None, 3, "x", [1]]),
                "sites": Argument([20], [None, 3, [], [1, 2]]),
            }
        ),
        "bioq.prediction.predict_file": Case(
            {
                "run": path(world.run),
                "source": Argument(out / "in.fa", ["/nowhere.fa"]),
                "out": Argument(out / "out.tsv", [1, None, b"x", "", "a\0b"]),
                "genome": path(world.genome, optional=True),
                "chrom_alias": path(world.names, optional=True),
                "options": Argument(import_module("bioq.prediction").PredictOptions(), [None, 3]),
            },
            is_slow=True,
            kept=["hub", "resume", "force"],
        ),
        "bioq.tracks.write_hub": Case(
            {
                "out": Argument(out / "t.bw", [1, None, b"x", "", "a\0b", out / "t.tsv"]),
                "targets": Argument(["none"], [None, 3, [1], []]),
                "genome": path(world.genome),
                "shows": text("probability", "nonsense"),
                "model": Argument("run", [None, 3, b"x"]),
            },
            is_slow=True,
            kept=["force"],
        ),
        "bioq.variants.run_background": Case({"run": path(world.run)}),
        "bioq.variants.read_background": Case(
            {"path": Argument(None, path(world.run).refused)}, is_slow=True
        ),
    }


def bioq_fast(codes: np.ndarray, **arguments: Any) -> Any:
    engine = import_module("bioq.fast").prepare(**arguments)
    return None if engine is None else engine(torch.from_numpy(codes))


def bioq_fast_mutants(**arguments: Any) -> Any:
    shared = import_module("bioq.fast").open_mutants(**arguments)
    return None if shared is None else shared.reference


def bioq_architecture(architecture: Any) -> Any:
    build = import_module("bioq.models").build_from_architecture
    return undisturbed(build, architecture=architecture).architecture


def undisturbed(build: Callable[..., nn.Module], **arguments: Any) -> Any:
    """Build a model with random weights, from a generator of its own."""
    with torch.random.fork_rng(devices=[]):
        return build(**arguments)


def bioq_motifs(world: World) -> Any:
    return import_module("bioq.motifs").read_meme(world.motifs)


def read_genome(path: Any) -> Any:
    with import_module("bioq.genome").open_genome(path) as genome:
        return genome.read("chr1", 3, 9)


def found_name(**arguments: Any) -> Any:
    with import_module("bioq.genome").open_names(**arguments) as names:
        return names.find("chr1")

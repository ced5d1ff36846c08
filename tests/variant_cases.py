"""A small untrained run, a chromosome and alleles on it, for the tests of variants."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch

from bioq import ModelSizes, dna
from bioq.dataset import Description
from bioq.models import build_model
from bioq.runs.folder import create_run
from bioq.runs.weights import save_weights

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
Row = tuple[object, ...]


SIZES = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)


def make_run(
    folder: Path,
    *,
    window_bp: int = 200,
    seed: int = 1,
    model_name: str = "danq",
    sizes: ModelSizes = SIZES,
) -> Path:
    """Make a run of an untrained model of two targets, first and second."""
    torch.manual_seed(seed)
    model = build_model(model_name, targets=2, window_bp=window_bp, sizes=sizes)
    with torch.no_grad():
        for weights in model.parameters():
            weights *= 3  # so that effects are far above rounding
    data: Any = SimpleNamespace(
        path=Path("data"),
        fingerprint="none",
        description=Description(made_by="peaks", window_bp=window_bp, bin_bp=40, label_rule="half"),
        items=dict[str, Any]().items,
        targets=pd.DataFrame({"name": ["first", "second"]}),
    )
    create_run(folder, model=model.architecture, training={"seed": seed}, data=data)
    save_weights(model, folder / "model.safetensors")
    return folder


def make_chromosome(length: int = 1000) -> str:
    """Return random bases, always the same."""
    return dna.decode(np.random.default_rng(3).integers(0, 4, length).astype(np.uint8))


def other_base(base: str) -> str:
    """Return another base."""
    return dna.BASES[(dna.BASES.index(base) + 1) % 4]


def write_vcf(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows of CHROM, POS, ID, REF and ALT."""
    lines = ["\t".join(map(str, row)) + "\t.\t.\t.\n" for row in rows]
    path.write_text(HEADER + "".join(lines))
    return path


def random_rows(chromosome: str, count: int = 40) -> list[Row]:
    """Return SNVs, insertions, deletions and several alleles at one place, not sorted."""
    random = np.random.default_rng(4)
    rows: list[Row] = []
    for number in range(count):
        pos = int(random.integers(120, 880))
        base = chromosome[pos - 1]
        kind = number % 4
        ref = chromosome[pos - 1 : pos + 3] if kind == 1 else base
        alt = (other_base(base), base, base + "GATTACA", f"{other_base(base)},{base}TT")[kind]
        rows.append(("chr1", pos, f"rs{number}", ref, alt))
    return rows


def read_tsv(path: Path) -> pd.DataFrame:
    """Read a table of variants; NA is NaN, an empty text is empty."""
    return pd.read_csv(path, sep="\t", dtype={"chrom": str}, keep_default_na=False, na_values="NA")

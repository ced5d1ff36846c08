"""Every reader of a file that a user gives, as a function of the file's bytes.

A reader may return or raise BioqError with one line; anything else is a finding.
"""

import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fault_parsers_own import OwnFiles, in_place_of

from bioq import dna
from bioq.builders.deepsea.matlab import Hdf5Array, V5Array, open_mat
from bioq.dataset import Description, new_dataset, open_dataset, pack_labels, verify
from bioq.dataset.target_sheet import read_target_sheet
from bioq.dataset.targets import read_target_table
from bioq.errors import BioqError
from bioq.files.streams import STDIN
from bioq.genome import ContigNames, open_genome, read_bed, read_chrom_alias
from bioq.genome.vcf import read_variants
from bioq.inputs import RegionWindows, SequenceWindows
from bioq.inputs.loci import open_loci
from bioq.models import ModelSizes, build_model
from bioq.motifs import read_meme
from bioq.runs.folder import create_run
from bioq.runs.trained_model import load
from bioq.runs.weights import read_tensors, save_weights
from bioq.variants.background.file import read_background

CORPUS = Path(__file__).parents[1] / "corpus"
MOST_WINDOWS = 2000
"""A small file can ask for any number of windows; a reader gives them one batch at a time."""


class Parsers:
    """Runs a reader on bytes, in a folder that holds what else it needs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.data = _small_data(folder / "data")
        self.run = _small_run(folder / "run", self.data)
        (folder / "g.fa").write_text(">chr1\n" + "ACGTN" * 30 + "\n>2\nGATTACA\n")
        self.genome = open_genome(folder / "g.fa")
        self.named: Mapping[str, Callable[[Path], object]] = {
            "fasta": _read_genome,
            "twobit": _read_genome,
            "sequences": self._sequences,
            "bed": lambda path: (read_bed(path), read_bed(path, summits=True, blocks=True)),
            "regions": self._regions,
            "vcf": lambda path: list(read_variants(path)),
            "bcf": lambda path: list(read_variants(path)),
            "meme": read_meme,
            "targets": read_target_table,
            "sheet": read_target_sheet,
            "chrom_alias": lambda path: read_chrom_alias(path).of(self.genome),
            "places": self._places,
            "fai": self._fai,
            "mat": _mat,
            "dataset.json": lambda path: self._in_data("dataset.json", path),
            "config.json": lambda path: self._in_run("config.json", path),
            "targets.tsv": lambda path: self._in_run("targets.tsv", path),
            "weights": lambda path: self._in_run("model.safetensors", path),
            "tensors": read_tensors,
            "background": read_background,
            **OwnFiles(folder / "own").named,
        }

    def parse(self, name: str, content: bytes) -> str:
        """Return the one line that a reader says of bytes, or nothing where it takes them."""
        path = self.folder / "input"
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self.named[name](path)
        except BioqError as error:
            message = str(error)
            assert message, "an error must say something"
            assert "\n" not in message, message
            return message
        return ""

    def _sequences(self, path: Path) -> None:
        windows = SequenceWindows(path, window_bp=8, stride_bp=4, pad=True)
        windows.count()
        _take(windows.batches(64))

    def _regions(self, path: Path) -> None:
        windows = RegionWindows(path, self.genome, window_bp=8, bin_bp=4, stride_bp=4)
        windows.count()
        _take(windows.batches(64))

    def _places(self, path: Path) -> None:
        text = path.read_bytes().decode("utf-8", "replace").replace("\0", "")
        source = text.split("\n")[0][:100] or "x"
        if Path(source) == STDIN:
            return  # what comes from there is read as a file is
        with open_loci(
            source, ContigNames(self.genome), window_bp=20, span_bp=4, pad=False
        ) as loci:
            for _ in zip(range(50), loci.read(), strict=False):
                pass

    def _fai(self, path: Path) -> None:
        fasta = self.folder / "indexed.fa"
        shutil.copy(self.folder / "g.fa", fasta)
        Path(f"{fasta}.fai").write_bytes(path.read_bytes())
        with open_genome(fasta) as result:
            assert result.lengths == self.genome.lengths
            for name, length in result.lengths.items():
                expected = self.genome.read(name, 0, length)
                np.testing.assert_array_equal(result.read(name, 0, length), expected)

    def _in_data(self, name: str, path: Path) -> None:
        in_place_of(self.data / name, path, lambda: (open_dataset(self.data), verify(self.data)))

    def _in_run(self, name: str, path: Path) -> None:
        in_place_of(self.run / name, path, lambda: load(self.run))


def _read_genome(path: Path) -> None:
    with open_genome(path) as genome:
        for name, length in genome.lengths.items():
            for start in (0, max(length - 50, 0)):
                genome.read(name, start, min(start + 50, length))


def _take(batches: object) -> None:
    seen = 0
    for batch in batches:  # type: ignore[attr-defined]
        seen += len(batch)
        if seen > MOST_WINDOWS:
            return


def _mat(path: Path) -> None:
    with open_mat(path) as variables:
        for variable in variables.values():
            if isinstance(variable, V5Array):
                for _ in variable.planes(1):
                    pass
            elif isinstance(variable, Hdf5Array) and variable.shape:
                for start, stop in list(variable.spans(0, variable.shape[-1]))[:4]:
                    variable.read(start, stop)


def _small_data(folder: Path) -> Path:
    random = np.random.default_rng(0)
    description = Description(made_by="peaks", window_bp=40, bin_bp=8, label_rule="half")
    with new_dataset(folder, description, pd.DataFrame({"name": ["first", "second"]})) as writer:
        for name in ("train", "test"):
            codes = random.integers(0, 5, (6, 40)).astype(np.uint8)
            codes[::2] = codes[::2] % dna.UNKNOWN
            with writer.split(name) as split:
                split.append(codes, pack_labels(random.integers(0, 2, (6, 2))))
    return folder


def _small_run(folder: Path, data: Path) -> Path:
    sizes = ModelSizes(filters=2, filter_width=3, pool_width=10, lstm_units=1, dense_units=2)
    torch.manual_seed(0)
    model = build_model("danq", targets=2, window_bp=40, sizes=sizes)
    create_run(folder, model=model.architecture, training={"seed": 0}, data=open_dataset(data))
    save_weights(model, folder / "model.safetensors")
    return folder

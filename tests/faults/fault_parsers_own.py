"""Readers of what BioQ wrote itself and goes on from, of archives, and of what a page is given."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import torch

from bioq.builders.deepsea.bins import read_bins
from bioq.builders.deepsea.fetch import _unpack
from bioq.cli.train import _read_config
from bioq.cluster.parts import JOURNAL, MANIFEST, Part, Parts, part_name
from bioq.evaluation.files import FOLDER, SUMMARY, read_evaluation, write_evaluation
from bioq.evaluation.summary import Evaluation
from bioq.files.archives import unpack
from bioq.genome import open_genome
from bioq.models import ModelSizes, build_model
from bioq.prediction import spool
from bioq.runs.folder import HISTORY, STATE, read_history, write_history
from bioq.tables import Layout
from bioq.training.state import Position, TrainingState, load_state, save_state
from bioq.web.limits import Limits
from bioq.web.visitor_input import read_regions
from bioq.web.visitor_variants import read_variant_lines, read_vcf

_JOB = {"input": "a", "batch_size": 4}
_LIMITS = Limits(vcf_bytes=1 << 20, text_bytes=1 << 14, alleles=100, windows=50)


class OwnFiles:
    """A run, outputs that were interrupted and an indexed genome, one file of which is replaced."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.folder = folder
        self._make_run()
        self.parts = Parts(folder / "parts", _JOB, resume=False)
        self.parts.begin()
        self.parts.write(Part(part_name(0), 3, "0" * 64, "1" * 64, {"device": "cpu"}), b"PAR1")
        shutil.copytree(folder / "parts", folder / "whole")
        whole = Parts(folder / "whole", _JOB, resume=True)
        whole.begin()
        whole.finish(1)
        self.layout = Layout(
            {"contig": "text", "start": "integer"}, pd.DataFrame({"name": ["first", "second"]}),
            ("probability",),
        )  # fmt: skip
        self._make_spool()
        (folder / "g.fa").write_text(">chr1\n" + "ACGTN" * 16000 + "\n>2\nGATTACA\n")
        self.genome = open_genome(folder / "g.fa")
        with pysam.BGZFile(str(folder / "g.fa.gz"), "wb", None) as file:
            file.write((folder / "g.fa").read_bytes())
        pysam.faidx(str(folder / "g.fa.gz"))
        self.named: Mapping[str, Callable[[Path], object]] = {
            "history": self._in(f"run/{HISTORY}", lambda: read_history(folder / "run")),
            **{
                name: self._in(f"run/{FOLDER}/{name}", lambda: read_evaluation(folder / "run"))
                for name in (SUMMARY, "per_target.tsv", "curves.csv")
            },
            "state": self._in(f"run/{STATE}", self._load_state),
            "parts.json": self._in(f"whole/{MANIFEST}", lambda: self._go_on("whole")),
            "parts.jsonl": self._in(f"parts/{JOURNAL}", lambda: self._go_on("parts")),
            "spool.json": self._in(f"o.partial/{spool.MANIFEST}", self._read_spool),
            "spool": self._in(f"o.partial/{self.part}", self._read_spool),
            "gzi": self._in("g.fa.gz.gzi", self._read_indexed),
            "toml": _read_config,
            "bins": read_bins,
            "tar": self._unpack,
            "archive": self._unpack_run,
            "alleles": lambda path: read_variant_lines(_text(path), _LIMITS),
            "pasted": self._pasted,
            "upload": lambda path: read_vcf(path.read_bytes(), _LIMITS),
        }

    def _make_run(self) -> None:
        run = self.folder / "run"
        (run / STATE).parent.mkdir(parents=True)
        sizes = ModelSizes(filters=2, filter_width=3, pool_width=10, lstm_units=1, dense_units=2)
        torch.manual_seed(0)
        self.model = build_model("danq", targets=2, window_bp=40, sizes=sizes)
        self.optimizer = torch.optim.RMSprop(self.model.parameters(), lr=0.001)
        history = [{"epoch": 1, "train_loss": 0.5, "valid_loss": 0.25}]
        write_history(run, history)
        position = Position(epoch=1, history=history)
        save_state(run, TrainingState(self.model, self.optimizer, position=position))
        table = pd.DataFrame({"name": ["first"], "positives": [3], "roc_auc": [0.75]})
        curve = {"curve": ["roc"], "group": ["all"], "x": [0.5], "y": [0.5], "threshold": [""]}
        bins = pd.DataFrame({"start": [0.0], "end": [0.1], "count": [7]})
        summary = {"split": "test", "micro": {"roc_auc": 0.75}, "macro": {"roc_auc": None}}
        write_evaluation(Evaluation(table, summary, pd.DataFrame(curve), bins), run)

    def _make_spool(self) -> None:
        with spool.Spool(self.folder / "o", self.layout, _JOB, resume=False) as made:
            columns = {"contig": ["chr1"] * 3, "start": np.arange(3)}
            scores = np.full((3, 2), 0.5, dtype=np.float32)
            made.write(columns, {"probability": scores}, units=3, digest="abc")
            made.flush()
            self.part = made._parts[0].name

    def _in(self, name: str, work: Callable[[], object]) -> Callable[[Path], None]:
        """Return a reader of bytes that stand in the place of a file."""
        return lambda path: in_place_of(self.folder / name, path, work)

    def _load_state(self) -> None:
        load_state(self.folder / "run", TrainingState(self.model, self.optimizer))

    def _go_on(self, name: str) -> None:
        Parts(self.folder / name, _JOB, resume=True).holds(0, "1" * 64)

    def _read_spool(self) -> None:
        with spool.Spool(self.folder / "o", self.layout, _JOB, resume=True) as result:
            for _ in result.read():
                pass

    def _read_indexed(self) -> None:
        os.utime(self.folder / "g.fa.gz.gzi", (4e9, 4e9))
        with open_genome(self.folder / "g.fa.gz") as result:
            assert result.lengths == self.genome.lengths
            for name, length in result.lengths.items():
                expected = self.genome.read(name, 0, length)
                np.testing.assert_array_equal(result.read(name, 0, length), expected)

    def _unpack(self, path: Path) -> None:
        before = set(self.folder.parent.rglob("*"))
        try:
            _unpack(path, self.folder / "unpacked", "https://example.org/bundle.tar.gz", None)
        finally:
            shutil.rmtree(self.folder / "unpacked", ignore_errors=True)
        assert set(self.folder.parent.rglob("*")) == before, "a member left the folder"

    def _unpack_run(self, path: Path) -> None:
        """Unpack every file of an archive, as of a run that somebody offers."""
        before = set(self.folder.parent.rglob("*"))
        try:
            (self.folder / "unpacked").mkdir()
            every = lambda names: {name: name for name in names}  # noqa: E731
            unpack(path, self.folder / "unpacked", every, label="archive")
        finally:
            shutil.rmtree(self.folder / "unpacked", ignore_errors=True)
        assert set(self.folder.parent.rglob("*")) == before, "a file left the folder"

    def _pasted(self, path: Path) -> None:
        read_regions(_text(path), self.genome, window_bp=8, bin_bp=4, limits=_LIMITS)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def in_place_of(file: Path, path: Path, work: Callable[[], object]) -> None:
    """Do some work while what is in a file stands in the place of another, then put that back."""
    own = file.read_bytes()
    try:
        file.write_bytes(path.read_bytes())
        work()
    finally:
        file.write_bytes(own)

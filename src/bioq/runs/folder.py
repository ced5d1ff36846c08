"""The run folder: `bioq train` writes it, and every command that uses a model reads it.

RUN/model.safetensors (best by validation), last.safetensors, config.json, targets.tsv, history.csv,
calibration.json (if calibrated), background.npz (if made), resume/state.safetensors. The folder of
an ensemble (`ensemble`) has config.json, targets.tsv, calibration.json, background.npz, and in
members/ a run folder for each member.
"""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioq import __version__
from bioq.dataset import METADATA, TARGETS, Dataset
from bioq.dataset.targets import read_target_table, write_target_table
from bioq.errors import BioqError, UsageError, did_you_mean, shown, some
from bioq.files import FolderKind, new_file, new_folder, read_json
from bioq.files.inside import kept_file, require_inside, require_kept
from bioq.files.near import near_path
from bioq.files.numbers import read_numbers
from bioq.files.typed import record, repeated
from bioq.genome import Genome
from bioq.genome.builds import build_of, different_genomes, lengths_in
from bioq.progress import say
from bioq.runs.best_epoch import LOSS
from bioq.runs.calibration import CALIBRATION_FILE
from bioq.runs.config_types import ConfigFile
from bioq.runs.constants import constants_of

if TYPE_CHECKING:  # 0.4 s that finding a run does not need
    import pandas as pd

FORMAT = "bioq-run"
FORMAT_VERSION = 1
HEADER = {"format": FORMAT, "format_version": FORMAT_VERSION}
REMEDY = "train again or restore the file"
_REMAKE = "make the ensemble again with 'bioq ensemble'"
CONFIG = "config.json"
BEST = "model.safetensors"
LAST = "last.safetensors"
HISTORY = "history.csv"
STATE = "resume/state.safetensors"
NETWORK = "network.py"
"""The file of the network, if it is not one of BioQ's (`runs.network`)."""
MEMBERS = "members"
"""The folder of the run folders that an ensemble averages."""
BACKGROUND = "background.npz"
"""The background of a run, which `bioq background` writes and `bioq variants` reads."""
ENSEMBLE = "ensemble"
"""The name of the model in the `config.json` of an ensemble."""
MOST_MEMBERS = 64
"""Members of an ensemble, which are in memory together: of `bioq` in its published size, 12 GB."""
SEEN_SPLITS = ("train", "valid")
"""The splits whose windows a trained network has seen, by its steps or the choice of its epoch."""
FOLDER_KIND = FolderKind(
    CONFIG,
    (
        *(BEST, LAST, HISTORY, TARGETS, CALIBRATION_FILE, BACKGROUND, MEMBERS, NETWORK),
        *(STATE.split("/")[0], "evaluation", "evaluation-*", "tensorboard"),
    ),
)


@dataclass(frozen=True)
class RunConfig:
    """The content of `config.json`."""

    model: Mapping[str, Any]
    """The architecture: the arguments of `build_model`; of a network that is not BioQ's also
    `source_sha256`, of its file."""
    training: Mapping[str, Any]
    """The whole recipe, and the options of the training."""
    data: Mapping[str, Any]
    """The data set: its path, fingerprint, windows, bin, label rule and the lengths of contigs."""
    versions: Mapping[str, str]
    """Of BioQ, Python, PyTorch and NumPy."""
    members: Sequence[Mapping[str, Any]] = ()
    """Name, origin and checksum of each run that an ensemble averages; empty for any other run."""
    imported: Mapping[str, Any] | None = None
    """Where the weights of a run come from that `bioq import` made; None for any other run."""
    started_from: Mapping[str, Any] | None = None
    """The published weights from which the training started; None for any other run."""

    @property
    def published(self) -> Mapping[str, Any] | None:
        """The `title`, `citation` and `licence` of the published weights that a run has or started
        from; None without."""
        return self.imported or self.started_from

    @property
    def model_name(self) -> str:
        """The name of the network; of one that is not BioQ's with the checksum of its file."""
        sha256 = self.model.get("source_sha256")
        return f"{self.model['name']}" + (f" (SHA-256 {sha256[:12]})" if sha256 else "")

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe with every choice made; {} in a run that did not record it yet."""
        recipe: Mapping[str, Any] = self.training.get("resolved", {})
        return recipe

    @property
    def fold(self) -> str | None:
        """The fold that the run leaves for testing, such as `2/5`; None without folds."""
        fold: str | None = self.training.get("fold")
        return fold

    def fold_in(self, data: Dataset) -> str | None:
        """Return the fold of a data set that the run leaves for testing; None if it was trained on
        other data, or without folds."""
        return self.fold if self.data["fingerprint"] == data.fingerprint else None

    @property
    def contig_lengths(self) -> Mapping[str, int]:
        """Contig -> bases in the genome of the data set; {} if the run did not record them."""
        return lengths_in(self.data)

    @cached_property
    def genome_build(self) -> str:
        """The name of the build of this genome; empty if it is not known."""
        build = build_of(self.contig_lengths)
        return "" if build is None else build.name

    @property
    def constants(self) -> Mapping[str, float]:
        """Column of the history -> the score of a constant on the same windows, where it is
        defined; {} if the run did not record them."""
        recorded = self.data.get("constant", {})
        return {name: score for name, score in recorded.items() if score is not None}

    @property
    def select_by(self) -> str:
        """The validation score that decided which weights are kept."""
        return str(self.recipe.get("select_by", LOSS))


def create_run(
    run: Path,
    *,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    data: Dataset,
    network: bytes | None = None,
    force: bool = False,
) -> None:
    """Make a run folder with `config.json`, `targets.tsv` and, if the network is not one of BioQ's,
    its file.

    Raises BioqError if `run` exists, unless it is a run and `force` replaces it.
    """
    config = {
        **HEADER,
        "model": dict(model),
        "training": dict(training),
        "data": {
            "name": data.path.resolve().name,
            "path": str(data.path.resolve()),
            "fingerprint": data.fingerprint,
            "window_bp": data.description.window_bp,
            "bin_bp": data.description.bin_bp,
            "label_rule": data.description.label_rule,
            "windows": {name: len(split) for name, split in data.items()},
            "contigs": data.description.contig_lengths,
            **_seen_entry(data, training),
            "constant": {
                name: None if math.isnan(score) else score
                for name, score in constants_of(data).items()
            },
        },
        "versions": software(),
        **_start_entry(training),
    }
    with new_folder(run, replaces=FOLDER_KIND if force else None) as folder:
        write_target_table(data.targets, folder / TARGETS)
        if network is not None:
            (folder / NETWORK).write_bytes(network)
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def software() -> dict[str, str]:
    """Return the entry `versions` of `config.json`."""
    import torch  # a second; most readers of a run folder compute nothing

    return {
        "bioq": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _seen_entry(data: Dataset, training: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the entry `seen_contigs` of a new run: those of its data set and, if it starts from
    another run, of that run; {} if they are not known."""
    seen = seen_contigs(data)
    source = training.get("from")
    if seen is not None and source is not None:
        before = read_config(source["path"]).data.get("seen_contigs")
        seen = None if before is None else sorted({*seen, *before})
    return {} if seen is None else {"seen_contigs": seen}


def _start_entry(training: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entry `started_from` of a new run; {} if its source has no published weights."""
    source = training.get("from")
    published = None if source is None else read_config(source["path"]).published
    if published is None:
        return {}
    return {"started_from": {name: published[name] for name in ("title", "citation", "licence")}}


def seen_contigs(data: Dataset) -> list[str] | None:
    """Return the contigs with a window that a training on a data set sees, also by the choice of
    its best epoch; None without coordinates."""
    splits = [split for name, split in data.items() if name in SEEN_SPLITS and len(split)]
    if not splits or not all(split.has_coordinates for split in splits):
        return None
    return sorted({str(name) for split in splits for name in split.bins()["chrom"].unique()})


def files_of_run(run: str | Path) -> list[Path]:
    """Return the files of a run that a command reads, whether they exist or not, and those of an
    ensemble's members that exist."""
    run = Path(run)
    names = (CONFIG, TARGETS, BEST, LAST, HISTORY, STATE, CALIBRATION_FILE, NETWORK)
    members = (file for name in names for file in run.glob(f"{MEMBERS}/*/{name}"))
    return [*(run / name for name in names), *members]


def read_members(run: str | Path, config: RunConfig) -> list[tuple[Path, RunConfig]]:
    """Return the folder and the configuration of each member of an ensemble; [] of any other run.

    Raises BioqError for too many members or two of one name, for a folder that leads out of the
    ensemble or is an ensemble itself, and for a member whose outputs are not those of the ensemble.
    """
    run, file = Path(run), Path(run) / CONFIG
    names = [entry["name"] for entry in config.members]
    if len(names) > MOST_MEMBERS:
        raise BioqError(
            f"{file}: has {len(names):,} members, expected at most {MOST_MEMBERS}; {_REMAKE}"
        )
    twice = repeated(names)
    if twice is not None:
        raise BioqError(f"{file}: has the member {shown(twice)} twice; {_REMAKE}")
    members = []
    for name in names:
        if "/" in name:
            raise BioqError(f"{file}: has the member {shown(name)}, expected a name; {_REMAKE}")
        folder = require_inside(run, f"{MEMBERS}/{name}")
        member = read_config(folder)
        if member.members:
            raise BioqError(f"{folder}: is an ensemble itself, expected a trained run; {_REMAKE}")
        for kind, key in (("model", "targets"), ("model", "window_bp"), ("data", "bin_bp")):
            of_member, of_all = getattr(member, kind)[key], getattr(config, kind)[key]
            if of_member != of_all:
                raise BioqError(
                    f"{folder / CONFIG}: {kind}.{key} is {of_member:,}, in {file} it is "
                    f"{of_all:,}; {_REMAKE}"
                )
        members.append((folder, member))
    return members


def refuse_ensemble(run: str | Path, config: RunConfig, why: str) -> None:
    """Raise UsageError, which names a member as a command takes it, if a run is an ensemble; `why`
    is what does not work and what to do."""
    if config.members:
        members = [Path(run) / MEMBERS / entry["name"] for entry in config.members]
        raise UsageError(f"{run}: is an ensemble; {why}: {some(members, 1)}")


def read_config(run: str | Path) -> RunConfig:
    """Read a run's `config.json`, and check the type of each field.

    Raises BioqError if this is no run, a newer format, or a field has another type.
    """
    run = Path(run)
    file = run / CONFIG
    if kept_file(run, CONFIG) is None:
        if run.exists():
            inside = [
                file for name in ("ensemble", "fold-*") for file in run.glob(f"{name}/{CONFIG}")
            ]
            has = f" but a {METADATA}, as a data set does" if (run / METADATA).exists() else ""
            problem = f"holds no {CONFIG}{has}"
            hint = did_you_mean([str(one.parent) for one in inside[:1]])
        else:
            problem, hint = "no such folder", near_path(run)
        raise BioqError(f"{run}: {problem}; {hint}expected a run folder made by 'bioq train'")
    config = read_json(
        file,
        what="a run's configuration",
        kind=FORMAT,
        version=FORMAT_VERSION,
        remedy=REMEDY,
        shape=ConfigFile,
    )
    name = config["data"]["name"]
    if name in ("", ".", "..") or "/" in name:
        raise BioqError(f"{file}: data.name is {shown(name)}, expected a folder's name; {REMEDY}")
    return record(RunConfig, config)


def read_targets(run: str | Path, config: RunConfig) -> "pd.DataFrame":
    """Return a run's target table. Raises BioqError if `config.json` has another number of
    targets."""
    run, expected = Path(run), config.model["targets"]
    file = require_kept(run, TARGETS, REMEDY)
    targets = read_target_table(file)
    if len(targets) != expected:
        raise BioqError(
            f"{file}: has {len(targets)} targets, {CONFIG} has {expected}; the run is damaged"
        )
    return targets


def other_genome(run: str | Path, config: RunConfig, genome: Genome) -> str:
    """Return a note if a run was trained on another genome than `genome`; empty if the two agree or
    nothing shows a difference. A part of a genome is no difference."""
    differ = different_genomes(config.contig_lengths, genome.lengths)
    if differ is None:
        return ""
    return (
        f"{run} was trained on {differ[0]}; {genome.path} is {differ[1]}: the positions of the two "
        "are not the same"
    )


def report_other_genome(run: str | Path, config: RunConfig, genome: Genome) -> None:
    """Print the note of `other_genome`, if there is one."""
    note = other_genome(run, config, genome)
    if note:
        say(f"note: {note}")


def require_window_bp(run: str | Path, config: RunConfig, data: Dataset) -> None:
    """Raise BioqError if a data set has windows of another length than the run's network reads."""
    expected, window_bp = config.model["window_bp"], data.description.window_bp
    if window_bp != expected:
        raise BioqError(
            f"{data.path}: has windows of {window_bp:,} bp, the run {run} takes {expected:,} bp; "
            f"build the data set with --window-bp {expected}"
        )


def write_history(run: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write `history.csv`: one row per epoch."""
    import pandas as pd

    with new_file(run / HISTORY) as partial:
        pd.DataFrame(list(history)).to_csv(partial, index=False, lineterminator="\n")


def has_history(run: str | Path) -> bool:
    """Return whether a run has a history: an epoch is finished."""
    return kept_file(Path(run), HISTORY) is not None


def read_history(run: str | Path) -> "pd.DataFrame":
    """Return `history.csv`: one row per epoch, from epoch 1.

    Raises BioqError if the file is missing or damaged.
    """
    remedy = "restore it, or remove it"
    history = read_numbers(Path(run), HISTORY, numbers_from="epoch", remedy=remedy)
    if history["epoch"].tolist() != list(range(1, len(history) + 1)):
        raise BioqError(
            f"{Path(run) / HISTORY}: its epochs are not 1 to {len(history):,}; {remedy}"
        )
    return history

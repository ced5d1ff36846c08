"""`import_model`: makes a run of a published model's file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bioq.dataset import TARGETS
from bioq.dataset.targets import read_target_table, write_target_table
from bioq.errors import BioqError, UsageError, counted, some
from bioq.files import new_folder, refuse_input, require_absent
from bioq.files.checksum import digits_of
from bioq.genome.builds import MITOCHONDRION, build_named
from bioq.models import build_model
from bioq.models.families import PUBLISHED
from bioq.options import MOST_WINDOW_BP, of_type, one_of, path_to, text, whole_number
from bioq.progress import say
from bioq.published.data import CHANNELS, GENOME, TEST_CONTIGS
from bioq.published.layout import Layout, Network, Reading, sizes_of
from bioq.published.layouts import open_published
from bioq.published.named import published_file
from bioq.published.targets import numbered_targets, published_targets
from bioq.runs.folder import BEST, CONFIG, FOLDER_KIND, HEADER, software
from bioq.runs.trained_model import TrainedModel, load
from bioq.runs.weights import described, require_finite, save_tensors

BIN_BP = 200
"""The labels of the published training data are of the 200 bp in the middle of a window."""
_SEEN = tuple(name for name in map("chr{}".format, range(1, 23)) if name not in TEST_CONTIGS)
"""The contigs that train or validate: the other autosomes."""
_DATA = "published training data"


@dataclass(frozen=True)
class _Read:
    """A published file that was read."""

    file: Path
    layout: Layout
    network: Network
    reading: Reading
    architecture: Mapping[str, Any]
    """The arguments of `build_model`, complete."""
    md5: str

    @property
    def has_published_targets(self) -> bool:
        """Whether the outputs are, by their number, those of the published network."""
        return self.network.targets == self.layout.publication.targets


def import_model(
    what: str | Path,
    out: str | Path,
    *,
    targets: str | Path | None = None,
    window_bp: int | None = None,
    second_lstm: str = "backward",
    from_url: str | None = None,
    force: bool = False,
) -> TrainedModel:
    """Write the run folder of a published model, and return the model, in eval mode.

    Args:
        what: A file, recognised by its content, or the name of a model that is downloaded once
            (`published.named`).
        out: Folder to write.
        targets: Table that names the outputs.
        window_bp: Length of the windows; by default the published one.
        second_lstm: Direction in which the second LSTM of a Keras file reads: `"backward"` or
            `"forward"`.
        from_url: Address to download from, in place of the published one.
        force: Replace an earlier run.

    Returns:
        The model, in eval mode, on the CPU.

    Raises:
        BioqError: For a file that is not of a known layout or is damaged, for a download that fails
            or has another checksum, and if `out` exists, without `force`.
        UsageError: For arguments that do not go together.
    """
    of_type("what", what, (str, Path), "a file, or the name of a published model")
    what, out = path_to("what", what), path_to("out", out)
    sheet = None if targets is None else path_to("targets", targets)
    if window_bp is not None:
        window_bp = whole_number("window_bp", window_bp, least=BIN_BP, most=MOST_WINDOW_BP)
    one_of("second_lstm", second_lstm, ("backward", "forward"))
    url = None if from_url is None else text("from_url", from_url)
    of_type("force", force, bool, "True or False")
    require_absent(out, replaces=FOLDER_KIND if force else None)
    refuse_input(out, what if what.is_file() else None, sheet)
    read = _read(published_file(what, url), window_bp, second_lstm)
    table = _targets(read, sheet)
    _report(read)
    with new_folder(out, replaces=FOLDER_KIND if force else None) as folder:
        write_target_table(table, folder / TARGETS)
        config = json.dumps(_config(read, is_named=sheet is not None), indent=2) + "\n"
        (folder / CONFIG).write_text(config, encoding="utf-8")
        save_tensors(read.network.weights, folder / BEST)
        return load(folder)  # raises if it cannot be used


def _report(read: _Read) -> None:
    """Print what a file was read as, and what is recorded of it without a proof."""
    publication, network = read.layout.publication, read.network
    licence = f"; licence of its weights: {publication.licence}" if publication.licence else ""
    say(
        f"{read.file}: {publication.title}, {counted(network.targets, 'target')}, windows of "
        f"{read.reading.window_bp:,} bp{licence}"
    )
    if read.layout.has_second_lstm:
        say(
            f"the second LSTM reads {read.reading.second_lstm} (--second-lstm): the file does not "
            "show which is right; only the right one gives the published scores "
            "(docs/how-to/published-models.md)"
        )
    if publication.files and read.md5 not in publication.files:
        say(
            f"note: {read.file}: its MD5 {read.md5} is not that of the published file, so other "
            "weights may be in it; licence and citation are those of the published ones"
        )
    found = read.architecture["sizes"]
    other = [
        f"{name} {found[name]} (published {size})"
        for name, size in asdict(PUBLISHED[network.model]).items()
        if isinstance(size, int) and size != found[name]
    ]
    if other:
        say(f"note: {read.file}: has other sizes than the published network: {some(other)}")


def _read(file: Path, window_bp: int | None, second_lstm: str) -> _Read:
    """Read a file, and check that its tensors are those of the network that BioQ builds."""
    layout, tensors = open_published(file)
    if second_lstm != "backward" and not layout.has_second_lstm:
        raise UsageError(
            f"{file}: is {layout.publication.title}, whose file decides how it is read; run "
            "without --second-lstm"
        )
    reading = Reading(window_bp or layout.window_bp, second_lstm)  # type: ignore[arg-type]  # checked
    try:
        network = layout.network(tensors, sizes_of(tensors, layout.shapes), reading)
        with torch.device("meta"):
            outline = build_model(
                network.model,
                targets=network.targets,
                window_bp=reading.window_bp,
                sizes=network.sizes,
            )
        _require_same(network, outline.state_dict())
        architecture: Mapping[str, Any] = outline.architecture  # type: ignore[assignment]
    except BioqError as error:
        raise BioqError(f"{file}: as {layout.publication.title}: {error}") from error
    require_finite(file, network.weights)
    return _Read(file, layout, network, reading, architecture, digits_of(file, "MD5"))


def _require_same(network: Network, expected: Mapping[str, torch.Tensor]) -> None:
    """Raise BioqError if a network of these sizes has other weights."""
    for name, tensor in expected.items():
        if described(tensor) != described(network.weights[name]):
            raise BioqError(
                f"{name} would be {tuple(network.weights[name].shape)}, and a {network.model} of "
                f"the other sizes has {tuple(tensor.shape)}"
            )


def _targets(read: _Read, sheet: Path | None) -> pd.DataFrame:
    """Return the target table: the user's, the published one, or numbers."""
    count = read.network.targets
    if sheet is not None:
        table = read_target_table(sheet, by_hand=True)
        if len(table) != count:
            raise BioqError(
                f"{sheet}: names {counted(len(table), 'target')}, {read.file} has {count:,}; give "
                "one row per target, in the order of the outputs"
            )
        return table
    published = published_targets(count) if read.has_published_targets else None
    if published is not None:
        return published
    say(
        f"note: {read.file}: has {counted(count, 'target')}, which are named target_0, target_1 "
        "and so on; give a target table to name them (--targets)"
    )
    return numbered_targets(count)


def _config(read: _Read, *, is_named: bool) -> dict[str, Any]:
    """Return the content of `config.json`."""
    is_published = read.has_published_targets and not is_named
    publication = read.layout.publication
    return {
        **HEADER,
        "model": read.architecture,
        "training": {},
        "data": {
            "name": _DATA,
            "fingerprint": _DATA,
            "window_bp": read.reading.window_bp,
            "bin_bp": BIN_BP,
            "windows": {},
            **(_genome_entries() if is_published else {}),
        },
        "versions": software(),
        "imported": {
            "layout": read.layout.name,
            "title": publication.title,
            "file": read.file.name,
            "url": publication.files.get(read.md5),
            "sha256": digits_of(read.file, "SHA-256"),
            "md5": read.md5,
            "licence": publication.licence,
            "citation": publication.citation,
            "genome": GENOME if is_published else "",
            "channels": CHANNELS,
            "second_lstm": read.reading.second_lstm if read.layout.has_second_lstm else None,
        },
    }


def _genome_entries() -> dict[str, Any]:
    """Return what a run records of the genome and the contigs that its training has seen."""
    build = build_named(GENOME)
    lengths = {} if build is None else build.lengths
    contigs = {f"chr{'M' if name == MITOCHONDRION else name}": bp for name, bp in lengths.items()}
    return {"contigs": contigs, "seen_contigs": sorted(_SEEN)}

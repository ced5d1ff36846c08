"""The network of a run: one of BioQ's, by its name and sizes, or one of the run's author, by the
file that is kept in the run."""

from pathlib import Path

import torch
from torch import nn

from bioq.errors import BioqError
from bioq.files.inside import read_kept
from bioq.models import build_from_architecture
from bioq.models.source import Source, build_from_source, checked_source, read_source
from bioq.runs.folder import CONFIG, NETWORK, RunConfig, read_config, refuse_ensemble
from bioq.runs.trust import remember, require_trust


def network_outline(run: str | Path, config: RunConfig) -> nn.Module:
    """Return the network of a run without its weights: on PyTorch's device "meta" or, if the run
    has the file of a network, with random weights.

    PyTorch's generator is not changed. Raises BioqError if this version of BioQ cannot build the
    network, or the user does not trust its file; UsageError for an ensemble.
    """
    refuse_ensemble(run, config, "it has no network of its own; name the folder of a member")
    source = kept_source(run, config)
    if source is not None:
        require_trust(source)
        with torch.random.fork_rng(devices=[]):
            return build_from_source(
                source, targets=config.model["targets"], window_bp=config.model["window_bp"]
            )
    try:
        with torch.device("meta"):
            return build_from_architecture(config.model)
    except BioqError as error:
        raise BioqError(f"{Path(run) / CONFIG}: {error}") from error


def kept_source(run: str | Path, config: RunConfig) -> Source | None:
    """Return the file of a run's network, which is not executed; None for a network of BioQ's.

    Raises BioqError if the file is missing, or is not the one of which `config.json` has the
    checksum.
    """
    sha256, name = config.model.get("source_sha256"), config.model["name"]
    if sha256 is None:
        return None
    run = Path(run)
    remedy = "restore the file, or train again"
    if not name.rpartition(":")[2].isidentifier():
        raise BioqError(f"{run / CONFIG}: model.name is {name!r}, expected FILE.py:FUNCTION")
    source = checked_source(name, run / NETWORK, read_kept(run, NETWORK, remedy))
    if source.sha256 != sha256:
        raise BioqError(
            f"{source.file}: has the SHA-256 {source.sha256[:12]}..., {CONFIG} has "
            f"{sha256[:12]}...: it is not the network that was trained; {remedy}"
        )
    return source


def named_source(model: str) -> Source:
    """Return the file of a network that the user names, as `my_net.py:build`, and trust it.

    The file that a run keeps has the name that it had when the run was trained. Raises UsageError
    for another form, BioqError for a file that cannot be read.
    """
    source = read_source(model)
    if source.file.name == NETWORK and (source.file.parent / CONFIG).is_file():
        kept = kept_source(source.file.parent, read_config(source.file.parent))
        if kept is not None and kept.function == source.function:
            source = kept
    remember(source)  # the bytes that are returned: the file was read twice
    return source

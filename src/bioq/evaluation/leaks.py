"""Whether a run has learned from windows of the split that is scored."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bioq.dataset import Dataset, Split
from bioq.dataset.leaks import leak_of
from bioq.errors import BioqError, some
from bioq.genome.builds import bare_name, different_genomes
from bioq.published.scores import is_published_test
from bioq.runs.folder import RunConfig, read_config, read_members, seen_contigs
from bioq.runs.training_data import training_data, with_fold_of

TRAIN = "train"


def leak_notes(runs: Iterable[Path], data: Dataset, split: str) -> Iterator[str]:
    """Yield a line per kind of leak between a split and the windows that the runs were trained on.

    Those are the split `train` of `data` or, if a run was trained on another data set, of that one.
    """
    if split == TRAIN:
        return
    checked, said = set(), set()
    for run in runs:
        config = read_config(run)
        fingerprint, fold = config.data.get("fingerprint"), config.fold
        if (fingerprint, fold) in checked:
            continue
        checked.add((fingerprint, fold))
        trained_on = _trained_on(run, config, data)
        if config.imported is not None or trained_on is None:
            yield from _contig_lines(run, config, data, split)
        else:
            lines = leak_of(data[split], trained_on[TRAIN]).lines()
            new = [line for line in lines if line not in said]  # several runs may have the same
            said.update(new)
            yield from new


def _contig_lines(run: Path, config: RunConfig, data: Dataset, split: str) -> Iterator[str]:
    """Yield a line if windows of a split are on contigs that a run has seen whose training data are
    not here, or if that is not known. DeepSEA's own test windows were not seen by a published
    network."""
    if config.imported is not None and is_published_test(data, split):
        return
    name = run.resolve().name
    if config.imported is not None:
        name = f"{name} ({config.imported['title']})"
    seen = config.data.get("seen_contigs")
    other = different_genomes(config.contig_lengths, data.description.contig_lengths)
    if seen is None or other is not None or not data[split].has_coordinates:
        yield (
            f"the training data of {name} are not here, so it is not known whether it has seen "
            f"windows of the split {split!r}"
        )
        return
    numbers = {bare_name(contig) for contig in seen}
    contigs = [each for each in data[split].bins()["chrom"].unique() if bare_name(each) in numbers]
    yield from _on_seen_contigs(data[split], contigs, f"the training of {name}")


def source_notes(run: Path, config: RunConfig, data: Dataset, split: str) -> Iterator[str]:
    """Yield a line for each run, of the members of an ensemble, that started from a run (`--from`)
    that has seen contigs of the split, which its own training has not seen.

    `data` has splits, or all folds: then the split is that of the fold of each run.
    """
    for folder, one in read_members(run, config) or [(run, config)]:
        source = one.training.get("from")
        if isinstance(source, Mapping) and split != TRAIN:
            yield from _source_lines(folder, one, source, with_fold_of(folder, one, data), split)


def _source_lines(
    run: Path, config: RunConfig, source: Mapping[str, object], data: Dataset, split: str
) -> Iterator[str]:
    trained_on = _trained_on(run, config, data)
    own = None if trained_on is None else seen_contigs(trained_on)
    seen = set(config.data.get("seen_contigs", ())).difference(own or ())
    if own is None or not data[split].has_coordinates or not _of_one_genome(config, source, data):
        return
    who = f"{source.get('run')}, from which {run.resolve().name} started,"
    yield from _on_seen_contigs(data[split], seen, who)


def _on_seen_contigs(split: Split, seen: Iterable[str], who: str) -> Iterator[str]:
    """Yield a line if windows of a split are on contigs that somebody has seen."""
    contig = split.bins()["chrom"]
    found = contig[contig.isin(list(seen))]
    if len(found):
        yield (
            f"{len(found):,} of {len(contig):,} windows of the split {split.name!r} are on contigs "
            f"that {who} has seen ({some(sorted(found.unique()))}): scores are too high"
        )


def _of_one_genome(config: RunConfig, source: Mapping[str, object], data: Dataset) -> bool:
    """Return whether the contigs of a run, of the run from which it started and of a data set have
    the same names for the same sequences, as far as it is known."""
    lengths = config.contig_lengths
    if different_genomes(lengths, data.description.contig_lengths) is not None:
        return False
    try:
        before = read_config(str(source.get("path"))).contig_lengths
    except BioqError:  # it was moved
        return bool(source.get("data_fingerprint") == config.data["fingerprint"])
    return different_genomes(before, lengths) is None


def _trained_on(run: Path, config: RunConfig, data: Dataset) -> Dataset | None:
    """Return the data set that a run was trained on, with the splits of its fold: `data`, if it is
    the same; None if it is not found or is damaged."""
    chosen = None if data.chosen is None else str(data.chosen)
    if (config.data["fingerprint"], config.fold) == (data.fingerprint, chosen):
        return data
    try:
        trained_on = training_data(run)
    except BioqError:
        return None
    return trained_on if TRAIN in trained_on else None

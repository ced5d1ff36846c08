"""The sections of a run's card, as Markdown: use, data, training, scores, background, weights."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioq.dataset.targets import NAME
from bioq.errors import counted, some, without_controls
from bioq.evaluation.cross_validation import folds_table
from bioq.evaluation.files import latest_evaluation, read_folder
from bioq.evaluation.published_scores import published_table
from bioq.evaluation.summary import Summary, scored_windows
from bioq.evaluation.table import evaluation_remarks, evaluation_table, same_remarks
from bioq.metrics import number
from bioq.plots.run import settings
from bioq.runs.best_epoch import best_epoch, score_name
from bioq.runs.calibration import read_calibration
from bioq.runs.folder import (
    BACKGROUND,
    BEST,
    NETWORK,
    RunConfig,
    has_history,
    read_config,
    read_history,
    read_members,
    read_targets,
)
from bioq.runs.network import kept_source
from bioq.runs.weights import weights_sha256
from bioq.variants import read_background, run_background

Rows = Sequence[Sequence[str]]

_SPECIAL = re.compile(r"[\\`*{}\[\]<>|#~]|(?<![^\W_])_|_(?![^\W_])")
_LIST = re.compile(r"^( *\d*)([-+=.)])")
_CODE = re.compile(r"(?<!\\)`[^`]+`")
_SPACE_IN_CODE = "\0"
_WIDTH = 100
_NO_GENOME = "genome.fa"


@dataclass(frozen=True)
class Described:
    """A run that a card describes."""

    name: str
    """The name of its folder."""
    folder: Path
    config: RunConfig
    members: Sequence[tuple[Path, RunConfig]]
    """Folder and configuration of each member of an ensemble; of any other run, its own."""
    targets: Sequence[str]

    @property
    def models(self) -> list[str]:
        """The names of its networks, each once."""
        return list(dict.fromkeys(str(config.model["name"]) for _, config in self.members))


def described(run: Path) -> Described:
    """Read what the card of a run needs. Raises BioqError if the run is damaged."""
    config = read_config(run)
    members = read_members(run, config) or [(run, config)]
    targets = list(read_targets(run, config)[NAME])
    return Described(run.resolve().name, run, config, members, targets)


def sections(run: Described) -> str:
    """Return the part of a card that BioQ writes, without a heading of its own."""
    parts = (
        *(_summary, _use, _origin, _data, _training, _scores, _calibration, _background),
        *(_limits, _weights),
    )
    texts = ("\n".join(map(_wrapped, part(run))) for part in parts)
    return "\n\n".join(text for text in texts if text)


def _summary(run: Described) -> Iterator[str]:
    config, names = run.config, ", ".join(f"`{_code(name)}`" for name in run.models)
    what = f"The mean of {len(run.members)} networks ({names})" if config.members else names
    if config.imported:
        what = f"{plain(config.imported['title'])} ({names})"
    genome = f" of the genome {config.genome_build}" if config.genome_build else ""
    made = "converted for" if config.imported else "made with"
    yield (
        f"{what}, {made} BioQ: the probability of {counted(len(run.targets), 'target')} in the "
        f"middle {config.data['bin_bp']:,} bp of a window of {config.model['window_bp']:,} bp of "
        f"DNA{genome}. The targets are listed in `targets.tsv`: "
        f"{plain(some(run.targets, 3))}."
    )


def _use(run: Described) -> Iterator[str]:
    genome, name = run.config.genome_build or _NO_GENOME, _shell(run.name)
    yield "## Use"
    yield ""
    yield "```sh"
    yield "pip install bioq"
    yield f"bioq predict {name} regions.bed --genome {genome} --out probability.tsv"
    yield f"bioq variants {name} variants.vcf --genome {genome} --out scores.tsv"
    yield "```"
    yield ""
    yield (
        f"`{name}` is the path of this folder, or the address of a copy, such as "
        "`hf:OWNER/NAME`. `bioq --help` lists every command; in Python, `bioq.load` and "
        "`bioq.predict`."
    )
    if any("source_sha256" in config.model for _, config in run.members):
        yield ""
        yield (
            f"The network is not one of BioQ's: it is the Python file `{NETWORK}`, which BioQ "
            "executes. Read it; then add `--trust` to the first command, or call "
            "`bioq.load(run, trust=True)`."
        )


def _origin(run: Described) -> Iterator[str]:
    """Yield the published weights that a run has, or from which its training started."""
    imported = [(folder, config.imported) for folder, config in run.members if config.imported]
    started = [
        (folder, config.started_from) for folder, config in run.members if config.started_from
    ]
    if imported or started:
        yield "## Origin"
        yield ""
    if imported:
        yield "The weights come from a file of a published network, by `bioq import`:"
    for folder, origin in imported:
        named = [(key.replace("_", " "), value) for key, value in origin.items() if value]
        rows = [(plain(key), plain(str(value))) for key, value in named]
        yield ""
        yield from markdown_table([("weights", plain(folder.resolve().name)), *rows])
        if origin["url"] is None:
            yield ""
            yield (
                "No published file with this checksum is known to BioQ, so it was not checked that "
                "these are the published weights."
            )
    for folder, source in started:
        licence = f", licence: {plain(source['licence'])}" if source["licence"] else ""
        yield (
            f"The training of {plain(folder.resolve().name)} started from published weights: "
            f"{plain(source['citation'])}{licence}."
        )


def _data(run: Described) -> Iterator[str]:
    yield "## Data"
    yield ""
    shared = run.config.data
    rows = [("genome", run.config.genome_build or "not known")]
    rows += [(f"{kind} (bp)", f"{shared[f'{kind}_bp']:,}") for kind in ("window", "bin")]
    if "label_rule" in shared:
        rows.append(("label rule", str(shared["label_rule"])))
    yield from markdown_table([("data set", plain(str(shared["name"]))), *rows])
    yield ""
    trained = [member for member in run.members if not member[1].imported]
    yield from _windows_of_each(trained)
    yield ("Numbers of windows. " if trained else "") + (
        "`seen_contigs` in `config.json` lists the contigs that the training and the choice of its "
        "epoch have read."
    )


def _windows_of_each(members: Sequence[tuple[Path, RunConfig]]) -> Iterator[str]:
    """Yield the data set and the numbers of windows of each network that BioQ trained."""
    if not members:
        return
    heading = ["run", "data set", "fingerprint", "fold", "train", "valid", "test"]
    of_each = [
        [
            plain(folder.resolve().name),
            plain(str(config.data["name"])),
            f"`{_code(str(config.data['fingerprint'])[:12])}`",
            plain(config.fold or "–"),
            *(_windows(config, split) for split in ("train", "valid", "test")),
        ]
        for folder, config in members
    ]
    yield from markdown_table([heading, *of_each])
    yield ""


def _windows(config: RunConfig, split: str) -> str:
    windows = config.data["windows"].get(split)
    return "–" if windows is None else f"{windows:,}"


def _training(run: Described) -> Iterator[str]:
    yield "## Training"
    yield ""
    tables = [  # "Origin" has the published weights
        [row for row in settings(folder, config) if not row[0].startswith("published ")]
        for folder, config in run.members
    ]
    common = [row for row in tables[0] if all(row in table for table in tables)]
    yield from markdown_table([("setting", "value"), *(list(map(plain, row)) for row in common)])
    for folder, config in run.members:
        source = config.training.get("from")
        if isinstance(source, Mapping):
            origin = plain(str(source.get("address") or source.get("run")))
            frozen = config.training.get("freeze")
            rest = ", and only its output layer was trained" if frozen else ""
            yield ""
            yield (
                f"{plain(folder.resolve().name)} started from the weights of the run {origin} "
                f"(SHA-256 `{_code(str(source.get('sha256')))}`){rest}."
            )


def _scores(run: Described) -> Iterator[str]:
    yield "## Scores"
    yield ""
    folder = latest_evaluation(run.folder)
    if folder is not None:
        yield from _evaluated(read_folder(folder).summary)
        return
    yield "Not evaluated on windows that neither the training nor the choice of its epoch has seen."
    rows = [
        [plain(name.resolve().name), *row]
        for name, config in run.members
        for row in _best(name, config)
    ]
    if rows:
        yield ""
        yield "Scores of the best epoch on the validation split, by which this epoch was chosen:"
        yield ""
        yield from markdown_table([("run", "score", "value", "constant"), *rows])


def _evaluated(summary: Summary) -> Iterator[str]:
    """Yield the scores of an evaluation, with the constants and the rate of positives."""
    data = summary["data"]
    fold = f", fold {data['fold']}" if "fold" in data and "folds" not in summary else ""
    yield (
        f"On {plain(scored_windows(summary) + fold)} of the data set {plain(data['name'])} "
        f"(fingerprint `{_code(data['fingerprint'][:12])}`): "
        f"{counted(summary['windows'], 'window')}, strands {plain(summary['strands'])}, "
        f"{'' if summary['calibrated'] else 'not '}calibrated."
    )
    yield ""
    yield from markdown_table([list(map(plain, row)) for row in evaluation_table(summary)])
    if "folds" in summary:
        yield ""
        yield "Each fold, by the networks that have not seen it; in brackets, the constant:"
        yield ""
        yield from markdown_table([list(map(plain, r)) for r in folds_table(summary["folds"])])
    if published := published_table(summary):
        yield ""
        yield from markdown_table([list(map(plain, row)) for row in published])
    yield ""
    notes = (*evaluation_remarks(summary), *same_remarks(summary), *summary["notes"])
    yield from (f"- {plain(note)}" for note in notes)


def _best(folder: Path, config: RunConfig) -> Iterator[list[str]]:
    """Yield the validation scores of the best epoch: name, value, constant."""
    history: Any = read_history(folder).to_dict("records") if has_history(folder) else []
    best = best_epoch(history, config.select_by) if history else None
    for row in history:
        if row["epoch"] == best:
            scores = {name: row[name] for name in row if name.startswith("valid_")}
            for name, value in scores.items():
                constant = number(config.constants.get(name), missing="")
                yield [score_name(name), number(value), constant]


def _calibration(run: Described) -> Iterator[str]:
    yield "## Calibration"
    yield ""
    found = []
    for folder in dict.fromkeys((run.folder, *(folder for folder, _ in run.members))):
        calibration = read_calibration(folder)
        if calibration is not None:
            text = f"{calibration.name}: {calibration.gained()}"
            found.append(f"- {plain(folder.resolve().name)}: {plain(text)}")
    yield from found or ["The probabilities are those of the network: not calibrated."]


def _background(run: Described) -> Iterator[str]:
    """Yield which variants are the background of a run that has one."""
    file = run_background(run.folder)
    if file is None:
        return
    background = read_background(file)
    about = background.provenance
    yield "## Background"
    yield ""
    yield (
        f"`{BACKGROUND}` has the effects of {counted(background.variants, 'variant')} on every "
        f"target: {plain(str(about.get('vcf', 'not known')))}, of the genome "
        f"{plain(str(about.get('genome', 'not known')))}. `bioq variants` uses it for E-values "
        "and ranks; `--background` names another one."
    )


def _limits(run: Described) -> Iterator[str]:
    genome = run.config.genome_build
    yield "## Limits"
    yield ""
    if genome:
        yield (
            f"- Trained on {genome}: coordinates are those of this build. Other species were not "
            "tested."
        )
    yield (
        "- The targets are experiments, in their cells and conditions; in other cells a factor can "
        "bind elsewhere."
    )
    yield (
        "- A probability belongs to the share of positives in the windows of the training. Among "
        "other windows, such as every bin of a genome, it can be too high or too low."
    )
    yield "- For research. Not tested for decisions about patients."


def _weights(run: Described) -> Iterator[str]:
    yield "## Weights"
    yield ""
    rows = [
        (f"`{_code(str((folder / name).relative_to(run.folder)))}`", f"`{sha256}`")
        for folder, config in run.members
        for name, sha256 in _checksums(folder, config)
    ]
    yield from markdown_table([("file", "SHA-256"), *rows])


def _checksums(folder: Path, config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield the names and SHA-256 of the files that make the network of a run."""
    yield BEST, weights_sha256(folder)
    source = kept_source(folder, config)
    if source is not None:
        yield NETWORK, source.sha256


def _wrapped(line: str) -> str:
    """Return a line of Markdown in lines that are easy to read and compare; a row of a table stays
    a line."""
    if line.startswith("|"):
        return line
    indent = "  " if line.startswith("- ") else ""
    line = _CODE.sub(lambda code: code[0].replace(" ", _SPACE_IN_CODE), line)
    first, *rest = textwrap.wrap(
        line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [""]
    # What begins a line could begin a list; in code a backslash would be shown.
    lines = [first, *(_LIST.sub(r"\1\\\2", each) for each in rest)]
    return "\n".join(lines).replace(_SPACE_IN_CODE, " ")


def markdown_table(rows: Rows) -> Iterator[str]:
    """Yield the lines of a table in Markdown; the first row is the heading."""
    for count, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if count == 0:
            yield f"|{' --- |' * len(row)}"


def plain(text: str) -> str:
    """Return a text that Markdown and HTML show unchanged, in one line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(without_controls(text).split())).replace("&", "&amp;")


def _code(text: str) -> str:
    """Return a text for a span of code."""
    shown = " ".join(without_controls(text).split()).replace("`", "'").replace("|", "")
    return shown.replace("<!--", "")  # no comment that would end BioQ's part of the card


def _shell(name: str) -> str:
    """Return the name of a folder as it is typed in a shell."""
    return name if re.fullmatch(r"[\w.+-]+", name, re.ASCII) else "RUN"

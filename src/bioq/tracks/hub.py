"""Track hubs: the files beside bigWigs with which UCSC's browser and IGV show them.

A folder has one hub. A second output in the folder adds its tracks to it, so that predictions and
contributions are shown together. Source: UCSC, hgTrackHubHelp.html and assemblyHubHelp.html.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from bioq.dataset.targets import NAME
from bioq.errors import BioqError, UsageError
from bioq.files import locked, new_file, refuse_input, require_absent
from bioq.files.inside import kept_file
from bioq.genome import Genome, open_genome
from bioq.genome.named import ucsc_name
from bioq.genome.twobit import byte_order
from bioq.genome.twobit_writing import write_twobit
from bioq.options import one_of, path_to, text, text_list
from bioq.tracks.bigwig import ENDING, bigwig_paths, is_bigwig
from bioq.tracks.bigwig_values import first_region, value_range
from bioq.tracks.description import description_page
from bioq.tracks.session import igv_session
from bioq.tracks.trackdb import (
    LONG,
    SHORT,
    SHOWS,
    Shows,
    Stanza,
    TrackSet,
    label_of,
    read_stanzas,
    track_db,
    track_name,
)

HUB, GENOMES, TRACKS, SESSION = "hub.txt", "genomes.txt", "trackDb.txt", "igv.xml"
TWOBIT = "genome.2bit"
HUB_FILES = (HUB, GENOMES, TRACKS, SESSION, TWOBIT)
"""The names of the files of a hub, besides NAME.html."""
_MARK = "Written by BioQ"
_MARK_WITHIN = 1000
"""Letters of a file in which the mark is."""
_EMAIL = "name@example.org"
_REMEDY = "give --out in another folder"


@dataclass(frozen=True)
class Hub:
    """The hub of the bigWigs of one output, before it is written."""

    out: Path
    """The output, NAME.bw."""
    genome: Genome
    targets: pd.DataFrame
    """A row per bigWig; see `TrackSet`."""
    shows: Shows
    model: str
    kept: frozenset[str]
    """The files of the folder's hub that are not written again."""

    @property
    def files(self) -> list[Path]:
        """The files to write, in this order."""
        genome = [] if _database(self.genome) else [TWOBIT]
        names = (TRACKS, *genome, GENOMES, self._page, HUB, SESSION)
        return [self.out.with_name(name) for name in names if name not in self.kept]

    @property
    def page(self) -> Path:
        """The page about the tracks, NAME.html."""
        return self.out.with_name(self._page)

    @property
    def _page(self) -> str:
        return f"{self._title}.html"

    @property
    def _title(self) -> str:
        return self.out.name[: -len(ENDING)]

    def _others(self) -> list[tuple[Stanza, str]]:
        """Return the stanzas of the other outputs in the folder."""
        own = _own_texts(self.out.parent, force=True)
        found = read_stanzas(own.get(TRACKS, ""))
        names = {each["track"] for each, _ in found if each.get("html") == quote(self._page)}
        return [
            (each, block)
            for each, block in found
            if names.isdisjoint((each.get("track"), each.get("parent", "").split(" ")[0]))
        ]

    def write(self, paths: Sequence[Path], bigwigs: Sequence[Path]) -> None:
        """Write the contents of `files` to `paths`, each complete or not at all.

        `bigwigs` are the complete bigWigs, one per target, which may still have other names.
        Raises BioqError for a bigWig that cannot be read, NotWrittenError for a file that cannot be
        written.
        """
        texts = self._texts(bigwigs)
        for path, file in zip(paths, self.files, strict=True):
            with new_file(path) as partial:
                if file.name == TWOBIT:
                    _copy_genome(self.genome, partial)
                else:
                    partial.write_text(texts[file.name], encoding="utf-8", newline="\n")

    def _texts(self, bigwigs: Sequence[Path]) -> Mapping[str, str]:
        files = [path.name for path in bigwig_paths(self.out, list(self.targets[NAME]))]
        limits = [(0.0, 1.0)] * len(files)
        if self.shows == "contribution":
            limits = [value_range(path) for path in bigwigs]
        tracks = TrackSet(self._title, self.shows, files, self.targets, limits, self.model)
        others = self._others()
        used = [stanza.get("track", "") for stanza, _ in others]
        new = track_db(tracks, page=quote(self._page), used=used)
        blocks = [_comment("the tracks"), *(block for _, block in others), new]
        stanzas = "\n\n".join(blocks)
        contig, length = next(iter(self.genome.lengths.items()))
        region = first_region(bigwigs[0]) or f"{contig}:1-{length}"
        session = igv_session(
            [stanza for stanza, _ in read_stanzas(stanzas)],
            genome=_database(self.genome) or TWOBIT,
            locus=region,
            comment=_MARK,
        )
        return {
            TRACKS: f"{stanzas}\n",
            GENOMES: _file("the genome", _genome_stanza(self.genome, region, quote(self._page))),
            self._page: description_page(tracks),
            HUB: _file(
                "write your address at 'email' before you publish the hub",
                {
                    "hub": track_name(self._title),
                    "shortLabel": label_of(f"BioQ {self.model}", SHORT),
                    "longLabel": label_of(
                        f"Computed from DNA by the model {self.model}, with BioQ", LONG
                    ),
                    "genomesFile": GENOMES,
                    "email": _EMAIL,
                    "descriptionUrl": quote(self._page),
                },
            ),
            SESSION: session,
        }


def require_bigwig(outs: Sequence[Path]) -> None:
    """Raise UsageError for the hub of a command if none of its outputs is a bigWig."""
    if not any(map(is_bigwig, outs)):
        names = ", ".join(map(str, outs))
        raise UsageError(
            f"{names}: --hub is for bigWig tracks; give --out a name that ends in {ENDING}"
        )


def plan_hub(
    out: Path, genome: Genome, targets: pd.DataFrame, *, shows: Shows, model: str, force: bool
) -> Hub:
    """Return the hub of an output NAME.bw: a new one, or one more set of tracks in that of the
    folder.

    Raises BioqError for a hub of another genome and, unless `force` is given, for NAME.html and
    for a file with a name of the hub that BioQ did not write.
    """
    folder = out.parent
    own = _own_texts(folder, force=force)
    kept = frozenset(own) & {HUB, GENOMES}
    if GENOMES in own:
        _require_same_genome(folder, own[GENOMES], genome)
        kept |= {TWOBIT} & set(os.listdir(folder))
    elif _database(genome) is None:
        require_absent(folder / TWOBIT, force=force)
    hub = Hub(out, genome, targets, shows, model, kept)
    require_absent(hub.page, force=force)
    return hub


def write_hub(
    out: str | Path,
    targets: Sequence[str],
    *,
    genome: str | Path,
    model: str,
    shows: Shows = "probability",
    force: bool = False,
) -> list[Path]:
    """Write the hub of bigWigs that are there.

    Args:
        out: The NAME.bw with which they were written: the bigWig of a target is NAME.TARGET.bw.
        targets: Names of the targets.
        genome: Genome of the bigWigs.
        model: Name of the model in labels.
        shows: Kind of the values; `contribution` is drawn as letters.
        force: Replace a hub that exists.

    Returns:
        The files written.

    Raises:
        BioqError: For a bigWig that is missing or damaged, and as `plan_hub`.
        UsageError: For a genome with the name of a file of the hub.
    """
    out, genome = path_to("out", out), path_to("genome", genome)
    names = text_list("targets", targets)
    one_of("shows", shows, SHOWS)
    text("model", model)
    if not is_bigwig(out):
        raise UsageError(f"{out}: expected the name NAME{ENDING} with which bigWigs were written")
    if not names:
        raise UsageError("targets: is empty; expected the names of the targets of the bigWigs")
    bigwigs = bigwig_paths(out, names)
    for path in bigwigs:
        value_range(path)
    with open_genome(genome) as opened:
        table = pd.DataFrame({NAME: names})
        hub = plan_hub(out, opened, table, shows=shows, model=model, force=force)
        for path in hub.files:
            refuse_input(path, genome)
        with locked(hub.out.parent):
            hub.write(hub.files, bigwigs)
    return hub.files


def _database(genome: Genome) -> str | None:
    """Return UCSC's name of a genome; None if the hub has to bring the genome."""
    return None if genome.build is None else ucsc_name(genome.build.name)


def _genome_stanza(genome: Genome, region: str, page: str) -> Stanza:
    database, name = _database(genome), _genome_name(genome)
    stanza = {"genome": name, "trackDb": TRACKS}
    if database is not None:
        return stanza
    # What UCSC needs to show a genome that it does not have: an assembly hub.
    return {
        **stanza,
        "twoBitPath": TWOBIT,
        "organism": name,
        "scientificName": name,
        "description": name,
        "defaultPos": region,
        "htmlPath": page,
    }


def _genome_name(genome: Genome) -> str:
    """Return the name of the genome in the hub; without one of UCSC, that of its file."""
    stem = re.sub(r"\.(2bit|(fasta|fa|fna)(\.b?gz)?)$", "", genome.path.name, flags=re.IGNORECASE)
    return _database(genome) or track_name(stem)


def _copy_genome(genome: Genome, path: Path) -> None:
    with open(genome.path, "rb") as file:
        is_twobit = byte_order(file.read(4)) is not None
    if is_twobit:
        shutil.copyfile(genome.path, path)
    else:
        write_twobit(genome, path)


def _own_texts(folder: Path, *, force: bool) -> dict[str, str]:
    """Return the texts of the hub in a folder that BioQ wrote.

    Raises BioqError for another file with such a name, unless `force` is given.
    """
    texts = {}
    for name in (TRACKS, GENOMES, HUB, SESSION):
        file = kept_file(folder, name)
        text = "" if file is None else file.read_text(encoding="utf-8", errors="replace")
        if _MARK in text[:_MARK_WITHIN]:
            texts[name] = text
        elif file is not None and not force:
            raise BioqError(
                f"{file}: exists already and was not written by BioQ; {_REMEDY}, or --force to "
                "replace it"
            )
    return texts


def _require_same_genome(folder: Path, genomes: str, genome: Genome) -> None:
    """Raise BioqError if the hub in a folder is of another genome."""
    stanzas = read_stanzas(genomes)
    found = stanzas[0][0].get("genome", "") if stanzas else ""
    expected = _genome_name(genome)
    is_same = found == expected
    if is_same and _database(genome) is None and (folder / TWOBIT).exists():
        with open_genome(folder / TWOBIT) as kept:
            is_same = kept.lengths == genome.lengths
    if not is_same:
        raise BioqError(
            f"{folder / GENOMES}: is the hub of another genome, {found}, and this is {expected} "
            f"({genome.path}); {_REMEDY}"
        )


def _file(about: str, stanza: Stanza) -> str:
    lines = [f"{setting} {value}\n" for setting, value in stanza.items()]
    return f"{_comment(about)}\n{''.join(lines)}"


def _comment(about: str) -> str:
    return f"# {_MARK}: {about}"

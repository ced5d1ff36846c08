"""Track hubs: the files beside bigWigs with which UCSC's browser and IGV show them.

A folder has one hub. A second output in the folder adds its tracks to it, so that predictions and
contributions are shown together. Source: UCSC, hgTrackHubHelp.html and assemblyHubHelp.html.
"""

import contextlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from bioq.dataset.targets import NAME
from bioq.errors import BioqError, UsageError
from bioq.files import new_file, require_absent
from bioq.files.inside import read_kept
from bioq.genome import Genome, open_genome
from bioq.genome.named import ucsc_name
from bioq.genome.twobit import byte_order
from bioq.genome.twobit_writing import write_twobit
from bioq.options import one_of, path_to, text, text_list
from bioq.tracks.bigwig import ENDING, bigwig_paths
from bioq.tracks.content import BigWigContent, read_content
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
    others: Sequence[str]
    """The stanzas of the other outputs in the folder."""
    kept: frozenset[str]
    """The files of the folder's hub that stay as they are."""

    @property
    def files(self) -> list[Path]:
        """The files to write, in this order."""
        genome = [] if _database(self.genome) else [TWOBIT]
        names = (TRACKS, *genome, GENOMES, self._page, HUB, SESSION)
        return [self.out.with_name(name) for name in names if name not in self.kept]

    @property
    def _page(self) -> str:
        return f"{self._title}.html"

    @property
    def _title(self) -> str:
        return self.out.name[: -len(ENDING)]

    def write(self, paths: Sequence[Path], bigwigs: Sequence[Path]) -> None:
        """Write the contents of `files` to `paths`.

        `bigwigs` are the complete bigWigs, one per target, which may still have other names.
        """
        texts = self._texts([read_content(path) for path in bigwigs])
        for path, file in zip(paths, self.files, strict=True):
            if file.name == TWOBIT:
                _copy_genome(self.genome, path)
            else:
                path.write_text(texts[file.name], encoding="utf-8", newline="\n")

    def _texts(self, contents: Sequence[BigWigContent]) -> Mapping[str, str]:
        files = [path.name for path in bigwig_paths(self.out, list(self.targets[NAME]))]
        limits = [content.limits for content in contents]
        tracks = TrackSet(self._title, self.shows, files, self.targets, limits, self.model)
        used = [name for block in self.others for name in _names(block)]
        new = track_db(tracks, page=quote(self._page), used=used)
        stanzas = "\n\n".join([_comment("the tracks"), *self.others, new])
        region = next((content.region for content in contents if content.region), "")
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
                    "longLabel": label_of(f"Computed from DNA by {self.model}, with BioQ", LONG),
                    "genomesFile": GENOMES,
                    "email": _EMAIL,
                    "descriptionUrl": quote(self._page),
                },
            ),
            SESSION: session,
        }


def plan_hub(
    out: Path, genome: Genome, targets: pd.DataFrame, *, shows: Shows, model: str, force: bool
) -> Hub:
    """Return the hub of an output NAME.bw: a new one, or one more set of tracks in that of the
    folder.

    Raises BioqError for a file of the same name that BioQ did not write, for a hub of another
    genome, and for NAME.html, unless `force` is given.
    """
    kept = {name for name in HUB_FILES if (out.parent / name).exists()}
    texts = {name: _read_own(out.parent, name) for name in kept - {TWOBIT}}
    _require_same_genome(out.parent, texts.get(GENOMES, ""), genome)
    page = f"{out.name[: -len(ENDING)]}.html"
    found = read_stanzas(texts.get(TRACKS, ""))
    own = {each["track"] for each, _ in found if each.get("html") == quote(page)}
    others = [
        block
        for each, block in found
        if own.isdisjoint((each.get("track"), each.get("parent", "").split(" ")[0]))
    ]
    require_absent(out.with_name(page), force=force)
    return Hub(out, genome, targets, shows, model, others, frozenset(kept - {TRACKS, SESSION}))


def write_hub(
    out: str | Path,
    targets: Sequence[str],
    *,
    genome: str | Path,
    shows: Shows = "probability",
    model: str = "a model",
    force: bool = False,
) -> list[Path]:
    """Write the hub of bigWigs that are there; return the files written.

    `out` is the NAME.bw with which they were written: the bigWig of a target is NAME.TARGET.bw.
    `genome` is their genome, `shows` what their values are (`contribution`: drawn as letters),
    `model` what labels call the model. Raises BioqError for a bigWig that is missing or damaged,
    and as `plan_hub` does.
    """
    out, genome = path_to("out", out), path_to("genome", genome)
    names = text_list("targets", targets)
    one_of("shows", shows, SHOWS)
    text("model", model)
    if not out.name.lower().endswith(ENDING):
        raise UsageError(f"{out}: expected the name NAME{ENDING} with which bigWigs were written")
    bigwigs = bigwig_paths(out, names)
    with open_genome(genome) as opened, contextlib.ExitStack() as stack:
        table = pd.DataFrame({NAME: names})
        hub = plan_hub(out, opened, table, shows=shows, model=model, force=force)
        partial = [stack.enter_context(new_file(path)) for path in reversed(hub.files)]
        hub.write(partial[::-1], bigwigs)
    return hub.files


def _names(block: str) -> list[str]:
    return [stanza["track"] for stanza, _ in read_stanzas(block) if "track" in stanza]


def _database(genome: Genome) -> str | None:
    """Return UCSC's name of a genome; None if the hub has to bring the genome."""
    return None if genome.build is None else ucsc_name(genome.build.name)


def _genome_stanza(genome: Genome, region: str, page: str) -> Stanza:
    database, name = _database(genome), _genome_name(genome)
    stanza = {"genome": name, "trackDb": TRACKS}
    if database is not None:
        return stanza
    # What UCSC needs to show a genome that it does not have: an assembly hub.
    contig, length = next(iter(genome.lengths.items()))
    return {
        **stanza,
        "twoBitPath": TWOBIT,
        "organism": name,
        "scientificName": name,
        "description": name,
        "defaultPos": region or f"{contig}:1-{length}",
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


def _read_own(folder: Path, name: str) -> str:
    """Return the text of a file of the folder's hub. Raises BioqError if BioQ did not write it."""
    content = read_kept(folder, name, _REMEDY).decode("utf-8", "replace")
    if _MARK not in content[:_MARK_WITHIN]:
        raise BioqError(
            f"{folder / name}: was not written by BioQ, and the hub needs this name; {_REMEDY}"
        )
    return content


def _require_same_genome(folder: Path, genomes: str, genome: Genome) -> None:
    """Raise BioqError if the hub in a folder is of another genome."""
    stanzas = read_stanzas(genomes)
    if not stanzas:
        return
    found, expected = stanzas[0][0].get("genome", ""), _genome_name(genome)
    is_same = found == expected
    if is_same and _database(genome) is None:
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

"""`bioq motif-effects`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd

from bioq.cli.options import FLAGS, ChromAlias, Force, Run
from bioq.cli.tables import print_line, print_path
from bioq.interpretation.motif_experiments.backgrounds import WindowSource
from bioq.interpretation.motif_experiments.options import MotifEffectOptions, PairOptions
from bioq.interpretation.motif_matches import SIGNIFICANT_Q
from bioq.reports.motif_effects import PAGE, write_effects_folder
from bioq.reports.motif_pairs import beyond_text
from bioq.runs.named import resolve_run

DEFAULTS, PAIR_DEFAULTS = MotifEffectOptions(), PairOptions()
_SHOWN = 5


def motif_effects(
    run: Run,
    source: str | None = None,
    /,
    *,
    motifs: str,
    out: Path,
    genome: Path | None = None,
    chrom_alias: ChromAlias = None,
    options: Annotated[MotifEffectOptions, FLAGS] = DEFAULTS,
    pairs: Annotated[PairOptions, FLAGS] = PAIR_DEFAULTS,
    force: Force = False,
) -> None:
    """Measure what known motifs change in the predictions: put in, and taken out.

    Puts each motif into background windows, beside scrambled motifs, and shuffles its sites in
    windows, beside other places of the same windows. Writes OUT/insertion.tsv and
    OUT/ablation.tsv: a row per motif and target, with the mean change of the logit, its interval
    and the control; with --pair OUT/pairs.tsv; and OUT/motif_effects.html (logos, the strongest
    motifs, pairs). Needs bioq[motifs].

    For example:

        bioq motif-effects run --motifs JASPAR2024:fungi --out effects
        bioq motif-effects yeast --genome sacCer3 --motifs JASPAR2024:fungi --out effects
        bioq motif-effects run peaks.bed --genome hg19 --motifs JASPAR2024 --motif CTCF --out ctcf
        bioq motif-effects run --motifs JASPAR2024 --pair CTCF SRF --distances 0:200 --out pair

    Parameters
    ----------
    source
        Where the windows are from: a data set folder, a FASTA or, with --genome, a BED file or a
        region; by default the data set that the run was trained on or, with --genome, random
        windows of the genome.
    motifs
        JASPAR release, with its taxonomic group (JASPAR2024:fungi), or a MEME file.
    out
        New folder for the files.
    genome
        Genome of the regions or of random windows: FASTA (plain, gzip or bgzip), 2bit, or a name
        such as hg38, which is downloaded once from UCSC.
    """
    windows = WindowSource(source, genome, chrom_alias, options.split)
    result = write_effects_folder(
        resolve_run(run),
        out,
        motifs=motifs,
        windows=windows,
        options=options,
        pairs=pairs,
        force=force,
    )
    for line in (*_summary("put in", result.insertion), *_summary("taken out", result.ablation)):
        print_line(line)
    if result.pairs is not None:
        for line in _pairs_summary(result.pairs):
            print_line(line)
    print_path(out / PAGE)


def _summary(what: str, table: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of an experiment: how many motifs differ from the control, and which most."""
    differs = table[table["q"] < SIGNIFICANT_Q]
    motifs = table["matrix_id"].nunique()
    yield (
        f"{what}: {differs['matrix_id'].nunique():,} of {motifs:,} motifs change a target's logit "
        f"more than their control (q < {SIGNIFICANT_Q})"
    )
    strongest = differs.sort_values("difference", key=abs, ascending=False, kind="stable")
    for row in strongest.drop_duplicates("matrix_id").head(_SHOWN).to_dict("records"):
        yield (
            f"  {row['motif']} ({row['matrix_id']}): {row['target']} {row['effect']:+.2f}, "
            f"control {row['control']:+.2f}, difference {row['difference_low']:+.2f} to "
            f"{row['difference_high']:+.2f}"
        )


def _pairs_summary(table: pd.DataFrame) -> Iterator[str]:
    """Yield, for each pair, the targets whose logits are furthest above and below the sum."""
    for _, of_pair in table.groupby(["a_id", "b_id"], sort=False):
        yield f"{of_pair['a'].iloc[0]} and {of_pair['b'].iloc[0]}, logit beyond the sum:"
        order = (of_pair["beyond"] - of_pair["control"]).to_numpy().argsort()
        for which, place in (("highest", order[-1]), ("lowest", order[0])):
            row = of_pair.iloc[int(place)]
            yield f"  {which}: {row['target']} {beyond_text(row)}"

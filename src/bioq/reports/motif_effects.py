"""The folder of `bioq motif-effects`: its tables."""

from pathlib import Path

from bioq.files import FolderKind, new_folder, refuse_input, require_absent
from bioq.interpretation.motif_experiments.backgrounds import WindowSource
from bioq.interpretation.motif_experiments.job import (
    ABLATION,
    INSERTION,
    MotifEffectOptions,
    MotifEffects,
    motif_effects,
    open_effect_inputs,
)

PAGE = "motif_effects.html"
_KIND = FolderKind(INSERTION, (ABLATION, PAGE, "pairs.tsv"))


def write_effects_folder(
    run: Path,
    out: Path,
    *,
    motifs: str,
    windows: WindowSource = WindowSource(),  # noqa: B008 frozen
    options: MotifEffectOptions = MotifEffectOptions(),  # noqa: B008 frozen
    force: bool = False,
) -> MotifEffects:
    """Put motifs into DNA, take them out, and write the folder `out`; return the effects.

    The folder has insertion.tsv and ablation.tsv. `motifs` is a JASPAR release or a MEME file.
    Raises BioqError if `out` exists (`force` replaces such a folder).
    """
    replaces = _KIND if force else None
    require_absent(out, replaces=replaces)
    refuse_input(out, run, windows.given, windows.genome, windows.chrom_alias, motifs)
    inputs = open_effect_inputs(run, motifs, windows, options)
    with new_folder(out, replaces=replaces) as folder:
        result = motif_effects(inputs)
        result.write(folder)
    return result

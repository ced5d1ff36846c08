"""Queue the contributions of a window's bases to one target."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from bioq.dataset.targets import NAME
from bioq.dna.tensors import one_hot
from bioq.genome import ContigNames
from bioq.genome.notation import VariantText
from bioq.inputs import Locus, RegionWindows, WindowBatch
from bioq.inputs.loci import variant_loci
from bioq.interpretation import Explanation, integrated_gradients
from bioq.interpretation.gradients import STEPS
from bioq.interpretation.writing import BASELINE_LOGIT, GAP, LOGIT
from bioq.models.device import dtype_of
from bioq.tables import Kind
from bioq.web.answers import Contributions
from bioq.web.jobs import Job
from bioq.web.queue import GiveWay, Level
from bioq.web.service import Service, kinds_of, name_of

BATCH_POINTS = 8
"""Points of the integral between two checks for shorter work: 0.1 s with an ensemble of ten danq on
one core."""


def contribute_window_job(
    service: Service, windows: WindowBatch, number: int, target: int, span_bp: int
) -> Job:
    """Explain the middle `span_bp` of one window, for one target. Raises Busy."""
    locus = service.locus(windows, number, span_bp)
    return _start(service, [locus], target, name_of(locus.columns), kinds=kinds_of(windows))


def contribute_variant_job(
    service: Service, variant: VariantText, target: int, span_bp: int
) -> Job:
    """Explain the window with REF and the window with ALT of a variant, for one target.

    Raises BioqError if the genome does not have REF, UsageError for alleles that are too long, and
    Busy.
    """
    names, sizes = ContigNames(service.require_genome()), {"window_bp": service.window_bp}
    loci = variant_loci(str(variant), variant, names, span_bp=span_bp, **sizes)
    return _start(service, loci, target, str(variant), kinds=RegionWindows.columns)


def find_named_sites(service: Service, result: Contributions) -> Contributions:
    """Return a result with its sites, which are searched at the first call.

    It takes milliseconds, but seconds until the packages that search are compiled; so it is not in
    the thread of the model.
    """
    if result.sites is None:
        sites = []
        for number, explanation in enumerate(result.explanations):
            found, result.note = service.motif_names.sites(
                explanation.locus.bases, result.heights(number)
            )
            sites.append(found)
        result.sites = sites
    return result


def _start(
    service: Service, loci: Sequence[Locus], target: int, where: str, *, kinds: Mapping[str, Kind]
) -> Job:
    name = str(service.targets[NAME].iloc[target])
    title = f"{name}, {where}"
    if len(loci) == 1:
        title += f":{loci[0].position[0] + 1:,}-{loci[0].position[-1] + 1:,}"
    folder = service.jobs.new_folder()
    job = Job("contributions", title, folder, len(loci) * STEPS, "gradients")

    def run(give_way: GiveWay) -> Contributions:
        def advance(done: int) -> None:
            job.done += done
            give_way()

        explanations = [_explain(service, locus, target, advance) for locus in loci]
        return Contributions(title, name, explanations, kinds)

    return service.jobs.start(job, run, Level.SECONDS)


def _explain(
    service: Service, locus: Locus, target: int, advance: Callable[[int], None]
) -> Explanation:
    """Return the contributions as `bioq attribution --baseline zeros` computes them."""
    window = one_hot(torch.from_numpy(locus.codes[None])).to(dtype_of(service.model))
    result = integrated_gradients(
        service.model, window, target=target, batch_size=BATCH_POINTS, advance=advance
    )
    values = np.asarray(result.hypothetical[0, :, locus.start : locus.end], np.float32)
    scores = {LOGIT: result.logit, BASELINE_LOGIT: result.baseline_logit}
    scores[GAP] = result.completeness_gap
    return Explanation(
        locus,
        values[..., None],
        {score: np.asarray(value, np.float32) for score, value in scores.items()},
    )

"""Queue the contributions of a window's bases to one target."""

from collections.abc import Mapping, Sequence

from bioq.dataset.targets import NAME
from bioq.genome import ContigNames
from bioq.genome.notation import VariantText
from bioq.inputs import Locus, RegionWindows, WindowBatch
from bioq.inputs.loci import variant_loci
from bioq.interpretation import AttributionOptions, ExplainOptions
from bioq.interpretation.attribution import explainer
from bioq.tables import Kind
from bioq.web.answers import Contributions
from bioq.web.jobs import Job
from bioq.web.queue import GiveWay, Level
from bioq.web.service import Service, kinds_of, name_of

USUAL = AttributionOptions()
"""Contributions are those that `bioq attribution` computes without options."""
BATCH_POINTS = 8
"""Points of the integrals between two checks for shorter work: 0.1 s with an ensemble of ten danq
on one core."""


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
    job = Job("contributions", title, folder, len(loci) * USUAL.gradients, "gradients")

    def run(give_way: GiveWay) -> Contributions:
        def advance(done: int) -> None:
            job.done += done
            give_way()

        options = ExplainOptions(batch_size=BATCH_POINTS)
        explain = explainer(service.model, options, USUAL, advance)
        explanations = [explain(locus, [target]) for locus in loci]
        return Contributions(title, name, explanations, kinds)

    return service.jobs.start(job, run, Level.SECONDS)

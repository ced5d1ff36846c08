"""`bioq serve`."""

from pathlib import Path

from bioq.cli.options import Device, Run
from bioq.cli.tables import print_line
from bioq.errors import UsageError
from bioq.runs.named import resolve_run


def serve(
    run: Run,
    /,
    *,
    genome: Path | None = None,
    background: Path | None = None,
    motifs: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: Device = None,
) -> None:
    """Start a web page and a REST API for a trained model on this machine.

    The page predicts pasted sequences, scores variants and describes the model. It works without
    internet, and only this machine can open it unless --host is given.

    For example:

        bioq serve run
        bioq serve run --genome hg19.fa --port 8080

    Parameters
    ----------
    genome
        Genome of regions and variants: FASTA (plain, gzip or bgzip), 2bit, or a name such as hg38,
        which is downloaded once from UCSC.
    background
        File written by 'bioq background' with this run; the page then ranks variants. By default
        RUN/background.npz, if the run has one; none: no background.
    motifs
        Motifs whose names the page writes above contributions: a JASPAR release, JASPAR2024:fungi,
        or a MEME file; none: no names. By default JASPAR2024 of the species' group, by the build of
        the training data or the genome, and of vertebrates if it is not known.
    host
        Address to listen on. There is no password: everyone who can reach the address can use the
        model.
    port
        Port to listen on; 0 chooses a free port.
    """
    try:
        import bioq.web
    except ImportError as error:
        raise UsageError(
            "bioq serve needs the packages fastapi and uvicorn; pip install 'bioq[serve]'"
        ) from error
    bioq.web.serve(
        resolve_run(run),
        genome,
        background=background,
        motifs=motifs,
        host=host,
        port=port,
        device=device,
        ready=_print_address,
    )


def _print_address(address: str) -> None:
    print_line(f"{address}  (Ctrl-C stops it)")

"""`bioq serve`."""

from pathlib import Path

from bioq.web import serve as serve_run


def serve(
    run: Path,
    /,
    *,
    genome: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str | None = None,
) -> None:
    """Open a page and a REST API for a trained model on this machine.

    The page predicts pasted sequences, scores variants and shows what the model is; it needs no
    network. It answers this machine only, unless --host says otherwise.

    For example:

        bioq serve run
        bioq serve run --genome hg19.fa --port 8080

    Parameters
    ----------
    run
        Run folder, made by 'bioq train'.
    genome
        Genome of regions and variants: FASTA (plain, gzip, bgzip) or 2bit.
    host
        Address to listen on. Anybody who reaches it can use the model: there are no passwords.
    port
        Port to listen on; 0 is any that is free.
    device
        cpu, cuda, mps; by default the first CUDA card, else the CPU.
    """
    serve_run(run, genome, host=host, port=port, device=device, ready=_say_where)


def _say_where(address: str) -> None:
    print(f"{address}  (Ctrl-C stops it)", flush=True)

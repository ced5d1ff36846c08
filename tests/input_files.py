"""The commands that read each kind of file, on the files of the fixture `files`."""

from pathlib import Path

from bioq.cli import main

VARIANTS = ["variants", "run", "in.vcf", "--genome", "g.fa", "--out", "OUT.tsv"]
ALIAS = ["--chrom-alias", "alias.tsv"]
PEAKS = [
    *("data", "peaks", "--genome", "g.fa", "--targets", "targets.tsv", "--out", "OUT"),
    *("--window-bp", "200", "--bin-bp", "40", "--valid-chrom", "chr2", "--test-chrom", "none"),
]
COMMANDS = {
    "variants": (VARIANTS, "in.vcf"),
    "variants, alias": ([*VARIANTS, *ALIAS], "alias.tsv"),
    "regions": (["predict", "run", "in.bed", "--genome", "g.fa", "--out", "OUT.tsv"], "in.bed"),
    "sequences": (["predict", "run", "in.fa", "--out", "OUT.tsv"], "in.fa"),
    "mutagenesis": (["mutagenesis", "run", "in.fa", "--out", "OUT.tsv"], "in.fa"),
    "attribution": (
        ["attribution", "run", "in.bed", "--genome", "g.fa", "--out", "OUT.tsv", "--steps", "2"],
        "in.bed",
    ),
    "peaks, alias": ([*PEAKS, *ALIAS], "alias.tsv"),
    "peaks, exclude": ([*PEAKS, "--exclude", "exclude.bed"], "exclude.bed"),
    "peaks, bins": ([*PEAKS, "--bins", "bins.bed"], "bins.bed"),
    "peaks, sheet": (PEAKS, "targets.tsv"),
}
"""A command, and the file of it that is given as a pipe."""


GENOME_COMMANDS = {
    "variants": VARIANTS,
    "background": ["background", "run", "in.vcf", "--genome", "g.fa", "--out", "OUT.npz"],
    "predict": COMMANDS["regions"][0],
    "mutagenesis": [
        *("mutagenesis", "run", "chr1:200-240", "--genome", "g.fa", "--out", "OUT.tsv"),
    ],
    "attribution": COMMANDS["attribution"][0],
    "peaks": [token if token != "chr2" else "none" for token in PEAKS],
}
"""The commands that read a genome."""


def content_of(out: Path) -> dict[str, bytes]:
    """Return the files of an output; the description of a data set records the pipe's name."""
    if not out.is_dir():
        return {"": out.read_bytes()}
    paths = [path for path in out.rglob("*") if path.is_file() and path.name != "dataset.json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def run(command: list[str], out: Path) -> dict[str, bytes]:
    tokens = [token.replace("OUT", str(out)) for token in command]
    assert main(tokens) == 0
    return content_of(out if out.exists() else out.with_suffix(".tsv"))

"""Fuzzes one reader with atheris, by hand: `pip install atheris`, then

    python tests/faults/fuzz.py NAME SECONDS WORK

NAME is a folder of tests/corpus, whose files are the seeds. What atheris adds to the corpus, and
the inputs of findings (one for each place in the code), go to WORK/NAME and WORK/findings.
"""

import hashlib
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bioq"], enable_loader_override=False):
    from fault_parsers import CORPUS, Parsers


def main(name: str, seconds: str, work: Path) -> None:
    corpus, findings = work / name, work / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    parsers = Parsers(Path(tempfile.mkdtemp()))

    def try_bytes(content: bytes) -> None:
        try:
            parsers.parse(name, content)
        except Exception as error:  # noqa: BLE001 that is what is looked for
            frames = list(traceback.extract_tb(error.__traceback__))
            frame = next(f for f in reversed(frames) if "bioq" in f.filename or f is frames[0])
            key = f"{type(error).__name__} {frame.filename}:{frame.lineno}"
            digest = hashlib.sha256(key.encode()).hexdigest()[:8]
            if not (findings / f"{name}-{digest}").exists():
                print(f"FINDING {name}: {key}: {str(error)[:200]!r}", flush=True)
                (findings / f"{name}-{digest}").write_bytes(content)

    # 2 GB and ten seconds an input: more is a finding that stops atheris.
    atheris.Setup(
        [
            "fuzz", str(corpus), str(CORPUS / name), f"-max_total_time={seconds}",
            "-rss_limit_mb=3000", "-timeout=10", "-max_len=16384", "-print_final_stats=1",
            f"-artifact_prefix={findings}/{name}-",
        ],
        try_bytes,
    )  # fmt: skip
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

"""Runs BioQ's commands in processes made by forking, in milliseconds: started by conftest.py.

Each line on stdin is a JSON object: `runs` (lists of arguments, begun together), and perhaps
`signal` and `after_s`, `uid` (who runs them), `file_bytes` (the largest file they may write),
`clock_s` (how wrong the clock is). Each line on stdout answers with one object a run: `code`
(negative: the signal that ended it), `errors`, `seconds`, `peak_mb`.
"""

import encodings.ascii  # noqa: F401 children that may read nothing could not import them
import json
import os
import resource
import sys
import tempfile
import time
from typing import IO, Any

import memelite  # noqa: F401
import pyjaspar  # noqa: F401
import sklearn.linear_model  # noqa: F401
import tangermeme.seqlet  # noqa: F401

from bioq.cli import (
    attribution,
    background,
    data,
    main,
    motif_effects,
    motifs,
    mutagenesis,
    predict,
    train,
    variants,
)
from bioq.cli import evaluate as evaluate_command
from bioq.evaluation import scoring as evaluation
from bioq.prediction import spool
from bioq.tables import hdf5, parquet, text
from bioq.tracks import bigwig
from bioq.training import train as training_module

LOADED = (
    evaluation,
    training_module,
    attribution,
    background,
    data,
    motif_effects,
    motifs,
    mutagenesis,
    predict,
    train,
    variants,
)
LOADED_TOO = (evaluate_command, bigwig, hdf5, parquet, text)
"""Imported before the processes are made, not in each of them."""
"".encode("utf-8-sig")  # so is the codec: another user may not be allowed to read it


def start(arguments: list[str], errors: IO[bytes], job: dict[str, Any]) -> int:
    """Run a command in a process of its own; return its number."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        os.dup2(errors.fileno(), 2)
        if "file_bytes" in job:
            resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"],) * 2)
        if "clock_s" in job:
            right = time.time
            time.time = lambda: right() + job["clock_s"]
        if "uid" in job:
            os.setgroups([])
            os.setgid(job["uid"])
            os.setuid(job["uid"])
        spool._PART_BYTES = 100  # a part every few windows
        code = main(arguments)
        sys.stderr.flush()
    except KeyboardInterrupt:  # before `main` could see it, or after it had returned
        code = 130 if code == 99 else code
    finally:
        os._exit(code)


def run_all(job: dict[str, Any]) -> list[dict[str, Any]]:
    logs = [tempfile.TemporaryFile() for _ in job["runs"]]  # noqa: SIM115 closed below
    begun = time.monotonic()
    processes = [
        start(arguments, log, job) for arguments, log in zip(job["runs"], logs, strict=True)
    ]
    if "signal" in job:
        time.sleep(job["after_s"])
        for process in processes:
            os.kill(process, job["signal"])
    answers = []
    for process, log in zip(processes, logs, strict=True):
        _, status, usage = os.wait4(process, 0)
        log.seek(0)
        errors = log.read().decode("utf-8", "replace")
        log.close()
        answers.append(
            {
                "code": os.waitstatus_to_exitcode(status),
                "errors": errors,
                "seconds": time.monotonic() - begun,
                "peak_mb": usage.ru_maxrss / 1024,
            }
        )
    return answers


if __name__ == "__main__":
    answers_to = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(run_all(json.loads(line))), file=answers_to, flush=True)

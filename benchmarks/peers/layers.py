"""Where the milliseconds of one call go: BioQ beside ONNX Runtime and OpenVINO.

    python benchmarks/peers/layers.py [--model bioq] [--batch 4] [--precision bf16] [--threads 2]
        [--strands both] [--tiny]

Each engine runs alone, in a process of its own. `call` is the median of whole calls without a
profiler. `after a rest` is the median of calls after 0.2 s without work, when the threads sleep.
The other columns are the mean of calls as the engine's own profiler counts them: the LSTM with all
its layers and directions, the matrix products, and all other operations. Calls take longer with a
profiler. The profiler of PyTorch does not see BioQ's own threads, which begin at 24 windows per
thread.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import inference
from contest import REST_S, Call, use_processors
from measuring import (
    Failures,
    in_own_process,
    parse,
    parser,
    print_heads,
    print_row,
    processors,
    timed,
    version_of,
)

_PARTS: Mapping[str, tuple[str, ...]] = {
    "LSTM": ("lstm", "rnn"),
    "dense": ("linear", "mm", "gemm", "fullyconnected", "matmul"),
}
"""Part -> what the names of its operations contain, in the three engines."""
_OTHER = "convolution and the rest"
_WARM = 3
"""First calls, which are not counted."""
Profile = Callable[[], Mapping[str, float]]
"""Returns the milliseconds of each part of one call."""


def of_bioq(options: argparse.Namespace, batch: str) -> tuple[Call, Profile]:
    from torch.profiler import ProfilerActivity, profile

    call = inference.bioq(options, batch, precision=options.precision)

    def parts() -> Mapping[str, float]:
        with profile(activities=[ProfilerActivity.CPU]) as counted:
            for _ in range(options.calls):
                call()
        ms = 1e-3 / options.calls
        return by_part((one.key, one.self_cpu_time_total * ms) for one in counted.key_averages())

    return call, parts


def of_onnx_runtime(options: argparse.Namespace, batch: str) -> tuple[Call, Profile]:
    def parts() -> Mapping[str, float]:
        session, windows = inference.onnx_session(options, batch, options.folder / "profile")
        for _ in range(_WARM + options.calls):
            session.run(None, {"windows": windows})
        events = [
            (event["args"]["op_name"], event["dur"] * 1e-3 / options.calls)
            for event in json.loads(Path(session.end_profiling()).read_text())
            if event.get("cat") == "Node" and event["name"].endswith("kernel_time")
        ]
        return by_part(events[len(events) // (_WARM + options.calls) * _WARM :])

    return inference.onnx_runtime(options, batch), parts


def of_openvino(options: argparse.Namespace, batch: str) -> tuple[Call, Profile]:
    precision = {"32": "f32"}.get(options.precision, options.precision)

    def parts() -> Mapping[str, float]:
        ready, windows = inference.openvino_network(
            options, batch, precision=precision, counts=True
        )
        request = ready.create_infer_request()
        counted = []
        for number in range(_WARM + options.calls):
            request.infer(windows)
            counted += request.get_profiling_info() if number >= _WARM else []
        ms = 1e3 / options.calls
        return by_part((one.node_type, one.real_time.total_seconds() * ms) for one in counted)

    return inference.openvino(options, batch, precision=precision), parts


ENGINES = {"BioQ": of_bioq, "ONNX Runtime": of_onnx_runtime, "OpenVINO": of_openvino}
PACKAGES = {"BioQ": "torch", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}


def by_part(operations: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the sums of milliseconds of operations by part."""
    sums = dict.fromkeys([*_PARTS, _OTHER], 0.0)
    for name, ms in operations:
        found = (part for part, words in _PARTS.items() if any(w in name.lower() for w in words))
        sums[next(found, _OTHER)] += ms
    return sums


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return the milliseconds of one engine."""
    use_processors(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        options.folder, options.turns_of = Path(folder), 0
        Path(folder, "contender-0").mkdir()
        call, profile = ENGINES[options.engine](options, f"batch {options.batch}")
        warm = [timed(call).seconds for _ in range(_WARM + options.calls)][_WARM:]
        rested = []
        for _ in range(options.calls):
            time.sleep(REST_S)
            rested.append(timed(call).seconds)
        whole = {"call": statistics.median(warm), "after a rest": statistics.median(rested)}
        return {name: seconds * 1e3 for name, seconds in whole.items()} | dict(profile())


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--model", default="bioq", help="a model of BioQ; sizes may follow: 'danq gates=hard'"
    )
    options.add_argument("--batch", type=int, default=4, help="windows of a call")
    options.add_argument("--precision", choices=("32", "bf16"), default="32")
    options.add_argument("--strands", choices=("forward", "both"), default="forward")
    options.add_argument("--threads", type=int, default=processors(), help="of each engine")
    options.add_argument("--calls", type=int, default=20)
    options.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    chosen = parse(options, tiny={"calls": 2, "threads": 1})
    if chosen.engine:
        print(json.dumps(measure(chosen)))
        return
    heads = ["call", "after a rest", *_PARTS, _OTHER]
    case = f"{chosen.model}, batch {chosen.batch}, {chosen.precision}, {chosen.strands}"
    print_heads(case, *(f"{head}, ms" for head in heads))
    failures = Failures()
    names = [name for name in ENGINES if chosen.precision == "32" or name != "ONNX Runtime"]
    for name in (name for name in names if version_of(PACKAGES[name])):
        with failures.of(name):
            words = [*sys.argv[1:], "--engine", name]
            threads = {"OMP_NUM_THREADS": str(chosen.threads)}
            row: dict[str, Any] = in_own_process(__file__, *words, **threads)
            print_row(name, *(f"{row[head]:.2f}" for head in heads))
    failures.end()


if __name__ == "__main__":
    main()

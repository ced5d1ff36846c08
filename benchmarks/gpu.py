"""BioQ on a CUDA card: how near inference and training come to its matrix units.

    python benchmarks/gpu.py --out bench-results
    python benchmarks/gpu.py --sections tiles                 # other tiles of the LSTM kernel
    python benchmarks/gpu.py --device cpu --tiny              # only whether this script works

benchmarks/card.sh runs this script after the tests and after card_paths.py.

Random weights and windows, 919 targets. Every rate is the median of turns, which the ways of one
batch size take in alternating order (training: one way after the other). A share is of the bf16
product of two large matrices measured in the same run, a window counting as the model's forward
operations, three times those in training. A way that fails, or whose logits fail the check
that BioQ makes before it uses one, says why in its row, and the script ends with exit status 1. On
a CPU the Triton kernels, which need a card, are left out. The last part of the output compares the
figures with what docs/log/performance.md claims (gpu_claims.py).
"""

import argparse
import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from gpu_claims import verdicts
from gpu_steps import (
    WARM_STEPS,
    bioq_steps,
    data_set,
    epoch_rate,
    machine_of,
    naive_prediction,
    naive_step,
    network_of,
    random_codes,
    train,
    wait,
)
from measuring import Failures, in_turns, parse, parser, reason, say, timed
from torch import Tensor, nn
from training_steps import EnoughStepsError

from bioq.dna.tensors import one_hot
from bioq.fast import cuda
from bioq.forward import numerics, predict_codes
from bioq.models.summary import summarise

EPOCH_WINDOWS = 4_400_000
BATCHES = [1, 16, 64, 128, 256, 1024, 4096, 16384]
Row = dict[str, Any]


def main() -> None:
    options = read_options()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA card here; to try the script alone: --device cpu --tiny")
    report: dict[str, Any] = {"machine": machine_of(device), "settings": {"model": options.model}}
    write(report, options.out, options.name)
    failures = Failures()
    report["peak_tflops"] = matrix_peak(device, options) / 1e12
    torch.manual_seed(0)
    model = network_of(options).eval()
    report["forward_mflop"] = summarise(model).flops / 1e6
    for name, section in SECTIONS.items():
        if name not in options.sections:
            continue
        say(name)
        try:
            report[name] = section(model, options, report)
        except Exception as error:  # noqa: BLE001 the other sections are still worth their time
            report[name] = [{"error": reason(error)}]
        some = any("error" not in row for row in report[name])
        for row in report[name]:
            # Not every tile fits every card, and none a CPU.
            if "error" in row and (name != "tiles" or (device.type == "cuda" and not some)):
                where = [str(row[key]) for key in ("batch", "way", "job") if key in row]
                failures.add(", ".join([name, *where]), row["error"])
        write(report, options.out, options.name)
    print(as_markdown(report))
    failures.end()


def read_options() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--device", default="cuda")
    options.add_argument("--model", default="bioq", help="bioq, danq or danq-jaspar")
    options.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    options.add_argument("--train-batches", type=int, nargs="+", default=[100, 1024, 4096, 8192])
    options.add_argument(
        "--sections", nargs="+", choices=SECTIONS, default=[*SECTIONS][:-1], help="all but tiles"
    )
    options.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md")
    options.add_argument("--name", default="gpu", help="of the two files")
    options.add_argument("--targets", type=int, default=919)
    options.add_argument("--windows", type=int, default=300_000, help="of the data set")
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--turn-s", type=float, default=0.2, help="seconds of a turn")
    tiny = {"batches": [16, 128], "train_batches": [16], "targets": 9, "windows": 2000}
    return parse(options, tiny={**tiny, "turns": 2, "turn_s": 0.01})


def matrix_peak(device: torch.device, options: argparse.Namespace) -> float:
    """Return operations a second of a bf16 product of random square matrices."""
    size = 256 if options.tiny else 8192
    left, right = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    return 2 * size**3 * rates({"product": lambda: left @ right}, 1, options)["product"]


def inference(model: nn.Module, options: argparse.Namespace, report: Row) -> list[Row]:
    """Codes on the card to logits there, one strand."""
    rows = []
    for batch in options.batches:
        codes = random_codes(batch).to(options.device)
        with torch.inference_mode():
            exact = torch.sigmoid(plain(model, "32")(codes))
            calls, failed = {}, {}
            for name, make in inference_ways(model, batch, options.device).items():
                say(f"{batch} windows: {name}")
                try:
                    calls[name] = make()
                    calls[name](codes)
                except Exception as error:  # noqa: BLE001 the row says why
                    failed[name] = reason(error)
                    calls.pop(name, None)
            calls_of_codes = {name: bind(call, codes) for name, call in calls.items()}
            result = rates(calls_of_codes, batch, options)
            for name, rate in result.items():
                off = float((torch.sigmoid(calls[name](codes)) - exact).abs().max())
                share = rate * report["forward_mflop"] * 1e6 / (report["peak_tflops"] * 1e12)
                rows.append(
                    {"batch": batch, "way": name, "windows_per_s": rate}
                    | {"share_of_peak": share, "largest_difference": off}
                )
            rows += [{"batch": batch, "way": name, "error": why} for name, why in failed.items()]
    return rows


def inference_ways(
    model: nn.Module, batch: int, device: str
) -> Mapping[str, Callable[[], Callable[[Tensor], Tensor]]]:
    precisions = ("32", "tf32", "bf16") if device.startswith("cuda") else ("32", "bf16")
    ways: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        f"plain {precision}": bind(plain, model, precision) for precision in precisions
    }
    for way in ways_on(device):
        ways[f"{way.name}, bf16"] = bind(one_way, model, way, batch, device)
    return ways


def ways_on(device: str) -> list[cuda.Way]:
    """Return BioQ's ways that a device can run."""
    return [way for way in cuda.WAYS if device.startswith("cuda") or "Triton" not in way.name]


def one_way(model: Any, way: cuda.Way, batch: int, device: str) -> Callable[[Tensor], Tensor]:
    """Return BioQ's engine with only one way, which raises what BioQ would only print. A batch of
    less than 256 windows has a graph of its own size."""
    cuda.failed.clear()
    record = cuda.record_graph if device.startswith("cuda") else lambda compute, codes: compute
    engine = cuda.CudaDanQ(model, [way], record, least_windows=1, size_step=min(batch, 256))

    def compute(codes: Tensor) -> Tensor:
        with numerics(codes.device, "bf16"):
            logits = engine(codes)
        if way.name in cuda.failed:
            raise RuntimeError(cuda.failed[way.name])
        return logits

    return compute


def plain(model: nn.Module, precision: Any) -> Callable[[Tensor], Tensor]:
    def compute(codes: Tensor) -> Tensor:
        with numerics(codes.device, precision):
            logits: Tensor = model(one_hot(codes).float())
        return logits.float()

    return compute


def prediction(model: nn.Module, options: argparse.Namespace, report: Row) -> list[Row]:
    """What `predict` does: codes in memory to probabilities in memory, both strands."""
    rows: list[Row] = []
    on_card = options.device.startswith("cuda")
    for batch in options.batches:
        codes = random_codes(batch).numpy()
        for precision in ("32", "tf32", "bf16") if on_card else ("32", "bf16"):
            call = bind(predict_codes, model, codes, precision=precision)
            rate = rates({"": call}, batch, options)[""]
            rows.append({"batch": batch, "way": f"BioQ {precision}", "windows_per_s": rate})
        call = bind(naive_prediction, model, one_hot(torch.from_numpy(codes)).float())
        rate = rates({"": call}, batch, options)[""]
        rows.append({"batch": batch, "way": "eager, as it comes", "windows_per_s": rate})
    return rows


def training_steps(model: nn.Module, options: argparse.Namespace, report: Row) -> list[Row]:
    """The steps of `bioq.train`, the data on the card; the recipe of its paper but for the batch
    size."""
    rows = []
    on_card = options.device.startswith("cuda")
    with data_set(options) as (data, by_row):
        for batch in options.train_batches:
            ways: dict[str, Callable[[], tuple[float, str]]] = {
                f"BioQ {precision}": bind(bioq_steps, data, batch, precision, options)
                for precision in (("32", "tf32", "bf16") if on_card else ("32", "bf16"))
            }
            if batch == options.train_batches[0]:
                name = "eager float32, h5py row by row"
                ways[name] = bind(eager_steps, by_row, batch, options)
            for name, measure in ways.items():  # one at a time: large batches fill a card
                say(f"training, {batch} windows: {name}")
                row: Row = {"batch": batch, "way": name}
                rows.append(row)
                try:
                    step_s, row["waits"] = measure()
                except Exception as error:  # noqa: BLE001 the row says why
                    row["error"] = reason(error)
                    continue
                rate = batch / step_s
                share = 3 * rate * report["forward_mflop"] / (report["peak_tflops"] * 1e6)
                row |= {"steps_per_s": 1 / step_s, "windows_per_s": rate}
                row |= {"share_of_peak": share, "epoch_s": EPOCH_WINDOWS / rate}
    return rows


def eager_steps(path: Path, batch: int, options: argparse.Namespace) -> tuple[float, str]:
    """Return the median seconds of a step of published code, which looks at every loss."""
    step = naive_step(path, batch, options)
    waits = "yes" if options.device.startswith("cuda") else "no card"
    return 1 / rates({"": step}, 1, options)[""], waits


def epoch(model: nn.Module, options: argparse.Namespace, report: Row) -> list[Row]:
    """`bioq train` itself on packed data, its second epoch; bf16, the recipe but for the batch."""
    rows = []
    with data_set(options) as (data, _):
        for batch in options.train_batches:
            rate, whole_s = epoch_rate(data, batch, options)
            row = {"batch": batch, "windows_per_s": rate, "epoch_s": EPOCH_WINDOWS / rate}
            rows.append(row | {"both_epochs_with_files_s": whole_s})
    return rows


def profile(model: nn.Module, options: argparse.Namespace, report: Row) -> list[Row]:
    """The ten kernels that take the most time: inference the first way that runs, and training."""
    rows, device = [], torch.device(options.device)
    codes = random_codes(options.batches[-1]).to(device)
    for way in ways_on(options.device):
        with torch.inference_mode():
            try:
                engine = one_way(model, way, len(codes), options.device)
                engine(codes)
            except Exception as error:  # noqa: BLE001 the row says why
                rows.append({"job": f"inference, {way.name}", "error": reason(error)})
                continue
            found = profiled(device)
            with found:
                for _ in range(PROFILED):
                    engine(codes)
                wait(device)
            rows += top_ten(f"inference, batch {len(codes)}, {way.name}", found, device)
            break
    with data_set(options) as (data, _):
        for batch in options.train_batches[:2]:
            found = profiled(device)

            def after_step(number: int, found: Any = found) -> None:
                if number == WARM_STEPS - 1:
                    wait(device)
                    found.start()
                elif number == WARM_STEPS - 1 + PROFILED:
                    wait(device)
                    found.stop()
                    raise EnoughStepsError

            train(data, batch, "bf16", options, after_step)
            rows += top_ten(f"training bf16, batch {batch}", found, device)
    return rows


PROFILED = 5
"""Calls or steps."""


def profiled(device: torch.device) -> Any:
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    return torch.profiler.profile(activities=kinds)


def top_ten(job: str, result: Any, device: torch.device) -> list[Row]:
    on = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = sorted(result.key_averages(), key=lambda event: getattr(event, on), reverse=True)
    total = sum(getattr(event, on) for event in events) or 1
    return [
        {"job": job, "kernel": event.key[:80], "calls": event.count / PROFILED}
        | {"ms": getattr(event, on) / PROFILED / 1e3, "share": getattr(event, on) / total}
        for event in events[:10]
    ]


def tiles(model: nn.Module, options: argparse.Namespace, report: Row) -> list[Row]:
    """Other tiles of the kernel of an LSTM step; `Tiles` in the source holds the default."""
    from bioq.fast.danq_triton import Tiles, TritonDanQ

    codes, rows = random_codes(4096).to(options.device), []
    for windows, units, inner, warps in (
        *((128, 32, 64, 8), (128, 32, 64, 4), (128, 64, 64, 8), (64, 32, 64, 4)),
        *((64, 64, 64, 8), (256, 32, 64, 8), (128, 32, 32, 8), (64, 64, 64, 4)),
    ):
        for stages in (3, 4) if inner == 64 else (4, 6):
            tried = Tiles(windows, units, inner, warps, stages)
            row: Row = {"tiles": str(tried)}
            rows.append(row)
            try:
                with torch.inference_mode():
                    graph = cuda.record_graph(TritonDanQ(model, torch.bfloat16, tried), codes)
                    row["windows_per_s"] = rates({"": bind(graph, codes)}, 4096, options)[""]
            except Exception as error:  # noqa: BLE001 not every tile fits every card
                row["error"] = reason(error)
    return rows


SECTIONS: dict[str, Callable[[Any, argparse.Namespace, Row], list[Row]]] = {
    "inference": inference,
    "prediction": prediction,
    "training": training_steps,
    "epoch": epoch,
    "profile": profile,
    "tiles": tiles,
}


def rates(
    calls: Mapping[str, Callable[[], Any]], units: int, options: argparse.Namespace
) -> dict[str, float]:
    """Return units a second by name: medians of turns of 0.2 s, in alternating order."""
    repeats, device = {}, torch.device(options.device)
    result: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        call()
        repeats[name] = max(1, round(options.turn_s / seconds(call, 1, device)))
    for name in in_turns(calls, options.turns):
        result[name].append(seconds(calls[name], repeats[name], device) / repeats[name])
    return {name: units / statistics.median(taken) for name, taken in result.items()}


def seconds(call: Callable[[], Any], repeats: int, device: torch.device) -> float:
    def work() -> None:
        for _ in range(repeats):
            call()
        wait(device)

    wait(device)
    return timed(work).seconds


def bind(function: Callable[..., Any], *given: Any, **named: Any) -> Callable[[], Any]:
    return lambda: function(*given, **named)


def as_markdown(report: Row) -> str:
    lines = [", ".join(f"{name} {value}" for name, value in report["machine"].items())]
    if "peak_tflops" in report:
        lines.append(
            f"{report['settings']['model']}: {report.get('forward_mflop', 0):,.0f} MFLOP a window; "
            f"bf16 product {report['peak_tflops']:,.1f} TFLOP/s"
        )
    for section in SECTIONS:
        rows = report.get(section, [])
        columns = list(dict.fromkeys(name for row in rows for name in row))
        if rows:
            lines += ["", f"## {section}", "", "| " + " | ".join(columns) + " |"]
            lines += ["|" + " --- |" * len(columns)]
        for row in rows:
            lines.append("| " + " | ".join(cell(row.get(name, "")) for name in columns) + " |")
    claims = verdicts(report)
    if claims:
        lines += [
            "",
            "## Claims of docs/log/performance.md",
            "",
            *(f"- {claim}" for claim in claims),
        ]
    return "\n".join(lines)


def cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value).replace("|", "/")


def write(report: Row, folder: Path | None, name: str) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
        (folder / f"{name}.md").write_text(as_markdown(report) + "\n")


if __name__ == "__main__":
    main()

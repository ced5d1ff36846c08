"""What a contest found, as JSON values and as a Markdown table, with the machine it ran on."""

import argparse
import contextlib
import datetime
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any


@dataclass
class Result:
    """What a contender did in one case."""

    name: str
    case: str
    ours: bool
    packages: tuple[str, ...]
    seconds: list[float] = field(default_factory=list)
    """Of the clock, for one call, turn by turn."""
    cpu_s: list[float] = field(default_factory=list)
    memory_mib: float | None = None
    """Most memory its process held until then, libraries included."""
    difference: float | None = None
    """Largest, from the first contender's answer."""
    error: str = ""


def as_report(
    results: Sequence[Result],
    cases: Mapping[str, float],
    options: argparse.Namespace,
    **named: object,
) -> dict[str, Any]:
    """Return everything as JSON values; `cases` says how many units one call does, `named` what
    else to tell."""
    settings = {
        name: value
        for name, value in vars(options).items()
        if name not in ("turns_of", "folder", "out")
    }
    return {
        **named,
        "date": datetime.date.today().isoformat(),
        "machine": _machine(),
        "settings": settings,
        "rows": [_row(result, results, cases[result.case], options.clock) for result in results],
    }


def as_markdown(report: Mapping[str, Any]) -> str:
    """Return the table of a report, then the ratios of ours to each peer, then what did not run."""
    rows, machine, settings = report["rows"], report["machine"], report["settings"]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    names = list(dict.fromkeys(row["contender"] for row in rows))
    clock = "seconds of the clock" if settings["clock"] == "wall" else "seconds of CPU"
    lines = [
        f"{report['subject']}, {report['date']}: {machine['processor']}, {settings['threads']} of "
        f"{machine['processors']} processors, load {report['load_before']} before, Python "
        f"{machine['python']}; {report['unit']} a second by {clock}, medians of "
        f"{settings['rounds']} rounds (times as fast as {names[0]})",
        "",
        "| | " + " | ".join(cases) + " | largest difference | memory |",
        "| --- |" + " --- |" * (len(cases) + 2),
    ]
    for name in names:
        row_of = {row["case"]: row for row in rows if row["contender"] == name}
        done = [row for row in row_of.values() if not row["error"]]
        if not done:
            continue
        versions = ", ".join(f"{key} {value}" for key, value in done[0]["versions"].items())
        title = f"{name} ({versions})" if versions else name
        cells = " | ".join(_cell(row_of[case], names[0]) for case in cases)
        worst = max(row["largest_difference"] for row in done)
        memory = [row["memory_mib"] for row in done if row["memory_mib"] is not None]
        held = f"{max(memory):,.0f} MiB" if memory else ""
        lines.append(f"| {title} | {cells} | {worst:.1g} | {held} |")
    ours = [_beside(row, rows) for row in rows if row["ours"] and not row["error"]]
    failed = [
        f"- {row['case']}: {row['contender']} did not run: {row['error']}"
        for row in rows
        if row["error"]
    ]
    return "\n".join([*lines, "", *ours, *failed])


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _row(result: Result, results: Sequence[Result], units: float, clock: str) -> dict[str, Any]:
    def times(of: Result) -> list[float]:
        return of.cpu_s if clock == "cpu" else of.seconds

    median = statistics.median(times(result)) if times(result) else None
    return {
        "case": result.case,
        "contender": result.name,
        "ours": result.ours,
        "versions": {name: _version(name) for name in result.packages},
        "error": result.error,
        "seconds": result.seconds,
        "cpu_s": result.cpu_s,
        "memory_mib": result.memory_mib,
        "largest_difference": result.difference,
        "median_s": median,
        "units_per_s": None if median is None else units / median,
        "times_as_fast_as": {
            other.name: statistics.median(
                peer_s / bioq_s for bioq_s, peer_s in zip(times(result), times(other), strict=True)
            )
            for other in results
            if other.case == result.case and times(result) and times(other)
        },
    }


def _cell(row: Mapping[str, Any], first: str) -> str:
    if row["error"]:
        return "did not run"
    rate = row["units_per_s"]
    digits = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
    return f"{digits} ({row['times_as_fast_as'][first]:.2f}x)"


def _beside(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    peers = [
        f"{row['times_as_fast_as'][other['contender']]:.2f}x {other['contender']}"
        for other in rows
        if other["case"] == row["case"] and not other["ours"] and not other["error"]
    ]
    return f"- {row['case']}: {row['contender']} is {'; '.join(peers)}"


def _machine() -> dict[str, Any]:
    machine: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "processors": processors(),
        "system": platform.system(),
        "python": platform.python_version(),
        "bioq": _version("bioq"),
        "torch": _version("torch"),
    }
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line for line in lines if line.startswith("model name"))
        machine["processor"] = name.split(":", 1)[1].strip()
    with contextlib.suppress(ValueError, OSError, AttributeError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        machine["memory_gib"] = round(memory / 2**30, 1)
    return machine


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def load_average() -> float | None:
    """Return how many processes wanted a processor in the last minute, where the system tells."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None

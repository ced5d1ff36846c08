"""What a contest found, as JSON values and as a Markdown table, with the machine it ran on."""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from measuring import machine, version_of


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

    def fail(self, error: str) -> None:
        """Record an error; turns before it do not count."""
        self.error = error
        self.seconds.clear()
        self.cpu_s.clear()


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
        "machine": machine(),
        "settings": settings,
        "rows": [_row(result, results, cases[result.case], options.clock) for result in results],
    }


def as_markdown(report: Mapping[str, Any]) -> str:
    """Return the table of a report, then the ratios of ours to each peer, then what did not run."""
    rows, machine, settings = report["rows"], report["machine"], report["settings"]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    names = list(dict.fromkeys(row["contender"] for row in rows))
    first = next((row["contender"] for row in rows if not row["error"]), "")
    clock = "seconds of the clock" if settings["clock"] == "wall" else "seconds of CPU"
    lines = [
        f"{report['subject']}, {machine['date']}: {machine['processor']}, {settings['threads']} of "
        f"{machine['processors']} processors, load {report['load_before']} before, Python "
        f"{machine['python']}; {report['unit']} a second by {clock}, medians of "
        f"{settings['rounds']} rounds (times as fast as {first})",
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
        cells = " | ".join(_cell(row_of[case], first) for case in cases)
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
    absent = [f"- {name} is not installed ({what})" for name, what in report["absent"].items()]
    return "\n".join([*lines, "", *ours, *failed, *absent])


def _row(result: Result, results: Sequence[Result], units: float, clock: str) -> dict[str, Any]:
    def times(of: Result) -> list[float]:
        return of.cpu_s if clock == "cpu" else of.seconds

    median = statistics.median(times(result)) if times(result) else None
    return {
        "case": result.case,
        "contender": result.name,
        "ours": result.ours,
        "versions": {name: version_of(name) for name in result.packages},
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
    ratio = row["times_as_fast_as"].get(first)
    return digits if ratio is None else f"{digits} ({ratio:.2f}x)"


def _beside(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    peers = [
        f"{row['times_as_fast_as'][other['contender']]:.2f}x {other['contender']}"
        for other in rows
        if other["case"] == row["case"] and not other["ours"] and not other["error"]
    ]
    return f"- {row['case']}: {row['contender']} is {'; '.join(peers)}"

"""`pytest --must-run`: a test that was skipped although it must run is a failure.

CI uses it, so that a missing browser or missing data cannot make a run green.
"""

import pytest

MAY_BE_SKIPPED = (
    "no CUDA card",
    "no MPS device",
    "no bf16",
    "POSIX signals",
    "root may not mount",
    "no network namespaces",
)
"""Parts of the reasons for which CI may skip a test: what the machine itself lacks."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--must-run",
        action="store_true",
        help="fail if a test was skipped for lack of a program, a package or data",
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    skipped = _wrongly_skipped(session.config)
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    skipped = _wrongly_skipped(config)
    if skipped:
        terminalreporter.section("skipped, but must run (--must-run)", red=True)
        for line in skipped:
            terminalreporter.line(line)


def _wrongly_skipped(config: pytest.Config) -> list[str]:
    """Return "test: reason" of every skipped test that must run; workers of xdist report none."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not config.getoption("--must-run"):
        return []
    lines = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in MAY_BE_SKIPPED):
            lines.append(f"{report.nodeid}: {reason}")
    return lines

"""What every test run does: refuse a shadowed graphql-core with the reason, and treat skips as the house does.

A skip is for a missing tool: it names it and says what it is (`needs MINIO_BIN: …`). Reasons are printed at the end of each run
(`-rs`). With `CI=true` every skip is a failure: there all tools are present, and a test that did not run has shown nothing.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI") == "true"
SAMPLE_TEST = "test_the_report_of_a_sample_says"


def pytest_configure() -> None:
    """Stop at once where collection would die of an ImportError that does not say why."""
    stray = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "graphql").rglob("*.py"))
    if stray:
        pytest.exit(
            f"{', '.join(stray)}: graphql/ must hold no Python: a package of that name shadows graphql-core. "
            "The code behind the schema lives in registry/api/gql/.",
            returncode=4,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        fail_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if IN_CI and report.skipped:
        fail_skipped(report)
    return report


def fail_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"CI=true and this did not run: {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many of the recorded Kubernetes objects say what a reader of them expects (tests/agent/test_expected.py)."""
    of_samples = {
        outcome: sum(SAMPLE_TEST in str(getattr(report, "nodeid", "")) for report in terminalreporter.stats.get(outcome, []))
        for outcome in ("passed", "failed", "error")
    }
    total = sum(of_samples.values())
    if total:
        terminalreporter.write_line(f"samples {of_samples['passed']} of {total}")

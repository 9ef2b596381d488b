"""The verdict of the conformance run: one failure more, or one less, is wrong."""

from pathlib import Path

import pytest

from tests.mlmd.conformance import CLIENTS, Client, Outcome, outcome

CLIENT = CLIENTS[-1]
KNOWN = dict.fromkeys(CLIENT.known, "TypeError")


def perfect() -> Outcome:
    return Outcome(CLIENT.passed, CLIENT.xfailed, dict(KNOWN))


def test_a_perfect_server_has_the_known_failures_only() -> None:
    assert perfect().wrong(CLIENT) == []


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.version)
def test_every_known_failure_has_its_defect(client: Client) -> None:
    assert all(len(why) > 20 for why in client.known.values())


def test_one_failure_more_is_wrong() -> None:
    found = perfect()
    found.failed["test_get_artifacts"] = "boom"

    assert found.wrong(CLIENT) == ["test_get_artifacts failed: boom"]


def test_one_failure_less_is_wrong() -> None:
    found = perfect()
    found.failed.popitem()

    assert len(found.wrong(CLIENT)) == 1


def test_tests_that_did_not_run_are_wrong() -> None:
    found = perfect()
    found.passed -= 1

    assert found.wrong(CLIENT) == ["101 passed and 2 xfailed, not 102 and 2"]


def test_a_report_of_pytest_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure message="no&#10;more">x</failure></testcase>'
        '<testcase name="c"><skipped type="pytest.xfail" message=""/></testcase></testsuite></testsuites>'
    )

    assert outcome(report) == Outcome(1, 1, {"b": "no"})

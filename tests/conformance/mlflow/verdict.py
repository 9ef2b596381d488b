"""What a run of upstream's tests comes to: which must pass, which are skipped, and whether each skip is an honest one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REGISTRY, TRACKING = "test_model_registry.py", "test_rest_tracking.py"
REGISTRY_PASSING = 40
TRACKING_PASSING = 130
TRACKING_AT_LEAST = 61
"""Of upstream's tests those that pass on MLflow 3.18's own server, and of the second file those that no skip can be for."""

NOT_SERVED = re.compile(
    r"^\S+ (?:/(?:ajax-)?api/[23]\.0/mlflow/(?:traces|datasets|webhooks|assessments|scorers|gateway|issues|label-schemas"
    r"|review-queues|prompt-optimization|genai|users|roles)\b|/(?:ajax-)?api/[23]\.0/mlflow/get-trace-artifact"
    r"|/v1/traces|/graphql|/gateway)"
)
"""Routes that answer 501 by design (docs/doors/mlflow.md), and MLflow's UI-internal GraphQL."""


@dataclass(frozen=True)
class Result:
    """`result`: passed, failed, skipped or xfail. `routes`: `VERB /path`, each once."""

    name: str
    result: str
    routes: Sequence[str]


def listed(file: str) -> Mapping[str, str]:
    """Name to reason. The first line says how many there are. Raises ValueError: it does not, or a name has no reason."""
    first, *lines = (HERE / file).read_text("utf-8").splitlines()
    found = {}
    for line in lines:
        name, _, reason = line.partition("  # ")
        if not reason:
            raise ValueError(f"{file}: {line!r} has no reason")
        found[name.strip()] = reason
    if first != f"# {len(found)} tests":
        raise ValueError(f"{file}: there are {len(found)} tests, and the first line says {first!r}")
    return found


def dishonest(skips: Mapping[str, str], results: Sequence[Result]) -> list[str]:
    """Skipped tests that touch no route for which there is a skip, or that were not found."""
    touched = {one.name for one in results if any(NOT_SERVED.search(route) for route in one.routes)}
    return sorted(set(skips) - touched)


def refuted(foreign: Mapping[str, str], results: Sequence[Result]) -> list[str]:
    """Tests that are said to fail on MLflow's own server and pass there, or that were not found. `results`: of that server."""
    return sorted(set(foreign) - {one.name for one in results if one.result != "passed"})


def failures(results: Mapping[str, Sequence[Result]]) -> list[str]:
    """By database, as lines."""
    return [f"{name}: {one.name}: {one.result}" for name, found in results.items() for one in found if one.result != "passed"]


def wrong(results: Mapping[str, Sequence[Result]], skips: Mapping[str, str], foreign: Mapping[str, str]) -> list[str]:
    """Why the run is no success, as lines. `results` by database; `foreign`: tests that fail on MLflow's own server."""
    lines = failures(results)
    for database, found in results.items():
        counts = {file: sum(one.name.startswith(file) for one in found) for file in (REGISTRY, TRACKING)}
        if counts[REGISTRY] != REGISTRY_PASSING:
            lines.append(f"{database}: {counts[REGISTRY]} of {REGISTRY_PASSING} tests of {REGISTRY} were run")
        if counts[TRACKING] + len(skips) != TRACKING_PASSING or counts[TRACKING] < TRACKING_AT_LEAST:
            lines.append(
                f"{database}: {counts[TRACKING]} run and {len(skips)} skipped are not the {TRACKING_PASSING} of {TRACKING}"
            )
    return lines + [f"in both lists: {name}" for name in sorted(set(skips) & set(foreign))]


def summary(results: Mapping[str, Sequence[Result]], skips: Mapping[str, str]) -> str:
    passed = [sum(one.result == "passed" and one.name.startswith(TRACKING) for one in found) for found in results.values()]
    failed = sum(one.result != "passed" for found in results.values() for one in found)
    registry = min(sum(one.result == "passed" and one.name.startswith(REGISTRY) for one in found) for found in results.values())
    return (
        f"conformance mlflow: {registry} + {min(passed)} passed, {failed} failed, {len(skips)} skipped, {len(results)} databases"
    )

"""A pytest plugin for upstream's live-server tests: their fixtures, unchanged, reach an empty server of ours.

Loaded by name into the Python that has mlflow (`-p lineal_upstream`), before upstream's modules import what it replaces. It
imports nothing of ours: another process gives the servers (`LINEAL_CONFORMANCE_CONTROL`) and says which tests to run
(`LINEAL_CONFORMANCE_ONLY`, names by line; empty: all but `LINEAL_CONFORMANCE_BUT`).
"""

import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow  # type: ignore[import-not-found, unused-ignore]
import mlflow.server.handlers  # type: ignore[import-not-found, unused-ignore]
import pytest

CONTROL = os.environ["LINEAL_CONFORMANCE_CONTROL"]
REPORT = Path(os.environ["LINEAL_CONFORMANCE_REPORT"])
ONLY = frozenset(os.environ.get("LINEAL_CONFORMANCE_ONLY", "").split())
LIMIT_S = 120
BUT = frozenset(os.environ.get("LINEAL_CONFORMANCE_BUT", "").split())


def _fresh_server() -> str:
    """The URL of an empty server; the one before has gone."""
    with urllib.request.urlopen(f"{CONTROL}/fresh") as answer:
        url = str(json.load(answer)["url"])
    mlflow.set_tracking_uri(url)
    return url


class Server:
    """In the place of upstream's thread with MLflow's own application."""

    def __init__(self, *_given: Any) -> None:
        self.url = ""

    def __enter__(self) -> str:
        self.url = _fresh_server()
        return self.url

    def __exit__(self, *_error: object) -> None:
        pass


@contextlib.contextmanager
def _init_server(*_given: Any, **_named: Any) -> Iterator[str]:
    mlflow.set_tracking_uri(None)
    yield _fresh_server()


def pytest_configure() -> None:
    from tests.tracking import integration_test_utils as upstream  # type: ignore[import-not-found, import-untyped, unused-ignore]

    upstream.ServerThread = Server
    upstream._init_server = _init_server
    mlflow.server.handlers.initialize_backend_stores = lambda *_given, **_named: None


def _name(item: pytest.Item) -> str:
    """Without the kind of MLflow's own store: `test_model_registry.py::test_x[1]`."""
    plain = item.name.replace("sqlalchemy-", "").replace("-sqlalchemy", "").replace("[sqlalchemy]", "")
    return f"{item.path.name}::{plain}".replace(" ", "_")


def _parameters(item: pytest.Item) -> list[Any]:
    spec = getattr(item, "callspec", None)
    return [] if spec is None else list(spec.params.values())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """MLflow's file store is not a server's affair."""
    kept = [item for item in items if "file" not in _parameters(item)]
    if ONLY:
        kept = [item for item in kept if _name(item) in ONLY]
    kept = [item for item in kept if _name(item) not in BUT]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """One that hangs fails."""

    def give_up(*_signal: object) -> None:
        pytest.fail(f"no end after {LIMIT_S} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT_S)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A line for each test once it is over: name, outcome, and the routes that it called."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    parts = item.stash.setdefault(_PARTS, [])
    parts.append("xfail" if hasattr(report, "wasxfail") else report.outcome)
    if report.when != "teardown":
        return
    with urllib.request.urlopen(f"{CONTROL}/routes") as answer:
        routes = json.load(answer)["routes"]
    result = next((part for part in parts if part != "passed"), "passed")
    with REPORT.open("a") as file:
        file.write(json.dumps({"name": _name(item), "result": result, "routes": routes}) + "\n")


_PARTS: pytest.StashKey[list[str]] = pytest.StashKey()

"""`python -m tests.mlmd.conformance`: the tests that ship with ML Metadata's client, over the network, against our server.

Each client runs them from an environment of its own, on each database (`DB=sqlite,postgresql` for some), in a store that begins
empty. What fails on any server is known, by name and with the defect; one more failure, or one less, is exit code 1.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from registry.settings import Settings
from tests.databases import DIALECTS, sqlite_url
from tests.servers import serving
from tests.services import mariadb, postgres
from tests.services.databases import fresh_database

REFERENCE = Path(__file__).parent / "reference"
SERVERS = {
    "postgresql": ("LINEAL_TEST_POSTGRES", postgres.CREATE, postgres.DROP),
    "mariadb": ("LINEAL_TEST_MARIADB", mariadb.CREATE, mariadb.DROP),
}
_NO_ARGUMENTS = "TypeError: calls _get_metadata_store() without its first argument, cli_args"
FAULTS_OF_THE_FILE = {
    "test_connection_config_with_grpc_max_receive_message_length": _NO_ARGUMENTS,
    "test_connection_config_with_grpc_max_receive_message_length_errors": "AttributeError: says self.self.cli_args",
    "test_connection_config_with_grpc_http2_max_ping_strikes": _NO_ARGUMENTS,
    "test_connection_config_with_grpc_client_timeout_sec_errors": _NO_ARGUMENTS,
}
_IN_PROCESS = "opens a store in the process, which needs the C++ part"


@dataclass(frozen=True)
class Client:
    """`variable` holds its Python. `known`: why a test fails on every server. `passed`, `xfailed`: how many a perfect one has."""

    version: str
    variable: str
    passed: int
    xfailed: int
    known: Mapping[str, str]
    options: Sequence[str] = ()


CLIENTS = (
    Client(
        "1.21.0",
        "MLMD_NEW_PYTHON",
        93,
        2,
        FAULTS_OF_THE_FILE
        | dict.fromkeys(("test_connection_config_with_retry_options", "test_unset_connection_config"), _IN_PROCESS),
        ("-p", "without_extension"),
    ),
    Client("1.17.1", "MLMD_PYTHON", 102, 2, FAULTS_OF_THE_FILE),
)


@dataclass
class Outcome:
    """What a run of a client's tests gave; `failed`: the first line of the reason, by test."""

    passed: int = 0
    xfailed: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def wrong(self, client: Client) -> list[str]:
        """What a perfect server would not have done; a line each."""
        found = [f"{test} failed: {why}" for test, why in sorted(self.failed.items()) if test not in client.known]
        found += [f"{test} passed, though it cannot: {client.known[test]}" for test in sorted(client.known.keys() - self.failed)]
        if not found and (self.passed, self.xfailed) != (client.passed, client.xfailed):
            found.append(f"{self.passed} passed and {self.xfailed} xfailed, not {client.passed} and {client.xfailed}")
        return found


def outcome(report: Path) -> Outcome:
    """Of a JUnit file."""
    found = Outcome()
    for case in ET.parse(report).getroot().iter("testcase"):
        problem = next((child for child in case if child.tag in {"failure", "error"}), None)
        if problem is not None:
            found.failed[case.attrib["name"]] = problem.attrib.get("message", "").partition("\n")[0][:300]
        elif case.find("skipped") is not None:
            found.xfailed += 1
        else:
            found.passed += 1
    return found


@contextmanager
def database(dialect: str, folder: Path) -> Iterator[str]:
    """An empty one; its URL."""
    if dialect == "sqlite":
        yield sqlite_url(folder)
        return
    variable, create, drop = SERVERS[dialect]
    with fresh_database(os.environ[variable], create, drop) as url:
        yield url


def run(client: Client, dialect: str) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="lineal-conformance.") as scratch, database(dialect, Path(scratch)) as url:
        settings = Settings(data_dir=scratch, db=url, grpc="127.0.0.1:0", log_level="warning")
        with serving(settings) as served:
            return _tested(client, served.services.grpc_port or 0, Path(scratch))


def _tested(client: Client, port: int, scratch: Path) -> Outcome:
    python = os.environ[client.variable]
    where = "import importlib.util as u; print(u.find_spec('ml_metadata').submodule_search_locations[0])"
    package = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    tests, report = Path(package) / "metadata_store", scratch / "report.xml"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tests}"]
    command += [*client.options, f"--junit-xml={report}", "--use_grpc_backend", "--grpc_host=127.0.0.1", f"--grpc_port={port}"]
    env = os.environ | {"TEST_TMPDIR": str(scratch), "PYTHONPATH": str(REFERENCE), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, str(tests / "metadata_store_test.py")], cwd=scratch, env=env, capture_output=True, text=True, check=False
    )
    if not report.exists():
        raise SystemExit(f"conformance mlmd: {client.version}'s tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return outcome(report)


def main() -> int:
    wanted = os.environ.get("DB") or "all"
    dialects = list(DIALECTS) if wanted == "all" else wanted.split(",")
    needed = [client.variable for client in CLIENTS] + [SERVERS[one][0] for one in dialects if one in SERVERS]
    problems = [f"DB is one of {', '.join(DIALECTS)}, all; not {one}" for one in dialects if one not in DIALECTS]
    problems += [f"needs {variable}" for variable in needed if not os.environ.get(variable)]
    if problems:
        print(f"conformance mlmd: {problems[0]}", file=sys.stderr)
        return 2
    broken = False
    for client in CLIENTS:
        outcomes = {dialect: run(client, dialect) for dialect in dialects}
        for dialect, found in outcomes.items():
            for line in found.wrong(client):
                broken = True
                print(f"conformance mlmd: {client.version} on {dialect}: {line}")
        for test, why in sorted(client.known.items()):
            print(f"conformance mlmd: {client.version}: known: {test}: {why}")
        worst = min(outcomes.values(), key=lambda one: one.passed)
        of = "" if client is CLIENTS[-1] else f" {client.version}"
        counts = f"{worst.passed} passed, {len(worst.failed)} {'failed' if broken else 'known'}, {worst.xfailed} xfailed"
        print(f"conformance mlmd{of}: {counts}, {len(dialects)} databases", flush=True)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())

"""`make fuzz`: schemathesis against a running server with a token, all operations, all checks.

The server listens on an address that is not loopback, so that every request needs its token. `SEED=n` makes the same requests
again (times and random ids aside). The only setting is `expected.toml`. Last line `operations N of N, F findings`; exit 1 with
findings or an operation without requests, 2 where it could not start.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from registry.catalog.actors import Actor
from registry.catalog.tokens import create_token
from registry.catalog.workspaces import bootstrap, get_or_create_workspace
from registry.db.engine import open_database
from registry.db.runner import Runner
from registry.db.session import Session
from registry.migrate import upgrade
from registry.names import Role
from tests.fuzz.engine import fuzz, say
from tests.fuzz.judging import EXPECTED, Misfit

ROOT = Path(__file__).resolve().parents[2]
LOG = "server.log"
TOKENS_BEFORE = 1500
"""The fuzzer revokes the tokens that lists show it: its own is not among the first thousand, which is the longest page."""


def token(folder: Path) -> str:
    """A store in the folder, and the secret of an administrator."""
    now = time.time_ns() // 1_000_000
    database = open_database(f"sqlite:///{folder / 'lineal.db'}")
    database.hold()
    upgrade(database)
    runner = Runner(database)

    def make(session: Session) -> str:
        bootstrap(session, now=now)
        actor = Actor("fuzz", get_or_create_workspace(session, "default", now=now), "default", Role.ADMIN)
        for number in range(TOKENS_BEFORE):
            create_token(session, actor, f"for the fuzzer to revoke, {number}", Role.VIEWER, now=now)
        return create_token(session, actor, "the fuzzer's own", Role.ADMIN, now=now)[1]

    secret = runner.write(make)
    runner.close()
    return secret


def address() -> str:
    """Of this machine and not loopback; every address where it has no other (then the server asks for tokens, too)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only the route is looked up
            found = str(probe.getsockname()[0])
        except OSError:
            return "0.0.0.0"
    return "0.0.0.0" if found.startswith("127.") else found


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Its URL."""
    command = [sys.executable, "-m", "registry.main", "serve", "--http", f"{address()}:0"]
    command += ["--data-dir", str(folder), "--log-level", "error"]
    with (folder / LOG).open("w") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            if "serving" not in line:
                sys.exit(f"fuzz: the server did not start: {(folder / LOG).read_text()}")
            yield line.split()[-1]
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server is stopped on the way out
    seed = int(os.environ.get("SEED") or 1)
    with tempfile.TemporaryDirectory(prefix="lineal-fuzz-") as name:
        folder = Path(name)
        secret = token(folder)
        with server(folder) as url:
            say(f"server at {url}, SEED={seed}")
            if httpx.get(f"{url}/api/v1/runs").status_code != 401:
                sys.exit("fuzz: the server answers without a token")
            try:
                return fuzz(
                    f"{url}/api/v1/openapi.json", secret, seed=seed, expected=EXPECTED.read_text("utf-8"), log=folder / LOG
                )
            except Misfit as misfit:
                print(f"fuzz: {EXPECTED.name}: {misfit}", file=sys.stderr)
                return 2


if __name__ == "__main__":
    sys.exit(main())

"""Starting what is measured: our server, the peer, the hand-written floor, and a PostgreSQL of our own with fsync on.

The peer and the profiler come from an environment of their own (`.venv.bench`, requirements/bench.txt).
"""

import json
import os
import re
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Process
from benchmarks.wire import Address

ROOT = Path(__file__).resolve().parent.parent
PEER_BIN = Path(os.environ.get("LINEAL_BENCH_BIN") or ROOT / ".venv.bench" / "bin")
_QUIET_PEER = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONPATH": "",
}


class Missing(Exception):
    """A tool that is not here; the message names what to set or install."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """Something that answers HTTP. `kind`: lineal, mlflow or floor; `name` is what tables call it."""

    kind: str
    name: str
    process: Process
    address: Address

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        self.process.stop()


def answers(address: Address, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def start_lineal(folder: Path, db: str, *, workers: int = 1, pause_s: float = 0.05, more: Sequence[str] = ()) -> Server:
    """Our server of this checkout, as `lineal-server serve` starts it. Ready when it answers."""
    address = ("127.0.0.1", free_port())
    flags = ["--http", f"127.0.0.1:{address[1]}", "--data-dir", str(folder / "data"), "--db", db, "--workers", str(workers)]
    argv = [sys.executable, "-m", "registry.main", "serve", *flags, *more, "--log-level", "warning"]
    process = Process(argv, folder, cwd=ROOT)
    process.wait_until(lambda: answers(address, "/healthz"), pause_s=pause_s)
    return Server("lineal", "ours" if workers == 1 else f"ours, {workers} workers", process, address)


def _require_peer() -> Path:
    program = PEER_BIN / "mlflow"
    if not program.exists():
        raise Missing(f"{program} is not there: start with `make bench`, which makes it, or set LINEAL_BENCH_BIN")
    return program


def _use_wal(db: str) -> None:
    with sqlite3.connect(db.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def start_mlflow(folder: Path, db: str, *, workers: int, pause_s: float = 0.05) -> Server:
    """The peer at its best: uvloop, httptools, no job runners; an SQLite file in WAL mode (which it keeps)."""
    program = _require_peer()
    if db.startswith("sqlite"):
        folder.mkdir(parents=True, exist_ok=True)
        _use_wal(db)
    address = ("127.0.0.1", free_port())
    argv = [str(program), "server", "--host", "127.0.0.1", "--port", str(address[1]), "--workers", str(workers)]
    argv += ["--backend-store-uri", db, "--serve-artifacts", "--artifacts-destination", str(folder / "files")]
    argv += ["--uvicorn-opts", "--loop uvloop --http httptools --log-level warning"]
    process = Process(argv, folder, cwd=folder, environ=_QUIET_PEER)
    process.wait_until(lambda: answers(address, "/health"), pause_s=pause_s, timeout_s=240)
    return Server("mlflow", f"mlflow, {workers} worker{'s' * (workers > 1)}", process, address)


@dataclass(frozen=True)
class CompiledPeer:
    """A server in Go whose program `variable` names; it is not here where that is not set. One flush per commit, as ours."""

    variable: str
    launch: Callable[[str, Path, str], Server]

    @property
    def is_given(self) -> bool:
        return bool(os.environ.get(self.variable))

    def __call__(self, folder: Path, db: str) -> Server:
        folder.mkdir(parents=True, exist_ok=True)
        return self.launch(os.environ[self.variable], folder, db)


def start_fasttrackml(program: str, folder: Path, db: str) -> Server:
    address = ("127.0.0.1", free_port())
    url = f"sqlite://{db.removeprefix('sqlite:///')}?_synchronous=FULL" if db.startswith("sqlite") else db
    argv = [program, "server", "--listen-address", f"127.0.0.1:{address[1]}", "--database-uri", url]
    process = Process([*argv, "--default-artifact-root", str(folder / "files")], folder, cwd=folder)
    process.wait_until(lambda: answers(address, "/health"), timeout_s=60)
    return Server("fasttrackml", "FastTrackML", process, address)


def start_mlflow_go(program: str, folder: Path, db: str) -> Server:
    """On a schema that the peer in Python makes: it has none of its own."""
    _require_peer()
    subprocess.run(
        [str(PEER_BIN / "mlflow"), "db", "upgrade", db], env={**os.environ, **_QUIET_PEER}, capture_output=True, check=True
    )
    address, url = ("127.0.0.1", free_port()), db
    if db.startswith("sqlite"):
        _use_wal(db)
        url = f"{db}?_synchronous=FULL"
    config = {"address": f"127.0.0.1:{address[1]}", "tracking_store_uri": url, "log_level": "ERROR"}
    environ = {"MLFLOW_GO_CONFIG": json.dumps(config | {"default_artifact_root": str(folder / "files")})}
    process = Process([program], folder, cwd=folder, environ=environ)
    process.wait_until(lambda: answers(address, "/health"), timeout_s=60)
    return Server("mlflow-go", "mlflow-go", process, address)


COMPILED: Mapping[str, CompiledPeer] = {
    "fasttrackml": CompiledPeer("FASTTRACKML_BIN", start_fasttrackml),
    "mlflow-go": CompiledPeer("MLFLOW_GO_BIN", start_mlflow_go),
}


def start_floor(folder: Path, db: str) -> Server:
    """The hand-written floor: raw ASGI, raw driver (benchmarks/floor.py)."""
    address = ("127.0.0.1", free_port())
    process = Process([sys.executable, "-m", "benchmarks.floor", db, str(address[1]), str(folder / "files")], folder, cwd=ROOT)
    process.wait_until(lambda: answers(address, "/"))
    return Server("floor", "floor", process, address)


@dataclass
class Postgres:
    process: Process
    port: int
    password: str
    folder: Path
    settings: dict[str, str]

    def url(self, database: str, driver: str = "postgresql+psycopg") -> str:
        return f"{driver}://bench:{self.password}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(self.url(database, "postgresql"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create(self, database: str) -> None:
        self.run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.run(f"CREATE DATABASE \"{database}\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")

    def stop(self) -> None:
        self.process.stop(2)  # SIGINT: disconnects the clients, then shuts down
        shutil.rmtree(self.folder, ignore_errors=True)


def start_postgres(folder: Path) -> Postgres:
    """A new cluster with the stock settings, so every commit is flushed; as another user where we are root.

    Raises:
        Missing: PG_BIN is not set.
    """
    programs = os.environ.get("PG_BIN", "")
    if not programs:
        raise Missing("PG_BIN is not set: the folder of PostgreSQL's initdb and postgres")
    import pwd

    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    folder.mkdir(parents=True, mode=0o711)
    data, secret = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    password = secrets.token_hex(16)
    secret.write_text(password)
    secret.chmod(0o400)
    if user is not None:
        os.chown(data, user, user)
        os.chown(secret, user, user)
    options = ["-D", str(data), "-U", "bench", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"]
    made = Process([f"{programs}/initdb", *options], folder, user=user, cwd=folder)
    made.wait_until(lambda: "Success" in made.text())
    made.stop()
    secret.unlink()
    port = free_port()
    flags = ["-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", "", "-c", "max_connections=200"]
    process = Process([f"{programs}/postgres", *flags], folder, user=user, cwd=folder)
    process.wait_until(lambda: re.search("ready to accept connections", process.text()) is not None)
    postgres = Postgres(process, port, password, folder, {})
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers")
    postgres.settings.update({name: str(postgres.run(f"SHOW {name}")[0][0]) for name in names})
    return postgres

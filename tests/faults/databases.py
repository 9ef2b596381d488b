"""Database servers of our own, which may be killed: SQLite (none), PostgreSQL, MariaDB; every commit is flushed."""

import os
import pwd
import secrets
import shutil
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa

from benchmarks.processes import NotStarted, Process, is_alive, tree
from tests.services.servers import free_ports


class MissingTool(Exception):
    """The message says what is needed and for what."""


class Database(ABC):
    name: ClassVar[str]
    can_die: ClassVar[bool] = True
    """Whether it has a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    @abstractmethod
    def url(self) -> str: ...

    def start(self) -> None:  # noqa: B027  (SQLite has no process)
        """Make the data on the first call; then on the same data and port. Returns when it answers."""

    def kill(self) -> None:  # noqa: B027
        """As kill -9."""

    def stop(self) -> None:  # noqa: B027
        """End it and remove its data."""


class Sqlite(Database):
    name = "sqlite"
    can_die = False

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/lineal.db"


class _Server(Database):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self.password = secrets.token_hex(16)
        [self.port] = free_ports(1)
        self.data = folder / self.name
        self._process: Process | None = None

    @abstractmethod
    def make(self) -> None:
        """The data folder is there, empty, and the server's user's."""

    @abstractmethod
    def command(self) -> list[str]: ...

    def start(self) -> None:
        if not self.data.exists():
            self.folder.chmod(0o711)
            self.data.mkdir(mode=0o700)
            self.own(self.data)
            self.make()
        self._process = Process(self.command(), self.folder, user=self.user, cwd=self.folder)
        self._process.wait_until(self.answers)

    def answers(self) -> bool:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        try:
            with engine.connect() as connection:
                return bool(connection.exec_driver_sql("SELECT 1").scalar() == 1)
        except sa.exc.OperationalError:
            return False

    def own(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user, self.user)

    def kill(self) -> None:
        assert self._process is not None
        self._process.stop(signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGKILL)
        shutil.rmtree(self.data, ignore_errors=True)

    def run_once(self, argv: list[str], done: str) -> None:
        made = Process(argv, self.folder, user=self.user, cwd=self.folder)
        made.wait_until(lambda: done in made.text() or not made.is_running)
        made.stop()
        if done not in made.text():
            raise NotStarted(made.text()[-2000:])


class Postgres(_Server):
    name = "postgres"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://faults:{self.password}@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        self.own(secret)
        options = ["-U", "faults", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"]
        self.run_once([f"{_needed('PG_BIN')}/initdb", "-D", str(self.data), *options], "Success")
        secret.unlink()

    def command(self) -> list[str]:
        return [
            f"{_needed('PG_BIN')}/postgres",
            *("-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1", "-k", ""),
            *("-c", "max_connections=200"),
        ]

    def kill(self) -> None:
        """The postmaster and what it leaves behind; until all are gone no other would start on their shared memory."""
        assert self._process is not None
        family = tree(self._process.pid)
        super().kill()
        end = time.monotonic() + 30
        while any(map(is_alive, family)):
            if time.monotonic() > end:
                raise TimeoutError("processes of PostgreSQL outlive its postmaster")
            time.sleep(0.05)


class Mariadb(_Server):
    name = "mariadb"

    @property
    def url(self) -> str:
        return f"mysql+pymysql://faults:{self.password}@127.0.0.1:{self.port}/lineal?charset=utf8mb4"

    def make(self) -> None:
        install = _needed("MARIADB_INSTALL_DB")
        options = ["--no-defaults", f"--datadir={self.data}", "--skip-test-db", "--auth-root-authentication-method=normal"]
        self.run_once([install, *options], "OK")
        self._init.write_text(
            "CREATE DATABASE IF NOT EXISTS lineal;"
            f"CREATE USER IF NOT EXISTS faults@127.0.0.1 IDENTIFIED BY '{self.password}';"
            "GRANT ALL ON *.* TO faults@127.0.0.1;\n".replace(";", ";\n")
        )
        self.own(self._init)

    @property
    def _init(self) -> Path:
        return self.folder / "init.sql"

    def command(self) -> list[str]:
        return [
            _needed("MARIADBD_BIN"),
            *("--no-defaults", f"--datadir={self.data}", f"--init-file={self._init}", "--skip-name-resolve"),
            *("--bind-address=127.0.0.1", f"--port={self.port}", "--socket=mariadb.sock", "--pid-file=mariadb.pid"),
            *("--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=1"),
        ]


KINDS: dict[str, type[Database]] = {kind.name: kind for kind in (Sqlite, Postgres, Mariadb)}


PROGRAMS = {
    "PG_BIN": "the folder of PostgreSQL's programs initdb and postgres",
    "MARIADBD_BIN": "MariaDB's program mariadbd",
    "MARIADB_INSTALL_DB": "MariaDB's program mariadb-install-db",
}


def _needed(variable: str) -> str:
    found = os.environ.get(variable)
    if not found:
        raise MissingTool(f"needs {variable}: {PROGRAMS[variable]}, for a server that may be killed")
    return found

"""What a case runs on: one database, one size, and the servers that the cases of an area share."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchmarks.apis import Api, Door, api_of
from benchmarks.generate import Generator
from benchmarks.measuring import Meter, Side
from benchmarks.processes import Process
from benchmarks.servers import COMPILED, Postgres, Server, start_floor, start_lineal, start_mlflow

Db = Literal["sqlite", "postgres"]


@dataclass(frozen=True)
class Goal:
    """`ratio` to the base (more is better), or `limit` for the value itself (less is better)."""

    ratio: float | None = None
    limit: float | None = None

    def __str__(self) -> str:
        return f"{self.ratio:g}x" if self.ratio is not None else f"<= {self.limit:g}"


@dataclass
class Stage:
    """Servers start when a case first asks for them and stay until the area is through (or `close`).

    `workers`: of ours; on PostgreSQL also of the peer, which on SQLite is tried with each of `sqlite_peers`: the fastest is
    the base. `alone`: only ours is wanted (a profile, a larger size). `door`: by which ours is asked. `compiled`: whether the
    compiled peers are shown beside it, where there are any.
    """

    db: Db
    folder: Path
    postgres: Postgres | None
    say: Callable[[str], object]
    workers: int = 1
    scale: int = 1
    alone: bool = False
    sqlite_peers: Sequence[int] = (1, 2, 4)
    door: Door = "rest"
    compiled: bool = False
    generator: Generator = field(default_factory=Generator)
    memory: dict[str, object] = field(default_factory=dict)
    _servers: dict[tuple[str, int], Server] = field(default_factory=dict)
    _processes: list[Process] = field(default_factory=list)

    def url(self, owner: str) -> str:
        """SQLAlchemy URL of the area's database of ours (`lineal`) or of the peer (`mlflow`); made if it is not there."""
        if self.postgres is None:
            folder = self.folder / owner
            folder.mkdir(parents=True, exist_ok=True)
            return f"sqlite:///{folder / 'bench.db'}"
        if f"database {owner}" not in self.memory:
            self.postgres.create(f"bench_{owner}")
            self.memory[f"database {owner}"] = True
        return self.postgres.url(f"bench_{owner}", "postgresql+psycopg" if owner == "lineal" else "postgresql")

    def lineal(self) -> Server:
        return self._server("lineal", self.workers, lambda folder, url: start_lineal(folder, url, workers=self.workers))

    def mlflow(self, workers: int) -> Server:
        return self._server("mlflow", workers, lambda folder, url: start_mlflow(folder, url, workers=workers))

    def ours(self) -> Api:
        """Our server by the door that is asked."""
        server = self.lineal()
        return api_of(server.kind, server.address, self.door)

    def floor(self) -> Server:
        """Reads and writes our tables by hand. Ours must have made them."""
        self.lineal()
        return self._server("floor", 1, start_floor)

    def _server(self, kind: str, workers: int, start: Callable[[Path, str], Server]) -> Server:
        if (kind, workers) not in self._servers:
            self.say(f"starting {kind}, workers: {workers}")
            owner = "lineal" if kind == "floor" else kind
            self._servers[kind, workers] = start(self.folder / kind, self.url(owner))
        return self._servers[kind, workers]

    def stop(self, kind: str | None = None) -> None:
        """The servers of this kind, or all."""
        for key in [key for key in self._servers if kind in {None, key[0]}]:
            self._servers.pop(key).stop()

    def keep(self, process: Process) -> None:
        """A process of a case's own, which ends with the area."""
        self._processes.append(process)

    def close(self) -> None:
        """End the area: all servers, all data."""
        self.stop()
        while self._processes:
            self._processes.pop().stop()
        self.memory.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def peer_workers(self) -> Sequence[int]:
        return (self.workers,) if self.postgres else self.sqlite_peers

    def compiled_peers(self) -> list[Server]:
        """Those whose programs are given in the environment."""
        wanted = [] if self.alone or not self.compiled else [(kind, start) for kind, start in COMPILED.items() if start.is_given]
        return [self._server(kind, 1, start) for kind, start in wanted]

    def against_peer(self, once: Callable[[Api, Meter], float]) -> list[Side]:
        """Ours first, then the peer in each of its configurations, then what is only shown beside them."""
        servers = [self.lineal(), *([] if self.alone else [self.mlflow(workers) for workers in self.peer_workers])]
        beside = [replace(self.side(server, once), is_base=False) for server in self.compiled_peers()]
        return [*(self.side(server, once) for server in servers), *beside]

    def side(self, server: Server, once: Callable[[Api, Meter], float]) -> Side:
        api = api_of(server.kind, server.address, self.door)
        database = None if self.postgres is None else self.postgres.process.pid
        return Side(server.name, server.pid, lambda meter: once(api, meter), database)

    def number(self, what: str) -> int:
        """1, 2, 3… of this kind; unique within the area."""
        key = f"number {what}"
        self.memory[key] = number = int(str(self.memory.get(key, 0))) + 1
        return number

    def kept(self, what: str, make: Callable[[], str]) -> str:
        """What `make` gave the first time in this area."""
        if what not in self.memory:
            self.memory[what] = make()
        return str(self.memory[what])


@dataclass(frozen=True)
class Case:
    """`sides` gives ours first. `unit`: `ms`, `s`, `MiB` (less is better) or a rate. `by_workers`: on PostgreSQL with 1 and 2.

    `goals` are by database; one for `postgres, 2 workers` goes before that for `postgres`.
    """

    name: str
    unit: str
    sides: Callable[[Stage], list[Side]]
    goals: Mapping[str, Goal]
    by_workers: bool = True

    @property
    def is_rate(self) -> bool:
        return self.unit not in {"ms", "s", "MiB"}


def nothing(_stage: Stage) -> None:
    return


@dataclass(frozen=True)
class Area:
    """Cases that share servers and data. `prepare` fills the store for `stage.scale` (each larger than the one before).

    `compiled`: the compiled peers can do what is asked. `part_of`: another name by which its cases are chosen.
    """

    name: str
    cases: Sequence[Case]
    prepare: Callable[[Stage], None] = nothing
    scales: Sequence[int] = (1,)
    judged_at: int = 1
    databases: Sequence[Db] = ("sqlite", "postgres")
    door: Door = "rest"
    compiled: bool = False
    part_of: str = ""

    def through_mlflow(self, *but: str) -> "Area":
        """The same cases, without those named, through our MLflow door."""
        cases = [replace(case, name=f"MLflow door: {case.name}") for case in self.cases if case.name not in but]
        own = {"name": f"mlflow {self.name}", "part_of": "mlflow", "door": "mlflow", "scales": (self.judged_at,)}
        return replace(self, cases=cases, **own)  # type: ignore[arg-type]


def goals(sqlite: float, postgres: float) -> dict[str, Goal]:
    """Ratios to the peer: section 6 of the research on performance, see docs/performance.md."""
    return {"sqlite": Goal(ratio=sqlite), "postgres": Goal(ratio=postgres)}


FLOOR: dict[str, Goal] = {"sqlite": Goal(ratio=0.333), "postgres": Goal(ratio=0.333)}
"""Within three times of the same work written by hand."""

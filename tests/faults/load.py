"""Writers that never give up, and what they know: which writes were acknowledged, which refused, and of which nobody can say.

Every write but a bare create bears what makes it safe to repeat (a run id and `at`, an Idempotency-Key), so it is sent until it
is acknowledged. A bare create is sent once: acknowledged it is there, refused (4xx, 503) it is not, and only after a lost
connection or `outcome_unknown` it may be either.

So once the writers have stopped, what is there is known exactly but for those: anything else that is missing is lost, and
anything that is there besides is doubled.
"""

import itertools
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

POINTS = 20
PAUSE_S = 0.1


@dataclass
class Journal:
    """Of one writer. Names are unique; `created`, `refused` and `unknown` are of bare creates."""

    created: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    """Names by id, of creates with a key."""
    points: dict[str, list[int]] = field(default_factory=dict)
    """By run id, the steps that were acknowledged, in order."""
    gone: list[str] = field(default_factory=list)
    """Calls answered 404 though what they name was acknowledged before."""
    versions: list[str] = field(default_factory=list)
    model: str | None = None


class Gone(Exception):
    """404 for what was acknowledged; the journal has it."""


def point(step: int) -> dict[str, Any]:
    """The one that every writer logs at this step."""
    return {"key": "loss", "value": step / 7, "step": step, "at": 1_000 + step}


class Writer:
    def __init__(self, url: str, number: int) -> None:
        self.number = number
        self.journal = Journal()
        self.failures: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._over = threading.Event()
        self._http = httpx.Client(base_url=url, timeout=30)
        self._mark = uuid.uuid4().hex[:8]
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    @property
    def model(self) -> str:
        return f"model {self._mark}"

    @property
    def prefix(self) -> str:
        return f"bare {self._mark} "

    @property
    def keyed_prefix(self) -> str:
        return f"run {self._mark} "

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """When what it is at is acknowledged; `joined` waits for that."""
        self._over.set()

    def joined(self) -> BaseException | None:
        """Why it has failed, if it has."""
        self._thread.join(120)
        self._http.close()
        if self._thread.is_alive():
            return TimeoutError("a writer is not answered within two minutes")
        return self.failure

    def _guarded(self) -> None:
        try:
            self._write()
        except BaseException as failure:  # noqa: BLE001  (raised by stop)
            self.failure = failure

    def _write(self) -> None:
        for turn in itertools.count():
            try:
                self._turn(turn)
            except Gone as gone:
                self.journal.gone.append(str(gone))
            if self._over.is_set():
                return

    def _turn(self, turn: int) -> None:
        name = f"{self.keyed_prefix}{turn}"
        run = self._keyed("/api/v1/runs", {"name": name, "experiment_name": "faults"}, 201)["id"]
        self.journal.runs[run] = name
        for batch in range(3):
            steps = list(range(batch * POINTS, (batch + 1) * POINTS))
            body: dict[str, Any] = {"metrics": [point(step) for step in steps], "params": {"name": name}}
            self._until_acknowledged("POST", f"/api/v1/runs/{run}/log", body, 204)
            self.journal.points.setdefault(run, []).extend(steps)
            self._bare(f"{self.prefix}{turn} {batch}")
            if self._over.is_set():
                return
        body = {"model": self.model, "uri": f"s3://faults/{self._mark}/{turn}", "run_id": run}
        version = self._keyed("/api/v1/register", body, 201)
        self.journal.model = version["model_id"]
        self.journal.versions.append(version["id"])
        self._until_acknowledged(
            "PUT", f"/api/v1/models/{version['model_id']}/aliases/champion", {"version_id": version["id"]}, 200
        )

    def _keyed(self, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
        answer = self._until_acknowledged("POST", path, body, status, key=uuid.uuid4().hex)
        found: dict[str, Any] = answer.json()
        return found

    def _until_acknowledged(
        self, method: str, path: str, body: dict[str, Any], status: int, key: str | None = None
    ) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        end = time.monotonic() + 90
        while True:
            try:
                answer = self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError as error:
                self.failures[type(error).__name__] += 1
            else:
                if answer.status_code == status:
                    return answer
                self.failures[str(answer.status_code)] += 1
                if answer.status_code == 404:
                    raise Gone(f"{method} {path}: 404")
                if answer.status_code not in {429, 500, 503, 507}:
                    raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
                if answer.status_code == 500 and "outcome-unknown" not in answer.text:
                    raise AssertionError(f"{method} {path}: {answer.text}")
            if time.monotonic() > end:
                raise TimeoutError(f"{method} {path} is not acknowledged within 90 s: {dict(self.failures)}")
            time.sleep(PAUSE_S)

    def _bare(self, name: str) -> None:
        try:
            answer = self._http.post("/api/v1/runs", json={"name": name})
        except httpx.ConnectError:
            self.journal.refused.append(name)
        except httpx.TransportError:
            self.journal.unknown.append(name)
        else:
            if answer.status_code == 201:
                self.journal.created.append(name)
            elif answer.status_code == 500:
                if "outcome-unknown" not in answer.text:
                    raise AssertionError(answer.text)
                self.journal.unknown.append(name)
            else:
                self.failures[f"bare {answer.status_code}"] += 1
                self.journal.refused.append(name)


@dataclass(frozen=True)
class Verdict:
    """`lost`: acknowledged and not there. `doubled`: there more than once, or refused and there all the same."""

    writes: int
    lost: list[str]
    doubled: list[str]


class Awaited(ABC):
    """A load that can be waited for."""

    @property
    @abstractmethod
    def acknowledged(self) -> int:
        """Writes so far."""

    @property
    @abstractmethod
    def problem(self) -> str | None:
        """Why it goes no further."""

    def wait_for(self, more: int, timeout_s: float = 60) -> None:
        """Until so many further writes are acknowledged."""
        wanted, end = self.acknowledged + more, time.monotonic() + timeout_s
        while self.acknowledged < wanted:
            if time.monotonic() > end or self.problem is not None:
                raise TimeoutError(f"{self.acknowledged} of {wanted} writes after {timeout_s} s: {self.problem}")
            time.sleep(0.02)


class Load(Awaited):
    """Writers at work; a context manager that ends them."""

    def __init__(self, url: str, writers: int = 16) -> None:
        self.url = url
        self.writers = [Writer(url, number) for number in range(writers)]

    def __enter__(self) -> Self:
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for writer in self.writers:
            writer.end()
        if failures := [failure for writer in self.writers if (failure := writer.joined()) is not None]:
            raise failures[0]

    @property
    def acknowledged(self) -> int:
        return sum(len(writer.journal.created) + len(writer.journal.points) for writer in self.writers)

    @property
    def problem(self) -> str | None:
        return next((str(writer.failure) for writer in self.writers if writer.failure), None)

    def verdict(self) -> Verdict:
        return verdict(self)

    @property
    def refusals(self) -> Counter[str]:
        return sum((writer.failures for writer in self.writers), Counter())


def verdict(load: Load) -> Verdict:
    """Read back over REST what the writers know. They have stopped."""
    judge = Judge()
    with httpx.Client(base_url=load.url, timeout=60) as http:
        for writer in load.writers:
            judge.lost += writer.journal.gone
            _judge_bare_runs(judge, http, writer)
            _judge_keyed_runs(judge, http, writer)
            _judge_points(judge, http, writer.journal)
            _judge_versions(judge, http, writer.journal)
    return Verdict(judge.writes, judge.lost, judge.doubled)


@dataclass
class Judge:
    writes: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def times(self, what: str, seen: int, *, least: int, most: int) -> None:
        self.writes += 1
        if seen < least:
            self.lost.append(what)
        elif seen > most:
            self.doubled.append(what)

    def just(self, what: str, seen: Counter[Any], expected: Iterable[Any]) -> None:
        """Each expected one once, and nothing else."""
        wanted = set(expected)
        for one in wanted:
            self.times(f"{what} {one}", seen[one], least=1, most=1)
        for one in seen.keys() - wanted:
            self.times(f"{what} {one}", seen[one], least=0, most=0)


def _judge_bare_runs(judge: Judge, http: httpx.Client, writer: Writer) -> None:
    journal = writer.journal
    seen = Counter(run["name"] for run in _runs(http, writer.prefix))
    for names, most in ((journal.unknown, 1), (journal.refused, 0)):
        for name in names:
            judge.times(f"run {name}", seen.pop(name, 0), least=0, most=most)
    judge.just("run", seen, journal.created)


def _judge_keyed_runs(judge: Judge, http: httpx.Client, writer: Writer) -> None:
    journal = writer.journal
    seen = _runs(http, writer.keyed_prefix)
    judge.just("run", Counter((run["id"], run["name"]) for run in seen), journal.runs.items())
    by_id = {run["id"]: run for run in seen}
    for run, steps in journal.points.items():
        shown = by_id.get(run, {"params": {}, "metrics": []})
        judge.times(f"params of {run}", int(shown["params"] == {"name": journal.runs[run]}), least=1, most=1)
        judge.times(f"latest loss of {run}", shown["metrics"].count(point(steps[-1])), least=1, most=1)


def _judge_points(judge: Judge, http: httpx.Client, journal: Journal) -> None:
    for run, steps in journal.points.items():
        seen = Counter(map(_as_tuple, _all(http, f"/api/v1/runs/{run}/metrics/loss", "metrics")))
        judge.just(f"point of {run}", seen, (_as_tuple(point(step)) for step in steps))


def _as_tuple(metric: Mapping[str, Any]) -> tuple[Any, ...]:
    return metric["step"], metric["at"], metric["value"]


def _judge_versions(judge: Judge, http: httpx.Client, journal: Journal) -> None:
    if journal.model is None:
        return
    seen = Counter(one["id"] for one in _all(http, "/api/v1/model-versions", "versions", model_id=journal.model))
    judge.just("version", seen, journal.versions)
    champion = http.get(f"/api/v1/models/{journal.model}/aliases/champion").json().get("id")
    judge.times(f"alias of {journal.model}", int(champion == journal.versions[-1]), least=1, most=1)


def _runs(http: httpx.Client, prefix: str) -> list[dict[str, Any]]:
    return _all(http, "/api/v1/runs", "runs", filter=f"name LIKE '{prefix}%'")


def _all(http: httpx.Client, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token: str | None = None
    while True:
        answer = http.get(path, params={"page_size": 1000, **query, **({"page_token": token} if token else {})})
        if answer.status_code == 404:  # whatever it hangs on is lost
            return found
        answer.raise_for_status()
        page = answer.json()
        found += page[key]
        token = page["next_page_token"]
        if token is None:
            return found

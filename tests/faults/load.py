"""Writers that never give up, and what they know: which writes were acknowledged, which refused, and of which nobody can say.

Every write but a bare create bears what makes it safe to repeat (a run id and `at`, an Idempotency-Key), so it is sent until it
is acknowledged. A bare create is sent once: acknowledged it is there, refused (4xx, 503) it is not, and only after a lost
connection or `outcome_unknown` it may be either.
"""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

POINTS = 20
PAUSE_S = 0.1


@dataclass
class Journal:
    """Of one writer. Names are unique; `points`: by run id, the steps that were acknowledged."""

    created: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    points: dict[str, list[int]] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)
    model: str | None = None


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

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """When what it is at is acknowledged."""
        self._over.set()
        self._thread.join(120)
        self._http.close()
        if self._thread.is_alive():
            raise TimeoutError("a writer is not answered within two minutes")
        if self.failure is not None:
            raise self.failure

    def _guarded(self) -> None:
        try:
            self._write()
        except BaseException as failure:  # noqa: BLE001  (raised by stop)
            self.failure = failure

    def _write(self) -> None:
        for turn in itertools.count():
            run = self._keyed("/api/v1/runs", {"name": f"run {self._mark} {turn}", "experiment_name": "faults"}, 201)["id"]
            for batch in range(3):
                steps = list(range(batch * POINTS, (batch + 1) * POINTS))
                points = [{"key": "loss", "value": step / 7, "step": step, "at": 1_000 + step} for step in steps]
                body: dict[str, Any] = {"metrics": points, "params": {"turn": str(turn)}}
                self._until_acknowledged("POST", f"/api/v1/runs/{run}/log", body, 204)
                self.journal.points.setdefault(run, []).extend(steps)
                self._bare(f"{self.prefix}{turn} {batch}")
                if self._over.is_set():
                    return
            body = {"model": self.model, "uri": f"s3://faults/{self._mark}/{turn}", "run_id": run}
            version = self._keyed("/api/v1/register", body, 201)
            self.journal.versions.append(version["id"])
            self._until_acknowledged(
                "PUT", f"/api/v1/models/{version['model_id']}/aliases/champion", {"version_id": version["id"]}, 200
            )
            self.journal.model = version["model_id"]

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


class Load:
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
            writer.stop()

    @property
    def acknowledged(self) -> int:
        return sum(len(writer.journal.created) + len(writer.journal.points) for writer in self.writers)

    def wait_for(self, more: int, timeout_s: float = 60) -> None:
        """Until so many further writes are acknowledged."""
        wanted, end = self.acknowledged + more, time.monotonic() + timeout_s
        while self.acknowledged < wanted:
            if time.monotonic() > end or any(writer.failure for writer in self.writers):
                failures = [str(writer.failure) for writer in self.writers if writer.failure]
                raise TimeoutError(f"{self.acknowledged} of {wanted} writes after {timeout_s} s: {failures[:2]}")
            time.sleep(0.02)

    @property
    def refusals(self) -> Counter[str]:
        return sum((writer.failures for writer in self.writers), Counter())


def verdict(load: Load) -> Verdict:
    """Read back over REST what the writers know. They have stopped."""
    lost: list[str] = []
    doubled: list[str] = []
    count = 0
    with httpx.Client(base_url=load.url, timeout=60) as http:

        def judge(what: str, times: int, allowed: range) -> None:
            nonlocal count
            count += 1
            if times < allowed.start:
                lost.append(what)
            elif times >= allowed.stop:
                doubled.append(what)

        for writer in load.writers:
            journal = writer.journal
            names = Counter(run["name"] for run in _all(http, "/api/v1/runs", "runs", filter=f"name LIKE '{writer.prefix}%'"))
            for kind, allowed in ((journal.created, range(1, 2)), (journal.refused, range(1)), (journal.unknown, range(2))):
                for name in kind:
                    judge(f"run {name!r}", names[name], allowed)
            for run, steps in journal.points.items():
                stored = Counter(point["step"] for point in _all(http, f"/api/v1/runs/{run}/metrics/loss", "metrics"))
                for step in steps:
                    judge(f"step {step} of {run}", stored[step], range(1, 2))
                for step in stored.keys() - set(steps):
                    judge(f"step {step} of {run}", stored[step], range(2))
            if journal.model is None:
                continue
            made = Counter(one["id"] for one in _all(http, "/api/v1/model-versions", "versions", model_id=journal.model))
            for version in journal.versions:
                judge(f"version {version}", made[version], range(1, 2))
            for version in made.keys() - set(journal.versions):
                judge(f"version {version}", made[version], range(1))
            champion = http.get(f"/api/v1/models/{journal.model}/aliases/champion").json()["id"]
            judge(f"alias of {journal.model}", int(champion in journal.versions[-2:]), range(1, 2))
    return Verdict(count, lost, doubled)


def _all(http: httpx.Client, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token: str | None = None
    while True:
        answer = http.get(path, params={"page_size": 1000, **query, **({"page_token": token} if token else {})})
        answer.raise_for_status()
        page = answer.json()
        found += page[key]
        token = page["next_page_token"]
        if token is None:
            return found


Harm = Callable[[], None]

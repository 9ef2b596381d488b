"""The faults. Each takes a stage, does its harm under load or to single calls, and returns what was lost or doubled."""

import contextlib
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from registry.catalog.checking import snapshot
from registry.catalog.dumping import canonical
from registry.maintenance import opened
from tests.faults.client_load import ClientLoad
from tests.faults.databases import Database, MissingTool
from tests.faults.load import Load, Verdict
from tests.faults.ours import Ours
from tests.faults.proxy import Mode, Proxy


@dataclass(frozen=True)
class Stage:
    """Our server on a database of its own; both run. `writing`: who writes to its URL, by default over our own REST."""

    ours: Ours
    database: Database
    folder: Path
    writing: Callable[[str], Load | ClientLoad] = Load

    @property
    def load(self) -> Load | ClientLoad:
        return self.writing(self.ours.url)

    def with_client(self, python: Path) -> "Stage":
        """Written to by MLflow's own client."""
        return replace(self, writing=lambda url: ClientLoad(url, python, self.folder))


class Broken(AssertionError):
    """What should hold after a fault does not; the message says which."""


def hold(what: str, held: bool, *seen: object) -> None:
    if not held:
        raise Broken(f"{what}: {' '.join(map(str, seen))[:2000]}")


@contextmanager
def staged(database: Database, folder: Path, **options: Any) -> Iterator[Stage]:
    database.start()
    ours = Ours(folder / "ours", database, **options)
    ours.folder.mkdir(parents=True, exist_ok=True)
    ours.start()
    try:
        yield Stage(ours, database, folder)
    finally:
        ours.stop()


def settled(stage: Stage, load: Load | ClientLoad) -> Verdict:
    """After the load: what was lost, and that the store is sound."""
    found = load.verdict()
    problems = stage.ours.problems()
    hold("lineal-server check finds nothing", not problems, problems)
    return found


def kill_server(stage: Stage) -> Verdict:
    """kill -9 of the server under 16 writers."""
    with stage.load as load:
        load.wait_for(40)
        stage.ours.kill()
        stage.ours.start()
        load.wait_for(20)
    return settled(stage, load)


SLOW_COMMIT = """
import sqlalchemy, time
def wait(*_): time.sleep(0.05)
sqlalchemy.event.listen(sqlalchemy.Engine, "commit", wait)
sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", lambda *said: said[2] == "COMMIT" and wait())
"""


def kill_in_commit(stage: Stage) -> Verdict:
    """kill -9 while commits are under way: each is held up by 50 ms, so that an answer given before its commit is a lie."""
    stage.ours.stop()
    with stage.ours.launched_by(SLOW_COMMIT):
        stage.ours.start()
    with stage.load as load:
        load.wait_for(60)
        stage.ours.kill()
        stage.ours.start()
        load.wait_for(20)
    return settled(stage, load)


def kill_database(stage: Stage) -> Verdict:
    """The database is killed and started again under load; ours goes on without a restart."""
    pid = stage.ours.pid
    with stage.load as load:
        load.wait_for(40)
        stage.database.kill()
        time.sleep(1.5)
        stage.database.start()
        load.wait_for(40)
    hold("ours was not restarted", stage.ours.pid == pid and stage.ours.answers())
    hold("what did not reach the database is 503", any("503" in word for word in load.refusals), load.refusals)
    return settled(stage, load)


def clock_back(stage: Stage) -> Verdict:
    """The server's clock is set back by an hour under load, for its process only."""
    switch = stage.folder / "an hour back"
    stage.ours.stop()
    clock = (
        "import os, time\n"
        "_time, _time_ns = time.time, time.time_ns\n"
        f"_back = lambda: 3600 if os.path.exists({str(switch)!r}) else 0\n"
        "time.time = lambda: _time() - _back()\n"
        "time.time_ns = lambda: _time_ns() - _back() * 10**9\n"
    )
    with stage.ours.launched_by(clock):
        stage.ours.start()
    key = {"Idempotency-Key": uuid.uuid4().hex}
    with httpx.Client(base_url=stage.ours.url, timeout=30) as http, stage.load as load:
        made = http.post("/api/v1/models", json={"name": f"clock {key['Idempotency-Key']}"}, headers=key).json()
        load.wait_for(20)
        switch.touch()
        load.wait_for(20)
        again = http.post("/api/v1/models", json={"name": made["name"]}, headers=key)
        hold("a repeat finds its first answer", again.status_code == 201 and again.json() == made, again.text)
        changed = http.patch(f"/api/v1/models/{made['id']}", json={"description": "later"}).json()
        hold("times of a record do not go back", changed["updated_at"] > made["updated_at"], made, changed)
        switch.unlink()
    with httpx.Client(base_url=stage.ours.url, timeout=30) as http:
        end = time.monotonic() + 10
        while (seen := http.get("/api/v1/audit/verification").json())["unsealed"] and time.monotonic() < end:
            time.sleep(0.2)
        hold("the audit chain verifies", not seen["problems"] and not seen["unsealed"], seen)
    return settled(stage, load)


def cut_answers(stage: Stage) -> Verdict:
    """The connection is cut after the commit and before the answer; the call sent again changes nothing."""
    host, _, port = stage.ours.url.removeprefix("http://").partition(":")
    mark = uuid.uuid4().hex
    with Proxy((host, int(port))) as proxy, httpx.Client(base_url=stage.ours.url, timeout=30) as http:
        run = http.post("/api/v1/runs", json={"name": mark}).json()["id"]
        version = http.post("/api/v1/register", json={"model": mark, "uri": f"s3://b/{mark}"}).json()
        artifact = version["artifact_id"]
        calls: list[tuple[str, str, Any, bool]] = [
            ("POST", "/api/v1/runs", {"name": f"{mark} keyed"}, True),
            ("POST", "/api/v1/runs", {"name": f"{mark} with id", "id": f"run_{uuid.uuid4().hex}"}, True),
            ("POST", f"/api/v1/runs/{run}/log", {"metrics": [{"key": "m", "value": 1, "at": 5}], "params": {"p": "1"}}, False),
            ("PATCH", f"/api/v1/runs/{run}", {"status": "succeeded", "ended_at": 9}, False),
            ("POST", f"/api/v1/runs/{run}/uses", {"artifact_id": artifact, "direction": "input"}, False),
            ("POST", f"/api/v1/runs/{run}/datasets", {"name": mark, "digest": "d"}, False),
            ("POST", "/api/v1/models", {"name": f"{mark} model"}, True),
            ("POST", "/api/v1/register", {"model": mark, "uri": f"s3://b/{mark}/2"}, True),
            ("PUT", f"/api/v1/models/{version['model_id']}/aliases/champion", {"version_id": version["id"]}, False),
            ("PUT", f"/api/v1/model-versions/{version['id']}/stage", {"stage": "Staging"}, False),
            ("POST", "/api/v1/steps/join", {"node_id": mark}, False),
            ("PUT", f"/api/v1/files/default/{mark}/a.txt", b"bytes", False),
            *_mlflow_calls(run.removeprefix("run_"), mark),
        ]
        for method, path, body, keyed in calls:
            headers = {"Idempotency-Key": uuid.uuid4().hex} if keyed else {}
            content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
            proxy.mode = Mode.CUT_ANSWERS
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.request(method, proxy.url + path, headers=headers, timeout=30, **content)
                raise Broken(f"{method} {path} was answered through the cut: {answer.status_code}")
            before = _records(stage)
            again = http.request(method, path, headers=headers, **content)
            hold(f"{method} {path} sent again is answered", again.is_success, again.status_code, again.text)
            hold(f"{method} {path} sent again changes nothing", _records(stage) == before)
    hold("lineal-server check finds nothing", not (problems := stage.ours.problems()), problems)
    return Verdict(len(calls), [], [])


def _mlflow_calls(run: str, mark: str) -> list[tuple[str, str, Any, bool]]:
    """Those that MLflow's client sends again after any lost answer."""
    base, point = "/api/2.0/mlflow", {"key": "n", "value": 1.0, "timestamp": 5, "step": 1}
    dataset = {"name": mark, "digest": "e", "source_type": "local", "source": "{}"}
    return [
        ("POST", f"{base}/runs/log-batch", {"run_id": run, "metrics": [point], "params": [{"key": "q", "value": "1"}]}, False),
        ("POST", f"{base}/runs/log-metric", {"run_id": run, **point, "step": 2}, False),
        ("POST", f"{base}/runs/log-parameter", {"run_id": run, "key": "r", "value": "1"}, False),
        ("POST", f"{base}/runs/set-tag", {"run_id": run, "key": "t", "value": "1"}, False),
        ("POST", f"{base}/runs/set-tag", {"run_id": run, "key": "mlflow.runName", "value": f"{mark} named"}, False),
        ("POST", f"{base}/runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset}]}, False),
        ("POST", f"{base}/runs/update", {"run_id": run, "status": "FAILED", "end_time": 11}, False),
        ("POST", f"{base}/registered-models/alias", {"name": mark, "alias": "next", "version": "1"}, False),
        ("PATCH", f"{base}/registered-models/update", {"name": mark, "description": "d"}, False),
        ("POST", f"{base}/model-versions/set-tag", {"name": mark, "version": "1", "key": "k", "value": "v"}, False),
        ("POST", f"{base}/runs/delete", {"run_id": run}, False),
        ("POST", f"{base}/runs/restore", {"run_id": run}, False),
        ("PUT", f"{PROXY}/{mark}/b.txt", b"bytes", False),
    ]


def _records(stage: Stage) -> list[Any]:
    """The whole store but what moves by itself or counts calls: audit, versions, times of receipt."""
    database = opened(stage.database.url)
    with snapshot(database) as session:
        found = list(canonical(session))
    database.close()
    return found


FILES, PROXY = "/api/v1/files/default", "/api/2.0/mlflow-artifacts/artifacts"
"""How paths of files begin in our own REST and in MLflow's door."""


def cut_upload(stage: Stage, size: int = 1 << 30) -> Verdict:
    """A client is cut off within an upload of 1 GB, by either door: nothing is visible."""
    _cut_upload(stage, FILES, size)
    _cut_upload(stage, PROXY, size)
    return Verdict(2, [], [])


def _cut_upload(stage: Stage, base: str, size: int) -> None:
    path = f"{base}/cut/{uuid.uuid4().hex}.bin"
    host, _, port = stage.ours.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nContent-Type: application/octet-stream\r\n\r\n"
        client.sendall(head.encode())
        block = os.urandom(1 << 20)
        for _ in range((size // 3) >> 20):
            client.sendall(block)
    time.sleep(1)
    with httpx.Client(base_url=stage.ours.url, timeout=30) as http:
        hold("nothing is visible", http.get(path).status_code == 404)
    _nothing_left(stage)
    hold("lineal-server check finds nothing", not (problems := stage.ours.problems()), problems)


def _nothing_left(stage: Stage) -> None:
    """The sweep removes what was begun, and finds nothing a second time."""
    for _ in range(2):
        swept = stage.ours.python("-m", "tests.faults.sweeping", stage.database.url, stage.ours.store)
        hold("the sweep ends well", swept.returncode == 0, swept.stderr)
    hold("no orphan after the sweep", not swept.stdout, swept.stdout)


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """A file system of this size. Raises MissingTool: only root may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise MissingTool(f"needs mount: root, for a small disk that can be filled; it says {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """A file that leaves so many bytes."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    with ballast.open("wb") as file:
        file.write(b"\0" * max(0, free.f_bavail * free.f_frsize - left))
    return ballast


def disk_full(stage: Stage) -> Verdict:
    """The disk under SQLite and the local store is full: 507 in clear words, no row, no orphan; with room again all goes on.

    The stage's folder is a small disk.
    """
    ballast = fill(stage.folder, 2 << 20)
    path = f"/api/v1/files/default/full/{uuid.uuid4().hex}.bin"
    with httpx.Client(base_url=stage.ours.url, timeout=60) as http:
        refused = http.put(path, content=b"x" * (6 << 20))
        hold("an upload is refused with 507", refused.status_code == 507, refused.status_code, refused.text)
        hold("in clear words", "no room" in refused.text or "full" in refused.text, refused.text)
        hold("nothing is visible", http.get(path).status_code == 404)
        proxied = http.put(f"{PROXY}/full/{uuid.uuid4().hex}.bin", content=b"x" * (6 << 20))
        hold(
            "in MLflow's form too",
            (proxied.status_code, proxied.json()["error_code"]) == (507, "RESOURCE_EXHAUSTED"),
            proxied.text,
        )
    with stage.load as load:
        end = time.monotonic() + 60
        while not any("507" in word for word in load.refusals):
            hold("a write is refused with 507 within a minute", time.monotonic() < end, load.refusals)
            time.sleep(0.05)
        ballast.unlink()
        load.wait_for(20)
    with httpx.Client(base_url=stage.ours.url, timeout=60) as http:
        hold("with room again it is stored", http.put(path, content=b"x").is_success)
    _nothing_left(stage)
    return settled(stage, load)


def store_away(stage: Stage, proxy: Proxy) -> Verdict:
    """The object store is away, answers 500, or not at all: 503 in clear words and no row; records go on; then it is back."""
    with httpx.Client(base_url=stage.ours.url, timeout=120) as http:
        for mode in (Mode.AWAY, Mode.ERRORS):
            path = f"/api/v1/files/default/away/{uuid.uuid4().hex}.bin"
            proxy.mode = mode
            refused = http.put(path, content=b"x" * 100_000)
            hold(f"{mode.name}: an upload is refused with 503", refused.status_code == 503, refused.status_code, refused.text)
            hold(f"{mode.name}: records go on", http.post("/api/v1/runs", json={}).status_code == 201)
            hold(f"{mode.name}: not ready", http.get("/readyz").status_code == 503)
            proxy.mode = Mode.PASS
            hold(f"{mode.name}: nothing is visible", http.get(path).status_code == 404)
            hold(f"{mode.name}: back again", http.put(path, content=b"x" * 100_000).is_success)
        proxy.mode = Mode.SLOW
        began = time.monotonic()
        hold("SLOW: records do not wait for it", http.post("/api/v1/runs", json={}).status_code == 201)
        hold("SLOW: at once", time.monotonic() - began < 5)
        proxy.mode = Mode.PASS
    with stage.load as load:
        proxy.mode = Mode.AWAY
        load.wait_for(40)
        proxy.mode = Mode.PASS
    _nothing_left(stage)
    return settled(stage, load)


Case = Callable[[Stage], Verdict]
ON_EVERY_DATABASE: dict[str, Case] = {
    "killed in commit": kill_in_commit,
    "clock set back": clock_back,
    "answers cut": cut_answers,
    "upload cut": cut_upload,
}

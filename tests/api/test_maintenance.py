"""`lineal-server check` and `sweep`, as processes beside a running server on SQLite."""

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from storage.config import open_store
from storage.store import ObjectStore
from tests.api.test_main import run, start, stopped

OLD = time.time() - 90_000
"""Older than the day that the sweeper waits."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    process, url = start("--data-dir", str(tmp_path))
    with httpx.Client(base_url=f"{url}/api/v1", timeout=30) as made:
        try:
            yield made
        finally:
            stopped(process)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store((tmp_path / "files").as_uri())


def fill(client: httpx.Client) -> None:
    client.put("/files/default/runs/f.bin", content=b"abc").raise_for_status()
    made = client.post("/runs", json={"experiment_name": "e", "tags": {"a": "b"}}).json()["id"]
    client.post(f"/runs/{made}/log", json={"metrics": [{"key": "m", "value": 1, "at": 1}]}).raise_for_status()
    client.post("/experiments", json={"name": "other"}).raise_for_status()
    model = client.post("/models", json={"name": "m"}).json()["id"]
    client.post(f"/models/{model}/versions", json={}).raise_for_status()
    for name in ("archive", "restore"):
        client.post(f"/runs/{made}/{name}").raise_for_status()
    while client.get("/audit/verification").json()["sealed"] < 2:  # the sealer comes every second
        time.sleep(0.05)


DAMAGES = {
    "UPDATE tags SET node = 999": "tags 2/999/",
    "UPDATE experiments SET name = 'e'": "experiments ",
    "UPDATE series SET value = 7": "series 0/",
    "UPDATE registered_models SET last_number = 0": "registered_models ",
    "INSERT INTO params VALUES (2, 1, 1, 'v', 'v', 0, 5)": "id source artifact",
    "UPDATE audit_events SET actor = 'nobody' WHERE id = (SELECT min(event) FROM audit_seals)": "audit_events ",
    "DELETE FROM audit_seals WHERE seq = 1": "audit_seals 1/2: does not follow",
    "INSERT INTO keys VALUES (1, 1, 'k', 2, 998)": "keys 1/1/k: ",
    "INSERT INTO fragments SELECT 2, id, 99, '' FROM runs": "fragments 2/",
    "UPDATE outbox SET event = 997": "outbox ",
    "INSERT INTO properties VALUES (2, 1, 1, 1, 5, NULL, NULL, NULL, NULL)": "contexts 1: property",
}


def test_check_finds_ten_damages_and_more_that_are_planted_beside_a_running_server(
    tmp_path: Path, client: httpx.Client, store: ObjectStore
) -> None:
    fill(client)
    sound = run("check", "--data-dir", str(tmp_path))
    with sqlite3.connect(tmp_path / "lineal.db", timeout=10) as connection:
        for statement in DAMAGES:
            connection.executescript(statement)
    connection.close()
    store.put("default/runs/f.bin", [b"abd"])

    found = run("check", "--data-dir", str(tmp_path))
    without_bytes = run("check", "--no-blobs", "--data-dir", str(tmp_path))

    assert (sound.returncode, sound.stdout.splitlines()[-1], sound.stderr) == (0, "0 problems", "")
    lines = [line.strip() for line in found.stdout.splitlines()]
    assert [said for said in DAMAGES.values() if not any(line.startswith(said) for line in lines)] == []
    blob = [line for line in lines if line.startswith("blobs ")]
    assert [line.partition(": ")[2] for line in blob] == ["default/runs/f.bin has other bytes than its digest says"]
    assert found.returncode == 1
    assert lines[-1] == f"{sum(not line.startswith('check:') for line in lines) - 1} problems"
    assert "blobs " not in without_bytes.stdout.replace("bytes of blobs", "")
    assert client.get("/runs").status_code == 200


@pytest.mark.parametrize("command", ["check", "dump", "sweep"])
def test_a_database_that_is_not_there_is_named_in_one_line_and_not_made(tmp_path: Path, command: str) -> None:
    ended = run(command, "--data-dir", str(tmp_path / "nowhere"))

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "there is no database" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_not_there_is_no_missing_file(tmp_path: Path, client: httpx.Client) -> None:
    ended = run("check", "--data-dir", str(tmp_path), "--store", str(tmp_path / "nowhere"))

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert client.get("/runs").status_code == 200


def test_the_sweeper_removes_what_no_record_knows_and_only_when_told(
    tmp_path: Path, client: httpx.Client, store: ObjectStore
) -> None:
    client.put("/files/default/kept.bin", content=b"a").raise_for_status()
    client.post("/artifacts", json={"uri": store.uri("default/model")}).raise_for_status()
    for key in ("default/model/weights.bin", "default/stray.bin", "elsewhere/stray.bin", "default/young.bin"):
        store.put(key, [b"12345"])
    for key in ("default/kept.bin", "default/model/weights.bin", "default/stray.bin", "elsewhere/stray.bin"):
        os.utime(str(store.local_path(key)), (OLD, OLD))

    listed = run("sweep", "--data-dir", str(tmp_path))
    after_listing = [entry.key for entry in store.list().objects]
    swept = run("sweep", "--delete", "--data-dir", str(tmp_path))

    left = sorted(entry.key for entry in store.list().objects)
    assert listed.stdout.splitlines() == ["object default/stray.bin 5 bytes", "1 orphans, 5 bytes, nothing removed"]
    assert len(after_listing) == 5
    assert swept.stdout.splitlines()[-1] == "1 orphans, 5 bytes removed"
    assert left == ["default/kept.bin", "default/model/weights.bin", "default/young.bin", "elsewhere/stray.bin"]


def test_a_grace_that_would_remove_uploads_in_progress_is_refused(tmp_path: Path) -> None:
    ended = run("sweep", "--grace-hours", "0.1", "--data-dir", str(tmp_path))

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)

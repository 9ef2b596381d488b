"""The commands of `lineal-server`, as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "registry.main", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """The process and the URL that its first line names."""
    started = subprocess.Popen(
        [sys.executable, "-m", "registry.main", "serve", "--http", "127.0.0.1:0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdout is not None
    return started, started.stdout.readline().rpartition(" ")[2].strip()


def stopped(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    code = process.wait(30)
    if process.stdout is not None:
        process.stdout.close()
    return code


def test_a_server_starts_answers_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    process, url = start("--data-dir", str(tmp_path / "data dir"))

    try:
        ready = httpx.get(f"{url}/readyz").text
    finally:
        code = stopped(process)

    assert (ready, code) == ("ok", 0)


def test_a_second_server_on_one_sqlite_file_is_refused_in_one_line(tmp_path: Path) -> None:
    process, _ = start("--data-dir", str(tmp_path))

    try:
        second = run("serve", "--http", "127.0.0.1:0", "--data-dir", str(tmp_path))
    finally:
        stopped(process)

    assert (second.returncode, second.stderr.count("\n")) == (2, 1)


def test_dump_reads_beside_a_running_server_and_canonical_is_sorted(tmp_path: Path) -> None:
    process, url = start("--data-dir", str(tmp_path))
    try:
        for name in ("b", "a"):
            run_id = httpx.post(f"{url}/api/v1/runs", json={"experiment_name": name, "name": name}).json()["id"]
        full, canonical = run("dump", "--data-dir", str(tmp_path)), run("dump", "--canonical", "--data-dir", str(tmp_path))
        sound = run("check", "--data-dir", str(tmp_path))
    finally:
        stopped(process)

    lines = canonical.stdout.splitlines()
    assert run_id.removeprefix("run_") in full.stdout
    assert run_id.removeprefix("run_") not in canonical.stdout
    assert lines == sorted(lines, key=lambda line: json.dumps(json.loads(line), sort_keys=True, ensure_ascii=False))
    assert (sound.returncode, sound.stdout.splitlines()[-1]) == (0, "0 problems")


def test_tokens_are_made_listed_and_revoked(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path))
    secret = run("token", "create", "ci", "--role", "viewer", *data).stdout.strip()
    listed = json.loads(run("token", "list", *data).stdout)

    revoked = run("token", "revoke", listed["id"], *data)

    assert secret.startswith("lin_")
    assert (listed["name"], listed["role"], listed["revoked_at"]) == ("ci", "viewer", None)
    assert revoked.returncode == 0
    assert json.loads(run("token", "list", *data).stdout)["revoked_at"] is not None
    unknown = run("token", "revoke", "tok_999", *data)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("command", [("openapi", "--check"), ("sdl", "--check"), ("migrate", "--check")])
def test_generated_files_and_migrations_are_up_to_date(command: tuple[str, ...]) -> None:
    done = run(*command)

    assert (done.returncode, done.stderr) == (0, "")


def test_several_workers_on_sqlite_are_refused(tmp_path: Path) -> None:
    done = run("serve", "--workers", "2", "--data-dir", str(tmp_path))

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_workers_share_a_port_and_one_that_dies_is_replaced(postgres_dsn: str, tmp_path: Path) -> None:
    process, url = start("--workers", "2", "--db", postgres_dsn, "--data-dir", str(tmp_path))

    def workers() -> list[int]:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
        return [int(child) for child in children]

    try:
        assert process.stdout is not None
        process.stdout.readline()  # the second worker serves too
        first = workers()
        time.sleep(10.5)  # a younger one would be taken for a failed start
        os.kill(first[0], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while (len(workers()) < 2 or workers() == first) and time.monotonic() < deadline:
            time.sleep(0.05)
        second = workers()
        answer = httpx.get(f"{url}/healthz").text
    finally:
        code = stopped(process)

    assert len(second) == 2
    assert second != first
    assert (answer, code) == ("ok", 0)

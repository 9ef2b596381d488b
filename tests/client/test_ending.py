"""The end of the process is the end of its runs: what was logged arrives, and how it ended is said."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lineal
from tests.servers import Served

HEAD = """
import os, signal, sys, threading, time
import lineal

def log(run):
    print(run.id, flush=True)
    for step in range(2000):
        run.log_metric("m", step, step=step)
"""
WAIT = "\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)\n"


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[lineal.Client]:
    with lineal.Client(server.url) as made:
        yield made


def started(server: Served, folder: Path, body: str) -> subprocess.Popen[str]:
    script = folder / "train.py"
    script.write_text(HEAD + body)
    env = {**os.environ, "LINEAL_URL": server.url}
    return subprocess.Popen([sys.executable, str(script)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], number: int | None = None) -> tuple[str, str]:
    """The id of its run, and what it said on stderr; with a signal, once it is ready."""
    assert process.stdout is not None
    id = process.stdout.readline().strip()
    if number is not None:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return id, errors


def points(client: lineal.Client, run: str) -> list[Any]:
    return [point["step"] for point in client.metric_history(run, "m")]


@pytest.mark.parametrize(
    ("body", "number", "code", "status"),
    [
        ("log(lineal.start_run())", None, 0, "succeeded"),
        ("log(lineal.start_run())\nraise ValueError", None, 1, "failed"),
        ("with lineal.run() as run:\n    log(run)\n    sys.exit()", None, 0, "succeeded"),
        ("with lineal.run() as run:\n    log(run)\n    sys.exit(3)", None, 3, "failed"),
        ("log(lineal.start_run())" + WAIT, signal.SIGTERM, -signal.SIGTERM, "canceled"),
        ("log(lineal.start_run())" + WAIT, signal.SIGINT, -signal.SIGINT, "canceled"),
        (
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\nlog(lineal.start_run())" + WAIT,
            signal.SIGTERM,
            7,
            "failed",
        ),
        (
            "signal.signal(signal.SIGTERM, lambda *_: os._exit(9))\nlog(lineal.start_run())" + WAIT,
            signal.SIGTERM,
            9,
            "running",
        ),
    ],
    ids=["exit", "error", "sys.exit", "sys.exit 3", "SIGTERM", "Ctrl-C", "own handler exits", "own handler kills"],
)
def test_nothing_logged_is_lost_however_the_process_ends(
    server: Served, client: lineal.Client, tmp_path: Path, body: str, number: int | None, code: int, status: str
) -> None:
    process = started(server, tmp_path, body)

    id, errors = ended(process, number)

    assert process.returncode == code, errors
    assert points(client, id) == list(range(2000))
    assert client.get_run(id)["status"] == status


def test_sigterm_in_the_middle_of_logging_does_not_hang(server: Served, client: lineal.Client, tmp_path: Path) -> None:
    body = "run = lineal.start_run()\nprint(run.id, flush=True)\nprint('ready', flush=True)\nstep = 0\n"
    process = started(server, tmp_path, body + "while True:\n    step += 1\n    run.log_metric('m', step, step=step)\n")

    id, _ = ended(process, signal.SIGTERM)

    logged = points(client, id)
    assert process.returncode == -signal.SIGTERM
    assert logged == list(range(1, len(logged) + 1))
    assert client.get_run(id, fields="none")["status"] == "canceled"


def test_sigterm_while_a_run_is_being_finished_waits_for_it(server: Served, client: lineal.Client, tmp_path: Path) -> None:
    body = """
run = lineal.start_run()
print(run.id, flush=True)
for step in range(20_000):
    run.log_metric("m", step, step=step)

def tell_when_it_is_being_finished():
    while run._status is None:
        pass
    print('ready', flush=True)

threading.Thread(target=tell_when_it_is_being_finished).start()
run.finish()
"""
    process = started(server, tmp_path, body)

    id, errors = ended(process, signal.SIGTERM)

    assert process.returncode == -signal.SIGTERM, errors
    assert points(client, id) == list(range(20_000))
    assert client.get_run(id, fields="none")["status"] == "succeeded"


def test_a_forked_child_reads_its_own_answers(server: Served, tmp_path: Path) -> None:
    body = """
client = lineal.Client()
runs = [client.create_run(experiment_name="forked")["id"] for _ in range(2)]
child = os.fork()
mine = runs[child == 0]
wrong = sum(client.get_run(mine)["id"] != mine for _ in range(50))
if child == 0:
    os._exit(wrong)
assert (os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), wrong) == (0, 0)
"""
    process = started(server, tmp_path, body)

    _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")


def test_a_forked_child_does_not_end_its_parents_run(server: Served, client: lineal.Client, tmp_path: Path) -> None:
    body = """
with lineal.run() as run:
    log(run)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"x")
        time.sleep(60)
    os.read(reading, 1)
    os.kill(child, signal.SIGTERM)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
    if os.fork() == 0:
        try:
            run.log_metric("m", 1)
        except lineal.LinealError as error:
            assert "another process" in str(error), error
        sys.exit(1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 1
    run.flush()
    assert run.client.get_run(run.id)["status"] == "running"
"""
    process = started(server, tmp_path, body)

    id, errors = ended(process)

    assert (process.returncode, errors) == (0, "")
    assert client.get_run(id)["status"] == "succeeded"


def test_handlers_go_with_the_last_run(client: lineal.Client) -> None:
    before = signal.getsignal(signal.SIGTERM)

    with lineal.run(client=client):
        with lineal.run(client=client, nested=True):
            during = signal.getsignal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is during is not before

    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_of_another_thread_leaves_the_signals_alone(client: lineal.Client) -> None:
    seen = []

    def log() -> None:
        with lineal.run(client=client):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=log)
    thread.start()
    thread.join()

    assert seen == [signal.getsignal(signal.SIGTERM)] == [signal.SIG_DFL]


def test_a_nested_run_is_below_the_open_one(client: lineal.Client) -> None:
    with lineal.run(experiment="outer", client=client) as outer, lineal.run(client=client, nested=True) as inner:
        pass

    found = client.get_run(inner.id)
    assert (found["parent"], found["experiment_name"]) == (outer.id, "outer")

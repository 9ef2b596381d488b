"""`lineal.run`: what is logged arrives, a run ends as its block does, refusals reach the caller, a kill loses nothing."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

import lineal
from tests.servers import Served

ROOT = Path(__file__).parents[2]


def test_a_block_logs_and_ends_its_run(server: Served) -> None:
    with lineal.Client(server.url) as client:
        with lineal.run(experiment="block", tags={"a": "b"}, client=client) as run:
            run.log_params({"lr": 0.1, "deep": True})
            for step in range(300):
                run.log_metrics({"loss": 1 / (step + 1), "odd": float("nan")}, step=step)
        found = client.get_run(run.id)
        history = list(client.metric_history(run.id, "loss"))

    assert (found["status"], found["experiment_name"], found["tags"]) == ("succeeded", "block", {"a": "b"})
    assert found["params"] == {"lr": "0.1", "deep": "True"}
    assert sorted(point["step"] for point in history) == list(range(300))
    assert {metric["key"]: metric["value"] for metric in found["metrics"]}["odd"] == "NaN"


@pytest.mark.parametrize(("error", "status"), [(ValueError, "failed"), (KeyboardInterrupt, "canceled")])
def test_a_block_that_is_left_by_an_error_ends_its_run_so(server: Served, error: type[BaseException], status: str) -> None:
    with lineal.Client(server.url) as client:
        ids = []

        def block() -> None:
            with lineal.run(experiment="block", client=client) as run:
                ids.append(run.id)
                run.log_metric("m", 1.0)
                raise error

        with pytest.raises(error):
            block()
        found = client.get_run(ids[0])

    assert found["status"] == status
    assert found["metrics"][0]["value"] == 1.0


def test_a_refused_batch_is_raised_by_flush_and_the_rest_goes_on(server: Served) -> None:
    with lineal.Client(server.url) as client, lineal.run(experiment="block", client=client) as run:
        run.log_params({"lr": 1})
        run.flush()
        run.log_params({"lr": 2})

        with pytest.raises(lineal.ApiError) as refused:
            run.flush()
        run.log_metric("after", 1.0)
        run.flush()

        assert refused.value.kind == "conflict"
        assert client.get_run(run.id)["metrics"][0]["key"] == "after"


def test_one_refused_value_takes_no_other_with_it(server: Served) -> None:
    with lineal.Client(server.url) as client:
        run = lineal.start_run(experiment="block", client=client)
        run.log_params({"lr": 1})
        run.flush()
        run.log_params({f"p{number}": number for number in range(20)} | {"lr": 2})
        run.set_tags({"t": 1})
        run.log_metrics({f"m{number}": number for number in range(20)} | {"": 0.0})

        with pytest.raises(lineal.ApiError):
            run.finish()
        found = client.get_run(run.id)

    assert found["params"] == {"lr": "1"} | {f"p{number}": str(number) for number in range(20)}
    assert {metric["key"] for metric in found["metrics"]} == {f"m{number}" for number in range(20)}
    assert (found["tags"], found["status"]) == ({"t": "1"}, "succeeded")


def test_what_cannot_be_sent_is_an_error_and_not_a_silence(server: Served) -> None:
    with lineal.Client(server.url) as client, lineal.run(experiment="block", client=client) as run:
        run.log_metrics({"m": 1.0}, at=object())  # type: ignore[arg-type]

        with pytest.raises(lineal.LinealError, match="cannot be sent"):
            run.flush()
        run.log_metric("after", 1.0)
        run.flush()

        assert [metric["key"] for metric in client.get_run(run.id)["metrics"]] == ["after"]


def test_a_run_that_ended_takes_no_more(server: Served) -> None:
    with lineal.Client(server.url) as client:
        with lineal.run(experiment="block", client=client) as run:
            pass

        with pytest.raises(lineal.LinealError, match="ended"):
            run.log_metric("m", 1.0)


def test_a_param_that_is_said_again_with_another_value_is_refused_at_any_speed(server: Served) -> None:
    with lineal.Client(server.url) as client:
        run = lineal.start_run(experiment="block", client=client)
        run.log_param("lr", 1)
        run.log_param("lr", 2)
        run.log_param("deep", True)

        with pytest.raises(lineal.ApiError) as refused:
            run.finish()

        assert refused.value.kind == "conflict"
        assert client.get_run(run.id)["params"] == {"lr": "1", "deep": "True"}


def test_a_refusal_is_told_although_the_block_ended_by_an_error(server: Served, capfd: pytest.CaptureFixture[str]) -> None:
    def block(client: lineal.Client) -> None:
        with lineal.run(experiment="block", client=client) as run:
            run.log_metric("", 1.0)
            raise ValueError("the block's")

    with lineal.Client(server.url) as client, pytest.raises(ValueError, match="the block's"):
        block(client)

    assert "metrics" in capfd.readouterr().err


@pytest.mark.parametrize("token", ["secret\u20ac", "sec\nret"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(lineal.LinealError, match="LINEAL_TOKEN") as refused:
        lineal.Client(token=token)

    assert "sec" not in str(refused.value)


def test_a_token_out_of_a_file_may_end_in_a_newline(server: Served) -> None:
    with lineal.Client(server.url, token="token\n") as client:
        assert client.transport.token == "token"


def test_a_password_in_the_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineal.transport.RETRIES", 1)

    with lineal.Client("http://user:hidden@127.0.0.1:9") as client, pytest.raises(lineal.Unreachable) as refused:
        client.get_run("run_" + "0" * 32)

    assert "http://127.0.0.1:9" in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_a_move_that_is_bound_to_what_was_there_is_not_sent_twice(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    def answer_is_lost(http: httpx.Client, method: str, path: str, **rest: object) -> httpx.Response:
        sent.append(method)
        raise httpx.ReadError("connection lost")

    monkeypatch.setattr("lineal.transport.pause", lambda _attempt: None)
    with lineal.Client(server.url) as client:
        monkeypatch.setattr(httpx.Client, "request", answer_is_lost)

        with pytest.raises(lineal.Unreachable, match="look whether"):
            client.move_alias("model_1", "champion", "mv_2", expected="mv_1")
        once = len(sent)
        with pytest.raises(lineal.Unreachable, match="cannot be reached"):
            client.move_alias("model_1", "champion", "mv_2")

    assert once == 1
    assert len(sent) > 2


def test_an_unreachable_server_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineal.transport.RETRIES", 2)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    with lineal.Client(f"http://127.0.0.1:{port}") as client, pytest.raises(lineal.Unreachable, match="cannot be reached"):
        client.get_run("run_" + "0" * 32)


def start(port: int, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "registry.main", "serve", "--http", f"127.0.0.1:{port}", "--data-dir", str(folder)]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen([*command, "--log-level", "warning"], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    assert "serving" in process.stdout.readline(), (folder / "log").read_text()
    return process


def test_20_kills_of_the_server_lose_and_double_no_acknowledged_point(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start(port, tmp_path)
    client = lineal.Client(f"http://127.0.0.1:{port}")
    run = client.create_run(experiment_name="killed")["id"]
    acknowledged: list[int] = []
    over = threading.Event()

    def write() -> None:
        step = 0
        while not over.is_set():
            point = {"key": "m", "value": float(step), "step": step, "at": step}
            client.log(run, metrics=[point])
            acknowledged.append(step)
            step += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            before = len(acknowledged)
            end = time.monotonic() + 30
            while len(acknowledged) < before + 5 and time.monotonic() < end:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            process = start(port, tmp_path)
    finally:
        over.set()
        writer.join(60)
    stored = [point["step"] for point in client.metric_history(run, "m")]
    client.close()
    process.terminate()
    process.communicate()

    command = [sys.executable, "-m", "registry.main", "check", "--data-dir", str(tmp_path)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert len(acknowledged) >= 100
    assert stored == acknowledged
    assert checked.stdout.splitlines()[-1] == "0 problems"


def test_sigterm_answers_what_has_begun_and_exits_0(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start(port, tmp_path)
    url = f"http://127.0.0.1:{port}"
    answers: list[int] = []

    def write() -> None:
        with contextlib.suppress(httpx.TransportError), httpx.Client(base_url=url) as http:
            while True:
                answers.append(http.post("/api/v1/runs", json={"experiment_name": "drained"}).status_code)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    while len(answers) < 20:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    _, _ = process.communicate(timeout=60)
    for writer in writers:
        writer.join(30)

    assert process.returncode == 0
    assert set(answers) == {201}

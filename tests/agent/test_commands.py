"""`lineal-agent translate` and `lineal-agent replay`, the second one against a real HTTP server on this machine."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from agent.kinds import translate
from agent.main import main
from agent.reading import Read
from agent.report import Report
from agent.sending import TRIES, ReportSender, SendError
from tests.agent.building import dag, node, workflow

Json = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files with three objects, one of them unreadable, and a file that is none of ours."""
    flow = workflow(dag(), node("wf.a", inside="wf"))
    (tmp_path / "b.json").write_text(json.dumps(flow))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.yaml").write_text("kind: Job\nmetadata: {name: j, uid: u}\n---\n- not an object\n")
    (tmp_path / "notes.md").write_text("# kind: Workflow\n")
    return tmp_path


def printed(capfdbinary: pytest.CaptureFixture[bytes]) -> list[Json]:
    return [json.loads(line) for line in capfdbinary.readouterr().out.decode().splitlines()]


# ---- translate ------------------------------------------------------------------------------------------------------


def test_translate_prints_one_line_per_object_in_input_order(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code = main(["translate", "--cluster", "east", str(folder / "b.json"), str(folder / "a" / "x.yaml")])

    lines = printed(capfdbinary)
    assert [line.get("object", {}).get("kind") for line in lines] == ["Workflow", "Job", None]
    assert lines[0]["object"]["cluster"] == "east"
    assert lines[2].keys() == {"file", "index", "error"}
    assert code == 1


def test_translate_walks_a_folder_in_sorted_order_and_leaves_other_files_alone(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    main(["translate", str(folder)])

    assert [line.get("object", {}).get("kind") for line in printed(capfdbinary)] == ["Job", None, "Workflow"]


def test_translate_ends_with_0_when_everything_was_read(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["translate", str(folder / "b.json")]) == 0
    assert len(printed(capfdbinary)) == 1


def test_translate_says_that_a_file_is_missing_and_goes_on(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code = main(["translate", str(folder / "none.yaml"), str(folder / "b.json")])

    lines = printed(capfdbinary)
    assert "cannot be read" in lines[0]["error"]
    assert lines[1]["object"]["name"] == "wf"
    assert code == 1


def test_translate_reads_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    content = (folder / "b.json").read_bytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    assert main(["translate", "-"]) == 0
    assert printed(capfdbinary)[0]["object"]["name"] == "wf"


def test_translate_writes_utf_8_whatever_the_locale(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "f.json").write_text(json.dumps(workflow(name="größe\ud800"), ensure_ascii=True))

    main(["translate", str(tmp_path / "f.json")])

    assert "größe\N{REPLACEMENT CHARACTER}" in capfdbinary.readouterr().out.decode()


@pytest.mark.parametrize(
    "arguments",
    [[], ["translate"], ["replay"], ["unknown"], ["replay", "--server", "ftp://x", "f"], ["translate", "--x", "f"]],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert b"usage" in capfdbinary.readouterr().err


# ---- replay ---------------------------------------------------------------------------------------------------------


class Server:
    """Answers with what is in `answers`, then with `applied`, and keeps what it was sent."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Json, Json]] = []
        self.answers: list[tuple[int, Json | str, Json]] = []
        self.connections: set[Any] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.received.append((self.path, dict(self.headers), body))
                outer.connections.add(self.client_address)
                done: Json = {"result": "applied", "run": "run_1", "warnings": []}
                status, answer, headers = outer.answers.pop(0) if outer.answers else (200, done, {})
                data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": len(data)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def a_report() -> Report:
    result = translate(Read("f", 0, workflow(dag(), node("wf.a", inside="wf"))))
    assert isinstance(result, Report)
    return result


def test_replay_posts_each_report_and_counts(server: Server, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code = main(["replay", "--server", server.url, "--token", "t0", "--workspace", "w0", "--cluster", "east", str(folder)])

    output = capfdbinary.readouterr()
    assert output.out.decode().splitlines()[-1] == "objects: 2 applied, 1 failed"
    assert code == 1
    assert b"x.yaml, document 1" in output.err
    assert {path for path, _, _ in server.received} == {"/api/v1/reports"}
    headers = server.received[0][1]
    assert headers["Authorization"] == "Bearer t0"
    assert headers["X-Lineal-Workspace"] == "w0"
    assert [body["object"]["cluster"] for _, _, body in server.received] == ["east", "east"]
    assert len(server.connections) == 1, "one connection is kept"


@pytest.mark.parametrize("result", ["applied", "stale", "unchanged"])
def test_replay_every_result_of_the_server_counts_as_applied(
    result: str, server: Server, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    server.answers = [(200, {"result": result, "run": None, "warnings": ["mind this"]}, {})]

    assert main(["replay", "--server", server.url, str(folder / "b.json")]) == 0
    output = capfdbinary.readouterr()
    assert output.out.decode() == "objects: 1 applied, 0 failed\n"
    assert b"mind this" in output.err


def test_replay_tells_why_the_server_refused_and_goes_on(
    server: Server, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    server.answers = [(422, {"type": "x", "title": "Invalid report", "detail": "tasks[0].key is missing"}, {})]

    code = main(["replay", "--server", server.url, str(folder / "b.json"), str(folder / "b.json")])

    output = capfdbinary.readouterr()
    assert output.out.decode() == "objects: 1 applied, 1 failed\n"
    assert b"Invalid report: tasks[0].key is missing" in output.err
    assert code == 1


def test_sending_tries_again_while_the_server_cannot_serve(server: Server) -> None:
    server.answers = [(503, {"title": "busy"}, {"Retry-After": "2"}), (503, "down", {})]
    pauses: list[float] = []

    with ReportSender(server.url, pause=pauses.append) as sender:
        receipt = sender.send(a_report())

    assert receipt.result == "applied"
    assert len(server.received) == 3
    assert pauses[0] == 2.0
    assert 0 < pauses[1] < 2


def ended(report: Report) -> Report:
    assert report.run is not None
    return replace(report, run=replace(report.run, state="COMPLETE"))


def test_sending_takes_the_object_along_only_when_it_is_final(server: Server) -> None:
    going_on = a_report()
    assert going_on.run is not None
    deleted = replace(going_on, object=replace(going_on.object, deleted=True), run=replace(going_on.run, state="RUNNING"))

    with ReportSender(server.url) as sender:
        for report in (replace(going_on, run=deleted.run), deleted, ended(going_on)):
            sender.send(report, {"kind": "Workflow", "é": [1]})

    assert [body.pop("source", None) for _, _, body in server.received] == [None, *[{"kind": "Workflow", "é": [1]}] * 2]
    assert server.received[2][2] == ended(going_on).to_dict()


@pytest.mark.parametrize("source", [{"a": "\x00"}, {"a": "\ud800"}, {"a": float("nan")}])
def test_sending_leaves_out_an_object_that_cannot_be_kept(server: Server, source: Json) -> None:
    with ReportSender(server.url) as sender:
        assert sender.send(ended(a_report()), source).result == "applied"

    assert [body for _, _, body in server.received] == [ended(a_report()).to_dict()]


def test_sending_leaves_out_an_object_that_is_too_large_for_the_server(server: Server) -> None:
    server.answers = [(413, {"title": "too large"}, {})]

    with ReportSender(server.url) as sender:
        receipt = sender.send(ended(a_report()), {"a": 1})

    assert receipt.result == "applied"
    assert ["source" in body for _, _, body in server.received] == [True, False]


def test_sending_does_not_repeat_what_was_refused(server: Server) -> None:
    server.answers = [(400, {"title": "bad"}, {})]

    with (
        ReportSender(server.url, pause=lambda _: None) as sender,
        pytest.raises(SendError, match="HTTP 400: bad") as error,
    ):
        sender.send(a_report())

    assert error.value.unreachable is False
    assert len(server.received) == 1


def test_sending_gives_up_after_its_tries_and_then_tries_each_further_report_once(server: Server) -> None:
    server.answers = [(503, {}, {})] * (TRIES + 1)
    pauses: list[float] = []

    with ReportSender(server.url, pause=pauses.append) as sender:
        for _ in range(2):
            with pytest.raises(SendError) as error:
                sender.send(a_report())
            assert error.value.unreachable is True
        assert len(server.received) == TRIES + 1
        assert sender.send(a_report()).result == "applied"

    assert len(pauses) == TRIES - 1


def test_sending_to_nobody_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with ReportSender(url, pause=lambda _: None) as sender, pytest.raises(SendError, match="api/v1/reports"):
        sender.send(a_report())


@pytest.mark.parametrize("answer", ["<html>", {"result": "maybe"}, [1]])
def test_sending_an_answer_that_is_no_receipt_is_an_error(answer: Any, server: Server) -> None:
    server.answers = [(200, answer, {})]

    with ReportSender(server.url) as sender, pytest.raises(SendError, match="receipt"):
        sender.send(a_report())

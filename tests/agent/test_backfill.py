"""Runs that only Kubeflow Pipelines still has reach the record: a server that speaks both versions of its API, and ours."""

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from agent.backfill import report_of, since_of
from agent.main import main
from registry.settings import Settings
from tests.agent.building import Json, dag, node, workflow
from tests.servers import Served, serving

IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(5)]


class Pipelines:
    """Runs, the newest first; pages of two. `broken`: paths that answer 500 the next times."""

    def __init__(self) -> None:
        self.runs: list[Json] = []
        self.manifests: dict[str, str] = {}
        self.broken: dict[str, int] = {}
        self.asked: list[str] = []
        self.is_old = False

    def _said(self, run: Json) -> Json:
        """In the words of the API of that age."""
        if not self.is_old:
            return run
        return {"id": run["run_id"], "name": run["display_name"], "status": run["state"].title(), "created_at": run["created_at"]}

    def add(self, id: str, created: str, manifest: str | None = None, **more: Any) -> None:
        self.runs.append({"run_id": id, "display_name": f"run {id[-1]}", "state": "SUCCEEDED", "created_at": created} | more)
        if manifest is not None:
            self.manifests[id] = manifest

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Json]:
        self.asked.append(path)
        if self.broken.get(path, 0) > 0:
            self.broken[path] -= 1
            return 500, {}
        if path == "/apis/v2beta1/runs" and self.is_old:
            return 404, {}
        if path in ("/apis/v2beta1/runs", "/apis/v1beta1/runs"):
            begin = int(query.get("page_token") or 0)
            page: Json = {"runs": [self._said(run) for run in self.runs[begin : begin + 2]]}
            return 200, page | ({"next_page_token": str(begin + 2)} if begin + 2 < len(self.runs) else {})
        id = path.rpartition("/")[2]
        if id not in self.manifests:
            return 404, {}
        return 200, {"run": {"id": id}, "pipeline_runtime": {"workflow_manifest": self.manifests[id]}}

    def __enter__(self) -> Self:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                code, body = outer.answer(parts.path, dict(urllib.parse.parse_qsl(parts.query)))
                self.send_response(code)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def manifest(id: str) -> str:
    content = workflow(
        dag("wf.a"), node("wf.a", inside="wf"), namespace="default", uid=f"1{id[1:]}", labels={"pipeline/runid": id}
    )
    return json.dumps({key: value for key, value in content.items() if key != "kind"})


@pytest.fixture
def pipelines() -> Iterator[Pipelines]:
    with Pipelines() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with serving(Settings(data_dir=str(tmp_path / "data"))) as made:
        yield made


def backfill(pipelines: Pipelines, server: Served, folder: Path) -> int:
    done = str(folder / "done.txt")
    return main(["backfill", "--kfp", pipelines.url, "--server", server.url, "--since", "9999d", "--done", done])


def runs(server: Served) -> dict[str, str]:
    return {run["name"]: run["status"] for run in httpx.get(f"{server.url}/api/v1/runs", timeout=30).json()["runs"]}


def test_runs_with_and_without_a_workflow_are_told_once(
    pipelines: Pipelines, server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipelines.add(IDS[0], "2026-03-03T00:00:00Z", manifest(IDS[0]))
    pipelines.add(IDS[1], "2026-03-02T00:00:00Z", state="FAILED", finished_at="2026-03-02T01:00:00Z")
    pipelines.add(IDS[2], "2026-03-01T00:00:00Z", state="RUNNING")

    codes = [backfill(pipelines, server, tmp_path), backfill(pipelines, server, tmp_path)]

    assert codes == [0, 0]
    assert capsys.readouterr().out == "runs: 3 told, 0 told before, 0 failed\nruns: 1 told, 2 told before, 0 failed\n"
    assert runs(server) == {"wf": "succeeded", "run 1": "failed", "run 2": "running"}
    run = f"run_{IDS[0].replace('-', '')}"
    steps = httpx.get(f"{server.url}/api/v1/runs/{run}/steps", timeout=30).json()["steps"]
    assert [step["path"] for step in steps] == ["a"]


def test_an_installation_that_knows_only_the_old_api_is_read_too(pipelines: Pipelines, server: Served, tmp_path: Path) -> None:
    pipelines.is_old = True
    for place, id in enumerate(IDS[:3]):
        pipelines.add(id, f"2026-03-0{9 - place}T00:00:00Z", manifest(id) if place == 0 else None, state="FAILED")

    assert backfill(pipelines, server, tmp_path) == 0
    assert runs(server) == {"wf": "succeeded", "run 1": "failed", "run 2": "failed"}


def test_an_interrupted_backfill_goes_on_where_it_was(pipelines: Pipelines, server: Served, tmp_path: Path) -> None:
    for place, id in enumerate(IDS):
        pipelines.add(id, f"2026-03-0{9 - place}T00:00:00Z", manifest(id))
    pipelines.broken[f"/apis/v1beta1/runs/{IDS[3]}"] = 4

    first = backfill(pipelines, server, tmp_path)
    pipelines.asked.clear()
    second = backfill(pipelines, server, tmp_path)

    assert (first, second) == (1, 0)
    assert [path for path in pipelines.asked if "v1beta1" in path] == [f"/apis/v1beta1/runs/{IDS[3]}"]
    assert len(httpx.get(f"{server.url}/api/v1/runs", timeout=30).json()["runs"]) == 5


def test_a_list_that_fails_for_good_is_said_and_what_was_told_stays(
    pipelines: Pipelines, server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipelines.broken["/apis/v2beta1/runs"] = 99

    assert backfill(pipelines, server, tmp_path) == 1
    assert "run it again to go on" in capsys.readouterr().err


def test_a_run_is_not_told_if_it_is_older(pipelines: Pipelines, server: Served, tmp_path: Path) -> None:
    pipelines.add(IDS[0], "1990-01-01T00:00:00Z", manifest(IDS[0]))
    pipelines.add(IDS[1], "1989-01-01T00:00:00Z", manifest(IDS[1]))

    backfill(pipelines, server, tmp_path)

    assert runs(server) == {}


@pytest.mark.parametrize("text", ["not json", "[1]", '{"metadata": 3}', "{}"])
def test_a_damaged_workflow_is_one_failure_or_a_run_without_tasks(
    pipelines: Pipelines, server: Served, tmp_path: Path, text: str
) -> None:
    pipelines.add(IDS[0], "2026-03-03T00:00:00Z", text)
    pipelines.add(IDS[1], "2026-03-02T00:00:00Z", manifest(IDS[1]))

    backfill(pipelines, server, tmp_path)

    assert "wf" in runs(server)


@pytest.mark.parametrize(
    ("age", "expected"), [("30d", "2026-02-01T00:00:00Z"), ("12h", "2026-03-02T12:00:00Z"), ("1w", "2026-02-24T00:00:00Z")]
)
def test_an_age_is_hours_days_or_weeks(age: str, expected: str) -> None:
    assert since_of(age, datetime(2026, 3, 3, tzinfo=UTC)) == expected


@pytest.mark.parametrize("age", ["", "30", "d", "30 d", "-1d", "30m"])
def test_another_age_is_refused(age: str) -> None:
    with pytest.raises(ValueError, match="no age"):
        since_of(age)


@pytest.mark.parametrize(
    ("said", "state"),
    [("PENDING", "NEW"), ("SUCCEEDED", "COMPLETE"), ("CANCELED", "CANCELED"), ("CANCELING", "RUNNING"), ("ELSE", "UNKNOWN")],
)
def test_states_of_the_api_are_states_of_runs(said: str, state: str) -> None:
    report, source = report_of({"run_id": IDS[0], "state": said}, {}, None)

    assert report.run is not None
    assert (report.run.state, report.run.phase, source) == (state, said, None)

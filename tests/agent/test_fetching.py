"""What an object lacks is fetched from a database, a store and a server that are really there; without them the report stays."""

import gzip
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from agent.fetching.argo_server import ArgoServer
from agent.fetching.fetcher import Fetcher, Sources
from agent.fetching.files import MAX_BYTES, Files
from agent.fetching.katib_db import KatibDb
from agent.fetching.outputs import executor_output, metrics_of
from agent.kinds import translate
from agent.reading import Read
from agent.report import Report
from agent.schema import report_schema
from agent.tokens import auth_of_file
from storage.config import open_store
from tests.agent.building import Json, artifact, dag, kfp_run, kfp_task, node, patch, workflow
from tests.agent.katib_db_server import Table, serving
from tests.agent.objects import condition, thing

START, END = "2026-06-10T09:00:00Z", "2026-06-10T09:10:00Z"


def report(content: Json) -> Report:
    found = translate(Read("test", 0, content))
    assert isinstance(found, Report), found
    return found


def shown(enriched: Report) -> Json:
    body = enriched.to_dict()
    jsonschema.Draft202012Validator(report_schema()).validate(body)
    return body


# ---- Katib --------------------------------------------------------------------------------------------------------------


def trial(latest: str = "0.10", *, state: str = "Succeeded", **metadata: Any) -> Report:
    observation = {"metrics": [{"name": "loss", "latest": latest, "min": "0.10", "max": "0.9"}]}
    status = {"conditions": [condition(state)], "startTime": START, "completionTime": END, "observation": observation}
    return report(thing("Trial", "kubeflow.org/v1beta1", {}, status, **{"name": "t-1"} | metadata))


@pytest.fixture
def table() -> Table:
    found = Table()
    found.log("t-1", "loss", ("2026-06-10T09:05:00.5Z", "0.5"), ("2026-06-10T09:01:00Z", "0.9"), ("2026-06-10T09:09:00Z", "0.10"))
    return found


@contextmanager
def katib(table: Table) -> Iterator[Fetcher]:
    with serving(table) as address:
        database = KatibDb(address)
        yield Fetcher(Sources(katib_db=database))
        database.close()


def test_the_history_of_a_trial_is_read_in_the_order_of_time_and_as_text(table: Table) -> None:
    table.log("t-2", "loss", (START, "7"))
    with katib(table) as fetcher:
        found = shown(fetcher.enrich(trial()))

    assert [(one["at"][11:], one["value"]) for one in found["run"]["history"]] == [
        ("09:01:00Z", "0.9"),
        ("09:05:00.5Z", "0.5"),
        ("09:09:00Z", "0.10"),
    ]
    assert "warnings" not in found
    assert table.asked == [("t-1", START, "2026-06-10T09:10:01Z")]


def test_all_values_of_the_last_second_are_its(table: Table) -> None:
    """Of an object's times Kubernetes keeps whole seconds, the table keeps fractions."""
    table.log("t-1", "loss", ("2026-06-10T09:10:00.7Z", "0.07"), ("2026-06-10T09:10:00Z", "0.08"), ("2026-06-10T09:10:01Z", "99"))
    with katib(table) as fetcher:
        found = shown(fetcher.enrich(trial("0.07")))

    assert [one["value"] for one in found["run"]["history"]] == ["0.9", "0.5", "0.10", "0.08", "0.07"]
    assert "warnings" not in found


def test_values_without_a_time_are_taken_in_their_order_where_one_trial_has_that_name() -> None:
    """Katib's collectors give Go's zero time to a line that begins with none."""
    table = Table()
    table.log("t-1", "loss", *(("0001-01-01T00:00:00Z", value) for value in ("0.9", "0.05", "0.10")))
    with katib(table) as fetcher:
        found = shown(fetcher.enrich(trial()))
        later = trial(namespace="other", uid="2222")
        assert later.run is not None
        moved = replace(later, run=replace(later.run, started_at="2026-07-10T09:00:00Z", finished_at="2026-07-10T09:10:00Z"))
        other = shown(fetcher.enrich(moved))

    assert [(one["at"], one["value"]) for one in found["run"]["history"]] == [(END, "0.9"), (END, "0.05"), (END, "0.10")]
    assert "warnings" not in found
    assert "history" not in other["run"]


def test_values_of_a_trial_of_the_same_name_that_ran_before_are_not_its(table: Table) -> None:
    table.log("t-1", "loss", ("2026-06-09T09:01:00Z", "99"), ("2026-06-11T09:01:00Z", "98"))
    with katib(table) as fetcher:
        found = fetcher.enrich(trial())

    assert found.run is not None
    assert {one.value for one in found.run.history} == {"0.9", "0.5", "0.10"}


def test_two_trials_of_one_name_at_one_time_are_not_told_apart(table: Table) -> None:
    with katib(table) as fetcher:
        fetcher.enrich(trial())
        found = shown(fetcher.enrich(trial(namespace="other", uid="2222")))

    assert "history" not in found["run"]
    assert any("not told apart" in line for line in found["warnings"])


def test_a_history_that_does_not_end_with_what_the_object_says_is_another_trial_s(table: Table) -> None:
    with katib(table) as fetcher:
        found = shown(fetcher.enrich(trial("0.2")))

    assert "history" not in found["run"]
    assert len(found["warnings"]) == 1


def test_a_trial_whose_log_is_gone_keeps_latest_min_and_max_with_a_warning() -> None:
    with katib(Table()) as fetcher:
        found = shown(fetcher.enrich(trial()))

    assert found["run"]["metrics"] == {"loss": {"latest": "0.10", "max": "0.9", "min": "0.10"}}
    assert any("is gone" in line for line in found["warnings"])


def test_a_trial_that_runs_is_not_asked_for(table: Table) -> None:
    with katib(table) as fetcher:
        fetcher.enrich(trial(state="Running"))

    assert table.asked == []


def test_a_database_that_is_away_is_a_warning(table: Table) -> None:
    table.fails = True
    with katib(table) as fetcher:
        found = shown(fetcher.enrich(trial()))

    assert any("was not read" in line for line in found["warnings"])


# ---- files --------------------------------------------------------------------------------------------------------------


def put(folder: Path, uri: str, data: bytes) -> None:
    store = open_store(f"file://{folder}")
    store.prepare()
    store.put(uri.removeprefix("s3://"), [data])


def packed(content: object, name: str = "data") -> bytes:
    text = json.dumps(content).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return out.getvalue()


METRICS = {"metrics": [{"name": "accuracy", "numberValue": 0.9, "format": "PERCENTAGE"}, {"name": "bad", "numberValue": "x"}]}
VIEWS = {"outputs": [{"type": "markdown", "source": "# hi"}]}


def v1_run() -> Json:
    made = [
        {"name": "mlpipeline-metrics", "s3": {"bucket": "b", "key": "w/metrics.tgz"}},
        {"name": "mlpipeline-ui-metadata", "s3": {"bucket": "b", "key": "w/ui.tgz"}},
    ]
    return workflow(dag("wf.a"), node("wf.a", inside="wf", outputs={"artifacts": made}))


def files(folder: Path) -> Fetcher:
    return Fetcher(Sources(files=Files(f"file://{folder}")))


@pytest.mark.parametrize(
    "pack", [packed, lambda content: json.dumps(content).encode(), lambda c: gzip.compress(json.dumps(c).encode())]
)
def test_metrics_and_views_of_a_v1_task_are_read_from_the_store(tmp_path: Path, pack: Any) -> None:
    put(tmp_path, "s3://b/w/metrics.tgz", pack(METRICS))
    put(tmp_path, "s3://b/w/ui.tgz", pack(VIEWS))

    found = shown(files(tmp_path).enrich(report(v1_run())))

    assert found["tasks"][0]["fetched"] == {
        "metrics": {"mlpipeline-metrics/accuracy": 0.9},
        "visualizations": [{"type": "markdown", "source": "# hi"}],
    }
    assert "warnings" not in found


@pytest.mark.parametrize("data", [None, b"", b"not json", b"\x1f\x8bbroken", b"[" * 100_000, gzip.compress(b" " * 3 * MAX_BYTES)])
def test_a_file_that_is_missing_damaged_or_too_large_is_a_warning(tmp_path: Path, data: bytes | None) -> None:
    put(tmp_path, "s3://b/w/ui.tgz", packed(VIEWS))
    if data is not None:
        put(tmp_path, "s3://b/w/metrics.tgz", data)

    found = shown(files(tmp_path).enrich(report(v1_run())))

    assert "metrics" not in found["tasks"][0]["fetched"]
    assert any("was not read" in line for line in found["warnings"])


def test_a_file_is_read_once_however_often_its_workflow_changes(tmp_path: Path) -> None:
    put(tmp_path, "s3://b/w/metrics.tgz", packed(METRICS))
    put(tmp_path, "s3://b/w/ui.tgz", packed(VIEWS))
    fetcher = files(tmp_path)
    first = fetcher.enrich(report(v1_run()))
    put(tmp_path, "s3://b/w/metrics.tgz", b"gone")

    assert fetcher.enrich(report(v1_run())) == first


def test_names_of_the_two_outputs_are_known_in_every_spelling() -> None:
    assert metrics_of({"metrics": [{"name": "a", "numberValue": float("nan")}, 3, {"name": "b", "numberValue": 1}]}) == {"b": 1}
    assert metrics_of([]) == metrics_of({"metrics": 3}) == {}


def v2_run() -> Json:
    outputs = {"metrics": artifact("s3://b/m", "system.Metrics"), "model": artifact("s3://b/model", "system.Model")}
    content = kfp_run(*kfp_task("train", "wf.root", pod_spec_patch=patch(outputs=outputs)))
    logs = {"artifacts": [{"name": "main-logs", "s3": {"bucket": "b", "key": "w/main.log"}}]}
    content["status"]["nodes"]["wf.root.train.executor"]["outputs"] = logs
    return content


OUTPUT = {
    "parameterValues": {"rows": 7, "note": "a {brace}"},
    "artifacts": {
        "metrics": {"artifacts": [{"metadata": {"accuracy": 0.9, "display_name": "m"}}]},
        "model": {"artifacts": [{"metadata": {"framework": "sklearn"}}]},
    },
}
LOG = "I0610 launcher: start\nExecutorOutput: {broken\nI0610 ExecutorOutput: " + json.dumps(OUTPUT, indent=2) + "\nI0610 done\n"


@pytest.mark.parametrize(
    "pack", [str.encode, lambda log: gzip.compress(log.encode()), lambda log: b"x" * 2 * MAX_BYTES + log.encode()]
)
def test_the_output_of_a_v2_executor_is_read_from_the_end_of_its_log(tmp_path: Path, pack: Any) -> None:
    put(tmp_path, "s3://b/w/main.log", pack(LOG))

    found = shown(files(tmp_path).enrich(report(v2_run())))

    [task] = found["tasks"]
    assert task["fetched"] == {
        "parameters": {"note": "a {brace}", "rows": 7},
        "metrics": {"metrics/accuracy": 0.9},
        "metadata": {"model": {"framework": "sklearn"}},
    }


@pytest.mark.parametrize(
    "log", [b"", b"ExecutorOutput: ", b"ExecutorOutput: {", b"ExecutorOutput: [1]", b"\xff\xfe ExecutorOutput: {}"]
)
def test_a_log_without_an_output_says_nothing(log: bytes) -> None:
    assert executor_output(log) == {}


# ---- Argo's server ------------------------------------------------------------------------------------------------------


@contextmanager
def argo(answers: dict[str, Json], *, auth: httpx.Auth | None = None, accepts: str | None = None) -> Iterator[Fetcher]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if accepts is not None and self.headers["Authorization"] != f"Bearer {accepts}":
                self.send_response(401)
                self.end_headers()
                return
            found = answers.get(self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = ArgoServer(f"http://127.0.0.1:{server.server_port}", auth=auth)
    try:
        yield Fetcher(Sources(argo_server=client))
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


def offloaded() -> tuple[Json, Json]:
    """The object, and what the server has of it."""
    whole = workflow(dag("wf.a"), node("wf.a", inside="wf"))
    kept = json.loads(json.dumps(whole))
    kept["status"] = {key: value for key, value in whole["status"].items() if key != "nodes"} | {
        "offloadNodeStatusVersion": "fnv:1"
    }
    whole["status"]["offloadNodeStatusVersion"] = "fnv:1"
    return kept, whole


def test_offloaded_nodes_are_read_from_argos_server() -> None:
    kept, whole = offloaded()
    with argo({"/api/v1/workflows/team/wf": whole}) as fetcher:
        content, lines = fetcher.complete(kept)

    assert lines == ()
    assert [task.key for task in report(content).tasks] == ["a"]
    assert report(kept).tasks == ()


def test_a_token_for_argos_server_that_was_rotated_is_read_again(tmp_path: Path) -> None:
    kept, whole = offloaded()
    file = tmp_path / "token"
    file.write_text("old")
    auth = auth_of_file(str(file))
    with argo({"/api/v1/workflows/team/wf": whole}, auth=auth, accepts="new") as fetcher:
        _, refused = fetcher.complete(kept)
        file.write_text("new")
        content, lines = fetcher.complete(kept)

    assert refused == ("The nodes were not read from Argo's server: HTTP 401.",)
    assert lines == ()
    assert [task.key for task in report(content).tasks] == ["a"]


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"uid": "another"}},
        {"status": {"nodes": {"a": {}}, "offloadNodeStatusVersion": "fnv:2"}},
        {"status": {}},
        None,
    ],
)
def test_nodes_of_another_workflow_or_picture_are_not_taken(change: Json | None) -> None:
    kept, whole = offloaded()
    answers = {} if change is None else {"/api/v1/workflows/team/wf": whole | change}
    with argo(answers) as fetcher:
        content, lines = fetcher.complete(kept)

    assert content == kept
    assert len(lines) == 1


def test_without_sources_nothing_changes() -> None:
    fetcher = Fetcher(Sources())
    kept, _ = offloaded()

    assert fetcher.complete(kept) == (kept, ())
    assert fetcher.enrich(trial()) == trial()
    assert fetcher.enrich(report(v1_run())) == report(v1_run())

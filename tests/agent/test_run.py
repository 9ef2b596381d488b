"""`lineal-agent run` from end to end: a scripted API server, the agent as a process, and a server of ours."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.kinds import translate
from agent.reading import Read
from agent.report import Report
from agent.sending import ReportSender
from registry.catalog.dumping import canonical
from registry.db.runner import Runner
from registry.settings import Settings
from tests.agent.building import dag, node, workflow
from tests.agent.fake_api import FakeApi, answers, first
from tests.agent.katib_db_server import Table
from tests.agent.katib_db_server import serving as katib_serving
from tests.agent.objects import condition, thing
from tests.agent.running import ROOT, AgentProcess, kubeconfig, wait_until
from tests.faults.proxy import Mode, Proxy
from tests.servers import Served, serving

QUICK = ("--kinds", "Workflow", "--namespaces", "default")


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(watch_s=0.5).serving() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with serving(Settings(data_dir=str(tmp_path / "data"))) as made:
        yield made


def agent_of(api: FakeApi, server: str, folder: Path, *flags: str) -> AgentProcess:
    return AgentProcess(folder, server, kubeconfig(folder, api.url), *QUICK, *flags)


def run_of(name: str, phase: str, *tasks: tuple[str, str], **metadata: Any) -> dict[str, Any]:
    """A Workflow with these tasks."""
    nodes = [node(f"{name}.{task}", phase=state, inside=name, displayName=task) for task, state in tasks]
    root = dag(*(one["id"] for one in nodes), phase=phase, name=name)
    made = workflow(root, *nodes, phase=phase, name=name, namespace="default", **metadata)
    if "uid" not in metadata:
        del made["metadata"]["uid"]
    return made


def runs(server: Served, workspace: str = "default") -> dict[str, str]:
    """Name and status."""
    headers = {"X-Lineal-Workspace": workspace}
    found = httpx.get(f"{server.url}/api/v1/runs", headers=headers, timeout=30).json().get("runs", [])
    return {run["name"]: run["status"] for run in found}


def test_runs_follow_their_workflows_to_the_end(api: FakeApi, server: Served, tmp_path: Path) -> None:
    api.put(run_of("old", "Succeeded", ("a", "Succeeded")))

    with agent_of(api, server.url, tmp_path) as agent:
        wait_until(lambda: runs(server) == {"old": "succeeded"})
        api.put(run_of("new", "Running", ("a", "Running")))
        wait_until(lambda: runs(server).get("new") == "running")
        api.put(run_of("new", "Failed", ("a", "Failed")))
        wait_until(lambda: runs(server).get("new") == "failed")
        api.put(run_of("cut", "Running", ("a", "Running")))
        wait_until(lambda: runs(server).get("cut") == "running")
        api.delete("cut")
        wait_until(lambda: runs(server).get("cut") == "canceled")
        code = agent.stop()

    assert code == 0
    assert {request.verb for request in api.requests} <= {"LIST", "WATCH", "GET"}


def test_what_happened_while_the_agent_was_dead_is_told_when_it_starts(api: FakeApi, server: Served, tmp_path: Path) -> None:
    for name in ("ends", "goes", "stays"):
        api.put(run_of(name, "Running", ("a", "Running")))

    with agent_of(api, server.url, tmp_path) as agent:
        wait_until(lambda: len(runs(server)) == 3)
        wait_until(lambda: bool(positions(tmp_path)))
        agent.kill()
        api.put(run_of("ends", "Succeeded", ("a", "Succeeded")))
        api.delete("goes")
        agent.start()
        wait_until(lambda: runs(server) == {"ends": "succeeded", "goes": "canceled", "stays": "running"})
        relists = agent.metric("relists_total")

    assert relists == 0
    assert closed(server, "goes") == ("The Kubernetes object was deleted before it ended.", ["canceled"])


def closed(server: Served, name: str) -> tuple[str, list[str]]:
    """Why the run ended, and the states of its steps."""
    with httpx.Client(base_url=f"{server.url}/api/v1", timeout=30) as client:
        [run] = client.get("/runs", params={"filter": f"name = '{name}'"}).json()["runs"]
        steps = client.get(f"/runs/{run['id']}/steps").json()["steps"]
    return run["tags"]["lineal.reason"], [step["status"] for step in steps]


def positions(folder: Path) -> list[Any]:
    with sqlite3.connect(folder / "state" / "agent.db") as disk:
        return disk.execute("SELECT * FROM positions").fetchall()


def test_after_a_gap_without_history_what_went_is_canceled(api: FakeApi, server: Served, tmp_path: Path) -> None:
    for name in ("goes", "stays"):
        api.put(run_of(name, "Running", ("a", "Running")))

    with agent_of(api, server.url, tmp_path) as agent:
        wait_until(lambda: len(runs(server)) == 2)
        wait_until(lambda: bool(positions(tmp_path)))
        agent.kill()
        api.delete("goes")
        api.compact()
        agent.start()
        wait_until(lambda: runs(server) == {"goes": "canceled", "stays": "running"})
        relists = agent.metric("relists_total")

    assert relists == 1
    assert closed(server, "goes") == ("The Kubernetes object was deleted before it ended.", ["canceled"])


def test_while_the_server_is_away_nothing_is_lost(api: FakeApi, server: Served, tmp_path: Path) -> None:
    """The agent is killed meanwhile, and objects end and go, so that only its disk knows of them."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with Proxy((host, int(port))) as proxy, agent_of(api, proxy.url, tmp_path) as agent:
        api.put(run_of("before", "Running", ("a", "Running")))
        wait_until(lambda: len(runs(server)) == 1)
        proxy.mode = Mode.AWAY
        api.put(run_of("before", "Succeeded", ("a", "Succeeded")))
        for number in range(5):
            api.put(run_of(f"w{number}", "Succeeded", ("a", "Succeeded")))
        wait_until(lambda: agent.metric("spooled_bytes", None) > 0 and agent.metric("queue_depth") >= 6)
        healthy = agent.get("/healthz")[0]
        wait_until(lambda: bool(positions(tmp_path)))
        agent.kill()
        for name in ("before", *(f"w{number}" for number in range(5))):
            api.delete(name)
        api.compact()
        proxy.mode = Mode.PASS
        agent.start()
        wait_until(lambda: list(runs(server).values()) == ["succeeded"] * 6)
        agent.wait_idle()
        left = agent.metric("spooled_bytes", None)

    assert healthy == 200
    assert left == 0


def test_sigterm_sends_what_waits(api: FakeApi, server: Served, tmp_path: Path) -> None:
    with agent_of(api, server.url, tmp_path) as agent:
        wait_until(lambda: agent.metric("last_heard_timestamp_seconds") > 0)
        for number in range(30):
            api.put(run_of(f"w{number}", "Succeeded", ("a", "Succeeded")))
        wait_until(lambda: agent.metric("watch_events_total") >= 30)
        agent.stop()

    assert len(runs(server)) == 30


def test_two_agents_at_once_are_harmless(api: FakeApi, server: Served, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with agent_of(api, server.url, folders[0]) as one, agent_of(api, server.url, folders[1]) as two:
        for phase in ("Running", "Succeeded"):
            for number in range(5):
                api.put(run_of(f"w{number}", phase, ("a", phase), ("b", phase)))
        api.put(run_of("cut", "Running", ("a", "Running")))
        wait_until(lambda: len(runs(server)) == 6)
        api.delete("cut")
        wait_until(lambda: set(runs(server).values()) == {"succeeded", "canceled"})
        one.wait_idle()
        two.wait_idle()
        told = sum(one.metric("watch_events_total") for one in (one, two))

    assert told >= 12
    assert dump(server.services.runner) == replayed(api, tmp_path / "replayed")


def dump(runner: Runner) -> list[Any]:
    return runner.read(lambda session: list(canonical(session)))


def replayed(api: FakeApi, folder: Path, cluster: str | None = None) -> list[Any]:
    """The canonical dump of an empty store into which every event of the API server went, in order."""
    with serving(Settings(data_dir=str(folder))) as empty, ReportSender(empty.url) as sender:
        for type, content in api.events():
            report = translate(Read("log", 0, content, deleted=type == "DELETED"), cluster)
            assert isinstance(report, Report)
            sender.send(report, content)
        return dump(empty.services.runner)


def test_the_store_is_that_of_a_replay_of_the_same_events(api: FakeApi, server: Served, tmp_path: Path) -> None:
    with agent_of(api, server.url, tmp_path, "--cluster", "west") as agent:
        wait_until(lambda: agent.metric("last_heard_timestamp_seconds") > 0)
        for name in ("a", "b", "c"):
            api.put(run_of(name, "Running", ("x", "Succeeded"), ("y", "Running")))
        api.put(run_of("a", "Failed", ("x", "Succeeded"), ("y", "Failed")))
        api.put(run_of("a", "Running", ("x", "Succeeded")))
        api.delete("b")
        api.put(run_of("c", "Succeeded", ("x", "Succeeded"), ("y", "Succeeded"), ("z", "Succeeded")))
        wait_until(lambda: runs(server) == {"a": "running", "b": "canceled", "c": "succeeded"})
        agent.wait_idle()

    assert dump(server.services.runner) == replayed(api, tmp_path / "replayed", "west")


def test_a_report_that_is_refused_goes_to_a_file_and_a_metric(api: FakeApi, server: Served, tmp_path: Path) -> None:
    bad = run_of("n" * 600, "Running", ("a", "Running"))

    with agent_of(api, server.url, tmp_path) as agent:
        api.put(bad)
        api.put(run_of("good", "Running", ("a", "Running")))
        wait_until(lambda: "good" in runs(server))
        wait_until(lambda: agent.metric("dead_letters_total") == 1)

    [letter] = map(json.loads, (tmp_path / "state" / "dead-letters.jsonl").read_text().splitlines())
    assert letter["name"] == "n" * 600
    assert "at most 512" in letter["reason"]


def test_health_fails_on_a_watch_that_hears_nothing(api: FakeApi, server: Served, tmp_path: Path) -> None:
    with agent_of(api, server.url, tmp_path, "--stale-s", "1") as agent:
        wait_until(lambda: agent.get("/healthz")[0] == 200 and agent.metric("last_heard_timestamp_seconds") > 0)
        api.fail("WATCH", *[answers(403, "Forbidden", "not allowed")] * 1000)
        wait_until(lambda: agent.get("/healthz")[0] == 503)
        _, said = agent.get("/healthz")
        api.faults.clear()
        wait_until(lambda: agent.get("/healthz")[0] == 200)

    [stale] = json.loads(said)["stale"]
    assert (stale["kind"], stale["namespace"]) == ("Workflow", "default")
    assert "not allowed" in stale["last_failure"]


def test_a_finished_pipeline_is_marked_once_it_is_kept(api: FakeApi, server: Served, tmp_path: Path) -> None:
    run_id = "0f6f9d5e-0000-4000-8000-00000000000a"
    with agent_of(api, server.url, tmp_path, "--mark-persisted") as agent:
        api.put(run_of("pipeline", "Running", ("a", "Running"), labels={"pipeline/runid": run_id}))
        api.put(run_of("plain", "Succeeded", ("a", "Succeeded")))
        wait_until(lambda: len(runs(server)) == 2)
        unmarked = not api.asked("PATCH")
        api.put(run_of("pipeline", "Succeeded", ("a", "Succeeded"), labels={"pipeline/runid": run_id}))
        wait_until(lambda: agent.metric("marked_total", None) == 1)
        agent.wait_idle()

    assert unmarked
    assert len(api.asked("PATCH")) == 1
    assert api.labels("pipeline") == {"pipeline/runid": run_id, "pipeline/persistedFinalState": "true"}


def test_a_pipeline_that_has_changed_meanwhile_is_not_marked(api: FakeApi, server: Served, tmp_path: Path) -> None:
    """It was started again just then: its next state is on its way, and is marked when that is final."""
    labels = {"pipeline/runid": "0f6f9d5e-0000-4000-8000-00000000000b"}
    api.fail("PATCH", first(lambda: api.put(run_of("pipeline", "Running", ("a", "Running"), labels=labels))))

    with agent_of(api, server.url, tmp_path, "--mark-persisted") as agent:
        api.put(run_of("pipeline", "Succeeded", ("a", "Succeeded"), labels=labels))
        wait_until(lambda: len(api.asked("PATCH")) == 1 and runs(server).get("pipeline") == "running")
        marked = agent.metric("marked_total", None)

    assert marked == 0
    assert api.labels("pipeline") == labels


def test_logs_are_json_lines(api: FakeApi, server: Served, tmp_path: Path) -> None:
    with agent_of(api, server.url, tmp_path) as agent:
        api.fail("WATCH", answers(500))
        wait_until(lambda: agent.metric("watch_failures_total") >= 1)

    lines = [json.loads(line) for line in agent.log().splitlines()]
    assert {"at", "level", "logger", "message"} <= set(lines[0])
    assert any(line.get("kind") == "Workflow" for line in lines)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--server", "nowhere"), "server: 'nowhere' is not an address"),
        (("--kinds", "Workflow,Pod"), "kinds: there is no Pod"),
        (("--http", "8081"), "http: '8081' is not HOST:PORT"),
        (("--lease", "name"), "lease: 'name' is not NAMESPACE/NAME"),
        (("--writers", "0"), "writers: 0 is not possible"),
        (("--kubeconfig", "/no/such/file"), "there is no kubeconfig"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(flags: tuple[str, str], says: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent.main", "run", "--state-dir", str(tmp_path), *flags]
    environ = {"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig(tmp_path, "http://127.0.0.1:9"))}

    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert done.stderr.startswith("lineal-agent: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_ends_it_too(api: FakeApi, server: Served, tmp_path: Path) -> None:
    with agent_of(api, server.url, tmp_path) as agent:
        wait_until(lambda: agent.metric("last_heard_timestamp_seconds") > 0)

        assert agent._end(signal.SIGINT) == 0


def test_what_a_finished_trial_lacks_is_told_when_it_was_fetched(api: FakeApi, server: Served, tmp_path: Path) -> None:
    table = Table()
    table.fails = True
    table.log("t-1", "loss", ("2026-06-10T09:01:00Z", "0.9"), ("2026-06-10T09:09:00Z", "0.1"))
    status: dict[str, Any] = {
        "conditions": [condition("Succeeded")],
        "startTime": "2026-06-10T09:00:00Z",
        "completionTime": "2026-06-10T09:10:00Z",
    }
    status |= {"observation": {"metrics": [{"name": "loss", "latest": "0.1", "min": "0.1", "max": "0.9"}]}}
    api.served.add(("kubeflow.org", "v1beta1", "trials"))
    made = thing("Trial", "kubeflow.org/v1beta1", {}, status, name="t-1", namespace="default")
    api.put(made, "trials")

    def history() -> list[float]:
        [run] = httpx.get(f"{server.url}/api/v1/runs", timeout=30).json()["runs"] or [{"id": "run_" + "0" * 32}]
        points = httpx.get(f"{server.url}/api/v1/runs/{run['id']}/metrics/loss", timeout=30).json().get("metrics", [])
        return [point["value"] for point in points]

    with katib_serving(table) as address:
        flags = ("--kinds", "Trial", "--katib-db", address)
        with AgentProcess(tmp_path, server.url, kubeconfig(tmp_path, api.url), "--namespaces", "default", *flags):
            wait_until(lambda: history() == [0.1])
            table.fails = False
            wait_until(lambda: history() == [0.9, 0.1])

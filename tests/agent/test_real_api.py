"""On a real API server: scenarios with faults, what the agent asks of it, and what the scripted server has in common with it."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from registry.settings import Settings
from tests.agent.fake_api import FakeApi
from tests.agent.recording import RecordingProxy
from tests.agent.running import AgentProcess, kubeconfig, wait_until
from tests.agent.scenarios import FAULT_LIST, Installed, Sample, cluster_with, play
from tests.agent.test_run import run_of, runs
from tests.agent.watching import access_to, watching
from tests.servers import serving
from tests.services.kubernetes import TOKEN, KubeCluster, kube_assets
from tests.services.servers import required

Json = dict[str, Any]
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows"


class Real:
    def __init__(self, cluster: KubeCluster, samples: list[Sample], known: dict[str, Installed]) -> None:
        self.cluster, self.samples, self.known = cluster, samples, known


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    assets = kube_assets()
    samples = Path(required("LINEAL_SAMPLES", "a folder of recorded Kubernetes objects, which are not in this repository"))
    with cluster_with(samples, tmp_path_factory.mktemp("cluster"), assets) as made:
        yield Real(*made)


@pytest.fixture
def namespace(real: Real) -> str:
    name = f"test-{time.monotonic_ns() % 10**9}"
    real.cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.mark.slow
@pytest.mark.parametrize("number", range(int(os.environ.get("LINEAL_AGENT_SCENARIOS") or 1)))
def test_the_record_is_that_of_a_replay_whatever_dies_meanwhile(number: int, real: Real, tmp_path: Path) -> None:
    seed = os.environ.get("LINEAL_AGENT_SEED") or "ci"

    found = play(real.cluster, real.samples, real.known, tmp_path, f"{seed}/{number}")

    assert found.difference == ()
    assert found.events > len(FAULT_LIST)


def test_the_agent_only_reads(real: Real, namespace: str, tmp_path: Path) -> None:
    """A proxy in front of the API server writes down what it is asked."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with (
        RecordingProxy(real.cluster.url, real.cluster.context, headers).serving() as proxy,
        serving(Settings(data_dir=str(tmp_path / "data"))) as server,
        AgentProcess(tmp_path, server.url, kubeconfig(tmp_path, proxy.url), "--namespaces", namespace) as agent,
    ):
        wait_until(lambda: agent.metric("last_heard_timestamp_seconds") > 0)
        create(real, namespace, run_of("w", "Running", ("a", "Running")))
        wait_until(lambda: runs(server, namespace) == {"w": "running"})
        real.cluster.call("DELETE", f"{WORKFLOWS.format(namespace)}/w")
        wait_until(lambda: runs(server, namespace) == {"w": "canceled"})
        agent.stop()
        asked = {one.method for one in proxy.passed}

    assert asked == {"GET"}


def create(real: Real, namespace: str, content: Json) -> Json:
    content = {**content, "apiVersion": "argoproj.io/v1alpha1"}
    content["metadata"] = {**content["metadata"], "namespace": namespace}
    return real.cluster.call("POST", WORKFLOWS.format(namespace), content)


def test_a_finished_pipeline_is_marked_on_a_real_server(real: Real, namespace: str, tmp_path: Path) -> None:
    labels = {"pipeline/runid": "0f6f9d5e-0000-4000-8000-00000000000c"}
    flags = ("--namespaces", namespace, "--kinds", "Workflow", "--mark-persisted")
    with (
        serving(Settings(data_dir=str(tmp_path / "data"))) as server,
        AgentProcess(tmp_path, server.url, real.cluster.kubeconfig(), *flags) as agent,
    ):
        create(real, namespace, run_of("w", "Succeeded", ("a", "Succeeded"), labels=labels))
        wait_until(lambda: agent.metric("marked_total", None) == 1)
        kept = real.cluster.call("GET", f"{WORKFLOWS.format(namespace)}/w")

    assert kept["metadata"]["labels"] == {**labels, "pipeline/persistedFinalState": "true"}


def test_one_of_two_agents_with_a_lease_is_at_work_and_the_other_takes_over(real: Real, namespace: str, tmp_path: Path) -> None:
    flags = ("--namespaces", namespace, "--kinds", "Workflow", "--lease", f"{namespace}/lineal-agent")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        serving(Settings(data_dir=str(tmp_path / "data"))) as server,
        AgentProcess(folders[0], server.url, real.cluster.kubeconfig(), *flags) as one,
    ):
        wait_until(lambda: one.metric("last_heard_timestamp_seconds") > 0)
        with AgentProcess(folders[1], server.url, real.cluster.kubeconfig(), *flags) as two:
            create(real, namespace, run_of("first", "Running", ("a", "Running")))
            wait_until(lambda: runs(server, namespace) == {"first": "running"})
            idle = two.metric("watch_events_total")
            one.stop()
            create(real, namespace, run_of("second", "Running", ("a", "Running")))
            wait_until(lambda: runs(server, namespace) == {"first": "running", "second": "running"})

    assert idle == 0


# ---- both servers ---------------------------------------------------------------------------------------------------


@contextmanager
def playing(which: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server with one way to put, to delete and to be watched."""
    if which == "scripted":
        with FakeApi().serving() as api:
            yield api
        return
    yield _RealApi(request.getfixturevalue("real"), request.getfixturevalue("namespace"))


class _RealApi:
    def __init__(self, real: Real, namespace: str) -> None:
        self._real, self._path, self.namespace = real, WORKFLOWS.format(namespace), namespace
        self.url = real.cluster.url
        self._versions: dict[str, str] = {}

    def put(self, content: Json) -> Json:
        name = content["metadata"]["name"]
        content = json.loads(json.dumps(content)) | {"apiVersion": "argoproj.io/v1alpha1"}
        content["metadata"]["namespace"] = self.namespace
        if name in self._versions:
            content["metadata"]["resourceVersion"] = self._versions[name]
            kept = self._real.cluster.call("PUT", f"{self._path}/{name}", content)
        else:
            kept = self._real.cluster.call("POST", self._path, content)
        self._versions[name] = kept["metadata"]["resourceVersion"]
        return kept

    def delete(self, name: str) -> None:
        self._real.cluster.call("DELETE", f"{self._path}/{name}")


@pytest.mark.parametrize("which", ["scripted", "real"])
def test_a_life_is_told_alike(which: str, request: pytest.FixtureRequest) -> None:
    with playing(which, request) as api:
        if which == "real":
            real: Real = request.getfixturevalue("real")
            options = {"namespace": api.namespace, "access": access_to(api.url, context=real.cluster.context, token=TOKEN)}
        else:
            options = {}
        api.put(run_of("there", "Running"))
        api.put(run_of("leaves", "Running", labels={"team": "a"}))
        with watching(api, **options) as told:
            told.wait(lambda: told.figures.synced)
            api.put(run_of("comes", "Running"))
            api.put(run_of("there", "Succeeded"))
            api.delete("comes")
            told.wait_for(("deleted", "comes"))
            told.wait(lambda: told.of("there") != told.of("there")[:1])

    assert sorted(told.short) == [
        ("changed", "comes"),
        ("changed", "leaves"),
        ("changed", "there"),
        ("changed", "there"),
        ("deleted", "comes"),
    ]

"""`make demo-cluster`: a throwaway API server, the agent beside it, and the objects of `examples/` played through their states.

Ends with the way from a served model back to its data, and `demo-cluster: ok, N checks`. Needs KUBEBUILDER_ASSETS (etcd,
kube-apiserver, kubectl) and LINEAL_SAMPLES (the resource definitions).
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from agent.kinds import find_kind
from agent.reading import Read, read_file
from registry.settings import Settings
from tests.agent.running import AgentProcess, wait_until
from tests.agent.scenarios import Installed, Life, Namespace, Sample, installed, states_of
from tests.servers import serving
from tests.services.kubernetes import KubeCluster

HERE = Path(__file__).parent
OBJECTS = [*sorted((HERE.parent / "objects").glob("*.yaml")), HERE / "service.yaml"]


class Checks:
    def __init__(self) -> None:
        self.number = 0

    def that(self, what: str, holds: Callable[[], bool]) -> None:
        """Waits for it, as whoever watches would."""
        wait_until(holds, what)
        self.number += 1
        print(f"demo-cluster: {what}", flush=True)


def main() -> int:
    missing = [name for name in ("KUBEBUILDER_ASSETS", "LINEAL_SAMPLES") if not os.environ.get(name)]
    if missing:
        print(f"demo-cluster: needs {', '.join(missing)}", file=sys.stderr)
        return 2
    known, began = installed(Path(os.environ["LINEAL_SAMPLES"])), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lineal-demo-cluster.") as scratch:
        folder = Path(scratch)
        cluster = KubeCluster(folder / "cluster", Path(os.environ["KUBEBUILDER_ASSETS"]))
        try:
            cluster.start()
            lives = [life_of(file, known) for file in OBJECTS]
            used = {life.sample.kind.name for life in lives}
            cluster.install([one.crd for name, one in known.items() if name in used])
            print(
                f"demo-cluster: an API server with {', '.join(sorted(used))}, after {time.monotonic() - began:.0f} s", flush=True
            )
            checks = play(cluster, folder, lives, {name: known[name] for name in used})
        finally:
            cluster.stop()
    print(f"demo-cluster: ok, {checks.number} checks")
    return 0


def life_of(file: Path, known: dict[str, Installed]) -> Life:
    [read] = [one for one in read_file(str(file)) if isinstance(one, Read)]
    kind = find_kind(read.content["kind"], read.content["apiVersion"])
    assert kind is not None, file
    states = tuple(states_of(known[kind.name].kind, read.content))
    return Life(Sample(known[kind.name].kind, states), read.content["metadata"]["name"])


def play(cluster: KubeCluster, folder: Path, lives: list[Life], known: dict[str, Installed]) -> Checks:
    checks, space = Checks(), Namespace(cluster, "demo", known, recorded=False)
    flags = ("--namespaces", "demo", "--kinds", ",".join(known))
    with (
        serving(Settings(data_dir=str(folder / "data"))) as server,
        AgentProcess(folder, server.url, cluster.kubeconfig(), *flags) as agent,
        httpx.Client(base_url=server.url, headers={"X-Lineal-Workspace": "demo"}, timeout=30) as http,
    ):

        def listed(what: str) -> list[dict[str, Any]]:
            return list(http.get(f"/api/v1/{what}").json().get(what, []))

        for life in lives:
            for stage in range(len(life.sample.states)):
                space.advance(life)
                if stage == 1 and life.sample.kind.name == "Workflow":
                    checks.that(f"{life.name} goes on", lambda: "running" in {run["status"] for run in listed("runs")})
            if life.sample.kind.name == "Workflow":
                checks.that(f"{life.name} has ended", lambda: "running" not in {run["status"] for run in listed("runs")})
        checks.that("three runs", lambda: len(listed("runs")) == 3)
        checks.that("one deployment", lambda: len(listed("deployments")) == 1)
        [deployment] = listed("deployments")
        tree = lineage(server.url, deployment["id"])
        print(tree)
        for name in ("best", "table"):
            checks.that(f"the served model comes from {name!r}", lambda name=name: name in tree)  # type: ignore[misc]
        gone = lives[0]
        space.delete(gone)
        checks.that("what is deleted after its end stays as it ended", lambda: len(listed("runs")) == 3)
        checks.that("nothing waits", lambda: agent.metric("queue_depth") == 0)
        checks.that("the agent is well", lambda: agent.get("/healthz")[0] == 200)
    return checks


def lineage(url: str, id: str) -> str:
    command = [sys.executable, "-m", "lineal.cli", "--url", url, "--workspace", "demo", "lineage", id, "--upstream"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())

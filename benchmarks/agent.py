"""`make bench CASE=agent`: the agent on a real API server, with a server of ours on SQLite.

Initial sync: N Workflows of 90 KB, copies of a recorded one; seconds and peak memory of the agent, beside the official Python
client that lists and watches the same and does nothing. Then changes, one task of a Workflow each, on a new API server for each
rate (etcd keeps all versions): lag from the API server's answer to the record that can be read, RATE a second for SECONDS, then
twice as many, until it does not keep up. Needs KUBEBUILDER_ASSETS and LINEAL_SAMPLES; N, RATE, SECONDS in the environment;
PHASE=sync or changes for one of the two.
"""

import json
import os
import re
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.reading import Read, files, read_file
from benchmarks.processes import Process, cpu_seconds, peak_rss_mib
from benchmarks.servers import PEER_BIN, ROOT, Server, start_lineal
from tests.services.kubernetes import KubeCluster

Json = dict[str, Any]
SAMPLE = Path("k8s/kfp-v2/iris-train-artifacts.yaml")
FOLDERS = ("argo", "kfp-v1", "kfp-v2")
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/bench/workflows"
METADATA_ONLY = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
MERGE = {"Content-Type": "application/merge-patch+json"}
_UNTRACKED = b'{"metadata": {"managedFields": [{}]}}'
"""To keep account of who set which field would be much of the API server's work for each change."""
CHANGED = 1000
"""Workflows that the changes go round."""
BEHIND_S = 1.0
"""At the 95th percentile: then it does not keep up."""
LONGER_S = 10.0
"""Of the rates after the first."""


def main() -> int:
    missing = [name for name in ("KUBEBUILDER_ASSETS", "LINEAL_SAMPLES") if not os.environ.get(name)]
    if missing:
        print(f"bench: agent needs {', '.join(missing)}", file=sys.stderr)
        return 2
    number, rate = int(os.environ.get("N") or 10_000), int(os.environ.get("RATE") or 100)
    seconds, samples = float(os.environ.get("SECONDS") or 60), Path(os.environ["LINEAL_SAMPLES"])
    phase = os.environ.get("PHASE")
    if phase != "changes":
        with stage(samples) as (cluster, folder):
            sync(cluster, folder, recorded([samples / SAMPLE])[0], number)
    if phase != "sync":
        workflows = recorded([Path(file) for file in files([str(samples / "k8s" / name) for name in FOLDERS])])
        while True:
            with stage(samples) as (cluster, folder):
                if not keeps_up(cluster, folder, workflows, rate, seconds):
                    return 0
            rate, seconds = 2 * rate, min(seconds, LONGER_S)
    return 0


@contextmanager
def stage(samples: Path) -> Iterator[tuple[KubeCluster, Path]]:
    """A new API server with the namespace `bench`, and a folder."""
    with tempfile.TemporaryDirectory(prefix="lineal-bench-agent.") as scratch:
        folder = Path(scratch)
        cluster = KubeCluster(folder / "cluster", Path(os.environ["KUBEBUILDER_ASSETS"]))
        try:
            cluster.start()
            cluster.install([samples / "crds" / "argoproj.io_workflows.yaml"])
            cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
            yield cluster, folder
        finally:
            cluster.stop()


def recorded(paths: Sequence[Path]) -> list[Json]:
    """The Workflows in the files that have nodes, without what ties them to their cluster."""
    found = []
    for path in paths:
        for read in read_file(str(path)):
            if isinstance(read, Read) and (read.content.get("status") or {}).get("nodes"):
                metadata = read.content.get("metadata") or {}
                labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != "pipeline/runid"}
                kept = {"labels": labels, "annotations": metadata.get("annotations") or {}}
                parts = {"spec": read.content.get("spec") or {}, "status": read.content["status"]}
                found.append({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": kept, **parts})
    return found


def create(cluster: KubeCluster, workflows: Sequence[Json], number: int, *, tracked: bool) -> list[str]:
    """Names of as many as the API server takes, in turn of each. `tracked`: with an account of who set which field."""

    def one(index: int) -> str | None:
        content = workflows[index % len(workflows)]
        name = f"w{index:05}"
        body = json.dumps({**content, "metadata": {**content["metadata"], "name": name}}).encode()
        answer = cluster.http.post(WORKFLOWS, content=body, headers=METADATA_ONLY | {"Content-Type": "application/json"})
        if answer.is_success and not tracked:
            cluster.http.patch(f"{WORKFLOWS}/{name}", content=_UNTRACKED, headers=METADATA_ONLY | MERGE).raise_for_status()
        return name if answer.is_success else None

    with ThreadPoolExecutor(4) as pool:
        return [name for name in pool.map(one, range(number)) if name is not None]


# ---- the agent and the server ---------------------------------------------------------------------------------------


@dataclass
class Pair:
    agent: Process
    server: Server
    store: Path

    def delivered(self) -> int:
        found = re.search(r"status at (\S+)", self.agent.text())
        if not found:
            return 0
        with urllib.request.urlopen(f"{found[1]}/metrics", timeout=30) as answer:  # noqa: S310 - the agent's own address
            page = answer.read().decode()
        return sum(int(count) for count in re.findall(r"^lineal_agent_reports_total\{.*\} (\d+)$", page, re.MULTILINE))

    def wait_for(self, number: int) -> float:
        """Seconds until so many reports have been delivered."""
        began = time.monotonic()
        while self.delivered() < number:
            time.sleep(0.2)
        return time.monotonic() - began


@contextmanager
def running(cluster: KubeCluster, folder: Path) -> Iterator[Pair]:
    store = folder / "lineal.db"
    server = start_lineal(folder, f"sqlite:///{store}")
    argv = [sys.executable, "-m", "agent.main", "run", "--server", f"http://127.0.0.1:{server.address[1]}"]
    argv += ["--kubeconfig", str(cluster.kubeconfig()), "--namespaces", "bench", "--kinds", "Workflow", "--log-level", "warning"]
    agent = Process([*argv, "--state-dir", str(folder / "state"), "--http", "127.0.0.1:0"], folder / "agent", cwd=ROOT)
    try:
        yield Pair(agent, server, store)
    finally:
        agent.stop()
        server.stop()


# ---- initial sync ---------------------------------------------------------------------------------------------------


def sync(cluster: KubeCluster, folder: Path, workflow: Json, number: int) -> None:
    number = len(create(cluster, [workflow], number, tracked=True))
    say(f"{number} Workflows of {len(json.dumps(workflow)) / 1000:.0f} kB are there")
    before = cluster.cpu_seconds()
    with running(cluster, folder) as pair:
        took = pair.wait_for(number)
        used = {
            "agent": cpu_seconds(pair.agent.pid),
            "server": cpu_seconds(pair.server.pid),
            "API server and etcd": cluster.cpu_seconds() - before,
        }
        say(f"initial sync: {took:.1f} s, {number / took:.0f} a second; agent: peak RSS {peak_rss_mib(pair.agent.pid):.0f} MiB")
        say(f"CPU: {', '.join(f'{name} {value:.1f} s' for name, value in used.items())}")
    official(cluster, folder)


def official(cluster: KubeCluster, folder: Path) -> None:
    """The official client: list, and watch for a moment."""
    python = PEER_BIN / "python"
    if not python.exists():
        say(f"without the official client: {python} is not there (set LINEAL_BENCH_BIN)")
        return
    argv = [str(python), str(ROOT / "benchmarks" / "kube_client.py"), str(cluster.kubeconfig()), "bench"]
    peer = Process(argv, folder / "peer", cwd=folder)
    try:
        peer.wait_until(lambda: "events" in peer.text(), timeout_s=600)
        found = re.search(r"listed (\d+) (\S+)", peer.text())
        assert found is not None  # noqa: S101 - it comes before the events
        say(f"official client, list and watch without doing anything: {found[1]} in {found[2]} s, "
            f"peak RSS {peak_rss_mib(peer.pid):.0f} MiB, {cpu_seconds(peer.pid):.1f} s of CPU")  # fmt: skip
    finally:
        peer.stop(9)


# ---- changes --------------------------------------------------------------------------------------------------------


def keeps_up(cluster: KubeCluster, folder: Path, workflows: Sequence[Json], rate: int, seconds: float) -> bool:
    names = create(cluster, [unfinished(one) for one in workflows], CHANGED, tracked=False)
    size = statistics.mean(len(json.dumps(one)) for one in workflows) / 1000
    with running(cluster, folder) as pair:
        pair.wait_for(len(names))
        time.sleep(2)
        parts = {"agent": pair.agent.pid, "server": pair.server.pid, "driver": os.getpid()}
        before = {name: cpu_seconds(pid, below=False) for name, pid in parts.items()} | {
            "API server and etcd": cluster.cpu_seconds()
        }
        began = time.monotonic()
        lags, reached = changes(cluster, names, workflows, pair.store, rate=rate, seconds=seconds)
        took = time.monotonic() - began
        after = {name: cpu_seconds(pid, below=False) for name, pid in parts.items()} | {
            "API server and etcd": cluster.cpu_seconds()
        }
        shown = ", ".join(f"p{share} {quantile(lags, share):.2f} s" for share in (50, 95, 99))
        say(f"{rate} changes a second wanted, {reached:.0f} made, for {seconds:.0f} s, {len(names)} Workflows of {size:.0f} kB: "
            f"lag {shown}; agent: peak RSS {peak_rss_mib(pair.agent.pid):.0f} MiB")  # fmt: skip
        used = {name: after[name] - before[name] for name in after}
        say(f"processors in use: {', '.join(f'{name} {value / took:.2f}' for name, value in used.items())}")
        say(f"a change: {', '.join(f'{name} {1000 * value / len(lags):.1f} ms' for name, value in used.items())}")
    if quantile(lags, 95) > BEHIND_S:
        say(f"does not keep up at {rate} a second")
        return False
    if reached < 0.8 * rate:
        say(f"the machine makes no more than {reached:.0f} changes a second, and the agent keeps up with them")
        return False
    return True


def unfinished(workflow: Json) -> Json:
    status = {key: value for key, value in workflow["status"].items() if key != "finishedAt"}
    return {**workflow, "status": status | {"phase": "Running"}}


def changes(
    cluster: KubeCluster, names: Sequence[str], workflows: Sequence[Json], store: Path, *, rate: int, seconds: float
) -> tuple[list[float], float]:
    """The lags of all changes, and how many a second there were."""
    pods = [
        [id for id, node in one["status"]["nodes"].items() if node.get("type") == "Pod"] or list(one["status"]["nodes"])
        for one in workflows
    ]
    made: list[tuple[str, int, float]] = []
    over = threading.Event()

    def change(index: int) -> None:
        name, turn = names[index % len(names)], index // len(names)
        own = pods[int(name[1:]) % len(pods)]
        node = {"phase": "Running" if turn % 2 else "Succeeded", "finishedAt": f"2026-06-01T{turn % 24:02}:00:00Z"}
        body = json.dumps({"status": {"nodes": {own[turn % len(own)]: node}}}).encode()
        answer = cluster.http.patch(f"{WORKFLOWS}/{name}", content=body, headers=METADATA_ONLY | MERGE)
        answer.raise_for_status()
        made.append((name, int(answer.json()["metadata"]["resourceVersion"]), time.monotonic()))

    seen: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
    watcher = threading.Thread(target=look, args=(store, seen, over), daemon=True)
    watcher.start()
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        for index in range(int(rate * seconds)):
            time.sleep(max(0.0, began + index / rate - time.monotonic()))
            pool.submit(change, index)
            if time.monotonic() - began > 1.5 * seconds:
                break
    reached = len(made) / (time.monotonic() - began)
    end = time.monotonic() + 30
    while time.monotonic() < end and any(_read(seen[name], version) is None for name, version, _ in made[-len(names) :]):
        time.sleep(0.1)
    over.set()
    watcher.join()
    read = [(_read(seen[name], version), at) for name, version, at in made]
    return [max(0.0, (end if when is None else when) - at) for when, at in read], reached


def _read(seen: Sequence[tuple[int, float]], version: int) -> float | None:
    """When this version, or one that has taken its place, could be read."""
    return next((at for found, at in seen if found >= version), None)


def look(store: Path, seen: dict[str, list[tuple[int, float]]], over: threading.Event) -> None:
    """Which version of each object the store has, as a reader of the database sees it, each 50 ms."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as disk:
        while not over.wait(0.05):
            rows, now = disk.execute("SELECT name, resource_version FROM objects").fetchall(), time.monotonic()
            for name, version in rows:
                own = seen.get(name)
                if own is not None and (not own or own[-1][0] < int(version)):
                    own.append((int(version), now))


def quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else sum(values)


def say(text: str) -> None:
    print(f"bench: agent: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

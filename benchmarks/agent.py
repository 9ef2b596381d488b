"""`make bench CASE=agent`: the agent on a real API server, with a server of ours on SQLite.

Initial sync: N Workflows of the size of a recorded one, seconds and peak memory of the agent. Then a minute of changes, one task
of a Workflow each: lag from the API server's answer to the record that can be read (polled every 20 ms), and the rate at which
it stops to keep up. Needs KUBEBUILDER_ASSETS and LINEAL_SAMPLES; N, RATE, SECONDS in the environment.
"""

import itertools
import json
import os
import random
import re
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agent.reading import Read, read_file
from benchmarks.processes import Process, cpu_seconds, peak_rss_mib
from benchmarks.servers import start_lineal
from tests.services.kubernetes import KubeCluster

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = Path("k8s/kfp-v2/iris-train-artifacts.yaml")
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/bench/workflows"
BEHIND_S = 1.0
"""At the 95th percentile: then it does not keep up."""


def main() -> int:
    missing = [name for name in ("KUBEBUILDER_ASSETS", "LINEAL_SAMPLES") if not os.environ.get(name)]
    if missing:
        print(f"bench: agent needs {', '.join(missing)}", file=sys.stderr)
        return 2
    number, rate = int(os.environ.get("N") or 10_000), int(os.environ.get("RATE") or 100)
    seconds, samples = float(os.environ.get("SECONDS") or 60), Path(os.environ["LINEAL_SAMPLES"])
    with tempfile.TemporaryDirectory(prefix="lineal-bench-agent.") as scratch:
        folder = Path(scratch)
        cluster = KubeCluster(folder / "cluster", Path(os.environ["KUBEBUILDER_ASSETS"]))
        try:
            cluster.start()
            cluster.install([samples / "crds" / "argoproj.io_workflows.yaml"])
            measure(cluster, folder, workflow_of(samples / SAMPLE), number=number, rate=rate, seconds=seconds)
        finally:
            cluster.stop()
    return 0


def workflow_of(file: Path) -> dict[str, Any]:
    [read] = [one for one in read_file(str(file)) if isinstance(one, Read)]
    content = read.content
    labels = {key: value for key, value in content["metadata"].get("labels", {}).items() if key != "pipeline/runid"}
    return content | {"metadata": {"labels": labels, "annotations": content["metadata"].get("annotations", {})}}


def measure(cluster: KubeCluster, folder: Path, workflow: dict[str, Any], *, number: int, rate: int, seconds: float) -> None:
    cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
    size = len(json.dumps(workflow))
    with ThreadPoolExecutor(4) as pool:
        uids = list(pool.map(lambda index: create(cluster, workflow, index), range(number)))
    say(f"{number} Workflows of {size / 1000:.0f} kB are there")
    store = folder / "lineal.db"
    server = start_lineal(folder, f"sqlite:///{store}")
    argv = [sys.executable, "-m", "agent.main", "run", "--server", f"http://127.0.0.1:{server.address[1]}"]
    argv += ["--kubeconfig", str(cluster.kubeconfig()), "--namespaces", "bench", "--kinds", "Workflow"]
    agent = Process([*argv, "--state-dir", str(folder / "state"), "--http", "127.0.0.1:0"], folder / "agent", cwd=ROOT)
    try:
        began = time.monotonic()
        while delivered(agent) < number:
            time.sleep(0.2)
        took = time.monotonic() - began
        say(f"initial sync: {took:.1f} s, {number / took:.0f} a second; agent: peak RSS {peak_rss_mib(agent.pid):.0f} MiB, "
            f"{cpu_seconds(agent.pid):.1f} s of CPU; server: {cpu_seconds(server.process.pid):.1f} s of CPU")  # fmt: skip
        few = uids[:1000]
        for wanted in itertools.takewhile(lambda one: one <= 16 * rate, (rate * 2**power for power in range(5))):
            long = seconds if wanted == rate else 10.0
            lags, reached = changes(cluster, workflow, few, store, rate=wanted, seconds=long)
            shown = ", ".join(f"p{share} {quantile(lags, share):.2f} s" for share in (50, 95, 99))
            say(f"{wanted} changes a second ({reached:.0f} reached): lag {shown}; peak RSS {peak_rss_mib(agent.pid):.0f} MiB")
            if quantile(lags, 95) > BEHIND_S or reached < 0.8 * wanted:
                say(f"stops to keep up at {wanted} a second" if quantile(lags, 95) > BEHIND_S else "the API server is at its end")
                break
    finally:
        agent.stop()
        server.process.stop()


def create(cluster: KubeCluster, workflow: dict[str, Any], index: int) -> str:
    metadata = {**workflow["metadata"], "name": f"w{index:05}"}
    return str(cluster.call("POST", WORKFLOWS, {**workflow, "metadata": metadata})["metadata"]["uid"])


def delivered(agent: Process) -> int:
    found = re.search(r"status at (\S+)", agent.text())
    if not found:
        return 0
    with urllib.request.urlopen(f"{found[1]}/metrics", timeout=30) as answer:  # noqa: S310 - the agent's own address
        page = answer.read().decode()
    return sum(int(count) for count in re.findall(r"^lineal_agent_reports_total\{.*\} (\d+)$", page, re.MULTILINE))


def changes(
    cluster: KubeCluster, workflow: dict[str, Any], uids: list[str], store: Path, *, rate: int, seconds: float
) -> tuple[list[float], float]:
    """The lags of all changes, and how many a second there were."""
    made: list[tuple[str, int, float]] = []
    node = random.choice(sorted(workflow["status"]["nodes"]))
    over = threading.Event()

    def change(index: int) -> None:
        which = index % len(uids)
        patch = {"status": {"nodes": {node: {"message": f"change {index} at {time.time()}"}}}}
        kept = cluster.call("PATCH", f"{WORKFLOWS}/w{which:05}", patch, "application/merge-patch+json")
        made.append((uids[which], int(kept["metadata"]["resourceVersion"]), time.monotonic()))

    seen: dict[str, list[tuple[int, float]]] = {uid: [] for uid in uids}
    watcher = threading.Thread(target=look, args=(store, seen, over), daemon=True)
    watcher.start()
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        for index in range(int(rate * seconds)):
            time.sleep(max(0.0, began + index / rate - time.monotonic()))
            pool.submit(change, index)
    reached = len(made) / (time.monotonic() - began)
    end = time.monotonic() + 60
    while time.monotonic() < end and any(not _read(seen[uid], version) for uid, version, _ in made[-len(uids) :]):
        time.sleep(0.1)
    over.set()
    watcher.join()
    return [next(iter(_read(seen[uid], version)), end) - at for uid, version, at in made], reached


def _read(seen: list[tuple[int, float]], version: int) -> list[float]:
    return [at for found, at in seen if found >= version]


def look(store: Path, seen: dict[str, list[tuple[int, float]]], over: threading.Event) -> None:
    """Which version of each object the store has, as a reader sees it."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as disk:
        while not over.wait(0.02):
            now = time.monotonic()
            for uid, version in rows(disk):
                own = seen.get(uid)
                if own is not None and (not own or own[-1][0] < version):
                    own.append((version, now))


def rows(disk: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    for uid, version in disk.execute("SELECT uid, resource_version FROM objects"):
        yield uid, int(version or 0)


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else sum(values)


def say(text: str) -> None:
    print(f"bench: agent: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

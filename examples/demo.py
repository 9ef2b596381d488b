"""The tour: a server on the embedded default, Kubernetes objects replayed into it, two trainings logged, all read back twice.

Every value that is printed is read by REST and by the command line; a difference fails the demo. `DATA=folder` replays the
objects of that folder instead of `examples/objects`; `KEEP=1` leaves the server running and prints where it is.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

import lineal

ROOT = Path(__file__).resolve().parent.parent
OBJECTS = Path(os.environ.get("DATA") or ROOT / "examples" / "objects")
KEEP = bool(os.environ.get("KEEP"))


class Checks:
    """Counts what agreed; the first difference ends the demo."""

    def __init__(self) -> None:
        self.count = 0

    def same(self, what: str, one: object, other: object) -> None:
        if one != other:
            sys.exit(f"demo: {what} differs: {one!r} against {other!r}")
        self.count += 1

    def true(self, what: str, held: bool) -> None:
        self.same(what, held, True)


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Started on a free port; its log goes into the folder."""
    command = [
        sys.executable,
        "-m",
        "registry.main",
        "serve",
        "--http",
        "127.0.0.1:0",
        "--data-dir",
        str(folder),
        "--log-level",
        "warning",
    ]
    http = httpx.Client()  # made before the clock starts: it reads its certificates
    began = time.perf_counter()
    with http, (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=KEEP)
        assert process.stdout is not None
        line = process.stdout.readline()
        if "serving" not in line:
            sys.exit(f"demo: the server did not start: {(folder / 'server.log').read_text()}")
        url = line.split()[-1]
        http.get(url + "/readyz").raise_for_status()
        say(f"server at {url}, first answer after {time.perf_counter() - began:.2f} s, {rss_mb(process.pid):.0f} MB")
        try:
            yield url
        finally:
            if KEEP:
                say(f"left running at {url} (process {process.pid}, data in {folder}); stop it with: kill {process.pid}")
            else:
                process.terminate()
                process.wait(30)


def rss_mb(pid: int) -> float:
    """Resident memory; 0 where the system has no /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def command_line(url: str, *arguments: str) -> list[dict[str, Any]]:
    """What `lineal --json` prints."""
    command = [sys.executable, "-m", "lineal.cli", "--url", url, *arguments, "--json"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def replay(url: str, checks: Checks) -> None:
    command = [sys.executable, "-m", "agent.main", "replay", "--server", url, str(OBJECTS)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = ended.stdout.strip().splitlines()[-1]
    print(last, flush=True)
    checks.true("every object is applied", ended.returncode == 0 and last.endswith(" 0 failed"))
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    checks.same("a second replay", again.stdout.strip().splitlines()[-1], last)


def train(client: lineal.Client, rate: float) -> str:
    """A real training: one pass of the data per step, its loss and accuracy logged."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import SGDClassifier
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    features = StandardScaler().fit_transform(data.data)
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=rate, random_state=7)
    with lineal.run(experiment="demo", name=f"rate {rate}", tags={"kind": "demo"}, client=client) as run:
        run.log_params({"rate": rate, "rows": len(features), "model": "SGDClassifier"})
        for step in range(20):
            model.partial_fit(features, data.target, classes=np.unique(data.target))
            loss = log_loss(data.target, model.predict_proba(features))
            run.log_metrics({"loss": float(loss), "accuracy": float(model.score(features, data.target))}, step=step)
        return run.id


def compare(client: lineal.Client, url: str, ids: list[str], checks: Checks) -> None:
    """The trainings side by side, by REST and by the command line."""
    for id in ids:
        rest = client.get_run(id)
        [told] = command_line(url, "run", id)
        for field in ("name", "status", "experiment_name", "user", "ended_at", "params", "tags"):
            checks.same(f"{field} of {id}", rest[field], told[field])
        checks.same(f"status of {id}", rest["status"], "succeeded")
        values = {metric["key"]: metric["value"] for metric in rest["metrics"]}
        told_values = {metric["key"]: metric["value"] for metric in told["metrics"]}
        for key in ("accuracy", "loss"):
            checks.same(f"{key} of {id}", values[key], told_values[key])
            history = list(client.metric_history(id, key))
            checks.same(f"history of {key}", history, command_line(url, "history", id, key))
            checks.same(f"points of {key}", len(history), 20)
            checks.same(f"last point of {key}", history[-1]["value"], values[key])
        say(f"{rest['name']}: accuracy {values['accuracy']:.4f}, loss {values['loss']:.4f}")


def main() -> None:
    checks = Checks()
    folder = Path(tempfile.mkdtemp(prefix="lineal-demo-"))
    with server(folder) as url, lineal.Client(url) as client:
        say(f"replaying {OBJECTS.name}")
        replay(url, checks)
        say("training two models")
        ids = [train(client, rate) for rate in (0.01, 0.0001)]
        compare(client, url, ids, checks)
        runs = list(client.runs())
        checks.same("the list of runs", runs, command_line(url, "runs"))
        checks.true("the trainings are among the runs", set(ids) <= {run["id"] for run in runs})
        if not os.environ.get("DATA"):
            workflow(client, checks)
        say(f"{len(runs)} runs in workspace default")
    command = [sys.executable, "-m", "registry.main", "check", "--data-dir", str(folder)]
    sound = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    checks.same("the store's own check", sound.stdout.splitlines()[-1], "0 problems")
    print(f"demo: ok, {checks.count} checks", flush=True)


def workflow(client: lineal.Client, checks: Checks) -> None:
    """The Argo Workflow of examples/objects became a run."""
    run = client.get_run("run_5b1c0e9e2f0b4a3e9a573c6d1f0a7e11")
    checks.same("the workflow's run", (run["name"], run["status"]), ("churn-training-7xk2p", "succeeded"))
    checks.same("its experiment", run["experiment_name"], "pipelines/churn-training")
    checks.same("its parameters", run["params"], {"rows": "2000"})
    say(f"workflow {run['name']}: {run['status']}, parameters {run['params']}")


if __name__ == "__main__":
    main()

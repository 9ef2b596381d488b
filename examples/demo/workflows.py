"""Kubernetes objects become runs: replayed as the agent would send them, and read back."""

import json
import sys
from pathlib import Path
from uuid import UUID

from checks import Checks
from readers import Json, Readers, values
from service import ROOT

import lineal

OBJECTS = ROOT / "examples" / "objects"
TRAINING = "run_0d9a4c1e7f354b0c8a516e2b9c40d713"
"""The run of examples/objects/kfp-v2-training.yaml."""
STEP = "for-loop-1/0/train"
NODE = "tumour-classifier-m4vq8-3602974125"
"""The node of that step, as Argo puts it into the environment of its pod."""

SCHEDULES = ("ScheduledWorkflow", "CronWorkflow", "Experiment")
"""What these own is a run of its own; what anything else owns is a step of its owner's run."""


def replay(readers: Readers, checks: Checks, folder: Path) -> None:
    """Twice: what is sent again changes nothing."""
    lasts = []
    for _ in range(2):
        ended = readers.service.module("agent.main", "replay", "--server", readers.service.url, str(folder))
        lasts.append((ended.returncode, (ended.stdout.strip().splitlines() or [ended.stderr])[-1]))
    checks.say(lasts[0][1], indent="")  # as it is: scripts look for the line
    if lasts[0][1] == "objects: 0 applied, 0 failed":
        sys.exit(f"demo: there is no Kubernetes object in {folder}")
    checks.true("every object is applied", lasts[0][0] == 0 and lasts[0][1].endswith(" 0 failed"))
    checks.same("a second replay", *lasts)


def read_back(readers: Readers, checks: Checks, folder: Path) -> list[Json]:
    """Every run that the translator reports is there, in the workspace of its namespace, by REST and by the command line.

    Gives the reports, which `lineal-agent translate` makes without a server.
    """
    translated = readers.service.module("agent.main", "translate", str(folder))
    reports = [json.loads(line) for line in translated.stdout.splitlines()]
    reported: dict[str, dict[str, Json]] = {}
    for report in reports:
        run = report.get("run")
        if run and (run.get("owner") is None or run["owner"]["kind"] in SCHEDULES):
            workspace = report["object"]["namespace"] or "default"
            reported.setdefault(workspace, {})[f"run_{UUID(run['id']).hex}"] = run
    rows = []
    for workspace, wanted in sorted(reported.items()):
        with lineal.Client(readers.service.url, workspace=workspace) as client:
            listed = list(client.runs())
        checks.same(f"the runs of {workspace}", listed, readers.lines("--workspace", workspace, "runs"))
        there = {run["id"]: run for run in listed}
        checks.true(f"the runs of {workspace} are those of its objects", set(wanted) <= set(there))
        for id in wanted:
            kept = there[id]
            rows.append((workspace, kept["experiment_name"] or "", kept["name"], kept["status"] or ""))
    checks.table(("workspace", "experiment", "run", "status"), rows)
    return reports


def examine(readers: Readers, checks: Checks, reports: list[Json]) -> None:
    """The Kubeflow Pipelines run of our own: what its object says is what the store says."""
    run = readers.rest(f"runs/{TRAINING}")
    checks.same("the workflow's run", run, readers.line("run", TRAINING))
    checks.same("its name and end", (run["name"], run["status"]), ("tumours, two rates", "succeeded"))
    checks.same("its experiment", run["experiment_name"], "pipelines/tumour-classifier")
    checks.same("its parameters", run["params"], {"rates": "[0.01,0.0001]", "seed": "7", "test_share": "0.25"})
    found = values(run["metrics"])
    checks.same("its metrics", found, values(readers.graphql("run", id=TRAINING)["run"]["metrics"]))
    checks.same("a metric of its loop", found.get(f"{STEP}/metrics/accuracy"), 0.9906)
    steps = {step["path"]: step for step in readers.client.steps(TRAINING)}
    [report] = [one for one in reports if one["run"]["name"] == run["name"]]
    tasks = {task["key"]: task["node_id"] for task in report["tasks"]}
    checks.same("the nodes of its steps", {path: step["node_id"] for path, step in steps.items()}, tasks)
    checks.same("the node of a training", steps[STEP]["node_id"], NODE)
    checks.say(f"{run['name']}: {len(steps)} steps, {len(found)} metrics, parameters {run['params']}")


def refuse_missing(folder: Path) -> None:
    if not folder.exists():
        sys.exit(f"demo: there is no {folder}; DATA names a folder of Kubernetes objects (YAML or JSON)")

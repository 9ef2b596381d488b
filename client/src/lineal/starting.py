"""Beginning to log: a new run, the one that the environment names, or that of the workflow whose step this process is."""

import re
from collections.abc import Mapping
from typing import Any

from lineal import ending
from lineal.client import Client
from lineal.environment import Place, detect, user_name
from lineal.runs import Run

NOTEBOOK_TAG = "lineal.notebook"
"""The notebook that a run was logged from: `<namespace>/<name>`."""
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_FINAL = {"succeeded", "failed", "canceled", "cached", "skipped"}


def start_run(
    *,
    experiment: str | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    parent: str | None = None,
    run_id: str | None = None,
    nested: bool = False,
    client: Client | None = None,
) -> Run:
    """A run to log to: the block of a `with` ends it, else `finish` or the end of the process.

    - `run_id`, or LINEAL_RUN_ID or MLFLOW_RUN_ID in the environment: that run goes on.
    - In a step of an Argo or Kubeflow workflow (ARGO_NODE_ID, KFP_POD_NAME…), without `parent`: the workflow's run, whose status
      stays the workflow's. `nested`: a new run below it.
    - Else a new one in `experiment` (LINEAL_EXPERIMENT, MLFLOW_EXPERIMENT_NAME, `default`); `nested`: below the run that is open.

    Arguments beat the environment; `client` is by default one for LINEAL_URL.

    Raises ApiError, Unreachable.
    """
    place = detect()
    own = client is None
    client = client or Client()
    try:
        asked = _Asked(experiment or place.experiment, name, dict(tags or {}), own, place.notebook)
        if run_id is None and parent is None and not nested:
            run_id = place.run_id
        if run_id is not None:
            return _continued(client, run_id, asked)
        if parent is None and place.run_id is None and place.is_step:
            return _in_step(client, place, asked, nested=nested)
        if parent is None and nested:
            parent = place.run_id or _open_run()
        return _created(client, asked, parent)
    except BaseException:
        if own:
            client.close()
        raise


run = start_run
"""The same, as it reads after `with`."""


class _Asked:
    """What the caller, or else the environment, wants of the run."""

    def __init__(
        self, experiment: str | None, name: str | None, tags: dict[str, str], close: bool, notebook: str | None = None
    ) -> None:
        self.experiment = experiment
        self.name = name
        self.tags = tags
        self.close = close
        self.born_with = {NOTEBOOK_TAG: notebook, **tags} if notebook else tags


def _created(client: Client, asked: _Asked, parent: str | None) -> Run:
    within: dict[str, Any] = {"experiment_name": asked.experiment or "default"}
    if asked.experiment is None and parent is not None:
        above = client.get_run(parent, fields="none")
        parent = above["id"]
        if above["experiment_id"] is not None:
            within = {"experiment_id": above["experiment_id"]}
    made = client.create_run(name=asked.name, user=user_name(), parent=_own_id(parent), tags=asked.born_with, **within)
    return Run(client, made, close=asked.close)


def _continued(client: Client, run_id: str, asked: _Asked) -> Run:
    record = client.get_run(run_id, fields="none")
    if record["status"] in _FINAL:
        record = client.update_run(record["id"], status="running")
    if asked.name is not None and asked.name != record["name"]:
        record = client.update_run(record["id"], name=asked.name)
    return _tagged(Run(client, record, close=asked.close), asked)


def _in_step(client: Client, place: Place, asked: _Asked, *, nested: bool) -> Run:
    workflow = place.workflow_id if place.workflow_id and _UUID.fullmatch(place.workflow_id) else None
    pod = {"node_id": place.node_id, "pod_name": place.pod_name, "pod_uid": place.pod_uid, "run_id": workflow}
    if nested:
        return _created(client, asked, client.join_step(**pod)["run"])
    joined = client.join_step(**pod, name=asked.name, experiment=asked.experiment)
    record = client.get_run(joined["run"], fields="none")

    def end(client: Client, status: str) -> None:
        client.join_step(**pod, status=status)

    return _tagged(Run(client, record, step=joined["step"], end=end, close=asked.close), asked)


def _tagged(started: Run, asked: _Asked) -> Run:
    if asked.tags:
        started.set_tags(asked.tags)
    return started


def _open_run() -> str | None:
    found = ending.innermost()
    return found.id if isinstance(found, Run) else None


def _own_id(run: str | None) -> str | None:
    return f"run_{run}" if run is not None and re.fullmatch("[0-9a-f]{32}", run) else run

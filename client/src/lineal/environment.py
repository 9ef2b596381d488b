"""Where this process runs: the step of a workflow that it is, found by what Argo and Kubeflow Pipelines put into its environment.

Sources: Argo sets ARGO_NODE_ID; KFP sets KFP_POD_NAME, KFP_POD_UID and KFP_RUN_ID; MLflow's clients and KFP's plugin use
MLFLOW_RUN_ID and MLFLOW_EXPERIMENT_NAME; a notebook of Kubeflow has its address in NB_PREFIX.
"""

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

_NOTEBOOK = re.compile(r"/notebook/([^/]+)/([^/]+)/?")


@dataclass(frozen=True)
class Place:
    """What the environment says; a field is None where it says nothing.

    `run_id`: the run that this process is to continue; `workflow_id`: the KFP run id, or the Workflow's uid.
    """

    node_id: str | None
    pod_name: str | None
    pod_uid: str | None
    workflow_id: str | None
    run_id: str | None
    experiment: str | None
    notebook: str | None = None
    """`<namespace>/<name>` of the Kubeflow notebook."""

    @property
    def is_step(self) -> bool:
        return self.node_id is not None or self.pod_name is not None


def detect(environ: Mapping[str, str] | None = None) -> Place:
    environ = os.environ if environ is None else environ

    def first(*names: str) -> str | None:
        return next((environ[name] for name in names if environ.get(name)), None)

    notebook = _NOTEBOOK.fullmatch(environ.get("NB_PREFIX", ""))
    return Place(
        node_id=first("ARGO_NODE_ID"),
        pod_name=first("KFP_POD_NAME", "ARGO_POD_NAME"),
        pod_uid=first("KFP_POD_UID", "ARGO_POD_UID"),
        workflow_id=first("KFP_RUN_ID", "ARGO_WORKFLOW_UID"),
        run_id=first("LINEAL_RUN_ID", "MLFLOW_RUN_ID"),
        experiment=first("LINEAL_EXPERIMENT", "MLFLOW_EXPERIMENT_NAME"),
        notebook=f"{notebook.group(1)}/{notebook.group(2)}" if notebook else None,
    )


def user_name() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return None

"""What the agent may write to a cluster, each only where a flag asks for it: the label that says a run is kept, and its Lease."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx

from agent.cluster.api import ApiError, ClusterApi
from agent.report import Json
from agent.values import as_map, text

RUN_ID = "pipeline/runid"
PERSISTED = "pipeline/persistedFinalState"
"""Kubeflow Pipelines removes a finished Workflow that bears it."""


async def mark_persisted(api: ClusterApi, workflow: Json) -> bool:
    """Whether the Workflow got the label. One that is no pipeline's, or has changed since, is left as it is.

    Raises ApiError, httpx.TransportError.
    """
    metadata = as_map(workflow.get("metadata"))
    labels = as_map(metadata.get("labels"))
    if text(labels.get(RUN_ID)) is None or PERSISTED in labels:
        return False
    path = f"/apis/{workflow['apiVersion']}/namespaces/{metadata['namespace']}/workflows/{metadata['name']}"
    marked = {"metadata": {"resourceVersion": metadata["resourceVersion"], "labels": {PERSISTED: "true"}}}
    try:
        await api.send("PATCH", path, json.dumps(marked).encode(), "application/merge-patch+json")
    except ApiError as error:
        if error.code in {httpx.codes.CONFLICT, httpx.codes.NOT_FOUND}:  # its next state is on its way
            return False
        raise
    return True


class Lease:
    """One object that says which agent is at work, in the form of coordination.k8s.io/v1."""

    def __init__(self, api: ClusterApi, namespace: str, name: str, holder: str, *, duration_s: int = 15) -> None:
        self._api, self._folder, self._name = api, f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", name
        self.holder, self.duration_s = holder, duration_s
        self._namespace = namespace

    async def read(self) -> Json | None:
        """Raises as ClusterApi.get."""
        try:
            return dict(json.loads(await self._api.get(f"{self._folder}/{self._name}")))
        except ApiError as error:
            if error.code == httpx.codes.NOT_FOUND:
                return None
            raise

    async def write(self, held: Json | None, *, holder: str | None = None) -> bool:
        """Takes or keeps it, in the place of `held` alone; False: somebody else was faster. An empty holder gives it up."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = as_map((held or {}).get("spec"))
        mine = spec.get("holderIdentity") == self.holder
        turns = spec.get("leaseTransitions") or 0
        wanted: dict[str, Any] = {
            "holderIdentity": self.holder if holder is None else holder,
            "leaseDurationSeconds": self.duration_s,
            "acquireTime": spec.get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": turns if mine else turns + (held is not None),
        }
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self._name}, "spec": wanted}
        body["metadata"] = as_map((held or body)["metadata"])
        path = self._folder if held is None else f"{self._folder}/{self._name}"
        try:
            await self._api.send("POST" if held is None else "PUT", path, json.dumps(body).encode(), "application/json")
        except ApiError as error:
            if error.code == httpx.codes.CONFLICT:
                return False
            raise
        return True

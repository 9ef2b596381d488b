"""The nodes of a Workflow that were too many for the object: Argo's server reads them from its own database."""

import httpx

from agent.report import Json
from agent.values import MAX_DEPTH, as_map, depth_within

TIMEOUT_S = 30.0
MAX_BYTES = 256 * 1024 * 1024


class ArgoServerError(Exception):
    """The nodes could not be read; the text says why, for a person."""


class ArgoServer:
    def __init__(self, address: str, *, auth: httpx.Auth | None = None, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(base_url=address.rstrip("/"), auth=auth, timeout=TIMEOUT_S, transport=transport)

    def close(self) -> None:
        self._client.close()

    def nodes(self, namespace: str, name: str, uid: str | None, version: str) -> Json:
        """The node map of just this picture of the Workflow.

        Raises ArgoServerError: it did not answer, or with another Workflow or a later picture.
        """
        try:
            with self._client.stream("GET", f"/api/v1/workflows/{namespace}/{name}") as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise ArgoServerError(f"the answer is larger than {MAX_BYTES} bytes")
            if response.status_code != httpx.codes.OK:
                raise ArgoServerError(f"HTTP {response.status_code}")
            found = httpx.Response(200, content=bytes(body)).json()
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            raise ArgoServerError(str(error) or type(error).__name__) from error
        metadata, status = as_map(as_map(found).get("metadata")), as_map(as_map(found).get("status"))
        if uid is not None and metadata.get("uid") != uid:
            raise ArgoServerError("it has another Workflow of that name")
        if status.get("offloadNodeStatusVersion", version) != version:
            raise ArgoServerError("it has a later picture")
        nodes = as_map(status.get("nodes"))
        if not nodes or not depth_within(nodes, MAX_DEPTH):
            raise ArgoServerError("the answer has no nodes")
        return nodes

"""Small objects of the kinds beside Workflows, as their controllers write them."""

from typing import Any

from tests.agent.building import Json

BORN = "2026-06-10T09:00:00Z"


def thing(kind: str, api: str, spec: Json | None = None, status: Json | None = None, **metadata: Any) -> Json:
    named = {"name": "one", "namespace": "team", "uid": "2146a201-122d-4678-ae5f-67788a6c6f40", "creationTimestamp": BORN}
    content: Json = {"apiVersion": api, "kind": kind, "metadata": named | metadata, "spec": spec or {}}
    return content | ({"status": status} if status is not None else {})


def condition(type: str, status: str = "True", at: str = BORN, **more: Any) -> Json:
    return {"type": type, "status": status, "lastTransitionTime": at} | more


def service(
    uri: str = "s3://models/a",
    *,
    created: str = "one-predictor-00001",
    traffic: dict[int, int] | None = None,
    at: str = BORN,
    generation: int = 1,
    canary: int | None = None,
    ready: str = "True",
    observed: int | None = -1,
    spec: Json | None = None,
    **metadata: Any,
) -> Json:
    """A Knative InferenceService; `traffic`: percent by revision number. `observed`: without it the status is up to date."""
    predictor: Json = {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": uri}} | (spec or {})
    if canary is not None:
        predictor["canaryTrafficPercent"] = canary
    shares = [
        {"revisionName": f"one-predictor-{number:05}", "percent": percent, "latestRevision": f"{number:05}" in created}
        for number, percent in (traffic or {1: 100}).items()
    ]
    status: Json = {
        "observedGeneration": generation if observed == -1 else observed,
        "components": {"predictor": {"latestCreatedRevision": created, "traffic": shares}},
        "conditions": [condition("Ready", ready, at)],
        "deploymentMode": "Knative",
    }
    return thing(
        "InferenceService", "serving.kserve.io/v1beta1", {"predictor": predictor}, status, generation=generation, **metadata
    )


def canary_sequence() -> list[Json]:
    """First model, 10 % to the second, the second for all, back to the first while the spec still names the second."""
    second: Json = {"uri": "s3://models/b", "created": "one-predictor-00002"}
    return [
        service(resourceVersion="11"),
        service(**second, traffic={2: 10, 1: 90}, canary=10, generation=2, at="2026-06-11T10:00:00Z", resourceVersion="12"),
        service(**second, traffic={2: 100}, generation=3, at="2026-06-12T10:00:00Z", resourceVersion="13"),
        service(**second, traffic={2: 0, 1: 100}, canary=0, generation=4, at="2026-06-13T10:00:00Z", resourceVersion="14"),
    ]

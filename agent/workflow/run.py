"""What a Workflow says about itself: identity, name, pipeline, parameters, owner, state. It needs no nodes."""

import uuid
from typing import Any
from urllib.parse import quote

from agent.report import Json, ObjectRef, Owner, Run
from agent.values import Notes, as_list, as_map, text, whole
from agent.workflow import kfp_v1
from agent.workflow.nodes import parameter_text
from agent.workflow.states import phase_of, run_state

ARGO = "workflows.argoproj.io/"
KFP = "pipelines.kubeflow.org/"
RUN_ID_LABEL = "pipeline/runid"
SCHEDULE_LABELS = {
    "ScheduledWorkflow": "scheduledworkflows.kubeflow.org/scheduledWorkflowName",
    "CronWorkflow": ARGO + "cron-workflow",
}


class UnidentifiableError(ValueError):
    """The object has neither a uid nor a name, so nothing can be said about it."""


def object_ref(content: dict[str, Any], kind: str, cluster: str | None, notes: Notes, *, deleted: bool) -> ObjectRef:
    """Raises UnidentifiableError."""
    metadata = notes.map(content.get("metadata"), "metadata")
    annotations = notes.map(metadata.get("annotations"), "metadata.annotations")
    reference = ObjectRef(
        cluster=cluster or None,
        namespace=text(metadata.get("namespace")),
        kind=kind,
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        resource_version=text(metadata.get("resourceVersion")),
        generation=whole(metadata.get("generation")),
        retry_generation=whole(annotations.get(KFP + "retry-generation")),
        deleted=deleted,
    )
    if reference.uid is None and reference.name is None:
        raise UnidentifiableError("metadata has neither a uid nor a name")
    return reference


def identity(reference: ObjectRef) -> str:
    """The uid; without one, the uuid5 (URL namespace) of `kubernetes://cluster/namespace/kind/name`."""
    if reference.uid is not None:
        return reference.uid
    parts = (reference.cluster, reference.namespace, reference.kind, reference.name)
    path = "/".join(quote(part or "", safe="", errors="replace") for part in parts)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"kubernetes://{path}"))


def owner_of(metadata: dict[str, Any], notes: Notes) -> Owner | None:
    """The controlling owner, else the first one."""
    listed = [as_map(item) for item in notes.list(metadata.get("ownerReferences"), "metadata.ownerReferences")]
    named = [item for item in listed if text(item.get("kind"))]
    for item in sorted(named, key=lambda item: item.get("controller") is not True):
        return Owner(str(text(item.get("kind"))), text(item.get("name")), text(item.get("uid")))
    return None


def describe_run(reference: ObjectRef, content: dict[str, Any], pipeline: str | None, parameters: Json, notes: Notes) -> Run:
    metadata, spec, status = (as_map(content.get(part)) for part in ("metadata", "spec", "status"))
    labels, annotations = as_map(metadata.get("labels")), as_map(metadata.get("annotations"))
    return Run(
        id=text(labels.get(RUN_ID_LABEL)) or identity(reference),
        name=text(annotations.get(KFP + "run_name")) or reference.name,
        state=run_state(spec, status, deleted=reference.deleted),
        phase=phase_of(status.get("phase")),
        started_at=notes.time(status.get("startedAt"), "status.startedAt"),
        finished_at=notes.time(status.get("finishedAt"), "status.finishedAt"),
        pipeline=pipeline or argo_pipeline(metadata, spec),
        parameters=parameters,
        owner=owner_of(metadata, notes) or _labelled_owner(labels),
        resubmitted_from=text(labels.get(ARGO + "resubmitted-from-workflow")),
    )


def _labelled_owner(labels: dict[str, Any]) -> Owner | None:
    """The schedule that started it: of runs that Kubeflow Pipelines makes for one, only labels are certain."""
    named = ((kind, text(labels.get(label))) for kind, label in SCHEDULE_LABELS.items())
    return next((Owner(kind, name, None) for kind, name in named if name is not None), None)


def argo_pipeline(metadata: dict[str, Any], spec: dict[str, Any]) -> str | None:
    """The workflow template, else the cron workflow, else `generateName` without its final dash."""
    labels = as_map(metadata.get("labels"))
    generated = text(metadata.get("generateName"))
    owners = [as_map(item) for item in as_list(metadata.get("ownerReferences"))]
    names = (
        text(as_map(spec.get("workflowTemplateRef")).get("name")),
        text(labels.get(ARGO + "workflow-template")),
        text(labels.get(ARGO + "cluster-workflow-template")),
        text(labels.get(ARGO + "cron-workflow")),
        next((text(item.get("name")) for item in owners if item.get("kind") == "CronWorkflow"), None),
        generated.removesuffix("-") or None if generated else None,
    )
    return next((name for name in names if name), None)


def argo_parameters(metadata: dict[str, Any], spec: dict[str, Any], status: dict[str, Any], notes: Notes) -> Json:
    """Given values over the defaults of the pipeline (KFP v1) and of the workflow template."""
    values: Json = {}
    for item in as_list(kfp_v1.pipeline_spec(metadata).get("inputs")):
        name = text(as_map(item).get("name"))
        if name and "default" in as_map(item):
            values[name] = parameter_text(as_map(item)["default"])
    template = as_map(status.get("storedWorkflowTemplateSpec"))
    for source, where in ((template, "status.storedWorkflowTemplateSpec.arguments"), (spec, "spec.arguments")):
        arguments = notes.map(source.get("arguments"), where)
        for item in notes.list(arguments.get("parameters"), f"{where}.parameters"):
            name = text(as_map(item).get("name"))
            given = item.get("value", item.get("default")) if isinstance(item, dict) else None
            if name and (given is not None or name not in values):
                values[name] = parameter_text(given)
    return values

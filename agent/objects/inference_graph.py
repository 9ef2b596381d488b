"""KServe's InferenceGraph: a second place where requests are split, between the nodes of a graph of services."""

from agent.kind import Kind
from agent.objects.conditions import Conditions
from agent.objects.inference_service import ANNOTATION, changed_at, environment_of, lasting
from agent.report import Deployment, Json, ObjectRef, Report, Share
from agent.shape import CONDITIONS, METADATA, NUMBER, TEXT, Shape
from agent.values import Notes, as_list, as_map, text, whole

ROOT = "root"


def translate_inference_graph(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    metadata, spec, status = (notes.map(content.get(part), part) for part in ("metadata", "spec", "status"))
    nodes = notes.map(spec.get("nodes"), "spec.nodes")
    annotations = notes.map(metadata.get("annotations"), "metadata.annotations")
    conditions = Conditions(status, notes)
    ready = conditions.find("Ready")
    stopped = text(annotations.get(ANNOTATION + "stop")) == "true"
    gone = reference.deleted or metadata.get("deletionTimestamp") is not None
    deployment = Deployment(
        name=reference.name or str(reference.uid),
        environment=environment_of(reference),
        state="UNDEPLOYED" if stopped or gone else "DEPLOYED",
        ready=ready.status if ready else None,
        message=ready.message or ready.reason if ready and ready.status != "True" else None,
        url=text(status.get("url")),
        mode="InferenceGraph",
        runtime=None,
        changed_at=changed_at(metadata, conditions, notes),
        traffic=_traffic(as_map(nodes.get(ROOT))),
        services=_services(nodes, notes),
    )
    return Report(reference, deployment=deployment, warnings=notes.lines())


def _traffic(root: Json) -> tuple[Share, ...]:
    """What each target of the first node gets, if that node splits."""
    if root.get("routerType") != "Splitter":
        return ()
    shares = []
    for item in as_list(root.get("steps")):
        target, weight = _target(as_map(item)), whole(as_map(item).get("weight"))
        if target is not None and weight is not None and 0 <= weight <= 100:
            shares.append(Share(target, weight, text(as_map(item).get("name")), latest=False))
    return tuple(shares)


def _services(nodes: Json, notes: Notes) -> tuple[str, ...]:
    """The InferenceServices that any node sends requests to."""
    found = set()
    for name, node in nodes.items():
        for item in notes.list(as_map(node).get("steps"), f"spec.nodes.{name}.steps"):
            service = text(as_map(item).get("serviceName"))
            if service is not None:
                found.add(service)
    return tuple(sorted(found))


def _target(step: Json) -> str | None:
    return text(step.get("serviceName")) or text(step.get("nodeName")) or text(step.get("serviceUrl"))


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {
        "nodes": {
            "*": {
                "routerType": TEXT,
                "steps": [{"name": TEXT, "serviceName": TEXT, "nodeName": TEXT, "serviceUrl": TEXT, "weight": NUMBER}],
            }
        }
    },
    "status": {"url": TEXT, "conditions": CONDITIONS},
}

INFERENCE_GRAPH = Kind(
    "InferenceGraph", "serving.kserve.io", ("v1alpha1",), "inferencegraphs", translate_inference_graph, SHAPE, lasting=lasting
)

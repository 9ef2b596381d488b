"""KServe's InferenceService: which revision serves which model, and who gets what share of the requests."""

import re

from agent.kind import Kind
from agent.objects.conditions import Conditions
from agent.report import Deployment, Json, ModelLabels, ObjectRef, Report, Revision, Share
from agent.shape import BOOLEAN, CONDITIONS, METADATA, NUMBER, TEXT, Shape
from agent.values import Notes, as_list, as_map, short, text, whole
from storage.locations import object_uri

MODES = {"Serverless": "Knative", "RawDeployment": "Standard"}
"""What modes were called before."""
ANNOTATION = "serving.kserve.io/"
LABEL = "modelregistry.kubeflow.org/"
_FRAMEWORKS = (
    "model",
    "sklearn",
    "xgboost",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)
_NUMBERED = re.compile(r"-(\d{5,})\Z")


def translate_inference_service(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    metadata, spec, status = (notes.map(content.get(part), part) for part in ("metadata", "spec", "status"))
    service = _Service(reference, metadata, spec, status, notes)
    return Report(reference, deployment=service.deployment(), warnings=notes.lines())


class _Service:
    def __init__(self, reference: ObjectRef, metadata: Json, spec: Json, status: Json, notes: Notes) -> None:
        self._reference, self._spec, self._status, self._notes = reference, spec, status, notes
        self._metadata = metadata
        self._labels = notes.map(metadata.get("labels"), "metadata.labels")
        self._annotations = notes.map(metadata.get("annotations"), "metadata.annotations")
        self._predictor = notes.map(spec.get("predictor"), "spec.predictor")
        components = notes.map(status.get("components"), "status.components")
        self._component = notes.map(components.get("predictor"), "status.components.predictor")
        self._conditions = Conditions(status, notes)

    def deployment(self) -> Deployment:
        mode = self._mode()
        revisions, traffic = self._knative() if mode == "Knative" else self._by_generation()
        ready = self._conditions.find("Ready")
        status = self._status
        return Deployment(
            name=self._reference.name or str(self._reference.uid),
            environment=environment_of(self._reference),
            state="UNDEPLOYED" if self._is_stopped() else "DEPLOYED",
            ready=ready.status if ready else None,
            message=self._message(),
            url=text(status.get("url")) or text(as_map(status.get("address")).get("url")),
            mode=mode,
            runtime=text(status.get("servingRuntimeName")) or text(status.get("clusterServingRuntimeName")),
            changed_at=changed_at(self._metadata, self._conditions, self._notes),
            revisions=revisions,
            traffic=traffic,
            model=self._model(),
        )

    def _is_stopped(self) -> bool:
        annotated = text(self._annotations.get(ANNOTATION + "stop")) == "true"
        return annotated or self._reference.deleted or self._metadata.get("deletionTimestamp") is not None

    def _mode(self) -> str:
        """As the status says, else the annotation. Before either said it, only Knative listed revisions."""
        said = text(self._status.get("deploymentMode")) or text(self._annotations.get(ANNOTATION + "deploymentMode"))
        if said is None:
            return "Knative" if "latestCreatedRevision" in self._component or "traffic" in self._component else "Standard"
        return MODES.get(said, said)

    def _is_observed(self) -> bool:
        """Whether the status is about this very spec. A picture in which it is not would name the new model for the old one."""
        observed = whole(self._status.get("observedGeneration"))
        return observed is not None and observed == self._reference.generation

    def _knative(self) -> tuple[tuple[Revision, ...], tuple[Share, ...]]:
        shares = []
        for item in self._notes.list(self._component.get("traffic"), "status.components.predictor.traffic"):
            entry = as_map(item)
            name, percent = text(entry.get("revisionName")), whole(entry.get("percent"))
            if name is not None and percent is not None and 0 <= percent <= 100:
                shares.append(Share(name, percent, text(entry.get("tag")), entry.get("latestRevision") is True))
        created = text(self._component.get("latestCreatedRevision"))
        mentioned = [text(self._component.get(f"{which}Revision")) for which in ("latestReady", "latestRolledout")]
        newest = created is not None and all(
            _number(created) >= _number(name) for name in (*mentioned, *(share.revision for share in shares)) if name
        )
        if created is None or not newest or not self._is_observed():
            return (), tuple(shares)
        return tuple(Revision(created, uri) for uri in self._uris(self._predictor)), tuple(shares)

    def _by_generation(self) -> tuple[tuple[Revision, ...], tuple[Share, ...]]:
        """Modes without revisions: each generation of the object counts as one, and a canary of it as one more."""
        if not self._is_observed():
            return (), ()
        name = f"generation-{self._reference.generation}"
        revisions = [Revision(name, uri) for uri in self._uris(self._predictor)]
        canaries = []
        for place, item in enumerate(self._notes.list(self._spec.get("canary"), "spec.canary")):
            predictor, percent = as_map(as_map(item).get("predictor")), whole(as_map(item).get("trafficPercent"))
            if percent is not None and 0 <= percent <= 100:
                canary = f"{name}-{text(predictor.get('name')) or f'canary-{place}'}"
                canaries.append(Share(canary, percent, "canary", latest=True))
                revisions += [Revision(canary, uri) for uri in self._uris(predictor)]
        rest = max(0, 100 - sum(share.percent for share in canaries))
        if not self._conditions.is_true("PredictorReady") or (canaries and not self._conditions.is_true("CanaryPredictorReady")):
            return tuple(revisions), ()  # what is served meanwhile is what was served before
        return tuple(revisions), (Share(name, rest, None, latest=not canaries), *canaries)

    def _uris(self, predictor: Json) -> list[str]:
        """Where the model lies: one URI, or several; none of a container that brings its own."""
        for framework in _FRAMEWORKS:
            found = _of_framework(as_map(predictor.get(framework)))
            if found:
                return found
        several = [text(as_map(item).get("uri")) for item in as_list(predictor.get("storageUris"))]
        containers = [as_map(item) for item in as_list(predictor.get("containers"))]
        variables = [as_map(item) for container in containers for item in as_list(container.get("env"))]
        several += [text(item.get("value")) for item in variables if item.get("name") == "STORAGE_URI"]
        return [uri for uri in several if uri]

    def _model(self) -> ModelLabels | None:
        ids = [text(self._labels.get(f"{LABEL}{name}-id")) for name in ("registered-model", "model-version")]
        for given in ids:
            if given is not None and whole(given) is None:
                self._notes.add(f"A label of the Model Registry is no id and is left out: {short(given)}.")
        model, version = (whole(given) for given in ids)
        return None if model is None and version is None else ModelLabels(model, version)

    def _message(self) -> str | None:
        failure = as_map(as_map(self._status.get("modelStatus")).get("lastFailureInfo"))
        ready = self._conditions.find("Ready")
        if ready is None or ready.status == "True":
            return text(failure.get("message"))
        return ready.message or text(failure.get("message")) or ready.reason


def environment_of(reference: ObjectRef) -> str | None:
    """The namespace; with the cluster before it where that has a name."""
    parts = [part for part in (reference.cluster, reference.namespace) if part]
    return "/".join(parts) or None


def changed_at(metadata: Json, conditions: Conditions, notes: Notes) -> str | None:
    """The last transition of any condition, else the object's birth; of one that is being deleted, when that was asked for."""
    deleted = notes.time(metadata.get("deletionTimestamp"), "metadata.deletionTimestamp")
    times = [condition.at for condition in conditions.all if condition.at]
    return deleted or max(times, default=None) or notes.time(metadata.get("creationTimestamp"), "metadata.creationTimestamp")


def _of_framework(model: Json) -> list[str]:
    uri = text(model.get("storageUri"))
    if uri is not None:
        return [uri]
    several = [text(as_map(item).get("uri")) for item in as_list(model.get("storageUris"))]
    storage = as_map(model.get("storage"))
    parameters, path = as_map(storage.get("parameters")), text(storage.get("path"))
    bucket = text(parameters.get("bucket"))
    if path is not None and bucket is not None and parameters.get("type", "s3") == "s3":
        several.append(object_uri(bucket, path))
    return [uri for uri in several if uri]


def _number(revision: str) -> int:
    """Knative counts the revisions of a service in their names; older versions named them by chance."""
    found = _NUMBERED.search(revision)
    return int(found.group(1)) if found else 0


def lasting(report: Report) -> frozenset[str]:
    """Each picture: a list of traffic that is equal to the one before it still says since when it was the case."""
    return frozenset({report.object.resource_version or ""})


_URIS: Shape = [{"uri": TEXT}]
_MODEL: Shape = {
    "storageUri": TEXT,
    "storageUris": _URIS,
    "storage": {"path": TEXT, "parameters": {"bucket": TEXT, "type": TEXT}},
}
_PREDICTOR: Shape = {
    **dict.fromkeys(_FRAMEWORKS, _MODEL),
    "storageUris": _URIS,
    "containers": [{"env": [{"name": TEXT, "value": TEXT}]}],
}
SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {"predictor": _PREDICTOR, "canary": [{"predictor": _PREDICTOR, "trafficPercent": NUMBER}]},
    "status": {
        "observedGeneration": NUMBER,
        "url": TEXT,
        "address": {"url": TEXT},
        "deploymentMode": TEXT,
        "servingRuntimeName": TEXT,
        "clusterServingRuntimeName": TEXT,
        "conditions": CONDITIONS,
        "modelStatus": {"lastFailureInfo": {"message": TEXT}},
        "components": {
            "predictor": {
                "latestCreatedRevision": TEXT,
                "latestReadyRevision": TEXT,
                "latestRolledoutRevision": TEXT,
                "traffic": [{"revisionName": TEXT, "percent": NUMBER, "tag": TEXT, "latestRevision": BOOLEAN}],
            }
        },
    },
}

INFERENCE_SERVICE = Kind(
    "InferenceService",
    "serving.kserve.io",
    ("v1beta1",),
    "inferenceservices",
    translate_inference_service,
    SHAPE,
    lasting=lasting,
    earlier_groups=("serving.kubeflow.org",),
)

"""Pipeline and PipelineVersion, as Kubeflow Pipelines keeps them in the cluster."""

import hashlib
import json

from agent.kind import Kind
from agent.report import Json, ObjectRef, Pipeline, Report
from agent.shape import METADATA, TEXT, Shape
from agent.values import Notes, as_map, parse_json, plain, text
from agent.workflow.run import owner_of


def translate_pipeline(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    spec = notes.map(content.get("spec"), "spec")
    name = reference.name or str(reference.uid)
    pipeline = Pipeline(name, None, text(spec.get("displayName")), text(spec.get("description")), None, None)
    return Report(reference, pipeline=pipeline, warnings=notes.lines())


def translate_pipeline_version(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    metadata, spec = notes.map(content.get("metadata"), "metadata"), notes.map(content.get("spec"), "spec")
    owner = owner_of(metadata, notes)
    named = text(spec.get("pipelineName")) or (owner.name if owner is not None and owner.kind == "Pipeline" else None)
    version = reference.name or str(reference.uid)
    if named is None:
        notes.add("The version names no pipeline; it is taken for the only one of a pipeline of its own name.")
    pipeline = Pipeline(
        name=named or version,
        version=version,
        display_name=text(spec.get("displayName")),
        description=text(spec.get("description")),
        digest=_digest(spec.get("pipelineSpec")),
        spec=text(spec.get("pipelineSpecURI")),
    )
    return Report(reference, pipeline=pipeline, warnings=notes.lines())


def _digest(compiled: object) -> str | None:
    content = parse_json(compiled) if isinstance(compiled, str) else as_map(compiled)
    if not content:
        return None
    canonical = json.dumps(plain(content), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {"displayName": TEXT, "description": TEXT, "pipelineName": TEXT, "pipelineSpecURI": TEXT},
}

PIPELINE = Kind("Pipeline", "pipelines.kubeflow.org", ("v2beta1",), "pipelines", translate_pipeline, SHAPE)
PIPELINE_VERSION = Kind(
    "PipelineVersion", "pipelines.kubeflow.org", ("v2beta1",), "pipelineversions", translate_pipeline_version, SHAPE
)

"""Kubeflow Pipelines v1: Argo's templates, with the author's names and types in annotations.

Source: the SDK 1.x compiler. A template's annotation `pipelines.kubeflow.org/component_spec` has the declared ports,
`arguments.parameters` the values of the declared inputs with Argo placeholders. Argo's own port names are
`<task>-<output>`; files lie at `/tmp/inputs/<input>/data` and `/tmp/outputs/<output>/data`.
"""

import re
from dataclasses import replace
from typing import Any

from agent.report import Artifact, Json
from agent.values import as_list, as_map, parse_json, text
from agent.workflow.drafts import Draft
from agent.workflow.templates import Templates, annotations

PREFIX = "pipelines.kubeflow.org/"

_PATH = re.compile(r"\A/tmp/(?:inputs|outputs)/([^/]+)/data\Z")
_PLACEHOLDER = re.compile(r"\{\{inputs\.parameters\.([^{}]+)\}\}")


def is_kfp_v1(metadata: dict[str, Any], templates: Templates) -> bool:
    marks = {**as_map(metadata.get("labels")), **as_map(metadata.get("annotations"))}
    known = ("pipeline_spec", "kfp_sdk_version", "pipeline-sdk-type")
    if any(PREFIX + name in marks for name in known) or "pipeline/runid" in marks:
        return True
    return any(PREFIX + "component_spec" in annotations(template) for template in templates.all.values())


def pipeline_spec(metadata: dict[str, Any]) -> Json:
    return as_map(parse_json(as_map(metadata.get("annotations")).get(PREFIX + "pipeline_spec")))


def declare(draft: Draft, templates: Templates) -> None:
    """Gives a task the names and types that its author wrote, instead of Argo's."""
    template = templates.of(draft.own)
    marks = annotations(template)
    draft.display_name = text(marks.get(PREFIX + "task_display_name"))
    draft.component = as_map(parse_json(marks.get(PREFIX + "component_spec")))
    if not draft.component:
        return
    task = text(template.get("name")) or ""
    arguments = as_map(parse_json(marks.get(PREFIX + "arguments.parameters")))
    draft.port_names = _input_names(template, draft.component, arguments)
    draft.inputs = _inputs(draft, arguments)
    outputs = _output_names(template, draft.component, task)
    draft.outputs = {outputs.get(name, name): value for name, value in draft.outputs.items()}
    input_types, output_types = _types(draft.component, "inputs"), _types(draft.component, "outputs")
    draft.input_artifacts = [_named(item, draft.port_names, input_types) for item in draft.input_artifacts]
    draft.output_artifacts = [_named(item, outputs, output_types) for item in draft.output_artifacts]


def _named(artifact: Artifact, names: dict[str, str], types: dict[str, str]) -> Artifact:
    name = names.get(artifact.name, artifact.name)
    return replace(artifact, name=name, type=types.get(name))


def _types(component: Json, side: str) -> dict[str, str]:
    """Declared types by port: a name, or a map whose one key is the name (`{GCSPath: {…}}`)."""
    types: dict[str, str] = {}
    for item in as_list(component.get(side)):
        name, declared = text(as_map(item).get("name")), as_map(item).get("type")
        shown = next(iter(declared), None) if isinstance(declared, dict) else declared
        if name and text(shown):
            types[name] = str(text(shown))
    return types


def _input_names(template: dict[str, Any], component: Json, arguments: Json) -> dict[str, str]:
    """Declared input names by Argo's: parameters by the placeholder of their value, artifacts by their path."""
    names: dict[str, str] = {}
    for declared, value in arguments.items():
        match = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
        if match:
            names.setdefault(match[1], declared)
    by_form = _by_form(component, "inputs")
    inputs = as_map(template.get("inputs"))
    for item in [*as_list(inputs.get("artifacts")), *as_list(inputs.get("parameters"))]:
        name = text(as_map(item).get("name"))
        declared_name = by_form.get(_form(_in_path(item) or name or ""))
        if name and declared_name:
            names.setdefault(name, declared_name)
    return names


def _output_names(template: dict[str, Any], component: Json, task: str) -> dict[str, str]:
    by_form = _by_form(component, "outputs")
    names: dict[str, str] = {}
    outputs = as_map(template.get("outputs"))
    for item in [*as_list(outputs.get("artifacts")), *as_list(outputs.get("parameters"))]:
        name = text(as_map(item).get("name"))
        if name is None:
            continue
        forms = (_in_path(item), name.removeprefix(f"{task}-"), name)
        declared = next((by_form[_form(form)] for form in forms if form and _form(form) in by_form), None)
        if declared:
            names[name] = declared
    return names


def _inputs(draft: Draft, arguments: Json) -> Json:
    """The declared inputs with their values, constants too; loop items and the like keep Argo's name."""
    shown, used = {}, set()
    for declared, value in arguments.items():
        words = value if isinstance(value, str) else text(value)
        used.update(_PLACEHOLDER.findall(words or ""))
        shown[declared] = _PLACEHOLDER.sub(lambda match: draft.inputs.get(match[1]) or "", words) if words else None
    rest = {draft.port_names.get(name, name): value for name, value in draft.inputs.items() if name not in used}
    return {**rest, **shown}


def _by_form(component: Json, side: str) -> dict[str, str]:
    names = [text(as_map(item).get("name")) for item in as_list(component.get(side))]
    return {_form(name): name for name in names if name}


def _in_path(item: object) -> str | None:
    path = as_map(item).get("path") or as_map(as_map(item).get("valueFrom")).get("path")
    match = _PATH.match(path) if isinstance(path, str) else None
    return match[1] if match else None


def _form(name: str) -> str:
    """The compiler writes `Output Model` as `output-model` or `Output_Model`: compare without case and punctuation."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")

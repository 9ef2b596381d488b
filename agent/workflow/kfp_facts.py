"""What KFP v2's driver, launcher and compiler wrote about a task and about the run, read out of their words.

Source: Kubeflow Pipelines, `backend/src/v2`: the driver's inputs `component` and `task`, its output `pod-spec-patch`,
the importer's input `importer`, the root driver's `runtime-config`.
"""

from typing import Any

from agent.report import Artifact, Json
from agent.values import Notes, as_list, as_map, parse_json, text, whole
from agent.workflow.artifacts import Repository, is_log, log_uri
from agent.workflow.drafts import Draft, declared
from agent.workflow.graph import Step
from agent.workflow.kfp_v2 import PREFIX, arguments
from agent.workflow.launcher import Launch, read_flags, read_patch, type_of
from agent.workflow.states import FAILED_PHASES
from agent.workflow.templates import Templates


def spec_of(draft: Draft, enclosing: Json) -> tuple[Json, Json]:
    """The task spec and the component spec of a task: as its driver (or importer) was given them, else from outside.

    `enclosing` is the component that contains the task.
    """
    holder = draft.driver or draft.own
    given = holder.inputs.parameters if holder is not None else {}
    spec = as_map(parse_json(given.get("task")))
    if not spec:
        spec = as_map(as_map(as_map(enclosing.get("dag")).get("tasks")).get(draft.name))
    return spec, as_map(parse_json(given.get("component")))


def fill(draft: Draft, repository: Repository, notes: Notes) -> Launch:
    """Execution id, values, artifacts and logs of one task from its driver's output; gives what it read."""
    launch = _launch(draft, notes)
    driver_outputs = draft.driver.outputs.parameters if draft.driver else {}
    draft.display_name = text(as_map(draft.spec.get("taskInfo")).get("name"))
    draft.execution_id = launch.execution_id or whole(driver_outputs.get("execution-id"))
    draft.component = draft.component or launch.component
    if launch.is_known:
        draft.has_resolved_inputs = True
        draft.inputs = dict(launch.parameters)
        draft.input_artifacts = list(launch.inputs)
    draft.output_artifacts = _outputs(draft, launch, repository, notes)
    draft.log_uri = _log_uri(draft, repository, notes)
    return launch


def _launch(draft: Draft, notes: Notes) -> Launch:
    """From the driver's output, else from the input of the executor; a patch that cannot be parsed leaves a warning."""
    holders = [step.outputs.parameters for step in (draft.driver,) if step is not None]
    holders += [step.inputs.parameters for step in (draft.executor, draft.own) if step is not None]
    patch = next((holder["pod-spec-patch"] for holder in holders if holder.get("pod-spec-patch")), None)
    if not patch:
        return Launch()
    launch = read_patch(patch)
    if not launch.is_known:
        notes.add(f"The driver's output for {draft.key} cannot be read: its inputs and outputs are not known.")
    return launch


def _outputs(draft: Draft, launch: Launch, repository: Repository, notes: Notes) -> list[Artifact]:
    """Of COMPLETE tasks the planned artifacts (or the imported one), and always what the node itself reports."""
    reporting = draft.executor or draft.own
    reported = []
    for item in reporting.outputs.artifacts if reporting and not draft.is_driver_only else ():
        name, uri = text(item.get("name")), repository.uri(item, notes)
        if name and uri and not is_log(item):
            reported.append(Artifact(name, uri, None))
    if draft.state != "COMPLETE":
        return reported
    planned = list(launch.outputs)
    known = {artifact.name for artifact in planned}
    return [*planned, *(artifact for artifact in reported if artifact.name not in known)]


def add_imported(draft: Draft) -> None:
    """The artifact of an importer, whose address is a constant or one of the task's parameters."""
    given = draft.own.inputs.parameters if draft.own else {}
    importer = as_map(parse_json(given.get("importer")))
    if not importer or draft.state not in ("COMPLETE", "CACHED"):
        return
    address = as_map(importer.get("artifactUri"))
    uri = text(address.get("constant")) or text(as_map(address.get("constantValue")).get("stringValue"))
    uri = uri or text(draft.inputs.get(text(address.get("runtimeParameter")) or ""))
    if uri is not None:
        port = next(iter(sorted(map(str, declared(draft.component, "outputDefinitions", "artifacts")))), "artifact")
        metadata = as_map(importer.get("metadata"))
        draft.output_artifacts.append(Artifact(port, uri, type_of(importer.get("typeSchema")), metadata))


def _log_uri(draft: Draft, repository: Repository, notes: Notes) -> str | None:
    """What Argo archived of the user's container; else of a failed driver.

    Where the launcher planned its log is not said: the launcher of 2.17 appends the attempt to that address.
    """
    container = draft.executor or (None if draft.is_group else draft.own)
    if container is not None:
        archived = log_uri(container.outputs.artifacts, repository, notes)
        if archived:
            return archived
    if draft.driver is not None and draft.driver.head.phase in FAILED_PHASES:
        return log_uri(draft.driver.outputs.artifacts, repository, notes)
    return None


def pipeline_name(templates: Templates, launches: list[Launch]) -> str | None:
    """`--pipeline_name` of the driver and launcher templates, else of the patches."""
    for template in templates.all.values():
        container = as_map(template.get("container"))
        flags = read_flags([*as_list(container.get("command")), *as_list(container.get("args"))])
        name = flags.get("pipeline_name")
        if name and "{{" not in name:
            return name
    return next((launch.pipeline for launch in launches if launch.pipeline), None)


def root_component(metadata: dict[str, Any], spec: dict[str, Any], root_driver: Step | None) -> Json:
    """The pipeline's own component: from the root driver's input, the arguments (2.3 and later) or the annotations."""
    given = root_driver.inputs.parameters.get("component") if root_driver else None
    found = parse_json(given) or parse_json(arguments(spec).get("components-root"))
    return as_map(found or parse_json(as_map(metadata.get("annotations")).get(PREFIX + "components-root")))


def runtime_values(templates: Templates, root_driver: Step | None) -> Json:
    """The values that were given to the run: the root driver's input, else the argument in the entry template."""
    given = root_driver.inputs.parameters.get("runtime-config") if root_driver else None
    for template in templates.all.values() if given is None else ():
        for task in as_list(as_map(template.get("dag")).get("tasks")):
            if as_map(task).get("name") == "root-driver":
                given = text(arguments(as_map(task)).get("runtime-config"))
    config = as_map(parse_json(given))
    return as_map(config.get("parameterValues")) or _legacy_values(as_map(config.get("parameters")))


def _legacy_values(parameters: Json) -> Json:
    """The first releases of v2 wrote `{"name": {"stringValue": "x"}}`."""
    return {name: next(iter(value.values()), None) if isinstance(value, dict) else value for name, value in parameters.items()}


def default_values(component: Json) -> Json:
    parameters = declared(component, "inputDefinitions", "parameters")
    return {name: as_map(item)["defaultValue"] for name, item in parameters.items() if "defaultValue" in as_map(item)}

"""The pod spec patch that KFP v2's driver gives to the launcher: the resolved inputs and the planned outputs of a task.

Source: Kubeflow Pipelines, `backend/src/v2/driver` and `cmd/launcher-v2`: the container `main` runs
`launch --flag value … -- <user command>`; flags come as `--flag value` or `--flag=value`, only up to the bare `--`.
"""

from dataclasses import dataclass, field

from agent.report import Artifact, Json
from agent.values import as_list, as_map, parse_json, text, whole

EXECUTOR_LOGS = "executor-logs"


@dataclass(frozen=True, slots=True)
class Launch:
    """What a patch says. Empty if it could not be parsed; `is_known` tells the two apart."""

    is_known: bool = False
    pipeline: str | None = None
    execution_id: int | None = None
    parameters: Json = field(default_factory=dict)
    inputs: tuple[Artifact, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    log_uri: str | None = None
    component: Json = field(default_factory=dict)


def read_patch(patch: str | None) -> Launch:
    containers = [as_map(item) for item in as_list(as_map(parse_json(patch)).get("containers"))]
    main = next((item for item in containers if item.get("name") == "main"), containers[0] if containers else {})
    flags = read_flags([*as_list(main.get("command")), *as_list(main.get("args"))])
    executor_input = parse_json(flags.get("executor_input"))
    if not isinstance(executor_input, dict):
        return Launch(pipeline=flags.get("pipeline_name"), execution_id=whole(flags.get("execution_id")))
    inputs, outputs = as_map(executor_input.get("inputs")), as_map(executor_input.get("outputs"))
    planned = read_artifacts(outputs.get("artifacts"))
    return Launch(
        is_known=True,
        pipeline=flags.get("pipeline_name"),
        execution_id=whole(flags.get("execution_id")),
        parameters=as_map(inputs.get("parameterValues")),
        inputs=read_artifacts(inputs.get("artifacts")),
        outputs=tuple(artifact for artifact in planned if artifact.name != EXECUTOR_LOGS),
        log_uri=next((artifact.uri for artifact in planned if artifact.name == EXECUTOR_LOGS), None),
        component=as_map(parse_json(flags.get("component_spec"))),
    )


def read_flags(words: list[object]) -> dict[str, str]:
    """Flags by name without dashes, from a command line, up to the bare `--`."""
    flags: dict[str, str] = {}
    waiting: str | None = None
    for word in words:
        if not isinstance(word, str):
            waiting = None
        elif word == "--":
            break
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            waiting = None if equals else name
            if equals:
                flags[name] = value
        elif waiting is not None:
            flags[waiting], waiting = word, None
    return flags


def read_artifacts(ports: object) -> tuple[Artifact, ...]:
    """The artifacts of an executor input's side, port by port; those without a URI are left out."""
    found: list[Artifact] = []
    for port, listed in sorted(as_map(ports).items(), key=lambda item: str(item[0])):
        for item in as_list(as_map(listed).get("artifacts")):
            uri = text(as_map(item).get("uri"))
            if uri and text(port):
                found.append(Artifact(str(port), uri, type_of(item.get("type")), as_map(item.get("metadata"))))
    return tuple(found)


def type_of(schema: object) -> str | None:
    """`system.Model` of a type schema; schemas of one's own have only the text of an instance schema."""
    return text(as_map(schema).get("schemaTitle")) or text(as_map(schema).get("instanceSchema"))

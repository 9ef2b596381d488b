"""Katib's Experiment: what is searched for, where, and how far the search has come."""

from agent.kind import Kind
from agent.objects.conditions import Conditions, named_values
from agent.report import (
    FINAL_STATES,
    Algorithm,
    BestTrial,
    Experiment,
    Json,
    Objective,
    ObjectRef,
    Parameter,
    Report,
    State,
)
from agent.shape import CONDITIONS, METADATA, NUMBER, PAIRS, TEXT, Shape
from agent.values import Notes, as_list, as_map, number, text, whole

STATES: dict[str, State] = {
    "Created": "NEW",
    "Running": "RUNNING",
    "Restarting": "RUNNING",
    "Failed": "FAILED",
    "Succeeded": "COMPLETE",
}
METRICS = ("latest", "min", "max")


def translate_experiment(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    spec, status = (notes.map(content.get(part), part) for part in ("spec", "status"))
    current = Conditions(status, notes).current(STATES)
    state: State = STATES[current.type] if current else "NEW"
    ended = notes.time(status.get("completionTime"), "status.completionTime") or (current.at if current else None)
    if reference.deleted and state not in FINAL_STATES:
        state = "CANCELED"
    experiment = Experiment(
        name=reference.name or str(reference.uid),
        state=state,
        phase=current.type if current else None,
        started_at=notes.time(status.get("startTime"), "status.startTime"),
        finished_at=ended if state in FINAL_STATES and state != "CANCELED" else None,  # one that goes on again keeps its time
        objective=_objective(notes.map(spec.get("objective"), "spec.objective")),
        algorithm=algorithm(spec.get("algorithm")),
        early_stopping=algorithm(spec.get("earlyStopping")),
        search_space=_search_space(spec, notes),
        counts={name: value for name, value in status.items() if name.startswith("trial") and whole(value) is not None},
        best_trial=_best(notes.map(status.get("currentOptimalTrial"), "status.currentOptimalTrial")),
    )
    return Report(reference, experiment=experiment, warnings=notes.lines())


def _objective(given: Json) -> Objective | None:
    if not given:
        return None
    goal = number(given.get("goal"))
    names = tuple(name for name in map(text, as_list(given.get("additionalMetricNames"))) if name is not None)
    kind = text(given.get("type"))
    named = {text(as_map(item).get("name")): text(as_map(item).get("value")) for item in as_list(given.get("metricStrategies"))}
    usual = {"maximize": "max", "minimize": "min"}.get(kind or "")
    strategies = {name: value for name, value in named.items() if name is not None and value not in (None, usual)}
    return Objective(text(given.get("objectiveMetricName")), kind, goal, names, strategies)


def algorithm(given: object) -> Algorithm | None:
    said = as_map(given)
    return Algorithm(text(said.get("algorithmName")), named_values(said.get("algorithmSettings"))) if said else None


def _search_space(spec: Json, notes: Notes) -> tuple[Parameter, ...]:
    found = []
    for item in notes.list(spec.get("parameters"), "spec.parameters"):
        name, space = text(as_map(item).get("name")), as_map(as_map(item).get("feasibleSpace"))
        if name is None:
            continue
        low, high, step = (text(space.get(key)) for key in ("min", "max", "step"))
        values = tuple(value for value in map(text, as_list(space.get("list"))) if value is not None)
        found.append(Parameter(name, text(as_map(item).get("parameterType")), low, high, step, values))
    return tuple(found)


def _best(given: Json) -> BestTrial | None:
    """Before v1beta1 it had no name."""
    best = BestTrial(text(given.get("bestTrialName")), named_values(given.get("parameterAssignments")), observation(given))
    return best if best.name or best.parameters or best.metrics else None


def observation(status: Json) -> Json:
    """What was measured, as texts: `{metric: {latest, min, max}}`; before v1beta1 there was one `value`."""
    found = {}
    for entry in map(as_map, as_list(as_map(status.get("observation")).get("metrics"))):
        name, values = text(entry.get("name")), {key: text(entry.get(key)) for key in METRICS}
        values["latest"] = values["latest"] or text(entry.get("value"))
        if name is not None:
            found[name] = {key: value for key, value in values.items() if value is not None}
    return found


OBSERVATION: Shape = {"metrics": [{"name": TEXT, "latest": TEXT, "min": TEXT, "max": TEXT, "value": TEXT}]}
ALGORITHM: Shape = {"algorithmName": TEXT, "algorithmSettings": PAIRS}
SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {
        "objective": {
            "type": TEXT,
            "goal": NUMBER,
            "objectiveMetricName": TEXT,
            "additionalMetricNames": [TEXT],
            "metricStrategies": PAIRS,
        },
        "algorithm": ALGORITHM,
        "earlyStopping": ALGORITHM,
        "parameters": [
            {"name": TEXT, "parameterType": TEXT, "feasibleSpace": {"min": TEXT, "max": TEXT, "step": TEXT, "list": [TEXT]}}
        ],
    },
    "status": {
        "conditions": CONDITIONS,
        "trials": NUMBER,
        "currentOptimalTrial": {"bestTrialName": TEXT, "parameterAssignments": PAIRS, "observation": OBSERVATION},
    },
}

EXPERIMENT = Kind("Experiment", "kubeflow.org", ("v1beta1",), "experiments", translate_experiment, SHAPE)

"""Conditions as Kubernetes controllers write them: which one counts, and the run of an object that is described by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.report import FINAL_STATES, Json, ObjectRef, Run, State
from agent.values import Notes, as_list, as_map, text, whole
from agent.workflow.run import identity, owner_of


@dataclass(frozen=True, slots=True)
class Condition:
    type: str
    status: str
    """True, False or Unknown."""
    reason: str | None
    message: str | None
    at: str | None
    """Its last transition: RFC 3339, UTC."""


class Conditions:
    """Those of one status, in the order in which they stand; a type that stands twice counts once, as it was said last."""

    def __init__(self, status: Json, notes: Notes) -> None:
        found: dict[str, Condition] = {}
        for item in notes.list(status.get("conditions"), "status.conditions"):
            entry = as_map(item)
            type_, state = text(entry.get("type")), text(entry.get("status"))
            if type_ is None or state is None:
                continue
            where = f"status.conditions.{type_}.lastTransitionTime"
            at = notes.time(entry.get("lastTransitionTime"), where)
            found[type_] = Condition(type_, state.capitalize(), text(entry.get("reason")), text(entry.get("message")), at)
        self.all = tuple(found.values())

    def find(self, type: str) -> Condition | None:
        return next((condition for condition in self.all if condition.type == type), None)

    def is_true(self, type: str) -> bool:
        found = self.find(type)
        return found is not None and found.status == "True"

    def current(self, states: Mapping[str, State]) -> Condition | None:
        """Of the conditions that are True and have a state, the one that says how it stands.

        Older ones stay True beside it, and neither their order nor their times are reliable (equal times are usual). So a
        final one counts, unless one that says it goes on again is later; then what is later, then what `states` names later.
        """
        order = list(states)
        true = [one for one in self.all if one.status == "True" and one.type in states]
        final = [one for one in true if states[one.type] in FINAL_STATES]
        if final:
            last = max(final, key=lambda one: (one.at or "", order.index(one.type)))
            true = [last, *(one for one in true if _goes_on(states, one) and last.at and (one.at or "") > last.at)]
        going_on = [one for one in true if _goes_on(states, one)]
        return max(going_on or true, key=lambda one: (one.at or "", order.index(one.type)), default=None)


def _goes_on(states: Mapping[str, State], condition: Condition) -> bool:
    """Whether it says more than that the object was once made."""
    return states[condition.type] not in FINAL_STATES and condition.type != "Created"


def described(
    reference: ObjectRef,
    content: Json,
    states: Mapping[str, State],
    notes: Notes,
    *,
    otherwise: State = "NEW",
    replicas: Json | None = None,
) -> Run:
    """The run of an object whose conditions have the types `states`. `otherwise`: its state where none of them is True."""
    metadata, status = as_map(content.get("metadata")), notes.map(content.get("status"), "status")
    conditions = Conditions(status, notes)
    current = conditions.current(states)
    state: State = states[current.type] if current else otherwise
    final = current if current is not None and state in FINAL_STATES else None
    if reference.deleted and state not in FINAL_STATES:
        state = "CANCELED"
    first = min((one.at for one in conditions.all if one.at), default=None)  # the order of the list is not reliable
    created = notes.time(metadata.get("creationTimestamp"), "metadata.creationTimestamp")
    return Run(
        id=identity(reference),
        name=reference.name,
        state=state,
        phase=current.type if current else None,
        started_at=notes.time(status.get("startTime"), "status.startTime") or first or created,
        finished_at=notes.time(status.get("completionTime"), "status.completionTime") or (final.at if final else None),
        pipeline=None,
        owner=owner_of(metadata, notes),
        replicas=replicas or {},
    )


def role(wanted: int | None, counts: Json) -> Json:
    """How many of a role there should be, and how many the status counts; what it leaves out is none."""
    return {"wanted": wanted} | {name: max(0, whole(counts.get(name)) or 0) for name in ("active", "succeeded", "failed")}


def named_values(items: Any) -> Json:
    """A list of `{name, value}` as a map of texts; without a value None."""
    pairs = ((text(as_map(item).get("name")), text(as_map(item).get("value"))) for item in as_list(items))
    return {name: value for name, value in pairs if name is not None}

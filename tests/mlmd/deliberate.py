"""What may differ between the C++ store and our server: `DELIBERATE`, by the words of the table in docs/doors/mlmd.md."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.mlmd.oracle import DIED
from tests.mlmd.sequences import KINDS

OK, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL = 0, 3, 5, 6, 11, 12, 13
FAILED_PRECONDITION = 9
REFUSALS = {INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, OUT_OF_RANGE, UNIMPLEMENTED}

KIND_OF_MESSAGE = {kind.title(): kind for kind in KINDS} | {f"{kind.title()}Type": "type" for kind in KINDS}


@dataclass(frozen=True)
class Pair:
    """A request and both answers. `shown`: these as they are compared; `told`: all requests up to this one."""

    method: str
    request: Any
    theirs: int
    ours: int
    their_text: str
    our_text: str
    their_answer: Any
    our_answer: Any
    shown: Sequence[Any]
    told: Sequence[str]


def _is_update(pair: Pair) -> bool:
    return pair.method.startswith("Put")


def _parts(message: Any) -> int:
    """How many nodes, edges and filters a request holds, each of which may have a fault of its own."""
    found = 0
    for of, value in message.ListFields():
        if of.message_type is None or of.message_type.GetOptions().map_entry:
            found += of.name == "filter_query"
            continue
        for one in value if hasattr(value, "extend") else [value]:
            found += max(1, _parts(one)) if one.ListFields() else 0
    return found


def _puts_twice(message: Any) -> bool:
    """Whether a request holds two nodes of one id, or a type twice."""
    found: list[tuple[str, int | tuple[str, str]]] = []
    waiting = [message]
    while waiting:
        one = waiting.pop()
        type_ = one.DESCRIPTOR.name.endswith("Type")
        if one.DESCRIPTOR.name in KIND_OF_MESSAGE and (type_ or one.HasField("id")):
            found.append((one.DESCRIPTOR.name, (one.name, one.version) if type_ else one.id))
        for of, value in one.ListFields():
            if of.message_type is not None and not of.message_type.GetOptions().map_entry:
                waiting += value if hasattr(value, "extend") else [value]
    return len(set(found)) < len(found)


TYPES_TWICE = "a new type that a call puts twice, at last without external id, has an empty one"


def puts_type_twice(request: Any) -> bool:
    """Whether a `PutTypes` names a type with an external id and after that without one: the stores part there."""
    if request.DESCRIPTOR.name != "PutTypesRequest":
        return False
    named: set[tuple[str, str, str]] = set()
    for of, types in request.ListFields():
        for one in types if hasattr(types, "extend") else ():
            key = (of.name, one.name, one.version)
            if one.external_id:
                named.add(key)
            elif key in named:
                return True
    return False


def _reaches_no_end(request: Any, answer: Any) -> bool:
    if request.DESCRIPTOR.name != "GetLineageSubgraphRequest":
        return False
    asked, found = request.lineage_subgraph_query_options, answer.lineage_subgraph
    return any(asked.HasField(f"ending_{kind}") and not getattr(found, kind) for kind in ("artifacts", "executions"))


def _lost(theirs: Any, ours: Any) -> set[str] | None:
    """The declared properties that only our answer has; None if the two differ in anything else."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        found: set[str] = set()
        for key in theirs.keys() | ours.keys():
            if key == "properties":
                one, other = theirs.get(key, {}), ours.get(key, {})
                found |= set(other) - set(one)
                parts = [_lost(value, other.get(name)) for name, value in one.items()]
            else:
                parts = [_lost(theirs.get(key), ours.get(key))]
            if None in parts:
                return None
            found = found.union(*(part or () for part in parts))
        return found
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        parts = [_lost(*pair) for pair in zip(theirs, ours, strict=True)]
        return None if None in parts else set[str]().union(*(part or () for part in parts))
    return set() if theirs == ours else None


def _loses_what_was_custom(pair: Pair) -> bool:
    """Whether their answer lacks properties, and only those, whose names were custom ones of some node before."""
    lost = _lost(*pair.shown) or set()
    names = [rf'custom_properties {{ +key: "{re.escape(key)}"' for key in lost]
    return bool(lost) and all(any(re.search(name, text) for text in pair.told) for name in names)


DELIBERATE: Mapping[str, Callable[[Pair], bool]] = {
    "methods that are not served": lambda pair: (
        pair.theirs == UNIMPLEMENTED
        and pair.method in {"GetLineageGraph", "GetParentContextsByContexts", "GetChildrenContextsByContexts"}
        and pair.ours in {OK, INVALID_ARGUMENT, NOT_FOUND}
    ),
    "a name or external id that is taken on update": lambda pair: (
        _is_update(pair) and pair.theirs == INTERNAL and pair.ours == ALREADY_EXISTS
    ),
    "a node or type that a call puts twice is written twice, and a clash on the way fails it": lambda pair: (
        pair.theirs == INTERNAL and pair.ours == OK and "UNIQUE constraint" in pair.their_text and _puts_twice(pair.request)
    ),
    "options that are wrong are let pass where nothing is listed": lambda pair: (
        pair.theirs == OK
        and pair.ours == INVALID_ARGUMENT
        and "options" in {of.name for of, _ in pair.request.ListFields()}
        and not pair.their_answer.ListFields()
    ),
    "a wrong filter of ending nodes is let pass where none of their kind is reached": lambda pair: (
        pair.theirs == OK and pair.ours == INVALID_ARGUMENT and _reaches_no_end(pair.request, pair.their_answer)
    ),
    "filters over states that cannot be rewritten": lambda pair: (
        "cannot be rewritten" in pair.their_text and pair.ours in {OK, NOT_FOUND}
    ),
    "the system's own types take properties from clients": lambda pair: (
        pair.method.endswith(("Type", "Types")) and pair.ours == FAILED_PRECONDITION and "mlmd.Model" in str(pair.request)
    ),
    "of several faults in one call the first is told": lambda pair: (
        pair.ours in REFUSALS
        and (pair.theirs in REFUSALS or (pair.theirs == INTERNAL and "UNIQUE constraint" in pair.their_text))
        and _parts(pair.request) > 1
    ),
    "an event may name an artifact that is not there": lambda pair: (
        pair.theirs == OK and pair.ours == INVALID_ARGUMENT and pair.our_text.startswith("no artifact has the id")
    ),
    "a pair of neither artifact nor event makes the artifacts of the call's contexts unreadable": lambda pair: (
        pair.theirs == INTERNAL and pair.ours == OK and "missing for ids: {-1}" in pair.their_text
    ),
    TYPES_TWICE: lambda pair: (
        (pair.theirs, pair.ours) in {(INTERNAL, OK), (OK, ALREADY_EXISTS)} and puts_type_twice(pair.request)
    ),
    "replacing a custom property may delete a declared one of the same name": lambda pair: (
        pair.theirs == OK and pair.ours == OK and _loses_what_was_custom(pair)
    ),
    "a request that ends the process": lambda pair: pair.theirs == DIED and pair.ours == INVALID_ARGUMENT,
}
"""What may differ, by the words of the table in docs/doors/mlmd.md."""

"""What types the fields of an object have: one warning for each that has another, so that nothing is lost in silence.

A shape names the fields that a translation reads. It is a map of fields (`*`: any), a list with the shape of its members, or one
of the types below. Translations are careful anyway; this says what they left out.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

from agent.values import Notes, number


class Type(Enum):
    TEXT = "a text"
    NUMBER = "a number"
    BOOLEAN = "a truth value"
    MAP = "a map"
    LIST = "a list"


Shape: TypeAlias = "Mapping[str, Shape] | list[Shape] | Type"

TEXT, NUMBER, BOOLEAN, MAP, LIST = Type.TEXT, Type.NUMBER, Type.BOOLEAN, Type.MAP, Type.LIST

METADATA: Shape = {
    "labels": {"*": TEXT},
    "annotations": {"*": TEXT},
    "ownerReferences": [{"kind": TEXT, "name": TEXT, "uid": TEXT}],
}
CONDITIONS: Shape = [{"type": TEXT, "status": TEXT, "reason": TEXT, "message": TEXT}]
PAIRS: Shape = [{"name": TEXT, "value": TEXT}]


def check(value: Any, shape: Shape, notes: Notes, where: str = "") -> None:
    """Leaves a sentence for each value of a wrong type; what is absent is right."""
    if value is None:
        return
    if isinstance(shape, Type):
        if not _fits(value, shape):
            notes.expect(value, where, shape.value)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            notes.expect(value, where, Type.LIST.value)
            return
        for place, member in enumerate(value):
            check(member, shape[0], notes, f"{where}[{place}]")
    elif not isinstance(value, dict):
        notes.expect(value, where, Type.MAP.value)
    else:
        for name, part in shape.items():
            for key in value if name == "*" else [name]:
                check(value.get(key), part, notes, f"{where}.{key}" if where else str(key))


def _fits(value: Any, type: Type) -> bool:
    if type is Type.TEXT:
        return not isinstance(value, dict | list)
    if type is Type.NUMBER:
        return number(value) is not None
    return isinstance(value, {Type.BOOLEAN: bool, Type.MAP: dict, Type.LIST: list}[type])

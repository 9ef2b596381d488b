"""How the types of a report become JSON: a scalar that is not known is null; a list, a map or a part that is empty is absent."""

from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

from agent.values import Notes, plain, storable

Json: TypeAlias = dict[str, Any]


def json_name(name: str, metadata: Any) -> str:
    return str(metadata.get("name", name))


def rendered(value: Any, notes: Notes) -> Json:
    """A record as JSON values."""
    shown: Json = {}
    for attribute, name, is_null_shown in _PLANS.get(type(value)) or _plan(type(value)):
        child = getattr(value, attribute)
        if child is None:
            if is_null_shown:
                shown[name] = None
        elif isinstance(child, str):
            cleaned = storable(child)
            if cleaned != child:
                notes.add("Characters that no store accepts (NUL, lone surrogates) are replaced.")
            shown[name] = cleaned
        elif isinstance(child, bool | int | float):
            shown[name] = child
        elif child:
            part = _part(child, notes)
            if part:
                shown[name] = part
    return shown


_PLANS: dict[type, tuple[tuple[str, str, bool], ...]] = {}
"""Of each field of a type its attribute, its name in the JSON, and whether None is shown there as null."""


def _plan(kind: type) -> tuple[tuple[str, str, bool], ...]:
    _PLANS[kind] = tuple(
        (part.name, json_name(part.name, part.metadata), _is_scalar(part.type) and "sparse" not in part.metadata)
        for part in fields(kind)
    )
    return _PLANS[kind]


def _part(child: Any, notes: Notes) -> Any:
    if is_dataclass(child):
        return rendered(child, notes)
    if isinstance(child, dict):
        return _without_empty_texts(plain(child))
    return [rendered(item, notes) if is_dataclass(item) else plain(item) for item in child]


def _without_empty_texts(values: Json) -> Json:
    return {key: None if value == "" else value for key, value in values.items()}


def _is_scalar(annotation: object) -> bool:
    """Whether a field's None is shown as null. Annotations here are types, or unions of them."""
    return not any(is_dataclass(part) for part in getattr(annotation, "__args__", (annotation,)))

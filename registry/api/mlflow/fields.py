"""What a call gives: fields of a JSON object or of a query, under either spelling, read by type.

MLflow's messages are protobuf in JSON: 64-bit integers and doubles may come as text, null is absent, unknown fields are nothing.
Every text is one that a database can keep.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import orjson

from registry.errors import InvalidArgument
from registry.names import check_text

_INT64 = 2**63
_SHOWN = 200


@cache
def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found.group(1).upper(), name)


def missing(name: str, why: str = "") -> InvalidArgument:
    return InvalidArgument(f"Missing value for required parameter '{name}'.{f' {why}' if why else ''}", field=name)


def invalid(name: str, value: Any, hint: str = "") -> InvalidArgument:
    try:
        shown = json.dumps(value)
    except (ValueError, TypeError, RecursionError):
        shown = str(type(value).__name__)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return InvalidArgument(f"Invalid value {shown} for parameter '{name}' supplied{f': {hint}' if hint else '.'}", field=name)


class Fields:
    """`path` leads to where the fields are, for messages: `metrics[3].`."""

    def __init__(self, given: Mapping[str, Any], path: str = "", *, query: bool = False) -> None:
        self._given = given
        self._path = path
        self._query = query

    @classmethod
    def of_body(cls, body: bytes) -> "Fields":
        """Raises InvalidArgument: it is no JSON object."""
        if not body.strip():
            return cls({})
        try:
            given = orjson.loads(body)
        except orjson.JSONDecodeError:
            given = _lenient(body)
        if not isinstance(given, dict):
            raise InvalidArgument("the body is not a JSON object")
        return cls(given)

    @classmethod
    def of_query(cls, pairs: Sequence[tuple[str, str]]) -> "Fields":
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            given.setdefault(name, []).append(value)
        return cls(given, query=True)

    def within(self, parameters: Mapping[str, str]) -> "Fields":
        """With what the path says, whatever the body says of it."""
        kept = {name: value for name, value in self._given.items() if name not in {camel(one) for one in parameters}}
        return Fields({**kept, **parameters}) if parameters else self

    def _raw(self, name: str) -> Any:
        """None: absent. Raises InvalidArgument: under both spellings."""
        other = camel(name)
        if other != name and other in self._given:
            if name in self._given:
                raise InvalidArgument(f"Request specifies both '{name}' and '{other}'; provide only one of them.", field=name)
            return self._given[other]
        return self._given.get(name)

    def _one(self, name: str) -> Any:
        value = self._raw(name)
        return value[0] if self._query and isinstance(value, list) else value

    def text(self, name: str) -> str | None:
        value = self._one(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise invalid(self._path + name, value, "it is not a string")
        return check_text(value, self._path + name)

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise missing(self._path + name)
        return value

    def integer(self, name: str) -> int | None:
        value = self._one(name)
        return None if value is None else integer_of(self._path + name, value)

    def double(self, name: str) -> float | None:
        value = self._one(name)
        return None if value is None else double_of(self._path + name, value)

    def flag(self, name: str) -> bool | None:
        value = self._one(name)
        if value is None or isinstance(value, bool):
            return value
        known = {"true": True, "false": False, "1": True, "0": False}
        if not isinstance(value, str) or value.lower() not in known:
            raise invalid(self._path + name, value, "it is not true or false")
        return known[value.lower()]

    def word(self, name: str, words: Sequence[str]) -> str | None:
        """The name of an enumeration's value, or its number from 1; one that is not among them is as good as absent."""
        value = self._one(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return words[value - 1] if 0 < value <= len(words) else None
        return value if isinstance(value, str) and value in words else None

    def listed(self, name: str) -> Sequence[Any]:
        value = self._raw(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise invalid(self._path + name, value, "it is not a list")
        return value

    def texts(self, name: str) -> list[str]:
        found = []
        for value in self.listed(name):
            if not isinstance(value, str):
                raise invalid(self._path + name, value, "it is not a string")
            found.append(check_text(value, self._path + name))
        return found

    def items(self, name: str) -> Iterator["Fields"]:
        """The objects of a list."""
        for index, value in enumerate(self.listed(name)):
            yield self.item(name, index, value)

    def object(self, name: str) -> "Fields | None":
        value = self._raw(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid(self._path + name, value, "it is not an object")
        return Fields(value, f"{self._path}{name}.")

    def item(self, name: str, index: int, value: Any) -> "Fields":
        where = f"{self._path}{name}[{index}]"
        if not isinstance(value, dict):
            raise invalid(where, value, "it is not an object")
        return Fields(value, f"{where}.")


def integer_of(name: str, value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,19}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -_INT64 <= value < _INT64:
        raise invalid(name, value, "it is not a 64-bit integer")
    return value


def double_of(name: str, value: Any) -> float:
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            raise invalid(name, "an integer over the largest double") from None
    if isinstance(value, str) and value != "nan":  # as protobuf's own reader: whatever Python takes for one, but for this
        with contextlib.suppress(ValueError):
            return float(value)
    raise invalid(name, value, "it is not a number")


def _lenient(body: bytes) -> Any:
    """What Python's own client may send and strict JSON has not: bare NaN and infinities."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidArgument("the body is not JSON") from None

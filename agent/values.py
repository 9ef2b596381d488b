"""Careful access to values that somebody else wrote: any field may have any type, and no field may stop a translation.

Every function here is total: a value of the wrong type becomes None or an empty collection, and where something is lost
by that, a sentence is left in `Notes`.
"""

import json
import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

MAX_DEPTH = 100
"""Levels of maps and lists in one object; real Workflows stay below 20, and the JSON writer recurses."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\s*(?:[Zz]|([+-])(\d\d):?(\d\d))?\Z", re.ASCII)


_LONGEST_TIME = 64
"""Characters; with nine digits of a fraction and an offset a time has 35."""


class Notes:
    """Collects the warnings of one report: each sentence once, in order, at most LIMIT of them."""

    LIMIT = 50

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._more = 0

    def add(self, sentence: str) -> None:
        if sentence in self._lines:
            return
        if len(self._lines) >= self.LIMIT:
            self._more += 1
            return
        self._lines[sentence] = None

    def lines(self) -> tuple[str, ...]:
        more = (f"{self._more} further warnings are left out.",) if self._more else ()
        return (*self._lines, *more)

    def map(self, value: object, where: str) -> dict[str, Any]:
        """The map that should stand at `where`; empty, with a warning, if something else stands there."""
        if isinstance(value, dict):
            return value
        self.expect(value, where, "a map")
        return {}

    def list(self, value: object, where: str) -> list[Any]:
        if isinstance(value, list):
            return value
        self.expect(value, where, "a list")
        return []

    def time(self, value: object, where: str) -> str | None:
        """RFC 3339 in UTC, or None; a text that is no time is left out with a warning."""
        if value is None or value == "":
            return None
        moment = utc(value)
        if moment is None and not is_zero_time(value):
            self.add(f"{where} is not a time and is left out: {short(value)}.")
        return moment

    def expect(self, value: object, where: str, wanted: str) -> None:
        """Say that something else than `wanted` stands at `where`."""
        if value is not None:
            self.add(f"{where} should be {wanted} and is left out: it is {kind_of(value)}.")


def kind_of(value: object) -> str:
    names = {dict: "a map", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")


def short(value: object, limit: int = 60) -> str:
    """The value as a text that fits into a sentence."""
    shown = value if isinstance(value, str) else str(value)[: limit + 1]
    return shown if len(shown) <= limit else shown[:limit] + "…"


def text(value: object) -> str | None:
    """The value as text, numbers and truth values too; None for everything that has no text, and for the empty one."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None


def as_map(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def whole(value: object) -> int | None:
    """A whole number of at most 18 digits, also written as text; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**18 else None
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    return None


def number(value: object) -> float | int | None:
    """A finite number, also written as text; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int):
        return value if abs(value) < 10**300 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None


def utc(value: object) -> str | None:
    """RFC 3339 in UTC with the fraction that was written; Go's zero time and everything unreadable are None."""
    if not isinstance(value, str):
        return None
    return _utc(value) if len(value) <= _LONGEST_TIME else None


@lru_cache(maxsize=4096)
def _utc(value: str) -> str | None:
    """The nodes of a Workflow have their times in common, and with its next picture all but a few."""
    match = _TIME.match(value)
    if match is None or is_zero_time(value):
        return None
    year, month, day, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        if sign:
            offset = f"{sign}{off_hour}{off_minute}"
            moment = datetime.strptime(moment.strftime("%Y-%m-%dT%H:%M:%S") + offset, "%Y-%m-%dT%H:%M:%S%z")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    digits = (fraction or "").rstrip("0")
    return f"{moment.year:04}-" + moment.strftime("%m-%dT%H:%M:%S") + (f".{digits}" if digits else "") + "Z"


def is_zero_time(value: object) -> bool:
    return isinstance(value, str) and value.startswith("0001-01-01T00:00:00")


def parse_json(value: object) -> Any:
    """What a text that carries JSON says; None if it is no JSON, or is nested deeper than MAX_DEPTH."""
    if not isinstance(value, str):
        return None
    try:
        parsed = read_json(value)
    except (ValueError, RecursionError):
        return None
    if value.count("{") + value.count("[") <= MAX_DEPTH:  # it cannot be deeper
        return parsed
    return parsed if depth_within(parsed, MAX_DEPTH) else None


def read_json(text: str | bytes) -> Any:
    """As `json.loads`, which reads what msgspec refuses: NaN, lone surrogates, whole numbers of any length.

    Raises ValueError, RecursionError.
    """
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return json.loads(text)


_decode = msgspec.json.Decoder().decode


def depth_within(value: object, limit: int, *, max_values: int | None = None) -> bool:
    """Whether the value has at most `limit` levels, and at most `max_values` values when shared parts count each time.

    The second limit is what stops a YAML alias bomb and a YAML anchor that contains itself.
    """
    if max_values is None:
        return _depth_within(value, limit)
    stack: list[tuple[object, int]] = [(value, 0)]
    seen = 0
    while stack:
        current, level = stack.pop()
        seen += 1
        if level > limit or seen > max_values:
            return False
        if isinstance(current, dict):
            stack.extend((child, level + 1) for child in current.values())
        elif isinstance(current, list):
            stack.extend((child, level + 1) for child in current)
    return True


def _depth_within(value: object, limit: int) -> bool:
    """Level by level, and only by what is a map or a list: one value in ten."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        if not level:
            return True
        held = [inner.values() if isinstance(inner, dict) else inner for inner in level]
        level = [child for inner in held for child in inner if isinstance(child, dict | list)]
    return not any(level)


def storable(value: str) -> str:
    """The text without NUL and lone surrogates, which no door of the server accepts."""
    if value.isascii() and "\x00" not in value:
        return value
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)


def plain(value: object, level: int = 0) -> Any:
    """A JSON value: texts storable, keys sorted, not-finite numbers as text, other types as text, too deep as None."""
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if level > MAX_DEPTH:
        return None
    if isinstance(value, dict):
        cleaned = {storable(str(key)): child for key, child in value.items()}
        return {key: plain(cleaned[key], level + 1) for key in sorted(cleaned)}
    if isinstance(value, list | tuple):
        return [plain(child, level + 1) for child in value]
    return str(value)

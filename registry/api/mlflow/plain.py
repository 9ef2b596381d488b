"""Bodies of hot calls as nearly every client sends them, read at once into a struct.

What is not like that (an unknown field, another spelling, a number as text, a NaN, a value out of its limits, a NUL) is left to
`Fields`, which know what is meant and what is wrong.
"""

from functools import cache
from typing import Annotated, Any, Self

import msgspec

from registry.api.mlflow.limits import MAX_BATCH, MAX_METRICS, MAX_PARAMS, MAX_TAGS
from registry.catalog.metrics import Point

_NUL = b"\\u0000"
"""The only form in which JSON can have the character that no text of ours may have."""

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Time = Annotated[int, msgspec.Meta(ge=0)]


class Plain(msgspec.Struct, forbid_unknown_fields=True):
    @classmethod
    def read(cls, body: bytes) -> Self | None:
        """None: it is not like that."""
        if _NUL in body:
            return None
        try:
            found: Self = _decoder(cls).decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return found if found.is_plain() else None

    def is_plain(self) -> bool:
        """As far as only its content tells."""
        return True


@cache
def _decoder(kind: type[Plain]) -> Any:
    return msgspec.json.Decoder(kind)


class Pair(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: _Text
    value: str = ""


class Metric(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Of no logged model."""

    key: _Text
    value: float
    timestamp: _Time
    step: int = 0

    def point(self) -> Point:
        return Point(self.key, self.value, self.timestamp, self.step)


class PlainMetric(Plain, forbid_unknown_fields=True):
    run_id: _Text
    key: _Text
    value: float
    timestamp: _Time
    step: int = 0
    run_uuid: str = ""

    def point(self) -> Point:
        return Point(self.key, self.value, self.timestamp, self.step)


class PlainBatch(Plain, forbid_unknown_fields=True):
    run_id: _Text
    metrics: Annotated[list[Metric], msgspec.Meta(max_length=MAX_METRICS)] = []
    params: Annotated[list[Pair], msgspec.Meta(max_length=MAX_PARAMS)] = []
    tags: Annotated[list[Pair], msgspec.Meta(max_length=MAX_TAGS)] = []

    def is_plain(self) -> bool:
        total = len(self.metrics) + len(self.params) + len(self.tags)
        return total <= MAX_BATCH and len({param.key for param in self.params}) == len(self.params)

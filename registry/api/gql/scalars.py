"""Scalars of our own: 64-bit integers as text, doubles with their special values as words."""

import math
from typing import Any

import graphene


class Int64(graphene.Scalar):
    """A 64-bit integer as text: JSON numbers lose digits beyond 2^53."""

    @staticmethod
    def serialize(value: int) -> str:
        return str(value)


class Double(graphene.Scalar):
    """A double; NaN and the infinities as the words "NaN", "Infinity", "-Infinity", which JSON numbers cannot be."""

    @staticmethod
    def serialize(value: float) -> Any:
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")

"""Scalars of our own: 64-bit integers as text, doubles with their special values as words, whole columns of numbers, JSON."""

import math
from collections.abc import Sequence
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


class DoubleArray(graphene.Scalar):
    """A list of doubles as one value: a thousand points of a series cost as little as one."""

    @staticmethod
    def serialize(value: Sequence[float]) -> Any:
        return [Double.serialize(one) for one in value]


class Int64Array(graphene.Scalar):
    """A list of 64-bit integers as one value, each as text."""

    @staticmethod
    def serialize(value: Sequence[int]) -> Any:
        return [str(one) for one in value]


class Json(graphene.Scalar):
    """Any JSON value."""

    @staticmethod
    def serialize(value: Any) -> Any:
        return value

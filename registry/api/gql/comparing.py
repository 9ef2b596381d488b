"""Runs, or model versions, side by side."""

from collections.abc import Sequence
from typing import Any

import graphene

from registry.api.gql import words
from registry.api.gql.nodes import Node, find_nodes
from registry.api.gql.scalars import Double, Int64
from registry.api.gql.words import word


class CompareItem(graphene.ObjectType):
    """A column of the comparison."""

    id = graphene.ID(required=True)
    name = graphene.String(required=True)
    status = words.Status(description="Of a run.")
    at = Int64(description="When a run started, or a version was made.")

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)

    def resolve_status(self: Any, info: Any) -> str | None:
        return word(self.status)


class Cell(graphene.ObjectType):
    """A value against the baseline's; null where the item has none, which is not zero."""

    value = Double()
    at = Int64()
    step = Int64()
    delta = Double()
    ratio = Double(description="The delta divided by the baseline's absolute value.")
    verdict = words.Verdict()
    best = graphene.Boolean(required=True)

    def resolve_verdict(self: Any, info: Any) -> str | None:
        return word(self.verdict)


class MetricRow(graphene.ObjectType):
    key = graphene.String(required=True)
    direction = words.MetricDirection()
    unit = graphene.String()
    different = graphene.Boolean(required=True)
    cells = graphene.List(graphene.NonNull(Cell), required=True)

    def resolve_direction(self: Any, info: Any) -> str | None:
        return word(self.direction)


class TextRow(graphene.ObjectType):
    key = graphene.String(required=True)
    different = graphene.Boolean(required=True)
    values = graphene.List(graphene.String, required=True)


class Comparison(graphene.ObjectType):
    """Side by side: one cell per item, in the order of the ids."""

    items = graphene.List(graphene.NonNull(CompareItem), required=True)
    records = graphene.List(Node, required=True, description="The items' whole records, in the same order.")
    baseline = graphene.Int(required=True, description="Index into `items`.")
    metrics = graphene.List(graphene.NonNull(MetricRow), required=True)
    params = graphene.List(graphene.NonNull(TextRow), required=True)
    tags = graphene.List(graphene.NonNull(TextRow), required=True)

    def resolve_records(self: Any, info: Any) -> Sequence[Any]:
        return find_nodes(info.context, [item.own_id for item in self.items])


def compare_arguments() -> dict[str, Any]:
    return {
        "ids": graphene.List(graphene.NonNull(graphene.ID), required=True),
        "baseline": graphene.ID(description="One of the ids; the first where none is named."),
        "only_different": graphene.Boolean(required=True, default_value=False),
    }

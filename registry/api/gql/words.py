"""Enumerations of the schema. Their words are those of the REST API, in lower case: one vocabulary on every door."""

from collections.abc import Iterable
from enum import Enum
from typing import Any

import graphene

from lineage.graph import Direction as Way
from lineage.graph import EdgeKind
from lineage.limits import Cut
from registry import names
from registry.catalog.compare import Verdict as Judgement
from registry.catalog.lineage_cards import CardKind


def word(value: Enum | None) -> str | None:
    """How an enumeration is written on the wire."""
    return None if value is None else value.name.lower()


def _enum(name: str, members: Iterable[Enum], description: str) -> Any:
    return graphene.Enum(name, [(word(one), word(one)) for one in members], description=description)


Lifecycle = _enum("Lifecycle", names.Lifecycle, "Archived records are read-only; deleted ones answer by id only.")
Status = _enum("Status", names.Status, "Of runs and steps. Only steps are skipped.")
Readiness = _enum("Readiness", names.Readiness, "Of files: whether they are all there.")
ArtifactKind = _enum("ArtifactKind", names.ArtifactKind, "What an artifact is to us, whatever its type.")
MetricDirection = _enum("MetricDirection", names.Direction, "Which way a metric is better.")
Verdict = _enum("Verdict", Judgement, "Of a value against the baseline's, by the metric's direction.")
DesiredState = _enum("DesiredState", names.DesiredState, "What a deployment shall be.")
TargetKind = _enum("TargetKind", names.TargetKind, "What moves from version to version.")
Role = _enum("Role", names.Role, "Each has the rights of those before it.")
LineageDirection = _enum(
    "LineageDirection", Way, "`both` joins a walk up and a walk down; `any` turns round at every node: the connected component."
)
OneWay = _enum("OneWay", [Way.UPSTREAM, Way.DOWNSTREAM], "Where it comes from, or what it went into.")
LineageKind = _enum("LineageKind", CardKind, "Kinds of nodes.")
LineageEdgeKind = _enum(
    "LineageEdgeKind", EdgeKind, "Edges point the way that data flows. `via` stands for nodes that are not shown."
)
LineageCut = _enum("LineageCut", Cut, "Why an answer is not everything.")

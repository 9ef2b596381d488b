"""Blob and index rows are written by one function and agree on every database."""

import math

import pytest
import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.nodes import node_row
from registry.catalog.properties import Properties, PropertyKind, PropertyValue, decoded, write_properties
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import NodeKind
from registry.tables.graph import executions, names, properties

EVERY_KIND = {
    "int": PropertyValue(PropertyKind.INT, -(2**63)),
    "double": PropertyValue(PropertyKind.DOUBLE, 1e-10),
    "inf": PropertyValue(PropertyKind.DOUBLE, math.inf),
    "text": PropertyValue(PropertyKind.STRING, "a\\b" * 200),
    "struct": PropertyValue(PropertyKind.STRUCT, {"list": [1, 2.5, None]}),
    "proto": PropertyValue(PropertyKind.PROTO, ("type.googleapis.com/x", b"\x00\xff")),
    "bool": PropertyValue(PropertyKind.BOOLEAN, True),
}


def new_execution(runner: Runner, actor: Actor) -> int:
    def make(session: Session) -> int:
        made = session.next_id("execution")
        session.insert(executions, node_row(made, type_id=node_types.STEP, workspace=actor.workspace, now=1))
        return made

    return runner.write(make)


def put(runner: Runner, node: int, entry: Properties) -> None:
    runner.write(lambda session: write_properties(session, NodeKind.EXECUTION, {node: entry}))


def read(runner: Runner, node: int) -> Properties:
    blob = runner.read(lambda session: session.scalar(sa.select(executions.c.properties).where(executions.c.id == node)))
    return decoded(blob)


def test_every_kind_of_value_comes_back_as_it_was_written(runner: Runner, actor: Actor) -> None:
    node = new_execution(runner, actor)
    entry = Properties(declared=EVERY_KIND, custom={"int": PropertyValue(PropertyKind.STRING, "same name, other space")})

    put(runner, node, entry)

    assert read(runner, node) == entry


def test_nan_is_kept_in_the_blob_and_has_no_index_row(runner: Runner, actor: Actor) -> None:
    node = new_execution(runner, actor)

    put(runner, node, Properties(custom={"x": PropertyValue(PropertyKind.DOUBLE, math.nan)}))

    assert math.isnan(read(runner, node).custom["x"].value)
    assert runner.read(lambda session: session.all(sa.select(properties).where(properties.c.node == node))) == []


def test_writing_again_replaces_blob_and_index(runner: Runner, actor: Actor) -> None:
    node = new_execution(runner, actor)
    put(runner, node, Properties(custom=EVERY_KIND))

    put(runner, node, Properties(custom={"left": PropertyValue(PropertyKind.INT, 7)}))

    def rows(session: Session) -> list[tuple[str, int]]:
        query = sa.select(names.c.name, properties.c.int_value).join(names, names.c.id == properties.c.name_id)
        return [(row.name, row.int_value) for row in session.all(query.where(properties.c.node == node))]

    assert runner.read(rows) == [("left", 7)]
    assert read(runner, node).custom.keys() == {"left"}


@pytest.mark.parametrize("value", [PropertyValue(PropertyKind.INT, 2**63), PropertyValue(PropertyKind.STRING, "a\x00b")])
def test_what_no_database_keeps_is_refused_and_changes_nothing(runner: Runner, actor: Actor, value: PropertyValue) -> None:
    node = new_execution(runner, actor)

    with pytest.raises(InvalidArgument):
        put(runner, node, Properties(custom={"fine": PropertyValue(PropertyKind.INT, 1), "bad": value}))

    assert read(runner, node) == Properties()

"""`check` says nothing of a sound store, and finds each damage that is planted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.experiments import create_experiment
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.properties import Properties, PropertyKind, PropertyValue, write_properties
from registry.catalog.runs import create_run, set_run_lifecycle
from registry.catalog.sealing import head, seal, unsealed
from registry.catalog.workspaces import get_workspace
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import Lifecycle, NodeKind, Role, new_run_hex
from registry.tables.graph import contexts, properties, tags
from registry.tables.metrics import metric_points, series
from registry.tables.runs import runs
from registry.tables.service import audit_events, audit_seals
from tests.databases import sqlite_url, started


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[Runner]:
    """A small store with something of everything that is checked."""
    with started(sqlite_url(tmp_path)) as runner:
        runner.write(fill)
        runner.write(seal)
        yield runner


def fill(session: Session) -> None:
    actor = Actor("tester", get_workspace(session, "default"), "default", Role.ADMIN)
    experiment = create_experiment(session, actor, "e", now=1, tags={"a": "b"}).id
    hexes = [new_run_hex(), new_run_hex()]
    ids = [create_run(session, actor, now=1, experiment=experiment, hex=hex) for hex in hexes]
    points = [Point("loss", 1.0 / step, step, step) for step in range(1, 6)]
    assert log_many(session, [Batch(actor.workspace, hexes[0], points, {"lr": "1"}, {"t": "1"})]) == [None]
    value = PropertyValue(PropertyKind.STRING, "x")
    write_properties(session, NodeKind.CONTEXT, {ids[0]: Properties(custom={"p": value})})
    set_run_lifecycle(session, actor, hexes[1], Lifecycle.DELETED, now=2)
    set_run_lifecycle(session, actor, hexes[1], Lifecycle.ACTIVE, now=3)


def problems(runner: Runner) -> list[str]:
    return [str(problem) for problem in runner.read(lambda session: list(check_all(session)))]


def test_a_sound_store_has_no_problems(sound: Runner) -> None:
    assert problems(sound) == []


DAMAGES: dict[str, tuple[sa.Executable, str]] = {
    "a run without its context": (
        sa.delete(contexts).where(contexts.c.id == sa.select(sa.func.max(runs.c.id)).scalar_subquery()),
        "runs id=",
    ),
    "a tag of no node": (sa.update(tags).values(node=999), "tags node=999"),
    "a run in no experiment": (sa.update(runs).values(experiment=998), "runs experiment=998"),
    "an index row that was changed": (sa.update(properties).values(string_value="y"), "property 'p' differs"),
    "an index row that is missing": (sa.delete(properties), "property 'p' differs"),
    "a blob that is no JSON": (
        sa.update(contexts).where(contexts.c.properties.is_not(None)).values(properties=b"{"),
        "cannot be read",
    ),
    "latest behind a point": (sa.update(series).values(step=2, at=2, value=0.5), "a newer point"),
    "latest that is no point": (sa.update(series).values(value=7.0), "not among its points"),
    "points without a series": (sa.delete(series), "series that is not there"),
    "an audit row that was changed": (sa.update(audit_events).values(actor="nobody"), "was changed"),
    "a seal that was removed": (sa.delete(audit_seals).where(audit_seals.c.seq == 1), "does not follow"),
    "an audit row that was removed": (sa.delete(audit_events), "audit_seals event="),
    "an id mark that fell back": (sa.text("UPDATE id_marks SET high = 0 WHERE kind = 'context'"), "id_marks context"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_planted_damage_is_found(sound: Runner, damage: str) -> None:
    statement, said = DAMAGES[damage]

    sound.write(lambda session: session.execute(statement))

    assert any(said in problem for problem in problems(sound)), problems(sound)


def test_point_of_history_that_was_lost_is_found_where_it_was_the_latest(sound: Runner) -> None:
    sound.write(lambda session: session.execute(sa.delete(metric_points).where(metric_points.c.step == 5)))

    assert any("not among its points" in problem for problem in problems(sound))


def test_the_sealer_chains_every_committed_event_once(sound: Runner) -> None:
    seal_all: Callable[[], int] = lambda: sound.write(seal)  # noqa: E731

    first = sound.read(lambda session: head(session, 1))
    again = seal_all()
    sound.write(lambda session: create_experiment(session, Actor("t", 1, "default", Role.ADMIN), "second", now=5))
    waiting = sound.read(lambda session: unsealed(session, 1))

    assert first[0] == 2
    assert again == 0
    assert waiting == 0  # creating an experiment is not audited

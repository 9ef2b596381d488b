"""`check` says nothing of a sound store, and finds each damage that is planted, on every database.

A damage is planted in a transaction that is rolled back, so all tests share one sound store.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.artifacts import create_artifact
from registry.catalog.blobs import Blob, put_blob
from registry.catalog.checking import CHECKS, blobs, check_all, snapshot
from registry.catalog.datasets import log_dataset
from registry.catalog.experiments import create_experiment
from registry.catalog.fragments import Built, keep_fragments
from registry.catalog.logged_model_metrics import Measured, log_to_models
from registry.catalog.logged_models import create_logged_model
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.models import create_model
from registry.catalog.places import Places
from registry.catalog.properties import Properties, PropertyKind, PropertyValue, write_properties
from registry.catalog.run_creation import create_run
from registry.catalog.runs import set_run_lifecycle
from registry.catalog.sealing import seal
from registry.catalog.targets import Target, move
from registry.catalog.versions import create_version
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import ArtifactKind, FragmentKind, KeyKind, Lifecycle, NodeKind, TargetKind, new_run_hex, sha256
from registry.tables.graph import artifacts, contexts, events, properties, tags
from registry.tables.metrics import metric_points, series
from registry.tables.models import logged_models, model_versions, registered_models
from registry.tables.runs import experiments, fragments, runs
from registry.tables.service import audit_events, audit_seals, audit_waiting, id_aliases, keys, outbox
from registry.tables.service import blobs as blob_rows
from registry.tables.targets import aliases
from storage.local import LocalStore


@pytest.fixture(scope="module")
def sound(runner: Runner, actor: Actor) -> Runner:
    """A small store with something of everything that is checked."""
    runner.write(partial(fill, actor=actor))
    runner.write(seal)
    return runner


def fill(session: Session, actor: Actor) -> None:
    experiment = create_experiment(session, actor, "e", now=1, tags={"a": "b"}).id
    create_experiment(session, actor, "other", now=1)
    hexes = [new_run_hex(), new_run_hex()]
    ids = [create_run(session, actor, now=1, experiment=experiment, hex=hex) for hex in hexes]
    points = [Point("loss", 1.0 / step, step, step) for step in range(1, 6)]
    assert log_many(session, [Batch(actor.workspace, hexes[0], points, {"lr": "1"}, {"t": "1"})]) == [None]
    value = PropertyValue(PropertyKind.STRING, "x")
    write_properties(session, NodeKind.CONTEXT, {ids[0]: Properties(custom={"p": value})})
    assert keep_fragments(session, FragmentKind.RUN_VALUES_JSON, [Built(ids[0], 1, b"{}")])
    set_run_lifecycle(session, actor, hexes[1], Lifecycle.DELETED, now=2)
    set_run_lifecycle(session, actor, hexes[1], Lifecycle.ACTIVE, now=3)
    artifact = create_artifact(session, actor, kind=ArtifactKind.MODEL, now=1, uri="s3://b/m")
    for number in range(2):
        model = create_model(session, actor, f"m{number}", now=1).id
        version = create_version(session, actor, model, now=1, artifact=artifact.id, run=hexes[0])
        move(session, Target(TargetKind.ALIAS, model, "champion"), version.id, expected=None, actor=actor, now=4)

    log_dataset(session, actor, hexes[0], "d", now=5, digest="1", tags={"mlflow.data.context": "train"})
    log_dataset(session, actor, hexes[1], "d", now=5, digest="1", tags={"why": "x"})
    places = Places(LocalStore(Path("/nowhere")), actor)
    logged = create_logged_model(
        session, actor, places, "net", now=6, experiment=experiment, run_id=hexes[0], params={"depth": "3"}, tags={"t": "1"}
    )
    log_to_models(session, actor, hexes[1], [Measured(logged.model_id, Point("loss", 1.0, 1), ("d", "1"))], now=7)


def problems(session: Session) -> list[str]:
    return [str(problem) for problem in check_all(session)]


def test_a_sound_store_has_no_problems_before_and_after_it_is_sealed(sound: Runner) -> None:
    with snapshot(sound.database) as session:
        assert problems(session) == []


def _max(column: sa.Column[int]) -> "sa.ScalarSelect[int]":
    return sa.select(sa.func.max(column)).scalar_subquery()


def _swap_seals(session: Session) -> None:
    """Two events change places in the chain: the seals' own numbers and hashes stay in order."""
    first, second = session.scalars(sa.select(audit_seals.c.event).order_by(audit_seals.c.seq).limit(2))
    for old, new in ((first, -1), (second, first), (-1, second)):
        session.execute(sa.update(audit_seals).where(audit_seals.c.event == old).values(event=new))


def _forget_the_last_event(session: Session) -> None:
    """With its seal, as somebody would who knows that the chain must end somewhere; its outbox row tells."""
    last = session.scalar(sa.select(sa.func.max(audit_seals.c.event)))
    session.execute(sa.delete(audit_seals).where(audit_seals.c.event == last))
    session.execute(sa.delete(audit_events).where(audit_events.c.id == last))


def _key(session: Session) -> None:
    row = {"workspace": 1, "kind": KeyKind.KFP_RUN, "key": "k", "node_kind": NodeKind.CONTEXT, "node": 99_999}
    session.insert(keys, row)
    session.insert(id_aliases, {"workspace": 0, "door": 0, "kind": NodeKind.ARTIFACT, "old_id": 5, "node": 99_998})


def _far_context(session: Session) -> None:
    """An id that the source has not given yet."""
    made = dict(session.first(sa.select(contexts).limit(1))._mapping) | {"id": 900_000_000, "name_key": None, "type_id": 5}  # type: ignore[union-attr]
    session.insert(contexts, made)


def _second_experiment(session: Session) -> None:
    session.execute(sa.update(experiments).where(experiments.c.name == "other").values(name="e"))


def _second_model(session: Session) -> None:
    session.execute(sa.update(registered_models).where(registered_models.c.name == "m1").values(name="m0"))


def _foreign_alias(session: Session) -> None:
    session.execute(sa.update(aliases).values(model_version=_any(session, sa.func.max(model_versions.c.id))))


def _any(session: Session, what: sa.ColumnElement[int]) -> int:
    return int(session.scalar(sa.select(what)))


Damage = sa.Executable | Callable[[Session], None]
DAMAGES: dict[tuple[str, str], tuple[Damage, str]] = {
    ("dangling rows", "a run without its context"): (
        sa.delete(contexts).where(contexts.c.id == _max(runs.c.id)),
        "is no row of contexts",
    ),
    ("dangling rows", "a context without its run"): (
        sa.delete(runs).where(runs.c.hex == sa.bindparam("hex")),
        "is no row of runs",
    ),
    ("dangling rows", "a tag of no node"): (sa.update(tags).values(node=999), "tags 2/999/"),
    ("dangling rows", "a run in no experiment"): (
        sa.update(runs).values(experiment=998),
        "its experiment 998 is no row of experiments",
    ),
    ("dangling rows", "a run of no workspace"): (
        sa.update(runs).values(workspace=997),
        "its workspace 997 is no row of workspaces",
    ),
    ("dangling rows", "a key and an alias that point nowhere"): (_key, "keys 1/2/k: its node 99999 is no row of contexts"),
    ("dangling rows", "an alias of an id that points nowhere"): (
        _key,
        "id_aliases 0/0/1/5: its node 99998 is no row of artifacts",
    ),
    ("properties against their index", "an index row that was changed"): (
        sa.update(properties).values(string_value="y"),
        "property 'p' differs",
    ),
    ("properties against their index", "an index row that is missing"): (sa.delete(properties), "property 'p' differs"),
    ("properties against their index", "a property blob that is no JSON"): (
        sa.update(contexts).where(contexts.c.properties.is_not(None)).values(properties=b"{"),
        "cannot be read",
    ),
    ("prefixes, locations and fragments", "a prefix that is not its value's"): (
        sa.update(tags).values(value_prefix="z"),
        "its prefix is not the beginning",
    ),
    ("prefixes, locations and fragments", "a purpose that is not its tag's"): (
        sa.update(events).values(purpose="test"),
        "its purpose is not what its tag mlflow.data.context says",
    ),
    ("dangling rows", "a logged model of no experiment"): (
        sa.update(logged_models).values(experiment=999),
        "its experiment 999 is no row of experiments",
    ),
    ("prefixes, locations and fragments", "a location that is not its URI's"): (
        sa.update(artifacts).values(uri="s3://b/n"),
        "its location_hash is not",
    ),
    ("latest against points", "latest behind a point"): (sa.update(series).values(step=2, at=2, value=0.5), "a newer point"),
    ("latest against points", "latest that is no point"): (sa.update(series).values(value=7.0), "not among its points"),
    ("latest against points", "a lost point that was the latest"): (
        sa.delete(metric_points).where(metric_points.c.step == 5),
        "not among its points",
    ),
    ("latest against points", "points without a series"): (sa.delete(series), "series that is not there"),
    ("counters", "a counter below a version"): (
        sa.update(registered_models).values(last_number=0),
        "its counter 0 is below its version 1",
    ),
    ("counters", "an id source that fell behind"): (_far_context, "id source context"),
    ("prefixes, locations and fragments", "a fragment of a version that is still to come"): (
        sa.update(fragments).values(version=77),
        "is of version 77, which its run has not reached: 1",
    ),
    ("dangling rows", "a fragment of no run"): (sa.update(fragments).values(node=996), "its node 996 is no row of runs"),
    ("audit chain", "an audit event that was changed"): (
        sa.update(audit_events).values(actor="nobody"),
        "was changed after it was written",
    ),
    ("audit chain", "an audit event that was removed"): (
        sa.delete(audit_events).where(audit_events.c.id == _max(audit_seals.c.event)),
        "which is not there",
    ),
    ("audit chain", "audit events that changed places"): (_swap_seals, "does not seal event"),
    ("dangling rows", "an audit event that was removed with its seal"): (_forget_the_last_event, "is no row of audit_events"),
    ("audit chain", "a seal that was removed"): (
        sa.delete(audit_seals).where(audit_seals.c.seq == 1),
        "does not follow the seal before it",
    ),
    ("audit chain", "a seal that was cut off the end"): (
        sa.delete(audit_seals).where(audit_seals.c.seq == 4),
        "has lost its seal",
    ),
    ("dangling rows", "an outbox row without its event"): (
        sa.update(outbox).values(event=995),
        "its event 995 is no row of audit_events",
    ),
    ("dangling rows", "a waiting event that is not there"): (
        sa.insert(audit_waiting).values(event=994, workspace=1),
        "audit_waiting 994: ",
    ),
    ("names and targets", "two experiments of one name"): (_second_experiment, "has the name 'e', which"),
    ("names and targets", "two models of one name"): (_second_model, "has the name 'm0', which"),
    ("names and targets", "an alias of another model's version"): (_foreign_alias, "names a version of another model"),
}


@pytest.mark.parametrize(("check", "damage"), DAMAGES)
def test_a_planted_damage_is_found(sound: Runner, check: str, damage: str) -> None:
    planted, said = DAMAGES[check, damage]
    with sound.database.writer.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        session = Session(connection)
        hex = session.scalar(sa.select(runs.c.hex).limit(1))
        if callable(planted):
            planted(session)
        else:
            session.execute(planted, {"hex": hex} if damage == "a context without its run" else None)

        found = [str(problem) for problem in CHECKS[check](session)]

        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("ROLLBACK")
        connection.rollback()
    assert any(said in problem for problem in found), found


def test_every_check_is_tested() -> None:
    assert {check for check, _ in DAMAGES} == CHECKS.keys()


# ---- bytes ----


@pytest.fixture
def stored(sound: Runner, actor: Actor, tmp_path: Path) -> LocalStore:
    """A store with one file, whose row is the only one."""
    store = LocalStore(str(tmp_path))
    store.prepare()
    put = store.put("default/f", [b"abc"])
    blob = Blob("default/f", put.sha256, put.size_bytes, None, 1)
    sound.write(lambda session: session.execute(sa.delete(blob_rows)))
    sound.write(lambda session: put_blob(session, actor, blob, now=1))
    return store


def checked(runner: Runner, store: LocalStore) -> list[str]:
    return [str(problem) for problem in blobs.check(runner.read, store, lambda _count: None)]


def test_whole_bytes_have_no_problem_and_their_progress_is_told(sound: Runner, stored: LocalStore) -> None:
    told: list[int] = []

    found = list(blobs.check(sound.read, stored, told.append))

    assert (found, told, sound.read(blobs.total_bytes)) == ([], [3], 3)


def test_changed_cut_and_missing_bytes_are_found(sound: Runner, stored: LocalStore) -> None:
    findings = []
    stored.put("default/f", [b"abd"])
    findings += checked(sound, stored)
    stored.put("default/f", [b"ab"])
    findings += checked(sound, stored)
    stored.delete("default/f")
    findings += checked(sound, stored)

    assert [finding.partition("default/f ")[2] for finding in findings] == [
        "has other bytes than its digest says",
        "has 2 bytes, not 3",
        "is not in the object store",
    ]


def test_bytes_that_nobody_has_verified_only_have_to_be_there(sound: Runner, stored: LocalStore) -> None:
    sound.write(lambda session: session.execute(sa.update(blob_rows).values(digest=None)))
    stored.put("default/f", [b"abd"])

    assert checked(sound, stored) == []


def test_a_file_that_is_overwritten_while_it_is_checked_is_no_problem(sound: Runner, stored: LocalStore, actor: Actor) -> None:
    put = stored.put("default/f", [b"new"])  # the bytes are there, their row follows
    answers = [sound.read(partial(blobs._page, 0))]  # what a check had read just before
    blob = Blob("default/f", put.sha256, put.size_bytes, None, 2)
    sound.write(lambda session: put_blob(session, actor, blob, now=2))

    def read(fn: Callable[[Session], object]) -> object:
        return answers.pop() if answers else sound.read(fn)

    assert list(blobs.check(read, stored, lambda _count: None)) == []
    assert sound.read(lambda session: session.scalar(sa.select(blob_rows.c.digest))) == sha256("new")

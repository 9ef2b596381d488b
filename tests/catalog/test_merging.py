"""A pipeline run is one record whoever comes first: agent, ML Metadata or KFP's MLflow plugin."""

import itertools
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.merging import KFP_TAG, MlmdRun, adopt_kfp_run, adopt_mlmd_run
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.properties import Properties, PropertyKind, PropertyValue
from registry.catalog.run_creation import create_run
from registry.catalog.runs import get_run, update_run
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import LinkKind, NodeKind, Origin, Role, Status, new_run_hex
from registry.tables.graph import contexts, links, types
from registry.tables.runs import runs
from registry.tables.service import id_aliases
from tests.catalog.reporting import apply, new_uid, report, seen, task
from tests.databases import sqlite_url, started

Step = Callable[[Runner, Actor], Any]


def pipeline_run_type(session: Session) -> int:
    """As the door of ML Metadata will put it."""
    found = session.scalar(sa.select(types.c.id).where(types.c.name == "system.PipelineRun"))
    if found is None:
        found = session.next_id("type")
        row = dict.fromkeys(column.name for column in types.columns)
        row |= {
            "id": found,
            "kind": NodeKind.CONTEXT,
            "scope": 1,
            "name": "system.PipelineRun",
            "version": "",
            "properties": b"{}",
        }
        session.insert(types, row)
    return int(found)


class Story:
    """One pipeline run, told by three."""

    def __init__(self) -> None:
        self.kfp, self.uid = new_uid(), new_uid()
        self.hex = new_run_hex()
        self.ids: dict[str, int] = {}

    def agent(self, runner: Runner, actor: Actor) -> None:
        body = report(
            self.uid,
            3,
            task("train", outputs={"artifacts": [{"name": "model", "uri": "minio://b/m", "type": "system.Model"}]}),
            state="COMPLETE",
            id=self.kfp,
            parameters={"lr": 0.1, "epochs": 3},
            metrics={"auc": 0.5},
            started_at="2026-01-01T00:00:00Z",
            finished_at="2026-01-01T01:00:00Z",
        )
        apply(runner, actor, body)

    def mlmd(self, runner: Runner, actor: Actor) -> None:
        entry = Properties(custom={"pipeline_root": PropertyValue(PropertyKind.STRING, "minio://b/root")})

        def put(session: Session) -> int:
            run = MlmdRun(pipeline_run_type(session), "system.PipelineRun", self.kfp, actor.workspace, properties=entry)
            return adopt_mlmd_run(session, actor, run, now=7000)

        self.ids["mlmd"] = runner.write(put)

    def mlflow_create(self, runner: Runner, actor: Actor, *, tagged: bool) -> None:
        def create(session: Session) -> None:
            experiment = get_or_create_experiment(session, actor, "named", now=1).id
            tags = {KFP_TAG: self.kfp} if tagged else {}
            self.ids["mlflow"] = create_run(
                session,
                actor,
                now=6000,
                experiment=experiment,
                hex=self.hex,
                name="nice",
                tags=tags,
                origin=Origin.MLFLOW,
                user_name="ann",
            )
            if tagged:
                assert adopt_kfp_run(session, actor, self.hex, self.kfp, now=6000) == self.hex

        runner.write(create)

    def mlflow_tag(self, runner: Runner, actor: Actor) -> None:
        def tag(session: Session) -> None:
            run = get_run(session, actor, self.hex)
            tagging.set_tags(session, NodeKind.CONTEXT, {run.id: {KFP_TAG: self.kfp}})
            assert adopt_kfp_run(session, actor, self.hex, self.kfp, now=6000) == self.hex

        runner.write(tag)

    def mlflow_log(self, runner: Runner, actor: Actor) -> None:
        batch = Batch(actor.workspace, self.hex, points=[Point("loss", 0.25, 100, 1)], params={"lr": "0.10"})
        assert runner.write(lambda session: log_many(session, [batch])) == [None]


def told(folder: Path, story: Story, order: tuple[str, ...], *, by_create: bool) -> list[Any]:
    folder.mkdir()
    with started(sqlite_url(folder)) as runner:
        actor = Actor("tester", 1, "default", Role.ADMIN)
        if not by_create:
            story.mlflow_create(runner, actor, tagged=False)
        for who in order:
            if who != "mlflow":
                getattr(story, who)(runner, actor)
            elif by_create:
                story.mlflow_create(runner, actor, tagged=True)
                story.mlflow_log(runner, actor)
            else:
                story.mlflow_log(runner, actor)
                story.mlflow_tag(runner, actor)
        assert list(runner.read(lambda session: list(check_all(session)))) == []
        assert runner.read(lambda session: session.scalar(sa.select(sa.func.count()).select_from(runs))) == 1
        for hex in (story.hex, story.kfp.replace("-", "")):
            found = runner.read(partial(get_run, actor=actor, hex=hex))
            assert (found.hex, found.name, found.experiment_name, found.status) == (story.hex, "nice", "named", Status.SUCCEEDED)
            assert (found.params, found.metrics["auc"].value) == ({"lr": "0.10", "epochs": "3"}, 0.5)
            for shown in story.ids.values():
                assert shown == found.id or runner.read(alias_of(shown)) == found.id
        return seen(runner)


def alias_of(old: int) -> Callable[[Session], Any]:
    where = (id_aliases.c.workspace == 0, id_aliases.c.door == 0, id_aliases.c.old_id == old)
    return lambda session: session.scalar(sa.select(id_aliases.c.node).where(*where))


def test_all_six_orders_and_the_tag_by_create_and_by_set_tag_give_one_record(tmp_path: Path) -> None:
    story = Story()
    pictures = {}
    for by_create in (True, False):
        for order in itertools.permutations(("agent", "mlmd", "mlflow")):
            story.ids.clear()
            name = "-".join((*order, str(by_create)))
            pictures[name] = told(tmp_path / name, story, order, by_create=by_create)

    first = next(iter(pictures.values()))
    for name, picture in pictures.items():
        assert [line for line in picture if line not in first] == [], name
    assert {len(picture) for picture in pictures.values()} == {len(first)}


@pytest.mark.parametrize("order", list(itertools.permutations(("agent", "mlmd", "mlflow"))), ids="-".join)
def test_on_every_database_the_three_are_one_run(runner: Runner, actor: Actor, order: tuple[str, ...]) -> None:
    story = Story()

    for who in order:
        if who == "mlflow":
            story.mlflow_create(runner, actor, tagged=True)
        else:
            getattr(story, who)(runner, actor)

    run = runner.read(lambda session: get_run(session, actor, story.kfp.replace("-", "")))
    assert (run.hex, run.name, run.experiment_name, run.user_name) == (story.hex, "nice", "named", "ann")
    node = runner.read(lambda session: session.first(sa.select(contexts).where(contexts.c.id == run.id)))
    assert node is not None
    assert (node.name, node.listed, run.status) == (story.kfp, 1, Status.SUCCEEDED)


def test_a_second_mlflow_run_with_the_tag_stays_itself(runner: Runner, actor: Actor) -> None:
    story, copy = Story(), Story()
    copy.kfp = story.kfp
    story.agent(runner, actor)
    story.mlflow_create(runner, actor, tagged=True)

    copy.mlflow_create(runner, actor, tagged=True)

    assert runner.read(lambda session: get_run(session, actor, copy.hex)).id == copy.ids["mlflow"]
    assert runner.read(lambda session: get_run(session, actor, story.kfp.replace("-", ""))).hex == story.hex


def test_a_nested_run_does_not_claim(runner: Runner, actor: Actor) -> None:
    story = Story()
    story.agent(runner, actor)
    parent = new_run_hex()

    def create(session: Session) -> str:
        create_run(session, actor, now=1, experiment=None, hex=parent, origin=Origin.MLFLOW)
        create_run(session, actor, now=1, experiment=None, hex=story.hex, origin=Origin.MLFLOW, parent=parent)
        return adopt_kfp_run(session, actor, story.hex, story.kfp, now=2)

    assert runner.write(create) == story.hex
    run = runner.read(lambda session: get_run(session, actor, story.kfp.replace("-", "")))
    assert run.origin is Origin.AGENT


def test_a_final_state_of_mlflow_stays_through_the_merge(runner: Runner, actor: Actor) -> None:
    story = Story()
    story.mlflow_create(runner, actor, tagged=False)
    runner.write(lambda session: update_run(session, actor, story.hex, now=9000, status=Status.FAILED))
    story.agent(runner, actor)

    story.mlflow_tag(runner, actor)

    run = runner.read(lambda session: get_run(session, actor, story.hex))
    assert (run.status, run.ended_at) == (Status.FAILED, 9000)


def test_adopting_again_changes_nothing(runner: Runner, actor: Actor) -> None:
    story = Story()
    story.agent(runner, actor)
    story.mlflow_create(runner, actor, tagged=True)
    story.mlmd(runner, actor)
    before = runner.read(lambda session: get_run(session, actor, story.hex))

    story.mlflow_tag(runner, actor)
    story.mlmd(runner, actor)

    assert runner.read(lambda session: get_run(session, actor, story.hex)) == before


def test_two_user_typed_records_stay_two_with_a_link(runner: Runner, actor: Actor) -> None:
    story = Story()
    story.mlmd(runner, actor)

    def put(session: Session) -> int:
        run = MlmdRun(pipeline_run_type(session), "system.PipelineRun", story.kfp, 77)
        return adopt_mlmd_run(session, actor, run, now=8000)

    other = runner.write(put)
    assert other != story.ids["mlmd"]
    assert runner.write(put) == other
    found = runner.read(lambda session: session.all(sa.select(links).where(links.c.from_node == other)))
    assert [(row.kind, row.to_node) for row in found] == [(LinkKind.SAME_AS, story.ids["mlmd"])]


def test_a_run_of_ml_metadata_with_a_free_name_has_a_run_id_of_its_own(runner: Runner, actor: Actor) -> None:
    def put(session: Session) -> int:
        run = MlmdRun(pipeline_run_type(session), "system.PipelineRun", name, actor.workspace)
        return adopt_mlmd_run(session, actor, run, now=8000)

    name = f"tfx {uuid.uuid4()}"

    assert runner.write(put) == runner.write(put)


def test_a_built_in_type_cannot_be_put(runner: Runner, actor: Actor) -> None:
    with pytest.raises(InvalidArgument):
        runner.write(lambda session: adopt_mlmd_run(session, actor, MlmdRun(1, "mlmd.Dataset", new_uid(), 1), now=1))


def test_a_tag_that_is_no_run_id_claims_nothing(runner: Runner, actor: Actor) -> None:
    story = Story()
    story.mlflow_create(runner, actor, tagged=False)

    assert runner.write(lambda session: adopt_kfp_run(session, actor, story.hex, "not a uuid", now=1)) == story.hex

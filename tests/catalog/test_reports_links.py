"""Links across kinds: from a service back to the data that its model was trained on, whichever end is reported first."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from lineage.graph import Direction, EdgeKind
from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.dumping import canonical
from registry.catalog.lineage import cards, find_node, impact, walk
from registry.catalog.lineage_cards import CardKind
from registry.catalog.models import create_model
from registry.catalog.pages import Search
from registry.catalog.reports.applying import apply_report
from registry.catalog.reports.record import parse
from registry.catalog.runs import get_run, list_runs
from registry.catalog.uses import list_uses
from registry.catalog.versions import create_version
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import Role
from registry.tables.graph import artifacts
from registry.tables.models import deployments
from registry.tables.runs import runs
from tests.catalog.reporting import apply, new_uid, owned, report, task
from tests.databases import sqlite_url, started

Json = dict[str, Any]
Act = Callable[[Session], object]
TRIAL, JOB, WORKFLOW, SERVICE = (new_uid() for _ in range(4))
DATA, MODEL = (
    {"name": "data", "uri": "s3://lake/iris.csv", "type": "system.Dataset"},
    {"name": "model", "uri": "minio://store/model"},
)
ADMIN = Actor("agent", 1, "default", Role.ADMIN)


def deployed(uri: str, uid: str) -> Json:
    said: Json = {"name": "iris", "environment": "default", "ready": "True", "changed_at": "2026-06-10T09:00:00Z"}
    said |= {"revisions": [{"name": "r1", "uri": uri}], "traffic": [{"revision": "r1", "percent": 100}]}
    return {"object": {"kind": "InferenceService", "name": "iris", "uid": uid, "resource_version": "5"}, "deployment": said}


def trial(uid: str) -> Json:
    body = owned("Trial", "search-1", uid, ("Experiment", new_uid()), parameters={"lr": "0.1"})
    body["run"]["owner"] = {"kind": "Experiment", "name": "search", "uid": None}
    return body


def telling(body: Json) -> Act:
    parsed = parse(msgspec.json.encode(body))
    return lambda session: apply_report(session, ADMIN, parsed, now=5000)


def registering(session: Session) -> object:
    model = create_model(session, ADMIN, "iris", now=1)
    return create_version(session, ADMIN, model.id, now=1, source="s3://store/model/")


STORY: dict[str, Act] = {
    "Trial": telling(trial(TRIAL)),
    "Experiment": telling(
        {
            "object": {"kind": "Experiment", "name": "search", "uid": new_uid(), "resource_version": "3"},
            "experiment": {"name": "search", "state": "RUNNING", "objective": {"metric": "loss", "type": "minimize"}},
        }
    ),
    "Job": telling(owned("Job", "search-1", JOB, ("Trial", TRIAL), replicas={"Pod": {"wanted": 1}})),
    "Workflow": telling(
        owned(
            "Workflow",
            "search-1",
            WORKFLOW,
            ("Trial", TRIAL),
            task("train", inputs={"artifacts": [DATA]}, outputs={"artifacts": [MODEL]}, metrics={"metrics/loss": 0.1}),
        )
    ),
    "InferenceService": telling(deployed("gs://other", SERVICE) | deployed("s3://store/model", SERVICE)),
    "version": registering,
}


class Told(Exception):
    """Takes back what was done to find it out, so that one store does for all orders."""

    def __init__(self, found: Any) -> None:
        super().__init__("told")
        self.found = found


def after(runner: Runner, acts: Sequence[Act], look: Callable[[Session], Any]) -> Any:
    def do(session: Session) -> None:
        for act in acts:
            act(session)
        raise Told(look(session))

    with pytest.raises(Told) as told:
        runner.write(do)
    return told.value.found


def pictures_of(session: Session, left: list[Act]) -> Iterator[str]:
    """Digests of the canonical dumps that all orders of the acts give; what orders begin with alike is done once."""
    if not left:
        yield hashlib.sha256(json.dumps(list(canonical(session))).encode()).hexdigest()
    for act in left:
        with session.connection.begin_nested() as so_far:
            act(session)
            yield from pictures_of(session, [other for other in left if other is not act])
            so_far.rollback()


@pytest.mark.parametrize("first", list(STORY))
def test_all_720_orders_of_a_story_give_one_picture(tmp_path: Path, first: str) -> None:
    """120 orders begin with each of the six: all are compared with the story as it stands."""
    others = [act for name, act in STORY.items() if name != first]
    with started(sqlite_url(tmp_path)) as runner:
        told = after(runner, list(STORY.values()), lambda session: next(pictures_of(session, [])))
        pictures = after(runner, [STORY[first]], lambda session: list(pictures_of(session, others)))

    assert len(pictures) == 120
    assert set(pictures) == {told}


def test_the_record_of_a_story_is_without_a_fault(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        for act in STORY.values():
            runner.write(act)

        assert runner.read(lambda session: [str(one) for one in check_all(session)]) == []


def test_a_service_leads_back_to_version_workflow_trial_and_data(tmp_path: Path) -> None:
    def look(session: Session) -> tuple[set[tuple[str, str]], set[EdgeKind], set[EdgeKind]]:
        service = session.scalar(sa.select(deployments.c.id))
        node = find_node(session, f"dep_{service}", workspace=1)
        graph = walk(session, node, workspace=1, direction=Direction.UPSTREAM, depth=20)
        shown = cards(session, [reached.node for reached in graph.nodes], workspace=1)
        inferred = {edge.kind for edge in graph.edges if edge.inferred}
        said = {edge.kind for edge in graph.edges if not edge.inferred}
        return {(card.kind, card.name) for card in shown.values()}, inferred, said

    with started(sqlite_url(tmp_path)) as runner:
        for acts in (list(STORY.values()), list(STORY.values())[::-1]):
            found, inferred, said = after(runner, acts, look)

            assert found == {
                (CardKind.DEPLOYMENT, "iris/" + SERVICE),
                (CardKind.MODEL_VERSION, "iris/1"),
                (CardKind.ARTIFACT, "model"),
                (CardKind.STEP, "train"),
                (CardKind.RUN, "search-1"),
                (CardKind.DATASET, "iris.csv"),
            }
            assert inferred == {EdgeKind.DEPLOYED_AS, EdgeKind.REGISTERED_AS}
            assert said == {EdgeKind.OUTPUT, EdgeKind.INPUT, EdgeKind.CONTAINS}


def test_data_leads_down_to_the_service_that_was_trained_on_it(tmp_path: Path) -> None:
    def look(session: Session) -> list[str]:
        [run] = list_runs(session, ADMIN, Search("experiment = 'katib/search'")).records
        [data] = [use.artifact for _, use in list_uses(session, ADMIN, run.hex) if use.port == "data"]
        node = find_node(session, data.own_id, workspace=1)
        return [reached.card.name for reached in impact(session, node, workspace=1, kinds=["DEPLOYMENT"]).items if reached.card]

    with started(sqlite_url(tmp_path)) as runner:
        assert after(runner, list(STORY.values()), look) == ["iris/" + SERVICE]


def edges_above(runner: Runner, actor: Actor, id: str) -> list[tuple[EdgeKind, bool]]:
    def read(session: Session) -> list[tuple[EdgeKind, bool]]:
        node = find_node(session, id, workspace=actor.workspace)
        graph = walk(session, node, workspace=actor.workspace, direction=Direction.UPSTREAM, depth=1)
        return [(edge.kind, edge.inferred) for edge in graph.edges]

    return runner.read(read)


@pytest.mark.parametrize("first", [0, 1])
def test_what_one_workflow_made_and_another_reads_from_the_same_place_is_linked(runner: Runner, actor: Actor, first: int) -> None:
    place = f"s3://{new_uid()}/rows.csv"
    makes = report(new_uid(), 1, task("make", outputs={"artifacts": [{"name": "rows", "uri": place}]}), state="COMPLETE")
    reader = new_uid()
    reads = report(reader, 1, task("read", inputs={"artifacts": [{"name": "in", "uri": f"{place}.tgz"}]}), state="COMPLETE")
    for body in ([makes, reads], [reads, makes])[first]:
        apply(runner, actor, body)

    [(_, use)] = runner.read(lambda session: list_uses(session, actor, reader.replace("-", "")))

    assert edges_above(runner, actor, use.artifact.own_id) == [(EdgeKind.DERIVATION, True)]


def test_an_artifact_that_nobody_registered_is_served_from_its_place(runner: Runner, actor: Actor) -> None:
    place, uid = f"s3://{new_uid()}/model", new_uid()
    apply(runner, actor, deployed(place, uid))
    apply(runner, actor, report(new_uid(), 1, task("train", outputs={"artifacts": [{"name": "m", "uri": place}]})))
    id = runner.read(lambda session: session.scalar(sa.select(deployments.c.id).where(deployments.c.uid == uid)))

    assert edges_above(runner, actor, f"dep_{id}") == [(EdgeKind.DEPLOYED_AS, True)]


@pytest.mark.parametrize("first", [0, 1])
def test_a_service_that_fetches_the_folder_of_an_artifact_comes_from_it(runner: Runner, actor: Actor, first: int) -> None:
    folder, uid = f"s3://{new_uid()}/iris", new_uid()
    trained = task("train", outputs={"artifacts": [{"name": "m", "uri": f"minio://{folder[5:]}/model.joblib"}]})
    bodies = [deployed(f"{folder}/", uid), report(new_uid(), 1, trained)]
    for body in (bodies, bodies[::-1])[first]:
        apply(runner, actor, body)
    id = runner.read(lambda session: session.scalar(sa.select(deployments.c.id).where(deployments.c.uid == uid)))

    assert edges_above(runner, actor, f"dep_{id}") == [(EdgeKind.DEPLOYED_AS, True)]


def test_a_version_whose_source_is_the_folder_of_an_artifact_is_made_of_it(runner: Runner, actor: Actor) -> None:
    folder = f"s3://{new_uid()}/iris"
    trained = task("train", outputs={"artifacts": [{"name": "m", "uri": f"{folder}/model.joblib"}]})
    apply(runner, actor, report(new_uid(), 1, trained))

    def register(session: Session) -> str:
        model = create_model(session, actor, new_uid(), now=1)
        return create_version(session, actor, model.id, now=1, source=folder).own_id

    assert edges_above(runner, actor, runner.write(register)) == [(EdgeKind.REGISTERED_AS, True)]


def test_what_lies_beside_a_folder_or_far_below_it_is_not_taken_for_what_is_served(runner: Runner, actor: Actor) -> None:
    folder, uid = f"s3://{new_uid()}/iris", new_uid()
    apply(runner, actor, deployed(folder, uid))
    for place in (f"{folder}-2/model", f"{folder}/a/b/model", folder.rpartition("/")[0]):
        made = task("train", outputs={"artifacts": [{"name": "m", "uri": place}]})
        apply(runner, actor, report(new_uid(), 1, made))
    id = runner.read(lambda session: session.scalar(sa.select(deployments.c.id).where(deployments.c.uid == uid)))

    assert edges_above(runner, actor, f"dep_{id}") == []


def test_equal_names_at_other_places_link_nothing(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, deployed(f"s3://{new_uid()}/model", uid))
    apply(
        runner,
        actor,
        report(new_uid(), 1, task("train", outputs={"artifacts": [{"name": "m", "uri": f"s3://{new_uid()}/model"}]})),
    )
    id = runner.read(lambda session: session.scalar(sa.select(deployments.c.id).where(deployments.c.uid == uid)))

    assert edges_above(runner, actor, f"dep_{id}") == []


@pytest.mark.parametrize("first", [0, 1])
def test_a_pipeline_run_that_a_trial_started_has_the_trial_as_its_parent(runner: Runner, actor: Actor, first: int) -> None:
    uid, run = new_uid(), new_uid()
    child = owned("Workflow", "w", new_uid(), ("Trial", uid), id=run)
    for body in ([trial(uid), child], [child, trial(uid)])[first]:
        apply(runner, actor, body)

    found = runner.read(lambda session: get_run(session, actor, run.replace("-", "")))

    assert found.parent == f"run_{uid.replace('-', '')}"


@pytest.mark.parametrize(
    ("kind", "experiment"), [("TrainJob", "jobs/TrainJob"), ("Job", "jobs/Job"), ("PyTorchJob", "jobs/PyTorchJob")]
)
def test_a_job_that_nothing_owns_is_a_run_of_all_jobs_of_its_kind(
    runner: Runner, actor: Actor, kind: str, experiment: str
) -> None:
    uid = new_uid()
    body = owned(kind, "j", uid, ("CronJob", new_uid()))

    apply(runner, actor, body)

    assert runner.read(lambda session: get_run(session, actor, uid.replace("-", ""))).experiment_name == experiment


def fetching(uid: str, version: int, *uris: str, **run: Any) -> Json:
    body = owned("TrainJob", "fit", uid, ("Nobody", new_uid()), **run)
    body["object"]["resource_version"] = str(version)
    ports = [{"name": "dataset", "uri": uri, "type": "system.Dataset"} for uri in uris]
    return body | {"run": body["run"] | ({"inputs": {"artifacts": ports}} if ports else {})}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_a_job_fetches_before_it_starts_is_what_its_run_reads(runner: Runner, actor: Actor, order: tuple[int, ...]) -> None:
    uid = new_uid()
    first, second = (f"hf://{uid}/{letter}" for letter in "ab")
    bodies = [fetching(uid, 1, first), fetching(uid, 2), fetching(uid, 3, second)]
    for place in order:
        apply(runner, actor, bodies[place])

    uses = runner.read(lambda session: list_uses(session, actor, uid.replace("-", "")))

    assert [(use.artifact.uri, use.port, use.step) for _, use in uses] == [(second, "dataset", None)]


def test_what_an_owned_job_fetches_is_read_by_its_step(runner: Runner, actor: Actor) -> None:
    owner, uid = new_uid(), new_uid()
    body = fetching(uid, 1, f"hf://{uid}/data")
    body["run"]["owner"] = {"kind": "Trial", "uid": owner}
    for one in (body, trial(owner)):
        apply(runner, actor, one)

    [(_, use)] = runner.read(lambda session: list_uses(session, actor, owner.replace("-", "")))

    assert (use.port, use.step is not None) == ("dataset", True)
    assert (
        runner.read(lambda session: session.scalar(sa.select(runs.c.execution).where(runs.c.hex == owner.replace("-", ""))))
        is None
    )


def test_what_two_steps_each_made_at_one_place_is_not_taken_from_one_another(tmp_path: Path) -> None:
    """The second wrote over the first's: neither read the other's."""

    def look(session: Session) -> tuple[int, set[EdgeKind]]:
        ids = session.scalars(sa.select(artifacts.c.id).where(artifacts.c.uri == MODEL["uri"]))
        nodes = [find_node(session, f"art_{id}", workspace=1) for id in ids]
        return len(ids), {edge.kind for node in nodes for edge in walk(session, node, workspace=1, depth=2).edges}

    made = [telling(report(new_uid(), 1, task("train", outputs={"artifacts": [MODEL]}))) for _ in range(2)]
    with started(sqlite_url(tmp_path)) as runner:
        number, kinds = after(runner, made, look)

    assert number == 2
    assert EdgeKind.OUTPUT in kinds
    assert EdgeKind.DERIVATION not in kinds

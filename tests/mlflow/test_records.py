"""Experiments and runs through the door: what comes back, what happens to them, and that they are the shared records."""

import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog import runs as catalog
from registry.catalog.actors import Actor
from registry.catalog.keys import claim
from registry.catalog.merging import MlmdRun, adopt_mlmd_run
from registry.catalog.run_creation import create_run
from registry.db.session import Session
from registry.names import KeyKind, Lifecycle, NodeKind, Origin, Role, Status, new_run_hex
from registry.tables.graph import contexts
from tests.catalog.test_merging import pipeline_run_type
from tests.mlflow.calling import Caller, fresh, metric, pairs


def actor(door: Caller) -> Actor:
    return Actor("tester", 1, "default", Role.ADMIN)


def test_experiment_0_is_default_and_can_be_renamed_deleted_and_restored(door: Caller) -> None:
    assert door.get("experiments/get", experiment_id="0")["experiment"]["name"] == "Default"

    door.post("experiments/update", experiment_id="0", new_name="Ours")
    door.post("experiments/delete", experiment_id="0")
    found = door.get("experiments/get-by-name", experiment_name="Ours")["experiment"]
    assert (found["experiment_id"], found["lifecycle_stage"]) == ("0", "deleted")
    assert door.refused("POST", "runs/create", experiment_id="0") == (400, "INVALID_PARAMETER_VALUE")

    door.post("experiments/restore", experiment_id="0")
    door.post("experiments/update", experiment_id="0", new_name="Default")
    run = door.post("runs/create", experiment_id="0")["run"]["info"]
    assert (run["experiment_id"], run["artifact_uri"]) == ("0", f"mlflow-artifacts:/0/{run['run_id']}/artifacts")


def test_an_experiment_comes_back_as_it_was_made(door: Caller) -> None:
    name = fresh("made")
    id = door.experiment(name=name, tags=pairs(team="a"), description="ignored")
    shown = door.get("experiments/get", experiment_id=id)["experiment"]

    times = {shown.pop("creation_time"), shown.pop("last_update_time")}
    assert len(times) == 1
    assert shown == {
        "experiment_id": id,
        "name": name,
        "artifact_location": f"mlflow-artifacts:/{id}",
        "lifecycle_stage": "active",
        "tags": [{"key": "team", "value": "a"}],
        "workspace": "default",
    }


def test_a_location_may_have_a_semicolon_where_its_scheme_knows_no_params(door: Caller) -> None:
    id = door.experiment(artifact_location="s3://bucket/x;p")

    assert door.get("experiments/get", experiment_id=id)["experiment"]["artifact_location"] == "s3://bucket/x;p"
    refused = door.refused("POST", "experiments/create", name=fresh("params"), artifact_location="https://bucket/x;p")
    assert refused == (400, "INVALID_PARAMETER_VALUE")


def test_tags_of_an_experiment_are_set_and_deleted_while_it_is_active(door: Caller) -> None:
    id = door.experiment()
    door.post("experiments/set-experiment-tag", experiment_id=id, key="k", value="1")
    door.post("experiments/set-experiment-tag", experiment_id=id, key="k", value="2")
    assert door.get("experiments/get", experiment_id=id)["experiment"]["tags"] == [{"key": "k", "value": "2"}]

    door.post("experiments/delete-experiment-tag", experiment_id=id, key="k")
    assert "tags" not in door.get("experiments/get", experiment_id=id)["experiment"]
    door.post("experiments/delete", experiment_id=id)
    refused = door.refused("POST", "experiments/set-experiment-tag", experiment_id=id, key="k", value="1")
    assert refused == (400, "INVALID_PARAMETER_VALUE")


def test_deleting_an_experiment_takes_its_runs_along_and_restoring_brings_all_back(door: Caller) -> None:
    id = door.experiment()
    kept, gone = door.run(id), door.run(id)
    door.post("runs/delete", run_id=gone)

    door.post("experiments/delete", experiment_id=id)
    assert door.refused("POST", "experiments/delete", experiment_id=id) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert {_stage(door, kept), _stage(door, gone)} == {"deleted"}
    door.post("experiments/restore", experiment_id=id)
    assert {_stage(door, kept), _stage(door, gone)} == {"active"}


def _stage(door: Caller, run: str) -> str:
    return str(door.get("runs/get", run_id=run)["run"]["info"]["lifecycle_stage"])


def test_a_run_has_what_it_was_made_with_and_its_columns_as_tags(door: Caller) -> None:
    id = door.experiment(artifact_location="s3://bucket/place")
    tags = [{"key": "mlflow.user", "value": "ada"}, {"key": "mlflow.parentRunId", "value": "nobody"}, *pairs(own="1")]
    run = door.post("runs/create", experiment_id=id, run_name="first", user_id="ada", start_time="17", tags=tags)["run"]

    hex = run["info"]["run_id"]
    assert run["info"] == {
        "run_id": hex,
        "run_uuid": hex,
        "experiment_id": id,
        "run_name": "first",
        "user_id": "ada",
        "status": "RUNNING",
        "start_time": 17,
        "artifact_uri": f"s3://bucket/place/{hex}/artifacts",
        "lifecycle_stage": "active",
    }
    assert door.tags(hex) == {"mlflow.runName": "first", "mlflow.user": "ada", "mlflow.parentRunId": "nobody", "own": "1"}


def test_a_run_is_made_with_tags_whose_keys_could_not_be_set_later(door: Caller) -> None:
    keys = ["a(b)", "/a", "a//b", "../c", 'q"uote', "per%cent", "😀"]
    run = door.run(door.experiment(), tags=[{"key": key, "value": "x"} for key in keys])

    assert {key: value for key, value in door.tags(run).items() if not key.startswith("mlflow.")} == dict.fromkeys(keys, "x")
    assert door.refused("POST", "runs/set-tag", run_id=run, key="a(b)", value="y") == (400, "INVALID_PARAMETER_VALUE")
    door.post("runs/delete-tag", run_id=run, key="a(b)")
    assert "a(b)" not in door.tags(run)


def test_a_run_without_a_name_gets_one_and_two_names_are_refused(door: Caller) -> None:
    id = door.experiment()
    name = door.tags(door.run(id))["mlflow.runName"]
    assert len(name) <= 20
    assert name.count("-") == 2

    tags = [{"key": "mlflow.runName", "value": "b"}]
    assert door.tags(door.run(id, tags=tags))["mlflow.runName"] == "b"
    refused = door.refused("POST", "runs/create", experiment_id=id, run_name="a", tags=tags)
    assert refused == (400, "INVALID_PARAMETER_VALUE")


def test_the_name_tag_renames_the_run_and_the_other_way_round(door: Caller) -> None:
    run = door.run(door.experiment(), run_name="a")

    door.post("runs/set-tag", run_id=run, key="mlflow.runName", value="b")
    assert door.get("runs/get", run_id=run)["run"]["info"]["run_name"] == "b"
    door.post("runs/update", run_id=run, run_name="c")
    assert door.tags(run)["mlflow.runName"] == "c"
    refused = door.refused("POST", "runs/delete-tag", run_id=run, key="mlflow.runName")
    assert refused == (400, "INVALID_PARAMETER_VALUE")


def test_a_parent_is_set_moved_and_taken_away_by_its_tag(door: Caller) -> None:
    id = door.experiment()
    parent, child = door.run(id, run_name="parent"), door.run(id, run_name="child")

    door.post("runs/log-batch", run_id=child, tags=[{"key": "mlflow.parentRunId", "value": parent}], metrics=[metric("m", 1.0)])
    assert _run(door, child).parent == f"run_{parent}"
    assert door.found(id, filter=f"tags.\"mlflow.parentRunId\" = '{parent}'") == ["child"]
    door.post("runs/delete-tag", run_id=child, key="mlflow.parentRunId")
    assert _run(door, child).parent is None
    assert door.refused("POST", "runs/delete-tag", run_id=child, key="mlflow.parentRunId") == (404, "RESOURCE_DOES_NOT_EXIST")


def _run(door: Caller, hex: str) -> catalog.Run:
    return door.served.services.runner.read(lambda session: catalog.get_run(session, actor(door), hex))


def test_ending_twice_leaves_the_first_end_and_reopening_clears_it(door: Caller) -> None:
    run = door.run(door.experiment())
    first = door.post("runs/update", run_id=run, status="FINISHED")["run_info"]
    again = door.post("runs/update", run_id=run, status="FINISHED")["run_info"]
    assert again == first
    assert first["end_time"] > 0

    assert door.post("runs/update", run_id=run, status="FAILED", end_time=99)["run_info"]["end_time"] == 99
    ignored = door.post("runs/update", run_id=run, status="BOGUS")["run_info"]
    assert (ignored["status"], ignored["end_time"]) == ("FAILED", 99)
    reopened = door.post("runs/update", run_id=run, status="RUNNING")["run_info"]
    assert (reopened["status"], "end_time" in reopened) == ("RUNNING", False)


def test_a_cached_run_is_finished_here_and_stays_cached_when_that_comes_back(door: Caller) -> None:
    run = door.run(door.experiment())
    runner = door.served.services.runner
    runner.write(lambda session: catalog.update_run(session, actor(door), run, now=5, status=Status.CACHED))

    assert door.post("runs/update", run_id=run, status="FINISHED")["run_info"]["status"] == "FINISHED"
    assert _run(door, run).status is Status.CACHED


def test_a_deleted_run_can_be_read_and_not_written_until_it_is_restored(door: Caller) -> None:
    run = door.run(door.experiment())
    writes: list[tuple[str, dict[str, Any]]] = [
        ("log-metric", metric("m", 1.0)),
        ("set-tag", {"key": "t", "value": "1"}),
        ("set-tag", {"key": "mlflow.runName", "value": "x"}),
        ("delete-tag", {"key": "t"}),
        ("update", {"status": "FINISHED"}),
    ]
    door.post("runs/delete", run_id=run)
    door.post("runs/delete", run_id=run)

    assert _stage(door, run) == "deleted"
    for path, fields in writes:
        assert door.refused("POST", f"runs/{path}", run_id=run, **fields) == (400, "INVALID_PARAMETER_VALUE")
    door.post("runs/restore", run_id=run)
    door.post("runs/restore", run_id=run)
    door.post("runs/log-metric", run_id=run, **metric("m", 1.0))


def test_a_run_of_another_door_opens_here_with_its_files_under_the_proxy(door: Caller) -> None:
    hex = new_run_hex()
    experiment = door.experiment()
    runner = door.served.services.runner
    runner.write(lambda session: create_run(session, actor(door), now=5, experiment=int(experiment), hex=hex, name="reported"))

    info = door.get("runs/get", run_id=hex)["run"]["info"]
    assert (info["run_name"], info["artifact_uri"]) == ("reported", f"mlflow-artifacts:/runs/{hex}/artifacts")
    assert door.found(experiment, filter=f"attributes.artifact_uri LIKE 'mlflow-artifacts:/runs/{hex[:8]}%'") == ["reported"]


def test_the_tag_of_a_kfp_run_joins_the_run_with_its_workflow(door: Caller) -> None:
    kfp = new_run_hex()
    runner = door.served.services.runner

    def report(session: Any) -> None:
        made = create_run(session, actor(door), now=5, experiment=None, hex=kfp, name="workflow", origin=Origin.AGENT)
        claim(session, 1, [(KeyKind.KFP_RUN, kfp)], NodeKind.CONTEXT, made)

    runner.write(report)
    id = door.experiment()
    born = door.run(id, run_name="mine", tags=[{"key": "kfp.pipeline_run_id", "value": kfp}])
    set_later = door.run(id, run_name="nested")
    door.post("runs/set-tag", run_id=set_later, key="kfp.pipeline_run_id", value=kfp)

    by_kfp = door.get("runs/get", run_id=kfp)["run"]["info"]
    assert (by_kfp["run_id"], by_kfp["run_name"]) == (born, "mine")
    assert door.get("runs/get", run_id=set_later)["run"]["info"]["run_id"] == set_later


@pytest.mark.parametrize("call", ["set-tag", "log-batch"])
def test_the_tag_joins_the_run_with_its_workflow_when_it_is_set_later_and_again(door: Caller, call: str) -> None:
    kfp = new_run_hex()
    runner = door.served.services.runner

    def report(session: Any) -> None:
        made = create_run(session, actor(door), now=5, experiment=None, hex=kfp, name="workflow", origin=Origin.AGENT)
        claim(session, 1, [(KeyKind.KFP_RUN, kfp)], NodeKind.CONTEXT, made)

    runner.write(report)
    mine = door.run(door.experiment(), run_name="mine")
    tag = {"key": "kfp.pipeline_run_id", "value": kfp}
    for _ in range(2):
        door.post(f"runs/{call}", run_id=mine, **(tag if call == "set-tag" else {"tags": [tag], "metrics": [metric("m", 1.0)]}))

    info = door.get("runs/get", run_id=kfp)["run"]["info"]
    assert (info["run_id"], info["run_name"]) == (mine, "mine")
    assert door.tags(kfp)["kfp.pipeline_run_id"] == kfp


def test_a_pipeline_run_of_ml_metadata_keeps_its_name_there_whatever_the_run_is_called_here(door: Caller) -> None:
    kfp = str(uuid.uuid4())
    runner = door.served.services.runner
    mine = door.run(door.experiment(), run_name="mine", tags=[{"key": "kfp.pipeline_run_id", "value": kfp}])

    def put(session: Session) -> int:
        run = MlmdRun(pipeline_run_type(session), "system.PipelineRun", kfp, 1)
        return adopt_mlmd_run(session, actor(door), run, now=5)

    node = runner.write(put)
    for number, (call, fields) in enumerate(
        [("set-tag", {"key": "mlflow.runName", "value": "name 0"}), ("update", {"run_name": "name 1"})]
    ):
        door.post(f"runs/{call}", run_id=mine, **fields)
        assert door.get("runs/get", run_id=mine)["run"]["info"]["run_name"] == f"name {number}"
        assert runner.read(lambda session: session.scalar(sa.select(contexts.c.name).where(contexts.c.id == node))) == kfp


def test_an_archived_run_is_active_here_with_a_tag_that_says_so(door: Caller) -> None:
    run = door.run(door.experiment())
    runner = door.served.services.runner
    archived = Lifecycle.ARCHIVED
    runner.write(lambda session: catalog.set_run_lifecycle(session, actor(door), run, archived, now=5))

    assert (_stage(door, run), door.tags(run)["lineal.lifecycle"]) == ("active", "archived")

"""How nodes of other doors are called here, and where their files lie: what users of the client and Kubeflow's interface see."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from registry.settings import Settings
from tests.mlmd.door import Door, fresh, node
from tests.mlmd.kubeflow import OUTPUT, Run
from tests.mlmd.test_own import number, put, rest
from tests.servers import serving

PUBLIC = "https://lineal.example.org/some"


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server with local files that is reached at a URL of its own."""
    folder = str(tmp_path_factory.mktemp("data"))
    settings = Settings(data_dir=folder, grpc="127.0.0.1:0", public_url=f"{PUBLIC}/")
    with serving(settings) as served, Door(served) as made:
        yield made


def shown(one: Any) -> tuple[str, str]:
    return one.name, one.custom_properties["display_name"].string_value


def mlflow(door: Door, path: str, body: Any) -> Any:
    answer = httpx.post(f"{door.served.url}/api/2.0/mlflow/{path}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def uploaded(door: Door) -> dict[str, Any]:
    path = f"default/{fresh('folder')}/a b.bin"
    answer = httpx.put(f"{door.served.url}/api/v1/files/{path}", content=b"bytes", timeout=60)
    made: dict[str, Any] = rest(door, "POST", "artifacts", {"uri": answer.json()["uri"], "display_name": "file"})
    return {**made, "link": f"{PUBLIC}/api/v1/files/{path.replace(' ', '%20')}", "path": path}


def test_a_data_set_is_called_as_its_door_calls_it(door: Door) -> None:
    name = fresh("wine")
    run = mlflow(door, "runs/create", {"experiment_id": "0", "run_name": "reader", "start_time": 1})["run"]["info"]["run_id"]
    dataset = {"name": name, "digest": "d", "source_type": "local", "source": "{}"}
    mlflow(door, "runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset}]})

    by_name = door.call("GetArtifactByTypeAndName", type_name="kf.DataSet", artifact_name=name).artifact
    by_filter = door.call("GetArtifacts", options={"filter_query": f"name = '{name}'"}).artifacts
    [execution] = door.call("GetExecutions", options={"filter_query": f"events_0.artifact_id = {by_name.id}"}).executions

    assert shown(by_name) == (name, name)
    assert [one.id for one in by_filter] == [by_name.id]
    assert execution.custom_properties["display_name"].string_value == "reader"


def test_what_the_agent_reports_is_called_as_it_says(door: Door) -> None:
    run = Run(door, str(uuid.uuid4()))
    run.send_report()
    [model] = door.call("GetArtifactsByURI", uris=[f"minio://b/{run.uid}/model"]).artifacts
    [event] = door.call("GetEventsByArtifactIDs", artifact_ids=[model.id]).events
    train = door.one("execution", event.execution_id)

    assert shown(model) == ("model", "model")
    assert (event.type, train.name, train.custom_properties["display_name"].string_value) == (OUTPUT, "train", "Train")


def test_files_of_a_version_are_called_as_the_model(door: Door) -> None:
    name, uri = fresh("model"), fresh("s3://b/k")
    rest(door, "POST", "models", {"name": name})
    mlflow(door, "model-versions/create", {"name": name, "source": uri})
    [files] = door.call("GetArtifactsByURI", uris=[uri]).artifacts

    assert (files.type, *shown(files)) == ("kf.ModelArtifact", name, name)
    neighbours = {"filter_query": f"artifacts_0.name = '{name}'"}
    assert [one.type for one in door.call("GetContexts", options=neighbours).contexts] == ["kf.ModelVersion"]


def test_a_clients_own_artifact_keeps_the_name_that_it_gave(door: Door) -> None:
    """Also none: a report that knows the same output calls only its own."""
    run = Run(door, str(uuid.uuid4()))
    run.whole()
    run.send_report()

    model = door.one("artifact", run.ids["model"])

    assert not model.HasField("name")
    assert "mine" not in {model.custom_properties[key].string_value for key in model.custom_properties}


def test_a_changed_display_name_is_the_records(door: Door) -> None:
    made = rest(door, "POST", "artifacts", {"uri": fresh("s3://b/k"), "display_name": "before"})
    read = door.one("artifact", number(made["id"]))
    assert put(door, read, "artifact") == "OK"
    assert rest(door, "GET", f"artifacts/{made['id']}")["version"] == made["version"]

    read.custom_properties["display_name"].string_value = "after"

    assert put(door, read, "artifact") == "OK"
    assert rest(door, "GET", f"artifacts/{made['id']}")["display_name"] == "after"
    assert shown(door.one("artifact", read.id)) == ("after", "after")
    bare = node("artifact", id=read.id, type_id=read.type_id, custom={"mine": 1})
    assert put(door, bare, "artifact") == "OK"
    assert shown(door.one("artifact", read.id)) == ("after", "after")


def test_a_tag_of_that_name_goes_before_it(door: Door) -> None:
    given = {"uri": fresh("s3://b/k"), "display_name": "record", "tags": {"display_name": "tag"}}
    made = rest(door, "POST", "artifacts", given)
    read = door.one("artifact", number(made["id"]))
    assert shown(read) == ("record", "tag")

    read.custom_properties["display_name"].string_value = "other"

    assert put(door, read, "artifact") == "OK"
    found = rest(door, "GET", f"artifacts/{made['id']}")
    assert (found["display_name"], found["tags"]) == ("record", {"display_name": "other"})


def test_a_run_is_renamed_by_its_execution_and_a_data_set_is_not(door: Door) -> None:
    run = rest(door, "POST", "runs", {"experiment_name": fresh("e"), "name": "before"})
    rest(door, "POST", f"runs/{run['id']}/datasets", {"name": fresh("d"), "digest": "1"})
    [dataset] = door.call("GetArtifacts", options={"filter_query": "type = 'kf.DataSet'", "max_result_size": 1}).artifacts
    hex = run["id"].removeprefix("run_")
    execution = door.call("GetExecutionByTypeAndName", type_name="lineal.Run", execution_name=hex).execution
    for one in (execution, dataset):
        one.custom_properties["display_name"].string_value = "after"

    assert put(door, execution, "execution") == "OK"
    assert rest(door, "GET", f"runs/{run['id']}")["name"] == "after"
    assert put(door, dataset, "artifact") == "FAILED_PRECONDITION"


def test_local_files_are_links_to_the_server(linked: Door) -> None:
    made = uploaded(linked)
    read = linked.one("artifact", number(made["id"]))

    assert read.uri == made["link"]
    assert httpx.get(read.uri.replace(PUBLIC, linked.served.url), timeout=60).content == b"bytes"
    assert rest(linked, "GET", f"artifacts/{made['id']}")["uri"] == made["uri"]


def test_a_link_leads_back_to_the_record(linked: Door) -> None:
    made = uploaded(linked)
    read = linked.one("artifact", number(made["id"]))

    for uri in (made["link"], made["uri"]):
        assert [one.id for one in linked.call("GetArtifactsByURI", uris=[uri]).artifacts] == [read.id]
    assert put(linked, read, "artifact") == "OK"
    assert rest(linked, "GET", f"artifacts/{made['id']}")["version"] == made["version"]
    read.uri += ".other"
    assert put(linked, read, "artifact") == "FAILED_PRECONDITION"


def test_what_a_client_gave_comes_back_as_it_was(linked: Door) -> None:
    made = uploaded(linked)
    type_id = linked.type("artifact")
    given = [made["uri"], made["link"], "file:///elsewhere/k", f"{PUBLIC}/api/v1/files/default/../x"]

    ids = linked.put("artifact", *(node("artifact", type_id, uri=uri) for uri in given))

    assert [one.uri for one in linked.get("artifact", *ids)] == given
    elsewhere = rest(linked, "POST", "artifacts", {"uri": "file:///elsewhere/k", "display_name": "other"})
    assert linked.one("artifact", number(elsewhere["id"])).uri == "file:///elsewhere/k"


@pytest.mark.parametrize(
    ("http", "public", "base"),
    [
        ("127.0.0.1:8080", "", "http://127.0.0.1:8080"),
        ("[::1]:80", "", "http://[::1]:80"),
        ("0.0.0.0:8080", "https://host/x/", "https://host/x"),
    ],
)
def test_the_base_of_links(http: str, public: str, base: str) -> None:
    assert Settings(http=http, public_url=public).base_url == base


def test_a_server_on_every_address_is_reached_by_the_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node-1")

    assert [Settings(http=http).base_url for http in ("0.0.0.0:1", "[::]:1")] == ["http://node-1:1"] * 2

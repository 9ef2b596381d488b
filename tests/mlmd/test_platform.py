"""One metadata service for an installation of Kubeflow Pipelines: whose a run is, its context's namespace says."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.tokens import create_token
from registry.catalog.workspaces import get_or_create_workspace
from registry.names import Role
from registry.settings import Settings
from tests.mlmd.door import Door, fresh, node
from tests.mlmd.kubeflow import INPUT, OUTPUT, Run
from tests.servers import serving

Metadata = list[tuple[str, str]]


@pytest.fixture(scope="module")
def platform(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Open to contributors of the whole installation without credentials, as for Kubeflow Pipelines' own pods."""
    settings = Settings(
        data_dir=str(tmp_path_factory.mktemp("data")),
        db=database_url,
        grpc="127.0.0.1:0",
        mlmd_platform=True,
        anonymous_mlmd="contributor@install",
    )
    with serving(settings) as served, Door(served) as made:
        yield made


def token(door: Door, workspace: str, role: Role = Role.CONTRIBUTOR) -> Metadata:
    def make(session: Any) -> str:
        id = get_or_create_workspace(session, workspace, now=1)
        return create_token(session, Actor("test", id, workspace, Role.ADMIN), fresh("token"), role, now=1)[1]

    return [("authorization", f"Bearer {door.served.services.runner.write(make)}")]


def run_in(door: Door, namespace: str, pipeline: str, metadata: Metadata | None = None) -> Run:
    made = Run(door, str(uuid.uuid4()), pipeline=pipeline, namespace=namespace, metadata=metadata)
    made.whole()
    return made


def rest(door: Door, workspace: str, path: str) -> httpx.Response:
    return httpx.get(f"{door.served.url}/api/v1/{path}", headers={"x-lineal-workspace": workspace}, timeout=60)


def ids(door: Door, metadata: Metadata | None, method: str, field: str) -> set[int]:
    return {one.id for one in getattr(door.call(method, metadata), field)}


@pytest.fixture(scope="module")
def two(platform: Door) -> tuple[Run, Run, dict[str, Metadata]]:
    """A run in each of two namespaces, of one pipeline, and a token of each."""
    pipeline = fresh("shared")
    tokens = {name: token(platform, name) for name in ("red", "blue")}
    return run_in(platform, "red", pipeline), run_in(platform, "blue", pipeline), tokens


def test_the_pipeline_is_shared_and_each_run_is_seen_in_its_workspace_only(
    platform: Door, two: tuple[Run, Run, dict[str, Metadata]]
) -> None:
    red, blue, tokens = two

    assert red.ids["pipeline"] == blue.ids["pipeline"]
    for mine, other in ((red, blue), (blue, red)):
        own = tokens[mine.namespace]
        contexts = ids(platform, own, "GetContexts", "contexts")
        assert {mine.ids["pipeline"], mine.ids["run"]} <= contexts
        assert other.ids["run"] not in contexts
        executions = ids(platform, own, "GetExecutions", "executions")
        assert {mine.ids["root"], mine.ids["train"], mine.ids["loop/1/inner"]} <= executions
        assert not {other.ids[name] for name in ("root", "train", "loop", "loop/0/inner")} & executions
        artifacts = ids(platform, own, "GetArtifacts", "artifacts")
        assert {mine.ids["model"], mine.ids["data"]} <= artifacts
        assert not {other.ids["model"], other.ids["data"], other.ids["metrics"]} & artifacts


def test_nothing_leads_from_one_workspace_into_the_other(platform: Door, two: tuple[Run, Run, dict[str, Metadata]]) -> None:
    red, blue, tokens = two
    own = tokens["red"]
    by_filter = {"filter_query": f"contexts_a.id = {blue.ids['run']}"}

    assert not platform.call("GetExecutionsByID", own, execution_ids=[blue.ids["train"]]).executions
    assert not platform.call("GetArtifactsByID", own, artifact_ids=[blue.ids["model"]]).artifacts
    assert not platform.call("GetContextsByID", own, context_ids=[blue.ids["run"]]).contexts
    assert not platform.call("GetExecutionsByContext", own, context_id=blue.ids["run"]).executions
    assert not platform.call("GetArtifactsByURI", own, uris=[f"minio://b/{blue.uid}/model"]).artifacts
    assert not platform.call("GetEventsByExecutionIDs", own, execution_ids=[blue.ids["train"]]).events
    assert not platform.call("GetEventsByArtifactIDs", own, artifact_ids=[blue.ids["model"]]).events
    assert not platform.call("GetArtifacts", own, options=by_filter).artifacts
    assert not platform.call("GetContextByTypeAndName", own, type_name="system.PipelineRun", context_name=blue.uid).context.id
    children = platform.call("GetChildrenContextsByContext", own, context_id=red.ids["pipeline"]).contexts
    assert [one.id for one in children] == [red.ids["run"]]
    assert platform.refusal("GetContextsByExecution", own, execution_id=blue.ids["train"]) == "NOT_FOUND"
    stolen = node("execution", id=blue.ids["train"], type_id=blue.types["system.ContainerExecution"])
    assert platform.refusal("PutExecutions", own, executions=[stolen]) == "INVALID_ARGUMENT"


def test_rest_shows_a_run_in_its_namespace(platform: Door, two: tuple[Run, Run, dict[str, Metadata]]) -> None:
    red, _, _ = two
    path = f"runs/run_{red.uid.replace('-', '')}"

    assert rest(platform, "red", path).json()["experiment_name"] == f"pipelines/{red.pipeline}"
    assert len(rest(platform, "red", f"{path}/steps").json()["steps"]) == 7
    assert rest(platform, "blue", path).status_code == 404
    assert rest(platform, "default", path).status_code == 404


def test_whoever_may_not_write_there_is_refused(platform: Door, two: tuple[Run, Run, dict[str, Metadata]]) -> None:
    red, _, tokens = two
    viewer = token(platform, "red", Role.VIEWER)
    for namespace, metadata in (("blue", tokens["red"]), ("nowhere", tokens["red"]), ("red", viewer)):
        context = node("context", red.types["system.PipelineRun"], name=str(uuid.uuid4()), custom={"namespace": namespace})

        assert platform.refusal("PutContexts", metadata, contexts=[context]) == "PERMISSION_DENIED"


def test_whoever_may_write_there_makes_runs_there(platform: Door, two: tuple[Run, Run, dict[str, Metadata]]) -> None:
    _, _, tokens = two

    made = run_in(platform, "red", fresh("own"), tokens["red"])

    assert rest(platform, "red", f"runs/run_{made.uid.replace('-', '')}").status_code == 200


def test_a_run_without_a_namespace_is_the_connections(platform: Door, two: tuple[Run, Run, dict[str, Metadata]]) -> None:
    _, _, tokens = two

    made = run_in(platform, "", fresh("own"), tokens["blue"])

    assert rest(platform, "blue", f"runs/run_{made.uid.replace('-', '')}").status_code == 200


def test_a_namespace_that_nobody_has_seen_becomes_a_workspace(platform: Door) -> None:
    name = fresh("profile")

    made = run_in(platform, name, fresh("p"))

    assert rest(platform, name, f"runs/run_{made.uid.replace('-', '')}").status_code == 200


@pytest.mark.parametrize("agent_first", [False, True])
def test_the_agent_of_a_namespace_and_the_door_meet(platform: Door, agent_first: bool) -> None:
    name = fresh("met")
    platform.served.services.runner.write(lambda session: get_or_create_workspace(session, name, now=1))
    run = Run(platform, str(uuid.uuid4()), namespace=name)
    headers = {"x-lineal-workspace": name}

    def report() -> None:
        url = f"{platform.served.url}/api/v1/reports"
        httpx.post(url, json=run.report(), headers=headers, timeout=60).raise_for_status()

    if agent_first:
        report()
    run.whole()
    report()

    steps = rest(platform, name, f"runs/run_{run.uid.replace('-', '')}/steps?page_size=100").json()["steps"]
    assert len(steps) == 7
    assert {step["id"] for step in steps} >= {f"step_{run.ids['train']}", f"step_{run.ids['loop/1/inner']}"}
    own = token(platform, name)
    assert ids(platform, own, "GetExecutions", "executions") == {run.ids[key] for key in run.ids if key in EXECUTIONS}
    assert not platform.served.services.runner.read(lambda session: list(check_all(session)))


EXECUTIONS = {"root", "prepare", "train", "loop", "loop/0", "loop/1", "loop/0/inner", "loop/1/inner"}


def test_what_a_second_workspace_uses_is_seen_in_both_and_its_uses_only_by_their_own(
    platform: Door, two: tuple[Run, Run, dict[str, Metadata]]
) -> None:
    """Kubeflow Pipelines' importer finds an artifact by its URI, whoever has made it."""
    red, blue, tokens = two
    uri = f"minio://shared/{uuid.uuid4()}"
    [data] = red.put("artifact", node("artifact", red.types["system.Model"], uri=uri))
    everybodys = platform.call("GetArtifactsByURI", tokens["blue"], uris=[uri]).artifacts
    importer = {task.namespace: task.driven(fresh("import"), task_name=fresh("import")) for task in (red, blue)}

    def used(run: Run, type: int) -> None:
        event = {"artifact_id": data, "execution_id": importer[run.namespace], "type": type}
        run.call("PutEvents", events=[event])

    used(red, OUTPUT)
    reds = platform.call("GetArtifactsByURI", tokens["blue"], uris=[uri]).artifacts
    used(blue, INPUT)
    red.call("PutAttributionsAndAssociations", attributions=[{"artifact_id": data, "context_id": red.ids["run"]}])

    assert (len(everybodys), len(reds)) == (1, 0)
    for name in ("red", "blue"):
        assert [one.id for one in platform.call("GetArtifactsByURI", tokens[name], uris=[uri]).artifacts] == [data]
        events = platform.call("GetEventsByArtifactIDs", tokens[name], artifact_ids=[data]).events
        assert [one.execution_id for one in events] == [importer[name]]
    for name, run, direction in (("red", red, "output"), ("blue", blue, "input")):
        path = f"runs/run_{run.uid.replace('-', '')}/uses?page_size=100"
        uses = [one for one in rest(platform, name, path).json()["uses"] if one["artifact"]["uri"] == uri]
        assert [one["direction"] for one in uses] == [direction]
        assert rest(platform, name, f"artifacts/art_{data}").json()["uri"] == uri
        body = {"description": "mine"}
        url = f"{platform.served.url}/api/v1/artifacts/art_{data}"
        assert httpx.patch(url, json=body, headers={"x-lineal-workspace": name}, timeout=60).status_code == 404
    prying = {"filter_query": f"id = {data} AND contexts_a.id = {red.ids['run']}"}
    assert platform.call("GetArtifacts", tokens["red"], options=prying).artifacts
    assert not platform.call("GetArtifacts", tokens["blue"], options=prying).artifacts
    events_of_red = {"filter_query": f"id = {data} AND events_a.execution_id = {importer['red']}"}
    assert not platform.call("GetArtifacts", tokens["blue"], options=events_of_red).artifacts


def test_names_are_unique_in_the_whole_installation(platform: Door, two: tuple[Run, Run, dict[str, Metadata]]) -> None:
    red, _, tokens = two
    again = node("context", red.types["system.Pipeline"], name=red.pipeline)

    assert platform.refusal("PutContexts", tokens["blue"], contexts=[again]) == "ALREADY_EXISTS"

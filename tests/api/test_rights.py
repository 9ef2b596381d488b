"""Every operation of the document: who may not change anything, and that another workspace's records are not there."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from registry.api.app import create_app
from tests.gql.world import World, make_world

ELSEWHERE = {"X-Lineal-Workspace": "other"}
TAGS: dict[str, Any] = {"tags": {"k": "v"}}
CHANGES: Mapping[str, dict[str, Any] | None] = {
    "createArtifact": {},
    "deleteArtifact": None,
    "updateArtifact": {"description": "d"},
    "restoreArtifact": None,
    "setArtifactTags": TAGS,
    "deleteArtifactTag": None,
    "createDataset": {"name": "n"},
    "updateDataset": {"description": "d"},
    "createDeployment": {"name": "n", "environment": "e"},
    "deleteDeployment": None,
    "updateDeployment": {"description": "d"},
    "archiveDeployment": None,
    "restoreDeployment": None,
    "createEnvironment": {"name": "n"},
    "deleteEnvironment": None,
    "updateEnvironment": {"description": "d"},
    "createExperiment": {"name": "n"},
    "deleteExperiment": None,
    "updateExperiment": {"description": "d"},
    "archiveExperiment": None,
    "restoreExperiment": None,
    "deleteFile": None,
    "putFile": None,
    "defineMetric": {"direction": "maximize"},
    "deleteModelVersion": None,
    "updateModelVersion": {"description": "d"},
    "archiveModelVersion": None,
    "logToModelVersion": {"params": {"p": "1"}},
    "restoreModelVersion": None,
    "setStage": {"stage": "Production"},
    "setModelVersionTags": TAGS,
    "deleteModelVersionTag": None,
    "createModel": {"name": "n"},
    "deleteModel": None,
    "updateModel": {"description": "d"},
    "deleteAlias": None,
    "moveAlias": {"version_id": "mv_1"},
    "archiveModel": None,
    "restoreModel": None,
    "setModelTags": TAGS,
    "deleteModelTag": None,
    "createModelVersion": {"source": "s3://b/k"},
    "registerModel": {"model": "n", "uri": "s3://b/k"},
    "applyReport": {"object": {"kind": "Workflow", "uid": "u"}},
    "applyReports": {"reports": [{"object": {"kind": "Workflow", "uid": "u"}}]},
    "createRun": {},
    "deleteRun": None,
    "updateRun": {"name": "n"},
    "archiveRun": None,
    "logDataset": {"name": "n"},
    "log": TAGS,
    "restoreRun": None,
    "deleteRunTag": None,
    "linkArtifact": {"artifact_id": "art_1", "direction": "input"},
    "joinStep": {"node_id": "n"},
    "createToken": {"name": "n", "role": "viewer"},
    "revokeToken": None,
    "createWorkspace": {"name": "n"},
}
"""A body for each operation that changes something, None where it takes none."""

OPERATIONS = {
    spec["operationId"]: (method.upper(), path)
    for path, item in create_app().openapi()["paths"].items()
    for method, spec in item.items()
}
OF_A_RECORD = sorted(name for name, (_, path) in OPERATIONS.items() if "{id}" in path and name != "revokeToken")


@pytest.fixture(scope="module")
def world(http: httpx.Client) -> World:
    made = make_world(http)
    http.post("/api/v1/workspaces", json={"name": "other"}).raise_for_status()
    return made


@pytest.fixture(scope="module")
def own(http: httpx.Client, world: World) -> dict[str, str]:
    """Records of the other workspace."""
    made = {}
    for kind, body in (("run", {}), ("artifact", {}), ("model", {"name": "own"})):
        made[f"own_{kind}"] = http.post(f"/api/v1/{kind}s", json=body, headers=ELSEWHERE).json()["id"]
    return made


@pytest.fixture(scope="module")
def secrets(http: httpx.Client) -> dict[str, str]:
    roles = ("viewer", "contributor")
    return {role: http.post("/api/v1/tokens", json={"name": role, "role": role}).json()["token"] for role in roles}


def sent(http: httpx.Client, name: str, world: World, headers: Mapping[str, str]) -> httpx.Response:
    method, path = OPERATIONS[name]
    ids = {
        "artifacts": world.artifact,
        "datasets": world.dataset,
        "deployments": world.deployment,
        "environments": world.environment,
        "experiments": world.experiment,
        "model-versions": world.versions[0],
        "models": world.model,
        "objects": "obj_1",
        "runs": world.workflow,
        "steps": world.steps[0],
        "tokens": "tok_1",
    }
    kind = path.split("/")[3]
    filled = path.format(id=ids.get(kind), key="team", alias="champion", path="default/a.txt")
    return http.request(method, filled, json=CHANGES.get(name), headers=dict(headers))


def test_every_operation_that_changes_something_is_in_the_list() -> None:
    assert set(CHANGES) == {name for name, (method, _) in OPERATIONS.items() if method != "GET"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_viewer_changes_nothing(http: httpx.Client, world: World, secrets: dict[str, str], name: str) -> None:
    refused = sent(http, name, world, {"Authorization": f"Bearer {secrets['viewer']}"})

    assert (refused.status_code, refused.json()["type"]) == (403, "urn:lineal:problem:not-permitted")


@pytest.mark.parametrize("name", ["createToken", "listTokens", "revokeToken", "createWorkspace"])
def test_tokens_and_workspaces_are_for_administrators(
    http: httpx.Client, world: World, secrets: dict[str, str], name: str
) -> None:
    assert sent(http, name, world, {"Authorization": f"Bearer {secrets['contributor']}"}).status_code == 403


@pytest.mark.parametrize("name", OF_A_RECORD)
def test_a_record_of_another_workspace_is_not_there(http: httpx.Client, world: World, name: str) -> None:
    refused = sent(http, name, world, ELSEWHERE)

    assert (refused.status_code, refused.json()["type"]) == (404, "urn:lineal:problem:not-found")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs", {"experiment_id": "{experiment}"}),
        ("runs", {"parent": "{run}"}),
        ("runs/{own_run}/uses", {"artifact_id": "{artifact}", "direction": "input"}),
        ("runs/{own_run}/uses", {"artifact_id": "{own_artifact}", "direction": "input", "step": "{step}"}),
        ("runs/{own_run}/datasets", {"name": "n", "step": "{step}"}),
        ("models/{own_model}/versions", {"artifact_id": "{artifact}"}),
        ("models/{own_model}/versions", {"source": "s3://b/k", "run_id": "{run}"}),
        ("register", {"model": "n", "artifact_id": "{artifact}"}),
        ("register", {"model": "n", "uri": "s3://b/k", "run_id": "{run}"}),
        ("register", {"model": "n", "output": "model", "run_id": "{run}"}),
        ("deployments", {"name": "n", "environment": "e", "model_id": "{model}"}),
        ("deployments", {"name": "n", "environment": "e", "model_version_id": "{version}"}),
        ("deployments", {"name": "n", "environment": "e", "shares": [{"percent": 1, "version": "{version}"}]}),
    ],
)
def test_nothing_new_hangs_on_a_record_of_another_workspace(
    http: httpx.Client, world: World, own: dict[str, str], path: str, body: dict[str, Any]
) -> None:
    theirs = {
        "experiment": world.experiment,
        "run": world.workflow,
        "artifact": world.artifact,
        "step": world.steps[0],
        "model": world.model,
        "version": world.versions[0],
    }
    text = json.dumps(body)
    for name, id in (own | theirs).items():
        text, path = text.replace(f"{{{name}}}", id), path.replace(f"{{{name}}}", id)

    refused = http.post(f"/api/v1/{path}", content=text, headers=ELSEWHERE | {"Content-Type": "application/json"})

    assert (refused.status_code, refused.json()["type"]) == (404, "urn:lineal:problem:not-found")


@pytest.mark.parametrize(
    "query",
    [
        "compare/runs?ids={runs}",
        "compare/model-versions?ids={versions}",
        "lineage?root={run}",
        "lineage?root={artifact}",
        "lineage/impact?root={artifact}",
        "lineage/paths?start={artifact}&goal={version}",
        "files/default/a.txt",
    ],
)
def test_a_query_finds_nothing_of_another_workspace(http: httpx.Client, world: World, query: str) -> None:
    http.put("/api/v1/files/default/a.txt", content=b"a").raise_for_status()
    path = query.format(
        runs=",".join(world.runs),
        versions=",".join(world.versions),
        run=world.workflow,
        artifact=world.artifact,
        version=world.versions[1],
    )

    here, there = (http.get(f"/api/v1/{path}", headers={"X-Lineal-Workspace": name}) for name in ("default", "other"))

    assert (here.status_code, there.status_code) == (200, 404)

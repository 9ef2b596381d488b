"""What reports of every kind bring, as REST and GraphQL show it."""

from typing import Any

import httpx
import pytest

from tests.api.test_runs import problem
from tests.catalog.reporting import new_uid
from tests.gql.asking import ask

Json = dict[str, Any]
DAY = 24 * 3600 * 1000
FIRST = 1780995600000  # 2026-06-09T09:00:00Z


def sent(http: httpx.Client, kind: str, name: str, version: int = 1, uid: str | None = None, **parts: Any) -> str:
    """The uid of the object."""
    uid = uid or new_uid()
    body = {"object": {"kind": kind, "name": name, "uid": uid, "resource_version": str(version)}, **parts}
    answer = http.post("/api/v1/reports", json=body)
    assert answer.status_code == 200, answer.text
    return uid


def deployed(http: httpx.Client, place: str) -> tuple[str, list[str]]:
    """A service that went from one model to another and back; the id of its deployment and of its versions."""
    uid, name = new_uid(), f"svc-{place}"
    steps = [("a", [("r1", 100)]), ("b", [("r2", 10), ("r1", 90)]), ("b", [("r2", 100)]), ("b", [("r2", 0), ("r1", 100)])]
    for number, (model, shares) in enumerate(steps):
        said = {
            "name": name,
            "ready": "True",
            "changed_at": f"2026-06-{9 + number:02}T09:00:00Z",
            "revisions": [{"name": "r1" if model == "a" else "r2", "uri": f"s3://{place}/{model}"}],
            "traffic": [{"revision": revision, "percent": percent} for revision, percent in shares],
        }
        sent(http, "InferenceService", name, number + 1, uid, deployment=said)
    versions = []
    for model in "ab":
        made = http.post("/api/v1/register", json={"model": f"{name}-{model}", "uri": f"s3://{place}/{model}"})
        assert made.status_code < 300, made.text
        versions.append(made.json()["id"])
    [found] = http.get("/api/v1/deployments", params={"filter": f"uid = '{uid}'"}).json()["deployments"]
    return found["id"], versions


def test_the_history_of_a_deployment_answers_which_version_served_what_share_then(http: httpx.Client) -> None:
    id, (one, two) = deployed(http, new_uid())

    def at(moment: int) -> list[tuple[str | None, float]]:
        found = http.get(f"/api/v1/deployments/{id}/history", params={"at": moment}).json()["history"]
        return [(share["version"], share["percent"]) for entry in found for share in entry["shares"]]

    served = [at(FIRST + days * DAY) for days in (-1, 0, 1, 2, 3, 30)]
    back = [(two, 0), (one, 100)]
    shares = http.get(f"/api/v1/deployments/{id}").json()["shares"]
    assert [share["uri"].rpartition("/")[2] for share in shares] == ["b", "a"]
    assert served == [[], [(one, 100)], [(two, 10), (one, 90)], [(two, 100)], back, back]
    revisions = http.get(f"/api/v1/deployments/{id}/revisions").json()["revisions"]
    assert [(entry["name"], entry["version"], entry["inferred"]) for entry in revisions] == [("r1", one, True), ("r2", two, True)]


def test_graphql_shows_the_same_history_and_the_object(http: httpx.Client) -> None:
    id, (one, two) = deployed(http, new_uid())
    query = """query($id: ID!) { deployment(id: $id) {
        shares { version percent } revisions { name uri version inferred }
        history { at shares { revision version percent } }
        then: history(at: %d) { shares { version percent } }
        objects { nodes { kind phase details } } } }"""

    found = ask(http, query % (FIRST + DAY), id=id)["deployment"]

    assert found["shares"] == [{"version": two, "percent": 0}, {"version": one, "percent": 100}]
    assert [len(entry["shares"]) for entry in found["history"]] == [1, 2, 1, 2]
    assert found["then"] == [{"shares": [{"version": two, "percent": 10}, {"version": one, "percent": 90}]}]
    [entry] = found["objects"]["nodes"]
    assert (entry["kind"], entry["phase"], entry["details"]["deployment"]["ready"]) == ("InferenceService", "Ready=True", "True")


def test_lineage_leads_from_a_version_to_the_service_that_fetches_it(http: httpx.Client) -> None:
    id, (one, _) = deployed(http, new_uid())

    found = http.get("/api/v1/lineage", params={"root": one, "direction": "downstream"}).json()

    assert id in {node["id"] for node in found["nodes"]}
    assert [(edge["kind"].lower(), edge["inferred"]) for edge in found["edges"]] == [("deployed_as", True)]


def test_a_version_that_a_service_fetches_cannot_be_deleted(http: httpx.Client) -> None:
    id, (one, _) = deployed(http, new_uid())

    refused = http.delete(f"/api/v1/model-versions/{one}")

    problem(refused, 409, "in-use")
    assert id in refused.text


PARTS: dict[str, Json] = {
    "CronWorkflow": {"schedule": {"name": "n", "cron": ["* * * * *"], "enabled": True, "phase": "Active"}},
    "ScheduledWorkflow": {"schedule": {"name": "n", "interval_s": 60, "active": [{"name": "w", "uid": "u"}]}},
    "Pipeline": {"pipeline": {"name": "n", "display_name": "N"}},
    "PipelineVersion": {"pipeline": {"name": "n", "version": "v1", "digest": "0" * 64}},
    "Notebook": {"notebook": {"name": "n", "image": "jupyter:1", "state": "RUNNING", "phase": "running"}},
}


@pytest.mark.parametrize("kind", PARTS)
def test_what_has_no_record_of_its_own_is_an_object_with_all_that_its_report_says(http: httpx.Client, kind: str) -> None:
    name = new_uid()
    sent(http, kind, name, **PARTS[kind])

    [listed] = http.get("/api/v1/objects", params={"kind": kind, "name": name}).json()["objects"]
    shown = http.get(f"/api/v1/objects/{listed['id']}").json()
    asked = ask(http, "query($n: String!) { objects(name: $n) { nodes { id kind details } } }", n=name)["objects"]["nodes"]

    assert (listed["kind"], listed["name"], listed["deleted"], "details" in listed) == (kind, name, False, False)
    assert shown["details"] == PARTS[kind]
    assert asked == [{"id": listed["id"], "kind": kind, "details": PARTS[kind]}]


def test_the_object_of_a_run_names_what_it_came_from(http: httpx.Client) -> None:
    """The schedule that started it, and the Workflow of which it is a resubmission: by name, where no uid is known."""
    name, uid = new_uid(), new_uid()
    owner = {"kind": "ScheduledWorkflow", "name": "daily", "uid": None}
    sent(http, "Workflow", name, uid=uid, run={"id": uid, "state": "RUNNING", "owner": owner, "resubmitted_from": "before"})

    [listed] = http.get("/api/v1/objects", params={"kind": "Workflow", "name": name}).json()["objects"]
    shown = http.get(f"/api/v1/objects/{listed['id']}").json()["details"]["run"]

    assert (shown["owner"]["kind"], shown["owner"]["name"], shown["resubmitted_from"]) == ("ScheduledWorkflow", "daily", "before")


def search(http: httpx.Client) -> tuple[str, str]:
    """The name of a search, and the uid of its best trial."""
    name = new_uid()
    objective = {"metric": "loss", "type": "minimize"}
    sent(http, "Experiment", name, experiment={"name": name, "state": "RUNNING", "objective": objective, "counts": {"trials": 2}})
    sent(http, "Suggestion", name, experiment={"name": name, "suggestion": {"count": 2}})
    uids = []
    for loss in ("0.5", "0.10"):
        uid = new_uid()
        run = {"id": uid, "name": f"{name}-{loss}", "state": "COMPLETE", "owner": {"kind": "Experiment", "name": name}}
        run |= {"metrics": {"loss": {"latest": loss, "min": loss}}, "parameters": {"lr": "1e-05"}}
        uids.append(sent(http, "Trial", f"{name}-{loss}", uid=uid, run=run))
    return name, uids[1]


def test_a_search_shows_what_it_looks_for_and_its_best_trial(http: httpx.Client) -> None:
    name, best = search(http)
    [experiment] = http.get("/api/v1/experiments", params={"name": f"katib/{name}"}).json()["experiments"]

    shown = http.get(f"/api/v1/experiments/{experiment['id']}/search").json()
    query = """query($id: ID!) { experiment(id: $id) {
        search { said suggestion bestTrial { name run metrics recomputed } } objects { nodes { kind } } } }"""
    asked = ask(http, query, id=experiment["id"])["experiment"]

    run = f"run_{best.replace('-', '')}"
    assert (shown["search"]["counts"], shown["suggestion"]) == ({"trials": 2}, {"count": 2})
    assert (shown["best_trial"]["run"], shown["best_trial"]["recomputed"]) == (run, True)
    assert shown["best_trial"]["metrics"] == {"loss": {"latest": "0.10", "min": "0.10"}}
    assert asked["search"]["bestTrial"]["run"] == run
    assert sorted(node["kind"] for node in asked["objects"]["nodes"]) == ["Experiment", "Suggestion"]


def test_an_experiment_that_is_no_search_has_none(http: httpx.Client) -> None:
    made = http.post("/api/v1/experiments", json={"name": new_uid()}).json()["id"]

    problem(http.get(f"/api/v1/experiments/{made}/search"), 404, "not-found")
    assert ask(http, "query($id: ID!) { experiment(id: $id) { search { said } } }", id=made)["experiment"]["search"] is None


def test_the_objects_of_a_run_say_what_its_report_says_beside_the_run(http: httpx.Client) -> None:
    uid = new_uid()
    replicas = {"Worker": {"wanted": 2, "active": 1, "succeeded": 0, "failed": 0}}
    sent(http, "PyTorchJob", "job", uid=uid, run={"id": uid, "state": "RUNNING", "phase": "Running", "replicas": replicas})
    run = f"run_{uid.replace('-', '')}"

    [one] = http.get("/api/v1/objects", params={"run_id": run}).json()["objects"]
    details = http.get(f"/api/v1/objects/{one['id']}").json()["details"]

    assert (one["run"], one["phase"]) == (run, "Running")
    assert details["run"]["replicas"] == replicas
    assert http.get(f"/api/v1/runs/{run}").json()["experiment_name"] == "jobs/PyTorchJob"
    asked = ask(http, "query($id: ID!) { run(id: $id) { objects { nodes { kind details } } } }", id=run)["run"]
    assert asked["objects"]["nodes"][0]["details"] == details


@pytest.mark.parametrize(
    "part",
    [
        {"deployment": {"name": "n", "traffic": [{"revision": "r", "percent": 101}]}},
        {"deployment": {"name": "n", "revisions": [{"name": "", "uri": "s3://b/k"}]}},
        {"deployment": {"name": "n" * 500}},
        {"deployment": {"name": ""}},
        {"deployment": {"name": "n", "environment": ""}},
        {"deployment": {"name": "n", "traffic": [{"revision": "r", "percent": 1}] * 1001}},
        {"experiment": {"name": ""}},
        {"deployment": {"traffic": []}},
    ],
)
def test_a_part_that_cannot_be_kept_is_refused_and_changes_nothing(http: httpx.Client, part: Json) -> None:
    name = new_uid()
    body = {"object": {"kind": "InferenceService", "name": name, "uid": new_uid()}, **part}

    refused = http.post("/api/v1/reports", json=body)

    problem(refused, 400, "invalid-argument")
    assert http.get("/api/v1/objects", params={"name": name}).json()["objects"] == []


def test_a_run_that_was_logged_from_a_notebook_leads_to_it(http: httpx.Client) -> None:
    name = new_uid()
    run = http.post("/api/v1/runs", json={"tags": {"lineal.notebook": f"default/{name}"}}).json()["id"]
    missing = http.get(f"/api/v1/runs/{run}/notebook")
    body = {"object": {"kind": "Notebook", "name": name, "namespace": "default", "uid": new_uid()}, "notebook": {"image": "i"}}
    assert http.post("/api/v1/reports", json=body).status_code == 200

    found = http.get(f"/api/v1/runs/{run}/notebook").json()
    asked = ask(http, "query($id: ID!) { run(id: $id) { notebook { id details } } }", id=run)["run"]["notebook"]

    problem(missing, 404, "not-found")
    assert (found["name"], found["details"]) == (name, {"notebook": {"image": "i"}})
    assert asked == {"id": found["id"], "details": found["details"]}


def test_a_run_that_names_no_notebook_has_none(http: httpx.Client) -> None:
    run = http.post("/api/v1/runs", json={"tags": {"lineal.notebook": "nowhere"}}).json()["id"]

    problem(http.get(f"/api/v1/runs/{run}/notebook"), 404, "not-found")
    assert ask(http, "query($id: ID!) { run(id: $id) { notebook { id } } }", id=run)["run"]["notebook"] is None

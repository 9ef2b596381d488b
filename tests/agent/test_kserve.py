"""What an InferenceService and an InferenceGraph say. The objects are made from the API's types, as the samples are."""

from typing import Any

import pytest

from agent.kinds import translate
from agent.objects.inference_service import lasting
from agent.reading import Read
from agent.report import Report
from tests.agent.building import Json, report_of
from tests.agent.objects import canary_sequence, condition, service, thing


def deployment(content: Json, **more: Any) -> Json:
    found: Json = report_of(content, **more)["deployment"]
    return found


def standard(uri: str = "s3://models/a", *, ready: str = "True", generation: int = 3, **spec: Any) -> Json:
    """In Standard mode, which lists no revisions."""
    status = {"observedGeneration": generation, "conditions": [condition("Ready", ready), condition("PredictorReady", ready)]}
    predictor = {"model": {"storageUri": uri}}
    return thing("InferenceService", "serving.kserve.io/v1beta1", {"predictor": predictor, **spec}, status, generation=generation)


@pytest.mark.parametrize(
    ("status", "annotation", "expected"),
    [
        ("Knative", None, "Knative"),
        ("Serverless", None, "Knative"),
        ("Standard", None, "Standard"),
        ("RawDeployment", None, "Standard"),
        ("ModelMesh", None, "ModelMesh"),
        (None, "Serverless", "Knative"),
        (None, "RawDeployment", "Standard"),
        (None, None, "Knative"),
        ("Standard", "Serverless", "Standard"),
    ],
)
def test_the_mode_is_read_in_all_its_spellings(status: str | None, annotation: str | None, expected: str) -> None:
    content = service(annotations={"serving.kserve.io/deploymentMode": annotation} if annotation else {})
    content["status"]["deploymentMode"] = status

    assert deployment(content)["mode"] == expected


def test_a_service_of_the_group_that_served_it_before_is_read_as_one() -> None:
    content = {**service(), "apiVersion": "serving.kubeflow.org/v1beta1"}

    assert deployment(content) == deployment(service())


def test_each_step_of_a_canary_has_its_traffic_and_learns_its_revision() -> None:
    found = [deployment(step) for step in canary_sequence()]

    shares = [[(share["revision"][-1], share["percent"]) for share in one["traffic"]] for one in found]
    learnt = [[(one["name"][-1], one["uri"]) for one in step["revisions"]] for step in found]
    assert shares == [[("1", 100)], [("2", 10), ("1", 90)], [("2", 100)], [("2", 0), ("1", 100)]]
    assert learnt == [[("1", "s3://models/a")]] + [[("2", "s3://models/b")]] * 3
    assert [one["changed_at"] for one in found][1] == "2026-06-11T10:00:00Z"


@pytest.mark.parametrize(
    "stale",
    [
        service("s3://models/b", generation=2, observed=1),
        service("s3://models/b", generation=2, observed=None),
        service("s3://models/b", generation=2, created="one-predictor-00001", traffic={2: 100}),
    ],
    ids=["status of the spec before", "status of an unknown spec", "the latest revision is not the newest one"],
)
def test_a_status_that_may_be_of_another_spec_teaches_no_revision(stale: Json) -> None:
    found = deployment(stale)

    assert "revisions" not in found
    assert found["traffic"]


def test_a_new_revision_that_is_not_ready_is_learnt_while_the_old_one_serves() -> None:
    found = deployment(service("s3://models/b", created="one-predictor-00002", generation=2, ready="Unknown"))

    assert found["revisions"] == [{"name": "one-predictor-00002", "uri": "s3://models/b"}]
    assert [(share["revision"], share["percent"]) for share in found["traffic"]] == [("one-predictor-00001", 100)]
    assert (found["ready"], found["state"]) == ("Unknown", "DEPLOYED")


@pytest.mark.parametrize(
    ("predictor", "expected"),
    [
        ({"model": {"storageUri": "s3://b/k"}}, ["s3://b/k"]),
        ({"model": None, "tensorflow": {"storageUri": "gs://b/k"}}, ["gs://b/k"]),
        ({"model": {"storage": {"path": "k", "parameters": {"type": "s3", "bucket": "b"}}}}, ["s3://b/k"]),
        ({"model": {"storageUris": [{"uri": "s3://b/1"}, {"uri": "s3://b/2"}]}}, ["s3://b/1", "s3://b/2"]),
        ({"model": None, "containers": [{"env": [{"name": "STORAGE_URI", "value": "pvc://v/k"}]}]}, ["pvc://v/k"]),
        ({"model": None, "containers": [{"image": "brings-its-model"}]}, []),
    ],
)
def test_the_model_is_found_in_every_form_of_a_predictor(predictor: Json, expected: list[str]) -> None:
    found = deployment(service(spec=predictor))

    assert [revision["uri"] for revision in found.get("revisions", [])] == expected


def test_without_revisions_each_generation_counts_as_one() -> None:
    found = deployment(standard())

    assert found["revisions"] == [{"name": "generation-3", "uri": "s3://models/a"}]
    assert found["traffic"] == [{"revision": "generation-3", "percent": 100, "tag": None, "latest": True}]


def test_in_standard_mode_a_canary_is_a_revision_of_its_own() -> None:
    canary = [{"predictor": {"name": "next", "model": {"storageUri": "s3://models/b"}}, "trafficPercent": 20}]
    content = standard(canary=canary)
    content["status"]["conditions"].append(condition("CanaryPredictorReady"))

    found = deployment(content)

    assert [(share["revision"], share["percent"]) for share in found["traffic"]] == [
        ("generation-3", 80),
        ("generation-3-next", 20),
    ]
    assert [revision["uri"] for revision in found["revisions"]] == ["s3://models/a", "s3://models/b"]


def test_in_standard_mode_what_is_not_ready_changes_no_traffic() -> None:
    assert "traffic" not in deployment(standard(ready="Unknown"))


def test_labels_of_the_registry_are_ids_and_others_are_left_out_with_a_warning() -> None:
    labels = {"modelregistry.kubeflow.org/registered-model-id": "12", "modelregistry.kubeflow.org/model-version-id": "x"}

    report = report_of(service(labels=labels))

    assert report["deployment"]["model"] == {"registered_model_id": 12, "model_version_id": None}
    assert any("no id" in line for line in report["warnings"])


@pytest.mark.parametrize(
    ("metadata", "deleted"),
    [
        ({"annotations": {"serving.kserve.io/stop": "true"}}, False),
        ({"deletionTimestamp": "2026-06-12T00:00:00Z"}, False),
        ({}, True),
    ],
)
def test_what_is_stopped_or_goes_is_not_wanted_any_more(metadata: Json, deleted: bool) -> None:
    assert deployment(service(**metadata), deleted=deleted)["state"] == "UNDEPLOYED"


def test_the_environment_is_the_namespace_with_the_cluster_before_it() -> None:
    assert deployment(service())["environment"] == "team"
    assert deployment(service(), cluster="east")["environment"] == "east/team"


def test_a_graph_that_splits_has_shares_and_names_all_services_behind_it() -> None:
    """Made from the type InferenceGraph of serving.kserve.io/v1alpha1: no recorded one is there."""
    root = {
        "routerType": "Splitter",
        "steps": [{"serviceName": "old", "weight": 80}, {"nodeName": "rest", "weight": 20, "name": "canary"}],
    }
    rest = {"routerType": "Sequence", "steps": [{"serviceName": "tokenize"}, {"serviceName": "new"}, {"serviceUrl": "http://x"}]}
    status = {"url": "http://graph", "conditions": [condition("Ready")]}
    content = thing("InferenceGraph", "serving.kserve.io/v1alpha1", {"nodes": {"root": root, "rest": rest}}, status)

    found = deployment(content)

    assert [(share["revision"], share["percent"], share["tag"]) for share in found["traffic"]] == [
        ("old", 80, None),
        ("rest", 20, "canary"),
    ]
    assert (found["mode"], found["services"]) == ("InferenceGraph", ["new", "old", "tokenize"])


@pytest.mark.parametrize("router", ["Sequence", "Ensemble", "Switch", None])
def test_a_graph_that_does_not_split_has_no_shares(router: str | None) -> None:
    root = {"routerType": router, "steps": [{"serviceName": "old", "weight": 80}]}

    assert "traffic" not in deployment(thing("InferenceGraph", "serving.kserve.io/v1alpha1", {"nodes": {"root": root}}))


def test_each_report_lasts_as_each_says_since_when_its_traffic_was_the_case() -> None:
    pictures = [*canary_sequence(), service(resourceVersion="99", ready="Unknown")]
    reports = [translate(Read("test", 0, step)) for step in pictures]

    assert len({lasting(report) for report in reports if isinstance(report, Report)}) == 5

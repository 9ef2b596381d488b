"""The page's section *Form*: what is read, how the record is written, how an object is identified."""

import json
import uuid

import pytest

from agent.kinds import translate
from agent.reading import Read, Unreadable, read_bytes
from tests.agent.building import dag, kfp_driver, kfp_run, kfp_task, node, patch, report_of, retried, tasks_of, workflow

POD = {"kind": "Pod", "metadata": {"name": "p", "uid": "u"}}


def entries(text: str) -> list[Read | Unreadable]:
    return list(read_bytes(text.encode(), "f"))


def names(text: str) -> list[str]:
    return [entry.content["metadata"]["name"] if isinstance(entry, Read) else "error" for entry in entries(text)]


def test_form_reads_many_yaml_documents_in_order() -> None:
    text = "%YAML 1.1\n---\nkind: A\nmetadata: {name: a}\n--- # next\nkind: B\nmetadata: {name: b}\n...\n---\n# nothing\n"

    assert names(text) == ["a", "b"]


def test_form_a_yaml_document_that_cannot_be_read_does_not_take_the_next_one_with_it() -> None:
    text = "metadata: {name: a}\n---\n a: [\n---\nmetadata: {name: c}\n"

    found = entries(text)

    assert [type(entry) for entry in found] == [Read, Unreadable, Read]
    assert [entry.index for entry in found] == [0, 1, 2]


def test_form_a_marker_inside_a_block_text_does_not_split_a_document() -> None:
    assert names("metadata: {name: a}\nspec:\n  text: |\n    ---\n    more\n") == ["a"]


def test_form_times_in_yaml_stay_the_text_that_was_written() -> None:
    [entry] = entries("metadata: {name: a}\nstatus: {startedAt: 2018-08-01T10:22:43Z}\n")

    assert isinstance(entry, Read)
    assert entry.content["status"]["startedAt"] == "2018-08-01T10:22:43Z"


def test_form_reads_json_and_a_list_of_kubectl() -> None:
    assert names(json.dumps(POD, indent=1)) == ["p"]
    assert names(json.dumps({"kind": "List", "items": [POD, POD, 3]})) == ["p", "p", "error"]


def test_form_members_of_a_typed_list_get_its_kind() -> None:
    text = json.dumps({"kind": "WorkflowList", "apiVersion": "v1", "items": [{"metadata": {"name": "w"}}]})

    [entry] = entries(text)

    assert isinstance(entry, Read)
    assert entry.content["kind"] == "Workflow"


def test_form_bookmark_and_error_events_give_no_line_and_deleted_sets_deleted() -> None:
    events = [
        {"type": "ADDED", "object": POD},
        {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "7"}}},
        {"type": "ERROR", "object": {"kind": "Status", "code": 410}},
        {"type": "DELETED", "object": POD},
    ]

    found = entries("\n".join(json.dumps(event) for event in events))

    assert [(entry.index, entry.deleted) for entry in found if isinstance(entry, Read)] == [(0, False), (3, True)]
    assert len(found) == 2


def test_form_a_damaged_line_of_events_is_an_error_entry_at_its_place() -> None:
    found = entries(json.dumps({"type": "ADDED", "object": POD}) + "\n{broken\n" + json.dumps(POD))

    assert [type(entry) for entry in found] == [Read, Unreadable, Read]
    assert isinstance(found[1], Unreadable)
    assert found[1].to_dict().keys() == {"file", "index", "error"}


@pytest.mark.parametrize("text", ["just a word", "[1, 2]", '"text"', "- a\n- b\n", '{"kind": {}}'])
def test_form_what_is_no_object_is_unreadable(text: str) -> None:
    results = [translate(entry) if isinstance(entry, Read) else entry for entry in entries(text)]

    assert results
    assert all(isinstance(result, Unreadable) for result in results)


def test_form_bytes_that_are_not_utf_8_are_unreadable() -> None:
    [entry] = read_bytes(b"kind: \xff", "f")

    assert isinstance(entry, Unreadable)


def test_form_an_empty_file_gives_nothing() -> None:
    assert entries("\n# only a comment\n---\n") == []


def test_form_an_object_with_nodes_but_no_kind_is_read_as_a_workflow_with_a_warning() -> None:
    content = workflow(dag("wf.a"), node("wf.a", inside="wf"))
    del content["kind"]

    report = report_of(content)

    assert report["object"]["kind"] == "Workflow"
    assert [task["key"] for task in report["tasks"]] == ["a"]
    assert any("kind" in warning for warning in report["warnings"])


def test_form_a_kind_that_nobody_translates_gives_the_object_and_a_warning() -> None:
    report = report_of({"kind": "Pod", "metadata": {"name": "e", "uid": "u", "resourceVersion": "9"}})

    assert report.keys() == {"object", "warnings"}
    assert report["object"]["resource_version"] == "9"


def test_form_the_object_carries_what_orders_reports() -> None:
    annotations = {"pipelines.kubeflow.org/retry-generation": "2"}
    content = workflow(dag(), resourceVersion="41", generation=7, annotations=annotations)

    shown = report_of(content, cluster="east", deleted=True)["object"]

    assert list(shown.values()) == ["east", "team", "Workflow", "wf", content["metadata"]["uid"], "41", 7, 2, True]


def test_form_without_a_uid_the_identity_is_cluster_namespace_kind_and_name() -> None:
    content = workflow(dag())
    del content["metadata"]["uid"]

    here, again, elsewhere = (report_of(content, cluster=cluster)["run"]["id"] for cluster in ("a", "a", "b"))

    assert here == again
    assert here != elsewhere
    assert uuid.UUID(here).version == 5


def test_form_an_object_with_neither_uid_nor_name_is_unreadable() -> None:
    assert isinstance(translate(Read("f", 3, {"kind": "Workflow", "metadata": {}})), Unreadable)


def test_form_times_are_utc_and_null_when_not_there() -> None:
    content = workflow(
        dag("wf.a", "wf.b"),
        node("wf.a", inside="wf", startedAt="2026-03-01T12:00:00.5+02:00", finishedAt=None),
        node("wf.b", inside="wf", startedAt="0001-01-01T00:00:00Z", finishedAt="2026-03-01T10:00:00Z"),
    )

    tasks = tasks_of(content)

    assert (tasks["a"]["started_at"], tasks["a"]["finished_at"]) == ("2026-03-01T10:00:00.5Z", None)
    assert tasks["b"]["started_at"] is None


def test_form_empty_is_null_or_absent_and_never_an_empty_text() -> None:
    content = workflow(dag("wf.a"), node("wf.a", inside="wf", message="", inputs={"parameters": [{"name": "x", "value": ""}]}))

    report = report_of(content)

    assert report["tasks"][0]["message"] is None
    assert report["tasks"][0]["inputs"] == {"parameters": {"x": None}}
    assert "outputs" not in report["tasks"][0]
    assert "edges" not in report
    assert '""' not in json.dumps(report)


def test_form_a_key_without_a_scheme_gets_the_bucket_of_the_repository_or_its_own() -> None:
    artifacts = [
        {"name": "repository", "s3": {"key": "a/b.tgz"}},
        {"name": "own", "s3": {"bucket": "mine", "key": "c"}},
        {"name": "scheme", "s3": {"key": "minio://x/y"}},
        {"name": "gcs", "gcs": {"bucket": "g", "key": "k"}},
        {"name": "nowhere", "raw": {"data": "text"}},
    ]
    content = workflow(dag("wf.a"), node("wf.a", inside="wf", outputs={"artifacts": artifacts}))
    content["status"]["artifactRepositoryRef"] = {"artifactRepository": {"s3": {"bucket": "store"}}}

    made = tasks_of(content)["a"]["outputs"]["artifacts"]

    assert {item["name"]: item["uri"] for item in made} == {
        "repository": "s3://store/a/b.tgz",
        "own": "s3://mine/c",
        "scheme": "minio://x/y",
        "gcs": "gs://g/k",
    }


def test_form_the_archive_location_of_the_template_stands_before_the_repository() -> None:
    template = {"name": "work", "archiveLocation": {"s3": {"bucket": "templates"}}}
    artifacts = [{"name": "x", "s3": {"key": "a"}}, {"name": "y", "s3": {"bucket": "own", "key": "b"}}]
    nodes = [dag("wf.a"), node("wf.a", inside="wf", outputs={"artifacts": artifacts}, templateScope="local/wf")]
    content = workflow(*nodes, spec={"templates": [template]})
    content["status"]["artifactRepositoryRef"] = {"artifactRepository": {"s3": {"bucket": "store"}}}

    made = tasks_of(content)["a"]["outputs"]["artifacts"]

    assert [item["uri"] for item in made] == ["s3://templates/a", "s3://own/b"]


def test_form_a_key_whose_bucket_is_not_known_stays_with_a_warning() -> None:
    content = workflow(dag("wf.a"), node("wf.a", inside="wf", outputs={"artifacts": [{"name": "x", "s3": {"key": "k"}}]}))

    report = report_of(content)

    assert report["tasks"][0]["outputs"]["artifacts"][0]["uri"] == "k"
    assert any("bucket" in warning for warning in report["warnings"])


def test_form_pod_names_follow_the_annotation() -> None:
    """The number is the one that Argo gave this node name in a published Workflow."""
    name = "steps-4k5vn[0].hello1"
    nodes = [node("steps-4k5vn", "Steps"), node(name, inside="steps-4k5vn", id="steps-4k5vn-77")]

    def pod(naming: dict[str, str]) -> object:
        return tasks_of(workflow(*nodes, name="steps-4k5vn", annotations=naming))["hello1"]["pod_name"]

    assert pod({"workflows.argoproj.io/pod-name-format": "v1"}) == "steps-4k5vn-77"
    assert pod({"workflows.argoproj.io/pod-name-format": "v2"}) == pod({}) == "steps-4k5vn-work-1044844302"


def test_form_without_the_annotation_pods_are_named_as_the_keys_of_outputs_show() -> None:
    def pod(key: str) -> object:
        outputs = {"artifacts": [{"name": "main-logs", "s3": {"bucket": "b", "key": key}}]}
        return tasks_of(workflow(dag("wf-77"), node("wf.a", inside="wf", id="wf-77", outputs=outputs)))["a"]["pod_name"]

    assert pod("wf/wf-77/main.log") == "wf-77"
    assert pod("wf/wf-work-77/main.log") == "wf-work-2962115457"


def test_form_the_pod_of_a_workflow_of_one_pod_has_the_workflows_name() -> None:
    assert tasks_of(workflow(node("wf")))["work"]["pod_name"] == "wf"


def test_form_node_and_pod_are_those_in_which_the_users_container_runs() -> None:
    plain = tasks_of(workflow(dag("wf.a"), *retried("wf.a", "wf", "Failed", "Succeeded")))["a"]
    compiled = tasks_of(kfp_run(*kfp_task("train", "wf.root", pod_spec_patch=patch())))["train"]

    assert plain["node_id"] == "wf.a(1)"
    assert plain["pod_name"].startswith("wf-work-")
    assert compiled["node_id"] == "wf.root.train.executor"
    assert compiled["pod_name"].startswith("wf-system-container-impl-")
    assert compiled["execution_id"] == 42


def test_form_what_has_no_container_is_known_by_its_own_node_and_has_no_pod() -> None:
    skipped_executor = node("wf.root.a(0).executor", "Skipped", "Skipped", inside="wf.root.a(0)")
    cached = tasks_of(
        kfp_run(
            kfp_driver("wf.root.a-driver", "wf.root", cached_decision="true"),
            *retried("wf.root.a", "wf.root", "Succeeded", type="DAG", templateName="system-container-executor"),
            skipped_executor,
        )
    )["a"]
    group = tasks_of(workflow(dag("wf.sub"), *retried("wf.sub", "wf", "Failed", "Succeeded", type="DAG")))["sub"]

    assert (cached["state"], cached["node_id"], cached["pod_name"]) == ("CACHED", "wf.root.a", None)
    assert (group["node_id"], group["pod_name"]) == ("wf.sub", None)


def test_form_a_task_of_which_only_the_driver_is_there_has_no_node_and_no_pod() -> None:
    task = tasks_of(kfp_run(kfp_driver("wf.root.a-driver", "wf.root", phase="Running"), phase="Running"))["a"]

    assert (task["node_id"], task["pod_name"]) == (None, None)


def test_form_containers_of_a_set_run_in_the_pod_around_them() -> None:
    content = workflow(dag("wf.a"), node("wf.a", inside="wf"), node("wf.a.one", "Container", inside="wf.a"))

    tasks = tasks_of(content)

    assert tasks["a/one"]["pod_name"] == tasks["a"]["pod_name"]
    assert tasks["a/one"]["node_id"] == "wf.a.one"

"""The page's section *Workflow: the tasks*, rules 11 and 12: inputs, outputs, logs, metrics."""

import json
from typing import Any

from tests.agent.building import (
    Json,
    artifact,
    dag,
    kfp_driver,
    kfp_run,
    kfp_task,
    node,
    parameters,
    patch,
    report_of,
    tasks_of,
    workflow,
)

MODEL = "minio://b/model"


def one(content: Json) -> Json:
    [task] = tasks_of(content).values()
    return task


def producer_and_consumer(shown: Json, *, type: str = "system.Metrics") -> Json:
    """A task that makes `metrics`, and one that shows what its metadata has become."""
    bound = {"taskOutputArtifact": {"producerTask": "train", "outputArtifactKey": "metrics"}}
    return kfp_run(
        *kfp_task("train", "wf.root", pod_spec_patch=patch(outputs={"metrics": artifact("s3://b/m", type)})),
        *kfp_task(
            "judge",
            "wf.root",
            task={"inputs": {"artifacts": {"seen": bound}}},
            pod_spec_patch=patch(artifacts={"seen": artifact("s3://b/m", type, **shown)}),
        ),
    )


# ---- 11: inputs and outputs -----------------------------------------------------------------------------------------


def test_tasks_rule_11_kfp_v2_shows_the_resolved_values_of_the_patch() -> None:
    given = patch(inputs={"lr": 0.1, "names": ["a"]}, artifacts={"data": artifact("gs://b/d", rows=7)})

    inputs = one(kfp_run(*kfp_task("train", "wf.root", pod_spec_patch=given)))["inputs"]

    assert inputs["parameters"] == {"lr": 0.1, "names": ["a"]}
    assert inputs["artifacts"] == [{"name": "data", "uri": "gs://b/d", "type": "system.Dataset", "metadata": {"rows": 7}}]


def test_tasks_rule_11_argo_shows_what_the_node_shows_and_no_type() -> None:
    shown = {**parameters(message="hi"), "artifacts": [{"name": "in", "s3": {"bucket": "b", "key": "k"}}]}
    content = workflow(dag(), node("wf.a", inside="wf", inputs=shown, outputs={**parameters(x="1"), "result": "out"}))

    task = one(content)

    assert task["inputs"] == {
        "parameters": {"message": "hi"},
        "artifacts": [{"name": "in", "uri": "s3://b/k", "type": None}],
    }
    assert task["outputs"] == {"parameters": {"result": "out", "x": "1"}}


def kfp_v1_task() -> Json:
    """As the SDK 1.8 compiles `train(data: GCSPath, rounds: Integer) -> Output model: Model`."""
    component = {
        "name": "Train",
        "inputs": [
            {"name": "Training data", "type": {"GCSPath": {"data_type": "CSV"}}},
            {"name": "Rounds"},
            {"name": "Mode"},
        ],
        "outputs": [{"name": "Output model", "type": "Model"}],
    }
    annotations = {
        "pipelines.kubeflow.org/component_spec": json.dumps(component),
        "pipelines.kubeflow.org/arguments.parameters": json.dumps({"Rounds": "{{inputs.parameters.ask-rounds}}", "Mode": "fast"}),
    }
    template: Json = {
        "name": "train",
        "metadata": {"annotations": annotations},
        "inputs": {
            "parameters": [{"name": "ask-rounds"}],
            "artifacts": [{"name": "load-table", "path": "/tmp/inputs/Training_data/data"}],
        },
        "outputs": {"artifacts": [{"name": "train-output_model", "path": "/tmp/outputs/Output_model/data"}]},
    }
    ports: dict[str, Any] = {
        "inputs": {
            **parameters(ask_rounds="5"),
            "artifacts": [{"name": "load-table", "s3": {"bucket": "b", "key": "t"}}],
        },
        "outputs": {"artifacts": [{"name": "train-output_model", "s3": {"bucket": "b", "key": "m"}}]},
    }
    return workflow(dag(), node("wf.train", inside="wf", **ports | {"templateName": "train"}), spec={"templates": [template]})


def test_tasks_rule_11_kfp_v1_uses_the_declared_names_and_types() -> None:
    task = one(kfp_v1_task())

    assert task["inputs"]["parameters"] == {"Mode": "fast", "Rounds": "5"}
    assert task["inputs"]["artifacts"] == [{"name": "Training data", "uri": "s3://b/t", "type": "GCSPath"}]
    assert task["outputs"]["artifacts"] == [{"name": "Output model", "uri": "s3://b/m", "type": "Model"}]


def test_tasks_rule_11_kfp_v1_without_a_component_spec_keeps_argos_names() -> None:
    content = kfp_v1_task()
    content["spec"]["templates"][0]["metadata"] = {}

    assert one(content)["outputs"]["artifacts"][0]["name"] == "train-output_model"


def outputs_in(phase: str, **driver: Any) -> Json:
    planned = patch(outputs={"model": artifact(MODEL, "system.Model"), "executor-logs": artifact("s3://b/log")})
    nodes = kfp_task("train", "wf.root", phase=phase, pod_spec_patch=planned, **driver)
    outputs: Json = one(kfp_run(*nodes, phase="Running")).get("outputs", {})
    return outputs


def test_tasks_rule_11_complete_tasks_have_the_planned_artifacts() -> None:
    assert outputs_in("Succeeded") == {"artifacts": [{"name": "model", "uri": MODEL, "type": "system.Model"}]}


def test_tasks_rule_11_running_and_failed_tasks_have_only_what_the_node_itself_reports() -> None:
    reported = kfp_task("train", "wf.root", phase="Failed", pod_spec_patch=patch(outputs={"model": artifact(MODEL)}))
    reported[2]["outputs"] = {"artifacts": [{"name": "dump", "s3": {"bucket": "b", "key": "core"}}]}

    assert outputs_in("Failed") == outputs_in("Running") == {}
    assert [item["name"] for item in one(kfp_run(*reported, phase="Failed"))["outputs"]["artifacts"]] == ["dump"]


def test_tasks_rule_11_cached_tasks_have_what_a_consumer_shows_of_them() -> None:
    bound = {"taskOutputArtifact": {"producerTask": "load", "outputArtifactKey": "table"}}
    content = kfp_run(
        *kfp_task("load", "wf.root", cached_decision="true"),
        *kfp_task(
            "train",
            "wf.root",
            task={"inputs": {"artifacts": {"data": bound}}},
            pod_spec_patch=patch(artifacts={"data": artifact("s3://old/run")}),
        ),
        *kfp_task("other", "wf.root", cached_decision="true"),
    )

    tasks = tasks_of(content)

    assert tasks["load"]["outputs"]["artifacts"] == [{"name": "table", "uri": "s3://old/run", "type": "system.Dataset"}]
    assert "outputs" not in tasks["other"]


def test_tasks_rule_11_inputs_of_cached_tasks_and_groups_are_resolved_from_outside() -> None:
    root = {"inputDefinitions": {"parameters": {"text": {"defaultValue": "hi"}}}}
    group: Json = {
        "inputs": {
            "parameters": {
                "inner": {"componentInputParameter": "text"},
                "n": {"runtimeValue": {"constant": 3}},
                "unknown": {"taskOutputParameter": {"producerTask": "x", "outputParameterKey": "y"}},
                "late": {"runtimeValue": {"constant": "{{$.pipeline_job_name}}"}},
            }
        }
    }
    leaf = {"inputs": {"parameters": {"msg": {"componentInputParameter": "inner"}}}}
    content = kfp_run(
        kfp_driver("wf.root.sub-driver", "wf.root", kind="dag", task=group),
        node("wf.root.sub", "DAG", inside="wf.root", templateName="comp-sub"),
        *kfp_task("leaf", "wf.root.sub", task=leaf, cached_decision="true"),
        root=root,
    )

    tasks = tasks_of(content)

    assert tasks["sub"]["inputs"]["parameters"] == {"inner": "hi", "n": 3}
    assert tasks["sub/leaf"]["inputs"]["parameters"] == {"msg": "hi"}


def test_tasks_rule_11_an_iteration_has_its_item_in_place_of_the_list() -> None:
    """As the driver resolves it, which takes the list out."""
    loop: Json = {
        "inputs": {"parameters": {"all": {"componentInputParameter": "names"}, "n": {"runtimeValue": {"constant": 3}}}},
        "parameterIterator": {"itemInput": "one", "items": {"inputParameter": "all"}},
    }
    path = "wf.root.loop.iteration-iterations"
    content = kfp_run(
        node("wf.root.loop", "DAG", inside="wf.root", templateName="comp-loop-loop-iterator"),
        kfp_driver("wf.root.loop.iteration-driver", "wf.root.loop", kind="dag", task=loop),
        node(path, "TaskGroup", inside="wf.root.loop"),
        node(f"{path}(1:1)", "DAG", inside="wf.root.loop"),
        kfp_driver(f"{path}(1:1).iteration-item-driver", f"{path}(1:1)", kind="dag", task=loop),
        root={"inputDefinitions": {"parameters": {"names": {"defaultValue": ["a", "b"]}}}},
    )

    tasks = tasks_of(content)

    assert tasks["loop"]["inputs"]["parameters"] == {"all": ["a", "b"], "n": 3}
    assert tasks["loop/1"]["inputs"]["parameters"] == {"n": 3, "one": "b"}


def test_tasks_rule_11_output_values_are_those_that_a_consumer_was_given() -> None:
    bound = {"taskOutputParameter": {"producerTask": "count", "outputParameterKey": "n"}}
    part = {**bound, "parameterExpressionSelector": "parseJson(string_value)['a']"}
    content = kfp_run(
        *kfp_task("count", "wf.root", pod_spec_patch=patch()),
        *kfp_task(
            "use",
            "wf.root",
            task={"inputs": {"parameters": {"size": bound}}},
            pod_spec_patch=patch(inputs={"size": 9}),
        ),
        *kfp_task("other", "wf.root", pod_spec_patch=patch()),
        *kfp_task(
            "selects",
            "wf.root",
            task={
                "inputs": {
                    "parameters": {"a": part | {"taskOutputParameter": {"producerTask": "other", "outputParameterKey": "o"}}}
                }
            },
            pod_spec_patch=patch(inputs={"a": 1}),
        ),
    )

    tasks = tasks_of(content)

    assert tasks["count"]["outputs"]["parameters"] == {"n": 9}
    assert "outputs" not in tasks["other"]


def importer(address: Json, **task: Any) -> Json:
    spec = {"artifactUri": address, "typeSchema": {"schemaTitle": "system.Dataset"}, "metadata": {"k": "v"}}
    component: Json = {"outputDefinitions": {"artifacts": {"artifact": {}}}}
    inputs = parameters(importer=json.dumps(spec), component=json.dumps(component), task=json.dumps(task))
    return kfp_run(node("wf.root.import", inside="wf.root", templateName="system-importer", inputs=inputs))


def test_tasks_rule_11_an_importer_made_what_it_imported() -> None:
    made = [{"name": "artifact", "uri": "gs://b/f", "type": "system.Dataset", "metadata": {"k": "v"}}]
    given = {"inputs": {"parameters": {"uri": {"runtimeValue": {"constant": "gs://b/f"}}}}}

    assert one(importer({"constant": "gs://b/f"}))["outputs"]["artifacts"] == made
    assert one(importer({"runtimeParameter": "uri"}, **given))["outputs"]["artifacts"] == made
    assert "outputs" not in one(importer({"runtimeParameter": "uri"}))


def test_tasks_rule_11_logs_are_no_artifacts_but_an_address() -> None:
    logs = [
        {"name": "side-logs", "s3": {"bucket": "b", "key": "side"}},
        {"name": "main-logs", "s3": {"bucket": "b", "key": "main"}},
    ]
    content = workflow(dag(), node("wf.a", inside="wf", outputs={"artifacts": logs}))

    task = one(content)

    assert task["log_uri"] == "s3://b/main"
    assert "outputs" not in task


def test_tasks_rule_11_an_output_that_the_author_called_logs_is_an_artifact() -> None:
    made = {"artifacts": [{"name": "my-logs", "s3": {"bucket": "b", "key": "k"}}]}
    spec = {"templates": [{"name": "work", "outputs": {"artifacts": [{"name": "my-logs", "path": "/x"}]}}]}

    task = one(workflow(dag(), node("wf.a", inside="wf", outputs=made), spec=spec))

    assert [item["name"] for item in task["outputs"]["artifacts"]] == ["my-logs"]
    assert task["log_uri"] is None


def test_tasks_rule_11_a_container_of_a_set_has_its_own_log() -> None:
    logs = [{"name": f"{name}-logs", "s3": {"bucket": "b", "key": name}} for name in ("one", "two")]
    content = workflow(
        dag(),
        node("wf.set", inside="wf", outputs={"artifacts": logs}),
        node("wf.set.two", "Container", inside="wf.set"),
    )

    assert tasks_of(content)["set/two"]["log_uri"] == "s3://b/two"


def test_tasks_rule_11_the_log_is_what_argo_archived_and_never_only_planned() -> None:
    nodes = kfp_task("a", "wf.root", pod_spec_patch=patch(outputs={"executor-logs": artifact("s3://b/planned")}))

    assert one(kfp_run(*nodes))["log_uri"] is None
    nodes[2]["outputs"] = {"artifacts": [{"name": "main-logs", "s3": {"bucket": "b", "key": "archived"}}]}
    assert one(kfp_run(*nodes))["log_uri"] == "s3://b/archived"


def test_tasks_rule_11_metadata_that_a_consumer_shows_is_the_producers() -> None:
    [made] = tasks_of(producer_and_consumer({"acc": 0.9}, type="system.Model"))["train"]["outputs"]["artifacts"]

    assert made["metadata"] == {"acc": 0.9}


def test_tasks_rule_11_the_launchers_flags_are_read_in_both_forms_and_only_up_to_the_bare_dashes() -> None:
    assert one(kfp_run(*kfp_task("a", "wf.root", pod_spec_patch=patch())))["execution_id"] == 42


def test_tasks_rule_11_a_patch_that_cannot_be_read_leaves_a_warning() -> None:
    report = report_of(kfp_run(*kfp_task("a", "wf.root", pod_spec_patch='{"containers": 3}')))

    assert "inputs" not in report["tasks"][0]
    assert len(report["warnings"]) == 1


# ---- 12: metrics ----------------------------------------------------------------------------------------------------


def test_tasks_rule_12_metrics_are_the_numbers_of_metrics_outputs_by_port_and_key() -> None:
    tasks = tasks_of(producer_and_consumer({"accuracy": 0.9, "n": 3, "f1": "0.5"}))

    assert tasks["train"]["metrics"] == {"metrics/accuracy": 0.9, "metrics/f1": 0.5, "metrics/n": 3}
    assert "metrics" not in tasks["judge"]


def test_tasks_rule_12_text_that_is_no_number_is_left_out_with_a_warning() -> None:
    report = report_of(producer_and_consumer({"note": "good", "nan": "NaN", "accuracy": 1}))

    train = next(task for task in report["tasks"] if task["key"] == "train")
    assert train["metrics"] == {"metrics/accuracy": 1}
    assert len(report["warnings"]) == 2


def test_tasks_rule_12_the_metadata_of_other_artifacts_is_no_metric() -> None:
    assert "metrics" not in tasks_of(producer_and_consumer({"accuracy": 0.9}, type="system.Model"))["train"]

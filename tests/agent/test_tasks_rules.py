"""The page's section *Workflow: the tasks*, rules 1 to 7: what a task is, its key, its place, what it depends on.

Kept whole: the rules build on each other and are read beside the page, in its order.
"""

import json

import pytest

from tests.agent.building import (
    Json,
    dag,
    kfp_driver,
    kfp_run,
    kfp_task,
    node,
    patch,
    report_of,
    retried,
    tasks_of,
    workflow,
)


def keys(content: Json) -> list[str]:
    return [task["key"] for task in report_of(content).get("tasks", [])]


def depends(content: Json) -> dict[str, list[str]]:
    return {key: task.get("depends_on", []) for key, task in tasks_of(content).items()}


# ---- 1: the root ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type", ["DAG", "Steps"])
def test_tasks_rule_1_a_root_of_tasks_is_the_run_and_no_task(type: str) -> None:
    content = workflow(node("wf", type), node("wf.a", inside="wf"))

    assert tasks_of(content)["a"]["parent"] is None
    assert keys(content) == ["a"]


def test_tasks_rule_1_a_retry_over_the_root_is_folded_into_the_run() -> None:
    content = workflow(*retried("wf", None, "Succeeded", type="DAG"), node("wf(0).a", inside="wf(0)"))

    assert keys(content) == ["a"]
    assert tasks_of(content)["a"]["parent"] is None


@pytest.mark.parametrize("type", ["Pod", "HTTP", "Suspend", "Plugin", "Skipped"])
def test_tasks_rule_1_any_other_root_is_the_run_and_its_one_task_named_by_its_template(type: str) -> None:
    assert keys(workflow(node("wf", type, templateName="whalesay"))) == ["whalesay"]


def test_tasks_rule_1_a_single_pod_under_a_retry_is_one_task_with_its_attempts() -> None:
    content = workflow(*retried("wf", None, "Failed", "Failed", "Succeeded"))

    assert keys(content) == ["work"]
    assert tasks_of(content)["work"]["attempts"] == 3


def test_tasks_rule_1_a_retry_root_without_attempts_is_told_by_its_template() -> None:
    spec = {"templates": [{"name": "main", "dag": {"tasks": []}}, {"name": "pod", "container": {}}]}

    assert keys(workflow(node("wf", "Retry", "Running", templateName="main"), spec=spec)) == []
    assert keys(workflow(node("wf", "Retry", "Running", templateName="pod"), spec=spec)) == ["pod"]


def test_tasks_rule_1_containers_of_a_container_set_are_tasks_under_their_pod() -> None:
    content = workflow(
        dag("wf.set"),
        node("wf.set", inside="wf", children=["wf.set.one"]),
        node("wf.set.one", "Container", inside="wf.set", children=["wf.set.two"]),
        node("wf.set.two", "Container", inside="wf.set"),
    )

    assert keys(content) == ["set", "set/one", "set/two"]
    assert depends(content)["set/two"] == ["set/one"]
    assert tasks_of(content)["set/one"]["pod_name"] == tasks_of(content)["set"]["pod_name"]


def test_tasks_rule_1_the_workflows_own_exit_task_is_named_on_exit_and_holds_its_steps() -> None:
    content = workflow(
        dag("wf.a"),
        node("wf.a", inside="wf"),
        node("wf.onExit", "Steps", nodeFlag={"hooked": True}, children=["wf.onExit[0]"]),
        node("wf.onExit[0]", "StepGroup", inside="wf.onExit", children=["wf.onExit[0].mail"]),
        node("wf.onExit[0].mail", inside="wf.onExit"),
    )

    assert keys(content) == ["a", "onExit", "onExit/mail"]
    assert tasks_of(content)["onExit"]["parent"] is None


# ---- 2: parts -------------------------------------------------------------------------------------------------------


def test_tasks_rule_2_drivers_and_executors_are_parts_of_their_task() -> None:
    assert keys(kfp_run(*kfp_task("train", "wf.root"))) == ["train"]


@pytest.mark.parametrize("variant", ["retry-", "metadata-abc-", "retry-metadata-abc-"])
def test_tasks_rule_2_variants_of_the_templates_are_parts_too(variant: str) -> None:
    nodes = kfp_task("train", "wf.root")
    for item in nodes:
        item["templateName"] = variant + item["templateName"]

    assert keys(kfp_run(*nodes)) == ["train"]


def test_tasks_rule_2_a_task_whose_name_ends_in_driver_is_a_task() -> None:
    assert keys(kfp_run(*kfp_task("taxi-driver", "wf.root"))) == ["taxi-driver"]


def test_tasks_rule_2_createpvc_and_deletepvc_use_the_drivers_template_and_are_tasks() -> None:
    content = kfp_run(*(kfp_driver(f"wf.root.{name}", "wf.root") for name in ("createpvc", "deletepvc")))

    assert {key: task["state"] for key, task in tasks_of(content).items()} == {
        "createpvc": "COMPLETE",
        "deletepvc": "COMPLETE",
    }
    assert tasks_of(content)["createpvc"]["attempts"] == 1


def test_tasks_rule_2_step_groups_are_never_tasks() -> None:
    content = workflow(
        node("wf", "Steps", children=["wf[0]"]),
        node("wf[0]", "StepGroup", inside="wf", children=["wf[0].a"]),
        node("wf[0].a", inside="wf"),
    )

    assert keys(content) == ["a"]


def exit_hook(*inner: Json, phase: str = "Succeeded") -> Json:
    return kfp_run(
        kfp_driver("wf.root.exit-handler-1-driver", "wf.root", kind="dag", task={"taskInfo": {"name": "handler"}}),
        node("wf.root.exit-handler-1", "DAG", "Failed", inside="wf.root", templateName="comp-exit-handler-1"),
        *kfp_task("work", "wf.root.exit-handler-1", phase="Failed"),
        node(
            "wf.root.exit-handler-1.onExit",
            "DAG",
            phase,
            inside="wf.root",
            templateName="exit-hook-root-notify",
            nodeFlag={"hooked": True},
        ),
        *inner,
        phase="Running",
    )


def test_tasks_rule_2_the_exit_hook_dag_is_a_part_of_the_exit_task() -> None:
    content = exit_hook(*kfp_task("notify", "wf.root.exit-handler-1.onExit"))

    assert keys(content) == ["exit-handler-1", "exit-handler-1/work", "notify"]
    assert tasks_of(content)["notify"]["parent"] is None


def test_tasks_rule_2_an_exit_hook_that_holds_nothing_yet_already_is_its_task() -> None:
    assert tasks_of(exit_hook(phase="Running"))["notify"]["state"] == "RUNNING"


# ---- 3: key, name, display name -------------------------------------------------------------------------------------


def loop_of_two(inner: str = "train") -> list[Json]:
    """A KFP loop with two iterations, each with one task."""
    loop, template = "wf.root.for-loop-1", "comp-for-loop-1"
    spec: Json = {
        "taskInfo": {"name": "for-loop-1"},
        "dependentTasks": ["prepare"],
        "parameterIterator": {"itemInput": "item", "items": {"raw": '["x", "y"]'}},
    }
    nodes = [
        node(loop, "DAG", inside="wf.root", templateName=f"{template}-for-loop-1-iterator"),
        kfp_driver(f"{loop}.iteration-driver", loop, kind="dag", task=spec, execution_id="3"),
        node(f"{loop}.iteration-iterations", "TaskGroup", inside=loop, templateName=f"{template}-iteration"),
    ]
    for index in (0, 1):
        item = f"{loop}.iteration-iterations({index}:{index})"
        nodes += [
            node(item, "DAG", inside=loop, templateName=f"{template}-iteration"),
            kfp_driver(f"{item}.iteration-item-driver", item, kind="dag", task=spec, execution_id=str(10 + index)),
            node(f"{item}.iteration-item", "DAG", inside=item, templateName=template),
            *kfp_task(inner, f"{item}.iteration-item", task={"taskInfo": {"name": "Training"}}),
        ]
    return nodes


def test_tasks_rule_3_the_key_is_the_path_of_names_with_iterations_as_numbers() -> None:
    content = kfp_run(*kfp_task("prepare", "wf.root"), *loop_of_two())

    assert keys(content) == [
        "for-loop-1",
        "for-loop-1/0",
        "for-loop-1/0/train",
        "for-loop-1/1",
        "for-loop-1/1/train",
        "prepare",
    ]


def test_tasks_rule_3_the_key_does_not_change_with_retry_wrappers() -> None:
    plain = kfp_run(*kfp_task("train", "wf.root"))
    wrapped = workflow(
        *retried("wf", None, "Succeeded", type="DAG", templateName="entrypoint"),
        *retried("wf(0).root", "wf(0)", "Succeeded", type="DAG", templateName="root"),
        *retried("wf(0).root(0).train-driver", "wf(0).root(0)", "Succeeded", templateName="system-container-driver"),
        *retried("wf(0).root(0).train", "wf(0).root(0)", "Succeeded", type="DAG", templateName="system-container-executor"),
        *retried(
            "wf(0).root(0).train(0).executor",
            "wf(0).root(0).train(0)",
            "Succeeded",
            templateName="system-container-impl",
        ),
    )

    assert keys(plain) == keys(wrapped) == ["train"]


def test_tasks_rule_3_the_name_is_the_last_of_the_path_and_not_argos_display_name() -> None:
    content = workflow(node("wf", "Steps"), node("wf[0].flip", inside="wf", displayName="flip with a long log"))

    assert tasks_of(content)["flip"]["name"] == "flip"


def test_tasks_rule_3_the_display_name_is_what_the_author_called_it() -> None:
    compiled = kfp_run(*kfp_task("train-2", "wf.root", task={"taskInfo": {"name": "Train again"}}))
    annotations = {"pipelines.kubeflow.org/task_display_name": "Train it"}
    template = {"name": "work", "metadata": {"annotations": annotations}}
    older = workflow(dag(), node("wf.a", inside="wf"), spec={"templates": [template]}, labels={"pipeline/runid": "r"})

    assert tasks_of(compiled)["train-2"]["display_name"] == "Train again"
    assert tasks_of(older)["a"]["display_name"] == "Train it"
    assert tasks_of(workflow(dag(), node("wf.a", inside="wf")))["a"]["display_name"] is None


def test_tasks_rule_3_two_nodes_with_one_key_are_one_task_with_a_warning() -> None:
    report = report_of(workflow(node("wf", "Steps"), node("wf[0].a", inside="wf"), node("wf[1].a", inside="wf")))

    assert [task["key"] for task in report["tasks"]] == ["a"]
    assert len(report["warnings"]) == 1


# ---- 4: loops -------------------------------------------------------------------------------------------------------


def test_tasks_rule_4_a_kfp_iteration_is_a_task_of_the_loop_and_its_tasks_have_no_iteration() -> None:
    tasks = tasks_of(kfp_run(*loop_of_two()))

    assert (tasks["for-loop-1/1"]["iteration"], tasks["for-loop-1/1"]["parent"]) == (1, "for-loop-1")
    assert tasks["for-loop-1/1"]["name"] == "for-loop-1"
    assert (tasks["for-loop-1/1/train"]["iteration"], tasks["for-loop-1/1/train"]["parent"]) == (None, "for-loop-1/1")
    assert tasks["for-loop-1"]["iteration"] is None
    assert (tasks["for-loop-1"]["execution_id"], tasks["for-loop-1/1"]["execution_id"]) == (3, 11)


def test_tasks_rule_4_an_argo_task_group_is_the_loop_and_its_items_are_the_leaves() -> None:
    tasks = tasks_of(
        workflow(
            dag("wf.each"),
            node("wf.each", "TaskGroup", inside="wf", children=["wf.each(0:a(1:b))", "wf.each(1:c)"]),
            node("wf.each(0:a(1:b))", inside="wf"),
            *retried("wf.each(1:c)", "wf", "Failed", "Succeeded"),
        )
    )

    assert list(tasks) == ["each", "each/0", "each/1"]
    assert (tasks["each/1"]["iteration"], tasks["each/1"]["parent"], tasks["each/1"]["name"]) == (1, "each", "each")
    assert tasks["each/1"]["attempts"] == 2


def test_tasks_rule_4_items_under_steps_have_the_enclosing_task_or_null_as_parent() -> None:
    tasks = tasks_of(
        workflow(
            node("wf", "Steps"),
            node("wf[0].sleep(3:x)", inside="wf"),
            node("wf[0].more", "Steps", inside="wf"),
            node("wf[0].more[0].sleep(4:y)", inside="wf[0].more"),
        )
    )

    assert (tasks["sleep/3"]["parent"], tasks["sleep/3"]["iteration"], tasks["sleep/3"]["name"]) == (None, 3, "sleep")
    assert tasks["more/sleep/4"]["parent"] == "more"


def test_tasks_rule_4_nested_loops_nest() -> None:
    tasks = tasks_of(
        workflow(
            dag(),
            node("wf.outer", "TaskGroup", inside="wf"),
            node("wf.outer(0:a)", "DAG", inside="wf"),
            node("wf.outer(0:a).inner", "TaskGroup", inside="wf.outer(0:a)"),
            node("wf.outer(0:a).inner(5:b)", inside="wf.outer(0:a)"),
        )
    )

    assert tasks["outer/0/inner/5"]["parent"] == "outer/0/inner"
    assert tasks["outer/0/inner"]["parent"] == "outer/0"


def test_tasks_rule_4_an_empty_loop_is_a_task_without_children() -> None:
    content = workflow(dag(), node("wf.each", "TaskGroup", inside="wf"), node("wf.none", "Skipped", "Skipped", inside="wf"))

    assert keys(content) == ["each", "none"]


def test_tasks_rule_4_iterations_are_listed_by_number() -> None:
    items = [node(f"wf.e({index}:x)", inside="wf") for index in (10, 9, 2)]

    assert keys(workflow(dag(), node("wf.e", "TaskGroup", inside="wf"), *items)) == ["e", "e/2", "e/9", "e/10"]


# ---- 5: groups and branches -----------------------------------------------------------------------------------------


def test_tasks_rule_5_nested_dags_and_steps_are_tasks_with_children() -> None:
    content = workflow(dag(), node("wf.sub", "Steps", inside="wf"), node("wf.sub[0].leaf", inside="wf.sub"))

    assert keys(content) == ["sub", "sub/leaf"]


def test_tasks_rule_5_a_condition_of_kfp_is_a_task_with_children() -> None:
    content = kfp_run(
        kfp_driver("wf.root.condition-1-driver", "wf.root", kind="dag", condition="true"),
        node("wf.root.condition-1", "DAG", inside="wf.root", templateName="comp-condition-1"),
        *kfp_task("inner", "wf.root.condition-1"),
    )

    assert keys(content) == ["condition-1", "condition-1/inner"]


def test_tasks_rule_5_a_branch_that_was_not_taken_is_one_task_and_nothing_inside_it_is_listed() -> None:
    content = kfp_run(
        kfp_driver("wf.root.condition-1-driver", "wf.root", kind="dag", condition="false"),
        node("wf.root.condition-1", "Skipped", "Skipped", inside="wf.root", templateName="comp-condition-1"),
        *kfp_task("inner", "wf.root.condition-1"),
    )

    tasks = tasks_of(content)

    assert list(tasks) == ["condition-1"]
    assert (tasks["condition-1"]["state"], tasks["condition-1"]["skipped"]) == ("CANCELED", True)


# ---- 6: parent ------------------------------------------------------------------------------------------------------


def test_tasks_rule_6_parent_is_the_boundary_and_not_whose_child_a_node_is() -> None:
    content = workflow(
        dag("wf.a"),
        node("wf.a", inside="wf", children=["wf.b"]),
        node("wf.b", inside="wf"),
        node("wf.a.c", inside="wf.a"),
    )

    tasks = tasks_of(content)

    assert tasks["b"]["parent"] is None
    assert tasks["a/c"]["parent"] == "a"


def test_tasks_rule_6_parent_is_mapped_through_folded_retry_nodes() -> None:
    content = workflow(
        dag(), *retried("wf.sub", "wf", "Failed", "Succeeded", type="DAG"), node("wf.sub(1).x", inside="wf.sub(1)")
    )

    assert tasks_of(content)["sub/x"]["parent"] == "sub"


def test_tasks_rule_6_a_boundary_that_is_not_in_the_object_shows_the_task_at_the_top_with_a_warning() -> None:
    report = report_of(workflow(dag(), node("gone[0].main", inside="gone", displayName="main")))

    assert [(task["key"], task["parent"]) for task in report["tasks"]] == [("main", None)]
    assert len(report["warnings"]) == 1


# ---- 7: depends_on --------------------------------------------------------------------------------------------------


def test_tasks_rule_7_an_edge_of_children_is_a_dependency_of_siblings() -> None:
    content = workflow(dag("wf.a"), node("wf.a", inside="wf", children=["wf.b", "wf.gone"]), node("wf.b", inside="wf"))

    assert depends(content) == {"a": [], "b": ["a"]}


def test_tasks_rule_7_the_edge_out_of_a_nested_group_starts_at_its_inner_last_node() -> None:
    content = workflow(
        dag("wf.g"),
        node("wf.g", "DAG", inside="wf", children=["wf.g.h"]),
        node("wf.g.h", "DAG", inside="wf.g", children=["wf.g.h.last"]),
        node("wf.g.h.last", inside="wf.g.h", children=["wf.k"]),
        node("wf.k", "DAG", inside="wf", children=["wf.k.first"]),
        node("wf.k.first", inside="wf.k"),
    )

    assert depends(content) == {"g": [], "g/h": [], "g/h/last": [], "k": ["g"], "k/first": []}


def test_tasks_rule_7_step_groups_are_spliced_through() -> None:
    content = workflow(
        node("wf", "Steps", children=["wf[0]", "wf[1]"]),
        node("wf[0]", "StepGroup", inside="wf", children=["wf[0].a", "wf[0].b"]),
        node("wf[0].a", inside="wf", children=["wf[1]"]),
        node("wf[0].b", inside="wf", children=["wf[1]"]),
        node("wf[1]", "StepGroup", inside="wf", children=["wf[2]"]),
        node("wf[2]", "StepGroup", inside="wf", children=["wf[2].c"]),
        node("wf[2].c", inside="wf"),
    )

    assert depends(content) == {"a": [], "b": [], "c": ["a", "b"]}


def test_tasks_rule_7_the_retry_and_not_the_attempt_is_depended_on() -> None:
    attempts = retried("wf.a", "wf", "Failed", "Succeeded")
    attempts[-1]["children"] = ["wf.b"]

    assert depends(workflow(dag(), *attempts, node("wf.b", inside="wf"))) == {"a": [], "b": ["a"]}


def test_tasks_rule_7_items_of_a_loop_lead_to_the_next_task_by_their_group() -> None:
    content = workflow(
        dag(),
        node("wf.e", "TaskGroup", inside="wf", children=["wf.e(0:x)"]),
        node("wf.e(0:x)", inside="wf", children=["wf.z"]),
        node("wf.z", inside="wf"),
    )

    assert depends(content) == {"e": [], "e/0": [], "z": ["e"]}


def test_tasks_rule_7_kfp_v2_dependencies_are_those_of_the_task_spec() -> None:
    content = kfp_run(*kfp_task("a", "wf.root"), *kfp_task("b", "wf.root", task={"dependentTasks": ["a", "not-there-yet"]}))

    assert depends(content) == {"a": [], "b": ["a"]}


def test_tasks_rule_7_kfp_v2_edges_of_children_give_the_same_where_no_spec_is_known() -> None:
    first, second = kfp_task("a", "wf.root"), kfp_task("b", "wf.root")
    first[2]["children"] = ["wf.root.b-driver"]
    for nodes in (first, second):
        nodes[0]["inputs"] = {}

    assert depends(kfp_run(*first, *second)) == {"a": [], "b": ["a"]}


def test_tasks_rule_7_iterations_do_not_depend_on_what_their_loop_depends_on() -> None:
    found = depends(kfp_run(*kfp_task("prepare", "wf.root"), *loop_of_two()))

    assert found["for-loop-1"] == ["prepare"]
    assert found["for-loop-1/0"] == []


def test_tasks_rule_7_hooks_depend_on_what_they_follow() -> None:
    content = workflow(
        dag("wf.a"),
        *retried("wf.a", "wf", "Succeeded"),
        node("wf.a.onExit", inside="wf", nodeFlag={"hooked": True}),
        node("wf.a.hooks.running", inside="wf", nodeFlag={"hooked": True}),
        node("wf.e", "TaskGroup", inside="wf"),
        node("wf.e(2:x)", inside="wf"),
        node("wf.e(2:x).onExit", inside="wf", nodeFlag={"hooked": True}),
    )

    found = depends(content)

    assert found["a.onExit"] == found["a.hooks.running"] == ["a"]
    assert found["e/2.onExit"] == ["e/2"]
    assert tasks_of(content)["e/2.onExit"]["parent"] == "e"


def test_tasks_rule_7_an_exit_task_of_kfp_depends_on_its_group_and_stands_beside_it() -> None:
    found = tasks_of(exit_hook(*kfp_task("notify", "wf.root.exit-handler-1.onExit")))["notify"]

    assert (found["depends_on"], found["parent"]) == (["exit-handler-1"], None)


def test_tasks_rule_7_the_runs_own_exit_task_depends_on_nothing() -> None:
    content = workflow(dag("wf.a"), node("wf.a", inside="wf", children=["wf.onExit"]), node("wf.onExit"))

    assert depends(content) == {"a": [], "onExit": []}


def test_tasks_rule_7_nothing_depends_on_what_encloses_it_nor_on_itself() -> None:
    content = workflow(
        dag("wf.a"),
        node("wf.a", "DAG", inside="wf", children=["wf.a", "wf.a.b"]),
        node("wf.a.b", inside="wf.a", children=["wf.a"]),
    )

    assert depends(content) == {"a": [], "a/b": []}


def test_tasks_rule_7_what_a_driver_was_given_is_text_and_may_be_damaged() -> None:
    nodes = kfp_task("a", "wf.root", pod_spec_patch=patch())
    nodes[0]["inputs"] = {"parameters": [{"name": "task", "value": json.dumps({"dependentTasks": 7})}]}

    assert depends(kfp_run(*nodes)) == {"a": []}

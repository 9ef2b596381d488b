"""The page's section *Workflow: the edges*."""

from typing import Any

from tests.agent.building import (
    END,
    Json,
    artifact,
    dag,
    edges_of,
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


def from_task(task: str, key: str = "out", *, kind: str = "Parameter") -> Json:
    """A KFP v2 binding to another task's output."""
    return {f"taskOutput{kind}": {"producerTask": task, f"output{kind}Key": key}}


def taking(**bindings: Json) -> Json:
    """A KFP v2 task spec with input parameters."""
    return {"inputs": {"parameters": bindings}}


def call(name: str, *, template: str = "leaf", with_param: str | None = None, **values: str) -> Json:
    arguments = {"parameters": [{"name": key, "value": value} for key, value in values.items()]}
    return {"name": name, "template": template, "arguments": arguments, "withParam": with_param}


def argo(*calls: Json, nodes: list[Json], templates: tuple[Json, ...] = ()) -> Json:
    main = {"name": "main", "dag": {"tasks": list(calls)}}
    return workflow(dag(), *nodes, spec={"templates": [main, {"name": "leaf"}, *templates]})


# ---- KFP v2 ---------------------------------------------------------------------------------------------------------


def test_edges_of_kfp_v2_follow_the_bindings_of_the_task_specs() -> None:
    task = {"inputs": {"artifacts": {"data": from_task("a", kind="Artifact")}, "parameters": {"n": from_task("a")}}}

    content = kfp_run(*kfp_task("a", "wf.root"), *kfp_task("b", "wf.root", task=task))

    assert edges_of(content) == [("a", "b", "data", "artifact"), ("a", "b", "n", "parameter")]


def test_edges_join_the_leaves_seen_through_groups_on_both_sides() -> None:
    exports = {
        "dag": {"outputs": {"parameters": {"sum": {"valueFromParameter": {"producerSubtask": "in", "outputParameterKey": "o"}}}}}
    }
    content = kfp_run(
        kfp_driver("wf.root.g-driver", "wf.root", kind="dag", component=exports),
        node("wf.root.g", "DAG", inside="wf.root", templateName="comp-g"),
        *kfp_task("in", "wf.root.g"),
        kfp_driver("wf.root.h-driver", "wf.root", kind="dag", task=taking(passed=from_task("g", "sum"))),
        node("wf.root.h", "DAG", inside="wf.root", templateName="comp-h"),
        *kfp_task("use", "wf.root.h", task=taking(x={"componentInputParameter": "passed"})),
    )

    assert edges_of(content) == [("g/in", "h/use", "x", "parameter")]


def loop(iterator: Json, component: Json, task: Json, count: int = 2) -> list[Json]:
    path = "wf.root.each"
    nodes = [
        node(path, "DAG", inside="wf.root", templateName="comp-each-each-iterator"),
        kfp_driver(f"{path}.iteration-driver", path, kind="dag", task=iterator, component=component),
    ]
    for index in range(count):
        item = f"{path}.iteration-iterations({index}:{index})"
        nodes += [
            node(item, "DAG", inside=path),
            kfp_driver(f"{item}.iteration-item-driver", item, kind="dag", task=iterator, component=component),
            node(f"{item}.iteration-item", "DAG", inside=item, templateName="comp-each"),
            *kfp_task("leaf", f"{item}.iteration-item", task=task),
        ]
    return nodes


def test_edges_into_a_loop_reach_each_iteration_and_collected_outputs_come_from_each() -> None:
    iterator = taking(listed=from_task("a")) | {"parameterIterator": {"itemInput": "item", "items": {"inputParameter": "listed"}}}
    exports = {
        "dag": {
            "outputs": {"parameters": {"all": {"valueFromParameter": {"producerSubtask": "leaf", "outputParameterKey": "o"}}}}
        }
    }
    content = kfp_run(
        *kfp_task("a", "wf.root"),
        *loop(iterator, exports, taking(x={"componentInputParameter": "item"})),
        *kfp_task("sum", "wf.root", task=taking(many=from_task("each", "all"))),
    )

    assert edges_of(content) == [
        ("a", "each/0/leaf", "x", "parameter"),
        ("a", "each/1/leaf", "x", "parameter"),
        ("each/0/leaf", "sum", "many", "parameter"),
        ("each/1/leaf", "sum", "many", "parameter"),
    ]


def test_edges_of_a_loop_over_constants_or_run_parameters_do_not_exist() -> None:
    iterator: Json = {"parameterIterator": {"itemInput": "item", "items": {"raw": "[1, 2]"}}}

    assert edges_of(kfp_run(*loop(iterator, {}, taking(x={"componentInputParameter": "item"})))) == []


def test_edges_a_one_of_output_comes_from_the_branch_that_was_taken() -> None:
    def branch(name: str, condition: str) -> list[Json]:
        exports = {
            "dag": {
                "outputs": {"parameters": {"o": {"valueFromParameter": {"producerSubtask": "leaf", "outputParameterKey": "o"}}}}
            }
        }
        driver = kfp_driver(f"wf.root.either.{name}-driver", "wf.root.either", kind="dag", condition=condition, component=exports)
        if condition == "false":
            return [driver, node(f"wf.root.either.{name}", "Skipped", "Skipped", inside="wf.root.either")]
        group = node(f"wf.root.either.{name}", "DAG", inside="wf.root.either", templateName=f"comp-{name}")
        return [driver, group, *kfp_task("leaf", f"wf.root.either.{name}")]

    selectors = [{"producerSubtask": name, "outputParameterKey": "o"} for name in ("yes", "no")]
    either = {"dag": {"outputs": {"parameters": {"o": {"valueFromOneof": {"parameterSelectors": selectors}}}}}}
    content = kfp_run(
        kfp_driver("wf.root.either-driver", "wf.root", kind="dag", component=either),
        node("wf.root.either", "DAG", inside="wf.root", templateName="comp-either"),
        *branch("yes", "true"),
        *branch("no", "false"),
        *kfp_task("use", "wf.root", task=taking(x=from_task("either", "o"))),
    )

    assert edges_of(content) == [("either/yes/leaf", "use", "x", "parameter")]


def test_edges_a_cached_producer_has_its_edges_too() -> None:
    content = kfp_run(
        *kfp_task("a", "wf.root", cached_decision="true"),
        *kfp_task("b", "wf.root", task=taking(x=from_task("a")), cached_decision="true"),
    )

    assert edges_of(content) == [("a", "b", "x", "parameter")]


def test_edges_a_group_itself_uses_nothing() -> None:
    content = kfp_run(
        *kfp_task("a", "wf.root"),
        kfp_driver("wf.root.if-driver", "wf.root", kind="dag", task=taking(x=from_task("a"))),
        node("wf.root.if", "DAG", inside="wf.root", templateName="comp-if"),
    )

    assert edges_of(content) == []


def test_edges_neither_begin_nor_end_at_what_was_skipped() -> None:
    used = kfp_task("b", "wf.root", task=taking(x=from_task("a")), condition="false")

    assert edges_of(kfp_run(*kfp_task("a", "wf.root"), *used)) == []


# ---- Argo and KFP v1 ------------------------------------------------------------------------------------------------


def test_edges_of_argo_follow_placeholders_and_from_in_the_templates() -> None:
    consumer = call("b", x="is {{tasks.a.outputs.parameters.p}}", y="{{tasks.a.outputs.result}}", z="{{workflow.name}}")
    consumer["arguments"]["artifacts"] = [{"name": "file", "from": "{{tasks.a.outputs.artifacts.f}}"}]

    content = argo(call("a"), consumer, nodes=[node("wf.a", inside="wf"), node("wf.b", inside="wf")])

    assert edges_of(content) == [
        ("a", "b", "file", "artifact"),
        ("a", "b", "x", "parameter"),
        ("a", "b", "y", "parameter"),
    ]


def test_edges_of_argo_steps_and_expressions() -> None:
    second = {
        "name": "b",
        "arguments": {"parameters": [{"name": "x", "value": "{{=steps['a'].outputs.parameters['p']}}"}]},
    }
    main = {"name": "main", "steps": [[{"name": "a"}], [second]]}
    nodes = [node("wf", "Steps", templateName="main"), node("wf[0].a", inside="wf"), node("wf[1].b", inside="wf")]

    assert edges_of(workflow(*nodes, spec={"templates": [main]})) == [("a", "b", "x", "parameter")]


def test_edges_of_argo_are_seen_through_groups_on_both_sides() -> None:
    maker: Json = {
        "name": "maker",
        "dag": {"tasks": [call("inner")]},
        "outputs": {"parameters": [{"name": "p", "valueFrom": {"parameter": "{{tasks.inner.outputs.parameters.q}}"}}]},
    }
    user: Json = {"name": "user", "dag": {"tasks": [call("leaf", port="{{inputs.parameters.given}}")]}}
    content = argo(
        call("m", template="maker"),
        call("u", template="user", given="{{tasks.m.outputs.parameters.p}}"),
        nodes=[
            node("wf.m", "DAG", inside="wf", templateName="maker"),
            node("wf.m.inner", inside="wf.m"),
            node("wf.u", "DAG", inside="wf", templateName="user"),
            node("wf.u.leaf", inside="wf.u"),
        ],
        templates=(maker, user),
    )

    assert edges_of(content) == [("m/inner", "u/leaf", "port", "parameter")]


def test_edges_of_argo_loops_reach_the_items_and_come_from_each_item() -> None:
    items = [node("wf.e", "TaskGroup", inside="wf"), node("wf.e(0:x)", inside="wf"), node("wf.e(1:y)", inside="wf")]
    content = argo(
        call("a"),
        call("e", with_param="{{tasks.a.outputs.result}}", one="{{item.name}}"),
        call("z", all="{{tasks.e.outputs.result}}"),
        nodes=[node("wf.a", inside="wf"), *items, node("wf.z", inside="wf")],
    )

    assert edges_of(content) == [
        ("a", "e/0", "one", "parameter"),
        ("a", "e/1", "one", "parameter"),
        ("e/0", "z", "all", "parameter"),
        ("e/1", "z", "all", "parameter"),
    ]


def test_edges_of_argo_exit_hooks_take_what_the_hook_was_given() -> None:
    main = call("a")
    main["hooks"] = {"exit": call("-", log="{{tasks.a.outputs.parameters.p}}")}
    hook = node("wf.a.onExit", inside="wf", nodeFlag={"hooked": True})

    assert edges_of(argo(main, nodes=[node("wf.a", inside="wf"), hook])) == [("a", "a.onExit", "log", "parameter")]


def test_edges_are_never_drawn_by_equal_values() -> None:
    nodes = [
        node("wf.a", inside="wf", outputs=parameters(x="same")),
        node("wf.b", inside="wf", inputs=parameters(x="same")),
    ]

    assert edges_of(argo(call("a"), call("b", x="same"), nodes=nodes)) == []


# ---- by address -----------------------------------------------------------------------------------------------------


def stored(key: str, name: str = "f") -> Json:
    return {"artifacts": [{"name": name, "s3": {"bucket": "b", "key": key}}]}


def test_edges_without_known_bindings_are_drawn_by_equal_address() -> None:
    nodes = [node("wf.a", inside="wf", outputs=stored("k")), node("wf.b", inside="wf", inputs=stored("k", "data"))]

    assert edges_of(workflow(dag(), *nodes)) == [("a", "b", "data", "artifact")]


def test_edges_of_kfp_v2_without_a_task_spec_are_drawn_by_equal_address() -> None:
    content = kfp_run(
        *kfp_task("a", "wf.root", pod_spec_patch=patch(outputs={"o": artifact("s3://b/o")})),
        *kfp_task("b", "wf.root", pod_spec_patch=patch(artifacts={"i": artifact("s3://b/o")})),
    )

    assert edges_of(content) == [("a", "b", "i", "artifact")]


def test_edges_by_address_take_the_nearest_scope_that_has_a_producer() -> None:
    def group(name: str, *inner: Json) -> list[Json]:
        return [node(f"wf.{name}", "DAG", inside="wf"), *inner]

    content = workflow(
        dag(),
        node("wf.far", inside="wf", outputs=stored("k")),
        *group(
            "g",
            node("wf.g.near", inside="wf.g", outputs=stored("k")),
            node("wf.g.use", inside="wf.g", inputs=stored("k")),
        ),
    )

    assert edges_of(content) == [("g/near", "g/use", "f", "artifact")]


def test_edges_several_producers_of_one_address_give_one_edge_each_and_a_warning() -> None:
    makers = [node(f"wf.{name}", inside="wf", outputs=stored("k")) for name in "ab"]
    report = report_of(workflow(dag(), *makers, node("wf.c", inside="wf", inputs=stored("k"))))

    assert [(edge["from"], edge["to"]) for edge in report["edges"]] == [("a", "c"), ("b", "c")]
    assert len(report["warnings"]) == 1


def test_edges_a_task_that_changes_a_file_in_place_does_not_feed_itself() -> None:
    ports: dict[str, Any] = {"inputs": stored("k"), "outputs": stored("k")}

    assert edges_of(workflow(dag(), node("wf.a", inside="wf", **ports))) == []


def test_edges_by_address_do_not_come_from_a_task_that_started_after_the_consumer_had_ended() -> None:
    """One file under a key of its own, read at the start of the run and written again by its exit task."""
    later = {"startedAt": "2026-03-01T10:05:01Z", "finishedAt": "2026-03-01T10:06:00Z"}
    nodes = [
        node("wf.load", inside="wf", inputs=stored("markers")),
        node("wf.onExit", inputs=None, outputs=stored("markers"), nodeFlag={"hooked": True}, **later),
    ]

    assert edges_of(workflow(dag(), *nodes)) == []


def test_edges_by_address_do_not_come_from_a_task_that_depends_on_the_consumer() -> None:
    """Also where both lie in groups, and their times are equal."""
    nodes = [
        node("wf.a", "DAG", inside="wf", children=["wf.a.read"]),
        node("wf.a.read", inside="wf.a", inputs=stored("k"), children=["wf.b"]),
        node("wf.b", inside="wf", children=["wf.c"]),
        node("wf.c", "DAG", inside="wf", children=["wf.c.write"]),
        node("wf.c.write", inside="wf.c", outputs=stored("k")),
    ]
    content = workflow(dag("wf.a"), *nodes)

    assert tasks_of(content)["c"]["depends_on"] == ["b"]
    assert edges_of(content) == []


def test_edges_by_address_come_from_a_task_beside_the_consumer_whatever_their_order() -> None:
    """A second counts as one moment: the producer's first and the consumer's last."""
    nodes = [
        node("wf.a", inside="wf", outputs=stored("k"), startedAt=END, finishedAt=END),
        node("wf.b", inside="wf", inputs=stored("k")),
    ]

    assert edges_of(workflow(dag(), *nodes)) == [("a", "b", "f", "artifact")]


def test_edges_port_of_kfp_v1_is_the_declared_input() -> None:
    annotations = {
        "pipelines.kubeflow.org/component_spec": '{"inputs": [{"name": "Table"}]}',
        "pipelines.kubeflow.org/arguments.parameters": '{"Table": "{{inputs.parameters.a-out}}"}',
    }
    leaf = {"name": "work", "metadata": {"annotations": annotations}}
    consumer = {
        "name": "b",
        "arguments": {"parameters": [{"name": "a-out", "value": "{{tasks.a.outputs.parameters.a-out}}"}]},
    }
    nodes = [node("wf.a", inside="wf"), node("wf.b", inside="wf", inputs=parameters(a_out="1"))]

    assert edges_of(argo(call("a"), consumer, nodes=nodes, templates=(leaf,))) == [("a", "b", "Table", "parameter")]

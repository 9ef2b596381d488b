"""Objects that are wrong on purpose: an error entry or a partial record with a warning, never a crash, never a hang.

In one piece, because the whole page of planted cases and the mutations share their shapes and one judge.
"""

import copy
import itertools
import json
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.kinds import translate
from agent.reading import Read, Unreadable, read_bytes
from agent.report import Report
from agent.schema import report_schema
from agent.workflow.drafts import MAX_LINKS, MAX_NESTING
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
    retried,
    tasks_of,
    workflow,
)

VALIDATOR = jsonschema.Draft202012Validator(report_schema())
SECONDS = 20.0
"""Ten times what the slowest of these takes here: near linear passes on a slow machine, quadratic does not."""


def specimens() -> list[Json]:
    """One Workflow of each shape that the translator knows; mutations start from these."""
    spec = {
        "taskInfo": {"name": "T"},
        "dependentTasks": ["a"],
        "inputs": {
            "parameters": {"x": {"taskOutputParameter": {"producerTask": "a", "outputParameterKey": "o"}}},
            "artifacts": {"i": {"taskOutputArtifact": {"producerTask": "a", "outputArtifactKey": "m"}}},
        },
    }
    iterator = spec | {"parameterIterator": {"itemInput": "item", "items": {"raw": "[1, 2]"}}}
    planned = patch(
        inputs={"x": 1},
        artifacts={"i": artifact("s3://b/m")},
        outputs={"m": artifact("s3://b/m", "system.Metrics", n=1)},
    )
    item = "wf.root.each.iteration-iterations(0:0)"
    compiled = kfp_run(
        *kfp_task("a", "wf.root", pod_spec_patch=planned),
        *kfp_task("b", "wf.root", task=spec, pod_spec_patch=planned),
        node("wf.root.each", "DAG", inside="wf.root", templateName="comp-each-each-iterator"),
        kfp_driver(
            "wf.root.each.iteration-driver",
            "wf.root.each",
            kind="dag",
            task=iterator,
            component={"dag": {"outputs": {}}},
        ),
        node(item, "DAG", inside="wf.root.each"),
        kfp_driver(f"{item}.iteration-item-driver", item, kind="dag", task=iterator),
        node(f"{item}.iteration-item", "DAG", inside=item, templateName="comp-each"),
        *kfp_task("leaf", f"{item}.iteration-item", task=spec),
        labels={"pipeline/runid": "r"},
        ownerReferences=[{"kind": "ScheduledWorkflow", "name": "s", "uid": "u", "controller": True}],
    )
    ports: dict[str, Any] = {
        "inputs": {**parameters(x="1"), "artifacts": [{"name": "f", "s3": {"key": "k"}}]},
        "outputs": {
            **parameters(y="2"),
            "artifacts": [{"name": "main-logs", "s3": {"bucket": "b", "key": "k"}}],
            "result": "r",
        },
    }
    main = {
        "name": "main",
        "dag": {
            "tasks": [
                {"name": "a"},
                {"name": "b", "arguments": {"parameters": [{"name": "x", "value": "{{tasks.a.outputs.result}}"}]}},
            ]
        },
    }
    component = {"inputs": [{"name": "X", "type": {"GCSPath": {}}}], "outputs": [{"name": "Y", "type": "Model"}]}
    annotations = {
        "pipelines.kubeflow.org/component_spec": json.dumps(component),
        "pipelines.kubeflow.org/arguments.parameters": json.dumps({"X": "{{inputs.parameters.x}}"}),
    }
    work = {
        "name": "work",
        "metadata": {"annotations": annotations},
        "outputs": {"artifacts": [{"name": "work-y", "path": "/tmp/outputs/Y/data"}]},
    }
    plain = workflow(
        dag("wf.a"),
        *retried("wf.a", "wf", "Failed", "Succeeded", **ports),
        node("wf.b", inside="wf", **ports),
        node("wf.b.onExit", inside="wf", nodeFlag={"hooked": True}),
        node("wf.e", "TaskGroup", inside="wf", children=["wf.e(0:x)"]),
        node("wf.e(0:x)", "Steps", inside="wf", children=["wf.e(0:x)[0]"]),
        node("wf.e(0:x)[0]", "StepGroup", inside="wf.e(0:x)", children=["wf.e(0:x)[0].s"]),
        node("wf.e(0:x)[0].s", inside="wf.e(0:x)"),
        spec={"templates": [main, work], "arguments": {"parameters": [{"name": "p", "value": "1"}]}},
        annotations={"pipelines.kubeflow.org/pipeline_spec": '{"name": "p", "inputs": [{"name": "p", "default": "0"}]}'},
    )
    plain["status"]["artifactRepositoryRef"] = {"artifactRepository": {"s3": {"bucket": "b"}}}
    return [compiled, plain]


SPECIMENS = specimens()
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "\x00",
            "\ud800",
            "wf",
            "wf.a",
            "Retry",
            "DAG",
            "Running",
            "9999-99-99T00:00:00Z",
            "{}",
            "[" * 2000,
            "x" * 2000,
        ]
    ),
)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**30, max_value=10**31),
    st.floats(),
    TEXTS,
    st.just([]),
    st.just({}),
    st.lists(st.one_of(st.none(), TEXTS, st.integers(), st.just({}), st.just([])), max_size=3),
    st.dictionaries(TEXTS, st.one_of(st.none(), TEXTS, st.integers(), st.just([])), max_size=3),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    found: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        current = stack.pop()
        pairs = current.items() if isinstance(current, dict) else enumerate(current)
        for key, child in list(pairs):
            found.append((current, key))
            if isinstance(child, dict | list):
                stack.append(child)
    return found


def check(content: Any, *, raw: str | None = None) -> None:
    """The object gives a report that the schema accepts and that can be sent, or an error entry without our fault."""
    entries = list(read_bytes(raw.encode(), "f")) if raw is not None else [Read("f", 0, content)]
    for entry in entries:
        result = translate(entry) if isinstance(entry, Read) else entry
        if isinstance(result, Unreadable):
            assert "Please report this" not in result.error, result.error
        else:
            line = result.to_json()
            assert "\x00" not in line
            line.encode()
            VALIDATOR.validate(json.loads(line))


def pick(items: list[Any], data: st.DataObject) -> Any:
    """One of many, by a number: hypothesis prints what it drew, and a whole Workflow is no reading."""
    return items[data.draw(st.integers(0, 10**6)) % len(items)]


def spoil(value: Any, data: st.DataObject, times: int) -> None:
    """Replaces or removes what stands at up to `times` places."""
    for _ in range(data.draw(st.integers(1, times))):
        spots = places(value)
        if not spots:
            return
        container, key = pick(spots, data)
        if data.draw(st.booleans()):
            container[key] = data.draw(VALUES)
        else:
            del container[key]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_hostile_values_of_any_type_anywhere_never_crash(data: st.DataObject) -> None:
    content = copy.deepcopy(pick(SPECIMENS, data))
    spoil(content, data, 6)

    check(content)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_hostile_values_inside_texts_that_carry_json_never_crash(data: st.DataObject) -> None:
    content = copy.deepcopy(pick(SPECIMENS, data))
    carriers = [(box, key) for box, key in places(content) if isinstance(box[key], str) and box[key].startswith('{"')]
    box, key = pick(carriers, data)
    inner = json.loads(box[key])
    spoil(inner, data, 3)
    box[key] = json.dumps(inner)

    check(content)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_hostile_edges_between_any_nodes_never_hang(data: st.DataObject) -> None:
    """Boundaries, children and names at random: cycles of every kind, attempts of attempts, items of items."""
    ids = [f"n{number}" for number in range(8)]
    some = st.sampled_from([*ids, "wf", None])
    types = st.sampled_from(["DAG", "Steps", "StepGroup", "TaskGroup", "Retry", "Pod", "Container", "Skipped", None])
    suffix = st.sampled_from(["", "(0)", "(1)", "(0:x)", ".onExit", "[0].s", ".iteration-iterations(0:0)", "-driver"])
    templates = st.sampled_from(
        ["work", "system-container-driver", "system-dag-driver", "system-container-executor", "comp-x-iterator"]
    )
    nodes = [dag(*ids)]
    for node_id in ids:
        name = "wf." + data.draw(st.sampled_from(ids)) + data.draw(suffix)
        children = data.draw(st.lists(st.sampled_from(ids), max_size=4))
        more = {
            "children": children,
            "templateName": data.draw(templates),
            "nodeFlag": {"retried": data.draw(st.booleans())},
        }
        nodes.append(node(name, data.draw(types), inside=data.draw(some), id=node_id, **more))  # type: ignore[arg-type] # null types too

    check(workflow(*nodes))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_hostile_bytes_never_crash_the_reader(data: bytes) -> None:
    for entry in read_bytes(data, "f"):
        if isinstance(entry, Read):
            translate(entry)


@pytest.mark.parametrize("place", ["metadata", "spec", "status"])
@pytest.mark.parametrize("value", [None, 7, "text", [], ["x"]])
def test_hostile_a_part_of_the_wrong_type_gives_a_warning_or_an_error_entry(place: str, value: Any) -> None:
    content = workflow(dag("wf.a"), node("wf.a", inside="wf"))
    content[place] = value

    result = translate(Read("f", 0, content))

    if place == "metadata":
        assert isinstance(result, Unreadable)
    else:
        assert isinstance(result, Report)
        assert bool(result.warnings) == (value is not None)


def test_hostile_null_nodes_are_left_out_with_a_warning() -> None:
    content = workflow(dag(), node("wf.a", inside="wf"))
    content["status"]["nodes"] |= {"x": None, "y": 3}

    report = report_of(content)

    assert [task["key"] for task in report["tasks"]] == ["a"]
    assert len(report["warnings"]) == 2


def test_hostile_numbers_stand_for_texts() -> None:
    task = tasks_of(workflow(dag(), node("wf.a", inside="wf", message=12, templateName=3.5)))["a"]

    assert task["message"] == "12"


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", 17, {}, "9999-12-31T23:59:59-12:00"]
)
def test_hostile_dates_are_left_out_with_a_warning(value: Any) -> None:
    report = report_of(workflow(dag(), node("wf.a", inside="wf", startedAt=value)))

    assert report["tasks"][0]["started_at"] is None
    assert len(report["warnings"]) == 1


def test_hostile_characters_that_no_store_takes_are_replaced_with_a_warning() -> None:
    report = report_of(workflow(dag(), node("wf.a", inside="wf", message="a\x00b\ud800c")))

    assert report["tasks"][0]["message"] == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert any("replaced" in warning for warning in report["warnings"])


def test_hostile_numbers_that_json_does_not_know_do_not_reach_the_report() -> None:
    given = patch(inputs={"x": 1}).replace('\\"x\\": 1', '\\"x\\": NaN')

    assert tasks_of(kfp_run(*kfp_task("a", "wf.root", pod_spec_patch=given)))["a"]["inputs"]["parameters"] == {"x": "nan"}


def test_hostile_circles_of_boundaries_are_cut_with_a_warning() -> None:
    circle = [
        node("wf.a", "DAG", inside="wf.b"),
        node("wf.b", "DAG", inside="wf.a"),
        node("wf.c", "DAG", inside="wf.c"),
    ]

    report = report_of(workflow(dag(), *circle))

    assert len(report["tasks"]) == 3
    assert any("encloses itself" in warning for warning in report["warnings"])


def test_hostile_nesting_deeper_than_argo_allows_is_cut_with_a_warning() -> None:
    names = ["wf" + ".t" * depth for depth in range(MAX_NESTING + 20)]
    deep = [node(inner, "DAG", inside=outer) for outer, inner in itertools.pairwise(names)]

    report = report_of(workflow(dag(), *deep))

    assert len(report["tasks"]) == MAX_NESTING
    assert len(report["warnings"]) == 1


def test_hostile_long_names_are_cut_and_told_apart() -> None:
    long = "n" * 1_000_000
    report = report_of(workflow(dag(), node(f"wf.{long}a", inside="wf", message=long), node(f"wf.{long}b", inside="wf")))

    keys = [task["key"] for task in report["tasks"]]
    assert len(set(keys)) == 2
    assert max(len(key) for key in keys) <= 253


# ---- size -----------------------------------------------------------------------------------------------------------


def within(content: Json) -> Json:
    started = time.process_time()
    report = report_of(content)
    assert time.process_time() - started < SECONDS
    return report


def test_hostile_ten_thousand_tasks_in_a_row() -> None:
    chain = [node(f"wf.t{n}", inside="wf", children=[f"wf.t{n + 1}"]) for n in range(10_000)]

    assert len(within(workflow(dag("wf.t0"), *chain))["tasks"]) == 10_000


def test_hostile_ten_thousand_nodes_in_one_circle() -> None:
    circle = [node(f"wf.t{n}", "DAG", inside=f"wf.t{(n + 1) % 10_000}") for n in range(10_000)]

    assert within(workflow(dag(), *circle))["warnings"]


def test_hostile_five_thousand_steps_that_wait_for_five_thousand() -> None:
    first = [node(f"wf[0].a({n}:x)", inside="wf", children=["wf[1]"]) for n in range(5_000)]
    second = [node(f"wf[1].b({n}:x)", inside="wf") for n in range(5_000)]
    group = node("wf[1]", "StepGroup", inside="wf", children=[item["id"] for item in second])

    report = within(workflow(node("wf", "Steps"), *first, group, *second))

    assert sum(len(task.get("depends_on", ())) for task in report["tasks"]) == MAX_LINKS
    assert report["warnings"]


def test_hostile_ten_thousand_tasks_with_one_address() -> None:
    file = {"artifacts": [{"name": "f", "s3": {"bucket": "b", "key": "k"}}]}
    tasks = [node(f"wf.t{n}", inside="wf", inputs=file, outputs=file) for n in range(10_000)]

    assert len(within(workflow(dag(), *tasks)).get("edges", ())) <= MAX_LINKS


def test_hostile_two_thousand_iterations() -> None:
    loop = "wf.root.each"
    spec = {"parameterIterator": {"itemInput": "item", "items": {"raw": json.dumps(list(range(2_000)))}}}
    nodes = [node(loop, "DAG", inside="wf.root", templateName="comp-each-each-iterator")]
    nodes.append(kfp_driver(f"{loop}.iteration-driver", loop, kind="dag", task=spec))
    for index in range(2_000):
        item = f"{loop}.iteration-iterations({index}:{index})"
        nodes += [
            node(item, "DAG", inside=loop),
            node(f"{item}.iteration-item", "DAG", inside=item, templateName="comp-each"),
        ]
        nodes += kfp_task("leaf", f"{item}.iteration-item")

    report = within(kfp_run(*nodes))

    assert len(report["tasks"]) == 4_001
    assert report["tasks"][-2]["inputs"]["parameters"] == {"item": 1_999}


# ---- the reader -----------------------------------------------------------------------------------------------------


def only_error(text: str) -> str:
    [entry] = read_bytes(text.encode(), "f")
    assert isinstance(entry, Unreadable)
    return entry.error


def test_hostile_yaml_alias_bombs_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    assert "values" in only_error("\n".join(lines))


def test_hostile_yaml_that_contains_itself_is_refused() -> None:
    assert "nested" in only_error("kind: W\nmetadata: &m {name: x, self: *m}\n")


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000 + "a", '{"a":' * 100_000, '{"a":' * 200 + "1" + "}" * 200])
def test_hostile_nesting_is_refused(text: str) -> None:
    assert only_error(text)


def test_hostile_yaml_tags_are_data_and_never_code() -> None:
    assert only_error("a: !!python/object/apply:os.system ['true']\n")


def test_hostile_a_line_of_many_digits_is_refused_or_kept_as_it_is() -> None:
    check(None, raw='{"kind": "Workflow", "metadata": {"name": "w", "generation": ' + "9" * 5_000 + "}}")
    check(None, raw="kind: Workflow\nmetadata: {name: w, generation: " + "9" * 5_000 + "}\n")

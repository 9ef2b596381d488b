"""Probes of the searches for runs and experiments: what is found in which order, and what is refused."""

from typing import Any

from tests.mlflow.calling import metric
from tests.mlflow.differential.asking import Asker
from tests.mlflow.differential.tracking import pairs

RUN_FILTERS = [
    "metrics.acc = 0.5",
    "metrics.acc != 0.5",
    "metrics.acc > 0.5",
    "metrics.acc >= 0.5",
    "metrics.acc < 0.5",
    "metrics.acc <= 0.5",
    "metric.acc > 0.1 and metrics.loss < 2",
    "metrics.acc > -1",
    "metrics.acc > 1e-3",
    "metrics.`a b` = 1",
    'metrics."a b" = 1',
    "metrics.odd = 1",
    "metrics.odd != 1",
    "metrics.nothing != 1",
    "metrics.acc = '0.5'",
    "metrics.acc LIKE '0.5'",
    "params.lr = '0.1'",
    "params.lr != '0.1'",
    "params.lr LIKE '0.%'",
    "params.lr ILIKE '0.%'",
    "param.kind = 'Big'",
    "params.kind LIKE 'b%'",
    "params.kind ILIKE 'b%'",
    "params.lr = 0.1",
    'params.lr = "0.1"',
    "parameters.lr = '0.1'",
    "params.lr IS NULL",
    "params.lr IS NOT NULL",
    "tags.team IS NULL",
    "tags.team IS NOT NULL",
    "metrics.acc IS NULL",
    "tags.team = 'red'",
    "tags.team != 'red'",
    "tag.team = 'red'",
    "tags.`odd key` = 'x'",
    "tags.\"odd key\" = 'x'",
    "tags.mlflow.runName = 'one'",
    "tags.`mlflow.runName` LIKE 't%'",
    "attributes.run_name = 'one'",
    "run_name = 'one'",
    "attributes.run_name != 'one'",
    "attributes.`run name` = 'one'",
    "attributes.`Run name` ILIKE 'ONE'",
    "attribute.status = 'RUNNING'",
    "status != 'RUNNING'",
    "attr.status = 'FINISHED'",
    "status = 'running'",
    "status LIKE 'F%'",
    "run.user_id = 'ada'",
    "user_id LIKE 'a%'",
    "start_time > 10",
    "attributes.start_time >= 20",
    "created = 10",
    "attributes.Created < 20",
    "end_time = 99",
    "start_time = '10'",
    "start_time LIKE '1%'",
    "artifact_uri LIKE '%artifacts'",
    "attributes.run_id IN ('x')",
    "status IN ('RUNNING')",
    "dataset.name = 'd'",
    "dataset.digest = 'searched'",
    "dataset.name IN ('d', 'e')",
    "dataset.name LIKE 'd%'",
    "datasets.name = 'd'",
    "dataset.colour = 'red'",
    "lifecycle_stage = 'active'",
    "attributes.lifecycle_stage = 'active'",
    "colour = 'red'",
    "metrics.acc",
    "metrics.acc =",
    "= 1",
    "metrics.acc = 0.5 AND",
    "AND metrics.acc = 1",
    "metrics.acc == 0.5",
    "metrics.acc ~ 1",
    "metrics.acc = 0.5 metrics.loss = 1",
    "'x' = params.lr",
    "params.lr = 'unclosed",
    "params.`lr = 'x'",
    "things.x = 1",
    "metrics.acc = 0.5;",
    "   ",
    "metrics.acc > 0.1  AND  params.lr = '0.1'",
    "METRICS.acc = 0.5",
    "params.lr='0.1'and metrics.acc>0.1",
    "tags.team = 'Bob''s'",
    'tags.team = "Bob\'s"',
    "params.kind = 'a%b'",
    "params.kind LIKE 'a%b'",
    "params.kind LIKE '_ig'",
    "params.kind LIKE 'a\\%b'",
]
MORE_RUN_FILTERS = [
    " ",
    "metrics.acc = 0.5 OR metrics.acc = 0.9",
    "NOT params.lr = '0.1'",
    "(metrics.acc > 0.1)",
    "metrics.acc BETWEEN 0 AND 1",
    "params.lr IN ('0.1')",
    "tags.team NOT IN ('red')",
    "params.lr > '0.0'",
    "attributes.run_name IN ('one')",
]
"""What upstream refuses and ours gives a meaning."""

RUN_ORDERS = [
    ["metrics.acc ASC"],
    ["metrics.acc DESC"],
    ["metrics.acc"],
    ["metrics.odd"],
    ["metrics.odd DESC"],
    ["params.lr ASC"],
    ["params.lr DESC"],
    ["tags.team"],
    ["tags.team DESC", "start_time ASC"],
    ["start_time"],
    ["start_time DESC"],
    ["attributes.start_time ASC"],
    ["end_time DESC"],
    ["run_name"],
    ["attributes.run_name DESC"],
    ["status"],
    ["user_id", "run_name"],
    ["`Run Name` ASC"],
    ["metrics.`a b` DESC"],
    ["created DESC"],
    ["metrics.acc up"],
    ["metrics.acc ASC DESC"],
    ["nothing"],
    ["things.x"],
    [""],
    ["metrics.acc", "metrics.acc"],
]
EXPERIMENT_FILTERS = [
    " ",
    "name = 'search a'",
    "name != 'search a' AND name LIKE 'search%'",
    "name LIKE 'search%'",
    "name ILIKE 'SEARCH%'",
    "name LIKE 'SEARCH%'",
    "attribute.name = 'search a'",
    "tags.team = 'red'",
    "tags.team != 'red'",
    "tag.team LIKE 'r%'",
    "tags.team IS NULL AND name LIKE 'search%'",
    "tags.team IS NOT NULL AND name LIKE 'search%'",
    "name LIKE 'search%' AND tags.team = 'red'",
    "creation_time > 5 AND name LIKE 'search%'",
    "last_update_time > 5 AND name LIKE 'search%'",
    "creation_time = 'x'",
    "creation_time LIKE '1'",
    "colour = 'red'",
    "name = 5",
    "name",
    "experiment_id = 'x'",
    "metrics.acc = 1",
    "name LIKE 'search%' OR name = 'x'",
    "name IN ('search a')",
    "creation_time > 1.5 AND name LIKE 'search%'",
    "attributes.name = 'search a'",
]
EXPERIMENT_ORDERS = [
    ["name"],
    ["name DESC"],
    ["name ASC"],
    ["tags.team"],
    ["creation_time up"],
    ["nothing"],
    ["name", "name"],
    ["attribute.name"],
]


def runs(ask: Asker) -> None:
    experiment = ask.experiment("searched")
    _fill(ask, experiment)
    search = "runs/search"
    found = ask.call("search all", "POST", search, experiment_ids=[experiment])
    assert len(found["runs"]) == 5
    for text in (*RUN_FILTERS, *MORE_RUN_FILTERS):
        ask.call(f"search runs: {text}", "POST", search, experiment_ids=[experiment], filter=text)
    for terms in RUN_ORDERS:
        ask.call(f"order runs: {terms}", "POST", search, experiment_ids=[experiment], order_by=terms)
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE", 2):
        ask.call(f"view of runs: {view}", "POST", search, experiment_ids=[experiment], run_view_type=view)
    for most in (1, 0, -1, 50_000, 50_001):
        ask.call(f"page of {most}", "POST", search, experiment_ids=[experiment], max_results=most)
    ask.call("search nowhere", "POST", search, filter="metrics.acc > 0")
    ask.call("search an experiment that is not there", "POST", search, experiment_ids=["777777"])
    ask.call("a bad token", "POST", search, experiment_ids=[experiment], page_token="bad")
    ask.call("experiments as text", "POST", search, experiment_ids="0")
    _of_another_filter(ask, experiment)
    _pages(ask, "runs", search, experiment_ids=[experiment], order_by=["metrics.acc DESC"], max_results=2)
    _pages(ask, "filtered runs", search, experiment_ids=[experiment], filter="metrics.acc >= 0", max_results=1)


def _fill(ask: Asker, experiment: str) -> None:
    """Five runs that differ in everything, one of them deleted later."""
    for name, start, user, fields in (
        (
            "one",
            10,
            "ada",
            {
                "metrics": [metric("acc", 0.5), metric("loss", 1.0), metric("a b", 1.0)],
                "params": pairs(lr="0.1", kind="Big"),
                "tags": pairs(team="red"),
            },
        ),
        (
            "two",
            20,
            "bob",
            {
                "metrics": [metric("acc", 0.9), metric("odd", "NaN")],
                "params": pairs(lr="0.01", kind="a%b"),
                "tags": pairs(team="blue"),
            },
        ),
        (
            "three",
            30,
            "ada",
            {"metrics": [metric("acc", 0.1), metric("odd", 1.0)], "params": pairs(lr="1"), "tags": pairs(**{"odd key": "x"})},
        ),
        ("four", 40, "eve", {"tags": pairs(team="Bob's")}),
        ("five", 50, "ada", {"metrics": [metric("acc", 0.7, 1, 0), metric("acc", 0.3, 2, 1)], "params": pairs(lr="0.5")}),
        ("gone", 60, "ada", {"metrics": [metric("acc", 0.5)]}),
    ):
        made = ask.call(
            f"fill {name}",
            "POST",
            "runs/create",
            experiment_id=experiment,
            run_name=name,
            start_time=start,
            user_id=user,
            tags=pairs(**{"mlflow.user": user}),
        )
        run = ask.known("run", made["run"]["info"]["run_id"])
        ask.call(f"fill {name} with values", "POST", "runs/log-batch", run_id=run, **fields)
        if name == "two":
            ask.call("fill two with its end", "POST", "runs/update", run_id=run, status="FINISHED", end_time=99)
            dataset = {"name": "d", "digest": "searched", "source_type": "local", "source": "{}"}
            ask.call("fill two with its input", "POST", "runs/log-inputs", run_id=run, datasets=[{"dataset": dataset}])
        if name == "gone":
            ask.call("fill with a deleted one", "POST", "runs/delete", run_id=run)


def _of_another_filter(ask: Asker, experiment: str) -> None:
    first = ask.call("a page for its token", "POST", "runs/search", experiment_ids=[experiment], max_results=1)
    token = first["next_page_token"]
    fields: dict[str, Any] = {"experiment_ids": [experiment], "filter": "metrics.acc > 0", "page_token": token}
    ask.call("a token of another filter", "POST", "runs/search", **fields)


def _pages(ask: Asker, what: str, path: str, /, **fields: Any) -> None:
    token, number = "", 0
    while number == 0 or token:
        number += 1
        more = {"page_token": token} if token else {}
        token = ask.call(f"page {number} of {what}", "POST", path, **fields, **more).get("next_page_token", "")


def experiments(ask: Asker) -> None:
    for name, tags in (("search a", {"team": "red"}), ("search b", {"team": "blue"}), ("search c", {})):
        ask.experiment(name, tags=pairs(**tags))
    gone = ask.experiment("search gone")
    ask.call("search experiments with a deleted one", "POST", "experiments/delete", experiment_id=gone)
    search = "experiments/search"
    for text in EXPERIMENT_FILTERS:
        ask.call(f"search experiments: {text}", "POST", search, max_results=100, filter=text)
    for terms in EXPERIMENT_ORDERS:
        ask.call(f"order experiments: {terms}", "POST", search, max_results=100, filter="name LIKE 'search%'", order_by=terms)
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        ask.call(f"view of experiments: {view}", "POST", search, max_results=100, filter="name LIKE 'search%'", view_type=view)
    ask.call("experiments by GET", "GET", search, max_results=100, filter="name LIKE 'search%'")
    for most in (None, 0, -1, 50_001):
        fields: dict[str, Any] = {} if most is None else {"max_results": most}
        ask.call(f"experiments, at most {most}", "POST", search, **fields)
    ask.call("experiments with a bad token", "POST", search, max_results=1, page_token="bad")
    _pages(ask, "experiments", search, filter="name LIKE 'search%'", order_by=["name"], max_results=1)

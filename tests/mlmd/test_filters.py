"""`filter_query`: every shape of the reference's documentation and clients, on every database."""

from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from registry.db.counting import count_statements
from tests.mlmd.door import Door, message, node

INT, DOUBLE, STRING, BOOLEAN = 1, 2, 3, 6
INPUT, OUTPUT = 3, 4


@dataclass(frozen=True)
class Store:
    door: Door
    names: dict[tuple[str, int], str]
    ids: dict[str, int]

    def find(self, kind: str, query: str) -> set[str]:
        """Names of what the filter finds; `{name}` in it stands for the node's id."""
        options = {"max_result_size": 100, "filter_query": query.format_map(self.ids)}
        nodes = getattr(self.door.call(f"Get{kind.title()}s", options=options), f"{kind}s")
        return {self.names[kind, one.id] for one in nodes}


@pytest.fixture(scope="module")
def store(door: Door) -> Store:
    """Two artifacts, three executions, four contexts. `foo` and `e1` are in run1 and pipe, `bar` in pipe only."""
    declared = {"i": INT, "s": STRING, "accuracy": DOUBLE, "b": BOOLEAN}
    types = {name: door.type(kind, name, **declared) for kind, name in (("artifact", "A"), ("artifact", "Model"))}
    types |= {name: door.type("execution", name, **declared) for name in ("E", "Other")}
    types |= {name: door.type("context", name, **declared) for name in ("node", "pipeline_run", "C")}
    full = {"i": 5, "s": "hello", "accuracy": 0.97, "b": True}
    custom = {"my:custom.property": True, "my prop": "v", "back`tick": 1, "parent_dag_id": 7}
    same: dict[str, Any] = {"external_id": "x1", "properties": full, "custom": custom}
    given = [
        ("artifact", node("artifact", types["A"], name="foo", uri="s3://b/foo", state=2, **same)),
        ("artifact", node("artifact", types["Model"], name="bar", uri="gs://b/bar", properties={"i": 1})),
        ("execution", node("execution", types["E"], name="e1", last_known_state=2, **same)),
        ("execution", node("execution", types["E"], name="e2", last_known_state=3)),
        ("execution", node("execution", types["Other"], name="e3")),
        ("context", node("context", types["pipeline_run"], name="run1", **same)),
        ("context", node("context", types["node"], name="pipe")),
        ("context", node("context", types["C"], name="child")),
        ("context", node("context", types["C"], name="id")),
    ]  # fmt: skip
    names, ids = {}, {}
    for kind, one in given:
        [id] = door.put(kind, one)
        names[kind, id], ids[one.name] = one.name, id
    memberships = [("run1", "foo", "artifact"), ("pipe", "foo", "artifact"), ("pipe", "bar", "artifact")]
    memberships += [("run1", "e1", "execution"), ("pipe", "e1", "execution"), ("pipe", "e2", "execution")]
    door.call(
        "PutAttributionsAndAssociations",
        **{
            field: [{"context_id": ids[c], f"{kind}_id": ids[n]} for c, n, of in memberships if of == kind]
            for field, kind in (("attributions", "artifact"), ("associations", "execution"))
        },
    )
    door.call("PutParentContexts", parent_contexts=[{"child_id": ids["child"], "parent_id": ids["pipe"]}])
    events = [("foo", "e1", INPUT), ("foo", "e2", INPUT), ("bar", "e1", OUTPUT)]
    door.call("PutEvents", events=[message("Event", artifact_id=ids[a], execution_id=ids[e], type=t) for a, e, t in events])
    return Store(door, names, ids)


A, E, C = "artifact", "execution", "context"
FOUND = [
    (A, "id IN ({foo}, {bar})", "foo bar"),
    (E, "id NOT IN ({e1},{e2})", "e3"),
    (C, "id BETWEEN {run1} AND {pipe}", "run1 pipe"),
    (A, "type = 'A' AND name LIKE 'fo%'", "foo"),
    (E, 'type != "E"', "e3"),
    (C, "name IS NOT NULL AND NOT (name LIKE 'p%')", "run1 child id"),
    (A, "external_id = 'x1'", "foo"),
    (E, "external_id IS NULL", "e2 e3"),
    (C, "NOT(create_time_since_epoch < 1 OR last_update_time_since_epoch < 1)", "run1 pipe child id"),
    (A, "uri LIKE 's3://%' AND state = LIVE", "foo"),
    (A, "state IN (PENDING, LIVE)", "foo"),
    (A, "state NOT IN (LIVE)", "bar"),
    (A, "state != LIVE", "bar"),
    (A, "NOT state = LIVE", ""),
    (A, "NOT (state != LIVE)", "foo"),
    (A, "state IS NULL", "bar"),
    (A, "state > 1", "foo"),
    (A, "state IN (2)", "foo"),
    (A, "state IN (2, 3)", "foo"),
    (A, "state = 2", "foo"),
    (A, "state IN (ABANDONED, REFERENCE)", ""),
    (E, "last_known_state != RUNNING", "e2 e3"),
    (E, "last_known_state in (RUNNING,COMPLETE)", "e1 e2"),
    (A, "properties.accuracy.double_value > 0.95", "foo"),
    (E, "properties.accuracy.double_value > 0.95", "e1"),
    (C, 'properties.i.int_value > 1 AND properties.s.string_value = "hello"', "run1"),
    (A, "properties.i.int_value = 5.0", "foo"),
    (A, "properties.i.int_value < 2 + 3 * -0", "bar"),
    (A, "properties.b.bool_value", "foo"),
    (E, "properties.b.bool_value = true", "e1"),
    (A, "properties.b.bool_value IS TRUE", "foo"),
    (A, "custom_properties.`my:custom.property`.bool_value = true", "foo"),
    (C, 'custom_properties.`my prop`.string_value = "v"', "run1"),
    (A, r"custom_properties.`back\`tick`.int_value = 1", "foo"),
    (A, "contexts_a.name = 'run1' AND contexts_b.name = 'pipe'", "foo"),
    (E, "contexts_a.name = 'run1' AND contexts_a.name = 'pipe'", ""),
    (A, 'contexts_a.type IN ("node","C")', "foo bar"),
    (E, "contexts_a.id < contexts_b.id", "e1"),
    (A, "events_0.type = INPUT AND events_0.execution_id = {e1}", "foo"),
    (A, "events_0.type = PENDING_OUTPUT", ""),
    (E, "events_0.artifact_id = {foo} AND events_0.type = INPUT", "e1 e2"),
    (A, "events_0.execution_id = {e1} AND events_1.execution_id = {e2}", "foo"),
    (E, "custom_properties.parent_dag_id.int_value = 7", "e1"),
    (A, ('(contexts_0.type = "node") AND (contexts_0.name = "pipe") AND (contexts_1.type = "pipeline_run") '
        'AND (contexts_1.name = "run1") AND (state = LIVE)'), "foo"),
    (E, ('(contexts_0.type = "node") AND (contexts_0.name = "pipe") AND (last_known_state IN (COMPLETE,CACHED)) '
        "AND (last_update_time_since_epoch >= 1)"), "e2"),
    (A, 'type IN ("A", "Model") AND state IN (2, 3, 4) AND contexts_a.name IN ("pipe", "q") AND contexts_a.type = "node"', "foo"),
    (C, "parent_contexts_0.name = 'pipe'", "child"),
    (C, "child_contexts_a.type = 'C'", "pipe"),
    (C, "child_contexts_a.create_time_since_epoch > 1", "pipe"),
    (C, "artifacts_a.uri LIKE 's3%'", "run1 pipe"),
    (C, "artifacts_a.external_id = 'x1'", "run1 pipe"),
    (C, "executions_a.last_known_state IN (NEW, RUNNING)", "run1 pipe"),
    (C, "executions_a.name = 'e1' AND artifacts_b.name = 'bar'", "pipe"),
    (A, "properties.i.int_value = 1 AND properties.s.string_value IS NULL", "bar"),
    (A, "properties.i.int_value = 5 AND properties.s.string_value IS NULL", ""),
    (A, "properties.i.int_value IN (1, 5) AND NOT properties.s.string_value = 'x'", "foo"),
    (A, "properties.i.int_value IN (1, 5) AND properties.accuracy.double_value > 0.5 AND properties.b.bool_value", "foo"),
    (A, "properties.accuracy.double_value > 0.5 AND properties.i.int_value < 9", "foo"),
    (A, "id = {bar} AND properties.i.int_value = 1", "bar"),
    (A, "id = {bar} AND (properties.i.int_value = 5 OR properties.i.int_value = 1)", "bar"),
    (A, "contexts_a.name = 'pipe' AND properties.i.int_value >= 5", "foo"),
    (A, "0 < id AND TRUE -- a comment\n# another", "foo bar"),
    (A, "FALSE OR 'a' = 'b'", ""),
    (A, "ID = {foo} AND Name = r'foo'", "foo"),
    (A, "name = '''foo'''", "foo"),
    (C, 'name = "id"', "id"),
    (A, r"name = '\x66\u006fo'", "foo"),
    (A, "name = 'x\\' OR 1 = 1 -- '", ""),
    (A, "name LIKE 'FOO'", ""),
    (A, 'uri = "s3://b/foo" AND id = 0x7fffffff', ""),
    (A, 'properties.`x" OR "1"="1`.int_value = 1', ""),
    (A, r"properties.`x'; DROP TABLE artifacts; --`.string_value = 'x\'; --'", ""),
]  # fmt: skip


def test_a_filter_finds_what_it_says(store: Store) -> None:
    found = [(kind, query, store.find(kind, query)) for kind, query, _ in FOUND]

    assert found == [(kind, query, set(names.split())) for kind, query, names in FOUND]


REFUSED = [
    (A, "state = live"),
    (A, "LIVE = state"),
    (A, "state = 'LIVE'"),
    (A, "state > LIVE"),
    (E, 'uri = ""'),
    (C, "state = LIVE"),
    (A, "contexts.id = 1"),
    (A, "contexts_a.type_id = 1"),
    (A, "name = @p"),
    (A, "id = 1;"),
    (A, "id = '5'"),
    (A, "name = 5"),
    (A, "name = NULL"),
    (A, "invalid syntax"),
    (A, "   "),
    (A, "id"),
    (A, "properties.i = 5"),
    (A, "properties.i.struct_value = 5"),
    (A, "LOWER(name) = 'x'"),
    (A, "id IN (SELECT 1)"),
    (A, "name = 'unfinished"),
    (A, "1 / 0 = id"),
    (A, "id = " + "*".join(["9" * 399] * 100)),
    (A, "(" * 2000 + "id = 1" + ")" * 2000),
    (A, "NOT " * 5000 + "id = 1"),
    (A, " OR ".join(["id = 1"] * 5000)),
    (A, f"id IN ({','.join(['1'] * 5000)})"),
    (A, "contexts_a.type IS TRUE"),
    (E, "events_a.execution_id = 1"),
]


@pytest.mark.parametrize(("kind", "query"), REFUSED)
def test_what_is_no_filter_is_refused(sqlite_door: Door, kind: str, query: str) -> None:
    assert sqlite_door.refusal(f"Get{kind.title()}s", options={"filter_query": query}) == "INVALID_ARGUMENT"


def test_a_refusal_says_where(sqlite_door: Door) -> None:
    with pytest.raises(grpc.RpcError, match=r"Invalid `filter_query`.*line 2, column 5"):
        sqlite_door.call("GetArtifacts", options={"filter_query": "id = 1\nAND colour = 2"})


@pytest.mark.parametrize(
    "query",
    [
        "id = 5",
        "properties.i.int_value = 5 AND uri LIKE 's3%'",
        "properties.accuracy.double_value > 0.5 AND properties.s.string_value = 'hello'",
        "properties.accuracy.double_value > 0.5",
        "contexts_a.name = 'run1' AND state = LIVE",
        "events_0.execution_id = 1 AND properties.i.int_value != 3",
    ],
)
def test_on_sqlite_a_filter_comes_to_the_nodes_by_what_it_finds(sqlite_door: Door, query: str) -> None:
    """Without statistics SQLite would go through the workspace."""
    type_id = sqlite_door.type("artifact", "planned", i=INT, s=STRING, accuracy=DOUBLE)
    sqlite_door.put("artifact", node("artifact", type_id, properties={"i": 5, "s": "hello", "accuracy": 0.9}))
    database = sqlite_door.served.services.runner.database
    with count_statements(database) as counted:
        sqlite_door.call("GetArtifacts", options={"filter_query": query})
    text = next(one for one in counted.statements if "FROM artifacts" in one)

    with database.reader.connect() as connection:
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (1,) * text.count("?"))]

    assert any(step.startswith("SEARCH artifacts USING INTEGER PRIMARY KEY") for step in plan), plan


def test_a_filter_works_within_a_type_a_context_and_on_every_page(store: Store) -> None:
    options = {"filter_query": "last_known_state IN (RUNNING, COMPLETE)", "max_result_size": 1}
    first = store.door.call("GetExecutionsByContext", context_id=store.ids["pipe"], options=options)
    second = store.door.call(
        "GetExecutionsByContext", context_id=store.ids["pipe"], options={**options, "next_page_token": first.next_page_token}
    )
    of_type = store.door.call("GetExecutionsByType", type_name="Other", options={"filter_query": "name LIKE 'e%'"})

    assert [one.name for one in (*first.executions, *second.executions)] == ["e1", "e2"]
    assert not second.next_page_token
    assert [one.name for one in of_type.executions] == ["e3"]

"""What differs from ML Metadata on purpose: each row of the table in docs/doors/mlmd.md, shown on both stores.

A test fails too if the difference disappears. What takes a database server or a race to show has a test elsewhere.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry.api.mlmd.descriptors import service
from registry.catalog import graph_puts
from registry.settings import Settings
from tests.mlmd import test_races
from tests.mlmd.deliberate import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OK,
    UNIMPLEMENTED,
)
from tests.mlmd.differential import Comparison, Differs, Side, run
from tests.mlmd.door import Door
from tests.mlmd.oracle import DIED, Oracle
from tests.mlmd.sequences import DECLARED, Asked, Ref
from tests.servers import serving
from tests.services.servers import required

ROOT = Path(__file__).parents[2]
RESOURCE_EXHAUSTED = 8
T = Ref("type", 0)
BASE = [
    Asked("PutArtifactType", {"artifact_type": {"name": "t", "properties": DECLARED}}),
    Asked("PutExecutionType", {"execution_type": {"name": "t"}}),
    Asked("PutContextType", {"context_type": {"name": "t"}}),
]


@dataclass(frozen=True)
class Said:
    code: int
    answer: Any


class Both:
    """The same requests to both; what each says to the last."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def __call__(self, *asked: Asked) -> tuple[Said, Said]:
        self.comparison.sequences += 1
        sides = self.comparison.sides()
        said = [Said(OK, None), Said(OK, None)]
        for one in (*BASE, *asked):
            said = [self._ask(side, one) for side in sides]
        self.sides = sides
        return said[0], said[1]

    @staticmethod
    def _ask(side: Side, one: Asked) -> Said:
        code, body = side.ask(one.method, side.request(one).SerializeToString())
        answer: Any = service().methods[one.method].response()
        if code == OK:
            answer.ParseFromString(body)
            side.remember(one, answer)
        return Said(code, answer)

    def more(self, asked: Asked) -> tuple[Said, Said]:
        """In the same stores."""
        theirs, ours = (self._ask(side, asked) for side in self.sides)
        return theirs, ours


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comparison]:
    """Our lineage answers have at most 60 nodes here."""
    python = required("MLMD_PYTHON", "ml-metadata 1.17.1 in an environment of its own")
    settings = Settings(data_dir=str(tmp_path_factory.mktemp("data")), grpc="127.0.0.1:0", mlmd_lineage_max_nodes=60)
    with serving(settings) as served, Door(served) as door, Oracle(python) as oracle:
        yield Comparison(oracle, door)


@pytest.fixture
def both(comparison: Comparison) -> Both:
    return Both(comparison)


def put(*artifacts: dict[str, Any], **fields: Any) -> Asked:
    return Asked("PutArtifacts", {"artifacts": [{"type_id": T, **one} for one in artifacts], **fields})


def listed(**options: Any) -> Asked:
    return Asked("GetArtifacts", {"options": options})


def names(said: Said) -> list[str]:
    return [one.name for one in said.answer.artifacts]


def doubles(both: Both) -> None:
    value = {"custom_properties": {"d": {"double_value": 1e-300}}}
    theirs, ours = both(put(value), Asked("GetArtifacts", {}))
    infinite, _ = both(put({"custom_properties": {"d": {"double_value": float("inf")}}}))

    found = [said.answer.artifacts[0].custom_properties["d"].double_value for said in (theirs, ours)]
    assert found == [0.0, 1e-300]
    assert infinite.code == INTERNAL


def no_value(both: Both) -> None:
    theirs, ours = both(put({"custom_properties": {"x": {}}}))

    assert (theirs.code, ours.code) == (DIED, INVALID_ARGUMENT)


def dangling(both: Both) -> None:
    pair = {"event": {"type": 3, "artifact_id": Ref("artifact", 5)}}
    theirs, ours = both(Asked("PutExecution", {"execution": {"type_id": Ref("type", 1)}, "artifact_event_pairs": [pair]}))

    assert (theirs.code, ours.code) == (OK, INVALID_ARGUMENT)


def no_end(both: Both) -> None:
    start, end = {"filter_query": "id > 0"}, {"filter_query": "nonsense = 1"}
    executions = Asked("PutExecutions", {"executions": [{"type_id": Ref("type", 1)}]})
    asked = {"starting_executions": start, "ending_artifacts": end}
    theirs, ours = both(executions, Asked("GetLineageSubgraph", {"lineage_subgraph_query_options": asked}))

    assert (theirs.code, ours.code) == (OK, INVALID_ARGUMENT)


def nothing_as_pair(both: Both) -> None:
    context = {"type_id": Ref("type", 2), "name": "c"}
    put_ = {"execution": {"type_id": Ref("type", 1)}, "artifact_event_pairs": [{}], "contexts": [context]}
    theirs, ours = both(Asked("PutExecution", put_), Asked("GetArtifactsByContext", {"context_id": Ref("context", 0)}))

    assert (theirs.code, ours.code) == (INTERNAL, OK)
    assert not ours.answer.artifacts


def taken(both: Both) -> None:
    theirs, ours = both(put({"external_id": "x"}, {"external_id": "y"}), put({"id": Ref("artifact", 0), "external_id": "y"}))

    assert (theirs.code, ours.code) == (INTERNAL, ALREADY_EXISTS)


def long_pages(both: Both) -> None:
    theirs, ours = both(put(*({"name": f"n{number}"} for number in range(105))), listed(max_result_size=200))

    assert [(len(said.answer.artifacts), bool(said.answer.next_page_token)) for said in (theirs, ours)] == [
        (101, False),
        (100, True),
    ]


def endless(both: Both) -> None:
    """Thirty put at once: some have the same millisecond."""
    both(put(*({"name": f"n{number}"} for number in range(30))))
    seen: list[list[str]] = [[], []]
    for place, side in enumerate(both.sides):
        token = ""
        for _page in range(40):
            said = both._ask(side, listed(max_result_size=1, order_by_field={"field": 2}, next_page_token=token))
            seen[place] += names(said)
            token = said.answer.next_page_token
            if not token:
                break

    assert len(set(seen[0])) < 30 < len(seen[0])
    assert sorted(seen[1]) == sorted({f"n{number}" for number in range(30)})


def long_names(both: Both) -> None:
    theirs, ours = both(put({"name": "x" * 600}))

    assert (theirs.code, ours.code) == (OK, INVALID_ARGUMENT)


def alternatives(both: Both) -> None:
    made = put({"name": "x"}, {"name": "y", "properties": {"i": {"int_value": 5}}})
    theirs, ours = both(made, listed(filter_query="properties.i.int_value = 5 OR name = 'x'"))

    assert (names(theirs), names(ours)) == (["y"], ["x", "y"])


def like(both: Both) -> None:
    theirs, ours = both(put({"name": "Abc"}, {"name": "abc"}), listed(filter_query="name LIKE 'a%'"))

    assert (names(theirs), names(ours)) == (["Abc", "abc"], ["abc"])


def enumerations(both: Both) -> None:
    made = put({"name": "x", "state": 5})
    theirs, ours = both(made, listed(filter_query="state = ABANDONED"))
    rewritten, fine = both(made, listed(filter_query="state IN (LIVE, ABANDONED) AND state IN (LIVE, ABANDONED)"))

    assert (theirs.code, ours.code, names(ours)) == (INVALID_ARGUMENT, OK, ["x"])
    assert (rewritten.code, fine.code) == (INVALID_ARGUMENT, OK)


def functions(both: Both) -> None:
    theirs, ours = both(put({"name": "A"}), listed(filter_query="LOWER(name) = 'a'"))

    assert (theirs.code, ours.code) == (OK, INVALID_ARGUMENT)


def quotes(both: Both) -> None:
    made = put({"name": "A", "custom_properties": {"k": {"int_value": 1}}})
    theirs, ours = both(made, listed(filter_query='custom_properties.`a" OR "1"="1`.int_value = 1'))
    column, value = both(put({"name": "id"}), listed(filter_query='name = "id"'))

    assert (names(theirs), names(ours)) == (["A"], [])
    assert (names(column), names(value)) == ([], ["id"])


def not_served(both: Both) -> None:
    for method in ("GetLineageGraph", "GetParentContextsByContexts", "GetChildrenContextsByContexts"):
        theirs, ours = both(Asked(method, {}))

        assert (theirs.code, ours.code in {OK, NOT_FOUND, INVALID_ARGUMENT}) == (UNIMPLEMENTED, True)


def unbounded(both: Both) -> None:
    asked = Asked("GetLineageSubgraph", {"lineage_subgraph_query_options": {"starting_artifacts": {"filter_query": "id > 0"}}})
    pairs = [{"artifact": {"type_id": T}, "event": {"type": 4}} for _ in range(60)]
    put_ = Asked("PutExecution", {"execution": {"type_id": Ref("type", 1)}, "artifact_event_pairs": pairs})
    theirs, ours = both(put_, asked)

    assert (theirs.code, ours.code) == (OK, RESOURCE_EXHAUSTED)


def two_spaces(both: Both) -> None:
    value = {"i": {"int_value": 1}}
    made = put({"properties": value, "custom_properties": value})
    change = put({"id": Ref("artifact", 0), "properties": value, "custom_properties": {"j": {"int_value": 2}}})
    theirs, ours = both(made, change, Asked("GetArtifacts", {}))

    assert [len(said.answer.artifacts[0].properties) for said in (theirs, ours)] == [0, 1]


def several_faults(both: Both) -> None:
    faults = [{"type_id": Ref("type", 9)}, {"id": Ref("artifact", 9)}]
    theirs, ours = both(Asked("PutArtifacts", {"artifacts": faults}))

    assert (theirs.code, ours.code) == (NOT_FOUND, INVALID_ARGUMENT)


def put_twice(both: Both) -> None:
    made = put({"name": "other", "external_id": "x"}), put({"name": "own"})
    own = {"id": Ref("artifact", 1), "type_id": T}
    theirs, ours = both(*made, Asked("PutArtifacts", {"artifacts": [{**own, "external_id": "x"}, own]}))
    same = [{"name": "new", "external_id": "x"}, {"name": "new", "external_id": "y"}]
    types = both(Asked("PutTypes", {"artifact_types": [{"name": "other", "external_id": "x"}], "context_types": same}))

    assert (theirs.code, ours.code) == (INTERNAL, OK)
    assert [said.code for said in types] == [INTERNAL, OK]


def types_twice(both: Both) -> None:
    made = Asked("PutTypes", {"context_types": [{"name": "twice", "external_id": "x"}, {"name": "twice"}]})
    theirs, ours = both(made, Asked("GetContextType", {"type_name": "twice"}))

    assert [said.answer.context_type.external_id for said in (theirs, ours)] == ["", "x"]


def unread_options(both: Both) -> None:
    theirs, ours = both(Asked("GetArtifactsByType", {"type_name": "nowhere", "options": {"max_result_size": -1}}))

    assert (theirs.code, ours.code) == (OK, INVALID_ARGUMENT)


def system_types(both: Both) -> None:
    widened = {"artifact_type": {"name": "mlmd.Model", "properties": {"x": 1}}, "can_add_fields": True}
    theirs, ours = both(Asked("PutArtifactType", widened))

    assert (theirs.code, ours.code) == (OK, FAILED_PRECONDITION)


SHOWN: dict[str, Callable[[Both], None]] = {
    "doubles lose digits, NaN and infinities fail": doubles,
    "a property without a value ends the process": no_value,
    "an event may name an artifact that is not there": dangling,
    "a pair of neither artifact nor event makes the artifacts of the call's contexts unreadable": nothing_as_pair,
    "a name or external id taken on update is `INTERNAL`": taken,
    "pages of more than 100 lose the rest": long_pages,
    "pages by LAST_UPDATE_TIME may never end": endless,
    "names compare by the database's collation": long_names,
    "`filter_query`: a name or property that is missing drops the node by an inner join": alternatives,
    "`LIKE` ignores case on SQLite and MySQL": like,
    "states ABANDONED, REFERENCE and PENDING_OUTPUT, and numbers, are no values of an enumeration": enumerations,
    "functions, CAST and CASE, sums of fields, subqueries without tables": functions,
    "a backslash, a quote or a back-quote in a filter reaches the SQL": quotes,
    "`GetLineageGraph`, `GetParentContextsByContexts`, `GetChildrenContextsByContexts` are not served": not_served,
    "lineage has no bound": unbounded,
    "replacing a custom property may delete a declared one of the same name": two_spaces,
    "of several faults in one call the first in the request is told": several_faults,
    "a node or type that a call puts twice is written twice, and a clash on the way fails the call": put_twice,
    "a new type that a call puts twice, at last without external id, has an empty one": types_twice,
    "list options that are wrong are let pass where nothing would be listed": unread_options,
    "a wrong filter of ending nodes is let pass where none of their kind is reached": no_end,
    "clients may add properties to the system's own types": system_types,
}
ELSEWHERE: dict[str, Callable[..., None]] = {
    "two writers of one execution abort each other": test_races.test_sixteen_writers_of_one_execution_all_succeed,
    "a context reused by name by two first calls at once: one is `ABORTED`": test_races.test_first_calls_at_once_share_a_context,
}


@pytest.mark.parametrize("row", SHOWN)
def test_a_difference_is_there_on_purpose(both: Both, row: str) -> None:
    SHOWN[row](both)


def test_every_row_of_the_table_is_shown() -> None:
    text = (ROOT / "docs" / "doors" / "mlmd.md").read_text("utf-8").partition("## Differences")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", text, re.MULTILINE)

    assert [row for row in rows if row not in {"there", "---"}] == [*SHOWN, *ELSEWHERE]


def test_a_rule_of_ours_that_is_switched_wrong_is_found(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: declared properties are not held against their type."""
    monkeypatch.setattr(graph_puts, "_check_declared", partial(_anything))

    with pytest.raises(Differs):
        run(comparison, 200, 1)


def _anything(given: Any, type_: Any) -> None:
    """Lets every property pass."""


def test_without_a_wrong_rule_nothing_is_found(comparison: Comparison) -> None:
    count = int(os.environ.get("LINEAL_DIFFERENTIAL", "15"))

    run(comparison, count, 2)

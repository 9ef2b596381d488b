"""What a document may cost."""

import time
from typing import Any

import httpx
import pytest

from graphql import GraphQLError, get_introspection_query, parse
from registry.api.gql.execution import Documents
from registry.api.gql.limits import Cost, Meter, check_limits
from registry.api.gql.schema import schema
from tests.gql.asking import ask, operation

SCHEMA = schema.graphql_schema


def check(text: str, **variables: object) -> None:
    check_limits(SCHEMA, parse(text), None, variables)


def cost(text: str, **variables: object) -> Cost:
    document: Any = parse(text)
    return Meter(SCHEMA, document, document.definitions[0], variables).measure()


def deep(levels: int) -> str:
    return "{ run(id: 1) " + "{ parent " * levels + "{ id }" + " }" * levels + " }"


def inner(variable: str) -> str:
    """Two lists in one another, each of the size that is given where the variable is left out: 50."""
    return f"versions(first: ${variable}) {{ nodes {{ deployments(first: ${variable}) {{ nodes {{ id }} }} }} }}"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (deep(11), "levels"),
        ("{ " + " ".join(f'a{i}: run(id: "{i}") {{ id }}' for i in range(11)) + " }", "root fields"),
        ("{ run(id: 1) { " + " ".join(f"a{i}: name" for i in range(101)) + " } }", "aliases"),
        ("{ run(id: 1) { " + "name " * 1001 + " } }", "selections"),
        ("{ searchRuns(first: 200) { nodes { versions(first: 200) { nodes { id } } } } }", "values"),
        ("query Q($n: Int!) { searchRuns(first: $n) { nodes { versions(first: 200) { nodes { id } } } } }", "values"),
        ("query Q($f: Int!) { searchRuns(first: $f) { nodes { versions(first: $f) { nodes { id } } } } }", "values"),
        ("query Q($o: Int) { runs: searchRuns(first: $o) { nodes { " + inner("o") + " } } }", "values"),
        ("query Q($m: Int! = 200) { searchRuns(first: $m) { nodes { versions(first: $m) { nodes { id } } } } }", "values"),
        ("{ versions { nodes { lineage(maxNodes: 1) { root } } } }", "walks"),
        (
            "{ __schema { types { fields { type { fields { type { fields { args { name type { name } } } } } } } } } }",
            "introspection",
        ),
    ],
)
def test_what_passes_a_limit_is_refused_by_name(text: str, limit: str) -> None:
    with pytest.raises(GraphQLError, match=limit):
        check(text, n=200, f=200.0)


@pytest.mark.parametrize(
    "text",
    [
        deep(10),
        "{ " + " ".join(f'a{i}: run(id: "{i}") {{ id }}' for i in range(10)) + " }",
        "{ searchRuns(first: 200) { nodes { id name metrics { key value } } } }",
        "{ versions(first: 5) { nodes { lineage { root } } } }",
        get_introspection_query(specified_by_url=True, schema_description=True, input_value_deprecation=True),
    ],
)
def test_what_people_ask_passes(text: str) -> None:
    check(text)


def test_a_list_counts_as_long_as_it_may_be() -> None:
    page = cost("{ searchRuns(first: 7) { edges { cursor node { id } } nodes { name } pageInfo { endCursor } } }")
    default = cost("{ searchRuns { nodes { id } } }")
    keyed = cost('{ run(id: 1) { metrics(keys: ["a", "b", "c"]) { key value } tags { key } } }')
    compared = cost(
        "query ($ids: [ID!]!) { compareRuns(ids: $ids) { items { id } metrics { cells { value } } } }", ids=["1"] * 20
    )

    assert [page.values, default.values, keyed.values, compared.values] == [7 * 4, 50, 3 * 2 + 10, 20 + 20 * 10]


def test_root_fields_in_fragments_are_counted_with_their_aliases() -> None:
    fields = " ".join(f"a{i}: run(id: {i}) {{ id }}" for i in range(6))

    with pytest.raises(GraphQLError, match="12 root fields"):
        check("{ ...F ...F } fragment F on Query { " + fields + " }")


ENDLESS_S = 30
"""Of a processor. What doubles with each fragment would take longer than anybody waits."""


def bomb(fragments: int) -> str:
    """Each spreads the next one twice: 2 to the power of their number for a rule that does not remember."""
    parts = ["{ run(id: 1) { ...F0 } }"]
    parts += [f"fragment F{i} on Run {{ a: parent {{ ...F{i + 1} }} b: parent {{ ...F{i + 1} }} }}" for i in range(fragments)]
    return " ".join([*parts, f"fragment F{fragments} on Run {{ id }}"])


@pytest.mark.parametrize("fragments", [18, 100, 190])
def test_doubling_fragments_are_refused_fast(fragments: int) -> None:
    began = time.process_time()

    refused = Documents(SCHEMA).get(bomb(fragments))

    assert isinstance(refused, list)
    assert "limit" in refused[0].message
    assert time.process_time() - began < ENDLESS_S


def test_flat_doubling_fragments_are_refused_fast_too() -> None:
    """No depth and no alias: only the number of selections tells."""
    parts = ["{ run(id: 1) { ...F0 } }", *(f"fragment F{i} on Run {{ ...F{i + 1} ...F{i + 1} }}" for i in range(60))]
    began = time.process_time()

    refused = Documents(SCHEMA).get(" ".join([*parts, "fragment F60 on Run { id }"]))

    assert isinstance(refused, list)
    assert "selections" in refused[0].message
    assert time.process_time() - began < ENDLESS_S


def test_many_repeats_are_refused_before_they_are_compared_in_pairs() -> None:
    began = time.process_time()

    refused = Documents(SCHEMA).get("{ run(id: 1) { " + "id " * 3_500 + "} }")

    assert isinstance(refused, list)
    assert time.process_time() - began < ENDLESS_S


@pytest.mark.parametrize(
    "text", ["{ run(id: 1) { ...F } } fragment F on Run { parent { ...F } }", "{ ...F } fragment F on Nothing { x }"]
)
def test_what_validation_will_refuse_does_not_break_the_measuring(text: str) -> None:
    refused = Documents(SCHEMA).get(text)

    assert isinstance(refused, list)
    assert "limit" not in refused[0].message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ " + "x " * 40_000 + "}", "characters"),
        ("{ " + "x " * 5_000 + "}", "tokens"),
        ("{ run" * 300 + " }" * 300, "."),
    ],
)
def test_a_document_that_is_too_long_or_too_deep_is_not_read(text: str, said: str) -> None:
    refused = Documents(SCHEMA).get(text)

    assert isinstance(refused, list)
    assert said in refused[0].message


def test_documents_are_read_once() -> None:
    documents = Documents(SCHEMA)

    assert documents.get(operation("run")) is documents.get(operation("run"))


def test_tools_can_read_the_schema(http: httpx.Client) -> None:
    types = ask(http, get_introspection_query())["__schema"]["types"]

    assert {"Run", "LineageGraph", "RunConnection"} <= {one["name"] for one in types}

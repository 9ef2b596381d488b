import pytest

from graphql import GraphQLError, SelectionSetNode, parse
from registry.api.gql import limits
from registry.api.gql.limits import check_limits


def check(text: str, **variables: object) -> None:
    check_limits(parse(text), None, variables)


def test_a_document_within_the_limits_passes() -> None:
    check("{ run(id: 1) { name metrics { key value } } }")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("{ a " + "{ b " * 12 + "}" * 12 + "}", "levels"),
        ("{ " + " ".join(f"a{i}: x" for i in range(11)) + " }", "root fields"),
        ("{ a { " + " ".join(f"a{i}: x" for i in range(1001)) + " } }", "selections"),
        ("{ runs(first: 200) { metrics(first: 200) { key } } }", "values"),
        ("query Q($n: Int) { runs(first: $n) { metrics(first: 200) { key } } }", "values"),
    ],
)
def test_what_passes_a_limit_is_refused_by_name(text: str, limit: str) -> None:
    with pytest.raises(GraphQLError, match=limit):
        check(text, n=200)


def test_root_fields_in_fragments_are_counted() -> None:
    fields = " ".join(f"a{i}: x" for i in range(11))

    with pytest.raises(GraphQLError, match="root fields"):
        check("{ ...F } fragment F on Query { " + fields + " }")


def test_doubling_fragments_are_measured_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """18 fragments that each spread the next one twice: 2 to the 18th visits for a rule that does not remember."""
    parts = ["{ a { ...F0 } }"]
    parts += [f"fragment F{i} on T {{ x {{ ...F{i + 1} }} y {{ ...F{i + 1} }} }}" for i in range(18)]
    parts.append("fragment F18 on T { z }")
    visits: list[object] = []
    measure = limits._Meter.cost

    def counted(meter: limits._Meter, selections: SelectionSetNode) -> limits.Cost:
        visits.append(selections)
        return measure(meter, selections)

    monkeypatch.setattr(limits._Meter, "cost", counted)

    with pytest.raises(GraphQLError):
        check(" ".join(parts))

    assert len(visits) < 100


def test_a_cycle_of_fragments_ends() -> None:
    check("{ a { ...F } } fragment F on T { x { ...F } }")

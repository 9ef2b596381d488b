"""The schema that is served is the one that is committed, and every committed operation fits it."""

import pytest

from graphql import parse, validate
from registry.api.gql.schema import schema
from tests.gql.asking import GRAPHQL, OPERATIONS, operation


def test_the_committed_sdl_is_what_is_served() -> None:
    assert (GRAPHQL / "schema.graphql").read_text("utf-8") == str(schema).rstrip() + "\n"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_fits_the_schema(name: str) -> None:
    assert validate(schema.graphql_schema, parse(operation(name))) == []

"""What databases make of the SQL: the index of the key leads."""

from typing import Any

import pytest
import sqlalchemy as sa

from registry.filtering import parse_filter
from tests.filtering.store import Store, items, metrics, params
from tests.filtering.words import ITEMS


@pytest.fixture(scope="module")
def big(store: Store) -> Store:
    """The store with 20,000 records more, 3 params and a metric each; what is asked for is rare."""
    with store.transaction() as connection:
        numbers = range(1_000, 21_000)
        connection.execute(items.insert(), [{"id": n, "created_at": n, "name": f"n{n}", "size": n} for n in numbers])
        connection.execute(
            params.insert(),
            [
                {"item": n, "name": name, "value": f"v{n % 1_000}", "value_prefix": f"v{n % 1_000}"}
                for n in numbers
                for name in (("k1", "k2", "rare") if n % 500 == 0 else ("k1", "k2"))
            ],
        )
        connection.execute(metrics.insert(), [{"item": n, "name": "m", "value": n / 7, "special": 0} for n in numbers])
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("items", "params", "metrics"):
            connection.execute(sa.text(f"{'ANALYZE TABLE' if 'mariadb' in store.engine.dialect.name else 'ANALYZE'} {table}"))
    return store


def plan(store: Store, text: str) -> str:
    statement = store.statement(parse_filter(text, ITEMS)).order_by(None)
    compiled = statement.compile(store.engine, compile_kwargs={"render_postcompile": True})
    explain = "EXPLAIN QUERY PLAN " if store.engine.dialect.name == "sqlite" else "EXPLAIN "
    with store.engine.connect() as connection:
        found = connection.exec_driver_sql(explain + str(compiled), _parameters(compiled)).all()
    return "\n".join(str(tuple(row)) for row in found)


def _parameters(compiled: Any) -> Any:
    values = compiled.construct_params()
    names = getattr(compiled, "positiontup", None)
    return tuple(values[name] for name in names) if names else values


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("params.rare = 'v0'", "params_by_key"),
        ("params.rare LIKE '%v5%'", "params_by_key"),
        ("params.rare ILIKE '%V5%'", "params_by_key"),
        ("params.k1 LIKE 'v99%'", "params_by_key"),
        ("params.k1 IN ('v1', 'v2')", "params_by_key"),
        ("metrics.m > 2800", "metrics_by_key"),
        ("name LIKE 'n100%'", "by_name"),
        ("name = 'n1000'", "by_name"),
    ],
)
def test_a_rare_condition_is_found_by_the_index_of_its_key(big: Store, text: str, index: str) -> None:
    assert index in plan(big, text)
    assert big.find(text) != []

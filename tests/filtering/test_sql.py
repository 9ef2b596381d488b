"""The SQL itself: values are bound, injection finds nothing."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from registry.filtering import FilterError, compile_filter, parse_filter
from registry.filtering.dialects import prepare_sqlite
from tests.filtering.store import ItemResolver, Store
from tests.filtering.words import ITEMS

HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE items; --",
    '" OR 1=1 --',
    "` OR 1=1 #",
    "\\' OR 1=1 --",
    "%' ESCAPE '!' OR 1=1 --",
    "x') OR (1=1",
    "' UNION SELECT id FROM items --",
    ":name_1 %(x)s ? $1 {0}",
    "/*! OR 1=1 */",
]


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def key(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "template",
    [
        "name = {value}",
        "name IN ({value}, {value})",
        "name LIKE {value}",
        "name ILIKE {value}",
        "params.lr = {value}",
        "params.{key} = 'x'",
        "params.{key} IS NOT NULL",
        "metrics.{key} > 0",
        "properties.{key} = {value}",
        "aliases = {value}",
        "name BETWEEN {value} AND {value}",
    ],
)
def test_hostile_text_is_only_text(store: Store, hostile: str, template: str) -> None:
    text = template.format(value=quoted(hostile), key=key(hostile))

    found = store.find(text)

    expected = [10] if template.startswith("params.lr") and "DROP" in hostile else []
    assert found == expected
    assert len(store.find("")) == 11


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_outside_quotes_is_refused(hostile: str) -> None:
    for template in ("name = 'x' {0}", "name = {0}", "{0} = 1", "size IN ({0})", "id = {0}"):
        with pytest.raises(FilterError):
            parse_filter(template.replace("{0}", hostile), ITEMS)


DIALECTS: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mysql}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_value_and_no_key_stands_in_the_statement(dialect: str) -> None:
    text = (
        "name = 'sesame' AND name LIKE '%sesame%' AND name ILIKE 'sesame' AND name IN ('sesame') AND params.sesame = 'sesame' "
        "AND size = 424242 AND size IN (424242) AND metrics.sesame > 4242.42 AND NOT properties.sesame = 424242 "
        "AND aliases BETWEEN 'sesame' AND 'sesame' AND created_at = 424242 AND id = 'it_424242' AND params.x LIKE 'sesame%'"
    )

    statement = str(compile_filter(parse_filter(text, ITEMS), ItemResolver()).compile(dialect=DIALECTS[dialect].dialect()))

    assert "sesame" not in statement
    assert "4242" not in statement


def test_exact_comparisons_use_no_like() -> None:
    for text in ("name = 'a%'", "params.lr = 'a%'", "name IN ('a%')", r"name LIKE 'a\%'", "name LIKE 'a%'"):
        statement = str(compile_filter(parse_filter(text, ITEMS), ItemResolver()))

        assert "LIKE" not in statement.upper(), text


def test_a_connection_of_any_origin_can_be_prepared(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    sa.event.listen(engine, "connect", lambda connection, _record: prepare_sqlite(connection))
    store = Store(engine)

    assert store.find("name LIKE 'a%'") == [1, 3]
    assert store.find("name ILIKE 'é'") == [4, 6]
    engine.dispose()

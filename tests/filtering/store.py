"""Scratch tables with every shape of operand, their resolver, records in them, and the plainest evaluator there is."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from registry.db.engine import open_database
from registry.filtering import compile_filter, parse_filter
from registry.filtering.numbers import LARGEST
from registry.filtering.operands import PREFIX_LENGTH, Operand, Scope, Storage, neighbour, rows
from registry.filtering.patterns import read_pattern
from registry.filtering.tree import (
    ATTRIBUTES,
    Accessor,
    And,
    Between,
    Compare,
    Field,
    In,
    IsNull,
    Leaf,
    Like,
    Literal,
    Not,
    Or,
    Tree,
)
from registry.tables.base import Id, LongText, Millis, Name, Prefix, Real, Small
from tests.filtering.words import ITEMS

metadata = sa.MetaData()
items = sa.Table(
    "items",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("name", Name),
    sa.Column("status", Small),
    sa.Column("size", Id),
    sa.Column("score", Real),
    sa.Column("flag", Small),
    sa.Column("created_at", Millis, nullable=False),
    sa.Index("by_name", "name"),
)


def _keyed(table: str, *columns: sa.Column[Any], index: str) -> sa.Table:
    return sa.Table(
        table,
        metadata,
        sa.Column("item", Id, primary_key=True, autoincrement=False),
        sa.Column("name", Name, primary_key=True),
        *columns,
        sa.Index(f"{table}_by_key", "name", index, "item"),
    )


params = _keyed(
    "params",
    sa.Column("value", LongText, nullable=False),
    sa.Column("value_prefix", Prefix, nullable=False),
    index="value_prefix",
)
metrics = _keyed("metrics", sa.Column("value", Real, nullable=False), sa.Column("special", Small, nullable=False), index="value")
properties = _keyed(
    "properties",
    sa.Column("int_value", Id),
    sa.Column("double_value", Real),
    sa.Column("string_value", LongText),
    sa.Column("string_prefix", Prefix),
    sa.Column("bool_value", Small),
    index="int_value",
)
aliases = sa.Table("aliases", metadata, sa.Column("item", Id, primary_key=True), sa.Column("alias", Name, primary_key=True))
contexts = sa.Table(
    "contexts",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("name", Name),
    sa.Column("type", Name),
)
members = sa.Table(
    "members", metadata, sa.Column("item", Id, primary_key=True), sa.Column("context", Id, primary_key=True, autoincrement=False)
)

PROPERTY = {
    Storage.INTEGER: properties.c.int_value,
    Storage.REAL: properties.c.double_value,
    Storage.TEXT: properties.c.string_value,
    Storage.BOOLEAN: properties.c.bool_value,
}
ACCESSED = {
    Accessor.INT: Storage.INTEGER,
    Accessor.DOUBLE: Storage.REAL,
    Accessor.STRING: Storage.TEXT,
    Accessor.BOOL: Storage.BOOLEAN,
}
OWN = {
    "id": Storage.INTEGER,
    "name": Storage.TEXT,
    "status": Storage.INTEGER,
    "size": Storage.INTEGER,
    "score": Storage.REAL,
    "flag": Storage.BOOLEAN,
    "created_at": Storage.INTEGER,
}


class ItemResolver:
    def __init__(self) -> None:
        self._neighbours: dict[str, tuple[sa.FromClause, Scope]] = {}

    def operand(self, field: Field) -> Operand:
        if field.space == "contexts":
            return self._context(field)
        if field.space == "params":
            scope = rows(items.c.id, params.c.item, params.c.name == field.name)
            return Operand({Storage.TEXT: params.c.value}, params.c.value_prefix, nullable=False, scope=scope)
        if field.space == "metrics":
            scope = rows(items.c.id, metrics.c.item, metrics.c.name == field.name)
            return Operand({Storage.REAL: metrics.c.value}, nullable=False, scope=scope, is_nan=metrics.c.special == 1)
        if field.space == "properties":
            scope = rows(items.c.id, properties.c.item, properties.c.name == field.name)
            stored = PROPERTY if field.accessor is None else {ACCESSED[field.accessor]: PROPERTY[ACCESSED[field.accessor]]}
            return Operand(stored, properties.c.string_prefix, scope=scope)
        if field.name == "aliases":
            return Operand({Storage.TEXT: aliases.c.alias}, nullable=False, scope=rows(items.c.id, aliases.c.item))
        column = items.c[field.name]
        return Operand({OWN[field.name]: column}, nullable=bool(column.nullable))

    def _context(self, field: Field) -> Operand:
        alias = str(field.alias)
        if alias not in self._neighbours:
            own, link = contexts.alias(f"c_{len(self._neighbours)}"), members.alias(f"m_{len(self._neighbours)}")
            joined = sa.join(own, link, link.c.context == own.c.id)
            self._neighbours[alias] = (own, neighbour(alias, joined, link.c.item == items.c.id))
        table, scope = self._neighbours[alias]
        return Operand({Storage.INTEGER if field.name == "id" else Storage.TEXT: table.c[field.name]}, scope=scope)


@dataclass(frozen=True)
class Item:
    id: int
    created_at: int = 0
    name: str | None = None
    status: int | None = None
    size: int | None = None
    score: float | None = None
    flag: bool | None = None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    properties: dict[str, int | float | str | bool] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    contexts: tuple[int, ...] = ()


LONG = "x" * 250
CONTEXTS: dict[int, dict[str, Any]] = {
    1: {"id": 1, "name": "run1", "type": "C"},
    2: {"id": 2, "name": "pipe", "type": "D"},
    3: {"id": 3, "name": None, "type": "C"},
}
RECORDS = [
    Item(1, 1_000, "a", 1, 5, 0.5, True, {"lr": "0.1", "k": "50%"}, {"acc": 0.9}, {"p": 5}, ("champion",), (1, 2)),
    Item(
        2, 2_000, "A", 2, -5, -0.5, False, {"lr": "0.10", "k": "50_x"}, {"acc": math.nan}, {"p": 5.5}, ("champion", "best"), (1,)
    ),
    Item(3, 3_000, "a ", 4, 2**53 + 1, 2.0**53, None, {"lr": LONG}, {"acc": math.inf}, {"p": "5"}, (), (2,)),
    Item(4, 4_000, "é", None, 2**63 - 1, 1e300, True, {"lr": LONG + "y"}, {"acc": -math.inf}, {"p": True}, ("Champion",), (3,)),
    Item(5, 5_000, "e\u0301", 1, -(2**63), 0.0, False, {"lr": "a\\b"}, {"acc": 0.0}, {"p": False}),
    Item(6, 6_000, "É", 2, 0, None, None, {"lr": "", "k": "!"}, {"acc": 1.0}, {"p": 5.0}, (), (1, 2, 3)),
    Item(7, 7_000, None, 4, None, 5.0, True, {"k": "%"}, {}, {"p": 2**53 + 1}, ("best",)),
    Item(8, 1_767_225_600_000, "x_y", None, 1, 1.5, False, {"k": "Жук"}, {"loss": 3.0}, {"q": "жук"}),
    Item(9, 9_000, "x%y", 1, 2, 2.5, True, {"lr": "a\nb", "k": "🎉"}, {"acc": 5e-324}, {"p": -(2**63)}),
    Item(10, 10_000, "xAy", 2, 3, -0.0, None, {"lr": "'; DROP TABLE items; --"}, {"acc": LARGEST}, {"p": "ab" * 150}),
    Item(11, 11_000),
]


def _rows_of(item: Item) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
    yield items, {name: getattr(item, name) for name in OWN} | {"flag": None if item.flag is None else int(item.flag)}
    for name, text in item.params.items():
        yield params, {"item": item.id, "name": name, "value": text, "value_prefix": text[:PREFIX_LENGTH]}
    for name, value in item.metrics.items():
        stored = 0.0 if math.isnan(value) else max(-LARGEST, min(LARGEST, value))
        special = 1 if math.isnan(value) else 0
        yield metrics, {"item": item.id, "name": name, "value": stored, "special": special}
    for name, scalar in item.properties.items():
        row: dict[str, Any] = dict.fromkeys(("int_value", "double_value", "string_value", "string_prefix", "bool_value"))
        match scalar:
            case bool():
                row["bool_value"] = int(scalar)
            case int():
                row["int_value"] = scalar
            case float():
                row["double_value"] = scalar
            case str():
                row |= {"string_value": scalar, "string_prefix": scalar[:PREFIX_LENGTH]}
        yield properties, {"item": item.id, "name": name, **row}
    for alias in item.aliases:
        yield aliases, {"item": item.id, "alias": alias}
    for context in item.contexts:
        yield members, {"item": item.id, "context": context}


class Store:
    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        metadata.create_all(engine)
        with self.transaction() as connection:
            for record in RECORDS:
                for table, row in _rows_of(record):
                    connection.execute(table.insert(), row)
            connection.execute(contexts.insert(), list(CONTEXTS.values()))

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        with self.engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")  # the service's writer does that itself; without it each row is flushed
            yield connection

    def statement(self, tree: Tree | None, *, probing: bool = False) -> sa.Select[Any]:
        return sa.select(items.c.id).where(compile_filter(tree, ItemResolver(), probing=probing)).order_by(items.c.id)

    def found(self, tree: Tree | None) -> list[int]:
        """Asked in both ways, which say the same."""
        with self.engine.connect() as connection:
            led, probed = (list(connection.execute(self.statement(tree, probing=probing)).scalars()) for probing in (False, True))
        assert led == probed
        return led

    def find(self, text: str) -> list[int]:
        return self.found(parse_filter(text, ITEMS))


@pytest.fixture(scope="module")
def store(database_url: str) -> Iterator[Store]:
    database = open_database(database_url)
    yield Store(database.writer)
    database.close()


# ---- the evaluator: what a filter means, without SQL ----------------------------------------------------------------

_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def meaning(tree: Tree) -> list[int]:
    """The ids of the records that a checked tree without neighbours is true for."""
    return [record.id for record in RECORDS if holds(tree, record)]


def holds(tree: Tree, record: Item) -> bool:
    match tree:
        case And():
            return all(holds(part, record) for part in tree.parts)
        case Or():
            return any(holds(part, record) for part in tree.parts)
        case Not():
            return not holds(tree.part, record)
        case IsNull():
            return (not _values(tree.field, record)) != tree.negated
        case _:
            return any(_is_so(tree, value) for value in _values(tree.field, record))


def _values(named: Field, record: Item) -> Sequence[Any]:
    if named.space == ATTRIBUTES:
        value = getattr(record, named.name)
        return value if named.name == "aliases" else [] if value is None else [value]
    keyed = getattr(record, named.space)
    value = keyed.get(named.name)
    accessed = {None: object, Accessor.INT: int, Accessor.DOUBLE: float, Accessor.STRING: str, Accessor.BOOL: bool}[
        named.accessor
    ]
    is_right = isinstance(value, accessed) and not (accessed is int and isinstance(value, bool))
    return [value] if value is not None and is_right else []


def _is_so(leaf: Leaf, value: Any) -> bool:
    match leaf:
        case Compare():
            assert isinstance(leaf.value, Literal)
            return _compares(value, leaf.op, leaf.value.value)
        case In():
            written = [v.value for v in leaf.values if isinstance(v, Literal)]
            if leaf.negated:
                same_type = [v for v in written if _fits(value, v)]
                return not written or (bool(same_type) and all(_compares(value, "!=", v) for v in same_type))
            return any(_compares(value, "=", v) for v in written)
        case Between():
            assert isinstance(leaf.low, Literal)
            assert isinstance(leaf.high, Literal)
            low, high = leaf.low.value, leaf.high.value
            if not _fits(value, low) or _nans([value, low, high]):
                return False
            return (_compares(value, ">=", low) and _compares(value, "<=", high)) != leaf.negated
        case Like():
            pattern = read_pattern(str(leaf.pattern.value))
            return isinstance(value, str) and pattern.matches(value, ignore_case=leaf.ignore_case) != leaf.negated
    raise AssertionError(leaf)


def _nans(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, float) and math.isnan(value)]


def _fits(value: Any, written: Any) -> bool:
    for kind in (bool, str):
        if isinstance(value, kind) or isinstance(written, kind):
            return isinstance(value, kind) and isinstance(written, kind)
    return True


def _compares(value: Any, op: str, written: Any) -> bool:
    if not _fits(value, written):
        return False
    return _OPS[op](_stood(value), _stood(written))


def _stood(value: Any) -> Any:
    """Infinity and the largest double are one value in a column."""
    return math.copysign(math.inf, value) if isinstance(value, float) and abs(value) == LARGEST else value

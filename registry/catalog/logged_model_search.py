"""Logged models found as MLflow's clients ask for them. A filter finds any value that a metric ever had, as MLflow's does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.logged_models import HEADS, LoggedModel, with_values
from registry.catalog.mlflow_grammar import orderable, parsed
from registry.catalog.pages import Page, Search, find_page
from registry.catalog.subject_parts import TEXT, or_empty, own_column, pair_space, sorts_by
from registry.db.session import Session
from registry.errors import InvalidFilter
from registry.filtering import FieldSpec, FieldType, FilterError, OrderTerm
from registry.filtering.keyset import Place
from registry.filtering.operands import Operand, Storage, rows
from registry.filtering.subject import Attribute, KeySpace, Query, Sort, Sorted, Subject
from registry.filtering.tree import ATTRIBUTES, Accessor, Field, leaves
from registry.names import NodeKind, OwnerKind, Readiness, Special, sha256
from registry.tables.graph import artifacts, params, tags
from registry.tables.metrics import metric_points, series
from registry.tables.models import dataset_versions, datasets, logged_models
from registry.tables.runs import runs

_ANY: frozenset[int] | None = None
_WORDS = {"ready": Readiness.READY, "pending": Readiness.PENDING, "failed": Readiness.FAILED, "upload_failed": Readiness.FAILED}
_STATUS = {f"{prefix}{word}": int(value) for prefix in ("", "logged_model_") for word, value in _WORDS.items()}
_NAMES = {
    "creation_time": "creation_timestamp_ms",
    "creation_timestamp": "creation_timestamp_ms",
    "last_updated_timestamp": "last_updated_timestamp_ms",
}
_SPACES = {"attribute": ATTRIBUTES, "metric": "metrics", "param": "params", "tag": "tags"}


@dataclass(frozen=True)
class DatasetName:
    """`digest` None: any content of that name."""

    name: str
    digest: str | None


@dataclass(frozen=True)
class Order:
    """`dataset`: only what was measured on it counts."""

    field: str
    ascending: bool
    dataset: DatasetName | None


@dataclass(frozen=True)
class Wanted:
    """`datasets`: metrics are those measured on one of them; a filter without metrics asks for models that have any."""

    filter: str
    datasets: Sequence[DatasetName]
    order_by: Sequence[Order]
    after: Place | None
    limit: int


def search_logged_models(session: Session, actor: Actor, experiment_ids: Sequence[int], wanted: Wanted) -> Page[LoggedModel]:
    """Those of the experiments that are not deleted; the newest first where no order is given, and between equals.

    Four statements, and one for each dataset that is named.

    Raises:
        InvalidFilter: filter or order do not parse or type-check; says which and where.
        InvalidPageToken: `after` is no place of this order.
    """
    measured = _ids_of(session, actor, wanted.datasets) if wanted.datasets else _ANY
    tree = parsed(wanted.filter)
    subject, terms = _ordered(session, actor, wanted.order_by, measured)
    where = [
        logged_models.c.workspace == actor.workspace,
        logged_models.c.experiment.in_(experiment_ids),
        logged_models.c.id.in_(
            sa.select(artifacts.c.id).where(artifacts.c.id == logged_models.c.id, artifacts.c.deleted_at.is_(None))
        ),
    ]
    asks_metrics = tree is not None and any(_SPACES.get(leaf.field.space, leaf.field.space) == "metrics" for leaf in leaves(tree))
    if measured is not None and not asks_metrics:
        here = (series.c.owner_kind == OwnerKind.LOGGED_MODEL, series.c.dataset.in_(measured))
        where.append(sa.exists().where(series.c.owner == logged_models.c.id, *here))
    return find_page(session, subject, where, Search(tree or "", terms, wanted.after, wanted.limit), rows=HEADS, read=with_values)


def _ids_of(session: Session, actor: Actor, wanted: Sequence[DatasetName]) -> frozenset[int]:
    found: set[int] = set()
    for one in wanted:
        query = (
            sa.select(dataset_versions.c.id)
            .join(datasets, datasets.c.id == dataset_versions.c.dataset)
            .where(datasets.c.workspace == actor.workspace, datasets.c.name_hash == sha256("", one.name))
        )
        if one.digest is not None:
            query = query.where(dataset_versions.c.digest == one.digest)
        found |= set(session.scalars(query))
    return frozenset(found)


def _ordered(
    session: Session, actor: Actor, order_by: Sequence[Order], measured: frozenset[int] | None
) -> tuple[Subject, list[OrderTerm]]:
    """Each metric of the order is a space of its own: two may look at different datasets. Raises InvalidFilter."""
    spaces: dict[str, KeySpace] = {"metrics": _metrics(measured)}
    terms: list[OrderTerm] = []
    for number, order in enumerate(order_by):
        space, _, key = order.field.partition(".")
        if key and space == "metrics":
            sorting = f"metrics {number}"
            spaces[sorting] = _metrics(_ANY if order.dataset is None else _ids_of(session, actor, [order.dataset]))
            terms.append(OrderTerm(Field(sorting, key.strip("`")), descending=not order.ascending))
            continue
        terms.append(_by_attribute(order, terms))
    for name, descending in (("creation_timestamp_ms", True), ("model_id", False)):
        if all(term.field.name != name for term in terms):
            terms.append(OrderTerm(Field(ATTRIBUTES, name), descending=descending))
    return _subject(spaces), terms


def _by_attribute(order: Order, terms: Sequence[OrderTerm]) -> OrderTerm:
    try:
        return OrderTerm(orderable(Field(ATTRIBUTES, order.field), _ORDERS, terms), descending=not order.ascending)
    except FilterError as error:
        raise InvalidFilter(f"order_by {order.field[:80]!r}: {error.message}", line=error.line, column=error.column) from None


def _own(column: sa.Column[Any], type: FieldType = FieldType.TEXT) -> Attribute:
    """A column of the model's artifact, whose row is the one of the same id."""
    scope = rows(logged_models.c.id, artifacts.c.id)
    storage = Storage.TEXT if type is FieldType.TEXT else Storage.INTEGER

    def sort(query: Query) -> Sorted:
        joined = artifacts.alias()
        return Sorted(query.join(joined, joined.c.id == logged_models.c.id), joined.c[column.name])

    return Attribute(FieldSpec(type), Operand({storage: column}, nullable=False, scope=scope), sort)


def _status() -> Attribute:
    """In an order pending comes first, as MLflow numbers them."""
    scope = rows(logged_models.c.id, artifacts.c.id)
    operand = Operand({Storage.INTEGER: artifacts.c.readiness}, nullable=False, scope=scope)

    def sort(query: Query) -> Sorted:
        joined = artifacts.alias()
        place = sa.case((joined.c.readiness == Readiness.PENDING, 0), (joined.c.readiness == Readiness.READY, 1), else_=2)
        return Sorted(query.join(joined, joined.c.id == logged_models.c.id), place)

    return Attribute(FieldSpec(FieldType.ENUM, words=_STATUS), operand, sort)


def _run_id() -> Attribute:
    """As it is shown: empty where there is none."""
    hex = sa.select(runs.c.hex).where(runs.c.id == logged_models.c.run).scalar_subquery()
    shown = sa.func.coalesce(hex, logged_models.c.run_text, "")
    return Attribute(TEXT, Operand({Storage.TEXT: shown}, nullable=False), sorts_by(shown))


def _metrics(measured: frozenset[int] | None) -> KeySpace:
    """On those datasets; an order takes the one measured last, as (time, step)."""
    points = metric_points

    def here(of: sa.FromClause, number: int) -> list[sa.ColumnElement[bool]]:
        found = [of.c.owner_kind == OwnerKind.LOGGED_MODEL, of.c.name_id == number]
        return found if measured is None else [*found, of.c.dataset.in_(measured)]

    def operand(number: int, _accessor: Accessor | None) -> Operand:
        scope = rows(logged_models.c.id, points.c.owner, *here(points, number))
        return Operand({Storage.REAL: points.c.value}, nullable=False, scope=scope, is_nan=points.c.special == Special.NAN)

    def sort(number: int, _accessor: Accessor | None) -> Sort:
        def joined(query: Query) -> Sorted:
            newest = [points.c.at.desc(), points.c.step.desc(), points.c.dataset, points.c.value.desc()]
            last = sa.func.row_number().over(partition_by=points.c.owner, order_by=newest)
            value = sa.case((points.c.special == Special.NAN, None), else_=points.c.value)
            ranked = sa.select(points.c.owner, value.label("value"), last.label("place")).where(*here(points, number)).subquery()
            here_last = sa.and_(ranked.c.owner == logged_models.c.id, ranked.c.place == 1)
            return Sorted(query.join(ranked, here_last, isouter=True), ranked.c.value)

        return joined

    return KeySpace(FieldSpec(FieldType.REAL), operand, sort)


def _subject(spaces: dict[str, KeySpace]) -> Subject:
    return Subject(
        "logged model",
        logged_models.c.id,
        {
            "name": own_column(logged_models.c.name),
            "model_id": own_column(logged_models.c.model_id),
            "model_type": or_empty(logged_models.c.model_type),
            "status": _status(),
            "source_run_id": _run_id(),
            "creation_timestamp_ms": _own(artifacts.c.created_at, FieldType.TIME),
            "last_updated_timestamp_ms": _own(artifacts.c.updated_at, FieldType.TIME),
        },
        {
            "params": pair_space(params, NodeKind.ARTIFACT, logged_models.c.id),
            "tags": pair_space(tags, NodeKind.ARTIFACT, logged_models.c.id),
            **spaces,
        },
        _SPACES | _NAMES,
    )


_ORDERS = _subject({})

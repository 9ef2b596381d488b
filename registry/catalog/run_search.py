"""Runs and experiments found as MLflow's clients ask for them: its names of fields and its order, over the one filter language.

What MLflow's grammar refuses stays refused unless ours gives it a meaning (OR, NOT, parentheses, IN and ranges anywhere).
Keys that are columns here (`tags.mlflow.runName`) become those columns.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.experiments import Experiment, page_of_experiments
from registry.catalog.fragments import RunRead, read_rows
from registry.catalog.mlflow_grammar import parsed, terms_of
from registry.catalog.pages import Page, Search, find_page
from registry.catalog.run_tags import NAME, PARENT, USER
from registry.catalog.runs import HEADS, SHOWN_WEAKER, parent_of
from registry.catalog.subject_parts import (
    TEXT,
    column_of,
    metric_space,
    or_empty,
    own_column,
    pair_space,
    sorts_by,
    times_of,
)
from registry.db.session import Session
from registry.errors import InvalidFilter
from registry.filtering import FieldSpec, FieldType, OrderTerm, Tree
from registry.filtering.keyset import Place
from registry.filtering.operands import PREFIX_LENGTH, Operand, Storage, rows
from registry.filtering.patterns import read_pattern
from registry.filtering.subject import Attribute, Subject
from registry.filtering.tree import (
    ATTRIBUTES,
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
    Scalar,
    Value,
    all_of,
    any_of,
)
from registry.names import INPUT_EVENTS, FragmentKind, Lifecycle, NodeKind, OwnerKind, Status
from registry.tables.graph import events, params, tags
from registry.tables.models import dataset_versions, datasets
from registry.tables.runs import experiments, runs

STATUS_WORDS: Mapping[Status, str] = {
    Status.PENDING: "SCHEDULED",
    Status.RUNNING: "RUNNING",
    Status.SUCCEEDED: "FINISHED",
    Status.FAILED: "FAILED",
    Status.CANCELED: "KILLED",
}
PROXIED = "mlflow-artifacts:/"
"""How a place in our own store begins in MLflow; the workspace's folder is the server's business."""

_CHUNK = 5_000
"""Runs whose values one statement reads."""

_SPACES = {
    "metric": "metrics",
    "param": "params",
    "parameter": "params",
    "parameters": "params",
    "tag": "tags",
    "attribute": ATTRIBUTES,
    "attr": ATTRIBUTES,
    "run": ATTRIBUTES,
}
_NAMES = {
    "created": "start_time",
    "Created": "start_time",
    "run name": "run_name",
    "Run name": "run_name",
    "Run Name": "run_name",
}
_COLUMN_TAGS = {NAME: "name_tag", USER: "user_tag"}
"""Attributes of their own, so that an order may have both; without a user the tag is missing and the attribute empty."""


def status_word(status: Status | None) -> str:
    """How MLflow calls a run's state."""
    weaker = SHOWN_WEAKER.get(status, status)
    return STATUS_WORDS[weaker or Status.PENDING]


def artifact_uri(workspace_name: str, root: str | None) -> str:
    """A root in our own store as MLflow's clients write it; a client's own as it was given."""
    text = root or ""
    own = f"{workspace_name}/"
    return PROXIED + text[len(own) :] if text.startswith(own) else text


def _status() -> Attribute:
    """As stored; filters by words become filters by these (`_of_status`). Sorts as the words do."""
    ranks = {word: rank for rank, word in enumerate(sorted(STATUS_WORDS.values()))}
    rank = sa.case(*((runs.c.status == status, ranks[status_word(status)]) for status in Status), else_=ranks[status_word(None)])
    return Attribute(FieldSpec(FieldType.INTEGER), Operand({Storage.INTEGER: runs.c.status}), sorts_by(rank))


def _root(workspace_name: str) -> Attribute:
    own = f"{workspace_name}/"
    inside = sa.func.substr(runs.c.artifact_root, 1, len(own)) == own
    uri = sa.case((inside, sa.literal(PROXIED) + sa.func.substr(runs.c.artifact_root, len(own) + 1)), else_=runs.c.artifact_root)
    return Attribute(TEXT, Operand({Storage.TEXT: uri}), sorts_by(sa.func.substr(uri, 1, PREFIX_LENGTH)))


def _dataset(column: sa.Column[Any], *, nullable: bool = False) -> Attribute:
    """Of the datasets that the run read."""
    versions = (dataset_versions.c.id == events.c.artifact, datasets.c.id == dataset_versions.c.dataset)
    scope = rows(runs.c.execution, events.c.execution, *versions, events.c.type.in_(INPUT_EVENTS))
    return Attribute(FieldSpec(FieldType.TEXT, is_many=True), Operand({Storage.TEXT: column}, nullable=nullable, scope=scope))


@lru_cache(maxsize=256)
def _runs_subject(workspace_name: str) -> Subject:
    return Subject(
        "run",
        runs.c.id,
        {
            "run_id": Attribute(TEXT, Operand({Storage.TEXT: runs.c.hex}, nullable=False), sorts_by(runs.c.hex)),
            "run_name": own_column(runs.c.name),
            "name_tag": own_column(runs.c.name),
            "user_id": or_empty(runs.c.user_name),
            "user_tag": own_column(runs.c.user_name),
            "status": _status(),
            "artifact_uri": _root(workspace_name),
            "start_time": own_column(runs.c.started_at, FieldType.TIME),
            "end_time": own_column(runs.c.ended_at, FieldType.TIME),
            "dataset_name": _dataset(datasets.c.name),
            "dataset_digest": _dataset(dataset_versions.c.digest),
            "dataset_context": _dataset(events.c.purpose, nullable=True),
            "parent_text": own_column(runs.c.parent_text),
            "parent": column_of(runs.c.parent, runs, "hex", TEXT),
        },
        {
            "metrics": metric_space(OwnerKind.RUN, runs.c.id, nan_between=True),
            "params": pair_space(params, NodeKind.CONTEXT, runs.c.id),
            "tags": pair_space(tags, NodeKind.CONTEXT, runs.c.id),
        },
        _SPACES | _NAMES,
    )


@lru_cache(maxsize=256)
def _experiments_subject(default: int) -> Subject:
    def convert(value: Scalar) -> Scalar:
        try:
            number = int(str(value))
        except ValueError:
            raise ValueError("is the id of an experiment: an integer") from None
        return number or default

    id = experiments.c.id
    times = times_of(id)
    return Subject(
        "experiment",
        id,
        {
            "experiment_id": Attribute(
                FieldSpec(FieldType.KEY, convert=convert), Operand({Storage.INTEGER: id}, nullable=False), sorts_by(id)
            ),
            "name": own_column(experiments.c.name),
            "creation_time": times["created_at"],
            "last_update_time": times["updated_at"],
        },
        {"tags": pair_space(tags, NodeKind.CONTEXT, id)},
        {"tag": "tags", "attribute": ATTRIBUTES, "attr": ATTRIBUTES},
    )


@dataclass(frozen=True)
class Asked:
    """What a search of MLflow's asks for, as it came. `lifecycle` None: all."""

    filter: str = ""
    order_by: Sequence[str] = ()
    active: bool = True
    deleted: bool = False
    after: Place | None = None
    limit: int = 1000

    def of(self, column: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
        if self.active and self.deleted:
            return []
        return [column == Lifecycle.DELETED if self.deleted else column != Lifecycle.DELETED]


def search_runs(session: Session, actor: Actor, experiment_ids: Sequence[int], asked: Asked, *, now: int) -> Page[RunRead]:
    """Those of the experiments; between equals, and where no order is given, the newest first, then by run id.

    For up to 5,000 runs two statements where valid fragments of all are stored, at most five; in the order of a metric up to two
    more.

    Raises:
        InvalidFilter: filter or order do not parse or type-check; says which and where.
        InvalidPageToken: `after` is no place of this order.
    """
    subject = _runs_subject(actor.workspace_name)
    where = [runs.c.workspace == actor.workspace, runs.c.experiment.in_(experiment_ids), *asked.of(runs.c.lifecycle)]
    tree = parsed(asked.filter)
    if tree is not None:
        tree = _with_columns(session, actor, tree)
    terms = terms_of(asked.order_by, subject, _column)
    for name, descending in (("start_time", True), ("run_id", False)):
        if all(term.field != Field(ATTRIBUTES, name) for term in terms):
            terms.append(OrderTerm(Field(ATTRIBUTES, name), descending=descending))
    search = Search(tree or "", terms, asked.after, asked.limit)

    def read(session: Session, found: Sequence[sa.Row[tuple[Any, ...]]]) -> list[RunRead]:
        kind = FragmentKind.RUN_VALUES_MLFLOW
        return [
            one
            for start in range(0, len(found), _CHUNK)
            for one in read_rows(session, found[start : start + _CHUNK], kind, now=now)
        ]

    return find_page(session, subject, where, search, rows=HEADS, read=read)


def search_experiments(session: Session, actor: Actor, asked: Asked, *, default: int) -> Page[Experiment]:
    """The newest first where no order is given; two statements. `default`: which one is meant by 0. Raises as `search_runs`."""
    subject = _experiments_subject(default)
    where = [experiments.c.workspace == actor.workspace, *asked.of(experiments.c.lifecycle)]
    terms = terms_of(asked.order_by, subject)
    id = Field(ATTRIBUTES, "experiment_id")
    if not terms:
        terms = [OrderTerm(Field(ATTRIBUTES, "creation_time"), descending=True)]
    elif all(term.field != id for term in terms):
        terms.append(OrderTerm(id, descending=True))
    return page_of_experiments(session, subject, where, Search(parsed(asked.filter) or "", terms, asked.after, asked.limit))


# ---- the grammar -----------------------------------------------------------------------------------------------------


def _column(field: Field) -> Field:
    """The column that a tag's key stands for, or what a dataset of the run has."""
    if field.space in {"dataset", "datasets"} and field.name in {"name", "digest", "context"}:
        return Field(ATTRIBUTES, f"dataset_{field.name}", position=field.position)
    if _SPACES.get(field.space, field.space) == "tags" and field.name in _COLUMN_TAGS:
        return Field(ATTRIBUTES, _COLUMN_TAGS[field.name], position=field.position)
    return field


def _with_columns(session: Session, actor: Actor, tree: Tree) -> Tree:
    match tree:
        case And() | Or():
            join = all_of if isinstance(tree, And) else any_of
            return join(_with_columns(session, actor, part) for part in tree.parts)
        case Not():
            return Not(_with_columns(session, actor, tree.part))
    if _SPACES.get(tree.field.space, tree.field.space) == "tags" and tree.field.name == PARENT:
        return _of_parent(session, actor, tree)
    if _SPACES.get(tree.field.space, tree.field.space) == ATTRIBUTES and tree.field.name == "status":
        return _of_status(tree)
    return replace(tree, field=_column(tree.field))


def _of_parent(session: Session, actor: Actor, leaf: Leaf) -> Tree:
    """A run's parent by the text that a client wrote; by its id where none did, or where the text means another id of it."""
    text, run = (Field(ATTRIBUTES, name, position=leaf.field.position) for name in ("parent_text", "parent"))
    if isinstance(leaf, IsNull):
        join = any_of if leaf.negated else all_of
        return join([replace(leaf, field=text), replace(leaf, field=run)])
    if isinstance(leaf, Compare) and leaf.op == "=" and isinstance(leaf.value, Literal):
        parent = parent_of(session, actor, str(leaf.value.value))
        if parent is not None:
            hex = session.scalar(sa.select(runs.c.hex).where(runs.c.id == parent))
            return any_of([replace(leaf, field=text), replace(leaf, field=run, value=Literal(hex))])
        return replace(leaf, field=text)
    return any_of([replace(leaf, field=text), all_of([IsNull(text), replace(leaf, field=run)])])


def _of_status(leaf: Leaf) -> Tree:
    """Of MLflow's words, those that the comparison is true for, as stored states. Words compare as text, with their case."""
    field = Field(ATTRIBUTES, "status", position=leaf.field.position)
    matched = {word for word in STATUS_WORDS.values() if _is_true(leaf, word)}
    stored = In(field, tuple(Literal(int(status)) for status in Status if status_word(status) in matched))
    return any_of([stored, IsNull(field)]) if status_word(None) in matched else stored


def _is_true(leaf: Leaf, word: str) -> bool:
    match leaf:
        case Compare():
            return _OPERATORS[leaf.op](word, _text(leaf.value))
        case In():
            return (word in {_text(value) for value in leaf.values}) is not leaf.negated
        case Like():
            return read_pattern(_text(leaf.pattern)).matches(word, ignore_case=leaf.ignore_case) is not leaf.negated
        case Between():
            return (_text(leaf.low) <= word <= _text(leaf.high)) is not leaf.negated
        case IsNull():
            return leaf.negated


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _text(value: Value | Field) -> str:
    """Raises InvalidFilter: it is no text."""
    if isinstance(value, Literal) and isinstance(value.value, str):
        return value.value
    raise InvalidFilter("filter: `status` is text in quotes", line=value.position.line, column=value.position.column)

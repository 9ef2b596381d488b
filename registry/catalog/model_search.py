"""Registered models and versions found as MLflow's clients ask for them: its names of fields, its order, its rule about prompts.

A prompt is a model with the tag `mlflow.prompt.is_prompt`, as are its versions. Searches leave prompts out unless the filter
asks for them by that tag; a record without the tag is one whose tag says `false`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.interning import find_names
from registry.catalog.mlflow_grammar import check_attributes, parsed, terms_of
from registry.catalog.model_creation import RegisteredModel
from registry.catalog.models import page_of_models
from registry.catalog.pages import Page, Search
from registry.catalog.runs import Fields, parent_of
from registry.catalog.subject_parts import TEXT, column_of, own_column, pair_space, times_of
from registry.catalog.version_reads import ModelVersion, page_of_versions
from registry.db.session import Session
from registry.filtering import FieldType, OrderTerm, Tree
from registry.filtering.keyset import Place
from registry.filtering.operands import Operand, Storage
from registry.filtering.subject import Attribute, Subject
from registry.filtering.tree import ATTRIBUTES, And, Compare, Field, Leaf, Literal, Not, Or, all_of, any_of, leaves
from registry.names import Lifecycle, NodeKind
from registry.tables.graph import tags
from registry.tables.models import model_versions, registered_models
from registry.tables.runs import runs

PROMPT = "mlflow.prompt.is_prompt"
_CHUNK = 5_000
"""Versions whose tags one statement reads."""

_NO_VALUES = Fields([], [], None)
_SPACES = {"tag": "tags", "attribute": ATTRIBUTES, "attr": ATTRIBUTES}
_MODEL_FILTERS = ("name",)
_MODEL_ORDERS = ("name", "last_updated_timestamp")
_VERSION_ORDERS = ("name", "version_number", "creation_timestamp", "last_updated_timestamp")
_VERSION_FILTERS = ("name", "version_number", "run_id", "source_path")


def _run_id() -> Attribute:
    """As MLflow shows it: empty where there is none."""
    hex = sa.select(runs.c.hex).where(runs.c.id == model_versions.c.run).scalar_subquery()
    return Attribute(TEXT, Operand({Storage.TEXT: sa.func.coalesce(hex, model_versions.c.run_text, "")}, nullable=False))


_MODELS = Subject(
    "registered model",
    registered_models.c.id,
    {
        "name": own_column(registered_models.c.name),
        "last_updated_timestamp": own_column(registered_models.c.mlflow_updated_at, FieldType.TIME),
    },
    {"tags": pair_space(tags, NodeKind.CONTEXT, registered_models.c.id)},
    _SPACES | {"timestamp": "last_updated_timestamp"},
)
_TIMES = times_of(model_versions.c.id)
_VERSIONS = Subject(
    "model version",
    model_versions.c.id,
    {
        "name": column_of(model_versions.c.model, registered_models, "name", TEXT),
        "version_number": own_column(model_versions.c.number, FieldType.INTEGER),
        "run_id": _run_id(),
        "source_path": own_column(model_versions.c.source),
        "creation_timestamp": _TIMES["created_at"],
        "last_updated_timestamp": _TIMES["updated_at"],
        "run": own_column(model_versions.c.run, FieldType.INTEGER),
        "run_text": own_column(model_versions.c.run_text),
    },
    {"tags": pair_space(tags, NodeKind.CONTEXT, model_versions.c.id)},
    _SPACES,
)


@dataclass(frozen=True)
class Wanted:
    """What a search asks for, as it came."""

    filter: str
    order_by: Sequence[str]
    after: Place | None
    limit: int


def search_models(session: Session, actor: Actor, wanted: Wanted) -> Page[RegisteredModel]:
    """By name where no order is given; three statements.

    Raises:
        InvalidFilter: filter or order do not parse or type-check; says which and where.
        InvalidPageToken: `after` is no place of this order.
    """
    tree = _checked(wanted.filter, _MODELS, _MODEL_FILTERS)
    terms = terms_of(wanted.order_by, _MODELS, allowed=_MODEL_ORDERS)
    if all(term.field.name != "name" for term in terms):
        terms.append(OrderTerm(Field(ATTRIBUTES, "name")))
    where = [registered_models.c.workspace == actor.workspace, registered_models.c.lifecycle != Lifecycle.DELETED]
    tree, without_prompts = _prompt_rule(tree)
    if without_prompts:
        where += [registered_models.c.id.not_in(one) for one in _prompts(session)]
    return page_of_models(session, _MODELS, where, Search(tree or "", terms, wanted.after, wanted.limit))


def search_versions(session: Session, actor: Actor, wanted: Wanted) -> Page[ModelVersion]:
    """The last changed first where no order is given, without metrics and params; four statements for up to 5,000.

    Raises as `search_models`.
    """
    tree = _checked(wanted.filter, _VERSIONS, _VERSION_FILTERS)
    if tree is not None:
        tree = _with_runs(session, actor, _numbered(tree))
    terms = terms_of(wanted.order_by or ["last_updated_timestamp DESC"], _VERSIONS, allowed=_VERSION_ORDERS)
    for name, descending in (("name", False), ("version_number", True)):
        if all(term.field.name != name for term in terms):
            terms.append(OrderTerm(Field(ATTRIBUTES, name), descending=descending))
    where = [model_versions.c.workspace == actor.workspace, model_versions.c.lifecycle != Lifecycle.DELETED]
    tree, without_prompts = _prompt_rule(tree)
    if without_prompts:
        for column in (model_versions.c.id, model_versions.c.model):
            where += [column.not_in(one) for one in _prompts(session)]
    search = Search(tree or "", terms, wanted.after, wanted.limit)
    return page_of_versions(session, _VERSIONS, where, search, fields=_NO_VALUES, chunk=_CHUNK)


def _checked(text: str, subject: Subject, allowed: Sequence[str]) -> Tree | None:
    tree = parsed(text)
    if tree is not None:
        check_attributes(tree, subject, allowed)
    return tree


def _numbered(tree: Tree) -> Tree:
    """`version_number = '3'` means the number, as in MLflow."""
    match tree:
        case And() | Or():
            return (all_of if isinstance(tree, And) else any_of)(_numbered(part) for part in tree.parts)
        case Not():
            return Not(_numbered(tree.part))
        case Compare(field=Field(space, "version_number"), value=Literal(str(text), position)):
            if _SPACES.get(space, space) == ATTRIBUTES and re.fullmatch(r"-?[0-9]{1,18}", text):
                return replace(tree, value=Literal(int(text), position))
    return tree


def _with_runs(session: Session, actor: Actor, tree: Tree) -> Tree:
    """`run_id = …` by the run itself, which an index finds, whichever of its ids is meant."""
    match tree:
        case And() | Or():
            join = all_of if isinstance(tree, And) else any_of
            return join(_with_runs(session, actor, part) for part in tree.parts)
        case Not():
            return Not(_with_runs(session, actor, tree.part))
        case Compare(op="=", value=Literal(value=str(text))) if _is(tree, ATTRIBUTES, "run_id") and text:
            run = parent_of(session, actor, text)
            written: Tree = Compare(Field(ATTRIBUTES, "run_text"), "=", Literal(text))
            return written if run is None else any_of([Compare(Field(ATTRIBUTES, "run"), "=", Literal(run)), written])
    return tree


def _is(leaf: Leaf, space: str, name: str) -> bool:
    return _SPACES.get(leaf.field.space, leaf.field.space) == space and leaf.field.name == name


# ---- prompts ---------------------------------------------------------------------------------------------------------


def _prompt_rule(tree: Tree | None) -> tuple[Tree | None, bool]:
    """The filter without what it says of prompts, and whether they are left out. The first word about them decides."""
    first = None if tree is None else next((leaf for leaf in leaves(tree) if _is(leaf, "tags", PROMPT)), None)
    if tree is None or first is None:
        return tree, True
    if _says(first, "=", "true") or _says(first, "!=", "false"):
        return tree, False
    return _without_prompts(tree), True


def _says(leaf: Leaf, op: str, word: str) -> bool:
    value = leaf.value.value if isinstance(leaf, Compare) and isinstance(leaf.value, Literal) else None
    return isinstance(leaf, Compare) and leaf.op == op and isinstance(value, str) and value.lower() == word


def _without_prompts(tree: Tree) -> Tree | None:
    """Where no prompt is left, "it is none" is true of all: such parts of an AND go."""
    match tree:
        case And():
            parts = [part for part in map(_without_prompts, tree.parts) if part is not None]
            return all_of(parts) if parts else None
        case Or():
            return any_of(map(_absent_is_false, tree.parts))
        case Not():
            return _absent_is_false(tree)
    return None if _is_no_prompt(tree) else tree


def _absent_is_false(tree: Tree) -> Tree:
    match tree:
        case And() | Or():
            join = all_of if isinstance(tree, And) else any_of
            return join(map(_absent_is_false, tree.parts))
        case Not():
            return Not(_absent_is_false(tree.part))
    return Not(Compare(tree.field, "=", Literal("true"))) if _is_no_prompt(tree) else tree


def _is_no_prompt(leaf: Leaf) -> bool:
    return _is(leaf, "tags", PROMPT) and (_says(leaf, "!=", "true") or _says(leaf, "=", "false"))


def _prompts(session: Session) -> Iterable["sa.Select[tuple[Any]]"]:
    """The ids of all models and versions that are prompts; nothing where nobody has used the tag."""
    number = find_names(session, [PROMPT]).get(PROMPT)
    if number is not None:
        here = (tags.c.kind == NodeKind.CONTEXT, tags.c.name_id == number, tags.c.value_prefix == "true")
        yield sa.select(tags.c.node).where(*here)

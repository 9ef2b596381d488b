"""What a document may cost, judged before it runs.

Depth, root fields, other names, selections, walks of the graph, and an upper bound of the values that the answer can have: each
list multiplies what is under it by its size argument, or by what it gives by default. Every fragment is measured once: graphene's
own depth rule walks each spread again, and a 600-byte document of doubling fragments keeps it busy for seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SchemaMetaFieldDef,
    SelectionSetNode,
    TypeMetaFieldDef,
    ValueNode,
    VariableNode,
    get_named_type,
)

MAX_TOKENS = 4_000
MAX_SOURCE = 64 * 1024
MAX_DEPTH = 12
MAX_ROOT_FIELDS = 10
MAX_ALIASES = 100
MAX_SELECTIONS = 1_000
MAX_VALUES = 20_000
MAX_WALKS = 10
MAX_META_DEPTH = 20
MAX_META_VALUES = 1_800
"""Of introspection, for each type of the schema: the query that tools send stays under both."""

MAX_NESTING = 150
"""Of selection sets in one another, fragments included: the measuring itself must not run out of stack."""

LIST_SIZE = 10
"""What a list without a size argument is taken to have."""

ARRAY_VALUES = 20
SIZE_ARGUMENTS = ("first", "maxNodes", "maxPaths")
LENGTH_ARGUMENTS = ("ids", "keys")
"""Lists that are as long as the answer."""

COUNTED_ABOVE = {
    ("Comparison", "items"),
    ("Comparison", "records"),
    ("MetricRow", "cells"),
    ("LineageGraph", "nodes"),
    ("LineageGraph", "edges"),
    ("LineageGraph", "frontier"),
    ("LineagePaths", "paths"),
}
"""Lists whose size the field above them has multiplied in; those of connections likewise."""

WALKS = {"lineage", "lineagePaths", "impact"}
_MOST = 10**12


@dataclass(frozen=True)
class Cost:
    """`values` and `walks` are upper bounds; `meta_…` are those of introspection."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    selections: int = 0
    values: int = 0
    walks: int = 0
    meta_depth: int = 0
    meta_values: int = 0

    def beside(self, other: "Cost") -> "Cost":
        """Of two selections of one set."""
        return Cost(
            max(self.depth, other.depth),
            min(self.fields + other.fields, _MOST),
            min(self.aliases + other.aliases, _MOST),
            min(self.selections + other.selections, _MOST),
            min(self.values + other.values, _MOST),
            min(self.walks + other.walks, _MOST),
            max(self.meta_depth, other.meta_depth),
            min(self.meta_values + other.meta_values, _MOST),
        )


def check_limits(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None = None, variables: Mapping[str, Any] | None = None
) -> None:
    """Raises GraphQLError naming the limit that the operation passes.

    Without `variables` what depends on them is not judged: for a document that will be run with many.
    """
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        if operation_name is not None and (node.name is None or node.name.value != operation_name):
            continue
        cost = Meter(schema, document, node, variables or {}).measure()
        limits = [
            (cost.fields, MAX_ROOT_FIELDS, "root fields"),
            (cost.depth, MAX_DEPTH, "levels"),
            (cost.aliases, MAX_ALIASES, "aliases"),
            (cost.selections, MAX_SELECTIONS, "selections"),
            (cost.meta_depth, MAX_META_DEPTH, "levels of introspection"),
            (cost.meta_values, MAX_META_VALUES, "values of introspection for each type at most"),
        ]
        if variables is not None:
            limits += [(cost.walks, MAX_WALKS, "walks at most"), (cost.values, MAX_VALUES, "values at most")]
        for found, limit, what in limits:
            if found > limit:
                raise GraphQLError(f"the operation asks for {found} {what}, the limit is {limit}", [node])


class Meter:
    """Costs of the selection sets of one operation; each fragment is measured once."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        defaults = {node.variable.name.value: node.default_value for node in operation.variable_definitions or ()}
        self._variables: dict[str, Any] = {**defaults, **variables}
        self._known: dict[str, Cost] = {}
        self._nesting = 0

    def measure(self) -> Cost:
        return self._set(self._operation.selection_set, self._schema.get_root_type(self._operation.operation))

    def _set(self, selections: SelectionSetNode, parent: Any) -> Cost:
        """`parent`: the type that the selections are of; None where the document is wrong, which validation will say."""
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise GraphQLError(
                f"the operation is nested more than {MAX_NESTING} deep, the limit is {MAX_DEPTH} levels", [selections]
            )
        cost = Cost()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                cost = cost.beside(self._field(node, parent))
            elif isinstance(node, InlineFragmentNode):
                condition: NamedTypeNode | None = node.type_condition
                of = parent if condition is None else self._schema.get_type(condition.name.value)
                cost = cost.beside(self._set(node.selection_set, of))
            elif isinstance(node, FragmentSpreadNode):
                cost = cost.beside(self._fragment(node.name.value))
        self._nesting -= 1
        return cost

    def _fragment(self, name: str) -> Cost:
        known = self._known.get(name)
        if known is None:
            self._known[name] = Cost()  # a cycle is another rule's error; here it must only end
            node = self._fragments.get(name)
            if node is not None:
                self._known[name] = self._set(node.selection_set, self._schema.get_type(node.type_condition.name.value))
            known = self._known[name]
        return known

    def _field(self, node: FieldNode, parent: Any) -> Cost:
        name, aliases = node.name.value, int(node.alias is not None)
        field = _definition(parent, name)
        if node.selection_set is None:
            return Cost(1, 1, aliases, 1, self._leaf(field))
        inner = self._set(node.selection_set, None if field is None else get_named_type(field.type))
        selections = min(inner.selections + 1, _MOST)
        aliases = min(aliases + inner.aliases, _MOST)
        size = self._size(node, field, parent)
        if name in {"__schema", "__type"}:
            return Cost(1, 1, aliases, selections, 1, meta_depth=inner.depth + 1, meta_values=inner.values)
        walks = min(size * inner.walks, _MOST) + (name in WALKS)
        return Cost(inner.depth + 1, 1, aliases, selections, min(size * inner.values, _MOST), walks)

    def _leaf(self, field: GraphQLField | None) -> int:
        return ARRAY_VALUES if field is not None and get_named_type(field.type).name.endswith("Array") else 1

    def _size(self, node: FieldNode, field: GraphQLField | None, parent: Any) -> int:
        """How many items the field can give."""
        if field is None:
            return 1
        given = {argument.name.value: argument.value for argument in node.arguments}
        for name in SIZE_ARGUMENTS:
            if name in field.args:
                value = self._value(given[name]) if name in given else None
                # A variable may be left out, or be `200.0`, which is an Int too.
                return max(1, int(value if isinstance(value, int | float) else field.args[name].default_value))
        for name in LENGTH_ARGUMENTS:
            if name in given:
                value = self._value(given[name])
                return max(1, len(value)) if isinstance(value, list) else LIST_SIZE
        name = node.name.value
        is_counted = (parent.name, name) in COUNTED_ABOVE or (parent.name.endswith("Connection") and name in {"edges", "nodes"})
        if is_counted or not _is_list(field.type):
            return 1
        return 1 if parent.name == "__Schema" else _list_size(parent)

    def _value(self, node: ValueNode) -> Any:
        """The integer, or a list as long as the list, that an argument is."""
        if isinstance(node, VariableNode):
            value = self._variables.get(node.name.value)
            return self._value(value) if isinstance(value, ValueNode) else value
        if isinstance(node, IntValueNode):
            return int(node.value)
        return list(node.values) if isinstance(node, ListValueNode) else None


def _definition(parent: Any, name: str) -> GraphQLField | None:
    own: dict[str, GraphQLField] = parent.fields if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else {}
    return {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}.get(name) or own.get(name)


def _is_list(type_: GraphQLOutputType) -> bool:
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    return isinstance(type_, GraphQLList)


def _list_size(parent: Any) -> int:
    """Types have some ten fields, fields and other things of the schema's own few arguments."""
    return 2 if parent.name in {"__Field", "__Directive"} else LIST_SIZE

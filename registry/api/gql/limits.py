"""What a document may cost, judged before it runs.

Depth, root fields, selections and the sum of list sizes, each computed once per fragment: graphene's own depth rule walks every
spread again, and a 600-byte document of doubling fragments keeps it busy for seconds.
"""

from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

MAX_TOKENS = 4_000
MAX_SOURCE = 64 * 1024
MAX_DEPTH = 12
MAX_ROOT_FIELDS = 10
MAX_SELECTIONS = 1_000
MAX_VALUES = 20_000
DEFAULT_FIRST = 50
SIZE_ARGUMENTS = ("first", "maxNodes", "limit")


@dataclass(frozen=True)
class Cost:
    """`values` is an upper bound of the leaves that the answer can have."""

    depth: int = 0
    selections: int = 0
    values: int = 0


def check_limits(document: DocumentNode, operation_name: str | None, variables: dict[str, Any]) -> None:
    """Raises GraphQLError naming the limit that the operation passes."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    meter = _Meter(fragments, variables)
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        if operation_name is not None and (node.name is None or node.name.value != operation_name):
            continue
        roots = meter.root_fields(node.selection_set)
        cost = meter.cost(node.selection_set)
        for found, limit, what in (
            (roots, MAX_ROOT_FIELDS, "root fields"),
            (cost.depth, MAX_DEPTH, "levels"),
            (cost.selections, MAX_SELECTIONS, "selections"),
            (cost.values, MAX_VALUES, "values at most"),
        ):
            if found > limit:
                raise GraphQLError(f"the operation asks for {found} {what}, the limit is {limit}", [node])


class _Meter:
    """Costs of selection sets; each fragment is measured once."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode], variables: dict[str, Any]) -> None:
        self._fragments = fragments
        self._variables = variables
        self._known: dict[str, Cost] = {}

    def root_fields(self, selections: SelectionSetNode, *, depth: int = 0) -> int:
        total = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                total += 1
            elif isinstance(node, InlineFragmentNode):
                total += self.root_fields(node.selection_set, depth=depth)
            elif isinstance(node, FragmentSpreadNode):
                total += self._fragment(node.name.value).selections
        return total

    def cost(self, selections: SelectionSetNode) -> Cost:
        depth = count = values = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                own = self._field(node)
            elif isinstance(node, InlineFragmentNode):
                own = self.cost(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                own = self._fragment(node.name.value)
            else:
                continue
            depth, count, values = max(depth, own.depth), count + own.selections, values + own.values
        return Cost(depth, count, min(values, 10**12))

    def _field(self, node: FieldNode) -> Cost:
        if node.selection_set is None:
            return Cost(1, 1, 1)
        inner = self.cost(node.selection_set)
        return Cost(inner.depth + 1, inner.selections + 1, min(inner.values * self._size(node), 10**12))

    def _size(self, node: FieldNode) -> int:
        """How many items the field can give: its size argument, else what a list gives by default."""
        for argument in node.arguments:
            if argument.name.value in SIZE_ARGUMENTS:
                value: Any = None
                if isinstance(argument.value, IntValueNode):
                    value = int(argument.value.value)
                elif isinstance(argument.value, VariableNode):
                    value = self._variables.get(argument.value.name.value)
                return max(1, value) if isinstance(value, int) else DEFAULT_FIRST
        return 1

    def _fragment(self, name: str) -> Cost:
        known = self._known.get(name)
        if known is None:
            self._known[name] = Cost()  # a cycle is another rule's error; here it must only end
            fragment = self._fragments.get(name)
            known = self._known[name] = Cost() if fragment is None else self.cost(fragment.selection_set)
        return known

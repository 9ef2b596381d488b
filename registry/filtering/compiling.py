"""A checked tree to a SQLAlchemy predicate. Every value from the filter is a bound parameter.

The answer is two-valued: a leaf whose value is missing is false, and NOT turns that into true. Negation is carried down to
the leaves so that plain conditions stay plain (and on their indexes); only a negated nullable column needs `IS NOT TRUE`.

A leaf on other rows is "there is a row with …". Within an AND, leaves of one neighbour alias share that row: the parts that
speak of it are put inside one EXISTS. OR does not share, since "there is one with A or B" is the same said twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from registry.filtering.conditions import leaf_condition
from registry.filtering.errors import FilterError
from registry.filtering.operands import Condition, Operand, Resolver, Scope
from registry.filtering.tree import And, Compare, In, IsNull, Leaf, Not, Or, Tree, fields_of, leaves


def compile_filter(tree: Tree | None, resolver: Resolver, *, probing: bool = False) -> Condition:
    """The predicate for a WHERE; never NULL. No filter is TRUE.

    `tree` comes from `checking.check`. `probing`: the query looks at few records, each of which is asked for itself.

    Raises FilterError: what the resolver cannot be asked for, a comparison of fields of different tables, a tree too deep.
    """
    return sa.true() if tree is None else _Compiler(resolver, probing=probing).predicate(tree, frozenset(), negated=False)


MAX_DEPTH = 18
"""Of ANDs and ORs inside one another: SQLite's parser takes about 23, less what stands around the predicate."""
_EXISTS_DEPTH = 4
"""What one EXISTS counts for."""


class _Compiler:
    def __init__(self, resolver: Resolver, *, probing: bool) -> None:
        self.resolver = resolver
        self.probing = probing
        self.depth = 0

    def predicate(self, tree: Tree, bound: frozenset[str], *, negated: bool) -> Condition:
        """`bound` are the neighbour aliases whose row an enclosing EXISTS has fixed."""
        with self._deeper(1 if isinstance(tree, And | Or) else 0, tree):
            return self._predicate(tree, bound, negated=negated)

    @contextmanager
    def _deeper(self, by: int, tree: Tree) -> Iterator[None]:
        self.depth += by
        if self.depth > MAX_DEPTH:
            raise FilterError.at(next(leaves(tree)).field.position, "nested too deep for a database")
        yield
        self.depth -= by

    def _predicate(self, tree: Tree, bound: frozenset[str], *, negated: bool) -> Condition:
        match tree:
            case Not():
                return self.predicate(tree.part, bound, negated=not negated)
            case Or():
                parts = [self.predicate(part, bound, negated=negated) for part in tree.parts]
                return sa.and_(*parts) if negated else sa.or_(*parts)
            case And():
                parts = [self._group(group, bound, negated=negated) for group in self._groups(tree.parts, bound)]
                return sa.or_(*parts) if negated else sa.and_(*parts)
            case _:
                return self._leaf(tree, bound, negated=negated)

    def _aliases(self, tree: Tree, bound: frozenset[str]) -> dict[str, Scope]:
        operands = (self.resolver.operand(field) for leaf in leaves(tree) for field in fields_of(leaf) if field.alias)
        return {s.alias: s for s in (o.scope for o in operands) if s is not None and s.alias is not None and s.alias not in bound}

    def _groups(self, parts: Sequence[Tree], bound: frozenset[str]) -> list[list[Tree]]:
        """Parts that share an alias, however indirectly, together; in the order of their first part."""
        groups: list[tuple[set[str], list[Tree]]] = []
        for part in parts:
            aliases = set(self._aliases(part, bound))
            joined = [group for group in groups if group[0] & aliases]
            if not joined:
                groups.append((aliases, [part]))
                continue
            first, *rest = joined
            for group in rest:
                first[0].update(group[0])
                first[1].extend(group[1])
                groups.remove(group)
            first[0].update(aliases)
            first[1].append(part)
        return [members for _, members in groups]

    def _group(self, parts: Sequence[Tree], bound: frozenset[str], *, negated: bool) -> Condition:
        if len(parts) == 1:
            return self.predicate(parts[0], bound, negated=negated)
        scopes: dict[str, Scope] = {}
        count: dict[str, int] = {}
        for part in parts:
            for alias, scope in self._aliases(part, bound).items():
                scopes[alias] = scope
                count[alias] = count.get(alias, 0) + 1
        shared = [alias for alias in scopes if count[alias] > 1]
        inside = bound.union(shared)
        with self._deeper(_EXISTS_DEPTH * len(shared), parts[0]):
            condition: Condition = sa.and_(*(self.predicate(part, inside, negated=False) for part in parts))
        for alias in shared:
            condition = scopes[alias].applied(condition, probing=self.probing)
        return sa.not_(condition) if negated else condition

    def _leaf(self, leaf: Leaf, bound: frozenset[str], *, negated: bool) -> Condition:
        operands = [self.resolver.operand(field) for field in fields_of(leaf)]
        if isinstance(leaf, IsNull):
            return self._is_null(leaf, operands[0], bound, negated=negated)
        condition = leaf_condition(leaf, operands)
        for operand in operands:
            if operand.is_nan is not None:
                is_nan = operand.is_nan
                condition = sa.or_(condition, is_nan) if _is_unequal(leaf) else sa.and_(condition, sa.not_(is_nan))
        wrapped = self._wrap(condition, operands, bound)
        if not negated:
            return wrapped if wrapped is not None else condition
        if wrapped is not None:
            return sa.not_(wrapped)
        if any(operand.nullable for operand in operands):
            return condition.self_group().is_not(sa.true())
        return sa.not_(condition)

    def _is_null(self, leaf: IsNull, operand: Operand, bound: frozenset[str], *, negated: bool) -> Condition:
        present: Condition = sa.true()
        if operand.nullable or (operand.scope is not None and leaf.field.accessor is not None):
            present = sa.or_(*(column.is_not(None) for column in operand.columns.values()))
        wrapped = self._wrap(present, [operand], bound)
        present = wrapped if wrapped is not None else present
        return present if leaf.negated != negated else sa.not_(present)

    def _wrap(self, condition: Condition, operands: Iterable[Operand], bound: frozenset[str]) -> Condition | None:
        """The condition inside the scopes that no enclosing EXISTS has fixed; None if there are none."""
        scopes: dict[object, Scope] = {}
        for operand in operands:
            if operand.scope is not None and operand.scope.alias not in bound:
                scopes.setdefault(operand.scope.alias or object(), operand.scope)
        if not scopes:
            return None
        for scope in scopes.values():
            condition = scope.applied(condition, probing=self.probing)
        return condition


def _is_unequal(leaf: Leaf) -> bool:
    """Whether it is true for NaN."""
    return leaf.op == "!=" if isinstance(leaf, Compare) else isinstance(leaf, In) and leaf.negated

"""Which nodes puts mean: by id, by an id that a merged record had, by external id, by name; and the rules of a put."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.graph_puts import Mask, NodePut
from registry.catalog.graph_rows import read_whole
from registry.catalog.keys import EVERYWHERE
from registry.catalog.nodes import TABLES
from registry.db.row_reads import RowRead, among
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import Door, NodeKind
from registry.tables.service import id_aliases

_PART = 5000
T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """How a put treats what is there. All off: ids and names say which node is meant, and nothing else does."""

    mask: Mask | None = None
    unless_changed: bool = False  # the put must know the time of the last change
    reuse_external_id: bool = False  # without id: the artifact of that external id, which is updated
    reuse_name: bool = False  # without id: the context of that name, which is left as it is
    reuse_id: bool = False  # contexts with an id only have to exist
    force_update: bool = False  # the time moves although nothing differs
    same_new: bool = False  # a new external id that comes twice is one artifact
    needs_type: bool = False  # updates too have to name the type
    checks_reused: bool = False  # what is put of a node that is found must fit, although nothing is updated


PLAIN = Rules()


class Found:
    """The rows that puts mean: by id, by an id that a merged record had, by external id, by name."""

    def __init__(
        self, session: Session, actor: Actor, kind: NodeKind, puts: Sequence[NodePut], rules: Rules, *, lock: bool
    ) -> None:
        self._kind = kind
        self._session = session
        self._actor = actor
        self._where = actor.sees(TABLES[kind].c.workspace)
        self._lock = lock
        self._aliases: dict[int, int] = {}
        self._by_external: dict[str, int] = {}
        self._by_name: dict[tuple[int, str], int] = {}
        self.rows: dict[int, Any] = {}
        table = TABLES[kind]
        self._by_ids({put.id for put in puts if put.id is not None}, rules)
        unnamed = [put for put in puts if put.id is None]
        if rules.reuse_external_id and kind is NodeKind.ARTIFACT:
            wanted = sorted({put.external_id for put in unnamed if put.external_id})
            for row in self._read(table.c.external_id.in_(wanted), table.c.scope == actor.scope) if wanted else ():
                self._by_external[row.external_id] = row.id
                self.rows[row.id] = row
        if rules.reuse_name and kind is NodeKind.CONTEXT:
            pairs = sorted({(put.type_id, put.name) for put in unnamed if put.type_id is not None and put.name})
            key = sa.tuple_(table.c.type_id, table.c.name_key)
            for row in self._read(key.in_(pairs), table.c.scope == actor.scope) if pairs else ():
                self._by_name[row.type_id, row.name_key] = row.id
                self.rows[row.id] = row

    def _by_ids(self, ids: set[int], rules: Rules) -> None:
        if not ids:
            return
        known = sorted(id for id in ids if 0 < id < 2**63)
        self.rows = self._with_ids(known)
        missing = sorted(ids - self.rows.keys())
        if not missing:
            return
        self._aliases = find_aliases(self._session, self._actor, self._kind, missing)
        if self._aliases:
            self.rows |= self._with_ids(sorted(set(self._aliases.values())))
        lost = [id for id in missing if self._aliases.get(id) not in self.rows]
        if lost:
            if rules.reuse_id:
                raise NotFound(self._kind.name.lower(), lost[0])
            raise InvalidArgument(f"Cannot find the given id {lost[0]}: no {self._kind.name.lower()} has it", field="id")

    def _with_ids(self, ids: list[int]) -> dict[int, Any]:
        return {row.id: row for row in read_whole(self._session, self._actor, self._kind, ids, lock=self._lock)}

    def _read(self, *where: sa.ColumnElement[bool]) -> Sequence[Any]:
        table = TABLES[self._kind]
        query = sa.select(table).where(*where, self._where).order_by(table.c.id)
        return self._session.all(query.with_for_update() if self._lock else query)

    def id_of(self, put: NodePut) -> int | None:
        """None: it is new."""
        if put.id is not None:
            return self._aliases.get(put.id, put.id)
        if put.external_id and put.external_id in self._by_external:
            return self._by_external[put.external_id]
        if put.type_id is not None and put.name:
            return self._by_name.get((put.type_id, put.name))
        return None


def find_aliases(session: Session, actor: Actor, kind: NodeKind, ids: Sequence[int]) -> dict[int, int]:
    """Which nodes ids that are no node's mean: of records that became parts of others, or that an import gave another id."""
    known = [id for id in ids if 0 < id < 2**63]
    rows = (_ALIASES.run(session, part, scope=actor.scope, kind=int(kind)) for part in in_parts(known))
    return {old: node for part in rows for old, node in part}


def _aliases() -> sa.Select[Any]:
    merged = sa.and_(id_aliases.c.workspace == _number(EVERYWHERE), id_aliases.c.door == _number(EVERYWHERE))
    imported = sa.and_(id_aliases.c.workspace == sa.bindparam("scope"), id_aliases.c.door == _number(Door.MLMD))
    query = sa.select(id_aliases.c.old_id, id_aliases.c.node).where(sa.or_(merged, imported))
    return query.where(id_aliases.c.kind == sa.bindparam("kind"), among(id_aliases.c.old_id))


def _number(value: int) -> sa.ColumnElement[int]:
    return sa.literal_column(str(int(value)), sa.Integer)


_ALIASES = RowRead(_aliases)


def in_parts(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """For `IN` lists: PostgreSQL takes 65,535 parameters, SQLite 32,766 where it is built so."""
    return (ids[start : start + _PART] for start in range(0, len(ids), _PART))

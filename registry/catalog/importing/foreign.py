"""A database that another program has made. It is only read; a column that its version lacks is NULL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa


@dataclass
class Foreign:
    """`tables` by the names that readers use."""

    engine: sa.Engine
    tables: dict[str, sa.TableClause] = field(default_factory=dict)

    def look(self, names: Iterable[str]) -> None:
        """Find those of the tables that are there, in whatever case the database keeps their names."""
        stored_names = {name.lower(): name for name in sa.inspect(self.engine).get_table_names()}
        with self.engine.connect() as connection:
            for name in names:
                stored = stored_names.get(name.lower())
                if stored is not None:  # without their types, of which some are no database's own
                    columns = connection.execute(sa.select(sa.text("*")).select_from(sa.table(stored)).limit(0)).keys()
                    self.tables[name] = sa.table(stored, *map(sa.column, columns))

    def has(self, table: str, column: str | None = None) -> bool:
        return table in self.tables and (column is None or column in self.tables[table].c)

    def column(self, table: str, name: str) -> sa.ColumnElement[Any]:
        return self.tables[table].c[name] if self.has(table, name) else sa.null().label(name)

    def rows(self, query: "sa.Select[Any]") -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(query).all()

    def count(self, table: str, *where: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(self.tables[table]).where(*where) if self.has(table) else None
        return 0 if query is None else int(self.rows(query)[0][0])

    def highest(self, table: str, column: str = "id") -> int:
        return int(self.rows(sa.select(sa.func.max(self.tables[table].c[column])))[0][0] or 0) if self.has(table) else 0

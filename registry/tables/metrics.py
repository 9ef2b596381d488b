"""Series and their points. A series is its key (owner kind, owner, name, dataset): no id.

The row of a series holds the latest point: max (step, at, value), NaN as 0. Points are clustered in the order in which
history is read; an exact repeat is a key conflict. `special` (names.Special) marks NaN and the infinities, which SQLite and
MySQL cannot keep: `value` is then 0, or the largest double of that sign.
"""

import sqlalchemy as sa

from registry.tables.base import Id, Millis, Real, ShortName, Small, column, table, where_given


def _series_key() -> list[sa.Column[object]]:
    return [
        column("owner_kind", Small, primary_key=True, autoincrement=False),  # names.OwnerKind
        column("owner", Id, primary_key=True, autoincrement=False),
        column("name_id", Id, primary_key=True, autoincrement=False),
        column("dataset", Id, primary_key=True, autoincrement=False),  # artifact id, or 0
    ]


series = table(
    "series",
    *_series_key(),
    column("step", Id),
    column("at", Millis),
    column("value", Real),
    column("special", Small),
    column("current_at", Millis, null=True),  # what the Model Registry set last; shown there instead of latest
    column("current_step", Id, null=True),
    column("current_value", Real, null=True),
    column("current_special", Small, null=True),
    column("artifact_id", Id, null=True),  # the Model Registry's handle, once shown there
    column("source", Id, null=True),  # artifact whose property this mirrors: read-only elsewhere
    column("author", Small),
    sa.Index(None, "owner_kind", "name_id", "value", "owner"),
    where_given("artifact_id"),
    sqlite_with_rowid=False,
)

metric_points = table(
    "metric_points",
    *_series_key(),
    column("at", Millis, primary_key=True, autoincrement=False),
    column("step", Id, primary_key=True, autoincrement=False),
    column("value", Real, primary_key=True),
    column("special", Small, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

metric_definitions = table(
    "metric_definitions",
    column("workspace", Id, primary_key=True, autoincrement=False),
    column("name_id", Id, primary_key=True, autoincrement=False),
    column("direction", Small),  # names.Direction: which way is better
    column("unit", ShortName, null=True),
    sqlite_with_rowid=False,
)

"""The tables, one module per family, all in one MetaData. SQLAlchemy Core only: there are no mapped classes.

Ids are drawn by `session.next_ids`. Enumerations are small integers whose meaning is in `registry/names.py`. Three
databases share one chain of migrations, so: no partial or functional index, no NULL in a unique key that must bite, no
index on a whole long string, no native JSON, no foreign keys (`lineal-server check` finds dangling rows).
"""

from registry.tables import graph, metrics, models, runs, service, targets
from registry.tables.base import metadata

__all__ = ["graph", "metadata", "metrics", "models", "runs", "service", "targets"]

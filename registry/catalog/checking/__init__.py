"""`lineal-server check`: proves that what is stored twice agrees, and that nothing points at nothing.

Each check is a function `(session) -> Iterator[Problem]`, listed in `CHECKS`; a new one is one function and one entry there.
"""

from collections.abc import Callable, Iterator

from registry.catalog.checking import audit, counters, dangling, metrics, properties
from registry.catalog.checking.problem import Problem
from registry.db.session import Session

CHECKS: dict[str, Callable[[Session], Iterator[Problem]]] = {
    "dangling rows": dangling.check,
    "properties against their index": properties.check,
    "latest against points": metrics.check,
    "counters": counters.check,
    "audit chain": audit.check,
}

__all__ = ["CHECKS", "Problem", "check_all"]


def check_all(session: Session) -> Iterator[Problem]:
    """Every problem of every check."""
    for check in CHECKS.values():
        yield from check(session)

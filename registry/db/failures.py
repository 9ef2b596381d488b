"""What a driver's exception means: worth running again, a timeout, a lost connection, or a fault of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from registry.errors import DatabaseFull, OutcomeUnknown, RegistryError, StatementTimeout, Unavailable

_RETRY_SQLSTATES = {"40001", "40P01", "55P03"}
_RETRY_MYSQL = {1205, 1213, 1020}  # lock wait timeout, deadlock, record has changed since last read
_TIMEOUT_MYSQL = {1969, 3024}
_GONE_MYSQL = {2006, 2013, 1927}
_UNUSABLE_MYSQL = {
    1040, 1041, 1044, 1045, 1047, 1049, 1053, 1129, 1130, 1203, 1226, 1290, 1836, 2002, 2003, 2005, 2055,
} | _RETRY_MYSQL | _GONE_MYSQL  # fmt: skip
"""Too many connections, no access, shutting down, read-only, not reachable.

PyMySQL calls a misspelt column an OperationalError too, and that is no reason to tell a client to try again."""

_FULL_MYSQL = {1021, 1114}
_SQLITE_INTERRUPT = 9
_SQLITE_FULL = 13
_SQLITE_ERROR = 1  # wrong SQL, no such table


def _mysql_code(error: BaseException) -> int | None:
    return error.args[0] if error.args and isinstance(error.args[0], int) else None


def is_retryable(error: sa.exc.SQLAlchemyError) -> bool:
    """A deadlock or serialisation failure: the transaction was rolled back and may be run again."""
    original = getattr(error, "orig", None)
    if original is None:
        return False
    return getattr(original, "sqlstate", None) in _RETRY_SQLSTATES or _mysql_code(original) in _RETRY_MYSQL


def is_lost_connection(error: sa.exc.SQLAlchemyError) -> bool:
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    original = getattr(error, "orig", None)
    return original is not None and _mysql_code(original) in _GONE_MYSQL


@contextmanager
def outcome_known() -> Iterator[None]:
    """Around what commits. Raises OutcomeUnknown where the connection is lost meanwhile."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        if is_lost_connection(error):
            raise OutcomeUnknown("the connection was lost while the change was being committed") from error
        raise


def translated(error: sa.exc.SQLAlchemyError) -> RegistryError | sa.exc.SQLAlchemyError:
    """The error of our own tree, or the same error where it is a fault of ours (a wrong statement, a broken constraint)."""
    original = getattr(error, "orig", None)
    if isinstance(error, sa.exc.TimeoutError):
        return Unavailable("all database connections are in use")
    if original is None:
        return error
    if _is_timeout(original):
        return StatementTimeout("the statement took too long and was stopped")
    if _is_full(original):
        return DatabaseFull(f"the database has no room left on its disk: {original}")
    if is_lost_connection(error) or (isinstance(error, sa.exc.OperationalError) and _is_unusable(original)):
        return Unavailable(f"the database cannot be used now: {original}")
    return error


def _is_timeout(original: BaseException) -> bool:
    return (
        getattr(original, "sqlstate", None) == "57014"
        or _mysql_code(original) in _TIMEOUT_MYSQL
        or getattr(original, "sqlite_errorcode", None) == _SQLITE_INTERRUPT
    )


def _is_full(original: BaseException) -> bool:
    return (
        getattr(original, "sqlstate", None) == "53100"
        or _mysql_code(original) in _FULL_MYSQL
        or getattr(original, "sqlite_errorcode", None) == _SQLITE_FULL
    )


def _is_unusable(original: BaseException) -> bool:
    """Of an OperationalError: whether it is the database's state and not our statement that is to blame."""
    code = _mysql_code(original)
    if code is not None:
        return code in _UNUSABLE_MYSQL
    sqlite = getattr(original, "sqlite_errorcode", None)
    if sqlite is not None:
        return bool(sqlite & 0xFF != _SQLITE_ERROR)
    return not str(getattr(original, "sqlstate", None) or "").startswith("54")  # 54: the statement is too complex

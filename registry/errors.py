"""The one tree of errors. Doors map classes, never texts: `registry/api/problems.py` has the table.

RegistryError
├── InvalidArgument          the input is wrong; nothing changed
│   ├── InvalidName          a name, key or id that cannot be one
│   ├── InvalidFilter        a filter or order that does not parse or type-check; has line and column
│   └── InvalidPageToken
├── TooLarge                 a body, batch or answer over its limit
├── Unauthenticated          no identity where one is needed
├── NotPermitted             an identity without the right
├── NotFound                 absent, or in another workspace
├── AlreadyExists            a unique name or key is taken
├── Conflict                 the caller's picture is stale, or the state forbids it
│   ├── PreconditionFailed   `If-Match`, or the expected holder, differs from what is stored
│   ├── NotWritable          the record is deleted, or read-only by rule
│   └── InUse                deletion refused; `dependants` says what holds the record
├── NotSupported             the protocol has it, this server does not, or never may
├── IdempotencyMismatch      an `Idempotency-Key` used again with another request
├── Exhausted                the id space or a quota is used up
├── Overloaded               as much work in hand as the process takes on; nothing was begun
├── DatabaseFull             no room left on the database's disk
├── StatementTimeout         a statement took longer than its limit
├── Unavailable              the database or the object store cannot be used now; nothing changed
│   └── Aborted              deadlocks or serialisation failures outlived the retries
└── OutcomeUnknown           the connection was lost during COMMIT
"""

from collections.abc import Sequence
from typing import Any


class RegistryError(Exception):
    """Base of all errors of the service.

    `data` holds what a program may want (kind, name, expected, found); all of it is JSON-able.
    """

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class InvalidArgument(RegistryError):
    """The input is wrong; nothing changed."""


class InvalidName(InvalidArgument):
    """A name, key or id that cannot be one."""


class InvalidFilter(InvalidArgument):
    """A filter or an order that does not parse or type-check; line and column count from 1."""

    def __init__(self, message: str, *, line: int, column: int) -> None:
        super().__init__(f"{message} (line {line}, column {column})", line=line, column=column)


class InvalidPageToken(InvalidArgument):
    """A page token that this server did not give for this list."""


class TooLarge(RegistryError):
    """A body, batch or answer over its limit."""


class Unauthenticated(RegistryError):
    """No identity where one is needed."""


class NotPermitted(RegistryError):
    """An identity without the right."""


class NotFound(RegistryError):
    """Absent, or in another workspace."""

    def __init__(self, kind: str, key: object) -> None:
        super().__init__(f"{kind} {key} not found", kind=kind, key=str(key))


class AlreadyExists(RegistryError):
    """A unique name or key is taken."""

    def __init__(self, kind: str, key: object) -> None:
        super().__init__(f"{kind} {key} already exists", kind=kind, key=str(key))


class Conflict(RegistryError):
    """The caller's picture is stale, or the state forbids the change."""


class PreconditionFailed(Conflict):
    """`If-Match`, or the expected holder, differs from what is stored."""


class NotWritable(Conflict):
    """The record is deleted, or read-only by rule."""


class InUse(Conflict):
    """Deletion refused."""

    def __init__(self, message: str, dependants: Sequence[str]) -> None:
        super().__init__(message, dependants=list(dependants))


class NotSupported(RegistryError):
    """The protocol has it, this server does not, or never may."""


class IdempotencyMismatch(RegistryError):
    """An `Idempotency-Key` used again with another request."""


class Exhausted(RegistryError):
    """The id space or a quota is used up."""


class Overloaded(RegistryError):
    """The process has as much work in hand as it takes on; nothing was begun, trying again later is safe."""


class DatabaseFull(RegistryError):
    """The database has no room left on its disk; nothing changed. Trying again helps once a person has made room."""


class StatementTimeout(RegistryError):
    """A statement took longer than its limit; nothing changed."""


class Unavailable(RegistryError):
    """The database or the object store cannot be used now; nothing changed, trying again is safe."""


class Aborted(Unavailable):
    """Deadlocks or serialisation failures outlived the retries; nothing changed."""


class OutcomeUnknown(RegistryError):
    """The connection was lost during COMMIT: the change may be there or not."""

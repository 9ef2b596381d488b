"""What records with a unique name have in common: however many ask at the same time, one makes it, and one takes the name."""

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from registry.db.session import Session
from registry.errors import AlreadyExists
from registry.tables.graph import contexts

T = TypeVar("T")


def get_or_create(find: Callable[[], T | None], create: Callable[[], T]) -> T:
    """What `find` finds, or what `create` makes; found again where somebody else was faster."""
    found = find()
    if found is not None:
        return found
    try:
        return create()
    except AlreadyExists:
        again = find()
        if again is None:
            raise
        return again


def take_name(session: Session, id: int, key: str, kind: str, shown: str) -> None:
    """Make `key` the context's unique name.

    Raises AlreadyExists: another `kind` has it; `shown` is what people call it.
    """
    try:
        with session.connection.begin_nested():
            session.execute(sa.update(contexts).where(contexts.c.id == id).values(name=key, name_key=key))
    except sa.exc.IntegrityError as error:
        raise AlreadyExists(kind, shown) from error

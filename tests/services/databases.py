"""Empty databases on a server that runs already, made for one test module and dropped after it."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import create_engine, make_url, text


@contextmanager
def fresh_database(dsn: str, create: Sequence[str], drop: str) -> Iterator[str]:
    """The DSN of a new database. `create` and `drop` are statements in which `{name}` stands for its name."""
    name = f"lineal_test_{secrets.token_hex(6)}"
    server = create_engine(make_url(dsn), isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            for statement in create:
                connection.execute(text(statement.format(name=name)))
        yield make_url(dsn).set(database=name).render_as_string(hide_password=False)
        with server.connect() as connection:
            connection.execute(text(drop.format(name=name)))
    finally:
        server.dispose()

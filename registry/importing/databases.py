"""Databases that are imported from: their URLs, and engines that read them."""

from pathlib import Path

import sqlalchemy as sa

from registry.errors import InvalidArgument

DRIVERS = {"sqlite": "sqlite", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql", "postgresql": "postgresql+psycopg"}


def engine_of(url: str) -> sa.Engine:
    """With our drivers, whatever the URL names. Raises InvalidArgument: no URL of a database that is read, or no such file."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise InvalidArgument(f"{url.rsplit('@', maxsplit=1)[-1]!r} is not a database URL such as sqlite:///file.db") from error
    family = parsed.drivername.partition("+")[0]
    if family not in DRIVERS:
        raise InvalidArgument(f"database {family!r} is not supported: use sqlite, postgresql, mariadb or mysql")
    if family == "sqlite" and not Path(parsed.database or "").is_file():
        raise InvalidArgument(f"there is no database {parsed.database}")
    parsed = parsed.set(drivername=DRIVERS[family])
    if family in {"mysql", "mariadb"}:
        parsed = parsed.update_query_dict({"charset": "utf8mb4"})
    return sa.create_engine(parsed)


def address_of(engine: sa.Engine) -> str:
    """Where it is, without credentials."""
    return engine.url.set(username=None, password=None, query={}).render_as_string()

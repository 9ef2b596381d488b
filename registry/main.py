"""`lineal-server`: serve, migrate, check, sweep, dump, import, token, openapi, sdl.

Exit codes: 0 done, 1 the check found something (or a generated file is not up to date), 2 wrong usage or a cause that the one
line on stderr names, 3 what was imported is not as in the source.
"""

import argparse
import contextlib
import dataclasses
import gc
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from registry.errors import InvalidArgument, RegistryError
from registry.importing import cli
from registry.settings import Settings, load
from storage.errors import StorageError

ROOT = Path(__file__).parent.parent
OPENAPI_FILE = ROOT / "docs" / "openapi.json"
SDL_FILE = ROOT / "graphql" / "schema.graphql"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except RegistryError as error:
        print(f"lineal-server: {error.message}", file=sys.stderr)
        return 2
    except StorageError as error:
        print(f"lineal-server: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="lineal-server", description="The server of Lineal and its maintenance commands.")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(run=run)
        return made

    serve_ = command("serve", serve, "Serve until SIGTERM or Ctrl-C.")
    for field in dataclasses.fields(Settings):
        flag = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            serve_.add_argument(flag, action="store_true", default=None)
        else:
            serve_.add_argument(flag, type=type(field.default), default=None, metavar=field.name.upper())
    migrate_ = command("migrate", migrate, "Bring the database to this version's schema.")
    migrate_.add_argument("--check", action="store_true", help="only say whether tables and migrations agree")
    _database(migrate_)
    check_ = command("check", check, "Prove that the store is sound; reads beside a running server.")
    check_.add_argument("--no-blobs", action="store_true", help="leave the bytes in the object store unread")
    _database(check_)
    _store(check_)
    sweep_ = command("sweep", sweep, "List the files in the object store that no record knows; reads beside a running server.")
    sweep_.add_argument("--delete", action="store_true", help="remove them")
    sweep_.add_argument("--grace-hours", type=float, default=24.0, help="younger ones may still be in use (default: 24)")
    _database(sweep_)
    _store(sweep_)
    dump_ = command("dump", dump, "Print the whole store as JSON lines; reads beside a running server.")
    dump_.add_argument("--canonical", action="store_true", help="sorted, ids renumbered: equal stores print equal text")
    _database(dump_)
    importing = command(
        "import", import_, "Take over another store: `import mlmd --from URL`, `import mlflow --from URL|FOLDER`."
    )
    cli.add_arguments(importing)
    _database(importing)
    _store(importing)
    _token_commands(command("token", token, "Make, list or revoke API tokens."))
    for name, what in (("openapi", "docs/openapi.json"), ("sdl", "graphql/schema.graphql")):
        written = command(name, openapi if name == "openapi" else sdl, f"Write {what}.")
        written.add_argument("--check", action="store_true", help="only say whether it is up to date")
    return root


def _token_commands(command: argparse.ArgumentParser) -> None:
    """Each of the three names its workspace and database."""
    actions = command.add_subparsers(required=True, metavar="ACTION", dest="action")
    create = actions.add_parser("create", help="print a new token's secret, once")
    create.add_argument("name")
    create.add_argument("--role", choices=["viewer", "contributor", "approver", "admin"], default="contributor")
    create.add_argument("--expires-in-days", type=int, default=None)
    revoke = actions.add_parser("revoke", help="end a token")
    revoke.add_argument("id", help="as `token list` prints it: tok_17")
    for action in (create, revoke, actions.add_parser("list", help="print the tokens, without their secrets")):
        action.add_argument("--workspace", default="default")
        _database(action)


def _database(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data-dir", default=None)
    command.add_argument("--db", default=None)


def _store(command: argparse.ArgumentParser) -> None:
    command.add_argument("--store", default=None)


def serve(arguments: argparse.Namespace) -> int:
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(Settings)}
    settings = load(given)
    with _listening(settings) as listener:
        if listener is None:
            print(
                f"lineal-server: {settings.http} is taken by another program, or is no address of this machine", file=sys.stderr
            )
            return 2
        if settings.port == 0:
            settings = dataclasses.replace(settings, http=f"{settings.http.rpartition(':')[0]}:{listener.getsockname()[1]}")
        if settings.grpc and not _can_listen(settings.grpc):
            print(
                f"lineal-server: {settings.grpc} is taken by another program, or is no address of this machine", file=sys.stderr
            )
            return 2
        if settings.workers > 1:
            from registry.workers import run_workers

            return run_workers(settings.workers, lambda: _serve_or_say_why(settings, listener))
        return _serve(settings, listener)


def _serve(settings: Settings, listener: socket.socket) -> int:
    import uvicorn

    from registry.api.app import create_app, open_services
    from registry.api.observing import configure_logging
    from registry.api.serving import config

    configure_logging(settings.log_level)
    services = open_services(settings)
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    print(f"lineal-server: serving http://{host}:{address[1]}", flush=True)
    app = create_app(services)
    _spare_the_collector()
    # uvicorn drains and then raises the signal again; a stop that was asked for is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.Server(config(app)).run(sockets=[listener])
    return 0


def _spare_the_collector() -> None:
    """What the program itself is made of is never looked at again; an answer of 10,000 rows does not set it off a dozen times."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _serve_or_say_why(settings: Settings, listener: socket.socket) -> int:
    try:
        return _serve(settings, listener)
    except RegistryError as error:
        print(f"lineal-server: {error.message}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket | None]:
    """The listening socket, before anything else is opened; None where the address cannot be had.

    Made with the protocol number, since asyncio turns Nagle off (TCP_NODELAY) only for sockets that name TCP.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(1024)
    except OSError:
        listener.close()
        yield None
        return
    with listener:
        yield listener


def _can_listen(address: str) -> bool:
    """Whether the gRPC server will get the address; it opens its own socket, after the database."""
    host, _, port = address.rpartition(":")
    try:
        family, *_, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError:
        return False
    return True


def migrate(arguments: argparse.Namespace) -> int:
    from registry import migrate as migrations
    from registry.db.engine import open_database

    if arguments.check:
        return _migrations_agree()
    database = open_database(_settings(arguments).db_url)
    database.hold()
    migrations.upgrade(database)
    print(f"lineal-server: {database} is at {migrations.current(database)}")
    database.close()
    return 0


def _migrations_agree() -> int:
    """Migrate an empty SQLite file and compare it with the tables."""
    import tempfile

    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from registry import migrate as migrations
    from registry.db.engine import open_database
    from registry.tables import metadata

    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/check.db")
        migrations.migrate(database)
        with database.writer.connect() as connection:
            options = {"include_name": lambda name, kind, _parents: not (kind == "table" and str(name).startswith("id_marks"))}
            found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        database.close()
    for difference in found:
        print(f"lineal-server: the migrations lack: {difference}", file=sys.stderr)
    return 1 if found else 0


def check(arguments: argparse.Namespace) -> int:
    from registry import maintenance
    from storage.config import open_store

    settings = _settings(arguments)
    database = maintenance.opened(settings.db_url)
    problems = 0
    for title, found in maintenance.check(database, None if arguments.no_blobs else open_store(settings.store_url)):
        print(f"check: {title}: {len(found)} problems", *found, sep="\n  ", flush=True)
        problems += len(found)
    database.close()
    print(f"{problems} problems")
    return 1 if problems else 0


def sweep(arguments: argparse.Namespace) -> int:
    from datetime import UTC, datetime, timedelta

    from registry import maintenance
    from storage.config import open_store

    if arguments.grace_hours < 1:
        raise InvalidArgument("--grace-hours: at least 1, longer than the slowest upload")
    settings = _settings(arguments)
    database, store = maintenance.opened(settings.db_url), open_store(settings.store_url)
    number = size = 0
    grace = timedelta(hours=arguments.grace_hours)
    for orphan in maintenance.orphans(database, store, grace=grace, delete=arguments.delete, now=datetime.now(UTC)):
        print(f"{orphan.kind} {orphan.key or orphan.upload_id} {orphan.size_bytes} bytes")
        number, size = number + 1, size + orphan.size_bytes
    database.close()
    print(f"{number} orphans, {size} bytes{' removed' if arguments.delete else ', nothing removed'}")
    return 0


def dump(arguments: argparse.Namespace) -> int:
    from registry import maintenance
    from registry.catalog import dumping
    from registry.catalog.checking import snapshot

    database = maintenance.opened(_settings(arguments).db_url)
    with snapshot(database) as session:
        for line in dumping.canonical(session) if arguments.canonical else dumping.dump(session):
            print(json.dumps(line, sort_keys=True, ensure_ascii=False))
    database.close()
    return 0


def import_(arguments: argparse.Namespace) -> int:
    return cli.run(arguments, _settings(arguments))


def token(arguments: argparse.Namespace) -> int:
    import time

    from registry import migrate as migrations
    from registry.catalog.actors import Actor
    from registry.catalog.tokens import create_token, list_tokens, revoke_token
    from registry.catalog.workspaces import bootstrap, get_or_create_workspace
    from registry.db.engine import open_database
    from registry.db.runner import Runner
    from registry.db.session import Session
    from registry.names import IdPrefix, Role, parse_id

    now = int(time.time() * 1000)
    database = open_database(_settings(arguments).db_url)
    database.hold()
    migrations.upgrade(database)
    runner = Runner(database)

    def act(session: Session) -> list[str]:
        bootstrap(session, now=now)
        workspace = get_or_create_workspace(session, arguments.workspace, now=now)
        actor = Actor("lineal-server token", workspace, arguments.workspace, Role.ADMIN)
        if arguments.action == "revoke":
            revoke_token(session, actor, parse_id(IdPrefix.TOKEN, arguments.id), now=now)
            return []
        if arguments.action == "list":
            return [_token_line(one) for one in list_tokens(session, actor, limit=1_000_000)]
        days = arguments.expires_in_days
        expires = None if days is None else now + days * 86_400_000
        return [create_token(session, actor, arguments.name, Role[arguments.role.upper()], now=now, expires_at=expires)[1]]

    for line in runner.write(act):
        print(line)
    runner.close()
    return 0


def _token_line(token: Any) -> str:
    """One JSON object."""
    times = {name: getattr(token, name) for name in ("created_at", "expires_at", "revoked_at")}
    return json.dumps({"id": token.own_id, "name": token.name, "role": token.role.name.lower(), **times})


def openapi(arguments: argparse.Namespace) -> int:
    from registry.api.app import create_app

    text = json.dumps(create_app().openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    return _written(OPENAPI_FILE, text, "openapi", check=arguments.check)


def sdl(arguments: argparse.Namespace) -> int:
    from registry.api.gql.schema import schema

    return _written(SDL_FILE, f"{str(schema).rstrip()}\n", "sdl", check=arguments.check)


def _written(file: Path, text: str, command: str, *, check: bool) -> int:
    if not check:
        file.write_text(text, "utf-8")
        return 0
    if not file.exists() or file.read_text("utf-8") != text:
        print(f"lineal-server: {file.relative_to(ROOT)} is not up to date: run lineal-server {command}", file=sys.stderr)
        return 1
    return 0


def _settings(arguments: argparse.Namespace) -> Any:
    return load({name: getattr(arguments, name, None) for name in ("data_dir", "db", "store")})


if __name__ == "__main__":
    sys.exit(main())

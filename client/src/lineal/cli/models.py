"""`lineal models`, `versions`, `alias`, `register`."""

import argparse
import re
from types import EllipsisType

from lineal import references
from lineal.cli.printing import (
    AddCommand,
    Json,
    UsageError,
    add_list_options,
    counted,
    limited,
    only,
    page_of,
    pair,
    pairs_text,
    print_rows,
    time_of,
)
from lineal.client import Client
from lineal.errors import ApiError, LinealError

VERSION_COLUMNS = (
    "id",
    "model_name",
    "number",
    lambda row: row["stage"] or "",
    lambda row: ",".join(row["aliases"]),
    "run_id",
    lambda row: time_of(row["created_at"]),
)


def add_commands(command: AddCommand) -> None:
    add_list_options(
        command("models", models, "List registered models."), example="\"name ILIKE 'churn%' AND tags.team = 'ads'\""
    )
    of_model = command("versions", versions, "List the versions of a model.")
    of_model.add_argument("model", metavar="MODEL", help="a name or an id")
    add_list_options(of_model, example="\"metrics.acc > 0.9 AND stage = 'Production'\"")
    moved = command("alias", alias, "Show who holds an alias, move it onto a version, or take it away.")
    moved.add_argument("model", metavar="MODEL", help="a name or an id")
    moved.add_argument("name", metavar="ALIAS")
    target = moved.add_mutually_exclusive_group()
    target.add_argument("version", metavar="VERSION", nargs="?", help="a number or an id")
    target.add_argument("--delete", action="store_true", help="nobody holds it any more")
    moved.add_argument("--reason", help="kept with the move")
    moved.add_argument("--expected", metavar="VERSION", help="move it only if this one holds it; none: nobody")
    made = command("register", register, "Make a version of a model: all of it or nothing.")
    made.add_argument("model", metavar="MODEL", help="a name; made where it is missing")
    made.add_argument("files", metavar="FILES", help="art_…, a URI, or with --run the name of its output")
    made.add_argument("--run", dest="made_by", metavar="RUN", help="the run that made it")
    add_version_options(made)


def add_version_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--alias", help="to be moved onto the version")
    command.add_argument("--stage", help="of the version")
    command.add_argument("--description", help="of the version")
    command.add_argument("--tag", type=pair, action="append", default=[], metavar="KEY=VALUE")


def version_fields(arguments: argparse.Namespace) -> Json:
    return {
        "alias": arguments.alias,
        "stage": arguments.stage,
        "description": arguments.description,
        "tags": only("tag", arguments.tag),
    }


def models(client: Client, arguments: argparse.Namespace) -> None:
    listed = client.models(filter=arguments.filter, order_by=arguments.order_by, page_size=page_of(arguments.limit))
    rows = counted(arguments, limited(listed, arguments.limit), "models")
    print_rows(arguments, rows, ("id", "name", "last_number", lambda row: pairs_text(row["aliases"])))


def versions(client: Client, arguments: argparse.Namespace) -> None:
    model = client.get_model(arguments.model)
    listed = client.versions(
        model_id=model["id"],
        filter=arguments.filter,
        order_by=arguments.order_by,
        fields=None if arguments.json else "none",
        page_size=page_of(arguments.limit),
    )
    print_rows(arguments, counted(arguments, limited(listed, arguments.limit), "versions"), VERSION_COLUMNS)


def alias(client: Client, arguments: argparse.Namespace) -> None:
    if arguments.version is None and (arguments.expected is not None or arguments.reason is not None):
        raise UsageError("--expected and --reason are a move's: name the VERSION")
    model = client.get_model(arguments.model)
    if arguments.delete:
        moves = client.delete_alias(model["id"], arguments.name)
        print_rows(arguments, moves, ("kind", "target", "from_version", "to_version"))
    elif arguments.version is not None:
        version = _version(client, model["id"], arguments.version)
        expected: str | EllipsisType | None = ...
        if arguments.expected is not None:
            expected = None if arguments.expected == "none" else _version(client, model["id"], arguments.expected)["id"]
        client.move_alias(model["id"], arguments.name, version["id"], reason=arguments.reason, expected=expected)
        print_rows(arguments, [client.get_version(version["id"])], VERSION_COLUMNS)
    else:
        print_rows(arguments, [_holder(client, model, arguments.name)], VERSION_COLUMNS)


def _holder(client: Client, model: Json, name: str) -> Json:
    try:
        return client.get_by_alias(model["id"], name)
    except ApiError as error:
        if error.status == 404:
            raise LinealError(f"nobody holds alias {name!r} of {model['name']}") from None
        raise


def _version(client: Client, model_id: str, text: str) -> Json:
    if re.fullmatch("mv_[0-9]+", text):
        return client.get_version(text)
    if not text.isdecimal():
        raise UsageError(f"{text!r} is neither a version's number nor its id")
    return client.get_by_alias(model_id, f"v{int(text)}")


def register(client: Client, arguments: argparse.Namespace) -> None:
    files = arguments.files
    if re.fullmatch("(art|mv)_[0-9]+|models:/.*", files):
        source = {"artifact_id": references.artifact_id(client.get_record(files))}
    elif "://" in files:
        source = {"uri": files}
    elif arguments.made_by is None:
        raise UsageError(f"{files!r} is an output of which run? Name it by --run; a local file is for `lineal push --model`")
    else:
        source = {"output": files}
    made = client.register(arguments.model, run_id=arguments.made_by, **source, **version_fields(arguments))
    print_rows(arguments, [made], VERSION_COLUMNS)

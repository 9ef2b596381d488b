"""`lineal push` and `lineal pull`: files and folders to the server and back."""

import argparse
import os
import re
from pathlib import Path

from lineal import references, uploads
from lineal.cli.models import VERSION_COLUMNS, add_version_options, version_fields
from lineal.cli.printing import AddCommand, Json, UsageError, print_rows
from lineal.client import Client
from lineal.errors import LinealError
from lineal.local_files import FOLDER_TYPE, read_content
from lineal.run_files import Kind, RunFiles

KINDS = ("other", "model", "dataset", "doc", "logged_model")
_OUTPUT = re.compile(r"(?:runs:/)?(?P<run>(?:run_)?[0-9a-f]{32})/(?P<name>.+)", re.DOTALL)
ARTIFACT_COLUMNS = ("id", "display_name", "size_bytes", "digest")


def add_commands(command: AddCommand) -> None:
    sent = command("push", push, "Store a file or a folder: as an output of a run, as a version of a model, or as both.")
    sent.add_argument("path", metavar="PATH")
    sent.add_argument("--run", dest="made_by", metavar="RUN", help="the run whose output it is")
    sent.add_argument("--model", help="make a version of this model of it")
    sent.add_argument("--name", help="among the run's artifacts (default: the file's own)")
    sent.add_argument("--kind", choices=KINDS, help="of the artifact (default: other; model with --model)")
    add_version_options(sent)
    got = command("pull", pull, "Fetch the files of an artifact or a version into a folder, checked and resumed.")
    got.add_argument("reference", metavar="REF", help="art_…, mv_…, models:/NAME/NUMBER, models:/NAME@ALIAS, run_…/OUTPUT")
    got.add_argument("dest", metavar="DEST", help="a folder; made where it is missing")


def push(client: Client, arguments: argparse.Namespace) -> None:
    if arguments.made_by is None and arguments.model is None:
        raise UsageError("say where it belongs: --run RUN, --model MODEL, or both")
    if arguments.model is None and (arguments.alias or arguments.stage or arguments.description or arguments.tag):
        raise UsageError("--alias, --stage, --description and --tag are a version's: name its --model")
    fields = version_fields(arguments)
    kind: Kind = arguments.kind or ("model" if arguments.model is not None else "other")
    if arguments.made_by is None:
        record = _stored(client, Path(arguments.path), arguments.name, kind)
    else:
        run = client.get_run(arguments.made_by, fields="none")
        files = RunFiles(client, run["id"], run["artifact_root"], None)
        record = files.log_artifact(arguments.path, arguments.name, kind=kind, type=None, port=None)
    if arguments.model is None:
        print_rows(arguments, [record], ARTIFACT_COLUMNS)
        return
    made = client.register(arguments.model, artifact_id=record["id"], run_id=arguments.made_by, **fields)
    print_rows(arguments, [made], VERSION_COLUMNS)


def _stored(client: Client, path: Path, name: str | None, kind: str) -> Json:
    """An artifact that no run made, under its digest."""
    content = read_content(path)
    name = name or path.resolve().name
    sent = uploads.send(
        client.transport, content, f"{client.workspace_name()}/files/{content.digest}/{name}", progress=client.progress
    )
    return client.create_artifact(
        kind=kind,
        uri=sent.uri,
        digest=content.digest,
        size_bytes=content.size_bytes,
        media_type=FOLDER_TYPE if content.folder else sent.media_type,
        display_name=name,
    )


def pull(client: Client, arguments: argparse.Namespace) -> None:
    output = _OUTPUT.fullmatch(arguments.reference)
    record = _output(client, output["run"], output["name"]) if output else client.get_record(arguments.reference)
    artifact = client.get_artifact(references.artifact_id(record))
    path = client.download(artifact, arguments.dest)
    print_rows(arguments, [artifact | {"path": os.fspath(path)}], ("id", "path", "size_bytes", "digest"))


def _output(client: Client, run: str, name: str) -> Json:
    """What the run, or a step of it, wrote under that name."""
    written = {use["artifact"]["id"]: use["artifact"] for use in client.uses(run, direction="output") if use["port"] == name}
    if len(written) != 1:
        raise LinealError(f"{run} has {'no output' if not written else f'{len(written)} outputs named'} {name!r}")
    return next(iter(written.values()))

"""Calls about files: the proxy of `mlflow-artifacts:/…`, where every file of the workspace has a path, and the files of runs and
model versions by their names in them.
"""

import asyncio
import posixpath
from typing import Any

from starlette.responses import Response

from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import missing
from registry.api.storing import delete_folder, put_object
from registry.api.transfer import send
from registry.catalog.file_keys import key_of
from registry.catalog.logged_models import LoggedModel, get_logged_model
from registry.catalog.models import find_model
from registry.catalog.run_search import artifact_uri
from registry.catalog.runs import Fields, Run, get_run
from registry.catalog.version_reads import ModelVersion, find_version
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound, NotSupported
from storage.errors import ObjectNotFound
from storage.keys import join_key
from storage.store import ObjectStore

MAX_UPLOAD_BYTES = 10 * 1024 * 1024
"""Of MLflow's pages, which upload with a call of their own."""

_NO_VALUES = Fields(metrics=(), params=(), tags=())


def proxied(call: Call, path: str) -> str:
    """The key of a path of the proxy, which leads to the workspace's own files. Raises InvalidKey."""
    return join_key(call.actor.workspace_name, path)


async def put(call: Call) -> Answer:
    await put_object(call.request, call.services, call.actor, proxied(call, call.rest))
    return Response()


async def get(call: Call) -> Answer:
    return await _sent(call, proxied(call, call.rest), call.rest)


async def delete(call: Call) -> Answer:
    """A file, or all of a folder. Idempotent."""
    await delete_folder(call.services, call.actor, proxied(call, call.rest.removesuffix("/")))
    return {}


async def list_proxied(call: Call) -> Answer:
    """By their names alone. Of what is no folder, nothing."""
    path = (call.fields.text("path") or "").rstrip("/")
    key = proxied(call, path) if path else call.actor.workspace_name
    return await _listed(call.services.store, key, "")


async def list_of_run(call: Call) -> Answer:
    """By their paths in the run."""
    path = (call.fields.text("path") or "").rstrip("/")
    run = await found_run(call)
    key = inside(key_of_run(call, run), path) if path else key_of_run(call, run)
    found = await _listed(call.services.store, key, f"{path}/" if path else "")
    return {"root_uri": artifact_uri(call.actor.workspace_name, run.artifact_root), **found}


async def get_of_run(call: Call) -> Answer:
    path = call.fields.required("path")
    return await _sent(call, inside(key_of_run(call, await found_run(call)), path), path)


async def list_of_model(call: Call) -> Answer:
    """By their paths in the logged model."""
    path = (call.fields.text("artifact_directory_path") or "").rstrip("/")
    model, root = await _logged_model(call)
    found = await _listed(call.services.store, inside(root, path) if path else root, f"{path}/" if path else "")
    return {"root_uri": call.places.shown(model.uri), **found}


async def get_of_model(call: Call) -> Answer:
    path = call.fields.required("artifact_file_path")
    _, root = await _logged_model(call)
    return await _sent(call, inside(root, path), path)


async def _logged_model(call: Call) -> tuple[LoggedModel, str]:
    """And the key of its folder."""
    id = call.fields.required("model_id")
    found = await call.runner.aread(lambda session: get_logged_model(session, call.actor, id))
    return found, _in_store(key_of(call.services.store, call.actor, found.uri), f"logged model {id}")


async def get_of_version(call: Call) -> Answer:
    name, number, path = call.fields.required("name"), call.fields.integer("version"), call.fields.required("path")
    if number is None:
        raise missing("version")

    def read(session: Session) -> ModelVersion:
        model = find_model(session, call.actor, name)
        found = None if model is None else find_version(session, call.actor, model.id, number=number, fields=_NO_VALUES)
        if found is None:
            raise NotFound("model version", f"{name}, {number}")
        return found

    version = await call.runner.aread(read)
    root = _in_store(key_of(call.services.store, call.actor, version.source), f"{name}, version {number},")
    return await _sent(call, inside(root, path), path)


async def upload_to_run(call: Call) -> Answer:
    if not (call.fields.text("run_uuid") or call.fields.text("run_id")):
        raise missing("run_uuid", "Request must specify run_uuid.")
    path = call.fields.text("path")
    if not path:
        raise missing("path", "Request must specify path.")
    key = inside(key_of_run(call, await found_run(call)), path)
    announced = call.request.headers.get("content-length", "")
    if announced in {"", "0"} and "transfer-encoding" not in call.request.headers:
        raise missing("data", "Request must specify data.")
    if announced.isdigit() and int(announced) > MAX_UPLOAD_BYTES:
        raise InvalidArgument(f"Artifact size is too large: more than {MAX_UPLOAD_BYTES} bytes")
    await put_object(call.request, call.services, call.actor, key)
    return Response()


async def found_run(call: Call) -> Run:
    """The run that the call names, without its values. Raises NotFound."""
    hex = call.run()
    return await call.runner.aread(lambda session: get_run(session, call.actor, hex, _NO_VALUES))


def key_of_run(call: Call, run: Run) -> str:
    """Raises NotSupported: its files lie elsewhere, and clients go there themselves."""
    return _in_store(key_of(call.services.store, call.actor, run.artifact_root), f"run {run.hex}")


def _in_store(key: str | None, what: str) -> str:
    if key is None:
        raise NotSupported(f"the files of {what} are not in this server's store")
    return key


def inside(root: str, path: str) -> str:
    """Raises InvalidKey: a path that leads elsewhere."""
    return join_key(root, path)


async def _sent(call: Call, key: str, shown: str) -> Response:
    """Raises NotFound, InvalidArgument (a folder), RangeNotSatisfiable."""
    store = call.services.store
    try:
        headers = call.request.headers
        return await send(call.request, store, key, asked=headers.get("range"), known=headers.get("if-none-match"))
    except ObjectNotFound:
        if await asyncio.to_thread(_is_folder, store, key):
            raise InvalidArgument(f"{shown} is a folder") from None
        raise NotFound("artifact", shown) from None


def _is_folder(store: ObjectStore, key: str) -> bool:
    return bool(store.list(f"{key}/", limit=1).objects)


async def _listed(store: ObjectStore, key: str, before: str) -> dict[str, Any]:
    found = await asyncio.to_thread(_children, store, key, before)
    return {"files": found} if found else {}


def _children(store: ObjectStore, key: str, before: str) -> list[dict[str, Any]]:
    """What lies directly in a folder, in order; `before` stands before each name."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = store.list_folder(key, after)
        found += [{"path": before + posixpath.basename(one.rstrip("/")), "is_dir": True} for one in page.folders]
        found += [
            {"path": before + posixpath.basename(one.key), "is_dir": False, "file_size": one.size_bytes} for one in page.objects
        ]
        after = page.next_after
        if after is None:
            return sorted(found, key=lambda file: str(file["path"]))

"""What a run does with files: its outputs, its datasets. Bytes first, then the record, then what the run has to do with it."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Literal

from lineal import datasets, uploads
from lineal.client import Client
from lineal.errors import ApiError, LinealError
from lineal.local_files import FOLDER_TYPE, Content, check_name, read_content

Json = dict[str, Any]
Kind = Literal["other", "model", "dataset", "doc", "logged_model"]


class RunFiles:
    """`root`: where the run's artifacts lie; `step` is said with every use."""

    def __init__(self, client: Client, run: str, root: str | None, step: str | None) -> None:
        self._client = client
        self._run = run
        self._root = root
        self._step = step
        self._written: MutableMapping[str, str] = {}  # URI to artifact

    def log_artifact(
        self, path: str | os.PathLike[str], name: str | None, *, kind: Kind | None, type: str | None, port: str | None
    ) -> Json:
        content = read_content(path)
        name = check_name(name or Path(path).resolve().name)
        sent = uploads.send(self._client.transport, content, f"{self._home()}/{name}", progress=self._client.progress)
        media_type = type or (FOLDER_TYPE if content.folder else sent.media_type)
        facts = {"digest": content.digest, "size_bytes": content.size_bytes, "media_type": media_type}
        held = self._find_written(sent)
        if held is None:
            record = self._client.create_artifact(kind=kind or "other", uri=sent.uri, display_name=name, **facts)
        else:
            record = self._client.update_artifact(held, **facts)
            self._delete_others(held, content)
        self._client.link_artifact(self._run, record["id"], "output", port=port or name, step=self._step)
        self._written[sent.uri] = record["id"]
        return record

    def log_dataset(
        self,
        source: Any,
        name: str | None,
        *,
        version: str | None,
        namespace: str,
        output: bool,
        port: str | None,
        tags: Mapping[str, str] | None,
    ) -> Json:
        with datasets.opened(source, name) as found:
            said = {
                "name": found.name,
                "namespace": namespace,
                "source_type": found.type,
                "source": found.text,
                "schema_text": found.schema,
                "profile_text": found.profile,
                "direction": "output" if output else "input",
                "port": port,
                "step": self._step,
                "tags": dict(tags or {}),
            }
            if found.content is None:
                return self._client.log_dataset(self._run, digest=version or "", uri=found.uri, **said)
            digest = version or found.content.digest
            uri = self._send_dataset(found.content, found.file_name, found.name, namespace, digest)
            made = self._client.log_dataset(self._run, digest=digest, uri=uri, **said)
            facts = {"digest": found.content.digest, "size_bytes": found.content.size_bytes}
            if found.content.folder:
                facts["media_type"] = FOLDER_TYPE
            self._client.update_artifact(made["id"], **facts)
            return made

    def _home(self) -> str:
        if self._root is None or ":/" in self._root:
            raise LinealError(f"the artifacts of {self._run} are not in this server's store: {self._root}")
        return self._root

    def _find_written(self, sent: uploads.Sent) -> str | None:
        """The artifact that the run wrote there before."""
        if sent.fresh or sent.uri in self._written:
            return self._written.get(sent.uri)
        written = (use["artifact"] for use in self._client.uses(self._run, direction="output"))
        return next((one["id"] for one in written if one["uri"] == sent.uri and one["lifecycle"] == "active"), None)

    def _delete_others(self, artifact: str, content: Content) -> None:
        """Files of the folder as it was before that it does not hold any more."""
        if not content.folder:
            return
        names = {file.name for file in content.files}
        for file in self._client.artifact_files(artifact)[1]:
            if file["name"] not in names:
                self._client.transport.request("DELETE", uploads.path_of(file["path"]))

    def _send_dataset(self, content: Content, file_name: str, name: str, namespace: str, digest: str) -> str | None:
        """Under its sha256, once for all runs that read it; None if it is there.

        Raises LinealError: the dataset has this version with other bytes.
        """
        held = self._find_version(name, namespace, digest)
        if held is not None:
            known = self._client.get_artifact(held)["digest"]
            if known not in {None, content.digest}:
                raise LinealError(f"dataset {name!r} has a version {digest!r} with other bytes: sha256 {known}")
            if known == content.digest and self._is_stored(held):
                return None
        key = f"{self._home().partition('/')[0]}/datasets/{content.digest}/{file_name}"
        return uploads.send(self._client.transport, content, key, progress=self._client.progress).uri

    def _find_version(self, name: str, namespace: str, digest: str) -> str | None:
        for dataset in self._client.datasets(name=name):
            if dataset["namespace"] == namespace:
                found = next(self._client.dataset_versions(dataset["id"], digest=digest), None)
                return None if found is None else str(found["id"])
        return None

    def _is_stored(self, artifact: str) -> bool:
        try:
            return bool(self._client.artifact_files(artifact)[1])
        except ApiError as error:
            if error.status in {404, 409}:
                return False
            raise

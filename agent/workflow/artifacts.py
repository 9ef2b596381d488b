"""Artifacts as Argo writes them in a status: where they are, and which of them are logs."""

from typing import Any

from agent.values import Notes, as_list, as_map, short, text

_BUCKET_SCHEMES = {"s3": "s3", "gcs": "gs", "oss": "oss"}


class Repository:
    """The artifact repository of a Workflow, which gives key-only artifacts their bucket."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._stores = as_map(as_map(status.get("artifactRepositoryRef")).get("artifactRepository"))

    def of_template(self, template: dict[str, Any]) -> "Repository":
        """The repository as a template sees it: its `archiveLocation` stands before the Workflow's."""
        location = as_map(template.get("archiveLocation"))
        if not location:
            return self
        own = Repository({})
        own._stores = self._stores | location
        return own

    def uri(self, artifact: dict[str, Any], notes: Notes) -> str | None:
        """Where the artifact is, as the source writes it; None for one that is stored nowhere (`raw`, optional)."""
        for store, scheme in _BUCKET_SCHEMES.items():
            location = as_map(artifact.get(store))
            key = text(location.get("key"))
            if key:
                return self._bucket_uri(store, scheme, location, key, notes)
        azure = as_map(artifact.get("azure"))
        if text(azure.get("blob")):
            return self._azure_uri(azure)
        return _address(artifact)

    def _bucket_uri(self, store: str, scheme: str, location: dict[str, Any], key: str, notes: Notes) -> str:
        if "://" in key[:32]:
            return key
        bucket = text(location.get("bucket")) or text(as_map(self._stores.get(store)).get("bucket"))
        if bucket is None:
            notes.add(f"The bucket of {short(key)} is not known: the object names no artifact repository.")
            return key
        return f"{scheme}://{bucket}/{key.lstrip('/')}"

    def _azure_uri(self, location: dict[str, Any]) -> str:
        default = as_map(self._stores.get("azure"))
        endpoint = text(location.get("endpoint")) or text(default.get("endpoint"))
        container = text(location.get("container")) or text(default.get("container")) or ""
        base = endpoint.rstrip("/") if endpoint else "azure:/"
        return f"{base}/{container}/{text(location.get('blob'))}"


def _address(artifact: dict[str, Any]) -> str | None:
    hdfs, git = as_map(artifact.get("hdfs")), as_map(artifact.get("git"))
    if text(hdfs.get("path")):
        addresses = [text(address) for address in as_list(hdfs.get("addresses")) if text(address)]
        return f"hdfs://{addresses[0] if addresses else ''}{text(hdfs.get('path'))}"
    if text(git.get("repo")):
        revision = text(git.get("revision"))
        return f"{text(git.get('repo'))}{'@' + revision if revision else ''}"
    for store in ("http", "artifactory"):
        if text(as_map(artifact.get(store)).get("url")):
            return text(as_map(artifact.get(store)).get("url"))
    return None


def is_log(artifact: dict[str, Any], own_names: frozenset[str] = frozenset()) -> bool:
    """Argo archives `main-logs`, in general `<container>-logs`; `own_names` are outputs that the author declared."""
    name = text(artifact.get("name")) or ""
    return name.endswith("-logs") and name not in own_names


def log_uri(artifacts: tuple[dict[str, Any], ...], repository: Repository, notes: Notes) -> str | None:
    """The main container's log, else the first other one."""
    logs = sorted((item for item in artifacts if is_log(item)), key=lambda item: text(item.get("name")) != "main-logs")
    return next((uri for item in logs if (uri := repository.uri(item, notes))), None)

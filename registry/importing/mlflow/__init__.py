"""Importing a store of MLflow: its database, its folder, or what its server shows."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from registry.errors import InvalidArgument, Unavailable
from registry.importing.databases import engine_of
from registry.importing.mlflow.files import Files
from registry.importing.mlflow.folder import open_folder
from registry.importing.mlflow.job import Import
from registry.importing.mlflow.server import open_server
from registry.importing.mlflow.source import Source
from registry.importing.mlflow.tables import open_tables

__all__ = ["Files", "Import", "connect"]


def connect(source: str, workspace: str, environ: Mapping[str, str]) -> Source:
    """`workspace`: which of the source's own, where it has several.

    Raises:
        InvalidArgument: there is no store of MLflow.
        Unavailable: it does not answer.
    """
    scheme = urlsplit(source).scheme.lower()
    if scheme in {"http", "https"}:
        return open_server(source, workspace, environ)
    if scheme in {"", "file"}:
        if workspace != "default":
            raise InvalidArgument("a folder has no workspaces")
        return open_folder(Path(unquote(urlsplit(source).path) if scheme else source))
    try:
        return open_tables(engine_of(source), workspace)
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error

"""Files by MLflow's own client, unmodified, through the proxy and by links."""

from pathlib import Path
from typing import Any

import pytest

from registry.catalog.actors import Actor
from registry.catalog.blobs import find_blob
from registry.names import Role
from tests.mlflow.calling import Caller
from tests.mlflow.peers import run_client, seen
from tests.mlflow.test_links import problems

ACTOR = Actor("tester", 1, "default", Role.ADMIN)
IN_PARTS = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "5000000", "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": "5242880"}
"""So that a file of 6 MiB goes in two parts where the server says that it can."""

EXPECTED: dict[str, Any] = {
    "top": ["config", "empty", "figures", "images", "notes", "tree"],
    "tree": [["tree/deep", True, None], ["tree/empty", False, 0], ["tree/large.bin", False, 6_291_456]],
    "images": 3,
    "no folder": [],
    "text": "some words",
    "dict": {"a": [1, 2]},
    "yaml": "a:\n- 1\n- 2\n",
    "image": [4, 4],
    "large": True,
    "snow": "snow",
    "nothing": "MlflowException",
    "left": ["tree/empty", "tree/large.bin"],
}


@pytest.mark.parametrize("files", ["local"], indirect=True)
def test_the_client_logs_lists_loads_and_deletes_files(files: Caller, mlflow_python: Path, tmp_path: Path) -> None:
    assert seen(run_client(mlflow_python, "files.py", files.served.url, tmp_path)) == EXPECTED


@pytest.mark.parametrize("files", ["minio"], indirect=True)
def test_the_client_uses_the_proxy_where_links_would_lead_nowhere(files: Caller, mlflow_python: Path, tmp_path: Path) -> None:
    assert seen(run_client(mlflow_python, "files.py", files.served.url, tmp_path, **IN_PARTS)) == EXPECTED
    assert large_in_parts(files) is False


def test_the_client_uses_links_where_they_lead_to_the_store(linked: Caller, mlflow_python: Path, tmp_path: Path) -> None:
    assert seen(run_client(mlflow_python, "files.py", linked.served.url, tmp_path, **IN_PARTS)) == EXPECTED
    assert large_in_parts(linked) is True
    assert problems(linked) == []


def large_in_parts(door: Caller) -> bool:
    """Whether the large file came in parts of the client's own size, which its etag tells."""
    store = door.served.services.store
    (large,) = (one for one in store.list("default/").objects if one.key.endswith("/tree/large.bin"))
    known = door.served.services.runner.read(lambda session: find_blob(session, ACTOR, large.key))
    assert known is not None
    return large.etag.endswith("-2")

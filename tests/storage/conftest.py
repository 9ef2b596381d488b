"""One store of each kind. A test that takes `store` runs on all three, each time under a prefix of its own."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.config import open_store
from storage.store import ObjectStore
from tests.services.minio import minio_server
from tests.services.s3 import S3Server
from tests.services.seaweedfs import seaweedfs_server

__all__ = ["minio_server", "seaweedfs_server"]  # fixtures of the tests here

StoreFactory = Callable[[str], ObjectStore]
"""From a prefix (on a local store a folder) to the store there."""

KINDS = ["local", "minio", "seaweedfs"]


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> StoreFactory:
    if request.param == "local":
        return lambda prefix: prepared(open_store(f"file://{tmp_path / prefix}?durable=false"))
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return lambda prefix: prepared(open_store(server.url("behaviour", prefix), environ=server.environ))


@pytest.fixture
def store(stores: StoreFactory) -> ObjectStore:
    return stores(f"t{uuid.uuid4().hex}")


@pytest.fixture(params=["minio", "seaweedfs"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return server


def prepared(store: ObjectStore) -> ObjectStore:
    store.prepare()
    return store

"""MinIO (`MINIO_BIN`): one server for a test session."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.s3 import S3Server
from tests.services.servers import free_ports, required, running, shared


@pytest.fixture(scope="session")
def minio_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    binary = required("MINIO_BIN", "the program minio, which is started as an object store")
    return shared(request.config, "minio", lambda: _running(binary, tmp_path_factory.mktemp("minio")))


@contextmanager
def _running(binary: str, folder: Path) -> Iterator[S3Server]:
    (port,) = free_ports(1)
    server = S3Server(f"http://127.0.0.1:{port}")
    command = [binary, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "data")]
    environ = {
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    with running(command, folder, f"{server.endpoint}/minio/health/ready", environ):
        yield server

"""SeaweedFS (`SEAWEEDFS_BIN`), the second S3: one server for a test session."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.s3 import S3Server
from tests.services.servers import free_ports, required, running, shared

GRPC_DISTANCE = 10_000
"""Each of its ports has a twin for gRPC."""


@pytest.fixture(scope="session")
def seaweedfs_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    binary = required("SEAWEEDFS_BIN", "the program weed of SeaweedFS, which is started as an object store")
    return shared(request.config, "seaweedfs", lambda: _running(binary, tmp_path_factory.mktemp("seaweedfs")))


@contextmanager
def _running(binary: str, folder: Path) -> Iterator[S3Server]:
    ports = free_ports(4, also=(0, GRPC_DISTANCE))
    server = S3Server(f"http://127.0.0.1:{ports[3]}")
    identity = {
        "name": "lineal",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    with running(_command(binary, folder, ports), folder, f"{server.endpoint}/healthz"):
        yield server
    for port in [port + distance for port in ports for distance in (0, GRPC_DISTANCE)]:  # a killed one leaves them
        for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
            left.unlink()


def _command(binary: str, folder: Path, ports: list[int]) -> list[str]:
    master, volume, filer, s3 = ports
    return [
        binary, "-logtostderr=true", "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=0", "-volume.preStopSeconds=0",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
        "-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
    ]  # fmt: skip

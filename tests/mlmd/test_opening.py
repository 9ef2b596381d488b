"""To whom the port opens: TLS, the anonymous identity, server reflection."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from registry.api.app import open_services
from registry.api.mlmd.descriptors import reflection
from registry.catalog.actors import Actor
from registry.catalog.tokens import create_token
from registry.catalog.workspaces import get_or_create_workspace
from registry.errors import InvalidArgument
from registry.names import Role
from registry.settings import Settings, load
from tests.mlmd.door import Door, fresh, raw_call
from tests.mlmd.web_client import WebClient
from tests.servers import Served, serving

TLS = Path(__file__).parent / "tls"
ROOT = Path(__file__).parents[2]


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=str(folder), grpc="127.0.0.1:0", **more)


# ---- TLS ------------------------------------------------------------------------------------------------------------


def asked(port: int | None, certificate: str) -> str:
    """The status of a call by a client that trusts that certificate alone."""
    trusted = grpc.ssl_channel_credentials((TLS / f"{certificate}.crt").read_bytes())
    with grpc.secure_channel(f"localhost:{port}", trusted) as channel:
        try:
            raw_call(channel, "GetArtifacts")(b"", timeout=10)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def test_with_a_certificate_the_port_speaks_tls_and_nothing_else(tmp_path: Path) -> None:
    with serving(settings(tmp_path, grpc_tls_cert=str(TLS / "first.crt"), grpc_tls_key=str(TLS / "first.key"))) as served:
        port = served.services.grpc_port

        assert asked(port, "first") == "OK"
        assert asked(port, "second") == "UNAVAILABLE"
        with Door(served) as plain:
            assert plain.refusal("GetArtifacts") == "UNAVAILABLE"


def test_a_certificate_that_is_renewed_is_shown_without_a_restart(tmp_path: Path) -> None:
    files = {kind: tmp_path / f"tls.{kind}" for kind in ("crt", "key")}
    for kind, file in files.items():
        shutil.copy(TLS / f"first.{kind}", file)
    with serving(settings(tmp_path, grpc_tls_cert=str(files["crt"]), grpc_tls_key=str(files["key"]))) as served:
        before = asked(served.services.grpc_port, "first")
        for kind, file in files.items():
            shutil.copy(TLS / f"second.{kind}", file)

        assert (before, asked(served.services.grpc_port, "second")) == ("OK", "OK")


@pytest.mark.parametrize(
    "flags",
    [
        {"grpc_tls_cert": "x"},
        {"grpc_tls_key": "x"},
        {"anonymous_mlmd": "god@install"},
        {"anonymous_mlmd": "viewer"},
        {"mlmd_prefix": "no-slash"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(flags: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(flags))):
        load(flags, {})


def test_a_certificate_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "registry.main", "serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
    command += ["--data-dir", str(tmp_path), "--grpc-tls-cert", "/nowhere.crt", "--grpc-tls-key", "/nowhere.key"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "grpc_tls_cert" in done.stderr


# ---- the anonymous identity -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Door, dict[str, str]]]:
    """Open to contributors of `team` without credentials, on an address that is not loopback, with no token in the store."""
    made = Settings(data_dir=str(tmp_path_factory.mktemp("data")), grpc="0.0.0.0:0", anonymous_mlmd="contributor@team")
    services = open_services(made)
    secrets = {}

    def prepare(session: Any) -> None:
        for name in ("team", "other"):
            workspace = get_or_create_workspace(session, name, now=1)
            admin = Actor("test", workspace, name, Role.ADMIN)
            secrets[name] = create_token(session, admin, name, Role.VIEWER, now=1)[1]

    services.runner.write(prepare)
    services.runner.close()
    with serving(made) as served, Door(served) as door:
        yield served, door, secrets


def test_without_credentials_a_caller_is_the_anonymous_identity(open_door: tuple[Served, Door, dict[str, str]]) -> None:
    served, door, secrets = open_door
    name = fresh("type")

    put = door.call("PutArtifactType", artifact_type={"name": name})

    seen = door.call("GetArtifactType", [("authorization", f"Bearer {secrets['team']}")], type_name=name)
    assert seen.artifact_type.id == put.type_id
    other = [("authorization", f"Bearer {secrets['other']}")]
    assert door.refusal("GetArtifactType", other, type_name=name) == "NOT_FOUND"
    assert WebClient(served.url).call("GetArtifactType", type_name=name).artifact_type.id == put.type_id


def test_the_anonymous_identity_has_its_workspace_and_no_other(open_door: tuple[Served, Door, dict[str, str]]) -> None:
    _, door, _ = open_door

    assert door.refusal("GetArtifacts", [("x-lineal-workspace", "team")]) == "OK"
    assert door.refusal("GetArtifacts", [("x-lineal-workspace", "other")]) == "NOT_FOUND"
    assert door.refusal("GetArtifacts", [("x-lineal-workspace", "default")]) == "NOT_FOUND"


def test_wrong_credentials_are_not_taken_for_none(open_door: tuple[Served, Door, dict[str, str]]) -> None:
    _, door, secrets = open_door

    assert door.refusal("GetArtifacts", [("authorization", "Bearer nothing")]) == "UNAUTHENTICATED"
    viewer = [("authorization", f"Bearer {secrets['team']}")]
    assert door.refusal("PutArtifactType", viewer, artifact_type={"name": "t"}) == "PERMISSION_DENIED"


def test_the_anonymous_identity_is_this_doors_alone(open_door: tuple[Served, Door, dict[str, str]]) -> None:
    served, _, _ = open_door
    served.services.login = True
    try:
        assert httpx.get(f"{served.url}/api/v1/runs", timeout=60).status_code == 401
    finally:
        served.services.login = False


@pytest.mark.parametrize(("role", "code"), [("viewer", "PERMISSION_DENIED"), ("contributor", "OK")])
def test_the_anonymous_identity_has_its_role(tmp_path: Path, role: str, code: str) -> None:
    with serving(settings(tmp_path, anonymous_mlmd=f"{role}@install")) as served, Door(served) as door:
        assert door.refusal("PutArtifactType", artifact_type={"name": "t"}) == code


def test_an_open_http_address_still_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="not loopback"):
        open_services(Settings(data_dir=str(tmp_path), http="0.0.0.0:0", anonymous_mlmd="contributor@install"))


# ---- reflection -----------------------------------------------------------------------------------------------------


def reflected(door: Door, version: int, *questions: Any) -> list[Any]:
    asked = reflection()[version]
    with grpc.insecure_channel(door.address) as channel:
        stream: Any = channel.stream_stream(f"/{asked.name}/ServerReflectionInfo")
        answers = stream(iter([one.SerializeToString() for one in questions]), timeout=60)
        return [asked.methods["ServerReflectionInfo"].response.FromString(one) for one in answers]


def question(version: int, **fields: Any) -> Any:
    return reflection()[version].messages["ServerReflectionRequest"](**fields)


@pytest.mark.parametrize("version", [0, 1])
def test_a_tool_learns_what_is_served(sqlite_door: Door, version: int) -> None:
    [answer] = reflected(sqlite_door, version, question(version, host="h", list_services="*"))

    assert [one.name for one in answer.list_services_response.service] == [
        "ml_metadata.MetadataStoreService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert (answer.valid_host, answer.original_request.host) == ("h", "h")


@pytest.mark.parametrize(
    "symbol",
    [
        "ml_metadata.MetadataStoreService",
        "ml_metadata.MetadataStoreService.GetLineageSubgraph",
        "ml_metadata.Artifact.State",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "google.protobuf.Struct",
    ],
)
def test_a_tool_can_build_every_message_from_what_it_is_sent(sqlite_door: Door, symbol: str) -> None:
    [answer] = reflected(sqlite_door, 0, question(0, file_containing_symbol=symbol))

    pool = descriptor_pool.DescriptorPool()
    for one in reversed(answer.file_descriptor_response.file_descriptor_proto):
        pool.AddSerializedFile(one)
    assert pool.FindFileContainingSymbol(symbol.removesuffix(".GetLineageSubgraph")) is not None


def test_the_service_has_all_its_methods_there(sqlite_door: Door) -> None:
    [answer] = reflected(sqlite_door, 0, question(0, file_by_filename="metadata_store.proto"))

    file = descriptor_pb2.FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])
    assert len(file.service[0].method) == 52


def test_many_questions_are_answered_in_order_and_what_is_not_there_is_said(sqlite_door: Door) -> None:
    answers = reflected(
        sqlite_door,
        0,
        question(0, file_containing_symbol="no.such.Thing"),
        question(0, file_by_filename="no.proto"),
        question(0, all_extension_numbers_of_type="ml_metadata.Artifact"),
        question(0),
        question(0, list_services=""),
    )

    assert [one.error_response.error_code for one in answers] == [5, 5, 5, 3, 0]


def test_what_is_no_question_is_answered_so(sqlite_door: Door) -> None:
    with grpc.insecure_channel(sqlite_door.address) as channel:
        stream: Any = channel.stream_stream(f"/{reflection()[0].name}/ServerReflectionInfo")
        [raw] = stream(iter([b"\xff\xff\xff"]), timeout=60)

    answer = reflection()[0].messages["ServerReflectionResponse"].FromString(raw)
    assert answer.error_response.error_code == 3


def test_reflection_needs_no_credentials(open_door: tuple[Served, Door, dict[str, str]]) -> None:
    _, door, _ = open_door

    assert reflected(door, 0, question(0, list_services=""))

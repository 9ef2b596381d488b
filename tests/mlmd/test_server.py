"""The port: who may come in, what is served, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from registry.settings import Settings
from tests.mlmd.door import Door, fresh, message, node, raw_call
from tests.servers import serving

ROOT = Path(__file__).parents[2]


def served(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "registry.main", "serve", "--http", "127.0.0.1:0", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", ":9080"])
def test_an_address_that_is_none_is_refused_in_one_line(tmp_path: Path, address: str) -> None:
    process = served("--data-dir", str(tmp_path), "--grpc", address)

    out, error = process.communicate(timeout=60)

    assert (process.returncode, error.count("\n"), out) == (2, 1, "")


def test_a_port_that_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = served("--data-dir", str(tmp_path), "--grpc", f"127.0.0.1:{taken.getsockname()[1]}")
        _, error = process.communicate(timeout=60)

    assert (process.returncode, error.count("\n")) == (2, 1)


def test_an_open_address_needs_a_token_in_the_store(tmp_path: Path) -> None:
    process = served("--data-dir", str(tmp_path), "--grpc", "0.0.0.0:0")

    _, error = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "0.0.0.0:0 is not loopback" in error


def test_calls_need_a_token_where_the_http_port_does(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "registry.main", "token", "create", "t", "--role", "viewer", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    secret = process.stdout.strip().splitlines()[-1]
    with serving(Settings(data_dir=str(tmp_path), grpc="0.0.0.0:0")) as running, Door(running) as door:
        good, wrong = [("authorization", f"Bearer {secret}")], [("authorization", "Bearer nothing")]

        assert door.refusal("GetArtifacts") == "UNAUTHENTICATED"
        assert door.refusal("GetArtifacts", wrong) == "UNAUTHENTICATED"
        assert door.refusal("GetArtifacts", good) == "OK"
        assert door.refusal("PutArtifactType", good, artifact_type=message("ArtifactType", name="t")) == "PERMISSION_DENIED"
        assert door.refusal("GetArtifacts", [*good, ("x-lineal-workspace", "other")]) == "NOT_FOUND"


def test_workspaces_see_nothing_of_each_other_and_have_names_of_their_own(sqlite_door: Door) -> None:
    door = sqlite_door
    name, type_name = fresh("mine"), fresh("type")
    [id] = door.put("context", node("context", door.type("context", type_name), name=name))

    assert door.refusal("GetContexts", [("x-lineal-workspace", "nobody")]) == "NOT_FOUND"
    team = [("x-lineal-workspace", _workspace(door, "team"))]
    assert not door.call("GetContextsByID", team, context_ids=[id]).contexts
    assert not door.call("GetContexts", team, options={"filter_query": f"id = {id}"}).contexts
    assert door.refusal("GetContextType", team, type_name=type_name) == "NOT_FOUND"
    type_id = door.call("PutContextType", team, context_type=message("ContextType", name=type_name)).type_id
    other = door.call("PutContexts", team, contexts=[node("context", type_id, name=name)]).context_ids[0]
    assert other != id
    assert door.refusal("PutContexts", team, contexts=[node("context", id=id, name="stolen")]) == "INVALID_ARGUMENT"
    edge = [{"child_id": other, "parent_id": id}]
    assert door.refusal("PutParentContexts", team, parent_contexts=edge) == "INVALID_ARGUMENT"


def _workspace(door: Door, name: str) -> str:
    from registry.catalog.workspaces import get_or_create_workspace

    door.served.services.runner.write(lambda session: get_or_create_workspace(session, name, now=1))
    return name


def test_what_the_service_does_not_have_is_unimplemented(sqlite_door: Door) -> None:
    with grpc.insecure_channel(sqlite_door.address) as channel, pytest.raises(grpc.RpcError) as refused:
        raw_call(channel, "DeleteEverything")(b"", timeout=60)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_probes_are_answered_without_credentials(sqlite_door: Door) -> None:
    with grpc.insecure_channel(sqlite_door.address) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")

        assert check(b"", timeout=60) == b"\x08\x01"  # SERVING
        assert check(b"\x0a\x20ml_metadata.MetadataStoreService", timeout=60) == b"\x08\x01"
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            check(b"\x0a\x05other", timeout=60)


def test_a_call_that_has_begun_is_answered_although_the_server_is_told_to_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "registry.main", "serve", "--http", "127.0.0.1:0", "--grpc", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(tmp_path)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    kind = message("ArtifactType", name="t")
    put = message("PutArtifactTypeRequest", artifact_type=kind).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(60)
        first = raw_call(channel, "PutArtifactType")(put, timeout=60)
        artifact = node("artifact", message("PutArtifactTypeResponse").FromString(first).type_id, custom={"x": "y" * 100_000})
        many = message("PutArtifactsRequest", artifacts=[artifact] * 200).SerializeToString()
        call = raw_call(channel, "PutArtifacts").future(many, timeout=60)
        threading.Timer(0.2, lambda: os.kill(process.pid, signal.SIGTERM)).start()
        answer = message("PutArtifactsResponse").FromString(call.result())
    begun = time.monotonic()

    assert len(answer.artifact_ids) == 200
    assert process.wait(30) == 0
    assert time.monotonic() - begun < 30


def test_several_workers_share_the_port_and_all_of_them_end(tmp_path: Path, postgres_dsn: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["--data-dir", str(tmp_path), "--db", postgres_dsn, "--workers", "2", "--grpc", f"127.0.0.1:{port}"]
    process = served(*arguments)
    names, ids = [fresh("shared") for _ in range(24)], []
    for name in names:  # a connection each: the kernel gives them to either
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            grpc.channel_ready_future(channel).result(60)
            put = message("PutArtifactTypeRequest", artifact_type=message("ArtifactType", name=name)).SerializeToString()
            ids.append(
                message("PutArtifactTypeResponse").FromString(raw_call(channel, "PutArtifactType")(put, timeout=60)).type_id
            )
            found = message("GetArtifactTypesResponse").FromString(raw_call(channel, "GetArtifactTypes")(b"", timeout=60))
            assert [one.id for one in found.artifact_types] == ids
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert process.returncode == 0

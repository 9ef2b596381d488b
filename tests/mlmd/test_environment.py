"""The door pins nothing: it starts without ml-metadata, and with any protobuf that another package wants."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from tests.mlmd.door import raw_call
from tests.services.servers import required

ROOT = Path(__file__).parents[2]
OF = {
    "MLMD_PYTHON": ("4.25.", "ml-metadata 1.17.1 in an environment of its own"),
    "MLMD_NEW_PYTHON": ("6.33.", "ml-metadata 1.21.0 in an environment of its own"),
}


def environment(folder: Path, variable: str | None) -> dict[str, str]:
    """Ours; with `variable`, the protobuf of that Python's environment is found before our own."""
    if variable is None:
        return dict(os.environ)
    code = "import google.protobuf as found; print(found.__path__[0])"
    python = required(variable, OF[variable][1])
    package = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()).parent
    (folder / "google").symlink_to(package)
    return os.environ | {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("variable", [None, *OF])
def test_the_door_serves_with_the_protobuf_that_is_there(tmp_path: Path, variable: str | None) -> None:
    env = environment(tmp_path, variable)
    version = subprocess.run(
        [sys.executable, "-c", "import google.protobuf as found; print(found.__version__)"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "registry.main", "serve", "--http", "127.0.0.1:0", "--grpc", f"127.0.0.1:{port}"]
    command += ["--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(60)
                made = raw_call(channel, "PutArtifactType")(b"\x0a\x05\x12\x03abc", timeout=60)
                struct = b"\x0a\x1a\x10\x0a\x2a\x16\x0a\x01k\x12\x11\x22\x0f\x0a\x0d\x0a\x01n\x12\x08\x1a\x06\xc3\xbcnull"
                put = raw_call(channel, "PutArtifacts")(struct, timeout=60)
                found = raw_call(channel, "GetArtifacts")(b"", timeout=60)
        finally:
            process.terminate()

    assert version.startswith(OF[variable][0] if variable else "7.")
    assert (made, put) == (b"\x08\x0a", b"\x08\x01")
    assert b"\xc3\xbcnull" in found


def test_the_server_imports_neither_ml_metadata_nor_generated_messages_of_it() -> None:
    code = (
        "import sys, registry.api.mlmd.rpc, registry.api.mlmd.web; from registry.api.mlmd.descriptors import service; service();"
        "print([name for name in sys.modules if 'ml_metadata' in name or 'metadata_store' in name]);"
        "import importlib.util; print(importlib.util.find_spec('ml_metadata'))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["[]", "None"]

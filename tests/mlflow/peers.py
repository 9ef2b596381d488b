"""Running a script in the environment of MLflow's own client, and MLflow's own server."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.services.servers import free_ports, running

SCRIPTS = Path(__file__).parent / "client"


def run_client(
    python: Path, script: str, url: str, folder: Path, *arguments: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """A script of `tests/mlflow/client` against the server at `url`, its first argument; `folder` is its home."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_", "MINIO_"))}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "HOME": str(folder)}
    command = [str(python), str(SCRIPTS / script), url, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, cwd=folder, env=environment | environ
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def seen(done: subprocess.CompletedProcess[str]) -> Any:
    """What the script printed last."""
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def mlflow_server(python: str, folder: Path) -> Iterator[str]:
    """MLflow's own, on SQLite, with its artifact proxy."""
    (port,) = free_ports(1)
    argv = [str(Path(python).parent / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--serve-artifacts"]
    argv += ["--artifacts-destination", str(folder / "files")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with running(argv, folder, f"http://127.0.0.1:{port}/health", quiet, timeout_s=240):  # it needs 6 s on an idle machine
        yield f"http://127.0.0.1:{port}"

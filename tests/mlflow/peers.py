"""Running a script in the environment of MLflow's own client."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

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

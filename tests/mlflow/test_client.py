"""MLflow's own client, unmodified, in an environment of its own, against a running server."""

import json
import os
import subprocess
from pathlib import Path

from tests.mlflow.calling import Caller

SCRIPTS = Path(__file__).parent / "client"


def test_the_client_does_what_notebooks_do_and_sees_what_it_expects(
    sqlite_door: Caller, mlflow_python: Path, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "HOME": str(tmp_path)}
    command = [str(mlflow_python), str(SCRIPTS / "tour.py"), sqlite_door.served.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path, env=environment)

    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "again": True,
        "default": "Default",
        "none": None,
        "changed": "INVALID_PARAMETER_VALUE",
        "status": "FINISHED",
        "params": {"lr": "0.1", "layers": "3"},
        "metrics": {"loss": "0.2", "acc": "0.75", "odd": "nan"},
        "name": "parent",
        "parent": True,
        "history": [[0, 1.0], [1, 0.5], [2, 1 / 3], [3, 0.25], [4, 0.2]],
        "resumed": 0.01,
        "many": [250, 2500],
        "page": [0.0, 1.0, 2.0],
        "rest": [3.0, 4.0, 5.0, 6.0, 7.0],
        "frame": ["parent"],
        "async": 20,
        "inputs": [["six", "train"]],
        "deleted": "deleted",
        "experiments": ["toured"],
        "taken": "RESOURCE_ALREADY_EXISTS",
        "restored": "active",
    }

"""`lineal.mlmd`: ML Metadata's client, connected; in the environments of both of its versions."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from registry.catalog.workspaces import get_or_create_workspace
from tests.mlmd.door import Door, fresh
from tests.services.servers import required

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "reference" / "connect.py"
PYTHONS = {
    "MLMD_PYTHON": "ml-metadata 1.17.1 in an environment of its own",
    "MLMD_NEW_PYTHON": "ml-metadata 1.21.0 in an environment of its own",
}


@pytest.mark.parametrize("variable", PYTHONS)
def test_a_store_is_one_call_with_token_and_workspace_from_the_environment(sqlite_door: Door, variable: str) -> None:
    python = required(variable, PYTHONS[variable])
    team = fresh("team")
    sqlite_door.served.services.runner.write(partial(get_or_create_workspace, name=team, now=1))
    env = os.environ | {"PYTHONPATH": str(ROOT / "client" / "src"), "PYTHONDONTWRITEBYTECODE": "1"}

    done = subprocess.run(
        [python, str(SCRIPT), sqlite_door.address, team], env=env, capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {"mine": ["s3://b/k"], "others": 0, "refused": "UnauthenticatedError"}


def test_without_the_package_the_remedy_is_named() -> None:
    """The client's own environment has none."""
    code = "import lineal.mlmd\ntry: lineal.mlmd.store()\nexcept lineal.LinealError as error: print(error)"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "ML Metadata's client is not installed: pip install 'lineal[mlmd]'\n"


@pytest.mark.parametrize("address", ["nonsense", ":9080", "host:"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    python = required("MLMD_PYTHON", PYTHONS["MLMD_PYTHON"])
    env = os.environ | {"PYTHONPATH": str(ROOT / "client" / "src")}
    code = f"import lineal.mlmd\ntry: lineal.mlmd.store({address!r})\nexcept lineal.LinealError as error: print(error)"

    done = subprocess.run([python, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == f"{address!r} is not HOST:PORT\n"

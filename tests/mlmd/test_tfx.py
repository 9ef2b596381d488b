"""TFX itself, from `ml-pipelines-sdk`: its own runner, driver, launcher and publisher on our server. No recorded calls."""

import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.mlmd.door import Door
from tests.services.servers import required

SCRIPT = Path(__file__).parent / "reference" / "tfx_pipeline.py"


def test_a_local_pipeline_of_two_components_runs_and_runs_from_the_cache(sqlite_door: Door, tmp_path: Path) -> None:
    python = required("MLMD_NEW_PYTHON", "ml-metadata 1.21 and TFX in an environment of their own")
    command = [python, str(SCRIPT), sqlite_door.address.rpartition(":")[2], str(tmp_path), "2"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr[-2000:]
    url = f"{sqlite_door.served.url}/api/v1"
    runs = sorted(httpx.get(f"{url}/runs", timeout=60).json()["runs"], key=lambda run: str(run["name"]))
    assert [run["experiment_name"] for run in runs] == ["pipelines/taxi"] * 2
    assert [_steps(url, run) for run in runs] == [
        [("Generate", "succeeded"), ("Train", "succeeded")],
        [("Generate", "cached"), ("Train", "cached")],
    ]
    [fit] = sqlite_door.call("GetArtifactsByType", type_name="Fit").artifacts
    walk = {
        "starting_artifacts": {"filter_query": f"id = {fit.id}"},
        "direction": 1,
        "ending_executions": {"filter_query": "last_known_state = CACHED"},
    }
    found = sqlite_door.call("GetLineageSubgraph", lineage_subgraph_query_options=walk).lineage_subgraph
    assert (len(found.artifacts), len(found.executions)) == (2, 2)
    assert Path(fit.uri, "model.txt").read_text() == "7"


def _steps(url: str, run: dict[str, Any]) -> list[tuple[str, str]]:
    found = httpx.get(f"{url}/runs/{run['id']}/steps", timeout=60).json()["steps"]
    return sorted((step["path"], step["status"]) for step in found)

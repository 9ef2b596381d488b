"""Run by a Python that has mlflow: what its own client does with workspaces; prints what it saw as JSON."""

import json
import sys
from typing import Any

import mlflow  # type: ignore[import-not-found, unused-ignore]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found, unused-ignore]

seen: dict[str, Any] = {}
mlflow.set_tracking_uri(sys.argv[1])


def code(call: Any, *args: Any) -> str:
    try:
        call(*args)
    except MlflowException as error:
        return str(error.error_code)
    return "nothing was refused"


def logged() -> list[str]:
    """The names of all runs after one more, whose file comes back."""
    mlflow.set_experiment("same name")
    with mlflow.start_run(run_name=f"of {mlflow.get_workspace(workspace).name}") as run:
        mlflow.log_text("words", "a.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/a.txt") == "words"
    return sorted(one.info.run_name for one in mlflow.search_runs(output_format="list"))


seen["made"] = mlflow.create_workspace("blue-team").name
seen["again"] = code(mlflow.create_workspace, "blue-team")
seen["all"] = [one.name for one in mlflow.list_workspaces()]
for workspace in ("default", "blue-team"):
    mlflow.set_workspace(workspace)
    seen[workspace] = logged()
seen["unknown"] = code(mlflow.get_workspace, "nobodys")
mlflow.set_workspace("nobodys")
seen["in none"] = code(mlflow.search_experiments)
print(json.dumps(seen))

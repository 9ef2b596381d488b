"""MLflow's own client, unmodified, in an environment of its own, against a running server."""

from pathlib import Path
from typing import Any

from registry.settings import Settings
from tests.mlflow.calling import Caller
from tests.mlflow.peers import run_client, seen
from tests.servers import serving


def run(door: Caller, python: Path, folder: Path, script: str) -> Any:
    """What the script's last line says it saw."""
    return seen(run_client(python, script, door.served.url, folder))


def test_the_client_does_what_notebooks_do_and_sees_what_it_expects(
    sqlite_door: Caller, mlflow_python: Path, tmp_path: Path
) -> None:
    assert run(sqlite_door, mlflow_python, tmp_path, "tour.py") == {
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


def test_the_client_registers_models_and_prompts_and_sees_what_it_expects(
    sqlite_door: Caller, mlflow_python: Path, tmp_path: Path
) -> None:
    assert run(sqlite_door, mlflow_python, tmp_path, "registry_tour.py") == {
        "outputs": [[True, 7]],
        "logged": ["net", "READY", {"depth": "3"}, {"team": "red"}, [["acc", 0.75], ["f1", 0.5], ["loss", 0.1]]],
        "of the run": True,
        "inputs": [True],
        "search": ["net"],
        "registered": ["tour", "1", "READY", True],
        "again": "2",
        "noted": [1, "1", 2, "2"],  # the server's note, and the client's own
        "by run": ["3", "3"],
        "elsewhere": "INVALID_PARAMETER_VALUE",
        "best": "2",
        "aliases": {"best": "2"},
        "stages": {"3": "Production", "1": "Archived", "2": "None"},
        "latest": {"Archived": "1", "None": "2", "Production": "3"},
        "download": True,
        "no alias": "INVALID_PARAMETER_VALUE",
        "reserved": "INVALID_PARAMETER_VALUE",
        "copy": ["1", "models:/tour/2", True],
        "tags": {"k": "v"},
        "deleted": ["RESOURCE_DOES_NOT_EXIST", {}],
        "models": ["toured", "copied"],
        "gone": "RESOURCE_DOES_NOT_EXIST",
        "prompt": [1, 1, "Hello Ada", "Good day, {{name}}"],
        "prompts": ["greeting"],
        "models only": ["toured"],
        "no such prompt": None,
        "prompt taken": "RESOURCE_ALREADY_EXISTS",
    }


def test_libraries_log_by_themselves_and_models_are_loaded_by_every_name(
    sqlite_door: Caller, mlflow_python: Path, tmp_path: Path
) -> None:
    assert run(sqlite_door, mlflow_python, tmp_path, "libraries.py") == {
        "sklearn": {"C": "0.5", "accurate": True, "figure": True, "dataset": ["train"], "models": 1},
        "same predictions": True,
        "xgboost": ["5", 5],
        "lightgbm": ["4", 4],
        "loaded": {
            "runs:/RUN/iris": True,
            "models:/flowers/1": True,
            "models:/flowers/latest": True,
            "models:/flowers@champion": True,
            "models:/flowers/Production": True,
            "models:/MODEL": True,
        },
        "logged": [0.97, {"C": "1.0"}],
        "copied": ["flowers-copy", "1", True],
        "restored": True,
        "versions": ["2"],
        "table": [1, 2, 3],
        "children": ["0", "1"],
        "readers": ["parent"],
        "workers": [8, "worker 7", True],
        "later": 50,
        "machine": True,
        "frame": [17, True],
    }


def test_the_client_makes_workspaces_and_sees_each_by_itself(tmp_path: Path, mlflow_python: Path) -> None:
    with serving(Settings(data_dir=str(tmp_path / "data"))) as served, Caller(served) as door:
        assert run(door, mlflow_python, tmp_path, "workspaces.py") == {
            "made": "blue-team",
            "again": "RESOURCE_ALREADY_EXISTS",
            "all": ["blue-team", "default"],
            "default": ["of default"],
            "blue-team": ["of blue-team"],
            "unknown": "RESOURCE_DOES_NOT_EXIST",
            "in none": "RESOURCE_DOES_NOT_EXIST",
        }


def test_the_quick_start_notebook_runs_as_it_stands(sqlite_door: Caller, mlflow_python: Path, tmp_path: Path) -> None:
    notebook = Path(__file__).parents[2] / "examples" / "mlflow" / "quickstart.ipynb"
    shown = seen(run_client(mlflow_python, "notebook.py", sqlite_door.served.url, tmp_path, str(notebook)))

    assert shown[-2] == "True"
    assert "first try" in shown[-1]


def test_the_client_of_the_last_mlflow_2_works_too(sqlite_door: Caller, mlflow2_python: Path, tmp_path: Path) -> None:
    assert run(sqlite_door, mlflow2_python, tmp_path, "second.py") == {
        "major": "2",
        "autolog": ["0.5", True],
        "history": [1.0, 0.5, 1 / 3],
        "files": ["b.json", "iris", "notes"],
        "text": "words",
        "loaded": [True] * 5,
        "found": ["model"],
        "child": True,
        "dataset": ["iris"],
        "noted": "iris",
    }

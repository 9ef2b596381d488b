"""The client of Lineal: `Client` for one server, `run(...)` for a training script.

with lineal.run(experiment="churn") as run:
    run.log_params({"lr": 0.1})
    run.log_metrics({"loss": 0.3}, step=1)
    run.log_artifact("model.bin", kind="model")

`start_run(...)` is the same without a block: for notebooks.
"""

from lineal.client import Client
from lineal.errors import ApiError, LinealError, Unreachable
from lineal.runs import Run
from lineal.starting import run, start_run

__all__ = ["ApiError", "Client", "LinealError", "Run", "Unreachable", "run", "start_run"]

"""The client of Lineal: `Client` for one server, `run(...)` for a training script.

with lineal.run(experiment="churn") as run:
run.log_params({"lr": 0.1})
run.log_metrics({"loss": 0.3}, step=1)
"""

from lineal.client import Client
from lineal.errors import ApiError, LinealError, Unreachable
from lineal.runs import Run, run

__all__ = ["ApiError", "Client", "LinealError", "Run", "Unreachable", "run"]

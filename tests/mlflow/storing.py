"""What tests of files share."""

import json

from registry.catalog.dumping import canonical
from tests.mlflow.calling import Caller

PROXY = "/api/2.0/mlflow-artifacts/artifacts"


def everything(door: Caller) -> str:
    """All records, and all objects with their etags."""
    door.get("experiments/get", experiment_id="0")  # Default is made on first use
    services = door.served.services
    stored = [(one.key, one.etag) for one in services.store.list().objects]
    return json.dumps([services.runner.read(lambda session: list(canonical(session))), stored], sort_keys=True, default=str)

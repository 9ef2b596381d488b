"""The agent's report of a workflow."""

import uuid
from typing import ClassVar

from tests.behaviour.story import Http, Story, register
from tests.catalog.reporting import report, task
from tests.mlmd.door import Door, fresh


class AgentWriter:
    """Metrics are a task's, tags it has none of, and what was read is a file."""

    name: ClassVar[str] = "agent"

    def __init__(self, door: Door) -> None:
        self._http = Http(door)

    def tell(self) -> Story:
        uid, said = str(uuid.uuid4()), fresh("told")
        data, files = (f"s3://b/{uid}/{port}" for port in ("data", "model"))
        inputs = {"artifacts": [{"name": "data", "uri": data}]}
        outputs = {"artifacts": [{"name": "model", "uri": files, "type": "system.Model"}]}
        train = task("train", inputs=inputs, outputs=outputs, metrics={"metrics/acc": 0.9})
        run = {"name": said, "pipeline": said, "parameters": {"lr": "0.1"}}
        self._http.post("/api/v1/reports", **report(uid, 1, train, state="COMPLETE", **run))
        seen = {"name": said, "state": "succeeded", "experiment": f"pipelines/{said}", "params": {"lr": "0.1"}}
        hex = uid.replace("-", "")
        return register(self._http, Story(self.name, hex, seen | {"metrics": {"train/metrics/acc": 0.9}}, "data", files))

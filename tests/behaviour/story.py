"""What is told through a door, and in which common words it is read back.

A door that has no word for something leaves it out: a writer in its `Story`, a reader in its answer. What both have must agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import httpx

from tests.mlmd.door import Door, fresh

Seen = Mapping[str, Any]
"""Of a run: name, state, experiment, params, metrics, tags. Of a version: model, number, run, aliases, stage. Of lineage: data,
run, version, deployment, each by its name."""


@dataclass
class Story:
    """A run that read data and made files, a version of a model from these, and where that is deployed. `by`: the door.

    `run`, `version`: what was said of them; `hex`: the run's id. `data`: the name of what it read, a dataset where the door has a
    word for one. `files`: their URI.
    """

    by: str
    hex: str
    run: Seen
    data: str
    files: str
    is_dataset: bool = False
    version: dict[str, Any] = field(default_factory=dict)
    deployment: str = ""

    @property
    def lineage(self) -> Seen:
        named = {"run": self.run["name"]} if "name" in self.run else {}
        version = f"{self.version['model']}/{self.version['number']}"
        return {**named, "data": self.data, "version": version, "deployment": self.deployment}


class Writer(Protocol):
    name: ClassVar[str]

    def __init__(self, door: Door) -> None: ...
    def tell(self) -> Story: ...


class Reader(Protocol):
    name: ClassVar[str]

    def __init__(self, door: Door) -> None: ...
    def run(self, story: Story) -> Seen: ...
    def version(self, story: Story) -> Seen: ...
    def lineage(self, story: Story) -> Seen:
        """From the deployment, or from where the door's words begin, back to the data that was read."""
        ...


class Http:
    """Calls with JSON."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._url = door.served.url

    def ask(self, method: str, path: str, **given: Any) -> Any:
        answer = httpx.request(method, self._url + path, timeout=60, **given)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, params=query)

    def post(self, path: str, /, **body: Any) -> Any:
        return self.ask("POST", path, json=body)


def register(http: Http, story: Story) -> Story:
    """By our own door, where another has no word for it: the files as a version with an alias and a stage, and deployed."""
    model = story.version.get("model")
    if model is None:
        model = fresh("model")
        made = http.post("/api/v1/register", model=model, uri=story.files, run_id=f"run_{story.hex}", tags={"by": story.by})
        version = f"/api/v1/model-versions/{made['id']}/stage"
        http.ask("PUT", f"/api/v1/models/{made['model_id']}/aliases/champion", json={"version_id": made["id"]})
        http.ask("PUT", version, json={"stage": "Staging"})
        story.version = {"model": model, "number": 1, "run": story.hex, "aliases": ["champion"], "stage": "Staging"}
    else:
        [made] = http.get("/api/v1/model-versions", filter=f"model = '{model}'")["versions"]
    story.deployment = fresh("served")
    http.post("/api/v1/deployments", name=story.deployment, environment="prod", model_version_id=made["id"])
    return story

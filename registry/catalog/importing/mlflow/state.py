"""How far the import of a store of MLflow is."""

from dataclasses import dataclass, field
from typing import ClassVar

from registry.catalog.importing import progress


@dataclass
class State(progress.State):
    """`met`: what was here before and stays as it is: `experiment 7`, `run <id>`, `logged model m-…`, `model <name>`."""

    PHASES: ClassVar = ("experiments", "runs", "parents", "logged_models", "uses", "metrics", "model_metrics", "models", "files")

    met: list[str] = field(default_factory=list)

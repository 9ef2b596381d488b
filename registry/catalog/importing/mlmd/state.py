"""How far the import of a database of ML Metadata is."""

from dataclasses import dataclass, field
from typing import ClassVar

from registry.catalog.importing import progress


@dataclass
class State(progress.State):
    """`after`: the last row that is done. `types`: ours, by the source's. `met`: contexts that were here before, which stay.

    `measures`: types whose artifacts are points and params here, by the source's id; `folded`: rows by phase that are no nodes
    and edges for that. `lost`: kinds and ids of nodes that were left out because what they belong to is not there.
    """

    PHASES: ClassVar = (
        "types",
        "contexts",
        "executions",
        "artifacts",
        "events",
        "associations",
        "attributions",
        "parents",
        "runs",
    )
    BEGIN: ClassVar = (0, 0)

    types: dict[str, int] = field(default_factory=dict)
    met: list[int] = field(default_factory=list)
    measures: dict[str, str] = field(default_factory=dict)
    folded: dict[str, int] = field(default_factory=dict)
    lost: list[list[int]] = field(default_factory=list)

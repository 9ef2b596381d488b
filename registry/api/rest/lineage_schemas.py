"""Wire shapes of lineage: all are hot on the way out, so plain dictionaries that the type checker and OpenAPI know."""

from typing import Literal

from typing_extensions import TypedDict

CutWord = Literal["depth", "fan_out", "nodes", "visits", "deadline", "paths"]
WayWord = Literal["upstream", "downstream"]
KindWord = Literal["artifact", "dataset", "deployment", "execution", "model", "model_version", "run", "step"]


class LineageNode(TypedDict):
    """`depth` is the least number of edges from the root; `way` the direction it was met in, null for the root."""

    id: str
    kind: KindWord
    name: str
    type: str | None
    status: str | None
    created_at: int | None
    depth: int
    way: WayWord | None


class LineageEdge(TypedDict):
    """Points the way that data flows: what `source` made or holds went into `target`."""

    source: str
    target: str
    kind: str
    role: str | None
    inferred: bool
    at: int | None


class LineageStub(TypedDict):
    """Where the walk stopped: so many edges of the node were not followed; null where nobody counted."""

    node: str
    way: WayWord
    hidden: int | None


class LineageGraph(TypedDict):
    """Everything that can be reached exactly if `cut` is empty."""

    root: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    frontier: list[LineageStub]
    truncated: bool
    cut: list[CutWord]
    depth_reached: int


class LineagePath(TypedDict):
    """Node ids from start to goal; `steps[i]` are the parallel edges between nodes i and i + 1."""

    nodes: list[str]
    steps: list[list[LineageEdge]]


class LineagePaths(TypedDict):
    """Shortest first. `cut` is empty if there is no other short path."""

    paths: list[LineagePath]
    nodes: list[LineageNode]
    cut: list[CutWord]


class ImpactPage(TypedDict):
    """By depth, then node. `cut` says why later pages may lack something."""

    items: list[LineageNode]
    next_page_token: str | None
    cut: list[CutWord]

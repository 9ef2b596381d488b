"""How far a walk may go, and the words for why it went no further."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Clock = Callable[[], float]
"""Seconds that only grow."""


class Cut(StrEnum):
    """Why an answer is not everything."""

    DEPTH = "depth"
    """The next level is over the depth."""
    FAN_OUT = "fan_out"
    """A node has more edges one way than `per_hop`."""
    NODES = "nodes"
    """More nodes to show than `max_nodes`."""
    VISITS = "visits"
    """More nodes to look at, shown or not, than `max_visited`."""
    DEADLINE = "deadline"
    PATHS = "paths"
    """More paths than were asked for, or more work than finding them may cost."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a clock that only grows."""

    at: float = math.inf
    clock: Clock = time.monotonic

    @property
    def passed(self) -> bool:
        return self.clock() >= self.at


NEVER = Deadline()


@dataclass(frozen=True, slots=True)
class Limits:
    """`depth` in edges, at least 0; the others at least 1. `per_hop` counts edges of one node one way."""

    depth: int = 2
    per_hop: int = 50
    max_nodes: int = 200
    max_visited: int = 10_000
    deadline: Deadline = NEVER

    def __post_init__(self) -> None:
        at_least("depth", self.depth, 0)
        for name in ("per_hop", "max_nodes", "max_visited"):
            at_least(name, getattr(self, name), 1)


def at_least(name: str, value: int, least: int) -> None:
    """Raises ValueError below `least`."""
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")

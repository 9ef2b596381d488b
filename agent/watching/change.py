"""What a watch tells: an object that has changed, is deleted, or was found to be gone."""

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from agent.kind import Kind
from agent.watching.progress import Progress, Ticket


class Sign(Enum):
    CHANGED = "changed"
    DELETED = "deleted"
    """The last state came with it."""
    GONE = "gone"
    """It went while nobody looked; its last state is not known."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An object that the cluster has."""

    uid: str
    name: str
    namespace: str
    version: str


@dataclass(frozen=True, slots=True)
class Change:
    """`content`: the object as the API server wrote it; for GONE nothing."""

    kind: Kind
    api_version: str
    sign: Sign
    seen: Seen
    content: bytes
    ticket: Ticket
    progress: Progress
    received_at: float = field(default_factory=time.time)


class Sink(Protocol):
    async def take(self, change: Change) -> None:
        """Waits while there is no room. Settles the change's ticket, at some time."""

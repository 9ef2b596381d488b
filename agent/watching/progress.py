"""How far a watch has come: the resourceVersion up to which everything that was told has found a safe place.

A change is told in order and becomes safe in any order. A process that is killed goes on from `safe`, and is told again whatever
was not: twice is harmless, never is not.
"""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Ticket:
    """One change on its way. Settled when it was delivered, is on disk, was refused for ever, or a newer one stands for it."""

    version: str | None
    """None for the objects of a list: only its end is a place to go on from."""
    settled: bool = False


class Progress:
    def __init__(self, version: str | None = None) -> None:
        self.safe = version
        self._open: deque[Ticket] = deque()

    def open(self, version: str | None) -> Ticket:
        ticket = Ticket(version)
        self._open.append(ticket)
        return ticket

    def settle(self, ticket: Ticket) -> None:
        ticket.settled = True
        while self._open and self._open[0].settled:
            self.safe = self._open.popleft().version or self.safe

    def reach(self, version: str) -> None:
        """Nothing was told between the last ticket and this version."""
        self.settle(self.open(version))

    @property
    def outstanding(self) -> int:
        return len(self._open)

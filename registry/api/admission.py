"""How much work a process takes on at once. More is refused at once (429), so that what it has taken on is answered in time.

A server that queues without bound answers nobody under overload: every caller gives up, and its work is done for nothing.
"""

UNIT_BYTES = 8 * 1024
UNANNOUNCED = 16
"""The weight of a body whose length is not announced."""


class Admission:
    """Counts the weight of the calls in hand. For one event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_hand = 0

    def admit(self, weight: int) -> bool:
        """Whether the call may begin; then `release` it. One alone may whatever its weight, and what weighs nothing always."""
        if weight and self.in_hand and self.in_hand + weight > self.limit:
            return False
        self.in_hand += weight
        return True

    def release(self, weight: int) -> None:
        self.in_hand -= weight


def weight(length: int, *, chunked: bool) -> int:
    """1, and 1 more per 8 KiB of body: to parse and store a batch of 1,000 points takes as long as some small calls."""
    return UNANNOUNCED if chunked else 1 + length // UNIT_BYTES

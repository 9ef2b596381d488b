"""Keeps the trails of listings between their pages: for a short time, in this process.

A page whose trail is not here (it came to another process, or late) walks anew: what is kept saves work and nothing else.
"""

import threading
import time
from collections.abc import Hashable

from lineage.impact import Trail
from lineage.limits import Clock


class Trails:
    """For all threads. `seconds` since a trail began: so old may be what a later page knows of the graph.

    Beyond `most` trails, or `nodes` in all of them together, the one kept longest goes.
    """

    def __init__(self, *, seconds: float = 60, most: int = 32, nodes: int = 250_000, clock: Clock = time.monotonic) -> None:
        self._seconds = seconds
        self._most = most
        self._nodes = nodes
        self._clock = clock
        self._kept: dict[Hashable, Trail] = {}
        self._lock = threading.Lock()

    def take(self, key: Hashable) -> Trail | None:
        """Out of here, so that two callers never go on with the same one: give it back with `keep`."""
        with self._lock:
            held = self._kept.pop(key, None)
        return None if held is None or self._is_old(held) else held

    def keep(self, key: Hashable, trail: Trail) -> None:
        """`key`: all that the levels depend on, who may see them included."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept = {other: one for other, one in self._kept.items() if not self._is_old(one)} | {key: trail}
            while len(self._kept) > self._most or sum(len(one.seen) for one in self._kept.values()) > self._nodes:
                del self._kept[next(iter(self._kept))]

    def _is_old(self, trail: Trail) -> bool:
        return self._clock() - trail.began >= self._seconds

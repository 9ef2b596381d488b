"""What the server says of itself: one JSON line per request, and counters in Prometheus' text format by route."""

import json
import logging
import sys
import time
from bisect import bisect_left
from collections import defaultdict

BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
Label = tuple[str, str, int]
"""Method, route, status."""


class Observer:
    """Counts requests and their seconds by method, route and status. Used from the event loop only."""

    def __init__(self) -> None:
        self._buckets: dict[Label, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS_S) + 1))
        self._seconds: dict[Label, float] = defaultdict(float)

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        label = (method, route, status)
        self._buckets[label][bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[label] += seconds

    def exposition(self, *, commits: int) -> str:
        name = "lineal_http_request_seconds"
        lines = [f"# HELP {name} Time to answer, by method, route and status.", f"# TYPE {name} histogram"]
        for (method, route, status), counts in sorted(self._buckets.items()):
            labels = f'method="{method}",route="{route}",status="{status}"'
            total = 0
            for limit, count in zip((*BUCKETS_S, "+Inf"), counts, strict=True):
                total += count
                lines.append(f'{name}_bucket{{{labels},le="{limit}"}} {total}')
            lines += [f"{name}_sum{{{labels}}} {self._seconds[method, route, status]:.6f}", f"{name}_count{{{labels}}} {total}"]
        lines += [
            "# HELP lineal_commits_total Transactions committed by this process.",
            "# TYPE lineal_commits_total counter",
            f"lineal_commits_total {commits}",
        ]
        return "\n".join(lines) + "\n"


class JsonLines(logging.Formatter):
    """One JSON object per line; `extra={"data": {...}}` adds fields."""

    _shown = 0, "1970-01-01T00:00:00"

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self._second(int(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)

    def _second(self, second: int) -> str:
        """Many lines are of one second."""
        if second != self._shown[0]:
            self._shown = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return self._shown[1]


def configure_logging(level: str) -> None:
    """JSON lines on stderr for everything, ours and the server's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)

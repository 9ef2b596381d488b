"""What a running agent says of itself: JSON lines, /metrics in Prometheus' text format, and /healthz."""

import asyncio
import json
import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.delivery.waiting import Depth
from agent.watching.watch import State, Watch

Answer = tuple[int, str, str]
"""Status, media type, text."""
REQUEST_S = 5.0


@dataclass(slots=True)
class Counters:
    """What has happened since the start, by kind."""

    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and what the server said: applied, unchanged, stale."""
    dead: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """From the event to the server's answer, summed up."""
    marked: int = 0


def exposition(
    watches: Sequence[Watch], depths: dict[str, Depth], counters: Counters, *, spooled_bytes: int, memory_bytes: int, away: bool
) -> str:
    """By kind, over all namespaces."""
    by_kind: dict[str, list[Watch]] = {kind: [] for kind in (*depths, *counters.dead, *(kind for kind, _ in counters.results))}
    for watch in watches:
        by_kind.setdefault(watch.kind.name, []).append(watch)
    now, nothing = time.time(), Depth(0, None)
    waiting = {kind: depths.get(kind, nothing) for kind in by_kind}

    def figures(name: str, over: Callable[[list[float]], float] = sum) -> dict[str, float]:
        return {kind: over([0, *(getattr(watch.figures, name) for watch in found)]) for kind, found in by_kind.items()}

    page = _Page()
    page.kinds("lag_seconds", "Age of the oldest report that waits.", {k: now - (d.oldest_at or now) for k, d in waiting.items()})
    page.kinds("queue_depth", "Reports that wait.", {kind: depth.reports for kind, depth in waiting.items()})
    page.kinds("last_event_timestamp_seconds", "When the last change came; 0 for never.", figures("event_at", max))
    page.kinds("last_heard_timestamp_seconds", "When the API server last said anything.", figures("heard_at", max))
    page.kinds("objects", "Objects that the cluster has.", {k: sum(w.objects for w in found) for k, found in by_kind.items()})
    page.kinds("watch_events_total", "Changes that were told.", figures("events"))
    page.kinds("relists_total", "Lists after a gap in the history.", figures("relists"))
    page.kinds("watch_failures_total", "Interruptions of watches and lists.", figures("failures"))
    page.kinds("unreadable_objects_total", "Objects that could not be read.", figures("unreadable"))
    page.kinds("dead_letters_total", "Reports that were set aside.", {kind: counters.dead[kind] for kind in by_kind})
    page.kinds("warnings_total", "Warnings of delivered reports.", {kind: counters.warnings[kind] for kind in by_kind})
    page.kinds("delivery_seconds_total", "From change to answer, summed up.", {k: counters.seconds[k] for k in by_kind})
    page.add(
        "reports_total",
        "Reports that the server answered, by what it said.",
        {f'kind="{kind}",result="{result}"': count for (kind, result), count in sorted(counters.results.items())},
    )
    states = {
        f'kind="{kind}",state="{state.value}"': sum(watch.figures.state is state for watch in found)
        for kind, found in by_kind.items()
        for state in State
    }
    page.add("watches", "Watches by kind and state.", states)
    page.add("spooled_bytes", "Bytes of reports on disk.", {"": spooled_bytes})
    page.add("queue_bytes", "Bytes of reports in memory.", {"": memory_bytes})
    page.add("server_away", "1 while the server takes no reports.", {"": int(away)})
    page.add("marked_total", "Workflows that were labelled as persisted.", {"": counters.marked})
    return "\n".join(page.lines) + "\n"


class _Page:
    """Names that end in `_total` are counters, as Prometheus has it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def kinds(self, name: str, help: str, values: Mapping[str, float]) -> None:
        self.add(name, help, {f'kind="{kind}"': value for kind, value in values.items()})

    def add(self, name: str, help: str, values: Mapping[str, float]) -> None:
        name = f"lineal_agent_{name}"
        self.lines += [f"# HELP {name} {help}", f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"]
        self.lines += [f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values.items()]


def health(watches: Sequence[Watch], *, stale_s: float, started_at: float) -> Answer:
    """503 if a watch has heard nothing for too long; one that waits for room in the queue is not deaf."""
    now = time.time()
    stale = [
        {**watch.named, "silent_s": round(now - heard), "last_failure": watch.figures.last_failure}
        for watch in watches
        if now - (heard := max(watch.figures.heard_at, started_at)) > stale_s and not watch.figures.waiting
    ]
    said = {"status": "stale" if stale else "ok", "watches": len(watches), "stale": stale}
    return 503 if stale else 200, "application/json", json.dumps(said) + "\n"


async def serve_status(host: str, port: int, pages: dict[str, Callable[[], Answer]]) -> asyncio.Server:
    """GET of these paths, and nothing else, over HTTP/1.1 with a connection each. Raises OSError: the address is taken.

    In the agent's own event loop: if that stands still, a probe gets no answer, and that is what it should learn.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_S)
            method, path, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            page = pages.get(path.partition("?")[0])
            status, media_type, text = page() if page and method in {"GET", "HEAD"} else (404, "text/plain", "not found\n")
            body = text.encode()
            reason = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}[status]
            writer.write(
                f"HTTP/1.1 {status} {reason}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + (b"" if method == "HEAD" else body)
            )
            await asyncio.wait_for(writer.drain(), REQUEST_S)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # whoever asked went away, or speaks something else
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port)


class JsonLines(logging.Formatter):
    """One JSON object per line; `extra={"data": {...}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def configure_logging(level: str) -> None:
    """JSON lines on stderr. Raises ValueError: no such level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

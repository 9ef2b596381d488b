"""`lineal.run(...)`: a run around a block of training code, logged in the background."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from lineal.batching import Batcher
from lineal.client import Client
from lineal.environment import detect, user_name


class Run:
    """A run that is being logged. Thread-safe; what it logs is sent in the background and flushed at the end."""

    def __init__(self, client: Client, record: Mapping[str, Any]) -> None:
        self.client = client
        self.id: str = record["id"]
        self.name: str = record["name"]
        self._batcher = Batcher(lambda body: client.transport.post(f"/api/v1/runs/{self.id}/log", body))

    def log_params(self, params: Mapping[str, object]) -> None:
        """Values are kept as text; one that is set does not change."""
        self._batcher.add([], {key: str(value) for key, value in params.items()}, {})

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0, at: int | None = None) -> None:
        """One point per key; `at` in ms UTC, default now."""
        now = time.time_ns() // 1_000_000 if at is None else at
        points = [{"key": key, "value": _number(float(value)), "step": step, "at": now} for key, value in metrics.items()]
        self._batcher.add(points, {}, {})

    def log_metric(self, key: str, value: float, *, step: int = 0) -> None:
        self.log_metrics({key: value}, step=step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._batcher.add([], {}, dict(tags))

    def flush(self) -> None:
        """Returns when the server has acknowledged everything logged so far.

        Raises:
            ApiError: the server refused some of it.
            Unreachable: the server does not answer.
        """
        self._batcher.flush()

    def finish(self, status: str = "succeeded") -> None:
        """Flush, and end the run as succeeded, failed or canceled."""
        self._batcher.close()
        self.client.update_run(self.id, status=status, ended_at=time.time_ns() // 1_000_000)


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


@contextlib.contextmanager
def run(
    *,
    experiment: str | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    parent: str | None = None,
    client: Client | None = None,
) -> Iterator[Run]:
    """A new run; ended as succeeded, as failed after an exception, as canceled after Ctrl-C."""
    place = detect()
    own = client is None
    client = client or Client()
    record = client.create_run(
        experiment_name=experiment or place.experiment or "default",
        name=name,
        user=user_name(),
        parent=parent,
        tags=dict(tags or {}),
    )
    logged = Run(client, record)
    try:
        with _ended(logged):
            yield logged
    finally:
        if own:
            client.close()


class _ended:  # noqa: N801  (reads as a clause)
    def __init__(self, logged: Run) -> None:
        self._logged = logged

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if kind is None:
            self._logged.finish()
            return
        with contextlib.suppress(Exception):  # the block's own error is what the caller must see
            self._logged.finish("canceled" if issubclass(kind, KeyboardInterrupt | SystemExit) else "failed")

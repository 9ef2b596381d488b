"""`Run`: a run that is being logged, from this process."""

import math
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from lineal import ending, references
from lineal.batching import Batcher
from lineal.client import Client
from lineal.ending import Status
from lineal.errors import LinealError, Unreachable
from lineal.run_files import Kind, RunFiles

Json = dict[str, Any]
_ARTIFACT = re.compile(r"(art|mv)_[0-9]+|models:/.*", re.DOTALL)


class Run:
    """Thread-safe; params, metrics and tags are sent in the background and flushed at the end.

    The end is that of its `with` block, `finish`, or that of the process: exit, SIGTERM, Ctrl-C. `step` is the step of a workflow
    that this process is; None for a run of its own.
    """

    def __init__(
        self,
        client: Client,
        record: Mapping[str, Any],
        *,
        step: str | None = None,
        end: Callable[[Client, str], None] | None = None,
        close: bool = False,
    ) -> None:
        """`end`: what tells the server how it ended, by default the run's own status. `close`: the client ends with the run."""
        self.client = client
        self.id: str = record["id"]
        self.name: str = record["name"]
        self.step = step
        self._files = RunFiles(client, self.id, record["artifact_root"], step)
        self._end = end or self._end_run
        self._close = close
        self._process = os.getpid()
        self._status: Status | None = None  # once it ends
        self._sender = Sender(client)
        self._batcher = Batcher(lambda body: self._sender.client.transport.post(f"/api/v1/runs/{self.id}/log", body))
        ending.opened(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
            return
        try:
            self.finish(_status_of(error))
        except Exception as lost:  # noqa: BLE001  (the block's own error is what the caller must see)
            ending.say(lost)

    # ---- params, metrics, tags ----

    def log_params(self, params: Mapping[str, object]) -> None:
        """Values are kept as text; one that is set does not change."""
        self._batcher.add([], {key: str(value) for key, value in params.items()}, {})

    def log_param(self, key: str, value: object) -> None:
        self.log_params({key: value})

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0, at: int | None = None) -> None:
        """One point per key; `at` in ms UTC, default now."""
        now = time.time_ns() // 1_000_000 if at is None else at
        points = [
            {"key": key, "value": json_number(float(value)), "step": int(step), "at": now} for key, value in metrics.items()
        ]
        self._batcher.add(points, {}, {})

    def log_metric(self, key: str, value: float, *, step: int = 0) -> None:
        self.log_metrics({key: value}, step=step)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Values are kept as text; a tag that is set changes."""
        self._batcher.add([], {}, {key: str(value) for key, value in tags.items()})

    # ---- files, datasets, models: each call is done when it returns ----

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        kind: Kind | None = None,
        type: str | None = None,
        port: str | None = None,
    ) -> Json:
        """Store a file or a folder as an output of the run; the artifact's record.

        `name`: its path among the run's artifacts, by default the file's or folder's own; what is there under that name is
        replaced. `type`: its media type, by default by the name. `port`: what the output is called in the lineage, by default
        the name. Called again with the same it changes nothing.

        Raises:
            LinealError: there is no such file, or a name that cannot be stored.
            ApiError, Unreachable: nothing names what was sent until then.
        """
        return self._files.log_artifact(path, name, kind=kind, type=type, port=port)

    def log_dataset(
        self,
        source: Any,
        name: str | None = None,
        *,
        version: str | None = None,
        namespace: str = "",
        output: bool = False,
        port: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Json:
        """The run read a dataset, or made it (`output`); the record of the dataset's version.

        `source`: a local file or folder, which is stored once under its sha256; a URI (`scheme://…`), which is only recorded; a
        pandas DataFrame, which is stored as Parquet if pandas and pyarrow are there. `version` is your own word for the content,
        by default the sha256; a name and a version are one content.

        Raises LinealError: no such source, or that version has other bytes; ApiError, Unreachable.
        """
        return self._files.log_dataset(source, name, version=version, namespace=namespace, output=output, port=port, tags=tags)

    def use(self, artifact: str | Mapping[str, Any], *, port: str | None = None) -> Json:
        """The run read this; its record, which `client.download(record, to)` takes.

        An artifact (`art_7`) or a version (`mv_3`, `models:/churn/3`, `models:/churn@champion`), or the record of one.

        Raises LinealError: not there, or a version without files; ApiError, Unreachable.
        """
        record = self.client.get_record(artifact)
        self.client.link_artifact(self.id, references.artifact_id(record), "input", port=port, step=self.step)
        return record

    def register_model(
        self,
        name: str,
        artifact: str | os.PathLike[str] | Mapping[str, Any],
        *,
        alias: str | None = None,
        stage: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> Json:
        """Make a version of model `name` (made where missing), with alias and stage: all of it or nothing; the version's record.

        `artifact`: a record or an id, a local path, which is logged first, a URI, or the name of an output of this run.
        """
        said = {"alias": alias, "stage": stage, "tags": dict(tags or {}), "description": description}
        return self.client.register(name, run_id=self.id, **self._model_files(artifact), **said)

    def _model_files(self, artifact: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, str]:
        if isinstance(artifact, Mapping) or (isinstance(artifact, str) and _ARTIFACT.fullmatch(artifact)):
            return {"artifact_id": references.artifact_id(self.client.get_record(artifact))}
        if os.path.exists(artifact):  # noqa: PTH110  (a URI is no Path)
            return {"artifact_id": self.log_artifact(artifact, kind="model")["id"]}
        if isinstance(artifact, os.PathLike):
            raise LinealError(f"{os.fspath(artifact)} is not there")
        return {"uri": artifact} if "://" in artifact else {"output": artifact}

    # ---- the end ----

    def flush(self) -> None:
        """Returns when the server has acknowledged everything logged so far.

        Raises:
            ApiError: the server refused some of it.
            Unreachable: the server does not answer.
        """
        self._batcher.flush()

    def finish(self, status: Status = "succeeded") -> None:
        """Flush, and end the run. Idempotent; nothing in a forked child. The status of a workflow's run stays the workflow's.

        Raises: as `flush`; the run has ended for all that, if the server answers.
        """
        if self._status is not None or os.getpid() != self._process:
            return
        self._status = status
        try:
            refused: LinealError | None = None
            try:
                self._batcher.close()
            except Unreachable:
                raise
            except LinealError as error:
                refused = error
            self._end(self.client, status)
            if refused is not None:
                raise refused
        finally:
            ending.closed(self)  # until here a signal waits for what is being sent
            self._sender.close()
            if self._close:
                self.client.close()

    def settle(self, timeout_s: float) -> None:
        """For the end of the process: flush; what is wrong is only said."""
        try:
            self._batcher.flush(timeout_s)
        except LinealError as lost:
            ending.say(lost)

    def stop(self, status: Status, timeout_s: float) -> None:
        """For the end of the process: as `settle`, and end the run, by connections that no interrupted code has locked."""
        if os.getpid() != self._process:
            return
        self._status = self._status or status  # `finish` may be under way
        over = time.monotonic() + timeout_s
        self.settle(timeout_s)
        told = threading.Thread(target=self._tell, args=(self._status,), daemon=True)
        told.start()
        told.join(max(1.0, over - time.monotonic()))

    def _tell(self, status: str) -> None:
        try:
            with self.client.again() as client:
                self._end(client, status)
        except LinealError as lost:
            ending.say(lost)

    def _end_run(self, client: Client, status: str) -> None:
        client.update_run(self.id, status=status, ended_at=time.time_ns() // 1_000_000)


class Sender:
    """A client of its own for what is sent in the background, made with the first batch."""

    def __init__(self, client: Client) -> None:
        self._like = client
        self._made: Client | None = None

    @property
    def client(self) -> Client:
        if self._made is None:
            self._made = self._like.again()
        return self._made

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


def json_number(value: float) -> float | str:
    """JSON has no NaN and no infinities: they travel as words."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _status_of(error: BaseException | None) -> Status:
    """Of a block that an exception left: a program may end itself by `sys.exit`."""
    if isinstance(error, SystemExit):
        return "succeeded" if error.code in {None, 0} else "failed"
    return "canceled" if isinstance(error, KeyboardInterrupt) else "failed"

"""What is worth fetching for an object, and into which place of its report it goes."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.fetching.argo_server import ArgoServer, ArgoServerError
from agent.fetching.files import FileError, Files, as_json
from agent.fetching.katib_db import KatibDb, KatibDbError
from agent.fetching.outputs import executor_output, metrics_of, of_executor, port_kind, visualizations_of
from agent.report import FINAL_STATES, Fetched, Json, Observed, Report, Run, Task
from agent.settings import Settings
from agent.tokens import auth_of_file
from agent.values import as_map, short, text

BUDGET_S = 20.0
"""For one object. What is not read by then is left out with a warning; the next report of the object tries again."""
MAX_FILES = 400
KEPT = 10_000


@dataclass(frozen=True)
class Sources:
    """Each is optional."""

    katib_db: KatibDb | None = None
    files: Files | None = None
    argo_server: ArgoServer | None = None


def fetcher_of(settings: Settings) -> "Fetcher | None":
    """None where no source is given."""
    sources = Sources(
        KatibDb(settings.katib_db) if settings.katib_db else None,
        Files(settings.artifact_store) if settings.artifact_store else None,
        ArgoServer(settings.argo_server, auth=auth_of_file(settings.argo_token_file)) if settings.argo_server else None,
    )
    return None if sources == Sources() else Fetcher(sources)


class Fetcher:
    """Safe to use from several threads. Never raises for what a source does."""

    def __init__(self, sources: Sources, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources, self._clock = sources, clock
        self._lock = threading.Lock()
        self._trials: OrderedDict[str, dict[str, tuple[str, str]]] = OrderedDict()
        """Of trials that have ended, by name: the times of each object of that name, by uid."""

    def complete(self, content: Json) -> tuple[Json, tuple[str, ...]]:
        """Before it is translated: the object with the nodes that were offloaded, and what went wrong."""
        status, metadata = as_map(content.get("status")), as_map(content.get("metadata"))
        version = text(status.get("offloadNodeStatusVersion"))
        server = self._sources.argo_server
        if version is None or status.get("nodes") or status.get("compressedNodes") or server is None:
            return content, ()
        namespace, name = text(metadata.get("namespace")), text(metadata.get("name"))
        if namespace is None or name is None:
            return content, ()
        try:
            nodes = server.nodes(namespace, name, text(metadata.get("uid")), version)
        except ArgoServerError as error:
            return content, (f"The nodes were not read from Argo's server: {short(error, 200)}.",)
        known = {key: value for key, value in status.items() if key != "offloadNodeStatusVersion"}
        return {**content, "status": {**known, "nodes": nodes}}, ()

    def enrich(self, report: Report) -> Report:
        """The report with what its object lacks. What could not be fetched is a warning."""
        if report.run is None:
            return report
        if report.object.kind == "Trial" and self._sources.katib_db is not None and report.run.state in FINAL_STATES:
            return self._with_history(report, report.run, self._sources.katib_db)
        if report.tasks and self._sources.files is not None:
            return self._with_files(report, self._sources.files)
        return report

    # ---- Katib ------------------------------------------------------------------------------------------------------

    def _with_history(self, report: Report, run: Run, database: KatibDb) -> Report:
        """The table has no namespaces: values count only if no other trial of that name ran meanwhile."""
        name, uid = report.object.name, report.object.uid or run.id
        start, end = run.started_at, run.finished_at
        if name is None or start is None or end is None:
            return report
        told_apart = f"Another trial named {short(name)} ran at the same time: its history is not told apart."
        if not self._is_alone(name, uid, start, end):
            return _warned(report, told_apart)
        try:
            found = database.history(name, start, end)
            if run.metrics and not found and self._is_only_one(name):
                found = database.untimed(name, end)
        except KatibDbError as error:
            return _warned(report, f"The history of its metrics was not read: {short(error, 200)}.")
        if not self._is_alone(name, uid, start, end):  # another one came meanwhile
            return _warned(report, told_apart)
        wanted = tuple(one for one in found if one.name in run.metrics)
        odd = sorted({one.name for one in wanted} - {one.name for one in wanted if _ends_as_observed(one.name, wanted, run)})
        kept = tuple(one for one in wanted if one.name not in odd)
        lines = [f"The history of {short(name)} does not end with what its object says: it is another trial's." for name in odd]
        if run.metrics and not found:
            lines.append("The history of its metrics is gone: latest, min and max stay.")
        return _warned(replace(report, run=replace(run, history=kept)), *lines)

    def _is_alone(self, name: str, uid: str, start: str, end: str) -> bool:
        """Whether no other trial of that name, of which the agent knows, ran at that time."""
        with self._lock:
            same = self._trials.setdefault(name, {})
            self._trials.move_to_end(name)
            same[uid] = (start, end)
            while len(self._trials) > KEPT:
                self._trials.popitem(last=False)
            return not any(other != uid and begun <= end and ended >= start for other, (begun, ended) in same.items())

    def _is_only_one(self, name: str) -> bool:
        with self._lock:
            return len(self._trials.get(name, ())) == 1

    # ---- files ------------------------------------------------------------------------------------------------------

    def _with_files(self, report: Report, files: Files) -> Report:
        end = self._clock() + BUDGET_S
        lines: list[str] = []
        left = MAX_FILES
        tasks = []
        for task in report.tasks:
            fetched = None
            if task.state == "COMPLETE" and left > 0 and self._clock() < end:
                fetched, used = _of_task(task, files, lines)
                left -= used
            tasks.append(task if fetched is None else replace(task, fetched=fetched))
        if left <= 0 or self._clock() >= end:
            lines.append("Not every file of its tasks was read: there are too many, or the store is slow.")
        return _warned(replace(report, tasks=tuple(tasks)), *lines)


def _of_task(task: Task, files: Files, lines: list[str]) -> tuple[Fetched | None, int]:
    """What the task left, and how many files were read for it. Nothing is read twice: a log only where no file tells."""
    metrics: Json = {}
    views: tuple[Json, ...] = ()
    used = 0
    for artifact in task.outputs.artifacts:
        kind = port_kind(artifact.name)
        if kind is None:
            continue
        used += 1
        try:
            content = as_json(files.member(artifact.uri))
        except FileError as error:
            lines.append(f"An output of {short(task.key)} was not read: {short(error, 200)}.")
            continue
        if kind == "metrics":
            metrics |= {f"{artifact.name}/{key}": value for key, value in metrics_of(content).items()}
        else:
            views += visualizations_of(content)
    if metrics or views:
        return Fetched(metrics=metrics, visualizations=views), used
    if task.execution_id is None or task.log_uri is None:
        return None, used
    try:
        return of_executor(executor_output(files.tail(task.log_uri)), task), used + 1
    except FileError as error:
        lines.append(f"The log of {short(task.key)} was not read: {short(error, 200)}.")
        return None, used + 1


def _ends_as_observed(name: str, values: tuple[Observed, ...], run: Run) -> bool:
    """Whether the object's latest value is among those of the last moment."""
    own = [one for one in values if one.name == name]
    latest = as_map(run.metrics.get(name)).get("latest")
    return any(one.value == latest for one in own if one.at == own[-1].at)


def _warned(report: Report, *lines: str) -> Report:
    return replace(report, warnings=(*report.warnings, *lines)) if lines else report

"""Runs that Kubeflow Pipelines still has and the cluster has not: read by its REST API, told as the live agent would have told.

Interrupted, it goes on where it was: ids of runs that were told stand in a file. The API of v1beta1 gives a run's Workflow as it
was last reported; where a run has none, what v2beta1 says of it becomes a run without tasks.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from agent.kinds import translate
from agent.reading import Read, Unreadable
from agent.report import Json, ObjectRef, Report, Run, State
from agent.sending import ReportSender, SendError
from agent.values import as_list, as_map, parse_json, text, utc

PAGE = 100
TRIES = 4
TIMEOUT_S = 60.0
_AGE = re.compile(r"(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_STATES: dict[str, State] = {
    "PENDING": "NEW",
    "RUNNING": "RUNNING",
    "PAUSED": "RUNNING",
    "CANCELING": "RUNNING",
    "SUCCEEDED": "COMPLETE",
    "SKIPPED": "CANCELED",
    "FAILED": "FAILED",
    "CANCELED": "CANCELED",
}


class PipelinesError(Exception):
    """Kubeflow Pipelines did not answer, or with something else; the text says why, for a person."""


@dataclass(slots=True)
class Outcome:
    told: int = 0
    known: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"runs: {self.told} told, {self.known} told before, {self.failed} failed"


class PipelinesApi:
    """The REST API of Kubeflow Pipelines, both versions. Read-only."""

    def __init__(
        self,
        address: str,
        *,
        auth: httpx.Auth | None = None,
        namespace: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = httpx.Client(base_url=address.rstrip("/"), auth=auth, timeout=TIMEOUT_S)
        self._namespace, self._pause = namespace, pause

    def close(self) -> None:
        self._client.close()

    def runs(self, since: str) -> Iterator[Json]:
        """Runs as v2beta1 lists them, the newest first, back to `since` (RFC 3339, UTC). Raises PipelinesError."""
        place = {"namespace": self._namespace} if self._namespace else {}
        try:
            yield from self._pages("/apis/v2beta1/runs", place, since)
        except PipelinesError as error:
            if error.args[1:] != (404,):
                raise
            # Before 2.0 there is only the old API; had the new one listed anything, its list would be there to the end.
            old = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": self._namespace}
            place = {key: value for key, value in old.items() if value} if self._namespace else {}
            yield from self._pages("/apis/v1beta1/runs", place, since)

    def _pages(self, path: str, place: dict[str, str], since: str) -> Iterator[Json]:
        query = {"page_size": str(PAGE), "sort_by": "created_at desc", **place}
        while True:
            page = self._get(path, query)
            for item in as_list(page.get("runs")):
                run = _as_new(as_map(item))
                created = utc(run.get("created_at"))
                if created is not None and created < since:
                    return
                if text(run.get("run_id")):
                    yield run
            following = text(page.get("next_page_token"))
            if following is None:
                return
            query["page_token"] = following

    def workflow(self, run: str) -> Json:
        """The run's Workflow; empty where the API has none. Raises PipelinesError."""
        try:
            found = self._get(f"/apis/v1beta1/runs/{run}", {})
        except PipelinesError as error:
            if error.args[1:] == (404,):  # the old API is gone, or the run is
                return {}
            raise
        manifest = parse_json(as_map(found.get("pipeline_runtime")).get("workflow_manifest"))
        return as_map(manifest)

    def _get(self, path: str, query: dict[str, str]) -> Json:
        for attempt in range(TRIES):
            try:
                response = self._client.get(path, params=query)
                if response.status_code < 500 and response.status_code != 429:
                    break
                reason = f"HTTP {response.status_code}"
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            if attempt + 1 == TRIES:
                raise PipelinesError(f"{path}: {reason}")
            self._pause(0.5 * 2**attempt)
        if response.status_code != httpx.codes.OK:
            raise PipelinesError(f"{path}: HTTP {response.status_code}", response.status_code)
        try:
            found = response.json()
        except (ValueError, RecursionError) as error:
            raise PipelinesError(f"{path}: {error}") from error
        return as_map(found)


def _as_new(run: Json) -> Json:
    """A run of the old API in the words of the new one."""
    if "run_id" in run:
        return run
    state = (text(run.get("status")) or "").upper()
    words = {"run_id": run.get("id"), "display_name": run.get("name"), "state": "FAILED" if state == "ERROR" else state}
    return words | {name: run.get(name) for name in ("created_at", "scheduled_at", "finished_at")}


class Done:
    """Ids of runs that were told, one a line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ids = set(file.read_text("utf-8").split()) if file.exists() else set()

    def __contains__(self, run: object) -> bool:
        return run in self._ids

    def add(self, run: str) -> None:
        self._ids.add(run)
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(f"{run}\n")


def backfill(api: PipelinesApi, sender: ReportSender, done: Done, since: str, cluster: str | None = None) -> Outcome:
    """Tells of every run since then. A finished one that was told is not told again; what fails is tried by the next call.

    Raises PipelinesError: the list ends too early; what was told stays told.
    """
    outcome = Outcome()
    console = Console(stderr=True, highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("backfill")
        for run in api.runs(since):
            id = str(run["run_id"])
            if id in done:
                outcome.known += 1
                continue
            try:
                report, source = report_of(run, api.workflow(id), cluster)
                sender.send(report, source)
            except (SendError, PipelinesError, ValueError) as error:
                outcome.failed += 1
                progress.console.print(f"run {id}: {error}", markup=False, soft_wrap=True)
                if isinstance(error, SendError) and error.unreachable:
                    raise PipelinesError(f"the server of Lineal is away: {error}") from error
                continue
            outcome.told += 1
            if report.is_final:
                done.add(id)
            progress.update(bar, description=f"{outcome}, at {text(run.get('created_at'))}")
    return outcome


def report_of(run: Json, workflow: Json, cluster: str | None) -> tuple[Report, Json | None]:
    """And the object that it is of, if there is one. Raises ValueError: the Workflow cannot be read."""
    if workflow:
        content = {"kind": "Workflow", "apiVersion": "argoproj.io/v1alpha1", **workflow}
        found = translate(Read(str(run["run_id"]), 0, content), cluster)
        if isinstance(found, Unreadable):
            raise ValueError(found.error)
        return found, content
    id = str(run["run_id"])
    state = _STATES.get(text(run.get("state")) or "", "UNKNOWN")
    told = Run(
        id=id,
        name=text(run.get("display_name")),
        state=state,
        phase=text(run.get("state")),
        started_at=utc(run.get("scheduled_at")) or utc(run.get("created_at")),
        finished_at=utc(run.get("finished_at")),
        pipeline=None,
        parameters=dict(as_map(as_map(run.get("runtime_config")).get("parameters"))),
    )
    # Named by the run's id: the Workflow's own report, should it come, is of another object and of the same run.
    reference = ObjectRef(cluster, None, "Workflow", id, None, None, None, None, deleted=False)
    return Report(reference, told, warnings=("Kubeflow Pipelines has no Workflow of this run: its tasks are not known.",)), None


def since_of(age: str, now: datetime | None = None) -> str:
    """The time so long ago: `30d`, `12h`, `2w`. Raises ValueError."""
    found = _AGE.fullmatch(age)
    if found is None:
        raise ValueError(f"{age!r} is no age like 30d, 12h or 2w")
    moment = (now or datetime.now(UTC)) - timedelta(hours=int(found.group(1)) * _HOURS[found.group(2)])
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def add_arguments(command: argparse.ArgumentParser) -> None:
    def age(value: str) -> str:
        try:
            return since_of(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    command.add_argument("--kfp", required=True, metavar="URL", help="address of the API server of Kubeflow Pipelines")
    command.add_argument("--kfp-token-file", metavar="FILE", help="file with the token for it")
    command.add_argument("--namespace", metavar="NS", help="in an installation for several users")
    command.add_argument("--since", type=age, default="30d", metavar="AGE", help="how far back: 30d, 12h, 2w (default: 30d)")
    done = "lineal-agent-backfill.txt"
    command.add_argument("--done", default=done, metavar="FILE", help="ids of runs that were told (default: %(default)s)")

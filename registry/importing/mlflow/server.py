"""A store of MLflow behind its server, by the calls of its clients. Source: MLflow 2.22's and 3.17's servers, observed.

What no client is shown is not seen: versions and logged models that were deleted. The server may go on; runs that begin
meanwhile may be missed.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from registry.catalog.importing.mlflow.experiments import kept_number
from registry.catalog.importing.mlflow.records import Experiment, LoggedModel, Model, ModelPoint, Run, Uses, Version
from registry.catalog.metrics import Point
from registry.errors import InvalidArgument, Unavailable
from registry.importing.mlflow import shown
from registry.importing.mlflow.source import POINTS_AT_ONCE, After, Batch, History

ATTEMPTS = 6
CALLS_AT_ONCE = 8
TIMEOUT_S = 120
_API, _AJAX = "api/2.0/mlflow", "ajax-api/2.0/mlflow"
_RUNS_A_PAGE = 200
_RUNS_A_HISTORY = 100
_HISTORY_PAGE = 25_000
_PROMPTS = "tag.`mlflow.prompt.is_prompt` = 'true'"
_RETRIED = {408, 429, 502, 503, 504}


class Server:
    """`url` without credentials; `auth` and `headers` of every call."""

    def __init__(self, url: str, *, auth: tuple[str, str] | None, headers: Mapping[str, str]) -> None:
        self.url = url.rstrip("/")
        self.http = httpx.Client(
            base_url=f"{self.url}/", auth=auth, headers=dict(headers), timeout=TIMEOUT_S, follow_redirects=True
        )
        self._workspace = headers.get("X-MLFLOW-WORKSPACE", "")
        self._has_bulk = True
        self._pool = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="import")

    @property
    def address(self) -> str:
        return f"{self.url}#{self._workspace}" if self._workspace else self.url

    def remarks(self) -> list[str]:
        return ["versions and logged models that were deleted: a server shows none"]

    def totals(self) -> Mapping[str, int]:
        """Of histories only that there are so many metrics."""
        found = dict.fromkeys(("experiments", "runs", "params", "tags", "metrics", "logged_models", "models", "versions"), 0)
        for batch in self.experiments([]):
            found["experiments"] += len(batch.records)
        for page, _ in self._run_pages([]):
            found["runs"] += len(page)
            for run in page:
                for name in ("params", "tags", "metrics"):
                    found[name] += len(shown.data_of(run).get(name, ()))
        found["logged_models"] = sum(len(batch.records) for batch in self.logged_models([]))
        for models in self.models([]):
            found["models"] += len(models.records)
            found["versions"] += sum(len(model.versions) for model in models.records)
        return found

    def highest_experiment(self) -> int:
        return max((kept_number(id) or 0 for id in self._experiment_ids()), default=0)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self.http.close()

    # ---- tracking ---------------------------------------------------------------------------------------------------

    def experiments(self, after: After) -> Iterator[Batch[Experiment]]:
        found = sorted(self._experiments(), key=lambda one: _order(one["experiment_id"]))
        for one in found:
            if after and _order(one["experiment_id"]) <= _order(after[0]):
                continue
            record = Experiment(
                id=one["experiment_id"],
                name=one["name"],
                location=one.get("artifact_location"),
                is_deleted=one.get("lifecycle_stage") == "deleted",
                created_at=shown.integer(one.get("creation_time")),
                updated_at=shown.integer(one.get("last_update_time")),
                tags=shown.pairs(one),
            )
            yield Batch([record], [record.id])

    def _experiments(self) -> Iterator[Any]:
        yield from self._pages("experiments/search", "experiments", view_type="ALL", max_results=1000)

    def _experiment_ids(self) -> list[str]:
        return sorted((one["experiment_id"] for one in self._experiments()), key=_order)

    def runs(self, after: After) -> Iterator[Batch[Run]]:
        for page, place in self._run_pages(after):
            yield Batch([shown.run(one) for one in page], place)

    def _run_pages(self, after: After) -> Iterator[tuple[list[Any], After]]:
        """By experiment, in the order in which they began: those that begin meanwhile are at the end."""
        first, token = after or ("", "")
        for id in self._experiment_ids():
            if first and _order(id) < _order(first):
                continue
            following = token if id == first else ""
            if id == first and not following:
                continue  # it is done
            asked = {"experiment_ids": [id], "run_view_type": "ALL", "max_results": _RUNS_A_PAGE}
            asked["order_by"] = ["attributes.start_time ASC"]
            while True:
                answer = self._post("runs/search", **asked, **({"page_token": following} if following else {}))
                following = self._following(answer, following)
                if answer.get("runs"):
                    yield answer["runs"], [id, following]
                if not following:
                    break

    def uses(self, after: After) -> Iterator[Batch[Uses]]:
        alone = next(self._logged_pages([]), None) is not None  # lists leave out which models a run read
        for page, place in self._run_pages(after):
            runs = list(self._pool.map(self._whole, page)) if alone else page
            yield Batch([one for one in map(shown.uses, runs) if one.inputs or one.models or one.made], place)

    def _whole(self, run: Any) -> Any:
        return self._get("runs/get", run_id=shown.info_of(run)["run_id"])["run"]

    def metrics(self, after: After) -> Iterator[Batch[History]]:
        for page, place in self._run_pages(after):
            chunk, size = list[History](), 0
            for history in self._histories(page):
                chunk.append(history)
                size += len(history[1])
                if size >= POINTS_AT_ONCE:
                    yield Batch(chunk, None)
                    chunk, size = [], 0
            yield Batch(chunk, place)

    def _histories(self, page: Sequence[Any]) -> Iterator[History]:
        """Of a metric that many runs have, all at once; what does not fit into an answer, run by run."""
        having: dict[str, list[str]] = {}
        for one in page:
            for metric in shown.data_of(one).get("metrics", ()):
                having.setdefault(metric["key"], []).append(shown.info_of(one)["run_id"])
        for key, ids in having.items():
            for start in range(0, len(ids), _RUNS_A_HISTORY):
                part = ids[start : start + _RUNS_A_HISTORY]
                found = self._bulk(key, part) if len(part) > 1 else None
                if found is not None:
                    yield from found.items()
                    continue
                for id, histories in zip(part, self._pool.map(partial(self._first_and_rest, key), part), strict=True):
                    for points in histories:
                        yield id, points

    def _first_and_rest(self, key: str, run: str) -> Iterator[list[Point]]:
        """The first page, which is nearly always all, is asked for at once."""
        pages = self._history(run, key)
        return chain([next(pages, [])], pages)

    def _bulk(self, key: str, ids: Sequence[str]) -> dict[str, list[Point]] | None:
        """None: there are more points than one answer has, or the server cannot."""
        if not self._has_bulk:
            return None
        answer = self._call("GET", f"{_AJAX}/metrics/get-history-bulk", params={"metric_key": key, "run_id": list(ids)})
        if answer.status_code in {404, 405, 501}:
            self._has_bulk = False
            return None
        rows = self._good(answer).get("metrics", [])
        if len(rows) >= _HISTORY_PAGE:
            return None
        found: dict[str, list[Point]] = {}
        for row in rows:
            found.setdefault(row["run_id"], []).append(shown.point(row))
        return found

    def _history(self, run: str, key: str) -> Iterator[list[Point]]:
        asked = {"run_id": run, "metric_key": key, "max_results": _HISTORY_PAGE}
        token = ""
        while True:
            answer = self._get("metrics/get-history", **asked, **({"page_token": token} if token else {}))
            yield [shown.point(row) for row in answer.get("metrics", [])]
            token = self._following(answer, token)
            if not token:
                return

    def history(self, run: Run, key: str) -> list[Point]:
        return [point for part in self._history(run.id, key) for point in part]

    def count_points(self, runs: Sequence[Run]) -> None:
        return None

    # ---- logged models ----------------------------------------------------------------------------------------------

    def logged_models(self, after: After) -> Iterator[Batch[LoggedModel]]:
        for page, place in self._logged_pages(after):
            yield Batch([shown.logged_model(one) for one in page], place)

    def _logged_pages(self, after: After) -> Iterator[tuple[list[Any], After]]:
        """None on a server of MLflow 2."""
        for id in self._experiment_ids():
            if after and _order(id) <= _order(after[0]):
                continue
            found: list[Any] = []
            token = ""
            while True:
                asked = {"experiment_ids": [id], "max_results": 50, **({"page_token": token} if token else {})}
                answer = self._call("POST", f"{_API}/logged-models/search", json=asked)
                if answer.status_code in {404, 405, 501}:
                    return
                body = self._good(answer)
                found += body.get("models", [])
                token = self._following(body, token)
                if not token:
                    break
            if found:
                yield found, [id]

    def model_metrics(self, after: After) -> Iterator[Batch[ModelPoint]]:
        for page, place in self._logged_pages(after):
            points = []
            for one in page:
                for metric in one.get("data", {}).get("metrics", ()):
                    dataset = (metric["dataset_name"], metric.get("dataset_digest") or "") if metric.get("dataset_name") else None
                    points.append(ModelPoint(one["info"]["model_id"], metric.get("run_id"), dataset, shown.point(metric)))
            yield Batch(points, place)

    # ---- registry ---------------------------------------------------------------------------------------------------

    def models(self, after: After) -> Iterator[Batch[Model]]:
        found: dict[str, Any] = {}
        for more in ({}, {"filter": _PROMPTS}):
            for one in self._pages("registered-models/search", "registered_models", verb="GET", max_results=1000, **more):
                found.setdefault(one["name"], one)
        for name in sorted(found):
            if not after or name > after[0]:
                yield Batch([self._model(found[name])], [name])

    def _model(self, one: Any) -> Model:
        whole = self._get("registered-models/get", name=one["name"])["registered_model"]
        tags = shown.pairs(whole)
        asked = f"name = {_quoted(one['name'])}"
        if tags.get("mlflow.prompt.is_prompt", "").lower() == "true":
            asked += f" AND {_PROMPTS}"
        versions = self._pages("model-versions/search", "model_versions", verb="GET", filter=asked, max_results=1000)
        return Model(
            name=whole["name"],
            description=whole.get("description") or None,
            created_at=shown.integer(whole.get("creation_timestamp")),
            updated_at=shown.integer(whole.get("last_updated_timestamp")),
            tags=tags,
            aliases={alias["alias"]: int(alias["version"]) for alias in whole.get("aliases", ())},
            versions=[self._version(version) for version in versions if version["name"] == whole["name"]],
        )

    def _version(self, one: Any) -> Version:
        """Where the files of a version of a version are only a call of its own tells."""
        found = shown.version(one)
        if not (found.source or "").startswith("models:/"):
            return found
        asked = {"name": one["name"], "version": one["version"]}
        place = self._get("model-versions/get-download-uri", **asked).get("artifact_uri")
        return replace(found, location=place if place != found.source else None)

    # ---- files ------------------------------------------------------------------------------------------------------

    def proxied(self, folder: str) -> list[Any]:
        """What lies directly in a folder of the artifact proxy, by their names alone."""
        answer = self._call("GET", "api/2.0/mlflow-artifacts/artifacts", params={"path": folder} if folder else {})
        found = None if answer.status_code == 404 else self._good(answer)
        listed = found.get("files") if isinstance(found, dict) else None
        return listed if isinstance(listed, list) else []

    def download(self, path: str) -> Iterator[bytes]:
        """Raises FileNotFoundError; Unavailable: the server does not answer, or stops in the midst."""
        try:
            with self.http.stream("GET", f"api/2.0/mlflow-artifacts/artifacts/{quote(path)}") as answer:
                if answer.status_code == 404:
                    raise FileNotFoundError(path)
                if answer.status_code != 200:
                    raise Unavailable(f"the server {self.url} answers {answer.status_code} to a file")
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise Unavailable(f"the server {self.url} stopped in the midst of a file: {error}") from error

    # ---- calls ------------------------------------------------------------------------------------------------------

    def _pages(self, path: str, name: str, *, verb: str = "POST", **asked: Any) -> Iterator[Any]:
        call, token = (self._post if verb == "POST" else self._get), ""
        while True:
            answer = call(path, **asked, **({"page_token": token} if token else {}))
            yield from answer.get(name, [])
            token = self._following(answer, token)
            if not token:
                return

    def _following(self, answer: Any, token: str) -> str:
        """Of the next page. Raises Unavailable: it is the page of `token` once more."""
        following = str(answer.get("next_page_token") or "")
        if following and following == token:
            raise Unavailable(f"the server {self.url} gives the same page again and again")
        return following

    def _get(self, path: str, **params: Any) -> Any:
        return self._good(self._call("GET", f"{_API}/{path}", params=params))

    def _post(self, path: str, **body: Any) -> Any:
        return self._good(self._call("POST", f"{_API}/{path}", json=body))

    def _call(self, verb: str, path: str, **given: Any) -> httpx.Response:
        """Again where the server is busy or away for a moment. Raises Unavailable."""
        why = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(30, 0.5 * 2**attempt))
            try:
                answer = self.http.request(verb, path, **given)
            except httpx.TransportError as error:
                why = str(error) or type(error).__name__
                continue
            if answer.status_code not in _RETRIED:
                return answer
            why = f"it answers {answer.status_code}"
        raise Unavailable(f"the server {self.url} does not answer: {why}")

    def _good(self, answer: httpx.Response) -> Any:
        if answer.status_code in {401, 403}:
            raise InvalidArgument(f"the server {self.url} wants other credentials: it answers {answer.status_code}")
        if answer.status_code != 200:
            raise Unavailable(f"the server {self.url} answers {answer.status_code} to {answer.request.url.path}")
        try:
            return json.loads(answer.content)
        except (ValueError, RecursionError):
            raise InvalidArgument(f"{self.url} is no server of MLflow: it answers no JSON") from None


def open_server(url: str, workspace: str, environ: Mapping[str, str]) -> Server:
    """Credentials as MLflow's client has them: in the environment, or in the URL.

    Raises:
        InvalidArgument: it is no server of MLflow, or wants other credentials.
        Unavailable: it does not answer.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise InvalidArgument("the URL of a server is http(s)://host[:port]")
    user, password = parts.username or environ.get("MLFLOW_TRACKING_USERNAME"), parts.password
    password = password or environ.get("MLFLOW_TRACKING_PASSWORD", "")
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    headers = {} if workspace == "default" else {"X-MLFLOW-WORKSPACE": workspace}
    if token and not parts.username:
        headers["Authorization"], user = f"Bearer {token}", None
    host = parts.netloc.rpartition("@")[2]
    plain = urlunsplit((parts.scheme, host, parts.path, "", ""))
    made = Server(plain, auth=(user, password) if user else None, headers=headers)
    try:
        made._post("experiments/search", max_results=1, view_type="ALL")  # noqa: SLF001
    except Exception:
        made.close()
        raise
    return made


def _order(id: str) -> tuple[int, str]:
    return (int(id) if id.isdecimal() else 2**63, id)


def _quoted(text: str) -> str:
    """MLflow's filters know no escape: a name with both quotes cannot be asked for."""
    return f"'{text}'" if "'" not in text else f'"{text}"'

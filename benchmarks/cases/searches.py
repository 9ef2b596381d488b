"""Searching 10,000 runs of 20 metrics, 20 params and 5 tags: the first page of 1,000, whole; and all pages."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks import stores
from benchmarks.apis import Api, LinealApi, Seen, WrongAnswer, api_of
from benchmarks.cases.writes import check_logged, experiment, new_run
from benchmarks.generate import OPTIMISERS, TEAMS, PointData
from benchmarks.measuring import Meter, Side, p50_ms
from benchmarks.stage import Area, Case, Stage, goals
from benchmarks.wire import Connection, call_all, drive

RUNS = 10_000
PAGE = 1000
WORKSPACE = 1
OFTEN = 5


def prepare(stage: Stage) -> None:
    """Bring both stores to `RUNS` times the scale, through a stop: ours keeps counters, and starts with cold caches."""
    have, want = int(str(stage.memory.get("runs", 0))), RUNS * stage.scale
    into = experiment(stage, stage.ours())
    stage.stop("lineal")
    stage.say(f"writing {want - have} runs for ours")
    workspace, numbers = WORKSPACE, range(have, want)
    stores.fill_lineal_runs(stage.url("lineal"), int(into.rpartition("_")[2]), stage.generator, numbers, workspace=workspace)
    stores.waited(stage.url("lineal"))
    stage.memory["runs"] = want
    stage.memory["values"] = [(run.name, run.metrics["m00"]) for run in map(stage.generator.run, range(want))]


def fill_peer(stage: Stage) -> None:
    """Once: the peer is measured at the first scale only."""
    if stage.alone or "peer filled" in stage.memory:
        return
    server = stage.mlflow(stage.peer_workers[0])
    into = experiment(stage, api_of(server.kind, server.address))
    stage.say(f"writing {RUNS} runs for mlflow")
    stores.fill_mlflow_runs(stage.url("mlflow"), into, stage.generator, range(RUNS))
    stores.waited(stage.url("mlflow"))
    for peer in stage.compiled_peers():
        stage.say(f"logging {RUNS} runs to {peer.name}")
        fill_by_calls(stage, api_of(peer.kind, peer.address))
    stage.memory["peer filled"] = True


def fill_by_calls(stage: Stage, api: Api) -> None:
    """Where the tables are not known. They have no end, which nothing here asks for."""

    def calls(numbers: range) -> Iterator[bytes]:
        for run in map(stage.generator.run, numbers):
            made = new_run(stage, api, data=run)
            yield api.log_batch(
                made, [PointData(key, value, run.started_at, 0) for key, value in run.metrics.items()], run.params
            )

    check_logged(api, drive(api.address, [calls(range(RUNS))], seconds=1e9))


Expected = Callable[[list[tuple[str, float]]], list[str]]
"""The names that are right, in order, of all runs as (name, m00)."""


@dataclass(frozen=True)
class Search:
    """Order is by an own column in all of them, so that ours and the peer give the same page."""

    filter: str
    order: str
    expected: Expected


def _by_number(every: int = 1, rest: int = 0) -> Expected:
    return lambda values: [name for number, (name, _) in enumerate(values) if number % every == rest][:PAGE]


def _best(values: list[tuple[str, float]]) -> list[str]:
    matching = sorted(((value, name) for name, value in values if value > 0.5), reverse=True)
    return [name for _, name in matching[:PAGE]]


BY_START = "attributes.start_time ASC"
SEARCHES = {
    "no filter": Search("", BY_START, _by_number()),
    "metric filter and order": Search("metrics.m00 > 0.5", "metrics.m00 DESC", _best),
    "param LIKE": Search("params.p00 LIKE '%-3-%'", BY_START, _by_number(OPTIMISERS, 3)),
    "tag": Search("tags.t0 = 'team-3'", BY_START, _by_number(TEAMS, 3)),
}


def search(stage: Stage, which: Search, api: Api, meter: Meter) -> float:
    order = which.order
    if isinstance(api, LinealApi):
        order = "" if order == BY_START else order  # by id is by start there, and its default
    data = api.search(experiment(stage, api), which.filter, order)
    call_all(api.address, [data])  # once to warm up
    with meter.timed():
        answers = call_all(api.address, [data] * OFTEN, seconds=3)
    meter.operations = len(answers)
    values: list[tuple[str, float]] = stage.memory["values"]  # type: ignore[assignment]
    everything = values if api.owner == "lineal" else values[:RUNS]
    expected = which.expected(everything)
    for one in answers:
        check_found(stage, api.found(one.answer)[0], expected)
    return p50_ms(answers)


def check_found(stage: Stage, found: list[Seen], expected: list[str]) -> None:
    if [run.name for run in found] != expected:
        raise WrongAnswer(f"{len(found)} runs in an order or of names that are not right; expected {len(expected)}")
    for run in found[:: PAGE // 5]:
        made = stage.generator.run(int(run.name.rpartition("-")[2]))
        if (run.metrics, run.params, run.tags) != (made.metrics, made.params, made.tags):
            raise WrongAnswer(f"{run.name} has other metrics, params or tags than were written")


def walk(stage: Stage, api: Api, meter: Meter) -> float:
    """All pages, one after the other. Answers are read between the calls, which is not counted."""
    into, order = experiment(stage, api), "" if isinstance(api, LinealApi) else BY_START
    values: list[tuple[str, float]] = stage.memory["values"]  # type: ignore[assignment]
    everything = [name for name, _ in (values if api.owner == "lineal" else values[:RUNS])]
    pages, token, seconds = [], None, 0.0
    with Connection(api.address) as connection, meter.timed():
        while True:
            began = time.perf_counter()
            answer = connection.call(api.search(into, "", order, token))
            seconds += time.perf_counter() - began
            page, token = api.found(answer)
            pages.append(page)
            if token is None:
                break
    meter.operations = len(pages)
    check_found(stage, [run for page in pages for run in page], everything)
    return seconds


def against(once: Callable[..., float], stage: Stage, *arguments: object) -> list[Side]:
    fill_peer(stage)
    return stage.against_peer(partial(once, stage, *arguments))


def case(name: str, sqlite: float, postgres: float) -> Case:
    return Case(f"search, {name}", "ms", lambda stage: against(search, stage, SEARCHES[name]), goals(sqlite, postgres))


AREA = Area(
    "searches",
    [
        *(case("no filter", 50, 40), case("metric filter and order", 50, 40), case("param LIKE", 30, 25), case("tag", 30, 25)),
        Case("search, all pages", "s", partial(against, walk), goals(50, 40)),
    ],
    prepare,
    scales=(1, 4, 16),
    compiled=True,
)

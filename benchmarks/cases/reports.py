"""Reports of the agent: a Workflow of 100 steps, told for the first time, and told again unchanged.

The base is the same rows by hand in one transaction (for the unchanged one: parsing, and finding the object).
"""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import orjson

from benchmarks.apis import Api, WrongAnswer, body_of
from benchmarks.generate import NAMESPACE
from benchmarks.measuring import SECONDS, Meter, Side, p50_ms
from benchmarks.stage import FLOOR, Area, Case, Stage
from benchmarks.wire import Connection, call_all, request

STEPS = 100


def apply_new(stage: Stage, path: str, api: Api, meter: Meter) -> float:
    def requests() -> Iterator[bytes]:
        while True:
            report = stage.generator.report(stage.number("report"), STEPS)
            yield request("POST", path, orjson.dumps(report))

    prepared = list(itertools.islice(requests(), 40))
    with meter.timed():
        answers = call_all(api.address, prepared, seconds=SECONDS)
    meter.operations = len(answers)
    bodies = [body_of(one.answer) for one in answers]
    if any(body["result"] != "applied" for body in bodies):
        raise WrongAnswer("a new report was not applied")
    if path.startswith("/api"):
        check_steps(api, bodies[-1]["run"])
    return p50_ms(answers)


def check_steps(api: Api, run: str) -> None:
    with Connection(api.address) as connection:
        header = f"X-Lineal-Workspace: {NAMESPACE}"  # an object's namespace is its workspace
        page = body_of(connection.call(request("GET", f"/api/v1/runs/{run}/steps?page_size=1000", b"", header)))
    names = [step["name"] for step in page["steps"]]
    if names != [f"step-{index:03d}" for index in range(STEPS)]:
        raise WrongAnswer(f"the run has {len(names)} steps that are not those of the report")


def apply_again(stage: Stage, path: str, api: Api, meter: Meter) -> float:
    data = request("POST", path, orjson.dumps(stage.generator.report(stage.number("report"), STEPS)))
    with Connection(api.address) as connection:
        first = body_of(connection.call(data))
    if first["result"] != "applied":
        raise WrongAnswer("a new report was not applied")
    again = request("POST", "/unchanged", data.partition(b"\r\n\r\n")[2]) if path == "/report" else data
    with meter.timed():
        answers = call_all(api.address, itertools.repeat(again), seconds=SECONDS)
    meter.operations = len(answers)
    if any(body_of(one.answer)["result"] != "unchanged" for one in answers):
        raise WrongAnswer("a report that was here before was not found unchanged")
    return p50_ms(answers)


def case(name: str, work: Callable[..., float]) -> Case:
    def sides(stage: Stage) -> list[Side]:
        found = [stage.side(stage.lineal(), partial(work, stage, "/api/v1/reports"))]
        return found if stage.alone else [*found, stage.side(stage.floor(), partial(work, stage, "/report"))]

    return Case(name, "ms", sides, FLOOR, by_workers=False)


AREA = Area(
    "reports", [case("apply a report of 100 steps", apply_new), case("apply a report of 100 steps again, unchanged", apply_again)]
)

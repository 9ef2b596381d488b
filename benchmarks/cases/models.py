"""Versions of a registered model: making one, finding it by alias, listing a thousand."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import stores
from benchmarks.apis import Api, LinealApi, WrongAnswer
from benchmarks.measuring import SECONDS, Meter, Side, p50_ms, per_second
from benchmarks.stage import Area, Case, Stage, goals
from benchmarks.wire import Connection, call_all

VERSIONS = 1000
ALIAS = "champion"
HELD = 7
OFTEN = 20


def source(number: int) -> str:
    return f"s3://models/bench/{number}"


def create_versions(stage: Stage, api: Api, meter: Meter) -> float:
    model = api.read_model(f"made-{type(api).__name__}-{stage.number('model')}")

    def requests() -> Iterator[bytes]:
        for number in itertools.count(1):
            yield api.create_version(model, source(number))

    with meter.timed():
        answers = call_all(api.address, requests(), seconds=SECONDS)
    meter.operations = len(answers)
    if [api.version_numbers(one.answer) for one in answers] != [[number] for number in range(1, len(answers) + 1)]:
        raise WrongAnswer("versions are not numbered 1, 2, 3…")
    return per_second([answers])


def full_model(stage: Stage, api: Api) -> str:
    """A model with 1,000 versions (`prepare` adds to it), of which HELD has the alias."""

    def make() -> str:
        model = api.read_model("full")
        with Connection(api.address) as connection:
            for number in range(1, VERSIONS + 1):
                if api.version_numbers(connection.call(api.create_version(model, source(number)))) != [number]:
                    raise WrongAnswer(f"version {number} was given another number")
            if connection.call(api.move_alias(model, HELD, ALIAS)).status != 200:
                raise WrongAnswer("the alias could not be set")
        return model

    return stage.kept(f"full model {type(api).__name__}", make)


def prepare(stage: Stage) -> None:
    """Our model with 1,000 versions times the scale: the first thousand by the API, the rest straight into the tables."""
    model = full_model(stage, LinealApi(stage.lineal().address))
    have, want = int(str(stage.memory.get("versions", VERSIONS))), VERSIONS * stage.scale
    if want > have:
        stage.stop("lineal")
        numbers = range(have + 1, want + 1)
        sources = [source(number) for number in numbers]
        stores.fill_versions(stage.url("lineal"), int(model.partition("_")[2]), numbers, sources, workspace=1)
        stores.waited(stage.url("lineal"))
        stage.memory["versions"] = want


def get_by_alias(stage: Stage, api: Api, meter: Meter) -> float:
    data = api.by_alias(full_model(stage, api), ALIAS)
    with meter.timed():
        answers = call_all(api.address, itertools.repeat(data), seconds=SECONDS)
    meter.operations = len(answers)
    if any(api.version_numbers(one.answer) != [HELD] for one in answers):
        raise WrongAnswer("the alias led to another version")
    return p50_ms(answers)


def list_versions(stage: Stage, api: Api, meter: Meter) -> float:
    data = api.versions(full_model(stage, api))
    call_all(api.address, [data])
    with meter.timed():
        answers = call_all(api.address, [data] * OFTEN, seconds=SECONDS)
    meter.operations = len(answers)
    for one in answers:
        numbers = api.version_numbers(one.answer)
        if sorted(numbers) not in (list(range(1, VERSIONS + 1)), list(range(numbers[-1], numbers[-1] + VERSIONS))):
            raise WrongAnswer(f"a page of {len(numbers)} versions that are not the first or last {VERSIONS}")
    return p50_ms(answers)


def case(name: str, unit: str, sqlite: float, postgres: float, work: Callable[..., float]) -> Case:
    def sides(stage: Stage) -> list[Side]:
        return stage.against_peer(partial(work, stage))

    return Case(name, unit, sides, goals(sqlite, postgres))


AREA = Area("models", [case("create model version", "/s", 12, 9, create_versions)])
LISTS = Area(
    "versions",
    [case("get by alias", "ms", 12, 10, get_by_alias), case("page of 1,000 versions", "ms", 10, 10, list_versions)],
    prepare,
    scales=(1, 4, 16),
)

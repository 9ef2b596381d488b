"""Registered models and their versions: making one, finding a version by alias, listing a hundred and a thousand."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import stores
from benchmarks.apis import Api, WrongAnswer
from benchmarks.measuring import SECONDS, Meter, Side, p50_ms, per_second
from benchmarks.stage import Area, Case, Stage, goals
from benchmarks.wire import Connection, call_all

VERSIONS = 1000
FEW = 100
ALIAS = "champion"
HELD = 7
OFTEN = 20


def source(number: int) -> str:
    return f"s3://models/bench/{number}"


def new_model(stage: Stage, api: Api, name: str = "") -> str:
    with Connection(api.address) as connection:
        return api.model(connection.call(api.create_model(name or f"made-{stage.number('model')}")))


def create_models(stage: Stage, api: Api, meter: Meter) -> float:
    def requests() -> Iterator[bytes]:
        while True:
            yield api.create_model(f"made-{stage.number('model')}")

    with meter.timed():
        answers = call_all(api.address, requests(), seconds=SECONDS)
    meter.operations = len(answers)
    if len({api.model(one.answer) for one in answers}) != len(answers):
        raise WrongAnswer("two models are called the same")
    return per_second([answers])


def create_versions(stage: Stage, api: Api, meter: Meter) -> float:
    model = new_model(stage, api)

    def requests() -> Iterator[bytes]:
        for number in itertools.count(1):
            yield api.create_version(model, source(number))

    with meter.timed():
        answers = call_all(api.address, requests(), seconds=SECONDS)
    meter.operations = len(answers)
    if [api.version_numbers(one.answer) for one in answers] != [[number] for number in range(1, len(answers) + 1)]:
        raise WrongAnswer("versions are not numbered 1, 2, 3…")
    return per_second([answers])


def full_model(stage: Stage, api: Api, versions: int = VERSIONS) -> str:
    """A model with so many versions (`prepare` adds to that of 1,000), of which HELD has the alias."""

    def make() -> str:
        model = new_model(stage, api, f"full-{versions}")
        with Connection(api.address) as connection:
            for number in range(1, versions + 1):
                if api.version_numbers(connection.call(api.create_version(model, source(number)))) != [number]:
                    raise WrongAnswer(f"version {number} was given another number")
            if connection.call(api.move_alias(model, HELD, ALIAS)).status != 200:
                raise WrongAnswer("the alias could not be set")
        return model

    return stage.kept(f"full model {api.owner} {versions}", make)


def prepare(stage: Stage) -> None:
    """Our model with 1,000 versions times the scale: the first thousand by the API, the rest straight into the tables."""
    model = full_model(stage, stage.ours())
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


def list_few_versions(stage: Stage, api: Api, meter: Meter) -> float:
    data = api.versions(full_model(stage, api, FEW))
    with meter.timed():
        answers = call_all(api.address, itertools.repeat(data), seconds=SECONDS)
    meter.operations = len(answers)
    if any(sorted(api.version_numbers(one.answer)) != list(range(1, FEW + 1)) for one in answers[:: len(answers) // OFTEN + 1]):
        raise WrongAnswer(f"not the {FEW} versions of the model")
    return p50_ms(answers)


def case(name: str, unit: str, sqlite: float, postgres: float, work: Callable[..., float]) -> Case:
    def sides(stage: Stage) -> list[Side]:
        return stage.against_peer(partial(work, stage))

    return Case(name, unit, sides, goals(sqlite, postgres))


AREA = Area(
    "models",
    [
        case("create registered model", "/s", 12, 9, create_models),
        case("create model version", "/s", 12, 9, create_versions),
    ],
)
LISTS = Area(
    "versions",
    [
        case("get by alias", "ms", 12, 10, get_by_alias),
        case("page of 1,000 versions", "ms", 10, 10, list_versions),
        case("100 versions of a model", "ms", 8, 8, list_few_versions),
    ],
    prepare,
    scales=(1, 4, 16),
)

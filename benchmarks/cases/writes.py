"""Creating runs and logging to them: what every training step does."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.apis import Api, WrongAnswer
from benchmarks.generate import EPOCH, PointData, RunData
from benchmarks.measuring import SECONDS, Meter, Side, p50_ms, per_second
from benchmarks.stage import Area, Case, Goal, Stage, goals
from benchmarks.wire import Connection, Exchange, drive

KEYS = 1000
CURVES, STEPS = 10, 100
BODIES = 24
"""Batches are made before the clock starts, and sent around again under their own steps where one repeat needs more."""


def experiment(stage: Stage, api: Api) -> str:
    return stage.kept(f"experiment {api.owner}", lambda: api.read_experiment("benchmark"))


def new_run(stage: Stage, api: Api, data: RunData | None = None) -> str:
    number = stage.number("run")
    run = data or RunData(f"bench-{number}", "", EPOCH + number, {}, {}, {})
    with Connection(api.address) as connection:
        return api.created(connection.call(api.create_run(experiment(stage, api), run))).id


def create_runs(stage: Stage, clients: int, api: Api, meter: Meter) -> float:
    into = experiment(stage, api)
    names: list[list[str]] = [[] for _ in range(clients)]

    def requests(mine: list[str]) -> Iterator[bytes]:
        while True:
            number = stage.number("run")
            mine.append(f"created-{number}")
            run = RunData(mine[-1], "", EPOCH + number, {}, {}, {"t0": "team-1", "t1": str(number)})
            yield api.create_run(into, run)

    with meter.timed():
        answers = drive(api.address, [requests(mine) for mine in names], seconds=SECONDS)
    meter.operations = sum(map(len, answers))
    seen = [[api.created(one.answer) for one in mine] for mine in answers]
    if [[run.name for run in mine] for mine in seen] != [mine[: len(got)] for mine, got in zip(names, seen, strict=True)]:
        raise WrongAnswer("a created run has another name than was sent")
    everything = [run for mine in seen for run in mine]
    if len({run.id for run in everything}) != len(everything):
        raise WrongAnswer("two runs were given one id")
    kept = api.read_run(everything[-1].id)
    if kept.name != everything[-1].name or kept.tags.get("t0") != "team-1":
        raise WrongAnswer("a run that was created is not there as it was sent")
    return per_second(answers)


def log_metrics(stage: Stage, clients: int, api: Api, meter: Meter) -> float:
    runs = [new_run(stage, api) for _ in range(clients)]

    def requests(run: str) -> Iterator[bytes]:
        for step in itertools.count():
            yield api.log_metric(run, PointData("loss", 1 / (step + 1), EPOCH + step, step))

    with meter.timed():
        answers = drive(api.address, [requests(run) for run in runs], seconds=SECONDS)
    meter.operations = sum(map(len, answers))
    check_logged(api, answers)
    with Connection(api.address) as connection:
        for run, mine in zip(runs, answers, strict=True):
            expected = [(EPOCH + step, step, 1 / (step + 1)) for step in range(len(mine))]
            if api.read_history(run, "loss", connection) != expected:
                raise WrongAnswer(f"{len(mine)} points were acknowledged, the history has others")
    return p50_ms(answers[0]) if clients == 1 else per_second(answers)


def check_logged(api: Api, answers: Sequence[Sequence[Exchange]]) -> None:
    for stream in answers:
        for one in stream:
            api.check_logged(one.answer)


def log_batches(stage: Stage, form: str, clients: int, api: Api, meter: Meter) -> float:
    """Batches of 1,000 points, each newer than the one before; `form` is `keys` or `steps`."""
    make = stage.generator
    runs = [new_run(stage, api) for _ in range(clients)]
    batches = [make.keys(KEYS, n) if form == "keys" else make.steps(CURVES, STEPS, n * STEPS) for n in range(BODIES)]
    bodies = [[api.log_batch(run, batch) for batch in batches] for run in runs]
    with meter.timed():
        answers = drive(api.address, bodies, seconds=SECONDS)
    meter.operations = sum(map(len, answers))
    check_logged(api, answers)
    for run, mine in zip(runs, answers, strict=True):
        check_latest(api, run, batches[len(mine) - 1])
    with Connection(api.address) as connection:
        key, sent = batches[0][0].key, [point for batch in batches[: len(answers[0])] for point in batch]
        expected = [(point.at, point.step, point.value) for point in sent if point.key == key]
        if api.read_history(runs[0], key, connection) != expected:
            raise WrongAnswer(f"the history of {key} is not what was logged")
    return p50_ms(answers[0]) if clients == 1 else per_second(answers, KEYS)


def check_latest(api: Api, run: str, batch: Sequence[PointData]) -> None:
    expected = {point.key: point.value for point in batch}  # of a key the last point is the newest
    if api.read_run(run).metrics != expected:
        raise WrongAnswer("the latest metrics of a run are not those that were logged last")


def log_params(stage: Stage, api: Api, meter: Meter) -> float:
    """100 new params in each call, each call to a run of its own."""
    runs = [new_run(stage, api) for _ in range(BODIES)]
    bodies = [api.log_batch(run, [], stage.generator.params(100, number)) for number, run in enumerate(runs)]
    with meter.timed():
        answers = drive(api.address, [bodies], seconds=SECONDS)
    meter.operations = len(answers[0])
    check_logged(api, answers)
    if api.read_run(runs[0]).params != stage.generator.params(100, 0):
        raise WrongAnswer("the params of a run are not those that were logged")
    return p50_ms(answers[0])


AGAIN = 10
AGAIN_NAME = "the same batch again, 1,000,000 points of history"


def grown_run(stage: Stage, api: Api, points: int) -> str:
    """A run with `points` points of history in CURVES metrics."""

    def make() -> str:
        run, steps = new_run(stage, api), points // CURVES
        each = min(steps, 5_000)
        pages = (api.log_batch(run, stage.generator.steps(CURVES, each, first)) for first in range(0, steps, each))
        check_logged(api, drive(api.address, [pages], seconds=1e9))
        return run

    return stage.kept(f"grown {points}", make)


def log_again(stage: Stage, points: int, api: Api, meter: Meter) -> float:
    """The first batch of the run once more, word for word: what a client's retry sends."""
    run = grown_run(stage, api, points)
    first = stage.generator.steps(CURVES, min(points // CURVES, 5_000))
    batch = [point for point in first if point.step < STEPS]
    before = api.read_run(run).metrics
    with meter.timed():
        answers = drive(api.address, [[api.log_batch(run, batch)] * AGAIN], seconds=1e9)
    meter.operations = AGAIN
    check_logged(api, answers)
    if api.read_run(run).metrics != before:
        raise WrongAnswer("sending a batch again changed the run")
    return p50_ms(answers[0])


def again_sides(stage: Stage) -> list[Side]:
    """Ours with much history; the base is ours with little."""
    sides = []
    for points, name in ((1_000_000, "ours, 1,000,000 points"), (10_000, "ours, 10,000 points")):
        side = stage.side(stage.lineal(), partial(log_again, stage, points))
        sides.append(Side(name, side.server, side.once, side.database))
    return sides


def against_peer(name: str, unit: str, sqlite: float, postgres: float, work: Callable[..., float], *arguments: object) -> Case:
    def sides(stage: Stage) -> list[Side]:
        return stage.against_peer(partial(work, stage, *arguments))

    return Case(name, unit, sides, goals(sqlite, postgres))


AREA = Area(
    "writes",
    [
        against_peer("create run, 1 client", "/s", 12, 12, create_runs, 1),
        against_peer("create run, 16 clients", "/s", 32, 16, create_runs, 16),
        against_peer("log metric, 1 client", "ms", 13, 9.5, log_metrics, 1),
        against_peer("log metric, 16 clients", "/s", 31, 22, log_metrics, 16),
        against_peer("log batch of 1,000 keys", "ms", 14, 24, log_batches, "keys", 1),
        against_peer("log batch of 10 keys x 100 steps", "ms", 17, 9.5, log_batches, "steps", 1),
        against_peer("log batch of 10 keys x 100 steps, 8 clients", "points/s", 13, 7.5, log_batches, "steps", 8),
        against_peer("log 100 params", "ms", 7, 5, log_params),
        Case(
            AGAIN_NAME,
            "ms",
            again_sides,
            {"sqlite": Goal(ratio=0.8), "postgres": Goal(ratio=0.8)},
            by_workers=False,
        ),
    ],
    compiled=True,
)

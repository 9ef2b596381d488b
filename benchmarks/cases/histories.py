"""All points of one metric: a curve of 100,000 in one run. Ours comes by pages, the peer's in one answer."""

from functools import partial

from benchmarks.apis import Api, WrongAnswer
from benchmarks.cases.writes import check_logged, new_run
from benchmarks.generate import EPOCH, PointData
from benchmarks.measuring import Meter, Side
from benchmarks.stage import Area, Case, Stage, goals
from benchmarks.wire import Connection, drive

POINTS = 6_250
"""At scale 16 it is 100,000."""


def curve(count: int) -> list[PointData]:
    return [PointData("curve", (step * 7919 % 1000) / 1000, EPOCH + step, step) for step in range(count)]


def logged(stage: Stage, api: Api) -> str:
    """A run with the curve. By batches of 1,000 points, the most that the peer takes."""
    count = POINTS * stage.scale

    def make() -> str:
        run, points = new_run(stage, api), curve(count)
        bodies = (api.log_batch(run, points[first : first + 1000]) for first in range(0, count, 1000))
        check_logged(api, drive(api.address, [bodies], seconds=1e9))
        return run

    return stage.kept(f"curve {api.owner} {count}", make)


def read_history(stage: Stage, api: Api, meter: Meter) -> float:
    run = logged(stage, api)
    with Connection(api.address) as connection, meter.timed():
        found = api.read_history(run, "curve", connection)
    if found != [(point.at, point.step, point.value) for point in curve(POINTS * stage.scale)]:
        raise WrongAnswer(f"a history of {len(found)} points, not the one that was logged")
    return meter.seconds * 1000


def sides(stage: Stage) -> list[Side]:
    return stage.against_peer(partial(read_history, stage))


AREA = Area(
    "histories", [Case("history of 100,000 points", "ms", sides, goals(26, 22))], scales=(1, 4, 16), judged_at=16, compiled=True
)

"""Bytes through the server, into a local folder and out again."""

from collections.abc import Callable
from functools import partial

from benchmarks.apis import Api, WrongAnswer
from benchmarks.measuring import Meter, Side
from benchmarks.stage import FLOOR, Area, Case, Stage, goals
from benchmarks.wire import Connection

BLOCK = 1 << 20
SMALL = 100 * 1024
FILES = 1000


def block(stage: Stage) -> bytes:
    return stage.generator.block(BLOCK)


def up(stage: Stage, megabytes: int, api: Api, meter: Meter) -> float:
    data, name = block(stage), f"up-{megabytes}-{stage.number('file')}.bin"
    head = api.put_file(name, megabytes * BLOCK)
    with Connection(api.address) as connection:
        with meter.timed():
            answer = connection.upload(head, data, megabytes)
        if answer.status not in {200, 201}:
            raise WrongAnswer(f"the upload was answered {answer.status}")
        if not connection.download(api.get_file(name), data, megabytes):
            raise WrongAnswer("what came back are not the bytes that were sent")
    return megabytes / meter.seconds


def down(stage: Stage, megabytes: int, api: Api, meter: Meter) -> float:
    data, name = block(stage), f"down-{megabytes}.bin"

    def upload() -> str:
        with Connection(api.address) as connection:
            return str(connection.upload(api.put_file(name, megabytes * BLOCK), data, megabytes).status)

    stage.kept(f"{name} {api.owner}", upload)
    with Connection(api.address) as connection, meter.timed():
        same = connection.download(api.get_file(name), data, megabytes)
    if not same:
        raise WrongAnswer("what came back are not the bytes that were sent")
    return megabytes / meter.seconds


def small_file(stage: Stage, number: int) -> bytes:
    start = number * 97
    return block(stage)[start : start + SMALL]


def small_up(stage: Stage, api: Api, meter: Meter) -> float:
    """FILES of them, one after the other, each with its own bytes."""
    folder, data = f"small-{stage.number('folder')}", block(stage)
    pieces = [data[number * 97 : number * 97 + SMALL] for number in range(FILES)]
    stage.memory[f"small {api.owner}"] = folder
    with Connection(api.address) as connection:
        with meter.timed():
            statuses = {
                connection.call(api.put_file(f"{folder}/{number}.bin", SMALL) + piece).status
                for number, piece in enumerate(pieces)
            }
        meter.operations = FILES
        if not statuses <= {200, 201}:
            raise WrongAnswer(f"uploads were answered {sorted(statuses)}")
        last = connection.call(api.get_file(f"{folder}/{FILES - 1}.bin"))
        if last.body != pieces[-1]:
            raise WrongAnswer("what came back are not the bytes that were sent")
    return FILES / meter.seconds


def small_down(stage: Stage, api: Api, meter: Meter) -> float:
    """Those that `small_up` has left."""
    if f"small {api.owner}" not in stage.memory:
        small_up(stage, api, Meter(meter.server))
    folder = stage.memory[f"small {api.owner}"]
    with Connection(api.address) as connection, meter.timed():
        bodies = [connection.call(api.get_file(f"{folder}/{number}.bin")).body for number in range(FILES)]
    meter.operations = FILES
    data = block(stage)
    if any(body != data[number * 97 : number * 97 + SMALL] for number, body in enumerate(bodies)):
        raise WrongAnswer("a file that came back is another than was sent")
    return FILES / meter.seconds


def case(name: str, unit: str, ratio: float, work: Callable[..., float], *arguments: object) -> Case:
    def sides(stage: Stage) -> list[Side]:
        return stage.against_peer(partial(work, stage, *arguments))

    return Case(name, unit, sides, goals(ratio, ratio), by_workers=False)


def beside_floor(name: str, unit: str, work: Callable[..., float], *arguments: object) -> Case:
    """The peer does not hash and syncs nothing: what that costs is seen beside the same work by hand."""

    def sides(stage: Stage) -> list[Side]:
        servers = [stage.lineal(), *([] if stage.alone else [stage.floor()])]
        return [stage.side(server, partial(work, stage, *arguments)) for server in servers]

    return Case(f"{name}, beside the floor", unit, sides, FLOOR, by_workers=False)


AREA = Area(
    "files",
    [
        case("64 MB up", "MiB/s", 2, up, 64),
        case("64 MB down", "MiB/s", 3, down, 64),
        case("1,000 files of 100 KB up", "files/s", 3, small_up),
        case("1,000 files of 100 KB down", "files/s", 6, small_down),
        beside_floor("64 MB up", "MiB/s", up, 64),
        beside_floor("1,000 files of 100 KB up", "files/s", small_up),
        case("1 GB up", "MiB/s", 2, up, 1024),
        case("1 GB down", "MiB/s", 3, down, 1024),
    ],
)

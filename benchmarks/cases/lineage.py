"""Walks in a graph of 2.6 million edges (at scale 16), and through an artifact that 5,000 steps have read.

The base is the same walk by hand on the same tables: one statement per level, by the raw driver, in a raw ASGI application.
"""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from benchmarks import stores
from benchmarks.apis import Api, WrongAnswer, body_of
from benchmarks.generate import READS, Weave
from benchmarks.measuring import Meter, Side, p50_ms
from benchmarks.stage import FLOOR, Area, Case, Stage
from benchmarks.wire import Connection, call_all, request

GENERATIONS = 40
WIDTH = 812
HOPS = 40
HUB = 5_000
PER_HOP = 1_000
OFTEN = 10
WORKSPACE = 1


def prepare(stage: Stage) -> None:
    """Add what is missing of the graph beside what is there; the walks are in the newest part."""
    have, want = int(str(stage.memory.get("width", 0))), WIDTH * stage.scale
    stage.lineal()
    stage.stop()
    weave = Weave(GENERATIONS, want - have)
    stage.say(f"writing {weave.edges} edges")
    artifact, _ = stores.fill_weave(stage.url("lineal"), weave, workspace=WORKSPACE)
    if not have:
        stage.memory["hub"] = stores.fill_hub(stage.url("lineal"), HUB, workspace=WORKSPACE)
    stores.waited(stage.url("lineal"))
    stage.memory["width"] = want
    stage.memory["leaf"] = artifact + weave.artifact(GENERATIONS, 20)


def _walk(root: int, **query: object) -> bytes:
    return request("GET", f"/api/v1/lineage?{urlencode({'root': f'art_{root}', **query})}")


def _by_hand(root: int, way: str, hops: int) -> bytes:
    return request("GET", f"/walk?{urlencode({'root': root, 'direction': way, 'depth': hops, 'per_hop': PER_HOP})}")


def walk(what: str, data: bytes, expected: tuple[int, int], api: Api, meter: Meter) -> float:
    """`expected`: nodes with the root, edges."""
    call_all(api.address, [data])
    with meter.timed():
        answers = call_all(api.address, [data] * OFTEN, seconds=2)
    meter.operations = len(answers)
    for one in answers:
        body = body_of(one.answer)
        found = len({node["id"] for node in body["nodes"]}), len(body["edges"])
        if found != expected:
            raise WrongAnswer(f"{what}: {found[0]} nodes and {found[1]} edges instead of {expected[0]} and {expected[1]}")
    return p50_ms(answers)


def up_sides(stage: Stage) -> list[Side]:
    """Half of HOPS are generations. Edges: who wrote the leaf and all artifacts but the outermost, and every read."""
    leaf, generations = int(str(stage.memory["leaf"])), HOPS // 2
    executions, artifacts = Weave.ancestry(generations)
    expected = 1 + executions + artifacts, 1 + Weave.ancestry(generations - 1)[1] + READS * executions
    ours = _walk(leaf, direction="upstream", depth=HOPS, max_nodes=5000, per_hop=PER_HOP)
    return _sides(stage, "walk", ours, _by_hand(leaf, "upstream", HOPS), expected)


def hub_sides(stage: Stage) -> list[Side]:
    source = int(str(stage.memory["hub"]))
    expected = 3 + 2 * PER_HOP, 2 + 2 * PER_HOP
    ours = _walk(source, direction="downstream", depth=4, max_nodes=5000, per_hop=PER_HOP)
    return _sides(stage, "hub", ours, _by_hand(source, "downstream", 4), expected)


def _sides(stage: Stage, what: str, ours: bytes, by_hand: bytes, expected: tuple[int, int]) -> list[Side]:
    found = [stage.side(stage.lineal(), partial(walk, what, ours, expected))]
    return found if stage.alone else [*found, stage.side(stage.floor(), partial(walk, what, by_hand, expected))]


def read_impact(expected: int, pages: list[bytes], api: Api, meter: Meter) -> float:
    """Every page of what lies up- or downstream; each node once."""
    with Connection(api.address) as connection, meter.timed():
        found = list(_pages(connection, pages[0]))
    meter.operations = 1
    ids = [one["id"] for one in found]
    if len(ids) != expected or len(set(ids)) != expected:
        raise WrongAnswer(f"{len(ids)} nodes, {len(set(ids))} of them different, instead of {expected}")
    return meter.seconds * 1000


def _pages(connection: Connection, data: bytes) -> Any:
    path = data.split(b" ", 2)[1].decode()
    token: str | None = ""
    while token is not None:
        more = f"&page_token={token}" if token else ""
        body = body_of(connection.call(request("GET", path + more)))
        yield from body.get("items") or body["nodes"]
        token = body.get("next_page_token")


def impact_sides(what: str, stage: Stage) -> list[Side]:
    if what == "up":
        root, way, hops = int(str(stage.memory["leaf"])), "upstream", 2 * GENERATIONS
        expected = sum(Weave.ancestry(GENERATIONS))
    else:
        root, way, hops = int(str(stage.memory["hub"])), "downstream", 4
        expected = 2 + 2 * HUB
    query = urlencode({"root": f"art_{root}", "direction": way, "depth": hops, "page_size": 1000})
    ours = request("GET", f"/api/v1/lineage/impact?{query}")
    query = urlencode({"root": root, "direction": way, "depth": hops, "per_hop": HUB, "without_root": 1})
    by_hand = request("GET", f"/walk?{query}")
    found = [stage.side(stage.lineal(), partial(read_impact, expected, [ours]))]
    return found if stage.alone else [*found, stage.side(stage.floor(), partial(read_impact, expected, [by_hand]))]


AREA = Area(
    "lineage",
    [
        Case("lineage, walk of 40 hops up", "ms", up_sides, FLOOR, by_workers=False),
        Case("lineage, walk through a 5,000-way hub", "ms", hub_sides, FLOOR, by_workers=False),
        Case("lineage, all of 40 generations up", "ms", partial(impact_sides, "up"), FLOOR, by_workers=False),
        Case("lineage, all below a 5,000-way hub", "ms", partial(impact_sides, "down"), FLOOR, by_workers=False),
    ],
    prepare,
    scales=(1, 4, 16),
    judged_at=16,
)

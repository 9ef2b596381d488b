"""The harness itself: a wrong answer fails a case, noise does not count, rows say what was measured. Nothing here is timed."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks import reporting
from benchmarks.apis import LinealApi, WrongAnswer
from benchmarks.cases import AREAS, searches, writes
from benchmarks.generate import Generator
from benchmarks.measuring import ATTEMPTS, Meter, Results, Side, exponent, take_turns
from benchmarks.processes import NotStarted, Process
from benchmarks.stage import Case, Goal, Stage
from benchmarks.wire import Address, Connection, Parser, drive, request


@contextmanager
def answering(respond: Callable[[bytes], bytes]) -> Iterator[Address]:
    """A server that gives each request (as it came) to `respond`, which makes the whole response."""
    listener = socket.create_server(("127.0.0.1", 0))

    def converse(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 20):
                connection.sendall(respond(data))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def ok(body: Any, status: int = 200) -> bytes:
    content = orjson.dumps(body)
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def shown(name: str, id: str, **values: Any) -> dict[str, Any]:
    return {"id": id, "name": name, "metrics": [], "params": {}, "tags": {"t0": "team-1"}, **values}


def stage(tmp_path: Path) -> Stage:
    return Stage("sqlite", tmp_path, None, str)


def turns(once: Callable[[Meter], float], repeats: int = 3, *, count_noisy: bool = True) -> Results:
    return take_turns([Side("ours", os.getpid(), once)], repeats, count_noisy=count_noisy)[0]


def server_of_runs(*, forget: bool = False, same_id: bool = False) -> Callable[[bytes], bytes]:
    """Enough of our API for the case that creates runs; wrong in the way that is asked for."""
    made: list[dict[str, Any]] = []

    def respond(data: bytes) -> bytes:
        head, _, body = data.partition(b"\r\n\r\n")
        if head.startswith(b"POST /api/v1/experiments"):
            return ok({"id": "exp_1"}, 201)
        if head.startswith(b"POST"):
            made.append(shown(orjson.loads(body)["name"], "run_0" if same_id else f"run_{len(made)}"))
            return ok(made[-1], 201)
        number = int(head.split(b" ")[1].rpartition(b"_")[2])
        return ok(shown("another", "run_0") if forget else made[number])

    return respond


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [({}, ""), ({"forget": True}, "is not there as it was sent"), ({"same_id": True}, "two runs were given one id")],
)
def test_a_case_fails_on_a_wrong_answer_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, bool], complaint: str
) -> None:
    monkeypatch.setattr(writes, "SECONDS", 0.02)
    with answering(server_of_runs(**wrong)) as address:
        found = turns(lambda meter: writes.create_runs(stage(tmp_path), 2, LinealApi(address), meter))

    assert (complaint in found.error) if complaint else (found.error == "" and len(found.values) == 3)
    assert (found.median is None) == bool(complaint)


@pytest.mark.parametrize("spoil", ["", "order", "count", "value"])
def test_a_search_is_checked_for_count_order_and_values(tmp_path: Path, spoil: str) -> None:
    place, make = stage(tmp_path), Generator()
    everything = [make.run(number) for number in range(40)]
    place.memory |= {"values": [(run.name, run.metrics["m00"]) for run in everything], "experiment lineal": "exp_1"}
    rows = [
        shown(run.name, f"run_{run.hex}", params=run.params, tags=run.tags)
        | {"metrics": [{"key": key, "value": value} for key, value in run.metrics.items()]}
        for run in everything
    ]
    if spoil == "order":
        rows[3], rows[4] = rows[4], rows[3]
    elif spoil == "count":
        rows.pop()
    elif spoil == "value":
        rows[0]["params"] = rows[0]["params"] | {"p01": "another"}
    search = searches.SEARCHES["no filter"]
    with answering(lambda _data: ok({"runs": rows})) as address:
        found = turns(lambda meter: searches.search(place, search, LinealApi(address), meter), 1)

    assert bool(found.error) == bool(spoil)


def test_a_refused_call_is_a_wrong_answer() -> None:
    with answering(lambda _data: ok({"detail": "no"}, 503)) as address, pytest.raises(WrongAnswer, match="503"):
        LinealApi(address).read_run("run_1")


def test_noisy_repeats_are_made_again_a_few_times_and_shown_but_not_counted() -> None:
    calls = 0

    def once(meter: Meter) -> float:
        nonlocal calls
        calls += 1
        meter.foreign = 0.5 if calls <= 2 else 0.0
        return float(calls)

    found = turns(once, 1, count_noisy=False)

    assert found.values == [3.0]
    assert [repeat.value for repeat in found.noisy] == [1.0, 2.0]


def test_a_machine_that_is_never_quiet_gives_no_figure() -> None:
    def once(meter: Meter) -> float:
        meter.foreign = 0.9
        return 1.0

    found = turns(once, 2, count_noisy=False)

    assert found.median is None
    assert len(found.noisy) == 2 * ATTEMPTS


def row_of(unit: str, goal: Goal, *medians: float) -> reporting.Row:
    found = []
    for place, value in enumerate(medians):
        found.append(turns(lambda meter, value=value: value, 1))  # type: ignore[misc]
        found[-1].name = f"side {place}"
    return reporting.row(Case("c", unit, lambda stage: [], {}), "sqlite", goal, found)


@pytest.mark.parametrize(
    ("unit", "ours", "bases", "ratio", "met"),
    [
        ("ms", 2.0, (30.0, 20.0), 10.0, True),
        ("ms", 2.1, (30.0, 20.0), 9.52, False),
        ("/s", 1000.0, (90.0, 100.0), 10.0, True),
        ("/s", 900.0, (90.0, 100.0), 9.0, False),
    ],
)
def test_the_base_is_the_fastest_of_its_configurations(
    unit: str, ours: float, bases: tuple[float, float], ratio: float, met: bool
) -> None:
    row = row_of(unit, Goal(ratio=10), ours, *bases)

    assert (row["base_name"], row["met"]) == ("side 2", met)
    assert row["ratio"] == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize(("value", "met"), [(119.0, True), (121.0, False)])
def test_a_limit_is_held_without_a_base(value: float, met: bool) -> None:
    assert row_of("MiB", Goal(limit=120), value)["met"] is met


def test_a_wrong_answer_is_a_row_that_is_not_met() -> None:
    def once(_meter: Meter) -> float:
        raise WrongAnswer("41 runs instead of 42")

    row = reporting.row(Case("c", "ms", lambda stage: [], {}), "sqlite", Goal(ratio=1), [turns(once)])

    assert row["met"] is False
    assert "41 runs instead of 42" in reporting.table([row])


def test_new_rows_replace_those_of_the_same_case_and_database(tmp_path: Path) -> None:
    file = tmp_path / "latest.json"
    old, other, new = (
        {**row_of("ms", Goal(ratio=1), value), "database": db} for value, db in ((1.0, "a"), (2.0, "b"), (3.0, "a"))
    )
    reporting.save([old, other], {}, file)
    reporting.save([new], {}, file)

    assert {row["database"]: row["ours"] for row in orjson.loads(file.read_bytes())["rows"]} == {"a": 3.0, "b": 2.0}


def test_the_exponent_is_one_for_linear_growth_and_none_for_flat() -> None:
    assert exponent([1, 4, 16], [5.0, 21.0, 80.0]) == pytest.approx(1.0)
    assert exponent([1, 16], [7.0, 7.0]) == 0


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n"


def test_answers_are_read_whole_in_whatever_pieces_they_come() -> None:
    """The body of the chunked one holds what looks like its own end, more than once."""
    answers = [ok({"a": 1}), b"HTTP/1.1 204 No Content\r\n\r\n", CHUNKED]
    bodies = [b'{"a":1}', b"", b"0\r\n\r\n" * 2]
    for whole, body in zip(answers, bodies, strict=True):
        parser = Parser()

        found = [answer for byte in whole if (answer := parser.feed(bytes([byte])))]

        assert [answer.body for answer in found] == [body]


def test_clients_at_once_each_get_their_own_answers_in_order() -> None:
    with answering(lambda data: ok(data.split(b" ")[1].decode())) as address:
        streams = [[request("GET", f"/{client}/{number}") for number in range(5)] for client in range(4)]
        answers = drive(address, streams, seconds=30)

    assert [[orjson.loads(one.answer.body) for one in mine] for mine in answers] == [
        [f"/{client}/{number}" for number in range(5)] for client in range(4)
    ]


def test_a_download_of_other_bytes_is_noticed() -> None:
    content = b"x" * 1000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + content + b"y" * 1000
    with answering(lambda _data: answer) as address, Connection(address) as connection:
        assert not connection.download(b"GET / HTTP/1.1\r\n\r\n", content, 2)


def test_a_process_that_does_not_get_ready_is_ended(tmp_path: Path) -> None:
    process = Process(["sleep", "600"], tmp_path, cwd=tmp_path)

    with pytest.raises(NotStarted):
        process.wait_until(lambda: False, timeout_s=0)

    assert not process.is_running


def test_every_case_has_a_goal_on_each_of_its_databases_and_a_name_of_its_own() -> None:
    cases = [case for area in AREAS for case in area.cases]

    assert len({case.name for case in cases}) == len(cases)
    assert not [case.name for area in AREAS for case in area.cases if not set(area.databases) <= case.goals.keys()]

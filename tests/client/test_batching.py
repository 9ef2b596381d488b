"""What is logged in the background: refused, put off or late, nothing of it is lost without a word."""

import json
import time
from typing import Any

import pytest

from lineal import ApiError, LinealError, Unreachable
from lineal.batching import REFUSALS, Batcher

Body = dict[str, Any]


class Door:
    """A server that refuses the param `bad` and points without a key; `down`: answers to give before it is there."""

    def __init__(self, *down: LinealError, wait_s: float = 0) -> None:
        self.down = list(down)
        self.wait_s = wait_s
        self.points: list[Any] = []
        self.params: list[dict[str, str]] = []

    def send(self, body: Body) -> None:
        time.sleep(self.wait_s)
        if self.down:
            raise self.down.pop(0)
        if "bad" in body.get("params", {}) or any(point == "" for point in body.get("metrics", [])):
            raise ApiError(409, {"detail": "refused"})
        json.dumps(body, ensure_ascii=False).encode()
        self.points += body.get("metrics", [])
        self.params += [body["params"]] if "params" in body else []


def wait_until_sent(batcher: Batcher) -> None:
    end = time.monotonic() + 10
    while (batcher._pending() or batcher._sending) and time.monotonic() < end:
        time.sleep(0.01)


def test_a_refusal_is_not_forgotten_over_a_batch_that_went_well() -> None:
    door = Door()
    batcher = Batcher(door.send)
    batcher.add([], {"bad": "1"}, {})
    wait_until_sent(batcher)
    batcher.add(["after"], {}, {})  # type: ignore[list-item]
    wait_until_sent(batcher)

    with pytest.raises(ApiError, match="refused"):
        batcher.close()
    assert door.points == ["after"]


def test_flush_raises_a_refusal_only_when_the_rest_is_there() -> None:
    door = Door(wait_s=0.05)
    batcher = Batcher(door.send)
    batcher.add([], {"bad": "1"}, {})
    batcher.add(list(range(5000)), {}, {})  # type: ignore[arg-type]

    with pytest.raises(ApiError, match="refused"):
        batcher.close()
    assert door.points == list(range(5000))


def test_what_was_put_off_is_sent_again() -> None:
    door = Door(ApiError(503, {"detail": "put off"}))
    batcher = Batcher(door.send)
    batcher.add(["m"], {}, {})  # type: ignore[list-item]

    with pytest.raises(Unreachable, match="put off"):
        batcher.flush()
    batcher.close()
    assert door.points == ["m"]


def test_at_the_end_of_the_process_an_outage_is_waited_for() -> None:
    door = Door(Unreachable("away"))
    batcher = Batcher(door.send)
    batcher.add(["m"], {}, {})  # type: ignore[list-item]

    batcher.flush(10)

    assert door.points == ["m"]


def test_an_outage_that_is_over_is_no_error() -> None:
    door = Door(Unreachable("away"))
    batcher = Batcher(door.send)
    batcher.add(["m"], {}, {})  # type: ignore[list-item]
    time.sleep(0.3)  # the first try has failed, the second one has not begun

    batcher.close()

    assert door.points == ["m"]


def test_a_value_that_is_no_text_takes_no_other_with_it() -> None:
    door = Door()
    batcher = Batcher(door.send)
    batcher.add(["m"], {"a": "1", "b": "\ud800"}, {})  # type: ignore[list-item]

    with pytest.raises(LinealError, match="cannot be sent"):
        batcher.close()
    assert (door.points, door.params) == (["m"], [{"a": "1"}])


def test_what_is_given_up_is_counted() -> None:
    door = Door()
    batcher = Batcher(door.send)
    batcher.add([""] * 500, {}, {})  # type: ignore[list-item]

    with pytest.raises(ApiError) as refused:
        batcher.close()

    [note] = refused.value.__notes__
    assert 500 - REFUSALS < int(note.split()[2]) < 500

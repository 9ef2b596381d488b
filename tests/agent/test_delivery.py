"""The writers, against a server that answers as the test says: what arrives, what waits, what is set aside."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.delivery.dead_letters import DeadLetters
from agent.delivery.outgoing import Outgoing
from agent.delivery.state import AgentState
from agent.delivery.waiting import Waiting
from agent.delivery.writers import BATCH_BYTES, Outcome, Writers
from agent.sending import Receipt, SendError, outcomes_of
from agent.tokens import Token

Answer = Callable[[str, int], httpx.Response]
APPLIED: dict[str, Any] = {"result": "applied", "run": None, "warnings": []}


ITS_OWN = {200, 400, 403, 409, 422}
"""What the server says of one report among several; all else it says of the call."""


def result_of(answer: httpx.Response) -> dict[str, Any]:
    told = answer.json()
    if answer.status_code == 200:
        return {"status": 200, **told}
    return {"status": answer.status_code, "result": None, "detail": f"{told['title']}: {told['detail']}"}


class Scene:
    """Reports named by a text, the server's answers, and what became of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = AgentState(folder, server="s", cluster="")
        self.waiting = Waiting(self.state)
        self.settled: list[str] = []
        self.told: dict[str, Outcome] = {}
        self.asked: Counter[str] = Counter()
        self.bodies: list[Any] = []
        self.tokens: list[str | None] = []
        self.calls: list[list[str]] = []
        self.takes_batches = True

    def report(self, text: str, source: bytes | None = None) -> Outgoing:
        report = json.dumps({"object": {"name": text}}).encode()
        return Outgoing("Workflow", text, text, "ns", report, source, frozenset(), settle=lambda: self.settled.append(text))

    def deliver(
        self,
        answer: Callable[[str, int], httpx.Response],
        *reports: Outgoing,
        until: Callable[[], bool],
        token: Token | None = None,
    ) -> None:
        """`answer` gets the report's name and how often it was asked before; of several in one call, for each."""

        def said(body: Any, request: httpx.Request) -> httpx.Response:
            name = body["object"]["name"]
            self.bodies.append(body)
            self.tokens.append(request.headers.get("Authorization"))
            self.asked[name] += 1
            return answer(name, self.asked[name] - 1)

        def respond(request: httpx.Request) -> httpx.Response:
            body = json.loads(request.content)
            bodies = body["reports"] if request.url.path.endswith("/batch") else [body]
            self.calls.append([one["object"]["name"] for one in bodies])
            if bodies == [body]:
                return said(body, request)
            if not self.takes_batches:
                return httpx.Response(404)
            answers = [said(one, request) for one in bodies]
            whole = [one for one in answers if one.status_code not in ITS_OWN]
            return whole[0] if whole else httpx.Response(200, json={"results": [result_of(one) for one in answers]})

        async def told(one: Outgoing, outcome: Outcome, receipt: Receipt | None) -> None:
            self.told[one.name] = outcome

        async def scenario() -> None:
            writers = Writers(
                "http://server",
                self.waiting,
                DeadLetters(self.folder),
                count=2,
                token=token or Token("secret", None),
                told=told,
                first_pause_s=0.005,
                transport=httpx.MockTransport(respond),
            )
            for one in reports:
                await self.waiting.put(one)
            task = asyncio.create_task(writers.run())
            while not until():  # noqa: ASYNC110 - what is waited for is no event
                await asyncio.sleep(0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(asyncio.wait_for(scenario(), 60))

    def dead(self) -> list[Any]:
        file = self.folder / "dead-letters.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.state.close()


def ok(name: str, before: int) -> httpx.Response:
    return httpx.Response(200, json=APPLIED)


def problem(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, json={"title": "No", "detail": "because"}, headers=headers)


def test_what_the_server_takes_is_settled(scene: Scene) -> None:
    scene.deliver(ok, scene.report("a"), scene.report("b"), until=lambda: len(scene.settled) == 2)

    assert scene.told == {"a": Outcome.DELIVERED, "b": Outcome.DELIVERED}
    assert set(scene.tokens) == {"Bearer secret"}


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504, 401, 404, 408, 301])
def test_a_server_that_is_away_gets_it_later(scene: Scene, code: int) -> None:
    scene.deliver(
        lambda _, before: problem(code) if before < 4 else httpx.Response(200, json=APPLIED),
        scene.report("a"),
        until=lambda: bool(scene.told),
    )

    assert scene.told == {"a": Outcome.DELIVERED}
    assert scene.dead() == []


def test_something_else_that_answers_in_the_servers_place_is_away(scene: Scene) -> None:
    scene.deliver(
        lambda _, before: httpx.Response(200, text="<html>log in</html>") if before < 2 else httpx.Response(200, json=APPLIED),
        scene.report("a"),
        until=lambda: bool(scene.told),
    )

    assert scene.told == {"a": Outcome.DELIVERED}


def test_a_connection_that_fails_is_tried_again(scene: Scene) -> None:
    def answer(_: str, before: int) -> httpx.Response:
        if before < 2:
            raise httpx.ConnectError("no route")
        return httpx.Response(200, json=APPLIED)

    scene.deliver(answer, scene.report("a"), until=lambda: bool(scene.told))

    assert scene.told == {"a": Outcome.DELIVERED}


def test_while_the_server_is_away_reports_go_to_disk(scene: Scene) -> None:
    reports = [scene.report(f"r{number}") for number in range(6)]

    scene.deliver(lambda *_: problem(503), *reports, until=lambda: len(scene.settled) == 6)

    assert scene.told == {}
    assert {uid for _, _, uid, _ in scene.state.spooled()} == {f"r{number}" for number in range(6)}


@pytest.mark.parametrize("code", [400, 403, 409, 413, 422])
def test_what_the_server_refuses_is_set_aside_and_blocks_nothing(scene: Scene, code: int) -> None:
    scene.deliver(
        lambda name, _: problem(code) if name == "bad" else httpx.Response(200, json=APPLIED),
        scene.report("bad"),
        *(scene.report(f"r{number}") for number in range(5)),
        until=lambda: len(scene.settled) == 6,
    )

    [letter] = scene.dead()
    assert scene.told["bad"] is Outcome.REFUSED
    assert (letter["name"], letter["reason"]) == ("bad", f"HTTP {code}: No: because")
    assert letter["report"] == {"object": {"name": "bad"}}


@pytest.mark.parametrize("code", [500, 503])
def test_a_report_that_always_fails_while_others_arrive_is_set_aside(scene: Scene, code: int) -> None:
    async def more() -> None:
        number = 0
        while "bad" not in scene.told:
            await scene.waiting.put(scene.report(f"r{number}"))
            number += 1
            await asyncio.sleep(0.005)

    feeding: list[asyncio.Task[None]] = []

    def answer(name: str, _: int) -> httpx.Response:
        if not feeding:
            feeding.append(asyncio.get_running_loop().create_task(more()))
        return problem(code) if name == "bad" else httpx.Response(200, json=APPLIED)

    scene.deliver(answer, scene.report("bad"), until=lambda: "bad" in scene.told)

    assert scene.told["bad"] is Outcome.REFUSED
    assert [letter["name"] for letter in scene.dead()] == ["bad"]


def test_a_report_that_fails_alone_is_never_set_aside(scene: Scene) -> None:
    scene.deliver(lambda *_: problem(500), scene.report("a"), until=lambda: scene.asked["a"] >= 8)

    assert scene.dead() == []
    assert scene.told == {}


def test_an_object_that_is_too_large_for_the_server_is_left_out(scene: Scene) -> None:
    scene.deliver(
        lambda _, before: problem(413) if before == 0 else httpx.Response(200, json=APPLIED),
        scene.report("a", b'{"kind":"Workflow"}'),
        until=lambda: bool(scene.told),
    )

    assert scene.told == {"a": Outcome.DELIVERED}
    assert ["source" in body for body in scene.bodies] == [True, False]


def test_the_wait_that_the_server_asks_for_is_kept(scene: Scene) -> None:
    began = time.monotonic()
    scene.deliver(
        lambda _, before: problem(429, **{"Retry-After": "1"}) if before == 0 else httpx.Response(200, json=APPLIED),
        scene.report("a"),
        until=lambda: bool(scene.told),
    )

    assert time.monotonic() - began >= 1.0


def test_a_token_that_was_rotated_is_read_again(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")

    def answer(_: str, before: int) -> httpx.Response:
        file.write_text("new\n")
        return problem(401) if before == 0 else httpx.Response(200, json=APPLIED)

    scene.deliver(answer, scene.report("a"), until=lambda: bool(scene.told), token=Token(None, file))

    assert scene.tokens == ["Bearer old", "Bearer new"]


def test_a_writer_that_is_stopped_half_way_gives_its_report_back(scene: Scene) -> None:
    seen: list[str] = []

    def answer(name: str, _: int) -> httpx.Response:
        seen.append(name)
        raise httpx.ConnectError("never")

    scene.deliver(answer, scene.report("a"), until=lambda: bool(seen))

    assert scene.settled == []
    assert scene.waiting.depths()["Workflow"].reports == 1


# ---- several in one call --------------------------------------------------------------------------------------------


def test_what_waits_together_goes_in_one_call_up_to_a_size(scene: Scene) -> None:
    names = [f"r{number}" for number in range(40)]
    large = scene.report("large", json.dumps("x" * BATCH_BYTES).encode())

    scene.deliver(ok, *(scene.report(name) for name in names), large, until=lambda: len(scene.settled) == 41)

    assert sorted(map(len, scene.calls)) == [1, 8, 32]
    assert ["large"] in scene.calls
    assert all(scene.asked[name] == 1 for name in names)


def test_a_call_is_as_large_as_all_of_it_together(scene: Scene) -> None:
    medium = [scene.report(f"m{number}", json.dumps("x" * (BATCH_BYTES * 9 // 20)).encode()) for number in range(5)]

    scene.deliver(ok, *medium, until=lambda: len(scene.settled) == 5)

    assert sorted(map(len, scene.calls)) == [1, 2, 2]


def test_of_one_object_there_is_one_report_in_a_call(scene: Scene) -> None:
    """The second says less than the first, so neither takes the other's place."""
    first, second = scene.report("a"), scene.report("a")
    first.lasting = frozenset({"task"})

    scene.deliver(ok, first, second, scene.report("b"), until=lambda: len(scene.settled) == 3)

    assert [sorted(call) for call in scene.calls] == [["a", "b"], ["a"]]


def test_after_a_call_that_failed_each_report_of_it_goes_by_itself(scene: Scene) -> None:
    names = [f"r{number}" for number in range(9)]

    def answer(name: str, _: int) -> httpx.Response:
        return problem(500) if name == "bad" else httpx.Response(200, json=APPLIED)

    scene.deliver(
        answer,
        scene.report("bad"),
        *(scene.report(name) for name in names),
        until=lambda: len(scene.settled) == 9,
    )

    assert len(scene.calls[0]) == 10
    assert all(len(call) == 1 for call in scene.calls[1:])
    assert scene.told == dict.fromkeys(names, Outcome.DELIVERED)
    assert scene.dead() == []


def test_a_server_that_takes_no_several_gets_each_by_itself(scene: Scene) -> None:
    scene.takes_batches = False

    scene.deliver(ok, scene.report("a"), scene.report("b"), scene.report("c"), until=lambda: len(scene.settled) == 3)

    assert [len(call) for call in scene.calls] == [3, 1, 1, 1]
    assert set(scene.told.values()) == {Outcome.DELIVERED}


def test_a_server_that_takes_no_several_is_not_asked_again_and_again(scene: Scene) -> None:
    scene.takes_batches = False

    scene.deliver(ok, *(scene.report(f"r{number}") for number in range(150)), until=lambda: len(scene.settled) == 150)

    assert 1 <= sum(len(call) > 1 for call in scene.calls) <= 2  # each of the two writers once
    assert set(scene.told.values()) == {Outcome.DELIVERED}


def test_what_goes_by_itself_goes_in_no_call_of_others_either(scene: Scene) -> None:
    names = [f"r{number}" for number in range(120)]

    def answer(name: str, before: int) -> httpx.Response:
        return problem(500) if name == "bad" and before < 3 else httpx.Response(200, json=APPLIED)

    scene.deliver(answer, scene.report("bad"), *(scene.report(name) for name in names), until=lambda: len(scene.settled) == 121)

    assert [len(call) for call in scene.calls if "bad" in call] == [32, 1, 1, 1]


@pytest.mark.parametrize("results", [None, [], [{"status": 200, "result": "applied"}], ["ok", "ok"], [{"status": "no"}] * 2])
def test_an_answer_that_does_not_fit_what_was_sent_is_no_receipt(results: Any) -> None:
    with pytest.raises(SendError):
        outcomes_of(httpx.Response(200, json={"results": results}), 2)

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
from agent.delivery.writers import Outcome, Token, Writers
from agent.sending import Receipt

Answer = Callable[[str, int], httpx.Response]
APPLIED: dict[str, Any] = {"result": "applied", "run": None, "warnings": []}


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
        """`answer` gets the report's name and how often it was asked before."""

        def respond(request: httpx.Request) -> httpx.Response:
            body = json.loads(request.content)
            name = body["object"]["name"]
            self.bodies.append(body)
            self.tokens.append(request.headers.get("Authorization"))
            self.asked[name] += 1
            return answer(name, self.asked[name] - 1)

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

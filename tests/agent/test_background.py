"""Fetching beside the watch: the second report of a picture, room, and sources that are away."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.delivery.outgoing import Outgoing, outgoing
from agent.fetching import background
from agent.fetching.background import Fetching
from agent.fetching.fetcher import Fetcher, Sources
from agent.fetching.files import Files
from agent.kinds import KINDS
from agent.report import Report
from agent.watching.change import Change, Seen, Sign
from agent.watching.progress import Progress
from tests.agent.building import Json
from tests.agent.test_fetching import METRICS, VIEWS, packed, put, v1_run

WORKFLOW = next(kind for kind in KINDS if kind.name == "Workflow")


def change(content: Json, uid: str = "u", sign: Sign = Sign.CHANGED) -> Change:
    content["metadata"] |= {"uid": uid, "resourceVersion": "7"}
    progress = Progress()
    seen = Seen(uid, "team", "wf", "7")
    return Change(WORKFLOW, "argoproj.io/v1alpha1", sign, seen, json.dumps(content).encode(), progress.open("7"), progress)


def stored(folder: Path) -> Fetcher:
    put(folder, "s3://b/w/metrics.tgz", packed(METRICS))
    put(folder, "s3://b/w/ui.tgz", packed(VIEWS))
    return Fetcher(Sources(files=Files(f"file://{folder}")))


def told(
    fetcher: Fetcher, *changes: Change, again_s: tuple[float, ...] = (), more: Callable[[], object] | None = None
) -> list[Any]:
    """What was put and settled, in order; with `more` done once all is settled, what is put after that, too."""
    log: list[Any] = []

    async def act() -> None:
        news: asyncio.Queue[Any] = asyncio.Queue()

        async def place(one: Outgoing) -> None:
            news.put_nowait(one)
            one.settle()

        async def hear(enough: Callable[[], bool]) -> None:
            async with asyncio.timeout(30):
                while not enough():
                    log.append(await news.get())

        fetching = Fetching(fetcher, place, None, again_s=again_s)
        running = asyncio.create_task(fetching.run())
        for one in changes:
            await fetching.offer(one, lambda: news.put_nowait("settled"))
        await hear(lambda: log.count("settled") == len(changes))
        if more is not None:
            more()
            await hear(lambda: isinstance(log[-1], Outgoing))
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(act())
    return log


def test_the_second_report_is_of_the_same_picture_and_settles_the_change(tmp_path: Path) -> None:
    [made, settled] = told(stored(tmp_path), change(v1_run()))

    body = json.loads(made.report)
    assert (settled, made.uid, body["object"]["resource_version"]) == ("settled", "u+fetched", "7")
    assert body["tasks"][0]["fetched"]["metrics"] == {"mlpipeline-metrics/accuracy": 0.9}


def test_what_lacks_nothing_is_settled_without_a_second_report(tmp_path: Path) -> None:
    content = v1_run()
    content["status"]["nodes"]["wf.a"]["outputs"] = {}

    assert told(stored(tmp_path), change(content)) == ["settled"]


def test_a_source_that_is_away_is_asked_again(tmp_path: Path) -> None:
    fetcher = Fetcher(Sources(files=Files(f"file://{tmp_path}")))

    first, made = told(fetcher, change(v1_run()), again_s=(0.05,) * 200, more=lambda: stored(tmp_path))

    assert first == "settled"
    assert "fetched" in json.loads(made.report)["tasks"][0]


def test_a_fault_of_the_fetcher_costs_no_report(tmp_path: Path) -> None:
    class Faulty(Fetcher):
        def enrich(self, report: Report) -> Report:
            raise ZeroDivisionError

    assert told(Faulty(Sources()), change(v1_run(), "a"), change(v1_run(), "b")) == ["settled", "settled"]


def test_without_room_the_oldest_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MAX_BYTES", 10)
    log: list[str] = []

    async def act() -> None:
        async def place(_: Outgoing) -> None:
            """Nothing comes here: nobody works."""

        fetching = Fetching(stored(tmp_path), place, None)
        for uid in ("a", "b", "c"):
            await fetching.offer(change(v1_run(), uid), lambda uid=uid: log.append(uid))  # type: ignore[misc]

    asyncio.run(act())

    assert log == ["a", "b"]


@pytest.mark.parametrize(
    ("phase", "sign", "offloaded", "wanted"),
    [
        ("Succeeded", Sign.CHANGED, False, True),
        ("Running", Sign.CHANGED, False, False),
        ("Running", Sign.CHANGED, True, True),
        ("Succeeded", Sign.DELETED, False, False),
    ],
)
def test_finished_and_offloaded_workflows_are_worth_a_look(
    tmp_path: Path, phase: str, sign: Sign, offloaded: bool, wanted: bool
) -> None:
    content = v1_run()
    content["status"] |= {"phase": phase} | ({"offloadNodeStatusVersion": "fnv:1"} if offloaded else {})
    one = change(content, sign=sign)
    made = outgoing(one, None, lambda: None)
    assert isinstance(made, Outgoing)

    async def ask() -> bool:
        async def place(_: Outgoing) -> None:
            """Not called."""

        return Fetching(stored(tmp_path), place, None).wants(made, one)

    assert asyncio.run(ask()) is wanted

"""Objects that are wrong on purpose on a live agent: it stays alive, each becomes a report or a dead letter, others go on."""

import copy
import json
import random
from pathlib import Path

import sqlalchemy as sa

from registry.settings import Settings
from registry.tables.runs import objects
from tests.agent.building import Json, node, workflow
from tests.agent.fake_api import FakeApi
from tests.agent.running import wait_until
from tests.agent.test_hostile import places, specimens
from tests.agent.test_hostile_kinds import VALUES
from tests.agent.test_run import agent_of, run_of, runs
from tests.servers import serving

MUTANTS = 60


def mutants() -> list[Json]:
    """What the API server takes has a name, a uid and a namespace; all else is anything."""
    dice = random.Random(20261130)
    made = []
    for number in range(MUTANTS):
        content = copy.deepcopy(dice.choice(specimens()))
        for _ in range(dice.randint(1, 6)):
            parts = [place for part in ("spec", "status") for place in places(content.get(part) or {})]
            if parts:
                box, key = dice.choice(parts)
                box[key] = copy.deepcopy(dice.choice([one for one in VALUES if one != "\ud800"]))  # Go writes no such thing
        content["metadata"] = {"name": f"mutant-{number}", "namespace": "default"}
        made.append(content)
    return made


def monsters() -> list[Json]:
    """A text of a megabyte, a circle of nodes, thousands of nodes in a row, and what is no map at all."""
    huge = workflow(phase="x" * 1_000_000, name="huge")
    circle = workflow(
        node("circle", "DAG", children=["circle.a"], inside="circle.a"),
        node("circle.a", "DAG", children=["circle"], inside="circle"),
        name="circle",
    )
    many = workflow(*(node(f"many.{number}", children=[f"many.{number + 1}"]) for number in range(3_000)), name="many")
    odd: list[Json] = [workflow(name="spec") | {"spec": []}, workflow(name="status") | {"status": "gone"}]
    made = [huge, circle, many, *odd]
    for content in made:
        content["metadata"] = {"name": content["metadata"]["name"], "namespace": "default"}
    return made


def test_hostile_objects_neither_end_the_agent_nor_hold_up_the_others(tmp_path: Path) -> None:
    hostile = [*mutants(), *monsters()]
    with FakeApi().serving() as api, serving(Settings(data_dir=str(tmp_path / "data"))) as server:
        api.put(run_of("before", "Running", ("a", "Running")))
        with agent_of(api, server.url, tmp_path) as agent:
            pid = agent.pid
            for content in hostile:
                api.put(content)
            api.put(run_of("before", "Succeeded", ("a", "Succeeded")))
            api.put(run_of("after", "Running", ("a", "Running")))
            wait_until(lambda: runs(server).items() >= {"before": "succeeded", "after": "running"}.items())
            agent.wait_idle()
            health, _ = agent.get("/healthz")
            told = {one["metadata"]["uid"] for _, one in api.events()}
            letters = tmp_path / "state" / "dead-letters.jsonl"
            refused = [json.loads(line) for line in letters.read_text().splitlines()] if letters.exists() else []
            known = server.services.runner.read(lambda session: set(session.scalars(sa.select(objects.c.uid))))
            lines = [json.loads(line) for line in agent.log().splitlines() if line.startswith("{")]
            code = agent.stop()

    assert (health, code) == (200, 0)
    assert agent.pid == pid
    assert told == known | {letter["uid"] for letter in refused}
    assert not [line for line in lines if line["level"] == "error" and "set aside" not in line["message"]]
    shown = [(line["uid"], line["warning"]) for line in lines if "warning" in line]
    assert len(shown) == len(set(shown))

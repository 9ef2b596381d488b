"""Plays the same programs against two servers, and says which answers differ for no known reason."""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.mlflow.differential.asking import Asker, differences
from tests.mlflow.differential.programs import registry, tracking
from tests.mlflow.differential.programs.writing import NO_ID, Step, Writer

STEPS = 150
ACTIONS: Mapping[Callable[[Writer], None], int] = {
    tracking.create_experiment: 1,
    tracking.read_experiment: 2,
    tracking.change_experiment: 2,
    tracking.create_run: 3,
    tracking.read_run: 8,
    tracking.log_values: 14,
    tracking.change_run: 4,
    tracking.history: 4,
    tracking.log_inputs: 3,
    tracking.create_logged: 4,
    tracking.change_logged: 6,
    tracking.read_logged: 4,
    registry.create_model: 2,
    registry.change_model: 5,
    registry.read_model: 4,
    registry.create_version: 5,
    registry.change_version: 7,
    registry.read_version: 4,
    registry.search_runs: 24,
    registry.search_experiments: 8,
    registry.search_models: 8,
    registry.search_versions: 8,
    registry.search_logged: 10,
}
_LABEL = re.compile(r"<(?:run|experiment|model) [0-9]+-[0-9]+>")
TWICE = "a field named twice in `order_by`: 500 for runs, allowed for experiments"
CUT = "a filter with a word too many or too few is read as far as it goes"


@dataclass(frozen=True)
class Known:
    """Why two answers may differ in any state. `row`: of the page's table, or in words what that says in general.

    `path` matches the whole path of the call, `theirs` and `ours` the statuses, `message` what the one says that refuses.
    """

    row: str
    path: str
    theirs: str
    ours: str
    message: str = ""


KNOWN: Sequence[Known] = (
    Known("no stray 500", ".*", "500", "[24]..", ""),
    Known("the database's text", ".*", "400", "4..|200", r"\(sqlite3\."),
    Known("two mistakes in one call: each server tells its first", ".*", "4..", "4.."),
    Known("what is refused there and has a meaning here", ".*search", "400", "200"),
    Known(TWICE, ".*search", "200", "400", "is in the order twice"),
    Known(CUT, ".*search", "200", "400", "expected .*, found|found the end"),
)

SAME_STATUS: Mapping[str, str] = {
    "a search of runs leaves out which models they read": r"body\.runs\[\d+\]\.inputs\.model_inputs: '<absent>' -> .*",
}
"""By rows of the page's table: lines that may differ in answers of one status."""


def program(seed: int, number: int) -> list[Step]:
    """Always the same for the same two numbers. `number` begins its names: it must be new to the servers."""
    writer = Writer(random.Random(f"{seed} {number}"), number)
    for kind in (tracking.create_experiment, tracking.create_run, registry.create_model, tracking.create_logged):
        made = 0
        while made < 3:
            kind(writer)
            made += writer.steps[-1].makes is not None or kind is registry.create_model
    actions, weights = zip(*ACTIONS.items(), strict=True)
    while len(writer.steps) < STEPS:
        writer.rng.choices(actions, weights)[0](writer)
    return writer.steps


class Player:
    """One server's side of a program."""

    def __init__(self, asker: Asker) -> None:
        self.asker, self._ids = asker, dict[str, str]()

    def play(self, name: str, step: Step) -> None:
        """A write takes at least two milliseconds: times tell which came later."""
        body = self.asker.call(name, step.verb, self._with_ids(step.path), step.base, **self._with_ids(step.fields))
        if step.makes is not None:
            self._ids[step.makes] = id = _id(body) or NO_ID
            self.asker.label(id, step.makes)
        if step.verb != "GET" and "search" not in step.path:
            time.sleep(0.002)

    def _with_ids(self, value: Any) -> Any:
        if isinstance(value, str):
            return _LABEL.sub(lambda found: self._ids.get(found[0], NO_ID), value)
        if isinstance(value, list):
            return [self._with_ids(one) for one in value]
        if isinstance(value, dict):
            return {key: self._with_ids(one) for key, one in value.items()}
        return value


def _id(body: Mapping[str, Any]) -> str | None:
    if "run" in body:
        return str(body["run"]["info"]["run_id"])
    if "model" in body:
        return str(body["model"]["info"]["model_id"])
    return body.get("experiment_id")


def play(theirs: Asker, ours: Asker, *, seed: int, count: int) -> Iterator[str]:
    """The differences that nothing explains, as text."""
    for number in range(1, count + 1):
        steps = program(seed, number)
        names = [f"program {number} of seed {seed}, step {index + 1}" for index in range(len(steps))]
        for asker in (theirs, ours):
            player = Player(asker)
            for name, step in zip(names, steps, strict=True):
                player.play(name, step)
        for name, step in zip(names, steps, strict=True):
            lines = differences(theirs.said(name), ours.said(name))
            lines = [line for line in lines if not any(re.fullmatch(known, line) for known in SAME_STATUS.values())]
            if lines and not any(_explains(one, step, theirs.answers[name], ours.answers[name]) for one in KNOWN):
                yield "\n  ".join([f"{name}: {step.verb} {step.path} {step.fields}", *(line[:300] for line in lines[:6])])


def _explains(known: Known, step: Step, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    message = str((theirs if theirs["status"] >= 400 else ours).get("body", {}).get("message", ""))
    return bool(
        theirs["status"] != ours["status"]
        and re.fullmatch(known.path, step.path)
        and re.fullmatch(known.theirs, str(theirs["status"]))
        and re.fullmatch(known.ours, str(ours["status"]))
        and re.search(known.message, message)
    )

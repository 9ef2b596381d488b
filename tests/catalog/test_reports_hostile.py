"""What is made of objects that are wrong on purpose is applied, or refused by name: no report fails the server."""

import copy
import random
import uuid
from collections import Counter
from functools import partial

from agent.kinds import translate
from agent.reading import Read
from agent.report import Report
from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.reports.applying import apply_report, find_applied
from registry.catalog.reports.record import parse
from registry.db.runner import Runner
from registry.errors import RegistryError
from tests.agent.test_hostile import places
from tests.agent.test_hostile_kinds import VALUES, samples

MUTANTS = 100
HUGE = "y" * 1_000_000


def test_hostile_objects_become_reports_that_the_server_applies_or_refuses(runner: Runner, actor: Actor) -> None:
    dice = random.Random(20261130)
    kinds = samples()
    outcomes: Counter[str] = Counter()
    for number in range(MUTANTS):
        content = copy.deepcopy(dice.choice(kinds))
        content["metadata"] |= {"uid": str(uuid.UUID(int=dice.getrandbits(128))), "namespace": None}
        for _ in range(dice.randint(1, 6)):
            box, key = dice.choice(places(content))
            box[key] = copy.deepcopy(dice.choice([*VALUES, HUGE]))
        report = translate(Read("test", 0, content))
        if not isinstance(report, Report):
            outcomes["unreadable"] += 1
            continue
        parsed = parse(report.to_json().encode())
        try:
            runner.read(partial(find_applied, actor=actor, report=parsed))
            applied = runner.write(partial(apply_report, actor=actor, report=parsed, now=5000 + number))
            outcomes[applied.result] += 1
        except RegistryError as error:
            outcomes[type(error).__name__] += 1

    assert outcomes["applied"] > 0.9 * MUTANTS, outcomes
    assert runner.read(lambda session: [str(one) for one in check_all(session)]) == []

import subprocess
import sys

import orjson
import pytest

from benchmarks.generate import Generator, Weave
from registry.catalog.reports.record import parse
from tests.repository.checkout import ROOT

PROGRAM = """
import hashlib
from benchmarks.generate import Generator, Weave
make = Generator()
parts = [make.run(7), make.keys(20, 3), make.steps(2, 5, 10), make.params(9, 1), make.report(4, 3), make.block(999)]
parts += [list(Weave(2, 3).events())]
print(hashlib.sha256(repr(parts).encode()).hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_seed_gives_the_same_data_in_every_process(hash_seed: str) -> None:
    """The digest is written down, so that a change of the generator, which makes old figures incomparable, is one on purpose."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "56c1d8d7c8f0b6c2bfc9eb644a0dfff118bd2da9f43723db7375294e5beda4d6"


def test_an_item_does_not_depend_on_those_asked_for_before() -> None:
    first, second = Generator(), Generator()
    [first.run(number) for number in range(5)]

    assert first.run(5) == second.run(5)


def test_a_generated_report_is_one_that_the_server_takes() -> None:
    made = parse(orjson.dumps(Generator().report(3, 100)))

    assert len(made.tasks) == 100
    assert made.tasks[7].inputs.artifacts == made.tasks[6].outputs.artifacts


def test_another_seed_gives_other_data() -> None:
    assert Generator(1).run(0) != Generator(2).run(0)


def test_runs_differ_in_what_is_unique() -> None:
    made = [Generator().run(number) for number in range(200)]

    assert len({run.hex for run in made}) == len({run.name for run in made}) == 200


def test_an_ancestry_is_as_large_as_the_weave_says() -> None:
    """The expectation of the lineage cases, counted by hand on a small graph."""
    weave = Weave(generations=6, width=40)
    writers = {artifact: execution for artifact, execution, read in weave.events() if not read}
    reads: dict[int, list[int]] = {}
    for artifact, execution, read in weave.events():
        if read:
            reads.setdefault(execution, []).append(artifact)
    frontier, executions, artifacts = {weave.artifact(6, 3)}, set[int](), set[int]()
    for _ in range(4):
        writing = {writers[artifact] for artifact in frontier}
        frontier = {artifact for execution in writing for artifact in reads[execution]}
        executions |= writing
        artifacts |= frontier

    assert (len(executions), len(artifacts)) == Weave.ancestry(4)


def test_a_weave_has_the_nodes_and_edges_that_it_says() -> None:
    weave = Weave(generations=3, width=5)
    events = list(weave.events())

    assert len(events) == weave.edges
    assert {execution for _, execution, _ in events} == set(range(weave.executions))
    assert {artifact for artifact, _, _ in events} == set(range(weave.artifacts))
